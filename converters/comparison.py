"""Holding a store against the source that it was made from, value by value."""

from __future__ import annotations

from collections.abc import Callable

from converters.source import Source, refusal
from skelstore import Store
from skelstore.equality import difference
from skelstore.errors import SkelstoreError
from skelstore.verification import WHOLE, Subset, share

_SHOWN = 20


def compare(
    store: Store, source: Source, advance: Callable[[int], None] | None = None, subset: Subset = WHOLE
) -> list[str]:
    """All differences, each a sentence with its place in the source (the first twenty); none if they are the same.

    Of a ``subset`` (n, m) every m-th video is compared, beginning with the n-th; what is not a video, always.
    """
    if len(store) != len(source):
        return [f"{store.path} has {len(store)} videos; {source.path} has {len(source)}"]
    problems: list[str] = []
    for i in share(subset, len(store)):
        try:
            expected, _ = source.video(i)
        except SkelstoreError as error:
            problems.append(refusal(source, error, i))
            continue
        try:
            if text := difference(store[i], expected, source.place(i)):
                problems.append(f"{store.path} against {source.path}: {text}")
        except SkelstoreError as error:
            problems.append(str(error))
        if len(problems) == _SHOWN:
            return [*problems, f"… and perhaps more after these {_SHOWN}"]
        if advance:
            advance(1)
    if text := difference(store.splits, source.splits(), "split"):
        problems.append(f"{store.path} against {source.path}: {text}")
    if text := difference(store.source.get("document"), source.description()["document"], "the top of the file"):
        problems.append(f"{store.path} against {source.path}: {text}")
    return problems
