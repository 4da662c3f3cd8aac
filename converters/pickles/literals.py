"""Literals of a pickle that are seldom met: those behind a count of bytes, and those that are a line of text."""

from __future__ import annotations

from collections.abc import Callable

from converters.pickles.opcodes import (
    BINBYTES8,
    BINSTRING,
    BINUNICODE8,
    FLOAT,
    INT,
    LONG,
    LONG1,
    LONG4,
    MAX_INTEGER_BYTES,
    SHORT_BINSTRING,
    STRING,
    UNICODE,
    Refusal,
    opcode_name,
    read_float,
    read_int,
    read_long,
    read_string,
    read_unicode,
)

LINE_LITERALS: dict[int, Callable[[bytes, int], object]] = {
    INT: read_int,
    LONG: read_long,
    FLOAT: read_float,
    STRING: read_string,
    UNICODE: read_unicode,
}
"""Opcode -> a function from its line, and the offset of the opcode, to the value."""


def counted_literal(op: int, data: bytes, offset: int) -> object:
    """The value of a literal whose bytes stand behind their count; ``offset`` is that of its opcode. Raises Refusal."""
    if op in (LONG1, LONG4):
        if len(data) > MAX_INTEGER_BYTES:
            raise Refusal(offset, f"an integer of {len(data)} bytes was found, expected at most {MAX_INTEGER_BYTES}")
        return int.from_bytes(data, "little", signed=True)
    if op in (SHORT_BINSTRING, BINSTRING):
        return data.decode("latin-1")
    if op == BINUNICODE8:
        return data.decode("utf-8", "surrogatepass")
    if op == BINBYTES8:
        return data
    raise Refusal(offset, f"opcode {opcode_name(op)} was found where the first pass saw another")
