"""Holding a store against the source that it was made from, value by value."""

from __future__ import annotations

from collections.abc import Callable

from converters.source import Source, refusal, splits_without
from skelstore import Store
from skelstore.equality import difference
from skelstore.errors import SkelstoreError

_SHOWN = 20


def compare(store: Store, source: Source, advance: Callable[[int], None] | None = None) -> list[str]:
    """All differences, each a sentence with its place in the source (the first twenty); none if they are the same."""
    described = source.description()
    # Of what a store says was left out, a source has already left out the beginning by itself.
    left_out = store.source.get("left_out", [])[len(described.get("left_out", [])) :]
    skipped = {entry["index"] for entry in left_out}
    indices = [i for i in range(len(source)) if i not in skipped]
    if len(store) != len(indices):
        return [f"{store.path} has {len(store)} videos; {source.path} has {len(indices)}"]
    problems: list[str] = []
    for row, i in enumerate(indices):
        try:
            expected, _ = source.video(i)
        except SkelstoreError as error:
            problems.append(refusal(source, error, i))
            continue
        try:
            if text := difference(store[row], expected, source.place(i)):
                problems.append(f"{store.path} against {source.path}: {text}")
        except SkelstoreError as error:
            problems.append(str(error))
        if len(problems) == _SHOWN:
            return [*problems, f"… and perhaps more after these {_SHOWN}"]
        if advance:
            advance(1)
    if text := difference(store.splits, splits_without(source, left_out), "split"):
        problems.append(f"{store.path} against {source.path}: {text}")
    if text := difference(store.source.get("document"), described["document"], "the top of the file"):
        problems.append(f"{store.path} against {source.path}: {text}")
    return problems
