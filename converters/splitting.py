"""Making splits of a store: parts or folds, of videos or of groups that stay together.

Splits are made of units. A unit is a group or, without groups, a video (all videos with one name, since a split lists
names). Each unit is assigned to the split that is furthest below its share, except the last units if a split would
otherwise stay empty.

- Without groups, units are assigned class by class, in random order within a class. So each class is divided like the
  whole, as closely as its count allows (a stratified split).
- With groups, the largest groups come first, and classes are ignored.

The splits depend only on the store, the options and the seed; they are the same on every machine.
"""

from __future__ import annotations

import os
import random
import re
from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

import skelstore
from converters.computed_columns import COMPUTED, compute_column
from converters.conversion.document import PYSKL_DOCUMENT
from converters.dialects import bare_list, single
from skelstore import Store
from skelstore.combine.revision import revise
from skelstore.errors import SourceError, StoreError
from skelstore.format.values import Json
from skelstore.read.identifiers import identifier_of
from skelstore.splits import hashed, is_run
from skelstore.wording import closest, counted, full_repr, shown_names

__all__ = ["UNSPLIT", "count_unsplit", "deal", "fold_splits", "parse_parts", "parse_pattern", "split", "unit_of_videos"]

UNSPLIT = (bare_list.NAME, single.NAME, single.FOLDER_NAME)
"""Dialects whose files have no splits."""

_MOST_FOLDS = 1000


def split(
    path: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    parts: Mapping[str, float] | None = None,
    folds: int | None = None,
    group: str | None = None,
    pattern: str | re.Pattern[str] | None = None,
    seed: int = 0,
    keep: bool = False,
    force: bool = False,
) -> dict[str, list[str]]:
    """Make a store at ``out`` from the one at ``path``, with new splits; its arrays are linked, not copied.

    ``parts`` maps the name of each split to its share (``{"train": 0.8, "val": 0.2}``). Alternatively, ``folds`` is the
    number of pairs ``fold1_train``, ``fold1_val``, … in which each video is for validation once. ``group`` is a column
    of ``store.videos`` or a computed column, such as the ``subject`` of NTU RGB+D; ``pattern`` is a regular expression
    with one group that is searched for in the name of each video. Videos of one group are never divided between splits
    that belong together. ``keep`` keeps the existing splits of the store in addition to the new ones.

    Returns the new splits. Raises SourceError if the videos cannot be split in this way, and what ``revise`` raises.
    """
    with skelstore.open(path) as store:
        names = _identifiers(store)
        units = unit_of_videos(names, _groups(store, names, group, pattern), str(store.path))
        grouped = group is not None or pattern is not None
        classes = None if grouped else _classes(store)
        count = len(parts) if parts is not None else folds or 0
        if not 2 <= count <= _MOST_FOLDS:
            raise SourceError(f"{counted(count, 'part')}; expected 2 to {_MOST_FOLDS}")
        shares = [1.0] * count if parts is None else list(parts.values())
        sides = deal(units, classes, shares, seed)
        _refuse_empty(store, sides, shares, units)
        if parts is None:
            made = fold_splits(names, sides, count)
        else:
            made = {title: _ids(names, sides, {i}) for i, title in enumerate(parts)}
        if keep and (taken := [title for title in made if title in store.splits]):
            raise SourceError(f"{store.path} already has a split {taken[0]!r}: choose other names, or do not keep it")
        _refuse_leaks(made, names, units, 2 if parts is None else count)
        splits = {**store.splits, **made} if keep else made
        source = _with_splits(store)
    revise(path, out, splits=splits, source=source, force=force)
    return made


def parse_parts(text: str) -> dict[str, float]:
    """Parse shares of splits such as ``train=0.8,val=0.2``. Raises SourceError if the text does not have this form."""
    parts: dict[str, float] = {}
    for piece in text.split(","):
        name, sign, share = (field.strip() for field in piece.partition("="))
        if not name or not sign or not re.fullmatch(r"[0-9]+(\.[0-9]*)?|\.[0-9]+", share) or name in parts:
            raise SourceError(f"{text!r} at {piece!r}: expected names and shares such as train=0.8,val=0.2")
        parts[name] = float(share)
    if not all(parts.values()) or abs(sum(parts.values()) - 1) > 1e-6:
        raise SourceError(f"{text!r}: the shares must be above 0 and their sum must be 1; it is {sum(parts.values())}")
    return parts


def parse_pattern(pattern: str | re.Pattern[str]) -> re.Pattern[str]:
    """Compile a regular expression with one group. Raises SourceError if it is not one, or if RE2 does not support it.

    RE2 is used for the search: its time is bounded by the length of the names, but it does not support look-around and
    backreferences.
    """
    try:
        search = re.compile(pattern)
        _extract(search, [""])
    except (re.error, OverflowError, RecursionError) as error:
        raise SourceError(f"{pattern!r} is not a regular expression ({error})") from None
    except pa.ArrowInvalid as error:
        raise SourceError(
            f"{search.pattern!r} is not a regular expression that RE2 supports ({error}): write it without look-around "
            "and backreferences"
        ) from None
    if search.groups != 1:
        groups = counted(search.groups, "group")
        raise SourceError(f"{search.pattern!r} has {groups}; expected one, such as P(\\d{{3}})")
    return search


def _extract(search: re.Pattern[str], names: Sequence[str]) -> list[str]:
    """The text of the pattern's first group in each name; empty if the pattern does not match."""
    flags = "".join(letter for flag, letter in ((re.I, "i"), (re.M, "m"), (re.S, "s")) if search.flags & flag)
    inner = f"(?{flags}:{search.pattern})" if flags else f"(?:{search.pattern})"
    # "backslashreplace" keeps names that are not UTF-8 distinct.
    texts = pa.array([name.encode("utf-8", "backslashreplace").decode() for name in names], pa.string())
    there = pc.match_substring_regex(texts, inner)
    groups = pc.replace_substring_regex(texts, f"(?s:^.*?){inner}(?s:.*$)", r"\1" if search.groups else "")
    return [text if match else "" for text, match in zip(groups.to_pylist(), there.to_pylist(), strict=True)]


def count_unsplit(store: Store) -> int:
    """The number of videos that no split lists; 0 if no split has ids."""
    listed = [ids for ids in store.splits.values() if is_run(ids) or isinstance(ids, dict)]
    named = {one for ids in listed for element in ids for one in hashed(element)}
    if not named:
        return 0
    key = identifier_of(store.lazy(0) if len(store) else ())
    lazy = (store.lazy(i) for i in range(len(store)))
    return sum(key not in video or named.isdisjoint(hashed(video[key])) for video in lazy)


def unit_of_videos(names: Sequence[str], groups: Sequence[str] | None, place: str) -> list[str]:
    """The unit of each video: its group or, without groups, its name.

    Raises SourceError if videos with the same name are in two groups: a split could not keep the groups apart.
    """
    if groups is None:
        return list(names)
    group_of: dict[str, str] = {}
    for name, group in zip(names, groups, strict=True):
        if group_of.setdefault(name, group) != group:
            raise SourceError(f"{place}: videos named {name!r} are in the groups {group_of[name]!r} and {group!r}")
    return list(groups)


def deal(units: Sequence[str], classes: Sequence[str] | None, shares: Sequence[float], seed: int) -> list[int]:
    """Assign each video to a part and return its number; videos of one unit get the same part.

    ``classes`` are assigned one after the other. If None, large units come first. No part is empty if there are at
    least as many units as parts.
    """
    sizes: dict[str, int] = {}
    class_of: dict[str, str] = {}
    for i, unit in enumerate(units):
        sizes[unit] = sizes.get(unit, 0) + 1
        class_of.setdefault(unit, classes[i] if classes else "")
    order = sorted(sizes)
    random.Random(seed).shuffle(order)
    # Sorting is stable, so units with equal keys stay shuffled.
    order.sort(key=lambda unit: class_of[unit] if classes else -sizes[unit])
    total, dealt = sum(shares), 0
    counts = [0] * len(shares)
    part_of: dict[str, int] = {}
    for place, unit in enumerate(order):
        dealt += sizes[unit]
        lacks = [share / total * dealt - count for share, count in zip(shares, counts, strict=True)]
        if not classes:  # relative to all videos, so that the shares have room for the large groups, which come first
            lacks = [share / total * len(units) - count for share, count in zip(shares, counts, strict=True)]
        empty = [part for part, count in enumerate(counts) if not count]
        # If only as many units are left as parts are empty, each empty part gets one.
        choice = empty if len(order) - place <= len(empty) else range(len(counts))
        part = max(choice, key=lacks.__getitem__)
        counts[part] += sizes[unit]
        part_of[unit] = part
    return [part_of[unit] for unit in units]


def fold_splits(names: Sequence[str], sides: Sequence[int], folds: int) -> dict[str, list[str]]:
    """Make the splits ``fold1_train``, ``fold1_val`` and so on from the fold of each video."""
    made = {}
    for fold in range(folds):
        made[f"fold{fold + 1}_train"] = _ids(names, sides, set(range(folds)) - {fold})
        made[f"fold{fold + 1}_val"] = _ids(names, sides, {fold})
    return made


def _ids(names: Sequence[str], sides: Sequence[int], wanted: set[int]) -> list[str]:
    """The names of the videos in some parts, each once, in the order of the store."""
    return list(dict.fromkeys(name for name, side in zip(names, sides, strict=True) if side in wanted))


def _identifiers(store: Store) -> list[str]:
    """The id by which a split lists each video, as defined by ``Store.split`` and PYSKL."""
    key = identifier_of(store.lazy(0) if len(store) else ())
    names = []
    for i in range(len(store)):
        name = store.lazy(i).get(key)
        if not isinstance(name, str):
            raise SourceError(f"{store.path}: video {i} has no {key}, so no split can name it: give each video one")
        names.append(str(name))
    return names


def _groups(
    store: Store, names: Sequence[str], column: str | None, pattern: str | re.Pattern[str] | None
) -> list[str] | None:
    if pattern is not None:
        return _search_groups(store, names, pattern)
    if column is None:
        return None
    table = store.videos
    groups = table[column] if column in table.column_names else compute_column(store, column)
    if groups is None:
        there = [*table.column_names, *COMPUTED]
        raise SourceError(f"{store.path} has no column {column!r}; it has {', '.join(there)}{closest(column, there)}")
    values = groups.to_pylist()
    _refuse_missing(store, [name for name, value in zip(names, values, strict=True) if value is None], column)
    return [str(value) for value in values]


def _search_groups(store: Store, names: Sequence[str], pattern: str | re.Pattern[str]) -> list[str]:
    search = parse_pattern(pattern)
    groups = _extract(search, names)
    _refuse_missing(store, [name for name, group in zip(names, groups, strict=True) if not group], search.pattern)
    return groups


def _refuse_missing(store: Store, names: list[str], what: str) -> None:
    if names:
        videos = counted(len(names), "video has", "videos have")
        raise SourceError(f"{store.path}: {videos} no group by {what!r}: {shown_names(names)}")


def _classes(store: Store) -> list[str]:
    return [full_repr(store.lazy(i).get("label")) for i in range(len(store))]


def _refuse_empty(store: Store, sides: Sequence[int], shares: Sequence[float], units: Sequence[str]) -> None:
    if empty := set(range(len(shares))) - set(sides):
        raise SourceError(
            f"{store.path}: {counted(len(set(units)), 'group or video', 'groups or videos')} are too few for "
            f"{len(shares):,} parts: {len(empty):,} would be empty; make fewer parts"
        )


def _refuse_leaks(made: Mapping[str, list[str]], names: Sequence[str], units: Sequence[str], sides: int) -> None:
    """Check the result independently: no unit may be in two of the splits that belong together."""
    unit_of = dict(zip(names, units, strict=True))
    titles = list(made)
    for start in range(0, len(titles), sides):
        seen: dict[str, str] = {}
        for title in titles[start : start + sides]:
            for unit in {unit_of[name] for name in made[title]}:
                if seen.setdefault(unit, title) != title:
                    raise SourceError(f"group {unit!r} is in both {seen[unit]} and {title}: this is a leak")


def _with_splits(store: Store) -> dict[str, Json]:
    """The source of a store, with a placeholder for splits in the document that an export writes."""
    source = dict(store.source)
    document = source.get("document")
    try:
        entries = document.get("dict", []) if isinstance(document, dict) else []
        if any("splits" in node for _, node in entries):
            return source
    except (TypeError, ValueError) as error:
        raise StoreError(f"{store.path}: the document of its source is not as the format says") from error
    first = PYSKL_DOCUMENT["dict"][0]
    others = [entry for entry in entries if entry[0] != first[0]]
    return {**source, "document": {"dict": [first, *others]} if entries else PYSKL_DOCUMENT}
