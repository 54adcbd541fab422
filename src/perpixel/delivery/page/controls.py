"""The page's parts and where they stand. What they do is in `wiring`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from perpixel.delivery.page import words
from perpixel.delivery.page.gradio_package import gradio
from perpixel.delivery.page.pictures import CONFIDENCE, HEAT
from perpixel.delivery.page.upload import megapixels
from perpixel.labels import LabelSpace

OPACITY = 0.55
# What a visitor leaves behind, in memory and in files, is deleted at this age in seconds.
OLD = 3600
# The camera on the back of a phone, where there is a choice.
CAMERA = {"video": {"facingMode": {"ideal": "environment"}}}


@dataclass(frozen=True)
class Controls:
    """Gradio's components.

    Args:
        key: to the visitor's result.
        picture: takes an image.
        examples: images to begin with.
        message: the line about the result, or what went wrong.
        results: all that follows; hidden until there is a result.
        download: the mask as a file.
        overlay, opacity, classes, swatches: the mask over the image, and its switches.
        heat_class, heat, heat_caption: the heat map of a class.
        confidence: the map of it.
        compare, strides: the button, and a picture and its caption for each stride; None and
            empty where the network sums no skips.
    """

    key: Any
    picture: Any
    examples: Any
    message: Any
    results: Any
    download: Any
    overlay: Any
    opacity: Any
    classes: Any
    swatches: Any
    heat_class: Any
    heat: Any
    heat_caption: Any
    confidence: Any
    compare: Any
    strides: dict[int, tuple[Any, Any]]


def lay_out(
    labels: LabelSpace,
    examples: Sequence[UInt8[np.ndarray, "_ _ 3"]],
    strides: Sequence[int],
    largest_pixels: int,
    forget: Callable[[str | None], None],
) -> Controls:
    """Put the parts into the `gradio.Blocks` that is open; what a visitor has left is forgotten
    when it is `OLD`."""
    gr = gradio()
    key = gr.State(None, time_to_live=OLD, delete_callback=forget)
    gr.HTML(_heading(labels, largest_pixels))
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=280):
            picture = gr.Image(
                label="Image",
                sources=["upload", "webcam", "clipboard"],
                type="filepath",
                height=280,
                elem_id="picture",
                webcam_options=gr.WebcamOptions(mirror=False, constraints=CAMERA),
                buttons=[],
            )
            message = gr.HTML(words.message(words.WELCOME), elem_id="message")
            dataset = _examples(examples)
        with gr.Column(scale=3, min_width=280, visible=False, elem_id="results") as results:
            shown = _results(labels, strides)
    return Controls(
        key=key, picture=picture, examples=dataset, message=message, results=results, **shown
    )


def _heading(labels: LabelSpace, largest_pixels: int) -> str:
    return (
        "<h1>perpixel</h1>"
        f"<p>A class for every pixel of an image, out of the {labels.classes} that this model "
        f"knows. JPEG, PNG or WebP, at most {megapixels(largest_pixels)} megapixels. Images stay "
        "on this server, which deletes them after about an hour.</p>"
    )


def _examples(examples: Sequence[UInt8[np.ndarray, "_ _ 3"]]) -> Any:
    gr = gradio()
    with TemporaryDirectory() as folder:
        files = [Path(folder) / f"example_{number}.png" for number in range(1, len(examples) + 1)]
        for file, example in zip(files, examples, strict=True):
            Image.fromarray(example).save(file)
        # Gradio keeps copies of its own.
        return gr.Dataset(
            label="Examples",
            components=[gr.Image(render=False)],
            samples=[[str(file)] for file in files],
            type="index",
            elem_id="examples",
            visible=bool(examples),
        )


def _results(labels: LabelSpace, strides: Sequence[int]) -> dict[str, Any]:
    gr = gradio()
    compare = None
    by_stride: dict[int, tuple[Any, Any]] = {}
    with gr.Tabs():
        with gr.Tab("Classes", id="classes"):
            overlay = _output("The classes over the image", "overlay")
            opacity = gr.Slider(
                0, 1, OPACITY, step=0.05, label="Opacity of the colours", elem_id="opacity"
            )
            classes = gr.CheckboxGroup(
                label="Classes and their share of the image",
                show_select_all=True,
                elem_id="classes",
            )
            swatches = gr.HTML(elem_id="swatches")
        with gr.Tab("Heat map", id="heat"):
            names = [(name, str(index)) for index, name in enumerate(labels.names)]
            heat_class = gr.Dropdown(names, value=None, label="Class", elem_id="heat-class")
            heat = _output("Where the class is probable", "heat")
            gr.HTML(words.scale(HEAT, "impossible", "certain"))
            heat_caption = gr.HTML(elem_id="heat-caption")
        with gr.Tab("Confidence", id="confidence"):
            confidence = _output("Probability of the class that won", "confidence")
            gr.HTML(words.scale(CONFIDENCE, "unsure", "sure"))
        if strides:
            with gr.Tab("Strides", id="strides"):
                gr.HTML(words.message(words.STRIDES))
                compare = gr.Button("Compare the strides", elem_id="compare")
                with gr.Row(elem_id="by-stride"):
                    for stride in strides:
                        with gr.Column(min_width=0):
                            picture = _output(f"The mask at stride {stride}", f"stride-{stride}")
                            caption = gr.HTML(elem_id=f"stride-{stride}-caption")
                            by_stride[stride] = (picture, caption)
    download = gr.DownloadButton(
        "Download the mask (PNG)", variant="primary", elem_id="download", size="md"
    )
    return {
        "overlay": overlay,
        "opacity": opacity,
        "classes": classes,
        "swatches": swatches,
        "heat_class": heat_class,
        "heat": heat,
        "heat_caption": heat_caption,
        "confidence": confidence,
        "compare": compare,
        "strides": by_stride,
        "download": download,
    }


def _output(what: str, name: str) -> Any:
    return gradio().Image(
        # Gradio would write a label over the picture's corner.
        label=what,
        show_label=False,
        alt_text=what,
        interactive=False,
        format="webp",
        buttons=["fullscreen", "download"],
        elem_id=name,
    )
