"""Memory of a process, as the operating system counts it.

Two figures, because they differ in what they cost. ``private`` are pages that only this process has and that the
system cannot drop (anonymous and written ones): each further worker costs that again. ``mapped`` are clean pages of
files that nobody else maps just now: they are the page cache's, shared with the next worker that maps the file, and
dropped when memory is short.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple


class Memory(NamedTuple):
    """Bytes of this process now."""

    private: int
    mapped: int

    def since(self, before: Memory) -> dict[str, float]:
        """Growth in MB, by the heading of a table's column."""
        return {
            "private MB": (self.private - before.private) / 1e6,
            "mapped MB": (self.mapped - before.mapped) / 1e6,
        }


def now() -> Memory:
    """Memory of this process; where the system does not tell it that way (no /proc), its peak stands in."""
    try:
        text = Path("/proc/self/smaps_rollup").read_text()
    except FileNotFoundError:
        return Memory(peak(), 0)
    sizes = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in text.splitlines() if line.endswith("kB")}
    return Memory(sizes["Private_Dirty"], sizes["Private_Clean"])


def peak() -> int:
    """Most bytes that this process ever had resident.

    Not ``ru_maxrss`` where there is another way: on Linux that includes what the parent had when it started us.
    """
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except FileNotFoundError:
        pass
    import resource

    found = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return found if sys.platform == "darwin" else found * 1024
