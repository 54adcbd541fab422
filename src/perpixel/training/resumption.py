"""Going on with a run: what is read, what is compared, and how a run becomes what it was."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from perpixel.checkpoint import read_checkpoint
from perpixel.data.dataset import Dataset
from perpixel.data.scan import Scan
from perpixel.errors import ConfigError, ModelError
from perpixel.labels import LabelSpace
from perpixel.networks import build, network_config_from_json
from perpixel.preprocessing import Preprocessing
from perpixel.training import files
from perpixel.training.assembly import Parts, put_together
from perpixel.training.choices import RULES, is_open
from perpixel.training.config import FREE, TrainConfig
from perpixel.training.loop import Run
from perpixel.training.processes import Processes
from perpixel.training.report import Listener
from perpixel.training.state import Progress, unpack
from perpixel.training.state_file import State, forget_damaged, read_state


def found_run(folder: Path, listener: Listener) -> tuple[State, TrainConfig]:
    """The newest whole state of a run, and its settings; the folder stays as it is.

    Raises:
        ConfigError: there is no run, no state is whole, or `config.yaml` has other settings than
            the run was begun with.
    """
    state = read_state(folder)
    config = TrainConfig.read(folder / files.CONFIG)
    begun = TrainConfig.model_validate(state.facts["config"])
    _compare(begun, config, str(folder / files.CONFIG), "Give the file its old settings back")
    for note in state.notes:
        listener.line(f"warning: {note}; going on from the state of step {state.facts['step']}")
    return state, config


def check_agreement(config: TrainConfig, folder: Path) -> None:
    """A run is gone on with only by the settings that it was begun with.

    Args:
        config: as given now; what it leaves open is not compared.
        folder: of the run.

    Raises:
        ConfigError: they differ.
    """
    stored = TrainConfig.read(folder / files.CONFIG)
    # Whatever was left open, also by name as `auto`, is stored as it was decided.
    left_open = {setting for setting in RULES if is_open(config, setting)}
    given = config.model_fields_set - left_open
    settings = {name: getattr(config, name) for name in given}
    if "augmentation" in settings:
        varied = config.augmentation
        settings["augmentation"] = stored.augmentation.model_copy(
            update={name: getattr(varied, name) for name in varied.model_fields_set - left_open}
        )
    _compare(
        stored,
        stored.model_copy(update=settings),
        str(folder),
        "Give the settings that the run was begun with, or another --out",
    )


def restored(
    state: State,
    config: TrainConfig,
    dataset: Dataset,
    seen: Scan,
    processes: Processes,
    listener: Listener,
) -> Run:
    """The run as it was when the state was written.

    Only then is its folder put in order: whoever is refused finds every file as it was.

    Raises:
        ConfigError: the data is not what the run was begun with.
    """
    facts = state.facts
    labels = LabelSpace.model_validate_json(facts["labels"])
    if labels != dataset.labels:
        raise ConfigError(
            config.data,
            found="other classes than the run was started with",
            expected=", ".join(labels.names),
            mend="Give the data its old classes.yaml back, or start a new run",
        )
    network_config = network_config_from_json(facts["network"])
    preprocessing = Preprocessing.model_validate_json(facts["preprocessing"])
    network = build(network_config)
    parts = Parts(config, dataset, seen, network, network_config, preprocessing)
    run = put_together(parts, processes, listener, 0.0)
    if facts["data"] != run.facts["data"]:
        raise ConfigError(
            config.data,
            found="other images than the run was started with",
            expected="the same files in the training and the validation split",
            mend="Put them back, or start a new run with --init-from its model",
        )
    _refuse_other_masks(facts["pixels"], run.facts["pixels"], config, labels)
    _say_what_differs(facts["machine"], run.facts["machine"], listener)
    run.stepper.use(facts["precision"])
    run.stepper.scaler.load_state_dict(facts["scaler"])
    unpack(state.tensors, run.stepper.own, run.average.network, run.stepper.optimizer)
    run.progress = Progress.from_json(facts, dataset.labels)
    # A state says with which settings its run was begun, also where it is resumed elsewhere.
    run.facts["config"] = facts["config"]
    if processes.main:
        _put_in_order(run)
    if run.progress.best_scores is not None:
        whole = processes.from_main(lambda: _has_best(run, listener))
        run.progress.best_scores = run.progress.best_scores if whole else None
    return run


def _refuse_other_masks(
    before: list[int], now: list[int], config: TrainConfig, labels: LabelSpace
) -> None:
    for name, begun, found in zip(labels.names, before, now, strict=True):
        if begun != found:
            raise ConfigError(
                config.data,
                found=f"other masks than the run was started with: {name} has {found} labelled "
                "pixels",
                expected=str(begun),
                mend="Put the masks back, or start a new run with --init-from its model",
            )


def _put_in_order(run: Run) -> None:
    """What a killed process left half-written goes, and `metrics.jsonl` ends where the state does.

    A folder that cannot be written is left as it is.
    """
    folder = run.keeper.folder
    forget_damaged(folder)
    # A folder that cannot be written is said so when the next file is.
    with suppress(OSError):
        for left in folder.glob(".*.part"):
            left.unlink()
        if not run.progress.history:
            (folder / files.METRICS).unlink(missing_ok=True)
    if run.progress.history:
        run.keeper.put(files.METRICS, files.metrics_bytes(run.progress.history))


def _has_best(run: Run, listener: Listener) -> bool:
    """Whether the best model, which is not in the state, is there and whole."""
    try:
        read_checkpoint(run.keeper.folder / files.MODEL)
    except ModelError as error:
        listener.line(f"warning: {error} The next model that is scored takes its place.")
        return False
    return True


def _compare(begun: TrainConfig, now: TrainConfig, where: str, mend: str) -> None:
    for name in TrainConfig.model_fields:
        before, after = getattr(begun, name), getattr(now, name)
        if name not in FREE and before != after:
            raise ConfigError(
                where,
                found=f"{name} is {_shown(after)}",
                expected=f"{_shown(before)}, with which the run was begun",
                mend=mend,
            )


def _shown(value: Any) -> str:
    return " ".join(str(value).split())


def _say_what_differs(before: dict[str, Any], now: dict[str, Any], listener: Listener) -> None:
    changed = [
        f"{name} {before.get(name)} → {now[name]}" for name in now if before.get(name) != now[name]
    ]
    if changed:
        listener.line(
            f"warning: not as before: {', '.join(changed)}; results may differ in their last digits"
        )
