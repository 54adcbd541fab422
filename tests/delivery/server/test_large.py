"""Images that do not fit into the memory whole."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from delivery.server.conftest import Serving, mask_in, picture, png
from perpixel.delivery.server import large
from perpixel.delivery.server.large import LargeOnes
from perpixel.inference.large import large_images
from perpixel.inference.predictor import Model
from perpixel.inference.tiles.tile_size import Footprint
from perpixel.labels import LabelSpace
from perpixel.networks import build, network_config
from perpixel.preprocessing import Preprocessing


@pytest.fixture
def ours(labels: LabelSpace) -> Model:
    torch.manual_seed(0)
    options = {"name": "fcn8s", "backbone": "test_resnet", "classes": 4, "head_channels": 8}
    network = build(network_config(options)).eval()
    return Model(network, labels, Preprocessing(), torch.device("cpu"))


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pixels the network can be shown."""
    found = [600 * 600]
    # Not so many that nothing has to be counted.
    monkeypatch.setattr(large_images, "_PLENTY", 1 << 40)
    monkeypatch.setattr(Footprint, "pixels", lambda self, model, memory: found[0])
    return found


def test_a_large_image_is_predicted_in_tiles_and_its_mask_is_that_of_the_whole(
    serving: Serving, ours: Model, room: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    tiles: list[tuple[int, int]] = []
    really = large.predict_tiled

    def watched(model: Model, image: np.ndarray, **options: object) -> object:
        tiles.append(options["tile"])  # type: ignore[arg-type]
        return really(model, image, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(large, "predict_tiled", watched)
    small, wide = picture(90, 110), picture(700, 900, 1)
    with serving(ours) as client:
        of_small = mask_in(client.post("/v1/segment", content=png(small)))
        of_wide = mask_in(client.post("/v1/segment", content=png(wide)))
        found = client.app.state.segmenting.image(wide)  # type: ignore[attr-defined]
    assert len(tiles) == 2
    assert min(tiles[0]) < 700
    assert np.array_equal(of_small, ours.predict(small).mask)
    assert np.array_equal(of_wide, ours.predict(wide).mask)
    assert np.array_equal(found.mask, of_wide)


def test_too_little_memory_for_a_tile_is_said(
    serving: Serving, ours: Model, room: list[int]
) -> None:
    room[0] = 10
    with serving(ours) as client:
        refused = client.post("/v1/segment", content=png(picture(300, 300)))
    assert refused.status_code == 413
    assert refused.json()["code"] == "too_large_here"


def test_a_network_that_cannot_be_tiled_gets_images_whole(model: Model, room: list[int]) -> None:
    # Not one of ours: nothing is known of what its layers see.
    assert not LargeOnes(model).takes(np.zeros((3, 500, 500), np.uint8))
