"""`perpixel predict --show`: overlays in the terminal."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import perpixel
from cli.conftest import Command
from perpixel.cli import terminal
from perpixel.inference.pictures.half_blocks import half_blocks


def test_without_colours_every_character_is_a_class_s_letter(
    command: Command, model: Path, drawn: Path, tmp_path: Path
) -> None:
    images = drawn / "val" / "images"
    shown = command("predict", model, images, "--out", tmp_path / "out", "--show")
    assert shown.exit_code == 0, shown.output
    loaded = perpixel.load(model)
    for image in sorted(images.iterdir()):
        assert str(image) in shown.stdout
        segmentation = loaded.predict(image)
        picture = half_blocks(segmentation, terminal.OUT.width)
        for row in picture.letters.tolist():
            assert "".join(row) in shown.stdout
        for letter, index in picture.legend:
            assert f"{letter}    {segmentation.labels.names[index]} " in shown.stdout


def test_with_colours_it_fits_the_terminal_and_has_two_colours_in_a_character(
    model: Path, drawn: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = min((drawn / "val" / "images").iterdir())
    segmentation = perpixel.load(model).predict(image)
    screen = Console(
        markup=False,
        highlight=False,
        force_terminal=True,
        color_system="truecolor",
        width=60,
        file=io.StringIO(),
        record=True,
        legacy_windows=False,
    )
    monkeypatch.setattr(terminal, "OUT", screen)
    terminal.draw(image, segmentation)
    styled = screen.export_text(styles=True, clear=False)
    lines = screen.export_text().splitlines()
    rows = [line for line in lines if terminal.UPPER_HALF in line]
    picture = half_blocks(segmentation, 60)
    assert {len(row) for row in rows} == {60}
    assert len(rows) == len(picture.colours)
    characters = np.array([list(row) for row in rows])
    for mark in picture.marks:
        assert characters[mark] == picture.letters[mark]
    # A character that is no mark has the upper colour in front and the lower one behind.
    place = next(place for place in np.ndindex(characters.shape) if place not in picture.marks)
    upper, lower = (";".join(map(str, half)) for half in picture.colours[place].tolist())
    assert f"38;2;{upper};48;2;{lower}m" in styled
