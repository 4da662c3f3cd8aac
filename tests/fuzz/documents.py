"""Fuzz target: the JSON of a store, and the values in it, are read correctly or refused with an error of skelstore.

An input is the number of the reader, then text. Decoded values are encoded again and must round-trip.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from skelstore.errors import StoreError, UnsupportedValueError
from skelstore.format import values
from skelstore.format.codecs import PROFILES, ChunkCodec
from skelstore.format.metadata import ArrayMetadata, Manifest, StoreMetadata, from_bytes
from tests.fuzz.stores import words
from tests.support.reading_pickles import check_same
from tests.support.small_store import made, sign_root

__all__ = ["MAX_BYTES", "check_document", "seeds", "target", "words"]

MAX_BYTES = 8192


def check_value(text: bytes) -> None:
    """A cell of a table: the decoded value is encoded and decoded again."""
    value = values.decode(values.loads(text))
    try:
        again = values.dumps(values.encode(value))
    except UnsupportedValueError:
        return  # values may be read that are nested deeper than any that is written
    check_same(values.decode(values.loads(again)), value)


def check_array(text: bytes) -> None:
    metadata = ArrayMetadata.from_json(from_bytes(text, "zarr.json"), "zarr.json")
    ChunkCodec(metadata.codecs, metadata.chunk_shape, metadata.dtype)
    assert metadata.shards >= 0
    assert metadata.shard_key(0).startswith("c.0")


def check_manifest(text: bytes) -> None:
    manifest = Manifest.from_bytes(text, "manifest.json")
    Manifest.from_bytes(manifest.to_bytes(), "manifest.json")


def check_root(text: bytes) -> None:
    """The root, signed: an unsigned change would be refused at once."""
    root = from_bytes(text, "zarr.json")
    files = sign_root({"manifest.json": b"{}"}, root)
    StoreMetadata.from_bytes(files["zarr.json"], "zarr.json")


CHECKS: tuple[Callable[[bytes], None], ...] = (check_value, check_array, check_manifest, check_root)


def check_document(data: bytes) -> None:
    """Let one of the readers read the text."""
    if data:
        with contextlib.suppress(StoreError):
            CHECKS[data[0] % len(CHECKS)](data[1:])


def seeds() -> Iterator[bytes]:
    for value in (
        None,
        [1, -(2**70), 0.5, float("nan"), "é", "\ud800", b"\0", True],
        {"a": (1, {2: []}), b"b": np.float16(1.5), 0.5: np.str_("x"), True: {}},
        np.arange(6, dtype=">i4").reshape(2, 3),
        [[[[()]]]],
    ):
        yield b"\0" + values.dumps(values.encode(value)).encode()
    for profile in PROFILES:
        files = made(profile)
        yield b"\1" + json.dumps(json.loads(files["keypoint/zarr.json"])).encode()
        yield b"\2" + json.dumps(json.loads(files["manifest.json"])).encode()
        yield b"\3" + json.dumps(json.loads(files["zarr.json"])).encode()


def target() -> Callable[[bytes], Any]:
    """The function that the fuzzer calls with each input."""
    return check_document
