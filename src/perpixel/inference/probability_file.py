"""The probabilities of all classes on disk: a float16 `.npy` file, written as they are made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from perpixel.inference.test_time import averaged_probabilities
from perpixel.score_map import ScoreMap
from perpixel.whole_file import whole


def write_probabilities(path: Path, views: Sequence[ScoreMap]) -> None:
    """Write the probabilities of one image, averaged over its views: float16 (classes, H, W).

    They are streamed: never all in memory, however many classes and pixels. The file is written
    beside its place and renamed, so it is there whole or not at all.

    Args:
        path: of the `.npy` file; `numpy.load(path, mmap_mode="r")` reads parts of it.
        views: score maps of one image.

    Raises:
        OutputError: it cannot be written; nothing is left.
    """
    shape = (views[0].classes, *views[0].size)
    with whole(path) as beside, beside.open("wb") as file, torch.inference_mode():
        header = {"descr": "<f2", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        start, top = file.tell(), 0
        for rows in averaged_probabilities(views):
            values = rows[0].to(torch.float16).cpu().numpy().astype("<f2", copy=False)
            for index, part in enumerate(values):
                file.seek(start + 2 * shape[2] * (index * shape[1] + top))
                file.write(part.tobytes())
            top += values.shape[1]
