"""The CPU kernels' work in pieces for several threads: score maps cut up, masks as they read them.

Sums and products of whole arrays are left to NumPy: torch's run on OpenMP, which may hang in a
forked child.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Integer

from perpixel.errors import DataError
from perpixel.kernels.cpu_labels import Labels
from perpixel.kernels.cpu_layout import Columns, Rows, columns, rows
from perpixel.score_map import ScoreMap

# A piece of work takes about this many classes times pixels, some 0.1 ms to 1 ms. Pieces do not
# depend on the number of threads, so neither do the bits of a sum over them.
_PIECE = 1 << 20
_MOST_PIECES = 64


class Pieces(NamedTuple):
    """A score map cut up for several threads: whole strips of one image each."""

    scores: np.ndarray
    shape: tuple[int, int, int]
    rows: Rows
    columns: Columns
    images: int
    cuts: list[int]

    def __len__(self) -> int:
        return self.images * (len(self.cuts) - 1)

    def place(self, piece: int) -> tuple[int, int, int]:
        """The image, and the strips' first and end."""
        image, cut = divmod(piece, len(self.cuts) - 1)
        return image, self.cuts[cut], self.cuts[cut + 1]


def cut(score_map: ScoreMap) -> Pieces:
    """The pieces of a score map."""
    scores = score_map.scores.detach().to(torch.float32).contiguous()
    images, classes, height, width = scores.shape
    by_row = rows(score_map.size[0], height, score_map.stride[0], score_map.offset[0])
    by_column = columns(score_map.size[1], width, score_map.stride[1], score_map.offset[1])
    work = images * classes * math.prod(score_map.size)
    wanted = min(_MOST_PIECES, -(-work // _PIECE))
    strips = len(by_row.first)
    cuts = min(strips, -(-wanted // max(images, 1)))
    return Pieces(
        scores.view(-1).numpy(),
        (classes, height, width),
        by_row,
        by_column,
        images,
        [strips * i // cuts for i in range(cuts + 1)],
    )


def join(gradient: np.ndarray, edges: np.ndarray, pieces: Pieces) -> None:
    """Add what two pieces share: the score row where one ends and the next begins."""
    strips = len(pieces.rows.first)
    for piece in range(len(pieces)):
        image, low, high = pieces.place(piece)
        if low > 0:
            gradient[image, :, pieces.rows.first[low]] += edges[piece, 0]
        if high < strips:
            gradient[image, :, pieces.rows.second[high - 1]] += edges[piece, 1]


def read_labels(mask: Integer[torch.Tensor, "batch H W"], ignore_index: int) -> Labels:
    """A mask of uint8, uint16 or int64, as the kernels read it."""
    images, height, width = mask.shape
    return Labels(
        mask.contiguous().view(torch.uint8).reshape(-1).numpy(),
        mask.itemsize,
        height,
        width,
        ignore_index,
        np.full(images, ignore_index, dtype=np.int64),
    )


def check(labels: Labels, classes: int) -> None:
    """See that a kernel found no strange label.

    Raises:
        DataError: it found one that is neither a class nor the ignore index.
    """
    for label in labels.wrong[labels.wrong != labels.ignore_index]:
        raise DataError(
            "mask",
            found=f"label {label}",
            expected=f"0 to {classes - 1}, or {labels.ignore_index} where there is no label",
            mend="Check the dataset's masks and its list of classes",
        )
