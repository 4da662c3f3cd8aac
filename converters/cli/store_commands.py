"""The work of the commands on stores: info, show, subset, merge, split, relabel."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from shutil import get_terminal_size
from typing import Any

import click

import skelstore
from converters.cli.printing import say, show
from converters.cli.progress import progress
from converters.histograms import as_json as histogram_as_json
from converters.histograms import class_histogram, histogram_lines, length_histogram
from converters.information import as_lines, information
from converters.labels import read_class_names, read_mapping, relabel
from converters.selection import where, with_labels, with_names
from converters.showing import as_json as portrait_as_json
from converters.showing import as_lines as video_lines
from converters.showing import located, portrait
from converters.splitting import UNSPLIT, count_unsplit, parse_parts, parse_pattern, split
from skelstore.errors import SkelstoreError
from skelstore.remote.url import Url
from skelstore.wording import counted


def _parse(parse: Callable[[str], Any], text: str | None, option: str) -> Any:
    """The parsed value of an option. Raises BadParameter if it is invalid."""
    try:
        return None if text is None else parse(text)
    except SkelstoreError as error:
        raise click.BadParameter(str(error), param_hint=repr(option)) from None


def info_command(store: Path | Url, as_json: bool) -> None:
    with skelstore.open(store) as opened:
        found = information(opened)
        histograms = {"classes": class_histogram(opened), "lengths": length_histogram(opened)}
        if as_json:
            found["left_out"] = opened.source.get("left_out", [])
            found["histograms"] = {name: histogram_as_json(histogram) for name, histogram in histograms.items()}
    show(*json.dumps(found, indent=1).split("\n") if as_json else as_lines(found))
    if not as_json and sys.stdout is not None and sys.stdout.isatty():
        blocks = (sys.stdout.encoding or "").lower().startswith("utf")
        for histogram in filter(None, histograms.values()):
            show("", *histogram_lines(histogram, get_terminal_size().columns, blocks=blocks))


def show_command(store: Path | Url, key: str | None, as_json: bool) -> None:
    with skelstore.open(store) as opened:
        found = portrait(opened, located(opened, key))
    show(*json.dumps(portrait_as_json(found), indent=1).split("\n") if as_json else video_lines(found))


def merge_command(stores: tuple[Path, ...], out: Path, **options: Any) -> None:
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
            say(f"note: {counted(unsplit, 'video is', 'videos are')} in no split; --as-split gives each store a split")


def subset_command(
    store: Path | Url,
    out: Path,
    split: str | None,
    labels: str | None,
    ids: Path | None,
    expression: str | None,
    force: bool,
) -> None:
    if split is None and labels is None and ids is None and expression is None:
        raise click.UsageError("no videos selected: give --split, --labels, --ids or --where")
    with skelstore.open(store) as opened:
        view = opened if split is None else opened.split(split)
        view = view if labels is None else with_labels(view, labels)
        view = view if expression is None else where(view, expression)
        view = view if ids is None else with_names(view, ids)
        if not len(view):
            raise SkelstoreError(
                f"{store}: none of {counted(len(opened), 'video')} is selected, so nothing was written"
            )
        with progress("writing", len(view), " videos") as advance:
            skelstore.subset(view, out, force=force, advance=advance)
    show(f"{out}: {counted(len(view), 'video')}")


def split_command(store: Path, out: Path, parts: str | None, folds: int | None, **options: Any) -> None:
    shares = _parse(parse_parts, parts, "--parts")
    options["pattern"] = _parse(parse_pattern, options["pattern"], "--pattern")
    if parts is not None and folds is not None:
        raise click.UsageError("--parts and --folds are two ways to split: give one of them")
    if options["group"] is not None and options["pattern"] is not None:
        raise click.UsageError("--group and --pattern both define the groups: give one of them")
    if folds is None and shares is None:
        shares = {"train": 0.8, "val": 0.2}
    made = split(store, out, parts=shares, folds=folds, **options)
    for name, ids in made.items():
        show(f"{name}: {counted(len(ids), 'id')}")
    with skelstore.open(out) as opened:
        if opened.source.get("dialect") in UNSPLIT:
            say("note: the source was a list of annotations, without splits: export with --format pyskl to write them")


def relabel_command(
    store: Path, out: Path, mapping: Path | None, compact: bool, label_file: Path | None, **options: Any
) -> None:
    if mapping is not None and compact:
        raise click.UsageError("--map and --compact both define the new labels: give one of them")
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
