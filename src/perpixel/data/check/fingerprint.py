"""Fingerprints of pictures: equal for equal pixels, and alike for pictures that look alike.

The hash is the gradient hash "dHash" (N. Krawetz, "Kind of Like That", 2013): 64 bits, each
whether a cell of an 8×9 thumbnail is brighter than its left neighbour. Bits of flat parts are
noise, and skies lie above roads in every street, so a match of hashes only proposes a pair; it
counts as a copy where the two thumbnails of 16×16 also correlate.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float32, Shaped, UInt64

# Two pictures are near copies where at most so many of the 64 bits differ …
MOST_BITS = 8
# … and where the correlation of their thumbnails is at least this.
LEAST_CORRELATION = 0.99
# A picture whose thumbnail varies by less than this share of its range looks like every other.
LEAST_CONTRAST = 0.02
_SMALL = 16
# Rec. 601, as JPEG and every library has it.
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_CHUNK = 512
# So many of the pictures with the nearest hashes are compared with a picture.
_TRIED = 8


@dataclass(frozen=True)
class Fingerprint:
    """What a picture is known by.

    Args:
        digest: of the decoded pixels.
        bits: its gradient hash, 64 bits.
        thumbnail: 16×16 grey values in one row, of zero mean and unit length; None where the
            picture is too flat to be told from others.
        single_value: whether all pixels are equal.
    """

    digest: bytes
    bits: int
    thumbnail: Float32[np.ndarray, "256"] | None
    single_value: bool


def fingerprint(image: Shaped[np.ndarray, "bands H W"]) -> Fingerprint:
    """The fingerprint of a decoded image of any type and number of bands."""
    pixels = np.ascontiguousarray(image.transpose(1, 2, 0))
    facts = f"{pixels.shape} {pixels.dtype}".encode()
    digest = hashlib.blake2b(facts, digest_size=16)
    digest.update(pixels.data)
    # Hundreds of bands look as their first three do, and OpenCV resizes no more than four.
    shown = pixels[:, :, :3] if pixels.shape[2] > 3 else pixels
    if pixels.dtype == np.float32:
        # NaN says that nothing was measured.
        shown = np.nan_to_num(shown)
    small = cv2.resize(np.ascontiguousarray(shown), (72, 64), interpolation=cv2.INTER_AREA)
    small = small.reshape(64, 72, -1).astype(np.float32)
    # A grey copy of a photograph is its luma.
    grey = small @ _LUMA if pixels.shape[2] == 3 else small.mean(axis=2)
    cells = cv2.resize(grey, (9, 8), interpolation=cv2.INTER_AREA)
    bits = np.packbits(cells[:, 1:] > cells[:, :-1]).view(">u8")[0]
    thumbnail = cv2.resize(grey, (_SMALL, _SMALL), interpolation=cv2.INTER_AREA).reshape(-1)
    varied = thumbnail - thumbnail.mean()
    length = float(np.linalg.norm(varied))
    # Other types seldom use all of their range.
    span = 255.0 if pixels.dtype == np.uint8 else float(np.abs(grey).max())
    flat = length / _SMALL <= LEAST_CONTRAST * span
    return Fingerprint(
        digest=digest.digest(),
        bits=int(bits),
        thumbnail=None if flat else varied / np.float32(length),
        single_value=bool((pixels == pixels[0, 0]).all()),
    )


def near_copies(ours: list[Fingerprint], others: list[Fingerprint]) -> list[tuple[int, int]]:
    """For each of ours that looks like one of the others: (its index, that one's index).

    Of several others one is named, so that ten thousand frames of a still camera give a list, and
    not a hundred million pairs. Flat pictures are like none.
    """
    left = [at for at, one in enumerate(ours) if one.thumbnail is not None]
    right = [at for at, one in enumerate(others) if one.thumbnail is not None]
    if not right:
        return []
    found: list[tuple[int, int]] = []
    right_bits = _bits([others[at] for at in right])
    for start in range(0, len(left), _CHUNK):
        part = left[start : start + _CHUNK]
        apart = np.bitwise_count(_bits([ours[at] for at in part])[:, None] ^ right_bits)
        for row in np.flatnonzero((apart <= MOST_BITS).any(axis=1)):
            nearest = np.argsort(apart[row], kind="stable")[:_TRIED]
            for column in nearest[apart[row][nearest] <= MOST_BITS]:
                one, other = ours[part[row]].thumbnail, others[right[column]].thumbnail
                if one is not None and other is not None and one @ other >= LEAST_CORRELATION:
                    found.append((part[row], right[column]))
                    break
    return found


def _bits(prints: list[Fingerprint]) -> UInt64[np.ndarray, "prints"]:
    return np.asarray([one.bits for one in prints], np.uint64)
