"""ExportCard: what an exported file says of itself, so that it can be used from the file alone."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from perpixel.inference.runtimes.runtime import Precision
from perpixel.labels import LabelSpace
from perpixel.networks.canvas import Canvas
from perpixel.preprocessing import Preprocessing
from perpixel.score_map import Placement

FORMAT = "perpixel export"
VERSION = 1
# The one entry of a file's metadata that holds the card, as JSON.
KEY = "perpixel"


class ExportCard(BaseModel):
    """The metadata of an export.

    Args:
        format, format_version: that it is ours, and of which form.
        network: the architecture's name.
        labels: the classes, in the order of the scores.
        preprocessing: from an image to the graph's input, unless the graph does that too.
        placement: where the scores lie on the image.
        canvas: what the graph surrounds its input with.
        precision: in which numbers it is stored: "int8" where it was quantised.
        full: from a uint8 image to its mask; otherwise from normalised images to coarse scores.
        versions: the packages that made it, by name; for ONNX also its `opset`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["perpixel export"] = "perpixel export"
    format_version: Literal[1] = 1
    network: str
    labels: LabelSpace
    preprocessing: Preprocessing
    placement: Placement
    canvas: Canvas
    precision: Precision = "fp32"
    full: bool = False
    versions: dict[str, str] = Field(default_factory=dict)
