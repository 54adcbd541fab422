"""What a run computes, recorded beside its masks: only the same run may go on among them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from perpixel.delivery.cluster.store import OWN, Store
from perpixel.errors import ConfigError, ModelError, OutputError

RECORD = f"{OWN}/run.json"
AUTO = "auto"
_OPENVINO = ".xml"


@dataclass(frozen=True)
class Job:
    """All that a mask depends on, beside its image.

    Args:
        model: the checksum of the model's file or files; `predict_on_cluster` fills it in.
        inputs: what the images were named by; likewise.
        runtime, precision: what computes; "auto" until a worker has chosen.
        classes: the names of the model's classes; empty until a worker has read them.
        scales, flip, min_confidence: as `perpixel predict` has them.
        tile, halo: likewise.
    """

    model: str = ""
    inputs: tuple[str, ...] = ()
    runtime: str = AUTO
    precision: str = AUTO
    classes: tuple[str, ...] = ()
    scales: tuple[float, ...] = (1.0,)
    flip: bool = False
    min_confidence: float = 0.0
    tile: str | int = AUTO
    halo: int | Literal["auto"] | None = None

    def recorded(self, store: Store) -> Job | None:
        """The same job as an earlier run has recorded it, with what a worker had chosen; None
        where there is no record.

        Raises:
            OutputError: the record is another job's, or is damaged.
        """
        if not store.exists(RECORD):
            return None
        try:
            content = json.loads(store.read(RECORD))
            listed = {key: _as_tuple(value) for key, value in content.items()}
            earlier = Job(**listed)
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise OutputError(
                f"{store.address}/{RECORD}",
                found=f"a damaged record of the run that wrote the masks here ({error})",
                mend="Give another --out, or empty this one",
            ) from None
        wanted = replace(
            self,
            classes=earlier.classes,
            runtime=earlier.runtime if self.runtime == AUTO else self.runtime,
            precision=earlier.precision if self.precision == AUTO else self.precision,
        )
        differing = [
            name for name in asdict(self) if getattr(wanted, name) != getattr(earlier, name)
        ]
        if differing:
            names = {
                "model": "model file",
                "min_confidence": "--min-confidence",
                "inputs": "images",
            }
            told = ", ".join(names.get(name, f"--{name}") for name in differing)
            raise OutputError(
                store.address,
                found=f"holds masks that another run wrote (other {told})",
                expected="the masks of this run, or none",
                mend="Give another --out",
            )
        return earlier

    def record(self, store: Store) -> None:
        """Write the record.

        Raises:
            OutputError: it cannot be written.
        """
        store.write(RECORD, json.dumps(asdict(self), indent=1).encode())


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


@dataclass(frozen=True)
class ModelFiles:
    """A model file, or an export of several files, as it is sent to the workers.

    Args:
        name: of the file that is loaded.
        contents: of all files, by name.
    """

    name: str
    contents: dict[str, bytes] = field(repr=False)

    @classmethod
    def read(cls, path: Path) -> ModelFiles:
        """From this machine's disk.

        Raises:
            ModelError: a file is missing or cannot be read.
        """
        paths = [path]
        if path.suffix.lower() == _OPENVINO:
            paths.append(path.with_suffix(".bin"))
        try:
            return cls(path.name, {one.name: one.read_bytes() for one in paths})
        except OSError as error:
            raise ModelError(
                path,
                found=f"cannot be read ({error.strerror})",
                expected="a model file, or an export of one",
                mend="Give the path of a file that perpixel wrote",
            ) from None

    @property
    def checksum(self) -> str:
        """Over all files."""
        digest = hashlib.sha256()
        for name in sorted(self.contents):
            digest.update(hashlib.sha256(self.contents[name]).digest())
        return digest.hexdigest()

    def write(self, folder: Path) -> Path:
        """Write the files into a folder; the path to load."""
        for name, content in self.contents.items():
            (folder / name).write_bytes(content)
        return folder / self.name


def check_result_kinds(unwanted: Sequence[str]) -> None:
    """See that nothing was asked for that a run on a cluster does not write.

    Args:
        unwanted: options that were given, of those that it has no results for.

    Raises:
        ConfigError: there are any.
    """
    if unwanted:
        raise ConfigError(
            " and ".join(unwanted),
            found="given together with --ray",
            expected="masks alone, which is what workers write, with a manifest of their areas",
            mend="Leave it out, or leave --ray out",
        )
