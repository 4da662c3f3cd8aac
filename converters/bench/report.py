"""Results as a table in the terminal, and as a JSON file."""

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
