"""Correction: what has to be done to one pair. Only what cannot mean anything else is done.

- Masks of colours, of {0, 255}, of merged classes, in several files, painted from shapes: whatever
  the dataset's encoding reads without a stranger becomes class indices.
- Masks whose values are all one off, or stretched over the range of grey, or in which 255 marks
  pixels without a label though `classes.yaml` says otherwise: read as `values.read_values` does.
- Masks of class indices written into three equal bands, with or without alpha: one band.
- An image that its EXIF orientation lays on its side, whose mask shows by its size whether it was
  turned already: both are written upright.
- A mask k times as large as its image, or the image k times as large, k whole: nearest neighbour.
- Suffixes become lower case.

Left, because there are several ways: a mask on its side without an orientation; an orientation
that leaves the size as it is; values of compressed or blurred masks; copies in two splits.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from perpixel.data.check.look import Look
from perpixel.data.check.sizes import factor, fit
from perpixel.data.dataset import Pair
from perpixel.data.decode import read_colours, upright
from perpixel.data.header import SUFFIXES
from perpixel.data.mask_encoding import MaskEncoding, encode
from perpixel.data.masks import read_classes
from perpixel.errors import DataError
from perpixel.labels import LabelSpace

_SUFFIX_OF = {"JPEG": ".jpg", "PNG": ".png", "TIFF": ".tif", "WEBP": ".webp", "BMP": ".bmp"}
# What Pillow writes as a PNG.
_WRITTEN = {(1, "uint8"), (3, "uint8"), (1, "uint16")}


class NotUsableError(Exception):
    """A pair that cannot go into the copy; the text says why."""


@dataclass(frozen=True)
class Correction:
    """What is done to a pair on its way into the copy.

    Args:
        look: the pair, as it was found.
        encoding: what the mask's values mean.
        grey: whether the mask is grey written into three bands.
        turn_mask: whether the mask is turned as the image's EXIF orientation says.
        turn_image: whether the image is written upright; else its file is copied.
        suffix: of the image's copy.
        write_mask: whether the mask is written anew; else its file is copied.
        said: (file, what is done), for its owner.
    """

    look: Look
    encoding: MaskEncoding | None
    grey: bool
    turn_mask: bool
    turn_image: bool
    suffix: str
    write_mask: bool
    said: tuple[tuple[Path, str], ...]

    @property
    def files(self) -> tuple[Path, ...]:
        """The pair's files."""
        pair = self.look.pair
        return (pair.image,) if pair.mask_path is None else (pair.image, pair.mask_path)

    def read_mask(self, labels: LabelSpace) -> Shaped[np.ndarray, "H W"]:
        """The corrected mask, as class indices."""
        pair = replace(self.look.pair, encoding=self.encoding)
        mask = _grey_classes(pair, labels) if self.grey else read_classes(pair, labels)[0]
        header = self.look.header
        if header is None:
            return mask
        if self.turn_mask:
            return np.ascontiguousarray(upright(mask, header.orientation))
        found = factor(header, (mask.shape[0], mask.shape[1]))
        if found is None:
            return mask
        times, larger = found
        if larger:
            # The middle pixel of each block, or the one after the middle.
            return np.ascontiguousarray(mask[times // 2 :: times, times // 2 :: times])
        return mask.repeat(times, axis=0).repeat(times, axis=1)


def correction(
    look: Look, labels: LabelSpace, reading: MaskEncoding | None, labelled: bool
) -> Correction:
    """What is to be done to a pair.

    Args:
        look: the pair.
        labels: the dataset's classes.
        reading: what values that are no class mean in all masks, if that is certain.
        labelled: whether other images of the split have masks.

    Raises:
        NotUsableError: the pair cannot be used, whatever is done.
    """
    pair, header, mask = look.pair, look.header, look.mask
    if header is None:
        raise NotUsableError("" if look.image_fault is None else look.image_fault.found)
    suffix = pair.image.suffix.lower()
    suffix = suffix if suffix in SUFFIXES else _SUFFIX_OF.get(header.format, suffix)
    said: list[tuple[Path, str]] = []
    if suffix != pair.image.suffix:
        said.append((pair.image, f"suffix {suffix}"))
    if pair.mask is None:
        if labelled:
            raise NotUsableError("an image without a mask")
        return Correction(look, None, False, False, False, suffix, False, tuple(said))
    grey = None if mask is not None else _grey_size(pair, labels)
    size = grey if mask is None else mask.size
    if size is None:
        raise NotUsableError("" if look.mask_fault is None else look.mask_fault.found)
    encoding = pair.encoding or reading
    if mask is not None and mask.strangers and not _reads(pair, encoding, labels):
        raise NotUsableError("a mask with values that are no class")
    fits = fit(header, size)
    if fits not in ("same", "turned", "multiple"):
        raise NotUsableError(f"a mask of another size ({fits})")
    name = pair.mask_path or pair.image
    if encoding is not None or grey is not None:
        said.append((name, "values to class indices"))
    if fits == "turned":
        said.append((name, f"turned as the image's EXIF orientation {header.orientation} says"))
    if fits == "multiple":
        said.append((name, "resized by nearest neighbour"))
    turn_image = _turns(look)
    if turn_image:
        said.append((pair.image, f"EXIF orientation {header.orientation} applied"))
    same_file = isinstance(pair.mask, Path) and pair.mask.suffix.lower() == ".png"
    if same_file and name.suffix != ".png":
        said.append((name, "suffix .png"))
    kept = same_file and encoding is None and grey is None and fits == "same"
    turned = mask is not None and mask.turned != 1
    return Correction(
        look=look,
        encoding=encoding,
        grey=grey is not None,
        turn_mask=fits == "turned",
        turn_image=turn_image,
        suffix=".png" if turn_image else suffix,
        write_mask=not kept or turned,
        said=tuple(said),
    )


def _turns(look: Look) -> bool:
    """Whether the image's orientation shows in its size, and the mask's says whose it has."""
    header = look.header
    if header is None or header.orientation < 5 or header.height == header.width:
        return False
    return (header.bands, header.dtype.name) in _WRITTEN and not header.alpha


def _reads(pair: Pair, encoding: MaskEncoding | None, labels: LabelSpace) -> bool:
    return not read_classes(replace(pair, encoding=encoding), labels)[1]


def _grey_size(pair: Pair, labels: LabelSpace) -> tuple[int, int] | None:
    """The size of a mask of colours that holds class indices as grey levels; None: it does not."""
    if not isinstance(pair.mask, Path) or pair.encoding is not None:
        return None
    try:
        packed = read_colours(pair.mask)
    except DataError:
        return None
    levels = packed & 255
    if (levels * 0x010101 != packed).any() or labels.strangers(levels):
        return None
    return packed.shape[0], packed.shape[1]


def _grey_classes(pair: Pair, labels: LabelSpace) -> Shaped[np.ndarray, "H W"]:
    assert isinstance(pair.mask, Path)
    return encode(read_colours(pair.mask) & 255, None, labels)[0]
