"""Heat maps against the softmax of the network's scores, cell by cell."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from delivery.explain.conftest import LABELS, MakeModel
from perpixel.delivery.explain import heat_maps, sheet
from perpixel.delivery.explain.scored import cell_probabilities
from perpixel.errors import ConfigError
from perpixel.score_map import ScoreMap


def scores_of(model: object, picture: np.ndarray) -> torch.Tensor:
    batch = torch.from_numpy(picture).permute(2, 0, 1)[None]
    with torch.no_grad():
        scores: torch.Tensor = model.network(model.preprocessing(batch)).scores  # type: ignore[attr-defined]
    return scores


def test_each_panel_is_the_softmax_of_the_scores_before_upsampling(
    make: MakeModel, picture: np.ndarray
) -> None:
    model = make(name="fcn16s", head="scores")
    figure = heat_maps(model, picture)
    expected = F.softmax(scores_of(model, picture)[0].double(), dim=0).numpy()
    mask = model.predict(picture).mask
    titles = [axes.get_title() for axes in figure.axes[:5]]
    assert titles == ["the image", *map(sheet.short, LABELS.names)]
    for index, axes in enumerate(figure.axes[1:5]):
        _, cells = axes.images
        # 71×103 pixels look up cells 0 … 4 and 0 … 6; padded to 96×128 there are 6 × 8.
        assert cells.get_array().shape == (5, 7)
        np.testing.assert_allclose(cells.get_array(), expected[index, :5, :7], atol=1e-5)
        # Cell 0's middle is at 8 pixels, so it lies at 0 … 16.
        assert tuple(cells.get_extent()) == (0, 112, 80, 0)
        assert axes.get_xlim() == (0, 103)
        assert axes.get_ylim() == (71, 0)
        highest, share = expected[index, :5, :7].max(), 100 * (mask == index).mean()
        assert f"highest {highest:.2f}" in axes.get_xlabel()
        assert f"{share:.1f} %" in axes.get_xlabel() or share < 0.1
        assert axes.spines["left"].get_edgecolor()[:3] == sheet.rgb(LABELS.colours[index])


def test_an_image_one_pixel_wide_has_no_more_columns_than_panels(make: MakeModel) -> None:
    figure = heat_maps(make(name="fcn16s", head="scores"), np.zeros((300, 1, 3), np.uint8))
    assert len(figure.axes) <= len(LABELS.names) + 2


@pytest.mark.parametrize("offset", [0.0, 3 / 32, 19 / 16, -0.4])
def test_a_cell_lies_where_the_lookup_hits_it_exactly(offset: float) -> None:
    torch.manual_seed(0)
    score_map = ScoreMap.of(torch.randn(1, 3, 6, 5), (37, 29), 8.0, offset)
    values, (left, right, bottom, top) = cell_probabilities(score_map)
    # At a whole number of cells from `top` plus half a cell, upsampling is the cell itself.
    logits = score_map.logits()[0]
    for row in range(values.shape[1]):
        y = top + (row + 0.5) * (bottom - top) / values.shape[1] - 0.5
        for column in range(values.shape[2]):
            x = left + (column + 0.5) * (right - left) / values.shape[2] - 0.5
            if y == int(y) and x == int(x) and 0 <= y < 37 and 0 <= x < 29:
                found = logits[:, int(y), int(x)].softmax(0)
                np.testing.assert_allclose(values[:, row, column], found, atol=1e-6)
    assert (right - left) / values.shape[2] == (bottom - top) / values.shape[1] == 8
    assert top <= 4
    assert bottom >= 33


def test_asked_classes_alone_are_shown_and_an_unknown_one_is_refused(
    make: MakeModel, picture: np.ndarray
) -> None:
    model = make(name="fcn32s")
    figure = heat_maps(model, picture, ["sand", "sky"])
    assert [axes.get_title() for axes in figure.axes[:-1]] == ["the image", "sand", "sky"]
    with pytest.raises(ConfigError, match=r"knows no 'sandd'\. Give 'sand'"):
        heat_maps(model, picture, ["sandd"])
    with pytest.raises(ConfigError, match="one of sky"):
        heat_maps(model, picture, ["zzzzz"])
