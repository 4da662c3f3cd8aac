"""The command line ``skelstore``.

Exit status 0: success; 1: the data or the store is at fault; 2: the command was used wrongly.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

import skelstore
from converters import ntu
from converters.bench import report
from converters.bench import store as store_bench
from converters.checks import MODELS, Model, check, opened_for_check
from converters.comparison import compare
from converters.conversion import available_cores, convert_source
from converters.derivation import DERIVED, RawStore
from converters.dialects import DIALECTS, open_source
from converters.exporting import FORMATS, export
from converters.information import as_lines, information, notes
from converters.labels import read_class_names, read_mapping, relabel
from converters.naming import LABEL_BY
from converters.ntu_names import TASKS
from converters.ntu_recipes import RECIPES
from converters.progress import progress, say
from converters.selection import where, with_labels, with_names
from converters.showing import as_lines as video_lines
from converters.showing import located, portrait
from converters.splitting import UNSPLIT, parse_parts, parse_pattern, split
from skelstore.codecs import PROFILES
from skelstore.conflicts import CONFLICTS
from skelstore.errors import SkelstoreError
from skelstore.joints import LAYOUTS
from skelstore.verification import LEVELS, WHOLE, Level, Subset, share, verify

_PATH = click.Path(path_type=Path)
_INTERRUPTED = 130
_OF_SOURCE = (
    *("kpfiles", "boxes", "table", "label_by", "skip_missing"),
    *("recipe", "task", "ignore", "skip_broken"),
)
"""The options of ``convert`` that say how the source is opened."""


def _beside(command: Callable[..., None]) -> Callable[..., None]:
    """The options for what belongs to a source beside its file or folder."""
    for option in (
        click.option("--label-by", type=click.Choice(LABEL_BY), help="Take label and split from folders or NTU names."),
        click.option(
            "--table", type=_PATH, help="CSV or Parquet file of path, frame_dir, label, split; BABEL's labels."
        ),
        click.option("--boxes", type=_PATH, help="Pickle of FineGYM's ground-truth boxes."),
        click.option(
            "--kpfiles", type=_PATH, help="Folder of the kpfiles that belong to a Kinetics table of contents."
        ),
    ):
        command = option(command)
    return command


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="skelstore")
def cli() -> None:
    """Skeleton annotations as Zarr stores: convert, look at, verify, merge, cut down, export."""


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
@_beside
@click.option("--skip-missing", is_flag=True, help="Leave out videos whose skeletons are missing, and record them.")
@click.option("--recipe", type=click.Choice(RECIPES), help="What to make of NTU RGB+D .skeleton files (default: raw).")
@click.option("--task", type=click.Choice(TASKS), help="Splits of NTU RGB+D (default: by its actions).")
@click.option("--ignore", type=_PATH, help="File that names samples of NTU RGB+D to be left out.")
@click.option("--skip-broken", is_flag=True, help="Leave out .skeleton files that cannot be read, and record them.")
@click.option("--profile", type=click.Choice(PROFILES), default="default", help="How chunks are coded.")
@click.option("--workers", type=click.IntRange(min=1), default=available_cores, help="Processes (default: the cores).")
@click.option("--dask", metavar="ADDRESS", help="Let the workers of the Dask cluster at tcp://HOST:PORT convert.")
@click.option("--joints", type=click.Choice(list(LAYOUTS)), help="Layout of the joints (default: a guess, by V).")
@click.option("--labels", "label_file", type=_PATH, help="File with the names of the classes, one a line or JSON.")
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
    with progress("converting", len(opened), " videos") as advance:
        taken = convert_source(opened, destination, advance=advance, **options)
    if taken:
        say(f"went on from an interrupted conversion: {taken} of its parts were finished")
    _tell(destination, opened.dialect)


def _tell(destination: Path, dialect: str) -> None:
    """Say what was written."""
    with skelstore.open(destination) as store:
        found = information(store)
        for note in notes(store):
            say(note)
    if dialect not in ("kinetics", ntu.NAME) and found["videos"] and not found["joints"]:
        say("note: no video has a keypoint; if this is a Kinetics table of contents, give its --kpfiles too")
    ratio = f", {found['ratio_to_source']:.2f} of the source" if found["ratio_to_source"] else ""
    click.echo(f"{destination}: {found['videos']:,} videos, {found['stored_bytes']:,} bytes{ratio}")


@cli.command("derive")
@click.argument("store", type=_PATH)
@click.argument("out", type=_PATH)
@click.option("--recipe", type=click.Choice(DERIVED), required=True, help="Whose annotations to make.")
@click.option("--task", type=click.Choice(TASKS), help="Splits of NTU RGB+D (default: by its actions).")
@click.option("--skip-broken", is_flag=True, help="Leave out videos on which the recipe fails, and record them.")
@click.option("--profile", type=click.Choice(PROFILES), default="default", help="How chunks are coded.")
@click.option("--workers", type=click.IntRange(min=1), default=available_cores, help="Processes (default: the cores).")
@click.option("--force", is_flag=True, help="Replace the store at OUT, once the new one is complete.")
def derive_command(store: Path, out: Path, recipe: Any, task: Any, skip_broken: bool, **options: Any) -> None:
    """Make a store at OUT of STORE, which keeps NTU RGB+D raw, as a recipe would of the .skeleton files."""
    opened = RawStore(store, recipe=recipe, task=task, skip_broken=skip_broken)
    with progress("deriving", len(opened), " videos") as advance:
        convert_source(opened, out, advance=advance, **options)
    _tell(out, opened.dialect)


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


@cli.command("bench")
@click.argument("store", type=_PATH)
@click.option("--videos", type=click.IntRange(min=1), default=2000, help="Videos of the sample (default: 2000).")
@click.option("--json", "json_file", type=_PATH, help="Write all figures there.")
@click.option("--plot", type=_PATH, help="Draw microseconds a video there (needs matplotlib).")
def bench_command(store: Path, videos: int, json_file: Path | None, plot: Path | None) -> None:
    """Measure how quickly STORE is read, beside other ways to keep a sample of its videos.

    What is not installed is left out by name: pip install 'skelstore[bench]', and memcached from the system's packages.
    """
    if plot and not importlib.util.find_spec("matplotlib"):
        raise click.UsageError("--plot needs matplotlib: pip install matplotlib")
    results = []
    with tempfile.TemporaryDirectory(prefix="skelstore-bench-") as folder:
        for result in store_bench.measure(store, Path(folder), videos):
            results.append(result)
            click.echo("\n".join(report.lines(result, verdicts=False)))
    if json_file:
        report.write_json(json_file, results, f"up to {videos} videos of {store.name}")
    if plot:
        report.write_plot(plot, results)


def _subset(context: click.Context, parameter: click.Parameter, value: str | None) -> Subset:
    n, _, m = ("1/1" if value is None else value).partition("/")
    if not (n.isdecimal() and m.isdecimal() and len(n + m) < 20 and 1 <= int(n) <= int(m)):
        raise click.BadParameter(f"{value!r} was given, expected N/M with N from 1 to M, such as 2/5")
    return int(n), int(m)


@cli.command("verify")
@click.argument("store", type=_PATH)
@click.option("--level", type=click.Choice(LEVELS), default="structure", help="How thoroughly (default: structure).")
@click.option("--subset", metavar="N/M", callback=_subset, help="Only share N of M, which together are everything.")
@click.option("--against", type=_PATH, help="Compare value by value with this source, too.")
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
    if against is not None and not problems:
        with skelstore.open(store) as opened:
            dialect = opened.source.get("dialect")
            left_out = bool(opened.source.get("left_out"))
            of_ntu = ntu.options_of(opened.source, skip_broken=left_out) if dialect == ntu.NAME else {}
            source = open_source(
                against, dialect if dialect in DIALECTS else None, skip_missing=left_out, **beside, **of_ntu
            )
            with progress("comparing", len(share(subset, len(opened))), " videos") as advance:
                problems = compare(opened, source, advance, subset)
            source.close()
    if problems:
        raise SkelstoreError("\n".join(problems))
    checked = [*LEVELS[: LEVELS.index(level) + 1], *([f"every value against {against}"] if against else [])]
    part = "" if subset == WHOLE else f" of share {subset[0]} of {subset[1]}"
    click.echo(f"{store}: {', '.join(checked)}{part}: no problem")


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


@cli.command("show", context_settings={"ignore_unknown_options": True})
@click.argument("store", type=_PATH)
@click.argument("key", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show_command(store: Path, key: str | None, as_json: bool) -> None:
    """Show one video of STORE: KEY is its name, or its position (default: the first)."""
    with skelstore.open(store) as opened:
        found = portrait(opened, located(opened, key))
    click.echo(json.dumps(found, indent=1) if as_json else "\n".join(video_lines(found)))


@cli.command("merge")
@click.argument("stores", type=_PATH, nargs=-1, required=True)
@click.option("-o", "--output", type=_PATH, required=True, help="The store to write.")
@click.option("--allow", multiple=True, type=click.Choice(CONFLICTS), help="Merge in spite of conflicts of this kind.")
@click.option("--as-split", "as_splits", multiple=True, help="Make the videos of a store a split; once for each store.")
@click.option("--copy", is_flag=True, help="Copy files instead of linking them.")
@click.option("--force", is_flag=True, help="Replace the store at OUTPUT, once the new one is complete.")
def merge_command(stores: tuple[Path, ...], output: Path, **options: Any) -> None:
    """Merge STORES, in order, into a new store; files are linked, not decoded."""
    if options["as_splits"] and len(options["as_splits"]) != len(stores):
        raise click.UsageError(f"{len(options['as_splits'])} times --as-split for {len(stores)} stores")
    total = 0
    for store in stores:
        with skelstore.open(store) as opened:
            total += sum(opened.files().values())
    with progress("merging", total, "B") as advance:
        skelstore.merge(stores, output, advance=advance, **options)
    with skelstore.open(output) as opened:
        click.echo(f"{output}: {len(opened):,} videos")


@cli.command("subset")
@click.argument("store", type=_PATH)
@click.argument("out", type=_PATH)
@click.option("--split", help="Only the videos of this split.")
@click.option("--labels", help="Only the videos with one of these labels: 1,2,5-9.")
@click.option("--ids", type=_PATH, help="Only the videos named in this file, one a line (.json: a list), in its order.")
@click.option("--where", "expression", help='Only where this is true: "label < 10 and total_frames >= 30".')
@click.option("--force", is_flag=True, help="Replace the store at OUT, once the new one is complete.")
def subset_command(
    store: Path, out: Path, split: str | None, labels: str | None, ids: Path | None, expression: str | None, force: bool
) -> None:
    """Write some videos of STORE to a store of their own, OUT; of several conditions all must hold."""
    if split is None and labels is None and ids is None and expression is None:
        raise click.UsageError("say which videos: --split, --labels, --ids or --where")
    with skelstore.open(store) as opened:
        view = opened if split is None else opened.split(split)
        view = view if labels is None else with_labels(view, labels)
        view = view if expression is None else where(view, expression)
        view = view if ids is None else with_names(view, ids)
        if not len(view):
            raise SkelstoreError(f"{store}: none of its {len(opened):,} videos is chosen, so nothing was written")
        with progress("writing", len(view), " videos") as advance:
            skelstore.subset(view, out, force=force, advance=advance)
    click.echo(f"{out}: {len(view):,} videos")


def _notes(error: BaseException) -> str:
    return "".join(f"; {note}" for note in getattr(error, "__notes__", []))


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit. Whatever goes wrong ends in a sentence and an exit status."""
    try:
        cli.main(arguments, prog_name="skelstore", standalone_mode=False)
        sys.stdout.flush()
    except click.UsageError as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt) as error:
        say(f"interrupted{_notes(error.__cause__ or error)}")
        sys.exit(_INTERRUPTED)
    except SkelstoreError as error:
        say(f"skelstore: {error}{_notes(error)}")
        sys.exit(1)
    except BrokenPipeError:  # the reader of a pipe has left; so do we, quietly
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        say(f"skelstore: {where}{error.strerror or error}{_notes(error)}")
        sys.exit(1)
    except MemoryError as error:
        say("skelstore: out of memory: convert with fewer --workers, or on a machine with more memory" + _notes(error))
        sys.exit(1)
    except Exception as error:  # a fault of ours, but a person deserves a sentence all the same
        frame = traceback.extract_tb(error.__traceback__)[-1]
        say(
            f"skelstore: a fault in skelstore itself ({type(error).__name__}: {error}, {Path(frame.filename).name}, "
            f"line {frame.lineno}): please report it with the command"
        )
        sys.exit(1)
