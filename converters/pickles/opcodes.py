"""The pickle opcodes that this project knows, functions that read their arguments, and limits of what is accepted.

The reader that they are for creates only data; see :mod:`converters.pickles.file`.
"""

from __future__ import annotations

import math
import re
from _codecs import escape_decode, raw_unicode_escape_decode  # the plain functions: they import no codec
from collections.abc import Callable

# Values with an argument of fixed length, or without one.
NONE, NEWTRUE, NEWFALSE = 0x4E, 0x88, 0x89
BININT, BININT1, BININT2, BINFLOAT = 0x4A, 0x4B, 0x4D, 0x47
EMPTY_TUPLE, EMPTY_LIST, EMPTY_DICT, EMPTY_SET = 0x29, 0x5D, 0x7D, 0x8F
# Values whose argument begins with its length.
LONG1, LONG4 = 0x8A, 0x8B
SHORT_BINSTRING, BINSTRING = 0x55, 0x54
SHORT_BINBYTES, BINBYTES, BINBYTES8, BYTEARRAY8 = 0x43, 0x42, 0x8E, 0x96
SHORT_BINUNICODE, BINUNICODE, BINUNICODE8 = 0x8C, 0x58, 0x8D
# Values whose argument is a line of text (protocol 0).
INT, LONG, FLOAT, STRING, UNICODE = 0x49, 0x4C, 0x46, 0x53, 0x56
# Containers.
MARK, TUPLE, TUPLE1, TUPLE2, TUPLE3 = 0x28, 0x74, 0x85, 0x86, 0x87
LIST, APPEND, APPENDS = 0x6C, 0x61, 0x65
DICT, SETITEM, SETITEMS = 0x64, 0x73, 0x75
ADDITEMS, FROZENSET = 0x90, 0x91
# The memo.
PUT, BINPUT, LONG_BINPUT, MEMOIZE = 0x70, 0x71, 0x72, 0x94
GET, BINGET, LONG_BINGET = 0x67, 0x68, 0x6A
# Globals, and opcodes that use them.
GLOBAL, STACK_GLOBAL, REDUCE, BUILD = 0x63, 0x93, 0x52, 0x62
NEWOBJ, NEWOBJ_EX, OBJ, INST = 0x81, 0x92, 0x6F, 0x69
# Header, frames and end.
PROTO, FRAME, STOP = 0x80, 0x95, 0x2E

REFUSED = {
    0x50: "a persistent id was found, which refers to something outside the file; dump the data themselves",
    0x51: "a persistent id was found, which refers to something outside the file; dump the data themselves",
    0x82: "an extension code was found, which refers to a class of the program that wrote the file",
    0x83: "an extension code was found, which refers to a class of the program that wrote the file",
    0x84: "an extension code was found, which refers to a class of the program that wrote the file",
    0x97: "an out-of-band buffer was found, which is kept outside the file; dump without a buffer_callback",
    0x98: "an out-of-band buffer was found, which is kept outside the file; dump without a buffer_callback",
    0x30: "a POP opcode was found, which only values that contain themselves need",
    0x31: "a POP_MARK opcode was found, which only values that contain themselves need",
    0x32: "a DUP opcode was found, which no pickler writes",
}
"""Opcodes that are refused everywhere, and the reason."""

FIXED = bytearray(256)
"""Length in bytes, including the opcode, of opcodes that push one value and whose argument need not be inspected."""
for _op, _length in (
    (NONE, 1), (NEWTRUE, 1), (NEWFALSE, 1), (BININT, 5), (BININT1, 2), (BININT2, 3), (BINFLOAT, 9),
    (EMPTY_TUPLE, 1), (EMPTY_SET, 1),
):  # fmt: skip
    FIXED[_op] = _length

FOLDS = bytearray(256)
"""Number of values on top of the stack that an opcode replaces with one."""
for _op, _length in (
    (TUPLE1, 1),
    (TUPLE2, 2),
    (TUPLE3, 3),
    (STACK_GLOBAL, 2),
    (REDUCE, 2),
    (NEWOBJ, 2),
    (NEWOBJ_EX, 3),
):
    FOLDS[_op] = _length

COUNTED = bytearray(256)
"""Size in bytes of the length field before the argument."""
for _op, _length in (
    (SHORT_BINUNICODE, 1), (SHORT_BINBYTES, 1), (SHORT_BINSTRING, 1), (LONG1, 1),
    (BINUNICODE, 4), (BINBYTES, 4), (BINSTRING, 4), (LONG4, 4),
    (BINUNICODE8, 8), (BINBYTES8, 8), (BYTEARRAY8, 8),
):  # fmt: skip
    COUNTED[_op] = _length

MEMO_WRITES = frozenset((PUT, BINPUT, LONG_BINPUT, MEMOIZE))
TEXT_VALUES = frozenset((INT, LONG, FLOAT, STRING, UNICODE))

FIRST_OPCODES = TEXT_VALUES.union(
    (NONE, BININT, BININT1, BININT2, BINFLOAT, MARK, EMPTY_TUPLE, EMPTY_LIST, EMPTY_DICT, GLOBAL),
    (SHORT_BINSTRING, BINSTRING, BINUNICODE),
)
"""Opcodes with which a file of protocol 0 or 1 can begin."""

HIGHEST_PROTOCOL = 5
MAX_DEPTH = 100
"""Maximum nesting of containers."""
CONTAINER_WEIGHT = 8
"""Number of values that a container counts as: an empty one needs 64 bytes of memory, but only one byte of the file."""
MAX_STACK = 500_000
"""Maximum number of values on the stack. Picklers add items in batches of 1,000; only a tuple can need more."""
MAX_NUMBER_KEYS = 10_000
MAX_SAME_HASH = 16
"""Maximum number of numeric keys of one dict, and of those with the same hash, which make a dict quadratic."""
MAX_INTEGER_BYTES = 4096
"""Maximum size of an integer in bytes, since conversion to decimal is quadratic."""
MAX_ODD_SLOTS = 200_000
"""Maximum number of memo slots that are numbered out of sequence."""
MAX_SLOTS = 1 << 32
"""Memo indices must be below this."""
MAX_NUMBER_LINE = 64
"""Maximum length in bytes of a line with a float or a memo index."""

_INTEGER = re.compile(rb"0|-?[1-9][0-9]*")
"""An integer as Python writes it, without leading zeros: int() ignores them, but pickle's C reader reads octal."""
_FLOAT = re.compile(rb"[+-]?(?:[0-9]+\.?[0-9]*(?:[eE][+-]?[0-9]+)?|\.[0-9]+(?:[eE][+-]?[0-9]+)?|inf|nan)")
_ESCAPED = re.compile(rb"(?:[^\\]|\\(?:[\\'\"abfnrtv]|x[0-9a-fA-F]{2}))*", re.DOTALL)

_SIGNATURES = (
    (b"PK\x03\x04", "a zip archive (a torch or npz file is one)"),
    (b"\x1f\x8b", "a gzip file; decompress it first"),
    (b"BZh", "a bzip2 file; decompress it first"),
    (b"\xfd7zXZ", "an xz file; decompress it first"),
    (b"\x28\xb5\x2f\xfd", "a zstandard file; decompress it first"),
    (b"\x93NUMPY", "a NumPy .npy file"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x89PNG", "a PNG image"),
    (b"version https://git-lfs", "a git-lfs pointer; fetch the file itself with 'git lfs pull'"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive; extract it first"),
    (b"Rar!", "a RAR archive; extract it first"),
    (b"ARROW1", "an Arrow file"),
)


class PickleError(Exception):
    """A fault of a pickle: its ``offset`` in the file, and the ``text`` of the message. Never leaves this package."""

    def __init__(self, offset: int, text: str) -> None:
        super().__init__(offset, text)
        self.offset = offset
        self.text = text


def opcode_name(opcode: int) -> str:
    """The opcode as shown in messages."""
    return f"0x{opcode:02x} ({chr(opcode)!r})" if 32 < opcode < 127 else f"0x{opcode:02x}"


def check_beginning(head: bytes) -> None:
    """Raise PickleError if ``head``, the first bytes of a file, cannot be the beginning of a pickle."""
    if not head:
        raise PickleError(0, "the file is empty, so it is not a pickle; fetch it again")
    looks = next((what for signature, what in _SIGNATURES if head.startswith(signature)), "")
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not looks and text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        looks = "a web page, perhaps an error page that was downloaded instead of the file"
    if not looks and text.startswith((b"{", b"[")):
        looks = "JSON"
    if looks:
        raise PickleError(0, f"this is not a pickle but looks like {looks}")
    if head[0] == PROTO:
        if len(head) < 2:
            raise PickleError(1, "the file ends after one byte; it is cut short, so fetch it again")
        if head[1] > HIGHEST_PROTOCOL:
            raise PickleError(0, f"the pickle has protocol {head[1]}, expected at most {HIGHEST_PROTOCOL}")
    elif head[0] not in FIRST_OPCODES:
        raise PickleError(0, f"this is not a pickle: it begins with {head[:8]!r}")


def read_slot(line: bytes, offset: int) -> int:
    """The memo index in the line of a PUT or GET."""
    if len(line) > MAX_NUMBER_LINE or not line.isdigit():
        raise PickleError(offset, f"the memo index {line[:20]!r} was found, expected decimal digits")
    slot = int(line)
    if slot >= MAX_SLOTS:
        raise PickleError(offset, f"the memo index {slot} was found, expected one below {MAX_SLOTS}")
    return slot


def read_int(line: bytes, offset: int) -> int:
    """The value in the line of an INT; 00 and 01 are the booleans False and True."""
    if line == b"00":
        return False
    if line == b"01":
        return True
    return _read_digits(line, line, offset)


def read_long(line: bytes, offset: int) -> int:
    """The value in the line of a LONG."""
    return _read_digits(line.removesuffix(b"L"), line, offset)


def _read_digits(digits: bytes, line: bytes, offset: int) -> int:
    if len(digits) > MAX_INTEGER_BYTES:
        raise PickleError(offset, f"the integer {line[:20]!r} was found, expected up to {MAX_INTEGER_BYTES} digits")
    if not _INTEGER.fullmatch(digits):
        raise PickleError(
            offset,
            f"the integer {line[:20]!r} was found, expected decimal digits as Python writes them (no leading 0 or +)",
        )
    return int(digits)


def read_float(line: bytes, offset: int) -> float:
    """The value in the line of a FLOAT."""
    if len(line) > MAX_NUMBER_LINE or not _FLOAT.fullmatch(line):
        raise PickleError(offset, f"the number {line[:20]!r} was found, expected a float as Python writes it")
    value = float(line)
    if math.isinf(value) and not line.endswith(b"inf"):
        raise PickleError(offset, f"the number {line[:20]!r} was found, expected one that a float can hold")
    return value


def read_string(line: bytes, offset: int) -> str:
    """The value in the line of a STRING, Python 2's repr of a byte string; each byte is a character (Latin-1)."""
    if len(line) < 2 or line[:1] != line[-1:] or line[0] not in b"'\"":
        raise PickleError(offset, "a Python 2 string without quotes was found; the file is damaged")
    inner = line[1:-1]
    if b"\\" not in inner:
        return inner.decode("latin-1")
    if not _ESCAPED.fullmatch(inner):
        raise PickleError(offset, "a Python 2 string with an unknown escape was found; the file is damaged")
    return bytes(escape_decode(inner)[0]).decode("latin-1")


def read_unicode(line: bytes, offset: int) -> str:
    """The value in the line of a UNICODE."""
    try:
        return raw_unicode_escape_decode(line)[0]
    except UnicodeDecodeError:
        raise PickleError(offset, "text with an invalid escape was found; the file is damaged") from None


def read_name(line: bytes, offset: int) -> str:
    """The module or the attribute that a GLOBAL or INST names."""
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        raise PickleError(offset, f"the name {line[:40]!r} was found, expected UTF-8; the file is damaged") from None


LINE_LITERALS: dict[int, Callable[[bytes, int], object]] = {
    INT: read_int,
    LONG: read_long,
    FLOAT: read_float,
    STRING: read_string,
    UNICODE: read_unicode,
}
"""Opcode -> a function that returns the value, given the line and the offset of the opcode."""


def read_counted(op: int, data: bytes, offset: int) -> object:
    """The value of a length-prefixed literal; ``offset`` is that of its opcode. Raises PickleError."""
    if op in (LONG1, LONG4):
        if len(data) > MAX_INTEGER_BYTES:
            raise PickleError(
                offset, f"an integer of {len(data)} bytes was found, expected at most {MAX_INTEGER_BYTES}"
            )
        return int.from_bytes(data, "little", signed=True)
    if op in (SHORT_BINSTRING, BINSTRING):
        return data.decode("latin-1")
    if op == BINUNICODE8:
        return data.decode("utf-8", "surrogatepass")
    if op == BINBYTES8:
        return data
    raise PickleError(offset, f"opcode {opcode_name(op)} was found where the first pass found another one")
