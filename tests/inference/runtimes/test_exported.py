"""Exported files come back as they were written, and damaged or foreign ones are refused."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from networks.test_conformance import shaken
from torch import nn

from perpixel.errors import ConfigError, ModelError
from perpixel.inference.runtimes.card import ExportCard
from perpixel.inference.runtimes.conversion import to_onnx, to_openvino, to_program
from perpixel.inference.runtimes.exported import (
    read_export,
    write_onnx,
    write_openvino,
    write_program,
)
from perpixel.inference.runtimes.graphs import CoarseGraph
from perpixel.labels import LabelSpace
from perpixel.networks import Network, network_config
from perpixel.networks.folding import folded
from perpixel.preprocessing import Preprocessing

pytestmark = pytest.mark.usefixtures("unchecked")
SUFFIXES = [".onnx", ".xml", ".pt2"]


@pytest.fixture(scope="module")
def network() -> Network:
    return shaken(network_config({"name": "fcn8s-vgg16", "width": 2, "classes": 3}))


@pytest.fixture(scope="module")
def card(network: Network) -> ExportCard:
    return ExportCard(
        network="fcn8s-vgg16",
        labels=LabelSpace.of(['<sky> & "sea"', "Straße", "c"]),
        preprocessing=Preprocessing(order="bgr", range=255.0),
        placement=network.placement,
        canvas=network.canvas,
        versions={"opset": "18"},
    )


@pytest.fixture(scope="module")
def files(
    network: Network,
    card: ExportCard,
    unchecked: None,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A folder with model.onnx, model.xml and model.pt2; not to be changed."""
    folder = tmp_path_factory.mktemp("exports")
    graph = CoarseGraph(folded(network), 3)
    write_onnx(folder / "model.onnx", to_onnx(graph), card)
    write_openvino(folder / "model.xml", to_openvino(graph), card)
    write_program(folder / "model.pt2", to_program(graph), card)
    return folder


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_is_enough(files: Path, network: Network, card: ExportCard, suffix: str) -> None:
    read = read_export(files / f"model{suffix}")
    assert read.card == card
    assert read.runtime.precision == "fp32"
    for batch, height, width in [(1, 41, 67), (2, 1, 3)]:
        images = torch.randn(batch, 3, height, width)
        with torch.no_grad():
            expected = network(images)
        found = read.runtime.scores(images)
        assert (found.stride, found.offset, found.size) == (
            expected.stride, expected.offset, expected.size,
        )  # fmt: skip
        torch.testing.assert_close(found.scores, expected.scores, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_only_some_precisions_are_there(files: Path, suffix: str) -> None:
    path = files / f"model{suffix}"
    if suffix == ".onnx":
        with pytest.raises(ConfigError, match="bf16"):
            read_export(path, "bf16")
    else:
        assert read_export(path, "bf16").runtime.precision == "bf16"
    with pytest.raises(ConfigError, match="int8"):
        read_export(path, "int8")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_no_export_is_refused(files: Path, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"model{suffix}"
    with pytest.raises(ModelError, match="no such file"):
        read_export(path)
    for content in (b"", b"nothing", (files / f"model{suffix}").read_bytes()[:1000]):
        path.write_bytes(content)
        with pytest.raises(ModelError, match=path.name):
            read_export(path)


def test_a_graph_of_somebody_else_is_refused(files: Path, tmp_path: Path) -> None:
    proto = pytest.importorskip("onnx").load(files / "model.onnx")
    del proto.metadata_props[:]
    path = tmp_path / "foreign.onnx"
    path.write_bytes(proto.SerializeToString())
    with pytest.raises(ModelError, match="nothing in it says that perpixel wrote it"):
        read_export(path)


@pytest.mark.filterwarnings("ignore:Pydantic serializer")
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"full": True}, "without --full"),
        ({"format_version": 2}, "Upgrade perpixel"),
        ({"network": 3}, "card is damaged"),
    ],
)
def test_a_card_that_does_not_fit_is_refused(
    files: Path, tmp_path: Path, card: ExportCard, change: dict[str, object], said: str
) -> None:
    onnx = pytest.importorskip("onnx")
    proto = onnx.load(files / "model.onnx")
    path = tmp_path / "model.onnx"
    write_onnx(path, proto, card.model_copy(update=change))
    with pytest.raises(ModelError, match=said):
        read_export(path)


def test_openvino_weights_that_are_missing_are_said(files: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.xml"
    path.write_bytes((files / "model.xml").read_bytes())
    with pytest.raises(ModelError, match=r"model\.xml"):
        read_export(path)


def is_pickle(content: bytes) -> bool:
    """Whether it begins and ends as a pickle or an archive of them does: weights may begin so by
    chance."""
    archive = content.startswith(b"PK\x03\x04")
    return archive or (content[:1] == b"\x80" and content[1] <= 5 and content[-1:] == b".")


def test_no_pickle_is_written_nor_read(tmp_path: Path, files: Path) -> None:
    with zipfile.ZipFile(files / "model.pt2") as archive:
        assert is_pickle(pickle.dumps({"weights": [1.0]}))
        assert is_pickle((files / "model.pt2").read_bytes())
        assert not any(is_pickle(archive.read(one)) for one in archive.infolist())
    program = torch.export.export(nn.ReLU(), (torch.zeros(2),))
    content = io.BytesIO()
    torch.export.save(program, content)  # with its example inputs
    path = tmp_path / "model.pt2"
    path.write_bytes(content.getvalue())
    with pytest.raises(ModelError, match="pickle"):
        read_export(path)
