"""The benchmarks compare like with like: every peer returns the annotation, and skipped peers are named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import skelstore
from benchmarks import cold
from benchmarks.__main__ import main
from benchmarks.data import Synthetic
from converters.bench import decompression, floors, reading, report, timing
from converters.bench.array_peers import runs
from converters.bench.memcached import Memcached
from converters.bench.peers import Peer, PickleFiles, Skelstore
from converters.bench.results import Result, Wanted
from converters.pickles import limits
from converters.pickles.file import PickleFile
from skelstore.errors import SourceError
from skelstore.read.decompression import decompress_pose
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
    store, codec = data.store("default"), floors.BareCodec()
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
