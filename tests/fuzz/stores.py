"""Fuzz target: opening, reading and verifying a store of any file content returns values or raises our errors.

An input is one file of a store: its number, whether the store is signed for it, and its bytes.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from skelstore.format.codecs import PROFILES
from tests.support.small_store import check_free_reading, lay_out, made, seal, sign, sign_root

MAX_BYTES = 8192
"""Bytes of an input: a little more than the largest file of these stores."""
MEMORY = Path("/dev/shm")
"""A file system in memory, if there is one."""


class Stores:
    """A store of each profile on the disk, in which one file at a time is replaced."""

    def __init__(self, folder: Path) -> None:
        self._files = [made(profile, first=3, stop=6) for profile in PROFILES]  # three different videos
        self._paths = [lay_out(folder / p, files) for p, files in zip(PROFILES, self._files, strict=True)]
        self.places = [(number, key) for number, files in enumerate(self._files) for key in sorted(files)]

    def seeds(self) -> Iterator[bytes]:
        """The inputs that leave a file unchanged."""
        for place, (number, key) in enumerate(self.places):
            for signed in (0, 1):
                yield bytes((place, signed)) + self._files[number][key]

    def check(self, data: bytes, read: Callable[[Path], object] = check_free_reading) -> None:
        """Read the store with a file replaced by that of the input, then restore it."""
        if len(data) < 2:
            return
        number, key = self.places[data[0] % len(self.places)]
        files, path = self._files[number], self._paths[number]
        changed = {key: data[2:]}
        if data[1] & 1:
            signed = with_signed(files, key, data[2:])
            changed = {name: content for name, content in signed.items() if content != files[name]}
        for name, content in changed.items():
            _replace(path / name, content)
        try:
            read(path)
        finally:
            for name in changed:
                _replace(path / name, files[name])


def with_signed(files: dict[str, bytes], key: str, content: bytes) -> dict[str, bytes]:
    """The files of a store with one of them replaced and all checksums updated, as far as possible."""
    root = json.loads(files["zarr.json"])
    if key == "zarr.json":
        try:
            root = json.loads(content)
        except (ValueError, RecursionError):
            return files | {key: content}
        return sign_root(files, root)
    if key == "manifest.json":
        return sign_root(files | {key: content}, root)
    manifest = json.loads(files["manifest.json"])
    if "digest" in manifest["files"][key]:
        node = json.loads(files[key.partition("/")[0] + "/zarr.json"])
        (chunk, *_), (shard, *_) = (
            node["codecs"][0]["configuration"]["chunk_shape"],
            node["chunk_grid"]["configuration"]["chunk_shape"],
        )
        content, manifest["files"][key]["digest"] = seal(content, shard // chunk)
    files = files | {key: content, "manifest.json": json.dumps(manifest).encode()}
    return sign(files, root)


def _replace(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)  # a new file, so that a memory map of the old one stays valid
    path.write_bytes(content)


def seeds() -> Iterator[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        yield from Stores(Path(folder)).seeds()


def words() -> Iterator[bytes]:
    """Meaningful pieces of the JSON of a store, and invalid sizes."""
    for node in (
        "json",
        "str",
        "tuple",
        "dict",
        "ndarray",
        "numpy",
        "field",
        "column",
        "value",
        "float16",
        ">f8",
        "..",
    ):
        yield json.dumps(node).encode()
    yield from (b"-1", b"4294967296", b"9223372036854775807", b"1e999", b"NaN", b"null", b"[]", b"{}", b"[[[[[[[[")
    yield from (b"\xff\xff\xff\xff\xff\xff\xff\x7f", b"\xff\xff\xff\xff", b"\0\0\0\0\0\0\0\x80", b"ARROW1\0\0")


def target() -> Callable[[bytes], Any]:
    """The function that the fuzzer calls with each input."""
    # The fuzzer ends without running cleanup, so the folder stays; the next run reuses it.
    folder = (MEMORY if MEMORY.is_dir() else Path(tempfile.gettempdir())) / "skelstore-fuzz"
    return Stores(folder).check
