"""What is counted is in the singular or the plural; the names closest to one that was not found."""

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from skelstore.wording import closest, counted


def test_one_and_many() -> None:
    assert [counted(n, "video") for n in (0, 1, 2, 1234)] == ["0 videos", "1 video", "2 videos", "1,234 videos"]
    assert [counted(n, "video has", "videos have") for n in (1, 3)] == ["1 video has", "3 videos have"]


def test_the_closest_names_are_named() -> None:
    assert closest("keypoints", ["keypoint", "label"]) == "; did you mean 'keypoint'?"
    assert closest("xsub_train", ["xsub_val", "xview_train", "xset"]) == "; did you mean 'xview_train' or 'xsub_val'?"
    assert closest("video1", ["video2", "video3", "video4", "video5"]).count("'") == 6
    assert closest("KEYPOINT", ["keypoint"]) == "; did you mean 'keypoint'?"
    assert closest("one", ["video"]) == closest("one", []) == ""


def test_what_is_not_text_has_no_closest_name() -> None:
    assert closest(1, [1, 2]) == ""
    assert closest("1", [1, None, b"1", ("1",)]) == ""
    assert closest("a" * 10**6, ["a" * 10**6]) == closest("a", ["a" * 10**6]) == ""
    assert closest("a\nc", ["a\nb"]) == r"; did you mean 'a\nb'?"


def test_many_names_take_no_time() -> None:
    names = [f"S{n // 1000:03}C001P{n % 1000:03}R001A{n % 120:03}" for n in range(200_000)]
    started = time.process_time()
    assert closest("S012C001P345R001A105_", names).startswith("; did you mean 'S012C001P345R001A105'")
    assert time.process_time() - started < 2


@given(st.text(), st.lists(st.text() | st.integers() | st.none()))
def test_it_never_raises_and_names_only_what_is_there(name: str, names: list[object]) -> None:
    found = closest(name, names)
    assert found == "" or any(repr(other) in found for other in names)


@given(st.text("abcdefgh", min_size=3, max_size=30), st.lists(st.text("xyz-", max_size=30), max_size=300), st.data())
def test_one_wrong_character_is_recognised(name: str, others: list[str], data: st.DataObject) -> None:
    """In upper or lower case, and of any number of names."""
    at = data.draw(st.integers(0, len(name) - 1))
    assert repr(name) in closest(name[:at].upper() + "-" + name[at + 1 :], [*others, name])
