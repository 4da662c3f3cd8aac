"""Stores that attack their reader, each a name and its files; all vouch for themselves as far as they can.

``python -m tests.skelstore.hostile_stores`` reads each in this process and prints, as JSON, what came of it.
"""

from __future__ import annotations

import copy
import json
import resource
import struct
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

import skelstore
from tests.skelstore.small_store import check_free_reading, lay_out, made, seal, sign, sign_root, table_bytes

Files = dict[str, bytes]

#: Address space beyond what the libraries take, in bytes: what asks for more gets a MemoryError, which is a finding.
ROOM = 1 << 30


def base() -> Files:
    return dict(made("default", first=3, stop=6))


def with_root(change: Callable[[Any], None]) -> Files:
    root = json.loads(base()["zarr.json"])
    change(root["attributes"]["skelstore"])
    return sign(base(), root)


def with_manifest(change: Callable[[Any], None]) -> Files:
    """With other entries in the manifest, for which only the root vouches."""
    files = base()
    manifest = json.loads(files["manifest.json"])
    change(manifest["files"])
    return sign_root(files | {"manifest.json": json.dumps(manifest).encode()}, _root(files))


def with_array(change: Callable[[Any], None], more: Files | None = None) -> Files:
    files = base() | (more or {})
    node = json.loads(files["keypoint/zarr.json"])
    change(node)
    files["keypoint/zarr.json"] = json.dumps(node).encode()
    return sign(files, json.loads(files["zarr.json"]))


def with_column(name: str, cells: list[Any], files: Files | None = None) -> Files:
    files = files or base()
    table = pa.ipc.open_file(files["videos.arrow"]).read_all()
    number = table.column_names.index(name)
    changed = table.set_column(number, name, pa.array(cells, table.schema.field(name).type))
    return sign(files | {"videos.arrow": table_bytes(changed)}, json.loads(files["zarr.json"]))


def _sizes(rows: int, shard: int, chunk: int, trailing: tuple[int, ...] = (5, 2)) -> Callable[[Any], None]:
    def change(node: Any) -> None:
        node["shape"] = [rows, *trailing]
        node["chunk_grid"]["configuration"]["chunk_shape"] = [shard, *trailing]
        node["codecs"][0]["configuration"]["chunk_shape"] = [chunk, *trailing]

    return change


def _codecs(*codecs: Any) -> Callable[[Any], None]:
    def change(node: Any) -> None:
        node["codecs"][0]["configuration"]["codecs"] = list(codecs)

    return change


def sizes() -> Iterator[tuple[str, Files]]:
    """Numbers that no store has."""
    for count in (-1, 0, 2, 4, 2**31, 2**63, 2**70):
        yield f"{count} videos", with_root(lambda content, count=count: content.update(videos=count))
    for rows, shard, chunk in (
        (2**61, 2**61, 2**27),
        (2**61, 2**58, 2**27),
        (2**40, 2**40, 8),
        (2**61, 8, 8),
        (2**62, 8, 8),
        (2**70, 2**69, 2**68),
        (40, 2**31, 1),
        (0, 8, 8),
        (1, 8, 8),
        (40, 0, 0),
        (40, 7, 8),
    ):
        yield f"{rows} rows in shards of {shard} and chunks of {chunk}", with_array(_sizes(rows, shard, chunk))
    yield "an axis of 2**40", with_array(_sizes(40, 8, 8, (2**40,)))
    yield "two axes of 2**32", with_array(_sizes(40, 8, 8, (2**32, 2**32)))
    yield "an axis of nothing", with_array(_sizes(40, 8, 8, (0, 2**62)))
    yield "2,000 axes", with_array(_sizes(40, 8, 8, (1,) * 2000))
    for number in (b"NaN", b"Infinity", b"1e999", b"9" * 5000):
        files = base()
        files["zarr.json"] = files["zarr.json"].replace(b'"profile": ', b'"odd": ' + number + b', "profile": ', 1)
        yield f"the number {number[:10].decode()} in the root", files
    for dims in ([2**40] * 3, [2**62] * 3, [2**31] * 3):
        huge = with_array(_sizes(2**61, 2**61, 2**27))
        yield f"a video of {dims[0]} frames", with_column("keypoint.dim1", dims, huge)
        huge = with_array(_sizes(2**61, 2**33, 8))
        yield f"a video of {dims[0]} frames in many shards", with_column("keypoint.dim1", dims, huge)
        few = with_array(_sizes(2**61, 2**31, 2**27, (1, 1)))
        yield f"a video of {dims[0]} frames of one number", with_column("keypoint.dim1", dims, few)


def codecs() -> Iterator[tuple[str, Files]]:
    """Chunks coded by what no store uses, or by blosc that says what is not so."""
    plain, last = {"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}
    for name in (
        "gzip",
        "zstd",
        "numcodecs.pickle",
        "numcodecs.zfpy",
        "sharding_indexed",
        "blosc",
        "transpose",
        "../x",
    ):
        yield f"the codec {name}", with_array(_codecs(plain, {"name": name, "configuration": {}}, last))
    yield "no codecs", with_array(_codecs())
    yield "codecs that are numbers", with_array(_codecs(1, 2, 3))
    yield "100,000 codecs", with_array(_codecs(*[plain] * 100_000))
    for change in (
        {"cname": "snappy"},
        {"cname": ["lz4"]},
        {"shuffle": "noshuffle"},
        {"typesize": 0},
        {"typesize": 2**40},
        {"blocksize": -1},
        {"clevel": "x"},
    ):
        blosc = json.loads(base()["keypoint/zarr.json"])["codecs"][0]["configuration"]["codecs"][1]
        coded = blosc | {"configuration": blosc["configuration"] | change}
        yield f"blosc with {json.dumps(change)}", with_array(_codecs(plain, coded, last))
    for at, value in ((4, 2**31 - 1), (4, 2**32 - 1), (4, 0), (8, 1), (8, 0), (8, 2**32 - 1), (12, 2**32 - 1), (12, 0)):
        yield f"a blosc header with {value} at byte {at}", _patched(at, struct.pack("<I", value))
    for at in range(4):
        for value in (0, 1, 0x7F, 0xFF):
            yield f"a blosc header with {value} as byte {at}", _patched(at, bytes((value,)))
    for at, value in ((16, 2**32 - 1), (16, 0), (16, 17), (20, 2**31), (20, 0)):
        yield f"a blosc block with {value} at byte {at}", _patched(at, struct.pack("<I", value))
    # A chunk that is as large as it says, and says so in no more bytes than before.
    for rows in (2**21, 2**27):
        files = _patched(4, struct.pack("<II", rows * 20, rows * 20))
        node = json.loads(files["keypoint/zarr.json"])
        _sizes(rows * 8, rows * 8, rows)(node)
        files["keypoint/zarr.json"] = json.dumps(node).encode()
        yield f"a chunk of {rows * 20} bytes in a few", sign(files, json.loads(files["zarr.json"]))


def _patched(at: int, value: bytes) -> Files:
    """The first chunk of each shard of the keypoints with other bytes in it."""
    files = base()
    manifest = json.loads(files["manifest.json"])
    node = json.loads(files["keypoint/zarr.json"])
    chunks = (
        node["chunk_grid"]["configuration"]["chunk_shape"][0] // node["codecs"][0]["configuration"]["chunk_shape"][0]
    )
    for key in files:
        if key.startswith("keypoint/c."):
            data = files[key]
            files[key], manifest["files"][key]["digest"] = seal(data[:at] + value + data[at + len(value) :], chunks)
    files["manifest.json"] = json.dumps(manifest).encode()
    return sign(files, json.loads(files["zarr.json"]))


def nesting() -> Iterator[tuple[str, Files]]:
    """JSON as deep as a parser takes it, and deeper."""
    for depth in (90, 150, 300, 500, 900, 990, 2000, 10_000, 100_000, 1_000_000):
        deep = b"[" * depth + b"]" * depth
        objects = b'{"tuple":[' * depth + b"]}" * depth
        for name, text in (("lists", deep), ("tuples", objects)):
            files = base()
            yield f"{depth} {name} in the root", _rooted(files, text)
            yield f"{depth} {name} as a layout", _laid_out(files, text)
            yield f"{depth} {name} as the manifest", sign_root(files | {"manifest.json": text}, _root(files))
            yield f"{depth} {name} as an array", sign(files | {"keypoint/zarr.json": text}, _root(files))
            cells = [text.decode()] * 3
            column = next(key for key, entry in _content(files)["columns"].items() if entry["type"] == "json")
            yield f"{depth} {name} in a cell", with_column(column, cells)


def _root(files: Files) -> Any:
    return json.loads(files["zarr.json"])


def _content(files: Files) -> Any:
    return _root(files)["attributes"]["skelstore"]


def _rooted(files: Files, text: bytes) -> Files:
    """As bytes: no JSON writer would write it. The checksum cannot be that of it, for the same reason."""
    return files | {"zarr.json": files["zarr.json"].replace(b'"source": {', b'"source": {"deep": ' + text + b",", 1)}


def _laid_out(files: Files, text: bytes) -> Files:
    try:
        node = json.loads(text)
        return with_root(lambda content: content.update(layouts=[node] * len(content["layouts"])))
    except RecursionError:
        return files | {"zarr.json": files["zarr.json"].replace(b'"layouts": [', b'"layouts": [' + text + b",", 1)}


def names() -> Iterator[tuple[str, Files]]:
    """Names that lead out of the store."""
    for name in ("../outside", "/etc", "keypoint/../../x", "\0", "n" * 300, "", ".", "a\nb"):

        def change(content: Any, name: str = name) -> None:
            content["fields"][name] = content["fields"].pop("keypoint")

        yield f"a field named {name!r:.40}", with_root(change)
        for kind, more in (("file", {}), ("shard", {"digest": "0" * 32})):
            entry = {"size": 1, "crc32c": "00000000", **more}
            yield f"a {kind} named {name!r:.40}", with_manifest(lambda found, e=entry, n=name: found.update({n: e}))


def entries() -> Iterator[tuple[str, Files]]:
    """Entries of the manifest that say what no file has."""
    for member, values in (
        ("size", (2**62, 10**30, -1, 1.0, 1e999, True, "1", None, [1])),
        ("crc32c", (1e999, 0, -1, "", "-0000001", "0x000000", "0" * 7, "0" * 100_000, "FFFFFFFF", None, [])),
        ("digest", (1e999, 0, "", "0" * 31, "0" * 33, "g" * 32, None, [], {})),
    ):
        for value in values:

            def change(found: Any, member: str = member, value: Any = value) -> None:
                for entry in found.values():
                    if member in entry:
                        entry[member] = value

            yield f"files whose {member} is {value!r:.40}", with_manifest(change)


def every() -> Iterator[tuple[str, Files]]:
    for group in (sizes, codecs, nesting, names, entries):
        yield from group()


def main() -> None:
    stores = [(title, copy.copy(files)) for title, files in every()]
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + ROOM, resource.RLIM_INFINITY))
    for title, files in stores:
        print(title, file=sys.stderr, flush=True)  # the last one is the one that killed
        with tempfile.TemporaryDirectory() as folder:
            path = lay_out(Path(folder), files)
            start = time.process_time()
            try:
                check_free_reading(path)
                finding = ""
            except Exception:
                finding = traceback.format_exc()
            report = {"title": title, "seconds": time.process_time() - start, "finding": finding, "said": _said(path)}
        print(json.dumps(report), flush=True)


def _said(path: Path) -> list[str]:
    """What the reader refuses in the store, beginning with opening it."""
    said = []
    try:
        with skelstore.open(path) as store:
            for position in range(min(len(store), 3)):
                try:
                    store[position]
                except Exception as error:
                    said.append(str(error))
    except Exception as error:
        said.append(str(error))
    return [text.replace(str(path), "PATH") for text in said]


if __name__ == "__main__":
    main()
