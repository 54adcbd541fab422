"""Images to begin with, for models of street scenes and for whoever only wants to look."""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8

from perpixel.delivery.scenes import draw

HEIGHT, WIDTH = 300, 400
# Numbers of scenes in which much can be seen.
SEED, SCENES = 1, (0, 1, 2, 3)


def drawn_examples() -> list[UInt8[np.ndarray, "_ _ 3"]]:
    """Some drawn street scenes, 8-bit RGB."""
    return [draw(SEED, scene, HEIGHT, WIDTH)[0] for scene in SCENES]
