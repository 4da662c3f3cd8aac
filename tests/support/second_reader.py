"""A second reader of stores, written from docs/format.md alone, to show that the document is sufficient.

It imports neither the packages that it judges nor helpers that use them; a test enforces that.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import pyarrow as pa
from numcodecs import blosc


def crc(data: bytes) -> str:
    return f"{google_crc32c.value(data):08x}"


class SecondReader:
    """Reads a store as docs/format.md specifies, slowly and with every check that it requires."""

    def __init__(self, path: Path) -> None:
        self.path = path
        root = json.loads((path / "zarr.json").read_bytes())
        assert root["zarr_format"] == 3
        assert root["node_type"] == "group"
        self.about = root["attributes"]["skelstore"]
        assert self.about["version"] == 1
        checksum = self.about.pop("checksum")
        assert checksum == crc(json.dumps(root, sort_keys=True, separators=(",", ":")).encode())
        data = (path / "manifest.json").read_bytes()
        assert self.about["manifest"] == {"size": len(data), "crc32c": crc(data)}
        self.manifest = json.loads(data)["files"]
        consolidated = root["consolidated_metadata"]["metadata"]
        assert consolidated == {name: json.loads(self.file(f"{name}/zarr.json")) for name in self.about["fields"]}
        self.videos = self.table("videos.arrow")
        assert len(self.videos) == self.about["videos"]

    def __len__(self) -> int:
        return len(self.videos)

    def file(self, key: str) -> bytes:
        """Content of a file, checked against the manifest."""
        data = (self.path / key).read_bytes()
        entry = self.manifest[key]
        assert (len(data), crc(data)) == (entry["size"], entry["crc32c"])
        return data

    def table(self, key: str) -> pa.Table:
        data = self.file(key)
        assert data[:6] == b"ARROW1"
        opened = pa.ipc.open_file(pa.py_buffer(data))
        assert opened.num_record_batches <= 1
        return opened.read_all()

    def annotation(self, i: int) -> Any:
        return self.node(self.about["layouts"][self.videos["skelstore.layout"][i].as_py()], i)

    def node(self, node: Any, i: int) -> Any:
        ((kind, body),) = node.items()
        if kind == "column":
            return self.cell(body, i)
        if kind == "field":
            return self.array(body, i)
        if kind == "value":
            return typed(body)
        if kind == "tuple":
            return tuple(self.node(child, i) for child in body)
        assert kind == "dict"
        return {typed(key): self.node(child, i) for key, child in body}

    def cell(self, name: str, i: int) -> Any:
        kind = self.about["columns"][name]["type"]
        value = self.videos[name].chunk(0)[i : i + 1]
        assert value.null_count == 0
        if kind == "json":
            return typed(json.loads(value[0].as_py()))
        if kind == "numpy.str":
            return np.str_(value[0].as_py())
        if not kind.startswith("numpy."):
            return value[0].as_py() if kind != "float" else value.to_numpy().item()
        if kind == "numpy.bool":
            return np.bool_(value[0].as_py())
        return value.to_numpy()[0]

    def array(self, name: str, i: int) -> np.ndarray[Any, Any]:
        node = json.loads(self.file(f"{name}/zarr.json"))
        assert node["zarr_format"] == 3
        assert node["chunk_grid"]["name"] == "regular"
        assert node["chunk_key_encoding"] == {"name": "default", "configuration": {"separator": "."}}
        assert node["dimension_names"][0] == f"{name}.row"
        (sharding,) = node["codecs"]
        assert sharding["name"] == "sharding_indexed"
        options = sharding["configuration"]
        assert options["index_location"] == "end"
        assert [codec["name"] for codec in options["index_codecs"]] == ["bytes", "crc32c"]
        shard_rows, *_ = node["chunk_grid"]["configuration"]["chunk_shape"]
        chunk_rows, *fixed = options["chunk_shape"]
        assert node["shape"][1:] == fixed

        first = self.videos[f"{name}.row"][i].as_py()
        dims = [self.videos[f"{name}.dim{axis}"][i].as_py() for axis in range(self.about["fields"][name]["ragged"])]
        dtype = array_dtype(node["data_type"], options["codecs"])
        rows = np.zeros((0, *fixed), dtype)
        last = first + math.prod(dims)
        assert last <= node["shape"][0]
        while first < last:
            shard, offset = divmod(first, shard_rows)
            key = ".".join(["c", str(shard), *["0"] * len(fixed)])
            data = self.file(f"{name}/{key}")
            chunks = shard_chunks(data, shard_rows // chunk_rows, self.manifest[f"{name}/{key}"]["digest"])
            chunk, skip = divmod(offset, chunk_rows)
            decoded = decoded_chunk(chunks[chunk], options["codecs"], dtype, [chunk_rows, *fixed])
            taken = min(chunk_rows - skip, last - first)
            rows = np.concatenate([rows, decoded[skip : skip + taken]])
            first += taken
        return rows.astype(dtype).reshape([*dims, *fixed])

    def named(self, name: str) -> list[int]:
        table = self.table("names.arrow")
        buckets, videos = table["bucket"].to_pylist(), table["video"].to_pylist()
        if not videos:
            return []
        bucket = google_crc32c.value(name.encode("utf-8", "surrogatepass")) % len(videos)
        end = buckets[bucket + 1] if bucket + 1 < len(videos) else len(videos)
        return [i for i in videos[buckets[bucket] : end] if self.name(i) == name]

    def name(self, i: int) -> str | None:
        annotation = self.annotation(i)
        found = [annotation[key] for key in ("frame_dir", "filename") if isinstance(annotation.get(key), str)]
        return found[0] if found else None

    def splits(self) -> dict[Any, Any]:
        splits = {}
        for row in self.table("splits.arrow").to_pylist():
            name, ids = row["name"], row["ids"]
            if row["value"] is not None:
                name, ids = map(typed, json.loads(row["value"]))
            splits[name] = ids
        return splits


def typed(node: Any) -> Any:
    """A typed JSON value."""
    if isinstance(node, list):
        return [typed(element) for element in node]
    if not isinstance(node, dict):
        return node
    ((kind, body),) = node.items()
    if kind == "numpy":
        name, value = body
        if name == "str":
            return np.str_(typed(value))
        return np.frombuffer(bytes.fromhex(value), np.dtype(name).newbyteorder("<"))[0].astype(name)
    if kind == "ndarray":
        dtype, shape, data = body
        return np.frombuffer(base64.b64decode(data), dtype).reshape(shape)
    forms: dict[str, Callable[[Any], Any]] = {
        "tuple": lambda elements: tuple(map(typed, elements)),
        "dict": lambda entries: {typed(key): typed(value) for key, value in entries},
        "int": lambda text: int(text, 16),
        "float": lambda text: struct.unpack(">d", bytes.fromhex(text))[0],
        "str": lambda text: bytes.fromhex(text).decode("utf-8", "surrogatepass"),
        "bytes": base64.b64decode,
    }
    return forms[kind](body)


def array_dtype(name: str, codecs: list[Any]) -> np.dtype[Any]:
    big = any(codec.get("configuration", {}).get("endian") == "big" for codec in codecs)
    return np.dtype(name).newbyteorder(">" if big else "<")


def shard_chunks(data: bytes, count: int, digest: str) -> list[bytes]:
    """The chunks of a shard without their crc32c, which is checked."""
    *entries, checksum = struct.unpack(f"<{2 * count}QI", data[-(16 * count + 4) :])
    assert checksum == google_crc32c.value(data[-(16 * count + 4) : -4])
    end = len(data) - 16 * count - 4 - 16
    assert data[end : end + 16].hex() == digest
    chunks, sums, at = [], b"", 0
    for offset, length in zip(entries[::2], entries[1::2], strict=True):
        if (offset, length) == (2**64 - 1, 2**64 - 1):
            assert at == end
            continue
        assert offset == at
        at += length
        chunk, found = data[offset : at - 4], data[at - 4 : at]
        assert google_crc32c.value(chunk) == int.from_bytes(found, "little")
        chunks.append(chunk)
        sums += found
    assert at == end
    assert hashlib.blake2b(sums, digest_size=16).hexdigest() == digest
    return chunks


def decoded_chunk(chunk: bytes, codecs: list[Any], dtype: np.dtype[Any], shape: list[int]) -> np.ndarray[Any, Any]:
    names = [codec["name"] for codec in codecs]
    assert names[-1] == "crc32c"
    nbytes = math.prod(shape) * dtype.itemsize
    if "blosc" in names:
        assert struct.unpack_from("<I4xI", chunk, 4) == (nbytes, len(chunk))
        chunk = blosc.decompress(chunk)
    assert len(chunk) == nbytes
    if names[0] != "transpose":
        return np.frombuffer(chunk, dtype).reshape(shape)
    order = codecs[0]["configuration"]["order"]
    assert order == [*range(1, len(shape)), 0]
    return np.frombuffer(chunk, dtype).reshape([shape[axis] for axis in order]).transpose(np.argsort(order))
