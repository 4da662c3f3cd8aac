"""The installed command: what each command prints and writes, its exit statuses, and how it is interrupted."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import skelstore
from converters import cli, samples
from converters.progress import progress
from tests.exact import assert_exact
from tests.source_contract import dump, load

COMMAND = Path(sys.executable).with_name("skelstore")


class Done:
    """What a command left: exit status and both outputs."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Any:
    """Run the command line in this process, through ``main``, as the installed script does."""

    def call(*arguments: object) -> Done:
        capfd.readouterr()
        status = 0
        try:
            cli.main([str(argument) for argument in arguments])
        except SystemExit as error:
            status = error.code if isinstance(error.code, int) else int(error.code is not None)
        captured = capfd.readouterr()
        return Done(status, captured.out, captured.err)

    return call


def command(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    if not COMMAND.exists():
        pytest.skip(f"the command is not installed at {COMMAND}")
    return subprocess.run(
        [COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False, **options
    )


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return dump(tmp_path / "a.pkl", samples.ntu_like(6))


@pytest.fixture
def store(tmp_path: Path, source: Path, run: Any) -> Path:
    assert run("convert", source, tmp_path / "a.zarr", "--workers", "1").status == 0
    return tmp_path / "a.zarr"


def check_sentence(done: Done) -> str:
    """An error of the data is one sentence on stderr, exit status 1, and nothing else."""
    assert done.status == 1, (done.out, done.err)
    assert done.out == ""
    assert "Traceback" not in done.err
    assert "a fault in skelstore itself" not in done.err, done.err
    [line] = done.err.splitlines()
    assert line.startswith("skelstore: ")
    return line


# ----------------------------------------------------------------------------------- the installed command


def test_the_installed_command_from_convert_to_export(tmp_path: Path, source: Path) -> None:
    done = command("convert", source, tmp_path / "a.zarr", "--workers", "1")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{tmp_path / 'a.zarr'}: 6 videos, ")
    assert len(done.stdout.splitlines()) == 1, "no terminal: plain output"
    done = command("export", "a.zarr", "b.pkl", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "b.pkl: 6 videos\n", "")
    assert_exact(load(tmp_path / "b.pkl"), load(source))


def test_the_installed_command_with_an_error() -> None:
    done = command("convert", "no such file", "out.zarr")
    check_sentence(Done(done.returncode, done.stdout, done.stderr))
    assert command("convert").returncode == 2


# ------------------------------------------------------------------------------------------ each command


@pytest.mark.parametrize("name", ["", "convert", "export", "info", "verify"])
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help(run: Any, name: str, option: str) -> None:
    done = run(*filter(None, [name, option]))
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith(f"Usage: skelstore {name}".rstrip())
    for other in ("convert", "export", "info", "verify"):
        assert name or other in done.out


def test_version(run: Any) -> None:
    done = run("--version")
    assert done.status == 0
    assert done.out.startswith("skelstore, version ")


@pytest.mark.parametrize("profile", ["fast", "default", "small"])
def test_convert_with_its_options(tmp_path: Path, source: Path, run: Any, profile: str) -> None:
    out = tmp_path / "a.zarr"
    arguments = ("convert", source, out, "--from", "pyskl", "--profile", profile, "--workers", "1")
    assert run(*arguments).status == 0
    with skelstore.open(out) as store:
        assert store.profile == profile
        assert_exact(list(store), load(source)["annotations"])
    assert "--force" in check_sentence(run(*arguments))
    assert run(*arguments, "--force").status == 0
    assert sorted(os.listdir(tmp_path)) == ["a.pkl", "a.zarr"]


def test_kinetics_on_the_command_line(tmp_path: Path, run: Any) -> None:
    dump(tmp_path / "toc.pkl", {"split": {}, "annotations": [{"frame_dir": "a"}, {"frame_dir": "b"}]})
    dump(tmp_path / "kpfiles" / "0.pkl", {"a": {"keypoint": np.zeros((2, 17, 3))}})
    arguments = ("convert", tmp_path / "toc.pkl", tmp_path / "a.zarr", "--kpfiles", tmp_path / "kpfiles")
    done = run(*arguments)
    assert done.status == 1
    assert "--skip-missing" in done.err
    assert "'b'" in done.err
    done = run(*arguments, "--skip-missing", "--workers", "1")
    assert done.status == 0
    assert "left out 1 videos" in done.err
    done = run("verify", tmp_path / "a.zarr", "--against", tmp_path / "toc.pkl", "--kpfiles", tmp_path / "kpfiles")
    assert done.status == 0, done.err
    assert json.loads(run("info", "--json", tmp_path / "a.zarr").out)["left_out"][0]["name"] == "b"
    out = tmp_path / "out"
    out.mkdir()
    done = run("export", tmp_path / "a.zarr", out / "t.pkl", "--kpfiles", out / "k", "--kpfile-videos", "5")
    assert done.status == 0
    assert sorted(os.listdir(out)) == ["k", "t.pkl"]


def test_a_table_of_contents_without_its_kpfiles_is_noted(tmp_path: Path, run: Any) -> None:
    path = dump(tmp_path / "toc.pkl", {"split": {}, "annotations": [{"frame_dir": "a"}]})
    done = run("convert", path, tmp_path / "a.zarr")
    assert done.status == 0
    assert "--kpfiles" in done.err


@pytest.mark.parametrize("format_", ["pyskl", "list", "kinetics"])
def test_export_with_its_options(tmp_path: Path, store: Path, run: Any, format_: str) -> None:
    out = tmp_path / "out.pkl"
    done = run("export", store, out, "--format", format_)
    assert (done.status, done.err) == (0, "")
    assert out.exists()
    assert "--force" in check_sentence(run("export", store, out, "--format", format_))
    assert run("export", store, out, "--format", format_, "--force").status == 0


def test_info(store: Path, run: Any) -> None:
    done = run("info", store)
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith(f"{store}: 6 videos, profile default\n")
    done = run("info", store, "--json")
    assert done.status == 0
    found = json.loads(done.out)
    assert found["videos"] == 6
    assert found["joints"] == [17]
    assert found["left_out"] == []
    assert found["source"]["dialect"] == "pyskl"
    assert found["splits"][0]["name"] == "xsub_train"
    assert {field["name"] for field in found["fields"]} == {"keypoint", "keypoint_score"}


def test_verify(tmp_path: Path, store: Path, source: Path, run: Any) -> None:
    for options in ([], ["--level", "decode"], ["--against", source], ["--level", "decode", "--against", source]):
        done = run("verify", store, *options)
        assert (done.status, done.err) == (0, ""), options
        assert done.out.endswith("no problem\n")
    other = samples.ntu_like(6)
    other["annotations"][3]["label"] += 1
    line = check_sentence(run("verify", store, "--against", dump(tmp_path / "b.pkl", other)))
    assert "annotations[3].label" in line
    statuses = [run("verify", store, "--against", tmp_path / "b.pkl", "--subset", f"{n}/3").status for n in (1, 2, 3)]
    assert statuses == [1, 0, 0], "the fourth video is in the first share"


@pytest.mark.parametrize("subset", ["0/2", "3/2", "1", "1/2/3", "a/b", "-1/2", "1/", "", "1/9" + 30 * "9"])
def test_a_share_that_is_none_is_wrong_usage(store: Path, subset: str, run: Any) -> None:
    done = run("verify", store, "--subset", subset)
    assert done.status == 2
    assert "expected N/M" in done.err


def test_verify_of_a_damaged_store(store: Path, run: Any) -> None:
    shard = next(p for p in sorted((store / "keypoint").rglob("*")) if p.is_file() and p.name != "zarr.json")
    data = bytearray(shard.read_bytes())
    data[len(data) // 3] ^= 1
    shard.write_bytes(data)
    assert run("verify", store).status == 0, "sizes and structure are as they were"
    done = run("verify", store, "--level", "decode")
    assert done.status == 1
    assert shard.name in done.err
    assert "Traceback" not in done.err
    shard.write_bytes(data[:-1])
    done = run("verify", store)
    assert done.status == 1
    assert shard.name in done.err
    shard.unlink()
    assert run("verify", store).status == 1
    (store / "zarr.json").unlink()
    check_sentence(run("verify", store))


# ---------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["convert"],
        ["convert", "a.pkl"],
        ["convert", "a.pkl", "a.zarr", "b"],
        ["convert", "a.pkl", "a.zarr", "--from", "nonsense"],
        ["convert", "a.pkl", "a.zarr", "--profile", "tiny"],
        ["convert", "a.pkl", "a.zarr", "--workers", "0"],
        ["convert", "a.pkl", "a.zarr", "--workers", "x"],
        ["convert", "a.pkl", "a.zarr", "--nonsense"],
        ["export", "a.zarr"],
        ["export", "a.zarr", "a.pkl", "--format", "single"],
        ["export", "a.zarr", "a.pkl", "--kpfile-videos", "0"],
        ["info"],
        ["verify"],
        ["verify", "a.zarr", "--against"],
    ],
)
def test_wrong_use_ends_with_status_2(run: Any, arguments: Sequence[str]) -> None:
    done = run(*arguments)
    assert done.status == 2
    assert done.out == ""
    assert "Error: " in done.err
    assert "Traceback" not in done.err


def test_no_command_shows_the_help(run: Any) -> None:
    done = run()
    assert done.status in (0, 2)
    assert "Usage: skelstore" in done.out + done.err


def test_data_at_fault_ends_with_status_1_and_a_sentence(tmp_path: Path, source: Path, store: Path, run: Any) -> None:
    (tmp_path / "text.pkl").write_text("hello, world\n")
    (tmp_path / "empty.pkl").write_bytes(b"")
    (tmp_path / "short.pkl").write_bytes(source.read_bytes()[:-100])
    (tmp_path / "half.pkl").write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    (tmp_path / "folder").mkdir()
    dump(tmp_path / "scores.pkl", [np.zeros(3)])
    dump(tmp_path / "single.pkl", {"frame_dir": "a"})
    new = tmp_path / "new.zarr"
    before = sorted(os.listdir(tmp_path))
    for name in ("text.pkl", "empty.pkl", "short.pkl", "half.pkl", "folder", "scores.pkl", "absent.pkl", "a.zarr"):
        for options in ([], ["--from", "pyskl"], ["--from", "list"], ["--workers", "2"]):
            line = check_sentence(run("convert", tmp_path / name, new, *options))
            assert str(tmp_path / name) in line
    for wrong in ("pyskl", "list"):
        check_sentence(run("convert", tmp_path / "single.pkl", new, "--from", wrong))
    check_sentence(run("convert", source, tmp_path / "no" / "parent" / "a.zarr"))
    check_sentence(run("convert", source, source / "a.zarr"))
    check_sentence(run("convert", source, tmp_path / "folder"))
    check_sentence(run("convert", source, tmp_path / "text.pkl", "--force"))
    check_sentence(run("convert", source, new, "--from", "kinetics"))
    check_sentence(run("convert", source, new, "--kpfiles", tmp_path / "absent"))
    for name in ("absent", "folder", "text.pkl", "a.pkl"):
        check_sentence(run("info", tmp_path / name))
        check_sentence(run("verify", tmp_path / name))
        check_sentence(run("export", tmp_path / name, tmp_path / "out.pkl"))
    check_sentence(run("export", store, tmp_path / "no" / "out.pkl"))
    check_sentence(run("export", store, source))
    check_sentence(run("export", store, tmp_path / "out.pkl", "--kpfiles", tmp_path / "k"))
    check_sentence(run("verify", store, "--against", tmp_path / "absent"))
    check_sentence(run("verify", store, "--against", tmp_path / "text.pkl"))
    assert sorted(os.listdir(tmp_path)) == before


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_named(tmp_path: Path, source: Path, run: Any) -> None:
    source.chmod(0)
    assert str(source) in check_sentence(run("convert", source, tmp_path / "a.zarr"))
    source.chmod(0o644)
    (tmp_path / "closed").mkdir(0o500)
    check_sentence(run("convert", source, tmp_path / "closed" / "a.zarr"))


def test_a_fault_of_ours_is_a_sentence_too(source: Path, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(cli, "open_source", fail)
    done = run("convert", source, "x.zarr")
    assert done.status == 1
    assert len(done.err.splitlines()) == 1
    assert "a fault in skelstore itself (ZeroDivisionError: oh" in done.err


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [(KeyboardInterrupt, 130, "interrupted"), (MemoryError, 1, "out of memory"), (OSError, 1, "No space")],
)
def test_what_ends_a_conversion(
    source: Path, run: Any, monkeypatch: pytest.MonkeyPatch, error: Any, status: int, text: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error(28, "No space") if error is OSError else error

    monkeypatch.setattr(cli, "convert_source", fail)
    done = run("convert", source, "x.zarr")
    assert done.status == status
    assert text in done.err
    assert len(done.err.strip().splitlines()) == 1


def test_a_reader_of_a_pipe_that_leaves_is_no_error(store: Path) -> None:
    if not COMMAND.exists():
        pytest.skip("the command is not installed")
    read, written = os.pipe()
    os.close(read)
    with open(written, "wb") as pipe:
        done = subprocess.run([COMMAND, "info", store], stdout=pipe, stderr=subprocess.PIPE, timeout=60, check=False)
    assert b"Traceback" not in done.stderr
    assert b"Exception" not in done.stderr


# ------------------------------------------------------------------------------- interrupt and terminal


@pytest.mark.parametrize("workers", [1, 2])
def test_an_interrupt_ends_with_130_and_leaves_nothing(tmp_path: Path, workers: int) -> None:
    """Ctrl-C reaches every process of the terminal's group, so it is sent to the group."""
    if not COMMAND.exists():
        pytest.skip("the command is not installed")
    path = dump(tmp_path / "a.pkl", [{"frame_dir": str(i), "x": i} for i in range(200_000)])
    arguments = [COMMAND, "convert", path, tmp_path / "a.zarr", "--workers", str(workers)]
    with subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            deadline = time.monotonic() + 60
            while not any((tmp_path / "a.zarr.partial" / "parts").glob("*")):
                assert process.poll() is None, process.communicate()
                assert time.monotonic() < deadline
                time.sleep(0.005)
            time.sleep(0.1)
            os.killpg(process.pid, signal.SIGINT)
            out, err = process.communicate(timeout=60)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 130, (out, err)
    assert out == ""
    assert err.strip().splitlines()[-1] == "interrupted"
    assert "Traceback" not in err
    assert sorted(os.listdir(tmp_path)) == ["a.pkl"]


def terminal() -> tuple[int, int]:
    """Both ends of a terminal of 80 columns; a new one has none, in which no bar has room."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    return ours, theirs


def test_a_bar_on_a_terminal(tmp_path: Path) -> None:
    if not COMMAND.exists():
        pytest.skip("the command is not installed")
    path = dump(tmp_path / "a.pkl", samples.ntu_like(20))
    ours, theirs = terminal()
    shown = b""
    try:
        with subprocess.Popen(
            [COMMAND, "convert", path, tmp_path / "a.zarr", "--workers", "1"],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        ) as process:
            os.close(theirs)
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline:
                if select.select([ours], [], [], 0.1)[0]:
                    try:
                        data = os.read(ours, 65536)
                    except OSError:  # the other side has closed
                        break
                    if not data:
                        break
                    shown += data
            assert process.wait(30) == 0
    finally:
        os.close(ours)
    assert b"converting" in shown
    assert b"\r" in shown
    assert b"20 videos" in shown.splitlines()[-1]


def test_a_bar_leaves_no_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = threading.active_count()
    ours, theirs = terminal()
    with os.fdopen(theirs, "w") as screen:
        monkeypatch.setattr(sys, "stderr", screen)
        with progress("working", 10, " videos") as advance:
            for _ in range(10):
                advance(1)
            assert threading.active_count() == before
        ready = select.select([ours], [], [], 10)[0]
        shown = os.read(ours, 65536) if ready else b""
    os.close(ours)
    assert b"working" in shown
