"""What is left open in a configuration is decided from the data and the machine, with reasons."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Integer

from perpixel.data.dataset import Dataset
from perpixel.data.masks import read_classes
from perpixel.data.scan import Scan
from perpixel.labels import LabelSpace
from perpixel.machine import available_memory
from perpixel.networks import NetworkConfig, options_of
from perpixel.training.config import TrainConfig
from perpixel.training.detail import kept
from perpixel.training.footprint import step_bytes

# Crops are cut no larger than this, so that a batch of large images fits into memory.
LARGEST_CROP = 512
# A coarser network is taken where its grid keeps nearly as much of the masks: this much less.
GIVEN_UP = 0.01
# A step sees about as many pixels whatever the images' size, and an epoch has some steps.
PIXELS_IN_A_STEP = 8 * 352 * 480
LARGEST_BATCH, STEPS_IN_AN_EPOCH = 16, 5
# Without a budget: about so many steps, in no fewer and no more epochs than these.
STEPS, FEWEST_EPOCHS, MOST_EPOCHS = 2700, 15, 200
# Classes are balanced where the largest has fewer than this many times the smallest's pixels.
BALANCED = 3.0
# A class that fewer of the images have than this is drawn on purpose, in this share of the samples.
RARE, DRAWN_BY_CLASS = 0.05, 0.25
# How much of the memory that is free a step may take.
MEMORY_SHARE = 0.5
# So many training masks say how fine all of them are.
MASKS_LOOKED_AT = 32
GRIDS = {"fcn4s": 4, "fcn8s": 8, "fcn16s": 16}


@dataclass(frozen=True)
class Choice:
    """A setting that was left open: its name, what was decided, and why, in one line."""

    setting: str
    value: Any
    why: str

    @property
    def shown(self) -> str:
        """The value as people write it."""
        return "×".join(map(str, self.value)) if isinstance(self.value, tuple) else str(self.value)

    def __str__(self) -> str:
        return f"{self.setting.replace('_', ' ')} {self.shown}: {self.why}"


@dataclass(frozen=True)
class Facts:
    """What decisions are made from.

    Args:
        labels: the classes.
        seen: the training split.
        images: how many it has.
        masks: some of its masks, class indices or the ignore index; read when a rule asks for them.
        memory: bytes that are free.
    """

    labels: LabelSpace
    seen: Scan
    images: int
    masks: Iterable[Integer[np.ndarray, "_ _"]]
    memory: int


def facts_of(dataset: Dataset, seen: Scan) -> Facts:
    """The facts of a dataset, on this machine.

    Args:
        dataset: has a training split.
        seen: what that holds.
    """
    pairs = [pair for pair in dataset.split("train") if pair.mask is not None]
    apart = max(-(-len(pairs) // MASKS_LOOKED_AT), 1)
    masks = (read_classes(pair, dataset.labels)[0] for pair in pairs[::apart])
    images = len(dataset.split("train"))
    return Facts(dataset.labels, seen, images, masks, available_memory())


def decide(config: TrainConfig, facts: Facts) -> tuple[TrainConfig, tuple[Choice, ...]]:
    """The configuration with every open setting decided, and the decisions.

    A setting that was given is never changed. Deciding is deterministic, but for the batch size on
    a machine with little free memory.
    """
    choices = []
    for setting, rule in RULES.items():
        if is_open(config, setting):
            value, why = rule(config, facts)
            choices.append(Choice(setting, value, why))
            config = _with(config, setting, value)
    return config, tuple(choices)


def as_the_model(
    config: TrainConfig, network: NetworkConfig
) -> tuple[TrainConfig, tuple[Choice, ...]]:
    """The configuration with the network of the model to start from, where none was given.

    Args:
        config: options of the network that it gives stand.
        network: the model's.

    Raises:
        ConfigError: the model's network does not have an option that was given.
    """
    if "network" in config.model_fields_set:
        return config, ()
    theirs = {name: getattr(network, name) for name in options_of(network.name)}
    given = config.model_dump(exclude_unset=True)
    config = TrainConfig.of(**{"network": network.name, **theirs, **given})
    return config, (Choice("network", network.name, "as the model to start from has"),)


def is_open(config: TrainConfig, setting: str) -> bool:
    """Whether the configuration leaves a setting of `RULES` to be decided."""
    match setting:
        case "crop":
            return config.augmentation.crop is None and not config.whole_images
        case "epochs":
            return config.epochs is None and config.minutes is None
        case "head":
            return config.head is None and config.network in (*GRIDS, "fcn32s")
        case "network":
            # A model to start from says which one is meant (`as_the_model`).
            return not config.model_fields_set & {"network", "init_from"}
        case "normalisation":
            stated = config.init_from or config.preprocessing
            return config.normalisation == "auto" and stated is None
        case "batch_size":
            return "batch_size" not in config.model_fields_set and not config.whole_images
        case _:
            return setting not in config.model_fields_set


def _with(config: TrainConfig, setting: str, value: Any) -> TrainConfig:
    if setting == "crop":
        augmentation = config.augmentation.model_copy(update={"crop": value})
        return config.model_copy(update={"augmentation": augmentation})
    return config.model_copy(update={setting: value})


def _network(config: TrainConfig, facts: Facts) -> tuple[str, str]:
    masks = list(facts.masks)
    keeps = {name: kept(masks, facts.labels, grid) for name, grid in GRIDS.items()}
    chosen = "fcn4s"
    for name, share in keeps.items():
        if share >= keeps["fcn4s"] - GIVEN_UP:
            chosen = name
    if math.isnan(keeps["fcn4s"]):
        return chosen, "no pixel is labelled, so nothing says how fine the masks are"
    told = ", ".join(f"{grid} keeps {keeps[name]:.3f}" for name, grid in GRIDS.items())
    return chosen, f"of the masks' own mean IoU a grid of stride {told}"


def _head(config: TrainConfig, facts: Facts) -> tuple[str, str]:
    classes = facts.labels.classes
    return "features", f"joins features and scores {classes} classes once, at the end"


def _crop(config: TrainConfig, facts: Facts) -> tuple[tuple[int, int], str]:
    sizes = np.repeat(list(facts.seen.sizes), list(facts.seen.sizes.values()), axis=0)
    middle = np.median(sizes, axis=0)
    # Crops are whole cells of the coarsest grid, so that no pixel of a step is padding.
    height, width = (max(32, int(min(size, LARGEST_CROP)) // 32 * 32) for size in middle)
    told = f"{middle[0]:g}×{middle[1]:g}"
    return (height, width), f"images are {told} in the middle; multiples of 32 up to {LARGEST_CROP}"


def _batch_size(config: TrainConfig, facts: Facts) -> tuple[int, str]:
    height, width = config.augmentation.crop or (LARGEST_CROP, LARGEST_CROP)
    wanted = 2 ** math.ceil(math.log2(max(PIXELS_IN_A_STEP / (height * width), 1)))
    few = 2 ** int(math.log2(max(facts.images / STEPS_IN_AN_EPOCH, 2)))
    # A part of a batch is at least an image.
    parts = config.accumulate
    batch = max(min(wanted, LARGEST_BATCH, few), parts)
    why = f"{batch * height * width / 1e6:.2g} megapixels in a step of {height}×{width}"
    if few < min(wanted, LARGEST_BATCH):
        why = f"{facts.images} images make {max(facts.images // batch, 1)} steps an epoch"
    if batch == parts > 1:
        why = f"an image in each of {parts} parts"
    network = config.network_config(facts.labels.classes, facts.seen.bands)

    def needed(images: int) -> int:
        return step_bytes(network, (height, width), -(-images // parts))

    fits = batch
    while fits > parts and needed(fits) > MEMORY_SHARE * facts.memory:
        fits = max(fits // 2, parts)
    if fits < batch:
        free = facts.memory / 2**30
        why = f"{batch} would not fit into half of the {free:.1f} GiB that are free"
    return fits, why


def _epochs(config: TrainConfig, facts: Facts) -> tuple[int, str]:
    steps = max(facts.images // config.batch_size, 1)
    epochs = min(max(round(STEPS / steps), FEWEST_EPOCHS), MOST_EPOCHS)
    return epochs, f"{epochs * steps} steps, {steps} an epoch; --minutes sets a budget instead"


def _normalisation(config: TrainConfig, facts: Facts) -> tuple[str, str]:
    bands, dtype = facts.seen.bands, facts.seen.dtype
    if dtype == np.uint8 and bands in (1, 3):
        return "weights", "images are 8-bit photographs, as those of ImageNet are"
    kind = f"{bands} bands of {dtype}"
    return "data", f"images have {kind}: each band's mean and deviation over the training images"


def _class_weights(config: TrainConfig, facts: Facts) -> tuple[str, str]:
    pixels = facts.seen.pixels[facts.seen.pixels > 0]
    ratio = pixels.max() / pixels.min() if len(pixels) else 1.0
    if ratio < BALANCED:
        return "none", f"the largest class has {ratio:.1f} times the pixels of the smallest"
    largest, smallest = (
        facts.labels.names[index]
        for index in (
            int(np.argmax(facts.seen.pixels)),
            int(np.argmin(np.where(facts.seen.pixels > 0, facts.seen.pixels, np.inf))),
        )
    )
    return "inverse-log", f"{largest} has {ratio:.0f} times the pixels of {smallest}"


def _balance(config: TrainConfig, facts: Facts) -> tuple[float, str]:
    having = (facts.seen.by_image > 0).sum(axis=0)
    there = np.flatnonzero(having)
    if not len(there):
        return 0.0, "no pixel is labelled"
    rarest = there[np.argmin(having[there])]
    count, name = int(having[rarest]), facts.labels.names[rarest]
    told = f"{name} is in {count} of {facts.images} images"
    if count < RARE * facts.images:
        return DRAWN_BY_CLASS, f"{told}: so many samples are drawn by class, around its pixels"
    return 0.0, f"{told}, and every other class in as many or more"


# In the order in which one rests on another.
RULES: dict[str, Callable[[TrainConfig, Facts], tuple[Any, str]]] = {
    "network": _network,
    "head": _head,
    "crop": _crop,
    "batch_size": _batch_size,
    "epochs": _epochs,
    "normalisation": _normalisation,
    "class_weights": _class_weights,
    "balance": _balance,
}
