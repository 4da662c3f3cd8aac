"""Reading large JSON one element at a time: of the list at the top, or of the lists in the object at the top.

A file of a pose tool is a list of detections or of frames, or an object with a few such lists; each element is small,
but a file may have gigabytes. Here the text is framed: brackets outside of strings are found, with NumPy for a block of
text, or else by a regular expression, and elements are parsed as a whole. So every element has its place in the file,
and memory does not grow with the file. The elements of a block are parsed together; one by one if there is a fault, so
that it has a place. `json_values` parses them.
"""

from __future__ import annotations

import codecs
import re
from array import array
from collections.abc import Container, Iterable, Iterator, Sequence
from itertools import chain, count, repeat
from typing import Any, NamedTuple, NoReturn

import numpy as np

from converters.inputs.json_values import MOST_ELEMENT, parse_large, parse_run
from skelstore.errors import SourceError

MOST_DEPTH = 64
"""Depth of lists and objects, counted from the top of the file."""
MOST_NAME = 1 << 16
"""Bytes of text between two elements: a name and plain values."""

_BLANKS = b" \t\r\n"
_TO_BRACKET = re.compile(rb'(?:[^"\[\]{}]++|"[^"\\]*+(?:\\.[^"\\]*+)*+")*+([\[\]{}])', re.DOTALL)
"""Everything up to the next bracket outside of strings, and the bracket. It never backtracks, so a match takes a time
that is proportional to its length."""
_OUT_OF_VALUE = re.compile(rb'(?:[^"\[\]{}]++|"[^"\\]*+(?:\\.[^"\\]*+)*+"|\[[^"\[\]{}]*+\])*+([\[\]{}])', re.DOTALL)
"""The same, but lists without text, lists and objects in them are passed over, too."""
_RUN_BYTES = 128 << 10
"""Bytes of text whose elements are found and parsed together."""
_CLOSING = {b"[": b"]", b"{": b"}"}


class Element(NamedTuple):
    """A value in a file.

    ``position`` is that in its list, and ``key`` the member of the object at the top that holds the list; ``key`` is
    None if the list is the top. A member that is not a list, or is an empty list, is one element whose ``position``
    is None. ``start`` and ``stop`` are its bytes in the file; those of a number, text, boolean or null are approximate.
    """

    key: str | None
    position: int | None
    value: Any
    start: int
    stop: int

    @property
    def place(self) -> str:
        """Its place, for messages: ``[17]``, ``data[17]``, ``label``."""
        return f"{'' if self.key is None else self.key[:80]}{'' if self.position is None else f'[{self.position}]'}"


def elements(chunks: Iterable[bytes], where: str, *, unparsed: Container[str | None] = ()) -> Iterator[Element]:
    """The elements of a JSON text, in order; ``chunks`` are its bytes in pieces of any size, ``where`` its name.

    The lists and objects in the members ``unparsed`` (None for a list at the top) are given as their text, bytes, which
    may not be JSON: ``parse`` and ``parse_all`` check it.

    Memory holds one chunk and one element. Raises SourceError, with name and place, if the text is not JSON or is
    neither a list nor an object, if an element has more than ``MOST_ELEMENT`` bytes or too many lists and objects, and
    if the text nests more than ``MOST_DEPTH`` deep.
    """
    return chain.from_iterable(runs(chunks, where, unparsed=unparsed))


def runs(chunks: Iterable[bytes], where: str, *, unparsed: Container[str | None] = ()) -> Iterator[Sequence[Element]]:
    """``elements`` in runs: those that are next to each other in a list and were read together."""
    return _Reader(chunks, where, unparsed).read()


def begins_like_json(head: bytes) -> bool:
    """Whether the beginning of a file may be that of a list or an object."""
    return head.removeprefix(codecs.BOM_UTF8).lstrip(_BLANKS)[:1] in _CLOSING


class _Reader:
    """Reads one text. ``_text`` is the part of it that is in memory, ``_offset`` the byte of the file it begins at."""

    def __init__(self, chunks: Iterable[bytes], where: str, unparsed: Container[str | None]) -> None:
        self._chunks = iter(chunks)
        self._where = where
        self._unparsed = unparsed
        self._text = b""
        self._offset = 0
        self._at = 0
        """Position in ``_text``: everything before it is read."""
        self._keep = 0
        """Position in ``_text``: everything before it is no longer needed."""
        self._faulty_until = 0
        """The byte of the file at which a run with a fault ends: elements before it are parsed one by one."""

    def read(self) -> Iterator[Sequence[Element]]:
        while len(self._text) < len(codecs.BOM_UTF8) and self._more():
            pass
        if self._text.startswith(codecs.BOM_UTF8):
            self._at = len(codecs.BOM_UTF8)
        before, top = self._next_bracket()
        if before.strip(_BLANKS) or top not in _CLOSING:
            raise SourceError(f"{self._where} is not a list or an object of JSON: get the file again")
        yield from self._list(None) if top == b"[" else self._object()
        while not self._text[self._at :].strip(_BLANKS):
            self._at = self._keep = len(self._text)
            if not self._more():
                return
        else:
            self._fail(f"more follows the end of its {'list' if top == b'[' else 'object'}")

    def _list(self, key: str | None) -> Iterator[Sequence[Element]]:
        """The elements of a list whose opening bracket has been read."""
        index = 0
        unparsed = key in self._unparsed
        while True:
            if run := self._run(key, index, unparsed=unparsed):
                yield run
                index += len(run)
            start = self._offset + self._at
            before, bracket = self._next_bracket()
            if bracket == b"}":
                self._fail("a bracket } closes a list")
            separator = before.strip(_BLANKS)
            closed = bracket == b"]"
            if separator != b"," and (separator or index):
                values = self._plain_values(separator, after=index > 0, closed=closed)
                yield [Element(key, index + i, value, start, start + len(before)) for i, value in enumerate(values)]
                index += len(values)
            elif separator and (closed or not index):
                self._fail("a comma is beside no value")
            if closed:
                if key is not None and not index:
                    yield [Element(key, None, [], start, start)]
                return
            yield [Element(key, index, *self._value(unparsed=unparsed))]
            index += 1

    def _run(self, key: str | None, index: int, *, unparsed: bool) -> list[Element]:
        """The next elements of a list, as far as they are shallow and in memory; ``index`` have been read before them.

        None is read if there is a fault in one of them.
        """
        text, at = self._text, self._at
        if self._offset + at < self._faulty_until:
            return []
        starts, stops = _find_spans(text, at, at + _RUN_BYTES)
        if not starts:
            return []
        values: Sequence[Any] | None = None
        if text[at : starts[0]].strip(_BLANKS) == (b"," if index else b""):
            values = _texts(text, starts, stops) if unparsed else parse_run(text[starts[0] : stops[-1]], len(starts))
        if values is None:
            self._faulty_until = self._offset + stops[-1]
            return []
        self._at = stops[-1]
        if self._offset:
            starts, stops = ([self._offset + place for place in places] for places in (starts, stops))
        return list(map(Element, repeat(key), count(index), values, starts, stops))

    def _plain_values(self, text: bytes, *, after: bool, closed: bool) -> list[Any]:
        """The values without brackets before an element of a list, or before its end; ``after`` another element."""
        if closed and not text:
            return []
        if after:
            text = self._without(text, b",", first=True)
        if not closed:
            text = self._without(text, b",", first=False)
        values = self._parse(b"[" + text + b"]", self._offset + self._at)
        if not values:
            self._fail("a comma is beside no value")
        return list(values)

    def _object(self) -> Iterator[Sequence[Element]]:
        """The members of the object at the top, whose opening bracket has been read."""
        hashes = array("q")
        first = True
        while True:
            start = self._offset + self._at
            before, bracket = self._next_bracket()
            text = before.strip(_BLANKS)
            closed = bracket == b"}"
            if bracket == b"]":
                self._fail("a bracket ] closes an object")
            if not first and (text or not closed):
                text = self._without(text, b",", first=True)
                if closed and not text.strip(_BLANKS):
                    self._fail("a comma is followed by no value")
            members = self._parse(b"{" + text + (b"}" if closed else b"null}"), start)
            hashes.extend(map(hash, members))
            names = list(members)
            stop = start + len(before)
            yield [Element(name, None, members[name], start, stop) for name in (names if closed else names[:-1])]
            if closed:
                break
            first = False
            if not names:
                self._fail("a list or an object has no name")
            if bracket == b"[":
                yield from self._list(names[-1])
            else:
                yield [Element(names[-1], None, *self._value(unparsed=names[-1] in self._unparsed))]
        if len(np.unique(np.frombuffer(hashes, np.int64))) < len(hashes):
            self._fail("a name occurs twice in the object at the top")

    def _without(self, text: bytes, sign: bytes, *, first: bool) -> bytes:
        """The text without its first or last character, which must be ``sign``."""
        if not (text.startswith(sign) if first else text.endswith(sign)):
            self._fail(f"a {sign.decode()!r} is missing between two values")
        return text[1:] if first else text[:-1]

    def _value(self, *, unparsed: bool = False) -> tuple[Any, int, int]:
        """The list or object whose opening bracket has been read; the bytes of the file at which it starts and stops.

        It is text if it is to be ``unparsed``. That opening and closing brackets are of one kind is left to the parser.
        """
        start = self._offset + self._at - 1
        self._keep = self._at - 1
        depth = 1
        while depth:
            found = _OUT_OF_VALUE.match(self._text, self._at)
            if found is None:
                self._grow(MOST_ELEMENT)
                continue
            self._at = found.end()
            depth += 1 if found[1] in b"[{" else -1
            if depth > MOST_DEPTH:
                self._fail(f"lists and objects are more than {MOST_DEPTH} deep")
        text = self._text[self._keep : self._at]
        return text if unparsed else self._parse(text, start), start, self._offset + self._at

    def _next_bracket(self) -> tuple[bytes, bytes]:
        """The text before the next bracket outside of strings, and the bracket."""
        self._keep = self._at
        while (found := _TO_BRACKET.match(self._text, self._keep)) is None:
            self._grow(MOST_NAME)
        self._at = found.end()
        return self._text[self._keep : self._at - 1], found[1]

    def _grow(self, most: int) -> None:
        """Read more of the text. Raises SourceError if there is no more, or a value is too large already."""
        if len(self._text) - self._keep > most:
            self._fail(f"one value has more than {most:,} bytes")
        if not self._more():
            self._fail("it ends before its last list or object does")

    def _more(self) -> bool:
        """Append the next chunks, at least as much as is kept of the text, so that all growth takes linear time."""
        parts = [self._text[self._keep :]]
        self._offset += self._keep
        self._at -= self._keep
        self._keep = 0
        wanted = len(parts[0])
        for chunk in self._chunks:
            parts.append(chunk)
            wanted -= len(chunk)
            if chunk and wanted <= 0:
                break
        self._text = b"".join(parts)
        return len(self._text) > len(parts[0])

    def _parse(self, text: bytes, start: int) -> Any:
        return parse_large(text, f"{self._where}: byte {start:,}")

    def _fail(self, reason: str) -> NoReturn:
        raise SourceError(
            f"{self._where} is not JSON that can be read: near byte {self._offset + self._at:,}, {reason}: get the "
            "file again, or write it again"
        )


def _find_spans(text: bytes, start: int, stop: int) -> tuple[list[int], list[int]]:
    """Where the lists and objects at the beginning of a part of a list start and stop.

    Those are found that are complete between ``start``, which is outside of strings, and ``stop``, and come before the
    end of the list they are in, an escaped quotation mark, and anything that nests more than ``MOST_DEPTH`` deep. What
    is between them, and whether their brackets fit, is left to the parser.
    """
    escaped = text.find(b"\\", start, stop)
    if escaped >= 0:
        escaped = text.find(b'\\"', escaped, stop)
    codes = np.frombuffer(text, np.uint8, (min(stop, len(text)) if escaped < 0 else escaped) - start, start)
    either = codes | 0x20  # [ and ] become { and }
    places = np.flatnonzero((either == ord("{")) | (either == ord("}")) | (codes == ord('"')))
    kinds = either[places]
    is_quote = kinds == ord('"')
    outside = ~(is_quote | np.logical_xor.accumulate(is_quote))
    places = places[outside]
    depth = np.cumsum(np.where(kinds[outside] == ord("{"), np.int8(1), np.int8(-1)), dtype=np.int32)
    beyond = np.flatnonzero((depth < 0) | (depth > MOST_DEPTH))
    last = np.flatnonzero((depth if not len(beyond) else depth[: beyond[0]]) == 0)
    if not len(last):
        return [], []
    first = np.concatenate([[0], last[:-1] + 1])
    return (places[first] + start).tolist(), (places[last] + start + 1).tolist()


def _texts(text: bytes, starts: list[int], stops: list[int]) -> list[bytes] | None:
    """The texts of elements; None if anything but a comma is between two of them."""
    if any(gap.strip(_BLANKS) != b"," for gap in set(map(text.__getitem__, map(slice, stops, starts[1:])))):
        return None
    return list(map(text.__getitem__, map(slice, starts, stops)))
