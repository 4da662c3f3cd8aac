"""Values that templates read, compared with those of the machine and of the pickle module."""

from __future__ import annotations

import pickle
import pickletools
import struct
from bisect import bisect_left
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from converters.pickles import opcodes, templates, writer
from converters.pickles.file import PickleFile
from converters.pickles.memo import MISSING
from skelstore.errors import SourceError
from tests.fuzz.templates import annotations, edited
from tests.support.exact import assert_exact
from tests.support.reading_pickles import MachineFile, check_same, check_templates

PROTOCOLS = (2, 3, 4, 5)
SHAPE = (1080, 1920)


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def split_opcodes(data: bytes) -> list[bytes]:
    """The opcodes of a pickle with their arguments, without frames."""
    found = [(opcode.name, place) for opcode, _, place in pickletools.genops(data)]
    stops = [place for _, place in found[1:]] + [len(data)]
    return [data[start:stop] for (name, start), stop in zip(found, stops, strict=True) if name != "FRAME"]


def divide(data: bytes, element: int) -> tuple[bytes, list[bytes], bytes]:
    """A pickle without frames: what precedes an annotation, the opcodes of the annotation, and what follows it."""
    pieces = split_opcodes(data)
    starts = [i for i, piece in enumerate(pieces) if piece == b"}" and depth_of(pieces, i) == 2]
    start, stop = starts[element], starts[element + 1]
    return b"".join(pieces[:start]), pieces[start:stop], b"".join(pieces[stop:])


def depth_of(pieces: list[bytes], place: int) -> int:
    """The number of marks that are open at a place of the opcodes."""
    depth = 0
    for piece in pieces[:place]:
        depth += (piece == b"(") - (piece[0] in (opcodes.TUPLE, opcodes.APPENDS, opcodes.SETITEMS))
    return depth


def dumped(value: object, protocol: int, frame: int) -> bytes:
    """A pickle of a value, with ``frame`` opcodes per frame; 0 for the frames of the pickle module, -1 for none."""
    data = pickle.dumps(value, protocol)
    if frame == 0 or (frame > 0 and protocol < 4):
        return data
    header, *pieces = split_opcodes(data)
    if frame < 0:
        return header + b"".join(pieces)
    frames = [b"".join(pieces[i : i + frame]) for i in range(0, len(pieces), frame)]
    return header + b"".join(b"\x95" + struct.pack("<Q", len(opcodes)) + opcodes for opcodes in frames)


# ------------------------------------------------------------------------------------------- annotations at random

INTEGERS = st.one_of(st.integers(0, 300), st.integers(-(1 << 31), (1 << 31) - 1), st.integers(-(1 << 70), 1 << 70))
TEXTS = st.one_of(st.text(max_size=6), st.sampled_from(("é" * 40, "x" * 300, "\ud800", "", "\0")))
DTYPES = ("f2", "<f4", ">f4", "f8", "i2", ">i8", "u1", "b1")
KINDS = ("integer", "number", "text", "text twice", "name", "bytes", "shape", "own shape", "array", "scalar", "nested")


@st.composite
def values(draw: st.DrawFn, kind: str, dtype: str, axes: int, name: str, shape: tuple[int, ...]) -> Any:
    """One value of a kind, as an annotation may have."""
    match kind:
        case "integer":
            return draw(INTEGERS)
        case "number":
            return draw(st.floats())
        case "text":
            return draw(TEXTS)
        case "text twice":
            text = draw(TEXTS)
            return [text, text]
        case "name":
            return name
        case "bytes":
            return draw(st.one_of(st.binary(max_size=5), st.just(b"z" * 300)))
        case "shape":
            return shape
        case "own shape":
            own = (draw(INTEGERS), draw(INTEGERS))
            return {"img": own, "original": own}
        case "array":
            lengths = draw(st.tuples(*[st.integers(0, 3)] * axes))
            array = np.arange(np.prod(lengths, dtype=int)).astype(dtype).reshape(lengths)
            return np.asfortranarray(array) if draw(st.booleans()) else array
        case "scalar":
            return np.dtype(dtype).type(draw(st.integers(0, 1)))
        case _:
            return {"a": [draw(INTEGERS), None], 0.5: (draw(TEXTS), True, {"b": draw(st.floats())})}


@st.composite
def documents(draw: st.DrawFn) -> Any:
    """A list of annotations with the same keys, and values of the same kinds, mostly; and the names of the videos."""
    fields = draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=6))
    details = [(draw(st.sampled_from(DTYPES)), draw(st.integers(0, 4))) for _ in fields]
    count = draw(st.integers(3, 6))
    names = draw(st.lists(TEXTS, min_size=count, max_size=count))
    found = [
        {
            f"key{i}": draw(values(kind, dtype, axes, name, SHAPE))
            for i, (kind, (dtype, axes)) in enumerate(zip(fields, details, strict=True))
        }
        for name in names
    ]
    if draw(st.booleans()):
        found[draw(st.integers(0, count - 1))]["more"] = draw(st.sampled_from((1, SHAPE, names[0])))
    match draw(st.sampled_from(("names first", "names last", "list", "dict"))):
        case "names first":
            return {"split": {"train": names}, "annotations": found}
        case "names last":
            return {"annotations": found, "split": {"train": names}}
        case "list":
            return found
        case _:
            return {f"video{i}": annotation for i, annotation in enumerate(found)}


@given(documents(), st.sampled_from(PROTOCOLS), st.sampled_from((-1, 0, 7, 60)))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_annotations_are_what_the_machine_and_pickle_return(
    tmp_path: Path, document: Any, protocol: int, frame: int
) -> None:
    data = dumped(document, protocol, frame)
    path = written(tmp_path / "a.pkl", data)
    check_templates(path)
    loaded = pickle.loads(data)
    with PickleFile(path) as pickled:
        for _ in range(2):
            parts = [((), None)] if isinstance(loaded, list) else [((key,), key) for key in loaded]
            for place, key in parts:
                whole = loaded[key] if place else loaded
                if isinstance(whole, list):
                    for i, expected in enumerate(whole):
                        assert_exact(pickled.element(i, key), expected)
                else:
                    assert_exact(pickled.value(key), whole)


@given(
    st.sampled_from(PROTOCOLS),
    st.booleans(),
    st.booleans(),
    st.integers(0, 4),
    st.binary(min_size=4, max_size=12),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_edited_annotations_give_what_the_machine_gives(
    tmp_path: Path, protocol: int, own: bool, last: bool, element: int, edits: bytes
) -> None:
    before, pieces, after = divide(SOURCES[protocol, own, last], element)
    check_templates(written(tmp_path / "a.pkl", b"".join([before, *edited(pieces, edits), after])))


@given(st.sampled_from(PROTOCOLS), st.booleans(), st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_changed_bytes_give_what_the_machine_gives(
    tmp_path: Path, protocol: int, own: bool, data: st.DataObject
) -> None:
    changed = bytearray(SOURCES[protocol, own, False])
    for _ in range(data.draw(st.integers(1, 3))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    check_templates(written(tmp_path / "a.pkl", bytes(changed)))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_arrays_of_another_class_are_not_arrays(tmp_path: Path, protocol: int) -> None:
    changed = SOURCES[protocol, False, False].replace(b"ndarray", b"\0darray")
    check_templates(written(tmp_path / "a.pkl", changed))


def source(protocol: int, own: bool, last: bool) -> bytes:
    found = annotations(6, own=own)
    names = {"train": [annotation["frame_dir"] for annotation in found]}
    document = {"annotations": found, "split": names} if last else {"split": names, "annotations": found}
    return b"".join(split_opcodes(pickle.dumps(document, protocol)))


SOURCES = {
    (protocol, own, last): source(protocol, own, last)
    for protocol in PROTOCOLS
    for own in (False, True)
    for last in (False, True)
}


# ------------------------------------------------------------------------------------------------- what is read


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("last", [False, True])
def test_annotations_are_read_by_templates(tmp_path: Path, protocol: int, own: bool, last: bool) -> None:
    """All but those that define names, and the first of each kind: in the first round four of six, then all but one."""
    found = check_templates(written(tmp_path / "a.pkl", SOURCES[protocol, own, last]), 6)
    assert found >= 7


def test_our_own_pickles_are_read_by_templates(tmp_path: Path) -> None:
    path = tmp_path / "a.pkl"
    with path.open("wb") as file:
        pickler = writer.PickleWriter(file)
        with pickler.streamed_list():
            for annotation in annotations(6, own=True):
                pickler.value(annotation)
        pickler.stop()
    assert check_templates(path) >= 6


@pytest.mark.parametrize("protocol", [4, 5])
def test_a_frame_may_begin_before_any_opcode(tmp_path: Path, protocol: int) -> None:
    before, pieces, after = divide(SOURCES[protocol, True, False], 4)
    expected = check_templates(written(tmp_path / "a.pkl", before + b"".join(pieces) + after))
    for number in range(len(pieces)):
        rest = b"".join(pieces[number:]) + after
        frame = b"\x95" + struct.pack("<Q", len(rest))
        path = written(tmp_path / "a.pkl", before + b"".join(pieces[:number]) + frame + rest)
        assert check_templates(path) == expected, f"before opcode {number}, {pieces[number]!r}"


@pytest.mark.parametrize("wider", [0, 1])
def test_literals_of_any_size(tmp_path: Path, wider: int) -> None:
    """One template reads integers of 1, 2 and 4 bytes, and long and short texts, data and references."""
    found = [
        {"a": number, "b": f"{i:03}" + "x" * size, "c": np.full(size, i % 256, "u1"), "d": f"v{i}"}
        for i, (number, size) in enumerate([(0, 2), (1, 2), (300, 300), (-1, 252), (70000, 256), (255, 253)] * 60)
    ]
    names = [annotation["d"] for annotation in found]  # their slots are above 255 for most
    path = written(tmp_path / "a.pkl", dumped({"split": {"train": names}, "annotations": found}, 4, -wider))
    assert check_templates(path, len(found)) > 2 * len(found) - 10
    with PickleFile(path) as pickled:
        for i, expected in enumerate(found):
            assert_exact(pickled.element(i, "annotations"), expected)
        assert len(pickled._templates._templates) <= 3


def test_arrays_are_as_the_machine_builds_them(tmp_path: Path) -> None:
    found = [
        {"c": np.arange(6, dtype="f4").reshape(2, 3), "f": np.asfortranarray(np.ones((3, 2))), "g": np.zeros((0, 4))}
        for _ in range(4)
    ]
    for protocol in PROTOCOLS:
        path = written(tmp_path / "a.pkl", pickle.dumps(found, protocol))
        with PickleFile(path) as pickled, MachineFile(path) as machine:
            for i in (*range(4), *range(4)):
                for array, expected in zip(pickled.element(i).values(), machine.element(i).values(), strict=True):
                    assert array.strides == expected.strides
                    assert array.flags.writeable == expected.flags.writeable
                    assert type(array.base) is type(expected.base)
                    assert array.base is None or len(array.base) == len(expected.base)


# ------------------------------------------------------------------------------------------------- bounds


def test_shared_text_up_to_the_limit(tmp_path: Path) -> None:
    """Annotations whose references expand to more than the limit are refused, whatever fitted before."""
    short, long = "s", "l" * (1 << 20)
    found = [{f"key{i}": short for i in range(17)} for _ in range(6)] + [{f"key{i}": long for i in range(17)}]
    found.append({f"key{i}": long if i else short for i in range(17)})
    path = written(tmp_path / "a.pkl", pickle.dumps({"texts": [short, long], "annotations": found}, 4))
    assert check_templates(path) > 6
    with PickleFile(path) as pickled:
        for i in range(6):
            pickled.element(i, "annotations")
        with pytest.raises(SourceError, match="shared values were found that expand to more than"):
            pickled.element(6, "annotations")


@pytest.mark.parametrize(("nesting", "refused"), [(98, False), (99, True)])
def test_a_shared_tuple_in_the_place_of_a_text_is_nested_deeper(tmp_path: Path, nesting: int, refused: bool) -> None:
    def nested(value: Any) -> Any:
        for _ in range(nesting):
            value = [value]
        return value

    text = "t"
    found = [{"a": nested(text)} for _ in range(5)] + [{"a": nested(SHAPE)}]
    path = written(tmp_path / "a.pkl", pickle.dumps({"shared": [text, SHAPE], "annotations": found}, 4))
    check_templates(path)
    with PickleFile(path) as pickled:
        for i in range(5):
            assert pickled.element(i, "annotations") == found[i]
        if refused:
            with pytest.raises(SourceError, match="nested more than"):
                pickled.element(5, "annotations")
        else:
            assert pickled.element(5, "annotations") == found[5]


def test_parts_of_arrays_by_themselves_are_foreign(tmp_path: Path) -> None:
    """A bytearray, and a dtype that the same annotation has made, are no data."""
    for protocol in PROTOCOLS:
        found = pickle.loads(pickle.dumps([[bytearray(b"ab"), np.zeros(i, "f2")] for i in range(5)]))
        for items in found:
            items.append(items[1].dtype)
        check_templates(written(tmp_path / "a.pkl", pickle.dumps(found, protocol)))


def test_a_memo_index_out_of_sequence_is_left_to_the_machine(tmp_path: Path) -> None:
    before, pieces, after = divide(SOURCES[3, False, False], 4)
    expected = check_templates(written(tmp_path / "a.pkl", before + b"".join(pieces) + after))
    put = next(i for i, piece in enumerate(pieces) if piece[0] in (opcodes.BINPUT, opcodes.LONG_BINPUT))
    pieces[put] = b"r" + struct.pack("<I", 5000)
    assert check_templates(written(tmp_path / "a.pkl", before + b"".join(pieces) + after)) < expected


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_reference_to_a_later_slot_is_left_to_the_machine(tmp_path: Path, protocol: int) -> None:
    """The index refuses it in a file, so only a template sees it here."""
    with PickleFile(written(tmp_path / "a.pkl", SOURCES[protocol, True, False])) as pickled:
        for i in (*range(6), *range(6)):
            pickled.element(i, "annotations")
        spans, _ = pickled._list("annotations")
        assert spans is not None
        slot, later = spans.slots[3], pickled._index.fetched[-2]
        assert pickled._memo.look(later) is not MISSING or later in pickled._memo.kept
        position = bisect_left(pickled._index.fetched, slot)
        _, pieces, _ = divide(SOURCES[protocol, True, False], 3)
        name = next(i for i, piece in enumerate(pieces) if piece[0] == opcodes.BINGET)
        for number, fits in ((pieces[name][1], True), (later, False)):
            pieces[name] = b"j" + struct.pack("<I", number)
            result = pickled._templates.read(b"".join(pieces), pickled._index.fetched, position, slot)
            assert (result is not None) == fits


def test_values_that_are_not_alike_turn_templates_off(tmp_path: Path) -> None:
    found = [{"a": list(range(i))} for i in range(60)]
    with PickleFile(written(tmp_path / "a.pkl", pickle.dumps(found, 4))) as pickled:
        for i, expected in enumerate(found):
            assert pickled.element(i) == expected
        assert pickled._templates._credit == 0
        assert len(pickled._templates._templates) <= templates.MAX_ATTEMPTS
        assert pickled._templates.read(pickled._read(*pickled._index.root.span(3)), None, 0, 0) is None  # type: ignore


def test_long_values_have_no_template(tmp_path: Path) -> None:
    found = [list(range(templates.MAX_OPCODES + 1))] * 1 + [list(range(5))] * 1
    with PickleFile(written(tmp_path / "a.pkl", pickle.dumps(found, 4))) as pickled:
        for i, expected in enumerate(found):
            assert pickled.element(i) == expected
        assert len(pickled._templates._templates) == 1


def test_a_pickled_reader_begins_without_templates(tmp_path: Path) -> None:
    path = written(tmp_path / "a.pkl", SOURCES[4, True, False])
    with PickleFile(path) as pickled:
        for i in range(6):
            pickled.element(i, "annotations")
        with pickle.loads(pickle.dumps(pickled)) as copy:
            assert not copy._templates._templates
            for i in range(6):
                check_same(copy.element(i, "annotations"), pickled.element(i, "annotations"))


def test_marks_are_counted() -> None:
    """The helper of these tests finds annotations."""
    for data in SOURCES.values():
        parts = [divide(data, i) for i in range(5)]
        assert all(before + b"".join(pieces) + after == data for before, pieces, after in parts)
        assert all(len(one[0]) < len(other[0]) for one, other in pairwise(parts))
