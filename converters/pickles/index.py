"""The first pass over a pickle: where its keys, values and elements lie, without building any of them.

The file is read once through a small window. The stack of the pickle machine is followed as bare offsets, so the
memory this takes does not depend on what the values are. Large payloads are stepped over.

What makes it possible to evaluate a part of the file alone is established here, for the whole file: a value that came
out of the memo is never changed, nothing is taken off the stack but to build something with it, and no opcode reaches
below the mark above it. So a value is made by the bytes from its first opcode to the first of the next value.
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
from converters.pickles.spans import WINDOW, Index, Notes, Spans
from skelstore.wording import counted

MARGIN = 32
"""More than any opcode needs of the window without looking whether it is there."""

_BINARY_GETS = frozenset((BINGET, LONG_BINGET))
_BINARY_PUTS = frozenset((BINPUT, LONG_BINPUT))
_TO_MARK = frozenset((TUPLE, LIST, DICT, FROZENSET, OBJ, INST))
_INTO_CONTAINER = frozenset((SETITEMS, APPENDS, ADDITEMS))

_u32 = Struct("<I").unpack_from
_u64 = Struct("<Q").unpack_from


def read_indexes(fd: int, size: int) -> Iterator[Index]:
    """Read the pickle in the file ``fd`` of ``size`` bytes once.

    Gives the index as far as it goes, time and again while the elements of a long list come, and at the end the whole.
    Raises PickleError where the file is no pickle, or cut short.
    """
    check_beginning(os.pread(fd, 512, 0))
    try:
        yield from _read_indexes(Notes(fd, size))
    except (IndexError, error):
        # The window ends before the file does only with a margin that every opcode fits in.
        raise PickleError(size, "the file ends inside a value; it is cut short, so fetch it again") from None
    except ValueError:
        raise PickleError(size, "the file has changed while it was read; wait until it is complete") from None


def _read_indexes(notes: Notes) -> Iterator[Index]:
    # One function, since it runs for every opcode of the file, with its state in local variables. With a function per
    # opcode, found in a table, the first pass over an NTU-like pickle of 50 MB takes 1.25 times as long (0.112 s of CPU
    # instead of 0.089 s), though the functions share that state as a closure; as attributes it costs more.
    fd, size = notes.fd, notes.size
    stack: list[int] = []  # the offset where each value begins; inverted (negative) when it came out of the memo
    slots: list[int] = []  # beside it, how many memo slots were in use there
    marks: list[int] = []  # heights of the stack
    mark_offsets: list[int] = []
    fence = 0  # the last of the marks
    push, push_slot = stack.append, slots.append

    slot = least = 0  # slots from least up to slot are set, and those in odd
    odd = notes.odd
    known: set[int] = set()  # some of the slots that are noted as fetched
    memoize = -1  # the opcode MEMOIZE from protocol 4 on

    root_dict: Spans | None = None
    listed: Spans | None = None  # the list whose elements are noted
    listed_top = -1  # the height of the stack on it

    buf = b""
    base = i = high = 0  # the window's offset in the file, the place in it, and from where on it must be looked after
    frame_stop = size + 1
    while True:
        if i >= high:
            at = base + i
            if at >= size:
                raise PickleError(size, "the file ends without a STOP opcode; it is cut short, so fetch it again")
            if at >= frame_stop:
                if at > frame_stop:
                    raise PickleError(frame_stop, "an opcode goes beyond the frame it stands in; the file is damaged")
                frame_stop = size + 1
            if i >= len(buf) - MARGIN:
                if len(stack) > MAX_STACK or len(marks) > MAX_STACK:
                    raise PickleError(
                        at, f"more than {MAX_STACK} values wait on the stack, expected a list of annotations"
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
                notes.fetch(number, slot, least, base + i)
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
                notes.put(number, slot, memoize >= 0, base + i)
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
                    spans = notes.open_list(start, None)
                elif root_dict is not None and _is_value(place, marks):
                    spans = notes.open_list(start, root_dict)
                if spans is not None:
                    listed, listed_top = spans, place + 1
                    if items:
                        notes.hand_over(spans, base + i, items, item_slots)
            elif op == DICT:
                if len(items) % 2:
                    raise PickleError(base + i, "a key without a value was found; the file is damaged")
                if not place and not marks:
                    root_dict = notes.open_dict(start)
                    if items:
                        notes.hand_over(root_dict, base + i, items, item_slots)
            i += 1
            if op == INST:
                i = _line(notes, buf, _line(notes, buf, i, base), base)
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
                if place == 1 and root_dict is not None and len(stack) > 1:
                    count = len(root_dict)
                    notes.extend(root_dict, start, base + i, stack[1:], slots[1:])
                    notes.close_values(root_dict, count, stack[1:])
                    listed_top = -1
            elif op == APPENDS and len(stack) > place == listed_top and listed is not None and target == listed.start:
                notes.extend(listed, start, base + i, stack[place:], slots[place:])
                if base + i >= notes.due:
                    index = notes.so_far(listed, base + i, mark_offsets, stack[1:listed_top], slots[1:listed_top])
                    if index is not None:
                        yield index
            del stack[place:], slots[place:]
            i += 1
        elif op == EMPTY_DICT:
            if not stack and not marks:
                root_dict = notes.open_dict(base + i)
            push(base + i)
            push_slot(slot)
            i += 1
        elif op == EMPTY_LIST:
            place = len(stack)
            if place == 0 and not marks:
                listed, listed_top = notes.open_list(base + i, None), 1
            elif root_dict is not None and _is_value(place, marks):
                listed, listed_top = notes.open_list(base + i, root_dict), place + 1
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
                    f"a value of {counted(length, 'byte')} is announced where the file has "
                    f"{size - base - i - 1 - width:,} more; the file is cut short or damaged, so fetch it again",
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
                notes.extend(listed, start if start >= 0 else ~start, base + i, stack[-1:], slots[-1:])
                if base + i >= notes.due:
                    index = notes.so_far(listed, base + i, mark_offsets, stack[1:listed_top], slots[1:listed_top])
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
                notes.extend(root_dict, start if start >= 0 else ~start, base + i, stack[1:], slots[1:])
                notes.close_values(root_dict, count, stack[1:])
                listed_top = -1
            del stack[-2:], slots[-2:]
            i += 1
        elif op in TEXT_VALUES:
            push(base + i)
            push_slot(slot)
            i = _line(notes, buf, i + 1, base)
        elif op == GLOBAL:
            push(base + i)
            push_slot(slot)
            i = _line(notes, buf, _line(notes, buf, i + 1, base), base)
        elif op == PUT:
            number, end = notes.number_line(buf, i + 1, base + i)
            if number == slot and number not in odd:
                slot += 1
            elif number == 1 and slot == 0 and memoize < 0 and not odd:
                slot, least = 2, 1
            else:
                notes.put(number, slot, memoize >= 0, base + i)
            i = end
        elif op == GET:
            number, end = notes.number_line(buf, i + 1, base + i)
            notes.fetch(number, slot, least, base + i)
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
                    f"a frame of {counted(stop - base - i - 9, 'byte')} is announced where the file has "
                    f"{size - base - i - 9:,} more; the file is cut short or damaged, so fetch it again",
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
            raise PickleError(base + i, "MEMOIZE was found, which exists from protocol 4 on only; the file is damaged")
        else:
            raise PickleError(base + i, f"byte 0x{op:02x} was found, expected an opcode; the file is damaged")

    stop = base + i
    if len(stack) != 1 or marks:
        raise PickleError(
            stop, f"the pickle ends with {counted(len(stack), 'value')}, expected one; the file is damaged"
        )
    if frame_stop <= size and frame_stop != stop + 1:
        raise PickleError(stop, f"the pickle ends before its frame does, at byte {frame_stop}; the file is damaged")
    if stop + 1 != size:
        raise PickleError(
            stop + 1, f"{counted(size - stop - 1, 'byte follows', 'bytes follow')} the pickle's end, expected none"
        )
    yield notes.finish(stop)


def _changed(offset: int) -> PickleError:
    return PickleError(offset, "a value out of the memo is changed, which no pickler does; the file is damaged")


def _is_value(place: int, marks: list[int]) -> bool:
    """Whether a value at that place of the stack is going to be a value of the root dict, should it stay one."""
    return place % 2 == 0 and (marks == [1] or (not marks and place == 2))


def _line(notes: Notes, buf: bytes, i: int, base: int) -> int:
    """Where the line at ``i`` of the window ends, behind its newline."""
    end = buf.find(b"\n", i) + 1 if i <= len(buf) else 0
    return end or notes.far_line(base + max(i, len(buf)), base + i) - base
