"""The page of a check stands alone, names what the report names, and escapes what files say."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
from data.check.planted import cut, one_mask, with_value
from data.check.right import picture, write, write_right
from PIL import Image

from perpixel.data.check.folder import check_folder
from perpixel.delivery.check_page import check_page


class Reader(HTMLParser):
    """Collects what a browser would fetch or show."""

    def __init__(self) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.links: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = dict(attributes)
        self.sources += [found["src"] or ""] if "src" in found else []
        self.links += [tag] if tag in ("link", "script", "iframe") else []

    def handle_data(self, data: str) -> None:
        self.text += data


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    return reader


def test_the_page_shows_the_worst_files_and_needs_no_other_file(tmp_path: Path) -> None:
    root = write_right(tmp_path / "data")
    one_mask(with_value(7))(root)
    cut("val/images/e.png", 0.7)(root)
    report = check_folder(root)
    page = read(check_page(report))
    for finding in report.findings:
        assert finding.found in page.text
        assert finding.mend in page.text
    assert "no image to show" in page.text
    assert page.links == []
    assert all(source.startswith("data:image/") for source in page.sources)
    # The image and the mask of b, and the mask of e, whose image is broken.
    assert len(page.sources) == 3


def test_pixels_of_unknown_values_are_chequered(tmp_path: Path) -> None:
    root = write_right(tmp_path / "data")
    one_mask(with_value(7))(root)
    source = read(check_page(check_folder(root))).sources[1]
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(source.split(",")[1]))))
    scale = shown.shape[1] / 52
    inside = shown[round(20 * scale) : round(22 * scale), round(20 * scale) : round(22 * scale)]
    colours = {tuple(colour) for colour in inside.reshape(-1, 3).tolist()}
    assert colours == {(0, 0, 0), (255, 255, 255)}


def test_names_and_classes_are_text_and_not_markup(tmp_path: Path) -> None:
    root = write_right(tmp_path / "<b>data")
    (root / "classes.yaml").write_text("classes: [sky, '<script>', tree]\nignore_index: 255\n")
    (root / "train/images/b.png").rename(root / "train/images/<i>.png")
    (root / "train/masks/b.png").rename(root / "train/masks/<i>.png")
    cut("train/images/<i>.png", 0.7)(root)
    page = check_page(check_folder(root))
    assert not re.search(r"<script|<b>|<i>", page)
    assert "<script>" in read(page).text


def test_images_of_many_bits_and_bands_have_a_thumbnail(tmp_path: Path) -> None:
    root = write_right(tmp_path / "data")
    for path in sorted(root.glob("*/images/*.png")):
        write(path, picture(ord(path.stem))[:, :, 0].astype(np.uint16) * 200)
    one_mask(with_value(7))(root)
    assert len(read(check_page(check_folder(root))).sources) == 2


def test_a_folder_that_cannot_be_read_has_a_page_too(tmp_path: Path) -> None:
    page = read(check_page(check_folder(tmp_path)))
    assert "no pairs of image and mask" in page.text
    assert "1 error" in page.text
