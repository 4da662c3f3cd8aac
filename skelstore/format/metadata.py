"""The JSON files of a store; no other module knows their members.

They are the group's ``zarr.json`` (with ``attributes.skelstore``), the ``zarr.json`` of each array, and
``manifest.json``. ``docs/format.md`` is the specification. This module does no I/O.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from reprlib import repr as show
from typing import Any

import numpy as np

from skelstore.errors import DamageError, StoreError
from skelstore.format.checksums import Blocks, FileEntry, crc32c
from skelstore.format.chunking import Grid
from skelstore.format.codecs import Profile, chunk_codecs
from skelstore.format.schema import FORMAT_VERSION
from skelstore.format.shards import DIGEST_BYTES, ShardFile, shard_key
from skelstore.format.values import Json, crowded, named_dtype

MAX_JSON_BYTES = 256 << 20
MAX_FIELDS = 10_000
MAX_COLUMNS = 20_000
MAX_LAYOUTS = 50_000
"""Bounds of a store, so that opening it takes seconds at most; ``skelstore.format.layouts`` has those of a part."""

_MAX_AXES = 1000

_HEXADECIMAL = re.compile("[0-9a-f]*")
_INDEX_CODECS = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}]


@dataclass(frozen=True)
class ArrayMetadata:
    """Shape, chunks and codecs of one array [rows, *trailing]: the content of its ``zarr.json``."""

    rows: int
    trailing: tuple[int, ...]
    dtype: np.dtype[Any]
    chunk_rows: int
    shard_rows: int
    codecs: list[Json]

    @property
    def chunk_shape(self) -> tuple[int, ...]:
        return (self.chunk_rows, *self.trailing)

    @property
    def chunks_per_shard(self) -> int:
        return self.shard_rows // self.chunk_rows

    @property
    def row_bytes(self) -> int:
        return int(np.prod(self.trailing, dtype=np.int64)) * self.dtype.itemsize

    @property
    def shards(self) -> int:
        return -(-self.rows // self.shard_rows)

    def shard_key(self, shard: int) -> str:
        """File name of a shard in the array's folder."""
        return shard_key(shard, len(self.trailing))

    @classmethod
    def plan(cls, dtype: np.dtype[Any], trailing: tuple[int, ...], grid: Grid, profile: Profile) -> ArrayMetadata:
        """The metadata of an array without rows."""
        codecs = chunk_codecs(profile, dtype, (grid.chunk_rows, *trailing))
        return cls(0, trailing, dtype, grid.chunk_rows, grid.shard_rows, codecs)

    def to_json(self, name: str) -> Json:
        """The Zarr v3 metadata of the array."""
        return {
            "zarr_format": 3,
            "node_type": "array",
            "shape": [self.rows, *self.trailing],
            "data_type": self.dtype.newbyteorder("=").name,
            "chunk_grid": {
                "name": "regular",
                "configuration": {"chunk_shape": [self.shard_rows, *self.trailing]},
            },
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "."}},
            "fill_value": False if self.dtype.kind == "b" else 0.0 if self.dtype.kind == "f" else 0,
            "codecs": [
                {
                    "name": "sharding_indexed",
                    "configuration": {
                        "chunk_shape": list(self.chunk_shape),
                        "codecs": self.codecs,
                        "index_codecs": _INDEX_CODECS,
                        "index_location": "end",
                    },
                }
            ],
            "attributes": {},
            "dimension_names": [f"{name}.row", *(f"{name}.axis{i}" for i in range(1, len(self.trailing) + 1))],
        }

    @classmethod
    def from_json(cls, node: Json, place: str) -> ArrayMetadata:
        """Parse an array's ``zarr.json``. Raises StoreError naming ``place`` if it does not follow the format."""
        try:
            (sharding,) = node["codecs"]
            options = sharding["configuration"]
            shape = _naturals(node["shape"])
            shard_shape = _naturals(node["chunk_grid"]["configuration"]["chunk_shape"])
            chunk_shape = _naturals(options["chunk_shape"])
            dtype = _dtype(node["data_type"], options["codecs"])
            if node["zarr_format"] != 3 or node["node_type"] != "array" or sharding["name"] != "sharding_indexed":
                raise StoreError("it is not a sharded Zarr v3 array")
            if options["index_codecs"] != _INDEX_CODECS or options.get("index_location", "end") != "end":
                raise StoreError("the index of a shard is not at its end, little-endian, with a crc32c")
            if node["chunk_key_encoding"] != {"name": "default", "configuration": {"separator": "."}}:
                raise StoreError("the files of the shards are not named c.0, c.1, …")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StoreError(f"{place} does not describe an array of a store: {_reason(error)}") from error
        trailing = shape[1:]
        if (
            not 0 < len(shape) <= _MAX_AXES
            or shard_shape[1:] != trailing
            or chunk_shape[1:] != trailing
            or 0 in (*chunk_shape, shard_shape[0])
            or shard_shape[0] % chunk_shape[0]
            or math.prod(chunk_shape) > 2**31
            or shard_shape[0] // chunk_shape[0] > 2**31
            or shape[0] >= 2**62
        ):
            raise StoreError(
                f"{place}: shape {show(shape)}, shards {show(shard_shape)}, chunks {show(chunk_shape)}; expected "
                "chunks and shards of whole rows, and whole chunks in a shard"
            )
        return cls(shape[0], trailing, dtype, chunk_shape[0], shard_shape[0], options["codecs"])


def _dtype(data_type: Json, codecs: list[Json]) -> np.dtype[Any]:
    if not isinstance(data_type, str) or data_type[:1] in "<>|":
        raise StoreError(f"data type {show(data_type)} is not one that a store can hold")
    dtype = named_dtype(data_type)
    for codec in codecs:
        if codec["name"] == "bytes" and codec.get("configuration", {}).get("endian") == "big":
            return dtype.newbyteorder(">")
    return dtype


def _naturals(values: Json) -> tuple[int, ...]:
    if not isinstance(values, list) or not all(type(n) is int and n >= 0 for n in values):
        raise StoreError(f"{show(values)} is not a list of sizes")
    return tuple(values)


def _file_entry(node: Json) -> FileEntry:
    (size,) = _naturals([node["size"]])
    blocks = _blocks(node["blocks"], size) if "blocks" in node else None
    return FileEntry(size, int(_hexadecimal(node["crc32c"], 8), 16), blocks)


def _blocks(node: Json, size: int) -> Blocks:
    (block_bytes,) = _naturals([node["size"]])
    checksums = base64.b64decode(node["crc32c"], validate=True)
    if block_bytes == 0 or len(checksums) != 4 * -(-size // block_bytes):
        raise ValueError(f"there are not as many checksums of blocks as {size:,} bytes have")
    return Blocks(block_bytes, checksums)


def _hexadecimal(text: Json, digits: int) -> str:
    if not isinstance(text, str) or len(text) != digits or not _HEXADECIMAL.fullmatch(text):
        raise StoreError(f"{show(text)} was found, expected {digits} hexadecimal digits")
    return text


@dataclass(frozen=True)
class Manifest:
    """Every file of a store except the root ``zarr.json`` and the manifest itself."""

    files: dict[str, FileEntry]
    shards: dict[str, ShardFile]

    def to_bytes(self) -> bytes:
        entries: dict[str, Json] = {
            key: {"size": entry.size, "crc32c": f"{entry.crc32c:08x}"} for key, entry in self.files.items()
        }
        for key, entry in self.files.items():
            if entry.blocks is not None:
                checksums = base64.b64encode(entry.blocks.checksums).decode()
                entries[key]["blocks"] = {"size": entry.blocks.size, "crc32c": checksums}
        for key, shard in self.shards.items():
            entries[key] = {"size": shard.size, "crc32c": f"{shard.crc32c:08x}", "digest": shard.digest}
        return to_bytes({"files": dict(sorted(entries.items()))})

    @classmethod
    def from_bytes(cls, data: bytes, place: str) -> Manifest:
        try:
            files: dict[str, FileEntry] = {}
            shards: dict[str, ShardFile] = {}
            for key, node in from_bytes(data, place)["files"].items():
                if "\0" in key or key.startswith("/") or ".." in key.split("/"):
                    raise ValueError(f"{show(key)} cannot be the name of a file in a store")
                entry = _file_entry(node)
                if "digest" in node:
                    shards[key] = ShardFile(entry.size, entry.crc32c, _hexadecimal(node["digest"], 2 * DIGEST_BYTES))
                else:
                    files[key] = entry
            return cls(files, shards)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StoreError(f"{place} is not a manifest: {_reason(error)}") from error


@dataclass(frozen=True)
class ColumnMetadata:
    """A column of ``videos.arrow``: the path of its values in an annotation, and their Python type."""

    path: tuple[Json, ...]
    type: str


@dataclass(frozen=True)
class FieldMetadata:
    """An array of the store: the path of its values in an annotation, and the number of leading ragged axes."""

    path: tuple[Json, ...]
    ragged: int


@dataclass(frozen=True)
class StoreMetadata:
    """``attributes.skelstore`` of the root ``zarr.json``."""

    videos: int
    profile: str
    columns: dict[str, ColumnMetadata]
    fields: dict[str, FieldMetadata]
    layouts: list[Json]
    source: dict[str, Json]
    manifest: FileEntry
    version: int = field(default=FORMAT_VERSION)

    def to_bytes(self, arrays: Mapping[str, Json]) -> bytes:
        """The root ``zarr.json``.

        ``arrays`` are the ``zarr.json`` of all arrays. They are repeated as zarr-python's consolidated metadata, so
        zarr-python need not list the folder and does not meet the files in it that are not Zarr nodes.
        """
        content: dict[str, Json] = {
            "version": self.version,
            "videos": self.videos,
            "profile": self.profile,
            "fields": {name: {"path": list(f.path), "ragged": f.ragged} for name, f in self.fields.items()},
            "columns": {name: {"path": list(c.path), "type": c.type} for name, c in self.columns.items()},
            "layouts": self.layouts,
            "source": self.source,
            "manifest": {"size": self.manifest.size, "crc32c": f"{self.manifest.crc32c:08x}"},
        }
        _refuse_many(content)
        root = {
            "zarr_format": 3,
            "node_type": "group",
            "attributes": {"skelstore": content},
            "consolidated_metadata": {"kind": "inline", "must_understand": False, "metadata": dict(arrays)},
        }
        content["checksum"] = _checksum(root)
        return to_bytes(root)

    @classmethod
    def from_bytes(cls, data: bytes, place: str) -> StoreMetadata:
        """Parse the root ``zarr.json``.

        Raises StoreError naming ``place`` if it is not a store of this format version, DamageError if its checksum
        does not match its content.
        """
        root = from_bytes(data, place)
        content = store_attributes(root)
        if not isinstance(content, dict):
            raise StoreError(f"{place} is a Zarr node, but not a skelstore store (it has no attributes.skelstore)")
        if root.get("zarr_format") != 3 or root.get("node_type") != "group":
            raise StoreError(f"{place} is not the metadata of a Zarr v3 group, so it is damaged or not part of a store")
        version = content.get("version")
        if version != FORMAT_VERSION:
            raise StoreError(
                f"{place}: format version {show(version)}; this skelstore reads version {FORMAT_VERSION}: install a "
                "newer skelstore, or convert the source again"
            )
        checksum = content.pop("checksum", None)
        try:
            expected = _checksum(root)
        except (ValueError, RecursionError) as error:  # Python's parser accepts NaN, and more depth than its writer
            raise StoreError(f"{place} is damaged ({error})") from error
        if checksum != expected:
            raise DamageError(f"{place} is damaged (checksum {show(checksum)} does not match its content)")
        try:
            _refuse_many(content)
            (videos,) = _naturals([content["videos"]])
            return cls(
                videos=videos,
                profile=str(content["profile"]),
                columns={
                    name: ColumnMetadata(tuple(c["path"]), str(c["type"])) for name, c in content["columns"].items()
                },
                fields={
                    name: FieldMetadata(tuple(f["path"]), _naturals([f["ragged"]])[0])
                    for name, f in content["fields"].items()
                },
                layouts=list(content["layouts"]),
                source=dict(content["source"]),
                manifest=_file_entry(content["manifest"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StoreError(f"{place} does not follow format version {version}: {_reason(error)}") from error


def _refuse_many(content: Mapping[str, Json]) -> None:
    """Raise StoreError if there are more fields, columns or layouts than a reader accepts."""
    for member, most in (("fields", MAX_FIELDS), ("columns", MAX_COLUMNS), ("layouts", MAX_LAYOUTS)):
        if len(content[member]) > most:
            raise StoreError(f"it has {len(content[member])} {member}, expected at most {most}")


def store_attributes(root: Json) -> Json:
    """``attributes.skelstore`` of a ``zarr.json``; None if it has none."""
    attributes = root.get("attributes") if isinstance(root, dict) else None
    return attributes.get("skelstore") if isinstance(attributes, dict) else None


def _checksum(root: Mapping[str, Json]) -> str:
    """crc32c of the root's compact JSON with sorted keys, without the member ``checksum``."""
    canonical = json.dumps(root, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return f"{crc32c(canonical.encode()):08x}"


def _reason(error: Exception) -> str:
    return f"it has no {error}" if isinstance(error, KeyError) else str(error)


def to_bytes(node: Json) -> bytes:
    """JSON as the bytes of a file."""
    return (json.dumps(node, indent=1, allow_nan=False) + "\n").encode()


def from_bytes(data: bytes, place: str) -> Json:
    """Parse the bytes of a file as JSON. Raises StoreError naming ``place`` if they are not JSON, or too nested."""
    if reason := crowded(data):
        raise StoreError(f"{place} cannot be read ({reason}), so it is damaged or not part of a store")
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{place} is not JSON ({error}), so it is damaged or not part of a store") from error
