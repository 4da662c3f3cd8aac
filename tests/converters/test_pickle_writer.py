"""The pickle writer: what it writes is loaded by the pickle module as the same value."""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import struct
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from converters.pickles import writer
from converters.pickles.file import PickleFile
from converters.pickles.writer import PickleWriter, dumps
from skelstore.errors import UnsupportedValueError
from tests.support.exact import assert_exact

NUMBER_DTYPES = st.one_of(
    hnp.boolean_dtypes(),
    hnp.integer_dtypes(endianness="?"),
    hnp.unsigned_integer_dtypes(endianness="?"),
    hnp.floating_dtypes(endianness="?", sizes=(16, 32, 64)),
)


@st.composite
def arrays(draw: st.DrawFn) -> np.ndarray:
    """Arrays of any bits with 0 to 4 dimensions, also of size zero, contiguous and as views in other orders."""
    dtype = draw(NUMBER_DTYPES)
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
    size = int(np.prod(shape)) * dtype.itemsize
    data = draw(st.binary(min_size=size, max_size=size))
    if dtype.kind == "b":
        data = bytes(byte & 1 for byte in data)
    whole = np.frombuffer(data, dtype).reshape(shape)
    view = draw(st.sampled_from(["whole", "transposed", "reversed", "fortran"]))
    if view == "transposed":
        return whole.T
    if view == "reversed" and whole.ndim:
        return whole[::-1]
    return np.asfortranarray(whole) if view == "fortran" else whole


@st.composite
def numpy_scalars(draw: st.DrawFn) -> np.generic:
    """NumPy scalars of any bits."""
    dtype = draw(NUMBER_DTYPES).newbyteorder("=")
    if dtype.kind == "b":
        return np.bool_(draw(st.booleans()))
    data = draw(st.binary(min_size=dtype.itemsize, max_size=dtype.itemsize))
    return np.frombuffer(data, dtype)[0]


ANY_FLOAT = st.binary(min_size=8, max_size=8).map(lambda data: struct.unpack("<d", data)[0])
# Lone surrogates included.
TEXT = st.text(st.characters(exclude_categories=[]), max_size=80)
HASHABLE = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.integers(-(2**33), 2**33), ANY_FLOAT, TEXT, st.binary(max_size=300)
    ),
    lambda inner: st.lists(inner, max_size=5).map(tuple),
    max_leaves=5,
)
VALUES = st.recursive(
    st.one_of(HASHABLE, arrays(), numpy_scalars(), TEXT.filter(lambda text: not text.endswith("\0")).map(np.str_)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=6),
        st.lists(inner, max_size=6).map(tuple),
        st.dictionaries(HASHABLE, inner, max_size=6),
    ),
    max_leaves=20,
)


@given(VALUES)
def test_values_round_trip(value: object) -> None:
    written = dumps(value)
    assert_exact(pickle.loads(written), value)
    assert dumps(pickle.loads(written)) == written


@given(st.dictionaries(TEXT, st.one_of(VALUES, st.lists(VALUES, max_size=4)), max_size=4))
def test_streamed_containers_round_trip(value: dict[str, Any]) -> None:
    file = io.BytesIO()
    writer = PickleWriter(file)
    with writer.streamed_dict():
        for key, item in value.items():
            writer.key(key)
            if type(item) is list:
                with writer.streamed_list():
                    for entry in item:
                        writer.value(entry)
            elif type(item) is dict and all(type(inner) is str for inner in item):
                with writer.streamed_dict():
                    for inner, entry in item.items():
                        writer.key(inner)
                        writer.value(entry)
            else:
                writer.value(item)
    writer.stop()
    assert_exact(pickle.loads(file.getvalue()), value)


@pytest.mark.parametrize("size", [254, 255, 256, 257, 65_535, 65_536, 100_000])
def test_lengths_around_the_limits_of_opcodes_and_buffers(size: int) -> None:
    value = ["x" * size, b"y" * size, list(range(size)), dict.fromkeys(range(size)), (None,) * size, 1 << size]
    value += [np.arange(size), -(1 << size)]
    assert_exact(pickle.loads(dumps(value)), value)


@pytest.mark.parametrize("power", [7, 8, 15, 16, 31, 32, 63, 64, 2039, 2040])
def test_integers_around_powers_of_two(power: int) -> None:
    value = [sign * (1 << power) + more for sign in (1, -1) for more in (-1, 0, 1)]
    assert_exact(pickle.loads(dumps(value)), value)


def test_repeated_strings_and_dtypes_are_written_once_and_shared() -> None:
    annotations = [{"frame_dir": f"S{index:019d}", "keypoint": np.zeros((1, 2), np.float16)} for index in range(50)]
    value = {"split": {"train": [annotation["frame_dir"] for annotation in annotations]}, "annotations": annotations}
    written = dumps(value)
    loaded = pickle.loads(written)
    for word in (b"frame_dir", b"keypoint", b"_reconstruct", b"dtype", b"f2", b"S0000000000000000007"):
        assert written.count(word) == 1
    assert loaded["split"]["train"][7] is loaded["annotations"][7]["frame_dir"]


def test_long_strings_are_not_memoized() -> None:
    assert dumps(["a" * 65] * 2).count(b"a" * 65) == 2


def test_the_memo_is_bounded_and_has_room_for_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "SHARED_VALUES", 10)
    monkeypatch.setattr(writer, "SHARED_STRINGS", 12)
    value = [[f"name{index}" for index in range(30)] * 2, [{"key": 1, "other": 2, "third": 3}] * 2]
    written = dumps(value)
    assert [written.count(word) for word in (b"name9", b"name10", b"key", b"other", b"third")] == [1, 2, 1, 1, 2]
    assert sum(opcode.name == "MEMOIZE" for opcode, _, _ in pickletools.genops(written)) == 12
    assert_exact(pickle.loads(written), value)


def test_equal_lists_and_arrays_are_not_shared() -> None:
    array, items = np.zeros(3), [1]
    loaded = pickle.loads(dumps([array, array, items, items]))
    assert loaded[0] is not loaded[1]
    assert loaded[2] is not loaded[3]


@pytest.mark.parametrize("order", "<>")
def test_arrays_load_as_arrays_that_can_be_written_to(order: str) -> None:
    loaded = pickle.loads(dumps(np.zeros((2, 3), f"{order}f4")))
    loaded[1, 1] = 1
    assert loaded.sum() == 1


def test_only_opcodes_of_protocol_4_and_names_of_numpy_1() -> None:
    written = dumps([np.zeros(3, "<f2"), np.float32(1), np.str_("x"), {"a": (1, 2.0)}])
    operations = list(pickletools.genops(written))
    assert max(opcode.proto for opcode, _, _ in operations) == 4
    assert "FRAME" not in {opcode.name for opcode, _, _ in operations}
    assert b"numpy._core" not in written


def test_large_arrays_are_not_copied() -> None:
    views: list[object] = []

    class File(io.BytesIO):
        def write(self, data: Any) -> int:
            views.append(data.obj if isinstance(data, memoryview) else None)
            return super().write(data)

    file = File()
    writer = PickleWriter(file)
    array = np.arange(100_000)
    writer.value(array)
    writer.stop()
    assert any(isinstance(view, np.ndarray) and np.shares_memory(view, array) for view in views)
    assert_exact(pickle.loads(file.getvalue()), array)


class Text(str):
    pass


@pytest.mark.parametrize(
    "value",
    [
        OrderedDict(a=1),
        {1, 2},
        frozenset(),
        1j,
        object(),
        Text("a"),
        bytearray(b"a"),
        range(3),
        np.complex64(1),
        np.datetime64("2020-01-01"),
        np.bytes_(b"a"),
        np.longdouble(1),
        np.array(["a"]),
        np.array([None]),
        np.array([1j]),
        np.zeros(2, np.longdouble),
        np.zeros(2, [("a", "i4")]),
        np.zeros((2, 2)).view(np.recarray),
        np.ma.masked_array([1]),
        np.str_("a\0"),
        np.dtype("f4"),
        np.float32,
        Path("a"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_other_types_are_refused_with_their_place(value: object) -> None:
    with pytest.raises(UnsupportedValueError, match=r"^at \.foo\[2\]\[5\]: ") as caught:
        dumps({"foo": [0, 1, {5: value}]})
    assert caught.value.place == ".foo[2][5]"
    assert caught.value.value is value
    with pytest.raises(UnsupportedValueError, match="cannot be written"):
        dumps(value)


def test_a_value_that_holds_itself_is_refused() -> None:
    value: list[object] = []
    value.append(value)
    with pytest.raises(UnsupportedValueError, match="contains itself"):
        dumps(value)


def test_misuse_is_refused() -> None:
    writer = PickleWriter(io.BytesIO())
    with pytest.raises(ValueError, match="not complete"):
        writer.stop()
    with pytest.raises(ValueError, match="where a value belongs"):
        writer.key("a")
    with writer.streamed_dict():
        with pytest.raises(ValueError, match="where a key belongs"):
            writer.value(1)
        writer.key("a")
        with pytest.raises(ValueError, match="where a value belongs"):
            writer.key("b")
        with writer.streamed_list(), pytest.raises(ValueError, match="where a value belongs"):
            writer.key("b")
        with pytest.raises(ValueError, match="not complete"):
            writer.stop()
    with pytest.raises(ValueError, match="is complete"):
        writer.value(1)
    writer.stop()


def test_a_key_without_a_value_is_refused() -> None:
    writer = PickleWriter(io.BytesIO())
    with pytest.raises(ValueError, match="last key has no value"), writer.streamed_dict():
        writer.key("a")


def test_an_unbuffered_file_is_refused(tmp_path: Path) -> None:
    with (
        open(tmp_path / "a.pkl", "wb", buffering=0) as file,
        pytest.raises(ValueError, match="buffered"),
    ):
        PickleWriter(file)  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", [">f2", ">i8", "<f4", "|b1"])
@pytest.mark.parametrize("shape", [(), (0, 3), (2, 3)])
def test_our_reader_reads_arrays_of_either_byte_order_back(tmp_path: Path, dtype: str, shape: tuple[int, ...]) -> None:
    array = np.arange(math.prod(shape)).astype(dtype).reshape(shape)
    (tmp_path / "a.pkl").write_bytes(dumps({"a": array}))
    with PickleFile(tmp_path / "a.pkl") as file:
        assert_exact(file.root(), {"a": array})
