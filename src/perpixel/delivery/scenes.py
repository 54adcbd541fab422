"""Drawn street scenes with exact masks: a data set for whoever has none.

`draw(seed, index)` is the only way in. Everything in a scene follows from these two numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from perpixel.delivery.canvas import CLASSES, RGB, Canvas, grain, mixed
from perpixel.delivery.things import Place, house, pole, tree, vehicle

__all__ = ["CLASSES", "HEIGHT", "WIDTH", "draw"]

# No multiple of any stride: the demo shows that the size does not matter.
HEIGHT, WIDTH = 150, 200
CAMERA_METRES = 3.0


@dataclass(frozen=True)
class Weather:
    """The colours of a sky, from overhead to the horizon, and of the light that falls from it."""

    zenith: RGB
    horizon: RGB
    cloud: RGB
    light: RGB


WEATHER = (
    Weather((62, 122, 210), (190, 218, 240), (250, 250, 252), (1.04, 1.02, 0.97)),
    Weather((112, 152, 198), (222, 224, 222), (240, 240, 240), (1.0, 1.0, 1.0)),
    Weather((84, 96, 168), (252, 190, 138), (248, 176, 160), (1.08, 0.94, 0.82)),
    Weather((140, 150, 162), (208, 211, 214), (222, 224, 228), (0.85, 0.88, 0.93)),
)


def draw(
    seed: int, index: int, height: int = HEIGHT, width: int = WIDTH
) -> tuple[UInt8[np.ndarray, "{height} {width} 3"], UInt8[np.ndarray, "{height} {width}"]]:
    """Scene number `index` of the set `seed`: an RGB image and its mask (indices of `CLASSES`).

    The same (seed, index, size) is always the same scene.
    """
    rng = np.random.default_rng((seed, index))
    canvas = Canvas(height, width, rng)
    weather = WEATHER[rng.integers(len(WEATHER))]
    horizon = height * rng.uniform(0.36, 0.5)
    _sky(canvas, horizon, weather)
    _hills(canvas, horizon, weather)
    _fields(canvas, horizon, weather)
    road = _Road(
        far=width * rng.uniform(0.2, 0.8),
        near=width * rng.uniform(0.25, 0.75),
        half=width * rng.uniform(0.28, 0.42),
    )
    road.draw(canvas, horizon)
    sun = float(rng.choice((-1.0, 1.0)))
    # Far things first, so that near ones cover them. Nearness is 1 / distance, 1 at the lower edge.
    for nearness in np.sort(rng.uniform(0.07, 1.0, rng.integers(9, 16)) ** 1.6):
        _thing(canvas, horizon, weather, road, sun, float(nearness))
    return canvas.finish(weather.light)


def _thing(
    canvas: Canvas, horizon: float, weather: Weather, road: _Road, sun: float, nearness: float
) -> None:
    """Put one tree, house, vehicle or pole where it could stand at this distance."""
    rng = canvas.rng
    ground = canvas.height - horizon
    base = horizon + ground * nearness
    haze = 0.5 * (1.0 - nearness) ** 4
    metre = ground * nearness / CAMERA_METRES
    kind = rng.choice(("tree", "house", "vehicle", "pole"), p=(0.25, 0.22, 0.29, 0.24))
    if kind == "house" and nearness > 0.45:
        kind = "pole"  # a house this near would be all of the picture
    on_road = kind == "vehicle" and rng.random() < 0.7
    side = rng.choice((-1.0, 1.0))
    away = rng.uniform(0.35, 0.6) if on_road else 1.1 + rng.exponential(0.25 / nearness)
    if kind == "house":
        away += 0.2
    x = road.centre(nearness) + side * away * road.half * nearness
    place = Place(x, base, metre, sun, haze, weather.horizon)
    if kind == "vehicle":
        vehicle(canvas, place, along=on_road)
    else:
        {"tree": tree, "house": house, "pole": pole}[kind](canvas, place)


@dataclass(frozen=True)
class _Road:
    """A straight road towards a vanishing point `far`, around `near` at the lower edge."""

    far: float
    near: float
    half: float

    def centre(self, nearness: float) -> float:
        """Its middle at this nearness, in pixels from the left."""
        return self.far + (self.near - self.far) * nearness

    def draw(self, canvas: Canvas, horizon: float) -> None:
        """Asphalt, and a dashed line down the middle."""
        grey = canvas.rng.uniform(86, 118)
        self._strip(canvas, horizon, (0.0, 1.05), (-1.0, 1.0), (grey, grey, grey + 4))
        for side in (-0.93, 0.93):
            edges = (side - 0.02, side + 0.02)
            self._strip(canvas, horizon, (0.06, 1.05), edges, (196, 194, 186))
        distance = 1.0
        while distance < 12.0:
            dash = (1.0 / (distance + 0.5), 1.0 / distance)
            self._strip(canvas, horizon, dash, (-0.025, 0.025), (214, 212, 204))
            distance += 1.2

    def _strip(
        self,
        canvas: Canvas,
        horizon: float,
        nearness: tuple[float, float],
        across: tuple[float, float],
        colour: RGB,
    ) -> None:
        points = [
            (
                self.centre(near) + edge * self.half * near,
                horizon + (canvas.height - horizon) * near,
            )
            for near, edge in (
                (nearness[0], across[0]),
                (nearness[0], across[1]),
                (nearness[1], across[1]),
                (nearness[1], across[0]),
            )
        ]
        canvas.polygon(points, colour, "asphalt")


def _sky(canvas: Canvas, horizon: float, weather: Weather) -> None:
    """A gradient, and clouds that lie flatter towards the horizon."""
    rows = np.linspace(0.0, canvas.height / horizon, canvas.height, dtype=np.float32)
    share = np.clip(rows, 0.0, 1.0)[:, None, None] ** 1.3
    zenith, low = np.asarray(weather.zenith, np.float32), np.asarray(weather.horizon, np.float32)
    canvas.colour[:] = zenith + share * (low - zenith)
    cover = canvas.rng.uniform(-0.3, 1.1)
    cloud = grain(canvas.rng, canvas.height, canvas.width, (14, 38))
    cloud += 0.5 * grain(canvas.rng, canvas.height, canvas.width, (6, 16))
    cloud += 0.25 * grain(canvas.rng, canvas.height, canvas.width, (3, 7))
    opacity = np.clip(0.6 * (cloud - cover), 0.0, 0.85)[..., None] * (1.0 - 0.6 * share)
    canvas.colour += opacity * (np.asarray(weather.cloud, np.float32) - canvas.colour)


def _hills(canvas: Canvas, horizon: float, weather: Weather) -> None:
    """Up to two ridges in the haze."""
    rng = canvas.rng
    for ridge in range(int(rng.integers(0, 3))):
        height = canvas.height * rng.uniform(0.03, 0.11) / (1 + ridge)
        waves = np.sin(np.linspace(0, rng.uniform(4, 11), 24) + rng.uniform(0, 6))
        tops = horizon - height * (0.6 + 0.4 * waves + 0.06 * rng.standard_normal(24))
        line = list(zip(np.linspace(0, canvas.width, 24), tops, strict=True))
        shore = [(float(canvas.width), horizon + 2), (0.0, horizon + 2)]
        colour = mixed((96, 116, 92), weather.horizon, 0.62 - 0.22 * ridge)
        canvas.polygon([*line, *shore], colour, "hill")


def _fields(canvas: Canvas, horizon: float, weather: Weather) -> None:
    """Grass from the haze at the horizon to the lower edge."""
    rng = canvas.rng
    grass = (rng.uniform(98, 160), rng.uniform(128, 158), rng.uniform(62, 84))
    top = round(horizon)
    bands = 10
    for band in range(bands):
        upper = top + (canvas.height - top) * (band / bands) ** 1.5
        share = 0.5 * (1.0 - band / bands) ** 2
        colour = mixed(grass, weather.horizon, share)
        canvas.box(0, upper, canvas.width, canvas.height, colour, "grass")
