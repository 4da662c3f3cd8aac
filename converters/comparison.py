"""Comparing a store with the source from which it was made, value by value."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from converters.conversion.source import SkippedVideoError, Source, refusal, splits_without
from skelstore import Store
from skelstore.equality import difference
from skelstore.errors import SkelstoreError
from skelstore.format.schema import video_name
from skelstore.read.source_order import in_source_order
from skelstore.read.store import reading_in_turn
from skelstore.read.verification import WHOLE, Subset, share
from skelstore.remote.url import Url
from skelstore.wording import counted, shown

_SHOWN = 20
_ENOUGH = 2
"""Minimum number of videos with other names that indicates another source."""


def compare(
    store: Store, source: Source, advance: Callable[[int], None] | None = None, subset: Subset = WHOLE
) -> list[str]:
    """List the differences (the first twenty), each a sentence with its place in the source; empty if there are none.

    With a ``subset`` (n, m), every m-th video is compared, starting with the n-th. Everything except the videos is
    always compared. The videos of a shuffled store are compared in the order of the source.
    """
    store = in_source_order(store)
    described = source.description()
    # The first entries of the store's record were left out by the source itself.
    left_out = store.source.get("left_out", [])[len(described.get("left_out", [])) :]
    if len(store) != len(source) - len(left_out):
        return [f"{store.path} has {counted(len(store), 'video')}; {source.path} has {len(source) - len(left_out):,}"]
    names = {entry["name"] for entry in left_out}
    chosen = share(subset, len(store))
    read = reading_in_turn(store) if subset == WHOLE else store.__getitem__
    problems: list[str] = []
    renamed: list[tuple[str | None, str | None]] = []
    compared = 0
    skipped = 0
    for i in range(len(source)):
        if len(problems) >= _SHOWN:
            more = f"… and perhaps more after these {_SHOWN}"
            return _other_source(store, source, renamed, compared) or [*problems, more]
        if not names and i not in chosen:
            continue
        try:
            expected, _ = source.video(i)
        except SkelstoreError as error:
            if isinstance(error, SkippedVideoError) and error.name in names:
                skipped += 1
            else:
                problems.append(refusal(source, error, i))
            continue
        if (row := i - skipped) >= len(store):
            return [*problems, f"{store.path} records videos as left out that {source.path} has"]
        if row not in chosen:
            continue
        compared += 1
        if (name := store.name(row)) != (wanted := video_name(expected)):
            renamed.append((name, wanted))
        try:
            if text := difference(read(row), expected, source.place(i)):
                problems.append(f"{store.path} against {source.path}: {text}")
        except SkelstoreError as error:
            problems.append(str(error))
        if advance:
            advance(1)
    if sentences := _other_source(store, source, renamed, compared):
        return sentences
    if text := difference(store.splits, splits_without(source.splits(), left_out), "split"):
        problems.append(f"{store.path} against {source.path}: {text}")
    if text := difference(store.source.get("document"), described["document"], "the top of the file"):
        problems.append(f"{store.path} against {source.path}: {text}")
    return problems


def _other_source(
    store: Store, source: Source, renamed: list[tuple[str | None, str | None]], compared: int
) -> list[str]:
    """One sentence if all compared videos have other names; else an empty list."""
    if len(renamed) < max(compared, _ENOUGH):
        return []
    here, there = renamed[0]
    return [
        f"{store.path} against {source.path}: all {compared} compared videos have other names, such as {shown(here)} "
        f"and {shown(there)}: is it another source, or in another order?"
    ]


def as_lines(store: Path | Url, against: Path | Url, problems: list[str]) -> list[str]:
    """The result of ``compare`` as text, under one heading if all problems start with it."""
    heading = f"{store} against {against}: "
    if len(problems) < _ENOUGH or not all(text.startswith((heading, "…")) for text in problems):
        return problems
    return [heading.rstrip(), *(f"  {text.removeprefix(heading)}" for text in problems)]
