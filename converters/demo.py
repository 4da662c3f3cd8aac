"""``python -m converters.demo [DIR]``: converts sample data to stores and back, and prints each step.

Sample files in the real formats are written to DIR (default: a temporary folder, removed at the end), converted, read,
verified and exported, and the exports are compared with the originals value by value. Exit status 1 if anything
differs.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import skelstore
from converters.comparison import compare
from converters.conversion.convert import convert_source
from converters.dialects.registry import open_source
from converters.exporting import export
from converters.pickles.file import PickleFile
from converters.samples.pickles import write_samples
from skelstore import Store
from skelstore.equality import difference
from skelstore.errors import SkelstoreError
from skelstore.read.verification import verify
from skelstore.wording import counted

VIDEOS = 100


def demonstrate(original: Path, folder: Path) -> list[str]:
    """Convert one data set to a store in ``folder`` and back, and print each step; return the differences."""
    kpfiles = original.parent / "kpfiles"
    kpfiles_or_none = kpfiles if kpfiles.is_dir() else None
    stored = folder / f"{original.parent.name if kpfiles_or_none else original.stem}.zarr"
    source = open_source(original, kpfiles=kpfiles_or_none)
    size = sum(file.stat().st_size for file in _files(original, kpfiles_or_none).values())
    print(f"{original.name}: dialect {source.dialect}, {counted(len(source), 'video')}, {_size(size)}")
    try:
        start = time.perf_counter()
        convert_source(source, stored, force=True)
        seconds = time.perf_counter() - start
        with skelstore.open(stored) as store:
            on_disk = sum(file.stat().st_size for file in stored.rglob("*") if file.is_file())
            ratio = on_disk / size
            print(f"  converted in {seconds:.2f} s: {stored.name}, {_size(on_disk)}, {ratio:.2f} of the source")
            problems = _read(store) + verify(stored, level="decode") + compare(store, source)
            again = folder / "exported" / stored.stem / original.name
            again.parent.mkdir(parents=True, exist_ok=True)
            start = time.perf_counter()
            export(store, again, force=True)
            seconds = time.perf_counter() - start
    finally:
        source.close()
    exported = _files(again, again.parent / "kpfiles" if kpfiles_or_none else None)
    problems += list(_differences(exported, _files(original, kpfiles_or_none)))
    verdict = "every value is the same" if not problems else "DIFFERENT:"
    print(f"  verified, exported in {seconds:.2f} s: {len(exported)} file{'s'[: len(exported) != 1]}, {verdict}")
    for problem in problems:
        print(f"    {problem}")
    return problems


def _read(store: Store) -> list[str]:
    """Read a video by name and by position, and the videos of a split."""
    position = len(store) // 2
    name = store.name(position)
    if name is None:
        return [f"{store.path}: the video at position {position} has no name"]
    store[name]  # the first read opens files and reads the index of the shard
    start = time.perf_counter()
    annotation = store[name]
    microseconds = 1e6 * (time.perf_counter() - start)
    shape = " x ".join(map(str, annotation["keypoint"].shape))
    print(f"  store[{name!r}]: {counted(len(annotation), 'key')}, keypoint {shape}, in {microseconds:.0f} microseconds")
    problems = []
    if text := difference(store[position], annotation, f"store[{position}]"):
        problems.append(text)
    for split, ids in list(store.splits.items())[:1]:
        view = store.split(split)
        print(f"  store.split({split!r}): {len(view):,} of {counted(len(store), 'video')}")
        wanted = set(ids)
        expected = [i for i in range(len(store)) if store.name(i) in wanted]
        positions = [store.index(view.name(i) or "") for i in range(len(view))]
        if text := difference(positions, expected, f"the positions of split {split!r}"):
            problems.append(text)
    return problems


def _files(path: Path, kpfiles: Path | None) -> dict[str, Path]:
    """The pickles of a data set by their names relative to it."""
    if path.is_dir():
        return {file.relative_to(path).as_posix(): file for file in path.rglob("*.pkl")}
    return {path.name: path} | ({f"kpfiles/{n}": f for n, f in _files(kpfiles, None).items()} if kpfiles else {})


def _differences(found: dict[str, Path], expected: dict[str, Path]) -> Iterator[str]:
    """Yield where pickles hold other values than expected, and files that are missing or unexpected."""
    if found.keys() != expected.keys():
        yield f"the exported files differ from the originals in {', '.join(sorted(found.keys() ^ expected.keys()))}"
    for name in sorted(found.keys() & expected.keys()):
        with PickleFile(found[name]) as ours, PickleFile(expected[name]) as original:
            if text := difference(ours.root(), original.root()):
                yield f"{name}: {text}"


def _size(count: int) -> str:
    return f"{count / 1e6:.2f} MB"


def run(folder: Path) -> bool:
    """Convert all sample data sets and back; return whether each came back the same."""
    start = time.perf_counter()
    originals = write_samples(folder / "samples", VIDEOS)
    print(f"sample data written in {time.perf_counter() - start:.1f} s")
    different = [original.name for original in originals if demonstrate(original, folder)]
    seconds = time.perf_counter() - start
    if different:
        print(f"FAILED: {len(different)} of {len(originals)} data sets came back different: {', '.join(different)}")
    else:
        print(f"passed: all {len(originals)} data sets came back the same, value by value, in {seconds:.1f} s")
    return not different


def main() -> None:
    """The command ``python -m converters.demo``."""
    parser = argparse.ArgumentParser(prog="python -m converters.demo", description="Convert sample data and back.")
    parser.add_argument("folder", type=Path, nargs="?", metavar="DIR", help="keep all files in DIR (default: remove)")
    folder: Path | None = parser.parse_args().folder
    try:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            sys.exit(0 if run(folder) else 1)
        with tempfile.TemporaryDirectory(prefix="skelstore-demo-") as temporary:
            sys.exit(0 if run(Path(temporary)) else 1)
    except (SkelstoreError, OSError) as error:
        sys.exit(f"FAILED: {error}")


if __name__ == "__main__":
    main()
