"""Mean and standard deviation of each band over a dataset's images, image by image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64, Shaped

from perpixel.data.dataset import Pair
from perpixel.data.decode import read_image
from perpixel.data.header import read_header
from perpixel.data.measured import measured_in
from perpixel.errors import DataError
from perpixel.preprocessing import Preprocessing

# So many images tell mean and deviation to a few thousandths; all need not be decoded.
MOST_IMAGES = 500

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class BandStatistics:
    """What the pixels of some images are like, band by band.

    Args:
        mean: in the images' own numbers; NaN where no pixel of the band has data.
        std: likewise; of all pixels, not of a sample.
        pixels: how many have data.
    """

    mean: Float64[np.ndarray, "bands"]
    std: Float64[np.ndarray, "bands"]
    pixels: Float64[np.ndarray, "bands"]

    @classmethod
    def of(
        cls,
        image: Shaped[np.ndarray, "bands H W"],
        no_data: float | None = None,
        measured: Bool[np.ndarray, "H W"] | None = None,
    ) -> BandStatistics:
        """Of one image. NaN, `no_data` where it is a number, and what was not `measured` mean that
        there is no data."""
        values = image.reshape(len(image), -1).astype(np.float64)
        known = ~np.isnan(values)
        if no_data is not None:
            known &= values != no_data
        if measured is not None:
            known &= measured.reshape(-1)
        pixels = known.sum(axis=1).astype(np.float64)
        counted = np.maximum(pixels, 1)
        mean = np.where(known, values, 0).sum(axis=1) / counted
        # About the mean itself: the difference of two large squares would lose digits.
        apart = np.where(known, values - mean[:, None], 0)
        std = np.sqrt((apart**2).sum(axis=1) / counted)
        return cls(np.where(pixels > 0, mean, np.nan), np.where(pixels > 0, std, np.nan), pixels)

    def joined(self, other: BandStatistics) -> BandStatistics:
        """Of both's pixels together (Chan, Golub and LeVeque 1983, formula 1.5)."""
        pixels = self.pixels + other.pixels
        counted = np.maximum(pixels, 1)
        here, there = np.nan_to_num(self.mean), np.nan_to_num(other.mean)
        mean = (here * self.pixels + there * other.pixels) / counted
        squares = (
            np.nan_to_num(self.std) ** 2 * self.pixels
            + np.nan_to_num(other.std) ** 2 * other.pixels
            + (here - there) ** 2 * self.pixels * other.pixels / counted
        )
        std = np.sqrt(squares / counted)
        return BandStatistics(
            np.where(pixels > 0, mean, np.nan), np.where(pixels > 0, std, np.nan), pixels
        )


def band_statistics(
    pairs: Sequence[Pair], bands: int, progress: Progress | None = None
) -> BandStatistics:
    """Of the pairs' images: of all, or of 500 at even distances.

    Args:
        pairs: at least one.
        bands: how many; grey and RGB images count as what they are converted to.
        progress: told (done, total) after each image.

    Raises:
        DataError: an image cannot be decoded, or a band has no data in any of them.
        ModelError: an image has other bands, which cannot be converted.
    """
    apart = -(-len(pairs) // MOST_IMAGES)
    chosen = pairs[::apart]
    together: BandStatistics | None = None
    for done, pair in enumerate(chosen, start=1):
        one = _of_file(pair.image, bands)
        together = one if together is None else together.joined(one)
        if progress is not None:
            progress(done, len(chosen))
    if together is None:
        raise DataError("statistics", found="no images", mend="Give at least one image")
    for band in np.flatnonzero(together.pixels == 0):
        raise DataError(
            chosen[0].image.parent,
            found=f"no data in band {band + 1} of any image",
            mend="Write the images without that band",
        )
    return together


def preprocessing_from(
    statistics: BandStatistics, dtype: np.dtype[np.generic], conversion: str
) -> Preprocessing:
    """The preprocessing that gives each band mean 0 and deviation 1.

    A band that is the same everywhere has no deviation; it becomes 0.
    """
    full = {np.dtype(np.uint8): 255.0, np.dtype(np.uint16): 65_535.0}.get(dtype, 1.0)
    std = np.where(statistics.std > 0, statistics.std, full) / full
    return Preprocessing.model_validate(
        {
            "bands": len(std),
            "mean": tuple((statistics.mean / full).tolist()),
            "std": tuple(std.tolist()),
            "conversion": conversion,
        }
    )


def _of_file(path: Path, bands: int) -> BandStatistics:
    image = read_image(path)
    measured = measured_in(path, image)
    if len(image) != bands:
        converter = Preprocessing(bands=bands, mean=(0.0,) * bands, std=(1.0,) * bands)
        image = converter.fit_bands(image, str(path))
    return BandStatistics.of(image, read_header(path).no_data, measured)
