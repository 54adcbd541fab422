"""The corrected copy: what has one meaning is corrected, what has several is left and listed."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from data.check.planted import FAULTS, colour_masks, every_mask, levels
from data.check.right import drawn, masks, picture, write, write_right
from data.written import WRITERS
from perpixel.data.check.folder import check_folder
from perpixel.data.check.repair import Repair, repair
from perpixel.data.decode import read_image
from perpixel.data.layouts import open_dataset
from perpixel.data.sample import read_sample
from perpixel.errors import DataError, OutputError


@pytest.fixture
def right(tmp_path: Path) -> Path:
    return write_right(tmp_path / "data")


def repaired(root: Path) -> tuple[Repair, Path]:
    out = root.parent / "copy"
    done = repair(check_folder(root), out)
    assert check_folder(out).of("error") == ()
    return done, out


def whole(root: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Image and mask by stem; what has no label is 255."""
    dataset = open_dataset(root)
    found = {}
    for pairs in dataset.splits.values():
        for pair in pairs:
            sample = read_sample(pair, dataset.labels)
            mask = sample.mask.astype(int)
            found[pair.image.stem] = (
                sample.image,
                np.where(mask == dataset.labels.ignore_index, 255, mask),
            )
    return found


def same(copy: Path, without: tuple[str, ...] = (), void: int = 255) -> None:
    """The copy has the masks that `write_right` drew, with `void` where they have no label."""
    found = whole(copy)
    assert set(found) == set("abcdef") - set(without)
    for stem, (_, mask) in found.items():
        expected = drawn(ord(stem)).astype(int)
        np.testing.assert_array_equal(mask, np.where(expected == 255, void, expected))


def test_a_right_dataset_is_copied_byte_for_byte(right: Path) -> None:
    done, out = repaired(right)
    assert done == Repair(out, {"train": 4, "val": 2}, (), (), ())
    for path in right.glob("*/*/*.png"):
        assert (out / path.relative_to(right)).read_bytes() == path.read_bytes()
    before, after = open_dataset(right).labels, open_dataset(out).labels
    assert before == after


@pytest.mark.parametrize(
    ("name", "void"),
    [
        ("classes counted from 1", 0),
        ("classes stretched to 255", 0),
        ("classes stretched to 16 bits", 0),
        ("another ignore index than the masks have", 255),
    ],
)
def test_values_with_one_meaning_become_class_indices(right: Path, name: str, void: int) -> None:
    FAULTS[name].plant(right)
    done, out = repaired(right)
    same(out, void=void)
    assert len(done.corrected) == 6
    assert {what for _, what in done.corrected} == {"values to class indices"}


def test_colours_and_0_and_255_become_class_indices(right: Path) -> None:
    colour_masks(right)
    same(repaired(right)[1], void=0)
    shutil.rmtree(right.parent / "copy")
    (right / "classes.yaml").write_text("classes: [sky, road]\n")
    every_mask(
        lambda mask: np.where(cv2.cvtColor(mask, 6)[:, :, None][:, :, 0] > 120, 255, 0).astype(
            np.uint8
        )
    )(right)
    _, out = repaired(right)
    assert {int(v) for _, mask in whole(out).values() for v in np.unique(mask)} == {0, 1}


def test_grey_in_three_bands_becomes_one(right: Path) -> None:
    mask = np.asarray(Image.open(right / "train/masks/b.png"))
    write(right / "train/masks/b.png", np.dstack([mask, mask, mask, np.full_like(mask, 255)]))
    done, out = repaired(right)
    same(out)
    assert done.corrected == ((right / "train/masks/b.png", "values to class indices"),)
    assert done.remaining == ()


def test_grey_in_three_bands_has_to_have_its_image_s_size_as_well(right: Path) -> None:
    for stem, size in (("b", (26, 18)), ("c", (39, 27))):
        with Image.open(right / f"train/masks/{stem}.png") as mask:
            small = np.asarray(mask.resize(size, Image.Resampling.NEAREST))
        write(right / f"train/masks/{stem}.png", np.dstack([small] * 3))
    done, out = repaired(right)
    # A half is whole again; three quarters are not.
    same(out, without=("c",))
    assert done.left_out == ((right / "train/images/c.png", "a mask of another size (scaled)"),)
    assert {what for _, what in done.corrected} == {
        "values to class indices",
        "resized by nearest neighbour",
    }
    assert {path for path, _ in done.corrected} == {right / "train/masks/b.png"}
    assert done.remaining == ()


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_a_mask_is_turned_with_its_image(right: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    write(right / "train/images/b.png", picture(ord("b")), exif=exif)
    _, out = repaired(right)
    image, mask = whole(out)["b"]
    np.testing.assert_array_equal(image, read_image(right / "train/images/b.png"))
    # Pillow turns the mask as a viewer would.
    turn = Image.fromarray(drawn(ord("b")))
    turn.getexif()[0x0112] = orientation
    expected = np.asarray(ImageOps.exif_transpose(turn))
    np.testing.assert_array_equal(mask, expected)
    with Image.open(out / "train/images/b.png") as written:
        assert "exif" not in written.info


def test_an_image_on_its_side_whose_mask_is_upright_is_turned_alone(right: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    write(right / "train/images/b.png", picture(ord("b")), exif=exif)
    write(right / "train/masks/b.png", drawn(3).T)
    done, out = repaired(right)
    image, mask = whole(out)["b"]
    np.testing.assert_array_equal(image, read_image(right / "train/images/b.png"))
    np.testing.assert_array_equal(mask, drawn(3).T)
    assert done.corrected == ((right / "train/images/b.png", "EXIF orientation 6 applied"),)


@pytest.mark.parametrize("times", [2, 3])
def test_whole_multiples_are_resized_by_nearest_neighbour(right: Path, times: int) -> None:
    larger = drawn(ord("b")).repeat(times, 0).repeat(times, 1)
    write(right / "train/masks/b.png", larger)
    small = drawn(ord("c"))[::4, ::4]
    write(right / "train/masks/c.png", small)
    done, out = repaired(right)
    same(out)
    assert len(done.corrected) == 2


def test_suffixes_become_lower_case(right: Path) -> None:
    (right / "train/images/b.png").rename(right / "train/images/b.PNG")
    (right / "train/masks/b.png").rename(right / "train/masks/b.PNG")
    _, out = repaired(right)
    assert {path.suffix for path in out.glob("*/*/*")} == {".png"}
    same(out)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("an image cut short", "truncated"),
        ("a mask cut short", "truncated"),
        ("a JPEG mask", "JPEG"),
        ("a photograph as a mask", "3 bands"),
        ("a mask on its side", "another size"),
        ("a mask of three quarters the size", "another size"),
        ("a value that is no class", "values that are no class"),
    ],
)
def test_what_cannot_be_corrected_is_left_out_and_listed(right: Path, name: str, why: str) -> None:
    FAULTS[name].plant(right)
    done, out = repaired(right)
    ((path, said),) = done.left_out
    assert why in said
    same(out, without=(path.stem,))
    assert done.remaining == ()


def test_what_stays_in_the_copy_is_listed(right: Path) -> None:
    (right / "train/masks/b.png").unlink()
    shutil.copy(right / "train/images/c.png", right / "val/images/e.png")
    done, out = repaired(right)
    assert [one.kind for one in done.remaining] == ["folder", "same image in two splits"]
    same(out, without=("b",))


def test_masks_that_were_stretched_in_one_file_alone_are_not_guessed(right: Path) -> None:
    write(right / "train/masks/b.png", levels(0, 127, 255)(drawn(1)))
    done, _ = repaired(right)
    assert [path.stem for path, _ in done.left_out] == ["b"]


@pytest.mark.parametrize("name", WRITERS)
def test_every_layout_becomes_split_folders(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path / "data")
    dataset = open_dataset(tmp_path / "data")
    done, out = repaired(tmp_path / "data")
    copy = open_dataset(out)
    assert (copy.layout, copy.labels) == ("folders", dataset.labels)
    assert done.left_out == ()
    for split, pairs in dataset.splits.items():
        before = [read_sample(pair, dataset.labels) for pair in pairs]
        after = [read_sample(pair, copy.labels) for pair in copy.split(split)]
        for one in before:
            assert one.mask is not None
            assert any(
                np.array_equal(one.image, other.image) and np.array_equal(one.mask, other.mask)
                for other in after
            )
        assert len(before) == len(after)


def test_nothing_is_left_behind_where_nothing_can_be_used(right: Path) -> None:
    for path in masks(right):
        path.write_bytes(b"")
    with pytest.raises(DataError, match="no pair that can be used"):
        repair(check_folder(right), right.parent / "copy")
    assert list(right.parent.iterdir()) == [right]


def test_a_full_disk_leaves_nothing_behind(right: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = check_folder(right)

    def full(path: Path, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match=r"copy: cannot be written \(No space left"):
        repair(report, right.parent / "copy")
    assert list(right.parent.iterdir()) == [right]
