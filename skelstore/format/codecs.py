"""Codec profiles, and the encoding and decoding of one chunk.

All codecs are from the Zarr v3 specification or its registered extensions: ``transpose``, ``bytes``, ``blosc``,
``crc32c`` (https://zarr-specs.readthedocs.io/en/latest/v3/codecs/).
"""

from __future__ import annotations

import reprlib
import struct
from typing import Any

import numpy as np
from numcodecs import blosc

from skelstore.choices import PROFILES as PROFILES
from skelstore.choices import Profile as Profile
from skelstore.errors import StoreError
from skelstore.format.files import flat_bytes
from skelstore.format.values import Json
from skelstore.wording import counted

CRC_BYTES = 4
_BLOSC_SIZES = struct.Struct("<4xI4xI")
"""Decoded and encoded size in bytes, in a blosc header (c-blosc README_CHUNK_FORMAT)."""


def chunk_codecs(profile: Profile, dtype: np.dtype[Any], chunk_shape: tuple[int, ...]) -> list[Json]:
    """Zarr v3 codec chain of a chunk.

    ``fast`` does not compress. ``default`` is blosc lz4 with bitshuffle, the fastest to decode. ``small`` moves the row
    axis to the end, so that each coordinate of a joint's trajectory is stored contiguously, then uses blosc zstd with
    bitshuffle. The blosc block is the whole chunk: a single block is decoded without blosc's threads, which do not
    survive a fork.
    """
    ndim = len(chunk_shape)
    endian = "big" if dtype.byteorder == ">" else "little"
    codecs: list[Json] = []
    if profile == "small" and ndim > 1:
        codecs.append({"name": "transpose", "configuration": {"order": [*range(1, ndim), 0]}})
    codecs.append({"name": "bytes", "configuration": {"endian": endian}} if dtype.itemsize > 1 else {"name": "bytes"})
    if profile != "fast":
        codecs.append(
            {
                "name": "blosc",
                "configuration": {
                    "cname": "lz4" if profile == "default" else "zstd",
                    "clevel": 9 if profile == "default" else 5,  # lz4 decodes equally fast at any level
                    "shuffle": "bitshuffle",
                    "typesize": dtype.itemsize,
                    "blocksize": int(np.prod(chunk_shape)) * dtype.itemsize,
                },
            }
        )
    codecs.append({"name": "crc32c"})
    return codecs


class ChunkCodec:
    """Encodes and decodes chunks of one shape and dtype, without the final crc32c.

    Raises StoreError on construction if the format does not allow the codec chain.
    """

    def __init__(self, codecs: list[Json], chunk_shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        names = [codec.get("name") if isinstance(codec, dict) else codec for codec in codecs]
        if names not in (
            ["bytes", "crc32c"],
            ["bytes", "blosc", "crc32c"],
            ["transpose", "bytes", "blosc", "crc32c"],
        ):
            raise StoreError(
                f"the chunks are encoded with {reprlib.repr(names)}; expected [transpose,] bytes, [blosc,] crc32c: "
                "read such an array with zarr-python, or convert it again"
            )
        options = [codec.get("configuration", {}) for codec in codecs]
        if not all(isinstance(option, dict) for option in options):
            raise StoreError("the chunks are encoded with codecs whose configuration is not an object")
        self.dtype = dtype
        self.chunk_shape = chunk_shape
        self.nbytes = int(np.prod(chunk_shape)) * dtype.itemsize
        self.compressed = "blosc" in names
        self.transposed = names[0] == "transpose"
        self.order = (*range(1, len(chunk_shape)), 0) if self.transposed else tuple(range(len(chunk_shape)))
        if self.transposed and options[0].get("order") != list(self.order):
            raise StoreError(
                f"the chunks are transposed by {reprlib.repr(options[0].get('order'))}; expected the row axis last"
            )
        self._laid_out_shape = tuple(chunk_shape[axis] for axis in self.order)
        if self.compressed:
            self._blosc = options[names.index("blosc")]
            if self._blosc.get("shuffle") != "bitshuffle" or self._blosc.get("cname") not in ("lz4", "zstd"):
                raise StoreError(
                    f"the chunks are encoded with blosc {reprlib.repr(self._blosc)}; expected lz4 or zstd with "
                    "bitshuffle"
                )

    def encode(self, rows: np.ndarray[Any, Any]) -> list[bytes | memoryview]:
        """Encode whole chunks, given as their rows [n * chunk_rows, *trailing]; each without its crc32c.

        Chunks that are not compressed may be views of the rows.
        """
        chunks = rows.reshape(-1, *self.chunk_shape).transpose(0, *(1 + axis for axis in self.order))
        laid_out = np.ascontiguousarray(chunks)
        if not self.compressed:
            return [flat_bytes(chunk) for chunk in laid_out]
        options = self._blosc
        name, level, size = options["cname"].encode(), options["clevel"], options["blocksize"]
        return [blosc.compress(chunk, name, level, blosc.BITSHUFFLE, size) for chunk in laid_out]

    def decode(self, encoded: memoryview) -> memoryview:
        """Decode a chunk that is given without its crc32c; the bytes are in C order, with the row axis first.

        blosc trusts its own header, so the header is first checked against the two known sizes (numcodecs #228).
        Raises RuntimeError if they differ, or if blosc cannot decode the chunk.
        """
        if not self.compressed:
            if len(encoded) != self.nbytes:
                raise RuntimeError(f"it has {counted(len(encoded), 'byte')}; expected {self.nbytes:,}")
            return encoded
        if len(encoded) < 16 or _BLOSC_SIZES.unpack_from(encoded) != (self.nbytes, len(encoded)):
            raise RuntimeError(f"its blosc header does not announce {self.nbytes} bytes in {len(encoded)}")
        # Into new bytes: blosc's wrapper takes longer to check a given destination than a copy takes.
        decoded = blosc.decompress(encoded)
        if not self.transposed:
            return memoryview(decoded)
        laid_out = np.frombuffer(decoded, self.dtype).reshape(self._laid_out_shape)
        return flat_bytes(np.ascontiguousarray(np.moveaxis(laid_out, -1, 0)))
