"""The work of the commands between a source and a store: convert, derive, export, check, report, verify."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

import skelstore
from converters.checks.dataset import check, open_any, opened_for_check
from converters.choices import Format, Model
from converters.cli.fetching import fetched, fetched_options, fetched_unless_store
from converters.cli.options import take_source_options
from converters.cli.printing import say, show
from converters.cli.progress import conversion_progress, progress
from converters.comparison import as_lines, compare
from converters.conversion.convert import available_cores, convert_source
from converters.conversion.places import refuse_destination
from converters.dialects import ntu
from converters.dialects.ntu.raw_store import RawStore
from converters.dialects.registry import DIALECTS, open_source, recorded_options
from converters.exporting import export
from converters.information import information, notes, shown_classes, tracking_line
from converters.inputs.ntu_names import Recipe, Task
from converters.labels import read_class_names
from converters.tracking.source import StoreVideos, Tracked, detections_dialect, tracked_alike
from skelstore.choices import LEVELS, Level
from skelstore.errors import SkelstoreError
from skelstore.read.verification import WHOLE, Subset, find_litter, share, verify
from skelstore.remote.url import Url
from skelstore.wording import counted, join_lines

_KEYS_OF_CONTENTS = frozenset({"raw_file", "valid", "valid@0.5", "box_score"})
"""Keys of an annotation that only Kinetics' tables of contents have."""


def convert_command(
    source: Path | Url,
    destination: Path | Url,
    dialect: str | None,
    sha256: str | None,
    label_file: Path | None,
    **options: Any,
) -> None:
    options["class_names"] = read_class_names(label_file) if label_file else None
    options["workers"] = options["workers"] or available_cores()
    source_options = take_source_options(options)
    if options["dask"]:  # its workers have other working directories
        source = source.absolute() if isinstance(source, Path) else source
        source_options |= {name: path.absolute() for name, path in source_options.items() if isinstance(path, Path)}
    tracking = _take_tracking(options)
    if isinstance(source, Url):
        refuse_destination(destination, force=options["force"], shared=options["shared"])  # before a long download
    opened = open_source(fetched(source, sha256), dialect, **fetched_options(source_options))
    if tracking is not None:
        opened = Tracked(opened, **tracking)
    with conversion_progress("converting") as report:
        reused = convert_source(opened, destination, report=report, **options)
    if reused:
        say(f"resumed an interrupted conversion: {reused} of its parts were finished")
    _report_store(destination, opened.dialect)


def _take_tracking(options: dict[str, Any]) -> dict[str, Any] | None:
    """Remove the options of tracking from those of ``convert``; return them if ``--track`` is given."""
    wanted = options.pop("track")
    names = ("max_persons", "max_gap", "interpolate")
    tracking = {name: options.pop(name) for name in names}
    context = click.get_current_context()
    if not wanted:
        for name in names:
            if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
                raise click.UsageError(f"--{name.replace('_', '-')} goes with --track")
        return None
    if tracking["max_persons"] is None:
        raise click.UsageError("--track needs --max-persons, the number of persons to keep")
    return tracking


def track_command(
    store: Path | Url, out: Path, max_persons: int, max_gap: int, interpolate: bool, **options: Any
) -> None:
    options["workers"] = options["workers"] or available_cores()
    videos = StoreVideos(store)
    opened = Tracked(videos, max_persons, max_gap, interpolate)
    with conversion_progress("tracking") as report:
        convert_source(opened, out, shuffle=videos.seed, report=report, **options)
    with skelstore.open(store) as detections:
        known = notes(detections)
    _report_store(out, opened.dialect, known)


def _report_store(destination: Path | Url, dialect: str, known: Sequence[str] = ()) -> None:
    """Print what was written, and notes about it that are not ``known`` yet."""
    with skelstore.open(destination) as store:
        found = information(store)
        for note in notes(store):
            if note not in known:
                say(note)
        if found["tracking"]:
            say(f"tracking: {tracking_line(found['tracking'])}")
        if store.class_names:
            say(f"classes: {shown_classes(store.class_names)}")
        is_contents = found["videos"] and not _KEYS_OF_CONTENTS.isdisjoint(store.lazy(0))
    if dialect not in ("kinetics", ntu.NAME) and found["videos"] and not found["joints"]:
        hint = "; it may be a table of contents of Kinetics: also give its --kpfiles" if is_contents else ""
        say(f"note: no video has a keypoint{hint}")
    ratio = f", {found['ratio_to_source']:.2f} of the source" if found["ratio_to_source"] else ""
    show(f"{destination}: {counted(found['videos'], 'video')}, {found['stored_bytes']:,} bytes{ratio}")


def derive_command(
    store: Path | Url, out: Path, recipe: Recipe, task: Task | None, skip_broken: bool, **options: Any
) -> None:
    options["workers"] = options["workers"] or available_cores()
    opened = RawStore(store, recipe=recipe, task=task, skip_broken=skip_broken)
    with conversion_progress("deriving") as report:
        convert_source(opened, out, shuffle=opened.seed, report=report, **options)
    _report_store(out, opened.dialect)


def export_command(store: Path | Url, out: Path, format_: Format | None, **options: Any) -> None:
    exported = 0
    # Without maps: pages that were read once would count as memory of the process.
    with skelstore.open(store, mmap=False) as opened, progress("exporting", len(opened), " videos") as advance:

        def count(videos: int) -> None:
            nonlocal exported
            exported += videos
            advance(videos)

        export(opened, out, format=format_, advance=count, **options)
    show(f"{out}: {counted(exported, 'video')}")


def verify_command(store: Path | Url, level: Level, subset: Subset, against: Path | Url | None, **options: Any) -> None:
    with skelstore.open(store) as opened, progress("verifying", sum(opened.files().values()), "B") as advance:
        problems = verify(store, level=level, subset=subset, advance=advance)
    for note in find_litter(store):
        say(f"note: {note}")
    if against is not None and not problems:
        with skelstore.open(store) as opened:
            dialect = detections_dialect(opened.source)
            recorded = recorded_options({**opened.source, "dialect": dialect})
            source_options = {**recorded, **fetched_options(take_source_options(options))}
            source = open_source(fetched(against), dialect if dialect in DIALECTS else None, **source_options)
            source = tracked_alike(source, opened)
            with progress("comparing", len(share(subset, len(opened))), " videos") as advance:
                problems = as_lines(opened.path, source.path, compare(opened, source, advance, subset))
            source.close()
    if problems:
        raise SkelstoreError(join_lines(problems))
    checked = [*LEVELS[: LEVELS.index(level) + 1], *([f"every value against {against}"] if against else [])]
    part = "" if subset == WHOLE else f" of share {subset[0]} of {subset[1]}"
    show(f"{store}: {', '.join(checked)}{part}: no problem")


def check_command(source: Path | Url, dialect: str | None, model: Model | None, as_json: bool, **options: Any) -> None:
    opened, source_options = fetched_unless_store(source, dialect, take_source_options(options))
    with (
        opened_for_check(opened, dialect, **source_options) as videos,
        progress("checking", len(videos), " videos") as advance,
    ):
        report = check(videos, model, advance)
    show(*json.dumps(report.to_json(), indent=1).split("\n") if as_json else report.lines())
    if report.errors:
        sys.exit(1)


def report_command(
    source: Path | Url, dialect: str | None, out: Path, workers: int | None, force: bool, **options: Any
) -> None:
    from converters.report import write_report  # it imports the drawing

    found, source_options = fetched_unless_store(source, dialect, take_source_options(options))
    with closing(open_any(found, dialect, **source_options)) as opened:
        with progress("reading", len(opened), " videos") as advance:
            write_report(opened, out, workers=workers or available_cores(), force=force, advance=advance)
        videos = len(opened)
    show(f"{out}: report on {counted(videos, 'video')}, {out.stat().st_size:,} bytes")
