"""CTR-GCN's and ST-GCN's arrays equal an independent reference in a store, and every byte comes back on export."""

from __future__ import annotations

import io
import os
import pickle
import re
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import converters
import skelstore
from converters import export, open_source
from converters.comparison import compare
from converters.dialects.gcn.ctrgcn import ROWS, CtrGcnSource
from converters.dialects.gcn.gcn_clips import GcnClips
from converters.dialects.gcn.stgcn import StGcnSource
from converters.dialects.registry import recorded_options
from converters.information import notes
from converters.outputs import video_files
from converters.samples.gcn_arrays import ctrgcn_like, stgcn_like, write_gcn_arrays
from skelstore.errors import SkelstoreError, SourceError
from tests.support.contracts import write
from tests.support.exact import assert_exact
from tests.support.files import tree
from tests.support.gcn_arrays import Array, annotation, members, one_hot, padded
from tests.support.source_contract import check_source, dump, load

CLASSES = 3
DTYPES = ["<f4", "<f8", "<f2", ">f4", "<i4"]
LABELS = st.integers(0, CLASSES - 1)


def save(path: Path, packed: bool = False, **arrays: Any) -> Path:
    (np.savez_compressed if packed else np.savez)(path, **arrays)
    return path


def ordered(array: Array, fortran: bool) -> Array:
    return np.asfortranarray(array) if fortran else array


def rows_of(clips: Array) -> Array:
    """Clips [N, M, T, V, C] as CTR-GCN stores them, [N, T, M V C]."""
    count, persons, frames, joints, channels = clips.shape
    rows = np.zeros((count, frames, persons * joints * channels), clips.dtype)
    for n, m, t, v, c in np.ndindex(clips.shape):
        rows[n, t, (m * joints + v) * channels + c] = clips[n, m, t, v, c]
    return rows


def axes_of_stgcn(clips: Array) -> Array:
    """Clips [N, M, T, V, C] as ST-GCN stores them, [N, C, T, V, M]."""
    count, persons, frames, joints, channels = clips.shape
    turned = np.zeros((count, channels, frames, joints, persons), clips.dtype)
    for n, m, t, v, c in np.ndindex(clips.shape):
        turned[n, c, t, v, m] = clips[n, m, t, v, c]
    return turned


def converted(path: Path, store: Path, **options: Any) -> skelstore.Store:
    """Convert, and verify against the source with the options that the store records."""
    converters.convert(path, store, force=True, profile="fast", workers=1, **options)
    opened = skelstore.open(store)
    beside = {name: options[name] for name in ("names", "table", "label_by") if name in options}
    with closing(
        open_source(path, opened.source["dialect"], **{**recorded_options(opened.source), **beside})
    ) as source:
        assert compare(opened, source) == []
    return opened


# ------------------------------------------------------------------------------------------------- CTR-GCN


@given(
    st.tuples(st.integers(0, 3), st.integers(0, 3)),
    st.sampled_from([(2, 25, 3), (1, 17, 3)]),
    st.integers(1, 4),
    st.sampled_from(DTYPES),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.data(),
)
@settings(max_examples=30)
def test_any_npz_comes_back(
    counts: tuple[int, int],
    body: tuple[int, int, int],
    frames: int,
    dtype: str,
    fortran: bool,
    packed: bool,
    keep_padding: bool,
    data: st.DataObject,
) -> None:
    persons, joints, channels = body
    arrays, expected, splits = {}, [], {}
    parts = data.draw(st.sampled_from([("train", "test"), ("test", "train"), ("test",)]))
    for part, count in zip(parts, counts, strict=False):
        clips = data.draw(padded(count, persons, frames, joints, channels, dtype))
        labels = data.draw(st.lists(LABELS, min_size=count, max_size=count))
        arrays[f"x_{part}"] = ordered(rows_of(clips), fortran)
        arrays[f"y_{part}"] = ordered(
            one_hot(labels, CLASSES, data.draw(st.sampled_from(["<f8", "<f4", "|i1"]))), fortran
        )
        splits[part] = [f"{part}_{i}" for i in range(count)]
        made = [
            annotation(name, label, clip, keep_padding=keep_padding)
            for name, label, clip in zip(splits[part], labels, clips, strict=True)
        ]
        expected = made + expected if part == "train" else expected + made
    splits = {part: splits[part] for part in ("train", "test") if part in splits}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = save(folder / "a.npz", packed, **arrays)
        check_source(CtrGcnSource(path, keep_padding=keep_padding), expected, splits)
        with converted(path, folder / "a.zarr", **({"keep_padding": True} if keep_padding else {})) as store:
            assert store.source["dialect"] == "ctrgcn"
            export(store, folder / "b.npz")
        assert members(folder / "b.npz") == members(path)
        assert [*members(folder / "b.npz")] == [*members(path)]
        with np.load(folder / "b.npz") as again:
            assert all(again[key].tobytes() == value.tobytes() for key, value in arrays.items())


def test_a_npz_is_read_by_name(tmp_path: Path) -> None:
    write_gcn_arrays(tmp_path, 6, frames=12)
    names = (tmp_path / "names.txt").read_text().split()
    with converted(tmp_path / "NTU60_CS.npz", tmp_path / "a.zarr", names=tmp_path / "names.txt") as store:
        assert [store.name(i) for i in range(6)] == names
        assert store.splits == {"train": names[:5], "test": names[5:]}
        assert store.joints.layout is not None
        assert store.joints.layout.name == "ntu-25"


NAMES: dict[str, tuple[str, str]] = {
    "too few": ("a\nb\n", "has 2 names; expected 3, first those of x_train"),
    "none": ("", "has 0 names"),
    "twice": ("a\nb\na\n", "line 3: 'a' is also in line 1"),
    "empty": ("a\n \nb\n", "line 2 is empty"),
    "too many": ("a\nb\nc\nd\n", "has 4 names"),
}


@pytest.mark.parametrize("name", NAMES)
def test_wrong_names_are_refused(tmp_path: Path, name: str) -> None:
    text, expected = NAMES[name]
    path = save(tmp_path / "a.npz", x_train=np.zeros((3, 2, 150)), y_train=one_hot([0, 1, 2], 3))
    (tmp_path / "names.txt").write_text(text)
    with pytest.raises(SourceError, match=expected):
        CtrGcnSource(path, names=tmp_path / "names.txt")
    (tmp_path / "names.txt").write_bytes(b"\xff\xfea\n")
    with pytest.raises(SourceError, match="is not UTF-8"):
        CtrGcnSource(path, names=tmp_path / "names.txt")


def test_names_with_other_line_ends(tmp_path: Path) -> None:
    path = save(tmp_path / "a.npz", x_test=np.zeros((2, 2, 150)), y_test=one_hot([0, 1], 3))
    (tmp_path / "names.txt").write_bytes(b"\xef\xbb\xbfC:\\a b\r\nd")
    with closing(CtrGcnSource(path, names=tmp_path / "names.txt")) as source:
        assert source.splits() == {"test": ["C:\\a b", "d"]}


def test_rows_that_are_not_one_hot_are_named(tmp_path: Path) -> None:
    """``np.where(y > 0)[1]`` would shift the labels of all rows after one without a 1."""
    y = one_hot([0, 1, 2, 0, 1, 2], 3)
    y[1] = 0
    y[3, 2] = 1
    y[4, 1] = 0.5
    y[5, 0] = -0.0
    with pytest.raises(SourceError) as caught:
        CtrGcnSource(save(tmp_path / "a.npz", x_train=np.zeros((6, 2, 150)), y_train=y))
    lines = str(caught.value).splitlines()
    assert "y_train.npy has 3 problems" in lines[0]
    assert "row 1 has no numbers above 0; expected exactly one 1, the class, and zeros" in lines[1]
    assert "row 3 has 2 numbers above 0" in lines[2]
    assert "row 4 has a number that is neither 0 nor 1" in lines[3]
    assert "row 5" in lines[3] or "1 more" in lines[3]
    with pytest.raises(SourceError, match=r"and \d+ more|row 19") as caught:
        CtrGcnSource(save(tmp_path / "a.npz", x_train=np.zeros((99, 2, 150)), y_train=np.zeros((99, 3))))
    assert len(str(caught.value)) < 3000


X, Y = np.zeros((3, 2, 150), np.float32), one_hot([0, 1, 2], 3)
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no labels": ({"x_train": X, "x_test": X, "y_test": Y}, "has x_train, but not y_train; expected both"),
    "another array": ({"x_train": X, "y_train": Y, "names": Y}, "also has 'names', which no store of it can keep"),
    "other arrays": ({"x": X, "y": Y}, "one array of all clips and one of their labels"),
    "numbers of a row": (
        {"x_train": X[..., :149], "y_train": Y},
        r"expected \[N, T, numbers\] with 150 \(2 x 25 x 3\)",
    ),
    "axes": ({"x_train": X.reshape(3, 2, 2, 25, 3), "y_train": Y}, r"expected \[N, T, numbers\]"),
    "bools": ({"x_train": X > 1, "y_train": Y}, r"x_train.npy is bool"),
    "no frames": ({"x_train": X[:, :0], "y_train": Y}, "its clips have no frame"),
    "another N": ({"x_train": X, "y_train": Y[:2]}, r"expected one-hot labels, \(3, classes\), of the 3 clips"),
    "labels": ({"x_train": X, "y_train": np.arange(3)}, r"shape \(3,\); expected one-hot labels"),
    "no classes": ({"x_train": X, "y_train": Y[:, :0]}, "expected one-hot labels"),
    "NaN": ({"x_train": X, "y_train": Y * np.nan}, "row 0 has no numbers above 0"),
    "objects": ({"x_train": np.array([None]), "y_train": Y}, "array of Python objects"),
}


@pytest.mark.parametrize("name", WRONG)
def test_an_npz_of_another_form_is_refused(tmp_path: Path, name: str) -> None:
    arrays, expected = WRONG[name]
    with pytest.raises(SourceError, match=expected) as caught:
        CtrGcnSource(save(tmp_path / "a.npz", **arrays))
    assert "a.npz" in str(caught.value)


@given(
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=3), st.booleans()
)
@settings(max_examples=60)
def test_a_damaged_npz_is_refused_or_read(changes: list[tuple[float, int]], packed: bool) -> None:
    """Half of the changes are in the directory of the zip file, at its end."""
    with tempfile.TemporaryDirectory() as name:
        path = save(Path(name) / "a.npz", packed, x_train=X[:, :1], y_train=Y, x_test=X[:1, :1], y_test=Y[:1])
        data = bytearray(path.read_bytes())
        for place, value in changes:
            length = len(data) if value % 2 else 400
            data[len(data) - 1 - int(place * length)] = value
        path.write_bytes(data)
        said = ""
        try:
            with closing(CtrGcnSource(path)) as source:
                assert all(source.video(i)[0]["keypoint"].shape[2:] == (25, 3) for i in range(len(source)))
        except SourceError as error:
            said = str(error)
        assert not said or str(path) in said


def test_a_copy_of_the_first_person_is_kept(tmp_path: Path) -> None:
    """As in NTU 120, where seq_transformation.py stacks the joints twice."""
    one = np.random.default_rng(0).normal(size=(1, 4, 75)).astype(np.float32)
    path = save(tmp_path / "a.npz", x_train=np.concatenate([one, one], axis=2), y_train=one_hot([1], 120))
    with closing(open_source(path)) as source:
        keypoint = source.video(0)[0]["keypoint"]
    assert keypoint.shape == (2, 4, 25, 3)
    assert (keypoint[0] == keypoint[1]).all()


def test_a_folder_with_a_npz_says_how_to_convert_it(tmp_path: Path) -> None:
    save(tmp_path / "NTU60_CS.npz", x_train=X, y_train=Y)
    with pytest.raises(SourceError, match="convert the file itself, with --from ctrgcn"):
        open_source(tmp_path)


# -------------------------------------------------------------------------------------------------- ST-GCN


@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=2),
    st.sampled_from([(2, 5, 3), (1, 18, 3), (2, 18, 2), (3, 4, 2)]),
    st.integers(1, 4),
    st.sampled_from(DTYPES),
    st.sampled_from([None, "xyz", "xys"]),
    st.booleans(),
    st.booleans(),
    st.data(),
)
@settings(max_examples=30)
def test_any_arrays_and_labels_come_back(
    counts: list[int],
    body: tuple[int, int, int],
    frames: int,
    dtype: str,
    channels: str | None,
    fortran: bool,
    keep_padding: bool,
    data: st.DataObject,
) -> None:
    persons, joints, coordinates = body
    channels = channels if coordinates == 3 else None
    scored = channels == "xys" or (channels is None and (coordinates, joints) == (3, 18))
    infix = data.draw(st.sampled_from(["", "_joint"]))
    expected, splits = [], {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "in"
        folder.mkdir()
        for part, count in zip(("train", "val"), counts, strict=False):
            clips = data.draw(padded(count, persons, frames, joints, coordinates, dtype))
            labels = data.draw(st.lists(LABELS, min_size=count, max_size=count))
            names = [f"C:\\data\\{part}{i}.skeleton" for i in range(count)]
            columns: list[Any] = [names, labels]
            info = data.draw(st.sampled_from([None, list(range(count)), np.arange(count, dtype=np.int32)]))
            columns += [] if info is None else [info]
            if data.draw(st.booleans()):
                columns[1] = np.array(labels, np.int64)
            dump(folder / f"{part}_label.pkl", data.draw(st.sampled_from([tuple, list]))(columns), 2)
            np.save(folder / f"{part}_data{infix}.npy", ordered(axes_of_stgcn(clips), fortran))
            splits[part] = names
            for i, (label, clip) in enumerate(zip(labels, clips, strict=True)):
                made = annotation(names[i], label, clip, keep_padding=keep_padding, scored=scored)
                expected.append(made if info is None else made | {"label_info": info[i]})
        options: dict[str, Any] = {"keep_padding": True} if keep_padding else {}
        options |= {} if channels is None else {"channels": channels}
        check_source(StGcnSource(folder, **options), expected, splits)
        with converted(folder, Path(name) / "a.zarr", **options) as store:
            assert store.source["dialect"] == "stgcn"
            export(store, Path(name) / "out")
        found, original = tree(Path(name) / "out"), tree(folder)
        assert found.keys() == original.keys()
        for file in original:
            if file.endswith(".npy"):
                assert found[file] == original[file]
            else:
                assert_exact(load(Path(name) / "out" / file), load(folder / file))


def test_one_array_with_its_labels_beside_it_or_elsewhere(tmp_path: Path) -> None:
    clips, labels = stgcn_like(3, frames=10)
    np.save(tmp_path / "val_data_joint.npy", clips)
    dump(tmp_path / "val_label.pkl", labels)
    with converted(tmp_path / "val_data_joint.npy", tmp_path / "a.zarr") as store:
        assert store.splits == {"val": labels[0]}
        assert store[1]["keypoint"].shape[2:] == (18, 2)
        assert store[1]["keypoint_score"].shape == store[1]["keypoint"].shape[:3]
    np.save(tmp_path / "some.npy", clips)
    with pytest.raises(
        SourceError, match=r"its labels are not at .*some_label.pkl; give the label pickle with --table"
    ):
        open_source(tmp_path / "some.npy")
    table = (tmp_path / "val_label.pkl").rename(tmp_path / "names and labels.pkl")
    with converted(tmp_path / "some.npy", tmp_path / "b.zarr", table=table) as store:
        assert (store.source["dialect"], store.splits) == ("stgcn", {})
        export(store, tmp_path / "out")
    assert tree(tmp_path / "out")["some.npy"] == (tmp_path / "some.npy").read_bytes()
    assert_exact(load(tmp_path / "out" / "names and labels.pkl"), labels)


def test_real_arrays_of_st_gcn_come_back(real_file: Callable[[str], Path], tmp_path: Path) -> None:
    folder = real_file("stgcn/val_data.npy").parent
    with converted(folder, tmp_path / "a.zarr") as store:
        assert len(store) == 45
        assert store.splits == {"val": load(folder / "val_label.pkl")[0]}
        export(store, tmp_path / "out")
        assert store[0]["keypoint"].shape == (1, 300, 7, 3)
    assert (tmp_path / "out" / "val_data.npy").read_bytes() == (folder / "val_data.npy").read_bytes()
    assert_exact(load(tmp_path / "out" / "val_label.pkl"), load(folder / "val_label.pkl"))


def test_bones_and_motion_are_derived(tmp_path: Path) -> None:
    clips, labels = stgcn_like(2, frames=6)
    for name in ("train_data_joint", "train_data_bone", "train_data_joint_motion"):
        np.save(tmp_path / f"{name}.npy", clips)
    dump(tmp_path / "train_label.pkl", labels)
    with closing(open_source(tmp_path)) as source:
        assert len(source) == 2
        assert source.description()["derived"] == ["train_data_bone.npy", "train_data_joint_motion.npy"]
    with converted(tmp_path, tmp_path / "a.zarr") as store:
        said = "left out 'train_data_bone.npy', 'train_data_joint_motion.npy': bones and motion are derived"
        assert [note[: len(said)] for note in notes(store)] == [said]
    for name, what in (("train_data_bone", "bones"), ("train_data_joint_motion", "motions")):
        with pytest.raises(SourceError, match=f"holds the {what} of the clips.*derived from the joints"):
            open_source(tmp_path / f"{name}.npy")
    (tmp_path / "train_data_joint.npy").unlink()
    with pytest.raises(SourceError, match=r"has no array of joints \('train_data_bone.npy'"):
        open_source(tmp_path, "stgcn")


def test_names_of_babel_and_of_st_gcn_are_kept_apart(tmp_path: Path) -> None:
    clips, labels = stgcn_like(2, frames=6)
    babel = (["s", "t"], ([0, 1], [3, 4], [0, 0], ["u", "v"]))
    np.save(tmp_path / "train_ntu_sk_60.npy", clips)
    dump(tmp_path / "train_label_60.pkl", babel)
    np.save(tmp_path / "train_data.npy", clips)
    dump(tmp_path / "train_label.pkl", labels)
    for file, table, dialect in (
        ("train_ntu_sk_60.npy", None, "babel"),
        ("train_data.npy", None, "stgcn"),
        ("train_data.npy", "train_label_60.pkl", "babel"),
        ("train_ntu_sk_60.npy", "train_label.pkl", "stgcn"),
    ):
        with closing(open_source(tmp_path / file, table=None if table is None else tmp_path / table)) as source:
            assert source.dialect == dialect, (file, table)
    with pytest.raises(SourceError, match="does not hold the names and labels of clips"):
        open_source(tmp_path / "train_data.npy", "stgcn", table=tmp_path / "train_label_60.pkl")


CLIPS = np.zeros((2, 3, 4, 18, 1), np.float32)
WRONG_LABELS: dict[str, tuple[Any, str]] = {
    "of another length": ((["a"], [0]), "has 1 label; .* has 2 clips"),
    "text": ((["a", "b"], ["x", "y"]), "does not hold the names and labels"),
    "fractions": ((["a", "b"], [0.0, 1.5]), "the label at position 0 is 0.0; expected ST-GCN's"),
    "bools": ((["a", "b"], [True, False]), "the label at position 0 is True"),
    "numbers as names": (([1, 2], [0, 1]), "does not hold the names and labels"),
    "an array of names": ((np.array(["a", "b"]), [0, 1]), "does not hold the names and labels"),
    "a dict": ({"a": 0, "b": 1}, "does not hold the names and labels"),
    "columns of other lengths": ((["a", "b"], [0, 1], [3]), "does not hold the names and labels"),
    "a third set": ((["a", "b"], [0, 1], {1, 2}), "does not hold the names and labels"),
}


@pytest.mark.parametrize("name", WRONG_LABELS)
def test_wrong_labels_are_refused(tmp_path: Path, name: str) -> None:
    labels, expected = WRONG_LABELS[name]
    np.save(tmp_path / "train_data.npy", CLIPS)
    dump(tmp_path / "train_label.pkl", labels)
    with pytest.raises(SourceError, match=expected) as caught:
        open_source(tmp_path)
    assert "train_label.pkl" in str(caught.value)


@pytest.mark.parametrize(
    "shape", [(2, 6, 4, 18, 1), (2, 4, 18, 3), (2, 3, 0, 18, 1), (2, 3, 4, 18, 0), (0, 1, 4, 18, 2)]
)
def test_arrays_of_other_shapes_are_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    np.save(tmp_path / "train_data.npy", np.zeros(shape, np.float32))
    dump(tmp_path / "train_label.pkl", ([str(i) for i in range(shape[0])], [0] * shape[0]))
    with pytest.raises(SourceError, match=r"the arrays of ST-GCN are \[N, C, T, V, M\] with 2 or 3 coordinates"):
        open_source(tmp_path, "stgcn")


def test_arrays_in_a_folder_that_do_not_fit_together(tmp_path: Path) -> None:
    np.save(tmp_path / "train_data.npy", CLIPS)
    dump(tmp_path / "train_label.pkl", (["a", "b"], [0, 1]))
    np.save(tmp_path / "val_data.npy", CLIPS[..., :17, :])
    dump(tmp_path / "val_label.pkl", (["c", "d"], [0, 1]))
    with pytest.raises(
        SourceError, match=r"val_data.npy has 3 channels, 17 joints and 1 person; train_data.npy has 3, 18"
    ):
        open_source(tmp_path)
    np.save(tmp_path / "val_data.npy", CLIPS)
    dump(tmp_path / "val_label.pkl", (["c", "a"], [0, 1]))
    with pytest.raises(SourceError, match=r"'a' is in train and in val; convert each array on its own"):
        open_source(tmp_path)
    np.save(tmp_path / "val_data_joint.npy", CLIPS)
    with pytest.raises(SourceError, match=r"has val_data.npy and val_data_joint.npy, which may hold the same clips"):
        open_source(tmp_path)
    os.remove(tmp_path / "val_data_joint.npy")
    np.save(tmp_path / "joints.npy", CLIPS)
    with pytest.raises(SourceError, match=r"has 'joints.npy', which is not named like an array of ST-GCN"):
        open_source(tmp_path)
    os.remove(tmp_path / "joints.npy")
    os.remove(tmp_path / "val_label.pkl")
    with pytest.raises(SourceError, match=r"its labels are not at .*val_label.pkl"):
        open_source(tmp_path)
    with pytest.raises(SourceError, match="--table goes with one array"):
        open_source(tmp_path, "stgcn", table=tmp_path / "train_label.pkl")


def test_channels_that_do_not_fit(tmp_path: Path) -> None:
    np.save(tmp_path / "train_data.npy", CLIPS[:, :2])
    dump(tmp_path / "train_label.pkl", (["a", "b"], [0, 1]))
    with pytest.raises(SourceError, match="the clips have 2 channels; --channels xys says that there are 3"):
        open_source(tmp_path, channels="xys")
    with pytest.raises(SourceError, match="channels 'xyc'; expected one of xys, xyz"):
        open_source(tmp_path, channels="xyc")


@given(st.integers(0, 200), st.sampled_from([b"", b"\0", b"\xff", b"[", b"("]), st.booleans())
@settings(max_examples=40)
def test_damaged_files_are_refused_with_a_sentence(at: int, instead: bytes, in_labels: bool) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.save(folder / "train_data.npy", np.ones((2, 3, 2, 5, 1), np.float32))
        dump(folder / "train_label.pkl", (["a", "b"], [0, 1]))
        path = folder / ("train_label.pkl" if in_labels else "train_data.npy")
        data = path.read_bytes()
        path.write_bytes(data[:at] + instead + data[at + 1 :])
        said = ""
        try:
            with closing(StGcnSource(folder)) as source:
                assert [source.video(i)[0]["keypoint"].ndim for i in range(len(source))] == [4, 4]
        except SourceError as error:
            said = str(error)
        assert not said or str(folder) in said


# --------------------------------------------------------------------------------------------- single clips


@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=3),
    st.sampled_from([(2, 25, 3), (1, 18, 3), (2, 18, 2)]),
    st.sampled_from(DTYPES),
    st.sampled_from([None, "xyz", "xys"]),
    st.booleans(),
    st.data(),
)
@settings(max_examples=25)
def test_any_clips(
    lengths: list[int],
    body: tuple[int, int, int],
    dtype: str,
    channels: str | None,
    keep_padding: bool,
    data: st.DataObject,
) -> None:
    """Values, and every byte of the files on export: in Fortran order, and with headers that NumPy does not write."""
    persons, joints, coordinates = body
    channels = channels if coordinates == 3 else None
    scored = channels == "xys" or (channels is None and (coordinates, joints) == (3, 18))
    expected = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "in"
        for i, frames in enumerate(lengths):
            clip = data.draw(padded(1, persons, frames, joints, coordinates, dtype))
            array = axes_of_stgcn(clip)
            array = ordered(array if data.draw(st.booleans()) else array[0], data.draw(st.booleans()))
            head, unusual = npy_head(array, data.draw(st.sampled_from(["NumPy's", "version 2", "old", "Python 2"])))
            (folder / f"class{i % 2}").mkdir(exist_ok=True, parents=True)
            (folder / f"class{i % 2}" / f"{i}.npy").write_bytes(head + array.tobytes(order="A"))
            made = annotation(f"class{i % 2}/{i}", i % 2, clip[0], keep_padding=keep_padding, scored=scored)
            made |= {"array_shape": array.shape} | ({"array_header": head.decode("latin-1")} if unusual else {})
            expected.append(made)
        options: dict[str, Any] = {"channels": channels, "keep_padding": keep_padding}
        expected.sort(key=lambda one: str(one["frame_dir"]))
        check_source(GcnClips(folder, label_by="folders", **options), expected, {})
        assert_exact(GcnClips(folder, label_by="folders").description()["class_names"][:1], ["class0"])
        given = {key: value for key, value in options.items() if value}
        with converted(folder, Path(name) / "a.zarr", dialect="gcn-clips", label_by="folders", **given) as store:
            export(store, Path(name) / "out")
        assert tree(Path(name) / "out") == tree(folder)


def npy_head(array: Array, kind: str) -> tuple[bytes, bool]:
    """The header of an array, and whether it is not as NumPy writes it for an array in C order."""
    file = io.BytesIO()
    stated = np.lib.format.header_data_from_array_1_0(array)
    if kind == "NumPy's":
        np.lib.format.write_array_header_1_0(file, stated)
        return file.getvalue(), stated["fortran_order"]
    if kind == "version 2":
        np.lib.format.write_array_header_2_0(file, stated)
        return file.getvalue(), True
    text = repr(stated) + " \n"
    if kind == "Python 2":
        text = re.sub(r"(\d+)(?=[,)])", r"\1L", text)
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode(), True


def test_clips_that_do_not_fit_their_arrays_any_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_gcn_arrays(tmp_path, 4, frames=12)
    with converted(tmp_path / "clips", tmp_path / "a.zarr", dialect="gcn-clips", label_by="folders") as store:
        source, origins, first = store.source, store.origins(), store[0]
        skelstore.subset(store.at([2, 0]), tmp_path / "b.zarr")
    with skelstore.open(tmp_path / "b.zarr") as store:
        export(store, tmp_path / "some")
    assert tree(tmp_path / "some").items() < tree(tmp_path / "clips").items()
    assert len(tree(tmp_path / "some")) == 2
    shape = first["array_shape"]
    header = np.lib.format.magic(1, 0).decode("latin-1") + "\x02\0{}"
    wrong: dict[str, tuple[dict[str, Any], str]] = {
        "no shape": ({"array_shape": None}, "at position 0 has no array_shape.*use --format, such as stgcn"),
        "a list": ({"array_shape": list(shape)}, "has no array_shape"),
        "two clips": ({"array_shape": (2, *shape)}, "has no array_shape"),
        "text": ({"array_shape": ("3", *shape[1:])}, "has no array_shape"),
        "fewer frames": ({"array_shape": (shape[0], 1, *shape[2:])}, "does not fit its array_shape .* it has changed"),
        "other joints": ({"keypoint": first["keypoint"][:, :, 1:]}, "does not fit its array_shape"),
        "other scores": ({"keypoint_score": first["keypoint_score"].astype(float)}, "does not fit its array_shape"),
        "no keypoint": ({"keypoint": None}, "has no keypoint and keypoint_score, which does not fit"),
        "another person": ({"person_rows": np.arange(len(first["keypoint"])) + 7}, "do not fit into 2 persons"),
        "beyond memory": ({"array_shape": (shape[0], 10**12, *shape[2:])}, "is larger than"),
        "no header": ({"array_header": header}, "the header of an array that the store records is not one"),
    }
    monkeypatch.setattr(video_files, "origins", lambda store: origins[:1])
    for name, (change, expected) in wrong.items():
        path = write(tmp_path / f"{name}.zarr", [{**first, **change}], source=source)
        with skelstore.open(path) as store, pytest.raises(SkelstoreError, match=expected):
            export(store, tmp_path / "out")
        assert not (tmp_path / "out").exists()


@given(st.integers(0, 300), st.sampled_from([b"", b"\0", b"\xff", b" ", b"1", b">", b"F"]), st.booleans())
@settings(max_examples=40)
def test_a_damaged_clip_is_refused_or_comes_back(at: int, instead: bytes, fortran: bool) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "in"
        folder.mkdir()
        np.save(folder / "a.npy", ordered(np.arange(90, dtype=np.float32).reshape(3, 5, 3, 2), fortran))
        data = (folder / "a.npy").read_bytes()
        (folder / "a.npy").write_bytes(data[:at] + instead + data[at + 1 :])
        said = ""
        try:
            GcnClips(folder).close()
        except SourceError as error:
            said = str(error)
        if said:
            assert str(folder / "a.npy") in said
            return
        with converted(folder, Path(name) / "a.zarr", dialect="gcn-clips") as store:
            export(store, Path(name) / "out")
        assert tree(Path(name) / "out") == tree(folder)


def test_a_clip_beyond_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "a.npy", np.zeros((3, 5, 3, 2), np.float32))
    monkeypatch.setattr("skelstore.train.clips.MOST_BYTES", 359)
    with pytest.raises(SourceError, match=r"a\.npy has 360 bytes of values; expected one clip, of at most 359"):
        GcnClips(tmp_path)


def test_merged_clips_are_exported_unless_files_have_the_same_name(tmp_path: Path) -> None:
    for part in ("one", "two"):
        write_gcn_arrays(tmp_path / part, 4, frames=12)
    (tmp_path / "two" / "clips").rename(tmp_path / "two" / "b")
    (tmp_path / "two" / "clips").mkdir()
    (tmp_path / "two" / "b").rename(tmp_path / "two" / "clips" / "b")
    for part in ("one", "two"):
        converted(tmp_path / part / "clips", tmp_path / f"{part}.zarr", dialect="gcn-clips").close()
    skelstore.merge([tmp_path / "one.zarr", tmp_path / "two.zarr"], tmp_path / "both.zarr")
    with skelstore.open(tmp_path / "both.zarr") as store:
        export(store, tmp_path / "out")
    assert tree(tmp_path / "out") == tree(tmp_path / "one" / "clips") | tree(tmp_path / "two" / "clips")
    skelstore.merge([tmp_path / "one.zarr"] * 2, tmp_path / "same.zarr", allow=["ids"])
    with skelstore.open(tmp_path / "same.zarr") as store:
        assert store.source["dialect"] == "merge"


def test_clips_are_converted_when_they_are_stated(tmp_path: Path) -> None:
    write_gcn_arrays(tmp_path, 4, frames=12)
    clips = tmp_path / "clips"
    with pytest.raises(SourceError, match=r"or convert the folder of such files as it is, with --from gcn-clips"):
        open_source(clips)
    with converted(clips, tmp_path / "a.zarr", dialect="gcn-clips", label_by="folders") as store:
        assert store.source["dialect"] == "gcn-clips"
        by_folder = {store.name(i): store[i] for i in range(len(store))}
    with converted(clips, tmp_path / "b.zarr", channels="xyz", label_by="folders", keep_padding=True) as store:
        assert {annotation["keypoint"].shape for annotation in store} == {(2, 12, 18, 3)}
    data, (names, _) = stgcn_like(4, frames=12)
    for clip, name in zip(data, names, strict=True):
        [found] = [value for key, value in by_folder.items() if str(key).endswith(name.removesuffix(".json"))]
        persons, frames = found["keypoint"].shape[:2]
        assert found["keypoint"].tobytes() == clip[:2, :frames, :, :persons].transpose(3, 1, 2, 0).tobytes()


def test_clips_of_other_shapes_are_refused(tmp_path: Path) -> None:
    for name, shape in (("a", (3, 30, 25, 2)), ("b", (2, 3, 30, 25, 2)), ("c", (30, 25, 3)), ("d", (2, 30, 25, 3))):
        np.save(tmp_path / f"{name}.npy", np.zeros(shape, np.float32))
    np.save(tmp_path / "e_bone.npy", np.zeros((3, 30, 25, 2), np.float32))
    np.save(tmp_path / "f.npy", np.zeros((3, 30, 25, 2), bool))
    with pytest.raises(SourceError) as caught:
        open_source(tmp_path, "gcn-clips")
    _, *lines = str(caught.value).splitlines()
    assert not any(line.strip().startswith(str(tmp_path / "a.npy")) for line in lines)
    for line, expected in zip(
        lines,
        (
            "b.npy has the shape (2, 3, 30, 25, 2); expected [C, T, V, M] or [1, C, T, V, M]",
            "c.npy has the shape (30, 25, 3)",
            "d.npy has the shape (2, 30, 25, 3), which looks like [M, T, V, C] of two persons",
            "e_bone.npy holds the bones of the clips",
            "f.npy has the shape (3, 30, 25, 2)",
        ),
        strict=True,
    ):
        assert expected in line


@pytest.mark.parametrize("shape", [(3, 300, 25, 2), (3, 300, 18, 1)])
def test_clips_given_as_videos_are_declined_with_the_command(tmp_path: Path, run: Any, shape: tuple[int, ...]) -> None:
    (tmp_path / "clips").mkdir()
    np.save(tmp_path / "clips" / "a.npy", np.ones(shape, np.float32))
    for source in (tmp_path / "clips", tmp_path / "clips" / "a.npy"):
        done = run("convert", source, tmp_path / "s.zarr")
        assert done.status == 1
        assert "--from gcn-clips" in done.err
    done = run("convert", tmp_path / "clips", tmp_path / "s.zarr", "--from", "gcn-clips")
    assert done.status == 0, done.err


# ----------------------------------------------------------------------------------------------- the samples


def test_the_samples_are_as_the_code_bases_write_them() -> None:
    arrays = ctrgcn_like(9, 1, frames=20)
    assert [*arrays] == ["x_train", "y_train", "x_test", "y_test"]
    assert [(a.dtype.str, a.shape) for a in arrays.values()] == [
        *(("<f4", (7, 20, 150)), ("<f8", (7, 60)), ("<f4", (2, 20, 150)), ("<f8", (2, 60)))
    ]
    assert all((y.sum(1) == 1).all() for y in (arrays["y_train"], arrays["y_test"]))
    clips, (names, labels) = stgcn_like(9, 1, frames=20)
    assert (clips.dtype, clips.shape) == (np.float32, (9, 3, 20, 18, 2))
    assert len(set(names)) == len(labels) == 9
    assert_exact(pickle.dumps(ctrgcn_like(9, 1, frames=20)), pickle.dumps(arrays))
    assert not (ctrgcn_like(9, 2, frames=20)["x_train"] == arrays["x_train"]).all()
    assert set(ROWS) == {m * v * c for m, v, c in ROWS.values()}
