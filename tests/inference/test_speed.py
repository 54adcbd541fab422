"""Every runtime that is installed, measured in a process of its own."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from perpixel.checkpoint import Checkpoint, write_checkpoint
from perpixel.errors import ConfigError, DataError, ModelError
from perpixel.inference import speed
from perpixel.inference.predictor import Model, load
from perpixel.inference.speed import Images, agreement, candidates, compare_speed
from perpixel.labels import LabelSpace
from perpixel.networks import FCNConfig, build
from perpixel.preprocessing import Preprocessing


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory, cuda_less: None) -> Path:
    """A model file of a small network with random weights."""
    torch.manual_seed(3)
    config = FCNConfig(name="fcn8s", backbone="test_efficientnet", classes=3, head_channels=8)
    labels = LabelSpace.of(["sky", "sea", "sand"])
    path = tmp_path_factory.mktemp("speed") / "model.safetensors"
    weights = build(config).state_dict()
    write_checkpoint(path, Checkpoint(config, labels, Preprocessing(), weights))
    return path


@pytest.fixture(scope="module")
def cuda_less() -> None:
    if torch.cuda.is_available():
        pytest.skip("runtimes of a CPU are counted here")


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything in this process, which is faster; what comes and goes is still pickled."""

    def pickled(*things: Any) -> Any:
        return pickle.loads(pickle.dumps(things))

    def work_here(work: Callable[..., object], *arguments: object) -> object:
        work, *arguments = pickled(work, *arguments)
        return pickled(work(*arguments))[0]

    monkeypatch.setattr(speed, "in_own_process", work_here)


def without(monkeypatch: pytest.MonkeyPatch, *missing: str) -> None:
    found = speed.find_spec
    monkeypatch.setattr(speed, "find_spec", lambda name: None if name in missing else found(name))


def test_torch_in_fp32_comes_first_and_every_installed_runtime_after_it(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = [(one.runtime, one.precision) for one in candidates([tiny])]
    assert tried[:2] == [("torch", "fp32"), ("torch", "bf16")]
    assert set(tried[2:]) == {("onnxruntime", "fp32"), ("openvino", "fp32"), ("openvino", "bf16")}
    without(monkeypatch, "openvino", "onnxruntime")
    assert [(one.runtime, one.precision) for one in candidates([tiny])] == tried[:2]


def test_a_comparison_has_times_agreement_and_what_auto_takes(
    tiny: Path, picture: np.ndarray, tmp_path: Path, here: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(monkeypatch, "openvino", "onnxruntime")
    Image.fromarray(picture).save(tmp_path / "a.png")
    Image.fromarray(picture[:17, ::-1]).save(tmp_path / "b.png")
    files = (tmp_path / "a.png", tmp_path / "b.png")
    told: list[tuple[str, int, int]] = []
    found = compare_speed(
        [tiny],
        Images(files),
        seconds=0.0,
        watch=lambda candidate, done, total: told.append((candidate.precision, done, total)),
    )
    assert told == [("fp32", 0, 2), ("bf16", 1, 2)]
    assert found.missing == ("openvino", "onnxruntime")
    assert found.threads == torch.get_num_threads()
    assert found.auto == load(tiny).choice
    fp32, bf16 = (one.timing for one in found.measured)
    assert fp32 is not None
    assert bf16 is not None
    assert found.measured[0].agreement == 1
    model = load(tiny, runtime="torch", precision="bf16")
    for mask, file in zip(bf16.masks, files, strict=True):
        np.testing.assert_array_equal(mask, model.predict(file).mask)
    assert found.measured[1].agreement == agreement(bf16.masks, fp32.masks)
    for timing in (fp32, bf16):
        assert timing.milliseconds > 0
        assert timing.images_per_second > 0
        assert timing.peak_bytes is None or timing.peak_bytes > 1 << 20


def test_a_candidate_that_cannot_compute_the_model_says_so_and_the_others_are_measured(
    tiny: Path, here: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(monkeypatch, "onnxruntime")

    def refusing(path: Path, runtime: str = "auto", precision: str = "auto") -> Model:
        if runtime == "openvino":
            raise ConfigError("runtime openvino", found="no way", mend="Use runtime torch")
        return load(path, runtime=runtime, precision=precision)

    monkeypatch.setattr(speed, "load", refusing)
    found = compare_speed([tiny], Images(size=(24, 31)), seconds=0.0)
    states = [(one.candidate.runtime, one.timing is None) for one in found.measured]
    assert states == [("torch", False)] * 2 + [("openvino", True)] * 2
    assert "Use runtime torch" in found.measured[2].failure
    assert np.isnan(found.measured[2].agreement)


def test_agreement_is_the_share_of_equal_pixels_over_all_masks() -> None:
    one = [np.zeros((2, 3), np.uint8), np.ones((1, 2), np.uint8)]
    other = [np.zeros((2, 3), np.uint8), np.array([[1, 2]], np.uint8)]
    assert agreement(one, other) == 7 / 8


@pytest.mark.parametrize("bands", [1, 5])
def test_drawn_images_are_of_the_size_and_always_the_same(bands: int) -> None:
    image = speed.drawn_image((33, 50), bands)
    assert image.shape == (bands, 33, 50)
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, speed.drawn_image((33, 50), bands))
    assert image.std() > 10


def test_an_image_that_cannot_be_read_is_an_error(tiny: Path, tmp_path: Path, here: None) -> None:
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"a\.png"):
        compare_speed([tiny], Images((tmp_path / "a.png",)), seconds=0.0)


def test_a_model_that_cannot_be_read_is_an_error(tmp_path: Path, here: None) -> None:
    with pytest.raises(ModelError, match=r"none\.safetensors"):
        compare_speed([tmp_path / "none.safetensors"], Images(), seconds=0.0)


def refuse() -> None:
    raise ConfigError("here", found="nothing", mend="Look elsewhere")


def die() -> None:
    os.kill(os.getpid(), 9)


@pytest.mark.parametrize(
    ("work", "told"), [(refuse, "here: nothing"), (die, "was ended from outside")]
)
def test_what_goes_wrong_in_a_process_is_told_here(work: Callable[[], None], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        speed.in_own_process(work)


def test_work_is_done_in_another_process() -> None:
    assert speed.in_own_process(os.getpid) != os.getpid()
