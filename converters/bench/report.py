"""Results as a table in the terminal, a JSON file, and a plot for the README."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from converters.bench.results import Claim, Result

LIBRARIES = ("skelstore", "numpy", "numcodecs", "pyarrow", "zarr", "zarrs", "tensorstore", "h5py", "pylance", "lmdb")
PLOT_SUFFIXES = (".png", ".svg", ".pdf")


def machine() -> dict[str, Any]:
    """What the figures depend on in addition to the code: system, processor, versions."""
    versions = {}
    for name in (*LIBRARIES, "pymemcache"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "system": platform.platform(),
        "python": platform.python_version(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "versions": versions,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def lines(result: Result, verdicts: bool = True) -> Iterator[str]:
    """A result as lines for the terminal: first the ratios, then the figures behind them, then what was skipped.

    ``verdicts`` selects whether to compare the figures with the wanted ones; at the smallest sizes they mean nothing.
    """
    yield f"== {result.name}: {result.title}"
    yield from (f"   {name}: {_number(value)}" for name, value in result.conditions.items())
    if result.claims:
        yield ""
        wanted = ["wanted", ""] if verdicts else ["", ""]
        rows = [["", "measured", "", *wanted], *(_claim_row(claim, verdicts) for claim in result.claims)]
        yield from _table(rows, right={1})
    if result.measurements:
        yield ""
        headings = list(dict.fromkeys(key for values in result.measurements.values() for key in values))
        rows = [["", *headings]]
        for name, values in result.measurements.items():
            rows.append([name, *(_number(values[key]) if key in values else "" for key in headings)])
        yield from _table(rows, right=set(range(1, len(headings) + 1)))
    if result.skipped:
        yield ""
        yield from (f"   skipped {name}: {reason}" for name, reason in result.skipped.items())
    yield ""


def _claim_row(claim: Claim, verdicts: bool) -> list[str]:
    if claim.wanted is None or not verdicts:
        return [claim.what, _number(claim.measured), claim.unit, "", ""]
    verdict = "reached" if claim.wanted.reached_by(claim.measured) else "NOT REACHED"
    return [claim.what, _number(claim.measured), claim.unit, str(claim.wanted), verdict]


def _number(value: Any) -> str:
    if not isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, int) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _table(rows: Sequence[Sequence[str]], right: set[int]) -> Iterator[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = (c.rjust(w) if i in right else c.ljust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True)))
        yield ("   " + "  ".join(cells)).rstrip()


def write_json(path: Path, results: Iterable[Result], size: str) -> None:
    """Write all results as JSON, for scripts."""
    content = {"machine": machine(), "size": size, "results": [result.to_json() for result in results]}
    path.write_text(json.dumps(content, indent=1) + "\n")


def write_plot(path: Path, results: Iterable[Result]) -> None:
    """Plot the microseconds per video of every side as bars on a logarithmic scale, one panel per data set.

    Raises ImportError if matplotlib is not installed.
    """
    from matplotlib.figure import Figure

    shown = [result for result in results if result.name.startswith("reading ")]
    figure = Figure(figsize=(9, 0.5 + 3.6 * len(shown)), layout="constrained")
    panels = figure.subplots(len(shown), squeeze=False)[:, 0]
    for panel, result in zip(panels, shown, strict=True):
        # Without the floors, which are not ways to keep data, and the pickle in memory, which reads nothing.
        sides = {n: v["us p50"] for n, v in result.measurements.items() if not n.startswith(("bare", "pickle in"))}
        order = sorted(sides, key=sides.__getitem__, reverse=True)
        ours = ("fast", "default", "small", "your store")
        names = [f"skelstore {name}" if name in ours[:3] else name for name in order]
        colours = ["#1b7f79" if name in ours else "#b9bec4" for name in order]
        bars = panel.barh(names, [sides[name] for name in order], color=colours)
        panel.bar_label(bars, [f"{sides[name]:,.0f}" for name in order], padding=3, fontsize=8)
        panel.set_xscale("log")
        panel.set_xlim(left=1)  # the same start in every panel
        panel.set_xlabel("microseconds per video, median")
        panel.set_title(f"{result.name}, {result.conditions['KB per video']} KB per video", loc="left", fontsize=10)
        panel.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)
