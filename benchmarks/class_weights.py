"""What it would cost to leave the weights of classes in a model's scores.

    python benchmarks/class_weights.py MODEL --data CAMVID

A weighted cross-entropy is smallest where a softmax gives p·w, so `perpixel train` takes it of
scores that have log w added, and what the model says is p. This adds a share of log w to a trained
model's scores: at share 1 they are those of a training that leaves the weights in. Scores on the
validation split, kept in benchmarks/results/class_weights.json, are a table of docs/factors.md.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from measure import RESULTS, machine
from page_table import markdown, write_table

import perpixel
from perpixel import kernels
from perpixel.data.layouts import open_dataset
from perpixel.data.scan import scan
from perpixel.inference.evaluation import labelled_samples
from perpixel.metrics import Calibration, Confusion
from perpixel.training.class_weights import inverse_log
from perpixel.whole_file import write_whole

KEPT = RESULTS / "class_weights.json"
PAGE = Path(__file__).resolve().parents[1] / "docs" / "factors.md"
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
COLUMNS = {
    "share of log w in the scores": "share",
    "mean IoU": "mean_iou",
    "pixel accuracy": "pixel_accuracy",
    "mean accuracy": "mean_accuracy",
    "calibration error": "calibration_error",
}


@torch.inference_mode()
def measured(name: str, data: Path) -> dict[str, Any]:
    """A model's scores with each share of the weights' logarithm in them."""
    model, dataset = perpixel.load(name, runtime="torch"), open_dataset(data)
    network, labels = model.network.float(), model.labels
    weights = inverse_log(scan(dataset.split("train"), labels).pixels)
    added = torch.from_numpy(weights).float().log().view(1, -1, 1, 1)
    confusions = [Confusion(labels) for _ in SHARES]
    calibrations = [Calibration(labels) for _ in SHARES]
    for sample, mask in labelled_samples(model, dataset.split("val")):
        image = model.preprocessing(torch.tensor(sample.image)[None])
        scored = network(image.contiguous(memory_format=torch.channels_last))
        for share, confusion, calibration in zip(SHARES, confusions, calibrations, strict=True):
            shifted = replace(scored, scores=scored.scores + share * added)
            best, probability = (found[0].numpy() for found in kernels.winner(shifted))
            confusion.update(best, mask)
            calibration.update(best, probability, mask)
    rows = []
    for share, confusion, calibration in zip(SHARES, confusions, calibrations, strict=True):
        scores = confusion.scores()
        rows.append(
            {
                "share": share,
                **{column: getattr(scores, column) for column in list(COLUMNS.values())[1:4]},
                "calibration_error": calibration.error,
                "iou": dict(zip(labels.names, scores.iou.tolist(), strict=True)),
            }
        )
    return {"model": name, "machine": machine(), "rows": rows}


def table(kept: dict[str, Any]) -> str:
    """Mean scores by share, in Markdown."""
    share, *figures = COLUMNS.values()
    rows = [
        [f"{row[share]:g}", *(f"{row[figure]:.4f}" for figure in figures)] for row in kept["rows"]
    ]
    return markdown(list(COLUMNS), rows)


def main() -> None:
    """Measure, keep, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", metavar="MODEL", help="trained with inverse-log weights")
    parser.add_argument("--data", type=Path, required=True, help="the CamVid folder")
    options = parser.parse_args()
    kept = measured(options.model, options.data)
    write_whole(KEPT, (json.dumps(kept, indent=1) + "\n").encode())
    write_table(PAGE, "benchmarks/class_weights.py", table(kept))
    print(table(kept))


if __name__ == "__main__":
    main()
