"""The model card: what a model is, what it scored, and how it is used, from the model alone."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from perpixel.checkpoint import Checkpoint
from perpixel.distribution.publication import licence_of

# The licences that the hub knows by an identifier, of those that are given to weights and data. It
# refuses unknown ones: every other is "other" there, with a name that is like an identifier.
LICENCES = frozenset(
    (
        *(
            "apache-2.0",
            "mit",
            "isc",
            "zlib",
            "unlicense",
            "wtfpl",
            "mpl-2.0",
            "osl-3.0",
            "bsl-1.0",
        ),
        *("bsd", "bsd-2-clause", "bsd-3-clause", "bsd-3-clause-clear", "afl-3.0", "artistic-2.0"),
        *("gpl", "gpl-2.0", "gpl-3.0", "lgpl", "lgpl-2.1", "lgpl-3.0", "agpl-3.0", "gfdl"),
        *("epl-1.0", "epl-2.0", "eupl-1.1", "ecl-2.0", "etalab-2.0", "ms-pl", "ncsa", "postgresql"),
        *("cc", "cc0-1.0", "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc-by-nd-4.0"),
        *("cc-by-sa-3.0", "cc-by-sa-4.0", "cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0"),
        *("cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0", "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0"),
        *("cc-by-nc-sa-4.0", "openrail", "odbl", "odc-by", "pddl", "unknown"),
        *("cdla-sharing-1.0", "cdla-permissive-1.0", "cdla-permissive-2.0"),
    )
)
SCORES = {
    "mean_iou": "mean IoU",
    "pixel_accuracy": "pixel accuracy",
    "mean_accuracy": "mean accuracy",
    "frequency_weighted_iou": "frequency-weighted IoU",
    "mean_dice": "mean Dice",
}


def model_card(checkpoint: Checkpoint, address: str, sha256: str) -> str:
    """The `README.md` of a model's repository, in Markdown.

    Args:
        checkpoint: the model, as it is published.
        address: where it will be: `hf://owner/name`.
        sha256: of its file.
    """
    return "\n".join(
        [
            *_front_matter(licence_of(checkpoint)),
            f"# {address.rpartition('/')[2]}",
            "",
            "A network that gives every pixel of an image one of "
            f"{checkpoint.labels.classes} classes. Made with perpixel.",
            "",
            "```sh",
            f"perpixel predict {address} street.jpg --out masks --overlay",
            "```",
            "",
            "```python",
            "import perpixel",
            "",
            f'model = perpixel.load("{address}")',
            "```",
            "",
            *_model(checkpoint, sha256),
            *_scores(checkpoint),
            *_training(checkpoint.provenance),
            "## What is not known",
            "",
            "This page was written from the model alone: its owner has yet to say which images it",
            "was trained on and who may use them, what it gets wrong, and where it must not be",
            "relied on. Scores are those of one split of one dataset; images of another camera,",
            "season or place may be seen much worse.",
            "",
        ]
    )


def _front_matter(licence: str | None) -> Iterator[str]:
    yield from ("---", "library_name: perpixel", "pipeline_tag: image-segmentation")
    if licence is not None and licence.lower() in LICENCES:
        yield f"license: {licence.lower()}"
    elif licence is not None:
        name = re.sub("[^a-z0-9.]+", "-", licence.lower()).strip("-.")
        yield from ("license: other", f"license_name: {json.dumps(name or 'other')}")
    yield from ("tags:", "- semantic-segmentation", "- fully-convolutional-network", "---", "")


def _model(checkpoint: Checkpoint, sha256: str) -> Iterator[str]:
    parameters = sum(
        tensor.numel()
        for name, tensor in checkpoint.weights.items()
        if not name.endswith(("running_mean", "running_var", "num_batches_tracked"))
    )
    network = checkpoint.network.model_dump()
    backbone = f" on {network['backbone']}" if "backbone" in network else ""
    preprocessing = checkpoint.preprocessing
    yield from ("## The model", "", "| | |", "|---|---|")
    yield f"| network | {network['name']}{backbone} |"
    yield f"| parameters | {parameters:,} |"
    yield f"| weights | stored as {checkpoint.stored}, computed in float32 |"
    yield f"| input | {preprocessing.bands} bands, {preprocessing.order.upper()} |"
    yield f"| licence of the weights | {_cell(licence_of(checkpoint) or 'not stated')} |"
    yield f"| SHA-256 of `model.safetensors` | `{sha256}` |"
    yield ""


def _scores(checkpoint: Checkpoint) -> Iterator[str]:
    scores = checkpoint.provenance.get("validation")
    yield from ("## Classes and scores", "")
    if not isinstance(scores, dict):
        yield from ("It was not scored when it was made. Its classes:", "")
        yield from (f"- {_cell(name)}" for name in checkpoint.labels.names)
        yield ""
        return
    yield from ("On the validation split, at each image's own size:", "", "| | |", "|---|---|")
    for key, title in SCORES.items():
        yield f"| {title} | {_score(scores.get(key))} |"
    yield from ("", "| class | IoU | accuracy |", "|---|---|---|")
    classes = scores.get("classes", {})
    for name in checkpoint.labels.names:
        one = classes.get(name, {})
        yield f"| {_cell(name)} | {_score(one.get('iou'))} | {_score(one.get('accuracy'))} |"
    yield ""


def _training(provenance: dict[str, Any]) -> Iterator[str]:
    yield from ("## How it was made", "")
    versions = [
        f"{name} {provenance[name]}" for name in ("perpixel", "torch") if name in provenance
    ]
    if versions:
        yield from (f"With {' and '.join(versions)}.", "")
    settings = provenance.get("config")
    if isinstance(settings, dict):
        yield from ("```json", json.dumps(settings, indent=1, ensure_ascii=False), "```", "")


def _score(value: Any) -> str:
    return "–" if value is None else f"{value:.3f}"


def _cell(text: str) -> str:
    """A text in a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")
