"""Stores that attack their reader, each with a name. All are signed as far as possible.

``python -m tests.support.hostile_stores`` reads each in this process and prints the result as JSON.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
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
import pyarrow.compute as pc

import skelstore
from tests.support.small_store import check_free_reading, lay_out, made, seal, sign, sign_root, table_bytes

Files = dict[str, bytes]

ROOM = 1 << 30
"""Address space beyond that of the libraries, in bytes. More raises MemoryError, which is a finding."""


def base() -> Files:
    return dict(made("default", first=3, stop=6))


def with_root(change: Callable[[Any], None]) -> Files:
    root = json.loads(base()["zarr.json"])
    change(root["attributes"]["skelstore"])
    return sign(base(), root)


def with_manifest(change: Callable[[Any], None]) -> Files:
    """With other entries in the manifest; only the root is signed anew."""
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
    """Sizes that no store has."""
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
    """Chunks with codecs that no store uses, or with wrong blosc headers."""
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
    # A chunk of the size that it states, in no more bytes than before.
    for rows in (2**21, 2**27):
        files = _patched(4, struct.pack("<II", rows * 20, rows * 20))
        node = json.loads(files["keypoint/zarr.json"])
        _sizes(rows * 8, rows * 8, rows)(node)
        files["keypoint/zarr.json"] = json.dumps(node).encode()
        yield f"a chunk of {rows * 20} bytes in a few", sign(files, json.loads(files["zarr.json"]))


def _patched(at: int, value: bytes) -> Files:
    """The first chunk of each shard of the keypoints with other bytes."""
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
    """JSON nested as deep as a parser accepts, and deeper."""
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
    """As bytes, because no JSON writer writes it. For the same reason the checksum cannot be right."""
    return files | {"zarr.json": files["zarr.json"].replace(b'"source": {', b'"source": {"deep": ' + text + b",", 1)}


def _laid_out(files: Files, text: bytes) -> Files:
    try:
        node = json.loads(text)
        return with_root(lambda content: content.update(layouts=[node] * len(content["layouts"])))
    except RecursionError:
        return files | {"zarr.json": files["zarr.json"].replace(b'"layouts": [', b'"layouts": [' + text + b",", 1)}


def names() -> Iterator[tuple[str, Files]]:
    """Names that point outside the store."""
    for name in ("../outside", "/etc", "keypoint/../../x", "\0", "n" * 300, "", ".", "a\nb"):

        def change(content: Any, name: str = name) -> None:
            content["fields"][name] = content["fields"].pop("keypoint")

        yield f"a field named {name!r:.40}", with_root(change)
        for kind, more in (("file", {}), ("shard", {"digest": "0" * 32})):
            entry = {"size": 1, "crc32c": "00000000", **more}
            yield f"a {kind} named {name!r:.40}", with_manifest(lambda found, e=entry, n=name: found.update({n: e}))


def entries() -> Iterator[tuple[str, Files]]:
    """Entries of the manifest that match no file."""
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


def _table(key: str) -> pa.Table:
    return pa.ipc.open_file(base()[key]).read_all()


def with_table(key: str, table: pa.Table, **options: Any) -> Files:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table)
    return with_bytes(key, sink.getvalue().to_pybytes())


def with_bytes(key: str, data: bytes) -> Files:
    return sign(base() | {key: data}, _root(base()))


def _splits(ids: pa.Array) -> pa.Table:
    return pa.table({"name": pa.array(["train"], pa.large_utf8()), "ids": ids, "value": pa.nulls(1, pa.large_utf8())})


def tables() -> Iterator[tuple[str, Files]]:
    """Arrow files whose columns take more memory than their bytes, or have types that no store has."""
    videos, names, rows = _table("videos.arrow"), _table("names.arrow"), 3
    bomb = _splits(pa.array([["a" * (64 << 20)]], pa.large_list(pa.large_utf8())))
    for compression in ("zstd", "lz4"):
        yield f"videos compressed by {compression}", with_table("videos.arrow", videos, compression=compression)
        yield f"names compressed by {compression}", with_table("names.arrow", names, compression=compression)
        yield f"64 MB of splits compressed by {compression}", with_table("splits.arrow", bomb, compression=compression)
    texts = pa.array(["a"] * rows)
    struct_type: pa.DataType = pa.int8()
    for _ in range(20):
        struct_type = pa.struct([("a", struct_type)])
    for title, column in (
        ("dictionary", texts.dictionary_encode()),
        ("view", pa.array(["a"] * rows, pa.string_view())),
        ("run-end encoded", pc.run_end_encode(pa.array([1] * rows))),
        ("null", pa.nulls(rows)),
        ("struct", pa.nulls(rows, struct_type)),
        ("list", pa.array([[1]] * rows)),
        ("small text", texts),
        ("decimal", pa.array([1] * rows, pa.decimal128(5))),
    ):
        yield f"a {title} column", with_table("videos.arrow", videos.append_column("odd", column))
    for key in ("names.arrow", "splits.arrow"):
        nulls = pa.table({name: pa.nulls(2**31 - 2) for name in _table(key).column_names})
        yield f"2**31 nulls in {key}", with_table(key, nulls)
        kind = pa.run_end_encoded(pa.int64(), pa.large_utf8())
        runs = pa.RunEndEncodedArray.from_arrays([2**31 - 2], ["x"], kind)
        yield (
            f"2**31 cells of one run in {key}",
            with_table(key, pa.table(dict.fromkeys(_table(key).column_names, runs))),
        )
    marked = pa.field("odd", pa.int64(), metadata={"ARROW:extension:name": "evil", "ARROW:extension:metadata": "x"})
    yield "an extension type", with_table("videos.arrow", videos.append_column(marked, pa.array([1] * rows)))
    described = videos.replace_schema_metadata({"a": "b" * 1000})
    yield "metadata in a schema", with_table("videos.arrow", described)
    yield (
        "60,000 columns",
        with_table("videos.arrow", pa.table({f"c{i}": pa.nulls(1, pa.int8()) for i in range(60_000)})),
    )
    for key, column in (("names.arrow", "video"), ("splits.arrow", "ids")):
        narrow = _table(key).drop_columns([column])
        yield f"{key} without {column}", with_table(key, narrow)
        yield (
            f"{key} with {column} of int32",
            with_table(key, narrow.append_column(column, pa.nulls(len(narrow), pa.int32()))),
        )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, names.schema) as writer:
        for _ in range(2000):
            writer.write_batch(names.to_batches()[0].slice(0, 0))
    yield "2,000 record batches", with_bytes("names.arrow", sink.getvalue().to_pybytes())
    data = base()["names.arrow"]
    places = struct.pack("<4q", 24, 0, 24, 24)
    assert places in data, "the second column of three int64 begins at byte 24 of the body"
    yield "columns that share bytes", with_bytes("names.arrow", data.replace(places, struct.pack("<4q", 24, 0, 0, 24)))
    for length in (0, -1, 8, len(data) - 18, 2**31 - 1):
        yield (
            f"a footer of {length} bytes",
            with_bytes("names.arrow", data[:-10] + struct.pack("<i", length) + data[-6:]),
        )


def texts() -> Iterator[tuple[str, Files]]:
    """JSON that takes more time or memory than its bytes."""
    column = next(key for key, entry in _content(base())["columns"].items() if entry["type"] == "json")
    prime = 2**61 - 1
    keys = [{"int": hex(2**64 + i * prime)} for i in range(40_000)]
    for title, cell in (
        ("40,000 keys of one hash", json.dumps({"dict": [[key, 0] for key in keys]})),
        ("tuples as keys", json.dumps({"dict": [[{"tuple": [1]}, 0]]})),
        ("2,000,000 lists", "[" + "[]," * 2_000_000 + "[]]"),
        ("600,000 lists", "[" + "[0]," * 600_000 + "[]]"),
        ("1,000,000 objects", "[" + '{"":0},' * 1_000_000 + "[]]"),
        ("an int of 5,000 digits", "9" * 5000),
        ("a long int", '{"int":"0x' + "f" * 5_000_000 + '"}'),
        ("100,000 axes", json.dumps({"ndarray": ["<f2", [2**60] * 100_000, ""]})),
    ):
        yield f"{title} in a cell", with_column(column, [cell, "0", "0"])
    for keys_of, title in ((keys, "keys of one hash"), ([{"tuple": [1]}], "a tuple as key")):
        layout = {"dict": [[key, {"value": None}] for key in keys_of]}
        yield f"{title} in a layout", with_root(lambda content, one=layout: content.update(layouts=[one] * 9))
    nulls = {"dict": [["a", {"tuple": [{"value": None}] * 500_000}]]}
    yield "500,000 nulls in a layout", with_root(lambda content: content["layouts"].append(nulls))
    yield "60,000 layouts", with_root(lambda content: content.update(layouts=[{"dict": []}] * 60_000))
    yield (
        "11,000 fields",
        with_root(
            lambda content: content["fields"].update({f"x{i}": content["fields"]["keypoint"] for i in range(11_000)})
        ),
    )
    yield (
        "21,000 columns",
        with_root(
            lambda content: content["columns"].update({f"x{i}": {"path": [], "type": "int"} for i in range(21_000)})
        ),
    )
    yield "100,000 axes of 2**60", with_array(_sizes(40, 8, 8, (2**60,) * 100_000))


def every() -> Iterator[tuple[str, Files]]:
    for group in (sizes, codecs, nesting, names, entries, tables, texts):
        yield from group()


def main() -> None:
    with contextlib.suppress(BrokenPipeError):
        for title, files in every():
            print(title, file=sys.stderr, flush=True)  # the last one is that of the store that killed the process
            if child := os.fork():  # so that no store benefits from memory that another one freed
                status = os.waitpid(child, 0)[1]
                assert status == 0, f"{title}: {status}"
                continue
            print(json.dumps(_report(title, files)), flush=True)
            os._exit(0)


def _report(title: str, files: Files) -> dict[str, Any]:
    """The result of reading a store and its cost: CPU seconds, and peak memory in bytes beyond the start."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + ROOM, resource.RLIM_INFINITY))
    with tempfile.TemporaryDirectory() as folder:
        path = lay_out(Path(folder), files)
        size = sum(map(len, files.values()))
        files.clear()
        Path("/proc/self/clear_refs").write_text("5")  # reset the peak
        before, start = _peak(), time.process_time()
        try:
            check_free_reading(path)
            finding = ""
        except Exception:
            finding = traceback.format_exc()
        seconds, peak = time.process_time() - start, _peak() - before
        said = _said(path)
    return {"title": title, "bytes": size, "seconds": seconds, "peak": peak, "finding": finding, "said": said}


def _peak() -> int:
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) << 10


def _said(path: Path) -> list[str]:
    """The messages of everything that the reader refuses in the store, from opening it on."""
    said = []
    try:
        with skelstore.open(path) as store:
            reads: list[Callable[[], object]] = [
                functools.partial(store.__getitem__, i) for i in range(min(len(store), 3))
            ]
            for read in (*reads, lambda: store.splits, lambda: store["v3"]):
                try:
                    read()
                except Exception as error:
                    said.append(str(error))
    except Exception as error:
        said.append(str(error))
    return [text.replace(str(path), "PATH") for text in said]


if __name__ == "__main__":
    main()
