"""Holding a store against the source that it was made from, value by value."""

from __future__ import annotations

from collections.abc import Callable

from converters.source import LeftOut, Source, refusal, splits_without
from skelstore import Store
from skelstore.equality import difference
from skelstore.errors import SkelstoreError
from skelstore.verification import WHOLE, Subset, share
from skelstore.wording import counted

_SHOWN = 20


def compare(
    store: Store, source: Source, advance: Callable[[int], None] | None = None, subset: Subset = WHOLE
) -> list[str]:
    """All differences, each a sentence with its place in the source (the first twenty); none if they are the same.

    Of a ``subset`` (n, m) every m-th video is compared, beginning with the n-th; what is not a video, always.
    """
    described = source.description()
    # Of what a store says was left out, a source has already left out the beginning by itself.
    left_out = store.source.get("left_out", [])[len(described.get("left_out", [])) :]
    if len(store) != len(source) - len(left_out):
        return [f"{store.path} has {counted(len(store), 'video')}; {source.path} has {len(source) - len(left_out)}"]
    names = {entry["name"] for entry in left_out}
    chosen = share(subset, len(store))
    problems: list[str] = []
    skipped = 0
    for i in range(len(source)):
        if len(problems) >= _SHOWN:
            return [*problems, f"… and perhaps more after these {_SHOWN}"]
        if not names and i not in chosen:
            continue
        try:
            expected, _ = source.video(i)
        except SkelstoreError as error:
            if isinstance(error, LeftOut) and error.name in names:
                skipped += 1
            else:
                problems.append(refusal(source, error, i))
            continue
        if (row := i - skipped) >= len(store):
            return [*problems, f"{store.path} says that it leaves out videos which {source.path} has"]
        if row not in chosen:
            continue
        try:
            if text := difference(store[row], expected, source.place(i)):
                problems.append(f"{store.path} against {source.path}: {text}")
        except SkelstoreError as error:
            problems.append(str(error))
        if advance:
            advance(1)
    if text := difference(store.splits, splits_without(source.splits(), left_out), "split"):
        problems.append(f"{store.path} against {source.path}: {text}")
    if text := difference(store.source.get("document"), described["document"], "the top of the file"):
        problems.append(f"{store.path} against {source.path}: {text}")
    return problems
