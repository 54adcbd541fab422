"""Rasters: what GDAL opens by way of rasterio, read by windows, with place and missing data."""

from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Bool, Shaped, UInt8

from perpixel.data.place import Place
from perpixel.data.window import Window, measured_where, read_as
from perpixel.errors import DataError

if TYPE_CHECKING:
    from rasterio.io import DatasetReader

# GDAL keeps so many bytes of blocks at most; left to itself a twentieth of the machine's memory.
CACHE_BYTES = 64 << 20
# Types that stay what they are; other numbers become floats.
_KEPT = ("uint8", "uint16")
_NUMBERS = ("int8", "int16", "int32", "int64", "uint32", "uint64", "float16", "float32", "float64")


class RasterSource:
    """A raster file as a source. One thread reads it at a time.

    Alpha is no band, but where it is 0 nothing was measured; nor was it where the file's value for
    missing data, or its own mask, says so of all bands. A palette becomes its colours.

    Args:
        path: its file.
        dataset: rasterio's view of it.
        indices: as in masks, palettes stay indices, and every number counts as what it is.
    """

    held = 0

    def __init__(self, path: Path, dataset: DatasetReader, *, indices: bool = False) -> None:
        from rasterio.enums import ColorInterp, MaskFlags

        self.path = path
        self._dataset = dataset
        meanings = list(dataset.colorinterp)
        self._bands = [
            band
            for band, meaning in enumerate(meanings, 1)
            if meaning != ColorInterp.alpha or len(meanings) == 1
        ]
        self.size: tuple[int, int] = (int(dataset.height), int(dataset.width))
        self.dtype = self._common_type()
        self._palette: UInt8[np.ndarray, "256 3"] | None = None
        if meanings == [ColorInterp.palette] and not indices and dataset.dtypes[0] == "uint8":
            self._palette = np.zeros((256, 3), np.uint8)
            for index, colour in dataset.colormap(1).items():
                self._palette[index] = colour[:3]
        self.bands = 3 if self._palette is not None else len(self._bands)
        self.says_what_is_missing = not indices and any(
            MaskFlags.all_valid not in flags for flags in dataset.mask_flag_enums
        )
        self.place = _place(dataset)

    @classmethod
    def open(cls, path: Path, *, indices: bool = False) -> RasterSource:
        """Open a file.

        Raises:
            DataError: rasterio is not installed, or cannot open the file; or it holds no bands of
                numbers of one type.
        """
        rasterio = _rasterio(path)
        try:
            with warnings.catch_warnings():
                # That a picture has no coordinates is no news.
                warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
                dataset = rasterio.open(path)
        except (rasterio.errors.RasterioError, OSError) as error:
            raise _damaged(path, error) from None
        if dataset.count == 0:
            layers = len(dataset.subdatasets)
            dataset.close()
            raise DataError(
                path,
                found=f"a container of {layers} rasters" if layers else "a raster without bands",
                expected="one raster with bands",
                mend="Extract the one that is meant (gdal_translate)",
            )
        return cls(path, dataset, indices=indices)

    def read(self, top: int, left: int, height: int, width: int) -> Window:
        """The pixels of a window."""
        stored = self._stored(top, left, height, width)
        if self._palette is not None:
            pixels = np.ascontiguousarray(self._palette[stored[0]].transpose(2, 0, 1))
        else:
            pixels = read_as(self._without_absent(stored), self.dtype, self.path)
        return Window(pixels, self.measured(pixels, top, left))

    def measured(
        self, pixels: Shaped[np.ndarray, "bands h w"], top: int, left: int
    ) -> Bool[np.ndarray, "h w"] | None:
        """Where pixels of this image, of which the first lies at `top` and `left`, were measured;
        None: everywhere."""
        measured = measured_where(pixels)
        if self.says_what_is_missing:
            said = self._read("dataset_mask", top, left, *pixels.shape[1:]) > 0
            measured = said if measured is None else measured & said
            if measured.all():
                measured = None
        return measured

    def close(self) -> None:
        """Let go of the file."""
        self._dataset.close()

    def _common_type(self) -> np.dtype[np.generic]:
        found = sorted({self._dataset.dtypes[band - 1] for band in self._bands})
        if len(found) == 1 and found[0] in _KEPT:
            return np.dtype(str(found[0]))
        if len(found) == 1 and found[0] in _NUMBERS:
            return np.dtype(np.float32)
        raise DataError(
            self.path,
            found=f"bands of {' and '.join(found)}",
            expected="bands of one type: uint8, uint16, other integers or floats",
            mend="Convert it (gdal_translate -ot Float32)",
        )

    def _without_absent(
        self, stored: Shaped[np.ndarray, "bands h w"]
    ) -> Shaped[np.ndarray, "bands h w"]:
        """Floats in which the file's value for missing data is NaN."""
        if self.dtype.kind != "f":
            return stored
        values = stored.astype(np.float64 if stored.dtype.itemsize > 2 else np.float32)
        for band, absent in zip(values, self._absent(), strict=True):
            if absent is not None and not np.isnan(absent):
                band[band == stored.dtype.type(absent)] = np.nan
        return values

    def _absent(self) -> list[float | None]:
        return [self._dataset.nodatavals[band - 1] for band in self._bands]

    def _stored(
        self, top: int, left: int, height: int, width: int
    ) -> Shaped[np.ndarray, "bands h w"]:
        return self._read("read", top, left, height, width, indexes=self._bands)

    def _read(
        self,
        what: Literal["read", "dataset_mask"],
        top: int,
        left: int,
        height: int,
        width: int,
        **options: Any,
    ) -> Shaped[np.ndarray, "*shape"]:
        import rasterio
        from rasterio.errors import RasterioError
        from rasterio.windows import Window as Place

        window = Place(left, top, width, height)
        # The bound holds as long as such an environment is entered, in whichever thread.
        environment: Any = rasterio.Env
        try:
            with environment(GDAL_CACHEMAX=CACHE_BYTES):
                return np.asarray(getattr(self._dataset, what)(window=window, **options))
        except (RasterioError, OSError) as error:
            raise _damaged(self.path, error) from None


def has_rasterio() -> bool:
    """Whether rasterio is installed."""
    return importlib.util.find_spec("rasterio") is not None


def _rasterio(path: Path) -> Any:
    if not has_rasterio():
        raise DataError(
            path,
            found="a raster, and rasterio is not installed",
            mend="Install it: pip install 'perpixel[rasters]'",
        )
    import rasterio
    import rasterio.errors

    return rasterio


def _place(dataset: DatasetReader) -> Place | None:
    transform = dataset.transform
    if dataset.crs is None and transform.is_identity:
        return None
    kind: Literal["projected", "geographic", "unknown"] = "unknown"
    metres, text = 1.0, ""
    if dataset.crs is not None:
        text = dataset.crs.to_wkt()
        if dataset.crs.is_geographic:
            kind = "geographic"
        elif dataset.crs.is_projected:
            kind, metres = "projected", float(dataset.crs.linear_units_factor[1])
    a, b, c, d, e, f = (float(value) for value in tuple(transform)[:6])
    return Place(text, (a, b, c, d, e, f), kind, metres)


def _damaged(path: Path, error: Exception) -> DataError:
    reason = " ".join(str(error.__cause__ or error).split())[:200]
    return DataError(
        path,
        found=f"a raster that cannot be read ({reason})",
        expected="a GeoTIFF or another raster that GDAL opens, whole",
        mend="Copy or download the file again, or leave it out",
    )
