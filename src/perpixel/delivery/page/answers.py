"""What the page answers to what its visitor does."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from perpixel.delivery.page import pictures, words
from perpixel.delivery.page.insight import Insight
from perpixel.delivery.page.kept import Kept
from perpixel.delivery.page.upload import file_name, read_upload
from perpixel.errors import PerpixelError
from perpixel.inference.segmentation import Segmentation
from perpixel.preprocessing import Preprocessing

Segment = Callable[[UInt8[np.ndarray, "H W bands"]], Segmentation]
Answer = TypeVar("Answer")
BROKEN = "The server could not answer. Try again, or tell whoever runs it what you did."


@dataclass(frozen=True, eq=False)
class Shown:
    """A result and the pictures that belong to it at first.

    Args:
        key: to it, among those that are kept.
        name: of the image.
        segmentation: the result.
        mask: the PNG file, as `perpixel predict` writes it.
        switches: as `words.switches` says.
    """

    key: str
    name: str
    segmentation: Segmentation
    mask: bytes
    switches: list[tuple[str, str]]


class VisitorError(Exception):
    """Something that the visitor can read and do something about."""


class Answers:
    """The page's work, without the page.

    Args:
        segment: computes a mask; it may take its time.
        preprocessing: the model's.
        insight: computes the rest.
        largest_pixels: that an image may have.
        readable: exceptions of `segment`, besides perpixel's own, whose text visitors may read.
    """

    def __init__(
        self,
        segment: Segment,
        preprocessing: Preprocessing,
        insight: Insight,
        largest_pixels: int,
        readable: tuple[type[Exception], ...] = (),
    ) -> None:
        self.segment = segment
        self.preprocessing = preprocessing
        self.insight = insight
        self.largest_pixels = largest_pixels
        self.readable: tuple[type[Exception], ...] = (PerpixelError, *readable)
        self.kept = Kept()

    def upload(self, file: Path, given_name: str | None) -> Shown:
        """Segment a file.

        Raises:
            VisitorError: it cannot be, and why.
        """
        name = file_name(given_name)
        return self._refusing(
            lambda: self._shown(
                read_upload(file, name, self.preprocessing, self.largest_pixels), name
            )
        )

    def overlay(self, key: str | None, shown: Sequence[str], opacity: float) -> Image.Image:
        """The overlay for other switches.

        Raises:
            VisitorError: the result is gone.
        """
        return self._refusing(
            lambda: pictures.overlay(self.kept.get(key), [int(value) for value in shown], opacity)
        )

    def heat(self, key: str | None, value: str) -> tuple[Image.Image, str]:
        """The heat map of a class, and its caption.

        Raises:
            VisitorError: the result is gone, or the model cannot compute it.
        """

        def drawn() -> tuple[Image.Image, str]:
            found, index = self.kept.get(key), int(value)
            size = pictures.shown_size(found)
            values = self.insight.probability(found, index, size)
            name = found.labels.names[index]
            caption = words.heat_caption(name, float(values.max()), found.areas()[name])
            return pictures.heat(found, values), caption

        return self._refusing(drawn)

    def strides(self, key: str | None, opacity: float) -> list[tuple[Image.Image, str]]:
        """The mask at each of the network's strides, and its caption.

        Raises:
            VisitorError: the result is gone, or the model cannot compute it.
        """

        def drawn() -> list[tuple[Image.Image, str]]:
            found = self.kept.get(key)
            compared = pictures.compared(found, self.insight.masks(found), opacity)
            return [
                (picture, words.stride_caption(stride, changed))
                for stride, (picture, changed) in compared.items()
            ]

        return self._refusing(drawn)

    def forget(self, key: str | None) -> None:
        """The visitor has put the image away."""
        found = self.kept.pop(key)
        if found is not None:
            self.insight.forget(found)

    def _shown(self, image: UInt8[np.ndarray, "H W bands"], name: str) -> Shown:
        found = self.segment(image)
        switches = words.switches(found)
        return Shown(self.kept.add(found), name, found, found.png(), switches)

    def _refusing(self, compute: Callable[[], Answer]) -> Answer:
        """Turn whatever goes wrong into something that tells a visitor nothing about the server."""
        try:
            return compute()
        except self.readable as error:
            raise VisitorError(str(error)) from error
        except Exception as error:
            logging.getLogger(__name__).exception("the page could not answer")
            raise VisitorError(BROKEN) from error
