"""The network's arithmetic against the paper's, put together by hand."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from perpixel.networks import FCNConfig, build
from perpixel.networks.transfer import initialise_from


def config(name: str, head: str, **more: object) -> FCNConfig:
    values = {"name": name, "head": head, "backbone": "test_resnet", "classes": 4, **more}
    return FCNConfig.model_validate(values)


def test_scores_are_summed_as_in_the_paper() -> None:
    network = build(config("fcn8s", "scores")).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += torch.randn(parameter.shape) * 0.05
        images = torch.randn(2, 3, 64, 96)
        found = network(images).scores
        features, weights = network.backbone(images), network.state_dict()

        def score(level: int) -> torch.Tensor:
            weight, bias = weights[f"lateral.{level}.weight"], weights[f"lateral.{level}.bias"]
            # A 1×1 convolution is a matrix at every place.
            values = torch.einsum("oc,bchw->bohw", weight[:, :, 0, 0], features[level])
            return values + bias.view(1, -1, 1, 1)

        def twice(scores: torch.Tensor, level: int) -> torch.Tensor:
            whole = F.conv_transpose2d(scores, weights[f"up.{level}.weight"], stride=2)
            return whole[:, :, 1:-1, 1:-1]

        expected = score(8) + twice(score(16) + twice(score(32), 16), 8)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_a_finer_network_starts_as_the_coarser_one_it_was_made_from() -> None:
    coarse, fine = build(config("fcn16s", "scores")).eval(), build(config("fcn4s", "scores")).eval()
    transfer = initialise_from(fine, coarse.state_dict())
    assert sorted({name.rpartition(".")[0] for name in transfer.left}) == [
        "lateral.4", "lateral.8", "up.4", "up.8",
    ]  # fmt: skip
    images = torch.randn(1, 3, 128, 160)
    with torch.no_grad():
        scores = coarse(images).scores
        found = fine(images).scores
    # Skips of zero, and doublings that start bilinear except at the border, which fades.
    twice = F.interpolate(scores, scale_factor=2, mode="bilinear")
    expected = F.interpolate(twice, scale_factor=2, mode="bilinear")
    torch.testing.assert_close(found[:, :, 8:-8, 8:-8], expected[:, :, 8:-8, 8:-8])
    assert bool(found.any())


def test_features_go_up_without_fading_at_the_border() -> None:
    network = build(config("fcn4s", "features"))
    constant = torch.ones(1, 5, 3, 4)
    assert torch.equal(network.up["16"](constant), torch.ones(1, 5, 6, 8))


def test_context_adds_the_same_to_every_place_of_the_deepest_level() -> None:
    network = build(config("fcn32s", "scores", global_context=True)).eval()
    images = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        whole = network(images).scores
        context, network.context = network.context, None
        difference = whole - network(images).scores
        mean = network.backbone(images)[32].mean(dim=(2, 3))
        expected = mean @ context.weight[:, :, 0, 0].T + context.bias
    torch.testing.assert_close(
        difference, expected[:, :, None, None].expand_as(difference), rtol=1e-4, atol=1e-5
    )


def test_the_default_network_is_small() -> None:
    network = build(FCNConfig(classes=11))
    assert sum(parameter.numel() for parameter in network.parameters()) < 4_000_000
