"""The parts of the OpenAPI description that cannot be told from the code."""

from __future__ import annotations

from typing import Any

from perpixel.delivery.server.answers import MASK, NUMPY, OVERLAY, REGIONS
from perpixel.delivery.server.body import FIELD, FORM
from perpixel.delivery.server.checked import FORMATS
from perpixel.delivery.server.problems import MEANINGS, ProblemBody

_BINARY = {"type": "string", "format": "binary"}
_REGIONS = {
    "images": [{"id": 1, "height": 2, "width": 3}],
    "annotations": [
        {
            "id": 1,
            "image_id": 1,
            "category_id": 1,
            "segmentation": {"size": [2, 3], "counts": "06"},
            "area": 6,
            "bbox": [0, 0, 3, 2],
            "iscrowd": 1,
        }
    ],
    "categories": [{"id": 1, "name": "road"}],
}
SUMMARY = "Semantic segmentation: a class for every pixel of an image."


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The answers of these statuses, for a route's `responses`."""
    found: dict[int | str, dict[str, Any]] = {}
    for status in statuses:
        found[status] = {"description": MEANINGS[status], "model": ProblemBody}
        if status in (429, 503):
            seconds = {"description": "Seconds.", "schema": {"type": "integer", "minimum": 1}}
            found[status]["headers"] = {"Retry-After": seconds}
    return found


SEGMENT_BODY: dict[str, Any] = {
    "required": True,
    "description": "An image, as it is or in a form. Its format is told by its content.",
    "content": {
        **{media: {"schema": _BINARY} for media in (*FORMATS.values(), "application/octet-stream")},
        FORM: {
            "schema": {
                "type": "object",
                "required": [FIELD],
                "properties": {FIELD: {**_BINARY, "description": "The image file."}},
            },
            "encoding": {FIELD: {"contentType": ", ".join(FORMATS.values())}},
        },
    },
}
SEGMENT_ANSWER: dict[str, Any] = {
    "description": "The mask, in the form that `Accept` asks for; without it a PNG.",
    "content": {
        str(MASK): {"schema": {**_BINARY, "description": "Class indices, with a palette."}},
        str(REGIONS): {
            "schema": {
                "type": "object",
                "description": "A dataset of COCO's with one image.",
                "required": ["images", "annotations", "categories"],
                "properties": {key: {"type": "array"} for key in _REGIONS},
            },
            "example": _REGIONS,
        },
        str(NUMPY): {"schema": {**_BINARY, "description": "An array (H, W), for numpy.load."}},
        str(OVERLAY): {"schema": {**_BINARY, "description": "The classes over the image."}},
    },
}
