"""Joining the splits of several stores, and reducing splits to some of the videos."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from skelstore.equality import difference
from skelstore.errors import MergeError
from skelstore.wording import kind_of


def hashed(value: Any) -> set[Any]:
    """A set with the value, or an empty set if the value is not hashable."""
    try:
        return {value}
    except TypeError:
        return set()


def is_run(ids: object) -> bool:
    """Whether a split is a list, a tuple or an array [n] of ids."""
    return isinstance(ids, (list, tuple)) or (isinstance(ids, np.ndarray) and ids.ndim == 1)


def join_splits(splits: Iterable[Mapping[Any, Any]]) -> dict[Any, Any]:
    """Join splits by name: the ids of the first, then those of the second, and so on, with repetitions.

    Lists, tuples and arrays of one dtype keep their type; ids of different types become a list. Raises MergeError if
    splits with the same name differ and are not lists, tuples or arrays [n] of ids.
    """
    whole: dict[Any, Any] = {}
    for some in splits:
        for name, ids in some.items():
            whole[name] = _concatenate(name, whole[name], ids) if name in whole else ids
    return whole


def _concatenate(name: Any, first: Any, second: Any) -> Any:
    if is_run(first) and is_run(second):
        if type(first) is not type(second):
            return [*first, *second]
        if not isinstance(first, np.ndarray):
            return first + second
        # The dtype is given, since NumPy would convert to the native byte order.
        return np.concatenate([first, second], dtype=first.dtype) if first.dtype == second.dtype else [*first, *second]
    if difference(first, second) is None:
        return first
    raise MergeError(
        f"the split {name!r} is {kind_of(first)} in one store and {kind_of(second)} in another; expected lists "
        "of ids, so rename it in one of the sources"
    )


def keep_ids(splits: Mapping[Any, Any], remains: Callable[[Any], bool]) -> dict[Any, Any]:
    """Reduce splits to the ids for which ``remains`` is true, in their order; a split without any is dropped.

    A split that is not a list, tuple or array [n] of ids is kept unchanged.
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
