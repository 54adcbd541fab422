"""Parts of the CPU kernels: labels from lanes and slots to the mask's bytes.

Pixel by pixel this would take as long as finding the labels. So the labels of a lane's four slots,
which are neighbours in the mask, are packed first: into one word of four bytes, or two words where
a label has two bytes.
"""

from __future__ import annotations

from typing import no_type_check

from perpixel.kernels.cpu_compiled import part
from perpixel.kernels.cpu_layout import GROUP
from perpixel.kernels.cpu_vector import (
    LANES,
    load,
    splat_integer,
    store,
    store_bytes,
    store_word,
)


@part
@no_type_check
def pack(words, tile, group, label_bytes):
    """Put a group's four labels of each lane side by side, as they are in the mask."""
    at = group * GROUP * LANES
    label0, label1 = load(tile, at), load(tile, at + LANES)
    label2, label3 = load(tile, at + 2 * LANES), load(tile, at + 3 * LANES)
    if label_bytes == 1:
        low = label0 | (label1 << splat_integer(8))
        high = label2 | (label3 << splat_integer(8))
        store(words, group * LANES, low | (high << splat_integer(16)))
    else:
        store(words, 2 * group * LANES, label0 | (label1 << splat_integer(16)))
        store(words, (2 * group + 1) * LANES, label2 | (label3 << splat_integer(16)))


@part
@no_type_check
def write_row(out, row, words, columns, block, label_bytes):
    """Write one pixel row of a block to the mask's bytes; `row` is the row's first pixel."""
    length = columns.groups[block] * label_bytes
    start = columns.start[block]
    full = columns.start[block + 1] - start == columns.groups[block] * GROUP * LANES
    if full and length == 2:
        at = (row + start) * label_bytes
        store_bytes(out, at, load(words, 0), load(words, LANES))
        return
    end = (row + columns.place.size) * label_bytes
    last = min((block + 1) * LANES, columns.interval.size - 1)
    for interval in range(block * LANES, last):
        at = (row + columns.interval[interval]) * label_bytes
        after = (row + columns.interval[interval + 1]) * label_bytes
        index = interval % LANES
        while at < after:
            # What is too much of the last word, the next interval overwrites.
            if at + 4 <= end:
                store_word(out, at, words, index)
            else:
                for i in range(end - at):
                    out[at + i] = words[index] >> (8 * i)
            at += 4
            index += LANES
