"""LabelSpace: what the values of a mask mean. The only place that knows the ignore index."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import yaml
from jaxtyping import Bool, Integer, Shaped, UInt8
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from perpixel.errors import DataError

Channel = Annotated[int, Field(ge=0, le=255)]
Colour = tuple[Channel, Channel, Channel]
IGNORE_COLOUR: Colour = (0, 0, 0)


class LabelSpace(BaseModel):
    """Class names and colours, and the mask value that means "no label here".

    A mask holds a class index 0 … classes−1, or `ignore_index`; any other value is an error.

    Args:
        names: one for each class, in the order of their indices.
        colours: one RGB colour for each class.
        ignore_index: the mask value that is left out of loss, scores and pictures; never a
            class index.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    names: tuple[str, ...] = Field(min_length=1, max_length=65_535)
    colours: tuple[Colour, ...]
    ignore_index: int = Field(ge=0, le=65_535)

    @model_validator(mode="after")
    def _agree(self) -> LabelSpace:
        if len(self.colours) != len(self.names):
            raise ValueError(f"{len(self.names)} class names but {len(self.colours)} colours")
        if len(set(self.names)) != len(self.names):
            raise ValueError("two classes have the same name")
        if self.ignore_index < len(self.names):
            raise ValueError(
                f"ignore_index {self.ignore_index} is also the index of class "
                f"{self.names[self.ignore_index]!r}"
            )
        return self

    @classmethod
    def of(cls, names: tuple[str, ...] | list[str], ignore_index: int | None = None) -> LabelSpace:
        """A label space with well-separated colours; ignore index 255 (65535 from 256 classes)."""
        if ignore_index is None:
            ignore_index = 255 if len(names) <= 255 else 65_535
        colours = tuple(distinct_colour(index) for index in range(len(names)))
        return cls(names=tuple(names), colours=colours, ignore_index=ignore_index)

    @classmethod
    def read(cls, path: Path) -> LabelSpace:
        """The label space of a `classes.yaml`, as `ClassList` reads it.

        Raises:
            DataError: the file is missing, is no YAML, or its values contradict each other.
        """
        return ClassList.read(path).labels

    def as_yaml(self) -> str:
        """The text of a `classes.yaml` that reads as this label space."""
        entries = [
            {"name": name, "color": list(colour)}
            for name, colour in zip(self.names, self.colours, strict=True)
        ]
        document = {"ignore_index": self.ignore_index, "classes": entries}
        return yaml.safe_dump(
            document, sort_keys=False, allow_unicode=True, default_flow_style=None
        )

    @property
    def classes(self) -> int:
        """How many classes there are; the ignore index is none of them."""
        return len(self.names)

    @property
    def mask_dtype(self) -> type[np.uint8] | type[np.uint16]:
        """The smallest unsigned type that holds every class index and the ignore index."""
        return np.uint8 if max(self.classes - 1, self.ignore_index) <= 255 else np.uint16

    def labelled(self, mask: Integer[np.ndarray, "*shape"]) -> Bool[np.ndarray, "*shape"]:
        """Where the mask names a class."""
        return np.asarray(mask != self.ignore_index)

    def strangers(self, mask: Integer[np.ndarray, "*shape"]) -> list[int]:
        """The values in the mask that are neither a class index nor the ignore index, sorted."""
        if mask.size == 0:
            return []
        if mask.dtype == np.uint8:
            present = np.flatnonzero(np.bincount(mask.reshape(-1), minlength=256))
        else:
            present = np.unique(mask)
        known = (present >= 0) & (present < self.classes) | (present == self.ignore_index)
        return [int(value) for value in present[~known]]

    def pixels_by_class(
        self, mask: Integer[np.ndarray, "*shape"]
    ) -> Integer[np.ndarray, "classes"]:
        """How many pixels of the mask each class has; the ignored ones are left out."""
        counts = np.bincount(mask[self.labelled(mask)].reshape(-1), minlength=self.classes)
        return counts[: self.classes].astype(np.int64)

    def colour_table(self) -> UInt8[np.ndarray, "values 3"]:
        """The RGB colour of every mask value up to the largest; the ignore index is black."""
        table = np.zeros((max(self.classes, self.ignore_index + 1), 3), np.uint8)
        table[: self.classes] = np.asarray(self.colours, np.uint8)
        table[self.ignore_index] = IGNORE_COLOUR
        return table

    def colourise(self, mask: Shaped[np.ndarray, "H W"]) -> UInt8[np.ndarray, "H W 3"]:
        """The mask as an RGB picture in the classes' colours."""
        return np.asarray(self.colour_table()[mask])


# What a mask can hold.
Value = Annotated[int, Field(ge=0, le=65_535)]
# What stands for pixels in `classes.yaml`: a value, the name of a class of the layout, or a colour.
Token = Value | str | Colour


@dataclass(frozen=True)
class ClassList:
    """A `classes.yaml`: the classes, and which stored values or colours become each of them.

    Its keys are `classes`: names, or mappings of `name`, `color` and `merge`; `ignore_index`; and
    `ignore`. `merge` and `ignore` list mask values (3), colours ([128, 0, 0]) or, where a layout
    has classes of its own (Cityscapes, COCO, ...), their names (car).

    Args:
        labels: names, colours and ignore index.
        merged: for each class what becomes it; empty: its own index, colour or name.
        ignored: what has no label, besides the ignore index.
        colours_stated: whether every class states its colour; else some are made up.
        ignore_stated: whether the ignore index is stated; else it is the default.
    """

    labels: LabelSpace
    merged: tuple[tuple[Token, ...], ...]
    ignored: tuple[Token, ...] = ()
    colours_stated: bool = False
    ignore_stated: bool = False

    @classmethod
    def read(cls, path: Path) -> ClassList:
        """Read a `classes.yaml`.

        Raises:
            DataError: the file is missing, is no YAML, or its values contradict each other.
        """
        try:
            document = yaml.safe_load(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise _wrong(path, "no such file") from None
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise _wrong(path, f"cannot be read ({' '.join(str(error).split())})") from None
        if not isinstance(document, dict) or not isinstance(document.get("classes"), list):
            raise _wrong(path, "no list `classes`")
        _check_keys(path, document, {"classes", "ignore_index", "ignore"}, "")
        entries = [one if isinstance(one, dict) else {"name": one} for one in document["classes"]]
        for index, entry in enumerate(entries):
            _check_keys(path, entry, {"name", "color", "merge"}, f" in classes.{index}")
        default = 255 if len(entries) <= 255 else 65_535
        values = {
            "names": [entry.get("name") for entry in entries],
            "colours": [
                entry.get("color", distinct_colour(index)) for index, entry in enumerate(entries)
            ],
            "ignore_index": document.get("ignore_index", default),
        }
        try:
            labels = LabelSpace.model_validate(values)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            raise _wrong(path, f"{place}: {first['msg']}" if place else str(first["msg"])) from None
        return cls(
            labels=labels,
            merged=tuple(_tokens(path, entry.get("merge", []), "merge") for entry in entries),
            ignored=_tokens(path, document.get("ignore", []), "ignore"),
            colours_stated=all("color" in entry for entry in entries),
            ignore_stated="ignore_index" in document,
        )


def _tokens(path: Path, listed: Any, key: str) -> tuple[Token, ...]:
    try:
        return tuple(TypeAdapter(list[Token]).validate_python(listed))
    except ValidationError:
        found = f"`{key}: {listed}` lists other than values (0 to 65535), names, colours"
        raise _wrong(path, found) from None


def _check_keys(path: Path, mapping: dict[Any, Any], known: set[str], place: str) -> None:
    unknown = sorted(set(map(str, mapping)) - known)
    if unknown:
        raise _wrong(path, f"unknown keys {', '.join(unknown)}{place}")


def _wrong(path: Path, found: str) -> DataError:
    return DataError(
        path,
        found=found,
        expected="a mapping with `classes` and, if masks have unlabelled pixels, `ignore_index`",
        mend="Write `classes: [{name: sky, color: [128, 128, 128]}, ...]` and `ignore_index: 255`",
    )


def distinct_colour(index: int) -> Colour:
    """A colour for class `index` that is far from its neighbours' (golden-ratio hues)."""
    hue = (0.58 + index * 0.618_033_988_75) % 1.0
    saturation = (0.75, 0.45, 0.9)[index % 3]
    value = (0.85, 0.95, 0.6)[(index // 3) % 3]
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
    return round(red * 255), round(green * 255), round(blue * 255)
