"""The size and classes of the large images' tests, and how a mask is read back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import rasterio
from PIL import Image

from perpixel.labels import LabelSpace

SIZE = (331, 409)
LABELS = LabelSpace.of(["water", "field", "wood", "town"])
# Sees 40 pixels around a cell, so that images of a few hundred pixels have many tiles.
CONFIG = {"name": "fcn8s-vgg16", "classes": 4, "width": 2, "fc6": "1x1"}


def read_mask(path: Path) -> np.ndarray:
    if path.suffix == ".png":
        return np.asarray(Image.open(path))
    with rasterio.open(path) as file:
        return np.asarray(file.read(1))
