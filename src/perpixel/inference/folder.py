"""Prediction of many images into a folder: masks, and on request overlays, probabilities, areas."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from PIL import Image

from perpixel.checkpoint import write_whole
from perpixel.data.dataset import Pair
from perpixel.data.sample import Sample, evaluation_samples
from perpixel.errors import ConfigError, DataError, ModelError, OutputError
from perpixel.inference.export import Export, Format, export
from perpixel.inference.inputs import expand, stems
from perpixel.inference.large import LargePrediction, Progress
from perpixel.inference.large_images import LargeImages
from perpixel.inference.predictor import Model
from perpixel.inference.probability_file import write_probabilities
from perpixel.inference.segmentation import Segmentation
from perpixel.inference.test_time import check_scales
from perpixel.inference.tile_size import Tiling

JPEG_QUALITY = 90
# Decoded images that wait for the network, at most.
READ_AHEAD = 2


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
    """

    format: Format | Literal["geotiff"] = "png"
    overlay: Literal["png", "jpg"] | None = None
    probabilities: bool = False
    areas: Path | None = None
    min_confidence: float = 0.0

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


def predict_folder(
    model: Model,
    inputs: Sequence[str | Path],
    out: Path,
    *,
    results: Results | None = None,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    tiling: Tiling | None = None,
    progress: Callable[[int, int], None] | None = None,
    watch: Callable[[Path, Progress], None] | None = None,
    show: Callable[[Path, Segmentation], None] | None = None,
) -> Summary:
    """Predict every image that the inputs stand for.

    The mask of `FOLDER/a/b.jpg` is written to `out/a/b.png`, its overlay to `out/a/b_overlay.png`,
    its probabilities to `out/a/b.npy`. An image that cannot be used is reported, and the others
    are still predicted. Files are written whole or not at all, and never over an input.

    Args:
        model: what predicts.
        inputs: image files, folders (with their subfolders), and glob patterns.
        out: the folder of the results; made if it is missing.
        results: what is written for each image; None: masks alone.
        scales, flip: test-time augmentation, as in `Model.predict`.
        tiling: how large images are cut; see `predict_large`, which predicts them, and
            `LargeImages`, which tells which they are.
        progress: called with (images done, images in all) after each image.
        watch: called with each large image and how far its prediction is.
        show: called with each image that could be used and what was predicted for it.

    Raises:
        DataError: an input stands for no image.
        OutputError: a result cannot be written, or would overwrite an input.
        ConfigError: a scale is not above 0, or GeoTIFFs are asked for together with what needs
            images whole.
    """
    results = results or Results()
    check_scales(scales)
    images = expand(inputs, out)
    names = [out / stem for stem in stems(images, results.suffixes or ("",))]
    _spare_inputs([image.path for image in images], names, results)
    done: list[Path] = []
    failed: list[tuple[Path, str]] = []
    rows: list[list[str]] = []
    large = LargeImages(
        model, tiling or Tiling(), _whole_only(results, scales, flip, show), results.format
    )
    pairs = [Pair(image.path) for image in images]
    parts = [large.takes(pair.image) for pair in pairs]
    ordinary = [index for index, is_large in enumerate(parts) if not is_large]
    masks = export("png" if results.format == "geotiff" else results.format, out, model.labels)
    samples = evaluation_samples(
        [pairs[index] for index in ordinary], model.labels, read_ahead=READ_AHEAD
    )
    for index, sample in zip(ordinary, samples, strict=True):
        pair, name = pairs[index], names[index]
        try:
            segmentation = _predict(model, sample, name, results, masks, scales, flip)
        except (DataError, ModelError) as error:
            failed.append((pair.image, str(error)))
        else:
            done.append(pair.image)
            if show is not None:
                show(pair.image, segmentation)
            if results.areas is not None:
                shares = segmentation.areas().values()
                rows.append([str(pair.image), *(f"{share:.6f}" for share in shares)])
        if progress is not None:
            progress(len(done) + len(failed), len(pairs))
    if done:
        masks.finish()
    predictions: list[LargePrediction] = []
    for pair, name, is_large in zip(pairs, names, parts, strict=True):
        if not is_large:
            continue
        try:
            _make_folder(name.parent)
            prediction = large.predict(pair.image, name, results.min_confidence, watch)
        except (DataError, ModelError, ConfigError) as error:
            failed.append((pair.image, str(error)))
        else:
            predictions.append(prediction)
            done.append(pair.image)
            if results.areas is not None:
                shares = prediction.areas.shares().values()
                rows.append([str(pair.image), *(f"{share:.6f}" for share in shares)])
                if prediction.areas.square_metres is not None:
                    write_whole(_with(name, "_areas.csv"), prediction.areas.as_csv().encode())
        if progress is not None:
            progress(len(done) + len(failed), len(pairs))
    if results.areas is not None:
        _write_areas(results.areas, model, rows)
    return Summary(tuple(done), tuple(failed), tuple(predictions))


def _whole_only(
    results: Results,
    scales: Sequence[float],
    flip: bool,
    show: Callable[[Path, Segmentation], None] | None,
) -> str:
    """What is wanted that needs an image whole, in words; empty: nothing."""
    wanted = {
        "an overlay": results.overlay is not None,
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


def _predict(
    model: Model,
    sample: Sample | DataError,
    name: Path,
    results: Results,
    masks: Export,
    scales: Sequence[float],
    flip: bool,
) -> Segmentation:
    """Predict one image and write what is wanted of it; the mask last, when all else is there."""
    if isinstance(sample, DataError):
        raise sample
    where = [str(sample.pair.image)]
    views = model.views([sample.image], names=where, scales=scales, flip=flip)
    segmentation = model.segmentation(sample.image, views)
    if results.min_confidence > 0:
        segmentation = segmentation.below(results.min_confidence)
    _make_folder(name.parent)
    if results.probabilities:
        write_probabilities(_with(name, ".npy"), views)
    if results.overlay is not None:
        picture = _encoded(segmentation.overlay(), results.overlay)
        write_whole(_with(name, f"_overlay.{results.overlay}"), picture)
    masks.add(sample.pair.image, name, segmentation)
    return segmentation


def _spare_inputs(images: Sequence[Path], names: Sequence[Path], results: Results) -> None:
    sources = {image.resolve() for image in images}
    targets = [_with(name, suffix) for name in names for suffix in results.suffixes]
    for target in [*targets, *([results.areas] if results.areas else [])]:
        if target.resolve() in sources:
            raise OutputError(
                target,
                found="is one of the images, which the result would overwrite",
                mend="Give the results another place",
            )


def _with(name: Path, suffix: str) -> Path:
    # with_suffix would take the end of "street.2024" for a suffix.
    return name.with_name(name.name + suffix)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        found = f"cannot be made ({error.strerror})"
        raise OutputError(folder, found=found, mend="Give an --out that can be written") from None


def _encoded(picture: Image.Image, kind: Literal["png", "jpg"]) -> bytes:
    file = io.BytesIO()
    if kind == "jpg":
        # Without subsampling: thin borders and letters keep their colours.
        picture.save(file, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    else:
        picture.save(file, "PNG")
    return file.getvalue()


def _write_areas(path: Path, model: Model, rows: list[list[str]]) -> None:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["file", *model.labels.names])
    table.writerows(rows)
    _make_folder(path.parent)
    write_whole(path, text.getvalue().encode())
