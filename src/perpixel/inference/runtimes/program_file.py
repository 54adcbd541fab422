"""A .pt2 file of torch's program, taken apart and checked before torch is given any of it.

torch's reader trusts its file. It unpickles what the file calls a pickle, loads compiled libraries,
and evaluates texts as Python: the arithmetic of sizes, the conditions on inputs, and whatever an
operator's name leads to. So what torch reads is a new archive of only those parts that an export
needs, every one of which has been checked. It is not the file itself, because two readers of one
zip file may find different contents in it.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from perpixel.inference.runtimes.card import KEY

_CARD = f"extra/{KEY}"
_PROGRAM = "models/model.json"
_WEIGHTS = "data/weights/model_weights_config.json"
_CONSTANTS = "data/constants/model_constants_config.json"
_INPUTS = "data/sample_inputs/model.pt"
_NEEDED = (_PROGRAM, _WEIGHTS, _CONSTANTS)
_MORE = (
    _CARD,
    _INPUTS,
    "archive_format",
    "archive_version",
    "byteorder",
    "version",
    ".data/version",
    ".data/serialization_id",
)
_TENSOR = re.compile(r"data/(?:weights/weight|constants/tensor)_[0-9]+")

# Names become names in generated code, where dots and letters call nothing.
_WORD = re.compile(r"[A-Za-z0-9_.+-]*")
# Of operators, such as "constant" or "bchw,bc->bhw".
_OPTION = re.compile(r"[A-Za-z0-9_.,> -]*")
_ARITHMETIC = "add|sub|mul|floordiv|truediv|mod|neg|pos|eq|ne|lt|le|gt|ge|and_|or_|not_|getitem"
_SIZES = re.compile(rf"_operator\.(?:{_ARITHMETIC})|math\.(?:ceil|floor|trunc)|torch\.sym_[a-z]+")
_OPERATOR = re.compile(r"torch\.ops\.aten\.([a-z0-9_]+)\.([A-Za-z0-9_]+)")
# Texts that are evaluated: nothing is left of a harmless one without these.
_EXPRESSION = re.compile(
    r"Symbol\('[A-Za-z0-9_]+'|(?:Integer|Add|Mul|Max|Min|FloorDiv|CeilDiv|CleanDiv|Mod|PythonMod|ModularIndexing"
    r"|Equality|Unequality|LessThan|StrictLessThan|GreaterThan|StrictGreaterThan|And|Or|Not)\("
    r"|\b[0-9]{1,18}\b|(?:positive|nonnegative|integer)=True|[-(), ]"
)
_TREE = re.compile(
    r'"type": (?:null|"builtins\.(?:tuple|list|dict)")|"context": (?:null|"null"|"\[\]")'
    r'|"children_spec": \[|[][{}1, ]'
)
_EVALUATED = {"expr_str": _EXPRESSION, "in_spec": _TREE, "out_spec": _TREE}


def checked_parts(path: Path) -> dict[str, bytes]:
    """The parts of an export by torch, by their names in the archive.

    Raises:
        ValueError: something else is in it, or would be run; it says what.
        OSError, zipfile.BadZipFile, ...: whatever `zipfile` says of what is no whole archive.
    """
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        # Packed or overlapping members could be far larger than the file.
        packed = any(one.compress_type != zipfile.ZIP_STORED for one in members)
        if packed or sum(one.file_size for one in members) > path.stat().st_size:
            raise ValueError("its parts are packed or overlap, as torch writes none")
        names = [one.filename.partition("/")[2] for one in members]
        folders = {one.filename.partition("/")[0] for one in members}
        if len(folders) != 1 or len(set(names)) != len(names):
            raise ValueError("its parts are not in one folder, each once")
        for name, member in zip(names, members, strict=True):
            if name == _INPUTS and member.file_size:
                raise ValueError(f"it holds a pickle ({name})")
            if name not in (*_NEEDED, *_MORE) and not _TENSOR.fullmatch(name):
                raise ValueError(f"it holds {member.filename!r:.100}, which is in no export")
        parts = {name: archive.read(one) for name, one in zip(names, members, strict=True)}
    lacking = [name for name in _NEEDED if name not in parts]
    if lacking:
        raise ValueError(f"it lacks {lacking[0]}")
    for name in (_WEIGHTS, _CONSTANTS):
        parts[name] = _checked_payload(name, parts)
    parts[_PROGRAM] = _checked_program(parts[_PROGRAM])
    return parts


def card_text(parts: dict[str, bytes]) -> str:
    """What an export says of itself; nothing where it has no card."""
    return parts.get(_CARD, b"").decode(errors="replace")


def archived(parts: dict[str, bytes]) -> io.BytesIO:
    """The parts as an archive that `torch.export.load` reads."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        # No inputs: torch then evaluates no conditions on them, either.
        for name, part in {**parts, _INPUTS: b""}.items():
            archive.writestr(f"archive/{name}", part)
    content.seek(0)
    return content


def _checked_payload(name: str, parts: dict[str, bytes]) -> bytes:
    """Which tensors the weights or constants are: none is a pickle, and each is there."""
    config = json.loads(parts[name].decode())
    for entry in config["config"].values():
        if entry["use_pickle"] is not False:
            raise ValueError(f"it holds a pickle ({entry['path_name']!r:.100}, says {name})")
        place = f"{name.rpartition('/')[0]}/{entry['path_name']}"
        if not _TENSOR.fullmatch(place) or not parts.get(place):
            raise ValueError(f"{name} names {place!r:.100}, which is no tensor in it")
    return _checked_texts(name, config)


def _checked_program(content: bytes) -> bytes:
    program = json.loads(content.decode())
    # Where each step came from in the source, and conditions on the inputs that torch would run:
    # free texts both, and not needed.
    program["guards_code"] = []
    for node in program["graph_module"]["graph"]["nodes"]:
        node["metadata"] = {}
    return _checked_texts(_PROGRAM, program)


def _checked_texts(name: str, value: Any) -> bytes:
    for key, text in _texts(value, ""):
        if not _is_harmless(key, text):
            raise ValueError(f"{name} holds {text!r:.100}, which is in no export")
    return json.dumps(value).encode()


def _texts(value: Any, key: str) -> Iterator[tuple[str, str]]:
    """Every text in it, with the key that it is under; keys too, under none."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one, key)
    elif isinstance(value, dict):
        for inner, one in value.items():
            yield "", inner
            yield from _texts(one, inner)


def _is_harmless(key: str, text: str) -> bool:
    if key in _EVALUATED:
        return not _EVALUATED[key].sub("", text)
    if key in ("target", "as_operator"):
        return bool(_SIZES.fullmatch(text)) or _computes(text)
    return bool((_OPTION if key == "as_string" else _WORD).fullmatch(text))


def _computes(target: str) -> bool:
    """Whether it is one of torch's operators on tensors, and none that reads or writes files."""
    named = _OPERATOR.fullmatch(target)
    if named is None:
        return False
    operator = getattr(getattr(torch.ops.aten, named[1], None), named[2], None)
    return isinstance(operator, torch._ops.OpOverload) and not any(
        argument.name == "filename" for argument in operator._schema.arguments
    )
