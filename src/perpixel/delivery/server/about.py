"""What a server says about its model: `GET /v1/model`."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from perpixel.checkpoint import read_checkpoint
from perpixel.delivery.server.answers import OFFERED
from perpixel.delivery.server.checked import FORMATS
from perpixel.delivery.server.settings import Settings
from perpixel.inference.predictor import Model
from perpixel.inference.runtimes.exported import read_export
from perpixel.inference.runtimes.selection import EXPORTS
from perpixel.labels import Colour
from perpixel.preprocessing import Preprocessing


class ClassBody(BaseModel):
    """A class of the model."""

    index: int = Field(ge=0, description="Its value in a mask.")
    name: str
    colour: Colour = Field(description="Red, green and blue, 0 … 255.")


class LimitsBody(BaseModel):
    """What is taken."""

    max_bytes: int = Field(ge=1, description="Of an image file.")
    max_pixels: int = Field(ge=1, description="Of an image: its height times its width.")
    seconds: float = Field(gt=0, description="From a request to its answer.")
    formats: list[str] = Field(description="Of images, by their content.")


class ModelBody(BaseModel):
    """The model that is served."""

    classes: list[ClassBody]
    ignore_index: int = Field(ge=0, description="A mask's value where no class is claimed.")
    preprocessing: Preprocessing
    network: dict[str, Any] = Field(description="Its name and, of a model file, its options.")
    runtime: str = Field(description="What computes it.", examples=["torch"])
    precision: str = Field(description="In which numbers.", examples=["fp32"])
    answers: list[str] = Field(description="The media types that `Accept` may name.")
    limits: LimitsBody
    perpixel: str = Field(description="The version of the server.")


def network_of(path: Path) -> dict[str, Any]:
    """The configuration in a model file; of an export, which keeps no more, the name.

    Raises:
        ModelError: it is neither.
    """
    if path.suffix.lower() in EXPORTS:
        return {"name": read_export(path).card.network}
    return read_checkpoint(path).network.model_dump(mode="json")


def about(model: Model, network: dict[str, Any], settings: Settings) -> ModelBody:
    """What is said of a model.

    Args:
        model: which computes.
        network: of `network_of`.
        settings: the limits.
    """
    labels = model.labels
    pairs = zip(labels.names, labels.colours, strict=True)
    return ModelBody(
        classes=[
            ClassBody(index=index, name=name, colour=colour)
            for index, (name, colour) in enumerate(pairs)
        ],
        ignore_index=labels.ignore_index,
        preprocessing=model.preprocessing,
        network=network,
        runtime=model.choice.runtime,
        precision=model.choice.precision,
        answers=[str(one) for one in OFFERED],
        limits=LimitsBody(
            max_bytes=settings.max_bytes,
            max_pixels=settings.max_pixels,
            seconds=settings.seconds,
            formats=list(FORMATS),
        ),
        perpixel=version("perpixel"),
    )
