"""Batches that change no image's scores: where together is not what alone is, alone it stays."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Shaped

from perpixel.inference.predictor import Model
from perpixel.score_map import ScoreMap

# Kinds of batches of which it is remembered whether they are exact.
_REMEMBERED = 1024
_Kind = tuple[int, tuple[int, ...], str]


class ExactBatches:
    """Scores images in batches, bit for bit as one by one.

    A library may add up a convolution in another order when there are more images. In which order
    depends on the shapes and not on the pixels, so each kind of batch is computed both ways when it
    is met first; one that differs in any bit is not made again.

    Args:
        model: what scores.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self._equal: OrderedDict[_Kind, bool] = OrderedDict()

    def scores(self, images: Sequence[Shaped[np.ndarray, "bands H W"]]) -> list[ScoreMap]:
        """Each image's scores.

        Args:
            images: of one size and type.
        """
        if len(images) == 1:
            return self._alone(images)
        kind = (len(images), images[0].shape, images[0].dtype.str)
        equal = self._equal.get(kind)
        if equal is False:
            return self._alone(images)
        together = _apart(self._batch(images))
        if equal is None:
            alone = self._alone(images)
            pairs = zip(together, alone, strict=True)
            self._remember(kind, all(torch.equal(one.scores, own.scores) for one, own in pairs))
            return alone
        self._equal.move_to_end(kind)
        return together

    def _alone(self, images: Sequence[Shaped[np.ndarray, "_ _ _"]]) -> list[ScoreMap]:
        return [self._batch([image]) for image in images]

    def _batch(self, images: Sequence[Shaped[np.ndarray, "_ _ _"]]) -> ScoreMap:
        return self.model.views(images, names=["image"] * len(images))[0]

    def _remember(self, kind: _Kind, equal: bool) -> None:
        self._equal[kind] = equal
        if len(self._equal) > _REMEMBERED:
            self._equal.popitem(last=False)


def _apart(scores: ScoreMap) -> list[ScoreMap]:
    return [ScoreMap(one[None], scores.stride, scores.offset, scores.size) for one in scores.scores]
