"""Heat maps and masks by stride, beside a model that others use meanwhile."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from perpixel.delivery.explain.skip_levels import masks_by_stride
from perpixel.delivery.page.insight import Insight
from perpixel.errors import DataError
from perpixel.inference.predictor import Model
from perpixel.inference.segmentation import Segmentation
from perpixel.networks import build, network_config


def test_a_class_has_the_probability_that_the_full_size_logits_give(
    model: Model, segmentation: Segmentation, scene: np.ndarray
) -> None:
    insight = Insight(model)
    with torch.inference_mode():
        (score_map,) = model.views([scene.transpose(2, 0, 1)], names=["scene"])
        expected = score_map.logits()[0].softmax(dim=0).numpy()
    for index in range(model.labels.classes):
        found = insight.probability(segmentation, index, segmentation.mask.shape)
        assert np.abs(found - expected[index]).max() < 1e-5


def test_in_a_smaller_picture_it_is_the_probability_at_its_points(
    model: Model, segmentation: Segmentation, scene: np.ndarray
) -> None:
    height, width = segmentation.mask.shape
    with torch.inference_mode():
        (score_map,) = model.views([scene.transpose(2, 0, 1)], names=["scene"])
        smaller = torch.nn.functional.interpolate(
            score_map.logits(), (height // 3, width // 3), mode="bilinear", align_corners=False
        )
    found = Insight(model).probability(segmentation, 1, (height // 3, width // 3))
    assert found.shape == (height // 3, width // 3)
    # Looked up once where this reference looks up twice.
    assert np.abs(found - smaller[0].softmax(dim=0)[1].numpy()).mean() < 0.01


def test_the_newest_image_is_run_once_for_all_its_classes(
    model: Model, segmentation: Segmentation, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = []
    views = Model.views

    def counted(self: Model, *arguments: object, **options: object) -> object:
        runs.append(self)
        return views(self, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Model, "views", counted)
    insight = Insight(model)
    for index in (0, 1, 0):
        insight.probability(segmentation, index, (20, 30))
    assert len(runs) == 1
    insight.forget(segmentation)
    insight.probability(segmentation, 0, (20, 30))
    assert len(runs) == 2
    # Others use the model's own network meanwhile.
    assert all(run.network is not model.network for run in runs)


def test_an_image_is_put_away_while_the_network_runs_and_then_not_kept(
    model: Model, segmentation: Segmentation, monkeypatch: pytest.MonkeyPatch
) -> None:
    insight, begun, go_on = Insight(model), threading.Event(), threading.Event()
    runs: list[Model] = []
    views = Model.views

    def held_up(self: Model, *arguments: object, **options: object) -> object:
        runs.append(self)
        begun.set()
        assert go_on.wait(30)
        return views(self, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Model, "views", held_up)
    looking = threading.Thread(target=insight.probability, args=(segmentation, 0, (20, 30)))
    forgetting = threading.Thread(target=insight.forget, args=(segmentation,))
    looking.start()
    assert begun.wait(30)
    forgetting.start()
    forgetting.join(5)
    waited = forgetting.is_alive()
    go_on.set()
    looking.join(30)
    forgetting.join(30)
    assert not waited
    insight.probability(segmentation, 1, (20, 30))
    assert len(runs) == 2


def test_masks_by_stride_are_those_of_the_explanation(
    model: Model, segmentation: Segmentation, scene: np.ndarray
) -> None:
    insight = Insight(model)
    found, expected = insight.masks(segmentation), masks_by_stride(model, scene)
    assert insight.strides == (32, 16, 8) == tuple(found) == tuple(expected)
    for stride, mask in expected.items():
        assert np.array_equal(found[stride], mask)
    assert np.array_equal(found[8], segmentation.mask)
    assert not np.array_equal(found[32], found[8])


def test_leaving_skips_out_does_not_reach_those_who_predict_meanwhile(
    model: Model, segmentation: Segmentation, scene: np.ndarray
) -> None:
    insight, done = Insight(model), threading.Event()
    wrong: list[int] = []

    def predict() -> None:
        while not done.is_set():
            wrong.append(int((model.predict(scene).mask != segmentation.mask).sum()))

    others = threading.Thread(target=predict)
    others.start()
    try:
        for _ in range(15):
            insight.masks(segmentation)
    finally:
        done.set()
        others.join()
    assert wrong
    assert set(wrong) == {0}


@pytest.mark.parametrize("name", ["fcn32s", "unet"])
def test_a_network_that_sums_no_skips_has_no_strides(name: str, model: Model) -> None:
    options: dict[str, object] = {"name": name, "classes": 6}
    if name == "fcn32s":
        options |= {"backbone": "test_resnet", "head_channels": 8}
    other = Model(
        build(network_config(options)), model.labels, model.preprocessing, torch.device("cpu")
    )
    assert Insight(other).strides == ()


def test_an_export_has_heat_maps_and_no_strides(model: Model, segmentation: Segmentation) -> None:
    export = Model(None, model.labels, model.preprocessing, model.device, model.runtime)
    insight = Insight(export)
    assert insight.strides == ()
    size = segmentation.mask.shape
    expected = Insight(model).probability(segmentation, 0, size)
    assert np.allclose(insight.probability(segmentation, 0, size), expected, atol=1e-5)


def test_an_image_that_is_predicted_in_tiles_is_not_looked_into(
    model: Model, segmentation: Segmentation, monkeypatch: pytest.MonkeyPatch
) -> None:
    insight = Insight(model)
    monkeypatch.setattr("perpixel.inference.large.large_images.memory_bytes", lambda text: 100_000)
    with pytest.raises(DataError, match="133 × 91 pixels, which were predicted in tiles"):
        insight.probability(segmentation, 0, (10, 10))
    with pytest.raises(DataError, match="memory whole"):
        insight.masks(segmentation)
