"""Training: from a configuration to a run folder with the best model in it."""

from perpixel.training.choices import Choice
from perpixel.training.config import TrainConfig, read_settings
from perpixel.training.planning import plan, write_recipe
from perpixel.training.report import EpochReport, Listener, Silence, StepReport
from perpixel.training.run import TrainResult, resume, train

__all__ = [
    "Choice",
    "EpochReport",
    "Listener",
    "Silence",
    "StepReport",
    "TrainConfig",
    "TrainResult",
    "plan",
    "read_settings",
    "resume",
    "train",
    "write_recipe",
]
