"""The figures in README.md and docs/performance.md, from the results of a run.

A document has them between ``<!-- figures: NAME -->`` and ``<!-- end of figures -->``. What is between is replaced if
the run has measured it, and left as it is otherwise. The plot needs three benchmarks: reading, opening and workers.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks import ratios
from converters.bench import plot, reading
from converters.bench.results import Result

DOCUMENTS = ("README.md", "docs/performance.md")
PLOT = "docs/performance.png"
PLOTTED = {"opening", "workers"}

IN_README = (
    *("fast", "default", "LMDB", "memcached", "h5py", "zarr-python"),
    *("bare memcpy", *reading.CODEC_FLOORS[:1]),
)
"""The sides in the table of the README; docs/performance.md has all."""

_FIGURES = re.compile(r"(<!-- figures: (\S+) -->\n).*?(<!-- end of figures -->)", re.DOTALL)


def write(root: Path, results: Sequence[Result]) -> None:
    """Rewrite the figures of the documents below ``root``, and the plot. Raises ValueError if a document has a name
    that no benchmark measures.
    """
    found = blocks(results)
    for document in DOCUMENTS:
        path = root / document
        path.write_text(replaced(path.read_text(encoding="utf-8"), found), encoding="utf-8")
    if PLOTTED | {"reading"} <= {result.name.split(" ")[0] for result in results}:
        plot.write_plot(root / PLOT, results)


def replaced(text: str, found: dict[str, str]) -> str:
    """A document with these figures."""

    def one(match: re.Match[str]) -> str:
        begin, name, end = match.groups()
        if name not in NAMES:
            raise ValueError(f"there are no figures named {name}; there are {', '.join(NAMES)}")
        return f"{begin}{found[name]}\n{end}" if name in found else match.group()

    return _FIGURES.sub(one, text)


def blocks(results: Sequence[Result]) -> dict[str, str]:
    """The text of each block that these results have the figures of."""
    by_name = {result.name: result for result in results}
    found: dict[str, str] = {}
    if read := [result for result in results if result.name.startswith("reading ")]:
        found["reading"] = _reading(read, IN_README)
        found["reading-all"] = _reading(read, list(reversed(plot.medians(read))))
        found["ratios"] = _ratios(read)
    if "opening" in by_name and "workers" in by_name:
        found["opening"] = _opening(by_name["opening"], by_name["workers"])
    if "size" in by_name:
        found["size"] = _size(by_name["size"])
    if "conversion" in by_name:
        found["conversion"] = _conversion(by_name["conversion"])
    if "remote" in by_name:
        found["remote"] = _remote(by_name["remote"])
    return found


NAMES = ("reading", "reading-all", "ratios", "opening", "size", "conversion", "remote")


def _reading(results: Sequence[Result], names: Iterable[str]) -> str:
    count = results[0].conditions["videos"]
    compiled = "the compiled reader" if results[0].conditions["compiled reader"] == "yes" else "the reader in Python"
    medians = plot.medians(results)
    headings = [reading.heading(result) for result in results]
    rows = [
        [reading.title(name), *(plot.rounded(medians[name][h]) if h in medians[name] else "" for h in headings)]
        for name in names
        if name in medians
    ]
    caption = (
        f"Microseconds per video: medians of one run on {os.cpu_count()} cores with {compiled}, warm cache, {count:,}\n"
        f"Kinetics-like videos and {results[-1].conditions['videos']:,} of each other kind, by `frame_dir`, in random "
        "order:"
    )
    return f"{caption}\n\n{_table(['', *headings], rows)}"


def _ratios(results: Sequence[Result]) -> str:
    gathered = ratios.gather(results)
    headings = [reading.heading(result) for result in results]
    aims = {claim.what: str(claim.wanted) for claim in gathered.claims}
    rows = []
    for what, values in gathered.measurements.items():
        cells = []
        for heading in headings:
            aim = aims.get(f"{what}: {heading}")
            cells.append((plot.rounded(values[heading]) + (f" ({aim})" if aim else "")) if heading in values else "")
        rows.append([f"{what}{', its time' if 'bare' in what else ''}", *cells])
    return _table(["times as fast (aim)", *headings], rows)


def _opening(opening: Result, workers: Result) -> str:
    costs = plot.costs(opening, workers)
    rows: dict[str, dict[str, str]] = {}
    for cost in costs:
        rows.setdefault(cost.what, {})[cost.side] = f"{plot.rounded(cost.value)} {cost.unit}"
    return _table(["", "skelstore", "pickle"], [[what, row["skelstore"], row["pickle"]] for what, row in rows.items()])


def _size(result: Result) -> str:
    sources = dict.fromkeys(name.rsplit(", ", 1)[0] for name in result.measurements)
    profiles = ("fast", "default", "small")
    rows = []
    for source in sources:
        pickled = result.measurements[f"{source}, pickle"]["MB"]
        stored = (result.measurements[f"{source}, {profile}"]["MB"] / pickled for profile in profiles)
        rows.append([source, *(f"{ratio:.2f}" for ratio in stored)])
    return _table(["of the pickle's size", *(f"`{profile}`" for profile in profiles)], rows)


def _conversion(result: Result) -> str:
    rows = []
    for kind in result.conditions:
        one, two, twice = (result.measurements[f"{kind}, {n}"] for n in ("1 worker", "2 workers", "twice at once"))
        rows.append(
            [
                kind,
                f"{one['MB/s']:,.0f}",
                f"{one['MB/CPU s']:,.0f}",
                f"{one['peak MB']:,.0f}",
                f"{two['MB/s'] / one['MB/s']:.2g} x",
                f"{twice['MB/s'] / one['MB/s']:.2g} x",
            ]
        )
    headings = ["", "MB/s", "MB per CPU second", "peak MB", "two workers", "two conversions at once"]
    return _table(headings, rows)


def _remote(result: Result) -> str:
    """One table of what was measured for each kind of videos, and one of the rest."""
    kinds: list[str] = []
    rows: dict[str, dict[str, str]] = {}
    for claim in result.claims:
        what, _, kind = claim.what.partition(": ")
        row = rows.setdefault(f"{what}: {claim.unit}", {"": "" if claim.wanted is None else str(claim.wanted)})
        row[kind or "measured"] = plot.rounded(claim.measured)
        if kind and kind not in kinds:
            kinds.append(kind)
    tables = []
    for columns in (kinds, ["measured"]):
        some = [
            [what, *(row.get(one, "") for one in columns), row[""]] for what, row in rows.items() if {*columns} & {*row}
        ]
        tables.append(_table(["", *columns, "aim"], some))
    facts = ".\n".join(f"{name}: {value}" for name, value in result.conditions.items())
    return f"One run on {os.cpu_count()} cores.\n{facts}.\n\n" + "\n\n".join(tables)


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines).replace("| ---", "|---").replace("--- |", "---|")
