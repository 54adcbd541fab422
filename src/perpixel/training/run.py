"""From a configuration to a trained model: `train` starts a run, or goes on with one."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from perpixel.checkpoint import Checkpoint, read_checkpoint
from perpixel.data.dataset import Dataset
from perpixel.data.loader import Batch
from perpixel.data.scan import Scan, scan_splits
from perpixel.distribution.model_file import model_file
from perpixel.errors import ConfigError
from perpixel.metrics import Scores
from perpixel.networks import Network, NetworkConfig, build
from perpixel.networks.transfer import initialise_from
from perpixel.networks.weights import load_pretrained
from perpixel.preprocessing import Preprocessing
from perpixel.training import files
from perpixel.training.assembly import Parts, put_together
from perpixel.training.choices import Choice, as_the_model, decide, facts_of
from perpixel.training.config import FREE, TrainConfig
from perpixel.training.footprint import refuse_what_does_not_fit
from perpixel.training.lone_values import refuse_lone_values
from perpixel.training.loop import Run
from perpixel.training.memory import keep_freed_memory
from perpixel.training.precision import Precision, measure
from perpixel.training.preparation import bands_taken, preparation
from perpixel.training.processes import Processes
from perpixel.training.report import Listener, Silence
from perpixel.training.resumption import check_agreement, found_run, restored
from perpixel.training.state_file import has_state
from perpixel.training.step import is_out_of_memory, split
from perpixel.whole_file import write_whole


@dataclass(frozen=True)
class TrainResult:
    """What a run left: its folder, the best model in it, and that model's validation scores."""

    folder: Path
    model: Path
    scores: Scores


def train(
    config: TrainConfig, listener: Listener | None = None, *, auto_resume: bool = False
) -> TrainResult:
    """Train a network as configured and leave a run folder.

    Under torchrun, every process calls this with the same configuration; the first one speaks and
    writes.

    Args:
        config: the settings.
        listener: hears what happens; None: nobody does.
        auto_resume: where the folder holds this run already, go on with it.

    Raises:
        PerpixelError: the data, the weights or a setting cannot be used, or the folder not
            written; nothing is left behind where that is known before the first step.
        Stopped: a KeyboardInterrupt: Ctrl-C or SIGTERM came, and the state is saved.
    """
    begun = time.perf_counter()
    processes, listener = _started(listener)
    exists = processes.from_main(lambda: auto_resume and (config.out / files.CONFIG).is_file())
    if exists:
        processes.from_main(lambda: check_agreement(config, config.out))
        return _go_on(config.out, processes, listener, begun, _free(config))
    return _begin(config, processes, listener, begun, new=True)


def resume(
    folder: Path,
    listener: Listener | None = None,
    *,
    workers: int | None = None,
    save_minutes: float | None = None,
) -> TrainResult:
    """Go on with the run in `folder` from its last state; from its start, where it has none yet.

    Args:
        folder: the run folder.
        listener: hears what happens; None: nobody does.
        workers, save_minutes: in place of the run's own settings; no result depends on them.

    Raises:
        ConfigError: there is no run in the folder, no state of it is whole, or its settings or data
            are no longer those that it was begun with.
        Stopped: a KeyboardInterrupt: Ctrl-C or SIGTERM came, and the state is saved.
    """
    begun = time.perf_counter()
    processes, listener = _started(listener)
    given: dict[str, object] = {"workers": workers, "save_minutes": save_minutes}
    free = {name: value for name, value in given.items() if value is not None}
    return _go_on(folder, processes, listener, begun, free)


def _started(listener: Listener | None) -> tuple[Processes, Listener]:
    processes = Processes.start()
    return processes, listener if processes.main and listener is not None else Silence()


def _free(config: TrainConfig) -> dict[str, object]:
    given = config.model_fields_set & (set(FREE) - {"out"})
    return {name: getattr(config, name) for name in given}


def _begin(
    config: TrainConfig, processes: Processes, listener: Listener, begun: float, *, new: bool
) -> TrainResult:
    """A run from its first step on. Its folder is made once nothing before that step has failed."""
    if new:
        processes.from_main(lambda: files.refuse_to_overwrite(config.out))
    dataset, seen = _data(config, listener)
    source = None if config.init_from is None else read_checkpoint(model_file(config.init_from))
    given = config
    config = processes.from_main(lambda: _decided(given, dataset, seen, source, listener))
    torch.manual_seed(config.seed)
    network, network_config, preprocessing = _network(config, dataset, seen, source, listener)
    refuse_what_does_not_fit(config, network_config, seen, processes)
    images = len(dataset.split("train"))
    refuse_lone_values(config, network_config, seen.sizes, images, processes)
    parts = Parts(config, dataset, seen, network, network_config, preprocessing)
    run = put_together(parts, processes, listener, begun)
    # Before the folder is made, too: an image that cannot be read is mostly one of the first.
    batch = next(iter(run.loader.epoch(0)))
    run.stepper.use(config.precision if config.precision != "auto" else _measured(run, batch))
    if new:
        processes.from_main(lambda: files.new_run_folder(config.out))
    processes.from_main(lambda: write_whole(config.out / files.CONFIG, config.as_yaml().encode()))
    return _finish(run)


def _go_on(
    folder: Path,
    processes: Processes,
    listener: Listener,
    begun: float,
    free: dict[str, object],
) -> TrainResult:
    """A run from its last state on."""
    if processes.from_main(lambda: (folder / files.CONFIG).is_file() and not has_state(folder)):
        processes.from_main(lambda: _refuse_to_lose(folder))
        text = processes.from_main(lambda: TrainConfig.read(folder / files.CONFIG))
        config = text.model_copy(update={"out": folder, **free})
        listener.line(f"{folder} has no state yet: the run begins again")
        return _begin(config, processes, listener, begun, new=False)
    state, stored = processes.from_main(lambda: found_run(folder, listener))
    config = stored.model_copy(update={"out": folder, **free})
    dataset, seen = _data(config, listener)
    run = restored(state, config, dataset, seen, processes, listener)
    listener.line(f"resumed after step {run.progress.step}, precision {run.stepper.precision}")
    # Clocks stand still between sittings, and until a new one is as far as the last was.
    run.begun = time.perf_counter() - run.progress.seconds
    return _finish(run)


def _finish(run: Run) -> TrainResult:
    if run.processes.device.type == "cpu":
        keep_freed_memory()
    if run.tracker is not None:
        run.tracker.start()
    scores = run.go()
    folder = run.keeper.folder
    return TrainResult(folder, folder / files.MODEL, scores)


def _data(config: TrainConfig, listener: Listener) -> tuple[Dataset, Scan]:
    """The dataset, with a line for each thing that was understood about it, and what it holds.

    Every mask is read before the first step: what is wrong is said now, not after an hour.
    """
    dataset = config.dataset()
    how = "recognised" if config.layout is None else "as asked"
    for line in (f"layout {dataset.layout} ({how})", *dataset.notes):
        listener.line(line)
    seen, findings = scan_splits(dataset, ("train", "val"), listener.reading)
    for finding in findings:
        if finding.severity == "warning":
            listener.line(f"warning: {finding.message}")
    listener.line(
        f"data {dataset.root}: {len(dataset.split('train'))} training and "
        f"{len(dataset.split('val'))} validation images, {dataset.labels.classes} classes"
    )
    return dataset, seen["train"]


def _decided(
    config: TrainConfig,
    dataset: Dataset,
    seen: Scan,
    source: Checkpoint | None,
    listener: Listener,
) -> TrainConfig:
    """The configuration with what was left open decided, and said."""
    taken: tuple[Choice, ...] = ()
    if source is not None:
        config, taken = as_the_model(config, source.network)
    config, choices = decide(config, facts_of(dataset, seen))
    for choice in (*taken, *choices):
        listener.line(str(choice))
    return config


def _network(
    config: TrainConfig,
    dataset: Dataset,
    seen: Scan,
    source: Checkpoint | None,
    listener: Listener,
) -> tuple[Network, NetworkConfig, Preprocessing]:
    network_config = config.network_config(
        dataset.labels.classes, bands_taken(config, seen, source)
    )
    network = build(network_config)
    if source is not None:
        transfer = initialise_from(network, source.weights)
        listener.line(f"from {config.init_from}: {transfer.summary()}")
    elif network.backbone_name is None and config.weights == "pretrained":
        listener.line(f"{config.network} has no backbone: its weights start at random")
    elif config.weights != "none":
        listener.line(load_pretrained(network, config.weights))
    chosen = preparation(config, seen, dataset, network.backbone_name, source, listener)
    return network, network_config, chosen


def _measured(run: Run, batch: Batch) -> Precision:
    """The faster precision, measured by the main process on a part of a batch.

    Raises:
        TrainingError: not even one image fits into memory.
    """

    def measured() -> Precision:
        network, device = run.stepper.own, run.processes.device
        network.train()
        while True:
            # What a step holds at once: the whole may be more than memory has.
            part = split(batch, run.progress.parts)[0]
            try:
                chosen, line = measure(network, partial(run.stepper.loss, batch=part), device)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            else:
                run.listener.line(line)
                return chosen
            # Not in the handler: there the error's traceback holds on to the memory.
            run.halve(len(batch.paths))

    return run.processes.from_main(measured)


def _refuse_to_lose(folder: Path) -> None:
    """A run that was killed before its first state has nothing to lose; one that has scores has.

    Raises:
        ConfigError: there are results in the folder.
    """
    for name in (files.METRICS, files.MODEL):
        if (folder / name).exists():
            raise ConfigError(
                folder,
                found=f"no state to go on from, but a run's {name}",
                expected="the run's state files beside it",
                mend="Bring them back, or start a new run in another folder",
            )
