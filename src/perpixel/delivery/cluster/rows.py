"""The manifest's rows, as a worker makes them."""

from __future__ import annotations

import hashlib
from typing import Any

from perpixel.delivery.cluster.outstanding import Task

Row = dict[str, Any]


def done_row(task: Task, mask: bytes, size: tuple[int, int], areas: dict[str, float]) -> Row:
    """Of an image whose mask is in the store.

    Args:
        task: the image.
        mask: the file's content.
        size: (H, W).
        areas: the share of each class, by name, among the labelled pixels: 0 … 1.
    """
    return {
        **_about(task),
        "mask": task.mask,
        "mask_size": len(mask),
        "sha256": hashlib.sha256(mask).hexdigest(),
        "height": size[0],
        "width": size[1],
        "areas": areas,
        "error": None,
        "try_again": False,
    }


def failed_row(task: Task, reason: str, *, try_again: bool) -> Row:
    """Of an image that has no mask.

    Args:
        task: the image.
        reason: in one line.
        try_again: whether it may go right another time, with the same image.
    """
    nothing = dict.fromkeys(("mask", "mask_size", "sha256", "height", "width", "areas"))
    return {**_about(task), **nothing, "error": reason, "try_again": try_again}


def _about(task: Task) -> Row:
    return {"image": task.image, "size": task.size, "version": task.version}
