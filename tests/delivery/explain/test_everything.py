"""All explanations of one image: which there are, and the files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

import perpixel
from delivery.explain.conftest import LABELS, MakeModel
from perpixel.errors import ConfigError, OutputError

KINDS = ["heat_maps", "certainty", "skips", "pixel", "upsampling"]


def inside(figure: Figure) -> None:
    """No text of the figure is cut by its edge."""
    figure.draw_without_rendering()
    width, height = figure.bbox.size
    for text in figure.findobj(lambda one: hasattr(one, "get_text")):
        if text.get_text() and text.get_visible() and not text.get_clip_on():
            box = text.get_window_extent()
            assert box.x0 > -1, text
            assert box.y0 > -1, text
            assert box.x1 < width + 1, text
            assert box.y1 < height + 1, text


@pytest.mark.parametrize("shape", [(71, 103), (150, 40)])
def test_every_figure_is_drawn_and_no_text_is_cut(
    make: MakeModel, picture: np.ndarray, tmp_path: Path, shape: tuple[int, int]
) -> None:
    image = np.resize(picture, (*shape, 3))
    done: list[tuple[int, int]] = []
    explained = perpixel.explain(
        make(name="fcn8s", head="scores"),
        image,
        progress=lambda one, all_: done.append((one, all_)),
    )
    assert list(explained.figures) == KINDS
    assert not explained.left_out
    assert done == [(number, 5) for number in range(1, 6)]
    for figure in explained.figures.values():
        inside(figure)
    paths = explained.save(tmp_path / "new" / "folder")
    assert [path.stem for path in paths] == KINDS
    for path in paths:
        with Image.open(path) as written:
            assert min(written.size) > 200


def test_what_the_network_has_not_is_left_out_and_said(
    make: MakeModel, picture: np.ndarray
) -> None:
    explained = perpixel.explain(make(name="segnet-basic", width=2), picture, classes=["sky"])
    assert list(explained.figures) == ["heat_maps", "certainty", "pixel"]
    assert list(explained.left_out) == ["skips", "upsampling"]
    assert all("SegNetBasic" in reason for reason in explained.left_out.values())


def test_wrong_wishes_are_errors(make: MakeModel, picture: np.ndarray, tmp_path: Path) -> None:
    model = make(name="fcn32s")
    with pytest.raises(ConfigError, match="knows no 'skye'"):
        perpixel.explain(model, picture, classes=["skye"])
    with pytest.raises(ConfigError, match="103,0 in image"):
        perpixel.explain(model, picture, place=(103, 0))
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(OutputError, match="file"):
        perpixel.Explanation({}, {}).save(tmp_path / "file")


def test_the_names_that_are_no_formula_are_written_as_they_are(
    make: MakeModel, picture: np.ndarray
) -> None:
    titles = [
        axes.get_title() for axes in perpixel.explain(make(), picture).figures["heat_maps"].axes
    ]
    assert LABELS.names[1] in titles
