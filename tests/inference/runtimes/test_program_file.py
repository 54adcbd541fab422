"""A crafted .pt2 is refused before torch reads any of it: nothing in it is ever run."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from networks.test_conformance import shaken

from perpixel.errors import ModelError
from perpixel.inference.runtimes.card import ExportCard
from perpixel.inference.runtimes.conversion import to_program
from perpixel.inference.runtimes.exported import read_export, write_program
from perpixel.inference.runtimes.graphs import CoarseGraph
from perpixel.labels import LabelSpace
from perpixel.networks import Network, network_config
from perpixel.preprocessing import Preprocessing

pytestmark = pytest.mark.usefixtures("unchecked")
# By their names in the archive, without its folder.
Members = dict[str, bytes]
WEIGHTS = "data/weights/model_weights_config.json"
CONSTANTS = "data/constants/model_constants_config.json"
PROGRAM = "models/model.json"


class Payload:
    """A pickle that creates a file when it is read."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return open, (str(self.mark), "w")


def saved(mark: Path) -> bytes:
    content = io.BytesIO()
    torch.save(Payload(mark), content)
    return content.getvalue()


@pytest.fixture(scope="module")
def network() -> Network:
    config = {"name": "fcn32s", "backbone": "test_resnet", "classes": 2, "head_channels": 4}
    return shaken(network_config(config))


@pytest.fixture(scope="module")
def genuine(network: Network, unchecked: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("program") / "model.pt2"
    card = ExportCard(
        network="fcn32s",
        labels=LabelSpace.of(["a", "b"]),
        preprocessing=Preprocessing(),
        placement=network.placement,
        canvas=network.canvas,
        versions={},
    )
    write_program(path, to_program(CoarseGraph(network, 3)), card)
    return path


def members(path: Path) -> Members:
    with zipfile.ZipFile(path) as archive:
        return {one.partition("/")[2]: archive.read(one) for one in archive.namelist()}


def written(path: Path, parts: Members, folder: str = "archive/") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(folder + name, content)
    return path


def constant(parts: Members, place: str, content: bytes) -> None:
    entry = {"path_name": place, "is_param": False, "use_pickle": True, "tensor_meta": None}
    parts[CONSTANTS] = json.dumps({"config": {"x": entry}}).encode()
    parts[f"data/constants/{place}"] = content


def opaque_constant(parts: Members, mark: Path) -> None:
    constant(parts, "opaque_obj_0", pickle.dumps(Payload(mark)))


def custom_constant(parts: Members, mark: Path) -> None:
    constant(parts, "custom_obj_0", pickle.dumps(Payload(mark)))


def pickled_constant(parts: Members, mark: Path) -> None:
    constant(parts, "tensor_0", saved(mark))


def pickled_weight(parts: Members, mark: Path) -> None:
    config = json.loads(parts[WEIGHTS])
    next(iter(config["config"].values()))["use_pickle"] = True
    parts[WEIGHTS] = json.dumps(config).encode()
    parts["data/weights/weight_0"] = saved(mark)


def pickled_inputs(parts: Members, mark: Path) -> None:
    parts["data/sample_inputs/model.pt"] = saved(mark)


def older_weights(parts: Members, mark: Path) -> None:
    parts["data/weights/model.pt"] = saved(mark)


def compiled_library(parts: Members, mark: Path) -> None:
    parts["data/aotinductor/model/model.so"] = b"\x7fELF"


def second_program(parts: Members, mark: Path) -> None:
    parts["models/other.json"] = parts[PROGRAM]


def size_as_code(parts: Members, mark: Path) -> None:
    code = f"open({str(mark)!r}, 'w')"
    program = parts[PROGRAM].decode()
    symbol = "Symbol('s"
    start = program.index(f'"expr_str": "{symbol}') + len('"expr_str": "')
    parts[PROGRAM] = (program[:start] + code + program[program.index('"', start) :]).encode()


def argument_as_code(parts: Members, mark: Path) -> None:
    program = json.loads(parts[PROGRAM])
    signature = program["graph_module"]["module_call_graph"][0]["signature"]
    signature["forward_arg_names"] = [f"images=open({str(mark)!r}, 'w')"]
    parts[PROGRAM] = json.dumps(program).encode()


def operator_of_the_system(parts: Members, mark: Path) -> None:
    program = json.loads(parts[PROGRAM])
    node = program["graph_module"]["graph"]["nodes"][-1]
    node["target"] = "torch.os.system"
    node["inputs"] = [{"name": "", "arg": {"as_string": f"touch {mark}"}, "kind": 1}]
    parts[PROGRAM] = json.dumps(program).encode()


def operator_on_a_file(parts: Members, mark: Path) -> None:
    program = json.loads(parts[PROGRAM])
    program["graph_module"]["graph"]["nodes"][-1]["target"] = "torch.ops.aten.from_file.default"
    parts[PROGRAM] = json.dumps(program).encode()


def structure_that_imports(parts: Members, mark: Path) -> None:
    mark.with_name("imported_by_a_file.py").write_text(f"open({str(mark)!r}, 'w')\nclass E: pass\n")
    program = json.loads(parts[PROGRAM])
    signature = program["graph_module"]["module_call_graph"][0]["signature"]
    enum = {"__enum__": True, "fqn": "imported_by_a_file:E", "name": "x"}
    tree = {"type": "builtins.dict", "context": json.dumps(enum), "children_spec": []}
    signature["out_spec"] = json.dumps([1, tree])
    parts[PROGRAM] = json.dumps(program).encode()


@pytest.mark.parametrize(
    ("craft", "said"),
    [
        (opaque_constant, "opaque_obj_0"),
        (custom_constant, "custom_obj_0"),
        (pickled_constant, "pickle"),
        (pickled_weight, "pickle"),
        (pickled_inputs, "pickle"),
        (older_weights, "data/weights/model.pt"),
        (compiled_library, "aotinductor"),
        (second_program, "models/other.json"),
        (size_as_code, "holds .open"),
        (argument_as_code, "images=open"),
        (operator_of_the_system, "torch.os.system"),
        (operator_on_a_file, "from_file"),
        (structure_that_imports, "imported_by_a_file"),
    ],
)
def test_nothing_in_a_file_is_run(
    genuine: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    craft: Callable[[Members, Path], None],
    said: str,
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    mark, parts = tmp_path / "ran", members(genuine)
    craft(parts, mark)
    refused(written(tmp_path / "model.pt2", parts), mark, said, monkeypatch)


def refused(path: Path, mark: Path, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading, and then scoring, is an error in one line before torch reads; nothing has run."""
    load, given = torch.export.load, list[object]()
    monkeypatch.setattr(
        torch.export, "load", lambda *args, **more: given.append(args) or load(*args, **more)
    )
    try:
        with pytest.raises(ModelError, match=said) as raised:
            read_export(path).runtime.scores(torch.zeros(2, 3, 33, 34))
        assert "\n" not in str(raised.value)
    finally:
        assert not mark.exists()
    assert given == []


def test_the_layout_of_an_older_torch_is_refused(
    genuine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torch._export.serde.schema import SCHEMA_VERSION

    mark, parts = tmp_path / "ran", members(genuine)
    older = {
        "version": ".".join(map(str, SCHEMA_VERSION)).encode(),
        "serialized_exported_program.json": parts[PROGRAM],
        "serialized_state_dict.json": saved(mark),
        "serialized_constants.json": saved(mark),
        "serialized_example_inputs.pt": b"",
    }
    path = written(tmp_path / "model.pt2", older, folder="")
    refused(path, mark, "in one folder|in no export", monkeypatch)


def test_what_two_readers_may_read_differently_is_refused(
    genuine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts, path, mark = members(genuine), tmp_path / "model.pt2", tmp_path / "ran"
    written(path, parts)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr(f"archive/{CONSTANTS}", parts[CONSTANTS])
    refused(path, mark, "each once", monkeypatch)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(f"archive/{name}", content)
    refused(path, mark, "packed", monkeypatch)


def test_a_file_of_somebody_else_is_refused_before_it_is_read(
    genuine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = members(genuine)
    del parts["extra/perpixel"]
    path = written(tmp_path / "model.pt2", parts)
    refused(path, tmp_path / "ran", "nothing in it says that perpixel wrote it", monkeypatch)


@pytest.mark.parametrize(
    "content", [b"[]", b"{}", b"\xff", b"[" * 100_000], ids=["list", "empty", "binary", "deep"]
)
def test_a_damaged_part_is_an_error(genuine: Path, tmp_path: Path, content: bytes) -> None:
    for name in (PROGRAM, WEIGHTS, "archive_format", ".data/version", "extra/perpixel"):
        path = written(tmp_path / "model.pt2", members(genuine) | {name: content})
        with pytest.raises(ModelError, match=r"model\.pt2"):
            read_export(path)


def test_a_genuine_file_packed_anew_is_read(
    genuine: Path, tmp_path: Path, network: Network
) -> None:
    images = torch.randn(1, 3, 41, 67)
    for path in (genuine, written(tmp_path / "model.pt2", members(genuine))):
        with torch.no_grad():
            expected = network(images).scores
        found = read_export(path).runtime.scores(images).scores
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5)
