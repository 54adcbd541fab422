"""Curves written elsewhere too: TensorBoard, MLflow or Weights & Biases, through accelerate."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from perpixel.errors import ConfigError
from perpixel.training.config import TrainConfig
from perpixel.training.report import EpochReport, Listener

TrackerName = Literal["tensorboard", "mlflow", "wandb"]


def tracker_of(config: TrainConfig, listener: Listener) -> Tracker | None:
    """The tracker that the settings ask for; None where they ask for none.

    Raises:
        ConfigError: it is not installed.
    """
    if config.tracker == "none":
        return None
    name: TrackerName = "tensorboard" if config.tracker == "auto" else config.tracker
    if find_spec(name) is None:
        if config.tracker == "auto":
            return None
        raise ConfigError(
            f"--tracker {name}",
            found="not installed",
            mend=f"Run `pip install {name}`, or give --tracker none",
        )
    return Tracker(name, config, listener)


class Tracker:
    """Tells a tracker of every epoch. A tracker that fails is said once, and then left alone.

    Nothing is opened or written before `start`.

    Args:
        name: which.
        config: of the run: told at the beginning. TensorBoard's files go into its folder.
        listener: hears of a failure.
    """

    def __init__(self, name: TrackerName, config: TrainConfig, listener: Listener) -> None:
        self._name, self._config, self._listener = name, config, listener
        self._tracker: Any = None

    def start(self) -> None:
        """Open the tracker, and tell it the settings."""
        try:
            self._tracker = _opened(self._name, self._config.out)
            self._tracker.start()
            self._tracker.store_init_configuration(
                {key: str(value) for key, value in self._config.model_dump(mode="json").items()}
            )
        except Exception as error:  # Whatever a service raises is no reason to lose a run.
            self._give_up(error)

    def epoch(self, report: EpochReport) -> None:
        """Tell of an epoch and its validation."""
        if self._tracker is None:
            return
        values = {
            "loss": report.loss,
            "learning_rate": report.learning_rate,
            "images_per_second": report.images_per_second,
            "mean_iou": report.scores.mean_iou,
            "pixel_accuracy": report.scores.pixel_accuracy,
            "mean_accuracy": report.scores.mean_accuracy,
        }
        try:
            self._tracker.log(values, step=report.step)
        except Exception as error:
            self._give_up(error)

    def finish(self) -> None:
        """Write what it still holds back."""
        if self._tracker is None:
            return
        try:
            self._tracker.finish()
        except Exception as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        self._tracker = None
        told = " ".join(f"{type(error).__name__}: {error}".split())
        self._listener.line(f"warning: {self._name} failed ({told}); the run goes on without it")


def _opened(name: TrackerName, folder: Path) -> Any:
    from accelerate import tracking

    match name:
        case "tensorboard":
            return tracking.TensorBoardTracker("tensorboard", folder)
        case "mlflow":
            return tracking.MLflowTracker(experiment_name="perpixel", run_name=folder.name)
        case "wandb":
            return tracking.WandBTracker("perpixel", name=folder.name)
