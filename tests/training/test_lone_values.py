"""Steps whose batch norms would see a single value."""

from __future__ import annotations

import pytest

from perpixel.errors import ConfigError
from perpixel.training import TrainConfig, train
from perpixel.training.lone_values import refuse_lone_values
from perpixel.training.processes import Processes


def cropped(config: TrainConfig, crop: tuple[int, int] | None, **settings: object) -> TrainConfig:
    augmentation = config.augmentation.model_copy(update={"crop": crop})
    return config.model_copy(update={"augmentation": augmentation, **settings})


def test_one_image_no_larger_than_the_grid_is_refused_before_the_run(quick: TrainConfig) -> None:
    with pytest.raises(ConfigError, match="parts of one image of 32×32"):
        train(cropped(quick, (32, 32), accumulate=2))
    assert not quick.out.exists()


@pytest.mark.parametrize(
    ("crop", "sizes", "settings", "refused"),
    [
        ((32, 32), [(90, 90)], {"batch_size": 1}, True),
        ((32, 32), [(90, 90)], {"batch_size": 3, "accumulate": 2}, True),
        (None, [(20, 32), (90, 90)], {"batch_size": 1}, True),
        (None, [(20, 32), (90, 90)], {"accumulate": 2}, False),
        ((32, 33), [(90, 90)], {"batch_size": 1}, False),
        ((32, 32), [(90, 90)], {"batch_size": 2}, False),
        ((32, 32), [(90, 90)], {"batch_size": 1, "batch_norm": "frozen"}, False),
    ],
)
def test_only_single_values_are_refused(
    quick: TrainConfig,
    crop: tuple[int, int] | None,
    sizes: list[tuple[int, int]],
    settings: dict[str, object],
    refused: bool,
) -> None:
    config = cropped(quick, crop, **settings)

    def check() -> None:
        refuse_lone_values(config, config.network_config(2, 3), sizes, 4, Processes.start())

    if refused:
        with pytest.raises(ConfigError, match="a batch norm cannot learn"):
            check()
    else:
        check()
