"""Read a pickle in every way and check the result, for tests of the reader and for the fuzzer.

``python -m tests.support.reading_pickles FILE …`` reads files in a process that has imported only the reader. For
each file it prints a line of JSON: the cost of reading it, and what was imported or audited meanwhile.
"""

from __future__ import annotations

import functools
import json
import os
import re
import struct
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from converters.pickles.arrays import Foreign
from converters.pickles.file import PickleFile
from skelstore.errors import SourceError

_PLAIN = frozenset((bool, int, float, str, bytes, type(None), np.ndarray, np.str_, Foreign))
_SCALARS = frozenset(np.dtype(kind).type for kind in ("?", "b", "B", "h", "H", "i", "I", "l", "L", "e", "f", "d"))
_KEYS = frozenset((str, bytes, int, float, bool, type(None)))


class Found(NamedTuple):
    """The result of one way to read: a value and its place in the whole, or the refusal."""

    place: tuple[Any, ...]
    value: Any


def everything(path: str | os.PathLike[str], keys: int = 100) -> Iterator[Found]:
    """Every part of the pickle; of a root dict at most ``keys`` keys. Any exception except SourceError passes through.

    Elements that can be read before the whole file is indexed are also read before.
    """
    early: list[tuple[Any, int, Callable[[], Any]]] = []
    try:
        pickled = PickleFile(path, whole=False)
        while True:
            early += elements_so_far(pickled)
            if not pickled.grow():
                break
    except SourceError as error:
        yield Found((), error)
        return
    with pickled:
        ways: list[tuple[tuple[Any, ...], Callable[[], Any]]] = [((), pickled.root)]
        for key in pickled.keys[:keys]:
            ways.append(((key,), lambda key=key: pickled.value(key)))
        for key in [None, *pickled.keys[:keys]]:
            try:
                count = pickled.elements(key)
                assert count is None or len(pickled.element_sizes(key)) == count
            except SourceError as error:
                yield Found((), error)
                continue
            above = () if pickled.root_kind == "list" else (key,)
            chosen = sorted({0, 1, count // 2, count - 1}) if count else []
            ways += [((*above, i), lambda key=key, i=i: pickled.element(i, key)) for i in chosen if i < count]
            if count is not None:
                ways += [((*above, i), value) for known, i, value in early if known is key or known == key]
        for place, read in ways:
            try:
                yield Found(place, read())
            except SourceError as error:
                yield Found(place, error)


def elements_so_far(pickled: PickleFile) -> Iterator[tuple[Any, int, Callable[[], Any]]]:
    """Some elements of the last list of a pickle that is not yet indexed completely: key of the list, number, value."""
    if pickled._index.whole:
        return
    key = pickled.keys[-1] if pickled.keys else None
    count = pickled.elements(key)
    assert count, "the list has no elements yet"
    assert len(pickled.element_sizes(key)) == count
    for i in {0, count - 1}:
        try:
            value = pickled.element(i, key)
            yield key, i, lambda value=value: value
        except SourceError as error:
            yield key, i, functools.partial(_refused, error)


def _refused(error: SourceError) -> Any:
    raise error


def check_sentence(error: SourceError, path: str | os.PathLike[str]) -> None:
    """Check that a refusal is one line that names the file and the byte."""
    text = str(error)
    assert text.startswith(f"{path}: byte "), text
    assert "\n" not in text
    assert len(text) < len(str(path)) + 600, text


def check_plain(value: Any) -> bool:
    """Check that a value and all its parts are of types that the reader may give; return whether it has no Foreign."""
    clean = True
    seen: set[int] = set()
    waiting = [value]
    while waiting:
        value = waiting.pop()
        kind = type(value)
        if kind in (list, tuple, dict):
            if id(value) in seen:
                continue
            seen.add(id(value))
            if kind is dict:
                assert _KEYS.issuperset(map(type, value)), f"keys {list(value)[:5]}"
                waiting += value.values()
            else:
                waiting += value
        elif kind is np.ndarray:
            assert value.dtype.kind in "biuf", value.dtype
            assert value.dtype.fields is None
            assert value.nbytes == len(value.tobytes())
        else:
            assert kind in _PLAIN or kind in _SCALARS, kind
            clean = clean and kind is not Foreign
    return clean


def check_same(found: Any, expected: Any) -> None:
    """Check that two values are equal in type, order and bits.

    Unlike ``tests.support.exact`` it compares each pair of containers once: an attack may have 2**60 of them.
    """
    seen: set[tuple[int, int]] = set()
    waiting = [(found, expected)]
    while waiting:
        one, other = waiting.pop()
        if one is other:
            continue
        kind = type(one)
        assert kind is type(other), f"{kind} and {type(other)}"
        if kind in (list, tuple, dict):
            if (id(one), id(other)) in seen:
                continue
            seen.add((id(one), id(other)))
            assert len(one) == len(other), f"{len(one)} and {len(other)} items"
            waiting += zip(one, other, strict=True)
            if kind is dict:
                waiting += zip(one.values(), other.values(), strict=True)
        elif kind is np.ndarray:
            assert (one.dtype.str, one.shape) == (other.dtype.str, other.shape), f"{one!r} and {other!r}"
            assert one.tobytes() == other.tobytes(), f"{one!r} and {other!r}"
        elif kind is float:
            assert struct.pack("<d", one) == struct.pack("<d", other), f"{one!r} and {other!r}"
        elif kind in _SCALARS:
            assert one.tobytes() == other.tobytes(), f"{one!r} and {other!r}"
        elif kind is Foreign:
            assert one.name == other.name, f"{one!r} and {other!r}"
        else:
            assert one == other, f"{one!r} and {other!r}"


class MachineFile(PickleFile):
    """A PickleFile that evaluates every value by the machine, without templates."""

    def _begin(self) -> None:
        super()._begin()
        self._templates._credit = 0


def check_templates(path: str | os.PathLike[str], count: int = 12) -> int:
    """Check that templates change nothing: each value, each refusal, what is counted and what is cached are the same.

    Reads up to ``count`` elements of each list and values of each dict, twice. Returns how many of them templates have
    read. Any exception except SourceError passes through.
    """
    opened = [_outcome(kind, path) for kind in (PickleFile, MachineFile)]
    pickled, machine = opened
    if isinstance(pickled, SourceError) or isinstance(machine, SourceError):
        assert str(pickled) == str(machine)
        return 0
    read = 0
    with pickled, machine:
        result_of = pickled._templates.read

        def counted(*arguments: Any) -> Any:
            nonlocal read
            result = result_of(*arguments)
            read += result is not None
            return result

        pickled._templates = SimpleNamespace(read=counted, learn=pickled._templates.learn)  # type: ignore[assignment]
        for way in [*_ways(machine, count), *reversed(_ways(machine, count))]:
            found, expected = _outcome(way, pickled), _outcome(way, machine)
            if isinstance(found, SourceError):
                assert str(found) == str(expected)
            else:
                check_same(found, expected)
            assert _state(pickled) == _state(machine)
    return read


def _ways(pickled: PickleFile, count: int) -> list[Callable[[PickleFile], Any]]:
    keys = pickled.keys[:count]
    ways: list[Callable[[PickleFile], Any]] = []
    for key in [None, *keys]:
        ways += [lambda file, i=i, key=key: file.element(i, key) for i in range(count)]
    return ways + [lambda file, key=key: file.value(key) for key in keys]


def _outcome(way: Callable[[Any], Any], argument: Any) -> Any:
    try:
        return way(argument)
    except SourceError as error:
        return error
    except (KeyError, IndexError) as error:  # there is no such element
        return repr(error)


def _state(pickled: PickleFile) -> tuple[Any, ...]:
    """What earlier reading has left behind, which later reading depends on."""
    memo, budget = pickled._memo, pickled._budget
    return (
        set(memo.kept),
        set(memo._small),
        list(memo._cache),
        memo._costs,
        memo._cached,
        budget._expanded,
        budget._work,
        budget._counted,
        pickled._refused,
    )


def check_refused(path: str | os.PathLike[str]) -> bool:
    """Check that all is plain or refused with a sentence; return whether anything is refused or not data."""
    bad = False
    for _, value in everything(path):
        if isinstance(value, SourceError):
            check_sentence(value, path)
            bad = True
        elif not check_plain(value):
            bad = True
    return bad


# --------------------------------------------------------------------------------------- in another process


_OF_NO_HARM = frozenset(("array.__new__", "builtins.id"))
"""Events of Python's audit hooks that any reading causes."""


def _peak() -> float:
    """Peak memory of this process in MB, since _forget_peak and without mapped files.

    Mapped files are the libraries. How much of them is resident depends on the page cache of the machine; it was 40 MB
    more in an environment that had just been installed.
    """
    status = Path("/proc/self/status").read_text()
    highest, mapped = (
        int(re.search(rf"{name}:\s+(\d+) kB", status)[1])  # type: ignore[index]
        for name in ("VmHWM", "RssFile")
    )
    return (highest - mapped) / 1024


def _forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def main() -> None:
    events: list[str] = []
    reading: str | None = None

    def listen(event: str, arguments: tuple[Any, ...]) -> None:
        if reading is None or event in _OF_NO_HARM:
            return
        if event != "open" or arguments[0] != reading or arguments[2] & (os.O_WRONLY | os.O_RDWR):
            events.append(f"{event} {arguments!r:.200}")

    sys.addaudithook(listen)
    for path in sys.argv[1:]:
        _forget_peak()
        modules = set(sys.modules)
        start = time.process_time()
        reading = path
        bad = check_refused(path)
        reading = None
        report = {
            "bad": bad,
            "seconds": time.process_time() - start,
            "megabytes": _peak(),
            "imported": sorted(set(sys.modules) - modules),
            "events": events,
        }
        print(json.dumps(report), flush=True)
        events.clear()


if __name__ == "__main__":
    main()
