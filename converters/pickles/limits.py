"""Bounds of what a pickle may expand to; they grow with the file.

A few bytes of a pickle can refer to a value elsewhere in it, and code that writes such a value (a JSON cell, the rows
of an array) repeats it for each reference. So the size to which a value expands is counted while it is evaluated, and
the cost of evaluations is counted over the whole file.
"""

from __future__ import annotations

from converters.pickles.opcodes import PickleError

NODE_BYTES = 16
"""Cost of each value in a container, in bytes."""
MAX_NODES = 10_000_000
"""Maximum number of values in one element. Shared values count at each use, a container counts as CONTAINER_WEIGHT."""
MIN_NODES = 1_000_000
NODES_PER_BYTE = 2
"""The limit is ``NODES_PER_BYTE`` values per byte of the file, but at least ``MIN_NODES`` and at most ``MAX_NODES``."""
SHARED_BYTES = 16 << 20
SHARED_FACTOR = 16
"""Maximum number of bytes to which shared values expand, in one element and in all elements together: ``SHARED_BYTES``
or ``SHARED_FACTOR`` times the size of the file, whichever is larger."""
PLAIN_FACTOR = 8
"""An element whose shared values expand to at most this many times its own bytes is not counted in the total."""
WORK_BYTES = 8 << 20
WORK_FACTOR = 8
"""Maximum number of bytes that are evaluated only because other values refer to something in them, counted at each
evaluation: ``WORK_BYTES`` or ``WORK_FACTOR`` times the size of the file, whichever is larger."""
EVALUATION_BYTES = 64
"""Cost of each evaluation in addition to its bytes."""


class Limits:
    """The bounds of one element of a file of ``size`` bytes: ``nodes`` values and ``shared`` bytes of shared values."""

    __slots__ = ("nodes", "shared")

    def __init__(self, size: int) -> None:
        self.nodes = min(MAX_NODES, max(MIN_NODES, NODES_PER_BYTE * size))
        self.shared = max(SHARED_BYTES, SHARED_FACTOR * size)

    def check(self, nodes: int, shared: int, offset: int) -> None:
        """Raise PickleError if an element exceeds the bounds."""
        if nodes > self.nodes:
            raise PickleError(
                offset,
                f"more than {self.nodes} values were found in one place, with shared ones counted at each use; "
                "expected the values of one video",
            )
        if shared > self.shared:
            raise PickleError(
                offset,
                f"shared values were found that expand to more than {self.shared} bytes in one place, expected at most "
                f"{SHARED_FACTOR} times the size of the file; write them once",
            )


class Budget:
    """The total cost of reading a file of ``size`` bytes, over all its elements."""

    def __init__(self, size: int) -> None:
        self.limits = Limits(size)
        self._most_work = max(WORK_BYTES, WORK_FACTOR * size)
        self._expanded = 0
        self._work = 0
        self._counted: set[int] = set()  # offsets of the elements in the total

    def check(self, offset: int) -> None:
        """Raise PickleError if a bound is exceeded. From then on no element of the file can be read."""
        if self._expanded <= self.limits.shared and self._work <= self._most_work:
            return
        if self._expanded > self.limits.shared:
            raise PickleError(
                offset,
                f"values shared by many others were found that expand to more than {self.limits.shared} bytes in all, "
                f"expected at most {SHARED_FACTOR} times the size of the file; write each video with values of its own",
            )
        raise PickleError(
            offset,
            f"more than {self._most_work} bytes must be read for values that others share, expected at most "
            f"{WORK_FACTOR} times the size of the file; write each video with values of its own",
        )

    def expand(self, start: int, size: int, shared: int) -> None:
        """Count the ``shared`` bytes of the element at ``start``, which has ``size`` bytes in the file, only once."""
        if shared > PLAIN_FACTOR * size and start not in self._counted:
            self._counted.add(start)
            self._expanded += shared

    def spend(self, size: int) -> None:
        """Count bytes that are evaluated or copied for other values."""
        self._work += size
