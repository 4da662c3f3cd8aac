"""Kill a command, or make it fail, at each call that changes the file system, and check what is left.

``python -m tests.support.crashes`` tries all calls (some minutes); the test suite tries a few.
"""

from __future__ import annotations

import contextlib
import io
import re
import shutil
import signal
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import numpy as np

from converters.cli.entry import main
from converters.samples.pickles import write_dataset, write_samples
from skelstore.format import chunking
from skelstore.read.verification import verify
from tests.support.files import tree
from tests.support.processes import Done, run

PART_BYTES = 40_000
"""Size of parts in these conversions: a small one has several parts, and arrays of several shards."""

_COMMAND = f"""if True:
    import sys
    from skelstore.format import chunking
    chunking.PART_BYTES = {PART_BYTES}
    from converters.cli import main
    main(sys.argv[1:])
"""
CHANGING = (
    *("write", "pwrite64", "writev", "ftruncate", "fallocate", "fsync", "fdatasync", "mkdir", "mkdirat"),
    *("rename", "renameat", "renameat2", "link", "linkat", "unlink", "unlinkat", "rmdir"),
)
"""Calls that change files or folders, or sync them to the disk.

Creating a file is not among them, because Python opens a varying number of files. The state after it is also the state
before the first write to the file.
"""

KILL = "signal=KILL"
HOW = (KILL, "error=ENOSPC", "error=EIO")
_LINE = re.compile(r"(\d+) +(\w+)\((.*)")


class Call(NamedTuple):
    """The ``count``-th call ``name`` of a command's main thread, with its arguments as strace shows them."""

    name: str
    count: int
    shown: str


def command(*arguments: object) -> list[str]:
    """The command line, with small parts, as the arguments of a new process."""
    return [sys.executable, "-B", "-c", _COMMAND, *map(str, arguments)]


def run_here(*arguments: object) -> Done:
    """Run the same command in this process, which is faster."""
    out, err = io.StringIO(), io.StringIO()
    status = 0
    with (
        mock.patch.object(chunking, "PART_BYTES", PART_BYTES),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 0
    return Done(status, out.getvalue(), err.getvalue())


def why_no_strace() -> str | None:
    """The reason why strace cannot make calls fail here; None if it can."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    tried = run(["strace", "-f", "-e", "trace=fsync", "-e", "inject=fsync:error=EIO", "true"])
    return None if tried.status == 0 else f"strace may not trace here: {tried.err.strip()}"


def changing_calls(arguments: Sequence[str], folder: Path) -> list[Call]:
    """The calls by which an undisturbed command changes what is below ``folder``, in order."""
    with tempfile.NamedTemporaryFile("r") as log:
        traced = ["strace", "-f", "-y", "-s", "0", "-e", f"trace={','.join(CHANGING)}", "-o", log.name]
        done = run([*traced, *arguments])
        assert done.status == 0, done
        lines = log.read().splitlines()
    own = lines[0].split()[0]
    counts: Counter[str] = Counter()
    calls = []
    for line in lines:
        found = _LINE.match(line)
        if found is None or found[1] != own:
            assert found is None or str(folder) not in line, f"not by the main thread: {line}"
            continue
        name, shown = found[2], found[3]
        counts[name] += 1
        if str(folder) in shown:
            calls.append(Call(name, counts[name], shown))
    return calls


def disturbed(arguments: Sequence[str], call: Call, how: str) -> Done:
    """Run a command that fails at a call (``error=EIO``) or is killed there (``signal=KILL``)."""
    inject = ["-e", f"trace={call.name}", "-e", f"inject={call.name}:{how}:when={call.count}"]
    return run(["strace", "-f", "-qq", "-o", "/dev/null", *inject, *arguments])


def make_source(path: Path, seed: int = 5, videos: int = 10) -> Path:
    """A pickle that is converted to one part per four videos."""
    random = np.random.default_rng(seed)
    annotations = [
        {"frame_dir": f"v{i}", "label": i, "keypoint": random.normal(size=(2, 40, 17, 2)).astype(np.float32)}
        for i in range(videos)
    ]
    write_dataset(path, {"train": [f"v{i}" for i in range(0, videos, 2)]}, annotations)
    return path


def converted(source: Path) -> dict[str, bytes]:
    """The files of the store that an undisturbed conversion writes beside its source."""
    store = source.with_name("a.zarr")
    assert run_here("convert", source, store, "--workers", "1").status == 0
    return tree(store)


class Scenario(ABC):
    """A small command that works in the folder ``work``, which is a copy of ``old`` before it."""

    def __init__(self, folder: Path, *arguments: object) -> None:
        self.work = folder / "work"
        self.old = folder / "old"
        self.old.mkdir()
        self.arguments = arguments

    def begin(self) -> None:
        """Run the command undisturbed, to record its result and its calls."""
        self.reset()
        self.calls = changing_calls(command(*self.arguments), self.work)
        self.before, self.after = tree(self.old), tree(self.work)
        assert self.before != self.after

    def reset(self) -> None:
        """Restore the state before the command."""
        if self.work.exists():
            shutil.rmtree(self.work)
        shutil.copytree(self.old, self.work)

    def check_after(self, done: Done, how: str) -> str:
        """Check that the state is an allowed one, then repeat the command; return the state."""
        self._check_message(done, how)
        state = self.check_state(done, how)
        self.check_repeated(state, run_here(*self.arguments))
        assert tree(self.work) == self.after, "the repeated command gave another result"
        assert all(folder.name != "store.replaced" for folder in self.work.rglob("*"))
        return state

    def _check_message(self, done: Done, how: str) -> None:
        if how == KILL:
            assert done.status in (-signal.SIGKILL, 128 + signal.SIGKILL), done
        elif done.status != 0:  # otherwise it could do without the call
            assert done.status == 1, done
            assert "Traceback" not in done.err, done
            wanted = {"EIO": "Input/output error", "ENOSPC": "No space left on device"}[how.removeprefix("error=")]
            assert wanted in done.err, done
            assert str(self.work) in done.err, f"it does not say where: {done}"

    @abstractmethod
    def check_state(self, done: Done, how: str) -> str:
        """Return which of the allowed states this is."""

    def check_repeated(self, state: str, again: Done) -> None:
        """Check how the same command ends when it is run again."""
        assert again.status == 0, again


class Conversion(Scenario):
    """A conversion; with ``force`` one that replaces an older store."""

    def __init__(self, folder: Path, *, force: bool = False) -> None:
        source = make_source(folder / "a.pkl")
        super().__init__(folder, "convert", source, folder / "work" / "a.zarr", "--workers", "1")
        if force:
            self.arguments += ("--force",)
            older = make_source(folder / "older.pkl", 6)
            assert run_here("convert", older, self.old / "a.zarr", "--workers", "1", "--profile", "small").status == 0
        self._finished: set[int] = set()
        self.begin()

    def check_state(self, done: Done, how: str) -> str:
        records = [path for path in self.work.glob("a.zarr.partial/parts/*/part.json") if "." not in path.parent.name]
        self._finished = {file.stat().st_ino for path in records for file in path.parent.glob("*/c.*")}
        kept = "no parts kept" if not self._finished else "parts kept"
        destination = self.work / "a.zarr"
        found = {f"a.zarr/{name}": data for name, data in tree(destination).items()}
        if not destination.exists():
            aside = {f"a.zarr/{name}": data for name, data in tree(self.work / "a.zarr.partial/store.replaced").items()}
            assert not self.before or aside == self.before, "the old store is gone"
            state = "no store"
        elif found == self.after:
            state = "new store"
        else:
            assert self.before
            assert found == self.before, "neither the old store nor the new"
            state = "old store"
        assert verify(destination, level="decode") == [] if destination.exists() else True
        if self._finished and how != KILL and done.status != 0:
            assert "run the same command again" in done.err or f"{destination} is complete" in done.err, done
        return f"{state}, {kept}"

    def check_repeated(self, state: str, again: Done) -> None:
        if state.startswith("new") and not self.before:
            assert again.status == 1, again
            assert "exists" in again.err
            return
        assert again.status == 0, again
        standing = {file.stat().st_ino for file in (self.work / "a.zarr").glob("*/c.*")}
        assert self._finished <= standing, "a finished part was written again"


class FileExport(Scenario):
    """An export that replaces an older file."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "export", folder / "a.zarr", folder / "work" / "a.pkl", "--force")
        make_source(self.old / "a.pkl", 6)
        assert run_here("convert", make_source(folder / "a.pkl"), folder / "a.zarr", "--workers", "1").status == 0
        self.begin()

    def check_state(self, done: Done, how: str) -> str:
        found = (self.work / "a.pkl").read_bytes()
        assert found in (self.before["a.pkl"], self.after["a.pkl"])
        return "old file" if found == self.before["a.pkl"] else "new file"


class KineticsExport(Scenario):
    """An export of a table of contents and kpfiles that replaces older ones with other videos."""

    def __init__(self, folder: Path) -> None:
        store = folder / "k.zarr"
        to = ("--kpfiles", folder / "work" / "kpfiles", "--kpfile-videos")
        super().__init__(folder, "export", store, folder / "work" / "k.pkl", *to, 4, "--force")
        write_samples(folder / "samples", videos=12)
        contents, kpfiles = folder / "samples/k400/k400_hrnet.pkl", folder / "samples/k400/kpfiles"
        assert run_here("convert", contents, store, "--kpfiles", kpfiles, "--workers", "1").status == 0
        self.work.mkdir()
        assert run_here("export", store, self.work / "k.pkl", *to, 5).status == 0
        self.old.rmdir()
        self.work.rename(self.old)
        self.begin()

    def check_state(self, done: Done, how: str) -> str:
        found = {name: data for name, data in tree(self.work).items() if ".partial" not in name}
        kpfiles = {name: data for name, data in found.items() if name != "k.pkl"}
        both = self.before, self.after
        assert kpfiles in [{name: data for name, data in one.items() if name != "k.pkl"} for one in both]
        if "k.pkl" not in found:
            return "no table of contents"
        assert found in both, "a table of contents beside kpfiles of another export"
        return "old files" if found == self.before else "new files"


def sweep(scenario: Scenario, calls: Sequence[Call], how: str) -> Counter[str]:
    """Disturb a command at each of the calls; count the states that it left."""
    states: Counter[str] = Counter()
    for call in calls:
        scenario.reset()
        done = disturbed(command(*scenario.arguments), call, how)
        try:
            states[scenario.check_after(done, how)] += 1
        except AssertionError as error:
            raise AssertionError(f"{how} at {call}: {error}") from error
    return states


def sweep_all() -> None:
    """Disturb every command in every way at every call; print one line each."""
    for make in (Conversion, lambda folder: Conversion(folder, force=True), FileExport, KineticsExport):
        with tempfile.TemporaryDirectory() as folder:
            scenario = make(Path(folder))
            name = f"{type(scenario).__name__}{' --force' * bool(scenario.before)}"
            kinds = ", ".join(f"{n} {kind}" for kind, n in Counter(call.name for call in scenario.calls).items())
            print(f"{name}: {len(scenario.calls)} calls ({kinds})", flush=True)
            for how in HOW:
                begun = time.monotonic()
                states = sweep(scenario, scenario.calls, how)
                shown = "; ".join(f"{state}: {n}" for state, n in states.items())
                print(f"  {how}: {states.total()} runs, {time.monotonic() - begun:.0f} s: {shown}", flush=True)


if __name__ == "__main__":
    reason = why_no_strace()
    sys.exit(reason) if reason else sweep_all()
