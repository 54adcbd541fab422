"""What is worth a warning or a note, one by one; errors are planted in tests/cli/test_check.py."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from data.check.planted import damaged_inside, every_mask, levels
from data.check.right import drawn, masks, picture, write, write_right
from perpixel.data.check.finding import Finding, refuse
from perpixel.data.check.folder import check_folder
from perpixel.data.layouts import open_dataset
from perpixel.data.scan import scan_splits
from perpixel.errors import DataError

Findings = Callable[[], tuple[Finding, ...]]


@pytest.fixture
def right(tmp_path: Path) -> Path:
    return write_right(tmp_path / "data")


@pytest.fixture
def findings(right: Path) -> Findings:
    return lambda: check_folder(right).findings


def only(found: tuple[Finding, ...], kind: str, severity: str) -> Finding:
    assert [(one.kind, one.severity) for one in found] == [(kind, severity)], found
    return found[0]


def test_an_empty_mask_is_a_warning(right: Path, findings: Findings) -> None:
    write(right / "train/masks/b.png", np.full_like(drawn(0), 255))
    found = only(findings(), "empty masks", "warning")
    assert found.files == (str(right / "train/masks/b.png"),)


def test_a_mask_of_one_class_is_a_note(right: Path, findings: Findings) -> None:
    write(right / "train/masks/b.png", np.full_like(drawn(0), 2))
    assert only(findings(), "one class", "note").where.endswith("b.png")


@pytest.mark.parametrize(
    ("where", "told"), [("*/masks/*.png", "no mask"), ("train/masks/*.png", "no training mask")]
)
def test_a_class_that_never_occurs_is_a_warning(
    right: Path, findings: Findings, where: str, told: str
) -> None:
    for path in right.glob(where):
        mask = np.asarray(Image.open(path)).copy()
        mask[mask == 2] = 1
        write(path, mask)
    found = only(findings(), "classes that never occur", "warning").found
    assert found == f"In {told} occurs: tree"


def test_equal_pixels_in_other_files_are_the_same_image(right: Path, findings: Findings) -> None:
    pixels = np.asarray(Image.open(right / "train/images/b.png"))
    write(right / "val/images/f.png", pixels, compress_level=1)
    found = only(findings(), "same image in two splits", "warning")
    assert set(found.files) == {str(right / "train/images/b.png"), str(right / "val/images/f.png")}


def test_a_brighter_copy_is_a_near_copy(right: Path, findings: Findings) -> None:
    pixels = np.asarray(Image.open(right / "train/images/b.png"))
    write(right / "val/images/f.png", (pixels * 0.9).astype(np.uint8))
    assert (
        "b.png = val/images/f.png" in only(findings(), "near copies in two splits", "warning").found
    )


def test_the_same_image_with_another_mask_is_a_warning_and_with_the_same_a_note(
    right: Path, findings: Findings
) -> None:
    shutil.copy(right / "train/images/a.png", right / "train/images/b.png")
    only(findings(), "same image, other mask", "warning")
    shutil.copy(right / "train/masks/a.png", right / "train/masks/b.png")
    only(findings(), "same image twice", "note")


def test_an_orientation_that_leaves_the_size_is_a_warning(right: Path, findings: Findings) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    write(right / "train/images/b.png", picture(1), exif=exif)
    assert "EXIF orientation turns" in only(findings(), "EXIF orientation", "warning").found
    # A mask that states the same was turned with its image.
    write(right / "train/masks/b.png", drawn(1), exif=exif)
    assert findings() == ()


def test_an_orientation_that_the_mask_s_size_follows_is_no_finding(
    right: Path, findings: Findings
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    write(right / "train/images/b.png", picture(1), exif=exif)
    write(right / "train/masks/b.png", drawn(1).T)
    assert findings() == ()


def test_averaged_class_indices_are_a_warning(right: Path, findings: Findings) -> None:
    big = np.zeros((36, 52), np.uint8)
    big[8:30, 10:40] = 2
    smooth = cv2.resize(big[::2, ::2], (52, 36), interpolation=cv2.INTER_LINEAR)
    write(right / "train/masks/b.png", smooth)
    assert only(findings(), "blended masks", "warning").where.endswith("b.png")


def test_a_palette_in_another_order_is_a_warning(right: Path, findings: Findings) -> None:
    for path in masks(right):
        mask = Image.fromarray(np.asarray(Image.open(path)))
        colours = [(0, 0, 200), (200, 0, 0), (0, 200, 0)]
        if path.stem == "c":
            colours = colours[::-1]
        mask.putpalette(np.asarray(colours, np.uint8).tobytes().ljust(768, b"\0"))
        mask.save(path)
    assert only(findings(), "palettes", "warning").where.endswith("c.png")


def test_a_black_image_is_a_warning(right: Path, findings: Findings) -> None:
    for stem in ("b", "c"):
        write(right / f"train/images/{stem}.png", np.zeros((36, 52, 3), np.uint8))
    assert len(only(findings(), "images of one value", "warning").files) == 2


def test_grey_among_colour_and_alpha_are_notes(right: Path, findings: Findings) -> None:
    write(right / "train/images/b.png", picture(1)[:, :, 0])
    only(findings(), "grey and colour", "note")
    write(right / "train/images/b.png", np.dstack([picture(1), drawn(1)]))
    only(findings(), "alpha", "note")


def test_an_image_damaged_inside_is_an_error_of_check_alone(right: Path) -> None:
    damaged_inside(right / "train/images/b.png", picture(1))
    found = only(check_folder(right).findings, "unreadable image", "error")
    assert "b.png" in found.message
    dataset = open_dataset(right)
    assert scan_splits(dataset, ("train", "val"))[1] == ()


def test_masks_of_0_and_255_are_understood_where_there_are_two_classes(
    right: Path, findings: Findings
) -> None:
    (right / "classes.yaml").write_text("classes: [sky, road]\n")
    every_mask(levels(0, 255, 255))(right)
    assert findings() == ()


def test_the_first_of_several_errors_is_raised_and_the_others_counted(right: Path) -> None:
    (right / "train/images/a.png").write_bytes(b"no")
    write(right / "train/masks/b.png", drawn(0)[:-1])
    found = check_folder(right).findings
    with pytest.raises(DataError, match=r"a\.png: .*lists 1 other error\)\.$"):
        refuse(found)
    with pytest.raises(DataError, match=r"a\.png: .*lists 1 other error\)\.$"):
        scan_splits(open_dataset(right), ("train", "val"))
    refuse(())


def test_a_test_split_does_not_change_what_a_run_is_refused_for(right: Path) -> None:
    shutil.copytree(right / "val", right / "test")
    for path in masks(right):
        mask = np.asarray(Image.open(path)).copy()
        mask[0, 0] = 9
        write(path, mask)
    errors = check_folder(right).of("error")
    assert len(errors) == 2
    with pytest.raises(DataError) as refused:
        scan_splits(open_dataset(right), ("train", "val"))
    assert str(refused.value) == errors[0].message
