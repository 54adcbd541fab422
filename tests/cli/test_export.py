"""`perpixel export` on a small model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import jaxtyping
import numpy as np
import pytest
import torch

from cli.conftest import Command
from perpixel.checkpoint import Checkpoint, write_checkpoint
from perpixel.delivery import agreement
from perpixel.delivery.canvas import CLASSES
from perpixel.delivery.export import SCENE, drawn_scenes
from perpixel.inference.runtimes.exported import read_export
from perpixel.inference.runtimes.runtime import Runtime
from perpixel.networks import build, network_config
from perpixel.preprocessing import Preprocessing
from perpixel.score_map import ScoreMap


@pytest.fixture(autouse=True, scope="module")
def unchecked() -> Iterator[None]:
    """Without run-time shape checks: while a graph is traced, a size is no int."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of random weights that says several classes of the drawn scenes."""
    return written(tmp_path_factory.mktemp("small") / "model.safetensors", Preprocessing())


def written(path: Path, preprocessing: Preprocessing) -> Path:
    torch.manual_seed(0)
    own = {"classes": CLASSES.classes, "bands": preprocessing.bands}
    config = network_config({"name": "fcn32s-vgg16", "width": 2, **own})
    network = build(config)
    torch.nn.init.normal_(network.get_submodule("score_fr").weight)
    write_checkpoint(path, Checkpoint(config, CLASSES, preprocessing, network.state_dict()))
    return path


def test_an_export_is_evaluated_by_what_it_was_made_for(
    command: Command, small: Path, drawn: Path, tmp_path: Path
) -> None:
    export = tmp_path / "a.onnx"
    command("export", small, "--to", "onnx", "--out", export, "--images", drawn / "val")
    scores = []
    for number, model in enumerate((small, export)):
        file = tmp_path / f"{number}.json"
        shown = command("evaluate", model, drawn, "--json", file)
        assert shown.exit_code == 0, shown.output
        assert ("computed by onnxruntime fp32" in shown.stdout) == (model == export)
        scores.append(json.loads(file.read_text(encoding="utf-8"))["mean_iou"])
    assert scores[1] == pytest.approx(scores[0], abs=1e-3)


@pytest.mark.parametrize(
    ("target", "name", "options"), [("onnx", "a.onnx", ()), ("openvino", "a.xml", ("--full",))]
)
def test_an_export_is_checked_and_written(
    command: Command, small: Path, drawn: Path, tmp_path: Path,
    target: str, name: str, options: tuple[str, ...],
) -> None:  # fmt: skip
    out = tmp_path / name
    shown = command(
        *("export", small, "--to", target, "--out", out, "--images", drawn / "val"), *options
    )
    assert shown.exit_code == 0, shown.output
    assert shown.output.count("% of pixels equal") == 3
    assert "149×199" in shown.output
    assert "opset 18" in shown.output
    assert target in shown.output
    written = {path.name for path in tmp_path.iterdir()}
    assert written == ({"a.onnx"} if target == "onnx" else {"a.xml", "a.bin"})
    if target == "onnx":
        # For whoever has no perpixel.
        (entry,) = pytest.importorskip("onnx").load(out).metadata_props
        card = json.loads(entry.value)
        assert card["network"] == "fcn32s-vgg16"
        assert card["placement"] == {"stride": 32.0, "offset": 19 / 32 - 0.5 + 1}
        assert card["canvas"]["before"] == 100
        assert card["labels"]["names"] == list(CLASSES.names)


def test_torch_programs_are_written_and_scenes_are_drawn(
    command: Command, small: Path, tmp_path: Path
) -> None:
    out = tmp_path / "a.pt2"
    shown = command("export", small, "--to", "torch", "--out", out)
    assert shown.exit_code == 0, shown.output
    assert "321×481" in shown.output
    assert read_export(out).runtime.name == "torch"


@pytest.mark.parametrize("bands", [1, 5])
@pytest.mark.parametrize(
    ("target", "name", "options"),
    [
        ("onnx", "a.onnx", ("--full",)),
        ("openvino", "a.xml", ()),
        ("torch", "a.pt2", ()),
        ("half", "a.safetensors", ()),
    ],
)
def test_scenes_are_drawn_with_the_model_s_own_bands(
    command: Command, tmp_path: Path, bands: int,
    target: str, name: str, options: tuple[str, ...],
) -> None:  # fmt: skip
    own = Preprocessing(bands=bands, mean=(0.5,) * bands, std=(0.25,) * bands, conversion="none")
    model, out = written(tmp_path / "model.safetensors", own), tmp_path / name
    shown = command("export", model, "--to", target, "--out", out, *options)
    assert shown.exit_code == 0, shown.output
    assert shown.output.count("% of pixels equal") == 3
    assert out.exists()


def test_drawn_bands_all_differ() -> None:
    for _, scene in drawn_scenes(7):
        assert scene.shape == (7, *SCENE)
        assert len({band.tobytes() for band in scene}) == 7


@pytest.mark.parametrize(
    ("pixels", "options", "said"),
    [
        (np.zeros((3, 20, 30), np.uint16), ("--full",), "pixels of uint16; expected uint8"),
        (np.zeros((3, 20, 30), np.float32), ("--full",), "pixels of float32; expected uint8"),
        (np.zeros((5, 20, 30), np.uint8), (), "5 bands; expected 3 bands"),
    ],
)
def test_images_that_do_not_fit_are_said_before_the_conversion(
    command: Command, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    pixels: np.ndarray, options: tuple[str, ...], said: str,
) -> None:  # fmt: skip
    monkeypatch.setattr("perpixel.delivery.export.to_onnx", None)
    np.save(tmp_path / "image.npy", pixels)
    out = ("--out", tmp_path / "a.onnx")
    shown = command(
        *("export", small, "--to", "onnx", *out, "--images", tmp_path / "image.npy"), *options
    )
    assert shown.exit_code == 2
    assert said in " ".join(shown.output.split())
    assert not (tmp_path / "a.onnx").exists()


def test_int8_is_calibrated_and_says_what_it_cost(
    command: Command, small: Path, drawn: Path, tmp_path: Path
) -> None:
    out = tmp_path / "a.xml"
    shown = command(
        *("export", small, "--to", "openvino-int8", "--out", out, "--calibrate", drawn),
        *("--samples", 3, "--max-drop", 100),
    )
    assert shown.exit_code == 0, shown.output
    assert "in int8; 0 of 16 layers left in fp32" in " ".join(shown.output.split())
    read = read_export(out)
    assert (read.card.precision, read.runtime.precision) == ("int8", "int8")
    assert out.with_suffix(".bin").stat().st_size < small.stat().st_size / 2


def test_an_export_that_differs_is_not_written(
    command: Command, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Wrong:
        """A runtime that confuses two classes."""

        def __init__(self, runtime: Runtime) -> None:
            self.runtime = runtime
            self.name, self.precision = runtime.name, runtime.precision

        def scores(self, batch: torch.Tensor) -> ScoreMap:
            scores = self.runtime.scores(batch)
            return ScoreMap(scores.scores.flip(1), scores.stride, scores.offset, scores.size)

    compare = agreement.score_agreement
    monkeypatch.setattr(
        "perpixel.delivery.export.score_agreement",
        lambda model, runtime, images: compare(model, Wrong(runtime), images),
    )
    shown = command("export", small, "--to", "torch", "--out", tmp_path / "a.pt2")
    assert shown.exit_code == 2
    assert "does not compute what torch does" in shown.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("onnx", "--out", "a.xml"), "suffix .onnx"),
        (("torch", "--out", "a.pt2", "--full"), "Leave --full out"),
        (("openvino-int8", "--out", "a.xml"), "Give --calibrate DATA"),
    ],
)
def test_contradictions_are_said_before_anything_is_done(
    command: Command, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...], said: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    shown = command("export", small, "--to", *arguments)
    assert shown.exit_code == 2
    assert said in shown.output
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_said(command: Command, small: Path, tmp_path: Path) -> None:
    shown = command("export", small, "--to", "torch", "--out", tmp_path / "none" / "a.pt2")
    assert shown.exit_code == 2
    assert "cannot be written" in shown.output
