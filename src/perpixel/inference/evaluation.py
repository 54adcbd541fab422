"""Evaluation: a model's scores over labelled images, each at its own size."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Integer

from perpixel.data.dataset import Dataset, Pair, listed
from perpixel.data.sample import Sample, evaluation_samples, leave_unmeasured_out
from perpixel.errors import DataError
from perpixel.inference.counting import confusion_counts
from perpixel.inference.large.evaluation import divided, large_counts
from perpixel.inference.predictor import Model
from perpixel.inference.test_time import averaged_argmax, check_scales
from perpixel.inference.tiles.tile_size import Tiling
from perpixel.labels import LabelSpace
from perpixel.metrics import Confusion, Scores

Mask = Integer[np.ndarray, "*shape"]


def evaluate(
    model: Model,
    pairs: Sequence[Pair],
    *,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    batch_size: int = 1,
    tiling: Tiling | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Scores:
    """The model's scores over all labelled pixels of the pairs.

    Pixels are counted over all images and scores are derived from the sum. No image and no mask
    is resized: a prediction is compared at the image's own size. No sample is left out. Pixels that
    were not measured count as unlabelled.

    Args:
        model: loaded, or made of a network in training; its mode is left as it was.
        pairs: images with masks.
        scales, flip: test-time augmentation, as in `Model.predict`.
        batch_size: up to so many neighbouring images of one size go through the network together.
        tiling: how images are cut that do not fit into the memory whole; their masks are read by
            windows. None: no image is cut.
        progress: called with (images done, images in all) after each batch.

    Raises:
        DataError: a file cannot be read, a mask does not fit its image or classes, or an image has
            no mask; there are no pairs.
        ModelError: an image has other bands than the model takes.
        ConfigError: the memory is too small.
    """
    return count(
        model,
        pairs,
        scales=scales,
        flip=flip,
        batch_size=batch_size,
        tiling=tiling,
        progress=progress,
    ).scores()


def compare_classes(labels: LabelSpace, dataset: Dataset) -> str | None:
    """How the classes of a model and of the data that it is to be scored on differ, in words for
    the reader of the scores; None where they have the same names. Masks hold indices, and nothing
    in a score shows that they mean something else.

    Args:
        labels: the model's.
        dataset: what it is to be scored on.

    Raises:
        DataError: a name that both have stands at another index.
    """
    ours, theirs = labels.names, dataset.labels.names
    if ours == theirs:
        return None
    # Where classes are collected from a folder's files, those behind one that it lacks move up.
    there = {name: index for index, name in enumerate(theirs)}
    here = {name: index for index, name in enumerate(ours)}
    moved = [name for name in ours if there.get(name, here[name]) != here[name]]
    if moved:
        raise DataError(
            dataset.root,
            found="the model's classes in another order: "
            + listed([f"{name} {there[name]}" for name in moved]),
            expected=listed([f"{name} {here[name]}" for name in moved]),
            mend=f"List all of the model's classes in classes.yaml, in its order "
            f"({listed(list(ours))}), and the masks' values with them",
        )
    pairs = itertools.zip_longest(ours, theirs, fillvalue="nothing")
    differing = [f"{own} / {other}" for own, other in pairs if own != other]
    return f"classes have other names than the model's: {listed(differing)}"


def count(
    model: Model,
    pairs: Sequence[Pair],
    *,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    batch_size: int = 1,
    tiling: Tiling | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Confusion:
    """The counts that `evaluate` derives scores from: those of parts of a dataset add up."""
    check_scales(scales)
    confusion = Confusion(model.labels)
    done = 0
    ordinary, large = divided(model, pairs, tiling, scales, flip)
    for pair in large:
        confusion.add(large_counts(model, pair, tiling or Tiling()))
        done += 1
        if progress is not None:
            progress(done, len(pairs))
    if large and not ordinary:
        return confusion
    samples = (sample for sample, _ in labelled_samples(model, ordinary))
    for batch in _batches(samples, batch_size):
        views = model.views(
            [sample.image for sample in batch],
            names=[str(sample.pair.image) for sample in batch],
            scales=scales,
            flip=flip,
        )
        with torch.inference_mode():
            prediction = averaged_argmax(views)
            masks = np.stack([sample.mask for sample in batch if sample.mask is not None])
            confusion.add(confusion_counts(model.labels, prediction, masks))
        done += len(batch)
        if progress is not None:
            progress(done, len(pairs))
    return confusion


def labelled_samples(model: Model, pairs: Sequence[Pair]) -> Iterator[tuple[Sample, Mask]]:
    """The samples and their masks, in order; the first that cannot be used ends it. Where nothing
    was measured the network sees what lies beyond the image, and the mask has the ignore index, as
    in images that are read by windows.

    Raises:
        DataError: a file cannot be read, a mask does not fit its image or classes, or an image has
            no mask; there are no pairs.
        ModelError: an image has other bands than the model takes.
    """
    if not pairs:
        raise DataError("dataset", found="no images to evaluate on", mend="Name another split")
    for pair in pairs:
        if pair.mask is None:
            mend = "Give its mask, or leave the image out"
            raise DataError(pair.image, found="an image without a mask", mend=mend)
    for sample in evaluation_samples(pairs, model.labels):
        if isinstance(sample, DataError):
            raise sample
        sample = leave_unmeasured_out(sample, model.labels)
        if sample.measured is not None:
            name = str(sample.pair.image)
            seen = model.preprocessing.fit_bands(sample.image, name, sample.measured)
            sample = replace(sample, image=seen)
        assert sample.mask is not None
        yield sample, sample.mask


def _batches(samples: Iterator[Sample], batch_size: int) -> Iterator[list[Sample]]:
    """Neighbouring samples of one shape and type, up to `batch_size` of them together."""
    batch: list[Sample] = []
    for sample in samples:
        if batch and _kind(sample) != _kind(batch[0]):
            yield batch
            batch = []
        batch.append(sample)
        if len(batch) >= batch_size:
            yield batch
            batch = []
    if batch:
        yield batch


def _kind(sample: Sample) -> tuple[object, ...]:
    return sample.image.shape, sample.image.dtype
