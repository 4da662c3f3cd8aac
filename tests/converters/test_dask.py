"""Converting on a Dask cluster of real processes: the same store, though workers die and share processes."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from converters import samples
from skelstore.read.verification import verify
from tests.support.crashes import command, converted, make_source, run_here
from tests.support.files import tree
from tests.support.processes import run

pytest.importorskip("distributed", reason="distributed is not installed: pip install 'skelstore[dask]'")
pytestmark = pytest.mark.slow

_CLUSTER = """if True:
    import json, sys
    from distributed import LocalCluster
    if __name__ == "__main__":
        with LocalCluster(n_workers=2, threads_per_worker=2, dashboard_address=None) as cluster:
            print(json.dumps([cluster.scheduler_address, [w.pid for w in cluster.workers.values()]]), flush=True)
            sys.stdin.read()
"""


class Cluster(NamedTuple):
    address: str
    pids: list[int]


@contextlib.contextmanager
def local_cluster(folder: Path, **environment: str) -> Iterator[Cluster]:
    """A scheduler and two worker processes with two threads each, in their own folder."""
    script = folder / "cluster.py"
    script.write_text(_CLUSTER)
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **environment}
    with (
        open(folder / "cluster.log", "wb") as log,
        subprocess.Popen(
            [sys.executable, script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=variables,
            cwd=folder,
        ) as process,
    ):
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, (folder / "cluster.log").read_text()
        yield Cluster(*json.loads(line))
        process.communicate(timeout=60)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pickle that is converted to 20 parts."""
    return make_source(tmp_path_factory.mktemp("source") / "a.pkl", videos=80)


@pytest.fixture(scope="module")
def expected(source: Path) -> dict[str, bytes]:
    return converted(source)


def run_and_meanwhile(arguments: list[str], parts: Path, act: Callable[[int], None]) -> tuple[int, str]:
    """Run a command, call ``act`` with its process id after three parts; return its status and messages."""
    with subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while len(list(parts.glob("*[!.]????????/part.json"))) < 3:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.002)
        act(process.pid)
        _, err = process.communicate(timeout=120)
    return process.returncode, err


def test_a_killed_worker_changes_nothing(tmp_path: Path, source: Path, expected: dict[str, bytes]) -> None:
    with local_cluster(tmp_path) as cluster:
        arguments = command("convert", source, tmp_path / "a.zarr", "--dask", cluster.address)
        status, err = run_and_meanwhile(
            arguments, tmp_path / "a.zarr.partial/parts", lambda _: os.kill(cluster.pids[0], signal.SIGKILL)
        )
        assert status == 0, err
        assert tree(tmp_path / "a.zarr") == expected
        assert verify(tmp_path / "a.zarr", level="decode") == []
        assert not (tmp_path / "a.zarr.partial").exists()


def test_a_part_that_dask_abandons_is_named_and_the_rest_is_kept(
    tmp_path: Path, source: Path, expected: dict[str, bytes]
) -> None:
    with local_cluster(tmp_path, DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES="0") as cluster:
        arguments = command("convert", source, tmp_path / "a.zarr", "--dask", cluster.address)

        def kill_both(_: int) -> None:
            for pid in cluster.pids:
                os.kill(pid, signal.SIGKILL)

        status, err = run_and_meanwhile(arguments, tmp_path / "a.zarr.partial/parts", kill_both)
        assert status == 1
        assert re.search(r"the process that wrote part \d+ \(annotations\[\d+\] to annotations\[\d+\]\) died", err)
        assert "run the same command again" in err
        assert "Traceback" not in err.splitlines()[-1]
        assert not (tmp_path / "a.zarr").exists()
    again = run_here("convert", source, tmp_path / "a.zarr", "--workers", "1")
    assert again.status == 0, again
    assert "resumed an interrupted conversion" in again.err
    assert tree(tmp_path / "a.zarr") == expected


def test_an_interrupted_conversion_is_resumed(tmp_path: Path, source: Path, expected: dict[str, bytes]) -> None:
    with local_cluster(tmp_path) as cluster:
        arguments = command("convert", source, tmp_path / "a.zarr", "--dask", cluster.address)
        status, err = run_and_meanwhile(
            arguments, tmp_path / "a.zarr.partial/parts", lambda pid: os.kill(pid, signal.SIGINT)
        )
        assert status == 130, err
        assert "interrupted; " in err
        assert not (tmp_path / "a.zarr").exists()
        again = run(arguments)
        assert again.status == 0, again
        assert "resumed an interrupted conversion" in again.err
    assert tree(tmp_path / "a.zarr") == expected
    assert not (tmp_path / "a.zarr.partial").exists()


def test_kinetics_by_relative_paths(tmp_path: Path) -> None:
    """The workers have another working directory, and their threads share the open kpfiles of their process."""
    samples.write_samples(tmp_path / "samples", videos=60)
    k400 = Path("samples/k400")
    with local_cluster(tmp_path / "samples") as cluster:
        options = ["--kpfiles", str(k400 / "kpfiles")]
        for out, where in (("one.zarr", ["--workers", "1"]), ("dask.zarr", ["--dask", cluster.address])):
            done = run(command("convert", k400 / "k400_hrnet.pkl", out, *options, *where), cwd=tmp_path)
            assert done.status == 0, done
    assert tree(tmp_path / "one.zarr") == tree(tmp_path / "dask.zarr")


def test_no_scheduler_at_the_address(tmp_path: Path, source: Path) -> None:
    arguments = command("convert", source, tmp_path / "a.zarr", "--dask", "tcp://127.0.0.1:9")
    done = run(arguments, env={**os.environ, "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "1s"})
    assert done.status == 1
    assert "Traceback" not in done.err
    assert "no Dask scheduler answers at tcp://127.0.0.1:9" in done.err
    assert os.listdir(tmp_path) == []


def test_without_the_library(tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    done = run_here("convert", source, tmp_path / "a.zarr", "--dask", "tcp://127.0.0.1:9")
    assert done.status == 1
    assert "pip install 'skelstore[dask]'" in done.err
    assert os.listdir(tmp_path) == []


def test_a_shuffled_store_is_the_one_that_a_single_process_writes(tmp_path: Path, source: Path) -> None:
    options = ("--shuffle", "7")
    assert run_here("convert", source, tmp_path / "one.zarr", *options, "--workers", "1").status == 0
    with local_cluster(tmp_path) as cluster:
        done = run(command("convert", source, tmp_path / "a.zarr", *options, "--dask", cluster.address))
    assert done.status == 0, done
    assert tree(tmp_path / "a.zarr") == tree(tmp_path / "one.zarr")
