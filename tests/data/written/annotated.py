"""Layouts whose masks are in annotations: COCO, LabelMe, and Hugging Face's Parquet files."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image
from pycocotools import mask as coco_mask

from data.written.small import (
    DIVIDED,
    HALVES,
    HEIGHT,
    TRAIN,
    VAL,
    VOID,
    WIDTH,
    Written,
    coded,
    made,
    masks_of,
    picture,
    save,
    text,
)


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
