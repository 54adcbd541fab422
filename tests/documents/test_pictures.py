"""The drawn pictures say what the page says."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from documents.conftest import script
from perpixel.delivery.scenes import draw
from perpixel.networks import PaperFCNConfig, build
from perpixel.networks.inspection import inspect

pictures, image_pictures = script("pictures"), script("image_pictures")


@pytest.mark.parametrize("name", [*pictures.BY_THEMSELVES, "windows", "field"])
def test_a_picture_is_drawn(name: str) -> None:
    figure = pictures.picture(name)
    figure.canvas.draw()
    assert figure.axes


def test_the_stamps_add_up_to_torchs_transposed_convolution() -> None:
    last = pictures.transposed().axes[-1]
    shown = np.reshape([int(text.get_text()) for text in last.texts], (4, 4))
    cells = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    expected = F.conv_transpose2d(cells, torch.ones(1, 1, 3, 3))[0, 0].numpy()
    assert np.array_equal(shown, expected)


@pytest.mark.parametrize(("fc6", "sees"), [("7x7", 404), ("1x1", 212)])
def test_the_boxes_are_as_large_as_the_networks_graph_says(fc6: str, sees: int) -> None:
    config = PaperFCNConfig(name="fcn32s-vgg16", classes=2, fc6=fc6, width=1)
    seen = inspect(build(config), (224, 224), bands=3)
    assert seen.cell.size == (sees, sees)
    if fc6 == "7x7":
        (scores,) = [layer for layer in seen.layers if layer.name == "score_fr"]
        assert scores.field is not None
        assert scores.field.centre == (13, 13)
    boxes = pictures.field(draw(0, 0, 60, 80)[0]).axes[0].patches
    assert sees in {box.get_width() for box in boxes}


def test_global_context_reaches_the_whole_image_and_else_nothing_does() -> None:
    image = draw(0, 0, 300, 340)[0]
    reached = [
        (image_pictures.influence_of(image, global_context=switch) > 0).mean()
        for switch in (False, True)
    ]
    assert reached[0] < 0.5
    assert reached[1] > 0.99
