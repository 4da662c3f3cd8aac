"""Commands that are killed or meet full and failing disks: nothing is lost, and a repeated command continues.

The tests take a sample of the calls that `python -m tests.support.crashes` tries.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import get_args

import pytest

from skelstore.read.verification import verify
from skelstore.write import disk
from tests.support.crashes import (
    HOW,
    KILL,
    Call,
    Conversion,
    Done,
    FileExport,
    KineticsExport,
    Scenario,
    command,
    make_source,
    run,
    run_here,
    sweep,
    tree,
    why_no_strace,
)
from tests.support.lost_writes import Lost, files, materialise, recorded

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def strace() -> None:
    """Skip the test where strace cannot make calls fail."""
    if reason := why_no_strace():
        pytest.skip(reason)


def sample(calls: list[Call], several: int) -> list[Call]:
    """The first and the last call of every kind, and some of the others."""
    first = {call.name: call for call in reversed(calls)}
    last = {call.name: call for call in calls}
    return sorted({*first.values(), *last.values(), *calls[:: max(1, len(calls) // several)]}, key=calls.index)


@pytest.mark.usefixtures("strace")
@pytest.mark.parametrize("how", HOW)
def test_a_conversion_that_replaces_a_store(tmp_path: Path, how: str) -> None:
    scenario = Conversion(tmp_path, force=True)
    calls = sample(scenario.calls, 4)[:: 1 if how == KILL else 3]
    states = sweep(scenario, calls, how)
    assert states.total() == len(calls) >= 4
    assert {state.split(" ")[0] for state in states} <= {"old", "new"}


@pytest.mark.usefixtures("strace")
@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("export", [FileExport, KineticsExport])
def test_an_export_that_replaces_files(tmp_path: Path, export: type[Scenario], how: str) -> None:
    scenario = export(tmp_path)  # type: ignore[call-arg]
    calls = sample(scenario.calls, 1)[:: 1 if how == KILL else 4]
    assert sweep(scenario, calls, how).total() == len(calls) >= 2


@pytest.mark.usefixtures("strace")
@pytest.mark.parametrize("nth", [1, 2])
def test_replacing_a_store_where_names_cannot_be_exchanged(tmp_path: Path, nth: int) -> None:
    """The old store is moved aside first; after a kill between the two renames the next run moves it back."""
    make_source(tmp_path / "a.pkl", 6)
    work = tmp_path / "work"
    work.mkdir()
    arguments = ["convert", tmp_path / "a.pkl", work / "a.zarr", "--workers", "1"]
    assert run_here(*arguments).status == 0
    old = tree(work / "a.zarr")
    make_source(tmp_path / "a.pkl")
    inject = [
        "-e",
        "inject=renameat2:error=EINVAL",
        "-e",
        f"inject=rename:signal=KILL:when={4 + nth}",
    ]  # after those of four parts
    done = run(["strace", "-f", "-qq", "-o", "/dev/null", *inject, *command(*arguments, "--force")])
    assert done.status == -signal.SIGKILL
    aside = work / "a.zarr.partial" / "store.replaced"
    assert tree(work / "a.zarr" if nth == 1 else aside) == old
    again = run_here(*arguments)
    assert again.status == 1, again
    assert "exists" in again.err
    assert tree(work / "a.zarr") == old
    assert run_here(*arguments, "--force").status == 0
    assert tree(work / "a.zarr") != old
    assert verify(work / "a.zarr", level="decode") == []
    assert os.listdir(work) == ["a.zarr"]


@pytest.mark.usefixtures("strace")
@pytest.mark.parametrize("force", [False, True])
def test_a_power_cut_after_any_call(tmp_path: Path, force: bool) -> None:
    """Whichever unsynced writes are lost: the store is missing, the old one, or complete."""
    scenario = Conversion(tmp_path, force=force)
    scenario.reset()
    before, after = scenario.before, scenario.after
    states = set()
    for number, recording in enumerate(recorded(command(*scenario.arguments), scenario.work)):
        for lost in get_args(Lost):
            found = recording.after_cut(lost)
            store = {name: data for name, data in files(found).items() if name.startswith("a.zarr/")}
            aside = files(found.get("a.zarr.partial", {})).get("store.replaced/zarr.json")  # type: ignore[arg-type]
            assert store in ({}, after) or store == before, f"a mix after call {number}, {lost} lost"
            assert aside is None
            state = "none" if not store else "old" if store == before else "new"
            assert not force or state != "none", f"the old store is lost after call {number}, {lost} lost"
            states.add(state)
            if number % 40 == 20:
                shutil.rmtree(scenario.work)
                materialise(found, scenario.work)
                scenario.check_repeated(state, run_here(*scenario.arguments))
                assert tree(scenario.work) == after
    assert number > 200
    assert states == ({"old", "new"} if force else {"none", "new"})


def limited(arguments: Sequence[object], size: int) -> Done:
    """Run a command with RLIMIT_FSIZE: a write beyond ``size`` bytes of a file fails."""
    return run(command(*arguments), preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)))


@pytest.mark.parametrize("name", ["merge", "subset", "relabel"])
def test_a_limit_of_file_size_for_a_store_of_stores(tmp_path: Path, name: str) -> None:
    source, work = make_source(tmp_path / "a.pkl"), tmp_path / "work"
    work.mkdir()
    store, out = tmp_path / "a.zarr", work / "b.zarr"
    assert run_here("convert", source, store, "--workers", "1").status == 0
    arguments = {
        "merge": ("merge", store, "-o", out, "--copy"),
        "subset": ("subset", store, out, "--split", "train"),
        "relabel": ("relabel", store, "-o", out, "--compact"),
    }
    done = limited(arguments[name], 1_000)
    assert done.status == 1
    assert len(done.err.splitlines()) == 1
    assert str(work) in done.err
    assert "File too large" in done.err
    assert os.listdir(work) == []


def test_a_limit_of_file_size(tmp_path: Path) -> None:
    source = make_source(tmp_path / "a.pkl")
    work = tmp_path / "work"
    work.mkdir()
    arguments = ["convert", source, work / "a.zarr", "--workers", "1"]
    done = limited(arguments, 20_000)
    assert done.status == 1
    assert done.err == f"skelstore: {work / 'a.zarr.partial'}: File too large\n"
    assert os.listdir(work) == []
    assert run_here(*arguments).status == 0
    assert verify(work / "a.zarr", level="decode") == []


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)])
    if mounted.status != 0:
        pytest.skip(f"no file system can be mounted here: {mounted.err.strip()}")
    try:
        yield folder
    finally:
        assert run(["umount", str(folder)]).status == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_disk(tmp_path: Path, full_disk: Path, workers: int) -> None:
    source = make_source(tmp_path / "a.pkl", videos=60)
    (full_disk / "in the way").write_bytes(b"x" * 700_000)
    arguments = ["convert", source, full_disk / "a.zarr", "--workers", workers]
    done = run(command(*arguments))
    assert done.status == 1
    assert "No space left on device" in done.err
    assert str(full_disk / "a.zarr.partial") in done.err
    assert "run the same command again" in done.err
    assert not (full_disk / "a.zarr").exists()
    kept = len(list(full_disk.glob("a.zarr.partial/parts/*/part.json")))
    assert kept > 1
    (full_disk / "in the way").unlink()
    again = run_here(*arguments)
    assert again.status == 0, again
    assert f"{kept} of its parts were finished" in again.err
    assert verify(full_disk / "a.zarr", level="decode") == []
    assert os.listdir(full_disk) == ["a.zarr"]


def test_files_that_cannot_be_linked_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = make_source(tmp_path / "a.pkl")
    assert run_here("convert", source, tmp_path / "a.zarr", "--workers", "1").status == 0

    def refuse(source: Path, target: Path) -> None:
        raise PermissionError(1, "Operation not permitted", str(source))

    monkeypatch.setattr(os, "link", refuse)
    assert run_here("convert", source, tmp_path / "b.zarr", "--workers", "1").status == 0
    assert tree(tmp_path / "a.zarr") == tree(tmp_path / "b.zarr")
    (tmp_path / "x").write_bytes(b"x")
    with pytest.raises(FileExistsError), contextlib.closing(open(tmp_path / "x", "rb")):
        disk.link_or_copy(tmp_path / "x", tmp_path / "a.pkl")
