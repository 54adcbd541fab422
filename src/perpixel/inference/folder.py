"""Prediction of many images into a folder: masks, and on request overlays, probabilities, areas."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from PIL import Image

from perpixel.checkpoint import write_whole
from perpixel.data.dataset import Pair
from perpixel.data.sample import Sample, evaluation_samples
from perpixel.errors import ConfigError, DataError, ModelError, OutputError
from perpixel.inference.export import Export, Format, export
from perpixel.inference.inputs import expand, stems
from perpixel.inference.pipeline import finished_behind
from perpixel.inference.predictor import Model
from perpixel.inference.probability_file import write_probabilities
from perpixel.inference.segmentation import ClassMask
from perpixel.inference.test_time import check_scales
from perpixel.score_map import ScoreMap

JPEG_QUALITY = 90
# At most so many decoded images wait for the network, and so many masks to be written: with the
# one in the network, five images are in memory at a time.
READ_AHEAD = WRITE_BEHIND = 2


@dataclass(frozen=True)
class Summary:
    """What became of the images: those predicted, and those that were not with the reason."""

    done: tuple[Path, ...]
    failed: tuple[tuple[Path, str], ...]


@dataclass(frozen=True)
class Results:
    """Which results are written for each image.

    Args:
        format: of the masks: "png", or "coco" or "labelme" for labelling tools, as `export` has
            them.
        overlay: a picture of the mask over the image, as "png" or "jpg".
        probabilities: those of all classes, as a float16 NumPy file (classes, H, W).
        areas: a CSV file with the share of each class in each image, one image a row.
        min_confidence: less sure pixels get the ignore index in mask, overlay and areas (0 … 1).
    """

    format: Format = "png"
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
        mask = {"png": (".png",), "coco": (), "labelme": (".json",)}[self.format]
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
    progress: Callable[[int, int], None] | None = None,
    show: Callable[[Path, ClassMask], None] | None = None,
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
        progress: called with (images done, images in all) after each image.
        show: called with each image that could be used and what was predicted for it.

    Raises:
        DataError: an input stands for no image.
        OutputError: a result cannot be written, or would overwrite an input.
        ConfigError: a scale is not above 0.
    """
    results = results or Results()
    check_scales(scales)
    images = expand(inputs, out)
    names = [out / stem for stem in stems(images, results.suffixes or ("",))]
    _spare_inputs([image.path for image in images], names, results)
    done: list[Path] = []
    failed: list[tuple[Path, str]] = []
    rows: list[list[str]] = []
    masks = export(results.format, out, model.labels)
    pairs = [Pair(image.path) for image in images]
    work = _Work(model, results, masks, tuple(scales), flip)
    with (
        closing(evaluation_samples(pairs, model.labels, read_ahead=READ_AHEAD)) as samples,
        closing(finished_behind(work.of(pairs, names, samples), behind=WRITE_BEHIND)) as outcomes,
    ):
        for outcome in outcomes:
            if isinstance(outcome, _Failed):
                failed.append((outcome.image, outcome.reason))
            else:
                done.append(outcome.image)
                rows.append([str(outcome.image), *(f"{share:.6f}" for share in outcome.shares)])
                if show is not None:
                    show(outcome.image, outcome.segmentation)
            if progress is not None:
                progress(len(done) + len(failed), len(pairs))
            # Else one more image would stay in memory while the next is predicted.
            del outcome
    if done:
        masks.finish()
    if results.areas is not None:
        _write_areas(results.areas, model, rows)
    return Summary(tuple(done), tuple(failed))


@dataclass(frozen=True, eq=False)
class _Done:
    image: Path
    segmentation: ClassMask
    shares: tuple[float, ...]


@dataclass(frozen=True)
class _Failed:
    image: Path
    reason: str


@dataclass(frozen=True)
class _Work:
    """What is done for each image: the network now, and then, in a thread, the files."""

    model: Model
    results: Results
    masks: Export
    scales: tuple[float, ...]
    flip: bool

    def of(
        self, pairs: Sequence[Pair], names: Sequence[Path], samples: Iterator[Sample | DataError]
    ) -> Iterator[Callable[[], _Done | _Failed]]:
        """Predict one image after the other, each when the next work is asked for."""
        for place, (pair, name, sample) in enumerate(zip(pairs, names, samples, strict=True)):
            try:
                work = partial(self._write, place, pair.image, name, *self._predict(sample))
            except (DataError, ModelError) as error:
                yield partial(_Failed, pair.image, str(error))
            else:
                yield work

    def _predict(self, sample: Sample | DataError) -> tuple[ClassMask, list[ScoreMap]]:
        """The mask, and the scores where they are still needed."""
        if isinstance(sample, DataError):
            raise sample
        image, where = sample.image, [str(sample.pair.image)]
        views = self.model.views([image], names=where, scales=self.scales, flip=self.flip)
        kept = views if self.results.probabilities else []
        if self.results.min_confidence > 0:
            segmentation = self.model.segmentation(image, views)
            return segmentation.below(self.results.min_confidence), kept
        return self.model.class_mask(image, views), kept

    def _write(
        self,
        place: int,
        image: Path,
        name: Path,
        segmentation: ClassMask,
        views: Sequence[ScoreMap],
    ) -> _Done:
        """Write what is wanted of one image; the mask last, when all else is there."""
        _make_folder(name.parent)
        if self.results.probabilities:
            write_probabilities(_with(name, ".npy"), views)
        if self.results.overlay is not None:
            picture = _encoded(segmentation.overlay(), self.results.overlay)
            write_whole(_with(name, f"_overlay.{self.results.overlay}"), picture)
        self.masks.add(place, image, name, segmentation)
        wanted = self.results.areas is not None
        return _Done(image, segmentation, tuple(segmentation.areas().values()) if wanted else ())


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
