"""The generated card: front matter that the hub reads, scores, and what is not known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from perpixel.checkpoint import read_checkpoint
from perpixel.distribution.card import model_card
from perpixel.distribution.publication import licence_of, published


def card(tiny: Path, licence: str = "") -> str:
    model = published(read_checkpoint(tiny), licence=licence)
    return model_card(model, "hf://somebody/streets", "5" * 64)


@pytest.mark.parametrize(
    ("licence", "expected"),
    [
        ("", {}),
        ("cc-by-nc-4.0", {"license": "cc-by-nc-4.0"}),
        (
            'research: "only" #1',
            {"license": "other", "license_name": "research-only-1"},
        ),
        ("MIT", {"license": "mit"}),
        ("proprietary", {"license": "other", "license_name": "proprietary"}),
        ("研究", {"license": "other", "license_name": "other"}),
    ],
)
def test_the_front_matter_is_what_the_hub_reads(
    tiny: Path, licence: str, expected: dict[str, str]
) -> None:
    _, front, rest = card(tiny, licence).split("---\n", 2)
    values = yaml.safe_load(front)
    assert (values["library_name"], values["pipeline_tag"]) == ("perpixel", "image-segmentation")
    assert {key: value for key, value in values.items() if key.startswith("license")} == expected
    assert rest.startswith("\n# streets\n")


def test_the_card_says_classes_scores_settings_and_how_to_check(tiny: Path) -> None:
    text = card(tiny)
    assert "| mean IoU | 0.500 |" in text
    assert "| sky | 0.500 | 0.750 |" in text
    assert "| a\\|b | – | – |" in text
    assert "| road | – | – |" in text
    assert "`" + "5" * 64 + "`" in text
    assert '"epochs": 3' in text
    assert "perpixel predict hf://somebody/streets" in text
    assert "| licence of the weights | not stated |" in text
    assert "/home" not in text


def test_a_model_that_was_not_scored_says_so(tiny: Path) -> None:
    bare = replace(read_checkpoint(tiny), provenance={})
    text = model_card(bare, "hf://a/b", "0" * 64)
    assert "It was not scored" in text
    assert "- a\\|b" in text


def test_a_published_model_keeps_no_folder_and_what_it_said(tiny: Path) -> None:
    model = read_checkpoint(tiny)
    model.provenance["imported"] = "/home/somebody/vgg.pth"
    model.provenance["config"] |= {"weights": "/home/somebody/w.safetensors", "init_from": None}
    given = published(model)
    assert given.provenance["config"] == {
        "data": "photographs", "epochs": 3, "weights": "w.safetensors", "init_from": None,
    }  # fmt: skip
    assert given.provenance["imported"] == "vgg.pth"
    model.provenance["config"] |= {"data": "C:\\Users\\me\\photos", "init_from": "hf://me/streets"}
    settings = published(model).provenance["config"]
    assert (settings["data"], settings["init_from"]) == ("photos", "hf://me/streets")
    model.provenance["config"]["data"] = "/home/somebody/photographs"
    assert given.provenance["validation"] == model.provenance["validation"]
    assert model.provenance["config"]["data"] == "/home/somebody/photographs"
    assert licence_of(given) is None
    assert licence_of(published(published(model, licence="MIT"))) == "MIT"
