"""Which part of the page calls what, and what it changes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from perpixel.delivery.page import pictures, words
from perpixel.delivery.page.answers import Answers, Shown, VisitorError
from perpixel.delivery.page.controls import Controls
from perpixel.delivery.page.gradio_package import gradio

# Masks are computed one after another anyway, by the server; others may be drawn meanwhile.
AT_ONCE = 4
Changes = dict[Any, Any]


def wire(controls: Controls, answers: Answers) -> None:
    """Let the parts of the `gradio.Blocks` that is open answer their visitor."""
    listen = partial(_listen, controls)
    one, many = controls, AT_ONCE
    fresh = [*_of_a_result(one), one.key, one.results, one.message, one.picture]
    listen(
        # Whatever changes it: a file, the camera, the clipboard, an example, or its being emptied.
        one.picture.change,
        lambda file, key, opacity: _take(one, answers, file, key, opacity),
        [one.picture, one.key, one.opacity],
        fresh,
        at_once=many,
        # The next picture may be there before the answer to the last one.
        trigger_mode="always_last",
        # Decoding is ours: Gradio's errors would tell paths, and its pixels would be others.
        preprocess=False,
        show_progress_on=one.picture,
    )
    listen(
        one.examples.click,
        lambda index: {one.picture: one.examples.samples[index][0]["path"]},
        [one.examples],
        [one.picture],
        show_progress="hidden",
    )
    for switch in (one.opacity, one.classes):
        listen(
            switch.input,
            lambda key, shown, opacity: {one.overlay: answers.overlay(key, shown, opacity)},
            [one.key, one.classes, one.opacity],
            [one.overlay],
            at_once=many,
            trigger_mode="always_last",
            show_progress="hidden",
        )
    listen(
        one.heat_class.input,
        lambda key, value: _heat(one, answers, key, value),
        [one.key, one.heat_class],
        [one.heat, one.heat_caption],
    )
    if one.strides:
        listen(
            one.compare.click,
            lambda key, opacity: _strides(one, answers, key, opacity),
            [one.key, one.opacity],
            _of_strides(one),
        )


def _listen(
    controls: Controls,
    event: Callable[..., Any],
    answer: Callable[..., Changes],
    inputs: list[Any],
    outputs: list[Any],
    *,
    at_once: int = 1,
    **options: Any,
) -> None:
    """Let an event change parts; what is refused is said in the message line."""

    def answered(*values: Any) -> Changes:
        try:
            return answer(*values)
        except VisitorError as refused:
            return {controls.message: words.refusal(str(refused))}

    event(
        answered,
        inputs,
        list({id(one): one for one in [*outputs, controls.message]}.values()),
        concurrency_limit=at_once,
        api_visibility="private",
        **options,
    )


def _of_a_result(one: Controls) -> list[Any]:
    """The parts that show one result."""
    return [
        one.overlay,
        one.classes,
        one.swatches,
        one.heat_class,
        one.heat,
        one.heat_caption,
        one.confidence,
        one.download,
        *_of_strides(one),
    ]


def _take(
    one: Controls, answers: Answers, file: dict[str, Any] | None, key: str | None, opacity: float
) -> Changes:
    """A file was handed in, or put away."""
    answers.forget(key)
    if not file or not file.get("path"):
        if key is None:
            # There was no result, and the line that may say why stays.
            return {one.message: gradio().skip()}
        return _nothing(one, words.message(words.WELCOME))
    try:
        shown = answers.upload(Path(file["path"]), file.get("orig_name"))
    except VisitorError as error:
        # A browser would show the torn picture of what is none.
        return {one.picture: None} | _nothing(one, words.refusal(str(error)))
    return _everything(one, shown, opacity)


def _nothing(one: Controls, message: str) -> Changes:
    emptied = dict.fromkeys(_of_a_result(one))
    gr = gradio()
    return emptied | {
        one.classes: gr.CheckboxGroup(choices=[], value=[]),
        one.key: None,
        one.results: gr.Column(visible=False),
        one.message: message,
    }


def _everything(one: Controls, shown: Shown, opacity: float) -> Changes:
    gr = gradio()
    values = [value for _, value in shown.switches]
    everything = [int(value) for value in values]
    return {
        one.overlay: pictures.overlay(shown.segmentation, everything, opacity),
        one.classes: gr.CheckboxGroup(choices=shown.switches, value=values),
        one.swatches: words.swatches(shown.segmentation.labels, values),
        one.heat_class: None,
        one.heat: None,
        one.heat_caption: "",
        one.confidence: pictures.confidence(shown.segmentation),
        one.download: _file(one.download.GRADIO_CACHE, shown),
        **dict.fromkeys(_of_strides(one)),
        one.key: shown.key,
        one.results: gr.Column(visible=True),
        one.message: words.summary(shown.name, shown.segmentation),
    }


def _file(cache: str, shown: Shown) -> str:
    """The mask as a file where Gradio serves and, later, deletes it; a folder for each, because
    visitors give their images the same names."""
    folder = Path(cache) / shown.key
    folder.mkdir(parents=True)
    file = folder / f"{Path(shown.name).stem}.png"
    file.write_bytes(shown.mask)
    return str(file)


def _heat(one: Controls, answers: Answers, key: str | None, value: str | None) -> Changes:
    if value is None:
        return {one.heat: None, one.heat_caption: ""}
    picture, caption = answers.heat(key, value)
    return {one.heat: picture, one.heat_caption: caption}


def _strides(one: Controls, answers: Answers, key: str | None, opacity: float) -> Changes:
    drawn = answers.strides(key, opacity)
    changes: Changes = {}
    for (part, caption), (picture, text) in zip(one.strides.values(), drawn, strict=True):
        changes |= {part: picture, caption: words.message(text)}
    return changes


def _of_strides(one: Controls) -> list[Any]:
    return [part for both in one.strides.values() for part in both]
