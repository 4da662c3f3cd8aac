"""Making templates from the values of a file, and trying them on other values."""

from __future__ import annotations

from array import array
from functools import partial
from struct import unpack_from

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
from converters.pickles.template_nodes import (
    ArrayNode,
    AtomNode,
    DictNode,
    DtypeNode,
    ListNode,
    LiteralNode,
    Node,
    ScalarNode,
    TextNode,
    TupleNode,
    UnlikeError,
    UnsetNode,
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


class _Learner:
    """Runs the opcodes of a value on nodes. ``slot`` and ``kept`` are as in ``learn``."""

    def __init__(self, slot: int, kept: dict[int, object]) -> None:
        self.slot = slot
        self.kept = kept
        self.stack: list[Node] = []
        self.marks: list[int] = []
        self.memo: list[Node] = []  # by slot, from the first one that the value sets

    def run(self, span: bytes) -> list[tuple[bytes, LiteralNode | None]]:
        """The opcodes with their arguments, without frames, and the literal that each of them is, if it is one.

        Opcodes longer than MAX_FIXED, which are never constant bytes, are left empty.
        """
        opcodes: list[tuple[bytes, LiteralNode | None]] = []
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
                raise UnlikeError
            i = stop
        return opcodes

    def _literal(self, op: int, opcode: bytes) -> LiteralNode:
        if op in _SLOT_SIZES:
            return self._of_slot(op, int.from_bytes(opcode[1:], "little") - self.slot)
        kind = _KINDS.get(op)
        if kind is None:
            raise UnlikeError
        if not opcode:
            literal = LiteralNode(kind)
        elif kind == INTEGER:
            literal = LiteralNode(kind, int.from_bytes(opcode[1:], "little", signed=op == BININT))
        elif kind == REAL:
            literal = LiteralNode(kind, unpack_from(">d", opcode, 1)[0])
        else:
            data = opcode[1 + COUNTED[op] :]
            literal = LiteralNode(kind, data.decode("utf-8", "surrogatepass") if kind == TEXT else data)
        self.stack.append(literal)
        return literal

    def _of_slot(self, op: int, own: int) -> LiteralNode:
        if op in (BINPUT, LONG_BINPUT):
            if own != len(self.memo):
                raise UnlikeError
            self.memo.append(self.stack[-1])
            return LiteralNode(SLOT, own=own)
        literal = LiteralNode(SHARED, self.kept.get(own + self.slot))
        if own >= 0:
            literal = LiteralNode(OWN, own=own, source=self.memo[own])
        self.stack.append(literal)
        return literal

    def _run(self, op: int) -> None:
        stack = self.stack
        if op == MEMOIZE:
            self.memo.append(stack[-1])
        elif op == MARK:
            self.marks.append(len(stack))
        elif op in _ATOMS:
            stack.append(AtomNode(_ATOMS[op]))
        elif op in _TUPLES or op == TUPLE:
            place = self.marks.pop() if op == TUPLE else len(stack) - _TUPLES[op]
            stack[place:] = [TupleNode(stack[place:])]
        elif op == EMPTY_DICT:
            stack.append(DictNode())
        elif op == EMPTY_LIST:
            stack.append(ListNode())
        elif op in (SETITEMS, SETITEM):
            place = self.marks.pop() if op == SETITEMS else len(stack) - 2
            target = stack[place - 1]
            if not isinstance(target, DictNode):
                raise UnlikeError
            target.add(stack[place::2], stack[place + 1 :: 2])
            del stack[place:]
        elif op in (APPENDS, APPEND):
            place = self.marks.pop() if op == APPENDS else len(stack) - 1
            target = stack[place - 1]
            if not isinstance(target, ListNode):
                raise UnlikeError
            target.items += stack[place:]
            del stack[place:]
        elif op == REDUCE:
            arguments = stack.pop()
            function = stack[-1].fix()
            if not isinstance(arguments, TupleNode) or type(function) is not Named:
                raise UnlikeError
            stack[-1] = _call(function, arguments)
        elif op == BUILD:
            state = stack.pop()
            target = stack[-1]
            if isinstance(target, DtypeNode) and isinstance(target.dtype, PendingDtype):
                target.dtype.build(state.fix(), 0)
            elif isinstance(target, UnsetNode) and isinstance(state, TupleNode) and len(state.items) == 5:
                stack[-1] = _array_of_state(*state.items)
            else:
                raise UnlikeError
        else:
            raise UnlikeError


def _call(function: Named, arguments: TupleNode) -> Node:
    items = arguments.items
    if function.name in _RECONSTRUCT:
        if type(function.make(arguments.fix(), 0)) is not PendingArray:  # of another class, which the machine refuses
            raise UnlikeError
        return UnsetNode()
    if function.name == "numpy.dtype":
        return DtypeNode(function.make(arguments.fix(), 0))
    if function.name in _FROM_BUFFER and len(items) == 4:
        order = items[3].fix()
        if order not in ("C", "F"):
            raise UnlikeError
        return ArrayNode(items[2], items[1], "F" if order == "F" else "C", items[0])
    if function.name in _SCALAR and len(items) == 2:
        return ScalarNode(function.make, items[0], items[1])
    if function.name == "_codecs.encode" and len(items) == 2 and items[1].fix() in _LATIN:
        return TextNode(items[0])
    raise UnlikeError


def _array_of_state(version: Node, shape: Node, dtype: Node, fortran: Node, data: Node) -> ArrayNode:
    version.fix()
    array = ArrayNode(shape, dtype, "F" if fortran.fix() else "C", data)
    if not array.dtype.isnative:
        raise UnlikeError
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
    except (UnlikeError, *FAULTS):
        return None


def _depth(value: Node) -> int:
    """The nesting of containers of a value, if each of its literals were a tuple, as shared ones may be."""
    items: list[Node] = []
    if isinstance(value, (TupleNode, ListNode)):
        items = value.items
    elif isinstance(value, DictNode):
        items = value.values
    return 1 + max(map(_depth, items), default=0)


def _find_names(memo: list[Node]) -> dict[int, Build]:
    """The functions that return the values of memo slots; not for slots that are seldom read."""
    names: dict[int, Build] = {}
    for number, node in enumerate(memo):
        if isinstance(node, DtypeNode) or (isinstance(node, LiteralNode) and node.constant):
            names[number] = partial(_constant, node.fix())
        elif _is_name(node):
            names[number] = node.builder()
    return names


def _is_name(node: Node) -> bool:
    """Whether a node is a text, or a tuple of integers such as a shape, which annotations share."""
    if isinstance(node, LiteralNode):
        return node.kind == TEXT
    return isinstance(node, TupleNode) and node.integers() is not None


def _constant(value: object, found: Literals) -> object:
    return value


def _join(opcodes: list[tuple[bytes, LiteralNode | None]]) -> list[Step]:
    """Join the opcodes that are constant bytes."""
    steps: list[Step] = []
    constant = b""
    boundaries: list[int] = []
    for opcode, literal in [*opcodes, (b"", LiteralNode(END))]:
        if literal is None or literal.constant:
            boundaries.append(len(constant))
            constant += opcode
        else:
            steps.append(Step(constant, len(constant), tuple(boundaries), literal.kind, literal.own))
            constant, boundaries = b"", []
    return steps
