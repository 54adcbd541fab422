"""What a server is allowed to take, and whom it answers."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from pathlib import Path

from perpixel.errors import ConfigError

TOKEN_VARIABLE = "PERPIXEL_TOKEN"
SHORTEST_TOKEN = 16
# Bodies that wait, all together, take at most so many times the largest that is allowed.
_LARGEST_BODIES = 8


@dataclass(frozen=True)
class Settings:
    """Limits of a server, and its token.

    Args:
        queue: requests that it has taken and not yet answered, at most; the next gets 429.
        batch: images of one size that go through the network together, at most.
        seconds: from a request's first byte to its answer, at most.
        max_bytes: of an image file.
        max_pixels: of an image, height times width.
        token: what a client has to say; None: nothing.
        origins: the pages of other sites that may ask, as `https://example.org`.

    Raises:
        ConfigError: a number is below 1, or the token is short or not printable ASCII.
    """

    queue: int = 128
    batch: int = 8
    seconds: float = 30.0
    max_bytes: int = 32_000_000
    max_pixels: int = 50_000_000
    token: str | None = field(default=None, repr=False)
    origins: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("queue", "batch", "max_bytes", "max_pixels"):
            if getattr(self, name) < 1:
                raise ConfigError(
                    name, found=f"{getattr(self, name)}", expected="1 or more", mend="Allow more"
                )
        if not 0 < self.seconds < math.inf:
            mend = "Give a time in which an image can be computed, such as 30"
            raise ConfigError("seconds", found=f"{self.seconds}", expected="above 0", mend=mend)
        if self.token is not None:
            check_token(self.token, "token")

    @property
    def held_bytes(self) -> int:
        """What the bodies of all requests together may take in memory."""
        return _LARGEST_BODIES * self.max_bytes


def read_token(file: Path | None) -> str | None:
    """The token in a file or, without one, in the environment; None where neither has one.

    Raises:
        ConfigError: the file cannot be read, or what is there is too short for a token.
    """
    if file is None:
        token = os.environ.get(TOKEN_VARIABLE)
        return None if token is None else check_token(token.strip(), TOKEN_VARIABLE)
    try:
        token = file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not ASCII"
        found = f"cannot be read ({reason})"
        mend = "Give a file that holds the token alone"
        raise ConfigError(file, found=found, mend=mend) from None
    return check_token(token, str(file))


def check_token(token: str, where: str) -> str:
    """The token, if it is one.

    Raises:
        ConfigError: it is too short, or has spaces or other than printable ASCII characters.
    """
    printable = token.isascii() and token.isprintable() and " " not in token
    if len(token) < SHORTEST_TOKEN or not printable:
        raise ConfigError(
            where,
            found=f"a token of {len(token)} characters",
            expected=f"{SHORTEST_TOKEN} or more printable ASCII characters without spaces",
            mend="Make one with `openssl rand -hex 32`",
        )
    return token
