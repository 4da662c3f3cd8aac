"""Splits of several stores as one, and of a store cut down to some of its videos."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from skelstore.equality import difference
from skelstore.errors import MergeError
from skelstore.wording import kind_of


def hashed(value: Any) -> set[Any]:
    """A set of the value, empty if it has no hash: such a value is in no set."""
    try:
        return {value}
    except TypeError:
        return set()


def is_run(ids: object) -> bool:
    """Whether a split is a list, a tuple or an array [n] of ids."""
    return isinstance(ids, (list, tuple)) or (isinstance(ids, np.ndarray) and ids.ndim == 1)


def joined(splits: Iterable[Mapping[Any, Any]]) -> dict[Any, Any]:
    """Splits joined by name: the ids of the first, then those of the second, and so on; repetitions stay.

    Lists, tuples and arrays of one dtype stay what they are; runs of different types become a list. Raises
    MergeError for splits of one name that are no runs of ids and differ.
    """
    whole: dict[Any, Any] = {}
    for some in splits:
        for name, ids in some.items():
            whole[name] = _concatenated(name, whole[name], ids) if name in whole else ids
    return whole


def _concatenated(name: Any, first: Any, second: Any) -> Any:
    if is_run(first) and is_run(second):
        if type(first) is not type(second):
            return [*first, *second]
        if not isinstance(first, np.ndarray):
            return first + second
        # The dtype is named, since NumPy would turn the byte order into the machine's.
        return np.concatenate([first, second], dtype=first.dtype) if first.dtype == second.dtype else [*first, *second]
    if difference(first, second) is None:
        return first
    raise MergeError(
        f"the split {name!r} is {kind_of(first)} in one store and {kind_of(second)} in another; expected lists "
        "of ids, so rename it in one of the sources"
    )


def filter_ids(splits: Mapping[Any, Any], remains: Callable[[Any], bool]) -> dict[Any, Any]:
    """Splits with only the ids that remain, in their order; a split of which nothing remains is left out.

    What is no run of ids stays as it is.
    """
    fewer: dict[Any, Any] = {}
    for name, ids in splits.items():
        if not is_run(ids):
            fewer[name] = ids
            continue
        kept = [i for i, one in enumerate(ids) if remains(one)]
        if kept:
            fewer[name] = ids[np.array(kept)] if isinstance(ids, np.ndarray) else type(ids)(ids[i] for i in kept)
    return fewer
