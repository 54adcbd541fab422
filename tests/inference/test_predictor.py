"""Model and load: one way from an image to a segmentation, whatever the image comes as."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

import perpixel
import perpixel.kernels
from perpixel.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from perpixel.errors import ConfigError, DataError, ModelError
from perpixel.inference.predictor import Model, load, pick_device
from perpixel.labels import LabelSpace
from perpixel.networks import FCNConfig, build
from perpixel.preprocessing import Preprocessing


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    """A model file with random weights."""
    torch.manual_seed(0)
    config = FCNConfig(
        name="fcn8s", backbone="test_resnet", classes=4, head="features", head_channels=8
    )
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    network = build(config).eval()
    # Random weights say one class nearly everywhere: spread the scores.
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1:
                parameter.mul_(1.5)
    write_checkpoint(
        path,
        Checkpoint(
            network=config,
            labels=LabelSpace.of(["a", "b", "c", "d"]),
            preprocessing=Preprocessing(),
            weights=network.state_dict(),
        ),
    )
    return path


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (17, 31), (40, 33)])
def test_a_prediction_has_the_images_own_size_and_says_how_sure_it_is(model, size):
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    one = model.predict(image)
    assert one.mask.shape == one.confidence.shape == size
    assert one.mask.dtype == np.uint8
    assert one.confidence.dtype == np.float32
    assert one.confidence.min() >= 1 / 4 - 1e-6
    assert one.confidence.max() <= 1
    np.testing.assert_array_equal(one.image, image.transpose(2, 0, 1))


def test_a_prediction_is_the_winner_of_the_softmax_of_the_full_size_logits(model, picture):
    one = model.predict(picture)
    with torch.no_grad():
        batch = model.preprocessing(torch.from_numpy(picture.transpose(2, 0, 1).copy())[None])
        probability, index = model.network.eval()(batch).logits().softmax(1).max(1)
    disagree = one.mask != index[0].numpy()
    np.testing.assert_allclose(one.confidence, probability[0].numpy(), atol=1e-5)
    assert disagree.mean() < 1e-3
    assert len(np.unique(one.mask)) > 1


def test_a_path_a_pillow_image_and_an_array_give_one_prediction(model, picture, tmp_path):
    Image.fromarray(picture).save(tmp_path / "image.png")
    from_array = model.predict(picture)
    with Image.open(tmp_path / "image.png") as opened:
        from_pillow = model.predict(opened)
    for other in (model.predict(tmp_path / "image.png"), from_pillow):
        np.testing.assert_array_equal(other.mask, from_array.mask)
        np.testing.assert_array_equal(other.confidence, from_array.confidence)


def test_a_grey_image_is_predicted_as_its_rgb_copy(model, picture):
    grey = picture[..., 0]
    as_rgb = np.repeat(grey[..., None], 3, axis=2)
    np.testing.assert_array_equal(model.predict(grey).mask, model.predict(as_rgb).mask)


def test_a_prediction_leaves_a_network_in_training_in_training_and_draws_nothing(model, picture):
    model.network.train()
    before = torch.random.get_rng_state()
    first, second = model.predict(picture), model.predict(picture)
    assert model.network.training
    assert torch.equal(before, torch.random.get_rng_state())
    np.testing.assert_array_equal(first.confidence, second.confidence)


def test_the_network_gets_exactly_what_the_models_preprocessing_makes(model, picture):
    model.predict(picture)
    stored = torch.from_numpy(picture.transpose(2, 0, 1).copy())[None]
    assert torch.equal(model.network.seen[-1], model.preprocessing(stored))
    assert model.network.seen[-1].is_contiguous(memory_format=torch.channels_last)


def test_more_than_256_classes_are_predicted_as_16_bit_masks(model, picture):
    labels = LabelSpace.of([f"class {index}" for index in range(300)])
    wide = Model(type(model.network)(300), labels, Preprocessing(), torch.device("cpu"))
    for flip in (False, True):
        one = wide.predict(picture, flip=flip)
        assert one.mask.dtype == np.uint16
        assert one.mask.max() > 255


def test_an_image_means_the_same_in_8_and_in_16_bits(model, picture):
    wide = model.predict(picture.astype(np.uint16) * 257)
    np.testing.assert_allclose(wide.confidence, model.predict(picture).confidence, atol=1e-3)


def test_an_image_with_other_bands_than_the_model_takes_is_refused_by_name(model, tmp_path):
    path = tmp_path / "grey.tif"
    Image.fromarray(np.zeros((4, 6), np.uint8)).save(path)
    with pytest.raises(ModelError, match=r"image: 5 bands; expected 3 bands"):
        model.predict(np.zeros((4, 6, 5), np.uint8))
    thin = Model(
        type(model.network)(4, bands=4),
        model.labels,
        Preprocessing(bands=4, mean=(0.5,) * 4, std=(0.5,) * 4),
        torch.device("cpu"),
    )
    with pytest.raises(ModelError, match=r"grey\.tif: 1 bands; expected 4 bands"):
        thin.predict(path)


def test_a_file_that_is_no_image_is_refused_by_name(model, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"broken\.png"):
        model.predict(tmp_path / "broken.png")


def test_a_loaded_model_predicts_as_the_network_that_was_written(model_file, picture):
    checkpoint = read_checkpoint(model_file)
    in_memory = Model(
        checkpoint.restore(), checkpoint.labels, checkpoint.preprocessing, torch.device("cpu")
    )
    loaded = perpixel.load(str(model_file), device="cpu")
    assert loaded.labels == checkpoint.labels
    assert not loaded.network.training
    one, two = loaded.predict(picture), in_memory.predict(picture)
    np.testing.assert_array_equal(one.mask, two.mask)
    np.testing.assert_array_equal(one.confidence, two.confidence)


@pytest.mark.parametrize(
    "preprocessing",
    [
        Preprocessing(order="bgr"),
        Preprocessing(mean=(0.9, 0.1, 0.2)),
    ],
)
def test_another_preprocessing_in_the_file_is_another_prediction(
    model_file, picture, tmp_path, preprocessing
):
    checkpoint = read_checkpoint(model_file)
    other = Checkpoint(
        network=checkpoint.network,
        labels=checkpoint.labels,
        preprocessing=preprocessing,
        weights=checkpoint.weights,
    )
    write_checkpoint(tmp_path / "other.safetensors", other)
    changed = load(tmp_path / "other.safetensors", "cpu").predict(picture)
    assert not np.array_equal(
        changed.confidence, load(model_file, "cpu").predict(picture).confidence
    )


def test_a_missing_model_file_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"none\.safetensors"):
        load(tmp_path / "none.safetensors")


def test_full_size_scores_come_from_the_network_of_the_torch_runtime(model_file):
    model = load(model_file, runtime="torch")
    images = torch.randn(2, 3, 37, 53)
    with torch.no_grad():
        full = model.network(images).logits()
        coarse = model.network(images)
    assert full.shape == (2, 4, 37, 53)
    assert torch.equal(full.argmax(1).to(torch.uint8), perpixel.kernels.argmax(coarse))
    with pytest.raises(ConfigError, match="torch"):
        load(model_file, runtime="caffe")


def test_a_device_is_chosen_by_name_or_found():
    assert pick_device("cpu") == torch.device("cpu")
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert pick_device("auto").type == pick_device(None).type == expected


@pytest.mark.parametrize("name", ["tpu9", "cuda:99", "meta", ""])
def test_a_device_that_is_not_there_is_an_error_of_one_line(name):
    with pytest.raises(ConfigError, match="device"):
        pick_device(name)
