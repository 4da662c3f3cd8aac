"""The values that the pickle reader gives, compared with the pickle module."""

from __future__ import annotations

import datetime
import decimal
import io
import pickle
import pickletools
import struct
from collections import OrderedDict
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from converters.pickles.arrays import Foreign
from converters.pickles.containers import Containers
from converters.pickles.file import PickleFile
from skelstore.errors import SourceError
from tests.support.exact import assert_exact

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
NUMBER_DTYPES = st.one_of(
    hnp.boolean_dtypes(),
    hnp.integer_dtypes(endianness="?"),
    hnp.unsigned_integer_dtypes(endianness="?"),
    hnp.floating_dtypes(endianness="?", sizes=(16, 32, 64)),
)


@st.composite
def arrays(draw: st.DrawFn) -> np.ndarray:
    """Arrays of any bits with 0 to 5 dimensions, also empty, in any memory layout."""
    dtype = draw(NUMBER_DTYPES)
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=4))
    size = int(np.prod(shape)) * dtype.itemsize
    data = draw(st.binary(min_size=size, max_size=size))
    if dtype.kind == "b":
        data = bytes(byte & 1 for byte in data)
    array = np.frombuffer(bytearray(data), dtype).reshape(shape)
    match draw(st.sampled_from(("C", "F", "transposed", "strided", "read-only"))):
        case "F":
            return np.asfortranarray(array) if shape else array
        case "transposed":
            return array.transpose(draw(st.permutations(range(array.ndim))))
        case "strided":
            return array[::2] if shape else array
        case "read-only":
            array.flags.writeable = False
    return array


@st.composite
def scalars(draw: st.DrawFn) -> np.generic:
    """NumPy scalars of any bits."""
    dtype = draw(NUMBER_DTYPES)
    data = draw(st.binary(min_size=dtype.itemsize, max_size=dtype.itemsize))
    return np.frombuffer(bytes([data[0] & 1]) if dtype.kind == "b" else data, dtype)[0]


TEXT = st.text(st.characters(exclude_categories=()), max_size=8)
FLOATS = st.floats() | st.binary(min_size=8, max_size=8).map(lambda data: struct.unpack("<d", data)[0])
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(1 << 2100), 1 << 2100),
    FLOATS,
    TEXT,
    st.text(max_size=300),
    st.binary(max_size=300),
    TEXT.map(np.str_),
    scalars(),
    arrays(),
)
KEYS = st.one_of(TEXT, st.binary(max_size=4), st.integers(), st.floats(allow_nan=False), st.booleans(), st.none())


def shared(value: Any) -> list[Any]:
    """The value several times, to test the memo."""
    return [value, (value, 1), {"again": value, "more": [value]}, value]


def containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(KEYS, inner, max_size=4),
        inner.map(shared),
    )


def is_small(value: object) -> bool:
    """Whether a value stays far below the limits of the reader, with shared values counted at each use."""
    left = 50_000
    pending = [value]
    while pending and left > 0:
        one = pending.pop()
        left -= 40
        if isinstance(one, list | tuple):
            pending += one
        elif isinstance(one, dict):
            pending += one.values()
        elif isinstance(one, str | bytes):
            left -= 4 * len(one)
        elif isinstance(one, np.ndarray):
            left -= one.nbytes
    return left > 0


VALUES = st.recursive(LEAVES, containers, max_leaves=12).filter(is_small)


def dumped_plainly(value: object, protocol: int) -> bytes:
    """Pickled by the pickler in Python, except empty arrays in protocol 5, which it confuses with b""."""
    file = io.BytesIO()
    try:
        pickle._Pickler(file, protocol).dump(value)
    except AssertionError:
        return pickle.dumps(value, protocol)
    empty_bytearray = pickle.BYTEARRAY8 + bytes(8)
    return pickle.dumps(value, protocol) if empty_bytearray in file.getvalue() else file.getvalue()


def dumped_short(value: object, protocol: int) -> bytes:
    return pickletools.optimize(pickle.dumps(value, protocol))


def dumped_without_memo(value: object, protocol: int) -> bytes:
    file = io.BytesIO()
    pickler = pickle.Pickler(file, protocol)
    pickler.fast = True
    pickler.dump(value)
    return file.getvalue()


WAYS = (pickle.dumps, dumped_plainly, dumped_short, dumped_without_memo)


def as_numpy_1(data: bytes) -> bytes:
    """The pickle with NumPy's modules named as in NumPy 1, and without frames, whose lengths would be wrong."""
    places = [place for _, _, place in pickletools.genops(data)] + [len(data)]
    opcodes = [data[start:stop] for start, stop in pairwise(places)]
    result = b"".join(opcode for opcode in opcodes if opcode[0] != 0x95)
    for module in (b"numpy._core.multiarray", b"numpy._core.numeric"):
        old = module.replace(b"_core", b"core")
        result = result.replace(b"c" + module + b"\n", b"c" + old + b"\n")
        result = result.replace(bytes((0x8C, len(module))) + module, bytes((0x8C, len(old))) + old)
    return result


@pytest.fixture
def read(tmp_path: Path) -> Callable[[bytes], Any]:
    """A function that reads the whole value of a pickle with the reader."""

    def reading(data: bytes) -> Any:
        path = tmp_path / "x.pkl"
        path.write_bytes(data)
        with PickleFile(path) as pickled:
            return pickled.root()

    return reading


def assert_read(path: Path, data: bytes) -> None:
    """Check every way to read the pickle against the value that the pickle module loads."""
    path.write_bytes(data)
    value = pickle.loads(data)
    with PickleFile(path) as pickled:
        assert pickled.size == len(data)
        assert_exact(pickled.root(), value)
        kind = type(value)
        assert pickled.root_kind == (kind.__name__ if kind in (dict, list) else "other")
        if kind is dict:
            assert_exact(pickled.keys, list(value))
            for key in reversed(value):
                assert_exact(pickled.value(key), value[key], f"[{key!r}]")
                assert_elements(pickled, value[key], key)
        else:
            assert pickled.keys == []
            if kind is list:
                assert_elements(pickled, value, None)
            else:
                assert pickled.elements() is None


def assert_elements(pickled: PickleFile, value: object, key: Any) -> None:
    if type(value) is not list:
        if key is not None:
            assert pickled.elements(key) is None
        return
    assert pickled.elements(key) == len(value)
    assert pickled.element_sizes(key).shape == (len(value),)
    for i in reversed(range(len(value))):
        assert_exact(pickled.element(i, key), value[i], f"[{key!r}][{i}]")


FROM_FIXTURE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@FROM_FIXTURE
@given(value=VALUES, protocol=st.sampled_from(PROTOCOLS), way=st.sampled_from(WAYS))
@example(value=[[]], protocol=0, way=pickle.dumps)
@example(value={}, protocol=0, way=pickle.dumps)
@example(value=[], protocol=4, way=dumped_short)
@example(value={"a": [], "b": [[]]}, protocol=1, way=dumped_plainly)
@example(value=np.zeros((2, 3, 4), ">f4").transpose(1, 2, 0), protocol=5, way=pickle.dumps)
@example(value=[np.zeros(0, bool), b"", np.str_("")], protocol=5, way=dumped_plainly)
def test_any_value_is_what_pickle_loads(
    tmp_path: Path, value: Any, protocol: int, way: Callable[[object, int], bytes]
) -> None:
    assert_read(tmp_path / "x.pkl", way(value, protocol))


@pytest.mark.slow
@FROM_FIXTURE
@given(
    value=st.dictionaries(KEYS, VALUES, max_size=4)
    | st.lists(VALUES, max_size=4).flatmap(lambda v: st.just(shared(v))),
    protocol=st.sampled_from(PROTOCOLS),
    way=st.sampled_from(WAYS),
)
def test_any_part_is_what_pickle_loads(
    tmp_path: Path, value: Any, protocol: int, way: Callable[[object, int], bytes]
) -> None:
    assert_read(tmp_path / "x.pkl", way({"split": value, "annotations": shared(value), "split again": value}, protocol))
    assert_read(tmp_path / "x.pkl", way(shared(value), protocol))


@FROM_FIXTURE
@given(value=st.lists(arrays() | scalars(), max_size=4), protocol=st.sampled_from(PROTOCOLS))
def test_arrays_are_read_as_numpy_1_pickles_them(tmp_path: Path, value: Any, protocol: int) -> None:
    data = pickle.dumps(value, protocol)
    old = as_numpy_1(data)
    assert not value or b"_core" not in old
    (tmp_path / "x.pkl").write_bytes(old)
    with PickleFile(tmp_path / "x.pkl") as pickled:
        expected = pickle.loads(data)
        assert_exact(pickled.root(), expected)
        assert_exact([pickled.element(i) for i in range(len(value))], expected)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_dtypes_and_orders_of_arrays(tmp_path: Path, protocol: int) -> None:
    """One of each, whatever Hypothesis draws."""
    arrays = [
        np.arange(24, dtype=code).reshape(2, 3, 4).astype(order + code)
        for code in ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")
        for order in "<>"
    ]
    arrays += [np.array([True, False]), np.zeros((0, 17, 2), "f2"), np.zeros((3, 0), ">i4"), np.array(1.5, "f4")]
    arrays += [np.asfortranarray(array) for array in arrays if array.ndim > 1]
    arrays += [array.transpose(2, 0, 1) for array in arrays if array.ndim == 3]
    assert_read(tmp_path / "x.pkl", pickle.dumps(arrays, protocol))
    assert_read(tmp_path / "x.pkl", pickle.dumps({"annotations": arrays}, protocol))


def test_nan_bits_are_kept(read: Callable[[bytes], Any]) -> None:
    odd = struct.unpack("<d", struct.pack("<Q", 0x7FF8_0000_DEAD_BEEF))[0]
    half = np.frombuffer(b"\x01\x7e", "f2")[0]
    found = read(pickle.dumps([odd, half, np.array([half])]))
    assert struct.pack("<d", found[0]) == struct.pack("<d", odd)
    assert found[1].tobytes() == found[2].tobytes() == b"\x01\x7e"


def test_an_array_holds_on_to_its_own_bytes_only(read: Callable[[bytes], Any]) -> None:
    array = read(pickle.dumps([np.zeros(10, "f4"), np.zeros(100_000, "f4")], 4))[0]
    assert isinstance(array.base, bytes)
    assert len(array.base) == 40


PYTHON_2_VALUE = {
    "split": {"train": ["S001", "vé"]},
    "annotations": [
        {"frame_dir": "S001", "big": 70000, "raw": "ÿ\n'\"\\", "original_shape": (1080, 1920), "ok": True, "label": 3}
        | {"none": None, "e": {}, "neg": -5, "img_shape": (1080, 1920), "n": 2**70, "s": 0.25, "u": (), "t": []}
    ],
}
PYTHON_2 = {
    "cPickle-0": b"(dp1\nS'split'\np2\n(dp3\nS'train'\np4\n(lp5\nS'S001'\np6\naVv\xe9\np7\nassS'annotations'\np8\n"
    b"(lp9\n(dp10\nS'frame_dir'\np11\ng6\nsS'big'\np12\nI70000\nsS'raw'\np13\nS'\\xff\\n\\'\"\\\\'\np14\nsS'original_shape'\n"
    b"p15\n(I1080\nI1920\ntp16\nsS'ok'\np17\nI01\nsS'label'\np18\nI3\nsS'none'\np19\nNsS'e'\n(dp20\nsS'neg'\np21\nI-5\n"
    b"sS'img_shape'\np22\ng16\nsS'n'\nL1180591620717411303424L\nsS's'\nF0.25\nsS'u'\n(tsS't'\n(lp23\nsas.",
    "cPickle-1": b"}q\x01(U\x05splitq\x02}q\x03U\x05trainq\x04]q\x05(U\x04S001q\x06X\x03\x00\x00\x00v\xc3\xa9q\x07es"
    b"U\x0bannotationsq\x08]q\t}q\n(U\tframe_dirq\x0bh\x06U\x03bigq\x0cJp\x11\x01\x00U\x03rawq\rU\x05\xff\n'\"\\q\x0e"
    b"U\x0eoriginal_shapeq\x0f(M8\x04M\x80\x07tq\x10U\x02okq\x11I01\nU\x05labelq\x12K\x03U\x04noneq\x13NU\x01e}"
    b"U\x03negq\x14J\xfb\xff\xff\xffU\timg_shapeq\x15h\x10U\x01nL1180591620717411303424L\nU\x01sG?\xd0\x00\x00\x00\x00"
    b"\x00\x00U\x01u)U\x01t]uau.",
    "cPickle-2": b"\x80\x02}q\x01(U\x05splitq\x02}q\x03U\x05trainq\x04]q\x05(U\x04S001q\x06X\x03\x00\x00\x00v\xc3\xa9"
    b"q\x07esU\x0bannotationsq\x08]q\t}q\n(U\tframe_dirq\x0bh\x06U\x03bigq\x0cJp\x11\x01\x00U\x03rawq\rU\x05\xff\n'\"\\"
    b"q\x0eU\x0eoriginal_shapeq\x0fM8\x04M\x80\x07\x86q\x10U\x02okq\x11\x88U\x05labelq\x12K\x03U\x04noneq\x13N"
    b"U\x01e}U\x03negq\x14J\xfb\xff\xff\xffU\timg_shapeq\x15h\x10U\x01n\x8a\t\x00\x00\x00\x00\x00\x00\x00\x00@U\x01sG?"
    b"\xd0\x00\x00\x00\x00\x00\x00U\x01u)U\x01t]uau.",
    "pickle-0": b"(dp0\nS'split'\np1\n(dp2\nS'train'\np3\n(lp4\nS'S001'\np5\naVv\xe9\np6\nassS'annotations'\np7\n(lp8\n"
    b"(dp9\nS'frame_dir'\np10\ng5\nsS'big'\np11\nI70000\nsS'raw'\np12\nS'\\xff\\n\\'\"\\\\'\np13\nsS'original_shape'\n"
    b"p14\n(I1080\nI1920\ntp15\nsS'ok'\np16\nI01\nsS'label'\np17\nI3\nsS'none'\np18\nNsS'e'\np19\n(dp20\nsS'neg'\np21\n"
    b"I-5\nsS'img_shape'\np22\ng15\nsS'n'\np23\nL1180591620717411303424L\nsS's'\np24\nF0.25\nsS'u'\np25\n(tsS't'\np26\n"
    b"(lp27\nsas.",
    "pickle-1": b"}q\x00(U\x05splitq\x01}q\x02U\x05trainq\x03]q\x04(U\x04S001q\x05X\x03\x00\x00\x00v\xc3\xa9q\x06es"
    b"U\x0bannotationsq\x07]q\x08}q\t(U\tframe_dirq\nh\x05U\x03bigq\x0bJp\x11\x01\x00U\x03rawq\x0cU\x05\xff\n'\"\\q\r"
    b"U\x0eoriginal_shapeq\x0e(M8\x04M\x80\x07tq\x0fU\x02okq\x10I01\nU\x05labelq\x11K\x03U\x04noneq\x12NU\x01eq\x13}"
    b"q\x14U\x03negq\x15J\xfb\xff\xff\xffU\timg_shapeq\x16h\x0fU\x01nq\x17L1180591620717411303424L\nU\x01sq\x18G?\xd0"
    b"\x00\x00\x00\x00\x00\x00U\x01uq\x19)U\x01tq\x1a]q\x1buau.",
}
"""The value above, written by cPickle and pickle of Python 2.7.18 in protocols 0, 1 and 2."""


@pytest.mark.parametrize("data", PYTHON_2.values(), ids=PYTHON_2)
def test_python_2_pickles(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.pkl"
    path.write_bytes(data)
    with PickleFile(path) as pickled:
        assert_exact(pickled.root(), PYTHON_2_VALUE)
        assert_exact(pickle.loads(data, encoding="latin1"), PYTHON_2_VALUE)
        assert pickled.keys == ["split", "annotations"]
        assert pickled.elements("annotations") == 1
        assert_exact(pickled.element(0, "annotations"), PYTHON_2_VALUE["annotations"][0])
        assert_exact(pickled.value("split"), PYTHON_2_VALUE["split"])


@pytest.mark.parametrize(
    "data",
    [
        b"cnumpy.core.multiarray\n_reconstruct\np0\n(cnumpy\nndarray\np1\n(I0\ntp2\nS'b'\np3\ntp4\nRp5\n(I1\n(I2\ntp6\n"
        b"cnumpy\ndtype\np7\n(S'f4'\np8\nI0\nI1\ntp9\nRp10\n(I3\nS'<'\np11\nNNNI-1\nI-1\nI0\ntp12\nbI00\n"
        b"S'\\x00\\x00\\x80?\\x00\\x00\\x00\\xc0'\np13\ntp14\nb.",
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nq\x02K\x00\x85q\x03U\x01bq\x04\x87q\x05R"
        b"q\x06(K\x01K\x02\x85q\x07cnumpy\ndtype\nq\x08U\x02f4q\tK\x00K\x01\x87q\nRq\x0b(K\x03U\x01<q\x0cNNN"
        b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\rb\x89U\x08\x00\x00\x80?\x00\x00\x00\xc0q\x0etq\x0fb.",
    ],
    ids=["text", "binary"],
)
def test_arrays_of_python_2(read: Callable[[bytes], Any], data: bytes) -> None:
    assert_exact(read(data), np.array([1, -2], "f4"))
    assert_exact(read(data), pickle.loads(data, encoding="latin1"))


def test_a_scalar_of_python_2(read: Callable[[bytes], Any]) -> None:
    data = (
        b"\x80\x02cnumpy.core.multiarray\nscalar\nq\x01cnumpy\ndtype\nq\x02U\x02i8q\x03K\x00K\x01\x87q\x04Rq\x05(K\x03"
        b"U\x01<q\x06NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x07bU\x08\x07\x00\x00\x00\x00\x00\x00\xffq\x08\x86q\tR."
    )
    assert_exact(read(data), np.int64(-(1 << 56) + 7))


class Custom:
    def __init__(self) -> None:
        self.inner = [1]


FOREIGN = {
    "set": ({1, 2}, "builtins.set"),
    "frozenset": (frozenset((1,)), "builtins.frozenset"),
    "bytearray": (bytearray(b"abc"), "builtins.bytearray"),
    "empty bytearray": (bytearray(), "builtins.bytearray"),
    "complex": (1j, "builtins.complex"),
    "OrderedDict": (OrderedDict(a=1), "collections.OrderedDict"),
    "date": (datetime.date(2020, 1, 2), "datetime.date"),
    "Decimal": (decimal.Decimal("1.5"), "decimal.Decimal"),
    "function": (len, "builtins.len"),
    "object": (Custom(), f"{Custom.__module__}.Custom"),
    "dtype": (np.dtype("f4"), "numpy.dtype"),
    "array class": (np.ndarray, "numpy.ndarray"),
    "matrix": (np.zeros((1, 1)).view(np.matrix), "numpy.matrix"),
    "masked": (np.ma.masked_array([1, 2], [True, False]), "numpy.ma"),
    "record": (np.zeros(2, "f4,i2"), "numpy.ndarray of dtype void"),
    "objects": (np.array([1, "a", None], object), "numpy.ndarray of dtype object"),
    "dates": (np.array(["2020-01-02"], "M8[D]"), "numpy.ndarray of dtype datetime64"),
    "durations": (np.array([1], "m8[s]"), "numpy.ndarray of dtype timedelta64"),
    "complex array": (np.zeros(2, "c8"), "numpy.ndarray of dtype complex64"),
    "complex scalar": (np.complex128(1), "numpy scalar of dtype complex128"),
    "long double": (np.zeros(2, "g"), f"numpy.ndarray of dtype {np.dtype('g').name}"),
    "texts": (np.array(["ab"]), "numpy.ndarray of dtype str"),
    "byte strings": (np.array([b"ab"]), "numpy.ndarray of dtype bytes"),
    "bytes scalar": (np.bytes_(b"ab"), "numpy scalar of dtype bytes"),
    "date scalar": (np.datetime64("2020-01-02"), "numpy scalar of dtype datetime64"),
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("kind", FOREIGN)
def test_values_that_are_not_data_are_foreign_in_their_place(tmp_path: Path, kind: str, protocol: int) -> None:
    value, name = FOREIGN[kind]
    path = tmp_path / "x.pkl"
    annotations = [{"frame_dir": "a"}, {"frame_dir": "b", "foo": [0, (1, value)], "label": 3}, {"foo": value}]
    path.write_bytes(pickle.dumps({"annotations": annotations}, protocol))
    with PickleFile(path) as pickled:
        assert_exact(pickled.element(0, "annotations"), annotations[0])
        found: Any = pickled.element(1, "annotations")
        again: Any = pickled.element(2, "annotations")
    assert list(found) == ["frame_dir", "foo", "label"]
    assert found["label"] == 3
    foreign = found["foo"][1][1]
    assert isinstance(foreign, Foreign)
    assert foreign.name.replace("__builtin__", "builtins").startswith(name)
    assert 0 < foreign.offset < path.stat().st_size
    assert isinstance(again["foo"], Foreign)
    assert again["foo"].name == foreign.name


def test_a_memmap_is_foreign(tmp_path: Path, read: Callable[[bytes], Any]) -> None:
    mapped = np.memmap(tmp_path / "data", "f4", "w+", shape=(2,))
    data = pickle.dumps([mapped], 4)
    del mapped
    (found,) = read(data)
    assert isinstance(found, Foreign)
    assert "memmap" in found.name


def test_nesting_up_to_the_limit(read: Callable[[bytes], Any]) -> None:
    value: Any = 1
    for level in range(100):
        value = [value] if level % 2 else (value,)
    assert_exact(read(pickle.dumps(value)), value)
    with pytest.raises(SourceError, match="100 deep"):
        read(pickle.dumps([value]))


def test_numbers_as_keys_up_to_the_limit(read: Callable[[bytes], Any]) -> None:
    value: dict[Any, Any] = dict.fromkeys(range(10_000)) | dict.fromkeys(map(str, range(2_000)))
    assert_exact(read(pickle.dumps([value])), [value])
    with pytest.raises(SourceError, match="10000 numbers as keys"):
        read(pickle.dumps([value | {10_000: None}]))
    with pytest.raises(SourceError, match="10000 numbers as keys"):
        read(pickle.dumps(value | {10_000: None}))


def test_shared_values_up_to_the_limit(read: Callable[[bytes], Any]) -> None:
    shared_list = [0] * 9_000
    value = [shared_list] * 110
    found = read(pickle.dumps(value))
    assert [len(found), len(found[0]), len(found[-1])] == [110, 9_000, 9_000]
    with pytest.raises(SourceError, match="1000000 values"):
        read(pickle.dumps([shared_list] * 120))


@pytest.mark.parametrize(
    "large",
    ["x" * 100_000, b"x" * 100_000, np.str_("x" * 100_000), np.zeros(100_000, "u1"), ("x" * 50_000, "y" * 50_000)],
    ids=["str", "bytes", "np.str_", "array", "tuple"],
)
def test_shared_bytes_up_to_the_limit(read: Callable[[bytes], Any], large: Any) -> None:
    """The limit is 16 MiB, or 16 times the size of a large file; here with 100,000 bytes per reference."""
    assert len(read(pickle.dumps([large] * 160))) == 160
    with pytest.raises(SourceError, match="expand to more than 16777216 bytes"):
        read(pickle.dumps([large] * 180))
    filled = [bytes(2_000_000), [large] * 180]
    assert len(read(pickle.dumps(filled))[1]) == 180


def test_short_text_is_shared_without_limit(read: Callable[[bytes], Any]) -> None:
    """Short texts, such as keys and names in splits, cost no more than other values."""
    value = {"names": [f"S{number:063}" for number in range(1_000)], "splits": []}
    value["splits"] = [value["names"]] * 5 + [list(value["names"]) for _ in range(40)]
    assert_exact(read(pickle.dumps(value)), value)


def test_numbers_with_the_same_hash_as_keys(read: Callable[[bytes], Any]) -> None:
    prime = (1 << 61) - 1
    assert_exact(read(pickle.dumps({number * prime: 0 for number in range(16)})), {n * prime: 0 for n in range(16)})
    for keys in (range(17), range(2_000)):
        for value in ({number * prime: 0 for number in keys}, [{number * prime: 0 for number in keys}]):
            with pytest.raises(SourceError, match="16 numbers with the same hash"):
                read(pickle.dumps(value))


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_the_parts_of_an_array_are_forgotten(
    read: Callable[[bytes], Any], protocol: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parts are freed, and objects at the same addresses must not be taken for as deep as they were."""
    dropped: list[object] = []
    drop = Containers.drop

    def noting(containers: Containers, value: object) -> None:
        dropped.append(value)
        drop(containers, value)
        assert id(value) not in containers._depths

    monkeypatch.setattr(Containers, "drop", noting)
    read(pickle.dumps(np.zeros((1, 2)), protocol))
    nested = [value for value in dropped if isinstance(value, tuple) and any(type(part) is tuple for part in value)]
    assert len(nested) == (1 if protocol == 5 else 2), "the arguments and, except in protocol 5, the state"


def test_many_lists_and_dicts_in_sequence(read: Callable[[bytes], Any]) -> None:
    """Neither depth nor numbers as keys are added up from one to the next."""
    value = [[{number: [number]}, (number, ((number,),))] for number in range(30_000)]
    assert_exact(read(pickle.dumps(value, 2)), value)
