"""The figures and panels of a report: what they show, for few classes and for many."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import nn

from perpixel.data.dataset import Pair
from perpixel.delivery.report import figures
from perpixel.delivery.report.gallery import PALE, WRONG, errors, ranked, row
from perpixel.delivery.report.matrix import matrix, mistakes
from perpixel.delivery.report.page import count, large, percent, score, signed, svg
from perpixel.inference.examination import ExaminedImage
from perpixel.inference.predictor import Model
from perpixel.labels import LabelSpace
from perpixel.metrics import BoundaryBands, Calibration, Confusion, ObjectSizes, Scores
from perpixel.preprocessing import Preprocessing
from perpixel.score_map import ScoreMap

LABELS = LabelSpace.of(["sky", "sea", "a class with a very long name"], ignore_index=9)
COUNTS = np.array([[90, 10, 0], [30, 60, 0], [0, 0, 0]])


def written(figure: Figure) -> list[str]:
    """Every text in a figure, once it has been drawn."""
    svg(figure)
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_cells_of_the_matrix_are_percentages_of_their_row() -> None:
    assert sorted(written(matrix(Scores(LABELS, COUNTS)))) == sorted(["90", "10", "33", "67"])


def test_a_matrix_of_150_classes_has_every_name_and_no_numbers() -> None:
    labels = LabelSpace.of([f"class {index}" for index in range(150)])
    figure = matrix(Scores(labels, np.diag(np.arange(150))))
    assert written(figure) == []
    names = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert names == list(labels.names)


def test_names_with_dollars_are_no_formulas() -> None:
    name = r"$\frac{1$"
    labels = LabelSpace.of([name, "sea"])
    runs = {f"{name} {number}": [(1.0, 0.5)] for number in (1, 2)}
    calibrations = dict.fromkeys(runs, Calibration(labels))
    for figure in (
        matrix(Scores(labels, np.diag([2, 3]))),
        figures.progress_curves(runs),
        figures.reliability(calibrations),
    ):
        assert svg(figure).startswith("data:image/svg+xml;base64,")


def test_what_was_not_measured_is_no_error(tmp_path: Path) -> None:
    class First(nn.Module):
        def forward(self, images: torch.Tensor) -> ScoreMap:
            scores = torch.stack([images[:, 0] * 0 + 1, images[:, 0] * 0], 1)
            return ScoreMap.of(scores, (images.shape[2], images.shape[3]))

    labels = LabelSpace.of(["first", "second"])
    model = Model(First(), labels, Preprocessing(), torch.device("cpu"))
    pixels = np.full((9, 12, 3), 0.5, np.float32)
    pixels[:, 4:] = np.nan
    np.save(tmp_path / "a.npy", pixels)
    truth = np.zeros((9, 12), np.uint8)
    truth[:, 4:] = 1
    Image.fromarray(truth).save(tmp_path / "a.png")
    shown = row({"run": model}, Pair(tmp_path / "a.npy", tmp_path / "a.png"), "")
    assert shown.panels[-1].caption == "errors: 0.0 %"


def test_the_most_frequent_mistakes_come_first() -> None:
    first, second = mistakes(Scores(LABELS, COUNTS))
    assert (first.truth, first.taken_for, first.pixels) == (1, 0, 30)
    assert first.share == pytest.approx(1 / 3)
    assert (second.truth, second.taken_for, second.pixels) == (0, 1, 10)


def test_plots_can_be_drawn_of_nothing() -> None:
    empty = Confusion(LABELS).scores()
    for figure in (
        figures.trimap({"run": (BoundaryBands(LABELS), empty)}),
        figures.by_size({"run": ObjectSizes(LABELS)}),
        figures.reliability({"run": Calibration(LABELS)}),
        figures.progress_curves({"run": [(1.0, 0.5)]}),
        matrix(empty),
    ):
        assert svg(figure).startswith("data:image/svg+xml;base64,")
    assert mistakes(empty) == []


def test_several_runs_have_each_a_line_of_their_own_kind() -> None:
    figure = figures.by_size({name: ObjectSizes(LABELS) for name in "abcde"})
    kinds = {
        (line.get_color(), str(line.get_marker()), line.get_linestyle())
        for line in figure.axes[0].get_lines()
    }
    assert len(kinds) == 5
    legend = figure.axes[0].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == list("abcde")


def test_errors_mark_wrong_pixels_alone_and_hatch_those_without_a_label() -> None:
    picture = np.full((16, 24, 3), 100, np.uint8)
    truth, guess = np.zeros((16, 24), np.uint8), np.zeros((16, 24), np.uint8)
    guess[2:4, 5] = 1
    truth[8:, 12:] = 9
    drawn = errors(picture, truth, guess, LABELS)
    wrong = (drawn == WRONG).all(axis=2)
    assert np.argwhere(wrong).tolist() == [[2, 5], [3, 5]]
    grey = (drawn == int(255 - PALE * 155)).all(axis=2)
    assert (grey | wrong)[:8].all()
    assert 0 < grey[8:, 12:].mean() < 1


def test_images_without_a_score_are_not_ranked() -> None:
    images = [
        ExaminedImage(Pair(Path("a.png")), (1, 1), np.array([[hits], [truth], [10]]), 0.1)
        for hits, truth in ((2, 10), (0, 0), (9, 10))
    ]
    assert [image.totals[0, 0] for image in ranked(images)] == [9, 2]


def test_numbers_are_written_for_readers() -> None:
    assert (score(0.74073), score(math.nan), score(None)) == ("0.741", "–", "–")
    assert (signed(-0.01234), signed(0.5), signed(math.nan)) == ("−0.012", "+0.500", "–")
    assert (percent(0.0004), percent(0.0), percent(0.3333)) == ("<0.1 %", "0.0 %", "33.3 %")
    assert (count(1234567), large(1_234_567), large(999)) == ("1,234,567", "1.23 million", "999")
    assert large(None) == "–"
