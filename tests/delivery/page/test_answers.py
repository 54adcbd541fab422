"""What the page answers, without a page."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from perpixel.delivery.page import pictures
from perpixel.delivery.page.answers import BROKEN, Answers, VisitorError
from perpixel.delivery.page.insight import Insight
from perpixel.errors import ModelError
from perpixel.inference.predictor import Model
from perpixel.inference.segmentation import Segmentation


class BusyError(Exception):
    """What a server may raise."""


@pytest.fixture
def answers(model: Model) -> Answers:
    return Answers(model.predict, model.preprocessing, Insight(model), 40_000, (BusyError,))


@pytest.fixture
def street(scene: np.ndarray, tmp_path: Path) -> Path:
    file = tmp_path / "0123.png"
    Image.fromarray(scene).save(file)
    return file


def test_an_upload_is_segmented_and_kept(
    answers: Answers, street: Path, segmentation: Segmentation
) -> None:
    shown = answers.upload(street, "street.png")
    assert shown.name == "street.png"
    assert np.array_equal(shown.segmentation.mask, segmentation.mask)
    assert shown.mask == segmentation.png()
    with Image.open(io.BytesIO(shown.mask)) as mask:
        assert np.array_equal(np.asarray(mask), segmentation.mask)
    assert answers.kept.get(shown.key) is shown.segmentation


def test_every_switch_reaches_its_picture(
    answers: Answers, street: Path, segmentation: Segmentation
) -> None:
    key = answers.upload(street, "street.png").key
    drawn = answers.overlay(key, ["0", "2"], 0.3)
    assert np.array_equal(drawn, pictures.overlay(segmentation, [0, 2], 0.3))
    heat, caption = answers.heat(key, "1")
    values = Insight(_model(answers)).probability(segmentation, 1, segmentation.mask.shape)
    assert np.array_equal(heat, pictures.heat(segmentation, values))
    assert f"ground: highest probability {values.max():.2f}" in caption
    strides = answers.strides(key, 0.3)
    assert [text.split(":")[0] for _, text in strides] == ["Stride 32", "Stride 16", "Stride 8"]
    everything = range(segmentation.labels.classes)
    assert np.array_equal(strides[-1][0], pictures.overlay(segmentation, everything, 0.3))


def _model(answers: Answers) -> Model:
    return answers.insight._model


def test_what_was_put_away_is_asked_for_again(answers: Answers, street: Path) -> None:
    key = answers.upload(street, "street.png").key
    answers.heat(key, "0")
    answers.forget(key)
    answers.forget(key)
    answers.forget(None)
    assert answers.insight._newest is None
    for ask in (
        lambda: answers.overlay(key, ["0"], 0.5),
        lambda: answers.heat(key, "0"),
        lambda: answers.strides(key, 0.5),
    ):
        with pytest.raises(VisitorError, match="Hand in the image again"):
            ask()


@pytest.mark.parametrize(
    "error",
    [
        BusyError("12 requests are waiting already. Try again in 3 seconds."),
        ModelError("image", found="3 bands", expected="4 bands", mend="Give four"),
    ],
)
def test_what_a_visitor_can_mend_is_said(
    error: Exception, answers: Answers, street: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(image: np.ndarray) -> Segmentation:
        raise error

    monkeypatch.setattr(answers, "segment", refuse)
    with pytest.raises(VisitorError) as caught:
        answers.upload(street, "street.png")
    assert str(caught.value) == str(error)


def test_a_bug_is_told_to_the_log_and_not_to_the_visitor(
    answers: Answers,
    street: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(image: np.ndarray) -> Segmentation:
        raise RuntimeError("cannot map /srv/models/secret.safetensors")

    monkeypatch.setattr(answers, "segment", fail)
    with pytest.raises(VisitorError) as caught:
        answers.upload(street, "street.png")
    assert str(caught.value) == BROKEN
    assert "secret.safetensors" in caplog.text
    assert "Traceback" in caplog.text


def test_a_damaged_upload_is_refused_without_its_path(answers: Answers, tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"no image at all")
    with pytest.raises(VisitorError, match=r"^mine.png: no image; expected a JPEG") as caught:
        answers.upload(tmp_path / "x.png", "mine.png")
    assert str(tmp_path) not in str(caught.value)
