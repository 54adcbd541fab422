"""The probabilities of all classes on disk: a float16 `.npy` file, written as they are made."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from perpixel.errors import OutputError
from perpixel.inference.test_time import averaged_probabilities
from perpixel.score_map import ScoreMap


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
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        try:
            with beside.open("wb") as file, torch.inference_mode():
                header = {"descr": "<f2", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(file, header)
                start, top = file.tell(), 0
                for rows in averaged_probabilities(views):
                    values = rows[0].to(torch.float16).cpu().numpy().astype("<f2", copy=False)
                    for index, part in enumerate(values):
                        file.seek(start + 2 * shape[2] * (index * shape[1] + top))
                        file.write(part.tobytes())
                    top += values.shape[1]
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(
            path,
            found=f"cannot be written ({error.strerror or error})",
            mend="Give a place in a folder that exists, may be written to and has room",
        ) from None
