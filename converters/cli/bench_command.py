"""The work of the command bench."""

from __future__ import annotations

import importlib.util
import tempfile
from pathlib import Path

import click

from converters.bench import plot as plots
from converters.bench import report
from converters.bench import store as store_bench
from converters.cli.printing import show
from skelstore.wording import counted


def bench_command(store: Path, videos: int, json_file: Path | None, plot: Path | None) -> None:
    if plot and not importlib.util.find_spec("matplotlib"):
        raise click.UsageError("--plot needs matplotlib: pip install matplotlib")
    for file in filter(None, (json_file, plot)):  # reported before minutes are spent
        if not file.absolute().parent.is_dir():
            raise click.UsageError(f"{file}: there is no folder {file.absolute().parent} to write it to")
    if plot and plot.suffix not in plots.SUFFIXES:
        raise click.UsageError(f"{plot} has no suffix for plots: use {' or '.join(plots.SUFFIXES)}")
    results = []
    with tempfile.TemporaryDirectory(prefix="skelstore-bench-") as folder:
        for result in store_bench.measure(store, Path(folder), videos):
            results.append(result)
            show(*report.lines(result, verdicts=False))
    if json_file:
        report.write_json(json_file, results, f"up to {counted(videos, 'video')} of {store.name}")
    if plot:
        plots.write_plot(plot, results)
