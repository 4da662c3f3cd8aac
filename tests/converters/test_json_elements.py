"""Large JSON is read an element at a time: the values of the module json, at their places, or an error."""

from __future__ import annotations

import json
import math
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from converters.inputs import json_elements, json_values
from converters.inputs.json_elements import MOST_DEPTH, elements
from converters.inputs.json_values import MOST_ELEMENT, parse, parse_all
from skelstore.errors import SourceError

TEXT = st.text(max_size=4) | st.sampled_from(['"', "]", "}", "\\", ":", ",", '\\"', "[{"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=12,
)
SIZES = st.integers(1, 9) | st.just(1000)
"""Bytes that are read at once: few, so that values are in several pieces, or all."""
TOPS = st.lists(VALUES, max_size=4) | st.dictionaries(TEXT, VALUES, max_size=4)


@pytest.fixture(params=["orjson", "json"], autouse=True)
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both parsers of elements."""
    if request.param == "json":
        monkeypatch.setattr(json_values, "_loads", json_values._strict)
    elif json_values.orjson is None:
        pytest.skip("orjson is not installed")
    return str(request.param)


def pieces(text: bytes, size: int) -> Iterator[bytes]:
    return (text[i : i + size] for i in range(0, len(text), size))


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a key twice")
    return dict(pairs)


def refuse_constant(name: str) -> None:
    raise ValueError(name)


def finite(text: str) -> float:
    if math.isinf(float(text)):
        raise ValueError(text)
    return float(text)


def reference(text: str) -> list[tuple[str | None, int | None, Any]]:
    """What ``elements`` is to give, from the module json. Raises ValueError if that refuses the text."""
    value = json.loads(text, object_pairs_hook=unique, parse_constant=refuse_constant, parse_float=finite)
    json.dumps(value, ensure_ascii=False).encode()  # fails for half of a surrogate pair
    if isinstance(value, list):
        return [(None, i, element) for i, element in enumerate(value)]
    if not isinstance(value, dict):
        raise ValueError("a plain value")
    found: list[tuple[str | None, int | None, Any]] = []
    for key, member in value.items():
        is_list = isinstance(member, list) and member
        found += [(key, i, element) for i, element in enumerate(member)] if is_list else [(key, None, member)]
    return found


@given(TOPS, st.sampled_from([None, 1]), SIZES, st.booleans())
@example([], None, 1, True)
@example({"a": [], "b": {}, "c": 1}, None, 1, False)
@example([1, {}, 2, [], 3], 1, 2, False)
@settings(max_examples=40)
def test_the_values_are_those_of_json(top: Any, indent: int | None, size: int, mark: bool) -> None:
    text = json.dumps(top, indent=indent)
    data = (b"\xef\xbb\xbf" if mark else b"") + text.encode()
    found = list(elements(pieces(data, size), "a.json"))
    assert [(one.key, one.position, one.value) for one in found] == reference(text)
    for one in found:
        if isinstance(one.value, (list, dict)) and one.value:
            assert json.loads(data[one.start : one.stop]) == one.value
    assert [one.start for one in found] == sorted(one.start for one in found)


@given(TOPS, st.data())
@settings(max_examples=100)
def test_a_changed_text_is_read_as_json_reads_it_or_refused(top: Any, data: st.DataObject) -> None:
    text = json.dumps(top)
    at = data.draw(st.integers(0, len(text)))
    gone = data.draw(st.integers(0, 2))
    text = (
        text[:at] + data.draw(st.sampled_from(["", ",", "[", "]", "{", "}", '"', ":", "1", "\\"])) + text[at + gone :]
    )
    try:
        expected = reference(text)
    except ValueError:
        with pytest.raises(SourceError, match=r"a\.json") as caught:
            list(elements(pieces(text.encode(), 5), "a.json"))
        assert "\n" not in str(caught.value)
    else:
        assert [(e.key, e.position, e.value) for e in elements(pieces(text.encode(), 5), "a.json")] == expected


@given(st.binary(max_size=60), st.integers(1, 5))
@settings(max_examples=40)
def test_any_bytes_are_elements_or_an_error(data: bytes, size: int) -> None:
    for start in (b"", b"[", b'{"a":['):
        text = start + data
        said = ""
        try:
            list(elements(pieces(text, size), "a.json"))
        except SourceError as error:
            said = str(error)
        if said:
            assert said.startswith("a.json")
            assert "\n" not in said
        else:
            assert type(json.loads(text.decode("utf-8-sig"))) in (list, dict)


BAD = {
    "nothing": (b"", "ends before"),
    "a number": (b"3", "ends before"),
    "text before": (b"x[1]", "not a list or an object"),
    "NaN": (b'[{"a": NaN}]', "NaN is not a number of JSON: write 0 for joints that were not found"),
    "Infinity": (b"[[1, -Infinity]]", "-Infinity is not a number"),
    "twice": (b'[{"a": 1, "b": 2, "a": 3}]', "the key 'a' occurs twice in an object"),
    "twice inside": (b'[{"a": [1, {"b": 1, "b": 1}]}]', "the key 'b' occurs twice"),
    "twice at the top": (b'{"a": [1], "b": 2, "a": [2]}', "a name occurs twice in the object at the top"),
    "more after it": (b"[1] [2]", "more follows the end of its list"),
    "cut": (b'[{"a": [1, 2', "ends before its last list or object does"),
    "not UTF-8": (b'[{"a": "\xff"}]', "is not JSON"),
    "brackets": (b"[{]}]", "is not JSON"),
    "another end": (b"[1}", "a bracket } closes a list"),
    "a list's end": (b'{"a": 1]', "a bracket ] closes an object"),
    "no name": (b"{[1]: 2}", "is not JSON|no name"),
    "beyond float64": (b"[[1e400]]", "is not JSON"),
    "half a character": (b'[["\\ud800"]]', "is not JSON"),
    "digits": (b"[[" + b"1" * 5000 + b"]]", "is not JSON"),
    "deep": (b"[" * 5000, f"more than {MOST_DEPTH} deep"),
    "deep objects": (b'{"a":' * 5000, f"more than {MOST_DEPTH} deep"),
}


@pytest.mark.parametrize("name", BAD)
def test_the_error_names_place_and_finding(name: str) -> None:
    data, reason = BAD[name]
    with pytest.raises(SourceError, match=reason) as caught:
        list(elements([data], "a.json"))
    assert str(caught.value).startswith("a.json")
    assert "\n" not in str(caught.value)
    with pytest.raises(SourceError):
        list(elements(pieces(data, 3), "a.json"))


def endless(start: bytes, again: bytes) -> Iterator[bytes]:
    """A text of 1 GB, in pieces of 64 KiB."""
    yield start
    block = again * ((64 << 10) // len(again))
    for _ in range((1 << 30) // len(block)):
        yield block


@pytest.mark.parametrize(
    ("start", "again"),
    [
        (b"", b"["),
        (b"", b'{"a":'),
        (b'[{"keypoints": [', b"0.5, "),
        (b'[{"a": "', b"aaaa"),
        (b"[", b"1, "),
        (b"{", b'"a": 1, '),
        (b"[[", b"[],"),
        (b"[", b" "),
        (b'["', b"\\"),
    ],
)
def test_a_gigabyte_that_is_no_data_takes_little_work_and_memory(start: bytes, again: bytes) -> None:
    read = 0

    def counted() -> Iterator[bytes]:
        nonlocal read
        for chunk in endless(start, again):
            read += len(chunk)
            yield chunk

    tracemalloc.start()
    try:
        with pytest.raises(SourceError):
            list(elements(counted(), "a.json"))
        assert tracemalloc.get_traced_memory()[1] < 8 * MOST_ELEMENT
    finally:
        tracemalloc.stop()
    assert read <= 3 * MOST_ELEMENT


def test_memory_does_not_grow_with_the_text() -> None:
    element = json.dumps({"keypoints": [0.5] * 51}).encode() + b","
    chunks = [b"["] + [element * 100] * 60 + [element[:-1] + b"]"]
    tracemalloc.start()
    try:
        assert sum(1 for _ in elements(iter(chunks), "a.json")) == 6_001
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_a_small_text_is_parsed_whole() -> None:
    assert parse(b'\xef\xbb\xbf{"a:b": [1, {"c": ":"}]}', "a.json") == {"a:b": [1, {"c": ":"}]}
    assert parse(b"3", "a.json") == 3
    for wrong in (b'{"a": 1, "a": 1}', b"{", b"NaN", b"[" * 2000, b"[]," * 1_000_000, b" " * (MOST_ELEMENT + 1)):
        with pytest.raises(SourceError, match=r"^a\.json"):
            parse(wrong, "a.json")


@given(st.lists(VALUES, max_size=6), st.sampled_from([None, 1]), SIZES)
@example([{"a": [[1]]}, {"b": ":"}, {"a": {}}], None, 1000)
@settings(max_examples=40)
def test_elements_that_are_not_parsed_are_text(values: list[Any], indent: int | None, size: int) -> None:
    text = json.dumps(values, indent=indent).encode()
    found = list(elements(pieces(text, size), "a.json", unparsed=[None]))
    texts = [element.value for element in found if type(element.value) is bytes]
    assert parse_all(texts, [""] * len(texts)) == [value for value in values if type(value) in (list, dict)]
    assert all(text[element.start : element.stop] == element.value for element in found if element.value in texts)
    named = list(elements(pieces(b'{"a": ' + text + b', "b": [{}]}', size), "a.json", unparsed=["a"]))
    assert [element.value for element in named if element.key == "a"] == [element.value for element in found] or [[]]
    assert named[-1].value == {}


@pytest.mark.parametrize("fault", ["{", "[1}", '{"a": 1, "a": 2}', "[NaN]", "[1], [2]", ""])
def test_a_fault_in_one_of_several_texts_is_named(fault: str) -> None:
    with pytest.raises(SourceError, match=r"^second"):
        parse_all([b'{"a": 1}', fault.encode(), b"[]"], ["first", "second", "third"])


@pytest.mark.parametrize("element", ['{"a": ":"}', '{"a": [":"]}', '{"a": 1, "a": 2}'])
def test_a_run_with_a_fault_is_tried_once(element: str, monkeypatch: pytest.MonkeyPatch) -> None:
    counts: list[int] = []
    parse_run = json_elements.parse_run

    def counted(text: bytes, count: int) -> list[Any] | None:
        counts.append(count)
        return parse_run(text, count)

    monkeypatch.setattr(json_elements, "parse_run", counted)
    with suppress(SourceError):
        list(elements([b"[" + b",".join([element.encode()] * 5000) + b"]"], "a.json"))
    assert sum(counts) <= 5100


def spans_one_by_one(text: bytes, start: int, stop: int) -> list[tuple[int, int]]:
    """What ``_find_spans`` finds, character by character."""
    spans = []
    depth, opened, in_string = 0, 0, False
    for at in range(start, min(stop, len(text))):
        sign = text[at : at + 1]
        if text[at : at + 2] == b'\\"' and at + 1 < stop:
            break
        if sign == b'"':
            in_string = not in_string
        elif in_string or sign not in b"[]{}":
            continue
        elif sign in b"[{":
            depth += 1
            opened = at if depth == 1 else opened
            if depth > MOST_DEPTH:
                break
        else:
            depth -= 1
            if depth < 0:
                break
            if depth == 0:
                spans.append((opened, at + 1))
    return spans


JSON_LISTS = st.lists(st.lists(st.integers()) | st.dictionaries(st.text(max_size=3), st.text(max_size=3))).map(
    lambda values: json.dumps(values).encode()[1:-1]
)
SIGNS = st.lists(st.sampled_from([b"{", b"}", b"[", b"]", b'"', b"\\", b'\\"', b",", b"1 ", b"[" * 70]), max_size=30)


@given(SIGNS.map(b"".join) | JSON_LISTS, st.integers(0, 8), st.integers(0, 400))
@settings(max_examples=200)
def test_elements_are_found_as_one_by_one(text: bytes, start: int, length: int) -> None:
    start = min(start, len(text))
    found = json_elements._find_spans(text, start, start + length)
    assert list(zip(*found, strict=True)) == spans_one_by_one(text, start, start + length)


def keys_one_by_one(value: Any) -> int:
    if type(value) is dict:
        return len(value) + sum(map(keys_one_by_one, value.values()))
    return sum(map(keys_one_by_one, value)) if type(value) is list else 0


@given(VALUES)
@settings(max_examples=100)
def test_no_more_keys_are_counted_than_there_are(value: Any) -> None:
    assert json_values._count_keys(value) <= keys_one_by_one(value)
    frames = [{"frame": 1, "persons": [{"a": [1], "b": {"c": value}}]}, {"frame": 2, "persons": []}]
    assert json_values._count_keys(frames) == 6 + 1 + json_values._count_keys(value)
