"""Conflicts between stores to be merged: ids, fields, joints, labels, and values at the top of their sources."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from skelstore.choices import CONFLICTS as CONFLICTS
from skelstore.choices import Conflict as Conflict
from skelstore.combine.provenance import document_values
from skelstore.equality import difference
from skelstore.errors import JointLayoutError, MergeError
from skelstore.format import values
from skelstore.format.values import Json
from skelstore.joints import require_alike
from skelstore.read.identifiers import identifier
from skelstore.read.reader import Reader
from skelstore.splits import join_splits
from skelstore.wording import counted, join_lines, shown_names

_SHOWN = 5
_JOINT_FIELDS = ("keypoint", "keypoint_score")


class Input(NamedTuple):
    """A store to be merged, the names of its videos (None for a video without one), and its arrays to be cast."""

    reader: Reader
    names: list[str | None]
    casts: Mapping[str, np.dtype[Any]] = MappingProxyType({})
    """The new dtype of each array to be cast."""


def find_casts(readers: Sequence[Reader]) -> list[dict[str, np.dtype[Any]]]:
    """For each store, its float16 arrays that have a float32 counterpart: same path, ragged axes and fixed shape.

    Each is mapped to the dtype of its first counterpart. Every float16 value is exact in float32.
    """
    wide: dict[tuple[object, ...], np.dtype[Any]] = {}
    for reader in readers:
        for name, array in reader.arrays.items():
            if array.metadata.dtype.newbyteorder("=") == np.float32:
                wide.setdefault(_place(reader, name), array.metadata.dtype)
    return [
        {
            name: wide[_place(reader, name)]
            for name, array in reader.arrays.items()
            if array.metadata.dtype.newbyteorder("=") == np.float16 and _place(reader, name) in wide
        }
        for reader in readers
    ]


def _place(reader: Reader, name: str) -> tuple[object, ...]:
    field = reader.metadata.fields[name]
    return values.dumps(field.path), field.ragged, reader.arrays[name].metadata.trailing


def refuse_conflicts(inputs: Sequence[Input], allowed: Sequence[Conflict]) -> None:
    """Raise MergeError, which lists all conflicts between the stores, if there is one of a kind that is not allowed."""
    conflicts = {kind: list(check(inputs)) for kind, check in _CHECKS.items() if kind not in allowed}
    lines = [f"{kind}: {line}" for kind, some in conflicts.items() for line in some]
    try:
        join_splits([one.reader.splits for one in inputs])
    except MergeError as error:
        lines.append(f"splits: {error}")
    if lines:
        remedies = ["fix the sources", "leave videos out with subset"]
        if (
            conflicts.get("fields")
            and not any(one.casts for one in inputs)
            and any(find_casts([one.reader for one in inputs]))
        ):
            remedies.append("write float16 as float32 (--cast; in Python cast=True)")
        if kinds := [kind for kind, some in conflicts.items() if some]:
            options = " ".join(f"--allow {kind}" for kind in kinds)
            remedies.append(f"allow what is intended ({options}; in Python allow={kinds})")
        raise MergeError(
            join_lines(
                [
                    "the stores contradict each other, so nothing was merged:",
                    *lines,
                    f"{', '.join(remedies[:-1])}, or {remedies[-1]}",
                ]
            )
        )


def _ids(inputs: Sequence[Input]) -> Iterator[str]:
    first: dict[str, int] = {}
    for number, (reader, names, _) in enumerate(inputs):
        twice: dict[int, list[str]] = {}
        for name in dict.fromkeys(names):
            if name is not None and first.setdefault(name, number) != number:
                twice.setdefault(first[name], []).append(name)
        for other, shared in twice.items():
            count = counted(len(shared), "video name", "video names")
            yield f"{count} both in {inputs[other].reader.path} and in {reader.path}: {_examples(shared)}"
    matched = [(reader, identifier(reader)) for reader, *_ in inputs if reader.metadata.videos]
    for reader, key in matched:
        if key != matched[0][1] and reader.splits:
            yield (
                f"splits name videos by {matched[0][1]} in {matched[0][0].path}, but by {key} in {reader.path}; in the "
                "merged store only the first key would be used"
            )


def _joints(inputs: Sequence[Input]) -> Iterator[str]:
    yield from _disjoint(inputs, lambda one: _arrays(one, _JOINT_FIELDS, inside=True, what=_trailing))
    known = [(reader.joints, str(reader.path)) for reader, *_ in inputs if reader.joints.layout is not None]
    for joints, place in known[1:]:
        if joints.counts == known[0][0].counts:  # other numbers of joints are reported already
            try:
                require_alike(*known[0], joints, place)
            except JointLayoutError as error:
                yield str(error)


def _fields(inputs: Sequence[Input]) -> Iterator[str]:
    yield from _disjoint(inputs, lambda one: _arrays(one, _JOINT_FIELDS, inside=True, what=_dtype_and_axes))
    yield from _disjoint(
        inputs, lambda one: _arrays(one, (*_JOINT_FIELDS, "label"), inside=False, what=_dtype_axes_and_shape)
    )


def _labels(inputs: Sequence[Input]) -> Iterator[str]:
    def kinds(one: Input) -> dict[str, set[str]]:
        reader = one.reader
        columns = [column for column in reader.metadata.columns.values() if column.path[:1] == ("label",)]
        kinds_here = {"dict or tuple" if len(column.path) > 1 else _kind(column.type) for column in columns}
        if any(field.path[:1] == ("label",) for field in reader.metadata.fields.values()):
            kinds_here.add("array")
        return {"label": kinds_here} if kinds_here else {}

    yield from _disjoint(inputs, kinds)
    named = [(reader, names) for reader, *_ in inputs if (names := reader.metadata.source.get("class_names"))]
    for reader, names in named[1:]:
        if names != named[0][1]:
            yield f"the names of the classes differ between {reader.path} and {named[0][0].path}"


def _document(inputs: Sequence[Input]) -> Iterator[str]:
    first: dict[str, tuple[Reader, Json]] = {}
    for reader, *_ in inputs:
        for key, node in document_values(reader.metadata.source.get("document")):
            other, known = first.setdefault(values.dumps(key), (reader, node))
            if text := difference(values.decode(node), values.decode(known), f"[{values.decode(key)!r}]"):
                yield f"at the top of its source {reader.path} differs from {other.path}: {text}"


def _raw(inputs: Sequence[Input]) -> Iterator[str]:
    filled = [reader for reader, *_ in inputs if reader.metadata.videos]
    raw = [reader for reader in filled if reader.metadata.source.get("recipe") == "raw"]
    if raw and len(raw) < len(filled):
        other = next(reader for reader in filled if reader not in raw)
        yield (
            f"{raw[0].path} has raw NTU RGB+D data, {other.path} does not, and no pipeline or recipe accepts both; "
            "derive a store from the first with `skelstore derive`, and merge that"
        )


_CHECKS: dict[Conflict, Callable[[Sequence[Input]], Iterator[str]]] = {
    "ids": _ids,
    "fields": _fields,
    "joints": _joints,
    "labels": _labels,
    "document": _document,
    "raw": _raw,
}


def _disjoint(inputs: Sequence[Input], forms: Callable[[Input], dict[str, set[str]]]) -> Iterator[str]:
    """Report everything that has forms in a store and in earlier stores, but no form in common with them."""
    seen: dict[str, set[str]] = {}
    for one in inputs:
        for what, forms_here in forms(one).items():
            known = seen.setdefault(what, set())
            if known and not known & forms_here:
                here, before = _listed(forms_here), _listed(known)
                yield f"{what} is {here} in {one.reader.path}, but {before} in the stores before it"
            known |= forms_here


def _arrays(
    one: Input, names: Sequence[str], *, inside: bool, what: Callable[[Input, str], str]
) -> dict[str, set[str]]:
    """The forms of a store's arrays by their path in an annotation.

    ``inside`` selects the arrays at or below one of ``names``; else all others are returned.
    """
    forms: dict[str, set[str]] = {}
    for name, field in one.reader.metadata.fields.items():
        if any(field.path[:1] == (known,) for known in names) == inside:
            place = ".".join(str(values.decode(key)) for key in field.path)
            forms.setdefault(place, set()).add(what(one, name))
    return forms


def _trailing(one: Input, name: str) -> str:
    return str(list(one.reader.arrays[name].metadata.trailing))


def _dtype_and_axes(one: Input, name: str) -> str:
    array, ragged = one.reader.arrays[name].metadata, one.reader.metadata.fields[name].ragged
    return f"{one.casts.get(name, array.dtype)} with {counted(ragged + len(array.trailing), 'axis', 'axes')}"


def _dtype_axes_and_shape(one: Input, name: str) -> str:
    return f"{_dtype_and_axes(one, name)}, the last ones {_trailing(one, name)}"


def _kind(column: str) -> str:
    """The kind of a label, from the type of its column. int and numpy.int64 are one kind, as in training."""
    if column in ("str", "numpy.str"):
        return "text"
    if column == "json":
        return "list or dict"
    if column == "bytes":
        return "bytes"
    return {"b": "bool", "i": "integer", "u": "integer", "f": "float"}[np.dtype(column.removeprefix("numpy.")).kind]


def _examples(names: Sequence[str]) -> str:
    return shown_names(names)


def _listed(forms: set[str]) -> str:
    ordered = sorted(forms)
    return " or ".join(ordered[:_SHOWN]) + (" or …" if len(ordered) > _SHOWN else "")
