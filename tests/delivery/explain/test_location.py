"""Location maps against the classifier run on windows of the image."""

from __future__ import annotations

import numpy as np
import pytest
import timm
import torch
from torch import nn

from perpixel.delivery.explain import location, location_map
from perpixel.delivery.explain.location import locate
from perpixel.errors import ConfigError
from perpixel.networks.classifier import Classifier, class_called, pretrained_classifier
from perpixel.networks.convolution import adapt_convolutions
from perpixel.preprocessing import Preprocessing

NAMES = ("tabby, tabby cat", "tiger cat", "crane (2)", "crane (3)", "Persian cat")


@pytest.fixture
def classifier() -> Classifier:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    network = timm.create_model("test_efficientnet", num_classes=len(NAMES))
    adapt_convolutions(network)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_var.uniform_(0.1, 0.5)  # type: ignore[union-attr]
    return Classifier(network.eval(), Preprocessing(), NAMES)


def test_an_image_of_two_windows_is_not_enlarged_and_cells_lie_in_the_middle_of_windows(
    classifier: Classifier, picture: np.ndarray
) -> None:
    own = int(classifier.network.pretrained_cfg["input_size"][-1])  # type: ignore[index,union-attr]
    image = np.resize(picture, (2 * own, 2 * own + 64, 3)).transpose(2, 0, 1)
    found = locate(classifier, np.ascontiguousarray(image))
    assert found.enlarged == 1
    assert found.window == (own, own)
    stride = 32
    assert found.probabilities.shape == (5, own // stride + 1, own // stride + 3)
    np.testing.assert_allclose(found.probabilities.sum(axis=0), 1, rtol=1e-5)
    left, right, bottom, top = found.extent
    assert right - left == stride * found.probabilities.shape[2]
    assert bottom - top == stride * found.probabilities.shape[1]
    # Its own window's middle, but for the half cells by which "same" padding is uneven.
    assert abs(left + stride / 2 - own / 2) <= stride
    # Where padding does not reach, a cell is the classifier's answer to the features it pools.
    batch = classifier.preprocessing(torch.from_numpy(np.ascontiguousarray(image))[None])
    with torch.no_grad():
        features = classifier.network.forward_features(batch)  # type: ignore[operator]
        side = own // stride
        for row, column in ((0, 0), (1, 2)):
            pooled = features[:, :, row : row + side, column : column + side]
            logits = classifier.network.forward_head(pooled)[0]  # type: ignore[operator]
            np.testing.assert_allclose(
                found.probabilities[:, row, column], logits.softmax(0), atol=1e-5
            )


def test_a_small_image_is_enlarged_and_the_cells_stay_in_its_own_pixels(
    classifier: Classifier, picture: np.ndarray
) -> None:
    found = locate(classifier, np.ascontiguousarray(picture.transpose(2, 0, 1)))
    own = int(classifier.network.pretrained_cfg["input_size"][-1])  # type: ignore[index,union-attr]
    assert found.enlarged == 2 * own / 71
    assert abs(found.window[0] - 71 / 2) < 0.01
    left, right, _, _ = found.extent
    assert right < 103
    assert left > 0


def test_the_figure_shows_the_asked_class(
    classifier: Classifier, picture: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(location, "pretrained_classifier", lambda name: classifier)
    figure = location_map(picture, "Tabby Cat")
    found = locate(classifier, np.ascontiguousarray(picture.transpose(2, 0, 1)))
    np.testing.assert_array_equal(figure.axes[1].images[1].get_array(), found.probabilities[0])
    wins = 100 * (found.probabilities.argmax(axis=0) == 0).mean()
    assert f"first in {wins:.1f} %" in figure.axes[1].get_xlabel()


@pytest.mark.parametrize(
    ("wanted", "index"), [("tabby", 0), ("TABBY CAT", 0), ("tabby, tabby cat", 0), ("crane (3)", 3)]
)
def test_a_class_is_found_by_any_of_its_names(wanted: str, index: int) -> None:
    assert class_called(NAMES, wanted) == index


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("cat", "'tabby cat' or 'tiger cat' or 'persian cat'"),
        ("tabbby", "'tabby'"),
        ("crane", "2 kinds of 'crane'.*'crane \\(2\\)' or 'crane \\(3\\)'"),
        ("zzzzzz", "such as 'tabby cat'"),
        ("", "such as 'tabby cat'"),
    ],
)
def test_an_unknown_class_suggests_near_ones(wanted: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        class_called(NAMES, wanted)


def test_an_unknown_classifier_suggests_near_ones() -> None:
    with pytest.raises(ConfigError, match="efficientnet_lite0"):
        pretrained_classifier("efficientnet_lite00")
