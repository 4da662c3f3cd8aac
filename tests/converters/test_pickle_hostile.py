"""Hostile and damaged pickles are read as data or refused, and nothing is imported or run."""

from __future__ import annotations

import copyreg
import json
import os
import pickle
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from converters.cli.entry import main
from converters.pickles.arrays import Foreign
from converters.pickles.file import PickleFile
from converters.pickles.opcodes import FLOAT, INT, LINE_LITERALS, LONG, PickleError
from skelstore.errors import SourceError
from tests.support import hostile_pickles
from tests.support.exact import assert_exact
from tests.support.reading_pickles import check_plain, check_refused, everything
from tests.support.repository import REPOSITORY
from tests.support.small_pickle import small_sample

SMALL = hostile_pickles.small()
HEAVY = [title for title, data in hostile_pickles.every() if len(data) > hostile_pickles.SMALL]

HARMLESS = {
    "a memo index of 2**32-1",
    "a chain of 50,000 annotations, each needing the one before",
}
"""Attacks that are read as data, because there is nothing wrong with what is read of them."""


def test_the_kept_files_are_those_of_the_script() -> None:
    kept = {file.name: file.read_bytes() for file in hostile_pickles.KEPT.iterdir()}
    assert kept == {hostile_pickles.file_name(title): data for title, data in SMALL}
    assert len(kept) == len(SMALL)


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
        bad = check_refused(path)
    finally:
        copyreg.remove_extension(module, attribute, code)
    assert set(sys.modules) == before
    assert os.listdir(tmp_path) == ["x.pkl"]
    assert bad or request.node.callspec.id in HARMLESS


def reports(paths: list[Path]) -> list[dict[str, Any]]:
    """Read the files in a process that has imported only the reader; return its report of each."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.reading_pickles", *map(str, paths)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def check_report(report: dict[str, Any], title: str) -> None:
    assert report["bad"] or title in HARMLESS
    assert report["imported"] == []
    assert report["events"] == [], "an audit hook saw more than the opening of the file"
    assert report["seconds"] < 5
    assert report["megabytes"] < 110, "of the whole process, without the pages of libraries"


PROC = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="no /proc, which has the peak of memory")


@PROC
def test_an_audit_hook_sees_nothing_of_the_small_ones() -> None:
    found = reports([hostile_pickles.KEPT / hostile_pickles.file_name(title) for title, _ in SMALL])
    assert len(found) == len(SMALL)
    for report, (title, _) in zip(found, SMALL, strict=True):
        check_report(report, title)


@PROC
@pytest.mark.parametrize("title", HEAVY)
def test_nothing_takes_long_or_much_memory(title: str, tmp_path: Path) -> None:
    data = next(data for found, data in hostile_pickles.every() if found == title)
    (tmp_path / "x.pkl").write_bytes(data)
    (report,) = reports([tmp_path / "x.pkl"])
    check_report(report, title)


@pytest.mark.parametrize("title", [name for name, _ in SMALL if name not in HARMLESS])
def test_a_conversion_refuses_it_with_file_and_byte(
    title: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = hostile_pickles.KEPT / hostile_pickles.file_name(title)
    with pytest.raises(SystemExit) as ended:
        main(["convert", str(path), str(tmp_path / "a.zarr"), "--workers", "1"])
    message = capsys.readouterr().err
    assert ended.value.code == 1
    assert str(path) in message
    assert re.search(r"byte \d+|is a text file; expected a pickle|is compressed with", message), message
    assert "a fault in skelstore" not in message
    assert len(message.splitlines()) == 1
    assert message.isprintable() or message.rstrip("\n").isprintable()
    assert os.listdir(tmp_path) == []


MESSAGES = {
    "a negative length": "whole numbers from 0 on",
    "two negative lengths": "whole numbers from 0 on",
    "a length that wraps around": "with 8 bytes of data",
    "an enormous shape of nothing": "larger than NumPy can create",
    "more data than the shape": "8 bytes of data, expected 4",
    "a shared list that grows": "read from the memo is changed",
    "a shared dict that grows": "read from the memo is changed",
    "a list in itself, through a call that drops it": "contains itself",
    "2**60 lists out of 60, one in another": "1000000 values",
    "an opcode beyond its frame": "beyond its frame",
    "the integer I010, which readers do not agree on": "decimal digits as Python writes them",
    "a float beyond all floats": "one that a float can hold",
    "14 times 9,900 colliding keys": "more than 16 numbers with the same hash",
    "a text of 400,000 characters 300,000 times": "expand to more than 16777216 bytes",
    "12,000 lists, each in the next": "100 deep",
    "an array that is its own data": "before it is complete",
    "opcode b'X' of 1000 bytes": "a value of 1,000 bytes is declared, but the file has only 1 more",
}


@pytest.mark.parametrize("name", MESSAGES)
def test_messages_of_refusals(name: str, tmp_path: Path) -> None:
    path = tmp_path / "x.pkl"
    path.write_bytes(next(data for found, data in hostile_pickles.every() if found == name))
    messages = [str(value) for _, value in everything(path) if isinstance(value, SourceError)]
    assert MESSAGES[name] in messages[0]


INTEGER_LINES = st.text("0123456789+-L _x", min_size=1, max_size=6).map(str.encode)


@given(line=INTEGER_LINES, opcode=st.sampled_from(("I", "L")))
@example(line=b"010", opcode="I")
@example(line=b"-0", opcode="I")
@example(line=b"010L", opcode="L")
def test_an_integer_in_text_is_refused_or_read_as_by_the_c_reader(line: bytes, opcode: str) -> None:
    try:
        found = LINE_LITERALS[ord(opcode)](line, 0)
    except PickleError:
        return
    assert_exact(found, pickle.loads(opcode.encode() + line + b"\n."))


@given(value=st.integers())
def test_an_integer_in_text_as_written_by_python(value: int) -> None:
    digits = str(value).encode()
    assert_exact([LINE_LITERALS[INT](digits, 0), LINE_LITERALS[LONG](digits + b"L", 0)], [value, value])


@given(line=st.text("0123456789.+-eEinfax", min_size=1, max_size=8).map(str.encode))
@example(line=b"1e999")
def test_a_float_in_text_is_refused_or_read_as_by_the_c_reader(line: bytes) -> None:
    try:
        found = LINE_LITERALS[FLOAT](line, 0)
    except PickleError:
        return
    assert_exact(found, pickle.loads(b"F" + line + b"\n."))


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
    "an index again when the sequence comes to it": b"](U\x01aq\x02U\x01bq\x00U\x01cq\x01U\x01dq\x02e.",
    "the same as lines": b"](U\x01ap2\nU\x01bp0\nU\x01cp1\nU\x01dp2\ne.",
}


@pytest.mark.parametrize("data", REFUSED_AT_ONCE.values(), ids=REFUSED_AT_ONCE)
def test_opcodes_that_no_pickler_writes_are_refused_at_once(data: bytes, tmp_path: Path) -> None:
    """The first pass finds it, so reading one element never depends on another one that changes it."""
    path = tmp_path / "x.pkl"
    path.write_bytes(data)
    with pytest.raises(SourceError, match=r"x\.pkl: byte \d+: "):
        PickleFile(path)


def test_a_dtype_with_fields_is_not_plain(tmp_path: Path) -> None:
    names = b"N" + hostile_pickles.text("a") + b"\x85}J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00"
    path = tmp_path / "x.pkl"
    path.write_bytes(hostile_pickles.whole(hostile_pickles.array(kind=hostile_pickles.dtype("f4", "<", names))))
    ((_, found),) = everything(path)
    assert isinstance(found, Foreign)
    assert found.name == "numpy.ndarray of dtype void"


def test_the_attacks_would_work_on_pickle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The attacks are real: some of them run when the pickle module loads them."""
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


@pytest.mark.parametrize("protocol", range(6))
def test_cut_short_at_every_byte(protocol: int, tmp_path: Path) -> None:
    data = small_sample(protocol)
    path = tmp_path / "x.pkl"
    for size in range(len(data)):
        path.write_bytes(data[:size])
        with pytest.raises(SourceError, match=r"x\.pkl: byte \d+: "):
            PickleFile(path)


@pytest.mark.parametrize("protocol", range(6))
def test_flipped_bytes_give_a_value_or_a_refusal(protocol: int, tmp_path: Path) -> None:
    data = small_sample(protocol)
    path = tmp_path / "x.pkl"
    chance = random.Random(protocol)
    outcomes = {"value": 0, "refusal": 0}
    for _ in range(700):
        damaged = bytearray(data)
        for _ in range(chance.choice((1, 1, 1, 2, 5))):
            place = chance.randrange(len(damaged))
            damaged[place] = chance.choice((chance.randrange(256), damaged[place] ^ (1 << chance.randrange(8))))
        path.write_bytes(damaged)
        for _, value in everything(path):
            if isinstance(value, SourceError):
                outcomes["refusal"] += 1
            else:
                check_plain(value)
                outcomes["value"] += 1
    assert min(outcomes.values()) > 100


@pytest.mark.parametrize("protocol", range(6))
def test_moved_and_missing_pieces_give_a_value_or_a_refusal(protocol: int, tmp_path: Path) -> None:
    """Removed and repeated pieces: the opcodes are valid, but in a wrong order."""
    data = small_sample(protocol)
    path = tmp_path / "x.pkl"
    chance = random.Random(protocol)
    for _ in range(300):
        start, stop = sorted(chance.sample(range(len(data) + 1), 2))
        stop = min(stop, start + 40)
        to = chance.randrange(len(data))
        damaged = chance.choice((data[:start] + data[stop:], data[:to] + data[start:stop] + data[to:]))
        path.write_bytes(damaged)
        for _, value in everything(path):
            if not isinstance(value, SourceError):
                check_plain(value)


def test_pickles_that_python_refuses_are_refused(tmp_path: Path) -> None:
    """If the pickle module cannot load a damaged file, this reader refuses it too, though for other reasons."""
    data = small_sample(4)
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
def test_files_other_than_pickles_are_recognised(data: bytes, looks: str, tmp_path: Path) -> None:
    path = tmp_path / "x.pkl"
    path.write_bytes(data)
    with pytest.raises(SourceError, match=looks):
        PickleFile(path)
