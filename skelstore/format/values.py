"""Any value of an annotation as JSON that keeps its Python type.

Values that JSON can represent stand for themselves: null, booleans, 64-bit integers, finite floats, text, lists.
Every other value is an object with exactly one member, which names the type; ``docs/format.md`` lists them.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import struct
from collections import Counter
from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy as np

from skelstore.errors import StoreError, UnsupportedValueError
from skelstore.wording import counted, kind_of

Json: TypeAlias = Any

INT_MIN = -(2**63)
INT_MAX = 2**63 - 1
MAX_DEPTH = 100
"""Maximum depth of nested containers; the JSON parsers of other readers have limits too."""

MAX_COLLIDING = 200
"""Maximum number of keys of one dict with the same hash: the time to build the dict grows with its square."""

_MAX_AXES = 64
"""Maximum number of axes in any version of NumPy."""
_MAX_SMALL = 300_000
_SMALL_BYTES = 8
"""A JSON text may have ``_MAX_SMALL`` lists and objects, and one more per ``_SMALL_BYTES`` bytes of text: each takes up
to 200 bytes in Python."""

NUMPY_SCALARS: dict[type, str] = {
    np.dtype(name).type: name
    for name in ("bool", *(f"{s}int{n}" for s in ("", "u") for n in (8, 16, 32, 64)), "float16", "float32", "float64")
}
"""Name of the dtype of each NumPy scalar type that a store can hold, except ``numpy.str_``.

NumPy has two scalar types for some dtypes (``longlong`` on Linux). The second type would come back as the first, so it
is refused.
"""

_ARRAY_DTYPES = frozenset(np.dtype(name) for name in NUMPY_SCALARS.values())
_DTYPES = {dtype.name: dtype for dtype in _ARRAY_DTYPES} | {
    swapped.str: swapped for dtype in _ARRAY_DTYPES for swapped in (dtype, dtype.newbyteorder())
}
_KEY_TYPES = (str, bytes, int, float, bool)


def is_storable_dtype(dtype: np.dtype[Any]) -> bool:
    """Whether arrays of the dtype can be stored: bool, 8- to 64-bit integers, 16- to 64-bit floats, any byte order."""
    return dtype.newbyteorder("=") in _ARRAY_DTYPES


def named_dtype(name: Json) -> np.dtype[Any]:
    """The dtype with this name (``float16``) or code (``>f2``). Raises StoreError if a store cannot hold it."""
    dtype = _DTYPES.get(name) if isinstance(name, str) else None
    if dtype is None:
        raise StoreError(f"dtype {name!r} is not one that a store can hold")
    return dtype


def is_utf8(text: str) -> bool:
    """Whether a text can be encoded as UTF-8 (a lone surrogate cannot)."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def encode(value: object, place: str = "", depth: int = 0) -> Json:
    """Encode a value as JSON.

    Raises UnsupportedValueError, with the place below ``place``, for any value that is not None, bool, int, float,
    str, bytes, tuple, list, dict, a NumPy scalar or a NumPy array of bool, integer or float.
    """
    kind = type(value)
    if value is None or kind is bool:
        return value
    if kind is int:
        return value if INT_MIN <= value <= INT_MAX else {"int": hex(value)}  # type: ignore[operator,arg-type]
    if kind is float:
        return value if math.isfinite(value) else {"float": struct.pack(">d", value).hex()}  # type: ignore[arg-type]
    if kind is str:
        return _encode_text(value)  # type: ignore[arg-type]
    if kind is bytes:
        return {"bytes": _base64(value)}  # type: ignore[arg-type]
    if kind in NUMPY_SCALARS:
        little = np.asarray(value).astype(np.dtype(kind).newbyteorder("<"))
        return {"numpy": [NUMPY_SCALARS[kind], little.tobytes().hex()]}
    if kind is np.str_:
        return {"numpy": ["str", _encode_text(str.__str__(value))]}  # str() would drop trailing NULs
    if kind is np.ndarray:
        return _encode_array(value, place)  # type: ignore[arg-type]
    if kind not in (list, tuple, dict):
        raise _unsupported(value, place, kind_of(value))
    if depth >= MAX_DEPTH:
        raise _unsupported(value, place, f"a {kind.__name__} more than {MAX_DEPTH} containers deep")
    if kind is dict:
        return {"dict": _encode_entries(value, place, depth)}  # type: ignore[arg-type]
    elements = [encode(element, f"{place}[{i}]", depth + 1) for i, element in enumerate(value)]  # type: ignore[arg-type,var-annotated]
    return elements if kind is list else {"tuple": elements}


def _encode_entries(value: dict[object, object], place: str, depth: int) -> list[Json]:
    entries = []
    if colliding_keys(value):
        raise _unsupported(value, place, f"a dict with more than {MAX_COLLIDING} keys of the same hash")
    for key, child in value.items():
        if type(key) not in _KEY_TYPES:
            raise _unsupported(key, place, f"a dict with {kind_of(key)} as a key")
        below = f"{place}.{key}" if type(key) is str else f"{place}[{key!r}]"
        entries.append([encode(key), encode(child, below, depth + 1)])
    return entries


def colliding_keys(keys: Iterable[object]) -> bool:
    """Whether too many keys have the same hash to be chance; in a store only integers beyond 64 bits can collide."""
    long = [hash(key) for key in keys if type(key) is int and not INT_MIN <= key <= INT_MAX]
    return len(long) > MAX_COLLIDING and max(Counter(long).values()) > MAX_COLLIDING


def _encode_text(text: str) -> Json:
    return text if is_utf8(text) else {"str": text.encode("utf-8", "surrogatepass").hex()}


def _encode_array(array: np.ndarray[Any, Any], place: str) -> Json:
    if not is_storable_dtype(array.dtype):
        raise _unsupported(array, place, kind_of(array))
    return {"ndarray": [array.dtype.str, list(array.shape), _base64(array.tobytes())]}


def _unsupported(value: object, place: str, found: str) -> UnsupportedValueError:
    return UnsupportedValueError(
        f"{place or 'the annotation'}: {found} cannot be stored; expected None, bool, int, float, str, bytes, tuple, "
        "list, dict, NumPy scalars or NumPy arrays of bool, integer or float",
        place,
        value,
    )


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def decode(node: Json) -> Any:
    """Decode what ``encode`` returned. Raises StoreError if the JSON does not have one of its forms."""
    try:
        return _decode(node, 0)
    except (ValueError, TypeError, OverflowError, struct.error, binascii.Error) as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(f"a stored value does not have the form that the format defines ({error})") from error


def _decode(node: Json, depth: int) -> Any:
    if depth > 2 * MAX_DEPTH:
        raise StoreError(f"a stored value is more than {2 * MAX_DEPTH} containers deep")
    if node is None or isinstance(node, (bool, int, float, str)):
        return node
    if isinstance(node, list):
        return [_decode(element, depth + 1) for element in node]
    if not isinstance(node, dict) or len(node) != 1:
        raise StoreError("a stored value is an object that does not name exactly one type")
    ((kind, body),) = node.items()
    if kind == "tuple":
        return tuple(_decode(element, depth + 1) for element in body)
    if kind == "dict":
        return _decode_dict(body, depth + 1)
    if kind == "int":
        return int(body, 16)
    if kind == "float":
        return struct.unpack(">d", bytes.fromhex(body))[0]
    if kind == "str":
        return bytes.fromhex(body).decode("utf-8", "surrogatepass")
    if kind == "bytes":
        return base64.b64decode(body, validate=True)
    if kind == "numpy":
        return _decode_numpy_scalar(*body, depth=depth)
    if kind == "ndarray":
        return _decode_array(*body)
    raise StoreError(f"a stored value names an unknown type {kind!r}")


def _decode_dict(body: Json, depth: int) -> dict[Any, Any]:
    entries = [(_decode(key, depth), child) for key, child in body]
    check_keys([key for key, _ in entries])
    return {key: _decode(child, depth) for key, child in entries}


def check_keys(keys: list[Any]) -> None:
    """Raise StoreError if these cannot be the keys of one dict of a store."""
    for key in keys:
        if type(key) not in _KEY_TYPES:
            raise StoreError(f"a stored dict has {kind_of(key)} as a key; expected str, bytes, int, float or bool")
    if colliding_keys(keys):
        raise StoreError(
            f"a stored dict has more than {MAX_COLLIDING} keys of the same hash, which does not happen by chance"
        )


def _decode_numpy_scalar(name: str, body: Json, *, depth: int) -> Any:
    if name == "str":
        text = _decode(body, depth + 1)
        if not isinstance(text, str):
            raise StoreError("a stored numpy.str_ is not text")
        return np.str_(text)
    dtype = named_dtype(name)
    return np.frombuffer(bytes.fromhex(body), dtype.newbyteorder("<"), 1).astype(dtype)[0]


def _decode_array(name: str, shape: list[int], body: str) -> np.ndarray[Any, Any]:
    dtype = named_dtype(name)
    if len(shape) > _MAX_AXES:
        raise StoreError(f"a stored array has {len(shape):,} axes, expected at most {_MAX_AXES}")
    data = bytearray(base64.b64decode(body, validate=True))
    if math.prod(shape) * dtype.itemsize != len(data) or any(n < 0 for n in shape):
        raise StoreError(f"a stored array of dtype {name} and shape {shape} has {counted(len(data), 'byte')}")
    return np.frombuffer(data, dtype).reshape(shape)


def copy_value(value: Any) -> Any:
    """A deep copy of a value that a store can hold.

    ``copy.deepcopy`` is not exact: with NumPy 1 it drops the trailing NULs of a ``numpy.str_``.
    """
    kind = type(value)
    if kind is np.ndarray:
        return value.copy(order="K")
    if kind is dict:
        return {key: copy_value(child) for key, child in value.items()}
    if kind is list or kind is tuple:
        return kind([copy_value(element) for element in value])
    return value  # it is immutable


def dumps(node: Json) -> str:
    """JSON as compact text; the same value always has the same text.

    Raises UnsupportedValueError if the text has more lists and objects than a reader accepts.
    """
    text = json.dumps(node, separators=(",", ":"), allow_nan=False)
    if reason := crowded(text):
        raise UnsupportedValueError(f"a value cannot be stored as JSON ({reason}): make it an array")
    return text


def crowded(text: str | bytes) -> str:
    """The reason to refuse a JSON text that has too many lists and objects for its size; empty if it is acceptable."""
    brackets = (text.count("["), text.count("{")) if isinstance(text, str) else (text.count(b"["), text.count(b"{"))
    if brackets[0] + 2 * brackets[1] <= _MAX_SMALL + len(text) // _SMALL_BYTES:
        return ""
    return f"it has {sum(brackets):,} lists and objects in {len(text):,} bytes, more than real data has"


def loads(text: str | bytes) -> Json:
    """Parse JSON text. Raises StoreError if it is not JSON, nests too deeply or has too many lists and objects."""
    if reason := crowded(text):
        raise StoreError(f"a stored value cannot be read: {reason}")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise StoreError(f"a stored value is not JSON ({error})") from error
