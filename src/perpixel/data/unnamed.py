"""Classes for a dataset that names none: proposed from the values its masks hold."""

from __future__ import annotations

from pathlib import Path

from perpixel.data.colour_names import colour_names
from perpixel.data.dataset import listed
from perpixel.data.mask_encoding import IGNORED, MaskEncoding, unpack_colour
from perpixel.data.mask_values import MaskValues
from perpixel.errors import DataError
from perpixel.labels import LabelSpace

# More classes than this are no classes but photographs, instances or blurred edges.
MOST_CLASSES = 256
NO_MASK = "no such file, and no mask that would show the classes"
# Grey level 1 as a packed colour.
GREY = 0x010101
_VOIDS = (255, 65_535)


def is_grey(value: int) -> bool:
    """Whether a packed colour has three equal bands."""
    return value % 256 * GREY == value


def unnamed_classes(path: Path, seen: MaskValues) -> tuple[LabelSpace, MaskEncoding, str]:
    """Classes, the encoding of their masks, and a note that says them aloud.

    Two values, 0 and 255 (or 1), are background and foreground. 255 beside other values has no
    label. Colours become classes with the colours' names.

    Args:
        path: where the classes should be named.
        seen: the values that the masks hold.

    Raises:
        DataError: no mask can be read, or there are more values than classes can be.
    """
    if not seen.values:
        mend = "Add masks, or write the classes' names: `classes: [sky, road, ...]`"
        raise DataError(path, found=NO_MASK, mend=mend)
    if seen.kind == "colours" and not all(is_grey(value) for value in seen.values):
        return _colours(path, seen)
    values = [value % 256 for value in seen.values] if seen.kind == "colours" else [*seen.values]
    factor = GREY if seen.kind == "colours" else 1
    if 255 in values and set(values) <= {0, 255}:
        mapping = ((0, 0), (255 * factor, 1))
        labels = LabelSpace.of(["background", "foreground"])
        note = f"{path.name} is missing; masks hold 0 and 255: read as background and foreground"
        return labels, MaskEncoding(seen.kind, mapping), note
    void = next((value for value in _VOIDS if value == values[-1] and _gap(values)), None)
    classes = [value for value in values if value != void]
    _check_number(path, seen, len(classes))
    names = ["background", "foreground"] if classes == [0, 1] else [f"class {v}" for v in classes]
    pairs = [(value * factor, index) for index, value in enumerate(classes)]
    pairs += [(void * factor, IGNORED)] if void is not None else []
    ignored = "" if void is None else f"; {void} is ignored"
    note = (
        f"{path.name} is missing: {seen.masks} masks hold {listed([str(v) for v in classes])}, "
        f"each read as a class{ignored}"
    )
    return LabelSpace.of(names), MaskEncoding(seen.kind, tuple(pairs)), note


def _gap(values: list[int]) -> bool:
    """Whether the last value does not simply follow the one before it."""
    return len(values) > 1 and values[-2] + 1 < values[-1]


def _colours(path: Path, seen: MaskValues) -> tuple[LabelSpace, MaskEncoding, str]:
    _check_number(path, seen, len(seen.values))
    colours = [unpack_colour(value) for value in seen.values]
    names = colour_names(colours)
    ignore_index = LabelSpace.of(names).ignore_index
    labels = LabelSpace(names=names, colours=tuple(colours), ignore_index=ignore_index)
    proposed = [f"{name} {list(colour)}" for name, colour in zip(names, colours, strict=True)]
    note = (
        f"{path.name} is missing: {seen.masks} masks hold {len(colours)} colours, each read as a "
        f"class: {listed(proposed)}"
    )
    mapping = tuple((value, index) for index, value in enumerate(seen.values))
    return labels, MaskEncoding("colours", mapping), note


def _check_number(path: Path, seen: MaskValues, classes: int) -> None:
    if classes > MOST_CLASSES:
        what = "colours" if seen.kind == "colours" else "values"
        raise DataError(
            path,
            found=f"no such file, and {classes} {what} in {seen.masks} masks",
            expected=f"masks of at most {MOST_CLASSES} {what}, or the classes written down",
            mend="Write `classes: [{name: sky, color: [128, 128, 128]}, ...]`; blurred or "
            "compressed masks have to be made anew",
        )
