"""Places: how large a pixel is on the map, and on the Earth."""

from __future__ import annotations

import math

import numpy as np
import pytest

from perpixel.data.place import Place


def test_pixels_of_a_projected_grid_have_the_area_of_their_parallelogram() -> None:
    turned = Place("", (0.3, 0.4, 5e5, 0.4, -0.3, 5e6), "projected")
    np.testing.assert_allclose(turned.row_areas(7, 3), [0.25] * 3)


def test_a_projection_in_feet_gives_square_metres() -> None:
    feet = Place("", (2.0, 0.0, 0.0, 0.0, -2.0, 0.0), "projected", metres=0.3048)
    np.testing.assert_allclose(feet.row_areas(0, 1), [4 * 0.3048**2])


def test_a_grid_of_degrees_over_the_whole_earth_has_the_earths_area() -> None:
    globe = Place("", (0.5, 0.0, -180.0, 0.0, -0.5, 90.0), "geographic")
    areas = globe.row_areas(0, 360)
    assert areas is not None
    # The surface of WGS 84 (Moritz 2000, "Geodetic reference system 1980", section 2, to its
    # digits): 510,065,622 km².
    assert areas.sum() * 720 == pytest.approx(510_065_621.7e6, rel=1e-7)
    np.testing.assert_allclose(areas, areas[::-1], rtol=1e-9)


def test_a_small_pixel_of_degrees_is_the_product_of_both_radii_of_curvature() -> None:
    latitude, side = 47.3, 1e-4
    place = Place("", (side, 0.0, 8.0, 0.0, -side, latitude + side / 2.0), "geographic")
    areas = place.row_areas(0, 1)
    eccentricity2 = 0.006_694_379_990_14
    w2 = 1 - eccentricity2 * math.sin(math.radians(latitude)) ** 2
    meridian = 6_378_137.0 * (1 - eccentricity2) / w2**1.5
    parallel = 6_378_137.0 / w2**0.5 * math.cos(math.radians(latitude))
    assert areas is not None
    assert areas[0] == pytest.approx(meridian * parallel * math.radians(side) ** 2, rel=1e-6)


@pytest.mark.parametrize(
    "place",
    [
        Place("", (1.0, 0.0, 0.0, 0.0, -1.0, 0.0), "unknown"),
        Place("", (0.1, 0.1, 0.0, 0.1, -0.1, 0.0), "geographic"),
    ],
)
def test_areas_that_cannot_be_told_are_not_made_up(place: Place) -> None:
    assert place.row_areas(0, 4) is None
