"""Histograms of ``skelstore info``: counted as by hand, within the width of the terminal, and on terminals alone."""

from __future__ import annotations

import io
import json
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import skelstore
from converters.cli import main
from converters.histograms import Bar, Histogram, as_json, class_histogram, histogram_lines, length_histogram
from tests.support.contracts import write

BLOCKS = " ▏▎▍▌▋▊▉█"


def histograms(path: Path, annotations: list[dict[str, Any]], **options: Any) -> tuple[Any, Any]:
    with skelstore.open(write(path, annotations, **options)) as store:
        return class_histogram(store), length_histogram(store)


def test_classes_are_counted_in_order(tmp_path: Path) -> None:
    annotations = [{"label": label} for label in (2, 0, 2, 5, 2, 0)]
    source = {"dialect": "writer", "class_names": ["walk", "wave", "fall"]}
    classes, lengths = histograms(tmp_path / "a.zarr", annotations, source=source)
    assert classes.bars == [Bar("0 'walk'", 2), Bar("2 'fall'", 3), Bar("5", 1)]
    assert lengths is None
    assert as_json(classes) == [
        {"name": "0 'walk'", "videos": 2},
        {"name": "2 'fall'", "videos": 3},
        {"name": "5", "videos": 1},
    ]


def test_of_many_classes_the_largest_and_the_smallest_are_shown(tmp_path: Path) -> None:
    labels = [label for label in range(20) for _ in range((7 * label) % 20 + 1)]
    classes, _ = histograms(tmp_path / "a.zarr", [{"label": label} for label in labels])
    counts = Counter(labels)
    ordered = sorted(counts, key=lambda label: (-counts[label], label))
    expected = [Bar(str(label), counts[label]) for label in ordered]
    assert classes.bars == [*expected[:6], None, *expected[-6:]]
    assert classes.title == "videos per class, the largest and the smallest of 20"


def test_classes_that_are_texts(tmp_path: Path) -> None:
    classes, _ = histograms(tmp_path / "a.zarr", [{"label": "sit"}, {"label": "drink"}, {"label": "sit"}, {}])
    assert classes.bars == [Bar("'drink'", 1), Bar("'sit'", 2)]


@pytest.mark.parametrize("labels", [[], [None], [[1, 2], 3], ["a", 1], [1.5]])
def test_without_simple_labels_there_is_no_histogram_of_classes(tmp_path: Path, labels: list[Any]) -> None:
    assert histograms(tmp_path / "a.zarr", [{"label": label} for label in labels])[0] is None


@given(st.lists(st.integers(0, 3000), min_size=1, max_size=60))
def test_lengths_are_counted_between_bounds(lengths: list[int]) -> None:
    store: Any = SimpleNamespace(videos=pa.table({"total_frames": pa.array([*lengths, None], pa.int64())}))
    found = length_histogram(store)
    assert found is not None
    bars = [bar for bar in found.bars if bar is not None]
    assert len(bars) <= 11
    left = Counter(lengths)
    for bar in bars:
        first, _, last = bar.name.replace(",", "").partition(" to ")
        if "or more" in first:
            low, high = int(first.split()[0]), max(lengths)
        else:
            low, high = int(first), int(last or first)
        assert bar.videos == sum(left.pop(length) for length in list(left) if low <= length <= high)
    assert not left


@pytest.mark.parametrize("frames", [[-5, 2], [2**62, -(2**63), 2**63 - 1], [0], [1, 1, 1]])
def test_odd_lengths(tmp_path: Path, frames: list[int]) -> None:
    _, lengths = histograms(tmp_path / "a.zarr", [{"total_frames": count} for count in frames])
    assert sum(bar.videos for bar in lengths.bars) == len(frames)
    assert histogram_lines(lengths, 80)


NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=120)


@given(
    st.lists(st.one_of(st.none(), st.builds(Bar, NAMES, st.integers(0, 10**9))), min_size=1, max_size=14).filter(any),
    st.integers(1, 300),
    st.booleans(),
)
def test_lines_fit_the_terminal(bars: list[Bar | None], columns: int, blocks: bool) -> None:
    """Whatever names hold; every bar is as long as its share, and what is not nothing is seen."""
    lines = histogram_lines(Histogram("title", bars), columns, blocks=blocks)
    assert len(lines) == 1 + len(bars)
    drawn = []
    for bar, line in zip(bars, lines[1:], strict=True):
        assert line.isprintable()
        assert len(line) <= min(max(columns, 40), 80)
        if bar is not None:
            number = f"{bar.videos:,}"
            assert number in line
            tail = line[line.rindex(number) + len(number) :].strip() if bar.videos else ""
            assert set(tail) <= set(BLOCKS if blocks else "#")
            assert bool(tail) == bool(bar.videos) or not blocks
            drawn.append((bar.videos, sum(8 if c in "█#" else BLOCKS.index(c) for c in tail)))
    most = max(videos for videos, _ in drawn)
    longest = max(length for _, length in drawn)
    for videos, length in drawn:
        if most and blocks:
            assert abs(length - longest * videos / most) <= 1.01


def test_wide_characters_take_two_columns() -> None:
    lines = histogram_lines(Histogram("t", [Bar("走", 2), Bar("walk", 1), Bar("歩" * 60, 1)]), 60)
    ends = [
        line.index(" 2 " if i == 0 else " 1 ") + sum("\u2e80" < c < "\u9fff" for c in line)
        for i, line in enumerate(lines[1:])
    ]
    assert len(set(ends)) == 1
    assert "…" in lines[3]


class Terminal(io.StringIO):
    """A standard output that says it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_info_shows_them_on_a_terminal(tmp_path: Path, encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    annotations = [{"label": i % 2, "total_frames": 60 + i} for i in range(20)]
    write(tmp_path / "a.zarr", annotations)
    terminal = Terminal()
    terminal.encoding = encoding
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("COLUMNS", "50")
    main(["info", str(tmp_path / "a.zarr")])
    text = terminal.getvalue()
    assert "\nvideos per class\n  0 10 " in text
    assert "\nvideos by frames\n  60 to 61" in text
    assert ("█" in text) == (encoding == "utf-8") != ("###" in text)
    assert max(map(len, text.split("videos per class")[1].splitlines())) <= 50


def test_info_prints_no_histogram_into_a_pipe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "a.zarr", [{"label": 1, "total_frames": 60}])
    main(["info", str(tmp_path / "a.zarr")])
    assert "videos per class" not in capsys.readouterr().out
    main(["info", str(tmp_path / "a.zarr"), "--json"])
    found = json.loads(capsys.readouterr().out)["histograms"]
    assert found == {"classes": [{"name": "1", "videos": 1}], "lengths": [{"name": "60", "videos": 1}]}
