"""The winner's probability and margin against torch's softmax of the upsampled scores."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from delivery.explain.conftest import LABELS, MakeModel
from perpixel.delivery.explain import certainty, doubt
from perpixel.delivery.explain.doubt import winner_and_margin
from perpixel.score_map import ScoreMap


@settings(max_examples=20, deadline=None)
@given(
    classes=st.integers(1, 5),
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    seed=st.integers(0, 99),
)
def test_winner_and_margin_are_the_two_highest_probabilities(
    classes: int, height: int, width: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    score_map = ScoreMap.of(3 * torch.randn(1, classes, 3, 4, generator=generator), (height, width))
    winner, margin = winner_and_margin(score_map)
    ordered = np.sort(score_map.logits()[0].double().softmax(0).numpy(), axis=0)[::-1]
    np.testing.assert_allclose(winner, ordered[0], atol=1e-5)
    second = ordered[1] if classes > 1 else 0
    np.testing.assert_allclose(margin, ordered[0] - second, atol=1e-5)


def test_the_panels_show_them_and_count_the_unsure_pixels(
    make: MakeModel, picture: np.ndarray
) -> None:
    model = make(name="fcn8s", head="scores")
    figure = certainty(model, picture)
    predicted = model.predict(picture)
    shown = figure.axes[1].images[1].get_array()
    np.testing.assert_allclose(shown, predicted.confidence, atol=1e-5)
    below = 100 * (predicted.confidence < doubt.UNSURE).mean()
    assert f"below 0.5 on {below:.1f} %" in figure.axes[1].get_xlabel()
    written = [text.get_text() for text in figure.legends[0].get_texts()]
    for name, share in predicted.areas().items():
        in_legend = any(text.startswith(name) for text in written)
        assert in_legend == (share > 0) or name == LABELS.names[3]  # cut: it is long
