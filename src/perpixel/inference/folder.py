"""Prediction of many images into a folder: masks, and on request overlays, probabilities, areas."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from perpixel.data.dataset import Pair
from perpixel.data.sample import Sample, evaluation_samples
from perpixel.errors import ConfigError, DataError, ModelError
from perpixel.inference.export import COCO_FILE, Export, export
from perpixel.inference.inputs import expand, stems
from perpixel.inference.large.large_images import LargeImages
from perpixel.inference.large.prediction import LargePrediction, Progress
from perpixel.inference.masked import masked
from perpixel.inference.pipeline import finished_behind
from perpixel.inference.predictor import Model
from perpixel.inference.probability_file import write_probabilities
from perpixel.inference.results import (
    Results,
    Summary,
    encoded,
    make_folder,
    named,
    spare_inputs,
    whole_only,
    write_areas,
)
from perpixel.inference.segmentation import ClassMask
from perpixel.inference.test_time import check_scales
from perpixel.inference.tiles.tile_size import Tiling
from perpixel.score_map import ScoreMap
from perpixel.whole_file import write_whole

# At most so many decoded images wait for the network, and so many masks to be written: with the
# one in the network, five images are in memory at a time.
READ_AHEAD = WRITE_BEHIND = 2


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
    spare_inputs([image.path for image in images], names, results)
    done: list[Path] = []
    failed: list[tuple[Path, str]] = []
    rows: list[list[str]] = []
    large = LargeImages(
        model,
        tiling or Tiling(),
        whole_only(results, scales, flip, show),
        results.format,
        scales=scales,
    )
    masks = export("png" if results.format == "geotiff" else results.format, out, model.labels)
    masks.spare(names)
    # What is written after the last image is known now to have a folder, not after hours.
    if results.format == "coco":
        make_folder((out / COCO_FILE).parent)
    if results.areas is not None:
        make_folder(results.areas.parent)
    pairs = [Pair(image.path) for image in images]
    parts = [large.takes(pair.image) for pair in pairs]
    work = _Work(model, results, masks, tuple(scales), flip)
    ordinary = [number for number, is_large in enumerate(parts) if not is_large]
    chosen, places = [pairs[number] for number in ordinary], [names[number] for number in ordinary]
    with (
        closing(evaluation_samples(chosen, model.labels, read_ahead=READ_AHEAD)) as samples,
        closing(finished_behind(work.of(chosen, places, samples), behind=WRITE_BEHIND)) as outcomes,
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
    predictions: list[LargePrediction] = []
    for pair, name, is_large in zip(pairs, names, parts, strict=True):
        if not is_large:
            continue
        try:
            make_folder(name.parent)
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
                    write_whole(named(name, "_areas.csv"), prediction.areas.as_csv().encode())
        if progress is not None:
            progress(len(done) + len(failed), len(pairs))
    if results.areas is not None:
        write_areas(results.areas, model, rows)
    return Summary(tuple(done), tuple(failed), tuple(predictions))


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
        name = str(sample.pair.image)
        segmentation, views = masked(
            self.model, sample.image, name, self.scales, self.flip, self.results.min_confidence
        )
        return segmentation, views if self.results.probabilities else []

    def _write(
        self,
        place: int,
        image: Path,
        name: Path,
        segmentation: ClassMask,
        views: Sequence[ScoreMap],
    ) -> _Done:
        """Write what is wanted of one image; the mask last, when all else is there."""
        make_folder(name.parent)
        if self.results.probabilities:
            write_probabilities(named(name, ".npy"), views)
        if self.results.overlay is not None:
            picture = encoded(segmentation.overlay(), self.results.overlay)
            write_whole(named(name, f"_overlay.{self.results.overlay}"), picture)
        self.masks.add(place, image, name, segmentation)
        wanted = self.results.areas is not None
        return _Done(image, segmentation, tuple(segmentation.areas().values()) if wanted else ())
