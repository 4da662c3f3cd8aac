"""Memory of a process, as the operating system counts it.

There are two figures, because they differ in cost. ``private`` are pages that only this process has and that the system
cannot drop (anonymous and written pages): each additional worker costs as much again. ``mapped`` are clean pages of
files that no other process maps at the moment: they belong to the page cache, are shared with the next worker that maps
the file, and are dropped when memory is short.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple


class Memory(NamedTuple):
    """Current memory of this process, in bytes."""

    private: int
    mapped: int

    def since(self, before: Memory) -> dict[str, float]:
        """The growth in MB, by column heading of a table; 0 if memory was given back."""
        return {
            "private MB": max(self.private - before.private, 0) / 1e6,
            "mapped MB": max(self.mapped - before.mapped, 0) / 1e6,
        }


def now() -> Memory:
    """The memory of this process; its peak, if the system does not report it (no /proc)."""
    try:
        text = Path("/proc/self/smaps_rollup").read_text()
    except FileNotFoundError:
        return Memory(peak(), 0)
    sizes = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in text.splitlines() if line.endswith("kB")}
    return Memory(sizes["Private_Dirty"], sizes["Private_Clean"])


def peak() -> int:
    """The peak resident memory of this process, in bytes.

    ``ru_maxrss`` is only the fallback: on Linux it includes the memory of the parent when it started this process.
    """
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except FileNotFoundError:
        pass
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
