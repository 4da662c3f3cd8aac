"""How much a pickle may make of its bytes: bounds that grow with the file.

A few bytes of a pickle refer to a value that stands elsewhere in it, and whoever writes the value out (a JSON cell, the
rows of an array) writes it once for each reference. So what a value expands to is counted while it is evaluated, and
what evaluations cost is counted over the file.
"""

from __future__ import annotations

from converters.pickles.opcodes import PickleError

NODE_BYTES = 16
"""What a value costs by being in a container, in bytes."""
MAX_NODES = 10_000_000
"""Values in one element when everything it shares is written out, a container counting for CONTAINER_WEIGHT."""
MIN_NODES = 1_000_000
NODES_PER_BYTE = 2
"""The same for a small file; above, this many per byte of the file."""
SHARED_BYTES = 16 << 20
SHARED_FACTOR = 16
"""Bytes that shared values expand to, in one element and in all together: this much, or this many times the file's
size."""
PLAIN_FACTOR = 8
"""An element that expands to less than this many times its bytes does not count among all."""
WORK_BYTES = 8 << 20
WORK_FACTOR = 8
"""Bytes that are evaluated because other values refer to something in them, each time that they are."""
EVALUATION_BYTES = 64
"""What an evaluation costs beside its bytes."""


class Limits:
    """The bounds of one element of a file of ``size`` bytes: ``nodes`` values, ``shared`` bytes."""

    __slots__ = ("nodes", "shared")

    def __init__(self, size: int) -> None:
        self.nodes = min(MAX_NODES, max(MIN_NODES, NODES_PER_BYTE * size))
        self.shared = max(SHARED_BYTES, SHARED_FACTOR * size)

    def check(self, nodes: int, shared: int, offset: int) -> None:
        """Raise PickleError if an element has more."""
        if nodes > self.nodes:
            raise PickleError(
                offset,
                f"more than {self.nodes} values were found in one place, counting shared ones as often as used; "
                "expected what one video needs",
            )
        if shared > self.shared:
            raise PickleError(
                offset,
                f"shared values were found that expand to more than {self.shared} bytes in one place, expected at most "
                f"{SHARED_FACTOR} times the size of the file; write them once",
            )


class Budget:
    """What was read of a file of ``size`` bytes, over all its elements."""

    def __init__(self, size: int) -> None:
        self.limits = Limits(size)
        self._most_work = max(WORK_BYTES, WORK_FACTOR * size)
        self._expanded = 0
        self._work = 0
        self._counted: set[int] = set()  # where the elements begin that have counted

    def check(self, offset: int) -> None:
        """Raise PickleError if the bounds are passed. They stay so: no element is read any more."""
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
            f"more than {self._most_work} bytes have to be read for values that others share, expected at most "
            f"{WORK_FACTOR} times the size of the file; write each video with values of its own",
        )

    def expand(self, start: int, size: int, shared: int) -> None:
        """Count the ``shared`` bytes of an element which has ``size`` bytes in the file from ``start`` on, once."""
        if shared > PLAIN_FACTOR * size and start not in self._counted:
            self._counted.add(start)
            self._expanded += shared

    def spend(self, size: int) -> None:
        """Count bytes that are evaluated, or copied, for others."""
        self._work += size
