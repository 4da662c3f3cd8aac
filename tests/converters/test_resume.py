"""An interrupted conversion resumes from its finished parts, and only from those that still fit."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import skelstore
from converters import samples
from converters.conversion.convert import convert_source
from converters.dialects import pyskl
from converters.dialects.registry import open_source
from converters.pickles import spans
from skelstore.errors import JointLayoutError, SourceError, StoreExistsError, StoreNotFoundError, WorkerError
from skelstore.format import chunking
from tests.support.crashes import PART_BYTES, command, converted, make_source, run_here
from tests.support.files import tree
from tests.support.leaks import children
from tests.support.processes import Done

PARTS = 20


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_source(tmp_path_factory.mktemp("source") / "a.pkl", videos=4 * PARTS)


@pytest.fixture(scope="module")
def expected(source: Path) -> dict[str, bytes]:
    return converted(source)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunking, "PART_BYTES", PART_BYTES)


def finished_parts(destination: Path) -> list[Path]:
    """Folders of the finished parts beside a destination, each with its part record."""
    parts = destination.with_name(destination.name + ".partial") / "parts"
    return sorted(path.parent for path in parts.glob("*/part.json") if "." not in path.parent.name)


def interrupt_after(videos: int) -> Callable[[int], None]:
    """An ``advance`` that interrupts a conversion like Ctrl-C after ``videos`` videos."""
    left = [videos]

    def advance(n: int) -> None:
        left[0] -= n
        if left[0] < 0:
            raise KeyboardInterrupt

    return advance


def interrupted(source: Path, destination: Path, videos: int = 18) -> list[Path]:
    """Interrupt a conversion after ``videos`` videos; return the parts that it has finished."""
    with pytest.raises(KeyboardInterrupt) as caught:
        pyskl.convert(source, destination, workers=1, advance=interrupt_after(videos))
    assert "run the same command again" in caught.value.__notes__[0]
    assert not destination.exists()
    return finished_parts(destination)


def reused(source: Path, destination: Path, **options: object) -> int:
    """Convert; return how many parts were reused from the previous run."""
    opened = open_source(source)
    return convert_source(opened, destination, **{"workers": 1, **options})  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------- interrupt and death


@contextlib.contextmanager
def running(source: Path, destination: Path, workers: int) -> Iterator[subprocess.Popen[str]]:
    """A conversion in its own process group that has finished some parts."""
    with subprocess.Popen(
        command("convert", source, destination, "--workers", workers),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            deadline = time.monotonic() + 60
            while len(finished_parts(destination)) < 3:
                assert process.poll() is None, process.communicate()
                assert time.monotonic() < deadline
                time.sleep(0.001)
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def workers_of(process: subprocess.Popen[str]) -> list[int]:
    """The processes in which a conversion writes parts."""
    found = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [int(pid) for pid in found if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def assert_group_ends(group: int) -> None:
    """Check that no process of a group is left after a moment."""
    deadline = time.monotonic() + 10
    while True:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        assert time.monotonic() < deadline, f"left over: {children()}"
        time.sleep(0.01)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("to", ["group", "parent"])
@pytest.mark.parametrize(
    ("signum", "status", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_an_interrupted_conversion_ends_with_130_and_is_resumed(
    tmp_path: Path,
    source: Path,
    expected: dict[str, bytes],
    workers: int,
    to: str,
    signum: signal.Signals,
    status: int,
    word: str,
) -> None:
    """Ctrl-C reaches every process of a terminal's group, SIGTERM of Slurm those of a job, `kill` only one."""
    destination = tmp_path / "a.zarr"
    with running(source, destination, workers) as process:
        os.kill(-process.pid if to == "group" else process.pid, signum)
        out, err = process.communicate(timeout=60)
        assert_group_ends(process.pid)
    assert process.returncode == status, (out, err)
    assert out == ""
    assert err.strip().splitlines()[-1].startswith(f"{word}; {destination}.partial keeps the finished parts")
    assert "Traceback" not in err
    with pytest.raises(StoreNotFoundError, match="run it again"):
        skelstore.open(destination)
    kept = len(finished_parts(destination))
    assert kept >= 3
    again = run_here("convert", source, destination, "--workers", "1")
    assert again == Done(0, again.out, f"resumed an interrupted conversion: {kept} of its parts were finished\n")
    assert tree(destination) == expected
    assert os.listdir(tmp_path) == ["a.zarr"]


def test_the_workers_of_a_killed_parent_end(tmp_path: Path, source: Path, expected: dict[str, bytes]) -> None:
    with running(source, tmp_path / "a.zarr", 2) as process:
        os.kill(process.pid, signal.SIGKILL)
        process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL
        assert_group_ends(process.pid)
    kept = len(finished_parts(tmp_path / "a.zarr"))
    assert reused(source, tmp_path / "a.zarr", workers=2) == kept
    assert tree(tmp_path / "a.zarr") == expected


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="workers are found in /proc")
def test_a_killed_worker_is_reported_with_its_part(tmp_path: Path, source: Path, expected: dict[str, bytes]) -> None:
    destination = tmp_path / "a.zarr"
    with running(source, destination, 2) as process:
        os.kill(workers_of(process)[0], signal.SIGKILL)
        _, err = process.communicate(timeout=60)
        assert_group_ends(process.pid)
    assert process.returncode == 1
    (sentence,) = (line for line in err.splitlines() if line.startswith("skelstore: "))
    found = re.search(r"wrote part (\d+) \(annotations\[(\d+)\] to annotations\[(\d+)\]\) died", sentence)
    assert found is not None, sentence
    number, first, last = map(int, found.groups())
    assert (first, last) == (4 * number - 4, 4 * number - 1)
    assert "run the same command again" in sentence
    kept = finished_parts(destination)
    assert len(kept) >= 3
    assert reused(source, destination, workers=2) == len(kept)
    assert tree(destination) == expected


def test_a_worker_error_is_not_a_fault_of_the_data() -> None:
    assert issubclass(WorkerError, RuntimeError)
    assert not issubclass(WorkerError, SourceError)


def test_more_workers_than_parts(tmp_path: Path, source: Path, expected: dict[str, bytes]) -> None:
    interrupted(source, tmp_path / "a.zarr", 4 * PARTS - 3)
    assert reused(source, tmp_path / "a.zarr", workers=3) == PARTS - 1
    assert tree(tmp_path / "a.zarr") == expected


# ------------------------------------------------------------------------------------------- reuse of parts


def test_finished_parts_are_used_as_they_are(tmp_path: Path, source: Path, expected: dict[str, bytes]) -> None:
    kept = interrupted(source, tmp_path / "a.zarr")
    assert len(kept) == 4
    files = {file.stat().st_ino for part in kept for file in part.glob("*/c.*")}
    videos: list[int] = []
    assert reused(source, tmp_path / "a.zarr", advance=videos.append) == 4
    assert videos[:4] == [4] * 4, "a reused part is reported at once"
    assert sum(videos) == 4 * PARTS
    assert files <= {file.stat().st_ino for file in (tmp_path / "a.zarr").glob("*/c.*")}
    assert tree(tmp_path / "a.zarr") == expected


def test_a_wrong_layout_of_joints_leaves_the_finished_parts(tmp_path: Path, source: Path) -> None:
    kept = interrupted(source, tmp_path / "a.zarr")
    assert kept
    with pytest.raises(JointLayoutError) as caught:
        reused(source, tmp_path / "a.zarr", joints="ntu-25")
    assert "run the command again with the right layout" in caught.value.__notes__[0]
    assert finished_parts(tmp_path / "a.zarr") == kept
    assert reused(source, tmp_path / "a.zarr", joints="coco-17") == len(kept)


def test_an_interrupted_run_may_be_interrupted_again(tmp_path: Path, source: Path, expected: dict[str, bytes]) -> None:
    assert [len(interrupted(source, tmp_path / "a.zarr", videos)) for videos in (6, 18, 19, 43)] == [1, 4, 4, 10]
    assert reused(source, tmp_path / "a.zarr") == 10
    assert tree(tmp_path / "a.zarr") == expected


@pytest.mark.parametrize("file", ["0/c.0.0.0", "videos.arrow", "part.json"])
@pytest.mark.parametrize("how", ["flipped", "cut short", "emptied", "removed", "of another part"])
def test_a_damaged_part_is_written_again(
    tmp_path: Path, source: Path, expected: dict[str, bytes], file: str, how: str
) -> None:
    first, second, *_ = interrupted(source, tmp_path / "a.zarr")
    data = bytearray((second / file).read_bytes())
    if how == "removed":
        (second / file).unlink()
    else:
        data[len(data) // 2] ^= 4
        changed = {
            "flipped": data,
            "cut short": data[:-1],
            "emptied": b"",
            "of another part": (first / file).read_bytes(),
        }
        (second / file).write_bytes(changed[how])
    assert reused(source, tmp_path / "a.zarr") == 3
    assert tree(tmp_path / "a.zarr") == expected


def test_an_invalid_part_record(tmp_path: Path, source: Path, expected: dict[str, bytes]) -> None:
    first, second, third, fourth = interrupted(source, tmp_path / "a.zarr")
    (first / "part.json").write_text("[]")
    (second / "part.json").write_text("{}")
    (third / "part.json").write_text("[" * 100_000)
    record = json.loads((fourth / "part.json").read_text())
    (fourth / "part.json").write_text(json.dumps(record | {"rows": "many"}))
    assert reused(source, tmp_path / "a.zarr") == 0
    assert tree(tmp_path / "a.zarr") == expected


def test_leftovers_are_removed(tmp_path: Path, source: Path, expected: dict[str, bytes]) -> None:
    kept = interrupted(source, tmp_path / "a.zarr")
    parts = kept[0].parent
    (parts / f"{kept[0].name}.12345678").mkdir()
    (parts / "000007-0123456789abcdef").mkdir()
    (parts / "a file").write_text("x")
    (parts.parent / "store" / "keypoint").mkdir()
    (parts.parent / "store" / "keypoint" / "c.0.0.0").write_bytes(b"of the join that was interrupted")
    assert reused(source, tmp_path / "a.zarr") == 4
    assert tree(tmp_path / "a.zarr") == expected
    assert os.listdir(tmp_path) == ["a.zarr"]


def test_a_destination_that_is_created_meanwhile(tmp_path: Path, source: Path, expected: dict[str, bytes]) -> None:
    destination = tmp_path / "a.zarr"

    def take(_: int) -> None:
        destination.mkdir(exist_ok=True)

    with pytest.raises(StoreExistsError) as caught:
        pyskl.convert(source, destination, workers=1, advance=take)
    assert "keeps the finished parts" in caught.value.__notes__[0]
    destination.rmdir()
    kept = len(finished_parts(destination))
    assert kept >= PARTS
    assert reused(source, destination) == kept
    assert tree(destination) == expected


# -------------------------------------------------------------------- changes after which nothing is reused


def check_starts_afresh(source: Path, destination: Path, **options: object) -> None:
    """Check that nothing is reused and the store equals that of an undisturbed run."""
    assert reused(source, destination, **options) == 0
    alone = destination.with_name("alone.zarr")
    assert reused(source, alone, **options) == 0
    assert tree(destination) == tree(alone)


def test_another_profile_starts_afresh(tmp_path: Path, source: Path) -> None:
    interrupted(source, tmp_path / "a.zarr")
    check_starts_afresh(source, tmp_path / "a.zarr", profile="small")


def test_another_source_starts_afresh(tmp_path: Path, source: Path) -> None:
    interrupted(source, tmp_path / "a.zarr")
    check_starts_afresh(make_source(tmp_path / "b.pkl", seed=6, videos=4 * PARTS), tmp_path / "a.zarr")


def test_a_source_that_was_changed_starts_afresh(tmp_path: Path) -> None:
    """Changed in place to the same size with the old mtime; the ctime shows it."""
    source = make_source(tmp_path / "b.pkl", videos=40)
    interrupted(source, tmp_path / "a.zarr")
    before = source.stat()
    data = source.read_bytes()
    make_source(source, seed=6, videos=40)
    os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert source.read_bytes() != data
    assert (source.stat().st_size, source.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    check_starts_afresh(source, tmp_path / "a.zarr")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_source_that_changes_meanwhile_is_reported(tmp_path: Path, workers: int) -> None:
    source = make_source(tmp_path / "b.pkl", videos=80)
    opened = open_source(source)

    def change(_: int) -> None:
        os.utime(source)

    with pytest.raises((SourceError, TypeError), match="has changed"):
        convert_source(opened, tmp_path / "a.zarr", workers=workers, advance=change)
    opened.close()
    assert os.listdir(tmp_path) == ["b.pkl"]


def test_a_kpfile_that_was_changed_spoils_its_own_parts_only(tmp_path: Path) -> None:
    samples.write_samples(tmp_path / "samples", videos=60, videos_a_file=10)
    contents, folder = tmp_path / "samples/k400/k400_hrnet.pkl", tmp_path / "samples/k400/kpfiles"

    def convert(destination: Path, advance: Callable[[int], None] | None = None) -> int:
        opened = open_source(contents, kpfiles=folder)
        return convert_source(opened, destination, workers=1, advance=advance)

    with pytest.raises(KeyboardInterrupt):
        convert(tmp_path / "a.zarr", interrupt_after(58))
    kept = finished_parts(tmp_path / "a.zarr")
    opened = open_source(contents, kpfiles=folder)
    first = opened.files(0, 1)[1]
    spoiled = 0
    for part in kept:
        start, stop = json.loads((part / "part.json").read_text())["identity"]["videos"]
        spoiled += first in opened.files(start, stop)
    opened.close()
    assert 0 < spoiled < len(kept)
    os.utime(first)
    assert convert(tmp_path / "a.zarr") == len(kept) - spoiled
    convert(tmp_path / "alone.zarr")
    assert tree(tmp_path / "a.zarr") == tree(tmp_path / "alone.zarr")


@pytest.mark.parametrize("step", [1, 4 << 20], ids=["found late", "found at once"])
def test_skeletons_that_are_missing_meanwhile_cost_no_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    monkeypatch.setattr(spans, "GROWTH_BYTES", step)
    samples.write_samples(tmp_path / "samples", videos=60, videos_a_file=10)
    contents, folder = tmp_path / "samples/k400/k400_hrnet.pkl", tmp_path / "samples/k400/kpfiles"

    def convert(**options: Any) -> int:
        return convert_source(open_source(contents, kpfiles=folder), tmp_path / "a.zarr", **options)

    with pytest.raises(KeyboardInterrupt):
        convert(workers=1, advance=interrupt_after(40))
    kept = finished_parts(tmp_path / "a.zarr")
    last = max(folder.iterdir())
    last.rename(tmp_path / "elsewhere")
    with pytest.raises(SourceError, match="the skeletons of 10 of 60 videos are missing"):
        convert(workers=2)
    assert finished_parts(tmp_path / "a.zarr") == kept
    (tmp_path / "elsewhere").rename(last)
    assert convert(workers=2) == len(kept) > 2


def test_a_folder_with_another_file_in_it(tmp_path: Path) -> None:
    """The parts after the new file hold other videos; those before it are reused."""
    folder = tmp_path / "one"
    folder.mkdir()
    for i in range(40):
        samples.write_value(folder / f"{i:02}.pkl", {"frame_dir": f"v{i}", "text": "x" * 9000})
    with pytest.raises(KeyboardInterrupt):
        convert_source(open_source(folder), tmp_path / "a.zarr", workers=1, advance=interrupt_after(33))
    assert len(finished_parts(tmp_path / "a.zarr")) == 6
    samples.write_value(folder / "12x.pkl", {"frame_dir": "new", "text": "x" * 9000})
    assert reused(folder, tmp_path / "a.zarr") == 2
    reused(folder, tmp_path / "alone.zarr")
    assert tree(tmp_path / "a.zarr") == tree(tmp_path / "alone.zarr")
