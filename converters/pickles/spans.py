"""The offsets of the parts of a pickle, which the first pass over it records and the second uses."""

from __future__ import annotations

import os
import re
from array import array
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from converters.pickles.opcodes import BINGET, LONG_BINGET, MAX_NUMBER_LINE, MAX_ODD_SLOTS, PickleError, read_slot

WINDOW = 1 << 18
"""Number of bytes that the first pass reads at a time."""
GROWTH_BYTES = 4 << 20
"""Minimum number of bytes that are scanned between two incomplete indexes; see ``step``."""
MAX_LISTS = 4096
"""Maximum number of lists in the root dict whose elements can be read one by one; further lists are read whole."""

NO_SLOT = 1 << 62
"""Greater than every memo slot; the last entry of the list of slots that are read."""

_FRAMES = re.compile(rb"(?:\x95.{8})*", re.DOTALL)
_OPENING = re.compile(rb"(?:[\]}]|\([ld])(?:\x94|q.|r.{4}|p[0-9]+\n)?(?:\x95.{8})*\(?(?:\x95.{8})*", re.DOTALL)


def step(scanned: int) -> int:
    """The number of bytes to scan after the first ``scanned`` bytes before the next incomplete index is returned.

    It is at least a quarter of what was scanned before. Each index is sent to the workers as a whole, so the total that
    is sent stays in proportion to the file.
    """
    return max(GROWTH_BYTES, scanned // 4)


@dataclass(slots=True)
class Spans:
    """Consecutive values in the file: the elements of a list, or the keys and values of a dict.

    ``start`` is the offset of the container, ``starts`` are those of the values. The last span ends at ``stop``, each
    other one at the start of the next (opcodes such as APPENDS may be in between). ``slots`` has, for each value, the
    number of memo slots in use at its start. ``plain`` is false if opcodes do anything else to the container.
    """

    start: int
    starts: array[int] = field(default_factory=lambda: array("q"))
    slots: array[int] = field(default_factory=lambda: array("q"))
    stop: int = -1
    plain: bool = True

    def __len__(self) -> int:
        return len(self.starts)

    def span(self, i: int) -> tuple[int, int]:
        """The offsets at which value ``i`` begins and ends."""
        return self.starts[i], self.starts[i + 1] if i + 1 < len(self.starts) else self.stop

    def owner(self, slot: int, put: int | None) -> int:
        """The number of the value that sets a memo slot; -1 if it is set before the first value.

        ``put`` is the offset of the PUT if the slot is in ``Index.odd``, else None.
        """
        return (bisect_right(self.slots, slot) if put is None else bisect_right(self.starts, put)) - 1


@dataclass(slots=True)
class Index:
    """The result of the first pass.

    ``root`` is None unless ``root_kind`` is "dict" or "list". ``lists`` has the spans of those values of a root dict
    that are lists and can be read by element, by their number in ``root``. ``fetched`` are the memo slots that are read
    anywhere in the file, ascending, followed by NO_SLOT. ``odd`` are those of them that the file numbers out of
    sequence, with the offset of the PUT. ``stop`` is the offset of the STOP opcode.

    If the index is not ``whole``, the first pass is inside the last list of ``lists`` (or inside the root list): the
    index has the first elements of that list, ``fetched`` and ``odd`` cover the file up to ``stop``, the end of these
    elements.
    """

    root_kind: str
    root: Spans | None
    lists: dict[int, Spans]
    fetched: array[int]
    odd: dict[int, int]
    stop: int
    whole: bool = True


class IndexBuilder:
    """Builds the Index of a file of ``size`` bytes from what the first pass finds."""

    def __init__(self, fd: int, size: int) -> None:
        self.fd = fd
        self.size = size
        self.root: Spans | None = None
        self.root_kind = "other"
        self.lists: dict[int, Spans] = {}
        self.pending: dict[int, Spans] = {}
        self.list_slots: dict[int, Spans] = {}  # the lists by their memo slot
        self.bits = bytearray()
        self.odd: dict[int, int] = {}
        self.odd_fetched: set[int] = set()
        self.due = step(0)  # the offset at which the next index is due

    def read(self, start: int, stop: int) -> bytes:
        return os.pread(self.fd, stop - start, start)

    def only_frames(self, start: int, stop: int) -> bool:
        """Whether there are only FRAME opcodes between the offsets, which do nothing to the value before them."""
        return start == stop or (0 < stop - start <= 64 and _FRAMES.fullmatch(self.read(start, stop)) is not None)

    def only_opening(self, start: int, stop: int) -> bool:
        """Whether the opcodes between the offsets only open a container."""
        return stop - start <= 64 and _OPENING.fullmatch(self.read(start, stop)) is not None

    def open_list(self, start: int, root: Spans | None) -> Spans:
        spans = Spans(start)
        if root is None:
            self.root, self.root_kind = spans, "list"
        else:
            self.pending[start] = spans
        return spans

    def open_dict(self, start: int) -> Spans:
        self.root, self.root_kind = Spans(start), "dict"
        return self.root

    def extend(self, spans: Spans, first: int, stop: int, starts: Iterable[int], slots: Iterable[int]) -> None:
        """Add values to a container; ``first`` is the offset of their mark or, without one, of the first value."""
        spans.plain = self._only_receives_values(spans, first)
        spans.starts.extend([start if start >= 0 else ~start for start in starts])
        spans.slots.extend(slots)
        spans.stop = stop

    def _only_receives_values(self, spans: Spans, at: int) -> bool:
        """Whether the opcodes up to ``at`` only open the container and add values to it."""
        if spans.stop < 0:
            return self.only_opening(spans.start, at)
        return spans.plain and self.only_frames(spans.stop + 1, at)

    def fill(self, spans: Spans, stop: int, starts: Iterable[int], slots: Iterable[int]) -> None:
        """Add the values of a container that a LIST or DICT opcode creates and fills at once."""
        spans.stop = stop
        spans.starts.extend([start if start >= 0 else ~start for start in starts])
        spans.slots.extend(slots)

    def find_lists(self, root: Spans, known: int, starts: list[int]) -> None:
        """Find out which lists are values of the root dict, among its items from number ``known`` on."""
        if self.list_slots:
            for number, start in enumerate(starts[1::2]):
                if start < 0:
                    listed = self.list_slots.get(self.slot_read_at(~start))
                    if listed is not None and len(self.lists) < MAX_LISTS:
                        self.lists[known + 2 * number + 1] = listed
        if self.pending:
            for number in range(known + 1, len(root), 2):
                spans = self.pending.get(root.starts[number])
                if (
                    spans is not None
                    and spans.plain
                    and spans.stop >= 0
                    and len(self.lists) < MAX_LISTS
                    and self.only_frames(spans.stop + 1, root.span(number)[1])
                ):
                    self.lists[number] = spans
                    for slot in range(root.slots[number], spans.slots[0]):
                        self.list_slots[slot] = spans
            self.pending.clear()

    def fetch(self, slot: int, slots: int, least: int, offset: int) -> None:
        """Record that a memo slot is read. Raises PickleError if it was not set before."""
        if least <= slot < slots:
            byte = slot >> 3
            if byte >= len(self.bits):
                self.bits.extend(bytes(max(512, byte + 1 - len(self.bits))))
            self.bits[byte] |= 1 << (slot & 7)
        elif slot in self.odd:
            self.odd_fetched.add(slot)
        else:
            raise PickleError(offset, f"memo slot {slot} is read, but was not set before; the file is damaged")

    def put(self, slot: int, slots: int, sequential: bool, offset: int) -> None:
        """Record a memo index that does not follow the previous one. Raises PickleError if no pickler writes it."""
        if sequential:
            raise PickleError(offset, f"memo slot {slot} is set by number, expected MEMOIZE from protocol 4 on")
        if slot < slots or slot in self.odd:
            raise PickleError(offset, f"memo slot {slot} is set a second time; the file is damaged")
        if len(self.odd) >= MAX_ODD_SLOTS:
            raise PickleError(
                offset, f"more than {MAX_ODD_SLOTS} memo slots are numbered out of sequence; no pickler does"
            )
        self.odd[slot] = offset

    def slot_read_at(self, offset: int) -> int:
        """The memo slot that the opcode at this offset reads."""
        head = os.pread(self.fd, MAX_NUMBER_LINE, offset)
        if head[0] == BINGET:
            return head[1]
        if head[0] == LONG_BINGET:
            return int.from_bytes(head[1:5], "little")
        return read_slot(head[1 : head.index(b"\n")], offset)

    def end_of_long_line(self, start: int, offset: int) -> int:
        """The offset after the newline of a line that continues beyond the window; ``start`` is where to search."""
        while start < self.size:
            window = os.pread(self.fd, WINDOW, start)
            if not window:
                break
            end = window.find(b"\n")
            if end >= 0:
                return start + end + 1
            start += len(window)
        raise PickleError(offset, "the file ends inside a line; it is cut short, so fetch it again")

    def read_slot_line(self, buf: bytes, i: int, offset: int) -> tuple[int, int]:
        """The memo index in the line at ``i`` of the window, and the position after its newline."""
        end = buf.find(b"\n", i, i + MAX_NUMBER_LINE)
        if end < 0:  # the line may continue beyond the window
            line, newline, _ = os.pread(self.fd, MAX_NUMBER_LINE, offset + 1).partition(b"\n")
            if not newline and offset + MAX_NUMBER_LINE >= self.size:
                raise PickleError(offset, "the file ends inside a line; it is cut short, so fetch it again")
            return read_slot(line, offset), i + len(line) + 1
        return read_slot(buf[i:end], offset), end + 1

    def partial_index(
        self, listed: Spans, at: int, marks: list[int], starts: list[int], slots: list[int]
    ) -> Index | None:
        """The index up to ``at``, where elements were added to a list; None if they cannot be read one by one.

        ``starts`` and ``slots`` are those of the keys and values that have not been added to the root dict yet; the
        list is the last of them. ``marks`` are the offsets of the marks below them.
        """
        self.due = at + step(at)
        # Without the last element, whose end is known only when the next one begins.
        known = Spans(listed.start, listed.starts[:-1], listed.slots[:-1], listed.starts[-1])
        root = known
        lists: dict[int, Spans] = {}
        plain = listed.plain and len(known) > 0
        if self.root_kind == "dict":
            assert self.root is not None
            begun = [start if start >= 0 else ~start for start in starts]
            root = Spans(self.root.start, self.root.starts + array("q", begun), self.root.slots + array("q", slots))
            root.stop = known.stop
            lists = {**self.lists, len(root) - 1: known}
            plain = (
                plain
                and len(lists) <= MAX_LISTS
                and self._only_receives_values(self.root, marks[0] if marks else begun[0])
            )
        if not plain:
            return None
        return Index(self.root_kind, root, lists, self._fetched(), self._odd_fetched(), known.stop, whole=False)

    def finish(self, stop: int) -> Index:
        """The index of the whole file, whose STOP opcode is at ``stop``."""
        root = self.root
        if root is not None:
            if not self._only_receives_values(root, stop):
                root = None
            elif root.stop < 0:
                root.stop = stop
        return Index(
            root_kind=self.root_kind if root is not None else "other",
            root=root,
            lists=self.lists if root is not None else {},
            fetched=self._fetched(),
            odd=self._odd_fetched(),
            stop=stop,
        )

    def _fetched(self) -> array[int]:
        fetched = array("q")
        for start in range(0, len(self.bits), 1 << 16):
            part = np.frombuffer(self.bits, np.uint8, min(1 << 16, len(self.bits) - start), start)
            slots = np.flatnonzero(np.unpackbits(part, bitorder="little")) + start * 8
            fetched.frombytes(slots.astype(np.int64).tobytes())
        fetched.append(NO_SLOT)
        return fetched

    def _odd_fetched(self) -> dict[int, int]:
        return {slot: self.odd[slot] for slot in self.odd_fetched}
