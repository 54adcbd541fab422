"""Predictions for labelling tools, in the forms that `perpixel train` reads too."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from perpixel.data.labelme_shapes import IGNORE
from perpixel.data.run_lengths import encode_runs
from perpixel.inference.regions import Region, regions
from perpixel.inference.segmentation import ClassMask
from perpixel.labels import LabelSpace
from perpixel.whole_file import write_text

Format = Literal["png", "coco", "labelme"]
CLASSES = "classes.yaml"
COCO_FILE = Path("annotations") / "instances_default.json"
BACKGROUND = "background"
# labelme asks for three corners of a polygon, even where they are one pixel.
_CORNERS = 3


@runtime_checkable
class Export(Protocol):
    """Writes masks in one form. `add` may be called from several threads, in any order."""

    def add(self, place: int, image: Path, name: Path, segmentation: ClassMask) -> None:
        """Write an image's mask to `name` and a suffix, or keep it for `finish`.

        Args:
            place: of the image among all images, which decides their order in a file for all.
        """

    def finish(self) -> None:
        """Write what there is one of."""


def export(kind: Format, out: Path, labels: LabelSpace) -> Export:
    """What writes masks into the folder `out` in this form."""
    match kind:
        case "png":
            return PngExport()
        case "coco":
            return CocoExport(out, labels)
        case "labelme":
            return LabelmeExport(out, labels)


class PngExport:
    """A palette PNG of class indices for each image."""

    def add(self, place: int, image: Path, name: Path, segmentation: ClassMask) -> None:
        """Write the mask."""
        segmentation.save(name.with_name(f"{name.name}.png"))

    def finish(self) -> None:
        """Nothing: each image has its file."""


class LabelmeExport:
    """A JSON file of polygons for each image, larger regions before the smaller ones inside them,
    so that they paint exactly the mask; and `classes.yaml`."""

    def __init__(self, out: Path, labels: LabelSpace) -> None:
        self.out = out
        self.labels = labels

    def add(self, place: int, image: Path, name: Path, segmentation: ClassMask) -> None:
        """Write the image's file."""
        size = segmentation.mask.shape
        found = sorted(regions(segmentation.mask), key=lambda region: -region.box_area)
        content = {
            "version": "5.5.0",
            "flags": {},
            "shapes": [self._shape(one) for one in found if not self._is_uncovered(one, size)],
            "imagePath": Path(os.path.relpath(image, name.parent)).as_posix(),
            "imageData": None,
            "imageHeight": size[0],
            "imageWidth": size[1],
        }
        text = json.dumps(content, ensure_ascii=False, indent=1)
        write_text(name.with_name(f"{name.name}.json"), text)

    def finish(self) -> None:
        """Write the classes: their order and colours, which labelme does not keep."""
        write_text(self.out / CLASSES, self.labels.as_yaml())

    def _is_uncovered(self, region: Region, size: tuple[int, ...]) -> bool:
        """What no shape covers is background; only in holes it has to be drawn."""
        if region.value == self.labels.ignore_index:
            return False
        is_background = self.labels.names[region.value] == BACKGROUND
        return is_background and region.touches_border((size[0], size[1]))

    def _shape(self, region: Region) -> dict[str, Any]:
        ignored = region.value == self.labels.ignore_index
        points = region.outline().astype(float).tolist()
        return {
            "label": IGNORE if ignored else self.labels.names[region.value],
            "points": points + points[-1:] * (_CORNERS - len(points)),
            "group_id": None,
            "description": "",
            "shape_type": "polygon",
            "flags": {},
        }


class CocoExport:
    """One annotation file for all images, a run-length code for each region; and `classes.yaml`."""

    def __init__(self, out: Path, labels: LabelSpace) -> None:
        self.out = out
        self.labels = labels
        # By the image's place: threads add to it as they get done.
        self.found: dict[int, tuple[dict[str, Any], list[dict[str, Any]]]] = {}

    def add(self, place: int, image: Path, name: Path, segmentation: ClassMask) -> None:
        """Keep the image's regions; pixels without a label are in none."""
        height, width = segmentation.mask.shape
        about = {
            "file_name": f"{name.relative_to(self.out).as_posix()}{image.suffix}",
            "height": height,
            "width": width,
            # Where the image was: our own reader looks there if it is not beside the file.
            "path": Path(os.path.relpath(image, self.out)).as_posix(),
        }
        annotations = []
        for region in regions(segmentation.mask):
            if region.value == self.labels.ignore_index:
                continue
            rows, columns = region.pixels.shape
            counts = encode_runs(region.pixels, region.top, region.left, (height, width))
            annotations.append(
                {
                    "category_id": region.value + 1,
                    "segmentation": {"size": [height, width], "counts": counts},
                    "area": int(region.pixels.sum()),
                    "bbox": [region.left, region.top, columns, rows],
                    # In COCO a run-length code goes with 1, a polygon with 0.
                    "iscrowd": 1,
                }
            )
        self.found[place] = about, annotations

    def finish(self) -> None:
        """Write the annotation file, whose folder is there, and the classes."""
        images, annotations = [], []
        for number, place in enumerate(sorted(self.found), 1):
            about, regions_of_image = self.found[place]
            images.append({"id": number, **about})
            annotations += [{"image_id": number, **region} for region in regions_of_image]
        names = enumerate(self.labels.names, 1)
        content = {
            "info": {"description": "predicted by perpixel"},
            "images": images,
            "annotations": [{"id": number, **one} for number, one in enumerate(annotations, 1)],
            "categories": [{"id": number, "name": name} for number, name in names],
        }
        text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
        write_text(self.out / COCO_FILE, text)
        write_text(self.out / CLASSES, self.labels.as_yaml())
