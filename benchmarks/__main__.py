"""The command ``python -m benchmarks``."""

from __future__ import annotations

import argparse
import importlib.util
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks import (
    cold,
    conversion,
    documents,
    drawing,
    growth,
    heatmaps,
    merging,
    ratios,
    remote,
    size,
    skeletons,
    training,
    windows,
)
from benchmarks.data import Convertible, Kpfiles, Synthetic, videos_of
from converters.bench import decompression, opening, plot, reading, report, workers
from converters.bench.results import Result


class Sizes(NamedTuple):
    """The sizes of all benchmarks: the real ones, or the smallest that run the same code.

    `conversion` is in bytes; the larger file has four times as many. `samples` are read by all `workers` together.
    `loaders` are numbers of workers of a DataLoader, `growth` numbers of videos, `bandwidths` in Mbit/s.
    """

    name: str
    conversion: int
    kinetics: int
    ntu: int
    contents: int
    long_video: int
    calls: int
    rounds: int
    processes: int
    samples: int
    workers: tuple[int, ...]
    loaders: tuple[int, ...]
    growth: tuple[int, ...]
    bandwidths: tuple[int, ...]


REAL = Sizes(
    name="real",
    conversion=1_000_000_000,
    kinetics=4000,
    ntu=20_000,
    contents=240_000,
    long_video=100_000,
    calls=1000,
    rounds=7,
    processes=5,
    samples=240_000,
    workers=(1, 4, 8),
    loaders=(0, 2, 8),
    growth=(10_000, 100_000, 1_000_000, 10_000_000),
    bandwidths=(100, 1000),
)
SMALLEST = Sizes(
    name="smallest",
    conversion=1_000_000,
    kinetics=40,
    ntu=60,
    contents=300,
    long_video=10_000,
    calls=20,
    rounds=2,
    processes=1,
    samples=300,
    workers=(1, 2),
    loaders=(0, 2),
    growth=(100,),
    bandwidths=(1000,),
)


def run_conversion(sizes: Sizes, folder: Path) -> Iterator[Result]:
    bytes_of = [("ntu", sizes.conversion), ("kinetics", sizes.conversion), ("ntu", 4 * sizes.conversion)]
    sets: list[Convertible] = [Synthetic(kind, videos_of(kind, nbytes), folder) for kind, nbytes in bytes_of]
    sets.append(Kpfiles(videos_of("kinetics", sizes.conversion), folder))
    yield conversion.measure(sets, folder, rounds=min(sizes.processes, 3))


def run_merging(sizes: Sizes, folder: Path) -> Iterator[Result]:
    pairs = []
    for kind in ("ntu", "kinetics"):
        count = videos_of(kind, sizes.conversion)
        pairs.append((Synthetic(kind, count, folder), Synthetic(kind, count - count // 10, folder)))
    yield merging.measure(pairs, folder, rounds=min(sizes.processes, 3))


def run_size(sizes: Sizes, folder: Path) -> Iterator[Result]:
    yield size.measure([Synthetic("kinetics", sizes.kinetics, folder), Synthetic("ntu", sizes.ntu, folder)], folder)


def run_opening(sizes: Sizes, folder: Path) -> Iterator[Result]:
    yield opening.measure(Synthetic("contents", sizes.contents, folder), sizes.processes)


def run_reading(sizes: Sizes, folder: Path) -> Iterator[Result]:
    results = []
    for kind, count in (("kinetics", sizes.kinetics), ("ntu", sizes.ntu), ("ntu_short", sizes.ntu)):
        results.append(reading.measure(Synthetic(kind, count, folder), folder, sizes.calls, sizes.rounds))
        yield results[-1]
    yield ratios.gather(results)


def run_cold(sizes: Sizes, folder: Path) -> Iterator[Result]:
    for kind, count in (("kinetics", sizes.kinetics), ("ntu", sizes.ntu)):
        yield cold.measure(Synthetic(kind, count, folder), folder, min(sizes.processes, 3))


def run_workers(sizes: Sizes, folder: Path) -> Iterator[Result]:
    yield workers.measure(Synthetic("contents", sizes.contents, folder), sizes.samples, sizes.workers)


def run_decompression(sizes: Sizes, folder: Path) -> Iterator[Result]:
    yield decompression.measure(Synthetic("kinetics", sizes.kinetics, folder), folder, sizes.calls, sizes.rounds)


def run_windows(sizes: Sizes, folder: Path) -> Iterator[Result]:
    yield windows.measure(folder, sizes.long_video, min(sizes.kinetics, 200), sizes.calls, sizes.rounds)


def run_skeletons(sizes: Sizes, folder: Path) -> Iterator[Result]:
    yield skeletons.measure(folder, sizes.kinetics, sizes.rounds)


def run_growth(sizes: Sizes, folder: Path) -> Iterator[Result]:
    yield growth.measure(folder, sizes.growth, sizes.calls, sizes.rounds)


def run_training(sizes: Sizes, folder: Path) -> Iterator[Result]:
    yield training.measure(Synthetic("ntu", sizes.ntu, folder), min(sizes.processes, 3), sizes.loaders)
    yield training.measure_sampled(folder, sizes.calls, sizes.rounds)


def run_heatmaps(sizes: Sizes, folder: Path) -> Iterator[Result]:
    yield heatmaps.measure(sizes.calls, sizes.rounds)


def run_drawing(sizes: Sizes, folder: Path) -> Iterator[Result]:
    yield drawing.measure(folder, min(sizes.calls, 300), min(sizes.rounds, 5))


def run_remote(sizes: Sizes, folder: Path) -> Iterator[Result]:
    sets = {
        "K400-like": Synthetic("kinetics", 4 * sizes.kinetics, folder),
        "NTU-like": Synthetic("ntu", 3 * sizes.ntu, folder),  # as many videos as NTU RGB+D has
    }
    contents = Synthetic("contents", sizes.contents, folder)
    small = Synthetic("ntu", max(sizes.ntu // 10, 30), folder)
    yield remote.measure(
        sets,
        contents,
        small,
        folder,
        rounds=sizes.processes,
        calls=min(sizes.calls, 40),
        bandwidths=sizes.bandwidths,
        workers=max(sizes.workers),
    )


BENCHMARKS: dict[str, Callable[[Sizes, Path], Iterator[Result]]] = {
    "conversion": run_conversion,
    "merging": run_merging,
    "size": run_size,
    "opening": run_opening,
    "reading": run_reading,
    "cold": run_cold,
    "workers": run_workers,
    "decompression": run_decompression,
    "windows": run_windows,
    "skeletons": run_skeletons,
    "growth": run_growth,
    "training": run_training,
    "heatmaps": run_heatmaps,
    "drawing": run_drawing,
    "remote": run_remote,
}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"benchmarks to run: {', '.join(BENCHMARKS)} (all)")
    parser.add_argument("--smallest", action="store_true", help="run everything once, in sizes too small to measure")
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="folder that keeps the data sets (default: a temporary one)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all results to this file")
    parser.add_argument(
        "--plot", type=Path, metavar="FILE", help="draw reading, opening and workers (needs matplotlib)"
    )
    parser.add_argument(
        "--documents", type=Path, metavar="DIR", help="rewrite the figures of README.md and docs/ there, and their plot"
    )
    options = parser.parse_args(arguments)
    names = options.names or list(BENCHMARKS)
    if unknown := [name for name in names if name not in BENCHMARKS]:
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    if options.plot and "reading" not in names:
        parser.error("--plot draws the benchmark reading, which was not requested")
    if options.documents and options.smallest:
        parser.error("--documents writes figures, but --smallest measures none")
    if options.documents and not (options.documents / "README.md").exists():
        parser.error(f"--documents needs the folder of README.md, which {options.documents} is not")
    if (options.plot or options.documents) and not importlib.util.find_spec("matplotlib"):
        parser.error("--plot and --documents need matplotlib: pip install matplotlib")
    sizes = SMALLEST if options.smallest else REAL
    results: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="skelstore-benchmarks-") as temporary:
        folder = options.data or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            for result in BENCHMARKS[name](sizes, folder.absolute()):
                results.append(result)
                print("\n".join(report.lines(result, verdicts=not options.smallest)), flush=True)
                if options.json:
                    report.write_json(options.json, results, sizes.name)
    if options.plot:
        plot.write_plot(options.plot, results)
    if options.documents:
        documents.write(options.documents, results)


if __name__ == "__main__":
    main()
