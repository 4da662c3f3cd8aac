"""The structure of an annotation: a tuple of tokens, one per value, in the order of the annotation.

The token of a value is the name of its type (``"int"``, ``"json"`` for what fits no column, ``"none"``),
``("array", dtype, ragged, trailing)``, ``("tuple", length)`` or ``("dict", *keys)``; the tokens of the elements follow.
The leaves of an annotation are its values other than None and these tuples and dicts, in the same order.

``trace`` finds the structure of any annotation. ``matcher`` returns a function that checks in half the time
whether an annotation has one particular structure: the videos of a data set have a handful of structures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np

from skelstore.errors import UnsupportedValueError
from skelstore.format import values
from skelstore.format.schema import Annotation

_MAX_TUPLE = 4
_MAX_DICT = 16
_MAX_TOP = 128
_MAX_NESTED = 3
_MAX_ROW_BYTES = 1 << 20

_SCALARS: dict[type, str] = {
    str: "str",
    int: "int",
    float: "float",
    bool: "bool",
    bytes: "bytes",
    np.str_: "numpy.str",
    **{kind: f"numpy.{name}" for kind, name in values.NUMPY_SCALARS.items()},
}
_RAGGED_BY_NAME: dict[str, Callable[[int], int]] = {
    "keypoint": lambda ndim: max(ndim - 2, 0),  # [M, T, V, C], or [N, V, C] compressed
    "keypoint_score": lambda ndim: max(ndim - 1, 0),  # [M, T, V]
    "frame_inds": lambda ndim: ndim,  # [N]
    "box_score": lambda ndim: ndim,  # [N]
}

Structure: TypeAlias = tuple[Any, ...]

Matcher: TypeAlias = Callable[[Any, list[Any]], bool]
"""Returns whether a value has the structure, and appends its leaves to the list; some of them if it has not."""


def trace(annotation: Annotation) -> tuple[Structure, list[Any]]:
    """The structure and the leaves of an annotation.

    Raises UnsupportedValueError, with the place of the value, for a value that no store can hold.
    """
    tokens: list[Any] = []
    leaves: list[Any] = []
    try:
        _trace_dict(annotation, 0, _MAX_TOP, tokens, leaves)
    except UnsupportedValueError:
        values.encode(annotation)  # raises with the place, which tracing does not track
        raise
    return tuple(tokens), leaves


def _trace(value: Any, key: Any, depth: int, tokens: list[Any], leaves: list[Any]) -> None:
    """Append the tokens that describe the structure of a value, and its leaves, in the same order."""
    kind = type(value)
    scalar = _SCALARS.get(kind)
    if scalar is not None:
        if (kind is int and not values.INT_MIN <= value <= values.INT_MAX) or (
            (kind is str or kind is np.str_) and not values.is_utf8(value)
        ):
            scalar, value = "json", values.dumps(values.encode(value))
        tokens.append(scalar)
        leaves.append(value)
    elif kind is np.ndarray:
        tokens.append(_array_token(value, key))
        leaves.append(value)
    elif value is None:
        tokens.append("none")
    elif kind is tuple and len(value) <= _MAX_TUPLE and depth < _MAX_NESTED:
        tokens.append(("tuple", len(value)))
        for element in value:
            _trace(element, key, depth + 1, tokens, leaves)
    elif kind is dict and depth < _MAX_NESTED:
        _trace_dict(value, depth, _MAX_DICT, tokens, leaves)
    else:
        tokens.append("json")
        leaves.append(values.dumps(values.encode(value)))


def _trace_dict(value: dict[Any, Any], depth: int, longest: int, tokens: list[Any], leaves: list[Any]) -> None:
    keys = tuple([key if type(key) is str else _key_token(key) for key in value])
    if len(keys) > longest or None in keys or any(len(key) > 200 for key in keys if type(key) is str):
        tokens.append("json")
        leaves.append(values.dumps(values.encode(value)))
        return
    tokens.append(("dict", *keys))
    for key, child in value.items():
        _trace(child, key, depth + 1, tokens, leaves)


def _key_token(key: Any) -> tuple[type, Any] | None:
    """A token that compares by type and exact value (1, 1.0 and True are one key to Python); None for other keys."""
    kind = type(key)
    if kind is float:
        return None if key != key else (kind, key.hex())
    return (kind, key) if kind in (int, bytes, bool) else None


def key_of(token: Any) -> Any:
    """The key of a dict from its token in ``("dict", *keys)``."""
    if isinstance(token, str):
        return token
    kind, key = token
    return float.fromhex(key) if kind is float else key


def _ragged(key: Any, ndim: int) -> int:
    """The number of ragged axes of an array with this key, if its rows are neither empty nor too long."""
    rule = _RAGGED_BY_NAME.get(key) if type(key) is str else None
    return rule(ndim) if rule else min(ndim, 1) if ndim < 3 else 2


def _array_token(array: np.ndarray[Any, Any], key: Any) -> tuple[Any, ...]:
    dtype = array.dtype
    if not values.is_storable_dtype(dtype):
        raise UnsupportedValueError("an array of another dtype")
    ndim = array.ndim
    ragged = _ragged(key, ndim)
    trailing = array.shape[ragged:]
    row_bytes = dtype.itemsize
    for n in trailing:
        row_bytes *= n
    if not 0 < row_bytes <= _MAX_ROW_BYTES:
        ragged, trailing = ndim, ()
    return ("array", dtype.str, ragged, trailing)


def matcher(structure: Structure) -> Matcher | None:
    """A function that accepts exactly the annotations with this structure; None if that has no simple check.

    It accepts no annotation that ``trace`` refuses. There is none for JSON cells, for arrays whose rows are empty or
    too long, and for dicts with the key 0.0, which is equal to -0.0.
    """
    return _matcher(iter(structure), None)


def _matcher(tokens: Iterator[Any], key: Any) -> Matcher | None:
    """The matcher of the value whose tokens come next."""
    token = next(tokens)
    if isinstance(token, str):
        return _SCALAR_MATCHERS.get(token)
    kind, *rest = token
    if kind == "array":
        return _match_array(key, *rest)
    keys = [key] * rest[0] if kind == "tuple" else [key_of(part) for part in rest]
    children = []
    for below in keys:
        child = _matcher(tokens, below)
        if child is None:
            return None
        children.append(child)
    return _match_tuple(children) if kind == "tuple" else _match_dict(tuple(keys), children)


def _match_none(value: Any, leaves: list[Any]) -> bool:
    return value is None


def _match_int(value: Any, leaves: list[Any]) -> bool:
    leaves.append(value)
    return type(value) is int and values.INT_MIN <= value <= values.INT_MAX


def _match_text(kind: type) -> Matcher:
    def match(value: Any, leaves: list[Any]) -> bool:
        leaves.append(value)
        return type(value) is kind and (value.isascii() or values.is_utf8(value))  # type: ignore[attr-defined,arg-type]

    return match


def _match_type(kind: type) -> Matcher:
    def match(value: Any, leaves: list[Any]) -> bool:
        leaves.append(value)
        return type(value) is kind

    return match


_SCALAR_MATCHERS: dict[str, Matcher] = {
    **{name: _match_type(kind) for kind, name in _SCALARS.items()},
    "str": _match_text(str),
    "numpy.str": _match_text(np.str_),
    "int": _match_int,
    "none": _match_none,
}


def _match_array(key: Any, name: str, ragged: int, trailing: tuple[int, ...]) -> Matcher | None:
    ndim = ragged + len(trailing)
    if _ragged(key, ndim) != ragged:  # all axes are ragged because of the lengths of this array's axes
        return None
    dtype = np.dtype(name)

    def match(value: Any, leaves: list[Any]) -> bool:
        leaves.append(value)
        if type(value) is not np.ndarray or value.dtype != dtype:
            return False
        shape = value.shape
        return len(shape) == ndim and shape[ragged:] == trailing

    return match


def _match_tuple(children: list[Matcher]) -> Matcher:
    length = len(children)

    def match(value: Any, leaves: list[Any]) -> bool:
        if type(value) is not tuple or len(value) != length:
            return False
        for matches, child in zip(children, value, strict=True):  # noqa: SIM110 - a generator takes twice the time
            if not matches(child, leaves):
                return False
        return True

    return match


def _match_dict(keys: tuple[Any, ...], children: list[Matcher]) -> Matcher | None:
    if any(type(key) is float and key == 0 for key in keys):
        return None
    kinds = tuple(map(type, keys))

    def match(value: Any, leaves: list[Any]) -> bool:
        # Keys that are equal and of the same type are the same, except for the two zeros.
        if type(value) is not dict or tuple(map(type, value)) != kinds or tuple(value) != keys:
            return False
        for matches, child in zip(children, value.values(), strict=True):  # noqa: SIM110
            if not matches(child, leaves):
                return False
        return True

    return match
