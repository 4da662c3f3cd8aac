"""Templates: reading values that are built like an earlier one, without running the machine for each opcode.

The annotations of a file have mostly the same opcodes, and differ in numbers, text and the data of arrays. A template
is the opcodes of one value: constant bytes, and between them the literals, which are read. If the bytes of another
value fit, it is built from its literals. Everything else, faults included, is left to the machine in
:mod:`converters.pickles.evaluation`: a template that does not fit has no effect.

What fits gives the same result as the machine: the value, the memo slots that are set or read, and the bytes to which
shared values expand. No code is generated, and the functions that build arrays are chosen here by the same names.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from functools import partial
from math import prod
from operator import itemgetter
from struct import Struct, error
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from converters.pickles.arrays import Named, PendingDtype
from converters.pickles.containers import payload
from converters.pickles.limits import NODE_BYTES, Limits
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
    BUILD,
    BYTEARRAY8,
    CONTAINER_WEIGHT,
    COUNTED,
    EMPTY_DICT,
    EMPTY_LIST,
    EMPTY_TUPLE,
    FIXED,
    FRAME,
    LONG_BINGET,
    LONG_BINPUT,
    MARK,
    MEMOIZE,
    NEWFALSE,
    NEWTRUE,
    NONE,
    REDUCE,
    SETITEM,
    SETITEMS,
    SHORT_BINBYTES,
    SHORT_BINUNICODE,
    STOP,
    TUPLE,
    TUPLE1,
    TUPLE2,
    TUPLE3,
    PickleError,
)

MAX_ATTEMPTS = 16
"""Maximum number of values per file from which a template is made."""
MAX_OPCODES = 1000
"""Maximum number of opcodes of a template."""
FIRST_CREDIT = 16
MAX_CREDIT = 256
"""A file begins with FIRST_CREDIT. A value that a template fits adds one, up to MAX_CREDIT; another value takes one. At
zero, no more templates are tried: the values of the file are not alike."""
MAX_SHARED_TUPLE = 32
"""Maximum number of items of a tuple that a template reads from the memo."""

_u16 = Struct("<H").unpack_from
_u32 = Struct("<I").unpack_from
_i32 = Struct("<i").unpack_from
_u64 = Struct("<Q").unpack_from
_f64 = Struct(">d").unpack_from

# Kinds of literals. A value of kind _SHARED is read from a memo slot that was set before this value, one of kind _OWN
# from a slot that this value sets. _PUT sets a slot by number. _END stands for the end of the value.
_INT, _SHARED, _OWN, _BYTES, _FLOAT, _TEXT, _PUT, _BUFFER, _END = range(9)
_GETS = frozenset((_SHARED, _OWN))
_KINDS = {
    BININT1: _INT, BININT2: _INT, BININT: _INT, BINFLOAT: _FLOAT,
    SHORT_BINUNICODE: _TEXT, BINUNICODE: _TEXT, SHORT_BINBYTES: _BYTES, BINBYTES: _BYTES, BYTEARRAY8: _BUFFER,
}  # fmt: skip
_SLOT_SIZES = {BINGET: 1, LONG_BINGET: 4, BINPUT: 1, LONG_BINPUT: 4}
_ENDS = frozenset((APPEND, APPENDS, SETITEM, SETITEMS, STOP))
"""Opcodes that end a complete value, since they add it to its container."""
_ATOMS = {NONE: None, NEWTRUE: True, NEWFALSE: False}
_TUPLES = {EMPTY_TUPLE: 0, TUPLE1: 1, TUPLE2: 2, TUPLE3: 3}
_SMALL_INTEGER = 1 << 64
_FRAME = bytes((FRAME,))

_RECONSTRUCT = frozenset(("numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct"))
_FROM_BUFFER = frozenset(("numpy.core.numeric._frombuffer", "numpy._core.numeric._frombuffer"))
_SCALAR = frozenset(("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar"))
_LATIN = frozenset(("latin1", "latin-1"))

_Literals = list[Any]
_Build = Callable[[_Literals], Any]
_FAULTS = (IndexError, KeyError, ValueError, OverflowError, MemoryError, PickleError, error)
"""Exceptions from reading or building what does not fit; a UnicodeError is a ValueError."""


_Result = tuple[object, dict[int, object], int]
"""As an Evaluation has it after its run: the value, the memo slots that it sets, and the bytes to which shared values
expand."""


class Templates:
    """The templates of a file, which has this ``memo`` and these ``limits``."""

    __slots__ = ("_attempts", "_credit", "_memo", "_most_shared", "_templates")

    def __init__(self, memo: Memo, limits: Limits) -> None:
        self._memo = memo
        self._most_shared = limits.shared
        self._templates: list[Template] = []
        self._attempts = MAX_ATTEMPTS
        self._credit = FIRST_CREDIT

    def read(self, span: bytes, fetched: array[int], position: int, slot: int) -> _Result | None:
        """The result of ``Evaluation.run`` with the same arguments; None if no template fits.

        The memo of an Evaluation also has the slots that were read, which are in the memo of the file already.
        """
        if not self._credit:
            return None
        for number, template in enumerate(self._templates):
            result = template.read(span, fetched, position, slot, self._memo, self._most_shared)
            if result is not None:
                if number:
                    self._templates.insert(0, self._templates.pop(number))
                if self._credit < MAX_CREDIT:
                    self._credit += 1
                return result
        return None

    def learn(self, span: bytes, slot: int) -> None:
        """Make a template of a value that no template fits, and that the machine has evaluated."""
        self._credit = max(self._credit - 1, 0)
        if self._credit and self._attempts:
            self._attempts -= 1
            template = learn(span, slot, self._memo.kept)
            if template is not None:
                self._templates.insert(0, template)


class _Step(NamedTuple):
    """Constant bytes, and the literal that follows them.

    ``boundaries`` are the positions in ``constant`` at which opcodes begin. For literals of kind _PUT and _OWN, ``own``
    is the memo slot, counted from the first one that the value sets.
    """

    constant: bytes
    size: int
    boundaries: frozenset[int]
    kind: int
    own: int


class Template:
    """The opcodes of a value, as steps, and ``build``, which returns the value of a list of its literals.

    The value sets ``slots`` memo slots. ``names`` returns the values of those that other opcodes may read, by their
    number, counted from the first one that the value sets.
    """

    __slots__ = ("_build", "_names", "_slots", "_steps")

    def __init__(self, steps: list[_Step], build: _Build, names: dict[int, _Build], slots: int) -> None:
        self._steps = steps
        self._build = build
        self._names = names
        self._slots = slots

    def read(
        self, span: bytes, fetched: array[int], position: int, slot: int, memo: Memo, most_shared: int
    ) -> _Result | None:
        """The result of ``Evaluation.run`` if the span fits and its shared values expand to at most ``most_shared``.

        ``memo`` is that of the file.
        """
        found: _Literals = []
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
        except _FAULTS:
            return None
        memo.use(dict.fromkeys(read))
        return value, names, shared

    def _match(self, span: bytes, slot: int, memo: Memo, found: _Literals, read: list[int]) -> int:
        """Append the literals of the span to ``found``, and to ``read`` the slots that are read, but not kept.

        Returns the bytes to which shared values expand, or -1 if the span does not fit.
        """
        kept = memo.kept.get
        add = found.append
        shared = 0
        i = 0
        for constant, size, boundaries, kind, own in self._steps:
            if span.startswith(constant, i):
                i += size
            elif (i := _across_frame(span, i, constant, boundaries)) < 0:
                return -1
            if kind == _END:
                break
            op = span[i]
            if op == FRAME:
                i += 9
                op = span[i]
            if kind == _INT:
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
                if kind == _OWN:
                    if number != slot + own:
                        return -1
                    if value is None:
                        value = self._names[own](found)
                        shared += _expansion(value)
                elif value is None:
                    value = memo.look(number)
                    if type(value) is not tuple and type(value) is not str:
                        return -1
                    shared += _expansion(value)
                    read.append(number)
                elif type(value) is not str:
                    return -1
                add(value)
            elif kind == _BYTES:
                if op == BINBYTES:
                    start = i + 5
                    i = start + _u32(span, i + 1)[0]
                elif op == SHORT_BINBYTES:
                    start = i + 2
                    i = start + span[i + 1]
                else:
                    return -1
                add(span[start:i])
            elif kind == _FLOAT:
                if op != BINFLOAT:
                    return -1
                add(_f64(span, i + 1)[0])
                i += 9
            elif kind == _TEXT:
                if op == SHORT_BINUNICODE:
                    start = i + 2
                    i = start + span[i + 1]
                elif op == BINUNICODE:
                    start = i + 5
                    i = start + _u32(span, i + 1)[0]
                else:
                    return -1
                add(span[start:i].decode("utf-8", "surrogatepass"))
            elif kind == _PUT:
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
        if i == len(span) or span[i] in _ENDS or (span[i] == FRAME and i + 9 == len(span)):
            return shared
        return -1


def _across_frame(span: bytes, i: int, constant: bytes, boundaries: frozenset[int]) -> int:
    """The position in the span after the constant bytes, if they are at ``i`` with a frame between them; otherwise -1.

    A frame can begin before any opcode.
    """
    size = len(constant)
    at = span.find(_FRAME, i, i + size)
    while at >= 0:
        first = at - i
        if first in boundaries and span.startswith(constant[:first], i) and span.startswith(constant[first:], at + 9):
            return i + size + 9
        at = span.find(_FRAME, at + 1, i + size)
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


# Making a template. Each value on the stack of the machine is a node; ``builder`` returns the function that builds it.


class _UnlikeError(Exception):
    """The value has something that templates do not support."""


class _Node:
    def builder(self) -> _Build:
        raise _UnlikeError

    def fix(self) -> object:
        """Have the same value in all values that fit; return it."""
        raise _UnlikeError


class _Literal(_Node):
    """A literal, with its ``place`` among those that are read.

    One that is ``fixed`` becomes a part of the constant bytes. For kind _OWN, whose bytes differ, its ``source``, the
    node in the memo, does.
    """

    def __init__(self, kind: int, value: object = None, own: int = 0, source: _Node | None = None) -> None:
        self.kind = kind
        self.value = value
        self.own = own
        self.source = source
        self.fixed = kind == _SHARED and value is not None and type(value) is not str
        self.place = -1

    @property
    def constant(self) -> bool:
        return self.fixed and self.kind != _OWN

    def fix(self) -> object:
        if self.kind == _SHARED and self.value is None:
            raise _UnlikeError
        self.fixed = True
        return self.source.fix() if self.source is not None else self.value

    def builder(self) -> _Build:
        if self.fixed or self.kind == _BUFFER:  # a bytearray by itself is not data
            raise _UnlikeError
        return itemgetter(self.place)


class _Atom(_Node):
    """None, True or False."""

    def __init__(self, value: object) -> None:
        self.value = value

    def fix(self) -> object:
        return self.value

    def builder(self) -> _Build:
        return lambda found: self.value


class _Tuple(_Node):
    def __init__(self, items: list[_Node]) -> None:
        self.items = items

    def fix(self) -> tuple[object, ...]:
        return tuple([item.fix() for item in self.items])

    def integers(self) -> slice | None:
        """The places of its items, which are all integers; otherwise None."""
        kinds = {item.kind if isinstance(item, _Literal) and not item.fixed else -1 for item in self.items}
        return _places(self.items) if kinds == {_INT} else None

    def builder(self) -> _Build:
        places = _places(self.items)
        if places is not None:
            return lambda found: tuple(found[places])
        builders = [item.builder() for item in self.items]
        return lambda found: tuple([build(found) for build in builders])


class _List(_Node):
    def __init__(self) -> None:
        self.items: list[_Node] = []

    def builder(self) -> _Build:
        builders = [item.builder() for item in self.items]
        return lambda found: [build(found) for build in builders]


class _Dict(_Node):
    def __init__(self) -> None:
        self.keys: list[object] = []
        self.values: list[_Node] = []

    def add(self, keys: list[_Node], values: list[_Node]) -> None:
        self.keys += [key.fix() for key in keys]
        self.values += values

    def builder(self) -> _Build:
        keys = self.keys
        places = _places(self.values)
        if places is not None:
            return lambda found: dict(zip(keys, found[places], strict=True))
        items = [(key, value.builder()) for key, value in zip(keys, self.values, strict=True)]
        return lambda found: {key: build(found) for key, build in items}


class _Text(_Node):
    """Bytes that protocol 2 writes as text."""

    def __init__(self, text: _Node) -> None:
        if not (isinstance(text, _Literal) and text.kind == _TEXT):
            raise _UnlikeError
        self.text = text

    def builder(self) -> _Build:
        place = self.text.place
        return lambda found: found[place].encode("latin-1")


class _Dtype(_Node):
    def __init__(self, dtype: object) -> None:
        self.dtype = dtype

    def fix(self) -> object:
        return self.dtype


class _Unset(_Node):
    """An array that waits for its state."""


class _Array(_Node):
    def __init__(self, shape: _Node, dtype: _Node, order: Literal["C", "F"], data: _Node) -> None:
        self.dtype = _complete(_fixed_dtype(dtype))
        if self.dtype.kind == "U" or not isinstance(shape, _Tuple):
            raise _UnlikeError
        self.shape = shape
        self.order = order
        self.data = data

    def builder(self) -> _Build:
        places = self.shape.integers() if self.shape.items else slice(0, 0)
        if places is None:
            raise _UnlikeError
        return partial(_build_array, self.dtype, self.order, places, _data_builder(self.data))


class _Scalar(_Node):
    def __init__(self, make: Callable[[tuple[object, ...], int], object], dtype: _Node, data: _Node) -> None:
        self.make = make
        self.dtype = _fixed_dtype(dtype)
        _complete(self.dtype)
        self.data = data

    def builder(self) -> _Build:
        make, dtype, data = self.make, self.dtype, _data_builder(self.data)
        return lambda found: make((dtype, data(found)), 0)


def _build_array(
    dtype: np.dtype[Any], order: Literal["C", "F"], places: slice, data: _Build, found: _Literals
) -> NDArray[np.generic]:
    """The array whose lengths of axes are at these places. Raises ValueError if the machine would find a fault."""
    shape = found[places]
    raw = data(found)
    if dtype.itemsize * prod(shape) != len(raw):
        raise ValueError
    return np.ndarray(shape, dtype, raw, 0, None, order)


def _data_builder(data: _Node) -> _Build:
    if isinstance(data, _Literal) and data.kind in (_BYTES, _BUFFER) and not data.fixed:
        return itemgetter(data.place)
    if isinstance(data, _Text):
        return data.builder()
    raise _UnlikeError


def _fixed_dtype(node: _Node) -> PendingDtype:
    dtype = node.fix()
    if type(dtype) is not PendingDtype:
        raise _UnlikeError
    return dtype


def _complete(dtype: PendingDtype) -> np.dtype[np.generic]:
    if dtype.foreign or dtype.dtype is None:
        raise _UnlikeError
    return dtype.dtype


def _places(items: list[_Node]) -> slice | None:
    """The places of literals that are read one after another; None for other nodes."""
    places = [item.place if isinstance(item, _Literal) and item.kind != _BUFFER else -1 for item in items]
    if not places or places[0] < 0 or places != list(range(places[0], places[0] + len(places))):
        return None
    return slice(places[0], places[0] + len(places))


class _Learner:
    """Runs the opcodes of a value on nodes. ``slot`` and ``kept`` are as in ``learn``."""

    def __init__(self, slot: int, kept: dict[int, object]) -> None:
        self.slot = slot
        self.kept = kept
        self.stack: list[_Node] = []
        self.marks: list[int] = []
        self.memo: list[_Node] = []  # by slot, from the first one that the value sets

    def run(self, span: bytes) -> list[tuple[bytes, _Literal | None]]:
        """The opcodes with their arguments, without frames, and the literal that each of them is, if it is one."""
        opcodes: list[tuple[bytes, _Literal | None]] = []
        i = 0
        while i < len(span):
            op = span[i]
            if op in _ENDS and len(self.stack) == 1 and not self.marks:
                break
            if op == FRAME:
                i += 9
                continue
            stop = i + 1
            if op in _SLOT_SIZES:
                stop += _SLOT_SIZES[op]
            elif COUNTED[op]:
                stop += COUNTED[op] + int.from_bytes(span[stop : stop + COUNTED[op]], "little")
            elif FIXED[op]:
                stop = i + FIXED[op]
            opcode = span[i:stop]
            literal = None
            if stop > i + 1:
                literal = self._literal(op, opcode)
            else:
                self._run(op)
            opcodes.append((opcode, literal))
            if len(opcodes) > MAX_OPCODES:
                raise _UnlikeError
            i = stop
        return opcodes

    def _literal(self, op: int, opcode: bytes) -> _Literal:
        if op in _SLOT_SIZES:
            return self._of_slot(op, int.from_bytes(opcode[1:], "little") - self.slot)
        kind = _KINDS.get(op)
        if kind is None:
            raise _UnlikeError
        if kind == _INT:
            literal = _Literal(kind, int.from_bytes(opcode[1:], "little", signed=op == BININT))
        elif kind == _FLOAT:
            literal = _Literal(kind, _f64(opcode, 1)[0])
        else:
            data = opcode[1 + COUNTED[op] :]
            literal = _Literal(kind, data.decode("utf-8", "surrogatepass") if kind == _TEXT else data)
        self.stack.append(literal)
        return literal

    def _of_slot(self, op: int, own: int) -> _Literal:
        if op in (BINPUT, LONG_BINPUT):
            if own != len(self.memo):
                raise _UnlikeError
            self.memo.append(self.stack[-1])
            return _Literal(_PUT, own=own)
        literal = _Literal(_SHARED, self.kept.get(own + self.slot))
        if own >= 0:
            literal = _Literal(_OWN, own=own, source=self.memo[own])
        self.stack.append(literal)
        return literal

    def _run(self, op: int) -> None:
        stack = self.stack
        if op == MEMOIZE:
            self.memo.append(stack[-1])
        elif op == MARK:
            self.marks.append(len(stack))
        elif op in _ATOMS:
            stack.append(_Atom(_ATOMS[op]))
        elif op in _TUPLES or op == TUPLE:
            place = self.marks.pop() if op == TUPLE else len(stack) - _TUPLES[op]
            stack[place:] = [_Tuple(stack[place:])]
        elif op == EMPTY_DICT:
            stack.append(_Dict())
        elif op == EMPTY_LIST:
            stack.append(_List())
        elif op in (SETITEMS, SETITEM):
            place = self.marks.pop() if op == SETITEMS else len(stack) - 2
            target = stack[place - 1]
            if not isinstance(target, _Dict):
                raise _UnlikeError
            target.add(stack[place::2], stack[place + 1 :: 2])
            del stack[place:]
        elif op in (APPENDS, APPEND):
            place = self.marks.pop() if op == APPENDS else len(stack) - 1
            target = stack[place - 1]
            if not isinstance(target, _List):
                raise _UnlikeError
            target.items += stack[place:]
            del stack[place:]
        elif op == REDUCE:
            arguments = stack.pop()
            function = stack[-1].fix()
            if not isinstance(arguments, _Tuple) or type(function) is not Named:
                raise _UnlikeError
            stack[-1] = _call(function, arguments)
        elif op == BUILD:
            state = stack.pop()
            target = stack[-1]
            if isinstance(target, _Dtype) and isinstance(target.dtype, PendingDtype):
                target.dtype.build(state.fix(), 0)
            elif isinstance(target, _Unset) and isinstance(state, _Tuple) and len(state.items) == 5:
                stack[-1] = _array_of_state(*state.items)
            else:
                raise _UnlikeError
        else:
            raise _UnlikeError


def _call(function: Named, arguments: _Tuple) -> _Node:
    items = arguments.items
    if function.name in _RECONSTRUCT:
        arguments.fix()
        return _Unset()
    if function.name == "numpy.dtype":
        return _Dtype(function.make(arguments.fix(), 0))
    if function.name in _FROM_BUFFER and len(items) == 4:
        order = items[3].fix()
        if order not in ("C", "F"):
            raise _UnlikeError
        return _Array(items[2], items[1], "F" if order == "F" else "C", items[0])
    if function.name in _SCALAR and len(items) == 2:
        return _Scalar(function.make, items[0], items[1])
    if function.name == "_codecs.encode" and len(items) == 2 and items[1].fix() in _LATIN:
        return _Text(items[0])
    raise _UnlikeError


def _array_of_state(version: _Node, shape: _Node, dtype: _Node, fortran: _Node, data: _Node) -> _Array:
    version.fix()
    array = _Array(shape, dtype, "F" if fortran.fix() else "C", data)
    if not array.dtype.isnative:
        raise _UnlikeError
    return array


def learn(span: bytes, slot: int, kept: dict[int, object]) -> Template | None:
    """The template of the value in ``span``, which the machine has evaluated without a fault.

    None if templates do not support something in it. ``slot`` is the number of memo slots in use before the value,
    ``kept`` has the values of known slots.
    """
    learner = _Learner(slot, kept)
    try:
        opcodes = learner.run(span)
        count = 0
        for _, literal in opcodes:
            if literal is not None and not literal.constant and literal.kind != _PUT:
                literal.place = count
                count += 1
        (value,) = learner.stack
        names = _find_names(learner.memo)
        if any(literal is not None and literal.kind == _OWN and literal.own not in names for _, literal in opcodes):
            return None
        return Template(_join(opcodes), value.builder(), names, len(learner.memo))
    except (_UnlikeError, *_FAULTS):
        return None


def _find_names(memo: list[_Node]) -> dict[int, _Build]:
    """The functions that return the values of memo slots; not for slots that are seldom read."""
    names: dict[int, _Build] = {}
    for number, node in enumerate(memo):
        if isinstance(node, _Dtype) or (isinstance(node, _Literal) and node.constant):
            names[number] = partial(_constant, node.fix())
        elif isinstance(node, _Literal) and node.kind == _TEXT:
            names[number] = node.builder()
        elif isinstance(node, _Tuple) and node.integers() is not None:
            names[number] = node.builder()
    return names


def _constant(value: object, found: _Literals) -> object:
    return value


def _join(opcodes: list[tuple[bytes, _Literal | None]]) -> list[_Step]:
    """Join the opcodes that are constant bytes."""
    steps: list[_Step] = []
    constant = b""
    boundaries: list[int] = []
    for opcode, literal in [*opcodes, (b"", _Literal(_END))]:
        if literal is None or literal.constant:
            boundaries.append(len(constant))
            constant += opcode
        else:
            steps.append(_Step(constant, len(constant), frozenset(boundaries), literal.kind, literal.own))
            constant, boundaries = b"", []
    return steps
