"""Areas: how much of an image, and of the ground where its place is known, each class covers."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64, Integer

from perpixel.data.place import Place
from perpixel.labels import LabelSpace

_HECTARE = 10_000.0
# Pixels that are counted together: a count of bytes makes them numbers of 8 bytes.
_AT_ONCE = 1 << 21


@dataclass(frozen=True, eq=False)
class ClassAreas:
    """Each class's pixels, and its area in m² where that can be told.

    Args:
        labels: the classes.
        pixels: of each class; unlabelled ones are not counted.
        square_metres: likewise; None where the image does not say how large its pixels are.
    """

    labels: LabelSpace
    pixels: Int64[np.ndarray, "classes"]
    square_metres: Float64[np.ndarray, "classes"] | None

    def shares(self) -> dict[str, float]:
        """The share of each class, by name, among the labelled pixels: 0 … 1, absent classes 0."""
        shares = self.pixels / max(int(self.pixels.sum()), 1)
        return dict(zip(self.labels.names, shares.tolist(), strict=True))

    def table(self) -> list[list[str]]:
        """A row for each class: its name, its pixels, its share, and, where they can be told, its
        hectares; and before them all the names of these columns."""
        head = ["class", "pixels", "share"]
        rows = [
            [name, str(pixels), f"{share:.6f}"]
            for (name, share), pixels in zip(
                self.shares().items(), self.pixels.tolist(), strict=True
            )
        ]
        if self.square_metres is not None:
            head.append("hectares")
            for row, area in zip(rows, self.square_metres.tolist(), strict=True):
                row.append(f"{area / _HECTARE:.4f}")
        return [head, *rows]

    def as_csv(self) -> str:
        """The table as the text of a CSV file."""
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(self.table())
        return text.getvalue()


class AreaCount:
    """Counts the rows of a mask as they go by, from the top down.

    Args:
        labels: the classes.
        place: where the mask lies; None: nowhere.
    """

    def __init__(self, labels: LabelSpace, place: Place | None) -> None:
        self.labels = labels
        self.place = place
        self._pixels = np.zeros(labels.classes, np.int64)
        known = place is not None and place.row_areas(0, 1) is not None
        self._square_metres = np.zeros(labels.classes) if known else None

    def add(self, top: int, rows: Integer[np.ndarray, "rows W"]) -> None:
        """Count some rows, the first of which is row `top` of the mask."""
        # All pixels of a projected grid have one area; of degrees, those of a row.
        one_area = self.place is None or self.place.kind != "geographic"
        deep = max(_AT_ONCE // rows.shape[1], 1) if one_area else 1
        for start in range(0, rows.shape[0], deep):
            part = rows[start : start + deep]
            counts = self.labels.pixels_by_class(part)
            self._pixels += counts
            if self._square_metres is not None and self.place is not None:
                areas = self.place.row_areas(top + start, 1)
                assert areas is not None
                self._square_metres += counts * areas[0]

    def areas(self) -> ClassAreas:
        """Of all that was counted."""
        return ClassAreas(self.labels, self._pixels, self._square_metres)
