"""Reading large JSON one element at a time: of the list at the top, or of the lists in the object at the top.

A file of a pose tool is a list of detections or of frames, or an object with a few such lists; each element is small,
but a file may have gigabytes. The text is framed here: a regular expression finds brackets outside of strings, several
times as fast as a parser, and each element is parsed as a whole. So every element has its place in the file, and memory
does not grow with the file. Elements that are small and not deep are parsed many at once; one by one if there is a
fault, so that it has a place. Elements are parsed with orjson if it is installed (``skelstore[json]``), otherwise with
the standard library, which takes about twice the time.

JSON is that of RFC 8259: NaN, Infinity and a key that occurs twice in an object are errors.
"""

from __future__ import annotations

import codecs
import json
import math
import re
from array import array
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from itertools import chain, count, repeat
from typing import Any, NamedTuple, NoReturn

import numpy as np

from skelstore.errors import SourceError
from skelstore.format.values import crowded
from skelstore.wording import shown

try:
    import orjson
except ImportError:
    orjson = None

MOST_ELEMENT = 8 << 20
"""Bytes of one element: 800 persons of 136 joints in a frame."""
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
_SHALLOW_DEPTH = 6
"""Depth of lists and objects up to which elements are found by one match, and parsed together."""


def _bracketed(depth: int) -> bytes:
    """The pattern of a list or an object of at most this depth. That its brackets fit is left to the parser."""
    inner = b"|" + _bracketed(depth - 1) if depth > 1 else b""
    return rb'[\[{](?:[^"\[\]{}]++|"[^"\\]*+(?:\\.[^"\\]*+)*+"' + inner + rb")*+[\]}]"


_SHALLOW = re.compile(rb"[ \t\r\n]*+(,?+)[ \t\r\n]*+(" + _bracketed(_SHALLOW_DEPTH) + rb")", re.DOTALL)
"""The comma before an element of a list, and the element."""
_RUN_BYTES = 64 << 10
"""Bytes from which on no further element is parsed together with those before it."""
_KEY = re.compile(rb'"[ \t\r\n]*+:')
"""The end of a key; in a text, what looks like it."""
_LARGE = re.compile(rb"e\+?\d{3}"), re.compile(rb"E\+?\d{3}")
"""The exponent of a number that may be beyond float64. Each begins with one letter, which is found quickly."""
_CONTAINERS = {dict, list}
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


def parse(text: bytes, where: str) -> Any:
    """The value of a JSON text of at most ``MOST_ELEMENT`` bytes. Raises SourceError as ``elements`` does."""
    if len(text) > MOST_ELEMENT:
        raise SourceError(f"{where} has more than {MOST_ELEMENT:,} bytes; expected a small JSON text")
    return _parse(text.removeprefix(codecs.BOM_UTF8), where)


def parse_all(texts: Sequence[bytes], places: Sequence[str]) -> list[Any]:
    """The values of JSON texts, together at most ``MOST_ELEMENT`` bytes.

    Raises SourceError as ``elements`` does, with the place of the text.
    """
    values = _parse_run(b",".join(texts), len(texts))
    return [parse(text, place) for text, place in zip(texts, places, strict=True)] if values is None else values


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
        starts: list[int] = []
        stops: list[int] = []
        stop_at = at + _RUN_BYTES
        after = index > 0
        while at <= stop_at and (found := _SHALLOW.match(text, at)) is not None and bool(found[1]) == after:
            starts.append(found.start(2))
            at = found.end()
            stops.append(at)
            after = True
        if not starts:
            return []
        values: Sequence[Any] | None
        if unparsed:
            values = list(map(text.__getitem__, map(slice, starts, stops)))
        else:
            values = _parse_run(text[starts[0] : at], len(starts))
        if values is None:
            self._faulty_until = self._offset + at
            return []
        self._at = at
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
        return _parse(text, f"{self._where}: byte {start:,}")

    def _fail(self, reason: str) -> NoReturn:
        raise SourceError(
            f"{self._where} is not JSON that can be read: near byte {self._offset + self._at:,}, {reason}: get the "
            "file again, or write it again"
        )


def _parse(text: bytes, where: str) -> Any:
    if reason := crowded(text):
        raise SourceError(f"{where}: {reason}")
    try:
        value = _loads(text)
    except (ValueError, RecursionError) as error:
        raise SourceError(_explain(text, where, error)) from None
    if not _has_unique_keys(text, value):
        _refuse_repeated_keys(text, where)
    return value


def _parse_run(text: bytes, number: int) -> list[Any] | None:
    """The values of this number of elements with commas between them; None if there may be a fault in one of them."""
    if crowded(text):
        return None
    try:
        values = _loads(b"[" + text + b"]")
    except (ValueError, RecursionError):
        return None
    return values if len(values) == number and _has_unique_keys(text, values) else None


def _has_unique_keys(text: bytes, value: Any) -> bool:
    """Whether no key occurs twice in an object. False if it may, because there is a colon in a text."""
    colons = text.count(b":")
    children = value if type(value) is list else [value]
    if {dict}.issuperset(map(type, children)) and colons == sum(map(len, children)):
        return True
    keys = _count_keys(value)
    return colons == keys or len(_KEY.findall(text)) == keys


def _strict(text: bytes) -> Any:
    """The value of a text, with the module json, which accepts more than orjson does."""
    has_large = any(exponent.search(text) for exponent in _LARGE)
    value = json.loads(
        text.decode("utf-8"), parse_constant=_refuse_constant, parse_float=_finite if has_large else None
    )
    if b"\\u" in text:
        json.dumps(value, ensure_ascii=False).encode()  # fails for half of a surrogate pair
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{text[:40]} is beyond float64")
    return value


_loads: Callable[[bytes], Any] = _strict if orjson is None else orjson.loads


def _explain(text: bytes, where: str, error: Exception) -> str:
    """The message for a text that cannot be parsed."""
    constants: list[str] = []
    try:
        json.loads(text, parse_constant=constants.append)
    except (ValueError, RecursionError):
        constants.clear()
    if constants:
        return f"{where}: {constants[0]} is not a number of JSON: write 0 for joints that were not found"
    return f"{where} is not JSON ({str(error)[:120]}): get the file again, or write it again"


def _count_keys(value: Any) -> int:
    """The number of keys of all objects in a value.

    Objects in lists that begin with a number or text, or with a list that does, are missed.
    """
    keys = 0
    level = [value]
    while level:
        objects = [each for each in level if type(each) is dict]
        lists = [each for each in level if type(each) is list and each and _may_hold_objects(each[0])]
        keys += sum(map(len, objects))
        below = chain(chain.from_iterable(map(dict.values, objects)), chain.from_iterable(lists))
        level = [each for each in below if type(each) in _CONTAINERS]
    return keys


def _may_hold_objects(first: object) -> bool:
    """Whether a list that begins with this value may have objects in it."""
    return type(first) is dict or (type(first) is list and (not first or type(first[0]) in _CONTAINERS))


def _refuse_repeated_keys(text: bytes, where: str) -> None:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members = dict(pairs)
        if len(members) < len(pairs):
            twice = next(key for key in members if sum(key == other for other, _ in pairs) > 1)
            raise SourceError(f"{where}: the key {shown(twice)} occurs twice in an object; expected each key once")
        return members

    try:
        json.loads(text, object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:  # SourceError is a ValueError
        if isinstance(error, SourceError):
            raise
        raise SourceError(_explain(text, where, error)) from None
