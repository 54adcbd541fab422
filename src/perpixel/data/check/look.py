"""Look: what reading one pair of image and mask tells, before anything is concluded from it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int64

from perpixel.data.check.blending import Blending, near_edges, seams
from perpixel.data.check.fingerprint import Fingerprint, fingerprint
from perpixel.data.check.palette import palette_colours
from perpixel.data.dataset import Pair
from perpixel.data.decode import read_image
from perpixel.data.header import Header, parse_header, read_file, read_header
from perpixel.data.mask_encoding import encode
from perpixel.data.masks import read_stored
from perpixel.data.measured import measured_in, says_what_is_missing
from perpixel.errors import DataError
from perpixel.labels import Colour, LabelSpace

Progress = Callable[[int, int], None]
# Of a mask with more values that are no class, those with most pixels are kept.
STRANGERS_KEPT = 300


@dataclass(frozen=True)
class MaskLook:
    """A mask that could be read.

    Args:
        size: (height, width).
        pixels: of each class, where the image says that something was measured.
        ignored: how many pixels have no label.
        strangers: stored values that are no class, each with its pixels; most pixels first.
        stranger_pixels: of all such values together.
        known: the stored values that are a class, or ignored, where masks have no encoding.
        edge_strangers: how many stranger pixels lie at a border between two labels; None where
            there are too many strangers to be borders.
        seams: how borders between labels run; None where it was not looked at.
        turned: the EXIF orientation of the mask's own file.
        palette: the colour that the file's palette gives each value, where it has one.
        digest: of the class indices; empty where it was not looked at.
    """

    size: tuple[int, int]
    pixels: Int64[np.ndarray, "classes"]
    ignored: int
    strangers: tuple[tuple[int, int], ...]
    stranger_pixels: int
    known: tuple[int, ...]
    edge_strangers: int | None = None
    seams: Blending | None = None
    turned: int = 1
    palette: tuple[tuple[int, Colour], ...] = ()
    digest: bytes = b""


@dataclass(frozen=True)
class Look:
    """What one pair is.

    Args:
        pair: its files.
        header: of the image; None where it cannot be read.
        mask: None where there is none or it cannot be read.
        image_fault: why the image cannot be read.
        mask_fault: why the mask cannot be read.
        digest: of the image file's bytes.
        fingerprint: of the image's pixels; None where they were not decoded.
    """

    pair: Pair
    header: Header | None
    mask: MaskLook | None
    image_fault: DataError | None = None
    mask_fault: DataError | None = None
    digest: bytes = b""
    fingerprint: Fingerprint | None = None

    def described(self, value: int) -> str | int:
        """A value stored in the mask: the number, or the colour as (r, g, b)."""
        return value if self.pair.encoding is None else self.pair.encoding.describe(value)


def look_at(
    pairs: Sequence[Pair],
    labels: LabelSpace,
    progress: Progress | None = None,
    *,
    decode: bool = False,
) -> tuple[Look, ...]:
    """Read pairs, in as many threads as there are processors.

    Args:
        pairs: which.
        labels: what the masks' values mean.
        progress: told (done, total) after each pair.
        decode: whether images are decoded too, and masks looked at for what is suspicious; else
            of an image only its header is read, and whether the file reaches its own end.
    """
    looks: list[Look] = []
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        try:
            for look in pool.map(lambda pair: _look(pair, labels, decode), pairs):
                looks.append(look)
                if progress is not None:
                    progress(len(looks), len(pairs))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return tuple(looks)


def look_at_splits(
    splits: Mapping[str, Sequence[Pair]],
    labels: LabelSpace,
    progress: Progress | None = None,
    *,
    decode: bool = False,
) -> dict[str, tuple[Look, ...]]:
    """`look_at` for the pairs of several splits, with one count of progress."""
    looks = iter(look_at([*chain(*splits.values())], labels, progress, decode=decode))
    return {name: tuple(islice(looks, len(pairs))) for name, pairs in splits.items()}


def _look(pair: Pair, labels: LabelSpace, decode: bool) -> Look:
    header, image_fault, digest, seen, measured = None, None, b"", None, None
    try:
        data = read_file(pair.image)
        digest = _digest(data)
        header = parse_header(data, pair.image)
        # Floats may be no numbers at all, which only their pixels tell, and others left out.
        if decode or header.dtype == np.float32 or says_what_is_missing(pair.image):
            image = read_image(pair.image)
            seen = fingerprint(image) if decode else None
            measured = measured_in(pair.image, image)
    except DataError as error:
        image_fault = error
    mask, mask_fault = None, None
    if pair.mask is not None:
        try:
            mask = _look_at_mask(pair, labels, measured, decode)
        except DataError as error:
            mask_fault = error
    return Look(pair, header, mask, image_fault, mask_fault, digest, seen)


def _look_at_mask(
    pair: Pair, labels: LabelSpace, measured: Bool[np.ndarray, "H W"] | None, decode: bool
) -> MaskLook:
    stored = read_stored(pair)
    mask, strangers = encode(stored, pair.encoding, labels)
    strange, counted, at_edges = 0, [], None
    if strangers:
        odd = np.isin(stored, np.asarray(strangers, stored.dtype))
        values, counts = np.unique(stored[odd], return_counts=True)
        order = np.argsort(-counts, kind="stable")[:STRANGERS_KEPT]
        counted = [(int(values[at]), int(counts[at])) for at in order]
        strange = int(counts.sum())
        at_edges = near_edges(mask, odd)
        mask = np.where(odd, labels.ignore_index, mask).astype(labels.mask_dtype, copy=False)
    counts = np.bincount(mask.reshape(-1), minlength=labels.ignore_index + 1)
    pixels = counts[: labels.classes].astype(np.int64)
    known: tuple[int, ...] = ()
    ignored = int(counts[labels.ignore_index]) - strange
    if pair.encoding is None:
        known = tuple(int(value) for value in np.flatnonzero(pixels))
        known += (labels.ignore_index,) if ignored else ()
    file = pair.mask if isinstance(pair.mask, Path) else None
    learned = pixels
    if measured is not None and measured.shape == mask.shape:
        learned = labels.pixels_by_class(mask[measured])
    return MaskLook(
        size=(mask.shape[0], mask.shape[1]),
        pixels=learned,
        ignored=ignored,
        strangers=tuple(counted),
        stranger_pixels=strange,
        known=known,
        edge_strangers=at_edges,
        seams=seams(mask, labels.ignore_index) if decode and not strangers else None,
        turned=read_header(file).orientation if decode and file is not None else 1,
        palette=_palette(file, pair, pixels) if decode else (),
        digest=_digest(np.ascontiguousarray(mask).data) if decode else b"",
    )


def _palette(
    file: Path | None, pair: Pair, pixels: Int64[np.ndarray, "classes"]
) -> tuple[tuple[int, Colour], ...]:
    """The palette's colours of the classes that occur, where the values are the classes."""
    if file is None or pair.encoding is not None:
        return ()
    colours = palette_colours(read_file(file))
    return tuple(
        (int(value), colours[value]) for value in np.flatnonzero(pixels) if value < len(colours)
    )


def _digest(content: bytes | memoryview) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()
