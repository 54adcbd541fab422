"""Preprocessing: from an image's own numbers to a network's input."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError
from torchvision.transforms.v2 import functional as tv

from perpixel.errors import ModelError
from perpixel.preprocessing import IMAGENET_MEAN, IMAGENET_STD, Preprocessing

CAFFE = Preprocessing(order="bgr", range=255.0, mean=(104.0, 117.0, 123.0), std=(1.0, 1.0, 1.0))


def images_of(dtype, bands=3, batch=2):
    rng = np.random.default_rng(bands)
    if dtype == np.float32:
        return torch.from_numpy(rng.random((batch, bands, 5, 7), np.float32))
    full = np.iinfo(dtype).max
    return torch.from_numpy(rng.integers(0, full, (batch, bands, 5, 7), dtype, endpoint=True))


def test_8_bit_rgb_is_normalised_as_torchvision_does():
    images = images_of(np.uint8)
    expected = tv.normalize(images.to(torch.float32) / 255, IMAGENET_MEAN, IMAGENET_STD)
    torch.testing.assert_close(Preprocessing()(images), expected, atol=1e-5, rtol=1e-5)


def test_caffes_convention_is_bgr_from_0_to_255_minus_the_mean():
    images = images_of(np.uint8)
    expected = images.flip(1).to(torch.float32) - torch.tensor(CAFFE.mean).view(1, 3, 1, 1)
    torch.testing.assert_close(CAFFE(images), expected)


@pytest.mark.parametrize("bands", [1, 2, 3, 5])
@pytest.mark.parametrize("order", ["rgb", "bgr"])
@pytest.mark.parametrize("batch", [1, 3])
def test_bytes_that_are_looked_up_are_normalised_to_the_last_bit(bands, order, batch):
    rng = np.random.default_rng(bands)
    mean, std = (tuple((rng.random(bands) + 0.1).tolist()) for _ in range(2))
    preprocessing = Preprocessing(bands=bands, order=order, mean=mean, std=std)
    images = images_of(np.uint8, bands, batch)
    looked_up = preprocessing.of_bytes(images.permute(0, 2, 3, 1).contiguous().numpy())
    expected = preprocessing(images).permute(0, 2, 3, 1).numpy()
    np.testing.assert_array_equal(looked_up, expected)


@pytest.mark.parametrize("preprocessing", [Preprocessing(), CAFFE])
def test_an_image_means_the_same_in_8_bits_16_bits_and_floats(preprocessing):
    images = images_of(np.uint8)
    wide = torch.from_numpy(images.numpy().astype(np.uint16) * 257)
    from_bytes = preprocessing(images)
    torch.testing.assert_close(preprocessing(wide), from_bytes, atol=1e-3, rtol=1e-5)
    floats = preprocessing(images.to(torch.float32) / 255)
    torch.testing.assert_close(floats, from_bytes, atol=1e-3, rtol=1e-5)


@given(
    st.sampled_from([np.uint8, np.uint16, np.float32]),
    st.sampled_from(["rgb", "bgr"]),
    st.sampled_from([1.0, 255.0]),
)
def test_the_fill_value_becomes_zero(dtype, order, full):
    preprocessing = Preprocessing(
        order=order, range=full, mean=(0.1 * full, 0.5 * full, 0.7 * full), std=(0.2, 0.3, 0.4)
    )
    fill = preprocessing.fill(np.dtype(dtype))
    # Filling rounds to the image's type: unrounded, it is exactly the mean.
    unit = {np.uint8: 255.0, np.uint16: 65_535.0, np.float32: 1.0}[dtype]
    image = torch.from_numpy(fill / unit).view(1, 3, 1, 1).to(torch.float32)
    torch.testing.assert_close(
        preprocessing(image), torch.zeros(1, 3, 1, 1), atol=2e-4 * full, rtol=0.0
    )


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_grey_becomes_rgb_and_back_without_change(dtype):
    grey = images_of(dtype, bands=1)[0].numpy()
    rgb = Preprocessing().fit_bands(grey)
    assert rgb.shape == (3, 5, 7)
    assert rgb.dtype == grey.dtype
    again = Preprocessing(bands=1, mean=(0.5,), std=(0.5,)).fit_bands(rgb)
    assert again.dtype == grey.dtype
    np.testing.assert_allclose(again, grey, rtol=1e-6)


def test_rgb_becomes_grey_as_pillow_does():
    rgb = images_of(np.uint8)[0].numpy()
    grey = Preprocessing(bands=1, mean=(0.5,), std=(0.5,)).fit_bands(rgb)
    pillow = np.asarray(Image.fromarray(rgb.transpose(1, 2, 0)).convert("L"))
    assert np.abs(grey[0].astype(int) - pillow.astype(int)).max() <= 1


@pytest.mark.parametrize(("found", "wanted"), [(4, 3), (3, 4), (2, 3), (1, 4), (5, 1)])
def test_bands_that_do_not_fit_are_refused_by_the_images_name(found, wanted):
    preprocessing = Preprocessing(bands=wanted, mean=(0.5,) * wanted, std=(0.5,) * wanted)
    with pytest.raises(ModelError, match=rf"photo\.tif: {found} bands; expected {wanted} bands"):
        preprocessing.fit_bands(np.zeros((found, 2, 2), np.uint8), "photo.tif")
    with pytest.raises(ModelError, match=f"{found} bands"):
        preprocessing(torch.zeros(1, found, 2, 2))


@pytest.mark.parametrize(("found", "wanted"), [(1, 3), (3, 1)])
def test_without_conversion_grey_and_rgb_have_to_fit_and_the_flag_is_named(found, wanted):
    strict = Preprocessing(
        bands=wanted, mean=(0.5,) * wanted, std=(0.5,) * wanted, conversion="none"
    )
    image = np.zeros((found, 2, 2), np.uint8)
    with pytest.raises(ModelError, match=r"a\.png: .*--conversion grey-rgb"):
        strict.fit_bands(image, "a.png")
    recorded = strict.model_copy(update={"conversion": "grey-rgb"})
    assert recorded.fit_bands(image).shape == (wanted, 2, 2)
    assert '"conversion":"grey-rgb"' in recorded.model_dump_json()


def test_bands_that_no_conversion_fits_name_no_flag():
    with pytest.raises(ModelError) as caught:
        Preprocessing().fit_bands(np.zeros((4, 2, 2), np.uint8))
    assert "--conversion" not in str(caught.value)


def test_what_was_not_measured_is_zero_in_the_network():
    preprocessing = Preprocessing(bands=2, mean=(0.3, -7.0), std=(0.5, 9.0), order="rgb")
    image = images_of(np.float32, bands=2)[0].numpy()
    gaps = image.copy()
    gaps[0, 1:3, 4] = np.nan
    gaps[1, 0] = np.nan
    values = preprocessing(torch.from_numpy(preprocessing.fit_bands(gaps)[None]))[0]
    missing = torch.from_numpy(np.isnan(gaps))
    assert values[missing].abs().max() < 1e-6
    whole = preprocessing(torch.from_numpy(image[None]))[0]
    assert torch.equal(values[~missing], whole[~missing])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_what_a_file_says_was_not_measured_is_zero_in_the_network_of_other_bands_too(dtype):
    preprocessing = Preprocessing()
    image = images_of(dtype, bands=1)[0].numpy()
    measured = np.ones(image.shape[1:], np.bool_)
    measured[2:4, :3] = False
    values = preprocessing(torch.from_numpy(preprocessing.fit_bands(image, "a", measured)[None]))[0]
    step = {np.uint8: 1 / 255, np.uint16: 1 / 65_535, np.float32: 1e-6}[dtype]
    assert values[:, torch.from_numpy(~measured)].abs().max() <= 0.5 * step / min(preprocessing.std)
    whole = preprocessing(torch.from_numpy(preprocessing.fit_bands(image)[None]))[0]
    there = torch.from_numpy(measured)
    assert torch.equal(values[:, there], whole[:, there])


def test_fitting_images_are_handed_through_untouched():
    image = images_of(np.uint8, bands=5)[0].numpy()
    preprocessing = Preprocessing(bands=5, mean=(0.5,) * 5, std=(0.5,) * 5)
    assert preprocessing.fit_bands(image) is image


@pytest.mark.parametrize(
    "settings",
    [
        {"bands": 4},
        {"mean": (0.5,)},
        {"std": (0.1, 0.0, 0.1)},
        {"range": 0.0},
        {"order": "gbr"},
        {"scale": 3},
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings):
    with pytest.raises(ValidationError):
        Preprocessing(**settings)


def test_preprocessing_survives_json():
    assert Preprocessing.model_validate_json(CAFFE.model_dump_json()) == CAFFE
