from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from perpixel.data.dataset import Pair
from perpixel.data.layouts import open_dataset
from perpixel.data.sample import Sample, evaluation_samples, read_sample
from perpixel.errors import DataError
from perpixel.labels import LabelSpace


def test_sample_has_the_label_space_s_own_mask_type(folder: Path) -> None:
    pair = open_dataset(folder).split("train")[0]
    wide = LabelSpace.of(["a", "b", "c", *(f"c{n}" for n in range(300))])
    assert read_sample(pair, wide).mask.dtype == np.uint16
    narrow = LabelSpace.of(["a", "b", "c"])
    values = np.asarray(Image.open(pair.mask)).astype(np.uint16)
    Image.fromarray(values).save(pair.mask)
    sample = read_sample(pair, narrow)
    assert sample.mask.dtype == np.uint8
    np.testing.assert_array_equal(sample.mask, values)
    assert read_sample(Pair(pair.image), narrow).mask is None


def test_16_bit_value_is_never_wrapped_into_a_class(folder: Path) -> None:
    pair = open_dataset(folder).split("train")[0]
    Image.fromarray(np.full((17, 21), 257, np.uint16)).save(pair.mask)
    with pytest.raises(DataError, match=r"0\.png: mask values that are no class: 0\.png \(257\)"):
        read_sample(pair, LabelSpace.of(["a", "b"]))


def test_mask_of_another_size_is_refused(folder: Path) -> None:
    dataset = open_dataset(folder)
    pair = dataset.split("train")[0]
    Image.fromarray(np.zeros((21, 17), np.uint8)).save(pair.mask)
    with pytest.raises(DataError, match="a mask of 17×21 pixels"):
        read_sample(pair, dataset.labels)


@pytest.mark.parametrize("read_ahead", [0, 1, 3, 50])
def test_evaluation_samples_keep_order_and_place_of_errors(folder: Path, read_ahead: int) -> None:
    dataset = open_dataset(folder)
    pairs = dataset.split("train")
    pairs[2].image.write_bytes(b"no image")
    samples = list(evaluation_samples(pairs, dataset.labels, read_ahead=read_ahead))
    assert isinstance(samples[2], DataError)
    good = [sample for sample in samples if isinstance(sample, Sample)]
    assert [sample.pair for sample in good] == [*pairs[:2], *pairs[3:]]


def test_threads_end_when_the_caller_stops_early(folder: Path) -> None:
    dataset = open_dataset(folder)
    samples = evaluation_samples(dataset.split("train"), dataset.labels)
    next(samples)
    samples.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("perpixel-decode")]
