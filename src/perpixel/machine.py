"""What the machine that this runs on has to offer."""

from __future__ import annotations

import ctypes
import platform
from pathlib import Path

import psutil

# Where Linux says how much memory a container may have and has: control groups, versions 2 and 1.
_GROUPS = (
    ("memory.max", "memory.current", "memory.stat", "inactive_file"),
    (
        "memory/memory.limit_in_bytes",
        "memory/memory.usage_in_bytes",
        "memory/memory.stat",
        "total_inactive_file",
    ),
)
CONTROL_GROUPS = Path("/sys/fs/cgroup")
# <malloc.h> of glibc.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGE_BLOCK = 1 << 20
# What Linux knows of this process: its memory, and where its peak is forgotten.
PROCESS = Path("/proc/self")
PROCESSOR = Path("/proc/cpuinfo")


def available_memory(groups: Path = CONTROL_GROUPS) -> int:
    """Bytes that this process can still take without swapping or being killed.

    In a container that is what its own limit leaves, where that is less than the machine has.

    Args:
        groups: where the control groups are mounted; nothing is there outside Linux.
    """
    free = [int(psutil.virtual_memory().available)]
    for limit, usage, statistics, cached in _GROUPS:
        try:
            most = (groups / limit).read_text(encoding="ascii").strip()
            used = int((groups / usage).read_text(encoding="ascii"))
            lines = (groups / statistics).read_text(encoding="ascii").splitlines()
        except OSError:
            continue
        if most.isdigit():
            # Cached file pages count as used, and are given up when memory is asked for.
            freed = sum(int(line.split()[1]) for line in lines if line.split()[0] == cached)
            free.append(max(int(most) - used + freed, 0))
    return min(free)


def processor(facts: Path = PROCESSOR) -> str:
    """The processor: the name that its maker gave it and, on Linux, family, model and stepping.

    Args:
        facts: where Linux describes it; elsewhere Python's own answer is taken.
    """
    name = platform.processor() or platform.machine()
    try:
        lines = facts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return name
    halves = (line.partition(":") for line in lines)
    described = {key.strip(): value.strip() for key, _, value in halves}
    parts = (described.get(key, "") for key in ("model name", "cpu family", "model", "stepping"))
    return " ".join(filter(None, parts)) or name


def give_memory_back() -> bool:
    """From now on, let large blocks of memory go back to the system when they are freed.

    glibc keeps freed blocks for later ones, of up to 32 MB once such were freed; tiles' have
    many sizes and leave holes. Segmenting 10 megapixels in tiles peaked at 1.9 GB with them, and at
    1.5 GB without, and took a tenth longer for pages that are handed out anew.

    Returns:
        whether the system can; only Linux with glibc does.
    """
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_MMAP_THRESHOLD, _LARGE_BLOCK) and mallopt(_TRIM_THRESHOLD, _LARGE_BLOCK))


def forget_peak_memory(process: Path = PROCESS) -> bool:
    """Give freed memory back, and let `peak_memory` begin anew from what is still held.

    Returns:
        whether the system can; only Linux does.
    """
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
        (process / "clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return False
    return True


def peak_memory(process: Path = PROCESS) -> int:
    """The most bytes that this process held at a time since its start or `forget_peak_memory`."""
    status = (process / "status").read_text(encoding="ascii", errors="replace")
    fields = dict(line.split(":", 1) for line in status.splitlines())
    return int(fields["VmHWM"].split()[0]) * 1024
