"""A pair's mask read by windows, as class indices."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from perpixel.data.dataset import Pair
from perpixel.data.mask_encoding import encode
from perpixel.data.masks import read_stored, unknown_values
from perpixel.data.raster import RasterSource, has_rasterio
from perpixel.data.source import ArraySource, Source, open_array, reads_as_stored
from perpixel.errors import DataError
from perpixel.labels import LabelSpace


@dataclass(frozen=True)
class MaskWindows:
    """A mask that is read by windows.

    Args:
        pair: whose mask it is.
        labels: what its classes mean.
        source: its stored values, or colours.
    """

    pair: Pair
    labels: LabelSpace
    source: Source

    @classmethod
    def open(cls, pair: Pair, labels: LabelSpace) -> MaskWindows:
        """Open a mask: GeoTIFFs and `.npy` files of bytes or 16-bit numbers stay on the disk,
        others are decoded once.

        Raises:
            DataError: it cannot be read, is no mask, or the pair has none.
        """
        path = pair.mask
        mapped = open_array(path) if isinstance(path, Path) and _is_array(path) else None
        # Signed and larger integers would be floats to a mapped array; as a mask they are labels.
        if mapped is not None and mapped.dtype.kind != "f":
            source: Source = mapped
        elif isinstance(path, Path) and _by_windows(path):
            source = RasterSource.open(path, indices=True)
        else:
            stored = read_stored(pair)
            source = ArraySource(pair.mask_path or pair.image, stored[None], stored.dtype, 0)
        mask = cls(pair, labels, source)
        bands = (1, 3) if mask._has_colours else (1,)
        if source.bands not in bands or source.dtype.kind == "f":
            source.close()
            raise DataError(
                source.path,
                found=f"a picture of {source.bands} bands of {source.dtype}",
                expected="one band of whole numbers, each a class",
                mend="Write class indices, or say in classes.yaml what its colours mean",
            )
        return mask

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.source.size

    def read(self, top: int, left: int, height: int, width: int) -> Shaped[np.ndarray, "h w"]:
        """Class indices and the ignore index, in the label space's own type. A value counts as what
        it is stored as, also where the file calls it missing data, as in masks that are read whole.

        Raises:
            DataError: it cannot be read, or has values that are no class.
        """
        pixels = self.source.read(top, left, height, width).pixels
        stored = pixels[0]
        if self._has_colours and pixels.shape[0] == 3:
            red, green, blue = pixels.astype(np.uint32)
            stored = red << 16 | green << 8 | blue
        mask, strangers = encode(stored, self.pair.encoding, self.labels)
        if strangers:
            raise unknown_values({self.pair: strangers}, self.labels)
        return mask

    def close(self) -> None:
        """Let go of the file."""
        self.source.close()

    @property
    def _has_colours(self) -> bool:
        return self.pair.encoding is not None and self.pair.encoding.kind == "colours"


def _is_array(path: Path) -> bool:
    return path.suffix.lower() == ".npy"


def _by_windows(path: Path) -> bool:
    return path.suffix.lower() in (".tif", ".tiff") and has_rasterio() and reads_as_stored(path)
