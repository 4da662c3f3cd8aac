"""Peers that hold arrays, not annotations: zarr-python, zarrs, tensorstore, h5py, Lance.

They get a table of the videos in memory at no cost: the rows of each video in the arrays, and its other values as a
dict that only needs to be copied. The timing covers their own slicing, one call per field.
"""

from __future__ import annotations

import json
import math
from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pyarrow as pa

import skelstore
from converters.bench.data import Annotation, DataSet, array_fields
from converters.bench.peers import Peer, UnsuitedError


class Run(NamedTuple):
    """Rows ``start`` to ``stop`` of a field's array, and the shape of the video's array."""

    field: str
    start: int
    stop: int
    shape: tuple[int, ...]


def common_fields(data: DataSet) -> list[str]:
    """The array fields that all videos have. Raises UnsuitedError if videos have different fields, dtypes or widths."""
    fields = array_fields(data.loaded[0])
    with skelstore.open(data.store("default")) as store:
        alike = set(store.fields) == set(fields) and all(array_fields(a) == fields for a in data.loaded)
    if not alike:
        raise UnsuitedError("the videos do not all have the same arrays, of one dtype and width each")
    return fields


def runs(store: Path, fields: list[str]) -> Iterator[list[Run]]:
    """The rows of each video in the arrays of a store, from its ``videos.arrow`` (docs/format.md)."""
    table = pa.ipc.open_file(store / "videos.arrow").read_all()
    places = []
    for field in fields:
        trailing = tuple(json.loads((store / field / "zarr.json").read_bytes())["shape"][1:])
        names = [name for name in table.column_names if name.startswith(f"{field}.dim")]
        dims = zip(*(table[name].to_pylist() for name in sorted(names)), strict=True)
        places.append(
            [
                Run(field, row, row + math.prod(dim), (*dim, *trailing))
                for row, dim in zip(table[f"{field}.row"].to_pylist(), dims, strict=True)
            ]
        )
    yield from (list(place) for place in zip(*places, strict=True))


class RowPeer(Peer):
    """Reads our arrays, of the profile ``default``, with its own code."""

    def build(self, data: DataSet, folder: Path) -> None:
        self.store = data.store("default")
        self.fields = common_fields(data)
        values = ({k: None if k in self.fields else v for k, v in annotation.items()} for annotation in data.loaded)
        self.videos = dict(zip(data.names, zip(values, runs(self.store, self.fields), strict=True), strict=True))

    def get(self, name: str) -> Annotation:
        values, places = self.videos[name]
        annotation = values.copy()
        arrays = self.arrays
        for field, start, stop, shape in places:
            annotation[field] = arrays[field][start:stop].reshape(shape)
        return annotation

    def open(self) -> None:
        self.arrays: dict[str, Any] = self.open_arrays()

    @abstractmethod
    def open_arrays(self) -> dict[str, Any]:
        """The array of each field."""

    def close(self) -> None:
        self.arrays = {}


class ZarrPython(RowPeer):
    """zarr-python slicing our arrays."""

    name = "zarr-python"
    modules: ClassVar[tuple[str, ...]] = ("zarr",)
    install = "pip install zarr"
    pipeline: str | None = None

    def open_arrays(self) -> dict[str, Any]:
        import zarr

        # An array keeps the pipeline that is set when it is opened.
        with zarr.config.set({"codec_pipeline.path": self.pipeline} if self.pipeline else {}):
            group = zarr.open_group(self.store, mode="r")
            return {field: group[field] for field in self.fields}


class Zarrs(ZarrPython):
    """zarr-python with the codec pipeline of zarrs. It hangs in a forked child, but nothing here forks."""

    name = "zarrs"
    modules = ("zarr", "zarrs")
    install = "pip install zarrs"
    pipeline = "zarrs.ZarrsCodecPipeline"


class Tensorstore(RowPeer):
    """tensorstore reading our arrays. It hangs in a forked child, but nothing here forks."""

    name = "tensorstore"
    modules = ("tensorstore",)
    install = "pip install tensorstore"

    def open_arrays(self) -> dict[str, Any]:
        import tensorstore

        return {
            field: _Slices(
                tensorstore.open(
                    {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{self.store / field}/"}}, read=True
                ).result()
            )
            for field in self.fields
        }


class _Slices:
    """A tensorstore array that is read when it is sliced."""

    def __init__(self, array: Any) -> None:
        self._array = array

    def __getitem__(self, key: slice) -> Any:
        return self._array[key].read().result()


class Hdf5(RowPeer):
    """h5py: one dataset per field with the rows and chunks of our arrays; shuffle and lzf, the faster of its codecs.

    Without shuffle, lzf hardly compresses float16 and stores most chunks uncompressed, so it is as fast as `PlainHdf5`.
    With shuffle the file is about as large as our ``default``. gzip, its other codec, takes half as long again.
    """

    name = "h5py"
    modules = ("h5py",)
    install = "pip install h5py"
    filters: ClassVar[dict[str, Any]] = {"compression": "lzf", "shuffle": True}

    def build(self, data: DataSet, folder: Path) -> None:
        import h5py
        import zarr

        super().build(data, folder)
        self._path = folder / "arrays.h5"
        group = zarr.open_group(self.store, mode="r")
        with h5py.File(self._path, "w") as file:
            for field in self.fields:
                array: Any = group[field]
                # The padding rows between parts are not in the store; nothing reads them.
                file.create_dataset(field, array.shape, array.dtype, chunks=array.chunks, **self.filters)
                step = array.shards[0]
                for start in range(0, array.shape[0], step):
                    file[field][start : start + step] = array[start : start + step]

    def open_arrays(self) -> dict[str, Any]:
        import h5py

        self._file = h5py.File(self._path, "r")
        return {field: self._file[field] for field in self.fields}

    def close(self) -> None:
        super().close()
        self._file.close()


class PlainHdf5(Hdf5):
    """h5py without a codec, to compare with ``fast``."""

    name = "h5py, uncompressed"
    filters: ClassVar[dict[str, Any]] = {}


class Lance(Peer):
    """Lance: one row per video, the bytes of each array in a column, ``take`` of one row.

    Shapes and other values are in memory, as for the others. It hangs in a forked child, but nothing here forks.
    """

    name = "Lance"
    modules = ("lance",)
    install = "pip install pylance"

    def build(self, data: DataSet, folder: Path) -> None:
        import lance

        self._path = folder / "videos.lance"
        first = data.loaded[0]
        self._fields = {key: first[key].dtype for key in common_fields(data)}
        schema = pa.schema([(field, pa.large_binary()) for field in self._fields])
        self._videos = {
            name: (i, {k: v.shape if k in self._fields else v for k, v in annotation.items()})
            for i, (name, annotation) in enumerate(zip(data.names, data.loaded, strict=True))
        }
        batches = (
            pa.record_batch([[annotation[field].tobytes()] for field in self._fields], schema=schema)
            for annotation in data.loaded
        )
        lance.write_dataset(pa.RecordBatchReader.from_batches(schema, batches), self._path)

    def open(self) -> None:
        import lance

        self._dataset = lance.dataset(self._path)

    def get(self, name: str) -> Annotation:
        index, values = self._videos[name]
        annotation = values.copy()
        row = self._dataset.take([index], columns=list(self._fields))
        for field, dtype in self._fields.items():
            annotation[field] = np.frombuffer(row[field][0].as_buffer(), dtype).reshape(values[field])
        return annotation

    def close(self) -> None:
        del self._dataset
