"""Reading the values of a pickle one at a time, in any order, as data: no code that it names is run.

    with PickleFile("ntu60_hrnet.pkl") as pickled:
        pickled.keys                                     # ['split', 'annotations']
        splits = pickled.value("split")
        for i in range(pickled.elements("annotations")):
            annotation = pickled.element(i, "annotations")

The values are None, bool, int, float, str, bytes, tuple, list, dict, NumPy arrays and scalars of bool, integer and
float, and numpy.str_. A :class:`~converters.pickles.arrays.Foreign` takes the place of anything else.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.pickles.containers import NumberKeys
from converters.pickles.evaluation import Evaluation
from converters.pickles.index import read_indexes
from converters.pickles.limits import EVALUATION_BYTES, Budget
from converters.pickles.memo import MISSING, Memo, copy_value
from converters.pickles.opcodes import EMPTY_DICT, PickleError
from converters.pickles.spans import Index, Spans
from converters.pickles.templates import Templates
from skelstore.errors import SourceError
from skelstore.format.files import absolute, open_regular
from skelstore.wording import counted, kind_of, shown

Key = str | bytes | int | float | bool | None

PEEK_BYTES = 1024
"""Number of bytes of an annotation that are read to find the strings at its beginning."""
MAX_CHAIN = 50
MAX_CHAINS = 200
"""A value may need another one, which needs another one. Up to ``MAX_CHAIN`` evaluations are nested; deeper ones start
a new chain, and up to ``MAX_CHAINS`` chains are evaluated, the last one first."""

_OF_A_PROCESS = frozenset(("_fd", "_memo", "_growth", "_budget", "_templates", "_refused", "_listed"))
"""Attributes that are not sent to other processes."""
_Running = frozenset[tuple[int, int]]
_KEY_TYPES = (str, bytes, int, float, bool, type(None))


def _nothing_more(slot: int, offset: int) -> object:
    raise PickleError(offset, f"memo slot {slot} is not known yet")


class _TooDeepError(Exception):
    """The value at ``place`` is needed by the last of MAX_CHAIN nested evaluations."""

    def __init__(self, place: tuple[int, int], offset: int) -> None:
        super().__init__(place)
        self.place = place
        self.offset = offset


class PickleFile:
    """The pickle at ``path``, indexed.

    Raises SourceError if the file is not a pickle, is cut short or damaged, or holds what is never data (persistent
    ids, extension codes, containers that contain themselves); OSError if it cannot be read.

    ``size`` is the size of the file in bytes, ``root_kind`` is "dict", "list" or "other", ``keys`` are the keys of a
    root dict in order. With ``whole=False`` the file is indexed only until one of its lists has some elements, and
    ``grow`` indexes more. Until all is indexed, ``root_kind`` and ``keys`` are what is known so far, and the last list
    has only its first elements.

    The object can be pickled: its path and index are sent. Copies in several processes, forked or not, are independent.
    """

    path: Path
    size: int
    root_kind: str
    keys: list[Key]
    _index: Index

    def __init__(self, path: str | os.PathLike[str], *, whole: bool = True) -> None:
        self.path = absolute(path)
        self._fd = open_regular(self.path)
        status = os.fstat(self._fd)
        self.size = status.st_size
        self._stamp = status.st_mtime_ns
        self._begin()
        self._growth: Iterator[Index] | None = read_indexes(self._fd, self.size)
        self._index_more()
        while whole and self.grow():
            pass

    def _begin(self) -> None:
        """Initialize the state that each process has for itself."""
        self._memo = Memo()
        self._budget = Budget(self.size)
        self._templates = Templates(self._memo, self._budget.limits)
        self._refused: dict[int, tuple[int, str]] = {}  # offset of a value -> the error (offset, text)
        self._listed: tuple[int, list[object]] | None = None  # a list without an index, with its number in the root

    def grow(self) -> bool:
        """Index more of a file that is not whole; False if all of it is indexed. Raises as the constructor does."""
        if self._index.whole:
            return False
        self._index_more()
        return True

    def _index_more(self) -> None:
        try:
            if self._growth is None:  # closed meanwhile, or a copy in another process: index all from the beginning
                (self._index,) = deque(read_indexes(self._open(0), self.size), maxlen=1)
            else:
                self._index = next(self._growth)
            self.root_kind = self._index.root_kind
            while (known := self._known_keys()) is None:
                assert self._growth is not None
                self._index = next(self._growth)
            self.keys, self._numbers = known
            if self._index.whole:
                self._growth = None
        except PickleError as error:
            self.close()
            raise self._error(error) from None
        except BaseException as error:
            self.close()
            if isinstance(error, OSError):
                error.filename = str(self.path)
            raise

    def value(self, key: Key) -> object:
        """The whole value of a key of the root dict. Raises KeyError if there is no such key, and SourceError."""
        return self._unit(self._number(key), -1)

    def root(self) -> object:
        """The value of the whole file, in memory at once. Raises SourceError."""
        try:
            self._budget.check(0)
            evaluation = self._evaluation(frozenset(), 0)
            return evaluation.run(self._read(0, self._index.stop + 1), 0, 0, 0)
        except PickleError as error:
            raise self._error(error) from None

    def elements(self, key: Key = None) -> int | None:
        """The number of elements of the root list or, for a root dict, of the list that is the value of ``key``.

        None if the value is not a list. Raises KeyError if there is no such key, and SourceError.
        """
        if key is None and self.root_kind != "list" and None not in self._numbers:
            return None
        spans, number = self._list(key)
        if spans is not None:
            return len(spans)
        value = self._short_list(number, key)
        return None if value is None else len(value)

    def element(self, i: int, key: Key = None) -> object:
        """Element ``i`` of that list. Raises IndexError, KeyError if there is no such list, and SourceError."""
        spans, number = self._list(key)
        listed = spans if spans is not None else self._short_list(number, key)
        if listed is None:
            raise KeyError(f"{self.path}: {key!r} is not a list")
        if not 0 <= i < len(listed):
            raise IndexError(f"{self.path}: element {i} is out of range; there are {counted(len(listed), 'element')}")
        if isinstance(listed, list):
            return copy_value(listed[i])
        return self._unit(i, -1) if number < 0 else self._unit(number, i)

    def element_sizes(self, key: Key = None) -> NDArray[np.int64]:
        """The bytes of each element of that list in the file [elements]. Raises KeyError if there is no such list."""
        spans, number = self._list(key)
        if spans is not None:
            starts = np.append(np.frombuffer(spans.starts, np.int64), np.int64(spans.stop))
            return starts[1:] - starts[:-1]
        value = self._short_list(number, key)
        if value is None:
            raise KeyError(f"{self.path}: {key!r} is not a list")
        assert self._index.root is not None
        start, stop = self._index.root.span(number)
        return np.full(len(value), (stop - start) // max(1, len(value)), np.int64)

    def close(self) -> None:
        """Close the file and drop cached values, except small ones. The next read opens it again."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
        self._memo.forget()
        self._refused = {}
        self._listed = None
        self._growth = None

    def __enter__(self) -> PickleFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_fd", -1) >= 0:
            self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in _OF_A_PROCESS}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._fd = -1
        self._begin()
        self._growth = None

    def __repr__(self) -> str:
        return f"PickleFile({str(self.path)!r})"

    # Finding values.

    def _number(self, key: Key) -> int:
        """The number of the value of ``key`` among the keys and values of the root dict. Raises KeyError."""
        if self.root_kind != "dict":
            raise KeyError(f"{self.path}: there is no {key!r}, since the file holds no dict")
        try:
            return 2 * self._numbers[key] + 1
        except (KeyError, TypeError):
            raise KeyError(f"{self.path}: there is no key {key!r}") from None

    def _list(self, key: Key) -> tuple[Spans | None, int]:
        if self.root_kind == "list" and key is None:
            return self._index.root, -1
        number = self._number(key)
        return self._index.lists.get(number), number

    def _short_list(self, number: int, key: Key) -> list[object] | None:
        """The value if it is a list without spans in the index: an empty one, or one beyond MAX_LISTS; else None."""
        assert self._index.root is not None
        start, _ = self._index.root.span(number)
        if self._read(start, start + 1)[0] == EMPTY_DICT:  # a dict need not be evaluated: it is not a list
            return None
        if self._listed is None or self._listed[0] != number:
            value = self.value(key)
            if type(value) is not list:
                return None
            self._listed = number, value
        return self._listed[1]

    def _known_keys(self) -> tuple[list[Key], dict[Key, int]] | None:
        """The keys of the root dict; None if what looks like one is an item of a tuple that is not complete yet."""
        try:
            return self._read_keys()
        except (PickleError, SourceError):
            if self._index.whole:
                raise
            return None

    def _read_keys(self) -> tuple[list[Key], dict[Key, int]]:
        keys: list[Key] = []
        numbers: dict[Key, int] = {}
        checked = NumberKeys()
        if self._index.root_kind != "dict" or self._index.root is None:
            return keys, numbers
        for number in range(0, len(self._index.root), 2):
            key = self._unit(number, -1)
            offset = self._index.root.starts[number]
            if type(key) not in _KEY_TYPES:
                raise PickleError(offset, f"{kind_of(key)} as the key of a dict was found, expected text or a number")
            checked.add((key,), offset)
            if key in numbers:
                raise PickleError(offset, "a key was found twice in one dict; the file is damaged")
            numbers[key] = len(keys)  # type: ignore[index]
            keys.append(key)  # type: ignore[arg-type]
        return keys, numbers

    # Evaluation.

    def _unit(self, number: int, element: int) -> object:
        waiting = [(number, element)]
        try:
            while True:
                # Only the requested value, the first one, is returned to the caller.
                try:
                    value, _ = self._evaluate(*waiting[-1], frozenset(), int(len(waiting) > 1))
                except _TooDeepError as deep:
                    if deep.place in waiting:
                        raise _holds_itself(deep.offset) from None
                    if len(waiting) >= MAX_CHAINS:
                        raise PickleError(deep.offset, "a value was found that refers to too many others") from None
                    waiting.append(deep.place)
                else:
                    waiting.pop()
                    if not waiting:
                        return value
        except PickleError as error:
            raise self._error(error, self._place(number, element)) from None

    def _place(self, number: int, element: int) -> str:
        """The place of a value in the file, for messages."""
        if self.root_kind == "list":
            return f" (in element {number})"
        if number % 2 == 0:
            return " (a key)"
        key = shown(self.keys[number // 2])
        return f" (in {key})" if element < 0 else f" (in element {element} of {key})"

    def _evaluate(self, number: int, element: int, running: _Running, chain: int) -> tuple[object, dict[int, object]]:
        """Value ``number`` of the root, or an element of it, and the memo slots that were set or read for it.

        ``running`` are the evaluations that need this one, ``chain`` is their number.
        """
        spans = self._index.root if element < 0 else self._index.lists[number]
        assert spans is not None
        i = number if element < 0 else element
        start, stop = spans.span(i)
        slot = spans.slots[i]
        self._budget.check(start)
        if start in self._refused:
            raise PickleError(*self._refused[start])
        position = bisect_left(self._index.fetched, slot)
        shared = 0
        try:
            span = self._read(start, stop)
            result = self._templates.read(span, self._index.fetched, position, slot)
            if result is not None:
                value, memo, shared = result
            else:
                evaluation = self._evaluation(running | {(number, element)}, chain)
                try:
                    value, memo = evaluation.run(span, start, position, slot), evaluation.memo
                finally:
                    shared = evaluation.shared
        except PickleError as error:
            self._refused[start] = error.offset, error.text
            raise
        finally:
            if chain:
                self._budget.spend(stop - start + EVALUATION_BYTES + shared)
            else:
                self._budget.expand(start, stop - start, shared)
        if memo:
            # The caller gets these objects themselves, so those that it could change are not cached.
            self._memo.keep(memo, stop - start, chain > 0)
        if result is None:
            self._templates.learn(span, slot)
        return value, memo

    def _peek(self, number: int, element: int) -> dict[int, object]:
        """The memo slots of an element that are read anywhere, if its beginning sets them; otherwise an empty dict.

        Splits that share the names of annotations need one string of each annotation, which precedes its arrays.
        """
        if element < 0 or element + 1 >= len(spans := self._index.lists[number]):
            return {}
        start, stop = spans.span(element)
        slot, after = spans.slots[element : element + 2]
        fetched = self._index.fetched
        evaluation = Evaluation(fetched, self._index.odd, self._memo.kept, _nothing_more, self._budget.limits)
        self._budget.spend(EVALUATION_BYTES + min(stop - start, PEEK_BYTES))
        beginning = self._read(start, min(stop, start + PEEK_BYTES))
        if not evaluation.peek(beginning, start, bisect_left(fetched, slot), slot, bisect_left(fetched, after)):
            return {}
        self._memo.keep(evaluation.memo, stop - start, False)
        return evaluation.memo

    def _evaluation(self, running: _Running, chain: int) -> Evaluation:
        def resolve(slot: int, offset: int) -> object:
            return self._resolve(slot, offset, running, chain)

        return Evaluation(self._index.fetched, self._index.odd, self._memo.kept, resolve, self._budget.limits)

    def _resolve(self, slot: int, offset: int, running: _Running, chain: int) -> object:
        """The value of a memo slot; evaluates the part of the file that sets it unless the value is cached."""
        value = self._memo.find(slot)
        if value is not MISSING:
            return value
        index = self._index
        put = index.odd.get(slot)
        number = index.root.owner(slot, put) if index.root is not None else -1
        element = -1
        if number in index.lists:
            element = index.lists[number].owner(slot, put)
        if number < 0 or (number, element) in running:
            raise _holds_itself(offset)
        if chain >= MAX_CHAIN:
            raise _TooDeepError((number, element), offset)
        memo = self._peek(number, element)
        if slot not in memo:
            memo = self._evaluate(number, element, running, chain + 1)[1]
        if slot not in memo:
            raise PickleError(offset, "the file has changed since it was indexed")
        return copy_value(memo[slot])

    # The file.

    def _open(self, offset: int) -> int:
        """The descriptor of the file, opened again if it was closed. ``offset`` is where to read, for errors."""
        # A forked process may use the descriptor of its parent: pread does not move the position that they share.
        if self._fd < 0:
            try:
                self._fd = open_regular(self.path)
            except FileNotFoundError:
                raise PickleError(offset, "the file was removed since it was indexed") from None
            status = os.fstat(self._fd)
            if status.st_size != self.size or status.st_mtime_ns != self._stamp:
                self.close()
                raise PickleError(offset, "the file has changed since it was indexed")
        return self._fd

    def _read(self, start: int, stop: int) -> bytes:
        fd = self._open(start)
        try:
            data = os.pread(fd, stop - start, start)
            while len(data) < stop - start:  # one call reads at most 2 GiB
                more = os.pread(fd, stop - start - len(data), start + len(data))
                if not more:
                    raise PickleError(start + len(data), "the file ends here, but was longer when it was indexed")
                data += more
        except OSError as error:
            error.filename = str(self.path)
            raise
        return data

    def _error(self, error: PickleError, place: str = "") -> SourceError:
        if self._fd >= 0 and os.fstat(self._fd).st_mtime_ns != self._stamp:
            text = "the file has changed while it was read; wait until it is complete, then start again"
            return SourceError(f"{self.path}: byte {error.offset}{place}: {text}")
        return SourceError(f"{self.path}: byte {error.offset}{place}: {error.text}")


def _holds_itself(offset: int) -> PickleError:
    return PickleError(offset, "a list or dict that contains itself was found, which is not data")
