"""Files beside a destination: those of other users are not used, links are not followed, locks need no flock."""

from __future__ import annotations

import errno
import json
import os
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import skelstore
from skelstore import StoreError
from skelstore.format import schema
from skelstore.read.verification import verify
from skelstore.write import disk, locks
from skelstore.write.workspace import Workspace
from tests.support.contracts import write
from tests.support.files import names_in

NOBODY = 65534
VIDEOS = [{"frame_dir": f"v{i}", "label": i} for i in range(3)]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another user")


def left(path: Path) -> Path:
    """The folder of a killed conversion, with a part in it."""
    found = Workspace(path, resume=True)
    (found.parts / "000000-x").mkdir()
    (found.parts / "000000-x" / "part.json").write_text("{}")
    found.leave()
    return found.folder


# ---------------------------------------------------------------------------------- links and special files


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("name", ["", "store", "parts", "store.replaced", "lock", "replacing", "parts/000000-x/0"])
@pytest.mark.parametrize("to", ["folder", "file", "nothing"])
def test_a_link_is_refused_by_name(tmp_path: Path, resume: bool, name: str, to: str) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "thesis.txt").write_text("precious")
    target = {"folder": victim, "file": victim / "thesis.txt", "nothing": victim / "new"}[to]
    planted = tmp_path / "a.zarr.partial"
    if name:
        left(tmp_path / "a.zarr")
        planted /= name
        if planted.is_dir():
            shutil.rmtree(planted)
        planted.unlink(missing_ok=True)
    planted.symlink_to(target)
    with pytest.raises(StoreError, match=f"{planted} is a link, expected"):
        Workspace(tmp_path / "a.zarr", resume=resume)
    assert names_in(victim) == ["thesis.txt"]
    assert (victim / "thesis.txt").read_text() == "precious"
    assert planted.is_symlink()


@pytest.mark.parametrize("name", ["", "lock", "parts/pipe"])
def test_a_pipe_is_refused_without_waiting(tmp_path: Path, name: str) -> None:
    planted = tmp_path / "a.zarr.partial"
    if name:
        planted = left(tmp_path / "a.zarr") / name
        planted.unlink(missing_ok=True)
    os.mkfifo(planted)
    with pytest.raises(StoreError, match=f"{planted} is a special file, expected"):
        Workspace(tmp_path / "a.zarr", resume=True)


def test_a_folder_that_takes_the_place_meanwhile_is_left_alone(tmp_path: Path) -> None:
    begun = Workspace(tmp_path / "a.zarr")
    begun.folder.rename(tmp_path / "moved")
    victim = tmp_path / "victim"
    (victim / "parts").mkdir(parents=True)
    begun.folder.symlink_to(victim)
    with pytest.raises(StoreError, match="was moved away while a store was written there"):
        begun.discard()
    assert names_in(victim) == ["parts"]


# ------------------------------------------------------------------------------------------------- owners


@as_root
@pytest.mark.parametrize("name", ["", "lock", "store", "parts", "parts/000000-x", "parts/000000-x/part.json"])
@pytest.mark.parametrize("resume", [False, True])
def test_files_of_another_user_are_not_used(tmp_path: Path, name: str, resume: bool) -> None:
    planted = left(tmp_path / "a.zarr") / name
    os.chown(planted, NOBODY, NOBODY)
    with pytest.raises(StoreError, match=f"{planted} belongs to nobody, so it is not used: .*ask nobody"):
        Workspace(tmp_path / "a.zarr", resume=resume)
    assert names_in(tmp_path / "a.zarr.partial") == ["lock", "parts", "store"]
    assert names_in(tmp_path) == ["a.zarr.partial"]


@pytest.mark.parametrize("mode", [0o700, 0o755, 0o775])
def test_our_own_files_are_used(tmp_path: Path, mode: int) -> None:
    """With a umask of 002, older versions left a folder that the group can write to."""
    left(tmp_path / "a.zarr").chmod(mode)
    found = Workspace(tmp_path / "a.zarr", resume=True)
    assert names_in(found.parts) == ["000000-x"]
    found.discard()
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("name", ["", "parts", "parts/000000-x/part.json"])
def test_files_that_everybody_can_write_are_not_used(tmp_path: Path, name: str) -> None:
    folder = left(tmp_path / "a.zarr")
    folder.chmod(0o755)
    (folder / name).chmod(0o777)
    with pytest.raises(StoreError, match=f"{folder / name} is world-writable"):
        Workspace(tmp_path / "a.zarr", resume=True)


@pytest.mark.parametrize("umask", [0o000, 0o002, 0o022, 0o077])
def test_modes_are_those_of_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        left(tmp_path / "left.zarr")
        Workspace(tmp_path / "left.zarr", resume=True).discard()
        write(tmp_path / "a.zarr", VIDEOS)
    finally:
        os.umask(before)
    for path in (tmp_path / "a.zarr", *(tmp_path / "a.zarr").rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o777 if path.is_dir() else 0o666) & ~umask


def test_with_shared_the_group_can_access_everything(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        left(tmp_path / "a.zarr")
        begun = Workspace(tmp_path / "a.zarr", resume=True, shared=True)
        begun.leave()
    finally:
        os.umask(before)
    for path in (begun.folder, *begun.folder.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o2770 if path.is_dir() else 0o660)
        assert path.stat().st_gid == tmp_path.stat().st_gid


# -------------------------------------------------------------------------------------- without flock


@pytest.fixture(params=[errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP], ids=errno.errorcode.get)
def without_flock(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(locks.fcntl, "flock", refuse)


@pytest.mark.usefixtures("without_flock")
def test_a_store_is_written_without_flock(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    with skelstore.Writer(path) as writer:
        writer.add(VIDEOS[0])
        with pytest.raises(StoreError, match=f"is in use.*process {os.getpid()} on .*remove .*lock.held"):
            skelstore.Writer(path)
    assert names_in(tmp_path) == ["a.zarr"]


def holder_of(folder: Path, **changed: Any) -> Path:
    holder = folder / "lock.held"
    holder.write_text(json.dumps({**locks._this_process(), **changed}))
    return holder


def ended_process() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


@pytest.mark.usefixtures("without_flock")
def test_the_lock_of_a_process_that_has_ended_is_taken_over(tmp_path: Path) -> None:
    folder = left(tmp_path / "a.zarr")
    holder_of(folder, pid=ended_process())
    found = Workspace(tmp_path / "a.zarr", resume=True)
    assert names_in(found.parts) == ["000000-x"]
    assert json.loads((folder / "lock.held").read_text())["pid"] == os.getpid()
    found.leave()
    assert names_in(folder) == ["lock", "parts", "store"]


@pytest.mark.usefixtures("without_flock")
@pytest.mark.parametrize("changed", [{"host": "another"}, {"processes": "pid:[1]"}, {"pid": 1}])
def test_the_lock_of_another_host_is_reported_with_a_remedy(tmp_path: Path, changed: dict[str, Any]) -> None:
    folder = left(tmp_path / "a.zarr")
    holder = holder_of(folder, **{"pid": ended_process(), **changed})
    said = json.loads(holder.read_text())
    with pytest.raises(StoreError, match=f"process {said['pid']} on {said['host']}: if it has ended, remove {holder}"):
        Workspace(tmp_path / "a.zarr", resume=True)
    assert said["host"] in ("another", socket.gethostname())
    holder.unlink()
    Workspace(tmp_path / "a.zarr").discard()
    assert names_in(tmp_path) == []


@pytest.mark.usefixtures("without_flock")
@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": "x"}', '{"pid": -1}', '{"pid": 1e40}', "[" * 4000])
def test_a_lock_without_an_owner_is_reported_with_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    monkeypatch.setattr(locks, "_WRITING_SECONDS", 0.05)
    holder = left(tmp_path / "a.zarr") / "lock.held"
    holder.write_text(content)
    with pytest.raises(StoreError, match=f"{holder} does not name the process: remove that file"):
        Workspace(tmp_path / "a.zarr", resume=True)


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_folder_that_cannot_be_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    sync_folders_with(monkeypatch, code)
    write(tmp_path / "a.zarr", VIDEOS)
    assert names_in(tmp_path) == ["a.zarr"]


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EBADF])
def test_a_folder_that_fails_to_be_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    sync_folders_with(monkeypatch, code)
    with pytest.raises(OSError, match=os.strerror(code)):
        write(tmp_path / "a.zarr", VIDEOS)


def sync_folders_with(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    real = os.fsync

    def fsync(fd: int) -> None:
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            raise OSError(code, os.strerror(code))
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)


# ---------------------------------------------------------------------------- a lower layer of a container


class KilledError(Exception):
    """Represents a killed process: nothing is cleaned up."""


@pytest.fixture
def lower_layer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store that cannot be renamed: rename of a folder of a lower layer fails with EXDEV."""
    path = tmp_path / "a.zarr"
    write(path, VIDEOS[:1])
    rename = os.rename

    def refuse(source: Any, target: Any) -> None:
        if Path(source) == path:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), str(source))
        rename(source, target)

    monkeypatch.setattr(disk, "_exchange", lambda a, b: False)
    monkeypatch.setattr(os, "rename", refuse)
    return path


def test_a_store_of_a_lower_layer_is_replaced(lower_layer: Path) -> None:
    write(lower_layer, VIDEOS, force=True)
    assert len(skelstore.open(lower_layer)) == 3
    assert names_in(lower_layer.parent) == ["a.zarr"]


CALLS: list[tuple[Any, str]] = [(os, "rename"), (os, "unlink"), (os, "rmdir"), (os, "fsync"), (Path, "unlink")]


@pytest.mark.parametrize(("where", "name"), CALLS)
def test_killed_while_a_store_of_a_lower_layer_is_replaced(
    lower_layer: Path, monkeypatch: pytest.MonkeyPatch, where: Any, name: str
) -> None:
    """At every call of a commit: the old or the new store is there, or the next command restores one."""
    saved = lower_layer.with_name("saved")
    shutil.copytree(lower_layer, saved)
    outcomes = set()
    for at in range(1, 60):
        shutil.rmtree(lower_layer, ignore_errors=True)
        shutil.rmtree(lower_layer.with_name("a.zarr.partial"), ignore_errors=True)
        shutil.copytree(saved, lower_layer)
        killed = commit_killed(monkeypatch, lower_layer, where, name, at)
        outcomes.add(state_after(lower_layer))
        assert verify(lower_layer, level="decode") == []
        assert names_in(lower_layer.parent) == ["a.zarr", "saved"]
        if not killed:
            break
    assert not killed
    assert "new" in outcomes


def test_another_folder_is_not_taken_for_the_store_that_was_being_replaced(
    lower_layer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after the old store is removed and before the new one has its name; then another folder is made there."""
    assert commit_killed(monkeypatch, lower_layer, os, "rename", 4)
    assert not lower_layer.exists()
    lower_layer.mkdir()  # it often has the inode number of the removed folder
    (lower_layer / "thesis.txt").write_text("precious")
    with pytest.raises(
        skelstore.StoreExistsError, match=r"a\.zarr is not the store that an earlier command was replacing"
    ):
        write(lower_layer, VIDEOS, force=True)
    assert (lower_layer / "thesis.txt").read_text() == "precious"
    (lower_layer / "thesis.txt").unlink()
    lower_layer.rmdir()
    assert state_after(lower_layer) == "new"


def commit_killed(monkeypatch: pytest.MonkeyPatch, path: Path, where: Any, name: str, at: int) -> bool:
    """Write the new store; return whether it was killed at the ``at``-th such call of the commit."""
    writer = skelstore.Writer(path, force=True)
    for video in VIDEOS:
        writer.add(video)
    real: Callable[..., Any] = getattr(where, name)
    calls = 0

    def call(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == at:
            raise KilledError
        if name == "rename" and Path(arguments[0]) == path:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        return real(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(writer, "abort", writer._workspace.leave)
        patch.setattr(where, name, call)
        try:
            writer.close()
        except KilledError:
            return True
    return False


def state_after(path: Path) -> str:
    """Run the next command, which is refused because a store is there; return which store."""
    with pytest.raises(skelstore.StoreExistsError, match="choose another destination, or replace it"):
        skelstore.Writer(path)
    shutil.rmtree(path.with_name("a.zarr.partial"), ignore_errors=True)
    return "old" if len(skelstore.open(path)) == 1 else "new"


@pytest.fixture
def overlay(tmp_path: Path) -> Iterator[Path]:
    """An overlay with a store in its lower layer."""
    for name in ("lower", "disk", "merged"):
        (tmp_path / name).mkdir()
    write(tmp_path / "lower" / "a.zarr", VIDEOS[:1])
    mounted: list[Path] = []
    options = "redirect_dir=off,lowerdir=lower,upperdir=disk/upper,workdir=disk/work"
    try:
        for command, at in (
            (["mount", "-t", "tmpfs", "tmpfs", "disk"], tmp_path / "disk"),  # a layer must not be an overlay itself
            (["mount", "-t", "overlay", "overlay", "-o", options, "merged"], tmp_path / "merged"),
        ):
            done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.skip(f"no overlay can be mounted here: {done.stderr.strip()}")
            mounted.append(at)
            if at.name == "disk":
                (at / "upper").mkdir()
                (at / "work").mkdir()
        yield tmp_path / "merged"
    finally:
        for at in reversed(mounted):
            subprocess.run(["umount", at], check=True)


def test_a_store_of_an_overlay_is_replaced(overlay: Path) -> None:
    with pytest.raises(OSError, match="cross-device"):
        os.rename(overlay / "a.zarr", overlay / "b.zarr")
    write(overlay / "a.zarr", VIDEOS, force=True)
    with skelstore.open(overlay / "a.zarr") as store:
        assert len(store) == 3
    assert names_in(overlay) == ["a.zarr"]


# -------------------------------------------------------------------------------------------- hard links


def test_a_link_gives_its_target_another_name(tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(b"data")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "link").symlink_to("../blob")
    assert disk.link_file(tmp_path / "folder" / "link", tmp_path / "new")
    assert not (tmp_path / "new").is_symlink()
    (tmp_path / "blob").unlink()
    assert (tmp_path / "new").read_bytes() == b"data"


def test_the_suffix_is_that_of_the_documents() -> None:
    assert schema.PARTIAL_SUFFIX == ".partial"
