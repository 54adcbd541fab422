"""Confusion counts, and the scores of semantic segmentation derived from them."""

from perpixel.metrics.boundary import BoundaryBands
from perpixel.metrics.calibration import Calibration
from perpixel.metrics.confusion import Confusion
from perpixel.metrics.object_size import ObjectSizes
from perpixel.metrics.scores import Scores

__all__ = ["BoundaryBands", "Calibration", "Confusion", "ObjectSizes", "Scores"]
