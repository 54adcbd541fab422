"""What is decided from the data and the machine, and that what was given stands."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perpixel.checkpoint import read_checkpoint
from perpixel.data.scan import Scan
from perpixel.errors import ConfigError
from perpixel.labels import LabelSpace
from perpixel.networks import network_config
from perpixel.training import TrainConfig, files, train
from perpixel.training.choices import RULES, Facts, as_the_model, decide
from training.stopping import StopAt

GIB = 1 << 30


def striped(period: int) -> np.ndarray:
    """Two classes in stripes so many pixels wide, with a slope so that no grid meets them."""
    rows, columns = np.mgrid[:192, :192]
    return (((rows + columns // 3) // period) % 2).astype(np.uint8)


def facts(
    *,
    images: int = 400,
    size: tuple[int, int] = (360, 480),
    pixels: tuple[int, ...] = (5000, 100),
    period: int = 6,
    memory: int = 16 * GIB,
) -> Facts:
    labels = LabelSpace.of([f"class {index}" for index in range(len(pixels))])
    by_image = np.tile(np.array(pixels), (images, 1))
    seen = Scan(by_image, 0, {size: images}, 3, np.dtype(np.uint8))
    return Facts(labels, seen, images, [striped(period)], memory)


def decided(given: dict[str, Any], seen: Facts) -> dict[str, Any]:
    config, choices = decide(TrainConfig.of(data=Path("d"), out=Path("o"), **given), seen)
    for choice in choices:
        assert choice.why
        assert "\n" not in str(choice)
    return {choice.setting: choice.value for choice in choices} | {"config": config}


def test_everything_open_is_decided_once_and_put_into_the_configuration() -> None:
    chosen = decided({}, facts())
    assert set(chosen) - {"config"} == set(RULES)
    config = chosen["config"]
    assert config.network == chosen["network"]
    assert config.augmentation.crop == chosen["crop"] == (352, 480)
    assert config.batch_size == chosen["batch_size"] == 8
    assert config.epochs == chosen["epochs"]
    again, choices = decide(TrainConfig.model_validate(config.model_dump()), facts(images=3))
    assert choices == ()
    assert again == config


@pytest.mark.parametrize(
    ("given", "settled"),
    [
        ({"network": "fcn16s"}, "network"),
        ({"network": "segnet-basic"}, "network"),
        ({"network": "segnet-basic"}, "head"),
        ({"init_from": "m.safetensors"}, "network"),
        ({"batch_size": 3}, "batch_size"),
        ({"epochs": 7}, "epochs"),
        ({"minutes": 7.0}, "epochs"),
        ({"class_weights": "inverse-log"}, "class_weights"),
        ({"augmentation": {"crop": (64, 64)}}, "crop"),
        ({"whole_images": True, "batch_size": 1}, "crop"),
        ({"head": "scores"}, "head"),
    ],
)
def test_what_was_given_is_not_decided(given: dict[str, Any], settled: str) -> None:
    chosen = decided(given, facts())
    assert settled not in chosen
    for name, value in given.items():
        if name != "augmentation":
            assert getattr(chosen["config"], name) == value


@pytest.mark.parametrize(("period", "network"), [(6, "fcn4s"), (400, "fcn16s")])
def test_the_network_is_as_coarse_as_the_masks_allow(period: int, network: str) -> None:
    assert decided({}, facts(period=period))["network"] == network


def test_masks_without_labels_leave_the_finest_network() -> None:
    empty = replace(facts(), masks=[np.full((30, 30), 255, np.uint8)])
    config, choices = decide(TrainConfig.of(data=Path("d"), out=Path("o")), empty)
    assert config.network == "fcn4s"
    assert "no pixel is labelled" in choices[0].why


@pytest.mark.parametrize(
    ("size", "images", "batch"),
    [((360, 480), 400, 8), ((4000, 6000), 400, 8), ((64, 64), 1000, 16), ((256, 256), 40, 8),
     ((256, 256), 6, 2), ((300, 300), 1, 2)],
)  # fmt: skip
def test_a_step_sees_about_as_much_and_an_epoch_has_steps(
    size: tuple[int, int], images: int, batch: int
) -> None:
    assert decided({}, facts(size=size, images=images))["batch_size"] == batch


def test_the_batch_fits_into_the_memory_that_is_free() -> None:
    few = [decided({}, facts(memory=memory))["batch_size"] for memory in (8 * GIB, 3 * GIB, 1)]
    assert few == sorted(few, reverse=True)
    assert few[0] == 8
    assert 1 < few[1] < 8
    assert few[2] == 1


@pytest.mark.parametrize("memory", [16 * GIB, 1])
@pytest.mark.parametrize("images", [6, 400])
def test_every_part_of_a_chosen_batch_has_an_image(images: int, memory: int) -> None:
    chosen = decided({"accumulate": 4}, facts(images=images, memory=memory))
    assert chosen["batch_size"] == (4 if images == 6 or memory == 1 else 8)
    # As a run's `config.yaml` is read back.
    assert TrainConfig.model_validate(chosen["config"].model_dump()) == chosen["config"]


def test_a_batch_that_goes_in_parts_needs_the_memory_of_one() -> None:
    alone, in_parts = (
        decided({"accumulate": parts}, facts(memory=2 * GIB))["batch_size"] for parts in (1, 4)
    )
    assert alone < in_parts == 8


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        (
            {"name": "fcn16s", "backbone": "efficientnet_lite1", "head_channels": 32},
            {"backbone": "efficientnet_lite1", "head": "features", "head_channels": 32},
        ),
        ({"name": "segnet-basic"}, {"backbone": None, "head": None}),
    ],
)
def test_the_model_to_start_from_says_which_network(
    network: dict[str, object], expected: dict[str, object]
) -> None:
    of_model = network_config({"classes": 5, **network})
    given = TrainConfig.of(data=Path("d"), out=Path("o"), init_from="m.safetensors", minutes=3)
    config, (choice,) = as_the_model(given, of_model)
    assert str(choice) == f"network {network['name']}: as the model to start from has"
    assert config.network == network["name"]
    assert {name: getattr(config, name) for name in expected} == expected
    assert (config.init_from, config.minutes) == ("m.safetensors", 3)
    assert "network" not in {choice.setting for choice in decide(config, facts())[1]}
    assert config.network_config(5, 3) == of_model


def test_a_network_that_was_given_stands_beside_the_model_to_start_from() -> None:
    of_model = network_config({"name": "fcn32s", "classes": 5, "head_channels": 32})
    given = {"data": Path("d"), "out": Path("o"), "init_from": "m.safetensors"}
    finer = TrainConfig.of(network="fcn16s", **given)
    assert as_the_model(finer, of_model) == (finer, ())
    wider = as_the_model(TrainConfig.of(head_channels=64, **given), of_model)[0]
    assert (wider.network, wider.head_channels) == ("fcn32s", 64)
    deep = network_config({"name": "deeplabv3", "classes": 5, "backbone": "efficientnet_lite0"})
    finer = as_the_model(TrainConfig.of(output_stride=8, **given), deep)[0]
    assert (finer.network, finer.output_stride) == ("deeplabv3", 8)
    with pytest.raises(ConfigError, match="fcn4s has no option output_stride"):
        TrainConfig.of(output_stride=8, data=Path("d"), out=Path("o"))
    other = network_config({"name": "segnet-basic", "classes": 5})
    with pytest.raises(ConfigError, match="segnet-basic has no option head_channels"):
        as_the_model(TrainConfig.of(head_channels=64, **given), other)


@pytest.mark.parametrize(("images", "epochs"), [(367, 60), (40, 200), (100_000, 15)])
def test_small_sets_are_seen_more_often(images: int, epochs: int) -> None:
    assert decided({}, facts(images=images))["epochs"] == epochs


@pytest.mark.parametrize(("having", "share"), [(400, 0.0), (20, 0.0), (19, 0.25), (1, 0.25)])
def test_a_class_that_few_images_have_is_drawn_on_purpose(having: int, share: float) -> None:
    by_image = np.full((400, 2), 50)
    by_image[having:, 1] = 0
    seen = facts()
    rare = replace(seen, seen=replace(seen.seen, by_image=by_image))
    config, choices = decide(TrainConfig.of(data=Path("d"), out=Path("o")), rare)
    assert config.balance == share
    rarest = having < 400
    assert choices[-1].why.startswith(f"class {int(rarest)} is in {having} of 400 images")


@pytest.mark.parametrize(
    ("pixels", "weights"),
    [((500, 400, 300), "none"), ((5000, 10), "inverse-log"), ((5000, 4000, 0), "none")],
)
def test_classes_are_weighted_where_they_are_unbalanced(
    pixels: tuple[int, ...], weights: str
) -> None:
    assert decided({}, facts(pixels=pixels))["class_weights"] == weights


def test_grey_pictures_of_middling_size_get_sensible_settings_without_help() -> None:
    chosen = decided({}, facts(images=40, size=(256, 256), pixels=(900, 300, 200, 40)))
    assert chosen["crop"] == (256, 256)
    assert chosen["batch_size"] == 8
    assert chosen["epochs"] == 200
    assert chosen["class_weights"] == "inverse-log"


def test_a_model_alone_is_trained_further_in_its_own_network(quick: TrainConfig) -> None:
    first = train(quick.model_copy(update={"network": "fcn16s", "epochs": 1}))
    further = TrainConfig.of(
        data=quick.data,
        out=quick.out.with_name("further"),
        init_from=first.model,
        epochs=1,
        workers=0,
        tracker="none",
    )
    said = StopAt()
    train(further, said)
    assert "network fcn16s: as the model to start from has" in said.lines
    before, after = (read_checkpoint(run.out / files.MODEL) for run in (quick, further))
    assert after.network == before.network
    # The same command goes on with it.
    assert train(further, auto_resume=True).folder == further.out
