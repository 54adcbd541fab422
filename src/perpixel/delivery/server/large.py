"""Images that do not fit into the memory whole: predicted in tiles, as `perpixel predict` does."""

from __future__ import annotations

import numpy as np
from jaxtyping import Shaped

from perpixel.data.source import ArraySource, Outline
from perpixel.delivery.server.checked import NAME
from perpixel.delivery.server.problems import ProblemError
from perpixel.errors import PerpixelError
from perpixel.inference.large.large_images import LargeImages
from perpixel.inference.predictor import Model
from perpixel.inference.segmentation import Segmentation
from perpixel.inference.tiles.tile_size import Tiling, choose
from perpixel.inference.tiles.tiled import predict_tiled
from perpixel.inference.tiles.tiler import Tiler


class LargeOnes:
    """Tells images that need tiles from others, and predicts them.

    Args:
        model: what predicts.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self._tiling = Tiling()
        # What is free is read when the first large image comes, and stays: a server's memory is
        # flat, and images come one at a time through the network.
        self._large = LargeImages(model, self._tiling)

    def takes(self, image: Shaped[np.ndarray, "bands H W"]) -> bool:
        """Whether an image needs tiles."""
        bands, height, width = image.shape
        return self._large.too_large(Outline((height, width), bands, image.dtype))

    def predict(self, image: Shaped[np.ndarray, "bands H W"]) -> Segmentation:
        """The image's segmentation.

        Raises:
            ProblemError: the memory is too small for any tile, or the model cannot be tiled (413).
        """
        source = ArraySource(NAME, image, image.dtype, image.nbytes)
        try:

            def read(top: int, left: int, height: int, width: int) -> np.ndarray:
                return image[:, top : top + height, left : left + width]

            plan, batch = choose(Tiler.of(self.model), source, self._tiling, read)
            tile = plan[0].core.height, plan[0].core.width
            rows = image.transpose(1, 2, 0)
            return predict_tiled(self.model, rows, tile=tile, batch_size=batch)
        except PerpixelError as error:
            raise ProblemError(
                413, "too_large_here", f"Too large for this server: {error}"
            ) from None
