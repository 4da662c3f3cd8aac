"""Values as JSON: they round-trip, values that cannot be stored are refused with their place, no JSON does harm."""

from __future__ import annotations

import json
import math
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skelstore import StoreError, UnsupportedValueError
from skelstore.equality import difference
from skelstore.format import values
from tests.support import strategies
from tests.support.exact import assert_exact


@given(strategies.values)
def test_any_value_round_trips_through_text(value: Any) -> None:
    text = values.dumps(values.encode(value))
    assert_exact(values.decode(values.loads(text)), value)
    assert difference(values.decode(values.loads(text)), value) is None


@given(strategies.values)
def test_the_text_is_stable_and_one_that_any_json_parser_reads(value: Any) -> None:
    text = values.dumps(values.encode(value))
    assert values.dumps(values.encode(values.decode(values.loads(text)))) == text
    assert values.dumps(values.encode(value)) == text

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    json.loads(text.encode("utf-8"), parse_constant=refuse)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (1, "1"),
        (1.0, "1.0"),
        (-0.0, "-0.0"),
        ("é", '"\\u00e9"'),
        ([1, [2]], "[1,[2]]"),
        (2**63 - 1, "9223372036854775807"),
        (2**63, '{"int":"0x8000000000000000"}'),
        (-(2**63) - 1, '{"int":"-0x8000000000000001"}'),
        (math.inf, '{"float":"7ff0000000000000"}'),
        (struct.unpack(">d", bytes.fromhex("7ff8000000000123"))[0], '{"float":"7ff8000000000123"}'),
        ("\ud800", '{"str":"eda080"}'),
        (b"\x00\xff", '{"bytes":"AP8="}'),
        ((), '{"tuple":[]}'),
        ((1, "a"), '{"tuple":[1,"a"]}'),
        ({}, '{"dict":[]}'),
        ({"a": 1, 0.5: None, b"": 2}, '{"dict":[["a",1],[0.5,null],[{"bytes":""},2]]}'),
        (np.int64(1), '{"numpy":["int64","0100000000000000"]}'),
        (np.float16(1), '{"numpy":["float16","003c"]}'),
        (np.bool_(True), '{"numpy":["bool","01"]}'),
        (np.str_("a"), '{"numpy":["str","a"]}'),
        (np.array([[1, 2]], ">i2"), '{"ndarray":[">i2",[1,2],"AAEAAg=="]}'),
        (np.array(True), '{"ndarray":["|b1",[],"AQ=="]}'),
    ],
)
def test_the_form_of_each_type_is_that_of_format_version_1(value: Any, text: str) -> None:
    assert values.dumps(values.encode(value)) == text
    assert_exact(values.decode(values.loads(text)), value)


@given(first=strategies.plain_values, second=strategies.plain_values)
def test_two_values_have_one_text_only_if_they_are_the_same(first: Any, second: Any) -> None:
    same = values.dumps(values.encode(first)) == values.dumps(values.encode(second))
    assert same == (difference(first, second) is None)


@pytest.mark.parametrize("name", strategies.NUMPY_SCALAR_NAMES)
def test_every_numpy_scalar_keeps_its_type_and_bits(name: str) -> None:
    dtype = np.dtype(name)
    for byte in (0, 1, 0x7E, 0xFF):
        scalar = strategies.from_bits(dtype, bytes([byte] * dtype.itemsize))[0]
        assert_exact(values.decode(values.loads(values.dumps(values.encode(scalar)))), scalar)


@pytest.mark.parametrize("text", ["", "\0", "a\0", "\ud800\0", "é"])
def test_a_numpy_text_keeps_its_nul_at_the_end(text: str) -> None:
    found = values.decode(values.encode([np.str_(text)]))[0]
    assert type(found) is np.str_
    assert found.encode("utf-8", "surrogatepass") == text.encode("utf-8", "surrogatepass")


def test_a_copy_is_exact_and_shares_nothing() -> None:
    value = {"a": [np.arange(3), (np.str_("x\0"), [b"y"])], 1: np.zeros((2, 3), ">f2", order="F")}
    found = values.copy_value(value)
    assert_exact(found, value)
    assert found[1].flags.f_contiguous
    value["a"][0][0] = 9
    value["a"][1][1].append(b"z")
    assert_exact(found["a"], [np.arange(3), (np.str_("x\0"), [b"y"])])


def test_a_decoded_array_may_be_written_to() -> None:
    array = values.decode(values.encode(np.arange(3)))
    array[0] = 9
    assert array.tolist() == [9, 1, 2]


def wrapped(value: Any) -> list[tuple[Any, str]]:
    """The value in every kind of container, with the place that an error must name."""
    return [
        ({"foo": value}, ".foo"),
        ({"foo": [0, value]}, ".foo[1]"),
        ({"foo": (value,)}, ".foo[0]"),
        ({"foo": {"bar": {3: [value]}}}, ".foo.bar[3][0]"),
        ({b"x": value}, "[b'x']"),
        ({0.5: value}, "[0.5]"),
    ]


@given(strategies.refused_values())
def test_a_value_that_cannot_be_stored_is_refused_with_its_place(value: Any) -> None:
    for container, place in wrapped(value):
        with pytest.raises(UnsupportedValueError) as caught:
            values.encode(container)
        assert caught.value.place == place
        assert str(caught.value).startswith(f"{place}: ")
        assert "cannot be stored; expected None, bool, int" in str(caught.value)
        if type(value) is not dict:
            assert caught.value.value is value
            kind = type(value)
            assert kind.__name__ in str(caught.value) or "an array of" in str(caught.value)


def nested(depth: int, kind: str) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"list": [value], "tuple": (value,), "dict": {"a": value}}[kind]
    return value


@pytest.mark.parametrize("kind", ["list", "tuple", "dict"])
def test_a_hundred_nested_containers_are_the_limit_and_round_trip(kind: str) -> None:
    deepest = nested(values.MAX_DEPTH, kind)
    assert_exact(values.decode(values.loads(values.dumps(values.encode(deepest)))), deepest)
    for depth in (values.MAX_DEPTH + 1, 500):
        with pytest.raises(UnsupportedValueError, match="containers deep"):
            values.encode(nested(depth, kind))


def test_a_container_that_holds_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(UnsupportedValueError, match="containers deep"):
        values.encode(loop)


json_leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=4),
    st.sampled_from(
        ["<f4", "float16", "int64", "str", "O", "|O8", "f4,f4", "(2,2)f4", "V8", "U3", "M8", "AAAA", "00", "0x1"]
    ),
)
type_names = st.sampled_from(["tuple", "dict", "int", "float", "str", "bytes", "numpy", "ndarray", "list", "object"])
hostile_json = st.recursive(
    json_leaves,
    lambda children: st.one_of(
        st.lists(children, max_size=3),
        st.tuples(children, children).map(list),
        st.tuples(children, children, children).map(list),
        st.dictionaries(type_names, children, max_size=2),
        st.dictionaries(type_names, children, min_size=1, max_size=1),
        st.dictionaries(type_names, st.lists(st.lists(children, min_size=2, max_size=2)), min_size=1, max_size=1),
    ),
    max_leaves=15,
)


@settings(max_examples=400)
@given(hostile_json)
def test_any_json_is_a_value_or_a_store_error(node: Any) -> None:
    try:
        value = values.decode(node)
    except StoreError:
        return
    assert_plain(value)


def assert_plain(value: Any) -> None:
    """Check that a value and all its parts have types of the format and are safe to access."""
    if isinstance(value, (list, tuple)):
        children = list(value)
    elif type(value) is dict:
        children = [*value, *value.values()]
    else:
        children = []
        kind = value.dtype.kind if isinstance(value, (np.ndarray, np.generic)) else ""
        assert kind in ("", "b", "i", "u", "f", "U")
        assert kind or value is None or type(value) in (bool, int, float, str, bytes)
        repr(value)
    for child in children:
        assert_plain(child)


@pytest.mark.parametrize(
    "node",
    [
        {},
        {"tuple": [], "dict": []},
        {"unknown": 1},
        {"tuple": 5},
        {"dict": [[[1], 2]]},
        {"dict": [[1]]},
        {"int": 5},
        {"int": "zz"},
        {"float": "00"},
        {"float": "x"},
        {"str": "ff"},
        {"bytes": "*"},
        {"bytes": "é"},
        {"numpy": ["object", "00"]},
        {"numpy": ["float16", ""]},
        {"numpy": ["float16"]},
        {"numpy": ["complex64", "0000000000000000"]},
        {"numpy": 5},
        {"numpy": ["no such dtype", "00"]},
        {"numpy": [{"names": ["a"], "formats": ["O"]}, "00"]},
        {"ndarray": ["<f4", [2], "AAAA"]},
        {"ndarray": ["<f4", [-1, -1], "AAAAAA=="]},
        {"ndarray": ["<f4", [1.0], "AAAAAA=="]},
        {"ndarray": ["<f4", ["1"], "AAAAAA=="]},
        {"ndarray": ["<f4", [0, 2**70], ""]},
        {"ndarray": ["<f4", [2**62, 2**62], ""]},
        {"ndarray": ["|O8", [1], "AAAAAAAAAAA="]},
        {"ndarray": ["f4,O", [1], "AAAAAAAAAAAAAAAA"]},
        {"ndarray": ["(", [1], "AAAAAA=="]},
        {"ndarray": [",", [1], "AAAAAA=="]},
        {"ndarray": ["<f4", [1], 5]},
    ],
)
def test_json_that_encodes_no_value_is_a_store_error(node: Any) -> None:
    with pytest.raises(StoreError):
        values.decode(node)


@pytest.mark.parametrize("kind", ["tuple", "dict", "list", "numpy"])
@pytest.mark.parametrize("depth", [400, 5000])
def test_deeply_nested_json_is_a_store_error(kind: str, depth: int) -> None:
    node: Any = "x"
    for _ in range(depth):
        node = {
            "tuple": {"tuple": [node]},
            "dict": {"dict": [[1, node]]},
            "list": [node],
            "numpy": {"numpy": ["str", node]},
        }[kind]
    with pytest.raises(StoreError):
        values.decode(node)


@pytest.mark.parametrize(
    "text", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"1" * 5000, b'{"a":1', b"nul", b"\x80", b'"\x00"']
)
def test_text_that_is_not_json_is_a_store_error(text: bytes) -> None:
    with pytest.raises(StoreError):
        values.loads(text)


@pytest.mark.parametrize(
    ("found", "expected", "place"),
    [
        (1, 1.0, "the value is an int; expected a float"),
        (True, 1, "the value is a bool; expected an int"),
        (np.int64(1), 1, "numpy.int64"),
        ((1,), [1], "the value is a tuple; expected a list"),
        (0.0, -0.0, "the value is 0.0; expected -0.0"),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, "a key of the dict"),
        ({"a": None}, {}, "keys"),
        ({"a": [1, {"b": 2}]}, {"a": [1, {"b": 3}]}, ".a[1].b is 2; expected 3"),
        ([1], [1, 2], "1 element; expected 2"),
        (np.zeros(2, "<f4"), np.zeros(2, ">f4"), "the value is an array of float32 [2]; expected an array of >f4 [2]"),
        (np.zeros(2), np.zeros((2, 1)), "expected an array of float64 [2, 1]"),
        (np.zeros(1), -np.zeros(1), "the array[0] is 0.0; expected -0.0"),
        ({"a": np.eye(2)}, {"a": np.ones((2, 2))}, ".a[0, 1] is 0.0; expected 1.0"),
        (np.array(1), np.array(2), "the array is 1; expected 2"),
        (np.str_("a"), np.str_("a\0"), "expected"),
        ({1: 0}, {True: 0}, "a key of the dict is an int; expected a bool"),
        ("a", "b", "the value is 'a'; expected 'b'"),
    ],
)
def test_difference_names_the_first_place_that_is_not_the_same(found: Any, expected: Any, place: str) -> None:
    assert place in (difference(found, expected) or "")
    assert difference(expected, expected) is None
    assert difference(found, found) is None


@given(strategies.values, strategies.values)
def test_difference_agrees_with_the_comparison_of_the_tests(first: Any, second: Any) -> None:
    try:
        assert_exact(first, second)
        same = True
    except AssertionError:
        same = False
    assert (difference(first, second) is None) == same


PRIME = 2**61 - 1
"""Integers that are equal modulo this have the same hash."""


@pytest.mark.parametrize("count", [200, 201])
def test_keys_with_the_same_hash(count: int) -> None:
    value = {2**64 + i * PRIME: i for i in range(count)}
    text = json.dumps({"dict": [[{"int": hex(key)}, i] for key, i in value.items()]})
    if count == 200:
        assert values.decode(values.loads(text)) == value == values.decode(values.encode(value))
        return
    with pytest.raises(StoreError, match="more than 200 keys of the same hash"):
        values.decode(values.loads(text))
    with pytest.raises(UnsupportedValueError, match=r"\.a: a dict with more than 200 keys of the same hash"):
        values.encode({"a": value})


@given(st.dictionaries(st.integers(-(2**80), 2**80), st.none(), min_size=201, max_size=300))
@settings(max_examples=5)
def test_many_long_keys_round_trip(value: dict[int, None]) -> None:
    assert_exact(values.decode(values.encode(value)), value)


@pytest.mark.parametrize("key", [None, {"tuple": [1]}, {"numpy": ["int8", "01"]}, {"numpy": ["str", "a"]}, []])
def test_a_key_of_another_type(key: Any) -> None:
    with pytest.raises(StoreError, match=r"as a key; expected str|form that the format defines"):
        values.decode({"dict": [[key, 1]]})


def test_an_array_of_many_axes() -> None:
    with pytest.raises(StoreError, match="100,000 axes"):
        values.decode({"ndarray": ["<f2", [2**60] * 100_000, ""]})


@given(st.integers(290_000, 800_000), st.sampled_from([[], [1], [[1, 2]]]))
@settings(max_examples=5, deadline=None)
def test_what_no_reader_could_read_is_not_written(count: int, element: Any) -> None:
    value = [element] * count
    text = json.dumps(value, separators=(",", ":"))
    if not values.crowded(text):
        assert values.dumps(value) == text
        assert values.loads(text) == value
        return
    with pytest.raises(UnsupportedValueError, match="lists and objects"):
        values.dumps(value)
    with pytest.raises(StoreError, match="lists and objects"):
        values.loads(text)
