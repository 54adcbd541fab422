"""Receptive fields and evidence, against perturbed images and torch's own gradients."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from delivery.explain.conftest import MakeModel
from perpixel.delivery.explain import influence as module
from perpixel.delivery.explain import pixel
from perpixel.delivery.explain.influence import (
    Box,
    in_squares,
    influence,
    share_around,
    theoretical_field,
)
from perpixel.delivery.explain.scored import scored
from perpixel.errors import ConfigError
from perpixel.inference.predictor import Model

NETWORKS = [
    {"name": "fcn8s", "head": "scores"},
    {"name": "fcn4s", "head": "features"},
    {"name": "fcn16s-vgg16", "width": 1},
    {"name": "segnet-basic", "width": 2},
]
PLACE = (61, 30)


def rivals(model: Model, picture: np.ndarray, place: tuple[int, int]) -> tuple[int, int]:
    logits = scored(model, picture).score_map.logits()[0, :, place[1], place[0]]
    first, second = logits.topk(2).indices.tolist()
    return first, second


def wide(seed: int = 0) -> np.ndarray:
    """An image that is larger than the small networks' fields."""
    return np.random.default_rng(seed).integers(0, 256, (203, 467, 3), np.uint8)


@pytest.mark.parametrize("options", NETWORKS, ids=lambda options: str(options["name"]))
def test_the_effective_field_lies_in_the_theoretical_one(
    make: MakeModel, options: dict[str, object]
) -> None:
    model, picture, place = make(**options), wide(), (231, 100)
    found = scored(model, picture)
    field = theoretical_field(model, found.score_map, *place)
    # Shown the whole image, so that nothing but the network bounds what it sees.
    everything = replace(field, box=Box(0, 203, 0, 467))
    acts = influence(model, found.image, "image", everything, place, rivals(model, picture, place))
    rows, columns = np.nonzero(acts.gradient)
    box = field.box
    assert box.top <= rows.min() <= place[1] <= rows.max() < box.bottom
    assert box.left <= columns.min() <= place[0] <= columns.max() < box.right


def test_no_pixel_outside_the_box_matters_and_its_edges_do(make: MakeModel) -> None:
    model = make(name="segnet-basic", width=2)
    picture, place = wide(), (231, 100)
    found = scored(model, picture)
    box = theoretical_field(model, found.score_map, *place).box
    assert box.left > 0
    assert box.right < 467
    outside = wide(seed=1)
    inside = box.clipped(found.size)
    part = np.s_[inside.top : inside.bottom, inside.left : inside.right]
    outside[part] = picture[part]
    before = found.score_map.logits()[0, :, place[1], place[0]]
    after = scored(model, outside).score_map.logits()[0, :, place[1], place[0]]
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("options", NETWORKS, ids=lambda options: str(options["name"]))
def test_a_part_of_the_image_gives_the_gradient_of_the_whole(
    make: MakeModel, options: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STEPS", 2)
    model, picture, place = make(**options), wide(), (431, 100)
    found = scored(model, picture)
    field = theoretical_field(model, found.score_map, *place)
    both = rivals(model, picture, place)
    part = influence(model, found.image, "image", field, place, both)
    box = Box(0, 203, 0, 467)
    whole = influence(model, found.image, "image", replace(field, box=box), place, both)
    scale = float(whole.gradient.max())
    assert scale > 0
    np.testing.assert_allclose(part.gradient, whole.gradient, atol=1e-4 * scale)
    most = float(np.abs(whole.evidence).max())
    np.testing.assert_allclose(part.evidence, whole.evidence, atol=1e-3 * most)


def test_the_gradient_is_torch_s(make: MakeModel, picture: np.ndarray) -> None:
    model = make(name="fcn8s", head="scores")
    found = scored(model, picture)
    first, second = rivals(model, picture, PLACE)
    field = theoretical_field(model, found.score_map, *PLACE)
    acts = influence(model, found.image, "image", field, PLACE, (first, second))
    image = torch.from_numpy(picture).permute(2, 0, 1)[None]
    given = model.preprocessing(image).requires_grad_()
    logits = model.network(given).logits()[0, :, PLACE[1], PLACE[0]]
    logits[first].backward()  # type: ignore[no-untyped-call]
    assert given.grad is not None
    expected = given.grad[0].abs().sum(0).numpy()
    np.testing.assert_allclose(acts.gradient, expected, atol=1e-5 * expected.max())
    np.testing.assert_allclose(
        acts.lead, float((logits[first] - logits[second]).detach()), rtol=1e-4
    )


@pytest.mark.parametrize("name", ["fcn8s", "fcn16s-vgg16"])
def test_the_evidence_adds_up_to_the_lead_over_a_grey_image(
    make: MakeModel, picture: np.ndarray, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(module, "STEPS", 64)
    model = make(name=name) if name == "fcn8s" else make(name=name, width=1)
    found = scored(model, picture)
    field = theoretical_field(model, found.score_map, *PLACE)
    acts = influence(model, found.image, "image", field, PLACE, rivals(model, picture, PLACE))
    grey = torch.zeros(1, 3, *picture.shape[:2])
    first, second = rivals(model, picture, PLACE)
    with torch.no_grad():
        logits = model.network(grey).logits()[0, :, PLACE[1], PLACE[0]]
    np.testing.assert_allclose(acts.grey_lead, float(logits[first] - logits[second]), atol=1e-4)
    size = float(np.abs(acts.evidence).sum())
    assert abs(acts.evidence.sum() - (acts.lead - acts.grey_lead)) < 0.02 * size
    assert abs(acts.lead - acts.grey_lead) > 0.02 * size


def test_a_single_class_has_no_rival(picture: np.ndarray, make: MakeModel) -> None:
    model = make(name="fcn32s", head="scores", classes=1)
    model.labels = type(model.labels).of(("only",))
    figure = pixel(model, picture, PLACE)
    assert "red − against" in figure.axes[3].get_title()


def test_a_network_that_looks_at_the_whole_image_is_shown_all_of_it(
    make: MakeModel, picture: np.ndarray
) -> None:
    model = make(name="fcn16s", global_context=True)
    assert "and beyond it all, through context" in pixel(model, picture, PLACE).axes[0].get_xlabel()
    field = theoretical_field(model, scored(model, wide()).score_map, 5, 5)
    assert field.whole_image_layer == "context"
    image = scored(model, wide()).image
    acts = influence(model, image, "image", field, (5, 5), (0, 1))
    assert acts.gradient[-1, -1] > 0


def test_the_square_is_the_smallest_that_holds_the_share() -> None:
    rng = np.random.default_rng(0)
    values = rng.random((13, 21)).astype(np.float32)
    side = share_around(values, (4, 9), 0.6)

    def held(reach: int) -> float:
        rows, columns = slice(max(0, 9 - reach), 10 + reach), slice(max(0, 4 - reach), 5 + reach)
        return float(values[rows, columns].sum() / values.sum())

    assert held(side // 2) >= 0.6
    assert held(side // 2 - 1) < 0.6


def test_squares_hold_the_sums_and_lose_nothing() -> None:
    values = np.random.default_rng(0).standard_normal((13, 21)).astype(np.float32)
    squares = in_squares(values, 5)
    assert squares.shape == (3, 5)
    np.testing.assert_allclose(squares[1, 2], values[5:10, 10:15].sum(), rtol=1e-5)
    np.testing.assert_allclose(squares[2, 4], values[10:, 20:].sum(), rtol=1e-5)
    np.testing.assert_allclose(squares.sum(), values.sum(), rtol=1e-4)


@pytest.mark.parametrize("place", [(-1, 0), (103, 0), (0, 71)])
def test_a_pixel_outside_the_image_is_refused(
    make: MakeModel, picture: np.ndarray, place: tuple[int, int]
) -> None:
    with pytest.raises(ConfigError, match="103×71; expected 0,0 to 102,70"):
        pixel(make(name="fcn32s"), picture, place)
