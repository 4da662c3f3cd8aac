"""The benchmark of stores at a URL counts what was requested, and its peer reads the same values."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import skelstore
from benchmarks import round_trips
from benchmarks.jobs import digest
from benchmarks.served import Logged, program, sent_bytes, sent_twice
from benchmarks.served import serving as nginx
from converters.bench import fresh
from converters.bench.array_peers import runs
from converters.samples.pickles import ntu_like
from tests.support.exact import assert_exact


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 20), st.integers(0, 20)), max_size=8))
def test_bytes_that_are_sent_twice(ranges: list[tuple[str, int, int]]) -> None:
    requests = [Logged("GET", path, start, start + size, "", 0.0) for path, start, size in ranges]
    sent = [(one.path, place) for one in requests for place in range(one.start, one.stop)]
    assert sent_bytes(requests) == len(sent)
    assert sent_twice(requests) == len(sent) - len(set(sent))


def test_a_digest_is_that_of_all_values() -> None:
    first, other = ntu_like(2)["annotations"]
    assert digest(first) == digest(ntu_like(2)["annotations"][0])
    for key, value in other.items():
        if key != "img_shape" and key != "original_shape":
            assert digest(first | {key: value}) != digest(first)


@pytest.mark.skipif(program() is None, reason="nginx is not installed")
def test_what_was_requested_of_nginx(tmp_path: Path) -> None:
    (tmp_path / "s.zarr").mkdir()
    (tmp_path / "s.zarr/file").write_bytes(bytes(100))
    with nginx(tmp_path, tmp_path / "work") as served:
        bare = round_trips.Bare(f"http://127.0.0.1:{served.port}")
        bare.get("/s.zarr/file", 3, 10)
        with pytest.raises(ValueError, match="expected 10"):
            bare.get("/s.zarr/file", 95, 105)
        found = [(one.method, one.path, one.start, one.stop) for one in served.requests()]
        assert found == [("GET", "/s.zarr/file", 3, 10), ("GET", "/s.zarr/file", 95, 100)]
        assert served.requests() == []


def same_values(url: str, path: str) -> dict[str, bool]:
    """Whether both ways of zarr-python to read a store give the arrays of each video; fsspec leaves threads behind."""
    store = skelstore.open(path)
    fields = sorted(store.fields)
    arrays = round_trips.zarr_arrays(url, fields)
    for annotation, places in zip(store, runs(Path(path), fields), strict=True):
        for way in (round_trips.slice_in_turn, round_trips.slice_at_once):
            assert_exact(way(arrays, places), [annotation[place.field] for place in places])
    return {"read": True}


@pytest.mark.skipif(program() is None, reason="nginx is not installed")
@pytest.mark.skipif(bool(round_trips.MISSING), reason=f"not installed: {round_trips.MISSING}")
def test_the_peer_reads_the_arrays_of_a_video(tmp_path: Path) -> None:
    with skelstore.Writer(tmp_path / "s.zarr") as writer:
        for annotation in ntu_like(4)["annotations"]:
            writer.add(annotation)
    with nginx(tmp_path, tmp_path / "work") as served:
        url = f"http://127.0.0.1:{served.port}/s.zarr"
        assert fresh.run(same_values, url=url, path=tmp_path / "s.zarr") == {"read": True}
