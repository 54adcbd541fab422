"""Sizes of images as they are typed."""

from __future__ import annotations

from perpixel.errors import ConfigError


def pixels(size: str) -> tuple[int, int]:
    """(H, W) of a text such as "512x512".

    Raises:
        ConfigError: it is no such text.
    """
    parts = size.lower().split("x")
    if len(parts) != 2 or not all(part.isdecimal() and int(part) for part in parts):
        raise ConfigError(
            "--size", found=size, expected="height x width, such as 512x512", mend="Give such a one"
        )
    return int(parts[0]), int(parts[1])
