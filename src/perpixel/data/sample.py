"""Sample: an image and its mask, decoded and checked against each other."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
from jaxtyping import Bool, Shaped

from perpixel.data.dataset import Pair
from perpixel.data.decode import read_image
from perpixel.data.masks import other_size, read_classes, unknown_values
from perpixel.data.measured import measured_in
from perpixel.errors import DataError
from perpixel.labels import LabelSpace

_THREADS = 2


@dataclass(frozen=True)
class Sample:
    """A decoded pair: the image (bands, H, W) uint8, uint16 or float32; the mask (H, W) uint8 or
    uint16, class index or ignore index, in the label space's own type; None if unlabelled; where
    any band was measured; None: everywhere, or nobody has asked."""

    image: Shaped[np.ndarray, "bands H W"]
    mask: Shaped[np.ndarray, "H W"] | None
    pair: Pair
    measured: Bool[np.ndarray, "H W"] | None = None


def read_sample(pair: Pair, labels: LabelSpace) -> Sample:
    """Decode a pair.

    Raises:
        DataError: a file cannot be decoded, the mask has another size than the image, or it
            holds a value that is neither a class index nor the ignore index.
    """
    image = read_image(pair.image)
    if pair.mask is None:
        return Sample(image, None, pair)
    mask, strangers = read_classes(pair, labels)
    if mask.shape != image.shape[1:]:
        raise other_size(pair.mask_path or pair.image, mask.shape, image.shape[1:])
    if strangers:
        raise unknown_values({pair: strangers}, labels)
    return Sample(image, mask, pair)


def leave_unmeasured_out(sample: Sample, labels: LabelSpace) -> Sample:
    """The sample, unlabelled where its image says that nothing was measured. Neither training nor
    scores count those pixels, as windows of large images do not.

    Raises:
        DataError: the file cannot be read.
    """
    measured = measured_in(sample.pair.image, sample.image)
    if measured is None or sample.mask is None:
        return replace(sample, measured=measured)
    ignored = sample.mask.dtype.type(labels.ignore_index)
    return replace(sample, mask=np.where(measured, sample.mask, ignored), measured=measured)


def evaluation_samples(
    pairs: Sequence[Pair], labels: LabelSpace, *, read_ahead: int = 4
) -> Generator[Sample | DataError, None, None]:
    """Decode pairs in their order, a few ahead of the caller, in two threads.

    A pair that cannot be read yields its error in its place, so that the others still follow.

    Args:
        pairs: what to decode.
        labels: what the masks' values mean.
        read_ahead: how many samples at most wait to be taken.
    """

    def attempt(pair: Pair) -> Sample | DataError:
        try:
            return read_sample(pair, labels)
        except DataError as error:
            return error

    pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="perpixel-decode")
    try:
        todo = iter(pairs)
        waiting: deque[Future[Sample | DataError]] = deque(
            pool.submit(attempt, pair) for pair in islice(todo, max(read_ahead, 1))
        )
        while waiting:
            sample = waiting.popleft().result()
            waiting.extend(pool.submit(attempt, pair) for pair in islice(todo, 1))
            yield sample
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
