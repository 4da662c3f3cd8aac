"""The benchmarks compare like with like: every peer returns the annotation, and skipped peers are named."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import benchmarks.data
import skelstore
from benchmarks import cold, conversion, growth
from benchmarks.__main__ import main
from benchmarks.data import Kpfiles, Synthetic, annotations
from converters.bench import decompression, floors, fresh, opening, own_process, reading, report, timing
from converters.bench.array_peers import runs
from converters.bench.memcached import Memcached
from converters.bench.own_process import LmdbAlone, PurePython
from converters.bench.peers import Peer, PickleFiles, Skelstore
from converters.bench.results import Result, Wanted
from converters.pickles import limits
from converters.pickles.file import PickleFile
from skelstore.errors import SourceError
from skelstore.read.decompression import decompress_pose
from skelstore.read.verification import verify
from tests.support.exact import assert_exact
from tests.support.peers import check_peer
from tests.support.processes import run_python
from tests.support.repository import REPOSITORY

VIDEOS = 12
KEEPS_RUNNING = {"Lance", "tensorstore", "zarrs"}
"""Peers whose runtimes keep threads and descriptors until the process ends. They run in another one: tests fork."""


@pytest.fixture(scope="module", params=["kinetics", "ntu_short"])
def data(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Synthetic:
    return Synthetic(request.param, VIDEOS, tmp_path_factory.mktemp("data"))


def forced() -> dict[str, str | None]:
    return {name: os.environ.get(name) for name in own_process.FORCED}


def loaded_while_timed(path: str, name: str) -> dict[str, list[str]]:
    """The modules that `opening.open_store` loads between its first look at the clock and its last."""
    seen: list[set[str]] = []

    def clock() -> float:
        seen.append(set(sys.modules))
        return 0.0

    opening.time = SimpleNamespace(perf_counter=clock)  # type: ignore[assignment]
    opening.open_store(path, name)
    return {"modules": sorted(seen[1] - seen[0]), "looks": [str(len(seen))]}


class Absent(Peer):
    name = "absent"
    modules = ("no_such_module",)
    install = "pip install no-such-module"


@pytest.mark.parametrize("peer", [peer for peer in reading.peers() if peer.whole], ids=lambda peer: peer.name)
def test_every_peer_returns_the_annotation(peer: Peer, data: Synthetic, tmp_path: Path) -> None:
    if reason := peer.missing():
        pytest.skip(reason)
    if peer.name not in KEEPS_RUNNING:
        check_peer(peer, data, tmp_path)
        return
    code = "import sys; from tests.support.peers import *; check_peer_named(*sys.argv[1:])"
    done = run_python(code, peer.name, data.kind, VIDEOS, tmp_path, cwd=REPOSITORY)
    assert done.returncode == 0, done.stderr


def test_a_data_set_may_be_larger_than_one_value_of_a_pickle(data: Synthetic, monkeypatch: pytest.MonkeyPatch) -> None:
    """240,000 videos are larger: the data-only reader returns no value with more than ten million parts."""
    expected = data.load()
    monkeypatch.setattr(limits, "MAX_NODES", 500)
    with PickleFile(data.pickle) as file, pytest.raises(SourceError, match="more than"):
        file.value("annotations")
    assert_exact(data.load(), expected)


def test_floors_touch_the_chunks_of_the_video(data: Synthetic) -> None:
    """The codec's floor decodes exactly what the video needs: the rows are among those of its chunks."""
    store, codec = data.store("default"), floors.BareNumcodecs()
    codec.build(data, store)
    for places, annotation in zip(codec.runs.values(), data.load(), strict=True):
        for run in places:
            shards = codec.shards[run.field]
            rows = []
            for shard, offset, length in shards.chunks(run):
                content = shards.path(shard).read_bytes()[offset : offset + length - floors.CRC_BYTES]
                out = np.empty(shards.chunk_shape, shards.dtype)
                floors.blosc.decompress(content, out)
                rows.append(out)
            skip = run.start % shards.chunk_shape[0]
            found = np.concatenate(rows)[skip : skip + run.stop - run.start]
            assert_exact(found.reshape(run.shape), annotation[run.field])


@pytest.mark.parametrize("floor", [floors.BareNumcodecs, floors.BareBlosc], ids=lambda floor: floor.name)
def test_floors_of_the_codec_decode_each_chunk(floor: Any, data: Synthetic, tmp_path: Path) -> None:
    """The chunks decoded one by one are those that zarr-python decodes."""
    codec = floor()
    if reason := codec.missing():
        pytest.skip(reason)
    codec.build(data, tmp_path)
    codec.open()
    encoded: list[bytes] = []
    decoded: list[bytes] = []
    for name, places in codec.runs.items():
        touched = [(codec.shards[run.field], chunk) for run in places for chunk in codec.shards[run.field].chunks(run)]
        touched = [(shards, chunk) for shards, chunk in touched if shards.compressed]
        assert len(codec._calls[name]) == len(touched)
        for shards, (shard, offset, length) in touched:
            content = shards.path(shard).read_bytes()[offset : offset + length - floors.CRC_BYTES]
            out = np.full(shards.chunk_shape, 1, shards.dtype)
            codec.call(memoryview(content), out)()
            encoded.append(content)
            decoded.append(out.tobytes())
    assert decoded == [floors.blosc.decompress(content) for content in encoded]
    assert codec.timed(data.names).shape == (VIDEOS,)
    codec.close()


def test_what_ctypes_costs_is_not_part_of_the_floor(
    data: Synthetic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock that only the calls move: 1,000 ns each, and 7 ns for decoding."""
    codec = floors.BareBlosc()
    if reason := codec.missing():
        pytest.skip(reason)
    codec.build(data, tmp_path)
    codec.open()
    now = 0

    def takes(nanoseconds: int) -> Callable[[], int]:
        def call() -> int:
            nonlocal now
            now += nanoseconds
            return 0

        return call

    monkeypatch.setattr(time, "perf_counter_ns", lambda: now)
    codec._refused = takes(1000)
    chunks = [len(calls) for calls in codec._calls.values()]
    codec._calls = {name: [takes(1000 + 7)] * count for name, count in zip(data.names, chunks, strict=True)}
    assert codec.timed(data.names).tolist() == [7 * count for count in chunks]
    assert sum(chunks) > 0
    codec.close()


def test_blosc_refuses_the_calls_that_are_subtracted(data: Synthetic, tmp_path: Path) -> None:
    codec = floors.BareBlosc()
    if reason := codec.missing():
        pytest.skip(reason)
    codec.build(data, tmp_path)
    codec.open()
    assert codec._refused() <= 0
    codec.close()


def test_without_the_function_of_numcodecs_the_floor_is_skipped_and_the_other_is_used(
    data: Synthetic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(floors, "BLOSC_FUNCTION", "no_such_function")
    sides: list[Peer] = [Skelstore("default"), floors.BareBlosc(), floors.BareNumcodecs()]
    result = reading.measure(data, tmp_path, 5, 1, sides)
    assert "does not export no_such_function" in result.skipped["bare blosc"]
    assert "default against the bare numcodecs" in [claim.what for claim in result.claims]


def test_bare_memcpy_copies_the_bytes_of_the_video(data: Synthetic, tmp_path: Path) -> None:
    """Each copy is the array as it is in the shard: with a checksum wherever a chunk ends."""
    copy = floors.BareCopy()
    copy.build(data, tmp_path)
    copy.open()
    crossed = 0
    for annotation in data.load():
        name = annotation["frame_dir"]
        copies = [call() for call in copy._copies[name]]
        for found, run in zip(copies, copy.runs[name], strict=True):
            assert type(found) is np.ndarray
            assert found.flags.owndata
            array = annotation[run.field]
            rows = copy.shards[run.field].chunk_shape[0]
            row = array.nbytes // (run.stop - run.start)
            ends = range(rows - run.start % rows, run.stop - run.start, rows)
            crossed += len(ends)
            assert np.delete(
                found, [end * row + 4 * i + k for i, end in enumerate(ends) for k in range(4)]
            ).tobytes() == (array.tobytes())
    assert crossed or data.kind != "kinetics"
    copy.close()


@pytest.mark.parametrize("side", [PurePython, LmdbAlone], ids=lambda side: side.name)
def test_a_side_times_every_video_in_its_own_process(side: Any, data: Synthetic, tmp_path: Path) -> None:
    peer = side()
    if reason := peer.missing():
        pytest.skip(reason)
    peer.build(data, tmp_path)
    peer.open()
    try:
        spent = peer.timed(data.names[::-1])
        assert spent.shape == (VIDEOS,)
        assert (spent > 0).all()
        with pytest.raises(RuntimeError, match="ended early"):
            peer.timed(["no such video"])
    finally:
        with pytest.raises(RuntimeError, match="failed with status"):
            peer.close()


def test_opening_times_no_import(data: Synthetic) -> None:
    """skelstore loads its reader on first use, which takes longer than opening a store."""
    found = fresh.run(loaded_while_timed, path=data.store("default"), name=data.names[0])
    assert found == {"modules": [], "looks": ["4"]}


def test_the_variable_is_set_where_the_reader_in_python_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read when skelstore is imported, so it must be in the environment of the new process."""
    monkeypatch.delenv("SKELSTORE_PURE_PYTHON", raising=False)
    assert fresh.result(fresh.start_with(own_process.FORCED, forced)) == {"SKELSTORE_PURE_PYTHON": "1"}
    assert fresh.run(forced) == {"SKELSTORE_PURE_PYTHON": None}


def test_a_compiled_reader_in_spite_of_the_variable_is_an_error(
    data: Synthetic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fresh, "answer", lambda process: {"compiled": True})
    peer = PurePython()
    peer.build(data, tmp_path)
    with pytest.raises(RuntimeError, match="compiled in spite of"):
        peer.open()


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no affinity on this system")
def test_memcached_and_its_client_share_one_core(data: Synthetic, tmp_path: Path) -> None:
    peer = Memcached()
    if reason := peer.missing():
        pytest.skip(reason)
    cores = os.sched_getaffinity(0)
    peer.build(data, tmp_path)
    try:
        assert os.sched_getaffinity(0) == cores
        peer.open()
        tasks = Path(f"/proc/{peer._server._process.pid}/task").iterdir()
        assert {frozenset(os.sched_getaffinity(int(task.name))) for task in tasks} == {frozenset({min(cores)})}
        seen = []
        get = peer.get
        monkey = lambda name: (seen.append(os.sched_getaffinity(0)), get(name))  # noqa: E731
        peer.get = monkey  # type: ignore[method-assign,assignment]
        peer.timed(data.names[:2])
        assert seen == [{min(cores)}] * 2
        assert os.sched_getaffinity(0) == cores
    finally:
        peer.close()


def test_bare_read_reads_the_bytes_of_the_video(data: Synthetic, tmp_path: Path) -> None:
    read = floors.BareRead()
    read.build(data, tmp_path)
    read.open()
    try:
        for annotation in data.load():
            wanted = sum(value.nbytes for value in annotation.values() if isinstance(value, np.ndarray))
            brought = sum(length for _, _, length in read._places[annotation["frame_dir"]])
            assert wanted <= brought <= wanted + 1024
    finally:
        read.close()


def test_runs_are_shapes_of_the_arrays(data: Synthetic) -> None:
    fields = list(skelstore.open(data.store("default")).fields)
    for places, annotation in zip(runs(data.store("default"), fields), data.load(), strict=True):
        assert {run.field: run.shape for run in places} == {field: annotation[field].shape for field in fields}


def test_a_peer_that_is_not_installed_is_skipped_by_name(data: Synthetic, tmp_path: Path) -> None:
    result = reading.measure(data, tmp_path, 5, 1, [Skelstore("fast"), PickleFiles(), Absent()])
    assert result.measurements.keys() == {"fast", "pickle files"}
    assert "pip install no-such-module" in result.skipped["absent"]
    assert any("skipped absent: not installed" in line for line in report.lines(result))
    assert [claim.what for claim in result.claims] == ["fast against pickle files"]
    assert list(tmp_path.iterdir()) == []


def test_an_epoch_from_evicted_files_reads_all_arrays_from_disk(data: Synthetic, tmp_path: Path) -> None:
    if reason := cold.uncounted(tmp_path):
        pytest.skip(reason)
    result = cold.measure(data, tmp_path, 1)
    for side in ("fast", "pickle files"):
        for order in (cold.EPOCH, cold.IN_ORDER):
            assert result.measurements[f"{side}, {order}"]["KB read"] >= result.conditions["KB per video"]
    assert {claim.what for claim in result.claims} == result.measurements.keys()
    assert list(tmp_path.iterdir()) == []


def test_cold_reads_are_not_measured_where_they_are_not_counted(
    data: Synthetic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cold, "bytes_from_disk", lambda: 0)
    result = cold.measure(data, tmp_path, 1)
    assert "--data" in result.skipped["all sides"]
    assert result.claims == []
    assert list(tmp_path.iterdir()) == []


def test_missing_memcached_is_skipped_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Memcached, "modules", ())
    monkeypatch.setenv("PATH", "")
    assert "apt install memcached" in str(Memcached().missing())


def test_kpfiles_convert_to_the_videos_of_the_pickle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kpfiles, whole = Kpfiles(VIDEOS, tmp_path), Synthetic("kinetics", VIDEOS, tmp_path)
    assert kpfiles.array_bytes == whole.array_bytes
    conversion.convert(str(kpfiles.pickle), str(tmp_path / "k.zarr"), 1, **kpfiles.options)
    with skelstore.open(tmp_path / "k.zarr") as store:
        for annotation in whole.load():
            found = store[annotation["frame_dir"]]
            assert found.pop("raw_file") == "data/k400/kpfiles/k400_000.pkl"
            assert_exact(found, annotation)
    assert conversion.load(str(kpfiles.pickle), **kpfiles.options)["files"] == 2
    monkeypatch.setattr(fresh, "run", None)  # a data set that exists is not written again
    assert Kpfiles(VIDEOS, tmp_path).pickle == kpfiles.pickle


def test_kpfiles_are_divided_by_videos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmarks.data, "VIDEOS_A_KPFILE", 5)
    facts = benchmarks.data.write_kpfiles(VIDEOS, str(tmp_path / "k400_hrnet.pkl"))
    assert facts["array_bytes"] > 0
    assert len(list((tmp_path / "kpfiles").iterdir())) == 3


def test_json_has_the_claims_and_their_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--smallest", "size", "--json", str(tmp_path / "out.json")])
    assert "synthetic ntu, small" in capsys.readouterr().out
    content = json.loads((tmp_path / "out.json").read_text())
    assert content["size"] == "smallest"
    assert {"system", "python", "processor", "cores", "versions"} == content["machine"].keys()
    (result,) = content["results"]
    assert result.keys() == {"name", "title", "conditions", "claims", "measurements", "skipped"}
    assert all(claim.keys() == {"what", "measured", "unit", "wanted", "reached"} for claim in result["claims"])
    assert result["measurements"]["synthetic ntu, pickle"]["MB"] > 0
    assert "real HRNet" in result["skipped"] or "real HRNet, pickle" in result["measurements"]


def test_fabricated_parts_make_a_store_like_any_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growth, "PART_VIDEOS", VIDEOS)
    videos, path = 3 * VIDEOS, tmp_path / "a.zarr"
    growth.write_parts(str(tmp_path), videos)
    growth.join_parts(str(tmp_path), videos, str(path))
    assert list(verify(path)) == []
    expected = [*annotations("contents", VIDEOS)] * 3
    with skelstore.open(path) as store:
        for position, annotation in enumerate(expected):
            name = growth.name_of(position)
            assert store.index(name) == position
            assert_exact(store[position], annotation | {"frame_dir": name})
        both = [*store.split("train").videos["frame_dir"], *store.split("val").videos["frame_dir"]]
        assert sorted(map(str, both)) == list(map(growth.name_of, range(videos)))


@pytest.mark.parametrize("arguments", [["nothing"], ["size", "--plot", "x.png"]])
def test_usage_errors(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "reading" in capsys.readouterr().err


def test_sides_are_timed_in_turn_in_the_same_order() -> None:
    calls: list[tuple[str, int]] = []
    sides = {name: lambda key, name=name: calls.append((name, key)) for name in "ab"}
    times = timing.interleave(sides, timing.shuffles(range(5), rounds=3))
    assert [name for name, _ in calls] == [*"aaaaabbbbb"] * 4
    turns = [[key for _, key in calls[i : i + 5]] for i in range(0, 40, 5)]
    assert all(turns[i] == turns[i + 1] and sorted(turns[i]) == [*range(5)] for i in range(0, 8, 2))
    assert len({tuple(turn) for turn in turns}) > 1
    assert times["a"].calls.shape == (3, 5)


def test_times_are_medians_of_rounds() -> None:
    times = timing.Times(np.array([[1000, 2000, 9000], [1000, 1000, 1000], [5000, 5000, 5000]]))
    assert (times.median, times.mean, times.per_second) == (2, 4, 250_000)
    assert times.percentile(100) == 9


def test_verdicts() -> None:
    result = Result("x", "y")
    result.claim("up", 2.0, "x", Wanted(1.5))
    result.claim("down", 2.0, "x", Wanted(1.5, at_least=False))
    assert [claim.to_json()["reached"] for claim in result.claims] == [True, False]
    text = "\n".join(report.lines(result))
    assert ">= 1.5  reached" in text
    assert "<= 1.5  NOT REACHED" in text
    assert "REACHED" not in "\n".join(report.lines(result, verdicts=False)).upper()


def test_the_loop_sorts_persons_only_when_a_frame_has_too_many() -> None:
    """The expected result, by hand: two persons in frame 3, one in frame 5, scores 1, 2 and 3."""
    keypoint = np.zeros((3, 4, 3), np.float16)
    keypoint[:, :, 2] = [[1], [2], [3]]
    annotation = {"frame_inds": np.array([3, 3, 5], np.int16), "keypoint": keypoint, "total_frames": 9}
    found = decompression.by_loop(annotation)
    assert (found["total_frames"], found["keypoint"].shape) == (2, (2, 2, 4, 2))
    assert found["keypoint_score"][:, :, 0].tolist() == [[1, 3], [2, 0]]
    assert "num_person" not in found
    cut = decompression.by_loop(annotation, max_person=1)
    assert cut["keypoint_score"][:, :, 0].tolist() == [[2, 3]]
    assert cut["num_person"] == 1


def test_the_loop_returns_what_skelstore_returns(tmp_path: Path) -> None:
    for annotation in Synthetic("kinetics", VIDEOS, tmp_path).load():
        for max_person in (1, 3, 10):
            expected = decompress_pose(annotation, max_person=max_person)
            found = decompression.by_loop(annotation, max_person)
            assert found.keys() == expected.keys()
            for key, value in expected.items():
                assert np.array_equal(found[key], value), key
