"""One fault of one file is one message, with a count and the first places."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from converters.conversion.repetition import merge_repeats


def test_problems_that_differ_in_their_position_are_one() -> None:
    problems = [f"a.pkl[{i}]: no label" for i in range(30)]
    assert merge_repeats(problems) == ["a.pkl[0]: no label (and 29 more like it: [1], [2], [3], …)"]
    assert merge_repeats(problems[:2]) == ["a.pkl[0]: no label (and 1 more like it: [1])"]


def test_lines_rows_and_bytes_are_positions() -> None:
    assert merge_repeats([f"t.csv: line {i}, label: 'x'" for i in (2, 5)]) == [
        "t.csv: line 2, label: 'x' (and 1 more like it: line 5)"
    ]
    assert merge_repeats([f"a.pkl: [{i}].k: set (byte {9 * i} of the file)" for i in range(3)]) == [
        "a.pkl: [0].k: set (byte 0 of the file) (and 2 more like it: [1], [2])"
    ]
    assert merge_repeats(["the same", "the same"]) == ["the same (and 1 more like it: the same)"]


def test_other_faults_files_and_names_stay_apart() -> None:
    problems = [
        "a.pkl[0]: x",
        "b.pkl[0]: x",
        "a.pkl[1]: y",
        "t.csv: line 2: 'v1' is missing",
        "t.csv: line 3: 'v2' is missing",
    ]
    assert merge_repeats(problems) == problems


@given(st.lists(st.sampled_from(["a", "b", "[1]", "[2]", "line 3: x", "line 4: x", "c[7][8]", "c[7][9]"]), max_size=12))
def test_every_problem_is_counted(problems: list[str]) -> None:
    merged = merge_repeats(problems)
    counted = sum(1 + int(text.partition("(and ")[2].partition(" ")[0] or 0) for text in merged)
    assert counted == len(problems)
