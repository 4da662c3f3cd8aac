"""The first pass over a pickle: finds the offsets of its keys, values and elements without building them.

The file is read once through a small window. The stack of the pickle machine is tracked as offsets only, so the memory
does not depend on the values. Large payloads are skipped.

The pass also checks, for the whole file, what allows evaluating a part of the file alone: a value that was read from
the memo is never changed, values are removed from the stack only to build another value, and no opcode reaches below
the topmost mark. So a value is determined by the bytes from its first opcode to the first opcode of the next value.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from struct import Struct, error

from converters.pickles.opcodes import (
    ADDITEMS,
    APPEND,
    APPENDS,
    BINGET,
    BINPUT,
    BUILD,
    COUNTED,
    DICT,
    EMPTY_DICT,
    EMPTY_LIST,
    FIXED,
    FOLDS,
    FRAME,
    FROZENSET,
    GET,
    GLOBAL,
    INST,
    LIST,
    LONG4,
    LONG_BINGET,
    LONG_BINPUT,
    MARK,
    MAX_INTEGER_BYTES,
    MAX_STACK,
    MEMO_WRITES,
    MEMOIZE,
    OBJ,
    PROTO,
    PUT,
    REFUSED,
    SETITEM,
    SETITEMS,
    SHORT_BINUNICODE,
    STOP,
    TEXT_VALUES,
    TUPLE,
    PickleError,
    check_beginning,
    opcode_name,
)
from converters.pickles.spans import WINDOW, Index, IndexBuilder, Spans
from skelstore.wording import counted

MARGIN = 32
"""More bytes than any opcode reads from the window without checking whether they are there."""

_BINARY_GETS = frozenset((BINGET, LONG_BINGET))
_BINARY_PUTS = frozenset((BINPUT, LONG_BINPUT))
_TO_MARK = frozenset((TUPLE, LIST, DICT, FROZENSET, OBJ, INST))
_INTO_CONTAINER = frozenset((SETITEMS, APPENDS, ADDITEMS))

_u32 = Struct("<I").unpack_from
_u64 = Struct("<Q").unpack_from


def read_indexes(fd: int, size: int) -> Iterator[Index]:
    """Read the pickle in the file ``fd`` of ``size`` bytes once.

    Yields an incomplete index repeatedly while the elements of a long list are read, and the whole index at the end.
    Raises PickleError if the file is not a pickle or is cut short.
    """
    check_beginning(os.pread(fd, 512, 0))
    try:
        yield from _read_indexes(IndexBuilder(fd, size))
    except (IndexError, error):
        # A window that ends before the file has a margin that every opcode fits into, so the file ends here.
        raise PickleError(size, "the file ends inside a value; it is cut short, so fetch it again") from None
    except ValueError:
        raise PickleError(size, "the file has changed while it was read; wait until it is complete") from None


def _read_indexes(builder: IndexBuilder) -> Iterator[Index]:
    # One function with its state in local variables, since it runs for every opcode of the file. With a table of one
    # function per opcode, the first pass over an NTU-like pickle of 50 MB takes 1.25 times as long (0.112 s of CPU
    # instead of 0.089 s), even if these functions share the state as a closure; attributes are slower still.
    fd, size = builder.fd, builder.size
    stack: list[int] = []  # the offset of each value; inverted (negative) if it was read from the memo
    slots: list[int] = []  # for each value, the number of memo slots in use at its start
    marks: list[int] = []  # heights of the stack
    mark_offsets: list[int] = []
    fence = 0  # the last of the marks
    push, push_slot = stack.append, slots.append

    slot = least = 0  # slots from least up to slot are set, and those in odd
    odd = builder.odd
    known: set[int] = set()  # some of the slots that are recorded as read
    memoize = -1  # the opcode MEMOIZE from protocol 4 on

    root_dict: Spans | None = None
    listed: Spans | None = None  # the list whose elements are recorded
    listed_top = -1  # the height of the stack above it

    buf = b""
    base = i = high = 0  # offset of the window, position in it, and position from which on it must be checked
    frame_stop = size + 1
    while True:
        if i >= high:
            at = base + i
            if at >= size:
                raise PickleError(size, "the file ends without a STOP opcode; it is cut short, so fetch it again")
            if at >= frame_stop:
                if at > frame_stop:
                    raise PickleError(frame_stop, "an opcode extends beyond its frame; the file is damaged")
                frame_stop = size + 1
            if i >= len(buf) - MARGIN:
                if len(stack) > MAX_STACK or len(marks) > MAX_STACK:
                    raise PickleError(
                        at, f"more than {MAX_STACK} values are on the stack, expected a list of annotations"
                    )
                buf, base, i = os.pread(fd, WINDOW, at), at, 0
            high = min(len(buf) if base + len(buf) >= size else len(buf) - MARGIN, frame_stop - base)
            if i >= high and not (i == 0 and buf):
                raise PickleError(base + i, "the file became shorter while it was read; fetch it again")

        op = buf[i]
        if op == memoize:
            slot += 1
            i += 1
        elif length := FIXED[op]:
            push(base + i)
            push_slot(slot)
            i += length
        elif op in _BINARY_GETS:
            if op == BINGET:
                number, length = buf[i + 1], 2
            else:
                number, length = _u32(buf, i + 1)[0], 5
            if number not in known:
                builder.fetch(number, slot, least, base + i)
                if len(known) < 4096:
                    known.add(number)
            push(~(base + i))
            push_slot(slot)
            i += length
        elif op == SHORT_BINUNICODE:
            push(base + i)
            push_slot(slot)
            i += 2 + buf[i + 1]
        elif op in _BINARY_PUTS:
            if op == BINPUT:
                number, length = buf[i + 1], 2
            else:
                number, length = _u32(buf, i + 1)[0], 5
            if number == slot and number not in odd:
                slot += 1
            elif number == 1 and slot == 0 and memoize < 0 and not odd:
                slot, least = 2, 1  # Python 2's cPickle counts from one
            else:
                builder.put(number, slot, memoize >= 0, base + i)
            i += length
        elif length := FOLDS[op]:
            if len(stack) - length < fence:
                raise PickleError(base + i, f"opcode {opcode_name(op)} finds too few values; the file is damaged")
            if length > 1:
                del stack[1 - length :], slots[1 - length :]
            if stack[-1] < 0:
                stack[-1] = ~stack[-1]
            i += 1
        elif op == MARK:
            following = buf[i + 1]
            if following == FRAME and base + i + 10 < size:
                following = buf[i + 10]
            if following in MEMO_WRITES:
                raise PickleError(base + i, "a mark is put into the memo, expected a value; the file is damaged")
            fence = len(stack)
            marks.append(fence)
            mark_offsets.append(base + i)
            i += 1
        elif op in _TO_MARK:
            if not marks:
                raise PickleError(base + i, f"opcode {opcode_name(op)} finds no mark; the file is damaged")
            place, start = marks.pop(), mark_offsets.pop()
            fence = marks[-1] if marks else 0
            if op in (LIST, DICT):
                items, item_slots = stack[place:], slots[place:]
            if len(stack) > place:
                del stack[place + 1 :], slots[place + 1 :]
                stack[place] = start
            else:
                push(start)
                push_slot(slot)
            if op == LIST:
                spans = None
                if not place and not marks:
                    spans = builder.open_list(start, None)
                elif root_dict is not None and _is_value(place, marks):
                    spans = builder.open_list(start, root_dict)
                if spans is not None:
                    listed, listed_top = spans, place + 1
                    if items:
                        builder.fill(spans, base + i, items, item_slots)
            elif op == DICT:
                if len(items) % 2:
                    raise PickleError(base + i, "a key without a value was found; the file is damaged")
                if not place and not marks:
                    root_dict = builder.open_dict(start)
                    if items:
                        builder.fill(root_dict, base + i, items, item_slots)
            i += 1
            if op == INST:
                i = _line(builder, buf, _line(builder, buf, i, base), base)
        elif op == BUILD:
            if len(stack) - 2 < fence:
                raise PickleError(base + i, "opcode BUILD finds too few values; the file is damaged")
            if stack[-2] < 0:
                raise _changed(base + i)
            del stack[-1], slots[-1]
            i += 1
        elif op in _INTO_CONTAINER:
            if not marks:
                raise PickleError(base + i, f"opcode {opcode_name(op)} finds no mark; the file is damaged")
            place, start = marks.pop(), mark_offsets.pop()
            fence = marks[-1] if marks else 0
            if place - 1 < fence:
                raise PickleError(base + i, f"opcode {opcode_name(op)} finds no container; the file is damaged")
            target = stack[place - 1]
            if target < 0:
                raise _changed(base + i)
            if op == SETITEMS:
                if (len(stack) - place) % 2:
                    raise PickleError(base + i, "a key without a value was found; the file is damaged")
                if place == 1 and root_dict is not None:
                    # The pickle module in C adds an empty batch to a dict of a multiple of 1,000 items.
                    count = len(root_dict)
                    builder.extend(root_dict, start, base + i, stack[1:], slots[1:])
                    builder.find_lists(root_dict, count, stack[1:])
                    listed_top = -1
            elif op == APPENDS and len(stack) > place == listed_top and listed is not None and target == listed.start:
                builder.extend(listed, start, base + i, stack[place:], slots[place:])
                if base + i >= builder.due:
                    index = builder.partial_index(
                        listed, base + i, mark_offsets, stack[1:listed_top], slots[1:listed_top]
                    )
                    if index is not None:
                        yield index
            del stack[place:], slots[place:]
            i += 1
        elif op == EMPTY_DICT:
            if not stack and not marks:
                root_dict = builder.open_dict(base + i)
            push(base + i)
            push_slot(slot)
            i += 1
        elif op == EMPTY_LIST:
            place = len(stack)
            if place == 0 and not marks:
                listed, listed_top = builder.open_list(base + i, None), 1
            elif root_dict is not None and _is_value(place, marks):
                listed, listed_top = builder.open_list(base + i, root_dict), place + 1
            push(base + i)
            push_slot(slot)
            i += 1
        elif width := COUNTED[op]:
            if width == 1:
                length = buf[i + 1]
            elif width == 4:
                length = _u32(buf, i + 1)[0]
            else:
                length = _u64(buf, i + 1)[0]
            if length > size - base - i - 1 - width:
                raise PickleError(
                    base + i,
                    f"a value of {counted(length, 'byte')} is declared, but the file has only "
                    f"{size - base - i - 1 - width:,} more; it is cut short or damaged, so fetch it again",
                )
            if op == LONG4 and length > MAX_INTEGER_BYTES:
                raise PickleError(
                    base + i, f"an integer of {length} bytes was found, expected at most {MAX_INTEGER_BYTES}"
                )
            push(base + i)
            push_slot(slot)
            i += 1 + width + length
        elif op == APPEND:
            if len(stack) - 2 < fence:
                raise PickleError(base + i, "opcode APPEND finds too few values; the file is damaged")
            if stack[-2] < 0:
                raise _changed(base + i)
            if len(stack) - 1 == listed_top and listed is not None and stack[-2] == listed.start:
                start = stack[-1]
                builder.extend(listed, start if start >= 0 else ~start, base + i, stack[-1:], slots[-1:])
                if base + i >= builder.due:
                    index = builder.partial_index(
                        listed, base + i, mark_offsets, stack[1:listed_top], slots[1:listed_top]
                    )
                    if index is not None:
                        yield index
            del stack[-1], slots[-1]
            i += 1
        elif op == SETITEM:
            if len(stack) - 3 < fence:
                raise PickleError(base + i, "opcode SETITEM finds too few values; the file is damaged")
            if stack[-3] < 0:
                raise _changed(base + i)
            if len(stack) == 3 and root_dict is not None and not marks:
                start, count = stack[1], len(root_dict)
                builder.extend(root_dict, start if start >= 0 else ~start, base + i, stack[1:], slots[1:])
                builder.find_lists(root_dict, count, stack[1:])
                listed_top = -1
            del stack[-2:], slots[-2:]
            i += 1
        elif op in TEXT_VALUES:
            push(base + i)
            push_slot(slot)
            i = _line(builder, buf, i + 1, base)
        elif op == GLOBAL:
            push(base + i)
            push_slot(slot)
            i = _line(builder, buf, _line(builder, buf, i + 1, base), base)
        elif op == PUT:
            number, end = builder.read_slot_line(buf, i + 1, base + i)
            if number == slot and number not in odd:
                slot += 1
            elif number == 1 and slot == 0 and memoize < 0 and not odd:
                slot, least = 2, 1
            else:
                builder.put(number, slot, memoize >= 0, base + i)
            i = end
        elif op == GET:
            number, end = builder.read_slot_line(buf, i + 1, base + i)
            builder.fetch(number, slot, least, base + i)
            push(~(base + i))
            push_slot(slot)
            i = end
        elif op == FRAME:
            stop = base + i + 9 + _u64(buf, i + 1)[0]
            if frame_stop <= size:
                raise PickleError(base + i, "a frame begins inside another; the file is damaged")
            if stop > size:
                raise PickleError(
                    base + i,
                    f"a frame of {counted(stop - base - i - 9, 'byte')} is declared, but the file has only "
                    f"{size - base - i - 9:,} more; it is cut short or damaged, so fetch it again",
                )
            frame_stop = stop
            high = min(high, frame_stop - base)
            i += 9
        elif op == PROTO:
            if base + i:
                raise PickleError(base + i, "a second pickle header was found inside the pickle; the file is damaged")
            if buf[1] >= 4:
                memoize = MEMOIZE
            i += 2
        elif op == STOP:
            break
        elif op in REFUSED:
            raise PickleError(base + i, REFUSED[op])
        elif op == MEMOIZE:
            raise PickleError(base + i, "MEMOIZE was found, which exists only from protocol 4 on; the file is damaged")
        else:
            raise PickleError(base + i, f"byte 0x{op:02x} was found, expected an opcode; the file is damaged")

    stop = base + i
    if len(stack) != 1 or marks:
        raise PickleError(
            stop, f"the pickle ends with {counted(len(stack), 'value')}, expected one; the file is damaged"
        )
    if frame_stop <= size and frame_stop != stop + 1:
        raise PickleError(stop, f"the pickle ends before its frame does (byte {frame_stop}); the file is damaged")
    if stop + 1 != size:
        raise PickleError(
            stop + 1, f"{counted(size - stop - 1, 'byte follows', 'bytes follow')} the end of the pickle, expected none"
        )
    yield builder.finish(stop)


def _changed(offset: int) -> PickleError:
    return PickleError(offset, "a value read from the memo is changed, which no pickler does; the file is damaged")


def _is_value(place: int, marks: list[int]) -> bool:
    """Whether a value at this place of the stack becomes a value of the root dict, if nothing else uses it."""
    return place % 2 == 0 and (marks == [1] or (not marks and place == 2))


def _line(builder: IndexBuilder, buf: bytes, i: int, base: int) -> int:
    """The position in the window after the newline of the line at ``i``."""
    end = buf.find(b"\n", i) + 1 if i <= len(buf) else 0
    return end or builder.end_of_long_line(base + max(i, len(buf)), base + i) - base
