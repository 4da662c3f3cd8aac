"""The second pass over a pickle: evaluates one part of it to a value.

This pickle machine handles only data: names that :mod:`converters.pickles.arrays` does not know become
:class:`Foreign`, and the result of any operation on a Foreign is a Foreign. The machine relies on the checks of the
whole file in :mod:`converters.pickles.index`.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from struct import Struct, error

from converters.pickles.arrays import Buffer, Foreign, PendingArray, PendingDtype
from converters.pickles.containers import CONTAINERS, Containers, all_plain, call, reduce, resolve_global
from converters.pickles.limits import Limits
from converters.pickles.opcodes import (
    ADDITEMS,
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
    DICT,
    EMPTY_DICT,
    EMPTY_LIST,
    EMPTY_SET,
    EMPTY_TUPLE,
    FRAME,
    FROZENSET,
    GET,
    GLOBAL,
    INST,
    LINE_LITERALS,
    LIST,
    LONG_BINGET,
    LONG_BINPUT,
    MARK,
    MEMOIZE,
    NEWFALSE,
    NEWOBJ,
    NEWOBJ_EX,
    NEWTRUE,
    NONE,
    OBJ,
    PROTO,
    PUT,
    REDUCE,
    SETITEM,
    SETITEMS,
    SHORT_BINBYTES,
    SHORT_BINUNICODE,
    STACK_GLOBAL,
    STOP,
    TUPLE,
    TUPLE1,
    TUPLE2,
    TUPLE3,
    PickleError,
    opcode_name,
    read_counted,
    read_name,
    read_slot,
)
from skelstore.wording import kind_of

_u16 = Struct("<H").unpack_from
_u32 = Struct("<I").unpack_from
_i32 = Struct("<i").unpack_from
_u64 = Struct("<Q").unpack_from
_f64 = Struct(">d").unpack_from

_BINARY_GETS = frozenset((BINGET, LONG_BINGET))
_BINARY_PUTS = frozenset((BINPUT, LONG_BINPUT))
_MISSING = object()
_STOPPED = object()
CHANGED = (IndexError, KeyError, ValueError, TypeError, AttributeError, OverflowError, error)
"""Exceptions that the machine raises if the bytes are not those that the first pass has read."""
_ATOMS = frozenset((str, bytes, int, float, bool))


class Evaluation:
    """One run of the machine.

    ``fetched`` are the memo slots that are read anywhere in the file, ascending, and ``odd`` those of them that are
    numbered out of sequence; no other slots are stored. ``kept`` has the values of known slots. ``resolve`` returns the
    value of any other slot that is set outside the part, given the offset where it is read. After the run, ``memo`` has
    the slots that were set or read, and ``shared`` is the number of bytes to which shared values expand. ``limits`` are
    those of the file.
    """

    __slots__ = ("_containers", "fetched", "kept", "memo", "odd", "resolve")

    def __init__(
        self,
        fetched: array[int],
        odd: dict[int, int],
        kept: dict[int, object],
        resolve: Callable[[int, int], object],
        limits: Limits,
    ) -> None:
        self.fetched = fetched
        self.odd = odd
        self.kept = kept
        self.resolve = resolve
        self.memo: dict[int, object] = {}
        self._containers = Containers(limits)

    @property
    def shared(self) -> int:
        return self._containers.shared

    def run(self, span: bytes, at: int, next_fetched: int, slot: int) -> object:
        """The value of ``span``, the bytes at offset ``at`` of the file.

        ``slot`` is the number of memo slots in use there, ``next_fetched`` the position in ``fetched`` of the first
        slot that may be set. Raises PickleError.
        """
        try:
            return self._containers.complete(self._run(span, at, next_fetched, slot), at)
        except CHANGED:
            # The first pass read these bytes without finding this fault.
            raise PickleError(at, "the file has changed since it was indexed, or is damaged") from None

    def peek(self, span: bytes, at: int, next_fetched: int, slot: int, until: int) -> bool:
        """Run until the slot before position ``until`` in ``fetched`` is set; return whether ``memo`` is valid then.

        ``span`` may be only the beginning of a value. ``memo`` is valid if that slot was set within ``span`` and no
        value in ``memo`` can be changed by what follows.
        """
        try:
            stopped = self._run(span, at, next_fetched, slot, until) is _STOPPED
        except (*CHANGED, PickleError):
            return False  # the span ends here, or evaluating the whole value will report a fault
        return stopped and all(map(_is_whole, self.memo.values()))

    def _run(self, buf: bytes, at: int, position: int, slot: int, until: int = -1) -> object:
        # One function with its state in local variables, since it runs for every opcode of a value. With a table of one
        # function per opcode, all annotations of an NTU-like pickle of 50 MB take 1.19 times as long (0.207 s of CPU
        # instead of 0.174 s), even if these functions share the state as a closure, created anew for each value.
        stack: list[object] = []
        marks: list[int] = []
        containers = self._containers
        memo = self.memo
        kept = self.kept.get
        odd = self.odd
        fetched = self.fetched
        wanted = fetched[position]
        push, pop = stack.append, stack.pop
        i = 0
        size = len(buf)
        try:
            while i < size:
                op = buf[i]
                i += 1
                if op == MEMOIZE:
                    if slot == wanted:
                        memo[slot] = stack[-1]
                        position += 1
                        if position == until:
                            return _STOPPED
                        wanted = fetched[position]
                    slot += 1
                elif op in _BINARY_GETS:
                    if op == BINGET:
                        number = buf[i]
                        i += 1
                    else:
                        number = _u32(buf, i)[0]
                        i += 4
                    value = kept(number, _MISSING)
                    if value is _MISSING:
                        value = self._fetch(number, at + i)
                    push(value)
                elif op == BININT1:
                    push(buf[i])
                    i += 1
                elif op == SHORT_BINUNICODE:
                    stop = i + 1 + buf[i]
                    push(buf[i + 1 : stop].decode("utf-8", "surrogatepass"))
                    i = stop
                elif op in _BINARY_PUTS:
                    if op == BINPUT:
                        number = buf[i]
                        i += 1
                    else:
                        number = _u32(buf, i)[0]
                        i += 4
                    if number == wanted:
                        memo[number] = stack[-1]
                        position += 1
                        if position == until:
                            return _STOPPED
                        wanted = fetched[position]
                    elif odd and number in odd:
                        memo[number] = stack[-1]
                    slot = number + 1  # for a following MEMOIZE
                elif op == MARK:
                    marks.append(len(stack))
                elif op == TUPLE:
                    place = marks.pop()
                    items = stack[place:]
                    del stack[place:]
                    push(tuple(items) if all_plain(map(type, items)) else containers.fold(items, at + i))
                    containers.nodes += len(items) + CONTAINER_WEIGHT
                elif op == TUPLE2:
                    items = stack[-2:]
                    del stack[-1]
                    stack[-1] = tuple(items) if all_plain(map(type, items)) else containers.fold(items, at + i)
                    containers.nodes += CONTAINER_WEIGHT
                elif op == BININT2:
                    push(_u16(buf, i)[0])
                    i += 2
                elif op == REDUCE:
                    args = pop()
                    containers.drop(args)
                    stack[-1] = reduce(stack[-1], args, at + i - 1)
                elif op == BUILD:
                    state = pop()
                    target = stack[-1]
                    if type(target) is PendingArray:
                        stack[-1] = target.build(state, at + i - 1)
                    elif type(target) is PendingDtype:
                        target.build(state, at + i - 1)
                    elif type(target) is not Foreign:
                        raise PickleError(at + i - 1, f"a state is set for {kind_of(target)}, which has none")
                    containers.drop(state)
                elif op == TUPLE3:
                    items = stack[-3:]
                    del stack[-2:]
                    stack[-1] = tuple(items) if all_plain(map(type, items)) else containers.fold(items, at + i)
                    containers.nodes += CONTAINER_WEIGHT
                elif op == NEWFALSE:
                    push(False)
                elif op == TUPLE1:
                    items = stack[-1:]
                    stack[-1] = tuple(items) if all_plain(map(type, items)) else containers.fold(items, at + i)
                    containers.nodes += CONTAINER_WEIGHT
                elif op == BINBYTES:
                    stop = i + 4 + _u32(buf, i)[0]
                    push(buf[i + 4 : stop])
                    i = stop
                elif op == BYTEARRAY8:
                    stop = i + 8 + _u64(buf, i)[0]
                    push(Buffer(buf[i + 8 : stop], at + i - 1))
                    i = stop
                elif op == BINUNICODE:
                    stop = i + 4 + _u32(buf, i)[0]
                    push(buf[i + 4 : stop].decode("utf-8", "surrogatepass"))
                    i = stop
                elif op == SHORT_BINBYTES:
                    stop = i + 1 + buf[i]
                    push(buf[i + 1 : stop])
                    i = stop
                elif op == EMPTY_DICT:
                    push({})
                    containers.nodes += CONTAINER_WEIGHT
                elif op == EMPTY_LIST:
                    push([])
                    containers.nodes += CONTAINER_WEIGHT
                elif op == SETITEMS:
                    if not marks:
                        break
                    place = marks.pop()
                    containers.set_items(stack[place - 1], stack[place::2], stack[place + 1 :: 2], at + i - 1)
                    del stack[place:]
                elif op == APPENDS:
                    if not marks:
                        break  # it appends this element to its list
                    place = marks.pop()
                    containers.append(stack[place - 1], stack[place:], at + i - 1)
                    del stack[place:]
                elif op == BINFLOAT:
                    push(_f64(buf, i)[0])
                    i += 8
                elif op == BININT:
                    push(_i32(buf, i)[0])
                    i += 4
                elif op == NONE:
                    push(None)
                elif op == NEWTRUE:
                    push(True)
                elif op == EMPTY_TUPLE:
                    push(())
                elif op == APPEND:
                    if len(stack) == 1:
                        break
                    containers.append(stack[-2], stack[-1:], at + i - 1)
                    pop()
                elif op == SETITEM:
                    if len(stack) == 1:
                        break
                    containers.set_items(stack[-3], stack[-2:-1], stack[-1:], at + i - 1)
                    del stack[-2:]
                elif op == FRAME:
                    i += 8
                elif op == STOP:
                    break
                elif op == PROTO:
                    i += 1
                elif op == PUT:
                    stop = buf.index(b"\n", i)
                    number = read_slot(buf[i:stop], at + i)
                    i = stop + 1
                    if number == wanted:
                        memo[number] = stack[-1]
                        position += 1
                        if position == until:
                            return _STOPPED
                        wanted = fetched[position]
                    elif odd and number in odd:
                        memo[number] = stack[-1]
                    slot = number + 1  # for a following MEMOIZE
                elif op == GET:
                    stop = buf.index(b"\n", i)
                    number = read_slot(buf[i:stop], at + i)
                    i = stop + 1
                    value = kept(number, _MISSING)
                    push(self._fetch(number, at + i) if value is _MISSING else value)
                elif COUNTED[op]:
                    start = i + COUNTED[op]
                    stop = start + int.from_bytes(buf[i:start], "little")
                    push(read_counted(op, buf[start:stop], at + i - 1))
                    i = stop
                elif op in LINE_LITERALS:
                    stop = buf.index(b"\n", i)
                    push(LINE_LITERALS[op](buf[i:stop], at + i - 1))
                    i = stop + 1
                elif op in (GLOBAL, INST):
                    stop = buf.index(b"\n", i)
                    end = buf.index(b"\n", stop + 1)
                    name = f"{read_name(buf[i:stop], at + i)}.{read_name(buf[stop + 1 : end], at + i)}"
                    start = at + i - 1
                    i = end + 1
                    if op == INST:
                        del stack[marks.pop() :]
                        push(Foreign(name, start))
                    else:
                        push(resolve_global(name, start))
                elif op == STACK_GLOBAL:
                    module, name_ = stack[-2:]
                    if type(module) is not str or type(name_) is not str:
                        raise PickleError(at + i - 1, "a global was found whose name is not text; the file is damaged")
                    pop()
                    stack[-1] = resolve_global(f"{module}.{name_}", at + i - 1)
                elif op in (LIST, DICT):
                    if not marks:
                        break
                    place = marks.pop()
                    items = stack[place:]
                    del stack[place:]
                    containers.nodes += CONTAINER_WEIGHT
                    if op == LIST:
                        push([])
                        containers.append(stack[-1], items, at + i - 1)
                    else:
                        push({})
                        containers.set_items(stack[-1], items[::2], items[1::2], at + i - 1)
                elif op == EMPTY_SET:
                    push(Foreign("builtins.set", at + i - 1))
                elif op == FROZENSET:
                    del stack[marks.pop() :]
                    push(Foreign("builtins.frozenset", at + i - 1))
                elif op == ADDITEMS:
                    place = marks.pop()
                    del stack[place:]
                    if type(stack[-1]) is not Foreign:
                        raise PickleError(at + i - 1, f"items are added to {kind_of(stack[-1])}, expected a set")
                elif op in (NEWOBJ, NEWOBJ_EX, OBJ):
                    place = marks.pop() if op == OBJ else len(stack) - (2 if op == NEWOBJ else 3)
                    stack[place] = call(stack[place], at + i - 1)
                    del stack[place + 1 :]
                else:
                    raise PickleError(
                        at + i - 1, f"opcode {opcode_name(op)} was found where the first pass found another one"
                    )
        except UnicodeDecodeError:
            raise PickleError(at + i - 1, "text that is not UTF-8 was found; the file is damaged") from None
        if len(stack) != 1 or marks:
            raise IndexError
        return stack[0]

    def _fetch(self, slot: int, offset: int) -> object:
        value = self.memo.get(slot, _MISSING)
        if value is _MISSING:
            value = self.memo[slot] = self.resolve(slot, offset)
        if type(value) is PendingArray:
            if value.array is None:
                raise PickleError(offset, "an array is used before it is complete; the file is damaged")
            value = value.array
        if type(value) in CONTAINERS:
            self._containers.share(value, offset)
        else:
            self._containers.repeat(value, offset)
        return value


def _is_whole(value: object) -> bool:
    """Whether a value was complete when it was put into the memo, which lists and arrays are not."""
    return type(value) in _ATOMS or (type(value) is tuple and _ATOMS.issuperset(map(type, value)))
