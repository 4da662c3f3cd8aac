"""Processes that write parts: their reports, and those that do not start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor, process
from itertools import pairwise
from multiprocessing import active_children
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters import open_source
from converters.conversion import reporting, workers
from converters.conversion.convert import convert_source
from converters.conversion.source import Reached
from skelstore.errors import WorkerError
from tests.support.repository import REPOSITORY
from tests.support.source_contract import dump


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A list of videos that takes about a second, in four parts."""
    return dump(tmp_path_factory.mktemp("workers") / "a.pkl", make_videos(1500))


def make_videos(count: int) -> list[dict[str, Any]]:
    random = np.random.default_rng(0)
    return [
        {"frame_dir": f"v{i}", "label": 0, "total_frames": 60, "keypoint": random.random((2, 60, 25, 3)).astype("f4")}
        for i in range(count)
    ]


@pytest.mark.parametrize("count", [1, 2])
def test_reports_grow_steadily(source: Path, tmp_path: Path, count: int) -> None:
    reports: list[Reached] = []
    advanced: list[int] = []
    convert_source(
        open_source(source),
        tmp_path / "a.zarr",
        profile="small",
        workers=count,
        advance=advanced.append,
        report=reports.append,
    )
    assert sum(advanced) == 1500
    assert all(n > 0 for n in advanced)
    assert all(before <= after for before, after in pairwise(report[:4] for report in reports))
    last = reports[-1]
    assert (last.videos, last.known_videos, last.complete) == (1500, 1500, True)
    assert last.bytes == last.known_bytes > 1500 * 2 * 60 * 25 * 3 * 4
    assert any(0 < report.videos < 300 for report in reports), "before the first part is finished"


def test_a_process_that_is_not_a_worker_reports_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporting, "_next_report", 0.0)
    reporting.report_to_parent(0, 1)
    assert reporting._next_report == 0.0


def test_parts_of_an_earlier_run_are_reported(source: Path, tmp_path: Path) -> None:
    seen = 0

    def stop(n: int) -> None:
        nonlocal seen
        seen += n
        if seen > 1000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert_source(open_source(source), tmp_path / "a.zarr", workers=2, advance=stop)
    advanced: list[int] = []
    taken = convert_source(open_source(source), tmp_path / "a.zarr", workers=2, advance=advanced.append)
    assert taken > 0
    assert sum(advanced) == 1500


def test_a_worker_begins_with_the_standard_library_alone() -> None:
    code = "import sys, converters.conversion.workers; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, cwd=REPOSITORY)
    assert set(done.stdout.split()) - sys.stdlib_module_names == {"__main__", "__mp_main__", "converters"}


def leave(writer: Any) -> None:
    """Replaces the main function of a worker: end before doing anything."""
    os._exit(1)


def test_a_worker_that_cannot_start_is_reported(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_begin", leave)
    with pytest.raises(WorkerError, match=r"the process that wrote part 1 .* died"):
        convert_source(open_source(source), tmp_path / "a.zarr", workers=2)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("started", [0, 1])
def test_a_worker_for_which_no_thread_starts_is_reported(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started: int
) -> None:
    """The process already runs by then and would never receive the order to end."""
    calls = 0
    launch = ProcessPoolExecutor._start_executor_manager_thread

    def fail(executor: ProcessPoolExecutor) -> None:
        nonlocal calls
        calls += 1
        if calls <= started:
            return launch(executor)
        if not executor._processes:
            executor._launch_processes()  # type: ignore[attr-defined]
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(ProcessPoolExecutor, "_start_executor_manager_thread", fail)
    with pytest.raises(WorkerError, match=r"cannot be started \(can't start new thread\): use fewer --workers"):
        convert_source(open_source(source), tmp_path / "a.zarr", workers=2)
    assert not active_children()


def test_a_worker_whose_thread_ends_is_reported(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread that sends tasks ends if it cannot start another thread."""
    monkeypatch.setattr(process._ExecutorManagerThread, "run", lambda thread: None)
    with pytest.raises(WorkerError, match="died"):
        convert_source(open_source(source), tmp_path / "a.zarr", workers=2)
    assert not active_children()


def test_a_killed_worker_is_noticed(tmp_path: Path) -> None:
    source = dump(tmp_path / "a.pkl", make_videos(8000))  # far from done at the first report

    def kill(n: int) -> None:
        for child in active_children():
            os.kill(child.pid or 0, signal.SIGKILL)

    with pytest.raises(WorkerError, match="died"):
        convert_source(open_source(source), tmp_path / "a.zarr", profile="small", workers=2, advance=kill)


class _Terminated(KeyboardInterrupt):
    pass


@pytest.fixture
def on_signals() -> Iterator[None]:
    """Handlers that raise, as those of the command line; SIGTERM once."""

    def terminate(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise _Terminated

    before = {signum: signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, terminate)
    yield
    for signum, handler in before.items():
        signal.signal(signum, handler)


class _SignalledExecutor(ThreadPoolExecutor):
    """Its process gets a signal while it submits its second task."""

    def __init__(self, signum: signal.Signals) -> None:
        super().__init__(1)
        self.signum = signum
        self.futures: list[Future[Any]] = []

    def submit(self, *task: Any, **options: Any) -> Future[Any]:  # type: ignore[override]
        future = super().submit(*task, **options)
        self.futures.append(future)
        if len(self.futures) == 2:
            with future._condition:
                signal.raise_signal(self.signum)
            self.futures.append(future)
        return future


@pytest.mark.usefixtures("on_signals")
@pytest.mark.parametrize(("signum", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, _Terminated)])
def test_a_signal_interrupts_no_code_of_futures(signum: signal.Signals, error: type[BaseException]) -> None:
    """Otherwise the lock of a future could stay acquired, and the conversion hang."""
    before = signal.getsignal(signum)
    with _SignalledExecutor(signum) as executor:
        with pytest.raises(error):
            list(workers.run_tasks(workers.Workers([executor], False, ()), abs, iter([(1,), (2,), (3,)]), lambda: None))
        assert len(executor.futures) == 3, "the signal was handled while the task was submitted"
        assert all(future.done() for future in executor.futures)
    assert signal.getsignal(signum) == (signal.SIG_IGN if signum == signal.SIGTERM else before)


@pytest.mark.usefixtures("on_signals")
def test_a_signal_at_the_last_task_is_handled() -> None:
    completed: list[int] = []

    def run() -> None:
        for _, future in workers.run_tasks(workers.Workers([executor], False, ()), abs, iter([(3,)]), lambda: None):
            signal.raise_signal(signal.SIGINT)
            completed.append(future.result())

    with ThreadPoolExecutor(1) as executor, pytest.raises(KeyboardInterrupt):
        run()
    assert completed == [3]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
