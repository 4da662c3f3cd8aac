"""Merging: the videos of all stores in order, in linked files; all conflicts are reported together."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import signal
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import skelstore
from skelstore import DamageError, MergeError, StoreExistsError, StoreNotFoundError
from skelstore.combine import merging
from skelstore.combine.conflicts import CONFLICTS
from skelstore.format import chunking
from skelstore.format.codecs import PROFILES, ChunkCodec, Profile
from skelstore.read import arrays
from skelstore.read.verification import verify
from skelstore.splits import join_splits
from tests.support import strategies
from tests.support.contracts import check_store, write, written
from tests.support.exact import assert_exact
from tests.support.files import names_in, tree
from tests.support.other_readers import check_by_second_reader, check_by_zarr_python

Annotation = dict[Any, Any]


def video(name: str, frames: int = 20, joints: int = 17, dtype: str = "<f2", **more: Any) -> Annotation:
    noise = np.random.default_rng(frames * 1000 + joints)
    return {
        "frame_dir": name,
        "label": frames % 7,
        "total_frames": frames,
        "keypoint": noise.normal(500, 100, (2, frames, joints, 2)).astype(dtype),
        "keypoint_score": noise.random((2, frames, joints)).astype(dtype),
        **more,
    }


def videos(prefix: str, count: int = 6, frames: int = 20, **more: Any) -> list[Annotation]:
    return [video(f"{prefix}{i}", frames + i, **more) for i in range(count)]


def check_merged(path: Path, annotations: list[Annotation], splits: dict[Any, Any]) -> None:
    """Check a merged store against the videos of all stores, with every reader."""
    assert verify(path, level="decode") == []
    check_store(skelstore.open(path), annotations, splits)
    check_by_zarr_python(path, annotations)
    check_by_second_reader(path, annotations)


def joined_by_hand(first: Any, second: Any) -> Any:
    """The ids of two splits with the same name."""
    if isinstance(first, np.ndarray) and isinstance(second, np.ndarray):
        return np.array([*first, *second], first.dtype)
    return [*first, *second] if type(first) is not type(second) else type(first)([*first, *second])


@contextmanager
def stores_of(datasets: Sequence[strategies.Dataset], profiles: Sequence[Profile]) -> Iterator[list[Path]]:
    with tempfile.TemporaryDirectory() as folder:
        yield [
            write(Path(folder) / f"{i}.zarr", *dataset, profile=profiles[i % len(profiles)])
            for i, dataset in enumerate(datasets)
        ]


# -------------------------------------------------------------------------------------------- exactness


@pytest.mark.slow
@pytest.mark.parametrize("profile", PROFILES)
@settings(max_examples=25)
@given(
    datasets=st.lists(strategies.datasets(max_size=4), min_size=1, max_size=3),
    part=st.sampled_from([300, chunking.PART_BYTES]),
    recoded=st.sampled_from([0, 200, chunking.PART_BYTES]),
    other=st.sampled_from(PROFILES),
    copy=st.booleans(),
)
def test_a_merge_has_all_videos_in_order(
    profile: Profile, datasets: list[strategies.Dataset], part: int, recoded: int, other: Profile, copy: bool
) -> None:
    splits: dict[Any, Any] = {}
    for dataset in datasets:
        for name, ids in dataset.splits.items():
            splits[name] = joined_by_hand(splits[name], ids) if name in splits else ids
    annotations = [annotation for dataset in datasets for annotation in dataset.annotations]
    with pytest.MonkeyPatch.context() as patch, stores_of(datasets, [profile, other]) as paths:
        patch.setattr(chunking, "PART_BYTES", part)
        patch.setattr(merging, "RECODED_BYTES", recoded)
        before = [tree(path) for path in paths]
        whole = paths[0].with_name("whole.zarr")
        skelstore.merge(paths, whole, allow=CONFLICTS, copy=copy)
        check_merged(whole, annotations, splits)
        assert [tree(path) for path in paths] == before, "merging does not change the stores"
        again = paths[0].with_name("again.zarr")
        skelstore.merge([whole, paths[0], whole], again, allow=CONFLICTS)
        assert_exact(list(skelstore.open(again)), [*annotations, *datasets[0].annotations, *annotations])
        assert verify(again, level="decode") == []


@pytest.mark.parametrize("profile", PROFILES)
def test_many_shards_of_other_chunks_stay_apart_and_small_ones_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, profile: Profile
) -> None:
    monkeypatch.setattr(chunking, "PART_BYTES", 30_000)
    for name in ("CHUNK_BYTES_MIN", "CHUNK_BYTES_SMALL"):  # else videos that are so short have chunks of this size
        monkeypatch.setattr(chunking, name, 1 << 10)
    monkeypatch.setattr(merging, "RECODED_BYTES", 60_000)
    parts = [videos("a", 40, 20), videos("b", 20, 90), videos("c", 2, 5)]
    paths = [write(tmp_path / f"{i}.zarr", part, profile=profile) for i, part in enumerate(parts)]
    skelstore.merge(paths, tmp_path / "all.zarr")
    store = skelstore.open(tmp_path / "all.zarr")
    keypoints = [name for name in store.fields if name.split(".")[0] == "keypoint"]
    # Without compression the size of a chunk does not depend on the videos.
    assert keypoints == ["keypoint", "keypoint.float16.2.17x2"][: 1 if profile == "fast" else 2]
    assert len(list((tmp_path / "all.zarr" / "keypoint").glob("c.*"))) > 4
    check_merged(tmp_path / "all.zarr", [annotation for part in parts for annotation in part], {})


def test_the_largest_store_decides_the_chunks_of_small_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunking, "PART_BYTES", 30_000)
    small, large = videos("a", 1, 30), videos("b", 90, 20)
    write(tmp_path / "small.zarr", small)
    write(tmp_path / "large.zarr", large)
    skelstore.merge([tmp_path / "small.zarr", tmp_path / "large.zarr"], tmp_path / "all.zarr")
    assert list(skelstore.open(tmp_path / "all.zarr").fields) == ["keypoint", "keypoint_score"]
    linked = {file.stat().st_ino for file in (tmp_path / "large.zarr").glob("keypoint*/c.*")}
    assert linked <= {file.stat().st_ino for file in (tmp_path / "all.zarr").glob("keypoint*/c.*")}
    check_merged(tmp_path / "all.zarr", [*small, *large], {})


@settings(max_examples=40)
@given(runs=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 9)), max_size=12))
def test_runs_cover_the_rows_of_all_videos_and_no_others(runs: list[tuple[int, int]]) -> None:
    first = np.array([run[0] for run in runs], np.int64)
    count = np.array([run[1] for run in runs], np.int64)
    starts, stops = merging._runs(first, count)
    covered = [row for start, stop in zip(starts, stops, strict=True) for row in range(start, stop)]
    assert covered == sorted({row for start, n in runs for row in range(start, start + n)})
    for start, n in runs:
        assert any(a <= start and start + n <= b for a, b in zip(starts, stops, strict=True)), (
            "each video is in one run"
        )


def test_stores_without_videos(tmp_path: Path) -> None:
    none, one = write(tmp_path / "none.zarr", [], {"t": ["x"]}), write(tmp_path / "one.zarr", videos("a", 1))
    skelstore.merge([none, one, none], tmp_path / "all.zarr")
    check_merged(tmp_path / "all.zarr", videos("a", 1), {"t": ["x", "x"]})
    skelstore.merge([none], tmp_path / "still none.zarr")
    check_merged(tmp_path / "still none.zarr", [], {"t": ["x"]})
    with pytest.raises(MergeError, match="no stores to merge"):
        skelstore.merge([], tmp_path / "nothing.zarr")


# --------------------------------------------------------------------------------------- links and copies


@pytest.fixture
def two(tmp_path: Path) -> list[Path]:
    return [write(tmp_path / "a.zarr", videos("a"), {"t": ["a0"]}), write(tmp_path / "b.zarr", videos("b"))]


def shard_inodes(path: Path) -> set[int]:
    return {file.stat().st_ino for file in path.glob("*/c.*")}


def test_shards_are_linked_and_nothing_is_decoded(
    tmp_path: Path, two: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> Any:
        raise AssertionError("a chunk was coded or decoded")

    with monkeypatch.context() as patch:
        patch.setattr(ChunkCodec, "decode", refuse)
        patch.setattr(ChunkCodec, "encode", refuse)
        done: list[int] = []
        skelstore.merge(two, tmp_path / "all.zarr", advance=done.append)
    assert shard_inodes(tmp_path / "all.zarr") == shard_inodes(two[0]) | shard_inodes(two[1])
    assert sum(done) == sum(file.stat().st_size for path in two for file in path.glob("*/c.*"))
    for path in two:
        shutil.rmtree(path)
    check_merged(tmp_path / "all.zarr", [*videos("a"), *videos("b")], {"t": ["a0"]})


def test_copies_share_nothing(tmp_path: Path, two: list[Path]) -> None:
    skelstore.merge(two, tmp_path / "all.zarr", copy=True)
    assert not shard_inodes(tmp_path / "all.zarr") & (shard_inodes(two[0]) | shard_inodes(two[1]))
    for path in two:
        for file in path.glob("*/c.*"):
            file.write_bytes(b"")
    check_merged(tmp_path / "all.zarr", [*videos("a"), *videos("b")], {"t": ["a0"]})


@pytest.mark.parametrize("reason", [errno.EXDEV, errno.EPERM, errno.EMLINK])
@pytest.mark.parametrize("ranges", ["works", "refused", "copies nothing", "absent"])
def test_files_are_copied_where_links_are_unavailable(
    tmp_path: Path, two: list[Path], monkeypatch: pytest.MonkeyPatch, reason: int, ranges: str
) -> None:
    def no_link(*_: Any) -> None:
        raise OSError(reason, os.strerror(reason))

    def no_range(*_: Any) -> int:
        if ranges == "copies nothing":
            return 0
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(os, "link", no_link)
    if ranges == "absent":
        monkeypatch.delattr(os, "copy_file_range", raising=False)
    elif ranges != "works":
        monkeypatch.setattr(os, "copy_file_range", no_range, raising=False)
    skelstore.merge(two, tmp_path / "all.zarr")
    assert not shard_inodes(tmp_path / "all.zarr") & (shard_inodes(two[0]) | shard_inodes(two[1]))
    check_merged(tmp_path / "all.zarr", [*videos("a"), *videos("b")], {"t": ["a0"]})


def test_another_failure_of_a_link_is_reported(
    tmp_path: Path, two: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "link", no_space)
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        skelstore.merge(two, tmp_path / "all.zarr")
    assert names_in(tmp_path) == ["a.zarr", "b.zarr"]


def test_a_store_is_appended_to_by_replacing_it(tmp_path: Path, two: list[Path]) -> None:
    with pytest.raises(StoreExistsError):
        skelstore.merge(two, two[0])
    with skelstore.open(two[0]) as reading:
        skelstore.merge(two, two[0], force=True)
        assert_exact(
            reading[5],
            videos("a")[5],
            "a reader of the old store continues or gets an error, and never gets other videos",
        )
    check_merged(two[0], [*videos("a"), *videos("b")], {"t": ["a0"]})
    assert names_in(tmp_path) == ["a.zarr", "b.zarr"]


# ---------------------------------------------------------------------------------------------- conflicts


def check_conflict(paths: list[Path], kind: str, *sentences: str) -> None:
    """Check that stores are refused for conflicts of one kind, with these sentences, and merged if it is allowed."""
    out = paths[0].with_name("all.zarr")
    with pytest.raises(MergeError) as caught:
        skelstore.merge(paths, out)
    _, *lines, advice = str(caught.value).splitlines()
    assert len(lines) == len(sentences)
    for line, sentence in zip(lines, sentences, strict=True):
        assert line.startswith(f"{kind}: ")
        assert sentence in line
    assert f"(--allow {kind}; in Python allow=['{kind}'])" in advice
    assert not out.exists()
    skelstore.merge(paths, out, allow=[kind])  # type: ignore[list-item]
    assert len(skelstore.open(out)) == sum(len(skelstore.open(path)) for path in paths)
    assert verify(out, level="decode") == []


def test_ids_in_both(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{i}.zarr", videos("a", 9)[i:]) for i in (0, 2)]
    check_conflict(paths, "ids", "7 video names both in")
    with skelstore.open(tmp_path / "all.zarr") as store, pytest.raises(skelstore.AmbiguousVideoError):
        store["a3"]


def test_ids_of_any_form(tmp_path: Path) -> None:
    a = [{"frame_dir": np.str_("x")}, {"frame_dir": "\ud800"}, {"filename": "f"}, {"frame_dir": 3}, {}]
    paths = [write(tmp_path / f"{i}.zarr", a) for i in range(3)]
    check_conflict(paths, "ids", "3 video names both in", "3 video names both in")


def test_ids_that_are_matched_by_other_keys(tmp_path: Path) -> None:
    paths = [
        write(tmp_path / "a.zarr", [{"filename": "x.mp4"}], {"t": ["x.mp4"]}),
        write(tmp_path / "b.zarr", [{"frame_dir": "y"}], {"t": ["y"]}),
    ]
    check_conflict(paths, "ids", "by filename in")


def test_other_joints(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{n}.zarr", videos(f"{n}-", joints=n)) for n in (17, 25)]
    check_conflict(paths, "joints", "keypoint is [25, 2] in", "keypoint_score is [25] in")


def test_other_dtypes_and_shapes(tmp_path: Path) -> None:
    paths = [
        write(tmp_path / f"{n}.zarr", videos(f"{n}-", dtype=n, box=np.zeros((2, 20, extent), np.int8)))
        for n, extent in (("f2", 4), ("f4", 5))
    ]
    check_conflict(
        paths,
        "fields",
        "keypoint is float32",
        "keypoint_score is float32",
        "box is int8 with 3 axes, the last ones [5]",
    )


@pytest.mark.parametrize("order", [1, -1])
def test_raw_skeletons_beside_keypoints(tmp_path: Path, order: int) -> None:
    bodies = [{"frame_dir": f"r{i}", "label": i, "position": np.zeros((4, 25, 3))} for i in range(2)]
    raw = write(tmp_path / "raw.zarr", bodies, source={"dialect": "ntu", "recipe": "raw"})
    paths = [raw, write(tmp_path / "a.zarr", videos("a"))]
    check_conflict(
        paths[::order], "raw", f"{raw} has raw NTU RGB+D data, {paths[1]} does not, and no pipeline or recipe"
    )


def test_raw_skeletons_beside_others_or_none_are_not_a_conflict(tmp_path: Path) -> None:
    raw = {"dialect": "ntu", "recipe": "raw"}
    paths = [write(tmp_path / f"{i}.zarr", [{"frame_dir": f"r{i}"}], source=raw) for i in range(2)]
    skelstore.merge([*paths, write(tmp_path / "none.zarr", [])], tmp_path / "all.zarr")
    assert len(skelstore.open(tmp_path / "all.zarr")) == 2


# ---------------------------------------------------------------------------------------------------- cast


def widened(annotations: list[Annotation], wide: str = "<f4") -> list[Annotation]:
    halves = {"<f2", ">f2"}
    return [
        {k: v.astype(wide) if isinstance(v, np.ndarray) and v.dtype.str in halves else v for k, v in one.items()}
        for one in annotations
    ]


@pytest.mark.parametrize("profiles", [("default", "default"), ("small", "default"), ("fast", "small")])
@pytest.mark.parametrize("wide", ["<f4", ">f4"])
@pytest.mark.parametrize("recoded", [0, chunking.PART_BYTES])
def test_a_cast_writes_float16_as_float32(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, profiles: tuple[Profile, Profile], wide: str, recoded: int
) -> None:
    monkeypatch.setattr(chunking, "PART_BYTES", 20_000)
    monkeypatch.setattr(merging, "RECODED_BYTES", recoded)
    half, full = videos("a", 9), videos("b", 4, dtype=wide)
    half[2]["keypoint"].view("u2")[0, 1, 2] = [0x7C01, 0x8000]  # a NaN with a payload, and -0
    paths = [
        write(tmp_path / "a.zarr", half, {"t": ["a0"]}, profile=profiles[0]),
        write(tmp_path / "b.zarr", full, {"t": ["b0"]}, profile=profiles[1]),
    ]
    before = [tree(path) for path in paths]
    with pytest.raises(MergeError, match=r"or allow .* \(--allow fields; ") as caught:
        skelstore.merge(paths, tmp_path / "all.zarr")
    assert "write float16 as float32 (--cast; in Python cast=True)" in str(caught.value).splitlines()[-1]
    skelstore.merge(paths, tmp_path / "all.zarr", cast=True)
    check_merged(tmp_path / "all.zarr", [*widened(half, wide), *full], {"t": ["a0", "b0"]})
    assert {field.dtype.str for field in skelstore.open(tmp_path / "all.zarr").fields.values()} == {wide}
    assert [tree(path) for path in paths] == before


def test_a_cast_changes_nothing_else(tmp_path: Path) -> None:
    """Such as arrays at another place, of another shape or dtype; and one store may have both dtypes."""
    first = [video("a", box=np.ones(3, "<f2"), flow=np.ones((2, 2), "<f4")), video("b", dtype="<f4")]
    second = [video("c", box=np.ones(3, "<f8"), flow=np.ones((2, 3), "<f2")), {"frame_dir": "d"}]
    paths = [write(tmp_path / "1.zarr", first), write(tmp_path / "2.zarr", second)]
    with pytest.raises(MergeError) as caught:
        skelstore.merge(paths, tmp_path / "all.zarr", cast=True)
    assert [line.split()[:2] for line in str(caught.value).splitlines()[1:-1]] == [
        ["fields:", "box"],
        ["fields:", "flow"],
    ]
    assert "--cast" not in str(caught.value)
    skelstore.merge(paths, tmp_path / "all.zarr", cast=True, allow=["fields"])
    expected = [*widened(first[:1]), first[1], *widened(second[:1]), second[1]]
    expected[0]["box"], expected[2]["flow"] = first[0]["box"], second[0]["flow"]
    check_merged(tmp_path / "all.zarr", expected, {})


def test_labels_of_other_types(tmp_path: Path) -> None:
    labels = [[1, np.int64(2)], ["drink"], [np.zeros(3)], [(1, 2)], [3]]
    paths = [
        write(tmp_path / f"{i}.zarr", [{"frame_dir": f"{i}-{n}", "label": label} for n, label in enumerate(some)])
        for i, some in enumerate(labels)
    ]
    check_conflict(paths, "labels", "text in", "array in", "dict or tuple in")


def test_mixed_data_with_a_form_in_common_are_not_a_conflict(tmp_path: Path) -> None:
    first = [video("a", joints=17), video("b", joints=25, dtype="f4"), {"frame_dir": "c", "label": "text"}]
    paths = [write(tmp_path / "1.zarr", first), write(tmp_path / "2.zarr", [video("d", joints=25, dtype="f4"), {}])]
    skelstore.merge(paths, tmp_path / "all.zarr")
    assert len(skelstore.open(tmp_path / "all.zarr")) == 5


def source_with(**top: Any) -> dict[str, Any]:
    entries: list[Any] = [["annotations", {"annotations": True}], ["split", {"splits": True}]]
    return {"dialect": "pyskl", "document": {"dict": entries + [[k, {"value": v}] for k, v in top.items()]}}


def source_of(path: Path) -> dict[str, Any]:
    """The source of a store, without its joints, which were not stated."""
    with skelstore.open(path) as store:
        source = dict(store.source)
    assert source.pop("joints")["guess"]
    return source


def test_the_top_of_the_sources(tmp_path: Path) -> None:
    paths = [
        write(tmp_path / "a.zarr", videos("a"), source=source_with(classes=["drink"], of="a")),
        write(tmp_path / "b.zarr", videos("b"), source=source_with(classes=["eat"], more=3)),
    ]
    check_conflict(paths, "document", "['classes'][0] is 'eat'; expected 'drink'")
    assert source_of(tmp_path / "all.zarr") == source_with(classes=["drink"], of="a", more=3)


def test_all_conflicts_are_reported_together(tmp_path: Path) -> None:
    a = videos("a", 20)
    raw = {"recipe": "raw"}
    b = [{**annotation, "label": "text"} for annotation in videos("a", 20, joints=25, dtype="f4")]
    paths = [
        write(tmp_path / "a.zarr", a, {"t": "all"}, source=source_with(x=1) | raw),
        write(tmp_path / "b.zarr", b, {"t": ["a"]}, source=source_with(x=2)),
    ]
    with pytest.raises(MergeError) as caught:
        skelstore.merge(paths, tmp_path / "all.zarr")
    kinds = [line.partition(":")[0] for line in str(caught.value).splitlines()[1:-1]]
    assert sorted(set(kinds)) == sorted([*CONFLICTS, "splits"])
    assert "'a4', …" in str(caught.value), "five examples"
    assert names_in(tmp_path) == ["a.zarr", "b.zarr"]
    with pytest.raises(MergeError, match="splits: the split 't' is a str in one store and a list in another"):
        skelstore.merge(paths, tmp_path / "all.zarr", allow=CONFLICTS)
    with pytest.raises(MergeError, match="expected some of ids, fields, joints, labels, document, raw"):
        skelstore.merge(paths, tmp_path / "all.zarr", allow=["everything"])  # type: ignore[list-item]


# ------------------------------------------------------------------------------------- splits and sources


@pytest.mark.parametrize("dtype", ["<i8", ">i8"])
def test_splits_that_are_arrays_keep_their_byte_order(dtype: str) -> None:
    found = join_splits([{"t": np.array([1], dtype)}, {"t": np.array([2, 1], dtype)}])
    assert_exact(found, {"t": np.array([1, 2, 1], dtype)})


def test_videos_as_splits(tmp_path: Path, two: list[Path]) -> None:
    skelstore.merge(two, tmp_path / "all.zarr", as_splits=["train", "val"])
    splits = {"t": ["a0"], "train": [f"a{i}" for i in range(6)], "val": [f"b{i}" for i in range(6)]}
    check_merged(tmp_path / "all.zarr", [*videos("a"), *videos("b")], splits)
    skelstore.merge(two, tmp_path / "one.zarr", as_splits=["all", "all"])
    assert len(skelstore.open(tmp_path / "one.zarr").split("all")) == 12
    with pytest.raises(MergeError, match="already has a split 't'"):
        skelstore.merge(two, tmp_path / "no.zarr", as_splits=["t", "u"])
    with pytest.raises(MergeError, match="3 names of splits for 2 stores"):
        skelstore.merge(two, tmp_path / "no.zarr", as_splits=["t", "u", "v"])
    write(tmp_path / "c.zarr", [{"frame_dir": "a"}, {"label": 3}])
    with pytest.raises(MergeError, match="the video at position 1 has no frame_dir, so no split can name it"):
        skelstore.merge([tmp_path / "c.zarr"], tmp_path / "no.zarr", as_splits=["t"])


def test_videos_as_splits_are_found_by_filename_if_the_first_has_one(tmp_path: Path) -> None:
    paths = [
        write(tmp_path / f"{i}.zarr", [{"frame_dir": f"{i}{k}", "filename": f"{i}{k}.mp4"} for k in range(3)])
        for i in range(2)
    ]
    skelstore.merge(paths, tmp_path / "all.zarr", as_splits=["train", "val"])
    store = skelstore.open(tmp_path / "all.zarr")
    assert store.splits["val"] == ["10.mp4", "11.mp4", "12.mp4"]
    assert [a["frame_dir"] for a in store.split("val")] == ["10", "11", "12"]


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        ([{"dialect": "writer"}] * 2, {"dialect": "writer"}),
        ([{"dialect": "single", "document": {"annotation": True}}] * 2, {"dialect": "merge"}),
        ([{}, {"dialect": "pyskl"}], {"dialect": "merge"}),
        (
            [{"dialect": "pyskl", "name": "a", "size": 3}, {"dialect": "pyskl", "name": "b", "size": 4}],
            {"dialect": "pyskl", "name": "a + b", "size": 7},
        ),
        (
            [{"dialect": "list", "document": {"annotations": True}}] * 2,
            {"dialect": "list", "document": {"annotations": True}},
        ),
        (
            [{"dialect": "kinetics", "kpfiles": "many", "left_out": [{"index": 0}]}] * 2,
            {"dialect": "kinetics", "kpfiles": "many", "left_out": [{"index": 0}, {"index": 2}]},
        ),
        (
            [{"dialect": "kinetics", "kpfiles": "many"}, {"dialect": "kinetics", "kpfiles": "video"}],
            {"dialect": "merge", "kpfiles": "many"},
        ),
        (
            [{"dialect": "ntu", "left_out": [{"index": None}, {"index": 0}]}, {"left_out": [{"index": 1}]}],
            {"dialect": "merge", "left_out": [{"index": None}, {"index": 0}, {"index": 3}]},
        ),
        (
            [{"dialect": "ntu", "recipe": "raw", "task": "ntu60", "ignored": [name]} for name in ("b", "a")],
            {"dialect": "ntu", "recipe": "raw", "task": "ntu60", "ignored": ["a", "b"]},
        ),
        (
            [{"dialect": "ntu", "recipe": "raw", "task": task} for task in ("ntu60", "ntu120")],
            {"dialect": "ntu", "recipe": "raw"},
        ),
        (
            [{"dialect": "ntu", "recipe": recipe, "task": "ntu60"} for recipe in ("mmaction2", "pyskl")],
            {"dialect": "merge", "task": "ntu60"},
        ),
    ],
)
def test_information_about_the_sources(tmp_path: Path, sources: list[dict[str, Any]], expected: dict[str, Any]) -> None:
    paths = [write(tmp_path / f"{i}.zarr", videos(f"{i}", 1), source={"": 1, **s}) for i, s in enumerate(sources)]
    skelstore.merge(paths, tmp_path / "all.zarr")
    assert source_of(tmp_path / "all.zarr") == expected


@pytest.mark.parametrize(
    "source",
    [
        {"left_out": [3]},
        {"left_out": 3},
        {"document": {"dict": 3}},
        {"document": {"dict": [3]}},
        {"document": {"dict": [["a", 3]]}},
        {"document": {"dict": [["a", {"value": {"no": 1}}]]}},
        {"dialect": []},
    ],
)
def test_an_invalid_source_is_reported(tmp_path: Path, two: list[Path], source: dict[str, Any]) -> None:
    odd = write(tmp_path / "odd.zarr", videos("o"), source=source)
    with pytest.raises(skelstore.StoreError, match=r"does not follow the format|unknown type"):
        skelstore.merge([odd, *two], tmp_path / "all.zarr")


# --------------------------------------------------------------------------------------- damage and faults


@pytest.mark.parametrize("copy", [False, True])
@pytest.mark.parametrize("damage", ["missing", "cut", "swapped", "no store", "table"])
def test_a_damaged_store_is_not_merged(tmp_path: Path, two: list[Path], damage: str, copy: bool) -> None:
    shard = two[1] / "keypoint" / "c.0.0.0"
    kinds: tuple[type[Exception], ...] = (DamageError,)
    if damage == "missing":
        shard.unlink()
    elif damage == "cut":
        shard.write_bytes(shard.read_bytes()[:-1])
    elif damage == "swapped":
        other = write(tmp_path / "other.zarr", [{**a, "keypoint": a["keypoint"] * 2} for a in videos("b")])
        data = (other / "keypoint" / "c.0.0.0").read_bytes()
        shard.write_bytes(data)
    elif damage == "table":
        table = two[1] / "videos.arrow"
        table.write_bytes(table.read_bytes().replace(b"b0", b"x0"))
    else:
        (two[1] / "zarr.json").unlink()
        kinds = (StoreNotFoundError,)
    with pytest.raises(kinds, match=r"b\.zarr"):
        skelstore.merge(two, tmp_path / "all.zarr", copy=copy)
    assert not {"all.zarr", "all.zarr.partial"} & set(names_in(tmp_path))


def test_a_flipped_bit_is_found_by_a_copy_and_after_a_link(tmp_path: Path, two: list[Path]) -> None:
    shard = two[0] / "keypoint" / "c.0.0.0"
    data = bytearray(shard.read_bytes())
    data[30] ^= 1
    shard.write_bytes(data)
    with pytest.raises(DamageError, match="is damaged"):
        skelstore.merge(two, tmp_path / "all.zarr", copy=True)
    skelstore.merge(two, tmp_path / "all.zarr")
    assert any("keypoint" in problem for problem in verify(tmp_path / "all.zarr", level="decode"))
    with pytest.raises(DamageError, match=r"all\.zarr"):
        list(skelstore.open(tmp_path / "all.zarr"))


def test_damage_is_found_when_a_small_array_is_rewritten(tmp_path: Path) -> None:
    paths = [write(tmp_path / "a.zarr", videos("a", 30)), write(tmp_path / "b.zarr", videos("b", 2, 70))]
    shard = paths[1] / "keypoint" / "c.0.0.0"
    data = bytearray(shard.read_bytes())
    data[30] ^= 1
    shard.write_bytes(data)
    with pytest.raises(DamageError, match="chunk 0 is damaged"):
        skelstore.merge(paths, tmp_path / "all.zarr")
    assert names_in(tmp_path) == ["a.zarr", "b.zarr"]


def test_no_file_of_a_merged_store_is_written_to(
    tmp_path: Path, two: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The only shard of an array is trimmed when a store is written; a linked one belongs to another store."""

    def refuse(*_: Any) -> Any:
        raise AssertionError("a shard was written to")

    monkeypatch.setattr("skelstore.write.joining.trim_shard", refuse)
    for file in two[0].glob("*/c.*"):
        file.chmod(0o444)
    skelstore.merge(two[:1], tmp_path / "all.zarr")
    check_merged(tmp_path / "all.zarr", videos("a"), {"t": ["a0"]})


CALLS = ("mkdir", "link", "rename", "fsync", "unlink", "rmdir")


class Full(OSError):
    """Raised in place of writing: the disk is full."""


def interrupted(patch: pytest.MonkeyPatch, at: int, act: Any) -> list[str]:
    """Call ``act`` at the ``at``-th call that changes the disk; return the growing list of the names of all calls."""
    made: list[str] = []

    def watched(name: str, real: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            made.append(name)
            if len(made) - 1 == at:
                act()
            return real(*arguments, **options)

        return call

    for name in CALLS:
        patch.setattr(os, name, watched(name, getattr(os, name)))
    return made


@pytest.mark.slow
@pytest.mark.slow
@pytest.mark.parametrize(("force", "recoded"), [(False, 0), (True, chunking.PART_BYTES)])
def test_killed_at_any_call_the_destination_is_absent_or_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, force: bool, recoded: int
) -> None:
    monkeypatch.setattr(merging, "RECODED_BYTES", recoded)
    paths = [write(tmp_path / "a.zarr", videos("a", 3)), write(tmp_path / "b.zarr", videos("b", 2, 40))]
    before = [tree(path) for path in paths]
    new = [*videos("a", 3), *videos("b", 2, 40)]
    out = tmp_path / "all.zarr"
    at = 0
    while True:
        if force:
            write(out, videos("old", 1), force=True)
        elif out.exists():
            shutil.rmtree(out)
        child = os.fork()
        if child == 0:
            with pytest.MonkeyPatch.context() as patch:
                interrupted(patch, at, lambda: os.kill(os.getpid(), signal.SIGKILL))
                try:
                    skelstore.merge(paths, out, force=force)
                finally:
                    os._exit(0)
        _, status = os.waitpid(child, 0)
        assert [tree(path) for path in paths] == before, f"call {at}"
        if out.exists():
            assert verify(out, level="decode") == []
            found = list(skelstore.open(out))
            assert_exact(found, new if len(found) > 1 else videos("old", 1))
        else:
            assert not force
        if not os.WIFSIGNALED(status):
            break
        skelstore.merge(paths, out, force=force or out.exists())
        assert_exact(list(skelstore.open(out)), new)
        assert not out.with_name("all.zarr.partial").exists()
        at += 1
    assert at > 20, "every call was tried"


@pytest.mark.slow
@pytest.mark.parametrize("copy", [False, True])
def test_a_full_disk_leaves_the_old_store_and_nothing_else(tmp_path: Path, copy: bool) -> None:
    paths = [write(tmp_path / "a.zarr", videos("a", 3)), write(tmp_path / "b.zarr", videos("b", 2, 40))]
    out = write(tmp_path / "all.zarr", videos("old", 1))

    def full() -> None:
        raise Full(errno.ENOSPC, os.strerror(errno.ENOSPC))

    at = 0
    for at in range(1000):
        with pytest.MonkeyPatch.context() as patch:
            made = interrupted(patch, at, full)
            with contextlib.suppress(Full):
                skelstore.merge(paths, out, force=True, copy=copy)
        whole = list(skelstore.open(out))
        assert verify(out, level="decode") == []
        if at >= len(made):
            break
        assert_exact(whole, videos("old", 1) if len(whole) == 1 else [*videos("a", 3), *videos("b", 2, 40)])
        if len(whole) > 1:
            write(out, videos("old", 1), force=True)
    assert at > 20
    assert_exact(whole, [*videos("a", 3), *videos("b", 2, 40)])


def test_rows_of_the_arrays_are_read_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small array that is rewritten is not held in memory as a whole."""
    monkeypatch.setattr(merging, "_BLOCK_BYTES", 1000)
    largest = 0
    read = arrays.ArrayReader.read

    def watched(self: Any, start: int, *dims: int) -> Any:
        nonlocal largest
        found = read(self, start, *dims)
        largest = max(largest, found.nbytes)
        return found

    monkeypatch.setattr(arrays.ArrayReader, "read", watched)
    paths = [write(tmp_path / "a.zarr", videos("a", 30)), write(tmp_path / "b.zarr", videos("b", 2, 70))]
    skelstore.merge(paths, tmp_path / "all.zarr")
    assert 0 < largest <= 1000
    check_merged(tmp_path / "all.zarr", [*videos("a", 30), *videos("b", 2, 70)], {})


def test_many_stores_at_once(tmp_path: Path) -> None:
    parts = [videos(f"{i}-", 1, 10 + i % 3) for i in range(40)]
    paths = [write(tmp_path / f"{i}.zarr", part, {"all": [part[0]["frame_dir"]]}) for i, part in enumerate(parts)]
    skelstore.merge(paths, tmp_path / "all.zarr")
    names = [part[0]["frame_dir"] for part in parts]
    check_merged(tmp_path / "all.zarr", [part[0] for part in parts], {"all": names})
    with written([]) as empty:
        assert len(skelstore.open(empty)) == 0


def test_layouts_of_joints_and_names_of_classes(tmp_path: Path) -> None:
    def make(name: str, source: dict[str, Any]) -> Path:
        with skelstore.Writer(tmp_path / name, source=source) as writer:
            writer.add({"frame_dir": name, "label": 0, "keypoint": np.ones((1, 4, 25, 2), np.float16)})
        return tmp_path / name

    ntu = make("ntu.zarr", {"joints": {"layout": "ntu-25", "derived": []}, "class_names": ["drink", "eat"]})
    body = make("body.zarr", {"joints": {"layout": "body-25", "derived": []}, "class_names": ["drink", "sit"]})
    plain = make("plain.zarr", {})
    assert skelstore.open(ntu).joints.stated
    assert skelstore.open(body).joints.stated
    with pytest.raises(skelstore.MergeError) as caught:
        skelstore.merge([ntu, body], tmp_path / "out.zarr")
    assert re.search("^joints: .*ntu.zarr.*body.zarr", str(caught.value), re.MULTILINE)
    assert re.search("^labels: the names of the classes differ between .*body.zarr", str(caught.value), re.MULTILINE)
    skelstore.merge([ntu, body], tmp_path / "out.zarr", allow=["joints", "labels"])
    merged = skelstore.open(tmp_path / "out.zarr")
    assert merged.joints.layout == skelstore.open(ntu).joints.layout
    assert merged.class_names == ["drink", "eat"]
    again = make("again.zarr", {"joints": {"layout": "ntu-25", "derived": []}})
    skelstore.merge([again, ntu], tmp_path / "kept.zarr")
    assert skelstore.open(tmp_path / "kept.zarr").class_names == ["drink", "eat"]
    assert skelstore.open(tmp_path / "kept.zarr").joints.stated
    skelstore.merge([plain, again], tmp_path / "guessed.zarr", allow=["joints"])
    assert skelstore.open(tmp_path / "guessed.zarr").joints.stated
