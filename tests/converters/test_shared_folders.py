"""Folders in which several people work: no user blocks another, and messages name the owner."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import skelstore
from tests.support.crashes import PART_BYTES, make_source
from tests.support.files import names_in

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can run commands as other users"
    ),
]

LAB = 54321
ALICE, BOB = 1, 65534
NAMES = {ALICE: "daemon", BOB: "nobody"}
PARTS = 10

# Another user cannot read the modules of a private environment, so they are imported before.
_COMMAND = f"""if True:
    import difflib, email.parser, os, sys
    from skelstore.format import chunking
    chunking.PART_BYTES = {PART_BYTES}
    import converters.cli.commands, converters.cli.source_commands
    from converters.cli import main
    from converters.conversion import convert
    user, umask, stop = int(sys.argv[1]), int(sys.argv[2], 8), int(sys.argv[3])
    write_part = convert.write_part
    done = 0
    def killed(*arguments):
        global done
        if done == stop:
            os.kill(os.getpid(), 9)
        done += 1
        return write_part(*arguments)
    convert.write_part = killed
    os.setgroups([user, {LAB}])
    os.setgid(user)
    os.setuid(user)
    os.umask(umask)
    main(sys.argv[4:])
"""


@pytest.fixture
def lab() -> Iterator[Path]:
    """A folder in which every member of the group may write, and a source that all may read."""
    top = Path(tempfile.mkdtemp(dir="/tmp"))  # the folders of pytest are private
    try:
        top.chmod(0o755)
        make_source(top / "a.pkl", videos=4 * PARTS).chmod(0o644)
        (top / "lab").mkdir()
        os.chown(top / "lab", 0, LAB)
        (top / "lab").chmod(0o2775)
        yield top / "lab"
    finally:
        shutil.rmtree(top)


def run_as(user: int, *arguments: object, umask: int = 0o022, stop: int = -1) -> tuple[int, str]:
    """Run a command as a user; kill it after ``stop`` parts."""
    command = [sys.executable, "-B", "-c", _COMMAND, str(user), f"{umask:o}", str(stop), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout + done.stderr


def convert_as(user: int, lab: Path, *options: str, umask: int = 0o022, stop: int = -1) -> tuple[int, str]:
    arguments = ("convert", lab.parent / "a.pkl", lab / "a.zarr", "--workers", "1", *options)
    return run_as(user, *arguments, umask=umask, stop=stop)


@pytest.mark.parametrize("umask", [0o002, 0o022])
def test_a_colleagues_killed_conversion_is_reported_before_the_work(lab: Path, umask: int) -> None:
    assert convert_as(ALICE, lab, umask=umask, stop=4)[0] == -9
    before = sorted(lab.rglob("*"))
    for options in ((), ("--shared",)):
        status, said = convert_as(BOB, lab, *options, umask=umask)
        assert status == 1
        assert f"a.zarr.partial belongs to {NAMES[ALICE]}" in said
        assert len(said.splitlines()) == 1
    assert sorted(lab.rglob("*")) == before
    status, said = convert_as(ALICE, lab, umask=umask)
    assert status == 0
    assert "4 of its parts were finished" in said
    assert names_in(lab) == ["a.zarr"]


@pytest.mark.parametrize("umask", [0o002, 0o022, 0o077])
def test_a_colleague_resumes_a_shared_conversion(lab: Path, umask: int) -> None:
    assert convert_as(ALICE, lab, "--shared", umask=umask, stop=4)[0] == -9
    status, said = convert_as(BOB, lab, umask=umask)
    assert status == 1
    assert f"belongs to {NAMES[ALICE]}, so it is not used: continue it with --shared" in said
    assert convert_as(BOB, lab, "--shared", umask=umask, stop=6)[0] == -9
    status, said = convert_as(ALICE, lab, "--shared", umask=umask)
    assert status == 0, said
    assert "6 of its parts were finished" in said
    assert names_in(lab) == ["a.zarr"]
    for path in (lab / "a.zarr", *(lab / "a.zarr").rglob("*")):
        assert path.stat().st_gid == LAB
        assert path.stat().st_mode & stat.S_IWGRP
    assert run_as(BOB, "verify", lab / "a.zarr", "--level", "decode")[0] == 0
    assert convert_as(BOB, lab, "--force")[0] == 0, "a shared store may be replaced"
    assert {path.stat().st_uid for path in lab.rglob("*")} == {BOB}


def test_a_folder_of_another_group_is_not_shared(lab: Path) -> None:
    os.chown(lab, 0, 0)
    lab.chmod(0o777)
    status, said = convert_as(ALICE, lab, "--shared")
    assert status == 1
    assert "belongs to the group root, and you are not in it" in said
    assert convert_as(ALICE, lab)[0] == 0


@pytest.mark.parametrize("command", ["convert", "merge"])
@pytest.mark.parametrize("why", ["not theirs", "sticky", "closed"])
def test_a_store_that_cannot_be_replaced_is_reported_before_the_work(lab: Path, why: str, command: str) -> None:
    assert convert_as(ALICE, lab, umask=0o022 if why == "not theirs" else 0o002)[0] == 0
    lab.chmod({"not theirs": 0o2775, "sticky": 0o3775, "closed": 0o2755}[why])
    before = {path: path.stat().st_ino for path in lab.rglob("*")}
    for _ in range(2):
        if command == "convert":
            status, said = convert_as(BOB, lab, "--force", stop=0)  # a part that is begun would kill it
        else:
            status, said = run_as(BOB, "merge", lab / "a.zarr", "-o", lab / "a.zarr", "--force")
        assert status == 1
        assert "again" not in said
        assert ("belongs to root" if why == "closed" else f"belongs to {NAMES[ALICE]}") in said
        assert {path: path.stat().st_ino for path in lab.rglob("*")} == before
    lab.chmod(0o2775)
    assert convert_as(ALICE, lab, "--force")[0] == 0
    assert len(skelstore.open(lab / "a.zarr")) == 4 * PARTS


@pytest.mark.parametrize("kind", ["a.pkl.partial", "a.pkl.partial.lock"])
def test_leftovers_of_a_colleagues_export_are_reported(lab: Path, kind: str) -> None:
    assert convert_as(ALICE, lab)[0] == 0
    (lab / kind).write_bytes(b"")
    os.chown(lab / kind, ALICE, LAB)
    status, said = run_as(BOB, "export", lab / "a.zarr", lab / "a.pkl")
    assert status == 1
    assert f"{kind} belongs to {NAMES[ALICE]}" in said
    assert names_in(lab) == sorted(["a.zarr", kind])
    assert run_as(ALICE, "export", lab / "a.zarr", lab / "a.pkl")[0] == 0
    assert names_in(lab) == ["a.pkl", "a.zarr"]
    lab.chmod(0o3775)
    status, said = run_as(BOB, "export", lab / "a.zarr", lab / "a.pkl", "--force")
    assert status == 1
    assert f"a.pkl belongs to {NAMES[ALICE]}, and you cannot replace it" in said
    assert names_in(lab) == ["a.pkl", "a.zarr"]
