"""A template: the opcodes of a value, to read other values that differ only in numbers, text and the data of arrays.

The annotations of a file are mostly alike. A template holds the opcodes of one as constant bytes, and between them the
kinds of its literals. If the bytes of another value fit, it is built from its literals, without running the machine in
:mod:`converters.pickles.evaluation` for each opcode. The result is that of the machine: the value, the memo slots that
are set, and the bytes to which shared values expand. Everything else is left to the machine, faults included, so a
template that does not fit has no effect. No code is generated.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from struct import Struct, error
from typing import Any, NamedTuple

from converters.pickles.containers import payload
from converters.pickles.limits import NODE_BYTES
from converters.pickles.memo import Memo
from converters.pickles.opcodes import (
    APPEND,
    APPENDS,
    BINBYTES,
    BINFLOAT,
    BINGET,
    BININT,
    BININT1,
    BININT2,
    BINPUT,
    BINUNICODE,
    BYTEARRAY8,
    CONTAINER_WEIGHT,
    FRAME,
    LONG_BINGET,
    LONG_BINPUT,
    SETITEM,
    SETITEMS,
    SHORT_BINBYTES,
    SHORT_BINUNICODE,
    STOP,
    PickleError,
)

MAX_SHARED_TUPLE = 32
"""Maximum number of items of a tuple that a template reads from the memo."""

INTEGER, SHARED, OWN, DATA, REAL, TEXT, SLOT, BUFFER, END = range(9)
"""Kinds of literals. A value of kind SHARED is read from a memo slot that was set before the value, one of kind OWN
from a slot that the value sets itself. SLOT sets a slot by number. END stands for the end of the value."""
ENDS = frozenset((APPEND, APPENDS, SETITEM, SETITEMS, STOP))
"""Opcodes that end a complete value, since they add it to its container."""
FAULTS = (IndexError, KeyError, ValueError, OverflowError, MemoryError, PickleError, error)
"""Exceptions from reading or building what does not fit; a UnicodeError is a ValueError."""

Literals = list[Any]
Build = Callable[[Literals], Any]
Result = tuple[object, dict[int, object], int]
"""As an Evaluation has it after its run: the value, the memo slots that it sets, and the bytes to which shared values
expand."""

_GETS = frozenset((SHARED, OWN))
_SMALL_INTEGER = 1 << 64

_u16 = Struct("<H").unpack_from
_u32 = Struct("<I").unpack_from
_i32 = Struct("<i").unpack_from
_u64 = Struct("<Q").unpack_from
_f64 = Struct(">d").unpack_from


class Step(NamedTuple):
    """Constant bytes, and the literal that follows them.

    ``boundaries`` are the positions in ``constant`` at which opcodes begin. For literals of kind SLOT and OWN, ``own``
    is the memo slot, counted from the first one that the value sets.
    """

    constant: bytes
    size: int
    boundaries: tuple[int, ...]
    kind: int
    own: int


class Template:
    """The opcodes of a value, as steps, and ``build``, which returns the value of a list of its literals.

    The value sets ``slots`` memo slots. ``names`` returns the values of those that other opcodes may read, by their
    number, counted from the first one that the value sets.
    """

    __slots__ = ("_build", "_names", "_slots", "_steps")

    def __init__(self, steps: list[Step], build: Build, names: dict[int, Build], slots: int) -> None:
        self._steps = steps
        self._build = build
        self._names = names
        self._slots = slots

    def read(
        self, span: bytes, fetched: array[int], position: int, slot: int, memo: Memo, most_shared: int
    ) -> Result | None:
        """The result of ``Evaluation.run`` if the span fits and its shared values expand to at most ``most_shared``.

        ``memo`` is that of the file.
        """
        found: Literals = []
        read: list[int] = []
        names: dict[int, object] = {}
        try:
            shared = self._match(span, slot, memo, found, read)
            if not 0 <= shared <= most_shared:
                return None
            value = self._build(found)
            while (number := fetched[position]) < slot + self._slots:
                names[number] = self._names[number - slot](found)
                position += 1
        except FAULTS:
            return None
        memo.use(dict.fromkeys(read))
        return value, names, shared

    def _match(self, span: bytes, slot: int, memo: Memo, found: Literals, read: list[int]) -> int:
        """Append the literals of the span to ``found``, and to ``read`` the slots that are read, but not kept.

        Returns the bytes to which shared values expand, or -1 if the span does not fit.
        """
        kept = memo.kept.get
        add = found.append
        shared = 0
        i = 0
        for constant, size, boundaries, kind, own in self._steps:
            if size:
                if span.startswith(constant, i):
                    i += size
                elif (i := _across_frame(span, i, constant, boundaries)) < 0:
                    return -1
            if kind == END:
                break
            op = span[i]
            if op == FRAME:
                i += 9
                op = span[i]
            if kind == INTEGER:
                if op == BININT1:
                    add(span[i + 1])
                    i += 2
                elif op == BININT2:
                    add(_u16(span, i + 1)[0])
                    i += 3
                elif op == BININT:
                    add(_i32(span, i + 1)[0])
                    i += 5
                else:
                    return -1
            elif kind in _GETS:
                if op == BINGET:
                    number = span[i + 1]
                    i += 2
                elif op == LONG_BINGET:
                    number = _u32(span, i + 1)[0]
                    i += 5
                else:
                    return -1
                value = kept(number)
                if kind == OWN:
                    if number != slot + own:
                        return -1
                    if value is None:
                        value = self._names[own](found)
                        shared += _expansion(value)
                elif number >= slot:
                    return -1
                elif value is None:
                    value = memo.look(number)
                    if type(value) is not tuple and type(value) is not str:
                        return -1
                    shared += _expansion(value)
                    read.append(number)
                elif type(value) is not str:
                    return -1
                add(value)
            elif kind == DATA:
                if op == BINBYTES:
                    start = i + 5
                    i = start + _u32(span, i + 1)[0]
                elif op == SHORT_BINBYTES:
                    start = i + 2
                    i = start + span[i + 1]
                else:
                    return -1
                add(span[start:i])
            elif kind == REAL:
                if op != BINFLOAT:
                    return -1
                add(_f64(span, i + 1)[0])
                i += 9
            elif kind == TEXT:
                if op == SHORT_BINUNICODE:
                    start = i + 2
                    i = start + span[i + 1]
                elif op == BINUNICODE:
                    start = i + 5
                    i = start + _u32(span, i + 1)[0]
                else:
                    return -1
                add(span[start:i].decode("utf-8", "surrogatepass"))
            elif kind == SLOT:
                if op == BINPUT:
                    number = span[i + 1]
                    i += 2
                elif op == LONG_BINPUT:
                    number = _u32(span, i + 1)[0]
                    i += 5
                else:
                    return -1
                if number != slot + own:
                    return -1
            else:
                if op != BYTEARRAY8:
                    return -1
                start = i + 9
                i = start + _u64(span, i + 1)[0]
                add(span[start:i])
        if i == len(span) or span[i] in ENDS or (span[i] == FRAME and i + 9 == len(span)):
            return shared
        return -1


def _across_frame(span: bytes, i: int, constant: bytes, boundaries: tuple[int, ...]) -> int:
    """The position in the span after the constant bytes, if they are at ``i`` with a frame between them; otherwise -1.

    A frame can begin before any opcode, and no opcode of ``constant`` is one. May raise IndexError.
    """
    for first in boundaries:
        if span[i + first] == FRAME:
            after = i + first + 9
            if span.startswith(constant[:first], i) and span.startswith(constant[first:], after):
                return after + len(constant) - first
            return -1
    return -1


def _expansion(value: object) -> int:
    """The bytes to which a value expands that is read from the memo, but not kept: as in ``Containers``.

    Raises ValueError for a tuple of anything but a few small integers.
    """
    if type(value) is not tuple:
        return payload(value)
    if len(value) > MAX_SHARED_TUPLE:
        raise ValueError
    for item in value:
        if type(item) is not int or not -_SMALL_INTEGER < item < _SMALL_INTEGER:
            raise ValueError
    return (CONTAINER_WEIGHT + len(value)) * NODE_BYTES
