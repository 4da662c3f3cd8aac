"""The value of a small JSON text: checked, and with its place in messages.

JSON is that of RFC 8259: NaN, Infinity and a key that occurs twice in an object are errors. It is parsed with orjson if
that is installed (``skelstore[json]``), otherwise with the standard library.
"""

from __future__ import annotations

import codecs
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, NoReturn

from skelstore.errors import SourceError
from skelstore.format.values import crowded
from skelstore.wording import shown

try:
    import orjson
except ImportError:
    orjson = None

MOST_ELEMENT = 8 << 20
"""Bytes of one value: 800 persons of 136 joints in a frame."""

_KEY = re.compile(rb'"[ \t\r\n]*+:')
"""The end of a key; in a text, what looks like it."""
_LARGE = re.compile(rb"e\+?\d{3}"), re.compile(rb"E\+?\d{3}")
"""The exponent of a number that may be beyond float64. Each begins with one letter, which is found quickly."""
_CONTAINERS = {dict, list}


def parse(text: bytes, where: str) -> Any:
    """The value of a JSON text of at most ``MOST_ELEMENT`` bytes. Raises SourceError if it
    is larger, is not JSON, or has too many lists and objects."""
    if len(text) > MOST_ELEMENT:
        raise SourceError(f"{where} has more than {MOST_ELEMENT:,} bytes; expected a small JSON text")
    return parse_large(text.removeprefix(codecs.BOM_UTF8), where)


def parse_all(texts: Sequence[bytes], places: Iterable[str]) -> list[Any]:
    """The values of JSON texts, together at most ``MOST_ELEMENT`` bytes.

    Raises SourceError as ``parse`` does, with the place of the text.
    """
    values = parse_run(b",".join(texts), len(texts))
    return [parse(text, place) for text, place in zip(texts, places, strict=True)] if values is None else values


def parse_large(text: bytes, where: str) -> Any:
    """The value of a JSON text of any size. Raises SourceError as ``parse`` does."""
    if reason := crowded(text):
        raise SourceError(f"{where}: {reason}")
    try:
        value = _loads(text)
    except (ValueError, RecursionError) as error:
        raise SourceError(_explain(text, where, error)) from None
    if not _has_unique_keys(text, value):
        _refuse_repeated_keys(text, where)
    return value


def parse_run(text: bytes, number: int) -> list[Any] | None:
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
        kinds = set(map(type, level))
        objects = level if kinds == {dict} else [each for each in level if type(each) is dict]
        lists = level if kinds == {list} else [each for each in level if type(each) is list]
        keys += sum(map(len, objects))
        below = chain(chain.from_iterable(map(dict.values, objects)), _items(lists))
        level = [each for each in below if type(each) in _CONTAINERS]
    return keys


def _items(lists: list[list[Any]]) -> Iterator[Any]:
    """The items of those lists that may have objects in them."""
    firsts = [each[0] for each in lists if each]
    if _CONTAINERS.isdisjoint(map(type, firsts)):
        return iter(())
    return chain.from_iterable([each for each in lists if each and _may_hold_objects(each[0])])


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
