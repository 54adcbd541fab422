"""Exact tiles against the usual blend of overlapping ones: how many pixels of a large image get
another class than the image whole, and how long each takes.

    python benchmarks/tiles.py --model runs/a/model.safetensors --photos photos/*.jpg

The large image is a mosaic of photographs, beside and above each other, small enough to be
predicted whole. The blend is what sliding-window predictors do: windows overlap by half, and their
probabilities are averaged, weighted by a Gaussian (or by a pyramid) around each window's middle.
Windows are as large as what the exact tiles' network is shown, at the most. With --picture, where
the blend differs is painted over the mask.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image

from perpixel.inference.predictor import Model, load
from perpixel.inference.tiles.tiled import predict_tiled
from perpixel.inference.tiles.tiler import Tiler

# Of a window's side: the Gaussian's standard deviation, as nnU-Net has it.
SIGMA = 1 / 8
PAINT = (255, 0, 255)


def mosaic(photos: list[Path], across: int) -> np.ndarray:
    """Photographs of one size, so many in a row."""
    images = [np.asarray(Image.open(path).convert("RGB")) for path in photos]
    rows = [np.concatenate(images[at : at + across], 1) for at in range(0, len(images), across)]
    return np.concatenate([row for row in rows if row.shape == rows[0].shape], 0)


def weights(side: int, kind: str) -> Float[torch.Tensor, "side side"]:
    """How much each pixel of a window counts."""
    places = torch.arange(side) - (side - 1) / 2
    if kind == "gaussian":
        along = torch.exp(-0.5 * (places / (SIGMA * side)) ** 2)
    else:
        along = 1 - places.abs() / (side / 2)
    return torch.outer(along, along).clamp(min=1e-6)


def blended(model: Model, image: np.ndarray, side: int, kind: str) -> np.ndarray:
    """The mask of windows that overlap by half; the last ones are moved in from the border."""
    height, width = image.shape[:2]
    total = torch.zeros(model.labels.classes, height, width)
    weight = weights(side, kind)
    starts = [
        sorted({min(at, length - side) for at in range(0, length - side // 2, side // 2)})
        for length in (height, width)
    ]
    for top in starts[0]:
        for left in starts[1]:
            window = image[top : top + side, left : left + side].transpose(2, 0, 1)
            score_map = model.views([window], names=["window"])[0]
            part = torch.softmax(score_map.logits()[0], 0)
            total[:, top : top + side, left : left + side] += part * weight
    return total.argmax(0).numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--photos", type=Path, nargs="+", required=True)
    parser.add_argument("--across", type=int, default=3, help="photographs in a row")
    parser.add_argument("--tile", type=int, nargs="+", default=[512], help="pixels of a side")
    parser.add_argument("--window", type=int, nargs="+", default=[512], help="of a blended window")
    parser.add_argument("--halo", type=int, nargs="*", default=[], help="smaller halos")
    parser.add_argument("--repeats", type=int, default=3, help="the fastest of so many counts")
    parser.add_argument("--out", type=Path, help="write the figures as JSON too")
    parser.add_argument("--picture", type=Path, help="write where the blend differs")
    given = parser.parse_args()
    model = load(given.model, device="cpu", runtime="torch", precision="fp32")
    image = mosaic(given.photos, given.across)
    height, width = image.shape[:2]
    geometry = Tiler.of(model).geometry
    whole, base = _timed(lambda: model.predict(image).mask, given.repeats)
    print(f"{height}×{width} pixels, {type(model.network).__name__}, halo {geometry.halo}")
    print(f"{'':32}{'pixels that differ':>28}{'seconds':>10}{'of whole':>10}")
    figures = []

    def report(what: str, mask: np.ndarray, seconds: float) -> None:
        differing = int((mask != whole).sum())
        share = f"{differing:,} ({differing / whole.size:.3%})"
        print(f"{what:32}{share:>28}{seconds:10.2f}{seconds / base:10.2f}", flush=True)
        figures.append({"what": what, "differing": differing, "seconds": round(seconds, 3)})

    report("whole", whole, base)
    for tile in given.tile:
        for halo in (None, *given.halo):
            mask, seconds = _timed(
                lambda tile=tile, halo=halo: predict_tiled(model, image, tile=tile, halo=halo).mask,
                given.repeats,
            )
            kind = "exact tiles" if halo is None else f"halo {halo}, tiles"
            report(f"{kind} of {tile}", mask, seconds)
    for side in given.window:
        for kind in ("gaussian", "linear"):
            mask, seconds = _timed(
                lambda side=side, kind=kind: blended(model, image, side, kind), given.repeats
            )
            report(f"{kind} blend, windows of {side}", mask, seconds)
            if given.picture is not None and side == given.window[0] and kind == "gaussian":
                # Paler than the classes' colours are, and none of the photographs.
                painted = model.labels.colour_table()[whole] // 3 + 160
                painted[mask != whole] = PAINT
                Image.fromarray(painted).save(given.picture)
    if given.out is not None:
        record = {"size": [height, width], "halo": geometry.halo, "figures": figures}
        given.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def _timed(work: Callable[[], np.ndarray], repeats: int) -> tuple[np.ndarray, float]:
    best = math.inf
    for _ in range(repeats):
        begun = time.perf_counter()
        result = work()
        best = min(best, time.perf_counter() - begun)
    return np.asarray(result), best


if __name__ == "__main__":
    main()
