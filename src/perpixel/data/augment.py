"""Random variation of training samples: one geometric warp and one colour matrix."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, Shaped
from pydantic import BaseModel, ConfigDict, Field, model_validator

from perpixel.preprocessing import LUMA

# Below this scale bilinear interpolation would step over pixels, so the image is averaged first.
_ALIASES_BELOW = 0.6
# OpenCV warps at most this many bands at once.
_BANDS_AT_ONCE = 4
# NTSC's YIQ: luma and two chroma axes, in whose plane a hue rotation is a rotation.
_TO_YIQ = np.array([LUMA, (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112)])


class Augmentation(BaseModel):
    """How training images are varied. All zeros and scale (1, 1) leave them as they are.

    Args:
        crop: height and width of what the network sees; None: the image's own.
        scale: the smallest and largest magnification, drawn evenly on a logarithmic scale.
        flip: the probability of a left–right flip.
        rotation: the largest angle in degrees, either way.
        brightness: factors of 1 ± this.
        contrast: factors of 1 ± this, about the image's mean.
        saturation: factors of 1 ± this, towards and away from luma; three-band images only.
        hue: the largest turn, either way, as a share of the colour circle; three-band images only.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    crop: tuple[int, int] | None = None
    scale: tuple[float, float] = (0.75, 2.0)
    flip: float = Field(default=0.5, ge=0, le=1)
    rotation: float = Field(default=0.0, ge=0, le=180)
    brightness: float = Field(default=0.25, ge=0, lt=1)
    contrast: float = Field(default=0.25, ge=0, lt=1)
    saturation: float = Field(default=0.25, ge=0, le=1)
    hue: float = Field(default=0.02, ge=0, le=0.5)

    @model_validator(mode="after")
    def _agree(self) -> Augmentation:
        if self.crop is not None and min(self.crop) < 1:
            raise ValueError(f"crop {self.crop} has no pixels")
        if not 0 < self.scale[0] <= self.scale[1] < math.inf:
            raise ValueError(f"scale {self.scale} is not (low, high) with 0 < low <= high")
        return self


@dataclass(frozen=True)
class Warp:
    """Where each output pixel comes from: source = matrix @ (column, row, 1), pixel centres at
    half-integers (the centre of the first pixel is 0.5, 0.5)."""

    matrix: Float[np.ndarray, "2 3"]
    size: tuple[int, int]
    scale: float


def augment(
    image: Shaped[np.ndarray, "bands H W"],
    mask: Shaped[np.ndarray, "H W"],
    config: Augmentation,
    rng: np.random.Generator,
    fill: Float[np.ndarray, "bands"],
    ignore_index: int,
    around: tuple[int, int] | None = None,
) -> tuple[Shaped[np.ndarray, "bands h w"], Shaped[np.ndarray, "h w"]]:
    """A random variation of a sample, in the image's and the mask's own types.

    Image and mask go through the same warp, the image bilinearly, the mask by nearest neighbour.

    Args:
        image: uint8, uint16 or float32.
        mask: uint8 or uint16.
        config: how much is varied.
        rng: where every draw comes from.
        fill: the image's value outside of it, one for each band.
        ignore_index: the mask's value outside of it.
        around: row and column of a pixel that the crop should hold.
    """
    warp = draw_warp((mask.shape[0], mask.shape[1]), config, rng, around)
    top, left, bottom, right = _needed(warp, (mask.shape[0], mask.shape[1]))
    image, mask = image[:, top:bottom, left:right], mask[top:bottom, left:right]
    matrix = warp.matrix - np.array([[0, 0, left], [0, 0, top]])
    warped_mask = _warp(mask, matrix, warp.size, cv2.INTER_NEAREST, (float(ignore_index),))
    # Rows, columns, bands: OpenCV's order, and how decoded images lie in memory.
    pixels = np.ascontiguousarray(image.transpose(1, 2, 0))
    if warp.scale < _ALIASES_BELOW:
        pixels, matrix = _shrink(pixels, matrix, round(1 / warp.scale))
    pixels = jitter_colour(pixels, config, rng)
    parts = [
        _warp(part, matrix, warp.size, cv2.INTER_LINEAR, tuple(fills.tolist()))
        for part, fills in zip(_by_fours(pixels), _by_fours(fill), strict=True)
    ]
    return _joined(parts).transpose(2, 0, 1), warped_mask[:, :, 0]


def draw_warp(
    size: tuple[int, int],
    config: Augmentation,
    rng: np.random.Generator,
    around: tuple[int, int] | None = None,
) -> Warp:
    """Draw scale, flip, rotation and the place of the crop for an image of a size.

    Where the scaled image is larger than the crop, the crop lies anywhere inside it; where it is
    smaller, the image lies anywhere inside the crop. With `around` it lies anywhere where it holds
    that pixel as well (turned, it may miss one at the image's edge).
    """
    height, width = config.crop or size
    scale = math.exp(rng.uniform(math.log(config.scale[0]), math.log(config.scale[1])))
    mirror = -1.0 if rng.random() < config.flip else 1.0
    angle = math.radians(rng.uniform(-config.rotation, config.rotation))
    # However it is turned, a crop holds the square in the circle that it holds.
    inner = min(height, width) / math.sqrt(2) if config.rotation else math.inf
    centre = []
    for axis, crop in ((1, width), (0, height)):
        spare = scale * size[axis] - crop
        low, high = min(0.0, spare), max(0.0, spare)
        if around is not None:
            middle = scale * (around[axis] + 0.5) - crop / 2
            # One pixel less: the start is rounded below.
            reach = max(min(crop, inner) / 2 - 1, 0.0)
            low, high = _within(middle - reach, low, high), _within(middle + reach, low, high)
        # A whole number: without scaling and rotation pixels meet pixels and nothing is blurred.
        start = round(rng.uniform(low, high))
        centre.append((start + crop / 2) / scale)
    cosine, sine = math.cos(angle) / scale, math.sin(angle) / scale
    linear = np.array([[cosine * mirror, -sine], [sine * mirror, cosine]])
    shift = np.array(centre) - linear @ np.array([width / 2, height / 2])
    return Warp(np.column_stack([linear, shift]), (height, width), scale)


def _within(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)


def jitter_colour(
    pixels: Shaped[np.ndarray, "H W bands"], config: Augmentation, rng: np.random.Generator
) -> Shaped[np.ndarray, "H W bands"]:
    """Vary brightness and contrast, and in three bands saturation and hue, by one matrix."""
    brightness = rng.uniform(1 - config.brightness, 1 + config.brightness)
    contrast = rng.uniform(1 - config.contrast, 1 + config.contrast)
    saturation = rng.uniform(1 - config.saturation, 1 + config.saturation)
    hue = rng.uniform(-config.hue, config.hue)
    if config.brightness == config.contrast == config.saturation == config.hue == 0:
        return pixels
    gain = brightness * contrast
    if pixels.shape[2] != 3:
        offset = brightness * (1 - contrast) * float(pixels.mean(dtype=np.float64))
        # Adds to every band, and saturates at the type's ends.
        flat = pixels.reshape(pixels.shape[0], -1)
        return cv2.addWeighted(flat, gain, flat, 0.0, offset).reshape(pixels.shape)
    luma = float(np.dot(LUMA, cv2.mean(pixels)[:3]))
    linear = gain * saturation_and_hue(saturation, hue)
    offsets = np.full((3, 1), brightness * (1 - contrast) * luma)
    return cv2.transform(pixels, np.hstack([linear, offsets]))


def saturation_and_hue(saturation: float, hue: float) -> Float[np.ndarray, "3 3"]:
    """The RGB matrix that turns hues by a share of the colour circle and scales chroma.

    Luma, and with it every grey, stays as it is.
    """
    turn = 2 * math.pi * hue
    cosine, sine = saturation * math.cos(turn), saturation * math.sin(turn)
    chroma = np.array([[1, 0, 0], [0, cosine, sine], [0, -sine, cosine]])
    return np.asarray(np.linalg.inv(_TO_YIQ) @ chroma @ _TO_YIQ)


def _needed(warp: Warp, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The part of the source that the warp reads: top, left, bottom, right."""
    height, width = warp.size
    corners = np.array([[0, width, 0, width], [0, 0, height, height], [1, 1, 1, 1]])
    columns, rows = warp.matrix @ corners
    # Interpolation reads a neighbour, averaging before it as many pixels as it averages.
    margin = 1 + math.ceil(1 / warp.scale)
    top, bottom = _clamped(rows, size[0], margin)
    left, right = _clamped(columns, size[1], margin)
    return top, left, bottom, right


def _clamped(values: Float[np.ndarray, "corners"], length: int, margin: int) -> tuple[int, int]:
    start = min(max(math.floor(values.min()) - margin, 0), length - 1)
    return start, max(min(math.ceil(values.max()) + margin, length), start + 1)


def _shrink(
    pixels: Shaped[np.ndarray, "H W bands"], matrix: Float[np.ndarray, "2 3"], factor: int
) -> tuple[Shaped[np.ndarray, "h w bands"], Float[np.ndarray, "2 3"]]:
    """Average the source over blocks, and point the warp at the result."""
    height, width = pixels.shape[:2]
    rows, columns = max(1, round(height / factor)), max(1, round(width / factor))
    parts = [
        cv2.resize(part, (columns, rows), interpolation=cv2.INTER_AREA).reshape(rows, columns, -1)
        for part in _by_fours(pixels)
    ]
    return _joined(parts), matrix * np.array([[columns / width], [rows / height]])


def _by_fours(values: Shaped[np.ndarray, "*places bands"]) -> list[Shaped[np.ndarray, "..."]]:
    """The values split into as many bands as OpenCV takes at once."""
    starts = range(0, values.shape[-1], _BANDS_AT_ONCE)
    return [np.ascontiguousarray(values[..., at : at + _BANDS_AT_ONCE]) for at in starts]


def _joined(parts: list[Shaped[np.ndarray, "H W _"]]) -> Shaped[np.ndarray, "H W bands"]:
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2)


def _warp(
    pixels: Shaped[np.ndarray, "H W *bands"],
    matrix: Float[np.ndarray, "2 3"],
    size: tuple[int, int],
    interpolation: int,
    outside: tuple[float, ...],
) -> Shaped[np.ndarray, "h w bands"]:
    # OpenCV puts the centre of the first pixel at 0, not at ½.
    index_matrix = matrix.copy()
    index_matrix[:, 2] += matrix[:, :2].sum(axis=1) / 2 - 0.5
    warped = cv2.warpAffine(
        pixels,
        index_matrix,
        size[::-1],
        flags=interpolation | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=outside,
    )
    return warped.reshape(*size, -1)
