"""The commands on stores: info, show, bench, merge, subset, split, relabel."""

from __future__ import annotations

import importlib.util
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

import skelstore
from converters.bench import report
from converters.bench import store as store_bench
from converters.cli.paths import FILE, PATH
from converters.cli.progress import progress, say, show
from converters.information import as_lines, information
from converters.labels import read_class_names, read_mapping, relabel
from converters.selection import where, with_labels, with_names
from converters.showing import as_json, located, portrait
from converters.showing import as_lines as video_lines
from converters.splitting import UNSPLIT, count_unsplit, parse_parts, parse_pattern, split
from skelstore.combine.conflicts import CONFLICTS
from skelstore.errors import SkelstoreError
from skelstore.joints import LAYOUTS
from skelstore.wording import counted


def _parsed(parse: Callable[[str], Any]) -> Callable[[click.Context, click.Parameter, str | None], Any]:
    """A callback that parses an option; what is not as it should be is wrong use."""

    def callback(context: click.Context, parameter: click.Parameter, text: str | None) -> Any:
        try:
            return None if text is None else parse(text)
        except SkelstoreError as error:
            raise click.BadParameter(str(error), context, parameter) from None

    return callback


@click.command("info")
@click.argument("store", type=PATH)
@click.option("--json", "json_wanted", is_flag=True, help="Print JSON.")
def info_command(store: Path, json_wanted: bool) -> None:
    """Show what is in STORE."""
    with skelstore.open(store) as opened:
        found = information(opened)
        if json_wanted:
            found["left_out"] = opened.source.get("left_out", [])
    show(*json.dumps(found, indent=1).split("\n") if json_wanted else as_lines(found))


@click.command("show", context_settings={"ignore_unknown_options": True})
@click.argument("store", type=PATH)
@click.argument("key", required=False)
@click.option("--json", "json_wanted", is_flag=True, help="Print JSON; numbers that are not finite are texts.")
def show_command(store: Path, key: str | None, json_wanted: bool) -> None:
    """Show one video of STORE: KEY is its name, or its position (default: the first)."""
    with skelstore.open(store) as opened:
        found = portrait(opened, located(opened, key))
    show(*json.dumps(as_json(found), indent=1).split("\n") if json_wanted else video_lines(found))


@click.command("bench")
@click.argument("store", type=PATH)
@click.option("--videos", type=click.IntRange(min=1), default=2000, help="Videos of the sample (default: 2000).")
@click.option("--json", "json_file", type=PATH, help="Write all figures there.")
@click.option("--plot", type=PATH, help="Draw microseconds a video there (needs matplotlib).")
def bench_command(store: Path, videos: int, json_file: Path | None, plot: Path | None) -> None:
    """Measure how quickly STORE is read, beside other ways to keep a sample of its videos.

    What is not installed is left out by name: pip install 'skelstore[bench]', and memcached from the system's packages.
    """
    if plot and not importlib.util.find_spec("matplotlib"):
        raise click.UsageError("--plot needs matplotlib: pip install matplotlib")
    for file in filter(None, (json_file, plot)):  # told before minutes are spent
        if not file.absolute().parent.is_dir():
            raise click.UsageError(f"{file}: there is no folder {file.absolute().parent} to write it to")
    if plot and plot.suffix not in report.PLOT_SUFFIXES:
        raise click.UsageError(f"{plot} cannot be drawn: name it {' or '.join(report.PLOT_SUFFIXES)}")
    results = []
    with tempfile.TemporaryDirectory(prefix="skelstore-bench-") as folder:
        for result in store_bench.measure(store, Path(folder), videos):
            results.append(result)
            show(*report.lines(result, verdicts=False))
    if json_file:
        report.write_json(json_file, results, f"up to {counted(videos, 'video')} of {store.name}")
    if plot:
        report.write_plot(plot, results)


@click.command("merge")
@click.argument("stores", type=PATH, nargs=-1, required=True)
@click.option("-o", "--output", "out", metavar="OUT", type=PATH, required=True, help="The store to write.")
@click.option("--allow", multiple=True, type=click.Choice(CONFLICTS), help="Merge in spite of conflicts of this kind.")
@click.option("--as-split", "as_splits", multiple=True, help="Make the videos of a store a split; once for each store.")
@click.option("--cast", is_flag=True, help="Write float16 as float32 where other stores have that.")
@click.option("--copy", is_flag=True, help="Copy files instead of linking them.")
@click.option("--force", is_flag=True, help="Replace the store at OUT, once the new one is complete.")
def merge_command(stores: tuple[Path, ...], out: Path, **options: Any) -> None:
    """Merge STORES, in order, into a new store; files are linked, not decoded."""
    if options["as_splits"] and len(options["as_splits"]) != len(stores):
        raise click.UsageError(
            f"{counted(len(options['as_splits']), 'time')} --as-split for {counted(len(stores), 'store')}"
        )
    total = 0
    for store in stores:
        with skelstore.open(store) as opened:
            total += sum(opened.files().values())
    with progress("merging", total, "B") as advance:
        skelstore.merge(stores, out, advance=advance, **options)
    with skelstore.open(out) as opened:
        show(f"{out}: {counted(len(opened), 'video')}")
        if unsplit := count_unsplit(opened):
            say(f"note: {counted(unsplit, 'video is', 'videos are')} in no split; --as-split names those of each store")


@click.command("subset")
@click.argument("store", type=PATH)
@click.argument("out", type=PATH)
@click.option("--split", help="Only the videos of this split.")
@click.option("--labels", help="Only the videos with one of these labels: 1,2,5-9.")
@click.option("--ids", type=FILE, help="Only the videos named in this file, one a line (.json: a list), in its order.")
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
            raise SkelstoreError(f"{store}: none of {counted(len(opened), 'video')} is chosen, so nothing was written")
        with progress("writing", len(view), " videos") as advance:
            skelstore.subset(view, out, force=force, advance=advance)
    show(f"{out}: {counted(len(view), 'video')}")


@click.command("split")
@click.argument("store", type=PATH)
@click.option("-o", "--output", "out", metavar="OUT", type=PATH, required=True, help="The store to write.")
@click.option("--parts", callback=_parsed(parse_parts), help="Splits and their shares (default: train=0.8,val=0.2).")
@click.option("--folds", type=click.IntRange(min=2), help="Make K folds instead: fold1_train, fold1_val, …")
@click.option(
    "--group", help="Column whose values are groups that stay together; of NTU RGB+D also subject, camera, setup."
)
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
        show(f"{name}: {counted(len(ids), 'id')}")
    with skelstore.open(out) as opened:
        if opened.source.get("dialect") in UNSPLIT:
            say("note: the source was a list of annotations, without splits: export with --format pyskl to write them")


@click.command("relabel")
@click.argument("store", type=PATH)
@click.option("-o", "--output", "out", metavar="OUT", type=PATH, required=True, help="The store to write.")
@click.option("--map", "mapping", type=FILE, help="CSV or JSON file of old,new.")
@click.option("--compact", is_flag=True, help="Number the labels that occur from 0.")
@click.option("--labels", "label_file", type=FILE, help="File with the names of the classes, one a line or JSON.")
@click.option("--joints", type=click.Choice(list(LAYOUTS)), help="State the layout of the joints.")
@click.option("--force", is_flag=True, help="Replace the store at OUT, once the new one is complete.")
def relabel_command(
    store: Path, out: Path, mapping: Path | None, compact: bool, label_file: Path | None, **options: Any
) -> None:
    """Change the labels of STORE, name its classes, or state the layout of its joints."""
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
    show(f"{out}: {counted(len(changes), 'label')}, now {len(set(changes.values())):,}" if changes else str(out))


COMMANDS = (
    info_command,
    show_command,
    merge_command,
    subset_command,
    split_command,
    relabel_command,
    bench_command,
)
