from __future__ import annotations

import itertools

import pytest
import torch

from perpixel.errors import WeightsError
from perpixel.networks import FCNConfig, build
from perpixel.networks.transfer import initialise_from


def config(**values: object) -> FCNConfig:
    return FCNConfig.model_validate({"backbone": "test_resnet", "classes": 3, **values})


def test_with_other_classes_only_the_classifier_stays_as_it_was() -> None:
    source, network = build(config(classes=5)), build(config())
    own = network.state_dict()["classify.1.weight"].clone()
    transfer = initialise_from(network, source.state_dict())
    assert transfer.left == ["classify.1.weight", "classify.1.bias"]
    assert set(transfer.copied) | set(transfer.left) == set(network.state_dict())
    for name in transfer.copied:
        assert torch.equal(network.state_dict()[name], source.state_dict()[name])
    assert torch.equal(network.state_dict()["classify.1.weight"], own)
    assert transfer.summary().endswith("left as they were: classify.1")


def test_each_finer_network_takes_all_that_the_coarser_one_has() -> None:
    for head in ("scores", "features"):
        for coarse, fine in itertools.pairwise(["fcn32s", "fcn16s", "fcn8s", "fcn4s"]):
            source = build(config(name=coarse, head=head)).state_dict()
            transfer = initialise_from(build(config(name=fine, head=head)), source)
            assert set(transfer.copied) == set(source)


def test_a_stranger_is_refused() -> None:
    source = build(config(backbone="test_efficientnet")).state_dict()
    with pytest.raises(WeightsError, match="backbone test_resnet"):
        initialise_from(build(config()), source)
