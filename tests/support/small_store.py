"""A small store as the bytes of its files, to damage, to falsify and to sign again."""

from __future__ import annotations

import contextlib
import copy
import functools
import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

import google_crc32c
import numpy as np
import pyarrow as pa

import skelstore
from skelstore import SkelstoreError
from skelstore.format import chunking
from skelstore.format.codecs import Profile
from skelstore.read.verification import verify
from tests.support.contracts import write
from tests.support.exact import assert_exact
from tests.support.strategies import Dataset


def small_dataset(version: int = 0) -> Dataset:
    noise = np.random.default_rng(version)
    annotations: list[dict[Any, Any]] = []
    for number in range(9):
        persons, frames = 1 + number % 2, 4 + number
        annotations.append(
            {
                "frame_dir": f"v{number}",
                "label": number + version,
                "img_shape": (1080, 1920),
                "keypoint": noise.normal(0, 9, (persons, frames, 5, 2)).astype(np.float16),
                "keypoint_score": noise.random((persons, frames, 5)).astype(np.float32),
                "extra": {"note": [1, None, "é"]},
            }
        )
    del annotations[4]["keypoint"]
    annotations[5]["late"] = 0.5
    names = [annotation["frame_dir"] for annotation in annotations]
    return Dataset(annotations, {"train": names[:5], "val": (names[5], 3), f"version {version}": []})


@functools.cache
def made(profile: Profile, version: int = 0, first: int = 0, stop: int = 9) -> dict[str, bytes]:
    """Every file of a store with some of the videos and a few shards per field."""
    annotations, splits = small_dataset(version)
    sizes = {"CHUNK_BYTES_MIN": 160, "CHUNK_BYTES_MAX": 160, "CHUNK_BYTES_PLAIN": 160, "PART_BYTES": 800}
    with tempfile.TemporaryDirectory() as folder, mock.patch.multiple(chunking, **sizes):
        path = write(Path(folder) / "a.zarr", annotations[first:stop], splits, profile=profile)
        return {file.relative_to(path).as_posix(): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def lay_out(folder: Path, files: dict[str, bytes]) -> Path:
    path = folder / "a.zarr"
    for key, data in files.items():
        (path / key).parent.mkdir(parents=True, exist_ok=True)
        (path / key).write_bytes(data)
    return path


def crc(data: bytes) -> str:
    return f"{google_crc32c.value(data):08x}"


def sign(files: dict[str, bytes], root: Any) -> dict[str, bytes]:
    """The files with a manifest and a root whose checksums match them."""
    files = dict(files)
    manifest = json.loads(files["manifest.json"])
    for key, entry in manifest["files"].items():
        if key in files and isinstance(entry, dict):
            entry |= {"size": len(files[key]), "crc32c": crc(files[key])}
    files["manifest.json"] = json.dumps(manifest).encode()
    return sign_root(files, root)


def sign_root(files: dict[str, bytes], root: Any) -> dict[str, bytes]:
    node = copy.deepcopy(root)
    try:
        content = node["attributes"]["skelstore"]
        content["manifest"] = {"size": len(files["manifest.json"]), "crc32c": crc(files["manifest.json"])}
        content.pop("checksum", None)
        canonical = json.dumps(node, sort_keys=True, separators=(",", ":"))
        content["checksum"] = crc(canonical.encode())
    except (KeyError, TypeError, AttributeError):
        pass  # the falsified root has nothing left to sign
    return files | {"zarr.json": json.dumps(node).encode()}


def check_free_reading(path: Path) -> None:
    """Verify and read everything. Any value or error of skelstore is allowed: a signed store may be falsified."""
    assert isinstance(verify(path, level="decode"), list)
    read_freely(path)
    check_readers_agree(path)


def open_pure(path: Path, **options: Any) -> skelstore.Store:
    """A store that is read by the Python reader alone."""
    store = skelstore.open(path, **options)
    vars(store._reader)["core"] = None
    return store


def check_readers_agree(path: Path, **options: Any) -> None:
    """Check that the compiled reader and the Python reader return the same, or raise the same errors."""
    try:
        stores = skelstore.open(path, **options), open_pure(path, **options)
    except SkelstoreError:
        return
    keys = [*range(min(len(stores[0]), 12)), *(f"v{i}" for i in range(10))]
    for key in [*keys, keys[:3], keys[2:5]]:
        results = []
        for store in stores:
            try:
                results.append(store.read(key) if isinstance(key, list) else store[key])
            except SkelstoreError as error:
                results.append((type(error).__name__, str(error)))
        # How deep Python's JSON reader gets depends on the frames above it, of which the compiled reader has fewer.
        if not any(isinstance(result, tuple) and "maximum recursion depth" in result[1] for result in results):
            assert_exact(*results, str(key))
    for store in stores:
        store.close()


def read_freely(path: Path) -> bool:
    """Read everything in a store if it opens; return whether it does. Errors that are not of skelstore pass through."""
    try:
        store = skelstore.open(path)
    except SkelstoreError:
        return False
    with store:
        reads = [functools.partial(store.__getitem__, i) for i in range(min(len(store), 12))]
        reads += [functools.partial(store.__getitem__, f"v{i}") for i in range(9)]
        reads += [
            lambda: store.splits,
            lambda: store.videos,
            lambda: store.fields,
            lambda: store.source,
            lambda: repr(store),
        ]
        reads += [functools.partial(store.split, name) for name in ("train", "val")]
        reads += [lambda: store.read_one(0, frames=range(2)), lambda: store.read_one(1, frames=slice(None))]
        reads += [lambda: dict(store.lazy(0)), lambda: list(store), store.files, store.origins, lambda: store.name(0)]
        for read in reads:
            with contextlib.suppress(SkelstoreError):
                read()
    return True


def seal(shard: bytes, chunks: int) -> tuple[bytes, str]:
    """A shard file of ``chunks`` chunks with the checksums of its content, and its digest."""
    data = bytearray(shard)
    at = len(data) - 16 * chunks - 20
    if at < 0:
        return shard, ""
    checksums = []
    for offset, length in np.frombuffer(data, "<u8", 2 * chunks, at + 16).reshape(-1, 2).tolist():
        if length >= 4 and offset + length <= at:
            checksums.append(google_crc32c.value(bytes(data[offset : offset + length - 4])))
            data[offset + length - 4 : offset + length] = checksums[-1].to_bytes(4, "little")
    data[at : at + 16] = hashlib.blake2b(np.array(checksums, "<u4").tobytes(), digest_size=16).digest()
    data[-4:] = google_crc32c.value(bytes(data[at + 16 : -4])).to_bytes(4, "little")
    return bytes(data), data[at : at + 16].hex()


def table_bytes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    data: bytes = sink.getvalue().to_pybytes()
    return data
