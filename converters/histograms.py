"""Histograms of a store for the terminal: videos per class, and the lengths of videos."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from itertools import cycle
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from skelstore import Store
from skelstore.wording import escape, shown

__all__ = ["Bar", "Histogram", "as_json", "class_histogram", "histogram_lines", "length_histogram"]

MOST_CLASSES = 12
"""Maximum number of classes that are shown: of more, the largest and the smallest."""
MOST_LENGTHS = 10
"""Maximum number of bars for lengths."""
TAIL = 0.995
"""Fraction of the videos up to whose length bars have the same width; the last bar has all longer ones."""
NARROWEST = 40
"""Columns that lines have at least, however narrow the terminal is."""
WIDEST = 80
"""Columns that lines have at most."""

MOST_FRAMES = 1 << 40
"""A larger number of frames counts as this one."""


class Bar(NamedTuple):
    """What is counted, and how many videos have it."""

    name: str
    videos: int


class Histogram(NamedTuple):
    """A title, and bars; where one is None, others are left out."""

    title: str
    bars: Sequence[Bar | None]


def class_histogram(store: Store) -> Histogram | None:
    """Videos per class, with class names if the store has them; None if labels are neither numbers nor texts."""
    column = _labels(store.videos)
    if column is None:
        return None
    counts = pc.value_counts(column)
    table = pa.table({"label": counts.field(0), "videos": counts.field(1)})
    classes = len(table)
    if classes <= MOST_CLASSES:
        chosen = table.sort_by("label")
        bars: list[Bar | None] = _class_bars(store, chosen)
    else:
        half = MOST_CLASSES // 2
        order = [("videos", "descending"), ("label", "ascending")]
        table = table.take(pc.sort_indices(table, sort_keys=order))
        bars = [*_class_bars(store, table[:half]), None, *_class_bars(store, table[classes - half :])]
    kept = "" if classes <= MOST_CLASSES else f", the largest and the smallest of {classes:,}"
    return Histogram(f"videos per class{kept}", bars) if classes else None


def length_histogram(store: Store) -> Histogram | None:
    """Videos by their number of frames; None if it is not known."""
    frames = _frames(store.videos)
    if frames is None or not len(frames):
        return None
    low, high = int(frames.min()), int(frames.max())
    top = int(np.quantile(frames, TAIL))
    width = _round_width((top - low + 1) / MOST_LENGTHS)
    first = low // width * width
    count = min(-(-(top - first + 1) // width), MOST_LENGTHS + 1)
    places = np.minimum((frames - first) // width, count - 1)
    videos = np.bincount(places, minlength=count).tolist()
    starts = [first + width * i for i in range(count)]
    digits = len(f"{starts[-1] + width - 1:,}")
    names = [
        f"{start:>{digits},}" if width == 1 else f"{start:>{digits},} to {start + width - 1:>{digits},}"
        for start in starts
    ]
    if high > starts[-1] + width - 1:
        names[-1] = f"{starts[-1]:,} or more"
    return Histogram("videos by frames", [Bar(name, number) for name, number in zip(names, videos, strict=True)])


def histogram_lines(histogram: Histogram, columns: int, *, blocks: bool = True) -> list[str]:
    """A histogram as lines of at most so many columns; bars are made of Unicode blocks, or of ``#``."""
    columns = min(max(columns, NARROWEST), WIDEST)
    bars = [bar for bar in histogram.bars if bar is not None]
    numbers = [f"{bar.videos:,}" for bar in bars]
    width_of_number = max(map(len, numbers))
    names = [_cut(escape(bar.name), columns // 2 - 4) for bar in bars]
    width_of_name = max(map(_columns, names))
    room = columns - width_of_name - width_of_number - 5
    longest = max(1, *(bar.videos for bar in bars))
    lines = [histogram.title]
    made = iter(zip(bars, names, numbers, strict=True))
    for bar in histogram.bars:
        if bar is None:
            lines.append("  …" if blocks else "  ...")
            continue
        _, name, number = next(made)
        padding = " " * (width_of_name - _columns(name))
        length = _bar(max(8 * room * bar.videos // longest, bar.videos > 0), blocks=blocks)
        lines.append(f"  {name}{padding} {number:>{width_of_number}} {length}".rstrip())
    return lines


def as_json(histogram: Histogram | None) -> list[dict[str, Any]] | None:
    """The bars for JSON."""
    return histogram and [bar._asdict() for bar in histogram.bars if bar is not None]


def _labels(table: pa.Table) -> pa.ChunkedArray | None:
    """The labels of the videos that have one, if they are all numbers or all texts."""
    columns = [name for name in table.column_names if name == "label" or name.startswith("label:")]
    if len(columns) != 1:
        return None
    kind = table.schema.field(columns[0]).type
    simple = pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind)
    return table[columns[0]].drop_null() if simple else None


def _class_bars(store: Store, counts: pa.Table) -> list[Bar | None]:
    names = store.class_names or []
    bars: list[Bar | None] = []
    for label, videos in zip(counts["label"].to_pylist(), counts["videos"].to_pylist(), strict=True):
        known = isinstance(label, int) and 0 <= label < len(names)
        bars.append(Bar(f"{label} {shown(names[label])}" if known else shown(label), videos))
    return bars


def _frames(table: pa.Table) -> NDArray[np.int64] | None:
    """The number of frames of the videos for which it is known."""
    for name in ("total_frames", "keypoint.dim1"):
        if name in table.column_names and pa.types.is_integer(table.schema.field(name).type):
            frames: NDArray[np.int64] = table[name].drop_null().to_numpy().astype(np.int64)
            if len(frames):
                return frames.clip(0, MOST_FRAMES)
    return None


def _round_width(least: float) -> int:
    """The smallest of 1, 2, 5, 10, 20, 50, … that is not below."""
    width = 1
    for factor in cycle((2, 2.5, 2)):
        if width >= least:
            break
        width = int(width * factor)
    return width


def _bar(eighths: int, *, blocks: bool) -> str:
    """A bar with a length in eighths of a column; what is not nothing is seen."""
    whole, rest = divmod(eighths, 8)
    if not blocks:
        return "#" * (whole + (rest >= 4 or (not whole and rest > 0)))
    return "█" * whole + " ▏▎▍▌▋▊▉"[rest].strip()


def _columns(text: str) -> int:
    """The columns of a terminal that a text takes."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _cut(text: str, columns: int) -> str:
    """The beginning of a text that is too long for so many columns, with an ellipsis."""
    if len(text) <= columns and _columns(text) <= columns:
        return text
    text = text[: columns - 1]
    while _columns(text) > columns - 1:
        text = text[:-1]
    return f"{text}…"
