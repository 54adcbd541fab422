"""Small GeoTIFFs that tests write and read back."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning
from rasterio.transform import Affine

UTM = {"crs": "EPSG:32632", "transform": Affine(0.5, 0.0, 5e5, 0.0, -0.5, 5.2e6)}


def write_raster(path: Path, pixels: np.ndarray, **options: Any) -> Path:
    """Write (bands, H, W) as a GeoTIFF."""
    bands, height, width = pixels.shape
    profile = {
        "driver": "GTiff",
        "count": bands,
        "height": height,
        "width": width,
        "dtype": pixels.dtype.name,
    }
    colours = options.pop("colours", None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, "w", **{**profile, **options}) as file:
            # A palette that came after the pixels would go to another file.
            if colours is not None:
                file.write_colormap(1, colours)
            file.write(pixels)
    return path
