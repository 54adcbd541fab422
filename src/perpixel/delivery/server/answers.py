"""The forms of an answer: the mask as PNG, run lengths or NumPy array, or over its image."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import numpy as np

from perpixel.data.run_lengths import encode_runs
from perpixel.delivery.server.accept import MediaType
from perpixel.inference.results import encoded
from perpixel.inference.segmentation import ClassMask

MASK = MediaType("image", "png")
REGIONS = MediaType("application", "json")
NUMPY = MediaType("application", "x-npy")
# A picture too, but another one: a parameter of the type tells them apart.
OVERLAY = MediaType("image", "png", {"view": "overlay"})
OFFERED = (MASK, REGIONS, NUMPY, OVERLAY)


def maker(form: MediaType) -> Callable[[ClassMask], bytes]:
    """What makes an answer of this form; one of OFFERED."""
    makers: dict[str, Callable[[ClassMask], bytes]] = {
        str(MASK): lambda found: found.png(),
        str(REGIONS): lambda found: json.dumps(coco(found), separators=(",", ":")).encode(),
        str(NUMPY): lambda found: npy(found.mask),
        str(OVERLAY): lambda found: encoded(found.overlay(), "png"),
    }
    return makers[str(form)]


def npy(array: np.ndarray) -> bytes:
    """An array as the content of a NumPy file."""
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def coco(found: ClassMask) -> dict[str, Any]:
    """A dataset of COCO's with this one image: an annotation for each class that is in the mask.

    Pixels without a label are in none. `category_id` is the class's index and 1, as COCO counts.
    """
    height, width = found.mask.shape
    annotations: list[dict[str, Any]] = []
    for index in np.unique(found.mask[found.labels.labelled(found.mask)]).tolist():
        pixels = found.mask == index
        rows, columns = (np.flatnonzero(pixels.any(axis=axis)) for axis in (1, 0))
        top, left, bottom, right = (
            int(one) for one in (rows[0], columns[0], rows[-1], columns[-1])
        )
        box = pixels[top : bottom + 1, left : right + 1]
        annotations.append(
            {
                "id": len(annotations) + 1,
                "image_id": 1,
                "category_id": index + 1,
                "segmentation": {
                    "size": [height, width],
                    "counts": encode_runs(box, top, left, (height, width)),
                },
                "area": int(box.sum()),
                "bbox": [left, top, right + 1 - left, bottom + 1 - top],
                "iscrowd": 1,
            }
        )
    return {
        "images": [{"id": 1, "height": height, "width": width}],
        "annotations": annotations,
        "categories": [
            {"id": number, "name": name} for number, name in enumerate(found.labels.names, 1)
        ],
    }
