"""LabelSpace: what the values of a mask mean."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pydantic import ValidationError

from perpixel.errors import DataError
from perpixel.labels import IGNORE_COLOUR, ClassList, LabelSpace, distinct_colour


def written(tmp_path, text):
    path = tmp_path / "classes.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_classes_file_gives_names_colours_and_ignore_index(tmp_path):
    path = written(
        tmp_path,
        "ignore_index: 11\nclasses:\n  - {name: sky, color: [1, 2, 3]}\n  - {name: Bäume}\n",
    )
    labels = LabelSpace.read(path)
    assert labels.names == ("sky", "Bäume")
    assert labels.colours == ((1, 2, 3), distinct_colour(1))
    assert labels.ignore_index == 11


def test_a_classes_file_may_hold_names_alone(tmp_path):
    labels = LabelSpace.read(written(tmp_path, "classes: [road, sky]\n"))
    assert labels == LabelSpace.of(["road", "sky"])
    assert labels.ignore_index == 255


def test_a_classes_file_may_merge_values_colours_and_names_and_ignore_some(tmp_path):
    text = (
        "classes:\n  - {name: road, merge: [7, 8]}\n  - {name: car, merge: [truck, [0, 0, 142]]}\n"
        "  - sky\nignore: [0, [0, 0, 0], void]\n"
    )
    classes = ClassList.read(written(tmp_path, text))
    assert classes.labels == LabelSpace.of(["road", "car", "sky"])
    assert classes.merged == ((7, 8), ("truck", (0, 0, 142)), ())
    assert classes.ignored == (0, (0, 0, 0), "void")
    assert (classes.colours_stated, classes.ignore_stated) == (False, False)
    plain = ClassList.read(
        written(tmp_path, "classes: [{name: a, color: [1, 2, 3]}]\nignore_index: 9")
    )
    assert plain == ClassList(plain.labels, ((),), (), True, True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("classes: [sky, sky]", "two classes have the same name"),
        ("classes: [sky, sea]\nignore_index: 1", "also the index of class 'sea'"),
        ("classes: [sky]\nignore_index: 70000", "ignore_index"),
        ("classes: [{name: sky, color: [0, 0, 256]}]", "colours"),
        ("classes: [{color: [0, 0, 0]}]", "names"),
        ("classes: []", "names"),
        ("classes: sky", "no list `classes`"),
        ("[1, 2]", "no list `classes`"),
        ("classes: [sky]\nignored: 3", "unknown keys ignored"),
        ("classes: [sky]\nignore: 3", "`ignore: 3` lists other than values (0 to 65535), names, "),
        ("classes: [{name: sky, merge: [1.5]}]", "`merge: [1.5]` lists other than values"),
        (
            "classes: [{name: sky, merge: [70000]}]",
            "`merge: [70000]` lists other than values (0 to",
        ),
        ("classes: [sky]\nignore: [-1]", "`ignore: [-1]` lists other than values (0 to 65535)"),
        ("classes: [{name: sky, colour: [1, 2, 3]}]", "unknown keys colour in classes.0"),
        ("classes: [sky", "cannot be read"),
    ],
)
def test_a_classes_file_that_contradicts_itself_is_an_error_of_one_line(tmp_path, text, message):
    path = written(tmp_path, text)
    with pytest.raises(DataError) as caught:
        LabelSpace.read(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_classes_file_is_named(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        LabelSpace.read(tmp_path / "classes.yaml")


def test_one_colour_is_needed_for_each_class():
    with pytest.raises(ValidationError, match="2 class names but 1 colours"):
        LabelSpace(names=("a", "b"), colours=((0, 0, 0),), ignore_index=255)


def test_the_label_space_survives_json():
    labels = LabelSpace.of([f"class {index}" for index in range(300)])
    assert LabelSpace.model_validate_json(labels.model_dump_json()) == labels


@pytest.mark.parametrize(
    ("classes", "ignore_index", "dtype"),
    [(2, 255, np.uint8), (255, 255, np.uint8), (256, 65_535, np.uint16), (2, 256, np.uint16)],
)
def test_masks_are_as_narrow_as_class_and_ignore_indices_allow(classes, ignore_index, dtype):
    labels = LabelSpace.of([f"class {index}" for index in range(classes)], ignore_index)
    assert labels.mask_dtype is dtype


def test_256_classes_find_an_ignore_index_that_is_no_class():
    assert LabelSpace.of([f"class {index}" for index in range(256)]).ignore_index == 65_535
    assert LabelSpace.of([f"class {index}" for index in range(255)]).ignore_index == 255


@given(
    arrays(
        st.sampled_from([np.uint8, np.uint16]),
        st.tuples(st.integers(0, 5), st.integers(0, 5)),
        elements=st.integers(0, 255),
    ),
    st.integers(1, 200),
    st.integers(200, 255),
)
def test_every_pixel_is_a_class_or_ignored_or_a_stranger(mask, classes, ignore_index):
    labels = LabelSpace.of([f"class {index}" for index in range(classes)], ignore_index)
    strange = np.isin(mask, labels.strangers(mask))
    ignored = ~labels.labelled(mask)
    counted = int(labels.pixels_by_class(np.where(strange, ignore_index, mask)).sum())
    assert counted + int(ignored.sum()) + int(strange.sum()) == mask.size
    assert labels.strangers(mask) == sorted({int(v) for v in mask[strange].reshape(-1)})
    assert not (strange & ignored).any()


def test_pixels_are_counted_for_every_class_even_when_it_is_absent():
    labels = LabelSpace.of(["a", "b", "c"])
    mask = np.array([[0, 2, 2], [255, 2, 0]], np.uint8)
    assert labels.pixels_by_class(mask).tolist() == [2, 0, 3]
    assert labels.pixels_by_class(np.full((2, 2), 255, np.uint8)).tolist() == [0, 0, 0]


def test_negative_values_are_strangers():
    assert LabelSpace.of(["a"]).strangers(np.array([[-1, 0]], np.int64)) == [-1]


def test_a_mask_is_painted_in_the_classes_colours_and_black_where_ignored():
    labels = LabelSpace(names=("a", "b"), colours=((9, 8, 7), (1, 2, 3)), ignore_index=200)
    painted = labels.colourise(np.array([[0, 1, 200]], np.uint8))
    assert painted.tolist() == [[[9, 8, 7], [1, 2, 3], list(IGNORE_COLOUR)]]


def test_the_first_classes_have_colours_that_can_be_told_apart():
    colours = np.array([distinct_colour(index) for index in range(24)], np.int64)
    distance = np.abs(colours[:, None] - colours[None]).sum(axis=2)
    np.fill_diagonal(distance, 999)
    assert distance.min() >= 20
