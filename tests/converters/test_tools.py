"""Files of SLEAP, NWB, DeepLabCut and pose-format: read by their libraries, or declined with what to install."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import converters
import skelstore
from converters import open_source
from converters.dialects.poses.tools import ToolFiles
from skelstore.errors import SourceError
from tests.support.exact import assert_exact
from tests.support.repository import REPOSITORY
from tests.support.source_contract import check_source

pytestmark = pytest.mark.filterwarnings("ignore")  # of the libraries


def library(name: str) -> Any:
    """The library. Skip the test, by the library's name, if it is not installed."""
    return pytest.importorskip(name, reason=f"{name} is not installed here: pip install 'skelstore[tools]'")


# ------------------------------------------------------------------------------------- without a library


@pytest.mark.parametrize(
    ("name", "content", "needed"),
    [
        ("a.slp", b"\x89HDF\r\n\x1a\n", "sleap-io"),
        ("a.nwb", b"\x89HDF\r\n\x1a\n", "sleap-io"),
        ("a.analysis.h5", b"\x89HDF\r\n\x1a\n", "sleap-io"),
        ("a.csv", b"scorer,me,me\r\nbodyparts,nose,nose\r\ncoords,x,y\r\nimg0001.png,1,2\r\n", "sleap-io"),
        ("a.pose", bytes(20), "pose-format"),
    ],
)
def test_what_to_install_is_said(
    tmp_path: Path, name: str, content: bytes, needed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("sleap_io", "pose_format"):
        monkeypatch.setitem(sys.modules, module, None)
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / name).write_bytes(content)
    for path in (tmp_path / "f" / name, tmp_path / "f"):
        with pytest.raises(
            SourceError, match=rf"{name} is a file of .*, which the library {needed} reads, and it is not "
        ):
            open_source(path)
        with pytest.raises(SourceError, match=r"pip install 'skelstore\[tools\]'$"):
            open_source(path)


def test_other_files_are_not_taken_for_them(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("path,label\na,b\n")
    (tmp_path / "a.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(60))
    for path, said in (
        (tmp_path / "a.csv", "is a CSV file"),
        (tmp_path / "a.h5", "is an HDF5 file"),
        (tmp_path, "folder"),
    ):
        with pytest.raises(SourceError, match=said):
            open_source(path)
    with pytest.raises(SourceError, match="has no file of SLEAP, NWB, DeepLabCut or pose-format"):
        open_source(tmp_path, "tools")
    (tmp_path / "a.slp").write_bytes(b"PK\x03\x04" + bytes(30))
    with pytest.raises(SourceError, match="is a zip file; the libraries read files on disk: unpack it"):
        open_source(tmp_path / "a.slp", "tools")


def test_the_libraries_are_loaded_only_when_they_are_used() -> None:
    code = "import sys, converters.dialects.registry; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=REPOSITORY, check=True)
    assert not {"sleap_io", "pose_format"} & set(done.stdout.split())


# ------------------------------------------------------------------------------------------ stand-ins

XY = np.array([[1.0, 2.0], [np.nan, np.nan], [3.0, 4.0]])
DTYPE = [("xy", "f8", (2,)), ("score", "f8"), ("visible", "?")]


def instance(points: Any, track: Any = None, score: float | None = None, corrects: Any = None) -> SimpleNamespace:
    """What this project uses of an instance of sleap-io: a prediction has a score."""
    array = np.zeros(len(points), DTYPE)
    array["xy"], array["score"] = points, 0.25
    array["visible"] = np.isfinite(points).all(axis=1)
    made = SimpleNamespace(points=array, track=track, skeleton=SimpleNamespace(node_names=["nose", "tail", "ear"]))
    if score is None:
        made.from_predicted = corrects
    else:
        made.score = score
    return made


def test_videos_of_sleap_by_a_stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The values of each video, whether or not the library is installed."""
    tracks = [SimpleNamespace(name="a"), SimpleNamespace(name="b")]
    videos = [
        SimpleNamespace(filename="x/one.mp4", shape=(9, 480, 640, 3)),
        SimpleNamespace(filename=["two.png"], shape=None),
    ]
    videos.append(SimpleNamespace(filename="unlabelled.mp4", shape=None))
    corrected = instance(XY, score=0.5)
    frames = [
        (videos[0], 4, [instance(XY, tracks[1], 0.75), instance(XY + 1)]),
        (videos[0], 2, [corrected, instance(XY * 2, corrects=corrected), instance(XY, tracks[0], 0.5)]),
        (videos[1], 1, []),
    ]
    labels = SimpleNamespace(
        labeled_frames=[SimpleNamespace(video=v, frame_idx=np.int64(t), instances=i) for v, t, i in frames],
        videos=videos,
        tracks=tracks,
    )
    monkeypatch.setitem(sys.modules, "sleap_io", SimpleNamespace(load_file=lambda path, **options: labels))
    path = tmp_path / "mice.slp"
    path.write_bytes(b"\x89HDF\r\n\x1a\n")
    predicted = [[1, 2, 0.25], [0, 0, 0], [3, 4, 0.25]]
    more = [[2, 3, 1], [0, 0, 0], [4, 5, 1]]
    twice = [[2, 4, 1], [0, 0, 0], [6, 8, 1]]
    expected: list[dict[str, Any]] = [
        {
            "frame_dir": "mice/one",
            "img_shape": (480, 640),
            "original_shape": (480, 640),
            "total_frames": 9,
            "keypoint": np.array([twice, predicted, predicted, more], np.float32),
            "frame_inds": np.array([2, 2, 4, 4], np.int32),
            "box_score": np.array([2 / 3, 0.5, 0.75, 2 / 3], np.float32),
            "track": np.array([-1, 0, 1, -1], np.int32),
            "first_frame": 0,
            "mean_box_scores": 2,
            "not_kept": "predictions that were corrected by hand",
        },
        {
            "frame_dir": "mice/two",
            "total_frames": 2,
            "keypoint": np.zeros((0, 3, 3), np.float32),
            "frame_inds": np.zeros(0, np.int32),
            "box_score": np.zeros(0, np.float32),
            "first_frame": 0,
        },
    ]
    source = open_source(path)
    assert source.dialect == "tools"
    assert source.description()["joint_names"] == ["nose", "tail", "ear"]
    check_source(source, expected, {})


def test_what_a_library_raises_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: str, **options: Any) -> None:
        raise KeyError("metadata\nand more")

    monkeypatch.setitem(sys.modules, "sleap_io", SimpleNamespace(load_file=fail))
    (tmp_path / "a.slp").write_bytes(b"\x89HDF\r\n\x1a\n")
    for path in (tmp_path / "a.slp", tmp_path):
        with pytest.raises(SourceError, match=r"a\.slp: sleap-io cannot read it \(KeyError: "):
            open_source(path)
    empty = SimpleNamespace(labeled_frames=[], videos=[], tracks=[])
    monkeypatch.setitem(sys.modules, "sleap_io", SimpleNamespace(load_file=lambda path, **options: empty))
    with pytest.raises(SourceError, match="finds no labelled frame in it"):
        open_source(tmp_path / "a.slp")


# --------------------------------------------------------------------------------------- the libraries


@pytest.fixture
def labels() -> Any:
    """Two videos with two predicted instances in frames 0 and 2, and one by hand in frame 3."""
    sleap = library("sleap_io")
    random = np.random.default_rng(0)
    skeleton = sleap.Skeleton(nodes=["head", "thorax", "abdomen"], edges=[("head", "thorax")], name="fly")
    tracks = [sleap.Track("a"), sleap.Track("b")]
    frames = []
    for name in ("one.mp4", "two.mp4"):
        video = sleap.Video(filename=name, open_backend=False)
        for t in (0, 2, 3):
            instances = [
                sleap.PredictedInstance.from_numpy(
                    random.uniform(0, 100, (3, 2)),
                    skeleton=skeleton,
                    point_scores=random.uniform(0, 1, 3),
                    score=float(random.random()),
                    track=track,
                )
                for track in tracks
            ]
            if t == 3:
                instances = [sleap.Instance.from_numpy(XY, skeleton=skeleton)]
            frames.append(sleap.LabeledFrame(video=video, frame_idx=t, instances=instances))
    return sleap.Labels(frames)


def check_clip(annotation: dict[str, Any], frames: list[Any], tracks: list[Any]) -> None:
    """Check a clip against the frames of a video in the library's own words."""
    rows = [(frame.frame_idx, one) for frame in frames for one in frame.instances]
    assert_exact(annotation["frame_inds"], np.array([t for t, _ in rows], np.int32))
    for row, (_, one) in zip(annotation["keypoint"], rows, strict=True):
        xy = np.nan_to_num(one.numpy()).astype(np.float32)
        assert_exact(row[:, :2], np.ascontiguousarray(xy))
        scores = one.points["score"] if hasattr(one, "score") else np.ones(len(xy))
        assert_exact(row[:, 2], np.where(np.isfinite(one.numpy()).all(axis=1), scores, 0).astype(np.float32))
    names = [None if one.track is None else one.track.name for _, one in rows]
    assert annotation["track"].tolist() == [-1 if name is None else tracks.index(name) for name in names]


def test_slp(labels: Any, tmp_path: Path) -> None:
    labels.save(str(tmp_path / "a.slp"), embed=False)
    with closing(open_source(tmp_path)) as source:
        found = [source.video(i)[0] for i in range(len(source))]
    assert [annotation["frame_dir"] for annotation in found] == ["a/one", "a/two"]
    for annotation, video in zip(found, labels.videos, strict=True):
        check_clip(annotation, [frame for frame in labels if frame.video is video], ["a", "b"])
        assert annotation["total_frames"] == 4
    converters.convert(tmp_path / "a.slp", tmp_path / "s.zarr", workers=1)
    with skelstore.open(tmp_path / "s.zarr") as store:
        assert_exact(list(store), found)


def test_analysis_h5(labels: Any, tmp_path: Path) -> None:
    sleap = library("sleap_io")
    sleap.save_analysis_h5(labels, str(tmp_path / "a.analysis.h5"), video=labels.videos[0])
    with closing(open_source(tmp_path / "a.analysis.h5")) as source:
        annotation, _ = source.video(0)
    check_clip(annotation, list(labels[:2]), ["a", "b"])


def test_nwb(labels: Any, tmp_path: Path) -> None:
    sleap = library("sleap_io")
    predicted = sleap.Labels(
        [sleap.LabeledFrame(video=labels.videos[0], frame_idx=t, instances=labels[t].instances) for t in (0, 1)]
    )
    sleap.save_nwb(predicted, str(tmp_path / "a.nwb"), nwb_format="predictions")
    with closing(open_source(tmp_path / "a.nwb")) as source:
        annotation, _ = source.video(0)
    assert annotation["keypoint"].shape == (4, 3, 3)
    found = sorted(annotation["keypoint"][..., :2].reshape(-1, 6).tolist())
    expected = sorted(
        one.numpy().astype(np.float32).ravel().tolist() for frame in labels[:2] for one in frame.instances
    )
    assert found == expected


def test_labels_of_deeplabcut(tmp_path: Path) -> None:
    library("sleap_io")
    image = library("imageio.v3") if importlib.util.find_spec("imageio") else None
    lines = ["scorer,me,me,me,me", "bodyparts,nose,nose,tail,tail", "coords,x,y,x,y"]
    folder = tmp_path / "labeled-data" / "mouse"
    folder.mkdir(parents=True)
    for t in (1, 2):
        lines.append(f"labeled-data/mouse/img{t:03d}.png,{t},2.5,{'' if t == 2 else 3},{'' if t == 2 else 4}")
        if image is not None:
            image.imwrite(folder / f"img{t:03d}.png", np.zeros((20, 30, 3), np.uint8))
    path = folder / "CollectedData_me.csv"
    path.write_text("\n".join(lines) + "\n")
    with closing(open_source(path)) as source:
        annotation, _ = source.video(0)
    expected = [[[1, 2.5, 1], [3, 4, 1]], [[2, 2.5, 1], [0, 0, 0]]]
    assert_exact(annotation["keypoint"], np.array(expected, np.float32))
    os.remove(folder / "img001.png")
    os.remove(folder / "img002.png")
    with pytest.raises(SourceError, match="finds no labelled frame in it; DeepLabCut's labels need the images"):
        open_source(path)


def write_pose(path: Path, data: Any, scores: Any, components: list[tuple[str, list[str]]], dims: str = "XYZC") -> None:
    pose = library("pose_format")
    from pose_format.numpy import NumPyPoseBody
    from pose_format.pose_header import PoseHeader, PoseHeaderComponent, PoseHeaderDimensions

    of = [PoseHeaderComponent(name, points, [], [], dims) for name, points in components]
    header = PoseHeader(0.2, PoseHeaderDimensions(640, 480, 10), of)
    mask = np.repeat((scores == 0)[..., None], data.shape[-1], -1)
    with open(path, "wb") as file:
        pose.Pose(header, NumPyPoseBody(25.0, np.ma.masked_array(data, mask=mask), scores)).write(file)


def test_pose(tmp_path: Path) -> None:
    names = [name.upper() for name in skelstore.joints.LAYOUTS["mediapipe-33"].joints]
    parts = [
        ("POSE_LANDMARKS", names),
        ("FACE_LANDMARKS", ["a", "b"]),
        ("LEFT_HAND_LANDMARKS", ["c"] * 21),
        ("x y", ["d"]),
    ]
    random = np.random.default_rng(0)
    data = random.uniform(0, 480, (5, 2, 57, 3)).astype(np.float32)
    scores = random.uniform(0.1, 1, (5, 2, 57)).astype(np.float32)
    scores[2] = scores[3, 1] = 0
    scores[1, 0, 35:56] = 0
    scores[0, 0, 3] = 0
    write_pose(tmp_path / "a.pose", data, scores, parts)
    with closing(open_source(tmp_path / "a.pose")) as source:
        assert source.dialect == "tools"
        annotation, _ = source.video(0)
        assert source.description()["joints"] == {"layout": "mediapipe-33", "derived": []}
    rows = [(0, 0), (0, 1), (1, 0), (1, 1), (3, 0), (4, 0), (4, 1)]
    joined = np.where(scores[..., None] > 0, np.concatenate([data[..., :2], scores[..., None]], -1), 0)
    z = np.where(scores > 0, data[..., 2], 0)
    expected: dict[str, Any] = {
        "frame_dir": "a",
        "img_shape": (480, 640),
        "original_shape": (480, 640),
        "total_frames": 5,
    }
    stacked = np.stack([joined[row] for row in rows])
    depth = np.stack([z[row] for row in rows])
    expected["keypoint"] = stacked[:, :33].copy()
    expected["frame_inds"] = np.array([t for t, _ in rows], np.int32)
    expected["box_score"] = stacked[:, :33, 2].astype(np.float64).mean(axis=1).astype(np.float32)
    fields = {"face_keypoint": slice(33, 35), "hand_left_keypoint": slice(35, 56), "keypoint": slice(0, 33)}
    fields["x_y_keypoint"] = slice(56, 57)
    for name, part in fields.items():
        if name != "keypoint":
            expected[name] = stacked[:, part].copy()
        expected[f"{name}_z"] = depth[:, part].copy()
    expected |= {"first_frame": 0, "mean_box_scores": 7, "fps": 25.0}
    assert annotation.keys() == expected.keys()
    assert_exact({key: annotation[key] for key in expected}, expected)


@pytest.mark.parametrize("stop", [0, 3, 20, 100])
def test_a_pose_file_that_is_cut_short(tmp_path: Path, stop: int) -> None:
    write_pose(tmp_path / "a.pose", np.ones((2, 1, 3, 3), "f4"), np.ones((2, 1, 3), "f4"), [("POSE", ["a", "b", "c"])])
    data = (tmp_path / "a.pose").read_bytes()
    (tmp_path / "a.pose").write_bytes(data[: stop or 1])
    with pytest.raises(SourceError, match=r"a\.pose: pose-format cannot read it"):
        ToolFiles(tmp_path / "a.pose")
