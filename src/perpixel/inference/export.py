"""Predictions for labelling tools, in the forms that `perpixel train` reads too."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from perpixel.data.labelme_shapes import IGNORE
from perpixel.data.run_lengths import encode_runs
from perpixel.errors import OutputError
from perpixel.inference.regions import Region, regions
from perpixel.inference.segmentation import ClassMask
from perpixel.labels import LabelSpace
from perpixel.whole_file import write_text

Format = Literal["png", "coco", "labelme"]
CLASSES = "classes.yaml"
COCO_FILE = Path("annotations") / "instances_default.json"
BACKGROUND = "background"
# Under this key a file says what it held when it was written: tools keep it, or leave it out.
AS_WRITTEN = "perpixel"
# labelme asks for three corners of a polygon, even where they are one pixel.
_CORNERS = 3


@runtime_checkable
class Export(Protocol):
    """Writes masks in one form. `add` may be called from several threads, in any order."""

    def spare(self, names: Sequence[Path]) -> None:
        """See that nobody's corrections are written over.

        Raises:
            OutputError: a file that would be written holds other annotations than perpixel wrote.
        """

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

    def spare(self, names: Sequence[Path]) -> None:
        """Nothing: masks are made anew, as they were."""

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

    def spare(self, names: Sequence[Path]) -> None:
        """Files with other shapes than were written stay, and so does another list of classes."""
        for name in names:
            _spare(name.with_name(f"{name.name}.json"), "shapes")
        _spare_classes(self.out / CLASSES, self.labels)

    def add(self, place: int, image: Path, name: Path, segmentation: ClassMask) -> None:
        """Write the image's file."""
        size = segmentation.mask.shape
        found = sorted(regions(segmentation.mask), key=lambda region: -region.box_area)
        content: dict[str, Any] = {
            "version": "5.5.0",
            "flags": {},
            "shapes": [self._shape(one) for one in found if not self._is_uncovered(one, size)],
            "imagePath": _way(image, name.parent),
            "imageData": None,
            "imageHeight": size[0],
            "imageWidth": size[1],
        }
        content[AS_WRITTEN] = _digest(content["shapes"])
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

    def spare(self, names: Sequence[Path]) -> None:
        """Other annotations than were written stay, and so does another list of classes."""
        _spare(self.out / COCO_FILE, "annotations")
        _spare_classes(self.out / CLASSES, self.labels)

    def add(self, place: int, image: Path, name: Path, segmentation: ClassMask) -> None:
        """Keep the image's regions; pixels without a label are in none."""
        height, width = segmentation.mask.shape
        about = {
            "file_name": f"{name.relative_to(self.out).as_posix()}{image.suffix}",
            "height": height,
            "width": width,
            # Where the image was: our own reader looks there if it is not beside the file.
            "path": _way(image, self.out),
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
        content: dict[str, Any] = {
            "info": {"description": "predicted by perpixel"},
            "images": images,
            "annotations": [{"id": number, **one} for number, one in enumerate(annotations, 1)],
            "categories": [{"id": number, "name": name} for number, name in names],
        }
        content[AS_WRITTEN] = _digest(content["annotations"])
        text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
        write_text(self.out / COCO_FILE, text)
        write_text(self.out / CLASSES, self.labels.as_yaml())


def _digest(annotations: object) -> str:
    return hashlib.sha256(json.dumps(annotations, sort_keys=True).encode()).hexdigest()


def _spare(path: Path, annotations: str) -> None:
    """Refuse a file whose annotations, under this key, are not those that were written."""
    if not os.path.lexists(path):
        return
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        content = None
    if isinstance(content, dict) and content.get(AS_WRITTEN) == _digest(content.get(annotations)):
        return
    _refuse(path, "annotations that were corrected, or that perpixel did not write")


def _spare_classes(path: Path, labels: LabelSpace) -> None:
    """Refuse a list of classes that is not the one to be written."""
    try:
        other = path.read_bytes() != labels.as_yaml().encode()
    except FileNotFoundError:
        return
    except OSError:
        other = True
    if other:
        _refuse(path, "another list of classes")


def _refuse(path: Path, found: str) -> None:
    raise OutputError(
        path,
        found=found,
        expected="nothing there, or what an earlier call wrote",
        mend="Give another --out, or move it away",
    )


def _way(image: Path, folder: Path) -> str:
    """From a folder to an image; on Windows from no drive a way leads to another."""
    try:
        return Path(os.path.relpath(image, folder)).as_posix()
    except ValueError:
        return image.absolute().as_posix()
