"""float16 on disk, float32 in memory: within the rounding that is stated, and read strictly."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st

from perpixel import checkpoint as module
from perpixel.checkpoint import Checkpoint, read_checkpoint, signed, write_checkpoint
from perpixel.errors import ModelError
from perpixel.labels import LabelSpace
from perpixel.networks import FCNConfig, build
from perpixel.preprocessing import Preprocessing
from perpixel.rounding import rounded, stored_as, widened

CONFIG = FCNConfig(name="fcn8s", backbone="test_resnet", classes=2, head_channels=8)


@pytest.fixture(scope="module")
def whole() -> Checkpoint:
    torch.manual_seed(0)
    weights = build(CONFIG).state_dict()
    for name, tensor in weights.items():
        if name.endswith("running_var"):
            tensor.uniform_(1e-9, 1e6)  # no float16 holds all of these
    return Checkpoint(CONFIG, LabelSpace.of(["a", "b"]), Preprocessing(), weights)


@given(st.floats(-65504, 65504, width=32))
def test_a_weight_is_the_nearest_that_float16_has(value: float) -> None:
    tensor = torch.tensor([[value]])
    found = float(widened(rounded({"w": tensor}), "float16")["w"])
    assert found == float(np.float16(np.float32(value)))
    assert abs(found - value) <= max(abs(value) * 2**-11, 3e-8)


def test_a_halved_file_is_half_as_large_and_loads_as_float32(
    whole: Checkpoint, tmp_path: Path
) -> None:
    for name, model in (("whole", whole), ("half", replace(whole, stored="float16"))):
        write_checkpoint(tmp_path / name, model)
    sizes = [(tmp_path / name).stat().st_size for name in ("whole", "half")]
    assert sizes[1] < 0.6 * sizes[0]
    found = read_checkpoint(tmp_path / "half")
    assert found.stored == "float16"
    for name, tensor in found.weights.items():
        own = whole.weights[name]
        assert tensor.dtype == own.dtype
        if tensor.ndim < 2:
            assert torch.equal(tensor, own), name
        else:
            torch.testing.assert_close(tensor, own, rtol=2**-11, atol=3e-8)
            assert torch.equal(tensor, own.half().float())
    found.restore()
    stored = safetensors.torch.load_file(tmp_path / "half")
    assert {tensor.dtype for tensor in stored.values() if tensor.ndim > 1} == {torch.float16}


def test_a_halved_file_counts_no_batches_and_one_that_does_is_read(
    whole: Checkpoint, tmp_path: Path
) -> None:
    weights = {name: tensor.clone() for name, tensor in whole.weights.items()}
    counters = {name for name in weights if name.endswith("num_batches_tracked")}
    for name in counters:
        weights[name].fill_(5)
    write_checkpoint(tmp_path / "half", replace(whole, weights=weights, stored="float16"))
    stored = safetensors.torch.load_file(tmp_path / "half")
    assert counters
    assert set(weights) - set(stored) == counters
    network = read_checkpoint(tmp_path / "half").restore()
    assert {int(network.state_dict()[name]) for name in counters} == {0}
    metadata = module.metadata_of((tmp_path / "half").read_bytes())
    assert metadata is not None
    counted = {**stored, **{name: weights[name] for name in counters}}
    (tmp_path / "older").write_bytes(signed(counted, metadata | {"checksum": "0" * 64}))
    assert read_checkpoint(tmp_path / "older").weights.keys() == weights.keys()


def test_a_halved_file_that_is_written_again_stays_as_it_is(
    whole: Checkpoint, tmp_path: Path
) -> None:
    write_checkpoint(tmp_path / "half", replace(whole, stored="float16"))
    first = read_checkpoint(tmp_path / "half")
    write_checkpoint(tmp_path / "again", first)
    again = read_checkpoint(tmp_path / "again")
    assert again.stored == "float16"
    assert all(torch.equal(again.weights[name], first.weights[name]) for name in first.weights)


def test_only_a_halved_file_needs_the_newer_format(whole: Checkpoint, tmp_path: Path) -> None:
    for stored, version in (("float32", "1"), ("float16", "2")):
        write_checkpoint(tmp_path / stored, replace(whole, stored=stored))
        metadata = module.metadata_of((tmp_path / stored).read_bytes())
        assert metadata is not None
        assert metadata["format_version"] == version
        assert stored_as(metadata) == stored


def test_a_weight_that_float16_cannot_hold_is_refused(whole: Checkpoint, tmp_path: Path) -> None:
    weights = dict(whole.weights)
    name = next(name for name, tensor in weights.items() if tensor.ndim == 4)
    weights[name] = weights[name].clone()
    weights[name].view(-1)[3] = 70000.0
    with pytest.raises(ModelError, match=f"{name}: a weight of 70000; expected at most 65504"):
        write_checkpoint(tmp_path / "m", replace(whole, weights=weights, stored="float16"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("said", "kept", "complaint"),
    [
        ("float16", "float32", "not stored as float16"),
        (None, "float16", "float16 .*, not float32"),
        ("int8", "float32", "weights are stored as int8"),
    ],
)
def test_a_file_that_is_not_as_it_says_is_refused(
    whole: Checkpoint, tmp_path: Path, said: str | None, kept: str, complaint: str
) -> None:
    path = tmp_path / "m"
    write_checkpoint(path, replace(whole, stored=kept))
    metadata = module.metadata_of(path.read_bytes())
    assert metadata is not None
    metadata.pop("stored", None)
    metadata |= {"checksum": "0" * 64, **({"stored": said} if said else {})}
    counters = {name: own for name, own in whole.weights.items() if own.dtype == torch.int64}
    path.write_bytes(signed({**counters, **safetensors.torch.load_file(path)}, metadata))
    with pytest.raises(ModelError, match=complaint):
        read_checkpoint(path)
