"""perpixel: semantic segmentation with fully convolutional networks.

The public names. They are imported, all of them from `perpixel/public.py`, when the first one is
asked for (PEP 562), because torch takes seconds: `import perpixel`, `perpixel --help` and a typing
mistake should not. Type checkers and editors read them here as ordinary imports.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from perpixel.public import *

__all__ = [
    "Dataset",
    "Explanation",
    "LabelSpace",
    "Model",
    "PerpixelError",
    "Preprocessing",
    "ScoreMap",
    "Scores",
    "Segmentation",
    "TrainConfig",
    "TrainResult",
    "check",
    "evaluate",
    "explain",
    "load",
    "open_dataset",
    "resume",
    "train",
]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import perpixel.public as public

    value: object = getattr(public, name)
    return value


def __dir__() -> list[str]:
    return [*globals(), *__all__]
