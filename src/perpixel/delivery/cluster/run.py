"""A run over a collection: what is left goes to the workers, what they say to the manifest."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from perpixel.delivery.cluster import packages
from perpixel.delivery.cluster.attempts import Attempts
from perpixel.delivery.cluster.connection import connected
from perpixel.delivery.cluster.images import find_images, mask_names
from perpixel.delivery.cluster.job import Job, ModelFiles
from perpixel.delivery.cluster.manifest import MANIFEST, Manifest
from perpixel.delivery.cluster.outstanding import Task, outstanding
from perpixel.delivery.cluster.store import UNFINISHED, Entry, Store, is_address
from perpixel.distribution.model_file import model_file
from perpixel.errors import OutputError, PerpixelError

# A group of images is what is done again when a worker is lost, and what Ray keeps account of:
# some thousands of groups, of a few hundred images at most.
GROUPS, LEAST, MOST = 10_000, 8, 256


@dataclass(frozen=True)
class Workers:
    """How many workers, and what each has.

    Args:
        least, most: how many; between them Ray decides by the work that waits and by what the
            cluster has. None: no limit.
        cpus: threads that compute, of each.
        gpus: of each; a part, such as 0.25, puts several workers on one GPU. None: 1 where the
            cluster has GPUs.
        memory: what each may hold, such as "2G"; None: its share of what is free.
    """

    least: int = 1
    most: int | None = None
    cpus: int = 1
    gpus: float | None = None
    memory: str | None = None


@dataclass(frozen=True)
class ClusterSummary:
    """What became of the images.

    Args:
        images: how many there are.
        kept: how many of them an earlier run had done.
        rebuilt: of how many the mask was there, and only the row was made anew.
        failed: for each image without a mask, the reason.
        computed_by: runtime and precision.
    """

    images: int
    kept: int
    rebuilt: int
    failed: tuple[str, ...]
    computed_by: str


def predict_on_cluster(
    model: str | Path,
    inputs: Sequence[str],
    out: str,
    *,
    address: str | None = None,
    workers: Workers | None = None,
    job: Job | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ClusterSummary:
    """Predict images from folders and stores on a Ray cluster, into a folder or a store.

    The masks are those of `perpixel predict`, byte for byte, by the same names. Beside them is
    `manifest.parquet`, one row for each image: where it is, its size and version, its mask's name,
    size and SHA-256, the image's height and width, the share of each class, or the error. What is
    there already and whole is not done again. Whatever fails in between, the same call goes on.

    Args:
        model: a model file or an export on this machine, or what else `load` takes.
        inputs: as `find_images` has them.
        out: a folder or an address for the results.
        address: of the cluster, as `connected` has it.
        workers: how many, and what each has.
        job: what is computed; its model and inputs are those given here.
        progress: called with (images done, images in all).

    Raises:
        DataError: an input stands for no image, or cannot be listed.
        ModelError: the model cannot be read or used.
        OutputError: the results cannot be written, or the folder holds those of another run.
        ConfigError: a package or a cluster is missing.
    """
    workers = workers or Workers()
    files = ModelFiles.read(model_file(model))
    store = Store(out)
    images = find_images(inputs, out)
    masks = mask_names(images)
    # The same images, from whatever folder the command is given.
    places = tuple(sorted(one if is_address(one) else str(Path(one).absolute()) for one in inputs))
    wanted = replace(job or Job(), model=files.checksum, inputs=places)
    there = store.files()
    known_job = wanted.recorded(store)
    if known_job is None:
        _refuse_strangers(store, masks, there)
    addresses = [image.address for image in images]
    if known_job is not None:
        manifest = Manifest(store, known_job.classes, there)
        todo = outstanding(images, masks, manifest.known(), there)
        if not todo:
            table = manifest.finish(addresses)
            return _summary(table, known_job, ())
    with connected(address, (workers.most or workers.least) * workers.cpus) as ray:
        cluster = _Cluster(ray, workers, files, out)
        if known_job is None:
            known_job = cluster.settled(wanted)
            known_job.record(store)
            manifest = Manifest(store, known_job.classes, there)
            todo = outstanding(images, masks, {}, there)
        done = len(images) - len(todo)
        try:
            with _quiet_data(ray):
                for table in cluster.rows(known_job, todo):
                    manifest.add(table)
                    done += len(table)
                    if progress is not None:
                        progress(done, len(images))
        finally:
            manifest.keep()
    table = manifest.finish(addresses)
    store.remove([name for name in store.files() if name.startswith(f"{UNFINISHED}/")])
    return _summary(table, known_job, todo)


@dataclass(frozen=True)
class _Cluster:
    ray: Any
    workers: Workers
    files: ModelFiles
    out: str

    def settled(self, job: Job) -> Job:
        """The job with what one worker has found: the classes, and what computes fastest there."""
        from perpixel.delivery.cluster.place import settle
        from perpixel.inference.runtimes.selection import from_environment

        runtime, precision = from_environment(job.runtime, job.precision)
        job, place = replace(job, runtime=runtime, precision=precision), self._place()
        remote = self.ray.remote(num_cpus=place.cpus, num_gpus=place.gpus)(settle)
        with _causes():
            runtime, precision, classes = self.ray.get(remote.remote(job, place, self.files))
        return replace(job, runtime=runtime, precision=precision, classes=tuple(classes))

    def rows(self, job: Job, todo: Sequence[Task]) -> Iterator[Any]:
        """The manifest's rows of all tasks, as tables, in the order in which they are done."""
        from perpixel.delivery.cluster.worker import Worker

        data, place = self.ray.data, self._place()
        attempts = self.ray.remote(num_cpus=0, max_restarts=-1)(Attempts).remote()
        # Where there are few images, all workers have some.
        share = max(len(todo) // self.workers.least, 1)
        size = min(max(LEAST, -(-len(todo) // GROUPS)), MOST, share)
        least = min(self.workers.least, -(-len(todo) // size))
        pool = data.ActorPoolStrategy(min_size=least, max_size=self.workers.most)
        groups = data.from_blocks(
            [_table(todo[start : start + size]) for start in range(0, len(todo), size)]
        )
        rows = groups.map_batches(
            Worker,
            batch_size=size,
            batch_format="pyarrow",
            compute=pool,
            num_cpus=place.cpus,
            num_gpus=place.gpus or None,
            fn_constructor_args=(job, place, self.ray.put(self.files), self.out, attempts),
        )
        with _causes():
            yield from rows.iter_batches(batch_size=None, batch_format="pyarrow")

    def _place(self) -> Any:
        from perpixel.delivery.cluster.place import Place

        gpus = self.workers.gpus
        if gpus is None:
            gpus = 1.0 if self.ray.cluster_resources().get("GPU") else 0.0
        return Place(self.workers.cpus, gpus, self.workers.memory)


def _table(tasks: Sequence[Task]) -> Any:
    return packages.pyarrow().Table.from_pylist([asdict(task) for task in tasks])


def _refuse_strangers(store: Store, masks: Sequence[str], there: dict[str, Entry]) -> None:
    """Masks of which nothing tells by what model they were made are neither kept nor lost."""
    stranger = next((mask for mask in masks if mask in there), None)
    if stranger is None and MANIFEST in there:
        stranger = MANIFEST
    if stranger is not None:
        raise OutputError(
            f"{store.address}/{stranger}",
            found="is there already, and no record says which run wrote it",
            expected="a new folder, or that of an earlier run with --ray",
            mend="Give another --out, or empty this one",
        )


@contextmanager
def _quiet_data(ray: Any) -> Iterator[None]:
    """Ray Data without bars and words of its own."""
    context = ray.data.DataContext.get_current()
    before = context.enable_progress_bars, context.print_on_execution_start
    # It sets its own level when it is first used, so the logs' families are asked to be silent.
    logs = [logging.getLogger(f"ray.data{part}") for part in ("", ".dataset")]
    levels = [log.level for log in logs]
    context.enable_progress_bars = context.print_on_execution_start = False
    for log in logs:
        log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        context.enable_progress_bars, context.print_on_execution_start = before
        for log, level in zip(logs, levels, strict=True):
            log.setLevel(level)


@contextmanager
def _causes() -> Iterator[None]:
    """Raises what was wrong in a worker as if it had been wrong here."""
    try:
        yield
    except PerpixelError as error:
        raise _ours(error) or error from None
    except Exception as error:
        ours = _ours(error)
        if ours is None:
            raise
        raise ours from None


def _ours(error: BaseException | None) -> PerpixelError | None:
    """The error of ours that is behind one of Ray's."""
    seen = 0
    while error is not None and seen < 10:
        cause = getattr(error, "cause", None)
        if isinstance(error, PerpixelError) and not isinstance(cause, BaseException):
            return error
        error, seen = cause or error.__cause__, seen + 1
    return None


def _summary(table: Any, job: Job, todo: Sequence[Task]) -> ClusterSummary:
    return ClusterSummary(
        images=len(table),
        kept=len(table) - len(todo),
        rebuilt=sum(task.is_there for task in todo),
        failed=tuple(text for text in table.column("error").to_pylist() if text is not None),
        computed_by=f"{job.runtime} {job.precision}",
    )
