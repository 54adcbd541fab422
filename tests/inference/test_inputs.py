"""Which images inputs stand for, and distinct names for their results."""

from __future__ import annotations

import errno
import os
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from perpixel.errors import DataError, OutputError
from perpixel.inference.inputs import Input, expand, pixels_if_alone, stems

SUFFIXES = (".png", "_overlay.png", ".npy")


@pytest.fixture
def tree(tmp_path, monkeypatch) -> Path:
    """A folder with images, other files, hidden files and subfolders."""
    for name in (
        "a.jpg",
        "b.PNG",
        "notes.txt",
        ".hidden.png",
        "sub/c.tif",
        "sub/deep/d.webp",
        ".cache/e.png",
        "odd [1].png",
    ):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def relatives(inputs, out="out"):
    return [str(image.relative) for image in expand(inputs, Path(out))]


def test_a_folder_stands_for_the_images_in_it_and_in_its_subfolders(tree):
    expected = ["a.jpg", "b.PNG", "odd [1].png", "sub/c.tif", "sub/deep/d.webp"]
    assert relatives(["photos"]) == expected
    assert relatives([tree / "photos"]) == expected


def test_a_file_stands_for_itself_whatever_its_suffix_and_name(tree):
    assert relatives(["photos/notes.txt", "photos/odd [1].png"]) == ["notes.txt", "odd [1].png"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("photos/*.jpg", ["a.jpg"]),
        ("photos/*", ["a.jpg", "b.PNG", "odd [1].png", "sub/c.tif", "sub/deep/d.webp"]),
        ("*/sub/*.tif", ["photos/sub/c.tif"]),
        ("photos/**/*.webp", ["sub/deep/d.webp"]),
        ("photos/s?b/deep", ["sub/deep/d.webp"]),
    ],
)
def test_a_pattern_stands_for_the_images_that_match_it(tree, pattern, expected):
    assert relatives([pattern]) == expected
    absolute = str(tree / pattern)
    if pattern[:2] != "*/":
        assert relatives([absolute]) == expected


def test_an_image_named_twice_is_predicted_once(tree):
    assert relatives(["photos/a.jpg", "photos", "photos/../photos/b.PNG"]) == [
        "a.jpg",
        "b.PNG",
        "odd [1].png",
        "sub/c.tif",
        "sub/deep/d.webp",
    ]


def test_each_link_to_a_file_is_an_image_and_has_a_name_of_its_own(tree):
    Image.new("L", (4, 3)).save(tree / "stored", "PNG")
    for name in ("linked/a.png", "linked/b.png", "other/a.png"):
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).symlink_to(tree / "stored")
    assert relatives(["linked", "linked/a.png"]) == ["a.png", "b.png"]
    assert pixels_if_alone(["linked"], None) is None
    assert pixels_if_alone(["other", "other/a.png"], None) == 12
    images = expand(["linked", "other"], None)
    assert [str(stem) for stem in stems(images, SUFFIXES)] == ["linked/a", "b", "other/a"]


def test_linked_subfolders_are_entered_and_their_loops_are_not(tree):
    (tree / "elsewhere").mkdir()
    (tree / "elsewhere" / "f.png").write_bytes(b"")
    (tree / "photos" / "linked").symlink_to(tree / "elsewhere")
    own = ["a.jpg", "b.PNG", "odd [1].png"]
    below = ["sub/c.tif", "sub/deep/d.webp"]
    assert relatives(["photos"]) == [*own, "linked/f.png", *below]
    assert relatives(["photos"], "elsewhere") == [*own, *below]
    # A loop, links to the folders above, and a way out and back in by another folder.
    (tree / "photos" / "loop").symlink_to("loop")
    (tree / "photos" / "sub" / "up").symlink_to(tree / "photos")
    (tree / "photos" / "sub" / "here").symlink_to(".")
    (tree / "elsewhere" / "back").symlink_to(tree)
    assert relatives(["photos"]) == [*own, "linked/f.png", *below]


def test_results_of_an_earlier_run_below_the_images_are_no_images(tree):
    (tree / "photos" / "masks").mkdir()
    (tree / "photos" / "masks" / "a.png").write_bytes(b"")
    assert "masks/a.png" not in relatives(["photos"], "photos/masks")
    assert "masks/a.png" not in relatives(["photos/*"], "photos/masks")
    assert "masks/a.png" in relatives(["photos"], "elsewhere")


def test_results_may_not_go_where_the_images_are(tree):
    with pytest.raises(OutputError, match="folder that images are read from"):
        expand(["photos"], Path("photos"))
    with pytest.raises(OutputError, match="folder that images are read from"):
        expand(["photos/sub"], tree / "photos" / "sub")
    for pattern, out in (("photos/*.jpg", "photos"), ("*/*.jpg", ".")):
        with pytest.raises(OutputError, match="folder that images are read from"):
            expand([pattern], Path(out))


@pytest.mark.parametrize("out", [".", "..", "photos/.."])
def test_results_may_go_above_the_images_and_all_of_these_are_predicted(tree, out):
    expected = ["a.jpg", "b.PNG", "odd [1].png", "sub/c.tif", "sub/deep/d.webp"]
    assert relatives(["photos"], out) == expected
    assert relatives(["photos/*"], out) == expected
    assert relatives(["photos/sub"], "photos") == ["c.tif", "deep/d.webp"]
    # All results of an earlier run, not only those that lie beside the images.
    (tree / "photos" / "up").symlink_to(Path(out).resolve())
    assert relatives(["photos"], out) == expected


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (["none"], "none: no such file or folder"),
        (["photos", "no*.png"], r"no\*.png: no image matches"),
        (["empty"], "empty: no image in this folder"),
        ([], "no image was named"),
    ],
)
def test_an_input_that_stands_for_no_image_is_an_error(tree, inputs, message):
    (tree / "empty").mkdir()
    with pytest.raises(DataError, match=message):
        expand(inputs, Path("out"))


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="there it is a pattern")
def test_a_pattern_that_is_none_is_an_error_of_one_line(tree):
    with pytest.raises(DataError, match=r"photos/\*\*\.jpg: no pattern"):
        expand(["photos/**.jpg"], None)


def test_a_subfolder_that_may_not_be_read_is_named(tree, monkeypatch):
    # The superuser, who may run this, may read all.
    scandir = os.scandir

    def guarded(path):
        if Path(path).name == "sub":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    with pytest.raises(DataError, match=r"photos/sub: cannot be looked into \(Permission"):
        expand(["photos"], None)


def test_an_input_that_may_not_be_asked_about_is_named(tree, monkeypatch):
    def refused(path, **_):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "stat", refused)
    with pytest.raises(DataError, match=r"photos: cannot be looked into \(Permission"):
        expand(["photos"], None)


def named(*pairs: tuple[str, str]) -> list[str]:
    images = [Input(Path(path), Path(relative)) for path, relative in pairs]
    return [str(stem) for stem in stems(images, SUFFIXES)]


def test_a_lone_image_has_its_pixels_counted_by_its_header(tree):
    for name in ("a.png", "b.png"):
        Image.new("L", (4000, 3000)).save(tree / name)
    assert pixels_if_alone(["b.png"], None) == 12_000_000
    assert pixels_if_alone(["?.png"], None) is None
    for broken in ("photos/a.jpg", "photos/notes.txt", "missing.png", "*.none"):
        assert pixels_if_alone([broken], None) is None


def test_results_are_named_after_the_image_below_its_folder():
    assert named(("p/a.jpg", "a.jpg"), ("p/s/a.jpg", "s/a.jpg")) == ["a", "s/a"]
    assert named(("p/street.2024.png", "street.2024.png")) == ["street.2024"]
    assert named(("p/scan.dat", "scan.dat"), ("p/scan", "scan")) == ["scan.dat", "scan"]


def test_images_that_differ_in_their_suffix_alone_keep_it():
    assert named(("p/a.jpg", "a.jpg"), ("p/a.png", "a.png"), ("p/b.png", "b.png")) == [
        "a.jpg",
        "a.png",
        "b",
    ]


def test_results_differ_in_more_than_letters_case_if_they_can():
    assert named(("p/A.jpg", "A.jpg"), ("p/a.tif", "a.tif")) == ["A.jpg", "a.tif"]
    assert named(("p/x/A.png", "A.png"), ("p/y/a.png", "a.png")) == ["x/A", "y/a"]
    assert named(("p/A.png", "A.png"), ("p/a.png", "a.png")) == ["A", "a"]


def test_images_on_several_drives_have_names_of_their_own(monkeypatch):
    def other_drives(paths):
        raise ValueError("Paths don't have the same drive")

    monkeypatch.setattr(os.path, "commonpath", other_drives)
    assert named(("/p/a.png", "a.png"), ("/q/a.png", "a.png")) == ["p/a", "q/a"]


def test_images_of_one_name_from_several_folders_are_told_apart_by_the_folders():
    assert named(("p/x/a.png", "a.png"), ("p/y/a.png", "a.png"), ("p/y/b.png", "b.png")) == [
        "x/a",
        "y/a",
        "b",
    ]


def test_an_image_called_like_anothers_overlay_does_not_overwrite_it():
    names = named(("p/a.png", "a.png"), ("p/a_overlay.png", "a_overlay.png"))
    results = [f"{name}{suffix}" for name in names for suffix in SUFFIXES]
    assert len(set(results)) == len(results)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["", "x/", "y/", "x/y/"]),
            st.sampled_from(["a", "b", "a_overlay", "a.jpg", "a.png"]),
            st.sampled_from([".jpg", ".png", ".PNG", ".tif"]),
            st.booleans(),
        ),
        unique_by=lambda parts: parts[:3],
        min_size=1,
        max_size=12,
    )
)
def test_no_two_results_share_a_name(parts):
    images = [
        Input(
            Path("/photos") / f"{folder}{stem}{suffix}",
            Path(f"{stem}{suffix}" if bare else f"{folder}{stem}{suffix}"),
        )
        for folder, stem, suffix, bare in parts
    ]
    names = stems(images, SUFFIXES)
    results = Counter(f"{name}{suffix}" for name in names for suffix in SUFFIXES)
    assert max(results.values()) == 1
    assert names == stems(images, SUFFIXES)
    assert all(".." not in name.parts and not name.is_absolute() for name in names)
