"""Encoding of chunks with every profile and dtype; zarr-python decodes what skelstore encodes and the reverse."""

from __future__ import annotations

import json
import struct
import tempfile
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from skelstore import DamageError, StoreError
from skelstore.format.checksums import crc32c
from skelstore.format.codecs import CRC_BYTES, PROFILES, ChunkCodec, Profile, chunk_codecs
from tests.support import strategies

Chunk = np.ndarray[Any, Any]

chunk_shapes = st.one_of(
    st.tuples(st.integers(1, 70)),
    st.tuples(st.integers(1, 40), st.integers(1, 5)),
    st.tuples(st.integers(1, 20), st.integers(1, 17), st.integers(1, 3)),
    st.tuples(st.integers(1, 6), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3)),
)
chunks = strategies.arrays(chunk_shapes)


def codec_of(profile: Profile, chunk: Chunk) -> ChunkCodec:
    return ChunkCodec(chunk_codecs(profile, chunk.dtype, chunk.shape), chunk.shape, chunk.dtype)


def encode(codec: ChunkCodec, chunk: Chunk) -> bytes:
    (encoded,) = codec.encode(chunk)
    return bytes(encoded)


def array_of_one_chunk(folder: str, profile: Profile, chunk: Chunk) -> Path:
    """A Zarr array of one chunk, without a shard; and the path of the file of the chunk."""
    node = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(chunk.shape),
        "data_type": chunk.dtype.newbyteorder("=").name,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(chunk.shape)}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "."}},
        "fill_value": False if chunk.dtype.kind == "b" else 0,
        "codecs": chunk_codecs(profile, chunk.dtype, chunk.shape),
        "attributes": {},
    }
    (Path(folder) / "zarr.json").write_text(json.dumps(node))
    return Path(folder) / ".".join(["c", *("0" for _ in chunk.shape)])


@given(chunk=chunks, profile=st.sampled_from(PROFILES))
def test_a_chunk_round_trips(chunk: Chunk, profile: Profile) -> None:
    codec = codec_of(profile, chunk)
    encoded = encode(codec, chunk)
    assert bytes(codec.decode(memoryview(encoded))) == chunk.tobytes()
    assert codec.nbytes == chunk.nbytes


@settings(max_examples=30)
@given(chunk=chunks, profile=st.sampled_from(PROFILES))
def test_zarr_python_decodes_what_we_encode(chunk: Chunk, profile: Profile) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = array_of_one_chunk(folder, profile, chunk)
        encoded = encode(codec_of(profile, chunk), chunk)
        file.write_bytes(encoded + crc32c(encoded).to_bytes(CRC_BYTES, "little"))
        array = zarr.open_array(folder, mode="r")
        assert np.asarray(array[...]).astype(chunk.dtype).tobytes() == chunk.tobytes()


@settings(max_examples=30)
@given(chunk=chunks, profile=st.sampled_from(PROFILES))
def test_we_decode_what_zarr_python_encodes(chunk: Chunk, profile: Profile) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = array_of_one_chunk(folder, profile, chunk)
        with zarr.config.set({"array.write_empty_chunks": True}):
            zarr.open_array(folder, mode="r+")[...] = chunk
        data = file.read_bytes()
        assert crc32c(data[:-CRC_BYTES]) == int.from_bytes(data[-CRC_BYTES:], "little")
        assert bytes(codec_of(profile, chunk).decode(memoryview(data)[:-CRC_BYTES])) == chunk.tobytes()


@pytest.mark.parametrize("dtype", strategies.DTYPES, ids=str)
@pytest.mark.parametrize("profile", PROFILES)
def test_every_dtype_in_every_profile(profile: Profile, dtype: np.dtype[Any]) -> None:
    data = np.random.default_rng(1).bytes(64 * 5 * 2 * dtype.itemsize)
    chunk = strategies.from_bits(dtype, data).reshape(64, 5, 2)
    codec = codec_of(profile, chunk)
    assert bytes(codec.decode(memoryview(encode(codec, chunk)))) == chunk.tobytes()
    with tempfile.TemporaryDirectory() as folder:
        file = array_of_one_chunk(folder, profile, chunk)
        encoded = encode(codec, chunk)
        file.write_bytes(encoded + crc32c(encoded).to_bytes(CRC_BYTES, "little"))
        found = np.asarray(zarr.open_array(folder, mode="r")[...])
        assert found.dtype.newbyteorder("=") == dtype.newbyteorder("=")
        assert found.astype(dtype).tobytes() == chunk.tobytes()


def test_the_profiles_are_chains_of_registered_codecs() -> None:
    chains = {profile: chunk_codecs(profile, np.dtype("<f2"), (64, 17, 2)) for profile in PROFILES}
    assert {profile: [codec["name"] for codec in chain] for profile, chain in chains.items()} == {
        "fast": ["bytes", "crc32c"],
        "default": ["bytes", "blosc", "crc32c"],
        "small": ["transpose", "bytes", "blosc", "crc32c"],
    }
    assert chains["small"][0]["configuration"] == {"order": [1, 2, 0]}
    assert chains["default"][1]["configuration"] == {
        "cname": "lz4",
        "clevel": 9,
        "shuffle": "bitshuffle",
        "typesize": 2,
        "blocksize": 64 * 17 * 2 * 2,
    }
    assert chunk_codecs("fast", np.dtype(">f4"), (1,))[0] == {"name": "bytes", "configuration": {"endian": "big"}}
    assert chunk_codecs("fast", np.dtype("i1"), (1,))[0] == {"name": "bytes"}


@given(st.binary(max_size=100), st.integers(0, 100))
def test_crc32c_of_any_bytes_in_any_pieces(data: bytes, cut: int) -> None:
    whole = google_crc32c.value(data)
    assert crc32c(data) == crc32c(memoryview(data)) == whole
    assert crc32c(memoryview(data)[cut:], crc32c(data[:cut])) == whole


def test_crc32c_is_that_of_rfc_3720() -> None:
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA


HEADER = struct.Struct("<BBBBIII")
"""Header of blosc: version, versionlz, flags, typesize, bytes decoded, block size, bytes encoded."""


@pytest.mark.parametrize("profile", ["default", "small"])
@pytest.mark.parametrize("noise", [True, False])
def test_a_blosc_header_that_announces_another_size_is_refused(profile: Profile, noise: bool) -> None:
    chunk = np.random.default_rng(0).integers(0, 1 << 16 if noise else 3, (64, 17, 2)).astype("<u2")
    codec = codec_of(profile, chunk)
    encoded = encode(codec, chunk)
    header = HEADER.unpack_from(encoded)
    assert (header[4], header[6]) == (chunk.nbytes, len(encoded))
    for field in (4, 6):
        for value in (
            0,
            1,
            15,
            16,
            chunk.nbytes - 1,
            chunk.nbytes + 1,
            len(encoded) - 1,
            len(encoded) + 1,
            2**31,
            2**32 - 1,
        ):
            if value == header[field]:
                continue
            changed = [*header]
            changed[field] = value
            with pytest.raises((DamageError, RuntimeError), match="blosc header"):
                codec.decode(memoryview(HEADER.pack(*changed) + encoded[HEADER.size :]))
    for length in (0, 1, 15, 16, len(encoded) - 1):
        with pytest.raises((DamageError, RuntimeError)):
            codec.decode(memoryview(encoded[:length]))
    with pytest.raises((DamageError, RuntimeError)):
        codec.decode(memoryview(encoded + b"\0"))


@pytest.mark.parametrize("change", [-1, 1, -100])
def test_a_plain_chunk_of_another_size_is_refused(change: int) -> None:
    chunk = np.zeros((64, 17, 2), "<f2")
    with pytest.raises(
        (DamageError, RuntimeError), match=f"it has {chunk.nbytes + change:,} bytes; expected {chunk.nbytes:,}"
    ):
        codec_of("fast", chunk).decode(memoryview(bytes(chunk.nbytes + change)))


BYTES = {"name": "bytes", "configuration": {"endian": "little"}}
BLOSC = {
    "name": "blosc",
    "configuration": {"cname": "lz4", "clevel": 5, "shuffle": "bitshuffle", "typesize": 2, "blocksize": 0},
}
CRC = {"name": "crc32c"}


def blosc(**changed: Any) -> dict[str, Any]:
    return {"name": "blosc", "configuration": BLOSC["configuration"] | changed}  # type: ignore[operator]


@pytest.mark.parametrize(
    "codecs",
    [
        [],
        [BYTES],
        [BYTES, BLOSC],
        [CRC, BYTES],
        [BYTES, {"name": "gzip", "configuration": {"level": 1}}, CRC],
        [BYTES, BLOSC, BLOSC, CRC],
        [{"name": "transpose", "configuration": {"order": [0, 1, 2]}}, BYTES, BLOSC, CRC],
        [{"name": "transpose", "configuration": {"order": [2, 1, 0]}}, BYTES, BLOSC, CRC],
        [{"name": "numcodecs.zstd"}, BYTES, CRC],
        [BYTES, blosc(shuffle="shuffle"), CRC],
        [BYTES, blosc(cname="zlib"), CRC],
        ["bytes", {}, None],
    ],
)
def test_a_codec_chain_outside_the_format_is_a_store_error(codecs: list[Any]) -> None:
    with pytest.raises(StoreError, match=r"chunks are (encoded|transposed)"):
        ChunkCodec(codecs, (64, 17, 2), np.dtype("<f2"))
