"""Layouts of plain folders and lists of files."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
from PIL import Image

from data.written.small import (
    DIVIDED,
    HALVES,
    VOID,
    Written,
    by_split,
    coded,
    masks_of,
    picture,
    save,
    text,
)


def write_folders(root: Path) -> Written:
    masks = masks_of([0, 1, 2, VOID])
    for seed, (split, stem) in enumerate(by_split()):
        save(picture(seed), root / split / "images" / f"{stem}.jpg")
        stored = coded(masks[stem], {0: 0, 1: 1, 2: 2, VOID: 255})
        save(stored, root / split / "masks" / f"{stem}.png")
    text(root / "classes.yaml", "classes: [sky, road, tree]\nignore_index: 255\n")
    return Written("folders", ("sky", "road", "tree"), masks, HALVES)


def write_transposed_folders(root: Path) -> Written:
    masks = masks_of([0, 1, 2])
    for seed, (split, stem) in enumerate(by_split()):
        save(picture(seed), root / "images" / split / f"{stem}.jpg")
        save(coded(masks[stem], {0: 0, 1: 1, 2: 2}), root / "labels" / split / f"{stem}.png")
    return Written("folders", ("class 0", "class 1", "class 2"), masks, HALVES, "hold 0, 1, 2")


def write_lists(root: Path) -> Written:
    masks = masks_of([0, 1])
    lines: dict[str, list[str]] = {"train": [], "val": []}
    for seed, (split, stem) in enumerate(by_split()):
        save(picture(seed), root / "photographs" / f"{stem}.png")
        palette = Image.fromarray(coded(masks[stem], {0: 0, 1: 1}))
        palette.putpalette([200, 0, 0, 0, 0, 200])
        save(palette, root / "drawn" / f"{stem}-labels.png")
        lines[split].append(f"photographs/{stem}.png drawn/{stem}-labels.png")
    for split, of in lines.items():
        text(root / f"{split}.txt", "\n".join(of) + "\n")
    text(root / "classes.yaml", "classes: [soil, weed]\n")
    return Written("lists", ("soil", "weed"), masks, HALVES)


def write_flat_binary(root: Path) -> Written:
    masks = masks_of([0, 1])
    for seed, (stem, mask) in enumerate(masks.items()):
        save(picture(seed), root / "images" / f"{stem}.jpg")
        save(coded(mask, {0: 0, 1: 255}), root / "masks" / f"{stem}_mask.png")
    noted = "masks hold 0 and 255: read as background and foreground"
    return Written("flat", ("background", "foreground"), masks, DIVIDED, noted)


def write_flat_colours(root: Path) -> Written:
    masks = masks_of([0, 1, 2])
    codes = {0: (0, 0, 0), 1: (128, 0, 0), 2: (10, 200, 30)}
    for seed, (stem, mask) in enumerate(masks.items()):
        save(picture(seed), root / "images" / f"{stem}.jpg")
        save(coded(mask, codes), root / "annotations" / f"{stem}.png")
    # In the order of the colours: red first.
    names = ("black", "green #0ac81e", "dark red")
    swapped = {stem: np.array([0, 2, 1])[mask] for stem, mask in masks.items()}
    return Written("flat", names, swapped, DIVIDED, "black [0, 0, 0], green #0ac81e [10, 200, 30]")


def write_flat_16_bit(root: Path) -> Written:
    masks = masks_of([0, 1, 2])
    for seed, (stem, mask) in enumerate(masks.items()):
        save(picture(seed), root / "images" / f"{stem}.jpg")
        save(coded(mask, {0: 0, 1: 300, 2: 70}, np.uint16), root / "masks" / f"{stem}.png")
    text(
        root / "classes.yaml",
        "classes: [{name: sea, merge: [0]}, {name: land, merge: [300]}, {name: ice, merge: [70]}]",
    )
    return Written("flat", ("sea", "land", "ice"), masks, DIVIDED)


def write_class_masks(root: Path) -> Written:
    masks = masks_of([0, 1, 2])
    for seed, (stem, mask) in enumerate(masks.items()):
        save(picture(seed), root / "images" / f"{stem}.jpg")
        for index, name in ((1, "leaf"), (2, "stem")):
            save((mask == index).astype(np.uint8) * 255, root / "masks" / name / f"{stem}.png")
    return Written("class-masks", ("background", "leaf", "stem"), masks, DIVIDED, "leaf, stem")


def write_csv(root: Path) -> Written:
    masks = masks_of([0, 1])
    rows = [["image", "mask", "split"]]
    for seed, (split, stem) in enumerate(by_split()):
        save(picture(seed), root / "some where" / f"{stem}.jpg")
        save(coded(masks[stem], {0: 0, 1: 1}), root / "m" / f"{stem}.png")
        rows.append([f"some where/{stem}.jpg", f"m/{stem}.png", {"val": "valid"}.get(split, split)])
    with (root / "pairs.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return Written("table", ("background", "foreground"), masks, HALVES)


def write_json_lines(root: Path) -> Written:
    masks = masks_of([0, 1])
    lines = []
    for seed, (stem, mask) in enumerate(masks.items()):
        save(picture(seed), root / "i" / f"{stem}.jpg")
        save(coded(mask, {0: 0, 1: 1}), root / "m" / f"{stem}.png")
        lines.append(json.dumps({"image": f"i/{stem}.jpg", "mask": f"m/{stem}.png"}))
    text(root / "pairs.jsonl", "\n".join(lines) + "\n")
    return Written("table", ("background", "foreground"), masks, DIVIDED)
