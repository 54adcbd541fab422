"""`perpixel import` on small state dicts."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torchvision.models import segmentation

from cli.conftest import Command
from perpixel.inference.predictor import load


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state dict of torchvision's smallest segmentation network."""
    path = tmp_path_factory.mktemp("foreign") / "mobile.pth"
    torch.manual_seed(0)
    network = segmentation.deeplabv3_mobilenet_v3_large(
        weights=None, weights_backbone=None, num_classes=2, aux_loss=True
    )
    torch.save(network.state_dict(), path)
    return path


def arguments(weights: Path, classes: object, out: Path) -> tuple[object, ...]:
    name = "deeplabv3_mobilenet_v3_large"
    return ("import", weights, "--network", name, "--classes", classes, "--out", out)


def test_the_weights_are_not_written_over(command: Command, weights: Path) -> None:
    before = weights.read_bytes()
    shown = command(*arguments(weights, 2, weights))
    assert shown.exit_code == 2
    assert "the weights themselves" in shown.stderr
    assert weights.read_bytes() == before


@pytest.mark.parametrize("named", [False, True])
def test_a_foreign_file_becomes_a_model(
    command: Command, weights: Path, tmp_path: Path, named: bool
) -> None:
    classes = tmp_path / "classes.yaml"
    classes.write_text("classes: [ground, box]\n", encoding="utf-8")
    out = tmp_path / "model.safetensors"
    shown = command(*arguments(weights, classes if named else 2, out))
    assert shown.exit_code == 0, shown.output
    assert f"tensors from {weights}" in shown.stdout
    model = load(out)
    assert model.labels.names == (("ground", "box") if named else ("class 0", "class 1"))
    images = torch.randn(1, 3, 20, 33)
    assert model.network(images).logits().shape == (1, 2, 20, 33)


@pytest.mark.parametrize(
    ("classes", "more", "said"),
    [
        (3, (), "classifier.4.weight is 2×256×1×1, not 3×256×1×1"),
        (0, (), "--classes: 0"),
        ("none.yaml", (), "none.yaml: no such file"),
        (2, ("--fc6", "1x1"), "has no option fc6"),
        (2, ("--network", "fcn64s"), "network = 'fcn64s'"),
        (2, ("--network", "unet"), "no backbone"),
    ],
)
def test_what_does_not_fit_is_one_line_and_leaves_nothing(
    command: Command,
    weights: Path,
    tmp_path: Path,
    classes: object,
    more: tuple[str, ...],
    said: str,
) -> None:
    out = tmp_path / "model.safetensors"
    refused = command(*arguments(weights, classes, out), *more)
    assert refused.exit_code == 2
    assert said in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert not out.exists()
