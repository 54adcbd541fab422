"""The packages of the `serve` extra: whether they are here."""

from __future__ import annotations

from importlib.util import find_spec

from perpixel.errors import ConfigError

_NEEDED = ("fastapi", "uvicorn", "python_multipart", "prometheus_client")


def check_packages() -> None:
    """See that a server can be made.

    Raises:
        ConfigError: a package is not installed.
    """
    for name in _NEEDED:
        if find_spec(name) is None:
            raise ConfigError(
                name,
                found="this package is not installed",
                mend="Install it with pip install 'perpixel[serve]'",
            )
