"""Lists and tables that come with pictures: broken ones are refused in one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from data.written import WRITERS
from data.written.broken import COCO, assert_refused, spoil_json
from perpixel.data.layouts import open_dataset

PANOPTIC = "annotations/panoptic_train2017.json"
NO_TEXT = "na\xefve\n".encode("latin1")


def bytes_at(pattern: str) -> Callable[[Path], object]:
    return lambda root: next(root.rglob(pattern)).write_bytes(NO_TEXT)


def text_at(path: str, content: str) -> Callable[[Path], object]:
    return lambda root: (root / path).write_text(content, encoding="utf-8")


def colours(*lines: str) -> Callable[[Path], object]:
    return text_at("class_dict.csv", "\n".join(["name,r,g,b", *lines]))


@pytest.mark.parametrize(
    ("name", "spoil", "message"),
    [
        ("voc", bytes_at("train.txt"), "train.txt: cannot be read"),
        ("voc_labelmap", bytes_at("labelmap.txt"), "labelmap.txt: cannot be read"),
        ("sbd", bytes_at("train.txt"), "train.txt: cannot be read"),
        (
            "ade20k",
            lambda root: (
                next(root.rglob("annotations")).with_name("objectInfo150.txt").write_bytes(NO_TEXT)
            ),
            "objectInfo150.txt: cannot be read",
        ),
        (
            "camvid_colours",
            lambda root: (root / "class_dict.csv").write_bytes(NO_TEXT),
            "class_dict.csv: cannot be read",
        ),
        ("voc_labelmap", text_at("labelmap.txt", "# none\n"), "classes that make no sense"),
        ("voc_labelmap", text_at("labelmap.txt", "a:1,2,3::\na:1,2,4::\n"), "the same name"),
        ("voc_labelmap", text_at("labelmap.txt", "a:1,2,256::\n"), "a line 'a:1,2,256::'"),
        ("camvid_colours", colours("a,1,2,3", "a,1,2,4"), "the same name"),
        ("camvid_colours", colours("a,1,2,256"), "a line 'a,1,2,256'"),
        ("camvid_colours", colours("a,1,2,3,4"), "a line 'a,1,2,3,4'"),
        ("camvid_colours", colours("a,1,2,x"), "a line 'a,1,2,x'"),
        ("coco", spoil_json(COCO, lambda c: c.update(annotations=None)), "no annotations"),
        ("coco", spoil_json(COCO, lambda c: c["images"][0].update(id="a")), "images.0.id"),
        ("coco", spoil_json(COCO, lambda c: c["categories"][1].update(id="a")), "categories.1.id"),
        (
            "coco",
            spoil_json(COCO, lambda c: c["categories"][0].update(name="cat")),
            "instances_val2017.json: a category 18 of the name dog; expected cat, as it is called",
        ),
        (
            "coco_panoptic",
            spoil_json(PANOPTIC, lambda c: c["annotations"][1].update(segments_info=[{}])),
            "that makes no sense",
        ),
    ],
)
def test_a_broken_list_is_refused_in_one_line(
    name: str, spoil: Callable[[Path], object], message: str, tmp_path: Path
) -> None:
    assert_refused(tmp_path, name, spoil, message)


def test_blank_lines_in_a_table_of_colours_are_none(tmp_path: Path) -> None:
    layout = WRITERS["camvid_colours"](tmp_path).layout
    before = open_dataset(tmp_path, layout).labels
    lines = (f"{n},{r},{g},{b}" for n, (r, g, b) in zip(before.names, before.colours, strict=True))
    colours("", *lines, "")(tmp_path)
    assert open_dataset(tmp_path, layout).labels == before


def test_numbers_of_coco_may_be_written_as_texts(tmp_path: Path) -> None:
    WRITERS["coco"](tmp_path)
    pairs = open_dataset(tmp_path).split("train")
    before = [pair.mask.read().tolist() for pair in pairs]

    def as_texts(content: dict) -> None:
        for one in content["categories"]:
            one["id"] = str(one["id"])
        for one in content["annotations"]:
            one.update(category_id=str(one["category_id"]), image_id=str(one["image_id"]))

    spoil_json(COCO, as_texts)(tmp_path)
    assert [pair.mask.read().tolist() for pair in open_dataset(tmp_path).split("train")] == before
