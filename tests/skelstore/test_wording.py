"""Values, kinds of values, counts and lists of names in messages; names close to one that was not found."""

from __future__ import annotations

import time
from collections import OrderedDict
from itertools import count

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from converters.pickles.arrays import Foreign
from skelstore.wording import closest, counted, kind_of, shown, shown_names
from tests.support import strategies


def test_one_and_many() -> None:
    assert [counted(n, "video") for n in (0, 1, 2, 1234)] == ["0 videos", "1 video", "2 videos", "1,234 videos"]
    assert [counted(n, "video has", "videos have") for n in (1, 3)] == ["1 video has", "3 videos have"]


def test_the_closest_names_are_named() -> None:
    assert closest("keypoints", ["keypoint", "label"]) == "; did you mean 'keypoint'?"
    assert closest("xsub_train", ["xsub_val", "xview_train", "xset"]) == "; did you mean 'xview_train' or 'xsub_val'?"
    assert closest("video1", ["video2", "video3", "video4", "video5"]).count("'") == 6
    assert closest("KEYPOINT", ["keypoint"]) == "; did you mean 'keypoint'?"
    assert closest("one", ["video"]) == closest("one", []) == ""


def test_a_name_that_is_not_text_has_no_closest_name() -> None:
    assert closest(1, [1, 2]) == ""
    assert closest("1", [1, None, b"1", ("1",)]) == ""
    assert closest("a" * 10**6, ["a" * 10**6]) == closest("a", ["a" * 10**6]) == ""
    assert closest("a\nc", ["a\nb"]) == r"; did you mean 'a\nb'?"


def test_many_names_are_searched_quickly() -> None:
    names = [f"S{n // 1000:03}C001P{n % 1000:03}R001A{n % 120:03}" for n in range(200_000)]
    started = time.process_time()
    assert closest("S012C001P345R001A105_", names).startswith("; did you mean 'S012C001P345R001A105'")
    assert time.process_time() - started < 2


@given(st.text(), st.lists(st.text() | st.integers() | st.none()))
def test_it_never_raises_and_returns_only_existing_names(name: str, names: list[object]) -> None:
    found = closest(name, names)
    assert found == "" or any(repr(other) in found for other in names)


@given(st.text("abcdefgh", min_size=3, max_size=30), st.lists(st.text("xyz-", max_size=30), max_size=300), st.data())
def test_one_wrong_character_is_recognised(name: str, others: list[str], data: st.DataObject) -> None:
    """In upper or lower case, and of any number of names."""
    at = data.draw(st.integers(0, len(name) - 1))
    assert repr(name) in closest(name[:at].upper() + "-" + name[at + 1 :], [*others, name])


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (None, "None", "None"),
        (1, "an int", "1"),
        (True, "a bool", "True"),
        (10**5000, "an int", "more than 2**64"),
        (-(2**64), "an int", "less than -2**64"),
        ("a\n", "a str", r"'a\n'"),
        ("a" * 121, "a str", f"'{'a' * 119}…"),
        (b"a", "a bytes", "b'a'"),
        ((1080, 1920), "a tuple", "(1080, 1920)"),
        ((1,), "a tuple", "(1,)"),
        ([1, [2], ()], "a list", "[1, […], (…)]"),
        (list(range(9)), "a list", "[0, 1, 2, 3, 4, 5, 6, 7, …]"),
        ({"a": 1}, "a dict", "a dict"),
        (OrderedDict(), "a collections.OrderedDict", "a collections.OrderedDict"),
        (np.zeros((2, 3), np.float32), "an array of float32 [2, 3]", "an array of float32 [2, 3]"),
        (np.zeros(0, ">f4"), "an array of >f4 [0]", "an array of >f4 [0]"),
        (np.int64(1), "a numpy.int64", repr(np.int64(1))),
        (np.ma.zeros(2), "a numpy.ma.MaskedArray", "a numpy.ma.MaskedArray"),
        (Foreign("torch.Tensor", 17), "a torch.Tensor object (byte 17 of the file)", ""),
        (Foreign("builtins.set", 17), "a set (byte 17 of the file)", ""),
    ],
    ids=count(),  # pytest would write out the long numbers
)
def test_a_value_and_its_kind(value: object, kind: str, text: str) -> None:
    assert kind_of(value) == kind
    assert shown(value) == (text or kind)


@given(strategies.values)
def test_no_value_is_long_or_on_several_lines(value: object) -> None:
    for text in (shown(value), kind_of(value)):
        assert text.isprintable()
        assert len(text) < 200


def test_a_value_that_expands_to_very_many_is_shown_quickly() -> None:
    value: tuple[object, ...] = ()
    for _ in range(100):
        value = (value,) * 8
    assert shown(value) == f"({', '.join(['(…)'] * 8)})"


def test_only_the_first_of_many_names_are_shown() -> None:
    assert shown_names(["a", "b"]) == "'a', 'b'"
    assert shown_names(dict.fromkeys("abc"), 2) == "'a', 'b', …"
    assert shown_names([]) == "(none)"
