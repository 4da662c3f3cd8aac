"""The bodies of answers: JSON that every browser reads, and arrays behind a JSON header."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skelstore.wording import full_repr, shown

LONGEST_TEXT = 300
"""Maximum number of characters of a text from a store in an answer; names of videos may have ``LONGEST_NAME``."""

LONGEST_NAME = 4096

MOST_ITEMS = 100
"""Maximum number of items of a list from a store that is one value in an answer, such as a list of labels."""

_ALIGNMENT = 8
_SAFE_INTEGER = 1 << 53
"""Integers up to this one are exact in JavaScript; larger ones are answered as text."""


def encode_json(value: Any) -> bytes:
    """The value as JSON in ASCII. Raises ValueError for NaN and infinity, which JSON does not have."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode("ascii")


def pack(header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """A header and arrays as one body: uint32 n, the header as JSON of n bytes, then the arrays; all little-endian.

    ``arrays`` are added to the header: name, dtype, shape, and offset in bytes from the end of the header. 4 + n and
    all offsets are multiples of 8.
    """
    entries: list[dict[str, Any]] = []
    parts: list[bytes] = []
    offset = 0
    for name, array in arrays.items():
        data = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
        entries.append({"name": name, "dtype": array.dtype.name, "shape": list(array.shape), "offset": offset})
        padding = -len(data) % _ALIGNMENT
        parts += [data, bytes(padding)]
        offset += len(data) + padding
    text = encode_json({**header, "arrays": entries})
    text += b" " * (-(4 + len(text)) % _ALIGNMENT)
    return b"".join([struct.pack("<I", len(text)), text, *parts])


def well_formed(text: str) -> str:
    """The text with "?" for each lone surrogate, which no address and no UTF-8 can hold."""
    return text.encode("utf-8", "replace").decode()


def shorten(text: str, most: int = LONGEST_TEXT) -> str:
    """The text, or its beginning and an ellipsis if it has more than ``most`` characters."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def as_plain(value: Any) -> Any:
    """A value of an annotation for JSON: None, bool, an exact number, a text, or a list of at most ``MOST_ITEMS``."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) <= _SAFE_INTEGER else shown(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return shorten(str(value))
    if isinstance(value, (list, tuple)):
        return [as_plain(item) if not isinstance(item, (list, tuple)) else shown(item) for item in value[:MOST_ITEMS]]
    return shown(value)


def key_text(key: object) -> str:
    """A key of an annotation as text."""
    return shorten(key if isinstance(key, str) else full_repr(key))
