"""Gradio, imported when it is used, and kept from telling anybody of it."""

from __future__ import annotations

import importlib
import os
from functools import cache
from typing import Any

from perpixel.errors import ConfigError


@cache
def gradio() -> Any:
    """The package, its counters off: it would ask an outside host for its newest version at the
    first page that is built.

    Raises:
        ConfigError: it is not installed.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    try:
        return importlib.import_module("gradio")
    except ModuleNotFoundError as error:
        if error.name != "gradio":
            raise
        raise ConfigError(
            "gradio",
            found="this package is not installed",
            mend="Install it with pip install 'perpixel[serve]'",
        ) from None
