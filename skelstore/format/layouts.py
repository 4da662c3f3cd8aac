"""Annotation layouts: the structure that several annotations share.

A layout is an annotation without its values: a tree that names, for every key in order, the column of ``videos.arrow``
or the array that holds the value. A data set has a handful of layouts. ``Shredder`` takes annotations apart and learns
the layouts as it meets them; ``Assembler`` puts annotations together again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from skelstore.errors import StoreError, UnsupportedValueError
from skelstore.format import values
from skelstore.format.metadata import ColumnMetadata
from skelstore.format.schema import Annotation
from skelstore.format.structure import Matcher, Structure, key_of, matcher, trace
from skelstore.format.values import Json
from skelstore.wording import kind_of

MAX_LAYOUTS = 256
MAX_COLUMNS = 512
MAX_FIELDS = 64
MAX_VARIANTS = 8
"""Bounds for data in which no two annotations are alike. Beyond them an annotation is stored whole, as one JSON cell,
which is slower to read."""

_MAX_MATCHERS = 8
"""Maximum number of structures with the same keys that are tried before an annotation is traced."""


class FieldIdentity(NamedTuple):
    """What all rows of one array share: path in the annotation, dtype, number of ragged axes, fixed trailing axes.

    The path is JSON text, since keys that are equal in Python (1, 1.0, True) are different paths. ``variant``
    distinguishes arrays that agree in all of this but differ in chunks or codecs; a merged store may have several.
    """

    path: str
    dtype: str
    ragged: int
    trailing: tuple[int, ...]
    variant: int = 0


def of_keypoint(fields: Iterable[FieldIdentity]) -> list[tuple[int, tuple[int, ...]]]:
    """The number of ragged axes and the fixed axes of each field of ``keypoint``."""
    return [(field.ragged, field.trailing) for field in fields if field.path == values.dumps(["keypoint"])]


class Shredded(NamedTuple):
    """An annotation taken apart: ``leaves[i]`` belongs to ``targets[i]``, a column or, if negative, a field (~i)."""

    layout: int
    targets: list[int]
    leaves: list[Any]


class Shredder:
    """Takes annotations apart into columns and fields, which are numbered in the order of their first use."""

    def __init__(self) -> None:
        self.layouts: list[Json] = []
        self.columns: list[ColumnMetadata] = []
        self.fields: list[FieldIdentity] = []
        self._column_ids: dict[tuple[str, str], int] = {}
        self._field_ids: dict[FieldIdentity, int] = {}
        self._variants: dict[str, int] = {}
        self._known: dict[Structure, tuple[int, list[int]]] = {}
        self._matchers: dict[tuple[Any, ...], list[tuple[Matcher, tuple[int, list[int]]]]] = {}  # by keys
        self._whole: tuple[int, list[int]] | None = None

    def shred(self, annotation: Annotation) -> Shredded:
        """Take one annotation apart.

        Raises UnsupportedValueError, with the place of the value, for a value that no store can hold.
        """
        if type(annotation) is not dict:
            raise UnsupportedValueError(f"an annotation is {kind_of(annotation)}; expected a dict", "", annotation)
        for matches, known in self._matchers.get(tuple(annotation), ()):
            found: list[Any] = []
            if matches(annotation, found):
                return Shredded(*known, found)
        structure, leaves = trace(annotation)
        known = self._known.get(structure) or self._learn(structure, annotation)
        if known is self._whole:
            return Shredded(*known, [values.dumps(values.encode(annotation))])
        return Shredded(*known, leaves)

    def _learn(self, structure: Structure, annotation: Annotation) -> tuple[int, list[int]]:
        if len(self._known) < MAX_LAYOUTS and len(self.columns) < MAX_COLUMNS and len(self.fields) < MAX_FIELDS:
            targets: list[int] = []
            layout = self._template(iter(structure), (), targets)
            known = self._known[structure] = len(self.layouts), targets
            self.layouts.append(layout)
            alike = self._matchers.setdefault(tuple(annotation), [])
            if len(alike) < _MAX_MATCHERS and (matches := matcher(structure)) is not None:
                alike.append((matches, known))
            return known
        if self._whole is None:
            column = self._column((), "json")
            self._whole = len(self.layouts), [column]
            self.layouts.append({"column": column})
        return self._whole

    def _template(self, tokens: Iterator[Any], path: tuple[Json, ...], targets: list[int]) -> Json:
        """Build the layout of the value whose tokens come next, and append the target of each of its leaves."""
        token = next(tokens)
        if token == "none":
            return {"value": None}
        if isinstance(token, str):
            column = self._column(path, token)
            targets.append(column)
            return {"column": column}
        kind, *rest = token
        if kind == "array":
            field = self._field(path, *rest)
            targets.append(~field)
            return {"field": field}
        if kind == "tuple":
            return {"tuple": [self._template(tokens, (*path, i), targets) for i in range(rest[0])]}
        keys = [values.encode(key_of(key)) for key in rest]
        return {"dict": [[key, self._template(tokens, (*path, key), targets)] for key in keys]}

    def _column(self, path: tuple[Json, ...], kind: str) -> int:
        identity = values.dumps(path), kind
        column = self._column_ids.setdefault(identity, len(self.columns))
        if column == len(self.columns):
            self.columns.append(ColumnMetadata(path, kind))
        return column

    def _field(self, path: tuple[Json, ...], dtype: str, ragged: int, trailing: tuple[int, ...]) -> int:
        identity = FieldIdentity(values.dumps(path), dtype, ragged, trailing)
        if identity not in self._field_ids and self._variants.get(identity.path, 0) >= MAX_VARIANTS:
            identity = FieldIdentity(identity.path, dtype, ragged + len(trailing), ())
        field = self._field_ids.setdefault(identity, len(self.fields))
        if field == len(self.fields):
            self.fields.append(identity)
            self._variants[identity.path] = self._variants.get(identity.path, 0) + 1
        return field


class Assembler:
    """Puts annotations together again.

    ``columns`` and ``fields`` map each name to a function that takes a video's row in the table and returns the value.
    """

    def __init__(
        self,
        layouts: list[Json],
        columns: Mapping[str, Callable[[int], Any]],
        fields: Mapping[str, Callable[[int], Any]],
    ) -> None:
        self._columns = columns
        self._fields = fields
        self._entries = [self._compile_entries(layout) for layout in layouts]
        self._compiled = [
            self._compile(layout) if entries is None else _dict_of(list(entries.items()))
            for layout, entries in zip(layouts, self._entries, strict=True)
        ]
        self._field_names = [
            {values.decode(key): child["field"] for key, child in layout.get("dict", []) if "field" in child}
            for layout in layouts
        ]

    def annotation(self, layout: int, row: int) -> Annotation:
        """The annotation of a video."""
        annotation: Annotation = self._compiled[layout](row)
        if type(annotation) is not dict:
            raise StoreError(f"video {row} of the table is {kind_of(annotation)}, not a dict")
        return annotation

    def entries(self, layout: int, row: int) -> dict[Any, Callable[[int], Any]]:
        """The keys of a video's annotation, each with a function that takes the row and returns the value."""
        entries = self._entries[layout]
        if entries is not None:
            return entries
        whole = self.annotation(layout, row)
        return {key: _constant(value) for key, value in whole.items()}

    def fields(self, layout: int) -> dict[Any, str]:
        """For each key whose value is an array of the store, the name of that array."""
        return self._field_names[layout]

    def _compile_entries(self, layout: Json) -> dict[Any, Callable[[int], Any]] | None:
        if not isinstance(layout, dict) or list(layout) != ["dict"]:
            return None
        try:
            return dict(self._compile_children(layout["dict"], 1))
        except (TypeError, ValueError) as error:
            raise StoreError(f"a layout of the store does not follow the format: {error!r}") from error

    def _compile_children(self, body: Json, depth: int) -> list[tuple[Any, Callable[[int], Any]]]:
        """Compile a ``dict`` node. Raises as `_compile` does; TypeError or ValueError if the body is not pairs."""
        children = [(values.decode(key), child) for key, child in body]
        values.check_keys([key for key, _ in children])
        return [(key, self._compile(child, depth)) for key, child in children]

    def _compile(self, node: Json, depth: int = 0) -> Callable[[int], Any]:
        if depth > values.MAX_DEPTH:
            raise StoreError(f"a layout of the store is more than {values.MAX_DEPTH} containers deep")
        try:
            ((kind, body),) = node.items()
            if kind == "column":
                return self._columns[body]
            if kind == "field":
                return self._fields[body]
            if kind == "value":
                return _NOTHING if body is None else _constant(values.decode(body))
            if kind == "tuple":
                return _tuple_of([self._compile(child, depth + 1) for child in body])
            if kind == "dict":
                return _dict_of(self._compile_children(body, depth + 1))
        except StoreError:
            raise  # raised, with its message, by a level below
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StoreError(f"a layout of the store does not follow the format: {error!r}") from error
        raise StoreError(f"a layout of the store has a node of unknown kind {kind!r}")


def _constant(value: Any) -> Callable[[int], Any]:
    return lambda row: value


_NOTHING = _constant(None)


def _dict_of(entries: list[tuple[Any, Callable[[int], Any]]]) -> Callable[[int], Any]:
    return lambda row: {key: fetch(row) for key, fetch in entries}


def _tuple_of(fetches: list[Callable[[int], Any]]) -> Callable[[int], Any]:
    if len(fetches) == 2:
        first, second = fetches
        return lambda row: (first(row), second(row))
    return lambda row: tuple([fetch(row) for fetch in fetches])
