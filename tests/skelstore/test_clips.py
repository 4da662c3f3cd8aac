"""Clips of the GCN code bases from a store: the order of a split's list, padding, what feeders do by NumPy."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import skelstore
from skelstore.format.schema import Origin
from skelstore.read.split_members import split_positions
from skelstore.read.store import table_rows
from skelstore.train import augmentation
from skelstore.train.clips import Clips, statistics
from tests.support.contracts import write, written
from tests.support.gcn_data import generated_clips, names, padded, write_store
from tests.support.gcn_reference import agcn_item, padded_clip, statistics_of

# --- the order of a split ---------------------------------------------------------------------------------

IDS = st.one_of(
    st.sampled_from(["a", "b", "c", "d", "e", ""]),
    st.integers(0, 3),
    st.sampled_from([np.str_("a"), np.str_("f"), None, "\ud800"]),
)
TEXTS = st.sampled_from([f"v{i}" for i in range(12)])


@given(data=st.data(), key=st.sampled_from(["frame_dir", "filename"]), ids=st.sampled_from([IDS, TEXTS]))
@settings(max_examples=60)
def test_positions_follow_the_list_of_the_split(data: Any, key: str, ids: Any) -> None:
    stored = data.draw(st.lists(ids, max_size=8))
    shuffled = st.permutations([*stored, "nobody", *stored[:1]])
    listed = data.draw(st.one_of(st.lists(ids, max_size=12), st.permutations(stored), shuffled))
    view = data.draw(st.one_of(st.just([*range(len(stored))]), st.permutations(range(len(stored)))))
    view = view[: data.draw(st.integers(0, len(view)))]
    videos: list[dict[str, Any]] = [{key: value, "label": i} for i, value in enumerate(stored)]
    stored = [stored[row] for row in view]
    with written(videos, {"train": listed}) as path, skelstore.open(path) as store:
        reader, chosen = table_rows(store.at(view))
        expected: list[int] | None = []
        for i, one in enumerate(listed):
            rows = [row for row, value in enumerate(stored) if value == one]
            if len(rows) > 1 and len(rows) != listed.count(one):
                expected = None
                break
            expected += rows if len(rows) < 2 else [rows[listed[:i].count(one)]]
        if expected is None:
            with pytest.raises(skelstore.AmbiguousVideoError, match="videos have, at positions"):
                split_positions(reader, chosen, "train")
        else:
            assert split_positions(reader, chosen, "train").tolist() == expected


def test_positions_of_videos_without_an_id(tmp_path: Path) -> None:
    path = write(tmp_path / "a.zarr", [{"frame_dir": "a"}, {"label": 1}, {"frame_dir": "b"}], {"x": ("b", "q", "a")})
    with skelstore.open(path) as store:
        reader, rows = table_rows(store)
        assert split_positions(reader, rows, "x").tolist() == [2, 0]
        with pytest.raises(skelstore.SplitNotFoundError, match="there are 'x'"):
            split_positions(reader, rows, "y")


# --- clips -------------------------------------------------------------------------------------------------

FRAMES = 30


@pytest.fixture(scope="module")
def clips() -> list[dict[str, Any]]:
    return generated_clips(16, seed=3, longest=FRAMES)


@pytest.fixture(scope="module")
def store(clips: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_store(tmp_path_factory.mktemp("clips") / "a.zarr", clips[:10], clips[10:])


def test_clips_are_rows_of_the_array(clips: list[dict[str, Any]], store: Path) -> None:
    for split, part in (("train", clips[:10]), ("test", clips[10:])):
        found, expected = Clips(store, split), padded(part, FRAMES)
        assert (len(found), found.frames, found.persons) == (len(part), FRAMES, 2)
        assert found.store.labels.tolist() == [clip["label"] for clip in part]
        for i, clip in enumerate(part):
            frames = clip["total_frames"] if len(clip["keypoint"]) else 0
            assert np.array_equal(found.padded(i), expected[i])
            assert found.padded(i).dtype == found[i].dtype == np.float32
            assert np.array_equal(found[i], expected[i][:, :frames])
    assert len(Clips(store, "train", 3)) == 3


def odd_clips() -> list[dict[str, Any]]:
    """Scores, other dtypes, the second person alone, more persons than two."""
    noise = np.random.default_rng(4)

    def video(name: str, persons: int, frames: int, dtype: Any, **more: Any) -> dict[str, Any]:
        keypoint = noise.normal(300, 80, (persons, frames, 17, 2)).astype(dtype)
        score = noise.random((persons, frames, 17)).astype(dtype)
        return {"frame_dir": name, "label": 0, "keypoint": keypoint, "keypoint_score": score, **more}

    return [
        video("float16", 1, 5, np.float16),
        video("float64", 2, 3, np.float64),
        video("second", 1, 4, np.float32, person_rows=np.array([1])),
        video("not rows", 1, 4, np.float32, person_rows=np.array([-1])),
        video("other rows", 2, 2, np.float32, person_rows=np.array([2, 1])),
        video("three", 3, 2, np.float32),
        video("nobody", 0, 7, np.float32),
    ]


def test_odd_clips(tmp_path: Path) -> None:
    videos = odd_clips()
    found = Clips(write(tmp_path / "a.zarr", videos, {"all": names(videos)}), "all")
    assert (found.frames, found.persons) == (5, 3)
    for i, video in enumerate(videos):
        known = {k: v for k, v in video.items() if k != "person_rows" or video["frame_dir"] == "second"}
        expected = np.float32(padded_clip(known, 5, persons=3))
        assert expected.shape == (3, 5, 17, 3)
        assert np.array_equal(found.padded(i), expected)
        frames = video["keypoint"].shape[1] if len(video["keypoint"]) else 0
        assert np.array_equal(found[i], expected[:, :frames])


def test_clips_of_many_shapes(tmp_path: Path) -> None:
    """The last of many shapes of an array are in one with ragged axes only."""
    videos = [{"frame_dir": f"v{v}", "label": 0, "keypoint": np.ones((1, 2, v, 3), np.float32)} for v in range(1, 40)]
    path = write(tmp_path / "a.zarr", videos, {"all": names(videos)})
    found = Clips(path, "all")
    assert {field.ragged for field in skelstore.open(path).fields.values()} == {2, 4}
    assert [found[i].shape for i in range(39)] == [(3, 2, v, 2) for v in range(1, 40)]


HEADER = "\x93NUMPY\x01\x00v\x00{{'descr': '<f4', 'fortran_order': False, 'shape': {}, }}\n"


@pytest.mark.parametrize(
    ("shape", "frames", "persons"),
    [
        ((40, 3, 300, 25, 2), 300, 2),
        ((40, 3, 300, 25, 5), 300, 5),
        ((40, 300, 150), 300, 2),
        ((40, 3, 7, 25, 1), FRAMES, 2),  # shorter than the clips, so it is not their array any more
        ((40,), FRAMES, 2),
        ("nonsense", FRAMES, 2),
    ],
)
def test_the_array_that_a_store_records(
    store: Path, monkeypatch: pytest.MonkeyPatch, shape: Any, frames: int, persons: int
) -> None:
    arrays = [None, {"name": "other"}, {"name": "train_data.npy", "head": HEADER.format(shape)}]
    monkeypatch.setattr(skelstore.Store, "source", {"arrays": arrays})
    monkeypatch.setattr(skelstore.Store, "origins", lambda self: [Origin("train_data.npy", 0, 4)] * len(self))
    found = Clips(store, "train")
    assert (found.frames, found.persons) == (frames, persons)
    assert found.padded(0).shape == (3, frames, 25, persons)


@pytest.mark.parametrize("shape", [(1, 3, 10**15, 25, 2), (1, 3, 300, 25, 10**15), (1, 10**190, 150)])
def test_a_recorded_array_of_any_size_is_refused(store: Path, monkeypatch: pytest.MonkeyPatch, shape: Any) -> None:
    arrays = [{"name": "x", "head": HEADER.format(shape)}]
    monkeypatch.setattr(skelstore.Store, "source", {"arrays": arrays})
    monkeypatch.setattr(skelstore.Store, "origins", lambda self: [Origin("x", 0, 4)] * len(self))
    found = Clips(store, "train")
    with pytest.raises(skelstore.StoreError, match="has more than 1,073,741,824 bytes"):
        found.padded(0)
    if found.persons > 2:
        with pytest.raises(skelstore.StoreError, match="has more than 1,073,741,824 bytes"):
            found[0]


def test_what_is_no_clip_is_named(tmp_path: Path) -> None:
    dense = {"frame_dir": "v", "label": 0, "keypoint": np.ones((1, 2, 17, 2), np.float32)}
    cases: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"keypoint": np.ones((9, 17, 3))}, skelstore.FieldNotFoundError, "has keypoint with 3 axes; expected"),
        ({"keypoint": None}, skelstore.FieldNotFoundError, "has no keypoint; expected"),
        ({"frame_inds": np.arange(2)}, skelstore.FieldNotFoundError, "'v' at position 0 of the split has no dense"),
        (
            {"keypoint_score": np.ones((1, 3, 17))},
            skelstore.StoreError,
            r"of shape \[1, 3, 17\]; expected \[1, 2, 17\]",
        ),
        ({"person_rows": np.array([2])}, skelstore.StoreError, r"person_rows \[2\], which do not fit into 2 persons"),
    ]
    for number, (change, error, message) in enumerate(cases):
        path = write(tmp_path / f"{number}.zarr", [{**dense, **change}], {"all": ["v"]})
        with pytest.raises(error, match=message):
            Clips(path, "all")[0]


# --- what feeders do by NumPy --------------------------------------------------------------------------------


def test_statistics_are_those_of_all_clips(clips: list[dict[str, Any]], store: Path) -> None:
    found = statistics(Clips(store, "train"))
    assert found.mean.shape == found.std.shape == (3, 1, 25, 1)
    mean, std = statistics_of([padded_clip(clip, FRAMES) for clip in clips[:10]])
    assert np.allclose(found.mean[:, 0, :, 0], mean, atol=1e-5)
    assert np.allclose(found.std[:, 0, :, 0], std, atol=1e-5)
    with pytest.raises(skelstore.FieldNotFoundError, match="a split without videos has no mean"):
        statistics(Clips(store, "train", 0))


@given(
    index=st.integers(0, 9),
    seed=st.integers(0, 2**32 - 1),
    window=st.one_of(st.integers(1, 60), st.just(FRAMES)),
    steps=st.sets(st.sampled_from(["random_shift", "random_choose", "random_move"])),
)
@settings(max_examples=60)
def test_steps_are_those_of_the_reference(store: Path, index: int, seed: int, window: int, steps: set[str]) -> None:
    clip = Clips(store, "train").padded(index)

    def seeded() -> None:
        random.seed(seed)
        np.random.seed(seed)

    seeded()
    expected = agcn_item(clip.tolist(), window_size=window, **dict.fromkeys(steps, True))
    after = random.random(), np.random.rand()
    seeded()
    if "random_shift" in steps:
        clip = augmentation.random_shift(clip)
    clip = augmentation.random_choice(clip, window) if "random_choose" in steps else augmentation.pad(clip, window)
    if "random_move" in steps:
        clip = augmentation.random_move(clip)
    assert (random.random(), np.random.rand()) == after
    assert np.allclose(clip, expected, rtol=1e-5, atol=1e-5)


@given(frames=st.integers(0, 400), shares=st.lists(st.floats(0, 1), min_size=1, max_size=2), seed=st.integers(0, 99))
def test_crops_lie_in_the_clip(frames: int, shares: list[float], seed: int) -> None:
    np.random.seed(seed)
    found = augmentation.crop(frames, shares)
    assert 0 <= found.start <= found.stop <= frames
    length = found.stop - found.start
    if len(shares) == 1:
        assert found.start == frames - found.stop
        assert shares[0] * frames - 1e-6 <= length <= shares[0] * frames + 2
    else:
        assert min(64, frames) <= length <= max(64, max(shares) * frames)


@pytest.mark.parametrize("interval", [1, 0.5, [], [1.1], [-0.1], "all", None, [float("nan")]])
def test_an_interval_that_is_none_is_refused(interval: Any) -> None:
    with pytest.raises(ValueError, match=r"p_interval is .*; expected a list of one share"):
        augmentation.crop(10, interval)
