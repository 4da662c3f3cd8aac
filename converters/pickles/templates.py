"""Making templates from the values of a file, and trying them on other values."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from functools import partial
from math import prod
from operator import itemgetter
from struct import unpack_from
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from converters.pickles.arrays import Named, PendingArray, PendingDtype
from converters.pickles.limits import Limits
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
    COUNTED,
    EMPTY_DICT,
    EMPTY_LIST,
    EMPTY_TUPLE,
    FIXED,
    FRAME,
    LONG_BINGET,
    LONG_BINPUT,
    MARK,
    MAX_DEPTH,
    MEMOIZE,
    NEWFALSE,
    NEWTRUE,
    NONE,
    REDUCE,
    SETITEM,
    SETITEMS,
    SHORT_BINBYTES,
    SHORT_BINUNICODE,
    TUPLE,
    TUPLE1,
    TUPLE2,
    TUPLE3,
)
from converters.pickles.template import (
    BUFFER,
    DATA,
    END,
    ENDS,
    FAULTS,
    INTEGER,
    OWN,
    REAL,
    SHARED,
    SLOT,
    TEXT,
    Build,
    Literals,
    Result,
    Step,
    Template,
)

MAX_ATTEMPTS = 16
"""Maximum number of values per file from which a template is made."""
MAX_OPCODES = 1000
"""Maximum number of opcodes of a template, which cannot exceed MIN_NODES values, whatever is shared."""
MAX_FIXED = 256
"""Maximum size in bytes, with its opcode, of a literal that becomes a part of the constant bytes."""
FIRST_CREDIT = 16
MAX_CREDIT = 256
"""A file begins with FIRST_CREDIT. A value that a template fits adds one, up to MAX_CREDIT; another value takes one. At
zero, no more templates are tried: the values of the file are not alike."""

_KINDS = {
    BININT1: INTEGER, BININT2: INTEGER, BININT: INTEGER, BINFLOAT: REAL,
    SHORT_BINUNICODE: TEXT, BINUNICODE: TEXT, SHORT_BINBYTES: DATA, BINBYTES: DATA, BYTEARRAY8: BUFFER,
}  # fmt: skip
_SLOT_SIZES = {BINGET: 1, LONG_BINGET: 4, BINPUT: 1, LONG_BINPUT: 4}
_ATOMS = {NONE: None, NEWTRUE: True, NEWFALSE: False}
_TUPLES = {EMPTY_TUPLE: 0, TUPLE1: 1, TUPLE2: 2, TUPLE3: 3}

_RECONSTRUCT = frozenset(("numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct"))
_FROM_BUFFER = frozenset(("numpy.core.numeric._frombuffer", "numpy._core.numeric._frombuffer"))
_SCALAR = frozenset(("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar"))
_LATIN = frozenset(("latin1", "latin-1"))


class Templates:
    """The templates of a file, which has this ``memo`` and these ``limits``."""

    __slots__ = ("_attempts", "_credit", "_memo", "_most_shared", "_templates")

    def __init__(self, memo: Memo, limits: Limits) -> None:
        self._memo = memo
        self._most_shared = limits.shared
        self._templates: list[Template] = []
        self._attempts = MAX_ATTEMPTS
        self._credit = FIRST_CREDIT

    def read(self, span: bytes, fetched: array[int], position: int, slot: int) -> Result | None:
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


# Each value on the stack of the machine is a node; ``builder`` returns the function that builds it.


class _UnlikeError(Exception):
    """The value has something that templates do not support."""


class _Node:
    def builder(self) -> Build:
        raise _UnlikeError

    def fix(self) -> object:
        """Have the same value in all values that fit; return it."""
        raise _UnlikeError


class _Literal(_Node):
    """A literal, with its ``place`` among those that are read.

    One that is ``fixed`` becomes a part of the constant bytes. For kind OWN, whose bytes differ, its ``source``, the
    node in the memo, does.
    """

    def __init__(self, kind: int, value: object = None, own: int = 0, source: _Node | None = None) -> None:
        self.kind = kind
        self.value = value
        self.own = own
        self.source = source
        self.fixed = kind == SHARED and value is not None and type(value) is not str
        self.place = -1

    @property
    def constant(self) -> bool:
        return self.fixed and self.kind != OWN

    def fix(self) -> object:
        if self.value is None and self.source is None:  # not known, or long
            raise _UnlikeError
        self.fixed = True
        return self.source.fix() if self.source is not None else self.value

    @property
    def plain(self) -> bool:
        """Whether it is read, and is data by itself."""
        if self.fixed or self.kind == BUFFER:
            return False
        source = self.source
        return source is None or isinstance(source, _Tuple) or (isinstance(source, _Literal) and source.kind == TEXT)

    def builder(self) -> Build:
        if not self.plain:
            raise _UnlikeError
        return itemgetter(self.place)


class _Atom(_Node):
    """None, True or False."""

    def __init__(self, value: object) -> None:
        self.value = value

    def fix(self) -> object:
        return self.value

    def builder(self) -> Build:
        return lambda found: self.value


class _Tuple(_Node):
    def __init__(self, items: list[_Node]) -> None:
        self.items = items

    def fix(self) -> tuple[object, ...]:
        return tuple([item.fix() for item in self.items])

    def integers(self) -> slice | None:
        """The places of its items, which are all integers; otherwise None."""
        kinds = {item.kind if isinstance(item, _Literal) and not item.fixed else -1 for item in self.items}
        return _places(self.items) if kinds == {INTEGER} else None

    def builder(self) -> Build:
        places = _places(self.items)
        if places is not None:
            return lambda found: tuple(found[places])
        builders = [item.builder() for item in self.items]
        return lambda found: tuple([build(found) for build in builders])


class _List(_Node):
    def __init__(self) -> None:
        self.items: list[_Node] = []

    def builder(self) -> Build:
        builders = [item.builder() for item in self.items]
        return lambda found: [build(found) for build in builders]


class _Dict(_Node):
    def __init__(self) -> None:
        self.keys: list[object] = []
        self.values: list[_Node] = []

    def add(self, keys: list[_Node], values: list[_Node]) -> None:
        self.keys += [key.fix() for key in keys]
        self.values += values

    def builder(self) -> Build:
        keys = self.keys
        places = _places(self.values)
        if places is not None:
            return lambda found: dict(zip(keys, found[places], strict=True))
        items = [(key, value.builder()) for key, value in zip(keys, self.values, strict=True)]
        return lambda found: {key: build(found) for key, build in items}


class _Text(_Node):
    """Bytes that protocol 2 writes as text."""

    def __init__(self, text: _Node) -> None:
        if not (isinstance(text, _Literal) and text.kind == TEXT):
            raise _UnlikeError
        self.text = text

    def builder(self) -> Build:
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

    def builder(self) -> Build:
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

    def builder(self) -> Build:
        make, dtype, data = self.make, self.dtype, _data_builder(self.data)
        return lambda found: make((dtype, data(found)), 0)


def _build_array(
    dtype: np.dtype[Any], order: Literal["C", "F"], places: slice, data: Build, found: Literals
) -> NDArray[np.generic]:
    """The array whose lengths of axes are at these places. Raises ValueError if the machine would find a fault."""
    shape = found[places]
    raw = data(found)
    if dtype.itemsize * prod(shape) != len(raw):
        raise ValueError
    return np.ndarray(shape, dtype, raw, 0, None, order)


def _data_builder(data: _Node) -> Build:
    if isinstance(data, _Literal) and data.kind in (DATA, BUFFER) and not data.fixed:
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
    places = [item.place if isinstance(item, _Literal) and item.plain else -1 for item in items]
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
        """The opcodes with their arguments, without frames, and the literal that each of them is, if it is one.

        Opcodes longer than MAX_FIXED, which are never constant bytes, are left empty.
        """
        opcodes: list[tuple[bytes, _Literal | None]] = []
        i = 0
        while i < len(span):
            op = span[i]
            if op in ENDS and len(self.stack) == 1 and not self.marks:
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
            opcode = span[i:stop] if stop - i <= MAX_FIXED else b""
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
        if not opcode:
            literal = _Literal(kind)
        elif kind == INTEGER:
            literal = _Literal(kind, int.from_bytes(opcode[1:], "little", signed=op == BININT))
        elif kind == REAL:
            literal = _Literal(kind, unpack_from(">d", opcode, 1)[0])
        else:
            data = opcode[1 + COUNTED[op] :]
            literal = _Literal(kind, data.decode("utf-8", "surrogatepass") if kind == TEXT else data)
        self.stack.append(literal)
        return literal

    def _of_slot(self, op: int, own: int) -> _Literal:
        if op in (BINPUT, LONG_BINPUT):
            if own != len(self.memo):
                raise _UnlikeError
            self.memo.append(self.stack[-1])
            return _Literal(SLOT, own=own)
        literal = _Literal(SHARED, self.kept.get(own + self.slot))
        if own >= 0:
            literal = _Literal(OWN, own=own, source=self.memo[own])
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
        if type(function.make(arguments.fix(), 0)) is not PendingArray:  # of another class, which the machine refuses
            raise _UnlikeError
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
            if literal is not None and not literal.constant and literal.kind != SLOT:
                literal.place = count
                count += 1
        (value,) = learner.stack
        if _depth(value) > MAX_DEPTH:
            return None
        names = _find_names(learner.memo)
        if any(literal is not None and literal.kind == OWN and literal.own not in names for _, literal in opcodes):
            return None
        return Template(_join(opcodes), value.builder(), names, len(learner.memo))
    except (_UnlikeError, *FAULTS):
        return None


def _depth(value: _Node) -> int:
    """The nesting of containers of a value, if each of its literals were a tuple, as shared ones may be."""
    items: list[_Node] = []
    if isinstance(value, (_Tuple, _List)):
        items = value.items
    elif isinstance(value, _Dict):
        items = value.values
    return 1 + max(map(_depth, items), default=0)


def _find_names(memo: list[_Node]) -> dict[int, Build]:
    """The functions that return the values of memo slots; not for slots that are seldom read."""
    names: dict[int, Build] = {}
    for number, node in enumerate(memo):
        if isinstance(node, _Dtype) or (isinstance(node, _Literal) and node.constant):
            names[number] = partial(_constant, node.fix())
        elif _is_name(node):
            names[number] = node.builder()
    return names


def _is_name(node: _Node) -> bool:
    """Whether a node is a text, or a tuple of integers such as a shape, which annotations share."""
    if isinstance(node, _Literal):
        return node.kind == TEXT
    return isinstance(node, _Tuple) and node.integers() is not None


def _constant(value: object, found: Literals) -> object:
    return value


def _join(opcodes: list[tuple[bytes, _Literal | None]]) -> list[Step]:
    """Join the opcodes that are constant bytes."""
    steps: list[Step] = []
    constant = b""
    boundaries: list[int] = []
    for opcode, literal in [*opcodes, (b"", _Literal(END))]:
        if literal is None or literal.constant:
            boundaries.append(len(constant))
            constant += opcode
        else:
            steps.append(Step(constant, len(constant), tuple(boundaries), literal.kind, literal.own))
            constant, boundaries = b"", []
    return steps
