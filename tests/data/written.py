"""Small datasets in the real format of each layout, with the class indices that they mean.

`WRITERS[name](root)` writes one and returns what opening it has to give."""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import scipy.io
from PIL import Image
from pycocotools import mask as coco_mask

from perpixel.data.layouts.camvid import COLOURS as CAMVID
from perpixel.data.layouts.camvid import GROUPS
from perpixel.data.layouts.voc import CLASSES as VOC

HEIGHT, WIDTH = 36, 52
TRAIN, VAL = ("a", "b", "c"), ("d", "e")
# In expected masks: a pixel without a label.
VOID = -1


@dataclass(frozen=True)
class Written:
    """What a small dataset is.

    Args:
        layout: the name of the layout.
        names: of the classes, in the order of their indices.
        masks: class indices, or VOID, of each image by its stem.
        splits: how many images each has.
        noted: words that its notes hold.
    """

    layout: str
    names: tuple[str, ...]
    masks: Mapping[str, np.ndarray]
    splits: Mapping[str, int]
    noted: str = ""


def picture(seed: int) -> Image.Image:
    """A small photograph of nothing."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8))
    return coarse.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)


def drawn(seed: int, values: Sequence[int]) -> np.ndarray:
    """Blocks of 4 × 4 pixels, each of one of the values; every value occurs."""
    rng = np.random.default_rng(1000 + seed)
    blocks = rng.choice(np.asarray(values), (HEIGHT // 4, WIDTH // 4))
    blocks.flat[: len(values)] = values
    return blocks.repeat(4, 0).repeat(4, 1)


def save(content: Image.Image | np.ndarray, path: Path, **more: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(content) if isinstance(content, np.ndarray) else content
    picture.save(path, **more)


def text(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")


def masks_of(values: Sequence[int], stems: Sequence[str] = (*TRAIN, *VAL)) -> dict[str, np.ndarray]:
    return {stem: drawn(seed, values) for seed, stem in enumerate(stems)}


def coded(mask: np.ndarray, codes: Mapping[int, object], dtype: type = np.uint8) -> np.ndarray:
    """The mask with each class (and VOID) as its code: a number or a colour."""
    first = np.asarray(next(iter(codes.values())))
    out = np.zeros((*mask.shape, *first.shape), dtype)
    for index, code in codes.items():
        out[mask == index] = code
    return out


def by_split() -> list[tuple[str, str]]:
    return [("train", stem) for stem in TRAIN] + [("val", stem) for stem in VAL]


HALVES = {"train": len(TRAIN), "val": len(VAL)}
DIVIDED = {"train": 4, "val": 1}


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


def made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


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


def coco_entries(
    masks: Mapping[str, np.ndarray], ids: Mapping[int, int], first: int
) -> tuple[list[dict], list[dict]]:
    """Images and annotations: one polygon for each block of an even class, a compressed code for
    an odd one."""
    images, annotations = [], []
    for number, (stem, mask) in enumerate(masks.items(), first):
        images.append({"id": number, "file_name": f"{stem}.jpg", "height": HEIGHT, "width": WIDTH})
        for index, category in ids.items():
            common = {"image_id": number, "category_id": category, "area": 16}
            if index % 2:
                code = coco_mask.encode(np.asfortranarray(mask == index, np.uint8))
                code["counts"] = code["counts"].decode()
                annotations.append({**common, "segmentation": code, "iscrowd": 1})
                continue
            boxes = [
                [x, y, x + 4, y, x + 4, y + 4, x, y + 4]
                for y in range(0, HEIGHT, 4)
                for x in range(0, WIDTH, 4)
                if mask[y, x] == index
            ]
            annotations.append({**common, "segmentation": boxes, "iscrowd": 0})
    for number, annotation in enumerate(annotations, 1):
        annotation["id"] = number
    return images, annotations


def write_coco(root: Path) -> Written:
    masks = masks_of([0, 1, 2])
    categories = [{"id": 18, "name": "dog"}, {"id": 3, "name": "car"}]
    for split, stems in (("train2017", TRAIN), ("val2017", VAL)):
        part = {stem: masks[stem] for stem in stems}
        for seed, stem in enumerate(part):
            save(picture(seed), root / split / f"{stem}.jpg")
        images, annotations = coco_entries(part, {1: 3, 2: 18}, 7)
        content = {"images": images, "annotations": annotations, "categories": categories}
        text(root / "annotations" / f"instances_{split}.json", json.dumps(content))
    return Written("coco", ("background", "car", "dog"), masks, HALVES, "instances")


def write_coco_panoptic(root: Path) -> Written:
    masks = masks_of([0, 1, VOID])
    ids = {0: 5, 1: 200}
    segments = {0: 70_001, 1: 258}
    for split, stems in (("train2017", TRAIN), ("val2017", VAL)):
        images, annotations = [], []
        for number, stem in enumerate(stems):
            save(picture(number), root / "images" / split / f"{stem}.jpg")
            colours = {i: (s & 255, s >> 8 & 255, s >> 16) for i, s in segments.items()}
            stored = coded(masks[stem], {**colours, VOID: (0, 0, 0)})
            save(stored, root / "annotations" / f"panoptic_{split}" / f"{stem}.png")
            images.append(
                {"id": number, "file_name": f"{stem}.jpg", "height": HEIGHT, "width": WIDTH}
            )
            info = [{"id": segments[i], "category_id": ids[i], "iscrowd": 0} for i in ids]
            annotations.append(
                {"image_id": number, "file_name": f"{stem}.png", "segments_info": info}
            )
        content = {
            "images": images,
            "annotations": annotations,
            "categories": [{"id": 5, "name": "grass"}, {"id": 200, "name": "cow"}],
        }
        text(root / "annotations" / f"panoptic_{split}.json", json.dumps(content))
    return Written("coco", ("grass", "cow"), masks, HALVES, "panoptic")


def write_labelme(root: Path) -> Written:
    masks = masks_of([0, 1, 2, VOID])
    names = {1: "door", 2: "window", VOID: "__ignore__"}
    for seed, (stem, mask) in enumerate(masks.items()):
        shapes = []
        for y in range(0, HEIGHT, 4):
            for x in range(0, WIDTH, 4):
                index = int(mask[y, x])
                if index == 0:
                    continue
                # labelme's own drawing includes the last row and column.
                corners = [[x, y], [x + 3, y], [x + 3, y + 3], [x, y + 3]]
                kind, points = "polygon", corners
                if index == 2:
                    kind, points = "rectangle", [corners[2], corners[0]]
                shape = {"label": names[index], "points": points, "shape_type": kind}
                shapes.append({**shape, "group_id": None, "flags": {}})
        shapes.append({"label": "door", "points": [[1, 1], [5, 5]], "shape_type": "line"})
        content = {
            "version": "5.5.0",
            "flags": {},
            "shapes": shapes,
            "imagePath": f"..\\photographs\\{stem}.jpg",
            "imageData": None,
            "imageHeight": HEIGHT,
            "imageWidth": WIDTH,
        }
        if seed == 0:
            # The photograph in the file itself.
            file = io.BytesIO()
            picture(seed).save(file, "JPEG")
            content["imageData"] = base64.b64encode(file.getvalue()).decode()
        else:
            save(picture(seed), root / "photographs" / f"{stem}.jpg")
        text(root / "annotations" / f"{stem}.json", json.dumps(content))
    # The embedded photograph's stem is that of its place.
    masks["imageData"] = masks["a"]
    return Written("labelme", ("background", "door", "window"), masks, DIVIDED, "type line")


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


def write_huggingface(root: Path) -> Written:
    """As `DatasetDict.save_to_disk` writes: an Arrow stream, its features, and its state."""
    masks = masks_of([0, 1, 2])
    cell = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    expected: dict[str, np.ndarray] = {}
    for split, stems in (("train", TRAIN), ("validation", VAL)):
        columns: dict[str, list[dict]] = {"image": [], "label": []}
        for row, stem in enumerate(stems):
            for column, content, kind in (
                ("image", picture(row), "JPEG"),
                ("label", Image.fromarray(coded(masks[stem], {0: 0, 1: 1, 2: 2})), "PNG"),
            ):
                file = io.BytesIO()
                content.save(file, kind)
                columns[column].append({"bytes": file.getvalue(), "path": None})
            expected[f"{split}{row}"] = masks[stem]
        table = pa.table({name: pa.array(cells, cell) for name, cells in columns.items()})
        folder, name = made(root / split), "data-00000-of-00001.arrow"
        with (
            pa.OSFile(str(folder / name), "wb") as sink,
            pa.ipc.new_stream(sink, table.schema) as writer,
        ):
            writer.write_table(table, max_chunksize=2)
        features = {"image": {"_type": "Image"}, "label": {"_type": "Image"}}
        text(folder / "dataset_info.json", json.dumps({"features": features}))
        text(folder / "state.json", json.dumps({"_data_files": [{"filename": name}]}))
    text(root / "dataset_dict.json", json.dumps({"splits": ["train", "validation"]}))
    return Written("huggingface", ("class 0", "class 1", "class 2"), expected, HALVES, "'label'")


WRITERS: dict[str, Callable[[Path], Written]] = {
    name.removeprefix("write_"): written
    for name, written in globals().items()
    if name.startswith("write_")
}
