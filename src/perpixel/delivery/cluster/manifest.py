"""The manifest: one row for each image, in one Parquet file, which is there whole or not at all."""

from __future__ import annotations

import io
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from perpixel.delivery.cluster import packages
from perpixel.delivery.cluster.store import OWN, Entry, Store

MANIFEST = "manifest.parquet"
JOURNAL = f"{OWN}/rows-"
# Rows that are not in the store yet are lost with the process that started the run; their masks
# are not, and rows are made from them anew.
ROWS, SECONDS = 10_000, 20.0


def schema(classes: Sequence[str]) -> Any:
    """The manifest's columns, as pyarrow has them.

    Args:
        classes: the names of the model's classes.
    """
    arrow = packages.pyarrow()
    areas = arrow.struct([arrow.field(name, arrow.float64()) for name in classes])
    return arrow.schema(
        [
            arrow.field("image", arrow.string(), nullable=False),
            arrow.field("size", arrow.int64(), nullable=False),
            arrow.field("version", arrow.string(), nullable=False),
            arrow.field("mask", arrow.string()),
            arrow.field("mask_size", arrow.int64()),
            arrow.field("sha256", arrow.string()),
            arrow.field("height", arrow.int32()),
            arrow.field("width", arrow.int32()),
            arrow.field("areas", areas),
            arrow.field("error", arrow.string()),
            arrow.field("try_again", arrow.bool_(), nullable=False),
        ]
    )


@dataclass(frozen=True, slots=True)
class Known:
    """What a row says of an image, as far as it tells whether there is anything left to do.

    Args:
        size, version: of the image when it was predicted.
        mask, mask_size: the file and its bytes; None where there is none.
        try_again: whether what went wrong may go right another time.
    """

    size: int
    version: str
    mask: str | None
    mask_size: int | None
    try_again: bool


class Manifest:
    """The rows of a run: those of earlier runs, and those that come in.

    Args:
        store: where the results are.
        classes: the names of the model's classes.
        files: what is in the store.
    """

    def __init__(self, store: Store, classes: Sequence[str], files: dict[str, Entry]) -> None:
        self.store = store
        self.schema = schema(classes)
        self._journals = sorted(name for name in files if name.startswith(JOURNAL))
        self._is_whole = False
        self._tables: list[Any] = []
        self._coming: list[Any] = []
        self._kept = time.monotonic()
        for name in [*([MANIFEST] if MANIFEST in files else []), *self._journals]:
            table = self._read(name)
            if table is not None:
                self._tables.append(table)
                self._is_whole |= name == MANIFEST and not self._journals

    def known(self) -> dict[str, Known]:
        """By image: its last row."""
        columns = ("image", "size", "version", "mask", "mask_size", "try_again")
        rows: dict[str, Known] = {}
        for table in self._tables:
            lists = [table.column(name).to_pylist() for name in columns]
            rows |= {image: Known(*rest) for image, *rest in zip(*lists, strict=True)}
        return rows

    def add(self, table: Any) -> None:
        """Take rows in; they are kept in the store every now and then.

        Raises:
            OutputError: they cannot be written.
        """
        self._coming.append(table.cast(self.schema))
        waiting = sum(len(one) for one in self._coming)
        if waiting >= ROWS or time.monotonic() - self._kept > SECONDS:
            self.keep()

    def keep(self) -> None:
        """See that all rows are in the store.

        Raises:
            OutputError: they cannot be written.
        """
        self._kept = time.monotonic()
        if not self._coming:
            return
        arrow = packages.pyarrow()
        table = arrow.concat_tables(self._coming)
        # Names in the order of time: of two rows for an image the later one counts.
        name = f"{JOURNAL}{time.time_ns():020}-{uuid.uuid4().hex}.parquet"
        self._write(name, table)
        self._journals.append(name)
        self._tables.append(table)
        self._coming = []
        self._is_whole = False

    def finish(self, images: Sequence[str]) -> Any:
        """Write the manifest: of these images, in this order, the last row of each. Nothing is
        written where it is so already.

        Returns:
            its table.

        Raises:
            OutputError: it cannot be written.
        """
        self.keep()
        arrow = packages.pyarrow()
        table = arrow.concat_tables([*self._tables, self.schema.empty_table()])
        last = {image: row for row, image in enumerate(table.column("image").to_pylist())}
        rows = [last[image] for image in images if image in last]
        if not (self._is_whole and rows == list(range(len(table)))):
            table = table.take(arrow.array(rows, arrow.int64()))
            self._write(MANIFEST, table)
        self.store.remove(self._journals)
        self._journals, self._tables, self._is_whole = [], [table], True
        return table

    def _read(self, name: str) -> Any:
        """A table; None where the file is no whole table of ours: its rows are made anew."""
        arrow = packages.pyarrow()
        try:
            table = packages.parquet().read_table(io.BytesIO(self.store.read(name)))
        except (arrow.ArrowException, OSError):
            return None
        return table if table.schema.equals(self.schema) else None

    def _write(self, name: str, table: Any) -> None:
        file = io.BytesIO()
        packages.parquet().write_table(table, file, compression="zstd")
        self.store.write(name, file.getvalue())
