"""A pair's mask, whatever it is made of: as stored, and as class indices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from perpixel.data.dataset import Pair, listed, together
from perpixel.data.decode import read_colours, read_mask
from perpixel.data.mask_encoding import encode
from perpixel.errors import DataError
from perpixel.labels import LabelSpace


def read_stored(pair: Pair) -> Shaped[np.ndarray, "H W"]:
    """The mask's values before their encoding: uint8 or uint16 numbers, or uint32 packed colours.

    Raises:
        DataError: it cannot be read, or the pair has none.
    """
    if pair.mask is None:
        raise DataError(pair.image, found="an image without a mask", mend="Add its mask")
    if not isinstance(pair.mask, Path):
        return pair.mask.read()
    if pair.encoding is not None and pair.encoding.kind == "colours":
        return read_colours(pair.mask)
    return read_mask(pair.mask)


def read_classes(pair: Pair, labels: LabelSpace) -> tuple[Shaped[np.ndarray, "H W"], list[int]]:
    """The mask as class indices in the label space's own type, and the stored values that mean
    nothing, sorted; where there are any, the mask's pixels of those values are undefined.

    Raises:
        DataError: it cannot be read, or the pair has none.
    """
    return encode(read_stored(pair), pair.encoding, labels)


def other_size(mask: Path, found: tuple[int, ...], expected: tuple[int, ...]) -> DataError:
    """The error for a mask that is not as large as its image."""
    return DataError(
        mask,
        found=f"a mask of {found[1]}×{found[0]} pixels",
        expected=f"its image's {expected[1]}×{expected[0]}",
        mend="Make the mask for the image as it is stored, or resize it by nearest neighbour",
    )


def unknown_values(strangers: dict[Pair, list[int]], labels: LabelSpace) -> DataError:
    """The error for masks with values that mean nothing; names up to ten of them."""
    paths = [pair.mask_path or pair.image for pair in strangers]
    where, names = together(paths)
    told = [
        f"{name} ({_values(pair, values)})"
        for name, (pair, values) in zip(names, strangers.items(), strict=True)
    ]
    first = next(iter(strangers))
    expected = f"0 to {labels.classes - 1}, or {labels.ignore_index} for pixels without a label"
    if first.encoding is not None:
        known = [first.encoding.describe(value) for value, _ in first.encoding.mapping]
        expected = f"{'colours' if first.encoding.kind == 'colours' else 'values'} {listed(known)}"
    return DataError(
        where,
        found=f"mask values that are no class: {listed(told)}",
        expected=expected,
        mend="Correct the masks, or the classes and `ignore_index` in classes.yaml",
    )


def _values(pair: Pair, values: list[int]) -> str:
    words = [str(v) if pair.encoding is None else pair.encoding.describe(v) for v in values[:5]]
    return ", ".join(words) + (", …" if len(values) > 5 else "")
