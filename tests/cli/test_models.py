"""Every command that takes a MODEL takes a name; `inspect` shows the licence; `push` uploads."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from cli.conftest import QUICK, Command
from perpixel.checkpoint import read_checkpoint, stored_checksum
from perpixel.distribution import included as module
from perpixel.distribution import push as pushing
from perpixel.distribution.hub import Address
from perpixel.distribution.push import Pushed


@pytest.fixture
def street(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`street` comes along, and the working directory is empty."""
    folder = tmp_path / "models"
    folder.mkdir()
    monkeypatch.setattr(module, "FOLDER", folder)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return Path(shutil.copy(model, folder / "street.safetensors"))


def photo(drawn: Path) -> Path:
    return next((drawn / "val/images").iterdir())


def test_a_prediction_by_name_writes_a_mask_and_an_overlay(
    command: Command, street: Path, drawn: Path
) -> None:
    shutil.copy(photo(drawn), "photo.png")
    shown = command("predict", "street", "photo.png")
    assert shown.exit_code == 0, shown.output
    written = sorted(str(path) for path in Path.cwd().rglob("*.*") if path.is_file())
    assert [Path(path).relative_to(Path.cwd()).as_posix() for path in written] == [
        "photo.png", "predicted/photo.png", "predicted/photo_overlay.jpg",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "overlay"),
    [((), True), (("--no-overlay",), False), (("--out", "a"), False),
     (("--out", "a", "--overlay"), True)],
)  # fmt: skip
def test_overlays_come_where_no_folder_is_named_or_where_they_are_asked_for(
    command: Command, street: Path, drawn: Path, options: tuple[str, ...], overlay: bool
) -> None:
    shown = command("predict", "street", photo(drawn), *options)
    assert shown.exit_code == 0, shown.output
    assert bool(list(Path.cwd().rglob("*_overlay.jpg"))) == overlay


def test_evaluate_explain_export_inspect_and_train_take_the_name(
    command: Command, street: Path, drawn: Path
) -> None:
    for arguments in (
        ("evaluate", "street", drawn),
        ("explain", "street", photo(drawn)),
        ("export", "street", "--to", "half", "--out", "half.safetensors"),
        ("inspect", "street", "--size", "64x96"),
        ("train", drawn, "--out", "run", *QUICK, "--init-from", "street"),
    ):
        shown = command(*arguments)
        assert shown.exit_code == 0, shown.output
    assert read_checkpoint(Path("run/model.safetensors")).provenance["config"]["init_from"] == (
        "street"
    )


def test_bench_takes_the_name(command: Command, street: Path, monkeypatch: Any) -> None:
    asked: list[Path] = []

    class StopError(Exception):
        pass

    def compare(models: list[Path], *_: object, **__: object) -> None:
        asked.extend(models)
        raise StopError

    monkeypatch.setattr("perpixel.inference.speed.compare_speed", compare)
    with pytest.raises(StopError):
        command("bench", "street", "./street")
    assert asked == [street, Path("street")]


def test_inspect_shows_what_a_model_says_of_itself(
    command: Command, street: Path, model: Path
) -> None:
    shown = command("inspect", model, "--size", "64x96")
    assert "not stated" in shown.stdout
    assert "stored as float32" in shown.stdout
    half = Path("half.safetensors")
    written = command(
        *("export", model, "--to", "half", "--out", half, "--licence", "for research")
    )
    assert written.exit_code == 0, written.output
    assert written.stdout.count("% of pixels equal") == 3
    content = half.read_bytes()
    onto = command("export", half, "--to", "half", "--out", f"./{half}")
    assert (onto.exit_code, half.read_bytes()) == (2, content)
    assert "the model itself" in onto.stderr
    shutil.copy(half, street)
    street.with_suffix(".md").write_text("# street")
    words = " ".join(command("inspect", "street", "--size", "64x96").stdout.split())
    assert "for research" in words
    assert "stored as float16" in words
    assert "card" in words
    mean_iou = read_checkpoint(model).provenance["validation"]["mean_iou"]
    assert f"{mean_iou:.4f}" in words


def test_a_half_is_half_as_large_and_names_what_it_was_rounded_from(
    command: Command, model: Path, tmp_path: Path
) -> None:
    half = tmp_path / "half.safetensors"
    assert command("export", model, "--to", "half", "--out", half).exit_code == 0
    assert half.stat().st_size < 0.7 * model.stat().st_size
    found = read_checkpoint(half)
    assert found.provenance["half_of"] == stored_checksum(model)
    assert "out" not in found.provenance["config"]
    whole = safetensors.torch.load_file(model)
    assert all(
        torch.equal(tensor, whole[name].half().float() if tensor.ndim > 1 else whole[name])
        for name, tensor in found.weights.items()
        if not name.endswith("num_batches_tracked")  # counted from 0 again
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("half", "--out", "a.st"), "suffix .safetensors"),
        (("half", "--out", "a.safetensors", "--full"), "--full: given beside --to half"),
        (("half", "--out", "a.safetensors", "--calibrate", "d"), "--calibrate: given"),
        (("torch", "--out", "a.pt2", "--licence", "MIT"), "--licence: given beside --to torch"),
        (("onnx", "--out", "a.onnx", "--samples", "3"), "--samples: given beside --to onnx"),
        (("half", "--out", "a.safetensors", "--max-drop", "0"), "--max-drop: given beside"),
        (("half", "--out", "."), "suffix .safetensors"),
    ],
)
def test_contradictions_of_half_are_said(
    command: Command, street: Path, options: tuple[str, ...], said: str
) -> None:
    shown = command("export", "street", "--to", *options)
    assert shown.exit_code == 2
    assert said in shown.stderr
    assert list(Path.cwd().iterdir()) == []


def test_a_half_that_says_something_else_is_not_written(
    command: Command, street: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("perpixel.delivery.half.EQUAL", 1.01)
    shown = command("export", "street", "--to", "half", "--out", "a.safetensors")
    assert shown.exit_code == 2
    assert "float16 changes what the network says" in shown.stderr
    assert list(Path.cwd().iterdir()) == []


@pytest.mark.parametrize("name", ["predict", "evaluate", "explain", "inspect", "push"])
def test_a_wrong_name_is_one_line(command: Command, street: Path, name: str) -> None:
    shown = command(name, "stret", *([] if name == "inspect" else ["x"]))
    assert shown.exit_code == 2
    assert len(shown.stderr.splitlines()) == 1
    assert "street" in shown.stderr


def test_push_says_what_it_uploaded(
    command: Command, street: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[object] = []

    def upload(model: Path, repository: str, **options: object) -> Pushed:
        given.extend([model, repository, options])
        return Pushed(Address("a/b", "1234"), "https://hub.test/a/b", "5" * 64, 2_500_000)

    monkeypatch.setattr(pushing, "push", upload)
    shown = command("push", "street", "a/b", "--private", "--licence", "MIT")
    assert shown.exit_code == 0, shown.output
    assert given == [street, "a/b", {"private": True, "licence": "MIT"}]
    assert "SHA-256 " + "5" * 64 + ", 2.5 MB" in shown.stdout
    assert "pushed hf://a/b@1234: https://hub.test/a/b" in shown.stdout
