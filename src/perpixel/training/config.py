"""TrainConfig: everything that decides a training run, checked when it is made."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import ConfigDict, Field, ValidationError, field_validator, model_validator

from perpixel.data.augment import Augmentation
from perpixel.data.dataset import Dataset
from perpixel.data.division import Folds
from perpixel.data.layouts import open_dataset
from perpixel.distribution.model_file import is_name
from perpixel.errors import ConfigError
from perpixel.preprocessing import Preprocessing
from perpixel.training.class_weights import ClassWeights
from perpixel.training.network_options import NetworkOptions, one_line

# Settings that no result depends on: they may change in the middle of a run.
FREE = ("data", "out", "workers", "save_minutes", "tracker")
LEARNING_RATE = {"adamw": 1e-3, "sgd": 1e-2}
WEIGHT_DECAY = {"adamw": 1e-2, "sgd": 5e-4}


class TrainConfig(NetworkOptions):
    """One training run. Written as `config.yaml` into the run folder and read back on resume.

    Network, head, crop, batch size, epochs, class weights and balance that are not given, and a
    normalisation that is "auto", are decided from the data and the machine when the run begins
    (`training.choices`); the defaults stand where nothing decides.

    Args:
        data: the dataset folder.
        out: the run folder.
        layout: of the dataset; None: as it is recognised.
        folds, fold: cross-validation of data without a validation split: fold 1 … folds of them
            validates. None: a fifth of the images does.
        network, backbone, head, …: the network, as `NetworkOptions` explains it.
        weights: "pretrained", "none", or the path of a weights file, for the backbone.
        init_from: a model whose fitting weights are copied before training starts, and whose
            network is trained unless one is given: a file, one that comes along or one of the
            hub's, as `load` takes it.
        preprocessing: how images are prepared; None: as the settings below, the weights or the
            model say.
        normalisation: mean and deviation of the bands as the "weights" were trained with, or of the
            "data"; "auto": of the data where it is not 8-bit grey or RGB.
        conversion: "grey-rgb" turns grey images into RGB by repetition, and RGB into grey by luma,
            where the network asks for it; "none" does not; "auto": not of floats. The model
            records it.
        epochs: passes over the training split; or
        minutes: wall-clock budget. One of the two; neither means epochs as the data suggest.
        batch_size: images in a step.
        whole_images: a step sees one whole image, instead of crops of one size.
        optimizer: AdamW, or SGD with momentum.
        momentum: of SGD.
        learning_rate: the peak; None: 1e-3 for AdamW, 1e-2 for SGD.
        bias_rate: how many times the learning rate biases have.
        backbone_rate: how many times the learning rate the encoder's weights have.
        weight_decay: on weights, not on biases or batch norms; None: 1e-2 for AdamW, 5e-4 for SGD.
        schedule: "one-cycle" (cosine up and down), "poly" (power 0.9) or "constant".
        warmup: the share of the run in which the one-cycle rate rises.
        loss: a batch's cross-entropy is the "mean" over its labelled pixels, or their "sum".
        class_weights: how much is learned from a class's pixels; how readily the class is called
            does not depend on it (`Objective`). "inverse-log", 1 / ln(1.02 + share of the class)
            (ENet, section 5.2), "effective-number", by how many of a class's pixels tell something
            new, or "none".
        label_smoothing: share of the target spread evenly over all classes.
        hard_pixels: the share of a batch's labelled pixels that the cross-entropy is of: those
            whose own class the network gives least. 1: all.
        dice: the weight of the soft Dice loss that is added to the mean cross-entropy; 0: none.
        balance: the share of the samples that are drawn by class instead of in turn: a class, an
            image that has it, and a crop around one of its pixels. 0: none.
        ema: decay of the averaged weights for each step; 0 turns averaging off.
        augmentation: how training images are varied; its crop None means a crop from the data.
        precision: "auto" measures whether bf16 is faster on this machine; fp16 has its gradients
            scaled.
        clip: the largest norm of a step's gradient; None: any.
        accumulate: a step's batch goes through the network in so many parts, whose gradients add
            up to the whole batch's. More than one saves memory; more are taken where it runs out.
        batch_norm: batch norms use a process's "own" statistics, "synchronised" ones of all
            processes, or are "frozen"; "auto": synchronised where a process has few images.
        recompute: keep what goes into each sequence of layers, and compute what is inside again in
            the backward pass: less memory, about a third more time.
        compile: let torch.compile make one program of the network.
        on_nan: what becomes of a batch whose loss or gradient is no number: "stop" the run, or
            "skip" the batch.
        save_minutes: how often the state is saved, beside each epoch's end.
        tracker: where each epoch's figures are also told; "auto": TensorBoard, where it is
            installed.
        workers: processes that load images; 0 loads in the training process.
        seed: every random draw follows from it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: Path
    out: Path
    layout: str | None = None
    folds: int | None = None
    fold: int | None = None
    weights: Literal["pretrained", "none"] | Path = "pretrained"
    init_from: str | Path | None = None
    preprocessing: Preprocessing | None = None
    normalisation: Literal["auto", "weights", "data"] = "auto"
    conversion: Literal["auto", "grey-rgb", "none"] = "auto"
    epochs: int | None = Field(default=None, ge=1)
    minutes: float | None = Field(default=None, gt=0)
    batch_size: int = Field(default=8, ge=1)
    whole_images: bool = False
    optimizer: Literal["adamw", "sgd"] = "adamw"
    momentum: float = Field(default=0.9, ge=0, lt=1)
    learning_rate: float | None = Field(default=None, gt=0)
    bias_rate: float = Field(default=1.0, gt=0)
    backbone_rate: float = Field(default=1.0, gt=0)
    weight_decay: float | None = Field(default=None, ge=0)
    schedule: Literal["one-cycle", "poly", "constant"] = "one-cycle"
    warmup: float = Field(default=0.1, ge=0, lt=1)
    loss: Literal["mean", "sum"] = "mean"
    class_weights: ClassWeights = "inverse-log"
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    hard_pixels: float = Field(default=1.0, gt=0, le=1)
    dice: float = Field(default=0.0, ge=0)
    balance: float = Field(default=0.0, ge=0, le=1)
    ema: float = Field(default=0.998, ge=0, lt=1)
    augmentation: Augmentation = Augmentation()
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    clip: float | None = Field(default=None, gt=0)
    accumulate: int = Field(default=1, ge=1)
    batch_norm: Literal["auto", "own", "synchronised", "frozen"] = "auto"
    recompute: bool = False
    compile: bool = False
    on_nan: Literal["stop", "skip"] = "stop"
    save_minutes: float = Field(default=5.0, ge=0)
    tracker: Literal["auto", "none", "tensorboard", "mlflow", "wandb"] = "auto"
    workers: int = Field(default=1, ge=0)
    seed: int = Field(default=0, ge=0)

    @property
    def _is_named(self) -> bool:
        # Else the model to start from says which network (`choices.as_the_model`).
        return "network" in self.model_fields_set or self.init_from is None

    @model_validator(mode="after")
    def _agree(self) -> TrainConfig:
        if self.epochs is not None and self.minutes is not None:
            raise ValueError("epochs and minutes exclude each other: give one of them")
        if self.whole_images and (self.batch_size != 1 or self.augmentation.crop is not None):
            raise ValueError("whole_images go with batch_size 1 and without a crop")
        if "batch_size" in self.model_fields_set and self.accumulate > self.batch_size:
            raise ValueError(f"a batch of {self.batch_size} has no {self.accumulate} parts")
        if self.dice > 0 and self.loss == "sum":
            raise ValueError("dice goes with loss mean: beside a sum over pixels it is nothing")
        return self

    @field_validator("init_from")
    @classmethod
    def _stays_a_path(cls, model: str | Path | None) -> str | None:
        """As a text that is written and read back: a path that could be a name gets its folder."""
        named = isinstance(model, Path) and is_name(str(model))
        return model if model is None else f"./{model}" if named else str(model)

    @property
    def peak_learning_rate(self) -> float:
        """The rate at the top of the schedule."""
        return self.learning_rate or LEARNING_RATE[self.optimizer]

    @property
    def decay(self) -> float:
        """The weight decay of convolution weights."""
        return WEIGHT_DECAY[self.optimizer] if self.weight_decay is None else self.weight_decay

    def dataset(self, root: Path | None = None) -> Dataset:
        """The run's dataset, in its layout and divided as the run divides it.

        Args:
            root: where it is now; None: where the run found it.

        Raises:
            DataError: it cannot be opened.
            ConfigError: the folds contradict each other.
        """
        return open_dataset(root or self.data, self.layout, Folds.of(self.folds, self.fold))

    @classmethod
    def read(cls, path: Path) -> TrainConfig:
        """Read a `config.yaml`.

        Raises:
            ConfigError: it is missing, is no YAML, or a setting does not fit.
        """
        values = read_settings(path, "Give the folder of a run that `perpixel train` made")
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise one_line(error, str(path)) from None

    def as_yaml(self) -> str:
        """The settings as YAML, in the order of the class."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)


def read_settings(path: Path, mend: str = "Give a file of settings") -> dict[str, Any]:
    """The settings in a YAML file, unchecked: a whole configuration, or a recipe for one.

    Raises:
        ConfigError: the file is missing, is no YAML, or holds no settings.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        found = f"cannot be read ({' '.join(str(error).split())})"
        raise ConfigError(path, found=found, mend=mend) from None
    if not isinstance(values, dict):
        raise ConfigError(path, found="no settings", expected="a mapping", mend=mend)
    return {str(name): value for name, value in values.items()}
