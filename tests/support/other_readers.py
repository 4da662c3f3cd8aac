"""Check a store with other readers: zarr-python and pyarrow, and the second reader."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import zarr

import skelstore
from skelstore.format import values
from tests.support.exact import assert_exact
from tests.support.second_reader import SecondReader


def rows_of(annotations: list[dict[Any, Any]], path: tuple[Any, ...]) -> list[np.ndarray[Any, Any] | None]:
    """The value of each annotation at a path, if it is an array."""
    found: list[np.ndarray[Any, Any] | None] = []
    for annotation in annotations:
        value: Any = annotation
        for key in path:
            value = at(value, key)
        found.append(value if type(value) is np.ndarray else None)
    return found


def at(value: Any, key: Any) -> Any:
    """An element of a dict or tuple; the key must have the same type (1 is not 1.0)."""
    if type(value) is tuple and type(key) is int and key < len(value):
        return value[key]
    if type(value) is dict:
        return next((v for k, v in value.items() if type(k) is type(key) and repr(k) == repr(key)), None)
    return None


def check_by_zarr_python(path: Path, annotations: list[dict[Any, Any]]) -> None:
    """Check every array of a store with zarr-python and its table with pyarrow alone, according to docs/format.md."""
    group = zarr.open_group(path, mode="r")
    said = group.attrs["skelstore"]
    with pa.memory_map(str(path / "videos.arrow")) as source:
        table = pa.ipc.open_file(source).read_all()
    assert said["videos"] == table.num_rows == len(annotations)
    assert sorted(name for name, _ in group.arrays()) == sorted(said["fields"])
    held = 0
    for name, field in said["fields"].items():
        array = group[name]
        expected = rows_of(annotations, tuple(values.decode(key) for key in field["path"]))
        first = table[f"{name}.row"].to_pylist()
        dims = [table[f"{name}.dim{axis}"].to_pylist() for axis in range(field["ragged"])]
        whole = np.asarray(array[...])
        for number, start in enumerate(first):
            if start is None:
                continue
            shape = [dim[number] for dim in dims]
            found = whole[start : start + math.prod(shape)].reshape((*shape, *array.shape[1:]))
            wanted = expected[number]
            assert wanted is not None
            assert found.shape == wanted.shape
            assert found.astype(wanted.dtype).tobytes() == wanted.tobytes()
            assert found.dtype.newbyteorder("=") == wanted.dtype.newbyteorder("=")
            held += 1
    tabled = sum(number >= 0 for number in table["skelstore.layout"].to_pylist())
    assert tabled == len(annotations)
    assert held or not said["fields"]


def check_by_second_reader(path: Path, annotations: list[Any] | None = None) -> None:
    """Check annotations, names and splits of a store with the second reader."""
    second = SecondReader(path)
    with skelstore.open(path) as store:
        assert len(second) == len(store)
        assert_exact(second.splits(), store.splits)
        for i in range(len(store)):
            found = second.annotation(i)
            assert_exact(found, store[i], f"video {i}")
            if annotations is not None:
                assert_exact(found, annotations[i], f"annotation {i}")
            name = store.name(i)
            assert second.name(i) == name
            if name is not None:
                assert i in second.named(name)
        assert second.named("nobody at all") == []
