"""A model for others in half the bytes: its weights rounded to float16, and what that changes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import torch

from perpixel.checkpoint import Checkpoint, parsed, read_checkpoint, serialised, stored_checksum
from perpixel.delivery.agreement import Agreement, Named, score_agreement
from perpixel.delivery.export import drawn_scenes
from perpixel.distribution.publication import published
from perpixel.errors import ConfigError, ModelError, OutputError
from perpixel.inference.predictor import Model
from perpixel.inference.runtimes import TorchRuntime
from perpixel.whole_file import write_whole

# Rounding moves scores by about a thousandth, so more ties fall than between two runtimes.
EQUAL = 0.99
HALF_OF = "half_of"


def write_half(
    path: Path, out: Path, *, licence: str = "", images: Sequence[Named] = ()
) -> list[Agreement]:
    """Write a model file with float16 weights (`rounding`), which loads as any other.

    It says which file it was rounded from, by its checksum, and nothing of this machine's folders.

    Args:
        path: a model file.
        out: the file to write (`.safetensors`).
        licence: of the weights, written into the file; else what the model says already.
        images: what is compared on, as decoded; none: drawn scenes.

    Returns:
        how the rounded network and the given one agree, both in float32.

    Raises:
        ConfigError: the file to write has another suffix.
        ModelError: the model cannot be read, a weight is too large, or more than 1 % of the pixels
            of an image change their class; nothing is written.
        OutputError: the place cannot be written, or is that of the model.
    """
    if out.suffix != ".safetensors":
        raise ConfigError(
            "--out",
            found=f"{out}",
            expected="a file with the suffix .safetensors",
            mend="Give it a name that ends so",
        )
    if os.path.realpath(out) == os.path.realpath(path):
        raise OutputError(out, found="the model itself", mend="Give the half another name")
    whole = read_checkpoint(path)
    halved = published(whole, licence=licence, stored="float16")
    halved.provenance.setdefault(HALF_OF, stored_checksum(path))
    content = serialised(halved)
    runtime = TorchRuntime(parsed(content, out).restore(), torch.device("cpu"))
    images = images or drawn_scenes(whole.preprocessing.bands)
    agreement = score_agreement(_model(whole), runtime, images)
    worst = min(agreement, key=lambda one: one.equal)
    if worst.equal < EQUAL:
        raise ModelError(
            out,
            found=f"float16 changes what the network says ({worst})",
            expected=f"{100 * EQUAL:g} % of pixels equal",
            mend="Nothing was written. Keep the model as it is",
        )
    write_whole(out, content)
    return agreement


def _model(checkpoint: Checkpoint) -> Model:
    network, cpu = checkpoint.restore(), torch.device("cpu")
    return Model(
        network, checkpoint.labels, checkpoint.preprocessing, cpu, TorchRuntime(network, cpu)
    )
