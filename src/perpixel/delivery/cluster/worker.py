"""The actor that holds the model: it reads images, predicts them and writes their masks."""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from perpixel.data.decode import read_image, read_mask
from perpixel.delivery.cluster import packages
from perpixel.delivery.cluster.attempts import IMAGE
from perpixel.delivery.cluster.job import Job, ModelFiles
from perpixel.delivery.cluster.manifest import schema
from perpixel.delivery.cluster.outstanding import Task
from perpixel.delivery.cluster.place import Place
from perpixel.delivery.cluster.rows import Row, done_row, failed_row
from perpixel.delivery.cluster.store import Store, is_address, opened
from perpixel.errors import DataError, ModelError, OutputError, PerpixelError
from perpixel.inference.large.large_images import LargeImages
from perpixel.inference.masked import masked
from perpixel.inference.pipeline import finished_behind
from perpixel.inference.segmentation import ClassMask

# With the one in the network, five images are in a worker's memory at a time.
READ_AHEAD = WRITE_BEHIND = 2
# A store that does not answer is asked again after so many seconds. A disk is not.
PAUSES = (1.0, 4.0, 16.0, 60.0)
Areas = dict[str, float]


class Worker:
    """Predicts groups of images; Ray Data makes it, calls it, and replaces it when it is lost.

    Args:
        job: what is computed, with the runtime and the precision that all workers take.
        place: what this worker has to itself.
        files: Ray's reference to the model's files.
        out: the address of the results.
        attempts: the handle of an `Attempts` actor.
    """

    def __init__(self, job: Job, place: Place, files: Any, out: str, attempts: Any) -> None:
        self.job, self.place = job, place
        self.store = Store(out)
        self.attempts = attempts
        content: ModelFiles = packages.ray().get(files)
        self.model = place.loaded(content, job.runtime, job.precision)
        whole_only = "other scales" if job.scales != (1.0,) else "its mirror image" * job.flip
        self.large = LargeImages(self.model, place.tiling(job), whole_only, scales=job.scales)
        self.schema = schema(self.model.labels.names)

    def __call__(self, group: Any) -> Any:
        """Predict a group of images.

        Args:
            group: a table of `Task`s.

        Returns:
            a table of the manifest's rows, in the same order.

        Raises:
            OutputError: a mask cannot be written, which ends the run: the others could not be.
        """
        tasks = [Task(**row) for row in group.to_pylist()]
        begun = packages.ray().get(self.attempts.begin.remote(tasks[0].image))
        rows = self._one_by_one(tasks, begun) if begun > IMAGE else self._streamed(tasks, begun)
        return packages.pyarrow().Table.from_pylist(rows, schema=self.schema)

    def _streamed(self, tasks: Sequence[Task], begun: int) -> list[Row]:
        """Read ahead, predict and write behind, at the same time."""
        with tempfile.TemporaryDirectory(prefix="perpixel-") as scratch:
            reading = partial(self._read, Path(scratch), again=begun > 1)
            with ThreadPoolExecutor(self.place.cpus, "perpixel-read") as pool:
                read = _ahead(pool, reading, tasks)
                works = (self._predicted(task, one) for task, one in zip(tasks, read, strict=True))
                return list(finished_behind(works, behind=WRITE_BEHIND))

    def _one_by_one(self, tasks: Sequence[Task], begun: int) -> list[Row]:
        """As `_streamed`, without an image that has ended every worker that began it."""
        ray, rows = packages.ray(), []
        for task in tasks:
            if ray.get(self.attempts.may_begin.remote(task.image)):
                rows += self._streamed([task], begun)
                ray.get(self.attempts.survived.remote(task.image))
            else:
                reason = f"{task.image}: {IMAGE} workers ended while they predicted it"
                rows.append(failed_row(task, reason, try_again=True))
        return rows

    def _read(self, scratch: Path, task: Task, *, again: bool) -> _Read:
        """What a thread makes ready: the mask that is there, or the image."""
        try:
            # An earlier attempt at this group may have written some of its masks.
            is_there = again and not task.is_stale and self.store.exists(task.mask)
            if task.is_there or is_there:
                content = self.store.read(task.mask)
                areas = self._areas(content, scratch)
                if areas is not None:
                    return _Read(row=done_row(task, content, *areas))
            path = self._fetched(task, scratch)
            if self.large.takes(path):
                return _Read(path=path)
            image = _named(task, path, partial(read_image, path))
            if path.is_relative_to(scratch):
                path.unlink()
            return _Read(image=image)
        except Exception as error:
            return _Read(error=error)

    def _fetched(self, task: Task, scratch: Path) -> Path:
        """The image as a file on this machine."""
        if not is_address(task.image):
            # What may not be read today may be tomorrow: that is no fault of the image's.
            with Path(task.image).open("rb"):
                return Path(task.image)
        filesystem, source = opened(task.image)
        path = scratch / hashlib.sha256(task.image.encode()).hexdigest() / Path(source).name
        path.parent.mkdir(exist_ok=True)
        _insisted(partial(filesystem.get_file, source, str(path)), PAUSES[:-1])
        return path

    def _areas(self, mask: bytes, scratch: Path) -> tuple[tuple[int, int], Areas] | None:
        """The size and the areas of a whole mask; None where it is damaged."""
        with tempfile.NamedTemporaryFile(dir=scratch, suffix=".png") as file:
            file.write(mask)
            file.flush()
            try:
                values = read_mask(Path(file.name))
            except DataError:
                return None
        labels = self.model.labels
        found = ClassMask(values, labels, np.zeros((0, *values.shape), np.uint8))
        return (values.shape[0], values.shape[1]), found.areas()

    def _predicted(self, task: Task, read: _Read) -> Callable[[], Row]:
        """The network now; what is left, in a thread, is the mask's file."""
        if read.row is not None:
            return partial(_same, read.row)
        try:
            if read.error is not None:
                raise read.error
            if read.path is not None:
                return self._by_tiles(task, read.path)
            assert read.image is not None
            job = self.job
            segmentation, _ = masked(
                self.model, read.image, task.image, job.scales, job.flip, job.min_confidence
            )
        except PerpixelError as error:
            # The image stays as it is, and so does the model; a disk has room again, and the next
            # run may have more memory.
            passes = not isinstance(error, DataError | ModelError)
            return partial(failed_row, task, str(error), try_again=passes)
        except Exception as error:
            # Of many millions of images one meets what nobody thought of; the others go on.
            told = " ".join(str(error).split())
            reason = f"{task.image}: {type(error).__name__}: {told}"
            return partial(failed_row, task, reason, try_again=True)
        height, width = segmentation.mask.shape
        areas = segmentation.areas()
        return partial(self._written, task, segmentation.png, (height, width), areas)

    def _by_tiles(self, task: Task, path: Path) -> Callable[[], Row]:
        try:
            with tempfile.TemporaryDirectory(prefix="perpixel-") as folder:
                predict = partial(
                    self.large.predict, path, Path(folder) / "mask", self.job.min_confidence
                )
                made = _named(task, path, predict)
                content = made.path.read_bytes()
        finally:
            if is_address(task.image):
                # A fetched one: scenes of a whole group could fill the disk.
                path.unlink(missing_ok=True)
        return partial(self._written, task, lambda: content, made.size, made.areas.shares())

    def _written(
        self, task: Task, png: Callable[[], bytes], size: tuple[int, int], areas: Areas
    ) -> Row:
        content = png()
        pauses = () if self.store.is_local else PAUSES
        _insisted(partial(self.store.write, task.mask, content), pauses)
        return done_row(task, content, size, areas)


@dataclass(frozen=True)
class _Read:
    """One of: a row, for the mask is there; a file to be predicted in tiles; an image; an error."""

    row: Row | None = None
    path: Path | None = None
    image: Shaped[np.ndarray, "bands H W"] | None = None
    error: Exception | None = None


def _ahead(
    pool: ThreadPoolExecutor, read: Callable[[Task], _Read], tasks: Sequence[Task]
) -> Iterator[_Read]:
    """What is read, in order, while at most `READ_AHEAD` wait for the network."""
    todo = iter(tasks)
    waiting: deque[Future[_Read]] = deque(
        pool.submit(read, task) for task in islice(todo, READ_AHEAD)
    )
    while waiting:
        one = waiting.popleft().result()
        waiting.extend(pool.submit(read, task) for task in islice(todo, 1))
        yield one


def _insisted(work: Callable[[], Any], pauses: Sequence[float]) -> None:
    """Do what a store may refuse now and not a moment later."""
    for pause in pauses:
        try:
            work()
            return
        except FileNotFoundError:
            raise
        except (OSError, OutputError):
            time.sleep(pause)
    work()


def _named(task: Task, path: Path, work: Callable[[], Any]) -> Any:
    """Work on a fetched file, whose errors call it by its address."""
    try:
        return work()
    except PerpixelError as error:
        where = error.where.replace(str(path), task.image)
        parts = {"found": error.found, "expected": error.expected, "mend": error.mend}
        raise type(error)(where, **parts) from None


def _same(row: Row) -> Row:
    return row
