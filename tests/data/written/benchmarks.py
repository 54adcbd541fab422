"""The layouts of public benchmarks: VOC, SBD, Cityscapes, ADE20K, CamVid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import scipy.io
from PIL import Image

from data.written.small import (
    DIVIDED,
    HALVES,
    VOID,
    Written,
    by_split,
    coded,
    made,
    masks_of,
    picture,
    save,
    text,
)
from perpixel.data.layouts.camvid import COLOURS as CAMVID
from perpixel.data.layouts.camvid import GROUPS
from perpixel.data.layouts.voc import CLASSES as VOC


def write_voc(root: Path) -> Written:
    masks = masks_of([0, 7, 15, VOID])
    colours = [value for index in range(256) for value in voc_colour(index)]
    for seed, (split, stem) in enumerate(by_split()):
        stem_mask = coded(masks[stem], {0: 0, 7: 7, 15: 15, VOID: 255})
        save(picture(seed), root / "JPEGImages" / f"{stem}.jpg")
        palette = Image.fromarray(stem_mask)
        palette.putpalette(colours)
        save(palette, root / "SegmentationClass" / f"{stem}.png")
        with (made(root / "ImageSets/Segmentation") / f"{split}.txt").open("a") as file:
            file.write(f"{stem}\n")
    # Photographs of other tasks, which no list of segmentation names.
    save(picture(99), root / "JPEGImages" / "2007_000001.jpg")
    return Written("voc", VOC, masks, HALVES)


def write_voc_labelmap(root: Path) -> Written:
    masks = masks_of([0, 1, 2])
    codes = {0: (0, 0, 0), 1: (51, 221, 255), 2: (250, 50, 83)}
    for seed, (stem, mask) in enumerate(masks.items()):
        save(picture(seed), root / "JPEGImages" / f"{stem}.jpg")
        save(coded(mask, codes), root / "SegmentationClass" / f"{stem}.png")
    text(root / "ImageSets/Segmentation/default.txt", "\n".join(masks))
    lines = ["# label:color_rgb:parts:actions"]
    names = ("background", "boat", "buoy")
    lines += [
        f"{name}:{r},{g},{b}::" for name, (r, g, b) in zip(names, codes.values(), strict=True)
    ]
    text(root / "labelmap.txt", "\n".join(lines) + "\n")
    return Written("voc", names, masks, DIVIDED)


def voc_colour(index: int) -> tuple[int, int, int]:
    """The palette of VOC as its development kit builds it, one bit after the other."""
    red = green = blue = 0
    for shift in range(7, -1, -1):
        red |= (index & 1) << shift
        green |= (index >> 1 & 1) << shift
        blue |= (index >> 2 & 1) << shift
        index >>= 3
    return red, green, blue


def write_sbd(root: Path) -> Written:
    masks = masks_of([0, 3, 20])
    home = root / "dataset"
    for seed, (split, stem) in enumerate(by_split()):
        save(picture(seed), home / "img" / f"{stem}.jpg")
        segmentation = coded(masks[stem], {0: 0, 3: 3, 20: 20})
        content = {
            "Boundaries": np.zeros((20, 1), object),
            "Segmentation": segmentation,
            "CategoriesPresent": np.array([[3.0], [20.0]]),
        }
        file = made(home / "cls") / f"{stem}.mat"
        # As the published files are: compressed, MATLAB 5.
        scipy.io.savemat(file, {"GTcls": content}, do_compression=seed % 2 == 0)
        with (home / f"{split}.txt").open("a") as lines:
            lines.write(f"{stem}\n")
    return Written("sbd", VOC, masks, HALVES)


def write_cityscapes(root: Path, kind: str = "labelIds") -> Written:
    masks = masks_of([0, 10, 13, VOID], ("town_000000_000019", "town_000001_000019", "city_0_1"))
    codes = {0: 7, 10: 23, 13: 26, VOID: 4}
    codes = codes if kind == "labelIds" else {0: 0, 10: 10, 13: 13, VOID: 255}
    for seed, (stem, mask) in enumerate(masks.items()):
        split, city = ("train", "town") if stem.startswith("town") else ("val", "city")
        save(picture(seed), root / f"leftImg8bit/{split}/{city}/{stem}_leftImg8bit.png")
        save(coded(mask, codes), root / f"gtFine/{split}/{city}/{stem}_gtFine_{kind}.png")
        text(root / f"gtFine/{split}/{city}/{stem}_gtFine_polygons.json", "{}")
    names = (
        *("road", "sidewalk", "building", "wall", "fence", "pole", "traffic light"),
        *("traffic sign", "vegetation", "terrain", "sky", "person", "rider", "car", "truck"),
        *("bus", "train", "motorcycle", "bicycle"),
    )
    named = {f"{stem}_leftImg8bit": mask for stem, mask in masks.items()}
    return Written("cityscapes", names, named, {"train": 2, "val": 1}, kind)


def write_cityscapes_train_ids(root: Path) -> Written:
    return write_cityscapes(root, "labelTrainIds")


def write_ade20k(root: Path) -> Written:
    masks = masks_of([0, 12, 149, VOID])
    home = root / "ADEChallengeData2016"
    for seed, (split, stem) in enumerate(by_split()):
        folder = {"train": "training", "val": "validation"}[split]
        save(picture(seed), home / "images" / folder / f"{stem}.jpg")
        stored = coded(masks[stem], {0: 1, 12: 13, 149: 150, VOID: 0})
        save(stored, home / "annotations" / folder / f"{stem}.png")
    names = [f"thing {number}" for number in range(1, 151)]
    lines = [f"{n}\t0.1\t10\t2\t{name}, also so" for n, name in enumerate(names, 1)]
    text(home / "objectInfo150.txt", "\n".join(["Idx\tRatio\tTrain\tVal\tName", *lines]))
    return Written("ade20k", tuple(names), masks, HALVES)


def write_camvid_indices(root: Path) -> Written:
    masks = masks_of([0, 3, 10, VOID])
    for seed, (split, stem) in enumerate(by_split()):
        save(picture(seed), root / split / f"{stem}.png")
        stored = coded(masks[stem], {0: 0, 3: 3, 10: 10, VOID: 11})
        save(stored, root / f"{split}annot" / f"{stem}.png")
    # The published lists hold the paths of their author's machine.
    text(root / "train.txt", "/SegNet/CamVid/train/a.png /SegNet/CamVid/trainannot/a.png\n")
    return Written("camvid", tuple(GROUPS), masks, HALVES)


def write_camvid_colours(root: Path) -> Written:
    names = tuple(name for name in CAMVID if name != "Void")
    car, sky = names.index("Car"), names.index("Sky")
    masks = masks_of([0, car, sky, VOID])
    codes = {0: CAMVID["Animal"], car: CAMVID["Car"], sky: CAMVID["Sky"], VOID: (0, 0, 0)}
    for seed, (stem, mask) in enumerate(masks.items()):
        save(picture(seed), root / "701_StillsRaw_full" / f"{stem}.png")
        save(coded(mask, codes), root / "LabeledApproved_full" / f"{stem}_L.png")
    return Written("camvid", names, masks, DIVIDED, "CamVid's colours")
