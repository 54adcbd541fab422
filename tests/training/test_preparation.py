"""Training on images of many bands, types and gaps: what is recorded, and that it is used."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from perpixel import load
from perpixel.checkpoint import read_checkpoint
from perpixel.errors import ModelError
from perpixel.preprocessing import IMAGENET_MEAN, LUMA
from perpixel.training import TrainConfig, files, train


def rewrite(root: Path, make: object) -> dict[str, list[np.ndarray]]:
    """Every image (H, W, 3) of the set replaced by what `make` makes of it, as NumPy files."""
    made: dict[str, list[np.ndarray]] = {"train": [], "val": []}
    for path in sorted(root.glob("*/images/*.png")):
        image = make(cv2.imread(str(path))[:, :, ::-1])
        np.save(path.with_suffix(".npy"), image)
        path.unlink()
        made[path.parts[-3]].append(image)
    return made


def five_bands(image: np.ndarray) -> np.ndarray:
    bands = np.concatenate([image, image[:, :, :2]], axis=2).astype(np.uint16)
    return (bands * 3 + np.arange(5, dtype=np.uint16) * 100).transpose(2, 0, 1)


def heights(image: np.ndarray) -> np.ndarray:
    values = image[:, :, 0].astype(np.float32) * 10 - 500
    values[5:9, 5:9] = np.nan
    return values


def test_sixteen_bits_in_five_bands_are_normalised_by_the_data(quick: TrainConfig) -> None:
    images = rewrite(quick.data, five_bands)["train"]
    result = train(quick.model_copy(update={"epochs": 1}))
    prepared = load(result.model).preprocessing
    pixels = np.concatenate([image.reshape(5, -1) for image in images], axis=1) / 65_535
    assert prepared.bands == 5
    assert prepared.conversion == "none"
    np.testing.assert_allclose(prepared.mean, pixels.mean(1))
    np.testing.assert_allclose(prepared.std, pixels.std(1))


def test_floats_with_gaps_are_learnt_from_and_predicted(quick: TrainConfig) -> None:
    images = rewrite(quick.data, heights)["train"]
    result = train(quick)
    entries = files.read_metrics(quick.out)
    assert all(np.isfinite(entry["loss"]) for entry in entries)
    model = load(result.model)
    values = np.concatenate([image.reshape(-1) for image in images])
    np.testing.assert_allclose(model.preprocessing.mean, np.nanmean(values), rtol=1e-5)
    path = quick.data / "val/images/0.npy"
    whole = model.predict(path)
    assert np.isfinite(whole.confidence).all()
    # An array of the same numbers is predicted alike.
    np.testing.assert_array_equal(model.predict(np.load(path)).mask, whole.mask)


def test_bytes_in_rgb_keep_what_the_weights_want_unless_the_data_is_asked_for(
    quick: TrainConfig,
) -> None:
    short = quick.model_copy(update={"epochs": 1})
    assert load(train(short).model).preprocessing.mean == IMAGENET_MEAN
    own = short.model_copy(update={"normalisation": "data", "out": quick.out.with_name("own")})
    prepared = load(train(own).model).preprocessing
    assert prepared.mean != IMAGENET_MEAN
    assert prepared.conversion == "grey-rgb"


def test_a_mixture_that_is_not_to_be_converted_is_refused_before_the_first_step(
    quick: TrainConfig,
) -> None:
    path = quick.data / "val/images/1.png"
    cv2.imwrite(str(path), cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))
    with pytest.raises(ModelError, match=r"val/images/1\.png: 1 bands.*--conversion grey-rgb"):
        train(quick.model_copy(update={"conversion": "none"}))
    assert not quick.out.exists()


def grey(image: np.ndarray) -> np.ndarray:
    return np.rint(image @ np.asarray(LUMA)).astype(np.uint8)


@pytest.mark.parametrize("make", [grey, lambda image: image])
def test_a_model_of_the_other_colours_is_trained_on_by_conversion(
    quick: TrainConfig, make: object, tmp_path: Path
) -> None:
    import shutil

    short = quick.model_copy(update={"epochs": 1})
    other = Path(shutil.copytree(quick.data, tmp_path / "other"))
    rewrite(other, grey if make is not grey else lambda image: image)
    first = train(short.model_copy(update={"data": other, "out": tmp_path / "first"}))
    rewrite(quick.data, make)
    more = short.model_copy(update={"init_from": first.model})
    bands = read_checkpoint(first.model).preprocessing.bands
    model = load(train(more).model)
    assert model.preprocessing.bands == bands
    assert model.preprocessing.conversion == "grey-rgb"
    for name in ("other", "boxes"):
        assert model.predict(tmp_path / name / "val/images/0.npy").mask.ndim == 2
    strict = more.model_copy(update={"conversion": "none", "out": tmp_path / "strict"})
    with pytest.raises(ModelError, match="--conversion grey-rgb"):
        train(strict)
    assert not strict.out.exists()
