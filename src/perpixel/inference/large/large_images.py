"""Which images of many are large, so that they are predicted by tiles and not as the others are."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

from perpixel.data.source import Outline, outline
from perpixel.errors import ConfigError, DataError, ModelError
from perpixel.inference.large.mask_file import SUFFIX, MaskFormat
from perpixel.inference.large.prediction import LargePrediction, Progress, predict_large
from perpixel.inference.memory import memory_bytes, own_memory
from perpixel.inference.predictor import Model
from perpixel.inference.tiles.geometry import TileGeometry
from perpixel.inference.tiles.tile_size import Footprint, Tiling

# So many bytes for each pixel are more than any of our networks takes. Where there are as many,
# nothing has to be counted, which takes a second or two the first time.
_PLENTY = 4096


@dataclass(frozen=True)
class LargeImages:
    """Tells large images from others.

    Args:
        model: what predicts.
        tiling: how large images are cut.
        whole_only: what is wanted that needs an image whole, such as an overlay, in words; empty
            where nothing is.
        format: of the masks; "geotiff", or another, for which large images become PNGs.
        rasters: whether rasters are taken however small they are.
        scales: that images which are taken whole are seen at; the largest takes the most memory.
    """

    model: Model
    tiling: Tiling
    whole_only: str = ""
    format: str = "png"
    rasters: bool = True
    scales: Sequence[float] = (1.0,)
    _footprints: dict[tuple[int, str], Footprint] = field(default_factory=dict)

    def takes(self, image: Path) -> bool:
        """Whether an image is for `predict`, because it is too large for the memory, or for the
        tiles that were asked for. A raster that lies on the Earth, or says where nothing was
        measured, always is, and whatever is to become a GeoTIFF, if perhaps in a single tile.
        """
        if self.format == "geotiff":
            return True
        try:
            found = outline(image)
        except DataError:
            # Who reads it whole says what is wrong with it.
            return False
        if self.rasters and found.is_raster and not self.whole_only and self._geometry is not None:
            return True
        return self.too_large(found)

    def predict(
        self,
        image: Path,
        name: Path,
        min_confidence: float = 0.0,
        watch: Callable[[Path, Progress], None] | None = None,
    ) -> LargePrediction:
        """Predict an image into the file `name` with the suffix of its format.

        Raises:
            ConfigError: something is wanted that needs it whole, or as `predict_large` does.
            DataError, ModelError, OutputError: as `predict_large` does.
        """
        if self.whole_only:
            raise ConfigError(
                image,
                found="an image that is predicted in tiles",
                expected=f"one that fits into the memory whole, for {self.whole_only}",
                mend="Leave that out, or allow more memory (--memory), or say --tile none",
            )
        kind: MaskFormat = "geotiff" if self.format == "geotiff" else "png"
        return predict_large(
            self.model,
            image,
            name.with_name(name.name + SUFFIX[kind]),
            format=kind,
            tiling=self.tiling,
            min_confidence=min_confidence,
            progress=None if watch is None else partial(watch, image),
        )

    def too_large(self, found: Outline) -> bool:
        """Whether an image is too large for the memory, or for the tiles that were asked for."""
        if self.tiling.tile == "none":
            return False
        if isinstance(self.tiling.tile, int):
            return max(found.size) > self.tiling.tile
        enlarged = max(1.0, *self.scales) ** 2
        plenty = _PLENTY * enlarged * math.prod(found.size)
        if self.model.device.type == "cpu" and plenty < self._memory - own_memory():
            return False
        geometry = self._geometry
        if geometry is None:
            return False
        kind = (found.bands, found.dtype.str)
        if kind not in self._footprints:
            self._footprints[kind] = Footprint.of(self.model, geometry, found.bands, found.dtype)
        length = geometry.network.canvas.length
        shown = enlarged * math.prod(length(pixels) for pixels in found.size)
        # Decoded whole, it is held while it is predicted.
        memory = self._memory - math.prod(found.size) * found.bands * found.dtype.itemsize
        return shown > self._footprints[kind].pixels(self.model, memory)

    @cached_property
    def _memory(self) -> int:
        return memory_bytes(self.tiling.memory)

    @cached_property
    def _geometry(self) -> TileGeometry | None:
        """None where the network can only be given whole images."""
        try:
            return TileGeometry.of(self.model.network, self.model.preprocessing.bands)
        except ModelError:
            return None
