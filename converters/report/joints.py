"""The joints of a data set in a report: missing joints, scores and speeds, each joint with its name."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from converters.report.charts import Bar, Range, bars, columns, figure, number, percent, ranges
from converters.report.classes import Classes
from converters.report.markup import Markup, details, joined, table, tag
from converters.report.origin import Origin
from converters.report.statistics import SCORE_BINS, SCORE_WIDTH, Joints, Statistics, score_quantile
from skelstore.joints import JointLayout
from skelstore.wording import counted

__all__ = ["joint_name", "joints_section", "median_scores", "motion_section", "unit_of"]

SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)
_MOST_ROWS = 30
"""Number of joints in a chart; those that stand out most."""
_MOST_CLASSES = 20
"""Number of classes in a chart; those with the lowest scores."""
_RANGES = "5 to 95 %, 25 to 75 %, median"
_MUCH = 0.25
"""Share from which a chart of shares goes up to 1."""
_PIXELS = 20
"""Coordinates above this value are pixels."""
_MILLIMETRES = 100


def joint_name(layout: JointLayout | None, shape: tuple[int, int], joint: int) -> str:
    """The name of a joint, if the layout fits; else its number."""
    return layout.joints[joint] if layout is not None and len(layout.joints) == shape[0] else f"joint {joint}"


def median_scores(joints: Joints) -> list[float | None]:
    """The median score of each joint; None if it has none."""
    return [score_quantile(counts, 0.5) for counts in joints.scores]


def unit_of(joints: Joints) -> str:
    """What the coordinates count, judged by the largest coordinate of most videos."""
    reach = joints.reaches.quantile(None, 0.5) or 0.0
    if joints.shape[1] == 2:
        return "pixels" if reach > _PIXELS else "units"
    return "metres" if reach < _PIXELS else "millimetres" if reach > _MILLIMETRES else "units"


def joints_section(statistics: Statistics, origin: Origin, classes: Classes) -> Markup:
    """Which joints are missing, and how sure the others are, by joint and by class."""
    parts = []
    for shape, joints in sorted(statistics.joints.items(), key=lambda entry: -entry[1].skeletons):
        if joints.skeletons:
            parts.append(_joints_of(shape, joints, origin, len(statistics.joints) > 1))
    if statistics.class_scores:
        parts.append(_scores_of_classes(statistics, classes))
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
        charts.append(figure(heading, bars(title, entries, top=1.0 if share.max() >= _MUCH else None)))
    headings = ["joint", "#missing", "#share"]
    rows: list[list[object]] = [
        [names[i], f"{joints.missing[i]:,}", percent(joints.missing[i], joints.skeletons)] for i in range(shape[0])
    ]
    if joints.scored:
        spreads = [[score_quantile(joints.scores[i], part) for part in SHARES] for i in range(shape[0])]
        medians = np.array([spread[2] if spread[2] is not None else 1.0 for spread in spreads])
        lowest = _most(1 - medians)
        charts += [
            figure(f"Score of each joint{_of_most(lowest, shape[0])}", _score_ranges(names, spreads, lowest)),
            figure("All scores", _all_scores(joints)),
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
    median = score_quantile(joints.scores.sum(axis=0), 0.5)
    title = f"Histogram of all scores; median {number(median or 0)}"
    return columns(title, entries, "score")


def _scores_of_classes(statistics: Statistics, classes: Classes) -> Markup:
    """The scores of all joints in the videos of each class, the classes with the lowest median first."""
    spreads = {}
    for i, label in enumerate(classes.labels.tolist()):
        if (counts := statistics.class_scores.get(label)) is not None:
            a, b, c, d, e = (score_quantile(counts, part) or 0.0 for part in SHARES)
            spreads[i] = (a, b, c, d, e)
    lowest = sorted(spreads, key=lambda i: (spreads[i][2], i))
    shown = [Range(classes.title(i), spreads[i]) for i in lowest[:_MOST_CLASSES]]
    few = "" if len(shown) == len(lowest) else f" (the lowest {len(shown)} of {len(lowest):,})"
    title = f"Scores of each class, the lowest median first: {shown[0].label} {number(shown[0].values[2])}"
    rows = [[classes.title(i), *(f"{value:.2f}" for value in spread)] for i, spread in spreads.items()]
    headings = ["class", *(f"#score, {_percent(part)}" for part in SHARES)]
    return joined(
        [
            tag(
                "div",
                figure(f"Score of each class{few}", ranges(title, shown, f"score: {_RANGES}", top=1.0)),
                class_="charts",
            ),
            details("Numbers: scores of all classes", table(headings, rows, caption="Scores per class")),
        ]
    )


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
                figure(heading, ranges(title, entries, f"{unit}: {_RANGES}")),
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


def _most(values: NDArray[np.float64]) -> list[int]:
    """All positions, or those of the largest values, in their order."""
    if len(values) <= _MOST_ROWS:
        return list(range(len(values)))
    return sorted(np.argsort(-values, kind="stable")[:_MOST_ROWS].tolist())


def _of_most(kept: list[int], count: int) -> str:
    return "" if len(kept) == count else f" (the {len(kept)} of {count} that stand out most)"


def _extremes(names: list[str], values: list[float], text: Callable[[float], str]) -> str:
    """The joints with the largest and the smallest value, as the text of a chart."""
    high, low = int(np.argmax(values)), int(np.argmin(values))
    return f"most {names[high]} {text(values[high])}, least {names[low]} {text(values[low])}"


def _percent(share: float) -> str:
    return "median" if share == 0.5 else f"{100 * share:.0f} %"
