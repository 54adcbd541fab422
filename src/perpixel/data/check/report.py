"""Report: a dataset as its check found it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64

from perpixel.data.check.classes import occurrence
from perpixel.data.check.finding import Finding, Severity
from perpixel.data.check.look import Look
from perpixel.labels import LabelSpace


@dataclass(frozen=True)
class SplitReport:
    """What a split holds, of what could be read.

    Args:
        images: how many there are.
        masks: how many of them have one.
        sizes: how many images have each (height, width), the most frequent first.
        kinds: how many images have each (format, bands, number type).
        pixels: of each class.
        images_with: each class.
        ignored: pixels without a label.
        stranger_pixels: pixels whose values are no class.
    """

    images: int
    masks: int
    sizes: Mapping[tuple[int, int], int]
    kinds: Mapping[tuple[str, int, str], int]
    pixels: Int64[np.ndarray, "classes"]
    images_with: Int64[np.ndarray, "classes"]
    ignored: int
    stranger_pixels: int

    @classmethod
    def of(cls, looks: Sequence[Look], labels: LabelSpace) -> SplitReport:
        """The sum of the looks at a split's pairs."""
        headers = [look.header for look in looks if look.header is not None]
        masks = [look.mask for look in looks if look.mask is not None]
        pixels, images_with = occurrence(looks, labels)
        kinds = Counter((header.format, header.bands, header.dtype.name) for header in headers)
        return cls(
            images=len(looks),
            masks=sum(look.pair.mask is not None for look in looks),
            sizes=dict(Counter(header.size for header in headers).most_common()),
            kinds=dict(kinds.most_common()),
            pixels=pixels,
            images_with=images_with,
            ignored=sum(mask.ignored for mask in masks),
            stranger_pixels=sum(mask.stranger_pixels for mask in masks),
        )

    def as_json(self, labels: LabelSpace) -> dict[str, Any]:
        """The split as plain values, for JSON."""
        return {
            "images": self.images,
            "masks": self.masks,
            "sizes": [
                {"height": height, "width": width, "images": images}
                for (height, width), images in self.sizes.items()
            ],
            "kinds": [
                {"format": form, "bands": bands, "type": dtype, "images": images}
                for (form, bands, dtype), images in self.kinds.items()
            ],
            "classes": [
                {"name": name, "pixels": int(pixels), "images": int(images)}
                for name, pixels, images in zip(
                    labels.names, self.pixels, self.images_with, strict=True
                )
            ],
            "ignored_pixels": self.ignored,
            "unknown_pixels": self.stranger_pixels,
        }


@dataclass(frozen=True)
class Report:
    """What `check` found.

    Args:
        root: the dataset folder.
        layout: what it was recognised as; empty where it was not.
        notes: what was understood or decided about the folder.
        labels: its classes; None where they are not known.
        splits: what each holds.
        findings: errors first, then warnings, then notes.
        looks: what was read, pair by pair.
    """

    root: Path
    layout: str
    notes: tuple[str, ...]
    labels: LabelSpace | None
    splits: Mapping[str, SplitReport]
    findings: tuple[Finding, ...]
    looks: Mapping[str, Sequence[Look]]

    def of(self, severity: Severity) -> tuple[Finding, ...]:
        """The findings of one severity."""
        return tuple(finding for finding in self.findings if finding.severity == severity)

    @property
    def status(self) -> int:
        """0: clean, 1: there are warnings, 2: there are errors."""
        return 2 if self.of("error") else 1 if self.of("warning") else 0

    def as_json(self) -> dict[str, Any]:
        """The report as plain values, for JSON."""
        labels = self.labels
        return {
            "root": str(self.root),
            "layout": self.layout,
            "notes": list(self.notes),
            "status": self.status,
            "ignore_index": None if labels is None else labels.ignore_index,
            "splits": {
                name: split.as_json(labels) for name, split in self.splits.items() if labels
            },
            "findings": [finding.as_json() for finding in self.findings],
            "unknown_values": [
                {
                    "mask": str(look.pair.mask_path),
                    "values": [
                        {"value": look.described(value), "pixels": pixels}
                        for value, pixels in look.mask.strangers
                    ],
                }
                for looks in self.looks.values()
                for look in looks
                if look.mask is not None and look.mask.strangers
            ],
        }
