"""The things that stand in a drawn scene: trees, houses, vehicles, poles."""

from __future__ import annotations

import math
from dataclasses import dataclass

from perpixel.delivery.canvas import RGB, Canvas, Number, Point, mixed

WALLS: tuple[RGB, ...] = (
    (206, 190, 160),
    (188, 112, 88),
    (222, 216, 204),
    (168, 150, 132),
    (196, 168, 120),
    (150, 98, 80),
)
ROOFS: tuple[RGB, ...] = ((150, 70, 54), (96, 84, 82), (122, 74, 58), (84, 90, 104))
CARS: tuple[RGB, ...] = (
    (186, 36, 36),
    (36, 70, 160),
    (222, 222, 226),
    (46, 48, 54),
    (214, 176, 48),
    (60, 118, 92),
    (150, 154, 160),
)
GLASS: RGB = (70, 92, 110)
RUBBER: RGB = (26, 26, 28)


@dataclass(frozen=True)
class Place:
    """Where a thing stands, and in what light.

    Args:
        x, base: the middle of its foot, in pixels.
        metre: pixels for each metre at this distance.
        sun: −1 where the light comes from the left, 1 from the right.
        haze: share of `air` in every colour, 0 … 1.
        air: the colour of far things.
    """

    x: float
    base: float
    metre: float
    sun: float
    haze: float
    air: RGB

    def seen(self, colour: RGB, shade: float = 1.0) -> RGB:
        """A colour in this light, `shade` times as bright, through the haze."""
        red, green, blue = (min(channel * shade, 255.0) for channel in colour)
        return mixed((red, green, blue), self.air, self.haze)

    def at(self, across: Number, up: Number) -> Point:
        """The pixel `across` metres right of the foot and `up` metres above it."""
        return self.x + across * self.metre, self.base - up * self.metre


def tree(canvas: Canvas, place: Place) -> None:
    """A conifer or a broad-leaved tree, 3 to 8 metres high."""
    rng = canvas.rng
    height = rng.uniform(3.0, 8.0)
    green = (rng.uniform(36, 92), rng.uniform(78, 122), rng.uniform(28, 56))
    trunk = max(0.05 * height * place.metre, 1.0)
    canvas.shadow(
        place.x - place.sun * 0.2 * height * place.metre,
        place.base,
        (0.34 * height * place.metre, 0.07 * height * place.metre),
        0.45,
    )
    top = place.base - 0.55 * height * place.metre
    bark = place.seen((88, 66, 48))
    canvas.box(place.x - trunk / 2, top, place.x + trunk / 2, place.base, bark, "bark")
    if rng.random() < 0.35:
        _conifer(canvas, place, height, green)
    else:
        _crown(canvas, place, height, green)


def _conifer(canvas: Canvas, place: Place, height: float, green: RGB) -> None:
    for tier in range(4):
        low, high = height * (0.12 + 0.2 * tier), height * min(0.5 + 0.2 * tier, 1.0)
        half = height * (0.24 - 0.045 * tier)
        left, right, tip = place.at(-half, low), place.at(half, low), place.at(0, high)
        shade = 0.62 + 0.1 * tier
        canvas.polygon([left, tip, right], place.seen(green, shade), "leaves")
        lit = right if place.sun > 0 else left
        middle = place.at(0, low)
        canvas.polygon([middle, tip, lit], place.seen(green, shade + 0.22), "leaves")


def _crown(canvas: Canvas, place: Place, height: float, green: RGB) -> None:
    """Clumps of leaves: dark ones first, lighter ones nearer to the sun over them."""
    rng = canvas.rng
    radius = height * rng.uniform(0.22, 0.32)
    clumps = [
        (radius * rng.normal(0, 0.5), height * 0.68 + radius * rng.normal(0, 0.38))
        for _ in range(9)
    ]
    for step, shade in enumerate((0.58, 0.8, 1.02)):
        shift = radius * 0.16 * step
        size = radius * (0.62 - 0.15 * step) * place.metre
        for across, up in clumps:
            x, y = place.at(across + place.sun * shift, up + shift)
            canvas.disc(x, y, (size, 0.9 * size), place.seen(green, shade), "leaves")


def house(canvas: Canvas, place: Place) -> None:
    """A house with a lit front, a gable side, a roof, windows and a door."""
    rng = canvas.rng
    wall = WALLS[rng.integers(len(WALLS))]
    roof = ROOFS[rng.integers(len(ROOFS))]
    storeys = int(rng.integers(1, 4))
    width, depth = rng.uniform(6.0, 11.0), rng.uniform(2.0, 4.0)
    eaves = 2.8 * storeys + 0.3
    ridge = eaves + rng.uniform(1.2, 2.6)
    turned = -place.sun  # the gable side looks away from the sun
    near, far = -turned * width / 2, turned * width / 2
    back = far + turned * depth
    canvas.shadow(place.x, place.base, (0.75 * width * place.metre, 0.5 * place.metre), 0.5)
    lift = 0.25  # the far corner of the gable stands a little higher on the picture
    gable = [
        place.at(far, 0),
        place.at(far, eaves),
        place.at((far + back) / 2, ridge),
        place.at(back, eaves - lift),
        place.at(back, lift),
    ]
    canvas.polygon(gable, place.seen(wall, 0.66), "wall")
    front = [place.at(near, 0), place.at(near, eaves), place.at(far, eaves), place.at(far, 0)]
    canvas.polygon(front, place.seen(wall), "wall")
    slope = [
        place.at(near - turned * 0.4, eaves - 0.2),
        place.at(near + turned * depth / 2, ridge),
        place.at((far + back) / 2, ridge),
        place.at(far, eaves - 0.2),
    ]
    if rng.random() < 0.6:
        chimney = rng.uniform(-0.25, 0.25) * width
        left, top = place.at(chimney - 0.35, ridge + 0.9)
        right, bottom = place.at(chimney + 0.35, ridge - 0.8)
        canvas.box(left, top, right, bottom, place.seen(wall, 0.75), "wall")
    canvas.polygon(slope, place.seen(roof), "tiles")
    _windows(canvas, place, width, storeys)


def _windows(canvas: Canvas, place: Place, width: float, storeys: int) -> None:
    rng = canvas.rng
    columns = int(width / 2.2)
    door = int(rng.integers(columns))
    lit = rng.random() < 0.3
    pane = place.seen((236, 206, 130) if lit else (74, 88, 104))
    frame = place.seen((232, 230, 222))
    for storey in range(storeys):
        for column in range(columns):
            middle = (column + 0.5) * width / columns - width / 2
            if storey == 0 and column == door:
                left, top = place.at(middle - 0.5, 2.1)
                right, bottom = place.at(middle + 0.5, 0)
                canvas.box(left, top, right, bottom, place.seen((92, 62, 44)), "wall")
                continue
            left, top = place.at(middle - 0.62, 2.8 * storey + 2.3)
            right, bottom = place.at(middle + 0.62, 2.8 * storey + 0.9)
            canvas.box(left, top, right, bottom, frame, "wall")
            if right - left > 3:
                canvas.box(left + 1, top + 1, right - 1, bottom - 1, pane, "pane")


def vehicle(canvas: Canvas, place: Place, along: bool) -> None:
    """A car, van or lorry; `along` the line of sight (seen from its end) or across it."""
    rng = canvas.rng
    paint = CARS[rng.integers(len(CARS))]
    tall = rng.choice((1.0, 1.0, 1.35, 1.9))
    length = 1.8 if along else 4.2 + 1.2 * (tall > 1.2)
    canvas.shadow(place.x, place.base, (0.62 * length * place.metre, 0.22 * place.metre), 0.6)
    if along:
        _end_view(canvas, place, paint, tall)
    else:
        _side_view(canvas, place, paint, tall, length)


def _end_view(canvas: Canvas, place: Place, paint: RGB, tall: float) -> None:
    roof, belt = 1.5 * tall, 0.95 if tall < 1.2 else 0.6 * 1.5 * tall
    for side in (-0.72, 0.72):
        left, top = place.at(side - 0.14, 0.5)
        right, bottom = place.at(side + 0.14, 0)
        canvas.box(left, top, right, bottom, place.seen(RUBBER), "lacquer")
    body = [(-0.9, 0.22), (-0.92, belt), (-0.68, roof), (0.68, roof), (0.92, belt), (0.9, 0.22)]
    canvas.polygon([place.at(*corner) for corner in body], place.seen(paint), "lacquer")
    lower = [(-0.9, 0.22), (-0.92, 0.5), (0.92, 0.5), (0.9, 0.22)]
    canvas.polygon([place.at(*corner) for corner in lower], place.seen(paint, 0.7), "lacquer")
    window = [(-0.76, belt + 0.04), (-0.58, roof - 0.12), (0.58, roof - 0.12), (0.76, belt + 0.04)]
    canvas.polygon([place.at(*corner) for corner in window], place.seen(GLASS), "glass")
    lamp = (250, 240, 200) if canvas.rng.random() < 0.5 else (210, 40, 30)
    for side in (-0.7, 0.7):
        x, y = place.at(side, 0.72)
        size = 0.13 * place.metre
        canvas.box(x - size, y - size, x + size, y + size, place.seen(lamp), "lacquer")


def _side_view(canvas: Canvas, place: Place, paint: RGB, tall: float, length: float) -> None:
    facing = canvas.rng.choice((-1.0, 1.0))
    half, roof = length / 2, 1.45 * tall

    def fill(corners: list[Point], colour: RGB, material: str) -> None:
        points = [place.at(facing * across, up) for across, up in corners]
        canvas.polygon(points, colour, material)

    if tall < 1.2:
        cabin = [(-0.8 * half, 0.85), (-0.5 * half, roof), (0.2 * half, roof), (0.5 * half, 0.85)]
        pane = [(-0.68 * half, 0.9), (-0.46 * half, 1.35), (0.17 * half, 1.35), (0.4 * half, 0.9)]
        bonnet = 0.9
    else:
        cabin = [(-half, 0.5), (-half, roof), (0.7 * half, roof), (0.86 * half, 0.9)]
        pane = [(0.36 * half, 1.1), (0.36 * half, 1.7), (0.66 * half, 1.7), (0.78 * half, 1.1)]
        bonnet = 1.0
    fill(cabin, place.seen(paint, 0.94), "lacquer")
    hull = [(-half, 0.28), (-half, 0.9), (0.5 * half, bonnet), (half, 0.72), (half, 0.28)]
    fill(hull, place.seen(paint), "lacquer")
    sill = [(-half, 0.28), (-half, 0.48), (half, 0.48), (half, 0.28)]
    fill(sill, place.seen(paint, 0.68), "lacquer")
    fill(pane, place.seen(GLASS), "glass")
    for axle in (-0.6, 0.62):
        x, y = place.at(facing * axle * half, 0.32)
        radius = 0.33 * place.metre
        canvas.disc(x, y, (radius, radius), place.seen(RUBBER), "lacquer")
        hub = 0.5 * radius
        canvas.disc(x, y, (hub, hub), place.seen((150, 150, 154)), "lacquer")


def pole(canvas: Canvas, place: Place) -> None:
    """A street lamp, a sign or a bare mast, two pixels wide or a little more."""
    rng = canvas.rng
    height = rng.uniform(3.6, 7.0)
    steel = place.seen(((70, 74, 78), (150, 152, 156), (112, 84, 62))[rng.integers(3)])
    across = max(0.14 * place.metre, 2.0) - 1.0
    left, top = place.at(0, height)
    canvas.shadow(place.x, place.base, (0.5 * place.metre, 0.12 * place.metre), 0.4)
    canvas.box(left, top, left + across, place.base, steel, "steel")
    kind = rng.integers(3)
    if kind == 0:  # a lamp on an arm
        side = rng.choice((-1.0, 1.0))
        x, y = place.at(side * 1.3, height + 0.25)
        thick = max(0.1 * place.metre, 1.0)
        canvas.polygon([(left, top), (x, y), (x, y + thick), (left, top + thick)], steel, "steel")
        reach = side * max(0.5 * place.metre, 2.0)
        lamp = place.seen((226, 222, 200))
        canvas.box(min(x, x + reach), y, max(x, x + reach), y + thick, lamp, "steel")
    elif kind == 1:  # a round or square sign
        x, y = place.at(0, 2.7)
        size = max(0.38 * place.metre, 2.0)
        colour = place.seen(((196, 40, 36), (36, 76, 168), (238, 206, 60))[rng.integers(3)])
        if rng.random() < 0.5:
            canvas.disc(x, y, (size, size), colour, "steel")
        else:
            tips = [(x, y - size), (x + size, y), (x, y + size), (x - size, y)]
            canvas.polygon(tips, colour, "steel")
    elif math.sin(place.x) > 0:  # a crossbar
        (x, y), (far, _) = place.at(-0.9, height - 0.5), place.at(0.9, height - 0.5)
        canvas.box(x, y, far, y + max(0.1 * place.metre, 1.0) - 1.0, steel, "steel")
