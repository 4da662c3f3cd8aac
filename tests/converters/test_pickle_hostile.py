"""Hostile and damaged pickles: only data or a refusal ever comes out, and nothing is imported or run."""

from __future__ import annotations

import copyreg
import json
import os
import pickle
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.pickle_file import PickleFile
from converters.pickle_values import Foreign
from skelstore.errors import SourceError
from tests.converters import hostile_pickles
from tests.exact import assert_exact

REPOSITORY = Path(__file__).resolve().parents[2]
SMALL = hostile_pickles.small()
HEAVY = [name for name, _ in hostile_pickles.heavy()]

#: What comes out of some of them as data: there is nothing wrong with it, or not with all that is read of it.
HARMLESS = {
    "a memo index of 2**32-1",
    "a chain of 50,000 annotations, each needing the one before",
}


def everything(path: Path) -> Iterator[Any]:
    """Every part of the pickle by every way to read it: what it is, or the refusal."""
    try:
        pickled = PickleFile(path)
    except SourceError as error:
        yield error
        return
    with pickled:
        ways: list[Any] = [pickled.root]
        ways += [lambda key=key: pickled.value(key) for key in pickled.keys[:100]]
        for key in [None, *pickled.keys[:100]]:
            try:
                count = pickled.elements(key)
            except SourceError:
                continue
            if count:
                chosen = sorted({0, 1, count // 2, count - 1})
                ways += [lambda key=key, i=i: pickled.element(i, key) for i in chosen if i < count]
        for way in ways:
            try:
                yield way()
            except SourceError as error:
                yield error


def foreigners(value: Any, seen: set[int]) -> Iterator[Foreign]:
    if isinstance(value, Foreign):
        yield value
    elif isinstance(value, (list, tuple, dict)) and id(value) not in seen:
        seen.add(id(value))
        for item in value.values() if isinstance(value, dict) else value:
            yield from foreigners(item, seen)


PLAIN = (bool, int, float, str, bytes, type(None), np.generic, np.ndarray, Foreign)


def assert_plain(value: Any, seen: set[int]) -> None:
    """Hold the value to be what the reader may give, all through."""
    if isinstance(value, (list, tuple, dict)):
        assert type(value) in (list, tuple, dict)
        if id(value) not in seen:
            seen.add(id(value))
            for item in value.values() if isinstance(value, dict) else value:
                assert_plain(item, seen)
            if isinstance(value, dict):
                assert all(type(key) in (str, bytes, int, float, bool, type(None)) for key in value)
        return
    assert isinstance(value, PLAIN), type(value)
    if isinstance(value, np.ndarray):
        assert type(value) is np.ndarray
        assert value.dtype.kind in "biuf"
        assert value.dtype.fields is None
        value.tobytes()


def refused(path: Path) -> bool:
    """Whether everything that is read has a Foreign in it, or is refused by a sentence on one line with the place."""
    bad = False
    for value in everything(path):
        if isinstance(value, SourceError):
            message = str(value)
            assert message.startswith(f"{path}: byte "), message
            assert "\n" not in message
            assert len(message) < len(str(path)) + 250, message
            bad = True
        else:
            assert_plain(value, set())
            bad = bad or any(foreigners(value, set()))
    return bad


@pytest.mark.parametrize("data", [data for _, data in SMALL], ids=[name for name, _ in SMALL])
def test_nothing_is_imported_or_run(
    data: bytes, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "x.pkl"
    path.write_bytes(data)
    module, attribute, code = hostile_pickles.EXTENSION
    copyreg.add_extension(module, attribute, code)
    monkeypatch.setitem(copyreg._extension_cache, code, os.system)  # type: ignore[attr-defined]
    before = set(sys.modules)
    try:
        bad = refused(path)
    finally:
        copyreg.remove_extension(module, attribute, code)
    assert set(sys.modules) == before
    assert os.listdir(tmp_path) == ["x.pkl"]
    assert bad or request.node.callspec.id in HARMLESS


MESSAGES = {
    "a negative length": "whole numbers from 0 on",
    "two negative lengths": "whole numbers from 0 on",
    "a length that wraps around": "with 8 bytes of data",
    "an enormous shape of nothing": "larger than NumPy can make",
    "more data than the shape": "8 bytes of data, expected 4",
    "a shared list that grows": "out of the memo is changed",
    "a shared dict that grows": "out of the memo is changed",
    "a list in itself, through a call that drops it": "contains itself",
    "2**60 lists out of 60, one in another": "10000000 values",
    "an opcode beyond its frame": "beyond the frame",
    "an array that is its own data": "before it is complete",
    "opcode b'X' of 1000 bytes": "a value of 1000 bytes is announced where the file holds 1 more",
}


@pytest.mark.parametrize("name", MESSAGES)
def test_what_a_refusal_says(name: str, tmp_path: Path) -> None:
    path = tmp_path / "x.pkl"
    path.write_bytes(next(data for found, data in [*SMALL, *hostile_pickles.heavy()] if found == name))
    messages = [str(value) for value in everything(path) if isinstance(value, SourceError)]
    assert MESSAGES[name] in messages[0]


REFUSED_AT_ONCE = {
    "a shared list that grows by one": b"\x80\x04](]\x94h\x00K\x01ae.",
    "a shared list that grows": b"\x80\x04](]\x94h\x00(K\x01ee.",
    "a shared dict that grows by one": b"\x80\x04](}\x94h\x00K\x01Nse.",
    "a shared dict that grows": b"\x80\x04](}\x94h\x00(K\x01Nue.",
    "a shared object that gets a state": b"\x80\x04](]\x94h\x00}be.",
    "slot 0 where Python 2 began with 1": b"](U\x01aq\x01h\x00e.",
    "a frame and a mark put into the memo": b"\x80\x04](\x95\x03\0\0\0\0\0\0\0\x94e.",
    "MEMOIZE in protocol 3": b"\x80\x03]\x94.",
    "an index out of sequence in protocol 4": b"\x80\x04]q\x05.",
}


@pytest.mark.parametrize("data", REFUSED_AT_ONCE.values(), ids=REFUSED_AT_ONCE)
def test_what_no_pickler_does_is_refused_at_once(data: bytes, tmp_path: Path) -> None:
    """The first pass finds it, so that reading one element never depends on another that changes it."""
    path = tmp_path / "x.pkl"
    path.write_bytes(data)
    with pytest.raises(SourceError, match=r"x\.pkl: byte \d+: "):
        PickleFile(path)


def test_a_plain_dtype_with_fields_is_none(tmp_path: Path) -> None:
    names = b"N" + hostile_pickles.text("a") + b"\x85}J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00"
    path = tmp_path / "x.pkl"
    path.write_bytes(hostile_pickles.whole(hostile_pickles.array(kind=hostile_pickles.dtype("f4", "<", names))))
    (found,) = everything(path)
    assert isinstance(found, Foreign)
    assert found.name == "numpy.ndarray of dtype void"


def test_the_attacks_would_work_on_pickle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That the corpus is what it says it is: some of it does run when the pickle module loads it."""
    monkeypatch.chdir(tmp_path)
    names = {
        "os.system by GLOBAL and REDUCE",
        "os.system by STACK_GLOBAL and REDUCE",
        "posix.system, in an annotation",
        "os.system by INST",
        "os.system by OBJ",
        "builtins.eval",
    }
    attacks = [data for name, data in hostile_pickles.calls() if name in names]
    assert len(attacks) == len(names)
    for data in attacks:
        loaded: Any = pickle.loads(data)
        if hasattr(loaded, "close"):
            loaded.close()
        (tmp_path / hostile_pickles.MARKER).unlink()


CHILD = """
import json, resource, sys, time
from pathlib import Path
from tests.converters import hostile_pickles
from tests.converters.test_pickle_hostile import refused

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))

folder = Path(sys.argv[1])
name = sys.argv[2]
path = folder / "x.pkl"
modules, memory, start = set(sys.modules), peak(), time.process_time()
bad = refused(path)
print(json.dumps([bad, time.process_time() - start, peak() - memory, sorted(set(sys.modules) - modules)]))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc, which tells the peak of memory")
@pytest.mark.parametrize("name", HEAVY)
def test_nothing_takes_long_or_much_memory(name: str, tmp_path: Path) -> None:
    data = next(data for found, data in hostile_pickles.heavy() if found == name)
    (tmp_path / "x.pkl").write_bytes(data)
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path), name],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    bad, seconds, megabytes, imported = json.loads(done.stdout)
    assert bad or name in HARMLESS
    assert seconds < 5
    assert megabytes < 150
    assert imported == []


def sample(protocol: int) -> bytes:
    """A small pickle with a bit of everything."""
    shape = (1080, 1920)
    annotation = {
        "frame_dir": "S001",
        "label": np.int64(3),
        "img_shape": shape,
        "original_shape": shape,
        "keypoint": np.arange(12, dtype="f2").reshape(1, 3, 2, 2),
        "score": np.asfortranarray(np.ones((2, 3), ">f4")),
        "valid": {0.5: 1.0, None: b"\xff", True: [-1, 70000, 1 << 70]},
    }
    return pickle.dumps(
        {"split": {"train": ["S001", "é"]}, "annotations": [annotation, annotation, {"x": ()}]}, protocol
    )


@pytest.mark.parametrize("protocol", range(6))
def test_cut_short_at_every_byte(protocol: int, tmp_path: Path) -> None:
    data = sample(protocol)
    path = tmp_path / "x.pkl"
    for size in range(len(data)):
        path.write_bytes(data[:size])
        with pytest.raises(SourceError, match=r"x\.pkl: byte \d+: "):
            PickleFile(path)


@pytest.mark.parametrize("protocol", range(6))
def test_flipped_bytes_give_a_value_or_a_refusal(protocol: int, tmp_path: Path) -> None:
    data = sample(protocol)
    path = tmp_path / "x.pkl"
    chance = random.Random(protocol)
    outcomes = {"value": 0, "refusal": 0}
    for _ in range(700):
        damaged = bytearray(data)
        for _ in range(chance.choice((1, 1, 1, 2, 5))):
            place = chance.randrange(len(damaged))
            damaged[place] = chance.choice((chance.randrange(256), damaged[place] ^ (1 << chance.randrange(8))))
        path.write_bytes(damaged)
        for value in everything(path):
            if isinstance(value, SourceError):
                outcomes["refusal"] += 1
            else:
                assert_plain(value, set())
                outcomes["value"] += 1
    assert min(outcomes.values()) > 100


@pytest.mark.parametrize("protocol", range(6))
def test_moved_and_missing_pieces_give_a_value_or_a_refusal(protocol: int, tmp_path: Path) -> None:
    """Cuts and doublings, which leave the opcodes in a wrong order rather than wrong."""
    data = sample(protocol)
    path = tmp_path / "x.pkl"
    chance = random.Random(protocol)
    for _ in range(300):
        start, stop = sorted(chance.sample(range(len(data) + 1), 2))
        stop = min(stop, start + 40)
        to = chance.randrange(len(data))
        damaged = chance.choice((data[:start] + data[stop:], data[:to] + data[start:stop] + data[to:]))
        path.write_bytes(damaged)
        for value in everything(path):
            if not isinstance(value, SourceError):
                assert_plain(value, set())


def test_what_pickle_refuses_is_refused(tmp_path: Path) -> None:
    """Where the pickle module cannot load a damaged file, this reader gives no data either, but for other reasons."""
    data = sample(4)
    path = tmp_path / "x.pkl"
    for place in range(0, len(data), 3):
        damaged = data[:place] + data[place + 1 :]
        path.write_bytes(damaged)
        try:
            found = PickleFile(path)
        except SourceError:
            continue
        with found:
            try:
                value = found.root()
            except SourceError:
                continue
        assert_exact(value, pickle.loads(damaged))


@pytest.mark.parametrize(
    ("data", "looks"),
    [
        (b"", "empty"),
        (b"PK\x03\x04rest", "zip"),
        (b"\x1f\x8b\x08rest", "gzip"),
        (b"BZh91AY", "bzip2"),
        (b"\xfd7zXZ\x00", "xz"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git-lfs"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"\n <html>", "web page"),
        (b'{"a": 1}', "JSON"),
        (b"\x93NUMPY\x01\x00", "npy"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b"hello", "not a pickle"),
        (b"\x00\x00\x00", "not a pickle"),
        (b"\x80", "cut short"),
    ],
)
def test_what_is_not_a_pickle_is_recognised(data: bytes, looks: str, tmp_path: Path) -> None:
    path = tmp_path / "x.pkl"
    path.write_bytes(data)
    with pytest.raises(SourceError, match=looks):
        PickleFile(path)
