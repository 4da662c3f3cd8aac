"""The command line ``skelstore``.

Exit status 0: success; 1: the data or the store is at fault; 2: the command was used wrongly.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

import skelstore
from converters.checks import MODELS, Model, check, opened_for_check
from converters.comparison import compare
from converters.conversion import available_cores, convert_source
from converters.dialects import DIALECTS, open_source
from converters.exporting import FORMATS, export
from converters.information import as_lines, information
from converters.labels import read_class_names, read_mapping, relabel
from converters.progress import progress, say
from converters.splitting import UNSPLIT, parse_parts, parse_pattern, split
from skelstore.codecs import PROFILES
from skelstore.errors import SkelstoreError
from skelstore.joints import LAYOUTS
from skelstore.verification import verify

_PATH = click.Path(path_type=Path)
_INTERRUPTED = 130


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="skelstore")
def cli() -> None:
    """Skeleton annotations as Zarr stores: convert, look at, verify, export."""


def _parsed(parse: Callable[[str], Any]) -> Callable[[click.Context, click.Parameter, str | None], Any]:
    """A callback that parses an option; what is not as it should be is wrong use."""

    def callback(context: click.Context, parameter: click.Parameter, text: str | None) -> Any:
        try:
            return None if text is None else parse(text)
        except SkelstoreError as error:
            raise click.BadParameter(str(error), context, parameter) from None

    return callback


@cli.command("convert")
@click.argument("source", type=_PATH)
@click.argument("destination", type=_PATH)
@click.option("--from", "dialect", type=click.Choice(list(DIALECTS)), help="Dialect of SOURCE (default: recognised).")
@click.option("--kpfiles", type=_PATH, help="Folder of the kpfiles that belong to a Kinetics table of contents.")
@click.option("--skip-missing", is_flag=True, help="Leave out videos whose skeletons are missing, and record them.")
@click.option("--profile", type=click.Choice(PROFILES), default="default", help="How chunks are coded.")
@click.option("--workers", type=click.IntRange(min=1), default=available_cores, help="Processes (default: the cores).")
@click.option("--joints", type=click.Choice(list(LAYOUTS)), help="Layout of the joints (default: a guess, by V).")
@click.option("--labels", "label_file", type=_PATH, help="File with the names of the classes, one a line or JSON.")
@click.option("--force", is_flag=True, help="Replace the store at DESTINATION, once the new one is complete.")
def convert_command(
    source: Path,
    destination: Path,
    dialect: str | None,
    kpfiles: Path | None,
    label_file: Path | None,
    **options: Any,
) -> None:
    """Convert SOURCE, a pickle or a folder of pickles, into a store at DESTINATION."""
    options["class_names"] = read_class_names(label_file) if label_file else None
    opened = open_source(source, dialect, kpfiles=kpfiles, skip_missing=options.pop("skip_missing"))
    with progress("converting", len(opened), " videos") as advance:
        convert_source(opened, destination, advance=advance, **options)
    with skelstore.open(destination) as store:
        found = information(store)
    if opened.dialect != "kinetics" and found["videos"] and not found["joints"]:
        say("note: no video has a keypoint; if this is a Kinetics table of contents, give its --kpfiles too")
    if found["left_out"]:
        say(f"left out {found['left_out']} videos whose skeletons are missing; `skelstore info --json` names them")
    ratio = f", {found['ratio_to_source']:.2f} of the source" if found["ratio_to_source"] else ""
    click.echo(f"{destination}: {found['videos']:,} videos, {found['stored_bytes']:,} bytes{ratio}")


@cli.command("export")
@click.argument("store", type=_PATH)
@click.argument("out", type=_PATH)
@click.option("--format", "format_", type=click.Choice(FORMATS), help="Dialect to write (default: the original one).")
@click.option("--kpfiles", type=_PATH, help="Folder for the kpfiles (default: kpfiles, beside OUT).")
@click.option("--kpfile-videos", type=click.IntRange(min=1), help="Videos of a kpfile (default: as it was, or 1000).")
@click.option("--force", is_flag=True, help="Replace what stands at OUT.")
def export_command(store: Path, out: Path, format_: Any, **options: Any) -> None:
    """Export STORE as the pickles it came from, or those of another dialect, to OUT."""
    with skelstore.open(store) as opened, progress("exporting", len(opened), " videos") as advance:
        export(opened, out, format=format_, advance=advance, **options)
    click.echo(f"{out}: {len(opened):,} videos")


@cli.command("info")
@click.argument("store", type=_PATH)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def info_command(store: Path, as_json: bool) -> None:
    """Show what is in STORE."""
    with skelstore.open(store) as opened:
        found = information(opened)
        if as_json:
            found["left_out"] = opened.source.get("left_out", [])
    click.echo(json.dumps(found, indent=1) if as_json else "\n".join(as_lines(found)))


@cli.command("verify")
@click.argument("store", type=_PATH)
@click.option("--data", is_flag=True, help="Read and decode every chunk, too.")
@click.option("--against", type=_PATH, help="Compare value by value with this source, too.")
@click.option("--kpfiles", type=_PATH, help="Folder of the source's kpfiles.")
def verify_command(store: Path, data: bool, against: Path | None, kpfiles: Path | None) -> None:
    """Check STORE: its structure and the sizes of its files."""
    with skelstore.open(store) as opened, progress("verifying", sum(opened.files().values()), "B") as advance:
        problems = verify(store, data=data, advance=advance)
    if against is not None and not problems:
        with skelstore.open(store) as opened:
            dialect = opened.source.get("dialect")
            left_out = bool(opened.source.get("left_out"))
            source = open_source(
                against, dialect if dialect in DIALECTS else None, kpfiles=kpfiles, skip_missing=left_out
            )
            with progress("comparing", len(opened), " videos") as advance:
                problems = compare(opened, source, advance)
            source.close()
    if problems:
        raise SkelstoreError("\n".join(problems))
    what = ["structure and sizes"] + ["every chunk"] * data + [f"every value against {against}"] * (against is not None)
    click.echo(f"{store}: {', '.join(what)}: no problem")


@cli.command("check")
@click.argument("source", type=_PATH)
@click.option("--for", "model", type=click.Choice(MODELS), help="Look at what this model's pipeline needs, too.")
@click.option("--from", "dialect", type=click.Choice(list(DIALECTS)), help="Dialect of SOURCE (default: recognised).")
@click.option("--kpfiles", type=_PATH, help="Folder of the kpfiles that belong to a Kinetics table of contents.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check_command(source: Path, model: Model | None, as_json: bool, **options: Any) -> None:
    """Look for what would make a training with SOURCE, a store or a source, fail or go wrong."""
    with opened_for_check(source, **options) as videos, progress("checking", len(videos), " videos") as advance:
        report = check(videos, model, advance)
    click.echo(json.dumps(report.to_json(), indent=1) if as_json else "\n".join(report.lines()))
    if report.errors:
        sys.stdout.flush()
        sys.exit(1)


@cli.command("split")
@click.argument("store", type=_PATH)
@click.option("-o", "out", type=_PATH, required=True, help="Where the store with the new splits goes.")
@click.option("--parts", callback=_parsed(parse_parts), help="Splits and their shares (default: train=0.8,val=0.2).")
@click.option("--folds", type=click.IntRange(min=2), help="Make K folds instead: fold1_train, fold1_val, …")
@click.option("--group", help="Column whose values are groups that stay together, such as a subject.")
@click.option("--pattern", callback=_parsed(parse_pattern), help="Regular expression with one group: 'P(\\d{3})'.")
@click.option("--seed", type=int, default=0, show_default=True, help="Another seed gives other splits.")
@click.option("--keep", is_flag=True, help="Keep the splits that STORE has, too.")
@click.option("--force", is_flag=True, help="Replace the store at OUT, once the new one is complete.")
def split_command(store: Path, out: Path, parts: dict[str, float] | None, folds: int | None, **options: Any) -> None:
    """Deal the videos of STORE out to new splits: by class, or by groups (a column, or found in their names)."""
    if parts is not None and folds is not None:
        raise click.UsageError("--parts and --folds are two ways to split: give one of them")
    if options["group"] is not None and options["pattern"] is not None:
        raise click.UsageError("--group and --pattern both say what a group is: give one of them")
    if folds is None and parts is None:
        parts = {"train": 0.8, "val": 0.2}
    made = split(store, out, parts=parts, folds=folds, **options)
    for name, ids in made.items():
        click.echo(f"{name}: {len(ids):,} ids")
    with skelstore.open(out) as opened:
        if opened.source.get("dialect") in UNSPLIT:
            say("note: the source was a list of annotations, without splits: export with --format pyskl to write them")


@cli.command("relabel")
@click.argument("store", type=_PATH)
@click.option("-o", "out", type=_PATH, required=True, help="Where the store with the new labels goes.")
@click.option("--map", "mapping", type=_PATH, help="CSV or JSON file of old,new.")
@click.option("--compact", is_flag=True, help="Number the labels that occur from 0.")
@click.option("--labels", "label_file", type=_PATH, help="File with the names of the classes, one a line or JSON.")
@click.option("--joints", type=click.Choice(list(LAYOUTS)), help="State the layout of the joints.")
@click.option("--force", is_flag=True, help="Replace the store at OUT, once the new one is complete.")
def relabel_command(
    store: Path, out: Path, mapping: Path | None, compact: bool, label_file: Path | None, **options: Any
) -> None:
    """Give the videos of STORE other labels, its classes names, or state its joints."""
    if mapping is not None and compact:
        raise click.UsageError("--map and --compact both say what the labels become: give one of them")
    if mapping is label_file is options["joints"] is None and not compact:
        raise click.UsageError("nothing to change: give --map, --compact, --labels or --joints")
    changes = relabel(
        store,
        out,
        mapping=read_mapping(mapping) if mapping else None,
        compact=compact,
        class_names=read_class_names(label_file) if label_file else None,
        **options,
    )
    click.echo(f"{out}: {len(changes):,} labels, now {len(set(changes.values())):,}" if changes else str(out))


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit. Whatever goes wrong ends in a sentence and an exit status."""
    try:
        cli.main(arguments, prog_name="skelstore", standalone_mode=False)
        sys.stdout.flush()
    except click.UsageError as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        say("interrupted")
        sys.exit(_INTERRUPTED)
    except SkelstoreError as error:
        say(f"skelstore: {error}")
        sys.exit(1)
    except BrokenPipeError:  # the reader of a pipe has left; so do we, quietly
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        say(f"skelstore: {where}{error.strerror or error}")
        sys.exit(1)
    except MemoryError:
        say("skelstore: out of memory: convert with fewer --workers, or on a machine with more memory")
        sys.exit(1)
    except Exception as error:  # a fault of ours, but a person deserves a sentence all the same
        frame = traceback.extract_tb(error.__traceback__)[-1]
        say(
            f"skelstore: a fault in skelstore itself ({type(error).__name__}: {error}, {Path(frame.filename).name}, "
            f"line {frame.lineno}): please report it with the command"
        )
        sys.exit(1)
