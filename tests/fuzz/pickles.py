"""Fuzz target: the pickle reader returns data or raises an error of skelstore, with templates and without."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import pickletools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from converters import samples
from converters.pickles import spans
from skelstore.errors import SourceError
from tests.fuzz import templates
from tests.support import hostile_pickles
from tests.support.reading_pickles import (
    Found,
    check_plain,
    check_same,
    check_sentence,
    check_templates,
    everything,
)
from tests.support.small_pickle import small_sample

MAX_BYTES = 4096
"""Bytes of an input: enough for several annotations and the insertions of mutations."""
HIGHEST_SLOT = 1 << 16
"""The highest memo index that is given to the reader in C."""


class Inputs:
    """One anonymous file in memory that holds each input in turn, without a name or a disk."""

    def __init__(self) -> None:
        self._fd = os.memfd_create("input")
        self.path = f"/proc/self/fd/{self._fd}"

    def put(self, data: bytes) -> None:
        os.ftruncate(self._fd, len(data))
        os.pwrite(self._fd, data, 0)

    def close(self) -> None:
        os.close(self._fd)


def check_pickle(data: bytes, inputs: Inputs) -> None:
    """Read everything in a pickle in every way, some of it before the whole is indexed.

    Each value must be plain data, and equal to what other ways of reading and the pickle module return. Raises
    AssertionError if not; any exception except SourceError passes through.
    """
    inputs.put(data)
    check_templates(inputs.path)
    found: list[Found] = []
    for way in everything(inputs.path, 20):
        if isinstance(way.value, SourceError):
            check_sentence(way.value, inputs.path)
        else:
            found.append(way)
    clean = [check_plain(value) for _, value in found]
    if not found or found[0].place:
        return
    whole = found[0].value
    for place, value in found[1:]:
        if any(key != key for key in place):
            continue  # a dict finds NaN only by identity, and each reading makes a new one
        part = whole
        for key in place:
            part = part[key]
        check_same(value, part)
    if all(clean):
        for loaded in loaded_otherwise(data):
            check_same(whole, loaded)


def loaded_otherwise(data: bytes) -> Iterator[Any]:
    """What the two readers of the pickle module return, in Python and in C. They may refuse anything.

    Only for pickles that our reader has found to be data.
    """
    for reader in (DataUnpickler, DataUnpicklerInC):
        if reader is DataUnpicklerInC and highest_slot(data) > HIGHEST_SLOT:
            continue  # it allocates a table as long as the highest memo index
        with contextlib.suppress(Exception):
            yield reader(io.BytesIO(data), encoding="latin-1").load()


def highest_slot(data: bytes) -> int:
    """The highest memo index that a pickle sets by number."""
    try:
        opcodes = list(pickletools.genops(data))
    except Exception:  # an unknown opcode may hide any index
        return 1 << 32
    return max((arg for opcode, arg, _ in opcodes if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT")), default=0)


class DataNames:
    """Looks up only the names that arrays are made of, for a reader of the pickle module."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in (("numpy", "ndarray"), ("numpy", "dtype")):
            return getattr(np, name)
        if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name in ("_reconstruct", "scalar"):
            return getattr(np._core.multiarray, name)
        if module in ("numpy.core.numeric", "numpy._core.numeric") and name == "_frombuffer":
            return np._core.numeric._frombuffer
        if (module, name) == ("_codecs", "encode"):
            return _latin
        if module in ("builtins", "__builtin__") and name in ("bytes", "bytearray"):
            return bytes if name == "bytes" else bytearray
        raise pickle.UnpicklingError(f"{module}.{name}")


class DataUnpickler(DataNames, pickle._Unpickler):  # type: ignore[misc,name-defined]
    """The reader of the pickle module in Python."""


class DataUnpicklerInC(DataNames, pickle.Unpickler):
    """The reader of the pickle module in C, which ``pickle.load`` uses."""


def _latin(text: str, codec: str) -> bytes:
    if codec not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(codec)
    return text.encode("latin-1")


def cut_down(annotation: dict[str, Any]) -> dict[str, Any]:
    """The annotation with arrays of at most two entries per axis."""
    return {
        key: value[tuple(slice(2) for _ in value.shape)].copy() if isinstance(value, np.ndarray) else value
        for key, value in annotation.items()
    }


def seeds() -> Iterator[bytes]:
    """The seeds of the search: every format in every protocol, and all attacks."""
    formats: list[Any] = [
        {"split": {"train": ["a"]}, "annotations": [cut_down(a) for a in samples.iter_ntu_like(2)]},
        [cut_down(a) for a in samples.iter_bare_list_like(2)],
        [cut_down(a) for a in samples.iter_compressed_like(2)],
        cut_down(next(samples.iter_ntu3d_like(1))),
        {a["frame_dir"]: {"keypoint": k[:2]} for a, k in samples.iter_kinetics_like(2)},
        [cut_down(a) for a, _ in samples.iter_kinetics_like(2)],
    ]
    for protocol in range(6):
        yield small_sample(protocol)
        for value in formats:
            yield pickle.dumps(value, protocol)
    yield from templates.sources()
    yield from (data for _, data in hostile_pickles.small() if len(data) <= MAX_BYTES)


def words() -> Iterator[bytes]:
    """Words that a mutation may insert: meaningful names, and pieces of arrays."""
    for module, attribute in (
        ("numpy", "dtype"),
        ("numpy", "ndarray"),
        ("numpy.core.multiarray", "_reconstruct"),
        ("numpy._core.multiarray", "scalar"),
        ("numpy._core.numeric", "_frombuffer"),
        ("_codecs", "encode"),
        ("builtins", "bytearray"),
        ("os", "system"),
    ):
        yield f"c{module}\n{attribute}\n".encode()
        yield hostile_pickles.name(module, attribute)
    for code in ("f2", "f4", "i8", "b1", "U3", "O8"):
        yield hostile_pickles.dtype(code)
    yield hostile_pickles.array()
    yield hostile_pickles.buffered((2,), b"abcdefgh")
    yield from (
        b"h\x00",
        b"h\x01",
        b"j\0\0\0\0",
        b"q\x00",
        b"r\0\0\0\0",
        b"\x95\x04\0\0\0\0\0\0\0",
        b"(](",
        b"}(",
        b"g0\n",
    )
    yield from (
        b"p0\n",
        b"I01\n",
        b"I010\n",
        b"I-0\n",
        b"L010L\n",
        b"L5L\n",
        b"F1e5\n",
        b"S'a'\n",
        b"V\\u00e9\n",
        b"\x8a\x02\xff\x7f",
        b"\x8b\x01\0\0\0a",
    )


def target() -> Callable[[bytes], None]:
    """The function that the fuzzer calls with each input."""
    spans.GROWTH_BYTES = 1  # index in steps, however small the file is
    inputs = Inputs()

    def run(data: bytes) -> None:
        check_pickle(data, inputs)

    return run
