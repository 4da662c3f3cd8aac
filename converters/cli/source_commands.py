"""The commands between a source and a store: convert, derive, export, check, verify."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

import skelstore
from converters.checks.dataset import MODELS, Model, check, opened_for_check
from converters.cli.paths import FILE, PATH
from converters.cli.progress import conversion_progress, progress, say, show
from converters.comparison import as_lines, compare
from converters.conversion.convert import available_cores, convert_source
from converters.dialects import ntu
from converters.dialects.ntu.raw_store import DERIVED, RawStore
from converters.dialects.ntu.recipes import RECIPES
from converters.dialects.registry import DIALECTS, open_source, recorded_options
from converters.exporting.stores import FORMATS, export
from converters.information import information, notes, shown_classes
from converters.inputs.naming import LABEL_BY
from converters.inputs.ntu_names import TASKS
from converters.labels import read_class_names
from skelstore.errors import SkelstoreError
from skelstore.format.codecs import PROFILES
from skelstore.joints import LAYOUTS
from skelstore.read.verification import LEVELS, WHOLE, Level, Subset, find_litter, share, verify
from skelstore.wording import counted, join_lines

_OF_SOURCE = (
    *("kpfiles", "boxes", "table", "label_by", "skip_missing"),
    *("recipe", "task", "ignore", "skip_broken"),
)
"""The options of ``convert`` that say how the source is opened."""
_KEYS_OF_CONTENTS = frozenset({"raw_file", "valid", "valid@0.5", "box_score"})
"""Keys of an annotation that only Kinetics' tables of contents have."""


def _beside(command: Callable[..., None]) -> Callable[..., None]:
    """The options for what belongs to a source beside its file or folder."""
    for option in (
        click.option("--label-by", type=click.Choice(LABEL_BY), help="Take label and split from folders or NTU names."),
        click.option(
            "--table", type=PATH, help="CSV or Parquet file of path, frame_dir, label, split; BABEL's labels."
        ),
        click.option("--boxes", type=FILE, help="Pickle of FineGYM's ground-truth boxes."),
        click.option("--kpfiles", type=PATH, help="Folder of the kpfiles that belong to a Kinetics table of contents."),
    ):
        command = option(command)
    return command


@click.command("convert")
@click.argument("source", type=PATH)
@click.argument("destination", type=PATH)
@click.option("--from", "dialect", type=click.Choice(list(DIALECTS)), help="Dialect of SOURCE (default: recognised).")
@_beside
@click.option("--skip-missing", is_flag=True, help="Leave out videos whose skeletons are missing, and record them.")
@click.option("--recipe", type=click.Choice(RECIPES), help="What to make of NTU RGB+D .skeleton files (default: raw).")
@click.option("--task", type=click.Choice(TASKS), help="Splits of NTU RGB+D (default: by its actions).")
@click.option("--ignore", type=FILE, help="File that names samples of NTU RGB+D to be left out.")
@click.option("--skip-broken", is_flag=True, help="Leave out .skeleton files that cannot be read, and record them.")
@click.option(
    "--profile", type=click.Choice(PROFILES), default="default", help="How chunks are coded.", show_default=True
)
@click.option("--workers", type=click.IntRange(min=1), default=available_cores, help="Processes (default: the cores).")
@click.option("--dask", metavar="ADDRESS", help="Let the workers of the Dask cluster at tcp://HOST:PORT convert.")
@click.option("--joints", type=click.Choice(list(LAYOUTS)), help="Layout of the joints (default: a guess, by V).")
@click.option("--labels", "label_file", type=FILE, help="File with the names of the classes, one a line or JSON.")
@click.option("--shared", is_flag=True, help="Let the group of DESTINATION's folder go on with it, if it is stopped.")
@click.option("--force", is_flag=True, help="Replace the store at DESTINATION, once the new one is complete.")
def convert_command(
    source: Path, destination: Path, dialect: str | None, label_file: Path | None, **options: Any
) -> None:
    """Convert SOURCE (a pickle, or a folder of pickles, arrays or .skeleton files) into a store at DESTINATION.

    A conversion that was interrupted goes on when the same command is run again.
    """
    options["class_names"] = read_class_names(label_file) if label_file else None
    of_source = {name: options.pop(name) for name in _OF_SOURCE}
    if options["dask"]:  # its workers are in folders of their own
        source = source.absolute()
        of_source |= {name: path.absolute() for name, path in of_source.items() if isinstance(path, Path)}
    of_source["ignore"] = of_source["ignore"] or ()
    opened = open_source(source, dialect, **of_source)
    with conversion_progress("converting") as report:
        taken = convert_source(opened, destination, report=report, **options)
    if taken:
        say(f"went on from an interrupted conversion: {taken} of its parts were finished")
    _tell(destination, opened.dialect)


def _tell(destination: Path, dialect: str) -> None:
    """Say what was written."""
    with skelstore.open(destination) as store:
        found = information(store)
        for note in notes(store):
            say(note)
        if store.class_names:
            say(f"classes: {shown_classes(store.class_names)}")
        is_contents = found["videos"] and not _KEYS_OF_CONTENTS.isdisjoint(store.lazy(0))
    if dialect not in ("kinetics", ntu.NAME) and found["videos"] and not found["joints"]:
        hint = "; it may be a table of contents of Kinetics: give its --kpfiles too" if is_contents else ""
        say(f"note: no video has a keypoint{hint}")
    ratio = f", {found['ratio_to_source']:.2f} of the source" if found["ratio_to_source"] else ""
    show(f"{destination}: {counted(found['videos'], 'video')}, {found['stored_bytes']:,} bytes{ratio}")


@click.command("derive")
@click.argument("store", type=PATH)
@click.argument("out", type=PATH)
@click.option("--recipe", type=click.Choice(DERIVED), required=True, help="Whose annotations to make.")
@click.option("--task", type=click.Choice(TASKS), help="Splits of NTU RGB+D (default: by its actions).")
@click.option("--skip-broken", is_flag=True, help="Leave out videos on which the recipe fails, and record them.")
@click.option(
    "--profile", type=click.Choice(PROFILES), default="default", help="How chunks are coded.", show_default=True
)
@click.option("--workers", type=click.IntRange(min=1), default=available_cores, help="Processes (default: the cores).")
@click.option("--shared", is_flag=True, help="Let the group of OUT's folder go on with it, if it is stopped.")
@click.option("--force", is_flag=True, help="Replace the store at OUT, once the new one is complete.")
def derive_command(store: Path, out: Path, recipe: Any, task: Any, skip_broken: bool, **options: Any) -> None:
    """Make a store at OUT of STORE, which keeps NTU RGB+D raw, as a recipe would of the .skeleton files."""
    opened = RawStore(store, recipe=recipe, task=task, skip_broken=skip_broken)
    with conversion_progress("deriving") as report:
        convert_source(opened, out, report=report, **options)
    _tell(out, opened.dialect)


@click.command("export")
@click.argument("store", type=PATH)
@click.argument("out", type=PATH)
@click.option("--format", "format_", type=click.Choice(FORMATS), help="Dialect to write (default: the original one).")
@click.option("--kpfiles", type=PATH, help="Folder for the kpfiles (default: kpfiles, beside OUT).")
@click.option("--kpfile-videos", type=click.IntRange(min=1), help="Videos of a kpfile (default: as it was, or 1000).")
@click.option("--force", is_flag=True, help="Replace what stands at OUT, and its kpfiles.")
def export_command(store: Path, out: Path, format_: Any, **options: Any) -> None:
    """Export STORE as the pickles it came from, or those of another dialect, to OUT."""
    with skelstore.open(store) as opened, progress("exporting", len(opened), " videos") as advance:
        export(opened, out, format=format_, advance=advance, **options)
    show(f"{out}: {counted(len(opened), 'video')}")


def _subset(context: click.Context, parameter: click.Parameter, value: str | None) -> Subset:
    n, _, m = ("1/1" if value is None else value).partition("/")
    if not (n.isdecimal() and m.isdecimal() and len(n + m) < 20 and 1 <= int(n) <= int(m)):
        raise click.BadParameter(f"{value!r} was given, expected N/M with N from 1 to M, such as 2/5")
    return int(n), int(m)


@click.command("verify")
@click.argument("store", type=PATH)
@click.option("--level", type=click.Choice(LEVELS), default="structure", help="How thoroughly (default: structure).")
@click.option("--subset", metavar="N/M", callback=_subset, help="Only share N of M, which together are everything.")
@click.option("--against", type=PATH, help="Compare value by value with this source, too.")
@_beside
def verify_command(store: Path, level: Level, subset: Subset, against: Path | None, **beside: Any) -> None:
    """Check STORE.

    \b
    structure  the tables, and the sizes and names of all files
    checksums  and every byte
    decode     and every chunk and video
    """
    with skelstore.open(store) as opened, progress("verifying", sum(opened.files().values()), "B") as advance:
        problems = verify(store, level=level, subset=subset, advance=advance)
    for note in find_litter(store):
        say(f"note: {note}")
    if against is not None and not problems:
        with skelstore.open(store) as opened:
            dialect = opened.source.get("dialect")
            options = {**recorded_options(opened.source), **beside}
            source = open_source(against, dialect if dialect in DIALECTS else None, **options)
            with progress("comparing", len(share(subset, len(opened))), " videos") as advance:
                problems = as_lines(opened.path, source.path, compare(opened, source, advance, subset))
            source.close()
    if problems:
        raise SkelstoreError(join_lines(problems))
    checked = [*LEVELS[: LEVELS.index(level) + 1], *([f"every value against {against}"] if against else [])]
    part = "" if subset == WHOLE else f" of share {subset[0]} of {subset[1]}"
    show(f"{store}: {', '.join(checked)}{part}: no problem")


@click.command("check")
@click.argument("source", type=PATH)
@click.option("--for", "model", type=click.Choice(MODELS), help="Look at what this model's pipeline needs, too.")
@click.option("--from", "dialect", type=click.Choice(list(DIALECTS)), help="Dialect of SOURCE (default: recognised).")
@_beside
@click.option("--recipe", type=click.Choice(RECIPES), help="What to make of NTU RGB+D .skeleton files.")
@click.option("--task", type=click.Choice(TASKS), help="Splits of NTU RGB+D (default: by its actions).")
@click.option("--ignore", type=FILE, help="File that names samples of NTU RGB+D to be left out.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check_command(source: Path, model: Model | None, as_json: bool, **options: Any) -> None:
    """Look for what would make a training with SOURCE, a store or a source, fail or go wrong."""
    options["ignore"] = options["ignore"] or ()
    with opened_for_check(source, **options) as videos, progress("checking", len(videos), " videos") as advance:
        report = check(videos, model, advance)
    show(*json.dumps(report.to_json(), indent=1).split("\n") if as_json else report.lines())
    if report.errors:
        sys.exit(1)


COMMANDS = (convert_command, derive_command, export_command, check_command, verify_command)
