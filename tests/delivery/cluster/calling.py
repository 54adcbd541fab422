"""A worker called as Ray would call it, without Ray."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from perpixel.delivery.cluster import packages
from perpixel.delivery.cluster.images import find_images, mask_names
from perpixel.delivery.cluster.job import Job
from perpixel.delivery.cluster.outstanding import Task
from perpixel.delivery.cluster.worker import Worker

JOB = Job(runtime="torch", precision="fp32")
Make = Callable[..., Worker]


def tasks_of(images: str, out: str) -> list[Task]:
    found = find_images([images], out)
    return [
        Task(one.address, one.entry.size, one.entry.version, mask)
        for one, mask in zip(found, mask_names(found), strict=True)
    ]


def called(worker: Worker, tasks: Sequence[Task]) -> list[dict[str, Any]]:
    """What the worker says of a group."""
    group = packages.pyarrow().Table.from_pylist([asdict(task) for task in tasks])
    return list(worker(group).to_pylist())


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".perpixel" not in path.parts
    }
