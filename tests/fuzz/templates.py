"""Fuzz target: a template of the pickle reader returns what the machine returns, or nothing."""

from __future__ import annotations

import pickle
import pickletools
import tempfile
from bisect import bisect_left
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np

from converters.pickles import opcodes
from converters.pickles.evaluation import Evaluation
from converters.pickles.file import PickleFile
from converters.pickles.limits import Limits
from converters.pickles.memo import MISSING, Memo
from converters.pickles.opcodes import PickleError
from converters.pickles.template import Result, Template
from converters.pickles.templates import learn
from tests.support.reading_pickles import check_same

MAX_BYTES = 42
"""Bytes of an input: one for the place, one for the number of edits before a template is made of the value there, and
four for each of these and each of the edits after that."""
EDIT_BYTES = 4
MAX_EDITS_BEFORE = 5
"""One more than the number of edits before a template is made."""


class Place:
    """A value of a pickle that templates read, and what the reader knows about its file."""

    def __init__(self, pickled: PickleFile, key: str, number: int) -> None:
        self.pickled = pickled  # closing it would clear the cache of its memo
        spans, _ = pickled._list(key)
        assert spans is not None
        start, stop = spans.span(number)
        self.slot = spans.slots[number]
        span = pickled._read(start, stop)
        starts = [place for _, _, place in pickletools.genops(span + b".")]  # a fragment has no STOP
        self.opcodes = [span[i:j] for i, j in pairwise(starts)]
        self.fetched = pickled._index.fetched
        self.odd = pickled._index.odd
        self.memo = _before(pickled._memo, self.slot)
        self.limits = Limits(pickled.size)
        self.position = bisect_left(self.fetched, self.slot)
        self.templates = [one for one in pickled._templates._templates if self._result(one, span) is not None]

    def _result(self, template: Template, span: bytes) -> Result | None:
        return template.read(span, self.fetched, self.position, self.slot, self.memo, self.limits.shared)

    def learn(self, span: bytes) -> Template | None:
        """The template of a value in the span; None if the machine refuses it, or templates do not support it."""
        evaluation = Evaluation(self.fetched, self.odd, self.memo.kept, self._resolve, self.limits)
        try:
            evaluation.run(span, 0, self.position, self.slot)
        except PickleError:
            return None
        return learn(span, self.slot, self.memo.kept)

    def check(self, span: bytes, templates: list[Template]) -> bool:
        """Whether a template reads the span as a value here, which must then be equal to that of the machine."""
        read = False
        for template in templates:
            order = list(self.memo._cache)
            result = self._result(template, span)
            if result is None:
                assert list(self.memo._cache) == order, "a template that does not fit has an effect"
                continue
            read = True
            found, names, shared = result
            evaluation = Evaluation(self.fetched, self.odd, self.memo.kept, self._resolve, self.limits)
            check_same(found, evaluation.run(span, 0, self.position, self.slot))
            own = {slot: value for slot, value in evaluation.memo.items() if slot >= self.slot}
            _check_names(names, own)
            assert shared == evaluation.shared
        return read

    def _resolve(self, slot: int, offset: int) -> object:
        value = self.memo.find(slot)
        if value is MISSING:
            raise PickleError(offset, f"memo slot {slot} is not cached")
        return value


def _before(memo: Memo, slot: int) -> Memo:
    """What a memo knows of the slots before one: the value there may be edited, so its own slots are not known."""
    before = Memo()
    before.keep({number: value for number, value in memo.kept.items() if number < slot}, 0, True)
    for known in (memo._small, memo._cache):
        for number, value in known.items():
            if number < slot:
                before.keep({number: value}, memo._costs.get(number, 0), True)
    return before


def _check_names(found: dict[int, Any], expected: dict[int, Any]) -> None:
    assert list(found) == list(expected)
    for value, other in zip(found.values(), expected.values(), strict=True):
        if hasattr(value, "dtype"):  # a dtype that waited for its state
            assert type(value) is type(other)
            assert value.dtype == other.dtype
        else:
            check_same(value, other)


def annotation(number: int, shape: tuple[int, int]) -> dict[str, Any]:
    """An annotation with one value of every kind that templates read."""
    people, frames = 1 + number % 2, 1 + number % 3
    new = str(number % 7 + 640)
    return {
        "frame_dir": f"v{number}",
        "label": np.int64(number) if number % 4 else np.int64(-number),
        "img_shape": shape,
        "original_shape": shape,
        "size": (int(new), 480),
        "again": new,
        "total_frames": 200 + 60 * number,
        "valid": {0.5: number, 0.75: (number * 0.5, None, [number, f"é{number}"])},
        "note": new,
        "keypoint": np.arange(people * frames * 2, dtype="f2").reshape(people, frames, 2),
        "score": np.asfortranarray(np.full((frames, people), number, "f2")),
        "kept": bool(number % 2),
    }


def annotations(count: int, *, own: bool) -> list[dict[str, Any]]:
    """Annotations that share a shape and dtypes with the others or, if ``own``, have some of their own."""
    shape = (1080, 1920)
    if not own:
        return [annotation(number, shape) for number in range(count)]
    # An array that was pickled has a dtype of its own.
    return [pickle.loads(pickle.dumps(annotation(number, (*shape,)))) for number in range(count)]


def sources() -> Iterator[bytes]:
    """Pickles whose annotations templates read, in every protocol that they read."""
    for protocol in (2, 3, 4, 5):
        for own in (False, True):
            found = annotations(5, own=own)
            names = {"train": [annotation["frame_dir"] for annotation in found]}
            yield pickle.dumps({"split": names, "annotations": found}, protocol)
            yield pickle.dumps({"annotations": found, "split": names}, protocol)


def places() -> list[Place]:
    """Places in the annotations of all sources."""
    found = []
    for source in sources():
        with tempfile.NamedTemporaryFile() as file:
            file.write(source)
            file.flush()
            pickled = PickleFile(file.name)
            for number in (*range(5), *range(5)):
                pickled.element(number, "annotations")
            found += [Place(pickled, "annotations", number) for number in (2, 3)]
    return found


WIDER = {
    opcodes.BININT1: (opcodes.BININT2, 2),
    opcodes.BININT2: (opcodes.BININT, 4),
    opcodes.SHORT_BINBYTES: (opcodes.BINBYTES, 4),
    opcodes.SHORT_BINUNICODE: (opcodes.BINUNICODE, 4),
    opcodes.BINGET: (opcodes.LONG_BINGET, 4),
    opcodes.BINPUT: (opcodes.LONG_BINPUT, 4),
}
"""Opcode -> the one with a wider argument or length, and its width."""
WORDS = [
    *(b"\x95" + bytes(8), b"\x95\x04" + bytes(7), b"e", b"u", b"a", b"\x94", b"h\x01", b"j\x05\0\0\0"),
    *(b"K\x07", b"M\x07\x01", b"J\xff\xff\xff\xff", b"J\x01\0\0\0", b"C\x02ab", b"B\x02\0\0\0ab"),
    *(b"\x8c\x01a", b"X\x01\0\0\0a", b"\x8c\x02\xed\xa0", b"G\x7f\xf8" + bytes(6), b"q\x07", b"r\x07\0\0\0"),
    *(b"\x96\x02" + bytes(7) + b"ab", b"K\0", b"C\0", b"N", b"\x88", b"\x89", b")", b"]", b"}", b"(", b"t"),
    *(b"\x85", b"\x86", b"\x87", b"R", b"b", b"\x8a\x01\x05", b"J\0\0\0\x80", b"B\xff\xff\xff\xff"),
]
"""Opcodes that an edit may write: frames, literals in several sizes, and all that templates know."""


def edited(pieces: list[bytes], edits: bytes) -> list[bytes]:
    """The opcodes of a value after some edits.

    Each edit is four bytes: which opcode, what happens to it, and two for the details.
    """
    pieces = list(pieces)
    for i in range(0, len(edits) - EDIT_BYTES + 1, EDIT_BYTES):
        which, kind, place, value = edits[i : i + EDIT_BYTES]
        number = which % len(pieces)
        piece = pieces[number]
        match kind % 6:
            case 0 if piece:
                place %= len(piece)
                piece = piece[:place] + bytes((value,)) + piece[place + 1 :]
            case 1:
                piece = WORDS[value % len(WORDS)]
            case 2:
                piece = WORDS[value % len(WORDS)] + piece
            case 3:
                piece = b""
            case 4:
                piece = pieces[value % len(pieces)]
            case 5 if piece and piece[0] in WIDER:
                wider, width = WIDER[piece[0]]
                piece = bytes((wider,)) + piece[1:2] + bytes(width - 1) + piece[2:]
        pieces[number] = piece
    return pieces


def seeds() -> Iterator[bytes]:
    """Every place without an edit, and with a frame before one of its opcodes, in the template or in the value."""
    for number, place in enumerate(places()):
        yield bytes((number, 0))
        for which in range(0, len(place.opcodes), 8):
            yield bytes((number, which // 8 % 2, which, 2, 0, 0))


def words() -> Iterator[bytes]:
    """Edits that a mutation may insert."""
    for number in range(len(WORDS)):
        yield bytes((0, 1, 0, number))
        yield bytes((0, 2, 0, number))
    yield bytes((0, 5, 0, 0))


def check_input(found: list[Place], data: bytes) -> bool:
    """Check one input; return whether a template reads the value."""
    if len(data) < 2:
        return False
    place = found[data[0] % len(found)]
    before = data[1] % MAX_EDITS_BEFORE * EDIT_BYTES
    pieces = edited(place.opcodes, data[2 : 2 + before])
    templates = place.templates
    if before:
        template = place.learn(b"".join(pieces))
        if template is None:
            return False
        templates = [template]
        place.check(b"".join(pieces), templates)
    return place.check(b"".join(edited(pieces, data[2 + before :])), templates)


def target() -> Callable[[bytes], None]:
    """The function that the fuzzer calls with each input."""
    found = places()

    def run(data: bytes) -> None:
        check_input(found, data)

    return run
