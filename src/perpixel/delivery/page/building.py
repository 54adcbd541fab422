"""Building the page, and putting it into a server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from perpixel.delivery.page.answers import Answers, Segment
from perpixel.delivery.page.controls import OLD, lay_out
from perpixel.delivery.page.gradio_package import gradio
from perpixel.delivery.page.insight import Insight
from perpixel.delivery.page.wiring import wire
from perpixel.inference.predictor import Model

LARGEST_PIXELS, LARGEST_BYTES = 16_000_000, 32_000_000
# Seconds between two looks for temporary files, uploads and pictures, that are older than `OLD`.
# The rest goes when the server ends.
EVERY = 300
WAITING = 64
STYLE = Path(__file__).with_name("style.css")
# Fonts of the visitor's own machine: nothing to fetch from anywhere.
FONTS, MONOSPACED = ("system-ui", "sans-serif"), ("ui-monospace", "monospace")


def build_page(
    segment: Segment,
    model: Model,
    examples: Sequence[UInt8[np.ndarray, "_ _ 3"]],
    *,
    largest_pixels: int = LARGEST_PIXELS,
    readable: tuple[type[Exception], ...] = (),
) -> Any:
    """The page as a `gradio.Blocks`, for `mount_page`.

    Masks come from `segment` alone. Heat maps and the comparison of strides are computed by a
    copy of the model's network, one at a time.

    Args:
        segment: from an 8-bit RGB image to its segmentation; called from several threads.
        model: which computes these; its classes are named, and its network is copied.
        examples: images to begin with, 8-bit RGB.
        largest_pixels: that an image may have; a larger one is refused before it is decoded.
        readable: exceptions of `segment`, besides `PerpixelError`, whose text visitors may read.
            What any other says stays in the server's log.

    Raises:
        ConfigError: gradio is not installed.
    """
    insight = Insight(model)
    answers = Answers(segment, model.preprocessing, insight, largest_pixels, readable)

    def built() -> Any:
        with gradio().Blocks(
            title="perpixel", analytics_enabled=False, delete_cache=(EVERY, OLD)
        ) as page:
            controls = lay_out(
                model.labels, examples, insight.strides, largest_pixels, answers.forget
            )
            wire(controls, answers)
        page.queue(max_size=WAITING, api_open=False)
        _take_uploads_alone(page)
        return page

    return _with_a_loop(built)


def mount_page(app: Any, page: Any, path: str = "/", *, largest_bytes: int = LARGEST_BYTES) -> Any:
    """Put the page into a FastAPI application; its own routes go before the page's.

    Args:
        app: the `fastapi.FastAPI`.
        page: of `build_page`.
        path: where.
        largest_bytes: that an upload may have.

    Returns:
        the application.
    """
    gr = gradio()
    return _with_a_loop(
        partial(
            gr.mount_gradio_app,
            app,
            page,
            path,
            footer_links=[],
            run_history=False,
            # Of errors that nobody foresaw, the visitor sees that there was one.
            show_error=False,
            max_file_size=largest_bytes,
            ssr_mode=False,
            mcp_server=False,
            enable_monitoring=False,
            theme=_theme(),
            css_paths=[STYLE],
        )
    )


def _theme() -> Any:
    """Gradio's own, in colours that white letters can be read on."""
    theme = gradio().themes.Default(primary_hue="teal", font=FONTS, font_mono=MONOSPACED)
    return theme.set(
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        checkbox_background_color_selected="*primary_700",
        checkbox_border_color_selected="*primary_700",
        slider_color="*primary_700",
    )


def _with_a_loop(build: Callable[[], Any]) -> Any:
    """Call it while an event loop runs: without one Gradio opens some that nobody closes."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(_later(build))
    return build()


async def _later(build: Callable[[], Any]) -> Any:
    return build()


def _take_uploads_alone(page: Any) -> None:
    """Refuse requests that name a file which is not among Gradio's own temporary ones.

    A request says where its upload lies. Gradio downloads what has an address, and in an
    application that it did not launch itself it believes any path: a forged request could make the
    server fetch what it likes from others, or show an image of its disk.
    """
    for block in page.blocks.values():
        block.async_move_resource_to_block_cache = partial(
            _taken, block.async_move_resource_to_block_cache, Path(block.GRADIO_CACHE).resolve()
        )


async def _taken(take: Callable[[Any], Awaitable[Any]], folder: Path, file: Any) -> Any:
    if file is not None and not Path(file).resolve().is_relative_to(folder):
        raise gradio().Error("This is no upload.")
    return await take(file)
