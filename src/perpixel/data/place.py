"""Place: where on the Earth, or on a map, the pixels of a raster lie, and how large they are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float64

Affine = tuple[float, float, float, float, float, float]
# WGS 84: the equatorial radius in metres, and the flattening. Other ellipsoids differ by less than
# a thousandth in area.
_RADIUS, _FLATTENING = 6_378_137.0, 1 / 298.257_223_563


@dataclass(frozen=True)
class Place:
    """A coordinate system and an affine transform.

    Args:
        crs: the coordinate system as WKT; empty where the file names none.
        transform: (a, b, c, d, e, f): column x and row y lie at (a·x + b·y + c, d·x + e·y + f).
        kind: "projected": coordinates are lengths; "geographic": degrees; "unknown".
        metres: how many metres a unit of a projected system has.
    """

    crs: str
    transform: Affine
    kind: Literal["projected", "geographic", "unknown"]
    metres: float = 1.0

    def row_areas(self, top: int, rows: int) -> Float64[np.ndarray, "rows"] | None:
        """The area in m² of a pixel in each of these rows; None where it cannot be told.

        Of a projected system it is the area on the map, which differs from that on the ground as
        the projection does. Of degrees it is the area on the ellipsoid WGS 84, and cannot be told
        of a grid that is turned.
        """
        a, b, _, d, e, f = self.transform
        if self.kind == "projected":
            return np.full(rows, abs(a * e - b * d) * self.metres**2)
        if self.kind == "unknown" or b or d:
            return None
        borders = np.radians(np.clip(f + e * np.arange(top, top + rows + 1), -90.0, 90.0))
        return np.asarray(math.radians(abs(a)) * np.abs(np.diff(_belt(borders))))


def _belt(latitude: Float64[np.ndarray, "latitudes"]) -> Float64[np.ndarray, "latitudes"]:
    """The ellipsoid's area in m² from the equator to a latitude, for one radian of longitude.

    The integral of the product of both radii of curvature; Snyder 1987, "Map projections: a
    working manual", equation 3-12, with b²/2 before it.
    """
    polar = _RADIUS * (1 - _FLATTENING)
    eccentricity = math.sqrt(_FLATTENING * (2 - _FLATTENING))
    sine = np.sin(latitude)
    inner = sine / (1 - (eccentricity * sine) ** 2)
    return np.asarray(polar**2 / 2 * (inner + np.arctanh(eccentricity * sine) / eccentricity))
