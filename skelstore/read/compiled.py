"""The compiled reader (``core.c``, ``chunks.c``): the same annotations as the Python code, in a fraction of the time.

This module chooses whether and how it is used, and describes a store to it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa
from numcodecs import blosc
from numpy.typing import NDArray

from skelstore.format import values
from skelstore.format.metadata import StoreMetadata
from skelstore.format.values import Json
from skelstore.read.arrays import ArrayReader
from skelstore.read.places import Places
from skelstore.read.table import numeric_column, text_buffers

if TYPE_CHECKING:
    from skelstore.read.core import Core

try:
    if os.environ.get("SKELSTORE_PURE_PYTHON", "") not in ("", "0"):
        raise ImportError("SKELSTORE_PURE_PYTHON is set")
    from skelstore.read import core
except ImportError:
    core = None  # type: ignore[assignment,unused-ignore]

COMPILED = core is not None
"""Whether the compiled reader is used: it was built, and ``SKELSTORE_PURE_PYTHON`` is not set."""

Fetch: TypeAlias = Callable[[int], Any]
"""A function of the Python reader from a video's row to a value."""

_PLAIN, _BLOSC, _TRANSPOSED = range(3)
_CALL, _CONSTANT, _TEXT, _INT, _FLOAT, _TUPLE, _DICT, _ARRAY = range(8)
"""Numbers in ``core.c`` and ``chunks.h``: how chunks are encoded, and the kinds of nodes of a layout."""

_MAX_AXES = 32
_MAX_CHUNK_BYTES = 1 << 30
"""Limits of the compiled reader. Arrays beyond them, which only damaged stores have, are read by Python."""


class Parts(NamedTuple):
    """What the Python reader has opened: the parts of which annotations are assembled, by the names of the format."""

    metadata: StoreMetadata
    table: pa.Table
    arrays: Mapping[str, ArrayReader]
    places: Places
    columns: Mapping[str, Fetch]
    fields: Mapping[str, Fetch]
    partial: bool
    """Whether the table is fetched in parts, so that nothing in it may be looked at before a row is ready."""


def find_blosc(path: str | None) -> bool:
    """Let the compiled reader decode by the function that a loaded library exports; None: by none. Whether it does.

    That the extension of numcodecs exports the function of c-blosc is a property of its build, so the function is tried
    on a chunk. Without it, the Python reader reads compressed arrays.
    """
    chunk = bytes(range(256))
    coded = blosc.compress(chunk, b"lz4", 5, blosc.BITSHUFFLE, 0)
    return core.use_blosc(path, coded, chunk)


DIRECT_BLOSC = COMPILED and find_blosc(blosc.__file__)
"""Whether the compiled reader decodes chunks without calling Python."""


def memory_bytes() -> int:
    """The memory of this machine in bytes."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def compile_layouts(
    parts: Parts,
    layouts: NDArray[np.int32],
    mmap: bool,
    fallback: Fetch,
    load_names: Callable[[], Any],
    fetch: Callable[[list[int]], None] | None,
    ready: tuple[NDArray[np.uint8], int] | None,
) -> Core:
    """The compiled reader of a store. ``layouts`` [videos] has the layout of each video.

    ``fallback`` is the Python reader, from a row to its annotation; ``load_names`` returns the columns of the index of
    names, or None. ``fetch`` of a remote store is called with the rows of videos of which something is missing here.
    ``ready`` of a table that is fetched in parts has a byte per group of rows, 1 if they may be looked at, and the
    number of rows of a group.
    """
    names = [name for name, array in parts.arrays.items() if _is_supported(array)]
    arrays = [_describe_array(parts.arrays[name], mmap) for name in names]
    numbers = {name: number for number, name in enumerate(names)}
    nodes = [_describe(parts, numbers, layout) for layout in parts.metadata.layouts]
    return core.Core(nodes, arrays, np.ascontiguousarray(layouts), fallback, load_names, fetch, *(ready or (None, 1)))


def _is_supported(array: ArrayReader) -> bool:
    """Whether the compiled reader can read an array."""
    metadata = array.metadata
    few_axes = len(metadata.trailing) <= _MAX_AXES
    small = 0 < metadata.row_bytes * metadata.chunk_rows <= _MAX_CHUNK_BYTES
    return few_axes and small and (DIRECT_BLOSC or not array.codec.compressed)


def _describe_array(array: ArrayReader, mmap: bool) -> tuple[Any, ...]:
    metadata = array.metadata
    codec = array.codec
    coding = _TRANSPOSED if codec.transposed else _BLOSC if codec.compressed else _PLAIN
    return (
        *(metadata.dtype, metadata.trailing, metadata.row_bytes, metadata.chunk_rows, metadata.shard_rows),
        *(coding, mmap, array.check == "always", array.open_file),
    )


def _describe(parts: Parts, numbers: Mapping[str, int], node: Json) -> tuple[Any, ...]:
    """The description of a node of a layout, which the Python reader has compiled already, so it follows the format."""
    ((kind, body),) = node.items()
    if kind == "dict":
        children = [(values.decode(key), _describe(parts, numbers, child)) for key, child in body]
        return _DICT, [child for _, child in children], tuple(key for key, _ in children)
    if kind == "tuple":
        return _TUPLE, [_describe(parts, numbers, child) for child in body]
    if kind == "value":
        return _CONSTANT, values.decode(body)
    if kind == "column":
        return _describe_column(parts, body)
    array = parts.arrays[body]
    first, lengths = parts.places[body]
    if body not in numbers or len(lengths) + len(array.metadata.trailing) > _MAX_AXES:
        return _CALL, parts.fields[body]
    return _ARRAY, lengths, numbers[body], first


def _describe_column(parts: Parts, name: str) -> tuple[Any, ...]:
    kind = parts.metadata.columns[name].type
    if kind == "str":
        return _TEXT, *text_buffers(parts.table, name, pa.large_utf8(), partial=parts.partial)
    if kind == "int":
        return _INT, numeric_column(parts.table, name, pa.int64())
    if kind == "float":
        return _FLOAT, numeric_column(parts.table, name, pa.float64())
    return _CALL, parts.columns[name]
