"""BABEL and the boxes of FineGYM equal an independent reference, and data that do not fit together are refused."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import skelstore
from converters import export, open_source
from converters.comparison import compare
from converters.dialects import babel, gym
from converters.dialects.babel import BabelSource
from converters.dialects.gym import GymSource
from converters.samples.pickles import bare_list_like, iter_ntu_like, ntu_like
from converters.samples.sources import babel_like, boxes_like
from skelstore.errors import SourceError, UnsupportedValueError
from tests.support import strategies
from tests.support.exact import assert_exact
from tests.support.source_contract import check_source, dump, load


def reference(clips: np.ndarray[Any, Any], labels: Any) -> list[dict[str, Any]]:
    """MMAction2's annotations of BABEL, value by value, from the description: clips [N, C, T, V, M]."""
    segments, (actions, sequences, chunks, annotators) = labels
    annotations = []
    for n in range(clips.shape[0]):
        _, coordinates, frames, joints, persons = clips.shape
        keypoint = np.zeros((persons, frames, joints, coordinates), np.float16)
        for m, t, v, c in np.ndindex(keypoint.shape):
            keypoint[m, t, v, c] = np.float16(clips[n, c, t, v, m])
        name = f"{segments[n]}_{sequences[n]}_{chunks[n]}_{annotators[n]}"
        annotations.append({"keypoint": keypoint, "label": actions[n], "frame_dir": name, "total_frames": 150})
    return annotations


def write_babel(folder: Path, clips: np.ndarray[Any, Any], labels: Any) -> Path:
    folder.mkdir(exist_ok=True)
    np.save(folder / "val_ntu_sk_60.npy", clips)
    dump(folder / "val_label_60.pkl", labels)
    return folder / "val_ntu_sk_60.npy"


# ------------------------------------------------------------------------------------------ BABEL


def test_babel_is_converted_as_by_mmaction2(tmp_path: Path) -> None:
    clips, labels = babel_like(5)
    path = write_babel(tmp_path, clips, labels)
    expected = [annotation | {"keypoint": None} for annotation in reference(clips[..., :1, :1, :], labels)]
    for annotation, clip in zip(expected, clips, strict=True):
        annotation["keypoint"] = np.ascontiguousarray(clip.astype(np.float16).transpose(3, 1, 2, 0))
    source = open_source(path)
    assert source.dialect == "babel"
    check_source(source, expected, {})
    babel.convert(path, tmp_path / "b.zarr")
    with skelstore.open(tmp_path / "b.zarr") as store:
        assert compare(store, open_source(path)) == []
        export(store, tmp_path / "again.pkl")
    assert_exact(load(tmp_path / "again.pkl"), expected)


SMALL = st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(1, 2))
IDS = st.one_of(st.integers(0, 10**6), st.text(max_size=4), st.none(), st.integers(0, 99).map(np.int64))


@given(st.sampled_from(["<f8", "<f4", ">f4", "<f2", "<i4"]), SMALL, st.booleans(), st.data())
@settings(max_examples=40)
def test_any_babel(dtype: str, shape: tuple[int, ...], fortran: bool, data: st.DataObject) -> None:
    kind = np.dtype(dtype)
    values = st.integers(-60000, 60000) if kind.kind == "i" else st.floats(-60000, 60000, width=16).map(float)
    clips = data.draw(hnp.arrays(kind, shape, elements=values))
    clips = np.asfortranarray(clips) if fortran else clips
    columns = data.draw(
        st.lists(st.tuples(IDS, st.integers(0, 59), IDS, IDS, IDS), min_size=shape[0], max_size=shape[0])
    )
    segments, labels, *ids = (list(column) for column in zip(*columns, strict=True))
    with tempfile.TemporaryDirectory() as folder:
        path = write_babel(Path(folder), clips, (segments, (labels, *ids)))
        check_source(BabelSource(path), reference(clips, (segments, (labels, *ids))), {})


def test_labels_as_arrays_give_numpy_scalars_as_upstream(tmp_path: Path) -> None:
    clips, (segments, (labels, *ids)) = babel_like(3)
    sids, chunks, annotators = ids
    path = write_babel(tmp_path, clips, (segments, [np.array(labels), np.array(sids), np.array(chunks), annotators]))
    source = BabelSource(path)
    assert type(source.video(1)[0]["label"]) is np.int64
    assert source.video(1)[0]["frame_dir"] == "_".join(map(str, (segments[1], *(column[1] for column in ids))))
    source.close()


def test_babel_labels_may_be_elsewhere(tmp_path: Path) -> None:
    clips, labels = babel_like(3)
    path = write_babel(tmp_path, clips, labels)
    moved = (tmp_path / "val_label_60.pkl").rename(tmp_path / "labels.pkl")
    with pytest.raises(SourceError, match="give BABEL's label pickle with --table"):
        open_source(path)
    source = open_source(path, table=moved)
    assert len(source) == 3
    source.close()


def test_an_array_of_texts_is_refused_by_name(tmp_path: Path) -> None:
    clips, (segments, rest) = babel_like(3)
    with pytest.raises(SourceError, match="seg_id is a numpy"):
        BabelSource(write_babel(tmp_path, clips, (np.array(segments), rest)))


def test_infinity_and_nan_of_babel_stay_and_overflow_is_refused(tmp_path: Path) -> None:
    clips, labels = babel_like(3)
    clips[0, 0, 0, 0, 0], clips[1, 0, 0, 0, 0], clips[2, 0, 0, 0, 0] = np.inf, np.nan, 65520
    path = write_babel(tmp_path, clips, labels)
    source = BabelSource(path)
    assert np.isinf(source.video(0)[0]["keypoint"][0, 0, 0, 0])
    assert np.isnan(source.video(1)[0]["keypoint"][0, 0, 0, 0])
    with pytest.raises(SourceError, match=r"\[2\] has values beyond 65504"):
        source.video(2)
    source.close()


LABELS: dict[str, Callable[[Any, Any], Any]] = {
    "a flat list": lambda segments, rest: segments,
    "a dict": lambda segments, rest: {"seg_id": segments},
    "a list too few": lambda segments, rest: (segments, rest[:3]),
    "a list that is short": lambda segments, rest: (segments[:-1], rest),
    "another number of clips": lambda segments, rest: (segments[:-1], tuple(column[:-1] for column in rest)),
    "text for a list": lambda segments, rest: ("abc", rest),
    "what is not data": lambda segments, rest: ([Path(), *segments[1:]], rest),
}


@pytest.mark.parametrize("name", LABELS)
def test_labels_in_another_form_are_refused(tmp_path: Path, name: str) -> None:
    clips, labels = babel_like(3)
    path = write_babel(tmp_path, clips, LABELS[name](*labels))
    with pytest.raises(SourceError, match="val_label_60"):
        BabelSource(path)


def test_an_id_that_python_does_not_write_is_refused(tmp_path: Path) -> None:
    clips, (segments, rest) = babel_like(3)
    path = write_babel(tmp_path, clips, ([10**5000, *segments[1:]], rest))
    source = BabelSource(path)
    with pytest.raises(SourceError, match=r"val_label_60\.pkl: \[0\] has an id with too many digits"):
        source.video(0)


@given(st.recursive(strategies.scalars, lambda inner: st.lists(inner, max_size=4) | st.tuples(inner, inner)))
@settings(max_examples=60)
def test_any_pickle_is_labels_or_refused(value: object) -> None:
    clips, _ = babel_like(1)
    with tempfile.TemporaryDirectory() as folder:
        path = write_babel(Path(folder), clips, value)
        try:
            source = BabelSource(path)
        except SourceError as error:
            text = str(error)
        else:
            assert list(source.video(0)[0]) == ["keypoint", "label", "frame_dir", "total_frames"]
            source.close()
            return
    assert "val_label_60.pkl" in text


def test_arrays_in_another_form_are_refused(tmp_path: Path) -> None:
    clips, labels = babel_like(3)
    path = write_babel(tmp_path, clips[0], labels)
    with pytest.raises(SourceError, match=r"it looks like \[C, T, V, M\]"):
        open_source(path)
    path = write_babel(tmp_path, clips, labels)
    source = BabelSource(path)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(SourceError, match="has changed"):
        source.video(0)
    with pytest.raises(SourceError, match="its header declares"):
        BabelSource(path)


# ------------------------------------------------------------------------------------------ FineGYM


def test_boxes_are_joined_by_name(tmp_path: Path) -> None:
    data = ntu_like(12)
    boxes = boxes_like(iter_ntu_like(12))
    path, box_path = dump(tmp_path / "gym.pkl", data), dump(tmp_path / "boxes.pkl", boxes)
    expected = [
        annotation | ({"gt_bbox": boxes[annotation["frame_dir"]]} if annotation["frame_dir"] in boxes else {})
        for annotation in load(path)["annotations"]
    ]
    assert ["gt_bbox" in annotation for annotation in expected] == [i % 5 != 4 for i in range(12)]
    source = open_source(path, boxes=box_path)
    assert source.dialect == "gym"
    assert source.description()["boxes"] == {"name": "boxes.pkl", "videos_without": 2, "without_video": 1}
    check_source(source, expected, data["split"])
    gym.convert(path, tmp_path / "g.zarr", boxes=box_path, workers=1)
    with skelstore.open(tmp_path / "g.zarr") as store:
        assert store.fields["gt_bbox"].trailing == (4,)
        assert compare(store, open_source(path, boxes=box_path)) == []
        export(store, tmp_path / "again.pkl")
    assert_exact(load(tmp_path / "again.pkl"), {"split": data["split"], "annotations": expected})


def test_boxes_of_a_bare_list_by_filename(tmp_path: Path) -> None:
    data = bare_list_like(3)
    boxes = {annotation["filename"]: np.ones((2, 3, 5), np.float16) for annotation in data}
    source = GymSource(dump(tmp_path / "gym.pkl", data), dump(tmp_path / "boxes.pkl", boxes))
    check_source(source, [annotation | {"gt_bbox": boxes[annotation["filename"]]} for annotation in data], {})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([np.arange(4), np.arange(4)], np.array([[0, 1, 2, 3]] * 2)),
        ([[1.5, 2, 3, 4]], np.array([[1.5, 2, 3, 4]])),
        ([np.zeros((2, 5), np.float32)], np.zeros((1, 2, 5), np.float32)),
    ],
)
def test_a_list_of_boxes_is_stacked(tmp_path: Path, value: object, expected: np.ndarray[Any, Any]) -> None:
    path = dump(tmp_path / "gym.pkl", [{"frame_dir": "a"}])
    source = GymSource(path, dump(tmp_path / "boxes.pkl", {"a": value}))
    assert_exact(source.video(0)[0]["gt_bbox"], expected)
    source.close()


BOXES = {
    "lists of other lengths": [[1, 2, 3, 4], [1, 2, 3]],
    "one box": np.zeros(4),
    "three numbers": np.zeros((5, 3)),
    "texts": [["a", "b", "c", "d"]],
    "a dict": {"bbox": np.zeros((5, 4))},
    "nothing": None,
    "no boxes": [],
    "a path": Path(),
    "paths": [[Path()] * 4],
}


@pytest.mark.parametrize("name", BOXES)
def test_boxes_of_another_form_are_refused_by_name(tmp_path: Path, name: str) -> None:
    path = dump(tmp_path / "gym.pkl", [{"frame_dir": "a", "keypoint": np.zeros((1, 5, 17, 2))}])
    boxes = dump(tmp_path / "boxes.pkl", {"a": BOXES[name]})
    with pytest.raises(UnsupportedValueError, match=r"boxes\.pkl: 'a' is"):
        gym.convert(path, tmp_path / "g.zarr", boxes=boxes)
    assert not (tmp_path / "g.zarr").exists()


def test_boxes_that_are_not_data_are_named(tmp_path: Path) -> None:
    path = dump(tmp_path / "gym.pkl", [{"frame_dir": "a"}])
    source = GymSource(path, dump(tmp_path / "boxes.pkl", {"a": Path("x")}))
    with pytest.raises(
        SourceError, match=r"boxes\.pkl: 'a' is a pathlib.* \(byte \d+ of the file\); expected an array"
    ):
        source.video(0)
    source.close()


@given(st.one_of(strategies.scalars, strategies.arrays(), st.lists(strategies.arrays(), max_size=3)))
@settings(max_examples=60)
def test_any_value_is_boxes_or_refused(value: object) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = dump(Path(folder) / "gym.pkl", [{"frame_dir": "a"}])
        source = GymSource(path, dump(Path(folder) / "boxes.pkl", {"a": value}))
        try:
            boxes = source.video(0)[0]["gt_bbox"]
        except SourceError as error:
            text = str(error)
        else:
            assert boxes.shape[-1] in (4, 5)
            return
        finally:
            source.close()
    assert "boxes.pkl: 'a'" in text


def test_boxes_that_do_not_belong_to_the_videos_are_refused(tmp_path: Path) -> None:
    path = dump(tmp_path / "gym.pkl", [{"frame_dir": "a", "gt_bbox": 1}])
    box = np.zeros((5, 4))
    with pytest.raises(SourceError, match="such as 'b', are not those of"):
        GymSource(path, dump(tmp_path / "boxes.pkl", {"b": box}))
    for value in ([box], {}, box):
        with pytest.raises(SourceError, match="expected the boxes of FineGYM"):
            GymSource(path, dump(tmp_path / "boxes.pkl", value))
    source = GymSource(path, dump(tmp_path / "boxes.pkl", {"a": box}))
    with pytest.raises(SourceError, match="already has a gt_bbox"):
        source.video(0)
    source.close()
    with pytest.raises(SourceError, match="--boxes goes with gym, not with list"):
        open_source(path, "list", boxes=tmp_path / "boxes.pkl")
    with pytest.raises(SourceError, match="the dialect gym needs --boxes, the pickle of FineGYM's ground-truth boxes"):
        open_source(path, "gym")
