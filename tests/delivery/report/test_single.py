"""The report of one run: what is on the page, and that it is the truth."""

from __future__ import annotations

import base64
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import typer.main

import perpixel
from delivery.report.reading import Reader, assert_self_contained
from perpixel.cli.app import app
from perpixel.delivery.report import Findings, report_page, write_report
from perpixel.delivery.report.page import percent, score
from perpixel.delivery.report.single import changed_settings
from perpixel.delivery.scenes import CLASSES
from perpixel.inference.examination import ExaminedImage


@pytest.fixture(scope="module")
def page(findings: Findings) -> str:
    return report_page(findings)


def test_the_page_needs_no_other_file(page: str) -> None:
    assert_self_contained(page)


def test_the_page_says_what_evaluation_says(page: str, findings: Findings, runs) -> None:
    model = perpixel.load(runs[0] / "model.safetensors")
    pairs = findings.run.dataset.split("val")
    scores = perpixel.evaluate(model, pairs)
    assert scores.counts.tolist() == findings.examination.scores.counts.tolist()
    text = Reader(page).text
    for value in (
        scores.mean_iou,
        scores.pixel_accuracy,
        scores.mean_accuracy,
        scores.frequency_weighted_iou,
        *scores.iou,
        *scores.accuracy,
    ):
        assert score(float(value)) in text
    assert score(findings.examination.calibration.error) in text


def test_every_class_is_named_with_its_colour_and_its_share(page: str, findings: Findings) -> None:
    text = Reader(page).text
    seen = findings.trained_on
    assert seen is not None
    for index, (name, colour) in enumerate(zip(CLASSES.names, CLASSES.colours, strict=True)):
        assert name in text
        assert f"rgb({colour[0]}, {colour[1]}, {colour[2]})" in page
        assert percent(float(seen.pixels[index] / seen.pixels.sum())) in text


def test_every_image_is_shown_once_with_four_panels(page: str, findings: Findings) -> None:
    alts = [attributes["alt"] for attributes in Reader(page).all("img")]
    for pair in findings.run.pairs:
        assert sum(pair.image.name in alt for alt in alts) == 4


def test_pictures_are_whole_files(page: str) -> None:
    kinds = set()
    for attributes in Reader(page).all("img"):
        kind, _, content = attributes["src"].partition(";base64,")
        start = base64.b64decode(content, validate=True)[:5]
        assert start == (b"<?xml" if kind == "data:image/svg+xml" else b"\xff\xd8\xff\xe0\x00")
        kinds.add(kind)
    assert kinds == {"data:image/svg+xml", "data:image/jpeg"}


def test_the_command_that_is_shown_would_train_the_same(page: str, findings: Findings) -> None:
    text = Reader(page).text
    (line,) = [line for line in text.splitlines() if line.startswith("perpixel train ")]
    _, name, *arguments = shlex.split(line)
    group = typer.main.get_command(app)
    command = group.get_command(group.make_context("perpixel", [name]), name)  # type: ignore[attr-defined]
    parsed = command.make_context(name, arguments).params
    assert Path(parsed["data"]) == findings.run.dataset.root
    assert Path(parsed["config_file"]) == findings.run.folder / "config.yaml"
    assert not Path(parsed["out"]).exists()


def test_settings_that_are_not_the_default_are_told(findings: Findings) -> None:
    changed = changed_settings(findings.run.config)
    assert changed["network"] == "fcn8s"
    assert changed["augmentation.crop"] == "[64, 96]"
    assert "ema" not in changed
    assert "data" not in changed


def test_size_and_speed_are_those_of_the_model(findings: Findings) -> None:
    facts = findings.facts
    network = findings.run.model.network
    assert facts.parameters == sum(weight.numel() for weight in network.parameters())
    assert facts.file_bytes == findings.run.file.stat().st_size
    assert facts.size == (150, 200)
    assert facts.multiply_adds is not None
    assert facts.multiply_adds > 0
    seconds = sorted(image.seconds for image in findings.examination.images)
    assert facts.milliseconds == pytest.approx(1000 * seconds[1])
    assert facts.timed == 3


def test_a_run_without_epochs_and_data_without_training_split_are_told(findings: Findings) -> None:
    bare = replace(findings, run=replace(findings.run, epochs=[]), trained_on=None)
    text = Reader(report_page(bare)).text
    assert "there are no curves" in text
    assert "the data has no training split" in text


def test_an_image_without_a_label_is_not_ranked(findings: Findings) -> None:
    first, *others = findings.examination.images
    blank = ExaminedImage(first.pair, first.size, np.zeros_like(first.totals), 0.1)
    work = replace(findings.examination, images=(blank, *others))
    alts = [
        attributes["alt"]
        for attributes in Reader(report_page(replace(findings, examination=work))).all("img")
    ]
    assert not any(first.pair.image.name in alt for alt in alts)
    assert any(others[0].pair.image.name in alt for alt in alts)


def test_names_are_text_and_never_markup(runs, tmp_path: Path) -> None:
    written = write_report(runs[1], tmp_path / "page.html", split="test")
    page = written.read_text(encoding="utf-8")
    assert "fast &lt;b&gt;" in page
    assert_self_contained(page)


def test_progress_is_told_by_kind_of_work(runs, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    write_report(runs[0], tmp_path / "page.html", watch=lambda *what: told.append(what))
    assert list(dict.fromkeys(what for what, _, _ in told)) == [
        "reading the training masks",
        "predicting with slow",
        "drawing",
    ]
    assert {(done, total) for what, done, total in told if what == "drawing"} == {
        (1, 3),
        (2, 3),
        (3, 3),
    }
