"""Segmentation: what a model says about one image, and what can be made of it."""

from __future__ import annotations

import io
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Integer, Shaped
from PIL import Image

from perpixel.inference.pictures.display import displayable
from perpixel.inference.pictures.overlay import draw_overlay
from perpixel.labels import LabelSpace
from perpixel.whole_file import write_whole

# A mask is long runs of few values. Looking for nothing but runs takes a third of the time of
# zlib's own choice, and the file is about as long.
_COMPRESSION = {"compress_level": 1, "compress_type": zlib.Z_RLE}


@dataclass(frozen=True, eq=False)
class ClassMask:
    """A class for every pixel of an image, at the image's own size.

    NumPy takes it for its mask: `np.asarray(segmentation)`.

    Args:
        mask: class indices, and the label space's ignore index where no class is claimed;
            uint8 or uint16, as the label space needs.
        labels: what the mask's values mean.
        image: the image as it was decoded, in its own type.
    """

    mask: Integer[np.ndarray, "H W"]
    labels: LabelSpace
    image: Shaped[np.ndarray, "bands H W"]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.mask, dtype=dtype, copy=copy)

    def areas(self) -> dict[str, float]:
        """The share of each class, by name, among the labelled pixels: 0 … 1, absent classes 0.

        They add up to 1, unless no pixel is labelled: then all are 0.
        """
        pixels = self.labels.pixels_by_class(self.mask)
        shares = pixels / max(int(pixels.sum()), 1)
        return dict(zip(self.labels.names, shares.tolist(), strict=True))

    def overlay(self, opacity: float = 0.55) -> Image.Image:
        """The mask's colours over the image, with a legend of the classes in it.

        Borders are drawn, and large regions carry their name. A small image is enlarged. Unlabelled
        pixels show the image.

        Args:
            opacity: of the colours: 0 shows the image alone, 1 the mask alone.
        """
        return draw_overlay(displayable(self.image), self.mask, self.labels, self.areas(), opacity)

    def png(self) -> bytes:
        """The mask as a PNG file: with the classes' colours as its palette where class indices
        and ignore index fit into 8 bits, else 16-bit grey. Its values are the mask's."""
        mask = self.mask.astype(self.labels.mask_dtype)
        picture = Image.fromarray(mask)
        if mask.dtype == np.uint8:
            picture.putpalette(self.labels.colour_table().tobytes())
        file = io.BytesIO()
        picture.save(file, "PNG", **_COMPRESSION)
        return file.getvalue()

    def save(self, path: str | Path) -> None:
        """Write the mask as a PNG file (see `png`), whole or not at all.

        Raises:
            OutputError: it cannot be written.
        """
        write_whole(Path(path), self.png())


@dataclass(frozen=True, eq=False)
class Segmentation(ClassMask):
    """A class for every pixel of an image, at the image's own size, and how sure it is.

    NumPy takes it for its mask: `np.asarray(segmentation)`.

    Args:
        mask: class indices, and the label space's ignore index where no class is claimed;
            uint8 or uint16, as the label space needs.
        labels: what the mask's values mean.
        image: the image as it was decoded, in its own type.
        confidence: the probability of the class that won, 0 … 1.
    """

    confidence: Float32[np.ndarray, "H W"]

    def below(self, confidence: float) -> Segmentation:
        """The same, with the ignore index wherever the confidence is below this one (0 … 1)."""
        mask = self.mask.astype(self.labels.mask_dtype)
        mask[self.confidence < confidence] = self.labels.ignore_index
        return replace(self, mask=mask)
