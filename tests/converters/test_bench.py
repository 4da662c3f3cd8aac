"""`skelstore bench`: a sample of a user's own store, measured beside other ways to store it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import skelstore
from converters import samples
from converters.bench import data, reading, store
from converters.bench.peers import Lmdb, Peer, PickleFiles, Skelstore, StoreAsItIs
from converters.cli import entry
from skelstore.errors import FieldNotFoundError
from tests.support.exact import assert_exact

VIDEOS = 30


def video(name: str, rows: int, keypoint: str = "<f2") -> dict[str, object]:
    shape = (1, rows, 17, 3)
    return {"frame_dir": name, "label": 0, "keypoint": np.arange(rows * 51).reshape(shape).astype(keypoint)}


@pytest.fixture(scope="module")
def kinetics(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "k400.zarr"
    with skelstore.Writer(path) as writer:
        for entry, keypoint in samples.iter_kinetics_like(VIDEOS):
            writer.add({**entry, "keypoint": keypoint})
    return path


def test_a_sample_is_videos_of_the_store_in_its_order(kinetics: Path, tmp_path: Path) -> None:
    sample = data.sample_of(kinetics, 10, tmp_path)
    with skelstore.open(kinetics) as opened:
        assert len(sample.names) == 10
        assert sample.names == [name for name in opened.videos["frame_dir"].to_pylist() if name in sample.names]
        assert sample.names != opened.videos["frame_dir"].to_pylist()[:10]
        for name, annotation in zip(sample.names, sample.load(), strict=True):
            assert_exact(annotation, opened[name])


def test_a_sample_is_bounded_in_bytes(kinetics: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "SAMPLE_BYTES", 1)
    assert len(data.sample_of(kinetics, VIDEOS, tmp_path).names) == 1


def test_videos_without_a_unique_name_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    with skelstore.Writer(path) as writer:
        for name in ("twice", "once", "twice", ""):
            writer.add(video(name, 3))
        writer.add({"label": 1})
    assert data.sample_of(path, 10, tmp_path).names == ["once"]
    with skelstore.Writer(path, force=True) as writer:
        writer.add({"label": 1})
    with pytest.raises(FieldNotFoundError, match="no video with a unique name"):
        data.sample_of(path, 10, tmp_path)


def test_peers_that_cannot_hold_the_data_are_left_out_with_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    with skelstore.Writer(path) as writer:
        writer.add(video("a name with spaces", 3))
        writer.add(video("n" * 600, 3, "<f4"))
    sample = data.sample_of(path, 10, tmp_path)
    # The others keep threads for the life of the process, in which other tests fork.
    peers = [peer for peer in reading.peers() if peer.name not in ("Lance", "tensorstore", "zarrs")]
    found = reading.measure(sample, tmp_path, 5, 1, [*peers, StoreAsItIs(path)])
    assert {"fast", "default", "small", "pickle files", "your store"} <= found.measurements.keys()
    assert "do not all have the same arrays" in found.skipped["zarr-python"]
    assert "do not all have the same arrays" in found.skipped["bare numcodecs"]
    if not Lmdb().missing():
        assert "511 bytes" in found.skipped["LMDB"]


@pytest.mark.slow
def test_the_command(
    kinetics: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def few() -> list[Peer]:
        return [Skelstore("default"), PickleFiles()]

    monkeypatch.setattr(reading, "peers", few)
    monkeypatch.setattr(store, "WORKERS", (1, 2))
    monkeypatch.setattr(store, "PROCESSES", 1)
    entry.main(["bench", str(kinetics), "--videos", "12", "--json", str(tmp_path / "out.json")])
    shown = capsys.readouterr()
    content = json.loads((tmp_path / "out.json").read_text())
    results = {result["name"]: result for result in content["results"]}
    assert list(results) == ["opening", "reading k400.zarr", "workers", "decompression"]
    assert results["reading k400.zarr"]["measurements"].keys() == {"default", "pickle files", "your store"}
    assert results["reading k400.zarr"]["conditions"]["videos"] == 12
    assert results["workers"]["measurements"].keys() == {f"{s}, {n}" for s in ("skelstore", "pickle") for n in (1, 2)}
    assert "default against pickle files" in shown.out
    assert "REACHED" not in shown.out.upper()


def test_a_path_that_is_not_a_store_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        entry.main(["bench", str(tmp_path / "nothing.zarr")])
    assert caught.value.code == 1
    assert "nothing.zarr does not exist" in capsys.readouterr().err
