"""Changing the labels, class names and joint layout of a store without touching its arrays.

A label of an annotation is an int (or numpy.int64, …), a text, or a list of these; each element of a list is changed
separately. Floats, arrays and dicts are refused, since a mapping does not define what to do with them.
"""

from __future__ import annotations

import csv
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import skelstore
from skelstore.combine.revision import revise
from skelstore.errors import SourceError
from skelstore.format.files import open_regular
from skelstore.format.values import Json, crowded, is_utf8
from skelstore.joints import stated
from skelstore.wording import closest, counted, kind_of, shown, shown_names

__all__ = ["read_class_names", "read_mapping", "relabel"]

_MOST_BYTES = 64 << 20
Label = int | str


def relabel(
    path: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    mapping: Mapping[str, Label] | None = None,
    compact: bool = False,
    class_names: Sequence[str] | None = None,
    joints: str | None = None,
    force: bool = False,
) -> dict[Label, Label]:
    """Make a store at ``out`` from the one at ``path``, with other labels; its arrays are linked, not copied.

    ``mapping`` maps the text of each old label to the new label (``read_mapping``) and must have all old labels.
    ``compact`` numbers the existing labels from 0, numbers before texts, each in order. A new number has the type of
    the old label if that was a number (numpy.int64 stays numpy.int64), else it is an int. ``class_names`` are the new
    names by label. Without them, existing names are renumbered with ``compact`` and dropped with a mapping; texts that
    ``compact`` numbers become the names. ``joints`` states the joint layout.

    Returns the new label of each old label. Raises SourceError if a label cannot be changed, is not in the mapping, or
    would be beyond the class names; JointLayoutError if the store has other joints; and what ``revise`` raises.
    """
    with skelstore.open(path) as store:
        changes: dict[Label, Label] = {}
        counts = _count(store) if mapping is not None or compact or class_names is not None else Counter()
        if mapping is not None:
            changes = _map_labels(counts, mapping, str(store.path))
        elif compact:
            changes = {label: i for i, label in enumerate(sorted(counts, key=_order))}
        source = dict(store.source)
        if class_names is None and (mapping is not None or compact):
            class_names = _names_after(store.class_names, changes) if compact else None
            source.pop("class_names", None)
        if class_names is not None:
            _refuse_beyond({changes.get(label, label) for label in counts}, class_names, str(store.path))
            source["class_names"] = list(class_names)
        if joints is not None:
            source["joints"] = _stated_joints(store, joints)
    change: Callable[[Any], Any] | None = (lambda label: _change(label, changes)) if changes else None
    revise(path, out, labels=change, source=source, force=force)
    return changes


def _stated_joints(store: skelstore.Store, joints: str) -> Json:
    # Only V matters here, so any number of coordinates will do.
    return stated(joints, [(count, 2) for count in store.joints.counts])


def read_class_names(path: str | os.PathLike[str]) -> list[str]:
    """Read the class names in the order of their labels: a JSON list (``.json``), else a text file with one per line.

    Raises SourceError if a name is empty or the file does not have this form.
    """
    path = Path(path)
    text = _read(path)
    if path.suffix.lower() == ".json":
        names = _json(path, text)
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise SourceError(f"{path} is not a list of texts; expected a JSON list with the name of each class")
    else:
        names = [line.strip() for line in re.split(r"\r\n|\r|\n", text.rstrip())]
    for i, name in enumerate(names):
        if not name or not is_utf8(name):
            raise SourceError(f"{path}: name {i + 1} (of label {i}) is empty or not UTF-8: give every class a name")
    return list(names)


def read_mapping(path: str | os.PathLike[str]) -> dict[str, Label]:
    """Read a mapping from the text of each old label to the new label.

    A CSV file has lines ``old,new`` and may start with exactly this line. A JSON file (``.json``) has an object, or a
    list of [old, new]. A new label is an int or a text; in CSV, new labels are ints if all are written as integers.
    Raises SourceError if the file does not have this form, or has an old label twice.
    """
    path = Path(path)
    text = _read(path)
    pairs = _json_pairs(path, text) if path.suffix.lower() == ".json" else _csv_pairs(path, text)
    mapping: dict[str, Label] = {}
    for old, new in pairs:
        if old in mapping:
            raise SourceError(f"{path}: the label {old!r} occurs twice: keep one line for each label")
        mapping[old] = new
    if not mapping:
        raise SourceError(f"{path} has no labels; expected lines old,new")
    return mapping


def _read(path: Path) -> str:
    with open(path, "rb", opener=open_regular) as file:
        data = file.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise SourceError(f"{path} has more than {_MOST_BYTES:,} bytes; expected a file of labels")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SourceError(f"{path} is not UTF-8 text ({error.reason} at byte {error.start})") from None


def _json(path: Path, text: str, **options: Any) -> Any:
    if reason := crowded(text):
        raise SourceError(f"{path} is not a file of labels ({reason})")
    try:
        return json.loads(text, **options)
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{path} is not JSON ({error})") from None


def _json_pairs(path: Path, text: str) -> Iterable[tuple[str, Label]]:
    pairs = _json(path, text, object_pairs_hook=list)  # a dict would hide that a label occurs twice
    if not isinstance(pairs, list):
        raise SourceError(f"{path} is neither an object of labels nor a list of [old, new]")
    for i, pair in enumerate(pairs):
        good = isinstance(pair, (list, tuple)) and len(pair) == 2
        if not good or not all(type(label) is int or (isinstance(label, str) and is_utf8(label)) for label in pair):
            raise SourceError(f"{path}: entry {i} is {shown(pair)}; expected an old and a new label, int or text")
        yield str(pair[0]), _checked(path, pair[1])


def _csv_pairs(path: Path, text: str) -> Iterable[tuple[str, Label]]:
    rows = []
    try:
        reader = csv.reader(re.split(r"\r\n|\r|\n", text), strict=True)
        for row in reader:
            if not row:
                continue
            fields = [field.strip() for field in row]
            if len(fields) != 2 or not all(fields):
                raise SourceError(f"{path}: line {reader.line_num} is {shown(row)}; expected old,new")
            rows.append((fields[0], fields[1]))
    except csv.Error as error:
        raise SourceError(f"{path} is not a CSV file ({error}); expected lines old,new") from None
    if rows and rows[0] == ("old", "new"):
        rows = rows[1:]
    are_numbers = [re.fullmatch(r"-?[0-9]{1,18}", new) is not None for _, new in rows]
    numbers = all(are_numbers)
    if len(rows) > 1 and not are_numbers[0] and all(are_numbers[1:]):
        raise SourceError(
            f"{path}: the first line is {shown(','.join(rows[0]))}, but the new labels below it are numbers; expected "
            "a number there too, or old,new as the only line above the labels"
        )
    return [(old, int(new) if numbers else new) for old, new in rows]


def _checked(path: Path, label: Label) -> Label:
    if isinstance(label, int) and not -(2**63) <= label < 2**63:
        raise SourceError(f"{path}: the label {shown(label)} has more than 64 bits")
    return label


def _plain(label: Any) -> Label:
    """Convert a label to a plain int or str. Raises SourceError for anything else."""
    if isinstance(label, str):
        return str(label)
    if isinstance(label, (int, np.integer)) and not isinstance(label, bool):
        return int(label)
    raise SourceError(f"the label is {kind_of(label)}; expected an int, a text, or a list of these")


def _count(store: skelstore.Store) -> Counter[Label]:
    """How often each label occurs."""
    counts: Counter[Label] = Counter()
    for i in range(len(store)):
        video = store.lazy(i)
        if "label" in video:
            label = video["label"]
            try:
                counts.update(map(_plain, label) if isinstance(label, list) else [_plain(label)])
            except SourceError as error:
                raise SourceError(f"{store.path}: video {i} ({store.name(i)!r}): {error}") from None
    return counts


def _map_labels(counts: Counter[Label], mapping: Mapping[str, Label], place: str) -> dict[Label, Label]:
    missing = [label for label in sorted(counts, key=_order) if str(label) not in mapping]
    if missing:
        places = sum(counts[label] for label in missing)
        raise SourceError(
            f"{place}: {counted(len(missing), 'label')}, in {counted(places, 'place')}, "
            f"{'is' if len(missing) == 1 else 'are'} not in the mapping: {shown_names(missing)}: add a line for each"
            f"{closest(missing[0], mapping)}"
        )
    return {label: mapping[str(label)] for label in counts}


def _order(label: Label) -> tuple[bool, Any]:
    return isinstance(label, str), label


def _change(label: Any, changes: Mapping[Label, Label]) -> Any:
    """The new label, or list of labels, for the old one."""
    if isinstance(label, list):
        return [_change(element, changes) for element in label]
    new = changes[_plain(label)]
    if isinstance(label, np.integer) and isinstance(new, int):
        limits = np.iinfo(label.dtype)
        return type(label)(new) if limits.min <= new <= limits.max else new
    return new


def _names_after(names: list[str] | None, changes: Mapping[Label, Label]) -> list[str] | None:
    """The class names after the labels are numbered from 0; None if a label had no name."""
    old = sorted(changes, key=_order)
    if all(isinstance(label, str) for label in old):
        return [str(label) for label in old] or None
    if names is None or not all(isinstance(label, int) and 0 <= label < len(names) for label in old):
        return None
    return [names[int(label)] for label in old]


def _refuse_beyond(labels: Iterable[Label], class_names: Sequence[str], place: str) -> None:
    beyond = [label for label in labels if not (isinstance(label, int) and 0 <= label < len(class_names))]
    if beyond:
        raise SourceError(
            f"{place}: the label {min(beyond, key=_order)!r} has no name: there "
            f"{'is' if len(class_names) == 1 else 'are'} {counted(len(class_names), 'name')}, for 0 to "
            f"{len(class_names) - 1}"
        )
