"""Any store with labels as arrays of CTR-GCN and ST-GCN: rows in the order of a split's list, values as they are."""

from __future__ import annotations

import json
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import converters
import skelstore
from converters import export
from converters.dialects.gcn.ctrgcn import CtrGcnSource
from converters.labels import relabel
from converters.outputs import stgcn as outputs_stgcn
from converters.samples.gcn_arrays import write_gcn_arrays
from converters.samples.pickles import compressed_like, iter_ntu_like
from converters.splitting import split
from skelstore.errors import SkelstoreError, SourceError, StoreError, StoreExistsError
from tests.support.contracts import write
from tests.support.exact import assert_exact
from tests.support.files import names_in, tree
from tests.support.gcn_arrays import Array, members
from tests.support.small_store import sign_root
from tests.support.source_contract import load

Annotation = dict[str, Any]


def video(name: str, label: int, shape: Sequence[int], dtype: str = "<f4", scored: bool = False) -> Annotation:
    numbers = np.random.default_rng(len(name) + label).normal(size=shape).astype(dtype)
    score = {"keypoint_score": np.random.default_rng(label).uniform(size=shape[:3]).astype(dtype)} if scored else {}
    return {"frame_dir": name, "label": label, "total_frames": shape[1], "keypoint": numbers, **score}


def reference(videos: Sequence[Annotation], shape: Sequence[int], dtype: Any) -> Array:
    """The clips [N, M, T, V, C], value by value; a score is the last channel."""
    clips = np.zeros((len(videos), *shape), dtype)
    for n, one in enumerate(videos):
        for m, t, v, c in np.ndindex(one["keypoint"].shape):
            clips[n, m, t, v, c] = one["keypoint"][m, t, v, c]
        if "keypoint_score" in one:
            for m, t, v in np.ndindex(one["keypoint_score"].shape):
                clips[n, m, t, v, -1] = one["keypoint_score"][m, t, v]
    return clips


def loaded(path: Path) -> dict[str, Array]:
    """The arrays of a .npz by name."""
    with np.load(path) as arrays:
        return dict(arrays)


@st.composite
def data_sets(draw: st.DrawFn) -> tuple[list[Annotation], dict[str, list[str]]]:
    """Annotations and two splits of some of them, in any order, with an id that no video has."""
    joints, scored = draw(st.integers(1, 4)), draw(st.booleans())
    coordinates = 2 if scored else draw(st.integers(2, 3))
    videos = [
        video(
            f"v{i}",
            draw(st.integers(0, 4)),
            (draw(st.integers(0, 3)), draw(st.integers(0, 4)), joints, coordinates),
            draw(st.sampled_from(["<f2", "<f4"] if draw(st.booleans()) else ["<f8", ">f4", "<i2"])),
            scored,
        )
        for i in range(draw(st.integers(1, 4)))
    ]
    names = draw(st.permutations([one["frame_dir"] for one in videos]))
    at = draw(st.integers(0, len(names)))
    return videos, {"first": [*names[:at], "of no video"], "second": list(names[at:])}


def expected_dtype(videos: Sequence[Annotation]) -> Any:
    """float32, or float64 if there are values that float32 cannot hold for certain."""
    kinds = {array.dtype.newbyteorder("=") for one in videos for array in one.values() if isinstance(array, np.ndarray)}
    return np.float32 if kinds <= {np.dtype("f2"), np.dtype("f4"), np.dtype("i2")} else np.float64


@given(data_sets(), st.integers(0, 2), st.sampled_from([("first", "second"), ("second", "first"), ("second", None)]))
@settings(max_examples=30)
def test_any_store_is_exported_in_the_order_of_its_splits(
    drawn: tuple[list[Annotation], dict[str, list[str]]], more: int, chosen: tuple[str, str | None]
) -> None:
    videos, splits = drawn
    by_name = {one["frame_dir"]: one for one in videos}
    longest = max(one["keypoint"].shape[1] for one in videos)
    persons = max(2, *(one["keypoint"].shape[0] for one in videos))
    joints, channels = videos[0]["keypoint"].shape[2], videos[0]["keypoint"].shape[3] + ("keypoint_score" in videos[0])
    dtype = expected_dtype(videos)
    options: dict[str, Any] = {"split_train": chosen[0], "split_test": chosen[1]}
    frames = longest + more
    if more:
        options["frames"] = frames
    classes = max(one["label"] for one in videos) + 1
    with tempfile.TemporaryDirectory() as name, skelstore.open(write(Path(name) / "a.zarr", videos, splits)) as store:
        export(store, Path(name) / "a.npz", format="ctrgcn", **options)
        export(store, Path(name) / "a", format="stgcn", **options)
        with zipfile.ZipFile(Path(name) / "a.npz") as archive:
            assert archive.namelist() == ["x_train.npy", "y_train.npy", "x_test.npy", "y_test.npy"]
            assert {(i.date_time, i.compress_type) for i in archive.infolist()} == {((1980, 1, 1, 0, 0, 0), 0)}
            assert archive.testzip() is None
        arrays = loaded(Path(name) / "a.npz")
        for split, part, file in ((chosen[0], "train", "train"), (chosen[1], "test", "val")):
            ids = [i for i in splits.get(str(split), []) if i in by_name]
            rows = [by_name[i] for i in ids]
            clips = reference(rows, (persons, frames, joints, channels), dtype)
            x, y = arrays[f"x_{part}"], arrays[f"y_{part}"]
            assert_exact(x, clips.transpose(0, 2, 1, 3, 4).reshape(len(rows), frames, -1) if x.size else x)
            assert x.shape == (len(rows), frames, persons * joints * channels)
            assert (y.dtype, y.shape) == (np.float64, (len(rows), classes))
            assert np.where(y > 0)[1].tolist() == [one["label"] for one in rows]
            data = np.load(Path(name) / "a" / f"{file}_data.npy")
            assert_exact(data, np.ascontiguousarray(clips.transpose(0, 4, 2, 3, 1)))
            assert_exact(load(Path(name) / "a" / f"{file}_label.pkl"), (ids, [one["label"] for one in rows]))


def test_a_store_of_2d_skeletons_goes_there_and_back(tmp_path: Path) -> None:
    videos = list(iter_ntu_like(6))
    for one in videos:
        one["keypoint"] = one["keypoint"] + np.float16(1)
    names = [one["frame_dir"] for one in videos]
    with skelstore.open(write(tmp_path / "a.zarr", videos, {"train": names[::-1][:4], "val": names[:2]})) as store:
        export(store, tmp_path / "a", format="stgcn")
    converters.convert(tmp_path / "a", tmp_path / "b.zarr", channels="xys")
    with skelstore.open(tmp_path / "b.zarr") as store:
        assert store.splits == {"train": names[::-1][:4], "val": names[:2]}
        for one in videos:
            again = store[one["frame_dir"]]
            assert again["label"] == one["label"]
            for key in ("keypoint", "keypoint_score"):
                found = again[key]
                assert_exact(found, one[key][: found.shape[0], : found.shape[1]].astype(np.float32))


CLASSES = [f"class {i}" for i in range(7)]


@pytest.mark.parametrize(
    ("source", "width"), [({}, 4), ({"class_names": CLASSES}, 7), ({"task": "ntu120"}, 120), ({"task": "other"}, 4)]
)
def test_labels_are_as_wide_as_there_are_classes(tmp_path: Path, source: dict[str, Any], width: int) -> None:
    path = write(tmp_path / "a.zarr", [video("a", 3, (1, 2, 25, 3)), video("b", 0, (1, 2, 25, 3))])
    _record(path, source)
    with skelstore.open(path) as store:
        export(store, tmp_path / "a.npz", format="ctrgcn")
    with np.load(tmp_path / "a.npz") as arrays:
        assert arrays["y_train"].shape == (2, width)
        assert arrays["y_test"].shape == (0, width)
        assert arrays["x_train"].shape == (2, 2, 150)


def test_labels_beyond_the_classes_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.zarr", [video("a", 0, (1, 2, 25, 3)), video("b", 7, (1, 2, 25, 3))])
    _record(path, {"class_names": CLASSES})
    with (
        skelstore.open(path) as store,
        pytest.raises(SourceError, match="position 1 has the label 7; expected 0 to 6, of 7"),
    ):
        export(store, tmp_path / "a.npz", format="ctrgcn")
    with (
        skelstore.open(write(tmp_path / "b.zarr", [video("a", -1, (1, 2, 25, 3))])) as store,
        pytest.raises(SourceError, match="position 0 has the label -1"),
    ):
        export(store, tmp_path / "a.npz", format="ctrgcn")
    assert names_in(tmp_path) == ["a.zarr", "b.zarr"]


def _record(path: Path, source: Mapping[str, Any]) -> None:
    """Change what a store records about its source, as another program may write it."""
    root = json.loads((path / "zarr.json").read_text())
    content = root["attributes"]["skelstore"]
    content["source"] = {**content.get("source", {}), **source}
    signed = sign_root({"manifest.json": (path / "manifest.json").read_bytes()}, root)
    (path / "zarr.json").write_bytes(signed["zarr.json"])


A = video("a", 0, (1, 4, 17, 2), scored=True)
REFUSED: dict[str, tuple[list[Annotation], dict[str, Any], dict[str, Any], str]] = {
    "no label": ([{**A, "label": None}], {}, {}, "position 0 has the label None"),
    "no keypoint": (
        [{"frame_dir": "a", "label": 0}],
        {},
        {},
        r"needs keypoint \[M, T, V, C\]; the video at position 0 has",
    ),
    "detections": (compressed_like(2), {}, {}, r"position 0 is compressed.*skelstore track"),
    "other joints": (
        [A, video("b", 0, (1, 4, 18, 2), scored=True)],
        {},
        {},
        "position 1 has 18 joints of 2 coordinates",
    ),
    "scores of some": ([A, video("b", 0, (1, 4, 17, 2))], {}, {}, "17 joints of 2 coordinates without keypoint_score"),
    "scores in 3D": ([video("b", 0, (1, 4, 17, 3), scored=True)], {}, {}, "has room for scores beside x and y only"),
    "too few frames": ([A], {}, {"frames": 3}, "--frames 3 is less than the longest clip has, 4 frames"),
    "an unknown split": (
        [A],
        {"one": ["a"]},
        {"split_train": "ones"},
        "has no split 'ones'; there are 'one'; did you mean",
    ),
    "no split": ([A], {}, {"split_test": "one"}, "there are no splits at all"),
    "other splits": (
        [A],
        {"xsub_train": ["a"]},
        {},
        "has the splits 'xsub_train': say which to export with --split-train",
    ),
    "one split more": (
        [A],
        {"train": ["a"], "val": [], "test": []},
        {},
        "has the splits 'train', 'val', 'test': say which",
    ),
    "a name twice": (
        [A, A],
        {"one": ["a"]},
        {"split_train": "one"},
        "lists 1 time the frame_dir 'a', which 2 videos have",
    ),
}


@pytest.mark.parametrize("form", ["ctrgcn", "stgcn"])
@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_exported_is_refused(tmp_path: Path, name: str, form: Any) -> None:
    videos, splits, options, expected = REFUSED[name]
    with (
        skelstore.open(write(tmp_path / "a.zarr", videos, splits)) as store,
        pytest.raises(SkelstoreError, match=expected),
    ):
        export(store, tmp_path / "out", format=form, **options)
    assert names_in(tmp_path) == ["a.zarr"]


def test_a_format_that_was_forgotten(arrays: Path, tmp_path: Path) -> None:
    converters.convert(arrays / "NTU60_CS.npz", tmp_path / "a.zarr")
    with skelstore.open(tmp_path / "a.zarr") as store:
        for name in ("a.pkl", "a.pickle"):
            with pytest.raises(SourceError, match=r"the format ctrgcn, which is no \.p.*--format \(pyskl, list\)"):
                export(store, tmp_path / name)
        export(store, tmp_path / "a.pkl", format="pyskl")
    with skelstore.open(write(tmp_path / "b.zarr", [A])) as store:
        for form in (None, "stgcn"):
            with pytest.raises(SourceError, match=r"which is no \.npz: .*--format \(ctrgcn\)"):
                export(store, tmp_path / "b.npz", format=form)  # type: ignore[arg-type]
        export(store, tmp_path / "b.npz", format="ctrgcn")


def test_options_that_do_not_go_with_a_format(tmp_path: Path) -> None:
    with skelstore.open(write(tmp_path / "a.zarr", [A])) as store:
        with pytest.raises(SourceError, match="split_train goes with the format ctrgcn or stgcn, not with pyskl"):
            export(store, tmp_path / "out", format="pyskl", split_train="train")
        with pytest.raises(SourceError, match="normalize goes with the format stgcn, not with ctrgcn"):
            export(store, tmp_path / "out", format="ctrgcn", normalize="agcn")
        with pytest.raises(SourceError, match="frames is 0, expected 1 or more"):
            export(store, tmp_path / "out", format="ctrgcn", frames=0)
        wrong: Any = "agc"
        with pytest.raises(SourceError, match="normalize 'agc'; expected one of agcn"):
            export(store, tmp_path / "out", format="stgcn", normalize=wrong)


def test_videos_are_found_by_filename_as_in_splits(tmp_path: Path) -> None:
    videos = [{"filename": f"{name}.mp4", **video("same", label, (1, 2, 5, 3))} for label, name in enumerate("abc")]
    with skelstore.open(write(tmp_path / "a.zarr", videos, {"train": ["c.mp4", "a.mp4"]})) as store:
        export(store, tmp_path / "out", format="stgcn")
    assert load(tmp_path / "out" / "train_label.pkl") == (["same", "same"], [2, 0])


# ------------------------------------------------------------------------------------ stores made from arrays


@pytest.fixture
def arrays(tmp_path: Path) -> Path:
    write_gcn_arrays(tmp_path / "in", 8, frames=12)
    return tmp_path / "in"


def test_a_part_of_the_videos_keeps_its_order_and_its_frames(arrays: Path, tmp_path: Path) -> None:
    converters.convert(arrays / "NTU60_CS.npz", tmp_path / "a.zarr")
    original = loaded(arrays / "NTU60_CS.npz")
    with skelstore.open(tmp_path / "a.zarr") as store:
        skelstore.subset(store.at([7, 4, 0, 2]), tmp_path / "b.zarr")
        export(store.at([3, 1]), tmp_path / "view.npz")
    with skelstore.open(tmp_path / "b.zarr") as store:
        export(store, tmp_path / "b.npz")
        export(store, tmp_path / "c.npz", split_train="test", split_test="train")
        with pytest.raises(SourceError, match="--frames 1 is less"):
            export(store, tmp_path / "d.npz", frames=1)
        export(store, tmp_path / "d.npz", frames=20)
    found = {name: loaded(tmp_path / f"{name}.npz") for name in ("view", "b", "c", "d")}
    assert_exact(found["view"]["x_train"], original["x_train"][[1, 3]])
    assert found["view"]["x_test"].shape == (0, 12, 150)
    assert_exact(found["b"]["x_train"], original["x_train"][[0, 2, 4]])
    assert_exact(found["b"]["y_test"], original["y_test"][[1]])
    assert_exact(found["d"]["x_train"][:, :12], original["x_train"][[0, 2, 4]])
    assert found["d"]["x_train"].shape == (3, 20, 150)
    longest = found["c"]["x_train"].shape[1]
    assert_exact(found["c"]["x_train"], original["x_test"][[1], :longest])
    assert_exact(found["c"]["y_test"], original["y_train"][[0, 2, 4]])


def test_labels_with_new_names(arrays: Path, tmp_path: Path) -> None:
    """The arrays keep their width as they came; by splits, y is as wide as there are names."""
    converters.convert(arrays / "NTU60_CS.npz", tmp_path / "a.zarr")
    changes = relabel(tmp_path / "a.zarr", tmp_path / "b.zarr", compact=True)
    relabel(tmp_path / "b.zarr", tmp_path / "c.zarr", class_names=CLASSES[: len(changes)])
    original = loaded(arrays / "NTU60_CS.npz")
    with skelstore.open(tmp_path / "c.zarr") as store:
        export(store, tmp_path / "came.npz")
        export(store, tmp_path / "split.npz", split_train="train", split_test="test")
    for name, width in (("came", 60), ("split", len(changes))):
        found = loaded(tmp_path / f"{name}.npz")
        for part in ("train", "test"):
            labels = [changes[label] for label in np.where(original[f"y_{part}"] > 0)[1].tolist()]
            assert np.where(found[f"y_{part}"] > 0)[1].tolist() == labels
            assert found[f"y_{part}"].shape[1] == width


def test_labels_that_have_changed_since(arrays: Path, tmp_path: Path) -> None:
    converters.convert(arrays / "NTU60_CS.npz", tmp_path / "a.zarr")
    with skelstore.open(tmp_path / "a.zarr") as store:
        videos = [{**annotation, "label": annotation["label"] + 40} for annotation in store]
        splits = store.splits
        most = max(one["label"] for one in videos) + 1
        source, origins = store.source, store.origins()
    with skelstore.Writer(tmp_path / "b.zarr") as writer:
        for one in videos:
            writer.add(one)
        writer.splits.update(splits)
    _record(tmp_path / "b.zarr", {key: source[key] for key in ("dialect", "arrays")})
    with skelstore.open(tmp_path / "b.zarr") as store:
        assert store.origins() != origins
        export(store, tmp_path / "b.npz")
    with np.load(tmp_path / "b.npz") as found:
        assert found["y_train"].shape == (6, most)
        assert np.where(found["y_test"] > 0)[1].tolist() == [one["label"] for one in videos[6:]]


@pytest.mark.parametrize("keep", [False, True])
def test_other_splits_than_those_of_the_arrays(arrays: Path, tmp_path: Path, keep: bool) -> None:
    """The new splits are exported; if the old ones are still there, the arrays are as they came."""
    converters.convert(arrays / "NTU60_CS.npz", tmp_path / "a.zarr")
    converters.convert(arrays / "stgcn", tmp_path / "b.zarr")
    for name, test, format_ in (("a", "test", "ctrgcn"), ("b", "val", "stgcn")):
        parts = {"train": 0.5, "val": 0.5} if not keep else {"one": 0.5, "two": 0.5}
        split(tmp_path / f"{name}.zarr", tmp_path / f"{name}2.zarr", parts=parts, keep=keep)
        with skelstore.open(tmp_path / f"{name}2.zarr") as store:
            assert {"train", test if keep else "val"} <= store.splits.keys()
            export(store, tmp_path / f"{name}_came")
            one, two = parts
            export(store, tmp_path / f"{name}_split", split_train=one, split_test=two)
            assert len(store.splits[one]) == 4
        if keep and format_ == "ctrgcn":
            assert members(tmp_path / "a_came") == members(arrays / "NTU60_CS.npz")
        elif keep:
            assert tree(tmp_path / "b_came") == tree(arrays / "stgcn")
        elif format_ == "ctrgcn":
            assert members(tmp_path / "a_came") == members(tmp_path / "a_split")
        else:
            assert tree(tmp_path / "b_came") == tree(tmp_path / "b_split")


def test_an_array_that_was_no_split(arrays: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir(exist_ok=True)
    table = (arrays / "stgcn" / "val_label.pkl").rename(tmp_path / "labels.pkl")
    array = (arrays / "stgcn" / "val_data.npy").rename(tmp_path / "some.npy")
    converters.convert(array, tmp_path / "a.zarr", table=table)
    split(tmp_path / "a.zarr", tmp_path / "b.zarr", parts={"train": 0.5, "val": 0.5})
    for name in "ab":
        with skelstore.open(tmp_path / f"{name}.zarr") as store:
            export(store, tmp_path / name)
    assert names_in(tmp_path / "a") == ["labels.pkl", "some.npy"]
    assert (tmp_path / "a" / "some.npy").read_bytes() == array.read_bytes()
    assert names_in(tmp_path / "b") == ["train_data.npy", "train_label.pkl", "val_data.npy", "val_label.pkl"]


def test_merged_arrays_are_exported_by_their_splits(arrays: Path, tmp_path: Path) -> None:
    converters.convert(arrays / "NTU60_CS.npz", tmp_path / "a.zarr")
    write_gcn_arrays(tmp_path / "more", 4, 1, frames=12)
    (tmp_path / "names.txt").write_text("w\nx\ny\nz\n")
    converters.convert(tmp_path / "more" / "NTU60_CS.npz", tmp_path / "b.zarr", names=tmp_path / "names.txt")
    skelstore.merge([tmp_path / "a.zarr", tmp_path / "b.zarr"], tmp_path / "c.zarr")
    with skelstore.open(tmp_path / "c.zarr") as store:
        export(store, tmp_path / "c.npz")
    one, two = (loaded(path / "NTU60_CS.npz") for path in (arrays, tmp_path / "more"))
    with np.load(tmp_path / "c.npz") as found:
        frames = found["x_train"].shape[1]
        assert_exact(found["x_train"], np.concatenate([one["x_train"], two["x_train"]])[:, :frames])
        assert np.where(found["y_test"] > 0)[1].tolist() == [
            *(label for part in (one, two) for label in np.where(part["y_test"] > 0)[1].tolist())
        ]


def test_either_family_of_arrays_is_written_from_the_other(arrays: Path, tmp_path: Path) -> None:
    converters.convert(arrays / "NTU60_CS.npz", tmp_path / "a.zarr", names=arrays / "names.txt")
    with skelstore.open(tmp_path / "a.zarr") as store:
        export(store, tmp_path / "st", format="stgcn", frames=12)
        longest = int(max(store.videos["total_frames"].to_pylist()))
    converters.convert(tmp_path / "st", tmp_path / "b.zarr", channels="xyz")
    with skelstore.open(tmp_path / "b.zarr") as store:
        export(store, tmp_path / "again.npz", format="ctrgcn", split_train="train", split_test="val", frames=12)
        export(store, tmp_path / "short.npz", format="ctrgcn")
    original = members(arrays / "NTU60_CS.npz")
    again = members(tmp_path / "again.npz")
    assert again["x_train.npy"] == original["x_train.npy"]
    assert again["x_test.npy"] == original["x_test.npy"]
    with np.load(tmp_path / "short.npz") as short:
        assert short["x_train"].shape == (6, longest, 150)


HEAD = (
    "\x93NUMPY\x01\x00v\x00"
    + "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3, 12, 18, 2), }".ljust(117)
    + "\n"
)
RECORDS: dict[str, Any] = {
    "no list": 3,
    "no dicts": [3],
    "no header": [{"name": "train_data.npy", "labels": "train_label.pkl", "head": "x"}],
    "a header that is code": [
        {"name": "train_data.npy", "labels": "train_label.pkl", "head": HEAD.replace("'<f4'", "exit()")}
    ],
    "objects": [{"name": "train_data.npy", "labels": "train_label.pkl", "head": HEAD.replace("<f4", "|O ")}],
    "more than a header": [{"name": "train_data.npy", "labels": "train_label.pkl", "head": HEAD + " "}],
    "other axes": [
        {
            "name": "train_data.npy",
            "labels": "train_label.pkl",
            "head": HEAD.replace("(2, 3, 12, 18, 2)", "(2, 3, 12, 18)   "),
        }
    ],
    "a path": [{"name": "../train_data.npy", "labels": "train_label.pkl", "head": HEAD}],
    "a path of labels": [{"name": "train_data.npy", "labels": "/tmp/train_label.pkl", "head": HEAD}],
    "no labels": [{"name": "train_data.npy", "head": HEAD}],
    "the same file": [{"name": "train_data.npy", "labels": "train_data.npy", "head": HEAD}],
    "a parent": [{"name": "..", "labels": "train_label.pkl", "head": HEAD}],
    "a dtype of labels": [
        {
            "name": "train_data.npy",
            "labels": "train_label.pkl",
            "head": HEAD,
            "labels_form": ["tuple", "list", "U1000000000"],
        }
    ],
    "no columns": [{"name": "train_data.npy", "labels": "train_label.pkl", "head": HEAD, "labels_form": ["tuple"]}],
    "clips beyond memory": [
        {
            "name": "train_data.npy",
            "labels": "train_label.pkl",
            "head": HEAD.replace("(2, 3, 12, 18, 2), }  ", f"(2, 3, {10**12}, 18, 2), }}")[: len(HEAD) - 1]
            .rstrip()
            .ljust(127)
            + "\n",
        }
    ],
}


@pytest.mark.parametrize("name", RECORDS)
def test_a_false_record_of_the_source_is_refused(arrays: Path, tmp_path: Path, name: str) -> None:
    (arrays / "stgcn" / "val_data.npy").unlink()
    converters.convert(arrays / "stgcn", tmp_path / "a.zarr")
    record = RECORDS[name]
    if isinstance(record, list):
        record = [{"split": "train", **one} if isinstance(one, dict) else one for one in record]
    _record(tmp_path / "a.zarr", {"arrays": record})
    before = names_in(tmp_path)
    with skelstore.open(tmp_path / "a.zarr") as store, pytest.raises(StoreError):
        export(store, tmp_path / "out")
    assert names_in(tmp_path) == before


def test_force_replaces_a_folder_of_arrays_and_nothing_else(arrays: Path, tmp_path: Path) -> None:
    converters.convert(arrays / "stgcn", tmp_path / "a.zarr")
    with skelstore.open(tmp_path / "a.zarr") as store:
        export(store, tmp_path / "out")
        before = tree(tmp_path / "out")
        with pytest.raises(StoreExistsError):
            export(store, tmp_path / "out")
        export(store, tmp_path / "out", force=True)
        assert tree(tmp_path / "out") == before == tree(arrays / "stgcn")
        (tmp_path / "out" / "weights.pt").write_bytes(b"x")
        with pytest.raises(StoreExistsError, match=r"weights\.pt, which is neither a pickle nor a \.npy"):
            export(store, tmp_path / "out", force=True)


def test_sizes_beyond_32_bits_are_written(arrays: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    converters.convert(arrays / "NTU60_CS.npz", tmp_path / "a.zarr")
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 1000)
    with skelstore.open(tmp_path / "a.zarr") as store:
        export(store, tmp_path / "b.npz")
    monkeypatch.undo()
    assert members(tmp_path / "b.npz") == members(arrays / "NTU60_CS.npz")
    assert len(CtrGcnSource(tmp_path / "b.npz")) == 8


def test_clips_are_normalised_as_they_are_written(
    arrays: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Array] = []

    def normalize_agcn(clip: Array) -> Array:
        given.append(clip)
        return clip + np.float32(1)

    monkeypatch.setattr(outputs_stgcn, "normalize_agcn", normalize_agcn)
    converters.convert(arrays / "stgcn", tmp_path / "a.zarr")
    with skelstore.open(tmp_path / "a.zarr") as store:
        export(store, tmp_path / "out", normalize="agcn")
    for file in ("train_data.npy", "val_data.npy"):
        original = np.load(arrays / "stgcn" / file)
        assert_exact(np.load(tmp_path / "out" / file), original + np.float32(1))
    assert {(clip.dtype.str, clip.shape, clip.flags.c_contiguous) for clip in given} == {("<f4", (3, 12, 18, 2), True)}


def test_arrays_on_the_command_line(arrays: Path, tmp_path: Path, run: Any) -> None:
    store = tmp_path / "a.zarr"
    names = ("--names", arrays / "names.txt")
    assert run("convert", arrays / "NTU60_CS.npz", store, "--keep-padding", *names).status == 0
    done = run("verify", store, "--level", "decode", "--against", arrays / "NTU60_CS.npz", *names)
    assert done.status == 0, done.err
    done = run("export", store, tmp_path / "out", "--format", "stgcn", "--split-test", "train", "--frames", "15")
    assert done.status == 0, done.err
    assert done.out.endswith("out: 6 videos\n")
    assert np.load(tmp_path / "out" / "val_data.npy").shape == (6, 3, 15, 25, 2)
    assert np.load(tmp_path / "out" / "train_data.npy").shape == (0, 3, 15, 25, 2)
    done = run("export", store, tmp_path / "a.npz", "--frames", "11")
    assert (done.status, done.out) == (1, "")
    assert "--frames 11 is less than the longest clip has, 12 frames" in done.err
