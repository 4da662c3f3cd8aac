"""Selecting videos of a store by labels, by names, or by an expression over the table."""

from __future__ import annotations

import ast
import json
import operator
import os
import re
from collections.abc import Callable, Iterable
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from converters.computed_columns import COMPUTED, compute_column
from skelstore import Store
from skelstore.errors import FieldNotFoundError, SkelstoreError, SourceError, VideoNotFoundError
from skelstore.format.files import open_regular
from skelstore.format.values import crowded
from skelstore.wording import closest, counted, shown_names

_RANGE = re.compile(r"(-?\d{1,18})-(-?\d{1,18})")
_MOST_BYTES = 64 << 20
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_TEXT_FUNCTIONS: dict[str, Callable[[pc.Expression, str], pc.Expression]] = {
    "startswith": pc.starts_with,
    "contains": pc.match_substring,
    "matches": pc.match_substring_regex,
}


def with_labels(store: Store, text: str) -> Store:
    """The videos with one of the labels in a text such as ``1,2,5-9`` or ``drink,A1``.

    If a video has a list of labels, one of them is enough.
    """
    numbers: set[int] = set()
    texts = {part.strip() for part in text.split(",")} - {""}
    spans = []
    for part in texts:
        if span := _RANGE.fullmatch(part):
            spans.append((int(span[1]), int(span[2])))
        elif re.fullmatch(r"-?\d{1,18}", part):
            numbers.add(int(part))

    def wanted(label: Any) -> bool:
        if isinstance(label, (list, tuple)):
            return any(map(wanted, label))
        if isinstance(label, str):
            return str(label) in texts
        if isinstance(label, (int, np.integer)) and not isinstance(label, bool):
            return int(label) in numbers or any(low <= label <= high for low, high in spans)
        return False

    lazy = (store.lazy(i) for i in range(len(store)))
    return store.at([i for i, video in enumerate(lazy) if "label" in video and wanted(video["label"])])


def with_names(store: Store, path: Path) -> Store:
    """The videos that a file names, in its order: one name per line, or a JSON list of texts in a ``.json`` file.

    Raises SourceError if the file does not have this form; VideoNotFoundError, with their number, for unknown names.
    """
    names = list(dict.fromkeys(_read_names(path)))
    places: dict[str, list[int]] = {}
    for i in range(len(store)):
        if (name := store.name(i)) is not None:
            places.setdefault(str(name), []).append(i)
    if missing := [name for name in names if name not in places]:
        count = counted(len(missing), "name")
        close = closest(missing[0], places)
        raise VideoNotFoundError(f"{path}: {store.path} has no video for {count} in it: {shown_names(missing)}{close}")
    return store.at([i for name in names for i in places[name]])


def _read_names(path: Path) -> list[str]:
    try:
        with open(path, encoding="utf-8-sig", opener=open_regular) as file:
            if (size := os.fstat(file.fileno()).st_size) > _MOST_BYTES:
                raise SourceError(f"{path} has {size:,} bytes; expected a list of names, of at most {_MOST_BYTES:,}")
            text = file.read()
    except SourceError:
        raise
    except ValueError as error:
        raise SourceError(f"{path} is not UTF-8 ({error}); expected one video name per line") from error
    if path.suffix != ".json":
        return [line for line in text.split("\n") if line]  # not splitlines: a name may contain U+2028
    if reason := crowded(text):
        raise SourceError(f"{path} is not a list of names ({reason})")
    try:
        names = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{path} is not JSON ({error}); expected a list of names") from error
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise SourceError(f"{path} is not a JSON list of texts; expected the names of videos")
    return names


def where(store: Store, text: str) -> Store:
    """The videos for which an expression is true, such as ``label < 10 and total_frames >= 30``.

    An expression consists of columns, numbers, texts, comparisons, ``in`` a list, ``and``, ``or``, ``not`` and the text
    functions ``startswith``, ``contains`` and ``matches``, as in ``startswith(frame_dir, "S001")``. ``matches``
    searches for a regular expression (RE2) anywhere in the text. Columns are those of ``store.videos``, by name
    (``img_shape.0``, also written ``img_shape[0]``; ``column("…")`` for any name), and those of ``COMPUTED``. No part
    of the expression is executed as Python code.

    A video without such a value is not selected. Raises SourceError if the text is not such an expression;
    FieldNotFoundError, which lists the columns, for an unknown column.
    """
    try:
        expression = _Expression(store, text)
        condition = expression.condition(ast.parse(_quote_columns(store, text.strip()), mode="eval").body)
        if not expression.computed:
            return store.select(condition)
        table = store.videos.append_column("", pa.array(np.arange(len(store))))
        for name, column in expression.computed.items():
            table = table.append_column(name, column)
        return store.at(table.filter(condition)[""].to_numpy())
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        if isinstance(error, SkelstoreError):
            raise
        if one := _ASSIGNED.search(_TEXT.sub("'…'", text)):
            hint = f"write == to compare, as {one[1]} == {one[2]}"
            raise SourceError(f"{text!r} is not an expression: {hint}") from error
        raise SourceError(f"{text!r} is not an expression ({error}); expected one like label < 10") from error
    except (pa.ArrowException, TypeError, OverflowError) as error:
        raise SourceError(f"{text!r} does not fit the columns that it names ({error})") from error


_TEXT = re.compile(r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*\"""")
_DOTTED = re.compile(rf"{_TEXT.pattern}|(?<![\w.])([^\W\d]\w*(?:[.:]\w+)+)")
_ASSIGNED = re.compile(r"([^\s<>=!:()]+)\s*(?<![<>=!:])=(?!=)\s*([^\s()]+)")


def _quote_columns(store: Store, text: str) -> str:
    """Write columns that are not one name in Python, such as ``img_shape.0``, as ``column("…")``."""
    names = set(store.videos.column_names)

    def quote(match: re.Match[str]) -> str:
        name = match[1]
        is_column = name and (name in names or re.search(r"\.\d", name))
        return f"column({name!r})" if is_column else match[0]

    return _DOTTED.sub(quote, text)


class _Expression:
    """Translates a parsed expression over the table of a store into an Arrow expression."""

    def __init__(self, store: Store, text: str) -> None:
        self._store = store
        self._schema = store.videos.schema
        self._text = text
        self.computed: dict[str, Any] = {}
        """The columns in the expression that are computed, since the table does not have them."""

    def condition(self, node: ast.expr) -> pc.Expression:
        """Translate a node that is true or false for a video."""
        if isinstance(node, ast.BoolOp):
            parts = [self.condition(value) for value in node.values]
            return reduce(operator.and_ if isinstance(node.op, ast.And) else operator.or_, parts)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return ~self.condition(node.operand)
        if isinstance(node, ast.Compare):
            return self._comparisons(node)
        if (function := self._text_function(node)) is not None:
            return function
        column = self._column(node)
        if column is None:
            raise self._refusal(node)
        return column

    def _text_function(self, node: ast.expr) -> pc.Expression | None:
        """Translate ``startswith(frame_dir, "S001")`` or ``frame_dir.startswith("S001")``; None for other nodes."""
        if not isinstance(node, ast.Call) or node.keywords:
            return None
        if isinstance(node.func, ast.Attribute):
            name, arguments = node.func.attr, [node.func.value, *node.args]
        else:
            name, arguments = getattr(node.func, "id", ""), node.args
        if name not in _TEXT_FUNCTIONS or len(arguments) != 2:
            return None
        column, text = self._column(arguments[0]), self._literal(arguments[1])
        if column is None or not isinstance(text, str):
            raise self._refusal(node)
        return _TEXT_FUNCTIONS[name](column, text)

    def _comparisons(self, node: ast.Compare) -> pc.Expression:
        sides = [node.left, *node.comparators]
        comparisons = []
        for left, op, right in zip(sides, node.ops, sides[1:], strict=False):
            if isinstance(op, (ast.In, ast.NotIn)):
                value = self._operand(left)
                # Arrow's isin is false for a missing value. Null, as in a comparison, stays null under ``not``.
                inside = pc.if_else(value.is_valid(), value.isin(self._elements(right)), pa.scalar(None, pa.bool_()))
                comparisons.append(~inside if isinstance(op, ast.NotIn) else inside)
            elif type(op) in _COMPARE:
                comparisons.append(_COMPARE[type(op)](self._operand(left), self._operand(right)))
            else:
                raise self._refusal(node)
        return reduce(operator.and_, comparisons)

    def _operand(self, node: ast.expr) -> pc.Expression:
        column = self._column(node)
        return pc.scalar(self._literal(node)) if column is None else column

    def _elements(self, node: ast.expr) -> pa.Array:
        if not isinstance(node, (ast.List, ast.Tuple, ast.Set)):
            raise self._refusal(node)
        return pa.array([self._literal(element) for element in node.elts])

    def _literal(self, node: ast.expr) -> Any:
        if isinstance(node, ast.Constant) and isinstance(node.value, (bool, int, float, str)):
            return node.value
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            value = self._literal(node.operand)
            if isinstance(value, (int, float)):
                return -value
        raise self._refusal(node)

    def _column(self, node: ast.expr) -> pc.Expression | None:
        """The named column; the columns of values with two types (int and numpy.int64) are combined."""
        name = self._name(node)
        if name is None:
            return None
        columns = [c for c in self._schema.names if c == name or c.startswith(f"{name}:")]
        if not columns:
            if name not in self.computed:
                column = compute_column(self._store, name)
                if column is None:
                    raise self._unknown(name)
                self.computed[name] = column
            return pc.field(name)
        kinds = {_kind(self._schema.field(c).type) for c in columns}
        if len(kinds) > 1:
            raise SourceError(
                f"{self._store.path}: {name} has values of different types, in the columns {', '.join(columns)}: write "
                f'one of them, as column("{columns[-1]}")'
            )
        fields = [pc.field(c) for c in columns]
        return fields[0] if len(fields) == 1 else pc.coalesce(*_alike(fields, kinds.pop()))

    def _unknown(self, name: str) -> FieldNotFoundError:
        there = self._schema.names
        if name in COMPUTED:
            return FieldNotFoundError(
                f"{self._store.path}: no video has {name!r}; the table has the columns {', '.join(there)}"
            )
        return FieldNotFoundError(
            f"{self._store.path} has no column {name!r}; the table has the columns {', '.join(there)}; computed are "
            f"{', '.join(COMPUTED)}{closest(name, [*there, *COMPUTED])}"
        )

    def _name(self, node: ast.expr) -> str | None:
        if isinstance(node, ast.Name):
            return node.id
        if isinstance(node, ast.Attribute):
            return self._below(node.value, node.attr)
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
            return self._below(node.value, str(node.slice.value))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "column":
            if len(node.args) == 1 and isinstance(node.args[0], ast.Constant) and not node.keywords:
                return str(node.args[0].value)
            raise self._refusal(node)
        return None

    def _below(self, node: ast.expr, key: str) -> str | None:
        name = self._name(node)
        return None if name is None else f"{name}.{key}"

    def _refusal(self, node: ast.AST) -> SourceError:
        part = ast.get_source_segment(self._text.strip(), node) or self._text
        return SourceError(
            f"{part!r} in {self._text!r} is not allowed there; expected names of columns, numbers, texts, comparisons, "
            f"in [...], and, or, not, {', '.join(_TEXT_FUNCTIONS)}"
        )


def _kind(kind: pa.DataType) -> str:
    if pa.types.is_boolean(kind):
        return "bool"
    if pa.types.is_integer(kind):
        return "integer"
    return "float" if pa.types.is_floating(kind) else str(kind)


def _alike(fields: Iterable[pc.Expression], kind: str) -> list[pc.Expression]:
    wide = {"integer": pa.int64(), "float": pa.float64()}.get(kind)
    return [field.cast(wide) if wide is not None else field for field in fields]
