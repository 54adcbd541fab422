"""The page of a check: what a dataset holds, and what is wrong with it, with pictures."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Shaped, UInt8
from jinja2 import Environment

from perpixel.data.check.finding import Finding
from perpixel.data.check.look import Look
from perpixel.data.check.report import Report
from perpixel.data.decode import read_image
from perpixel.data.mask_encoding import encode
from perpixel.data.masks import read_stored
from perpixel.errors import DataError
from perpixel.labels import LabelSpace

# Thumbnails of one finding, of a whole page, and the longer side of one, in pixels.
OF_A_FINDING, OF_A_PAGE, SIDE = 6, 60, 220
_TEMPLATE = Path(__file__).with_name("check_page.html.j2")


@dataclass(frozen=True)
class Thumbnail:
    """A pair in small: pictures as data URLs, and the file that is concerned."""

    name: str
    image: str
    mask: str


def check_page(report: Report) -> str:
    """The report as one HTML page that needs no other file.

    The first files of each error and warning are shown, image beside mask: the mask in the
    classes' colours, and pixels whose value is no class chequered in
    black and white. A file that cannot be read
    has no picture.
    """
    template = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(
        _TEMPLATE.read_text(encoding="utf-8")
    )
    room = OF_A_PAGE
    shown: list[tuple[Finding, list[Thumbnail]]] = []
    for finding in report.findings:
        pictures = list(_thumbnails(finding, report, min(OF_A_FINDING, room)))
        room -= len(pictures)
        shown.append((finding, pictures))
    totals = {name: int(split.pixels.sum()) for name, split in report.splits.items()}
    return template.render(
        report=report,
        shown=shown,
        totals=totals,
        counts={kind: len(report.of(kind)) for kind in ("error", "warning", "note")},
        colours=[] if report.labels is None else [_hex(c) for c in report.labels.colours],
    )


def _thumbnails(finding: Finding, report: Report, most: int) -> Iterator[Thumbnail]:
    if report.labels is None or finding.severity == "note":
        return
    place = {file: at for at, file in enumerate(finding.files)}
    looks = [look for some in report.looks.values() for look in some]
    named = [(min(place.get(file, len(place)) for file in _files(look)), look) for look in looks]
    # The worst first: those with most unknown pixels; else as the finding names them.
    named = [(at, look) for at, look in named if at < len(place)]
    named.sort(key=lambda one: (-(one[1].mask.stranger_pixels if one[1].mask else 0), one[0]))
    for at, look in named[:most]:
        name = finding.files[at]
        relative = Path(name)
        if relative.is_relative_to(report.root):
            relative = relative.relative_to(report.root)
        yield Thumbnail(str(relative), _image(look), _mask(look, report.labels))


def _files(look: Look) -> set[str]:
    return {str(look.pair.image), str(look.pair.mask_path)}


def _image(look: Look) -> str:
    try:
        pixels = read_image(look.pair.image).transpose(1, 2, 0)
    except DataError:
        return ""
    shown = pixels[:, :, :3] if pixels.shape[2] >= 3 else pixels[:, :, :1].repeat(3, axis=2)
    if shown.dtype != np.uint8:
        values = np.nan_to_num(shown.astype(np.float32))
        low, high = np.percentile(values, (1, 99))
        shown = (255 * np.clip((values - low) / max(high - low, 1e-9), 0, 1)).astype(np.uint8)
    return _encoded(_small(shown, cv2.INTER_AREA), ".jpg")


def _mask(look: Look, labels: LabelSpace) -> str:
    if look.mask is None:
        return ""
    stored = read_stored(look.pair)
    mask, strangers = encode(stored, look.pair.encoding, labels)
    odd = np.isin(stored, np.asarray(strangers, stored.dtype))
    known = np.where(odd, labels.ignore_index, mask).astype(np.int64)
    picture = _small(labels.colourise(known), cv2.INTER_NEAREST)
    marked = _small(odd.astype(np.uint8)[:, :, None], cv2.INTER_NEAREST)
    # Larger than they are, else single pixels would not be seen.
    marked = cv2.dilate(marked, np.ones((5, 5), np.uint8)).reshape(picture.shape[:2])
    height, width, _ = picture.shape
    rows, columns = np.arange(height)[:, None], np.arange(width)
    chequer = ((rows // 3 + columns // 3) % 2 * 255).astype(np.uint8)
    picture = np.where(marked[:, :, None] > 0, chequer[:, :, None], picture)
    return _encoded(picture, ".png")


def _small(pixels: Shaped[np.ndarray, "H W bands"], how: int) -> UInt8[np.ndarray, "h w *bands"]:
    scale = SIDE / max(pixels.shape[:2])
    if scale > 1:
        how = cv2.INTER_NEAREST
    size = [max(round(side * scale), 1) for side in pixels.shape[1::-1]]
    return np.array(cv2.resize(np.ascontiguousarray(pixels), size, interpolation=how))


def _encoded(picture: UInt8[np.ndarray, "h w 3"], suffix: str) -> str:
    content = cv2.imencode(suffix, np.ascontiguousarray(picture[:, :, ::-1]))[1].tobytes()
    kind = "jpeg" if suffix == ".jpg" else "png"
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _hex(colour: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
