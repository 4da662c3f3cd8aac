"""VideoPose3D's .npz: joints exactly as they are, the detector's output, and object arrays read as data."""

from __future__ import annotations

import io
import json
import pickle
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import converters
import skelstore
from converters import open_source
from converters.dialects.poses import videopose3d
from converters.inputs.object_arrays import read_objects
from skelstore.errors import SourceError
from tests.support.exact import assert_exact
from tests.support.leaks import open_files
from tests.support.source_contract import check_source

RANDOM = np.random.default_rng(0)
METADATA = {
    "layout_name": "coco",
    "num_joints": 17,
    "keypoints_symmetry": [[1, 3], np.array([2, 4])],
    "video_metadata": {"a.mp4": {"w": 1920, "h": 1080}},
}


def joints(frames: int, *shape: int, dtype: str = "f4") -> NDArray[Any]:
    return RANDOM.uniform(0, 1000, (frames, *(shape or (17, 2)))).astype(dtype)


def save(path: Path, **arrays: Any) -> Path:
    np.savez_compressed(path, **arrays)
    return path


@pytest.fixture
def data_set(tmp_path: Path) -> tuple[Path, list[dict[str, Any]]]:
    """A data set with its annotations: users' videos, and Human3.6M's subjects with actions and cameras."""
    a, walking, sitting = joints(3), [joints(2), joints(4)], joints(0)
    positions = {"a.mp4": {"custom": [a]}, "S1": {"Walking 1": walking, "Sitting": (sitting,)}, "b": joints(1)}
    expected = [
        {"frame_dir": "a.mp4", "img_shape": (1080, 1920), "original_shape": (1080, 1920), "total_frames": 3},
        {"frame_dir": "S1/Walking 1/0", "total_frames": 2},
        {"frame_dir": "S1/Walking 1/1", "total_frames": 4},
        {"frame_dir": "S1/Sitting", "total_frames": 0},
        {"frame_dir": "b", "total_frames": 1},
    ]
    arrays = [a, *walking, sitting, positions["b"]]
    for annotation, array in zip(expected, arrays, strict=True):
        annotation["keypoint"] = array[None]
    return save(tmp_path / "data_2d_custom_x.npz", positions_2d=positions, metadata=METADATA), expected


def test_the_contract(data_set: tuple[Path, list[dict[str, Any]]]) -> None:
    path, expected = data_set
    source = open_source(path)
    assert source.dialect == "videopose3d"
    metadata = {key: value for key, value in METADATA.items() if key != "video_metadata"}
    metadata["keypoints_symmetry"] = [[1, 3], [2, 4]]
    assert source.description()["metadata"] == {path.name: metadata}
    check_source(source, expected, {})
    source = open_source(path.parent)
    assert source.dialect == "videopose3d"
    check_source(source, expected, {})


def test_a_store_with_labels(data_set: tuple[Path, list[dict[str, Any]]], tmp_path: Path) -> None:
    path, expected = data_set
    table = tmp_path / "t.csv"
    table.write_text("frame_dir,label,split\nb,walk,train\na.mp4,sit,val\n")
    converters.convert(path, tmp_path / "s.zarr", table=table, workers=1)
    with skelstore.open(tmp_path / "s.zarr") as store:
        assert_exact(store[0]["keypoint"], expected[4]["keypoint"])
        assert [store[0]["label"], store[1]["label"]] == [1, 0]
        assert store.splits == {"train": ["b"], "val": ["a.mp4"]}
        assert store.source["unlisted"] == 3
    converters.convert(path, tmp_path / "all.zarr", workers=1)
    with skelstore.open(tmp_path / "all.zarr") as store:
        assert_exact(list(store), expected)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i4", ">f4"])
def test_dtypes_and_protocols(tmp_path: Path, protocol: int, dtype: str) -> None:
    array = joints(3, dtype=dtype)
    objects = np.empty((), object)
    objects[()] = {"a": {"custom": [array]}}
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as archive:
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(header, np.lib.format.header_data_from_array_1_0(objects))
        archive.writestr("positions_2d.npy", header.getvalue() + pickle.dumps(objects, protocol))
    with closing(open_source(path)) as source:
        assert_exact(source.video(0)[0]["keypoint"], pickle.loads(pickle.dumps(array, protocol))[None])


def test_3d_joints_and_scores(tmp_path: Path) -> None:
    three = joints(2, 17, 3)
    path = save(tmp_path / "a.npz", positions_3d={"S1": {"Walking": three}})
    with closing(open_source(path)) as source:
        assert_exact(source.video(0)[0], {"frame_dir": "S1/Walking", "total_frames": 2, "keypoint": three[None]})
    path = save(tmp_path / "b.npz", positions_2d={"S1": [three]})
    with closing(open_source(path)) as source:
        annotation, _ = source.video(0)
    assert_exact(annotation["keypoint"], three[None, ..., :2])
    assert_exact(annotation["keypoint_score"], three[None, ..., 2])


def detected(frames: int, logits: bool = True) -> tuple[dict[str, Any], dict[str, Any]]:
    """The arrays of the detector for a video, with persons in some frames, and the annotation."""
    boxes, keypoints, rows = [], [], []
    for t in range(frames):
        n = t % 3
        box, points = joints(n, 5), joints(n, 4, 17)
        points[:, 2] *= logits
        boxes.append([[], box] if n else [[], []])
        keypoints.append([[], points] if n else [[], []])
        rows += [(t, box[i], points[i]) for i in range(n)]
    expected = {
        "img_shape": (20, 10),
        "original_shape": (20, 10),
        "total_frames": frames,
        "keypoint": np.array([points[[0, 1, 3]].T for _, _, points in rows], np.float32).reshape(-1, 17, 3),
        "frame_inds": np.array([t for t, _, _ in rows], np.int32),
        "box_score": np.array([box[4] for _, box, _ in rows], np.float32),
        "box": np.array([[*box[:2], *(box[2:4] - box[:2])] for _, box, _ in rows], np.float32).reshape(-1, 4),
    }
    if logits and rows:
        expected["keypoint_logit"] = np.array([points[2] for _, _, points in rows])
    arrays = {"boxes": boxes, "keypoints": keypoints, "segments": [None] * frames}
    made: dict[str, Any] = {name: np.array(value, object) for name, value in arrays.items()}
    return made | {"metadata": {"w": 10, "h": 20}}, expected


@pytest.mark.parametrize(("frames", "logits"), [(7, True), (7, False), (1, True), (0, True)])
def test_the_output_of_the_detector(tmp_path: Path, frames: int, logits: bool) -> None:
    arrays, expected = detected(frames, logits)
    (tmp_path / "f").mkdir()
    save(tmp_path / "f" / "v.mp4.npz", **arrays)
    for path in (tmp_path / "f", tmp_path / "f" / "v.mp4.npz"):
        source = open_source(path)
        assert source.dialect == "videopose3d"
        check_source(source, [{"frame_dir": "v"} | expected], {})


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "an array of numbers": (
        {"positions_2d": joints(3)},
        "positions_2d is an array of float32; expected an array of Py",
    ),
    "a list": ({"positions_2d": np.array([None, 3], object)}, "is not one dict of videos"),
    "a number as key": ({"positions_2d": {3: [joints(1)]}}, "the key 3 is not the name of a video"),
    "a text as joints": ({"positions_2d": {"a": {"custom": ["x"]}}}, "a is a str; expected an array"),
    "no list": ({"positions_2d": {"a": {"custom": 3}}}, "a is an int; expected a list of arrays, one a camera"),
    "two axes": ({"positions_2d": {"a": [joints(3, 34)]}}, r"float32 \(3, 34\); expected joints \[T, V, 2 or 3\]"),
    "four coordinates": ({"positions_2d": {"a": [joints(3, 17, 4)]}}, r"\(3, 17, 4\); expected joints"),
    "no video": ({"positions_2d": {}}, "positions_2d has no video"),
    "both": ({"positions_2d": {}, "positions_3d": {}}, "expected one of them: save them in two files"),
    "a class": ({"positions_2d": {"a": Path("x")}}, "a is a pathlib"),
    "a width of text": (
        {"positions_2d": {"a": [joints(1)]}, "metadata": {"video_metadata": {"a": {"w": "1", "h": 2}}}},
        "w of its metadata is '1'; expected a number of pixels",
    ),
    "metadata of a list": ({"positions_2d": {"a": [joints(1)]}, "metadata": np.array([1], object)}, "expected a dict"),
    "fewer keypoints": (
        {"boxes": np.array([[[], []]], object), "keypoints": np.zeros(0, object)},
        "boxes has 1 frame and keypoints 0",
    ),
    "boxes alone": (
        {"boxes": np.array([[[], joints(1, 5)]], object), "keypoints": np.array([[[], []]], object)},
        r"frame 0 has boxes \(1, 5\) and keypoints None",
    ),
    "another class": (
        {"boxes": np.array([[joints(1, 5), []]], object), "keypoints": np.array([[[], []]], object)},
        r"boxes\[0\] has detections of class 0",
    ),
    "no classes": ({"boxes": np.array([3], object), "keypoints": np.array([3], object)}, "expected a list of classes"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named(tmp_path: Path, name: str) -> None:
    arrays, reason = WRONG[name]
    path = save(tmp_path / "a.npz", **arrays)
    with pytest.raises(SourceError, match=reason) as caught:
        open_source(path)
    assert str(caught.value).startswith(f"{path}")
    assert "\n" not in str(caught.value)


class Dangerous:
    """Its pickle would make a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return open, (str(self.path), "w")


def test_nothing_in_a_pickle_is_run(tmp_path: Path) -> None:
    made = tmp_path / "made"
    path = save(tmp_path / "a.npz", positions_2d={"a": {"custom": [Dangerous(made)]}})
    with pytest.raises(SourceError, match="expected an array"):
        open_source(path)
    assert not made.exists()
    path = save(tmp_path / "b.npz", positions_2d={"a": [joints(1)]}, metadata={"x": Dangerous(made)})
    with closing(open_source(path)) as source:
        json.dumps(source.description())
    assert not made.exists()


def test_arrays_that_are_repeated_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(videopose3d, "_MOST_BYTES", 10_000)
    array = joints(10)
    with pytest.raises(SourceError, match="has more than 10,000 bytes of joints"):
        open_source(save(tmp_path / "a.npz", positions_2d={"a": {"custom": [array] * 10}}))


def test_few_bytes_that_repeat_an_array_take_no_time(tmp_path: Path) -> None:
    many = np.empty(200_000, object)
    frames = np.empty(200_000, object)
    frames[:] = [many] * len(frames)
    path = save(tmp_path / "a.npz", boxes=frames, keypoints=frames)
    with pytest.raises(SourceError, match="expected a list of classes"):
        open_source(path)
    for name, array in (("b", np.empty((10**15, 0), object)), ("c", np.empty((0, 10**15), object))):
        with closing(open_source(save(tmp_path / f"{name}.npz", boxes=array, keypoints=array))) as source:
            assert source.video(0)[0]["total_frames"] == 0


def member(data: bytes, name: str = "positions_2d.npy") -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, data)
    return file.getvalue()


def test_a_damaged_pickle_is_named_by_its_array(tmp_path: Path) -> None:
    whole = save(tmp_path / "whole.npz", positions_2d={"a": {"custom": [joints(2)]}})
    with zipfile.ZipFile(whole) as archive:
        data = archive.read("positions_2d.npy")
    path = tmp_path / "a.npz"
    files = open_files()
    for stop in range(0, len(data), 7):
        path.write_bytes(member(data[:stop]))
        with pytest.raises(SourceError) as caught:
            open_source(path)
        assert str(caught.value).startswith((f"{path}: positions_2d ", f"{path}: positions_2d: "))
        assert tempfile.gettempdir() not in str(caught.value).removeprefix(str(path))
    assert open_files() == files


def test_object_arrays_are_read_in_c_order(tmp_path: Path) -> None:
    array = np.empty((2, 3), object)
    array[:] = [[1, "a", None], [[], {"x": joints(2)}, 2.5]]
    path = save(tmp_path / "a.npz", c=array, f=np.asfortranarray(array), one=np.array(None, object))
    for name in ("c", "f"):
        shape, elements = read_objects(path, name)
        assert shape == (2, 3)
        assert_exact(elements, array.ravel().tolist())
    assert read_objects(path, "one") == ((), [None])
    with pytest.raises(SourceError, match="has no array d"):
        read_objects(path, "d")


LEAVES = st.none() | st.integers() | st.text(max_size=3) | st.just(np.zeros((2, 17, 2), np.float32)) | st.just(())


@given(
    st.dictionaries(
        st.text(max_size=3),
        st.recursive(
            LEAVES, lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(), x, max_size=3), max_leaves=6
        ),
    )
)
@settings(max_examples=30)
def test_any_dict_is_a_data_set_or_an_error(tree: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as place:
        path = save(Path(place) / "a.npz", positions_2d=tree, metadata=tree)
        try:
            source = open_source(path)
        except SourceError as error:
            message = str(error)
        else:
            message = str(path)
            with closing(source):
                assert all(source.video(i)[0]["keypoint"].shape == (1, 2, 17, 2) for i in range(len(source)))
    assert str(path) in message
