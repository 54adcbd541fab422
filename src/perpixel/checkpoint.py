"""Checkpoint: one safetensors file that holds a model whole, and says when it is damaged.

The header's metadata holds JSON texts under these keys:

    format           "perpixel model"
    format_version   1, or 2 where `stored` is there
    checksum         SHA-256, in hexadecimal, of the file with 64 zeros in this place
    network, labels, preprocessing, provenance
    stored           "float16": how the weights with two axes or more were rounded
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from pydantic import ValidationError
from safetensors import SafetensorError

from perpixel.errors import ModelError, PerpixelError
from perpixel.labels import LabelSpace
from perpixel.networks import Network, NetworkConfig, build, network_config_from_json
from perpixel.preprocessing import Preprocessing
from perpixel.provenance import read_provenance
from perpixel.rounding import Stored, rounded, stored_as, widened
from perpixel.whole_file import write_whole

FORMAT = "perpixel model"
# The newest that is read. Whole files are written as 1, so that an older perpixel reads them.
WHOLE, HALVED = 1, 2
VERSION = HALVED
_UNSIGNED = b'"checksum":"' + b"0" * 64 + b'"'


@dataclass(frozen=True)
class Checkpoint:
    """A model: how its network is built, its weights, what it tells apart, what it is fed.

    Args:
        network: what `build` makes the network from.
        labels: the classes, in the order of the scores.
        preprocessing: from an image to the network's input.
        weights: every tensor of the network, by name.
        provenance: where the model came from (command, versions, data, scores, licence), as JSON
            values.
        stored: how the file holds weights; "float16" as `rounding` says. In memory they are
            float32.
    """

    network: NetworkConfig
    labels: LabelSpace
    preprocessing: Preprocessing
    weights: Mapping[str, torch.Tensor] = field(repr=False)
    provenance: dict[str, Any] = field(default_factory=dict)
    stored: Stored = "float32"

    def restore(self) -> Network:
        """The network with these weights, in eval mode, on the CPU."""
        # Without memory first: drawing random weights, only to replace them, took longer than this.
        with torch.device("meta"):
            network = build(self.network)
        if _computes_tensors(network):
            network = build(self.network)
        network.load_state_dict(
            {name: tensor.clone() for name, tensor in self.weights.items()}, assign=True
        )
        return network.eval()


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a model file: whole, or not at all, as `write_whole` does.

    Raises:
        OutputError: the folder is missing or read-only, or the disk is full; nothing is left.
        ModelError: a weight is too large for float16, in which it should be stored.
    """
    write_whole(path, serialised(checkpoint))


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a model file. Its tensors are exactly those of the network that its header describes.

    Raises:
        ModelError: the file is missing, is no perpixel model, was made by a newer perpixel, is
            damaged or cut short, or its weights do not fit its network.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise _refuse(path, f"cannot be read ({error.strerror or error})") from None
    return parsed(content, path)


def parsed(content: bytes, path: Path) -> Checkpoint:
    """The model in the content of a model file.

    Args:
        content: the whole file.
        path: what errors call it.

    Raises:
        ModelError: as `read_checkpoint`.
    """
    metadata = _metadata(path, content)
    version = metadata.get("format_version", "")
    # Python does not read a number of thousands of digits.
    if version.isdecimal() and (len(version) > 9 or int(version) > VERSION):
        raise ModelError(
            path,
            found=f"model format {version:.9}",
            expected=f"format {VERSION} or older",
            mend="Upgrade perpixel: the file was made by a newer one",
        )
    if not intact(content, metadata.get("checksum", "")):
        raise _damaged(path, "its content does not match its checksum")
    try:
        stored = stored_as(metadata)
        checkpoint = Checkpoint(
            network=network_config_from_json(metadata["network"]),
            labels=LabelSpace.model_validate_json(metadata["labels"]),
            preprocessing=Preprocessing.model_validate_json(metadata["preprocessing"]),
            provenance=read_provenance(metadata["provenance"]),
            weights=widened(safetensors.torch.load(content), stored),
            stored=stored,
        )
        _check_fit(path, checkpoint)
    except (KeyError, ValueError, RecursionError, ValidationError, SafetensorError) as error:
        found = f"its header does not describe a model ({' '.join(str(error).split())[:200]})"
        raise _refuse(path, found) from None
    return checkpoint


def stored_checksum(path: Path) -> str:
    """The checksum in the header of a model file that `read_checkpoint` has found whole.

    Raises:
        ModelError: the file is missing or is no perpixel model.
    """
    try:
        with path.open("rb") as file:
            start = file.read(8)
            length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
            # A damaged length must not make us ask for more memory than the file is long.
            header = file.read(min(length, path.stat().st_size))
    except OSError as error:
        raise _refuse(path, f"cannot be read ({error.strerror or error})") from None
    return _metadata(path, start + header).get("checksum", "")


def serialised(checkpoint: Checkpoint) -> bytes:
    """The model file, in memory.

    Raises:
        ModelError: a weight is too large for float16, in which it should be stored.
    """
    # Copies: safetensors refuses tensors that share memory, and wants the plain order of memory.
    tensors = {
        name: tensor.detach().to("cpu", copy=True).contiguous()
        for name, tensor in checkpoint.weights.items()
    }
    halved = checkpoint.stored == "float16"
    if halved:
        tensors = rounded(tensors)
    metadata = {
        "format": FORMAT,
        "format_version": str(HALVED if halved else WHOLE),
        "checksum": "0" * 64,
        "network": checkpoint.network.model_dump_json(),
        "labels": checkpoint.labels.model_dump_json(),
        "preprocessing": checkpoint.preprocessing.model_dump_json(),
        "provenance": json.dumps(checkpoint.provenance, allow_nan=False),
        **({"stored": checkpoint.stored} if halved else {}),
    }
    return signed(tensors, metadata)


def signed(tensors: Mapping[str, torch.Tensor], metadata: dict[str, str]) -> bytes:
    """A safetensors file in memory, with a checksum over all of it in its metadata.

    Args:
        tensors: on the CPU, in the plain order of memory, none sharing memory with another.
        metadata: texts, and 64 zeros under "checksum", which the checksum replaces.
    """
    content = safetensors.torch.save(dict(tensors), metadata)
    if content.count(_UNSIGNED) != 1:
        raise ValueError("safetensors wrote the header in a form that cannot be signed")
    checksum = _UNSIGNED.replace(b"0" * 64, hashlib.sha256(content).hexdigest().encode())
    return content.replace(_UNSIGNED, checksum, 1)


def intact(content: bytes, checksum: str) -> bool:
    """Whether a file that `signed` made, read back with this checksum, is as it was made."""
    own = b'"checksum":"' + checksum.encode(errors="replace") + b'"'
    return hashlib.sha256(content.replace(own, _UNSIGNED, 1)).hexdigest() == checksum


def metadata_of(content: bytes) -> dict[str, str] | None:
    """The metadata in a safetensors file's header, unchecked; None where there is none."""
    length = struct.unpack("<Q", content[:8])[0] if len(content) >= 8 else 0
    try:
        header = json.loads(content[8 : 8 + length])
    except (ValueError, RecursionError):
        return None
    metadata = header.get("__metadata__") if isinstance(header, dict) else None
    if not isinstance(metadata, dict):
        return None
    return {str(key): str(value) for key, value in metadata.items()}


def _metadata(path: Path, content: bytes) -> dict[str, str]:
    """The header's metadata, read before anything in the file is believed."""
    metadata = metadata_of(content)
    if metadata is None or metadata.get("format") != FORMAT:
        if FORMAT.encode() in content[: 1 << 20]:
            raise _damaged(path, "its header is damaged")
        raise _refuse(path, "no perpixel model")
    return metadata


def _computes_tensors(network: Network) -> bool:
    """Whether a network has tensors that are no weights, and so in no file, such as the kernel of
    a blur: they are computed when it is built."""
    stored = set(map(id, network.state_dict(keep_vars=True).values()))
    return any(
        isinstance(value, torch.Tensor) and id(value) not in stored
        for module in network.modules()
        for value in (*vars(module).values(), *module.buffers(recurse=False))
    )


def _check_fit(path: Path, checkpoint: Checkpoint) -> None:
    """The weights are those of the network, by name, shape and type; no more and no fewer."""
    try:
        with torch.device("meta"):
            network = build(checkpoint.network)
    except (PerpixelError, RuntimeError, OverflowError, TypeError) as error:
        # torch has a class of its own for every kind of size that it cannot make.
        why = " ".join(str(error).split())[:200]
        raise _refuse(path, f"its network cannot be built ({why})") from None
    theirs, ours = checkpoint.weights, network.state_dict()
    differences = [f"lacks {name}" for name in ours if name not in theirs]
    differences += [f"has unknown {name}" for name in theirs if name not in ours]
    differences += [
        f"{name} is {_kind(theirs[name])}, not {_kind(own)}"
        for name, own in ours.items()
        if name in theirs and _kind(theirs[name]) != _kind(own)
    ]
    if checkpoint.labels.classes != checkpoint.network.classes:
        scored = checkpoint.network.classes
        differences.append(f"{checkpoint.labels.classes} classes named, {scored} scored")
    if checkpoint.preprocessing.bands != checkpoint.network.bands:
        taken = checkpoint.network.bands
        differences.append(f"{checkpoint.preprocessing.bands} bands prepared, {taken} taken")
    if differences:
        more = f" and {len(differences) - 5} more" if len(differences) > 5 else ""
        raise ModelError(
            path,
            found=f"weights do not fit the network: {'; '.join(differences[:5])}{more}",
            mend="Make the file anew with the perpixel and timm that trained the model",
        )


def _kind(tensor: torch.Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {'×'.join(map(str, tensor.shape))}"


def _refuse(path: Path, found: str) -> ModelError:
    return ModelError(
        path,
        found=found,
        expected="a model that perpixel wrote (.safetensors)",
        mend="Give the path of such a model",
    )


def _damaged(path: Path, found: str) -> ModelError:
    return ModelError(
        path,
        found=f"damaged or cut short: {found}",
        expected="a whole model file",
        mend="Copy or make the file again",
    )
