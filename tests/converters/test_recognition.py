"""Files that no dialect reads are identified, with the next step; and annotations are never taken for them."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import re
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from converters import samples
from converters.dialects.registry import open_source
from converters.inputs.recognition import describe_file, describe_list, is_annotation, is_label_pickle
from converters.samples.skeletons import write_skeletons
from skelstore.errors import SourceError
from tests.support.array_files import npy, npz
from tests.support.source_contract import dump

CLIP = np.zeros((3, 30, 25, 2), np.float32)
NO_BLAME = ("opcode", "cut short", "fetch it again", "Kinetics")
"""Words that no message about these files contains."""


def refusal(path: Path, dialect: str | None = None, **options: Any) -> str:
    """The message that declines a source."""
    with pytest.raises(SourceError) as caught:
        open_source(path, dialect, **options)
    text = str(caught.value)
    assert not any(word in text for word in NO_BLAME), text
    assert text.count(str(path)) >= 1
    return text


def packed(names: dict[str, bytes]) -> bytes:
    """A zip archive."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, content in names.items():
            archive.writestr(name, content)
    return data.getvalue()


def tarred() -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a.pkl"))
    return data.getvalue()


MATLAB = b"MATLAB 5.0 MAT-file, Platform: GLNXA64".ljust(124) + b"\0\1IM" + b"\xff" * 64
LEGACY_TORCH = b"".join(pickle.dumps(value, 2) for value in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}))
JOINT = [1.0, 2.0, 0.9]

FILES: dict[str, tuple[bytes, str]] = {
    "a.csv": (b"Frames#,score_overall,nose_x\n0,0.5,1.0\n", r"is a CSV file.*--table.*own_data"),
    "b.csv": (b"\xef\xbb\xbfpath;label\n", r"is a CSV file"),
    "quoted.txt": (b"name,label\nM\xfcller,1\n", r"is a CSV file"),
    "five.mat": (MATLAB, r"is a MATLAB file.*own_data.*scipy"),
    "short.mat": (b"MATLAB 5.0 MAT-file, Platform" + b" " * 100, r"is a MATLAB file"),
    "seven.mat": (b"MATLAB 7.3 MAT-file".ljust(512) + b"\x89HDF\r\n\x1a\n", r"is a MATLAB 7.3 \(HDF5\) file.*h5py"),
    "a.h5": (b"\x89HDF\r\n\x1a\n" + bytes(60), r"is an HDF5 file.*h5py"),
    "a.gz": (gzip.compress(b"x"), r"compressed with gzip: unpack it"),
    "a.tar": (tarred(), r"is a tar archive: unpack it"),
    "a.zip": (packed({"a.txt": b"x"}), r"is a zip archive: unpack it"),
    "cut.zip": (packed({"a.txt": b"x"})[:-9], r"is a damaged zip archive"),
    "model.pt": (packed({"model/data.pkl": b"x", "model/data/0": b"y"}), r"is a file of PyTorch.*own_data"),
    "old.pth": (LEGACY_TORCH, r"is a file of PyTorch"),
    "a.parquet": (b"PAR1" + bytes(30), r"is a Parquet table.*--table"),
    "a.mp4": (b"\0\0\0\x20ftypisom" + bytes(30), r"is a video; expected keypoints"),
    "a.jpg": (b"\xff\xd8\xff\xe0" + bytes(30), r"is an image; expected keypoints"),
    "lfs.pkl": (b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\n", r"git lfs pull"),
    "page.pkl": (b"<!DOCTYPE html>\n<html>", r"is a web page.*get the file itself"),
    "numbers.txt": (b"0 0.5 0.25 0.1\n1 0.5 0.25 0.1\n", r"is a text file of numbers.*own_data"),
    "readme.md": (b"# Data\nSee the page of the project.\n", r"is a text file; expected a pickle"),
    "X.npy": (npy(np.zeros((50, 30, 17, 2))), r"one array, float64 \(50, 30, 17, 2\).*50 clips in one array"),
    "y.npy": (npy(np.arange(50)), r"labels: pass them in a --table"),
    "clip.npy": (npy(np.zeros((30, 17, 2))), r"if it is one video, convert the folder"),
    "rows.npy": (npy(np.zeros((30, 75))), r"one row of joints per frame: reshape the rows to \(25, 3\)"),
    "train_data.npy": (npy(CLIP[None]), r"ST-GCN or 2s-AGCN.*np\.transpose\(x\[i\], \(3, 1, 2, 0\)\).*own_data"),
    "NTU60_CS.npz": (npz(x_train=CLIP, y_train=CLIP, x_test=CLIP, y_test=CLIP), r"CTR-GCN.*sources_ntu.*reshape"),
    "keypoints.npz": (npz(keypoints=CLIP), r"expected keypoint: rename it"),
    "xy.npz": (npz(X=CLIP, y=CLIP), r"one array of all clips and one of their labels.*own_data"),
    "clip.npz": (npz(keypoint=CLIP), r"the arrays of one video: convert the folder"),
    "some.npz": (npz(a=CLIP), r"has the arrays 'a'; expected keypoint"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_named_for_what_it_is(tmp_path: Path, name: str) -> None:
    content, expected = FILES[name]
    path = tmp_path / name
    path.write_bytes(content)
    text = refusal(path)
    assert "\n" not in text
    assert re.search(expected, text), text


@pytest.mark.parametrize("name", ["a.csv", "five.mat", "a.gz", "model.pt", "page.pkl"])
def test_it_is_named_for_a_stated_dialect_too(tmp_path: Path, name: str) -> None:
    content, expected = FILES[name]
    path = tmp_path / name
    path.write_bytes(content)
    for dialect in ("pyskl", "list", "ntu"):
        if (dialect, name) != ("ntu", "model.pt"):
            assert re.search(expected, refusal(path, dialect))
    assert re.search(expected, refusal(path, "extraction"))


JSON: dict[str, object] = {
    "OpenPose": {"version": 1.3, "people": [{"person_id": [-1], "pose_keypoints_2d": JOINT * 25}]},
    "AlphaPose": [{"image_id": "0.jpg", "category_id": 1, "keypoints": JOINT * 17, "score": 2.5, "idx": [0.0]}],
    "MMPose": [{"frame_id": 0, "instances": [{"keypoints": [[1, 2]], "keypoint_scores": [0.9]}]}],
    "COCO's keypoints": {"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [], "categories": []},
    "COCO's keypoints (results)": [{"image_id": 1, "category_id": 1, "keypoints": JOINT * 17, "score": 1.0}],
    "Kinetics-Skeleton": {"data": [{"frame_index": 1, "skeleton": []}], "label": "a", "label_index": 3},
    "MediaPipe": [[{"x": 0.5, "y": 0.5, "z": 0.0, "visibility": 0.9}]],
    "Toyota Smarthome": {"frames": [[]], "njts": 13},
}


NOT_READ = ["Toyota Smarthome"]


@pytest.mark.parametrize("tool", NOT_READ)
def test_json_is_named_by_the_tool_that_writes_it(tmp_path: Path, tool: str) -> None:
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "a.json"
    for indent in (None, 1):
        path.write_text(json.dumps(JSON[tool], indent=indent))
        for source in (path, path.parent):
            with pytest.raises(SourceError) as caught:
                open_source(source)
            assert f"is JSON of {tool}, which is not read: make a .npz of each video" in str(caught.value)


def test_json_that_another_dialect_reads(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"file_name": "a01_s01_e00_v01", "skeletons": [], "label": 1}')
    for dialect in ("pyskl", "ntu"):
        assert "is JSON of NW-UCLA: convert it, or the folder that it is in" in refusal(tmp_path / "a.json", dialect)


@pytest.mark.parametrize("tool", ["OpenPose", "AlphaPose", "Kinetics-Skeleton", "MMPose", "MediaPipe"])
def test_json_of_a_pose_tool_is_named_for_another_dialect(tmp_path: Path, tool: str) -> None:
    (tmp_path / "a.json").write_text(json.dumps(JSON[tool]))
    with pytest.raises(SourceError, match=f"is JSON of {tool}: convert it, or the folder .*--from {tool.lower()}"):
        open_source(tmp_path / "a.json", "pyskl")


def test_coco_and_pickles_of_mmpose_are_named_for_another_dialect(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(JSON["COCO's keypoints"]))
    assert "is JSON of COCO's keypoints: convert it" in refusal(tmp_path / "a.json", "pyskl")
    path = dump(tmp_path / "a.pkl", [[INSTANCE] * 3] * 2)
    assert "MMPose's instances per person and frame: convert it with --from mmpose" in refusal(path, "list")


def test_json_of_two_dialects_is_asked_about(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(JSON["COCO's keypoints (results)"]))
    with pytest.raises(SourceError, match=r"--from alphapose; .* --from coco"):
        open_source(tmp_path / "a.json")


def test_the_labels_of_kinetics_skeleton(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"-a": {"has_skeleton": true, "label": "a", "label_index": 3}}')
    with pytest.raises(SourceError, match="convert the folder with the clips, which is beside it"):
        open_source(tmp_path / "a.json")


def test_json_of_no_known_tool(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[1, 2]")
    assert "is JSON, which is not read" in refusal(tmp_path / "a.json")


@pytest.mark.parametrize(
    ("file", "tool"),
    [
        ("alphapose/alphapose-results.json", "AlphaPose"),
        ("coco/person_keypoints_val.json", "COCO's keypoints"),
        ("kinetics_skeleton/--33Lscn6sk.json", "Kinetics-Skeleton"),
        ("mediapipe/landmarks_dict.json", "MediaPipe"),
        ("mmpose/predictions_halpe26.json", "MMPose"),
        ("openpose/cam01_json/cam01.0000.json", "OpenPose"),
        ("openpose18/clip_000000000000_keypoints.json", "OpenPose"),
    ],
)
def test_real_json_is_named_by_its_tool(real_file: Callable[[str], Path], file: str, tool: str) -> None:
    said = describe_file(real_file(file))
    assert said is not None
    assert said.startswith((f"is JSON of {tool}, ", f"is JSON of {tool}: "))


def test_the_real_files_of_st_gcn(real_file: Callable[[str], Path]) -> None:
    array, labels = real_file("stgcn/val_data.npy"), real_file("stgcn/val_label.pkl")
    for path, table in ((array, None), (array, labels), (labels, None), (array.parent, None)):
        text = str(refusal(path, table=table) if table is None else refusal_of_table(path, table))
        assert "ST-GCN or 2s-AGCN" in text
        assert "np.transpose(x[i], (3, 1, 2, 0))" in text


def refusal_of_table(path: Path, table: Path) -> str:
    with pytest.raises(SourceError) as caught:
        open_source(path, table=table)
    return str(caught.value)


@pytest.mark.parametrize("file", ["annotations/hrnet_11_joints.pkl", "annotations/single_annotation.pkl"])
def test_real_annotations_are_taken(real_file: Callable[[str], Path], file: str) -> None:
    with closing(open_source(real_file(file))) as source:
        assert "keypoint" in source.video(0)[0]


def test_a_real_table_of_contents_is_taken(real_file: Callable[[str], Path]) -> None:
    with closing(open_source(real_file("annotations/k400_toc_100.pkl"))) as source:
        assert len(source) == 100


INSTANCE = {"keypoints": np.zeros((1, 17, 2)), "keypoint_scores": np.ones((1, 17)), "bboxes": np.zeros((1, 4))}
RAW = {"name": "S001C001P001R001A001", "data": {"72": {"joints": np.zeros((75, 3))}}, "num_frames": 3}
PICKLES: dict[str, tuple[object, str]] = {
    "poses": (
        [{"pose": np.zeros((17, 3)), "vis": np.ones(17)}],
        r"keys 'pose', 'vis', none.*own_data.*--from list conv",
    ),
    "raw_skes_data": ([RAW], r"CTR-GCN's raw_skes_data.pkl.*sources_ntu"),
    "raw_denoised_joints": ([np.zeros((37, 150)), np.zeros((46, 75))], r"arrays of joints.*reshape.*own_data"),
    "joints": ([np.zeros((37, 17, 3))] * 2, r"arrays of joints"),
    "scores": ([np.zeros(60)] * 2, r"scores of a test run"),
    "scores of clips": ([np.zeros((10, 400))] * 2, r"scores of a test run"),
    "lists": ([[1, 2]], r"list of lists"),
    "frame": ({**INSTANCE, "frame_id": 3}, r"rename keypoints to keypoint"),
    "checkpoint": ({"state_dict": {}, "epoch": 3}, r"keys 'state_dict', 'epoch', none of which.*--from single"),
    "coco": ({"images": [], "annotations": [{"image_id": 1, "bbox": [1, 2]}]}, r"none of which.*--from pyskl"),
    "label": ((["a.skeleton", "b.skeleton"], [0, 1]), r"names and labels of ST-GCN"),
    "label of three": ((["a", "b"], np.arange(2), [30, 30]), r"names and labels of ST-GCN"),
    "array": (np.zeros((30, 17, 3)), r"one array.*numpy\.save.*own_data"),
    "arrays": (np.zeros((120, 30, 17, 3)), r"120 clips in one array"),
    "implausible": ([{"frame_dir": 3, "keypoint": None, "label": None}], r"none of which"),
}


@pytest.mark.parametrize("name", PICKLES)
def test_a_pickle_of_something_else_is_named(tmp_path: Path, name: str) -> None:
    value, expected = PICKLES[name]
    for protocol in (0, 2, 4):
        text = refusal(dump(tmp_path / "a.pkl", value, protocol))
        assert re.search(expected, text), text
        assert "\n" not in text


def test_a_stated_dialect_converts_dicts_without_the_keys_of_an_annotation(tmp_path: Path) -> None:
    odd = {"pose": 3}
    stated = {
        "list": dump(tmp_path / "list.pkl", [odd]),
        "single": dump(tmp_path / "single.pkl", odd),
        "folder": dump(tmp_path / "f" / "a.pkl", odd).parent,
        "pyskl": dump(tmp_path / "pyskl.pkl", {"annotations": [odd]}),
    }
    for dialect, path in stated.items():
        with closing(open_source(path, dialect)) as source:
            assert source.video(0)[0] == odd, dialect


def test_a_folder_with_one_pickle_per_frame(tmp_path: Path) -> None:
    for t in range(2):
        dump(tmp_path / "f" / f"{t:06d}.pkl", {**INSTANCE, "frame_id": t})
    text = refusal(tmp_path / "f")
    assert "000000.pkl (one of 2 pickles) is a dict" in text
    assert "if each file is a frame, join those of a video in one file" in text
    assert "--from folder" in text


def test_a_folder_of_data_sets(tmp_path: Path) -> None:
    dump(tmp_path / "f" / "train.pkl", {"split": {}, "annotations": [{"frame_dir": "a"}]})
    assert "convert train.pkl itself" in refusal(tmp_path / "f")
    dump(tmp_path / "f" / "val.pkl", {"split": {}, "annotations": [{"frame_dir": "b"}]})
    assert "convert each of them, then `skelstore merge` the stores" in refusal(tmp_path / "f")


def test_a_folder_of_an_array_and_its_labels(tmp_path: Path) -> None:
    (tmp_path / "f").mkdir()
    np.save(tmp_path / "f" / "X.npy", np.zeros((50, 30, 17, 2)))
    np.save(tmp_path / "f" / "y.npy", np.arange(50))
    assert "one array of all clips ('X.npy', (50, 30, 17, 2)) and one of their labels ('y.npy')" in refusal(
        tmp_path / "f"
    )


def test_folders_of_other_files(tmp_path: Path) -> None:
    (tmp_path / "empty" / "sub").mkdir(parents=True)
    assert "is a folder without files; expected .skeleton, .pkl, " in refusal(tmp_path / "empty")
    (tmp_path / "lmdb").mkdir()
    (tmp_path / "lmdb" / "data.mdb").write_bytes(bytes(8))
    assert "is an LMDB database" in refusal(tmp_path / "lmdb")
    (tmp_path / "mixed").mkdir()
    for i in range(3):
        (tmp_path / "mixed" / f"{i}.mat").write_bytes(MATLAB)
    (tmp_path / "mixed" / "notes.txt").write_text("x")
    assert "with other files (3 of .mat, 1 of .txt): 0.mat is a MATLAB file" in refusal(tmp_path / "mixed")
    (tmp_path / "binary").mkdir()
    (tmp_path / "binary" / "a.bin").write_bytes(bytes(9))
    assert "(1 of .bin); expected .skeleton, .pkl, " in refusal(tmp_path / "binary")
    assert "with other files" in refusal(tmp_path / "binary", label_by="ntu")


def test_a_skeleton_file_alone(tmp_path: Path) -> None:
    write_skeletons(tmp_path, ["S001C001P001R001A001"])
    path = tmp_path / "S001C001P001R001A001.skeleton"
    for dialect in (None, "ntu"):
        assert "is a .skeleton file of NTU RGB+D: convert the folder that it is in" in refusal(path, dialect)
    path.rename(tmp_path / "a.txt")
    assert "is a .skeleton file" in refusal(tmp_path / "a.txt")


def test_every_sample_is_an_annotation() -> None:
    for annotation in (*samples.ntu_like(3)["annotations"], *samples.bare_list_like(3), *samples.compressed_like(3)):
        assert is_annotation(annotation)
        assert describe_list(annotation, None) is None


VALUES = {
    "frame_dir": st.one_of(st.text(), st.text().map(np.str_)),
    "keypoint": st.just(np.zeros((1, 2, 3, 2))),
    "frame_inds": st.just(np.zeros(3, np.int16)),
    "total_frames": st.one_of(st.integers(), st.integers(0, 99).map(np.int64)),
    "label": st.one_of(st.integers(), st.text(), st.lists(st.integers()), st.dictionaries(st.text(), st.integers())),
    "img_shape": st.tuples(st.integers(), st.integers()),
}


@given(
    st.sampled_from(list(VALUES)).flatmap(lambda key: st.tuples(st.just(key), VALUES[key])),
    st.dictionaries(st.text(), st.none()),
)
def test_one_key_of_the_field_is_enough(given_key: tuple[str, Any], others: dict[str, None]) -> None:
    assert is_annotation(others | dict([given_key]))


@given(st.one_of(st.binary(max_size=300), st.text(max_size=300).map(str.encode)))
def test_any_bytes_are_named_or_left_to_the_reader_of_pickles(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.pkl"
        path.write_bytes(data)
        said = describe_file(path)
        assert said is None or said.startswith(("is ", "has "))


@given(st.recursive(st.none() | st.integers() | st.text(), st.lists, max_leaves=5), st.integers(0, 1))
def test_pickles_of_protocol_0_and_1_are_not_called_text(value: object, protocol: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = dump(Path(folder) / "a.pkl", [value, {"a": value}], protocol)
        assert describe_file(path) is None


def test_labels_of_st_gcn() -> None:
    assert is_label_pickle((["a", "b"], [0, 1]))
    assert not is_label_pickle((["a", "b"], [0]))
    assert not is_label_pickle((["a"], (["b"], ["c"], ["d"], ["e"])))
    assert not is_label_pickle(({"frame_dir": "a"},))
    assert not is_label_pickle(None)
