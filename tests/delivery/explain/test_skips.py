"""What each skip adds, against networks from whose weights the finer skips are cut."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from delivery.explain.conftest import LABELS, MakeModel
from perpixel.delivery.explain import skips
from perpixel.delivery.explain.skip_levels import masks_by_stride
from perpixel.errors import ConfigError
from perpixel.inference.predictor import Model
from perpixel.inference.runtimes.prepared import PreparedRuntime
from perpixel.networks import Network

SCORES = {16: "score_pool4", 8: "score_pool3"}
NETWORKS = [
    {"name": "fcn4s", "head": "scores"},
    {"name": "fcn4s", "head": "features"},
    {"name": "fcn8s", "head": "features", "backbone": "test_efficientnet"},
    {"name": "fcn16s", "head": "scores", "global_context": True},
    {"name": "fcn8s-vgg16", "width": 2},
    {"name": "fcn8s-vgg16", "width": 2, "fc6": "1x1", "upsampling": "learned"},
    {"name": "fcn8s-vgg16-at-once", "width": 2, "upsampling": "learned-inner"},
    {"name": "fcn16s-vgg16", "width": 2},
]


@pytest.mark.parametrize(
    "options", NETWORKS, ids=lambda options: "-".join(map(str, options.values()))
)
def test_a_mask_is_that_of_the_network_whose_finer_skips_have_weights_of_zero(
    make: MakeModel, picture: np.ndarray, options: dict[str, object]
) -> None:
    model = make(**options)
    before = copy.deepcopy(model.network.state_dict())
    masks = masks_by_stride(model, picture)
    name = str(options["name"])
    finest = int(name.removeprefix("fcn").split("s")[0])
    assert list(masks) == [stride for stride in (32, 16, 8, 4) if stride >= finest]
    np.testing.assert_array_equal(masks[finest], model.predict(picture).mask)
    for stride, mask in masks.items():
        network = copy.deepcopy(model.network)
        for part, weight in network.named_parameters():
            level = part.removeprefix("lateral.").split(".")[0]
            for finer in (16, 8, 4):
                own = part.startswith("lateral.") and level == str(finer)
                if finer < stride and (own or part.startswith(f"{SCORES.get(finer)}.")):
                    # Of a batch norm too: its result is then its bias, which is zero as well.
                    weight.data.zero_()
        cut = Model(network, LABELS, model.preprocessing, torch.device("cpu"))
        np.testing.assert_array_equal(mask, cut.predict(picture).mask)
    assert all(value.equal(before[key]) for key, value in model.network.state_dict().items())
    # Not an idle test: most of these skips do say something at these weights.
    if "backbone" not in options and not name.endswith("at-once"):
        assert any((masks[32] != mask).any() for mask in masks.values())


def test_a_model_with_another_runtime_is_cut_as_well(make: MakeModel, picture: np.ndarray) -> None:
    model = make(name="fcn8s-vgg16", width=2)
    network = model.network
    assert isinstance(network, Network)
    runtime = PreparedRuntime(network, model.device, "fp32")
    prepared = Model(network, LABELS, model.preprocessing, model.device, runtime)
    expected, found = masks_by_stride(model, picture), masks_by_stride(prepared, picture)
    assert expected.keys() == found.keys()
    for stride, mask in expected.items():
        np.testing.assert_array_equal(found[stride], mask)
    assert any((found[32] != mask).any() for mask in found.values())


def test_the_figure_says_how_much_each_skip_changed(make: MakeModel, picture: np.ndarray) -> None:
    model = make(name="fcn8s", head="scores")
    masks = masks_by_stride(model, picture)
    figure = skips(model, picture)
    titles = [axes.get_title() for axes in figure.axes]
    for coarse, fine in ((32, 16), (16, 8)):
        changed = masks[coarse] != masks[fine]
        share = 100 * changed.mean()
        assert f"the skip of stride {fine} changed {share:.1f} %" in titles
        axes = figure.axes[titles.index(f"the skip of stride {fine} changed {share:.1f} %")]
        shown = np.asarray(axes.images[0].get_array())
        np.testing.assert_array_equal(shown[changed], LABELS.colourise(masks[fine])[changed])
        assert (shown[~changed].max(axis=1) == shown[~changed].min(axis=1)).all()  # grey


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"name": "fcn32s"}, "FCN of stride 32"),
        ({"name": "fcn32s-vgg16", "width": 2}, "PaperFCN of stride 32"),
        ({"name": "segnet-basic", "width": 2}, "SegNetBasic"),
        ({"name": "unet", "width": 2}, "UNet"),
    ],
)
def test_a_network_that_sums_no_skips_says_what_it_is(
    make: MakeModel, picture: np.ndarray, options: dict[str, object], what: str
) -> None:
    with pytest.raises(ConfigError, match=what) as refused:
        skips(make(**options), picture)
    assert "\n" not in str(refused.value)
