"""Evaluation: counts over all images at their own sizes, and no sample left out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from perpixel.data.dataset import Dataset, Pair
from perpixel.errors import DataError, ModelError
from perpixel.inference.evaluation import compare_classes, count, evaluate
from perpixel.inference.predictor import Model
from perpixel.inference.runtimes import TorchRuntime
from perpixel.labels import LabelSpace
from perpixel.metrics import Confusion

SIZES = [(20, 31), (20, 31), (20, 31), (17, 9), (20, 31), (40, 1)]


@pytest.fixture
def pairs(tmp_path) -> list[Pair]:
    """Images of several sizes with random masks, some of it without a label."""
    rng = np.random.default_rng(2)
    made = []
    for index, size in enumerate(SIZES):
        pair = Pair(tmp_path / f"{index}.png", tmp_path / f"{index}_mask.png")
        Image.fromarray(rng.integers(0, 256, (*size, 3), np.uint8)).save(pair.image)
        mask = rng.choice(np.array([0, 1, 2, 3, 255], np.uint8), size)
        Image.fromarray(mask).save(pair.mask)
        made.append(pair)
    return made


def test_scores_are_those_of_the_predictions_of_each_image(model, pairs):
    confusion = Confusion(model.labels)
    for pair in pairs:
        confusion.update(model.predict(pair.image).mask, np.asarray(Image.open(pair.mask)))
    scores = evaluate(model, pairs)
    assert scores.counts.tolist() == confusion.counts.tolist()
    assert scores.as_json() == confusion.scores().as_json()


@pytest.mark.parametrize("batch_size", [2, 3, 8])
def test_batching_equal_sizes_changes_no_count(model, pairs, batch_size):
    one_by_one = count(model, pairs).counts
    model.network.seen.clear()
    assert count(model, pairs, batch_size=batch_size).counts.tolist() == one_by_one.tolist()
    assert max(len(images) for images in model.network.seen) == min(batch_size, 3)


def test_the_order_of_the_pairs_does_not_matter(model, pairs):
    assert count(model, pairs).counts.tolist() == count(model, pairs[::-1]).counts.tolist()


def test_classes_of_other_names_are_said_and_another_order_is_refused(tmp_path):
    def named(*names):
        return Dataset(tmp_path, LabelSpace.of(names), {})

    ours = LabelSpace.of(["road", "sky", "tree"])
    assert compare_classes(ours, named("road", "sky", "tree")) is None
    said = compare_classes(ours, named("road", "heaven", "tree", "car"))
    assert said is not None
    assert "other names than the model's: sky / heaven, nothing / car" in said
    with pytest.raises(DataError, match=r"another order: road 1, sky 0; expected road 0, sky 1\."):
        compare_classes(ours, named("sky", "road", "tree"))
    # A class that is missing, or is one too many, moves those behind it.
    with pytest.raises(DataError, match=r"another order: tree 1; expected tree 2\. .* sky, tree\)"):
        compare_classes(ours, named("road", "tree"))
    with pytest.raises(DataError, match=r"another order: tree 3; expected tree 2\."):
        compare_classes(ours, named("road", "sky", "car", "tree"))
    assert "tree / nothing" in str(compare_classes(ours, named("road", "sky")))


def test_parts_of_a_data_set_add_up_to_the_whole(model, pairs):
    whole, parts = count(model, pairs), count(model, pairs[:2])
    parts.add(count(model, pairs[2:]).counts)
    assert parts.counts.tolist() == whole.counts.tolist()


def test_test_time_augmentation_is_that_of_predict(model, pairs):
    confusion = Confusion(model.labels)
    for pair in pairs:
        one = model.predict(pair.image, scales=(0.75, 1.0), flip=True)
        confusion.update(one.mask, np.asarray(Image.open(pair.mask)))
    scores = evaluate(model, pairs, scales=(0.75, 1.0), flip=True)
    assert scores.counts.tolist() == confusion.counts.tolist()


def test_progress_is_told_after_each_batch(model, pairs):
    told = []
    evaluate(model, pairs, batch_size=2, progress=lambda done, total: told.append((done, total)))
    assert told == [(2, 6), (3, 6), (4, 6), (5, 6), (6, 6)]


@pytest.mark.parametrize("training", [True, False])
def test_a_network_in_training_is_evaluated_in_eval_mode_and_left_as_it_was(model, pairs, training):
    expected = evaluate(model, pairs).counts
    model.network.train(training)
    assert evaluate(model, pairs).counts.tolist() == expected.tolist()
    assert model.network.training is training
    # What ran in inference mode must not stop a training step after it.
    model.network(torch.rand(1, 3, 8, 8)).scores.sum().backward()


def test_lower_precision_is_used_where_it_is_asked_for(model, pairs):
    runtime = TorchRuntime(model.network, model.device, "bf16")
    reduced = Model(model.network, model.labels, model.preprocessing, model.device, runtime)
    full, low = evaluate(model, pairs), evaluate(reduced, pairs)
    assert abs(full.pixel_accuracy - low.pixel_accuracy) < 0.05
    assert low.counts.sum() == full.counts.sum()


def test_the_first_broken_image_ends_the_evaluation_by_its_name(model, pairs):
    pairs[3].image.write_bytes(pairs[3].image.read_bytes()[:60])
    told = []
    with pytest.raises(DataError, match=r"3\.png"):
        evaluate(model, pairs, progress=lambda done, total: told.append(done))
    assert told == [1, 2, 3]


def test_a_mask_with_a_value_that_is_no_class_ends_the_evaluation(model, pairs):
    Image.fromarray(np.full(SIZES[1], 4, np.uint8)).save(pairs[1].mask)
    with pytest.raises(DataError, match=r"1_mask\.png.*no class"):
        evaluate(model, pairs)


def test_a_mask_of_another_size_than_its_image_ends_the_evaluation(model, pairs):
    Image.fromarray(np.zeros((31, 20), np.uint8)).save(pairs[2].mask)
    with pytest.raises(DataError, match=r"2_mask\.png"):
        evaluate(model, pairs)


def test_an_image_without_a_mask_cannot_be_scored(model, pairs):
    with pytest.raises(DataError, match="without a mask"):
        evaluate(model, [*pairs, Pair(pairs[0].image)])


def test_nothing_to_evaluate_on_is_an_error(model):
    with pytest.raises(DataError, match="no images"):
        evaluate(model, [])


def test_an_image_with_other_bands_is_refused_by_name(model, pairs, tmp_path):
    odd = Pair(tmp_path / "odd.tif", pairs[0].mask)
    Image.fromarray(np.zeros((*SIZES[0], 2), np.uint8), "LA").convert("L").save(odd.image)
    evaluate(model, [odd])
    thin = type(model)(
        type(model.network)(4, bands=2),
        model.labels,
        type(model.preprocessing)(bands=2, mean=(0.5,) * 2, std=(0.5,) * 2),
        torch.device("cpu"),
    )
    with pytest.raises(ModelError, match=r"odd\.tif: 1 bands"):
        evaluate(thin, [odd])
