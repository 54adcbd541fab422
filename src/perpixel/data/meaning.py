"""What a dataset's masks mean: by its classes.yaml, by its layout, or by the values found."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from perpixel.data.dataset import Pair, listed
from perpixel.data.found import Found, KnownClasses
from perpixel.data.mask_encoding import IGNORED, Kind, MaskEncoding, pack_colour, unpack_colour
from perpixel.data.mask_values import MaskValues, kind_of_masks, look_at_masks
from perpixel.data.masks import read_stored
from perpixel.data.unnamed import GREY, NO_MASK, is_grey, unnamed_classes
from perpixel.errors import DataError
from perpixel.labels import ClassList, Colour, LabelSpace, Token

CLASSES = "classes.yaml"
# Masks that are read to tell how classes.yaml's classes are stored (and more where these are empty,
# and 255 may be a class); and, where there is none, to find the classes.
LOOKED_AT, READ_FOR_CLASSES = 20, 1000
BINARY = "masks hold 0 and 255: read as class 0 and class 1, {names}"


@dataclass(frozen=True)
class Meaning:
    """The classes of a dataset, what its masks' values mean, and what to say about it."""

    labels: LabelSpace
    encoding: MaskEncoding | None
    notes: tuple[str, ...] = ()


def interpret(root: Path, found: Found) -> Meaning:
    """Decide what the masks of a folder mean.

    Raises:
        DataError: classes.yaml is wrong, or does not go with the masks; or there is none, and the
            masks' values do not show the classes.
    """
    masks = [pair for pairs in found.splits.values() for pair in pairs if pair.mask is not None]
    if (root / CLASSES).exists():
        return _by_list(root / CLASSES, ClassList.read(root / CLASSES), found.known, masks)
    if found.known is not None:
        return _by_layout(found.known, kind_of_masks(masks))
    seen = look_at_masks(masks, READ_FOR_CLASSES)
    if masks and not seen.values:
        raise _unreadable(root / CLASSES, masks[0])
    labels, encoding, note = unnamed_classes(root / CLASSES, seen)
    return Meaning(labels, encoding, (note,))


def _unreadable(path: Path, pair: Pair) -> DataError:
    found, mend = NO_MASK, "Give masks that can be read, or write the classes' names"
    try:
        read_stored(pair)
    except DataError as error:
        found, mend = f"{NO_MASK}; {error.where}: {error.found}", error.mend
    return DataError(path, found=found, mend=mend)


def _by_layout(known: KnownClasses, kind: Kind) -> Meaning:
    mapping = [
        (value, index)
        for index in (*range(known.labels.classes), IGNORED)
        for value in known.values_of(index, kind)
    ]
    rest_ignored = known.rest_ignored and kind == "numbers"
    return Meaning(known.labels, MaskEncoding(kind, tuple(sorted(mapping)), rest_ignored))


def _by_list(
    path: Path, classes: ClassList, known: KnownClasses | None, masks: list[Pair]
) -> Meaning:
    if known is not None and _names_known_classes(path, classes, known):
        return _by_names(path, classes, known, kind_of_masks(masks))
    plain = not any(classes.merged) and not classes.ignored
    binary = plain and classes.labels.classes == 2 and not classes.ignore_stated
    seen = look_at_masks(masks, LOOKED_AT, past_empty=binary)
    # Where no mask can be read, whoever reads all of them says why.
    colours = seen.kind == "colours" and bool(seen.values)
    if colours and not _grey_numbers(classes, seen):
        return _by_colours(path, classes, seen)
    grey = colours
    if grey:
        values = tuple(value % 256 for value in seen.values)
        seen = MaskValues("numbers", values, seen.masks)
    notes: tuple[str, ...] = ("masks are RGB pictures of grey: read as its levels",) if grey else ()
    if binary and 255 in seen.values and set(seen.values) <= {0, 255}:
        numbers: tuple[tuple[int, int], ...] = ((0, 0), (255, 1))
        notes += (BINARY.format(names=" and ".join(classes.labels.names)),)
    elif plain and not grey:
        return Meaning(classes.labels, None, notes)
    else:
        own = [(index,) for index in range(classes.labels.classes)]
        numbers = _mapping(path, classes, own, "numbers", None)
        if classes.labels.ignore_index not in dict(numbers):
            numbers += ((classes.labels.ignore_index, IGNORED),)
    if grey:
        numbers = tuple((value * GREY, to) for value, to in numbers if value <= 255)
    kind: Kind = "colours" if grey else "numbers"
    return Meaning(classes.labels, MaskEncoding(kind, tuple(sorted(numbers))), notes)


def _grey_numbers(classes: ClassList, seen: MaskValues) -> bool:
    """Whether colour pictures hold numbers, written into all three bands."""
    if not seen.values or not all(is_grey(value) for value in seen.values):
        return False
    stated = {pack_colour(colour) for colour in classes.labels.colours}
    return not (classes.colours_stated and set(seen.values) <= stated)


def _by_colours(path: Path, classes: ClassList, seen: MaskValues) -> Meaning:
    if not classes.colours_stated and not all(classes.merged):
        found = [str(unpack_colour(value)) for value in seen.values]
        raise DataError(
            path,
            found=f"classes without colours, but the masks hold colours: {listed(found)}",
            expected="each class with its colour in the masks",
            mend="Write `classes: [{name: sky, color: [128, 128, 128]}, ...]`",
        )
    own: list[tuple[Token, ...]] = [(colour,) for colour in classes.labels.colours]
    mapping = _mapping(path, classes, own, "colours", None)
    note = f"masks hold colours, read by those of {CLASSES}"
    return Meaning(classes.labels, MaskEncoding("colours", tuple(sorted(mapping))), (note,))


def _names_known_classes(path: Path, classes: ClassList, known: KnownClasses) -> bool:
    """Whether the list speaks of the layout's classes, by their names.

    Raises:
        DataError: some of its names are the layout's and others are not.
    """
    own = [
        name
        for name, merged in zip(classes.labels.names, classes.merged, strict=True)
        if not merged
    ]
    merged = [token for tokens in (*classes.merged, classes.ignored) for token in tokens]
    named = [*own, *(token for token in merged if isinstance(token, str))]
    strange = [name for name in named if name not in known.labels.names]
    if known.certainty == "collected" or not strange:
        return bool(named) or known.certainty != "suggested"
    if known.certainty == "suggested" and len(strange) == len(named):
        return False
    raise DataError(
        path,
        found=f"names that are no class of this layout: {listed(strange)}",
        expected=listed(list(known.labels.names)),
        mend="Name these, or `merge` some of them into a class of yours",
    )


def _by_names(path: Path, classes: ClassList, known: KnownClasses, kind: Kind) -> Meaning:
    own: list[tuple[Token, ...]] = [(name,) for name in classes.labels.names]
    mapping = dict(_mapping(path, classes, own, kind, known))
    left, notes = [], []
    for index, name in enumerate(known.labels.names):
        values = [value for value in known.values_of(index, kind) if value not in mapping]
        mapping |= dict.fromkeys(values, IGNORED)
        left += [name] if values else []
    for value in known.values_of(IGNORED, kind):
        mapping.setdefault(value, IGNORED)
    stated = {name for token in classes.ignored for name in [token] if isinstance(token, str)}
    if set(left) - stated:
        notes.append(f"{CLASSES} does not name {listed(left)}: their pixels are ignored")
    rest_ignored = known.rest_ignored and kind == "numbers"
    encoding = MaskEncoding(kind, tuple(sorted(mapping.items())), rest_ignored)
    return Meaning(classes.labels, encoding, tuple(notes))


def _mapping(
    path: Path,
    classes: ClassList,
    own: list[tuple[Token, ...]] | list[tuple[int]],
    kind: Kind,
    known: KnownClasses | None,
) -> tuple[tuple[int, int], ...]:
    """The stored values that become each class, and those that are ignored.

    Args:
        path: of the class list, to name it in errors.
        classes: its entries.
        own: what becomes a class that merges nothing.
        kind: of the masks.
        known: the layout's classes, whose names may stand for values.
    """
    mapping: dict[int, int] = {}
    for index, merged in enumerate(classes.merged):
        for token in merged or own[index]:
            for value in _values(path, token, kind, known):
                if mapping.setdefault(value, index) != index:
                    names = [classes.labels.names[to] for to in (mapping[value], index)]
                    raise _claimed(path, token, names)
    for token in classes.ignored:
        for value in _values(path, token, kind, known):
            if mapping.setdefault(value, IGNORED) != IGNORED:
                raise _claimed(path, token, [classes.labels.names[mapping[value]], "ignore"])
    return tuple(mapping.items())


def _values(path: Path, token: Token, kind: Kind, known: KnownClasses | None) -> tuple[int, ...]:
    if isinstance(token, str):
        if known is None:
            raise _unfit(path, token, "this layout has no classes of its own names")
        if token not in known.labels.names:
            return ()
        return known.values_of(known.labels.names.index(token), kind)
    if isinstance(token, int):
        if kind == "colours":
            raise _unfit(path, token, "the masks hold colours")
        if known is not None and known.numbers_are_ours:
            names = listed(list(known.labels.names))
            raise _unfit(path, token, f"this layout's classes have names: {names}")
        return (token,)
    if kind == "numbers":
        raise _unfit(path, token, "the masks hold numbers")
    return (pack_colour(token),)


def _claimed(path: Path, token: Token, names: list[str]) -> DataError:
    found = f"{_word(token)} in both {names[0]} and {names[1]}"
    return DataError(path, found=found, mend="List each value in one place")


def _unfit(path: Path, token: Token, why: str) -> DataError:
    found = f"`merge` or `ignore` lists {_word(token)}, but {why}"
    mend = "List names, numbers for masks of numbers, [red, green, blue] for masks of colours"
    return DataError(path, found=found, mend=mend)


def _word(token: Token) -> str:
    colour: Colour | None = token if isinstance(token, tuple) else None
    return str(list(colour)) if colour is not None else repr(token)
