"""What is written for each image of a folder, and what became of them."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from PIL import Image

from perpixel.errors import ConfigError, OutputError
from perpixel.inference.export import Format
from perpixel.inference.inputs import is_same_file
from perpixel.inference.large.prediction import LargePrediction
from perpixel.inference.predictor import Model
from perpixel.inference.segmentation import ClassMask
from perpixel.whole_file import write_text

JPEG_QUALITY = 90
# Pillow's encoder fails above 65,500.
JPEG_LONGEST = 65_000


@dataclass(frozen=True)
class Summary:
    """What became of the images: those predicted, those that were not with the reason, and what
    is to be said of the large ones among the first."""

    done: tuple[Path, ...]
    failed: tuple[tuple[Path, str], ...]
    large: tuple[LargePrediction, ...] = ()


@dataclass(frozen=True)
class Results:
    """Which results are written for each image.

    Args:
        format: of the masks: "png", "geotiff", or "coco" or "labelme" for labelling tools, as
            `export` has them.
        overlay: a picture of the mask over the image, as "png" or "jpg".
        probabilities: those of all classes, as a float16 NumPy file (classes, H, W).
        areas: a CSV file with the share of each class in each image, one image a row.
        min_confidence: less sure pixels get the ignore index in mask, overlay and areas (0 … 1).
        overlay_gives_way: an image that goes in tiles, as rasters and large images do, goes without
            its overlay, instead of being taken whole or refused for it.
    """

    format: Format | Literal["geotiff"] = "png"
    overlay: Literal["png", "jpg"] | None = None
    probabilities: bool = False
    areas: Path | None = None
    min_confidence: float = 0.0
    overlay_gives_way: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.min_confidence <= 1:
            raise ConfigError(
                "min_confidence",
                found=f"{self.min_confidence}",
                expected="a probability between 0 and 1",
                mend="Give a number such as 0.5",
            )

    @property
    def suffixes(self) -> tuple[str, ...]:
        """What is appended to an image's stem for each of its files."""
        mask = {
            "png": (".png",),
            "geotiff": (".tif",),
            "coco": (),
            "labelme": (".json",),
        }[self.format]
        overlay = (f"_overlay.{self.overlay}",) if self.overlay else ()
        return (*mask, *overlay, *((".npy",) if self.probabilities else ()))


def whole_only(
    results: Results,
    scales: Sequence[float],
    flip: bool,
    show: Callable[[Path, ClassMask], None] | None,
) -> str:
    """What is wanted that needs an image whole, in words; empty: nothing."""
    wanted = {
        "an overlay": results.overlay is not None and not results.overlay_gives_way,
        "probabilities": results.probabilities,
        f"{results.format} files": results.format in ("coco", "labelme"),
        "other scales": tuple(scales) != (1.0,),
        "its mirror image": flip,
        "a picture in the terminal": show is not None,
    }
    found = " and ".join(name for name, is_wanted in wanted.items() if is_wanted)
    if found and results.format == "geotiff":
        raise ConfigError(
            "format",
            found=f"geotiff and {found}",
            expected="one of the two",
            mend="Predict twice, into different folders",
        )
    return found


def spare_inputs(images: Sequence[Path], names: Sequence[Path], results: Results) -> None:
    # Not `Path.resolve`, which raises at a link to itself: who reads the image reports that.
    sources = {os.path.realpath(image) for image in images}
    # On many disks A.PNG and a.png are one file.
    by_letters = {source.casefold(): source for source in sources}
    targets = [named(name, suffix) for name in names for suffix in results.suffixes]
    for target in [*targets, *([results.areas] if results.areas else [])]:
        real = os.path.realpath(target)
        twin = by_letters.get(real.casefold())
        if twin is not None and (real in sources or is_same_file(Path(real), Path(twin))):
            raise OutputError(
                target,
                found="is one of the images, which the result would overwrite",
                mend="Give the results another place",
            )


def named(name: Path, suffix: str) -> Path:
    # with_suffix would take the end of "street.2024" for a suffix.
    return name.with_name(name.name + suffix)


def make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        found = f"cannot be made ({error.strerror})"
        raise OutputError(folder, found=found, mend="Give an --out that can be written") from None


def encoded(picture: Image.Image, kind: Literal["png", "jpg"]) -> bytes:
    """The picture as a file; as a JPEG it is scaled down to the longest side that one can have."""
    file = io.BytesIO()
    if kind == "jpg":
        smaller = JPEG_LONGEST / max(picture.size)
        if smaller < 1:
            width, height = (max(round(side * smaller), 1) for side in picture.size)
            picture = picture.resize((width, height), Image.Resampling.LANCZOS)
        # Without subsampling: thin borders and letters keep their colours.
        picture.save(file, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    else:
        picture.save(file, "PNG")
    return file.getvalue()


def write_areas(path: Path, model: Model, rows: list[list[str]]) -> None:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["file", *model.labels.names])
    table.writerows(rows)
    make_folder(path.parent)
    write_text(path, text.getvalue())
