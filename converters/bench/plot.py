"""The plot of the README: how fast videos are read, and what opening a data set and each worker cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from converters.bench import reading
from converters.bench.results import Result

SUFFIXES = (".png", ".svg", ".pdf")

OURS, OTHERS, FLOORS = "#1b7f79", "#7a828c", "#c98a2b"
MARKERS = "os^Dv"
LEFT_OUT = ("pickle in memory", "LMDB, own process")
"""Sides that are not shown: one reads nothing, the other is there only to be compared with the reader in Python."""


class Cost(NamedTuple):
    """One bar of the second panel: what is measured, on which side, its value and its unit."""

    what: str
    side: str
    value: float
    unit: str


def medians(results: Sequence[Result]) -> dict[str, dict[str, float]]:
    """Microseconds per video of each side, by the heading of the data set; the slowest side is first."""
    found: dict[str, dict[str, float]] = {}
    for result in results:
        for name, values in result.measurements.items():
            if name not in LEFT_OUT:
                found.setdefault(name, {})[reading.heading(result)] = values["us p50"]
    return dict(sorted(found.items(), key=lambda item: -max(item[1].values())))


def costs(opening: Result | None, workers: Result | None) -> list[Cost]:
    """What opening a data set and a worker cost, from the results of those benchmarks."""
    found: list[Cost] = []
    if opening is not None:
        sides = dict(zip(("skelstore", "pickle"), opening.measurements, strict=True))
        for what, key, unit in (
            (f"open {opening.conditions['videos']:,} videos", "ms", "ms"),
            ("open, and the first video by name", "cold start ms", "ms"),
            ("private memory after opening", "private MB", "MB"),
        ):
            found += [Cost(what, side, opening.measurements[name][key], unit) for side, name in sides.items()]
    if workers is not None:
        most = max(int(name.rsplit(", ", 1)[1]) for name in workers.measurements)
        found += [
            Cost(f"private memory per worker, of {most}", side, values["private MB per worker"], "MB")
            for side in ("skelstore", "pickle")
            for values in (workers.measurements[f"{side}, {most}"],)
        ]
    return found


def rounded(value: float) -> str:
    """A figure as plots and documents show it: without decimals from 10 on, else with two digits."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def write_plot(path: Path, results: Sequence[Result]) -> None:
    """Plot the results of reading in one panel, and those of opening and of workers, if there are any, in another.

    Raises ImportError if matplotlib is not installed.
    """
    from matplotlib.figure import Figure

    shown = [result for result in results if result.name.startswith("reading ")]
    by_name = {result.name: result for result in results}
    sides, bars = medians(shown), costs(by_name.get("opening"), by_name.get("workers"))
    heights = [0.31 * len(sides) + 0.9, 0.3 * len(bars) + 0.5][: 1 + bool(bars)]
    figure = Figure(figsize=(9, sum(heights)), layout="constrained")
    panels = figure.subplots(len(heights), squeeze=False, height_ratios=heights)[:, 0]
    _draw_reading(panels[0], sides, [reading.heading(result) for result in shown])
    if bars:
        _draw_costs(panels[1], bars)
    figure.savefig(path, dpi=150)


def _draw_reading(panel: Any, sides: Mapping[str, Mapping[str, float]], headings: Sequence[str]) -> None:
    """A row per side with a marker per data set, on a logarithmic scale; the medians are written at the right."""
    from matplotlib.lines import Line2D

    for row, (name, values) in enumerate(sides.items()):
        panel.hlines(row, min(values.values()), max(values.values()), color=_colour(name), alpha=0.4, linewidth=2)
        for heading, marker in zip(headings, MARKERS, strict=False):
            if heading in values:
                panel.plot(values[heading], row, marker, color=_colour(name), markersize=6)
        text = "  ".join(rounded(values[heading]) if heading in values else "-" for heading in headings)
        panel.annotate(text, (1.01, row), xycoords=("axes fraction", "data"), va="center", fontsize=8)
    panel.set_yticks(range(len(sides)), [reading.title(name).replace("`", "") for name in sides])
    panel.set_xscale("log")
    panel.grid(axis="x", color="#e3e5e8")
    panel.set_axisbelow(True)
    panel.set_xlabel("microseconds per video, by name, median")
    panel.set_title(
        "Reading a video: skelstore, other ways to keep videos, and floors of any reader", loc="left", fontsize=10
    )
    panel.spines[["top", "right"]].set_visible(False)
    keys = [
        Line2D([], [], marker=marker, color="#444444", linestyle="", label=heading)
        for heading, marker in zip(headings, MARKERS, strict=False)
    ]
    panel.legend(handles=keys, loc="upper right", fontsize=8)


def _draw_costs(panel: Any, bars: Sequence[Cost]) -> None:
    """A bar per cost; the units differ, so the values are written at the bars, and the scale has none."""
    shown = list(reversed(bars))
    colours = [OURS if bar.side == "skelstore" else OTHERS for bar in shown]
    drawn = panel.barh(range(len(shown)), [max(bar.value, 0.01) for bar in shown], color=colours)
    panel.bar_label(drawn, [f"{rounded(bar.value)} {bar.unit}" for bar in shown], padding=3, fontsize=8)
    panel.set_yticks(range(len(shown)), [f"{bar.what}: {bar.side}" for bar in shown])
    panel.set_xscale("log")
    panel.set_xticks([], minor=True)
    panel.set_xticks([])
    panel.set_title("Opening, and memory per worker (logarithmic)", loc="left", fontsize=10)
    panel.spines[["top", "right", "bottom"]].set_visible(False)


def _colour(name: str) -> str:
    if name in (*reading.OURS, reading.YOUR_STORE):
        return OURS
    return FLOORS if name.startswith("bare ") else OTHERS
