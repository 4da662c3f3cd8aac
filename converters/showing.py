"""One video of a store as a person reads it, for ``skelstore show``."""

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
    """Position of the video of a name, or at a position; of the first without either. A name goes before a position.

    Raises VideoNotFoundError, AmbiguousVideoError or VideoIndexError.
    """
    position = 0 if key is None else _integer(key)
    if key is not None and (key in store or position is None):
        return store.index(key)
    store.lazy(position or 0)  # raises if there is none
    return (position or 0) % len(store)


def _integer(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None


def portrait(store: Store, position: int) -> dict[str, Any]:
    """Name, splits and keys of a video, each with its type and value; of arrays dtype, shape and range."""
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
    """What splits call a video, as ``Store.split`` has it: nothing, if it has no such key or its value no hash."""
    key = identifier_of(store.lazy(0))
    return hashed(annotation[key]) if key in annotation else set()


def _holds(ids: Any, own: set[Any]) -> bool:
    return (is_run(ids) or isinstance(ids, dict)) and any(not own.isdisjoint(hashed(one)) for one in ids)


def _key(key: object) -> str:
    return key if isinstance(key, str) else full_repr(key)


def _value(value: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"type": class_name(type(value))}
    if isinstance(value, np.ndarray):
        return found | {"dtype": value.dtype.str, "shape": list(value.shape)} | _range(value)
    return found | {"value": value.item() if isinstance(value, np.generic) else value}


def as_json(found: dict[str, Any]) -> dict[str, Any]:
    """The same as JSON holds it, see ``_json``."""
    values = [value | {"value": _json(value["value"])} if "value" in value else value for value in found["values"]]
    return found | {"values": values}


def _json(value: Any) -> Any:
    """A value as JSON: numbers are numbers, tuples lists, arrays inside of them what ``portrait`` says of arrays.

    JSON has no numbers that are not finite: they are the texts "NaN", "Infinity" and "-Infinity". Whatever else it does
    not have, bytes and long numbers among it, is text as Python shows it.
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
    """Least and greatest value; how many are 0, and how many are not finite."""
    finite = array[np.isfinite(array)]
    found: dict[str, Any] = {"zeros": int(array.size - np.count_nonzero(array))}
    if len(finite) < array.size:
        found["not_finite"] = int(array.size - len(finite))
    if len(finite):
        found |= {"min": finite.min().item(), "max": finite.max().item()}
    return found


def as_lines(found: dict[str, Any]) -> list[str]:
    """The same for a person."""
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
