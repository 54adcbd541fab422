"""A store: a folder on a disk or in an object store, whose files are written whole or not."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from perpixel.delivery.cluster import packages
from perpixel.errors import ConfigError, OutputError
from perpixel.whole_file import whole

# Where a run keeps what is no result: its record, rows that are not in the manifest yet, and what
# is being written.
OWN = ".perpixel"
UNFINISHED = f"{OWN}/unfinished"
# These put an object whole, or not at all, by themselves.
PUT_WHOLE = frozenset(("s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "oss", "oci", "memory"))


def is_address(text: str) -> bool:
    """Whether it names a place in a store, such as `s3://bucket/folder`, and no local path."""
    return "://" in text and not text.startswith("file://")


def opened(address: str) -> tuple[Any, str]:
    """The file system of an address or a local path, and the path in it.

    Raises:
        ConfigError: fsspec, or the package for this kind of store, is not installed, or there is
            no such kind.
    """
    fsspec = packages.fsspec()
    if not is_address(address):
        address = f"file://{Path(address.removeprefix('file://')).absolute()}"
    try:
        # What another program has listed before is not what is there now.
        filesystem, path = fsspec.core.url_to_fs(address, use_listings_cache=False)
    except ImportError as error:
        kind = address.partition("://")[0]
        mend = f"Install it; fsspec says: {' '.join(str(error).split())}"
        found = f"the package that opens {kind}:// is not installed"
        raise ConfigError(address, found=found, mend=mend) from None
    except ValueError as error:
        raise ConfigError(
            address,
            found=" ".join(str(error).split()),
            expected="an address that fsspec knows, such as s3://bucket/folder",
            mend="Correct it",
        ) from None
    return filesystem, str(path).rstrip("/") or "/"


@dataclass(frozen=True, slots=True)
class Entry:
    """What a store says of a file.

    Args:
        size: in bytes.
        modified: when it was written, in seconds since 1970; None where the store does not say.
        version: changes when the file does.
    """

    size: int
    modified: float | None
    version: str

    @classmethod
    def of(cls, info: dict[str, Any]) -> Entry:
        """From what fsspec knows of a file."""
        found = (info.get(key) for key in ("mtime", "LastModified", "last_modified", "created"))
        moment = next((one for one in found if one is not None), None)
        if isinstance(moment, str):
            moment = datetime.fromisoformat(moment)
        modified = moment.timestamp() if isinstance(moment, datetime) else moment
        version = info.get("ETag") or info.get("etag") or modified
        return cls(int(info["size"] or 0), modified, str(version))


class Store:
    """A folder of results.

    Args:
        address: a local path, or an address that fsspec knows.

    Raises:
        ConfigError: as `opened` does.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.filesystem, self.root = opened(address)
        self.is_local = not is_address(address)
        kinds = self.filesystem.protocol
        self._puts_whole = bool(PUT_WHOLE & set([kinds] if isinstance(kinds, str) else kinds))

    def path(self, name: str) -> str:
        """Of a file in the store, as its file system calls it."""
        return f"{self.root.rstrip('/')}/{name}"

    def files(self) -> dict[str, Entry]:
        """All files below the folder, by name; none where there is no such folder.

        Raises:
            OutputError: they cannot be listed.
        """
        try:
            found = self.filesystem.find(self.root, detail=True)
        except FileNotFoundError:
            return {}
        except Exception as error:
            raise self._failed("listed", error) from None
        start = len(self.root.rstrip("/")) + 1
        return {path[start:]: Entry.of(info) for path, info in found.items()}

    def exists(self, name: str) -> bool:
        """Whether there is such a file."""
        return bool(self.filesystem.exists(self.path(name)))

    def read(self, name: str) -> bytes:
        """A file's content.

        Raises:
            OSError: it cannot be read.
        """
        return bytes(self.filesystem.cat_file(self.path(name)))

    def write(self, name: str, content: bytes) -> None:
        """Write a file whole or not at all: on disks and servers beside its place, and renamed.

        Raises:
            OutputError: it cannot be written.
        """
        beside = f"{UNFINISHED}/{uuid.uuid4().hex}"
        try:
            if self.is_local:
                for one in (name, beside):
                    Path(self.path(one)).parent.mkdir(parents=True, exist_ok=True)
                with whole(Path(self.path(name)), Path(self.path(beside))) as file:
                    file.write_bytes(content)
            elif self._puts_whole:
                self.filesystem.pipe_file(self.path(name), content)
            else:
                for one in (name, beside):
                    self.filesystem.makedirs(self.path(one).rpartition("/")[0], exist_ok=True)
                self.filesystem.pipe_file(self.path(beside), content)
                self.filesystem.mv(self.path(beside), self.path(name))
        except OutputError:
            raise
        except Exception as error:
            # Each kind of store has errors of its own.
            raise self._failed("written", error, name) from None

    def remove(self, names: Sequence[str]) -> None:
        """Remove files that may be gone already.

        Raises:
            OutputError: one is there and cannot be removed.
        """
        for name in names:
            try:
                self.filesystem.rm_file(self.path(name))
            except FileNotFoundError:
                continue
            except Exception as error:
                raise self._failed("removed", error, name) from None

    def _failed(self, what: str, error: Exception, name: str = "") -> OutputError:
        reason = " ".join((getattr(error, "strerror", None) or str(error)).split())
        return OutputError(
            f"{self.address.rstrip('/')}/{name}" if name else self.address,
            found=f"cannot be {what} ({reason or type(error).__name__})",
            mend="Give an --out that this machine and all workers may list and write to",
        )
