"""Showing one video of a store, for ``skelstore show``."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from skelstore import Store
from skelstore.read.identifiers import identifier_of
from skelstore.splits import hashed, is_run
from skelstore.wording import class_name, full_repr, shown_title

_LONGEST = 100


def located(store: Store, key: str | None) -> int:
    """The position of the video that ``key`` names, or of the first video if ``key`` is None.

    ``key`` is a name or the text of a position; if it is both, the name counts. Raises VideoNotFoundError,
    AmbiguousVideoError or VideoIndexError.
    """
    position = 0 if key is None else _integer(key)
    if key is not None and (key in store or position is None):
        return store.index(key)
    store.lazy(position or 0)  # raises if there is no such video
    return (position or 0) % len(store)


def _integer(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None


def portrait(store: Store, position: int) -> dict[str, Any]:
    """The name and splits of a video, and its keys with type and value, or dtype, shape and range for arrays."""
    annotation = store[position]
    own = _identifier(store, annotation)
    return {
        "position": position,
        "name": store.name(position),
        "splits": [shown_title(name) for name, ids in store.splits.items() if _holds(ids, own)],
        "values": [
            {"key": key if isinstance(key, str) else full_repr(key), **_value(v)} for key, v in annotation.items()
        ],
    }


def _identifier(store: Store, annotation: dict[Any, Any]) -> set[Any]:
    """The id by which splits list a video, as a set; empty if the video has no such key or the value has no hash."""
    key = identifier_of(store.lazy(0))
    return hashed(annotation[key]) if key in annotation else set()


def _holds(ids: Any, own: set[Any]) -> bool:
    return (is_run(ids) or isinstance(ids, dict)) and any(not own.isdisjoint(hashed(one)) for one in ids)


def _key(key: object) -> str:
    return key if isinstance(key, str) else full_repr(key)


def _value(value: Any) -> dict[str, Any]:
    about: dict[str, Any] = {"type": class_name(type(value))}
    if isinstance(value, np.ndarray):
        return about | {"dtype": value.dtype.str, "shape": list(value.shape)} | _range(value)
    return about | {"value": value.item() if isinstance(value, np.generic) else value}


def as_json(found: dict[str, Any]) -> dict[str, Any]:
    """The result of ``portrait`` for JSON; see ``_json``."""
    values = [value | {"value": _json(value["value"])} if "value" in value else value for value in found["values"]]
    return found | {"values": values}


def _json(value: Any) -> Any:
    """A value for JSON: numbers stay numbers, tuples become lists, and nested arrays are described as by ``portrait``.

    Numbers that are not finite become the texts "NaN", "Infinity" and "-Infinity". Other values that JSON cannot
    represent, such as bytes and long numbers, become text as Python shows them.
    """
    if isinstance(value, np.ndarray):
        return _value(value)
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, dict):
        return {_key(key): _json(child) for key, child in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json(child) for child in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if value is None or isinstance(value, (bool, float, str)) or (isinstance(value, int) and value.bit_length() < 1024):
        return value
    return full_repr(value)


def _range(array: np.ndarray[Any, Any]) -> dict[str, Any]:
    """The smallest and largest value, the number of zeros, and the number of values that are not finite."""
    finite = array[np.isfinite(array)]
    figures: dict[str, Any] = {"zeros": int(array.size - np.count_nonzero(array))}
    if len(finite) < array.size:
        figures["not_finite"] = int(array.size - len(finite))
    if len(finite):
        figures |= {"min": finite.min().item(), "max": finite.max().item()}
    return figures


def as_lines(found: dict[str, Any]) -> list[str]:
    """The result of ``portrait`` as text."""
    splits = f", in {', '.join(found['splits'])}" if found["splits"] else ""
    lines = [f"video {found['position']:,}: {found['name']!r}{splits}"]
    width = max((len(value["key"]) for value in found["values"]), default=0)
    for value in found["values"]:
        if "dtype" in value:
            text = f"{value['dtype']} [{', '.join(map(str, value['shape']))}]{_range_text(value)}"
        else:
            text = full_repr(value["value"])
            text = f"{value['type']} {text if len(text) <= _LONGEST else f'{text[: _LONGEST - 1]}…'}"
        lines.append(f"  {value['key']:<{width}}  {text}")
    return lines


def _range_text(value: dict[str, Any]) -> str:
    count = int(np.prod(value["shape"], dtype=np.int64))
    text = f", {value['min']:g} to {value['max']:g}" if "min" in value else ""
    if count and value["zeros"]:
        text += f", {value['zeros'] / count:.0%} zeros"
    if "not_finite" in value:
        text += f", {value['not_finite']:,} not finite"
    return text
