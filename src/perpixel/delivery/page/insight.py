"""What the page shows beyond the mask: probabilities of one class, and masks without fine skips.

Both need the network's scores, which a `Segmentation` no longer holds, so the network is run again.
"""

from __future__ import annotations

import copy
import threading
from weakref import WeakSet

import numpy as np
import torch
from jaxtyping import Float32, Integer

from perpixel import kernels
from perpixel.data.source import Outline
from perpixel.delivery.explain.skip_levels import DEEPEST, masks_by_stride
from perpixel.errors import ConfigError, DataError, ModelError
from perpixel.inference.large.large_images import LargeImages
from perpixel.inference.predictor import Model
from perpixel.inference.segmentation import Segmentation
from perpixel.inference.test_time import seen_from
from perpixel.inference.tiles.tile_size import Tiling
from perpixel.networks.skip_sum import skip_layers
from perpixel.score_map import ScoreMap

STREAMED_BYTES = 1 << 25


class Insight:
    """Looks into a model that others compute with at the same time.

    It does so with a copy of the network, in fp32, because leaving out a skip changes the network
    while it runs. One request is computed at a time, so that visitors who look closely do not take
    the processor from those who wait for a mask; and the newest image's scores are kept, so that
    its next class costs no second run.

    Args:
        model: as the server has it.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self._own: Model | None = None
        self._lock = threading.Lock()
        self._newest: tuple[Segmentation, ScoreMap] | None = None
        self._forgotten: WeakSet[Segmentation] = WeakSet()
        # Guards these two, and is never held while the network runs.
        self._keeping = threading.Lock()
        self._large: LargeImages | None = None

    @property
    def strides(self) -> tuple[int, ...]:
        """The strides that masks can be compared at, from coarse to fine; empty where the network
        sums no skips, or is an export that cannot be looked into."""
        try:
            return (DEEPEST, *skip_layers(self._model.network))
        except (ConfigError, ModelError):
            return ()

    def probability(
        self, segmentation: Segmentation, index: int, size: tuple[int, int]
    ) -> Float32[np.ndarray, "h w"]:
        """The probability of one class, 0 … 1, at each point of a picture of the whole image.

        Args:
            segmentation: of the image.
            index: the class.
            size: (h, w) of the picture; at the image's own size it is each pixel's probability.

        Raises:
            DataError: the image does not fit into the memory whole.
        """
        with self._lock:
            self._check_size(segmentation)
            score_map = seen_from(self._scores(segmentation), size)
            at_once = max(1, STREAMED_BYTES // (4 * score_map.classes * size[1]))
            with torch.inference_mode():
                parts = [
                    range(top, min(top + at_once, size[0])) for top in range(0, size[0], at_once)
                ]
                rows = [kernels.probabilities(score_map, part)[0, index].clone() for part in parts]
                return torch.cat(rows).cpu().numpy()

    def masks(self, segmentation: Segmentation) -> dict[int, Integer[np.ndarray, "H W"]]:
        """The mask without the skips finer than each of `strides`.

        Raises:
            ConfigError: the network sums no skips.
            ModelError: it is an export.
            DataError: the image does not fit into the memory whole.
        """
        with self._lock:
            self._check_size(segmentation)
            return masks_by_stride(
                self._copied(), np.ascontiguousarray(segmentation.image.transpose(1, 2, 0))
            )

    def forget(self, segmentation: Segmentation) -> None:
        """Let go of an image that its owner has put away, at once, whatever is being computed."""
        with self._keeping:
            self._forgotten.add(segmentation)
            if self._newest is not None and self._newest[0] is segmentation:
                self._newest = None

    def _scores(self, segmentation: Segmentation) -> ScoreMap:
        with self._keeping:
            if self._newest is not None and self._newest[0] is segmentation:
                return self._newest[1]
        (found,) = self._copied().views([segmentation.image], names=["image"])
        with self._keeping:
            # It may have been put away while the network looked at it.
            if segmentation not in self._forgotten:
                self._newest = (segmentation, found)
        return found

    def _check_size(self, segmentation: Segmentation) -> None:
        bands, height, width = segmentation.image.shape
        if self._large is None:
            # Of the copy too: a network's memory is counted with other weights in their place.
            self._large = LargeImages(self._copied(), Tiling())
        if self._large.too_large(Outline((height, width), bands, segmentation.image.dtype)):
            raise DataError(
                "image",
                found=f"{width} × {height} pixels, which were predicted in tiles",
                expected="an image that fits into this server's memory whole",
                mend="Make it smaller to look closely at it",
            )

    def _copied(self) -> Model:
        if self._own is None:
            model = self._model
            try:
                network = copy.deepcopy(model.network).eval()
            except ModelError:
                # An export's runtime may be called from several threads, and nothing changes it.
                self._own = model
            else:
                self._own = Model(network, model.labels, model.preprocessing, model.device)
        return self._own
