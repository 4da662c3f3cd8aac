"""A store fulfils its contract for any data, any encoding and any mode of checks."""

from __future__ import annotations

import errno
import os
import pickle
import shutil
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import skelstore
from skelstore.format import chunking, local_file
from skelstore.format.codecs import PROFILES, Profile
from skelstore.read import frames as frames_module
from skelstore.read.arrays import Check
from skelstore.read.videos import shard_numbers
from tests.support import strategies
from tests.support.contracts import check_store, check_videos, write, written
from tests.support.exact import assert_exact
from tests.support.small_store import open_pure

CHECKS: tuple[Check, ...] = get_args(Check)


@pytest.mark.parametrize("profile", PROFILES)
@settings(max_examples=25)
@given(dataset=strategies.datasets(), check=st.sampled_from(CHECKS))
def test_any_data_set(profile: Profile, dataset: strategies.Dataset, check: Check) -> None:
    with written(*dataset, profile=profile) as path, skelstore.open(path, check=check) as store:
        assert store.profile == profile
        assert store.path == path
        check_store(store, *dataset)


@settings(max_examples=15)
@given(dataset=strategies.datasets(max_size=5), profile=st.sampled_from(PROFILES), check=st.sampled_from(CHECKS))
def test_any_data_set_cut_into_tiny_shards(dataset: strategies.Dataset, profile: Profile, check: Check) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunking, "PART_BYTES", 500)
        patch.setattr(chunking, "CHUNK_BYTES_MIN", 32)
        patch.setattr(chunking, "CHUNK_BYTES_MAX", 64)
        patch.setattr(chunking, "CHUNK_BYTES_PLAIN", 64)
        with written(*dataset, profile=profile) as path, skelstore.open(path, check=check) as store:
            check_store(store, *dataset)


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("profile", PROFILES)
def test_a_typical_data_set(tmp_path: Path, profile: Profile, check: Check) -> None:
    annotations = [typical(i) for i in range(40)]
    names = [annotation["frame_dir"] for annotation in annotations]
    splits = {"xsub_train": names[30:] + names[:5] + names[:2], "xsub_val": ["nobody", *names[3:20]], "none": []}
    store = skelstore.open(write(tmp_path / "a.zarr", annotations, splits, profile=profile), check=check)
    check_store(store, annotations, splits)
    field = store.fields["keypoint"]
    assert field == skelstore.Field(np.dtype("<f2"), 2, (17, 2), field.rows)
    assert field.rows == sum(annotation["keypoint_score"][..., 0].size for annotation in annotations)
    assert store.fields["keypoint_score"].trailing == (17,)


def typical(number: int, persons: int = 2) -> dict[str, Any]:
    """An annotation of NTU with its own length."""
    noise = np.random.default_rng(number)
    frames = 20 + number % 13
    return {
        "frame_dir": f"S001C{number:03}",
        "label": number % 7,
        "img_shape": (1080, 1920),
        "original_shape": (1080, 1920),
        "total_frames": frames,
        "keypoint": noise.normal(500, 100, (persons, frames, 17, 2)).astype(np.float16),
        "keypoint_score": noise.random((persons, frames, 17)).astype(np.float16),
    }


def test_a_view_of_a_view_keeps_the_order_of_the_store(tmp_path: Path) -> None:
    annotations = [typical(i) for i in range(30)]
    splits = {
        "back": [f"S001C{i:03}" for i in reversed(range(5, 25))],
        "even": [f"S001C{i:03}" for i in range(0, 30, 2)],
    }
    store = skelstore.open(write(tmp_path / "a.zarr", annotations, splits))
    expected = [a for i, a in enumerate(annotations) if 5 <= i < 25 and i % 2 == 0 and i % 7 < 3]
    view = store.split("back").split("even").select(pc.field("label") < 3)
    check_videos(view, expected)
    check_videos(pickle.loads(pickle.dumps(view)), expected)
    check_videos(store.select(pc.field("label") < 3).split("even").split("back"), expected)
    assert store.index("S001C006") == 6
    assert store.split("back").index("S001C006") == 1
    assert "S001C004" in store
    assert "S001C004" not in store.split("back")


@pytest.mark.parametrize(
    ("expression", "keeps"),
    [
        (pc.field("label") < 10, lambda a: type(a.get("label")) is int and a["label"] < 10),
        (pc.field("label").isin([3, 4]), lambda a: a.get("label") in (3, 4) and type(a["label"]) is int),
        (pc.field("label").is_null(), lambda a: type(a.get("label")) is not int),
        (pc.field("frame_dir") == "v7", lambda a: a["frame_dir"] == "v7"),
        (pc.field("img_shape.0") > pc.field("img_shape.1"), lambda a: a["img_shape"][0] > a["img_shape"][1]),
        ((pc.field("keypoint.dim0") == 2) & ~pc.field("odd"), lambda a: len(a["keypoint"]) == 2 and a["odd"] is False),
        (pc.field("valid.0.5") >= 5, lambda a: a["valid"][0.5] >= 5),
    ],
)
def test_select_is_a_filter_over_the_annotations(
    tmp_path: Path, expression: pc.Expression, keeps: Callable[[dict[str, Any]], bool]
) -> None:
    annotations = []
    for i in range(20):
        annotation = {
            "frame_dir": f"v{i}",
            "img_shape": (100 + i, 110),
            "keypoint": np.zeros((i % 3, 4, 17, 2), np.float16),
            "odd": i % 2 == 1,
            "valid": {0.5: i, 0.6: 0},
        }
        if i % 4 == 1:
            annotation["label"] = str(i)
        elif i % 4:
            annotation["label"] = i
        annotations.append(annotation)
    annotations = [annotations[2], *annotations[:2], *annotations[3:]]  # the first label is an int
    store = skelstore.open(write(tmp_path / "a.zarr", annotations))
    expected = [annotation for annotation in annotations if keeps(annotation)]
    assert expected
    assert_exact(list(store.select(expression)), expected)


def test_an_expression_that_selects_nothing_is_not_a_missing_column(tmp_path: Path) -> None:
    store = skelstore.open(write(tmp_path / "a.zarr", [{"label": 3}]))
    for nonsense in (pc.field("label") == "a", pc.field("label") + 1, pc.field("label"), "label < 1", None):
        with pytest.raises(TypeError, match=r"a\.zarr: .* cannot select videos .*; expected an expression"):
            store.select(nonsense)
    for missing in (pc.field("no such") == 1, pc.field("label", "x") == 1):
        with pytest.raises(skelstore.FieldNotFoundError, match="the table has the columns label"):
            store.select(missing)


@pytest.mark.parametrize(
    ("identifiers", "ids", "kept"),
    [
        (["a", "b", "c"], ["c", "a", "a", "x"], [0, 2]),
        (["a", "b"], ("b",), [1]),
        (["a", "b"], {"b": 1}, [1]),
        ([1, 2, 3], np.array([3, 1]), [0, 2]),
        ([1, 2, 3], [3.0, True], [0, 2]),
        (["1", 1], [1], [1]),
        (["1", 1], ["1"], [0]),
        ([np.str_("a"), "a", "b"], ["a"], [0, 1]),
        ([np.int64(5), 5, 6], [5], [0, 1]),
        ([None, "a"], [None], [0]),
        ([("a", 1), ("a", 2)], [("a", 2)], [1]),
        (["\ud800", "a", "\ud800b"], ["\ud800"], [0]),
        (["a", "b"], ["\ud800", "b"], [1]),
        ([["a"], "b"], ["b", 1], [1]),
        ([["a"], "b"], [["a"], "b"], [1]),
        ([{"a": 1}, "b"], ["b", 1], [1]),
        ([2**70, 1], [2**70], [0]),
        ([b"a", "a"], [b"a"], [0]),
        ([0.5, "a"], [0.5, None], [0]),
        ([np.arange(2), "a"], ["a", 1], [1]),
        (["a"], [], []),
        ([], ["a"], []),
    ],
)
def test_a_split_accepts_ids_of_any_type(tmp_path: Path, identifiers: list[Any], ids: Any, kept: list[int]) -> None:
    annotations = [{"frame_dir": identifier, "label": i} for i, identifier in enumerate(identifiers)]
    store = skelstore.open(write(tmp_path / "a.zarr", annotations, {"train": ids}))
    assert_exact(store.splits, {"train": ids})
    assert [annotation["label"] for annotation in store.split("train")] == kept


@pytest.mark.parametrize("value", [None, 3, 0.5, np.array(3)])
def test_a_split_without_ids_is_kept_but_is_not_a_view(tmp_path: Path, value: Any) -> None:
    store = skelstore.open(write(tmp_path / "a.zarr", [{"frame_dir": "a"}], {"train": value}))
    assert_exact(store.splits, {"train": value})
    with pytest.raises(skelstore.SkelstoreError, match="train"):
        store.split("train")


def test_splits_match_the_filename_if_the_first_video_has_one(tmp_path: Path) -> None:
    both = [{"filename": "f0", "frame_dir": "d"}, {"filename": "f1", "frame_dir": "d"}, {"frame_dir": "f1"}]
    store = skelstore.open(write(tmp_path / "a.zarr", both, {"t": ["f1"], "d": ["d"]}))
    assert_exact(list(store.split("t")), both[1:2])
    assert len(store.split("d")) == 0
    store = skelstore.open(write(tmp_path / "b.zarr", both[::-1], {"t": ["f1"], "d": ["d"]}))
    assert_exact(list(store.split("t")), [both[2]])
    assert_exact(list(store.split("d")), [both[1], both[0]])


def test_a_missing_split_is_reported_with_the_existing_ones(tmp_path: Path) -> None:
    store = skelstore.open(write(tmp_path / "a.zarr", [{}], {"train": [], 3: []}))
    with pytest.raises(skelstore.SplitNotFoundError, match=r"no split 'val'; there are 'train', 3"):
        store.split("val")
    with pytest.raises(skelstore.SplitNotFoundError, match="no splits at all"):
        skelstore.open(write(tmp_path / "b.zarr", [])).split("val")


@pytest.mark.parametrize("count", [0, 1, 3])
def test_videos_without_any_key_are_videos(tmp_path: Path, count: int) -> None:
    store = skelstore.open(write(tmp_path / "a.zarr", [{}] * count))
    check_videos(store, [{}] * count)
    assert store.videos.num_rows == count
    assert len(store.select(pc.scalar(True))) == count
    assert store.select(pc.scalar(True)).videos.num_rows == count
    assert len(store.select(pc.scalar(False))) == 0


def test_the_table_of_a_view_has_the_rows_of_the_view(tmp_path: Path) -> None:
    annotations = [{"frame_dir": f"v{i}", "label": i} for i in range(9)]
    store = skelstore.open(write(tmp_path / "a.zarr", annotations, {"t": ["v7", "v2"]}))
    assert isinstance(store.videos, pa.Table)
    columns = ["frame_dir", "label"]
    assert store.videos.select(columns).to_pylist() == annotations
    assert store.split("t").videos.select(columns).to_pylist() == [annotations[2], annotations[7]]


def test_changing_a_result_does_not_change_the_store(tmp_path: Path) -> None:
    annotation = typical(1) | {"list": [1, [2]], "dict": {"a": [1]}}
    store = skelstore.open(write(tmp_path / "a.zarr", [annotation]))
    found = store[0]
    found["keypoint"][...] = 0
    found["list"].append(3)
    found["dict"]["a"].append(3)
    found["label"] = -1
    assert_exact(store[0], annotation)
    first, second = store.read([0, 0])
    assert not np.shares_memory(first["keypoint"], second["keypoint"])
    assert all(value.flags.writeable for value in first.values() if isinstance(value, np.ndarray))


def test_numpy_text_keeps_its_nul_at_the_end(tmp_path: Path) -> None:
    annotation = {"frame_dir": np.str_("a\0"), "note": np.str_("\0"), "list": [np.str_("b\0\0"), {"c": np.str_("c\0")}]}
    store = skelstore.open(write(tmp_path / "a.zarr", [annotation]))
    assert_exact(store.read([0, 0]), [annotation, annotation])
    assert_exact(store["a\0"], annotation)


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("profile", PROFILES)
def test_a_video_of_thousands_of_chunks(tmp_path: Path, profile: Profile, check: Check) -> None:
    """A vectored read takes at most IOV_MAX buffers, and an uncompressed chunk needs two."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("CHUNK_BYTES_MIN", "CHUNK_BYTES_MAX", "CHUNK_BYTES_PLAIN"):
            patch.setattr(chunking, name, 64)
        long = {"x": np.arange(60_000, dtype="<i4")}
        path = write(tmp_path / "a.zarr", [{"x": np.arange(3, dtype="<i4")}, long], profile=profile)
    store = skelstore.open(path, check=check)
    assert_exact(store[1], long)
    assert_exact(store[1], long)


def test_each_kind_of_path_that_is_not_a_store_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(skelstore.StoreNotFoundError, match="does not exist; expected the folder of a store"):
        skelstore.open(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError, match=r"has no zarr\.json"):
        skelstore.open(tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(skelstore.StoreNotFoundError):
        skelstore.open(tmp_path / "file")
    (tmp_path / "begun.zarr.partial").mkdir()
    (tmp_path / "a.pkl").touch()
    with pytest.raises(skelstore.StoreNotFoundError, match=r"a\.pkl is a file, not the folder of a store"):
        skelstore.open(tmp_path / "a.pkl")
    with pytest.raises(skelstore.StoreNotFoundError, match="a conversion to it was started"):
        skelstore.open(tmp_path / "begun.zarr")
    group = tmp_path / "group"
    group.mkdir()
    for content in (
        '{"zarr_format": 3, "node_type": "group", "attributes": {}}',
        '{"zarr_format": 3, "node_type": "group", "attributes": []}',
        '{"zarr_format": 3, "node_type": "group", "attributes": {"skelstore": 1}}',
        "[]",
        "1",
        "{",
        "",
        "[" * 100_000,
        '{"zarr_format": 3, "node_type": "group", "attributes": {"skelstore": {"version": 2}}}',
        '{"zarr_format": 3, "node_type": "group", "attributes": {"skelstore": {"version": 1}}}',
    ):
        (group / "zarr.json").write_text(content)
        with pytest.raises(skelstore.StoreError, match=r"zarr\.json"):
            skelstore.open(group)
    with pytest.raises(skelstore.StoreError):
        skelstore.open("a\0b")
    monkeypatch.chdir(tmp_path / "begun.zarr.partial")
    for odd in (".", "", "/", "..", "a" * 250):
        with pytest.raises(skelstore.StoreNotFoundError):
            skelstore.open(odd)
    with pytest.raises(skelstore.StoreError, match="expected one of first, always, never"):
        skelstore.open(tmp_path, check="sometimes")  # type: ignore[arg-type]


def test_a_newer_format_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.zarr", [{}])
    root = path / "zarr.json"
    text = root.read_text()
    assert '"version": 1' in text
    root.write_text(text.replace('"version": 1', '"version": 2'))
    with pytest.raises(skelstore.StoreError, match="format version 2; this skelstore reads version 1"):
        skelstore.open(path)


def test_a_relative_path_is_pickled_as_an_absolute_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.zarr", [{"frame_dir": "x"}])
    monkeypatch.chdir(tmp_path)
    sent = pickle.dumps(skelstore.open("a.zarr", check="always"))
    assert len(sent) < 1000
    monkeypatch.chdir("/")
    again = pickle.loads(sent)
    assert_exact(list(again), [{"frame_dir": "x"}])
    assert again._reader.check == "always"


def test_a_pickled_view_of_a_store_replaced_by_a_shorter_one_is_a_store_error(tmp_path: Path) -> None:
    write(tmp_path / "a.zarr", [{"frame_dir": f"v{i}"} for i in range(9)], {"t": ["v8"]})
    sent = pickle.dumps(skelstore.open(tmp_path / "a.zarr").split("t"))
    write(tmp_path / "a.zarr", [{"frame_dir": "v0"}], force=True)
    with pytest.raises(skelstore.SkelstoreError):
        list(pickle.loads(sent))


def test_the_store_may_be_moved_and_copied(tmp_path: Path) -> None:
    annotations = [typical(i) for i in range(3)]
    write(tmp_path / "a.zarr", annotations)
    (tmp_path / "a.zarr").rename(tmp_path / "b")
    shutil.copytree(tmp_path / "b", tmp_path / "c")
    shutil.rmtree(tmp_path / "b")
    assert_exact(list(skelstore.open(tmp_path / "c")), annotations)


@pytest.mark.skipif(sys.platform != "linux", reason="names are text on other systems")
def test_a_store_in_a_folder_whose_name_is_not_utf8(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    annotations = [typical(i) for i in range(3)]
    store = skelstore.open(write(folder / "a.zarr", annotations, {"t": ["S001C001"]}))
    check_store(store, annotations, {"t": ["S001C001"]})


def test_no_value_gets_the_name_of_a_reserved_column(tmp_path: Path) -> None:
    """docs/format.md reserves names of columns that begin with ``skelstore.``."""
    annotations = [
        {"skelstore.layout": 1, "skelstore": {"x": 2, "y": np.zeros((2, 3, 4))}},
        {"skelstore": np.zeros(3), ".skelstore": np.ones(2), "skelstores.x": 1},
    ]
    store = skelstore.open(write(tmp_path / "a.zarr", annotations))
    assert [name for name in store._reader.table.column_names if name.startswith("skelstore.")] == ["skelstore.layout"]
    assert not [name for name in store.fields if name.startswith("skelstore.")]
    assert {"value:skelstore.layout", "value:skelstore.x", "skelstores.x"} < set(store.videos.column_names)
    check_store(store, annotations, {})


def test_the_shards_of_videos_in_several_variants_of_an_array(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("CHUNK_BYTES_MIN", "CHUNK_BYTES_MAX", "CHUNK_BYTES_PLAIN", "PART_BYTES"):
            patch.setattr(chunking, name, 4000)
        videos = [typical(i) for i in range(20)]
        for video in videos[1::2]:
            video["keypoint"] = video["keypoint"].astype(np.float32)
        del videos[4]["keypoint"]
        store = skelstore.open(write(tmp_path / "a.zarr", videos))
    fields = store._reader.metadata.fields.items()
    first, second = (
        store._reader.arrays[name].metadata.shards for name, field in fields if field.path == ("keypoint",)
    )
    assert first > 1 < second
    numbers = shard_numbers(store._reader).tolist()
    assert numbers[4] == 0
    numbers[4] = numbers[2]
    assert numbers[0] == 0
    assert numbers[1] == first
    assert numbers[::2] == sorted(numbers[::2])
    assert numbers[1::2] == sorted(numbers[1::2])
    assert numbers[18] < first < numbers[19] < first + second


@pytest.mark.parametrize("profile", PROFILES)
def test_a_disk_that_fails_is_a_damage_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, profile: Profile) -> None:
    path = write(tmp_path / "a.zarr", [typical(i) for i in range(30)], profile=profile)
    broken = False

    def failing(real: Callable[..., Any]) -> Callable[..., Any]:
        def read(*arguments: Any) -> Any:
            if broken:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return real(*arguments)

        return read

    monkeypatch.setattr(local_file, "pread", failing(os.pread))
    monkeypatch.setattr(local_file, "preadv", failing(os.preadv))
    store = open_pure(path)  # from the compiled reader, which maps the file, a failing disk would take the process
    for _ in range(2):
        assert_exact(list(store), [typical(i) for i in range(30)])
    broken = True
    with pytest.raises(skelstore.DamageError, match=r"keypoint/c\.0.*cannot be read"):
        store[0]
    broken = False
    assert_exact(store[0], typical(0))


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("profile", PROFILES)
def test_short_reads_are_joined(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, profile: Profile, check: Check
) -> None:
    path = write(tmp_path / "a.zarr", [typical(i) for i in range(3)], profile=profile)
    monkeypatch.setattr(local_file, "pread", lambda fd, length, offset: os.pread(fd, min(length, 1000), offset))
    monkeypatch.setattr(local_file, "preadv", lambda fd, buffers, offset: 0)
    store = skelstore.open(path, check=check)
    for _ in range(2):
        assert_exact(list(store), [typical(i) for i in range(3)])


# ------------------------------------------------------------------------------------- parts of a video


@pytest.mark.slow
@settings(max_examples=40)
@given(
    dims=st.tuples(st.integers(0, 3), st.integers(0, 40)),
    dtype=st.sampled_from(["<f2", ">f4", "<f8"]),
    profile=st.sampled_from(PROFILES),
    asked=st.lists(st.integers(-40, 39), max_size=12),
    bounds=st.tuples(*[st.one_of(st.none(), st.integers(-45, 45))] * 2, st.sampled_from([None, 1, 3, -1, -4])),
)
def test_selected_frames_equal_those_of_the_whole_video(
    dims: tuple[int, int], dtype: str, profile: Profile, asked: list[int], bounds: tuple[int | None, ...]
) -> None:
    persons, total = dims
    noise = np.random.default_rng(total)
    annotation = {
        "frame_dir": "a",
        "total_frames": 300,
        "keypoint": noise.normal(0, 9, (persons, total, 5, 2)).astype(dtype),
        "keypoint_score": noise.random((persons, total, 5)).astype(dtype),
        "bbox": noise.random((persons, total, 2, 2)).astype("<f4"),
        "other": noise.random((3,)),
    }
    asked = [frame for frame in asked if -total <= frame < total]
    with pytest.MonkeyPatch.context() as patch:
        for name in ("CHUNK_BYTES_MIN", "CHUNK_BYTES_MAX", "CHUNK_BYTES_PLAIN"):
            patch.setattr(chunking, name, 128)
        with written([typical(3), annotation], profile=profile) as path, skelstore.open(path) as store:
            for frames in (asked, np.array(asked, np.int32), slice(*bounds), range(*slice(*bounds).indices(total))):
                expected = dict(annotation)
                for key in ("keypoint", "keypoint_score", "bbox"):
                    expected[key] = annotation[key][:, frames if isinstance(frames, slice) else list(frames)]
                assert_exact(store.read_one("a", frames=frames), expected)
                assert_exact(store.read_one(1, fields=["keypoint"], frames=frames), {"keypoint": expected["keypoint"]})


@settings(max_examples=40)
@example(frame_inds=[0], dtype="<i2", long_rows=0, profile="fast", asked=[1], bounds=(None, None, None))
@given(
    frame_inds=st.one_of(
        st.lists(st.integers(0, 30), max_size=60).map(sorted), st.lists(st.integers(0, 30), max_size=9)
    ),
    dtype=st.sampled_from(["<i2", ">i4", "<u8", "<f4"]),
    long_rows=st.sampled_from([0, 20, 4096]),
    profile=st.sampled_from(PROFILES),
    asked=st.lists(st.integers(0, 40), max_size=12),
    bounds=st.tuples(*[st.one_of(st.none(), st.integers(0, 45))] * 2, st.sampled_from([None, 1, 3])),
)
def test_some_frames_of_a_compressed_video_are_the_rows_of_those_numbers(
    frame_inds: list[int],
    dtype: str,
    long_rows: int,
    profile: Profile,
    asked: list[int],
    bounds: tuple[int | None, ...],
) -> None:
    noise = np.random.default_rng(len(frame_inds))
    annotation = {
        "frame_dir": "a",
        "keypoint": noise.normal(0, 9, (len(frame_inds), 17, 3)).astype(np.float16),
        "frame_inds": np.array(frame_inds, dtype),
        "box_score": noise.random(len(frame_inds)).astype(np.float16),
        "valid": {0.5: 3},
    }
    with ExitStack() as stack:
        path = stack.enter_context(written([annotation], profile=profile))
        store = stack.enter_context(skelstore.open(path))
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(frames_module, "LONG_VIDEO_ROWS", long_rows)
        patch.setattr(frames_module, "STRIDE", 4)
        for frames in (asked, np.array(asked, np.int64), slice(*bounds), range(*slice(*bounds).indices(46))):
            numbers = set(range(46)[frames]) if isinstance(frames, slice) else set(map(int, frames))
            keep = [row for row, number in enumerate(frame_inds) if number in numbers]
            arrays = {key: annotation[key][keep] for key in ("keypoint", "frame_inds", "box_score")}
            assert_exact(store.read_one(0, frames=frames), annotation | arrays)


@pytest.mark.parametrize("profile", PROFILES)
def test_a_window_of_an_hour_long_video_reads_no_more_than_that_of_a_short_one(
    tmp_path: Path, profile: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dense(name: str, total: int) -> dict[str, Any]:
        return {
            "frame_dir": name,
            "keypoint": np.ones((2, total, 17, 2), "<f2"),
            "keypoint_score": np.ones((2, total, 17)),
        }

    def compressed(name: str, total: int) -> dict[str, Any]:
        numbers = np.repeat(np.arange(1, total + 1, dtype="<i4"), 2)
        return {"frame_dir": name, "frame_inds": numbers, "keypoint": np.ones((2 * total, 17, 3), "<f2")}

    videos = [make(f"{make.__name__} {n}", n) for make in (dense, compressed) for n in (300, 100_000)]
    store = skelstore.open(write(tmp_path / "a.zarr", videos, profile=profile))
    window = range(100, 164)
    chunks = {name: array.metadata.chunk_rows for name, array in store._reader.arrays.items()}
    for video in videos:
        store.read_one(video["frame_dir"], frames=window)  # the frame numbers of a long video are read completely once
    rows: list[tuple[str, int]] = []
    for name, array in store._reader.arrays.items():
        run = array._read_run
        monkeypatch.setattr(
            array, "_read_run", lambda s, a, n, d, run=run, name=name: rows.append((name, n)) or run(s, a, n, d)
        )
    read = {}
    for video in videos:
        rows.clear()
        found = store.read_one(video["frame_dir"], frames=window)
        assert found["keypoint"].shape[:-2] in [(2, 64), (128,)]
        read[video["frame_dir"]] = sum(n for name, n in rows if name != "frame_inds")
        assert sum(n for name, n in rows if name == "frame_inds") <= 4096
    assert read["dense 100000"] == read["dense 300"] == 2 * 2 * 64
    assert read["compressed 100000"] == read["compressed 300"] == 128
    assert max(chunks.values()) < 100_000


@settings(max_examples=25)
@given(annotations=strategies.annotation_lists(max_size=3), data=st.data())
def test_selected_keys_equal_those_of_the_whole_video(annotations: list[dict[Any, Any]], data: st.DataObject) -> None:
    with written(annotations) as path, skelstore.open(path) as store:
        for number, annotation in enumerate(annotations):
            keys = [key for key in annotation if key == key and data.draw(st.booleans())]
            expected = {key: value for key, value in annotation.items() if key in keys}
            assert_exact(store.read_one(number, fields=reversed(keys)), expected)
            assert_exact(store.read_one(number), annotation)


def test_missing_parts_of_a_video(tmp_path: Path) -> None:
    store = skelstore.open(write(tmp_path / "a.zarr", [typical(0), {"frame_dir": "none"}]))
    with pytest.raises(
        skelstore.FieldNotFoundError, match=r"a\.zarr: the video at position 0 has no 'no such'; it has"
    ):
        store.read_one(0, fields=["label", "no such"])
    with pytest.raises(
        skelstore.FrameIndexError, match=r"a\.zarr.*: video 0: frame 20 does not exist in a video of 20 frames"
    ):
        store.read_one(0, frames=[0, 20])
    with pytest.raises(IndexError, match="frame -21 does not exist in a video of 20 frames"):
        store.read_one(0, frames=[-21])
    with pytest.raises(skelstore.FieldNotFoundError, match="its frames cannot be selected"):
        store.read_one(1, frames=[0])
    with pytest.raises(skelstore.VideoNotFoundError):
        store.read_one("absent", fields=["label"])
    for nonsense in ([0.5], np.array([0.5]), np.array([[1]]), ["a"]):
        with pytest.raises(TypeError):
            store.read_one(0, frames=nonsense)


def test_every_array_with_the_axis_of_the_frames_is_cut(tmp_path: Path) -> None:
    """Also arrays whose rows in the store are not frames: [M, T] is stored person by person."""
    dense = typical(0) | {"mt": np.arange(40, dtype=">i4").reshape(2, 20), "t": np.arange(20), "list": [[1] * 20]}
    flat = {"frame_dir": "c", "keypoint": np.ones((4, 17, 3)), "frame_inds": np.array([1, 1, 2, 3])}
    flat |= {"boxes": np.arange(16.0).reshape(4, 2, 2), "other": np.zeros((3, 4))}
    store = skelstore.open(write(tmp_path / "a.zarr", [dense, flat]))
    for frames in ([3, 1], slice(2, 5)):
        cut = {key: dense[key][:, frames] for key in ("keypoint", "keypoint_score", "mt")}
        assert_exact(store.read_one(0, frames=frames), dense | cut)
    cut = {key: flat[key][[2, 3]] for key in ("keypoint", "frame_inds", "boxes")}
    assert_exact(store.read_one(1, frames=[2, 3]), flat | cut)


def test_some_frames_of_data_that_have_keypoint_in_many_shapes(tmp_path: Path) -> None:
    """All axes of the last one are ragged."""
    dense = [{"keypoint": np.random.default_rng(v).random((2, 6, v, 2))} for v in range(1, 13)]
    flat = [
        {"keypoint": np.random.default_rng(v).random((6, v, 3)), "frame_inds": np.repeat(np.arange(3), 2)}
        for v in range(1, 13)
    ]
    store = skelstore.open(write(tmp_path / "a.zarr", [*dense, *flat]))
    for number, video in enumerate(dense):
        assert_exact(store.read_one(number, frames=[4, 0]), {"keypoint": video["keypoint"][:, [4, 0]]})
    for number, video in enumerate(flat, len(dense)):
        expected = {key: value[2:4] for key, value in video.items()}
        assert_exact(store.read_one(number, frames=[1]), expected)


@pytest.mark.parametrize("long_rows", [0, 4096])
def test_invalid_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, long_rows: int) -> None:
    monkeypatch.setattr(frames_module, "LONG_VIDEO_ROWS", long_rows)
    inds = np.arange(1, 7)
    flat = {"keypoint": np.ones((6, 17, 3)), "frame_inds": inds}
    numberless = flat | {"frame_inds": np.where(inds > 5, np.nan, inds)}
    store = skelstore.open(write(tmp_path / "a.zarr", [typical(0), flat, numberless]))
    for frames in (
        [2**63],
        [-(2**70)],
        np.array([0, 2**64 - 1], np.uint64),
        range(0, 2**70, 3),
    ):
        for position in (0, 1):
            with pytest.raises(skelstore.FrameIndexError, match=r"a\.zarr.*video [01]: frame"):
                store.read_one(position, frames=frames)
    with pytest.raises(skelstore.FrameIndexError):
        store.read_one(0, frames=range(2**70))
    assert_exact(store.read_one(1, frames=range(3, 2**70)), {key: value[2:] for key, value in flat.items()})
    for frames in (slice(None), lambda total: range(total)):
        with pytest.raises(skelstore.FrameIndexError, match="the highest of frame_inds is nan"):
            store.read_one(2, frames=frames)


def test_one_text_is_not_a_list_of_keys(tmp_path: Path) -> None:
    store = skelstore.open(write(tmp_path / "a.zarr", [{"a": 1, "b": 2, "ab": 3}]))
    with pytest.raises(TypeError, match=r"fields='ab' is a str; expected a list of keys, such as fields=\['ab'\]"):
        store.read_one(0, fields="ab")


def test_some_frames_are_read_from_their_chunks_only(tmp_path: Path) -> None:
    """Damaged chunks do not affect frames in other chunks."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("CHUNK_BYTES_MIN", "CHUNK_BYTES_MAX", "CHUNK_BYTES_PLAIN"):
            patch.setattr(chunking, name, 400)
        path = write(tmp_path / "a.zarr", [typical(12, persons=1)], profile="fast")
    shard = path / "keypoint" / "c.0.0.0"
    content = bytearray(shard.read_bytes())
    content[0] ^= 1
    shard.write_bytes(content)
    store = skelstore.open(path)
    assert_exact(store.read_one(0, fields=["keypoint"], frames=[31]), {"keypoint": typical(12, 1)["keypoint"][:, [31]]})
    assert_exact(store.read_one(0, fields=["label"]), {"label": 5})
    with pytest.raises(skelstore.DamageError):
        store.read_one(0, fields=["keypoint"], frames=[0, 31])


def test_a_view_of_any_positions_in_any_order(tmp_path: Path) -> None:
    annotations = [typical(i) for i in range(8)]
    store = skelstore.open(write(tmp_path / "a.zarr", annotations, {"t": ["S001C005", "S001C002", "S001C001"]}))
    view = store.at([5, -1, 0, 2])
    expected = [annotations[i] for i in (5, 7, 0, 2)]
    check_videos(view, expected)
    check_videos(pickle.loads(pickle.dumps(view)), expected)
    check_videos(view.at(np.array([3, 0], np.uint8)), [annotations[2], annotations[5]])
    check_videos(view.split("t"), [annotations[5], annotations[2]])
    check_videos(view.select(pc.field("label") > 1), [annotations[5], annotations[2]])
    check_videos(view.at([1, 1]), [annotations[7]] * 2)
    check_videos(store.at([]), [])
    for outside in ([8], [-9], [0, 99], np.array([2**64 - 1], np.uint64)):
        with pytest.raises(skelstore.VideoIndexError):
            store.at(outside)
    for nonsense in (np.array([True] * 8), [0.5], np.array([[0, 1]]), ["0"], 3, "0"):
        with pytest.raises(TypeError, match="positions must be one-dimensional integers, not "):
            store.at(nonsense)  # type: ignore[arg-type]
