"""The joints of a data set in a report: missing joints, scores and speeds, each joint with its name."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from converters.report.charts import Bar, Range, bars, columns, number, percent, ranges
from converters.report.counts import place_of
from converters.report.markup import Markup, details, joined, table, tag
from converters.report.origin import Origin
from converters.report.statistics import SCORE_BINS, SCORE_WIDTH, Joints, Statistics
from skelstore.joints import JointLayout
from skelstore.wording import counted

__all__ = ["joint_name", "joints_section", "motion_section", "score_quantile", "unit_of"]

SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)
_MOST_ROWS = 30
"""Number of joints in a chart; those that stand out most."""
_RANGES = "5 to 95 %, 25 to 75 %, median"
_MUCH = 0.25
"""Share from which a chart of shares goes up to 1."""
_PIXELS = 20
"""Coordinates above this value are pixels."""
_MILLIMETRES = 100


def joint_name(layout: JointLayout | None, shape: tuple[int, int], joint: int) -> str:
    """The name of a joint, if the layout fits; else its number."""
    return layout.joints[joint] if layout is not None and len(layout.joints) == shape[0] else f"joint {joint}"


def score_quantile(joints: Joints, joint: int | None, share: float) -> float | None:
    """The score up to which ``share`` of the scores of a joint, or of all, are; None if there are none.

    It is interpolated within a bin, so it differs from the exact one by ``SCORE_WIDTH`` at most.
    """
    counts = joints.scores.sum(axis=0) if joint is None else joints.scores[joint]
    total = int(counts.sum())
    if not total:
        return None
    found, part = place_of(counts, share)
    return (found + part) * SCORE_WIDTH


def unit_of(joints: Joints) -> str:
    """What the coordinates count, judged by the largest coordinate of most videos."""
    reach = joints.reaches.quantile(None, 0.5) or 0.0
    if joints.shape[1] == 2:
        return "pixels" if reach > _PIXELS else "units"
    return "metres" if reach < _PIXELS else "millimetres" if reach > _MILLIMETRES else "units"


def joints_section(statistics: Statistics, origin: Origin) -> Markup:
    """Which joints are missing, and how sure the others are."""
    parts = []
    for shape, joints in sorted(statistics.joints.items(), key=lambda entry: -entry[1].skeletons):
        if joints.skeletons:
            parts.append(_joints_of(shape, joints, origin, len(statistics.joints) > 1))
    return joined(parts) or tag("p", "There are no skeletons whose joints can be described.")


def _joints_of(shape: tuple[int, int], joints: Joints, origin: Origin, several: bool) -> Markup:
    names = [joint_name(origin.layout, shape, i) for i in range(shape[0])]
    share = joints.missing / joints.skeletons
    kept = _most(share)
    charts = []
    if share.any():
        entries = [Bar(names[i], float(share[i]), percent(joints.missing[i], joints.skeletons)) for i in kept]
        title = "Share of skeletons in which each joint is missing: "
        title += _extremes(names, share.tolist(), lambda value: percent(value, 1))
        heading = f"Skeletons in which a joint is missing{_of_most(kept, shape[0])}"
        charts.append(_figure(heading, bars(title, entries, top=1.0 if share.max() >= _MUCH else None)))
    headings = ["joint", "#missing", "#share"]
    rows: list[list[object]] = [
        [names[i], f"{joints.missing[i]:,}", percent(joints.missing[i], joints.skeletons)] for i in range(shape[0])
    ]
    if joints.scored:
        spreads = [[score_quantile(joints, i, part) for part in SHARES] for i in range(shape[0])]
        medians = np.array([spread[2] if spread[2] is not None else 1.0 for spread in spreads])
        lowest = _most(1 - medians)
        charts += [
            _figure(f"Score of each joint{_of_most(lowest, shape[0])}", _score_ranges(names, spreads, lowest)),
            _figure("All scores", _all_scores(joints)),
        ]
        headings += [f"#score, {_percent(part)}" for part in SHARES]
        for row, spread in zip(rows, spreads, strict=True):
            row += ["" if value is None else f"{value:.2f}" for value in spread]
    title = f"{shape[0]} joints in {shape[1]}D, {counted(joints.videos, 'video')}, "
    return joined(
        [
            tag("h3", title, f"{counted(joints.skeletons, 'skeleton')}") if several else Markup(),
            Markup() if share.any() else tag("p", "No joint is missing in a skeleton that is there.", class_="good"),
            tag("div", *charts, class_="charts"),
            details("Numbers of all joints", table(headings, rows, caption=f"{shape[0]} joints in {shape[1]}D")),
        ]
    )


def _score_ranges(names: list[str], spreads: list[list[float | None]], kept: list[int]) -> Markup:
    entries = [
        Range(names[i], (a, b, c, d, e))
        for i in kept
        for a, b, c, d, e in [[0.0 if value is None else value for value in spreads[i]]]
    ]
    medians = [spread[2] or 0.0 for spread in spreads]
    title = "Scores of each joint, median and quantiles: " + _extremes(names, medians, number)
    return ranges(title, entries, f"score: {_RANGES}", top=1.0)


def _all_scores(joints: Joints) -> Markup:
    counts = joints.scores.sum(axis=0).tolist()
    last = max((i for i, count in enumerate(counts) if count), default=0)
    stop = min(max(last + 1, round(1 / SCORE_WIDTH)), SCORE_BINS)
    entries = [
        Bar(f"{i * SCORE_WIDTH:.2f}" + "+" * (i == SCORE_BINS - 1), count) for i, count in enumerate(counts[:stop])
    ]
    median = score_quantile(joints, None, 0.5)
    title = f"Histogram of all scores; median {number(median or 0)}"
    return columns(title, entries, "score")


def motion_section(statistics: Statistics, origin: Origin) -> Markup:
    """How far joints move from one frame to the next."""
    parts = []
    for shape, joints in sorted(statistics.joints.items(), key=lambda entry: -entry[1].skeletons):
        if joints.speeds.quantile(None, 0.5) is None:
            continue
        names = [joint_name(origin.layout, shape, i) for i in range(shape[0])]
        unit = f"{unit_of(joints)} per frame"
        spreads = [[joints.speeds.quantile(i, part) or 0.0 for part in SHARES] for i in range(shape[0])]
        kept = _most(np.array([spread[2] for spread in spreads]))
        entries = [Range(names[i], (a, b, c, d, e)) for i in kept for a, b, c, d, e in [spreads[i]]]
        title = f"Speed of each joint in {unit}, median: " + _extremes(names, [s[2] for s in spreads], number)
        heading = f"Speed of each joint, {shape[0]} joints in {shape[1]}D{_of_most(kept, shape[0])}"
        rows = [[names[i], *(number(value) for value in spreads[i])] for i in range(shape[0])]
        whole = [joints.speeds.quantile(None, part) or 0.0 for part in (*SHARES, 0.999)]
        parts += [
            tag(
                "div",
                _figure(heading, ranges(title, entries, f"{unit}: 5 to 95 %, 25 to 75 %, median")),
                class_="charts",
            ),
            tag(
                "p",
                f"Over all joints the median is {number(whole[2])} {unit}, 95 % are below {number(whole[4])}, and one "
                f"in a thousand is above {number(whole[5])}.",
            ),
            details(
                "Numbers of all joints",
                table(
                    ["joint", *(f"#{_percent(part)}" for part in SHARES)],
                    rows,
                    caption=f"Speed of {shape[0]} joints in {shape[1]}D in {unit}",
                ),
            ),
        ]
    return joined(parts) or tag("p", "No rows of persons: how far a joint moves is not known.")


def _figure(heading: str, chart: Markup) -> Markup:
    return tag("figure", tag("figcaption", heading), chart)


def _most(values: NDArray[np.float64]) -> list[int]:
    """All positions, or those of the largest values, in their order."""
    if len(values) <= _MOST_ROWS:
        return list(range(len(values)))
    return sorted(np.argsort(-values, kind="stable")[:_MOST_ROWS].tolist())


def _of_most(kept: list[int], count: int) -> str:
    return "" if len(kept) == count else f" (the {len(kept)} of {count} that stand out most)"


def _extremes(names: list[str], values: list[float], text: object) -> str:
    """The joints with the largest and the smallest value, as the text of a chart."""
    assert callable(text)
    high, low = int(np.argmax(values)), int(np.argmin(values))
    return f"most {names[high]} {text(values[high])}, least {names[low]} {text(values[low])}"


def _percent(share: float) -> str:
    return "median" if share == 0.5 else f"{100 * share:.0f} %"
