"""From findings to one HTML file: templates, and pictures inside the page."""

from __future__ import annotations

import base64
import io
import math
from functools import cache

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure
from PIL import Image

from perpixel.labels import Colour

JPEG_QUALITY = 82
NOT_DEFINED = "–"


def render(template: str, **content: object) -> str:
    """A page. Whatever the content says is text: no name of a class or file becomes markup."""
    return _environment().get_template(template).render(**content)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("perpixel.delivery.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "score": score,
        "signed": signed,
        "percent": percent,
        "count": count,
        "large": large,
        "rgb": rgb,
        "svg": svg,
        "jpeg": jpeg,
        "points": points,
    }
    return environment


def score(value: float | None) -> str:
    """Three decimals; a dash where it is not defined."""
    return NOT_DEFINED if value is None or math.isnan(value) else f"{value:.3f}"


def signed(value: float) -> str:
    """Three decimals with their sign, − as long as +."""
    return NOT_DEFINED if math.isnan(value) else f"{value:+.3f}".replace("-", "−")


def percent(value: float) -> str:
    """A share in percent; what is there but rounds to nothing is "<0.1 %"."""
    if math.isnan(value):
        return NOT_DEFINED
    return "<0.1 %" if 0 < value < 0.001 else f"{100 * value:.1f} %"


def count(value: int | np.int64) -> str:
    """A whole number, in groups of three digits."""
    return f"{int(value):,}"


def large(value: int | None) -> str:
    """A number of operations, parameters or bytes in thousands, millions or billions."""
    if value is None:
        return NOT_DEFINED
    for unit, size in (("billion", 1e9), ("million", 1e6), ("thousand", 1e3)):
        if value >= size:
            return f"{value / size:.2f} {unit}"
    return str(value)


def rgb(colour: Colour) -> str:
    """A colour as CSS has it."""
    return f"rgb({', '.join(map(str, colour))})"


def svg(figure: Figure) -> str:
    """A figure as the address of an <img>: drawn in lines, and inside the page."""
    file = io.BytesIO()
    figure.savefig(file, format="svg")
    return _inside("image/svg+xml", file.getvalue())


def jpeg(picture: Image.Image) -> str:
    """A picture as the address of an <img>, inside the page."""
    file = io.BytesIO()
    # Without subsampling: thin borders and letters keep their colours.
    picture.save(file, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return _inside("image/jpeg", file.getvalue())


def points(figure: Figure) -> int:
    """A figure's width in CSS pixels at which its letters have their own size."""
    return round(figure.get_figwidth() * 96)


def _inside(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
