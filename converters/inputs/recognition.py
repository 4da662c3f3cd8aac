"""Descriptions of files that no dialect reads: what a file is, by its first bytes or values, and what to do with it.

The ``describe`` functions return the rest of a sentence that begins with the path of the file: ``is …: …``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from converters.inputs import archive
from converters.inputs.array_file import npy_header
from converters.inputs.axes import joints_in_row, other_reading
from converters.pickles.arrays import Foreign
from converters.pickles.file import PickleFile
from skelstore.errors import SourceError
from skelstore.format.files import open_regular
from skelstore.wording import shown, shown_names

OWN_DATA = "make a .npz of each video, with keypoint [M, T, V, C] and keypoint_score, and convert their folder"
"""What to do with data in any other form."""

_OWN_DATA = f"{OWN_DATA} (docs/own_data.md)"
_FILE_EACH = "in a file of its own, and convert the folder with a --table of path and label (docs/own_data.md)"

GCN_REMEDY = f"save each clip, np.transpose(x[i], (3, 1, 2, 0)), {_FILE_EACH}"
GCN_CLIPS = f"the array beside it, [N, C, T, V, M], is not read: {GCN_REMEDY}"
"""What to do with the files of ST-GCN and 2s-AGCN: an array of clips and a pickle of labels."""

IN_FOLDER = "convert the folder that it is in"
"""What to do with the array of one video."""

_HEAD = 64 << 10
"""Bytes of a file that are read."""
_MAX_LISTED = 1000
"""Files of a folder that are counted by suffix."""

_BINARY = (
    (b"MATLAB 5.0", f"is a MATLAB file, which is not read: {_OWN_DATA}; scipy.io.loadmat reads it"),
    (b"MATLAB 7.3", f"is a MATLAB 7.3 (HDF5) file, which is not read: {_OWN_DATA}; h5py reads it"),
    (b"\x89HDF\r\n\x1a\n", f"is an HDF5 file, which is not read: {_OWN_DATA}; h5py reads it"),
    (b"\x1f\x8b", "is compressed with gzip: unpack it (gunzip, or tar -xzf for a .tar.gz), and convert its content"),
    (b"BZh", "is compressed with bzip2: unpack it, and convert its content"),
    (b"\xfd7zXZ", "is compressed with xz: unpack it, and convert its content"),
    (b"\x28\xb5\x2f\xfd", "is compressed with zstandard: unpack it, and convert its content"),
    (b"7z\xbc\xaf\x27\x1c", "is a 7z archive: unpack it, and convert its content"),
    (b"Rar!", "is a RAR archive: unpack it, and convert its content"),
    (
        b"PAR1",
        "is a Parquet table: if it lists the videos of a folder, convert the folder with --table",
    ),
    (b"ARROW1", f"is an Arrow file, which is not read: {_OWN_DATA}"),
    (b"SQLite format 3\0", f"is an SQLite database, which is not read: {_OWN_DATA}"),
    (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", f"is a file of PyTorch, which is not read: {_OWN_DATA}"),
    (b"\x89PNG", "is an image; expected keypoints that a pose estimator has detected"),
    (b"\xff\xd8\xff", "is an image; expected keypoints that a pose estimator has detected"),
    (b"version https://git-lfs", "is a Git LFS pointer: get the file itself with `git lfs pull`"),
)
"""The first bytes of a file -> what it is."""

_JSON_TOOLS: tuple[tuple[str, frozenset[str]], ...] = tuple(
    (tool, frozenset(keys.split()))
    for tool, keys in (
        ("OpenPose", "people version"),
        ("OpenPose", "people pose_keypoints_2d"),
        ("MMPose", "instance_info"),
        ("MMPose", "instances frame_id"),
        ("MMPose", "keypoints keypoint_scores"),
        ("AlphaPose", "image_id keypoints idx"),
        ("AlphaPose", "image_id keypoints box"),
        ("COCO's keypoints", "images annotations"),
        ("COCO's keypoints", "images file_name"),
        ("COCO's keypoints (results)", "image_id keypoints"),
        ("Kinetics-Skeleton", "frame_index skeleton"),
        ("the labels of Kinetics-Skeleton", "has_skeleton"),
        ("Toyota Smarthome", "njts"),
        ("MediaPipe", "x y z visibility"),
    )
)
"""The tool or data set whose JSON has these keys; the first match counts."""

_JSON_DIALECTS = {
    "OpenPose": "openpose",
    "AlphaPose": "alphapose",
    "Kinetics-Skeleton": "kinetics-skeleton",
    "MMPose": "mmpose",
    "COCO's keypoints": "coco",
    "MediaPipe": "mediapipe",
}
"""The tool or data set -> the dialect that reads its JSON."""

_SKELETON_TEXT = re.compile(rb"\d{1,6}\s*\n(0\s*\n)*\d{1,2}\s*\n\d+( \S+){9}\s*\n\d{1,2}\s*\n")
_OLD_PICKLE = re.compile(rb"\(+[ldt]?(p\d+)?\r?\n|\(+[ldt]?p\d|\(*[SVIFLc][^\n]*\n(p\d+\r?\n|\w+\r?\n(p|\())")
"""The beginning of a pickle of protocol 0, which is text."""
_PROTOCOL = b"\x80"
"""The beginning of later pickles, which is not valid UTF-8."""
_KEYS_OF_JSON = re.compile(rb'"([A-Za-z_0-9]{1,40})"\s*:')
_NUMBERS = re.compile(rb"[-+.\deE \t]+\r?\n")
_CONTROL = re.compile(rb"[\0-\x08\x0e-\x1f\x7f]")


def describe_file(path: Path) -> str | None:
    """What a file is, None if it may be a pickle or an array. Raises OSError if it cannot be read."""
    with open(path, "rb", opener=open_regular) as file:
        head = file.read(_HEAD)
    for magic, sentence in _BINARY:
        if head.startswith(magic):
            return sentence
    if head.startswith(b"PK\x03\x04"):
        return _describe_zip(path)
    if head[257:262] == b"ustar":
        return "is a tar archive: unpack it (tar -xf), and convert its content"
    if head[4:8] == b"ftyp" or (head.startswith(b"RIFF") and head[8:12] == b"AVI "):
        return "is a video; expected keypoints that a pose estimator has detected in it"
    if not head or head.startswith(_PROTOCOL) or _CONTROL.search(head) or _OLD_PICKLE.match(head):
        return None
    return _describe_text(path, head)


def _describe_text(path: Path, head: bytes) -> str:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.lower().startswith((b"<!doctype", b"<html", b"<head")):
        return "is a web page, perhaps an error page of the download: get the file itself"
    if text.startswith((b"{", b"[")):
        return describe_json(text)
    if path.suffix.lower() == ".skeleton" or _SKELETON_TEXT.match(text):
        return "is a .skeleton file of NTU RGB+D: convert the folder that it is in (docs/sources_ntu.md)"
    first, _, rest = text.partition(b"\n")
    if path.suffix.lower() == ".csv" or (b"," in first and first.count(b",") == rest.partition(b"\n")[0].count(b",")):
        return f"is a CSV file: if it lists videos, convert their folder and pass it with --table; else {_OWN_DATA}"
    if _NUMBERS.match(text):
        return f"is a text file of numbers, which is not read: {_OWN_DATA}"
    return "is a text file; expected a pickle, or a folder of pickles, arrays or .skeleton files"


def describe_json(text: bytes) -> str:
    """What JSON is, by the keys at its beginning ``text``."""
    keys = {key.decode() for key in _KEYS_OF_JSON.findall(text)}
    if {"file_name", "skeletons"} <= keys:
        return "is JSON of NW-UCLA: convert it, or the folder that it is in, with --from nwucla"
    tool = next((tool for tool, needed in _JSON_TOOLS if needed <= keys), None)
    if tool in _JSON_DIALECTS:
        return f"is JSON of {tool}: convert it, or the folder that it is in, with --from {_JSON_DIALECTS[tool]}"
    if tool == "the labels of Kinetics-Skeleton":
        return f"is JSON of {tool}: convert the folder with the clips, which is beside it"
    if tool == "COCO's keypoints (results)":
        return (
            f"is JSON of {tool}, or of AlphaPose without boxes and ids: if its image_id are names of the frames of one "
            "clip, convert it with --from alphapose; if they are ids of images, with --from coco"
        )
    return f"is JSON{f' of {tool}' if tool else ''}, which is not read: {_OWN_DATA}"


def _describe_zip(path: Path) -> str:
    try:
        names = [member.path for member in archive.members(path)]
    except SourceError:
        return "is a damaged zip archive: get it again"
    if names and all(name.endswith(".npy") for name in names):
        return describe_npz(npz_names(path))
    if any(name.rpartition("/")[2] == "data.pkl" for name in names):
        return f"is a file of PyTorch, which is not read: {_OWN_DATA}"
    return "is a zip archive: unpack it, and convert its content"


# --- arrays


def npz_names(path: Path) -> list[str]:
    """The names of the arrays in a .npz. The arrays are not checked. Raises SourceError if it is not a zip file."""
    return [member.path.removesuffix(".npy") for member in archive.members(path)]


def describe_npz(names: Collection[str]) -> str:
    """What a .npz is by the names of its arrays."""
    if {"x_train", "y_train"} <= set(names) or {"x_test", "y_test"} <= set(names):
        return (
            "has the arrays x_train, y_train … of CTR-GCN (NTU60_CS.npz and the like), which are not read: convert the "
            ".skeleton files that they were made from (docs/sources_ntu.md), or save each row x, "
            f"x.reshape(-1, 2, 25, 3).transpose(1, 0, 2, 3), {_FILE_EACH}"
        )
    if "positions_2d" in names or "positions_3d" in names:
        return (
            "has the arrays of VideoPose3D (data_2d_*.npz: positions_2d, metadata): convert it with --from videopose3d"
        )
    if "keypoint" in names:
        return f"has the arrays of one video: {IN_FOLDER}"
    if "keypoints" in names:
        return "has an array keypoints; expected keypoint: rename it, and convert the folder"
    if {"X", "y"} <= set(names) or {"x", "y"} <= set(names) or {"data", "label"} <= {name.lower() for name in names}:
        return f"has one array of all clips and one of their labels: save each clip, {_FILE_EACH}"
    return f"has the arrays {shown_names(sorted(names), 6)}; expected keypoint among them"


def describe_array(shape: tuple[int, ...], kind: str) -> str | None:
    """What an array is, None if it may be the joints of one video, [M, T, V, C] or [T, V, C]."""
    if (reading := other_reading(shape)) is not None and kind in "iuf":
        return reading.sentence()
    if len(shape) == 1 and kind in "iubUS":
        return "it looks like labels: pass them in a --table of path and label"
    if len(shape) in (2, 3) and kind in "iuf" and (joints := joints_in_row(shape[-1])):
        return f"it looks like one row of joints per frame: reshape the rows to {joints}"
    if len(shape) in (3, 4) and kind in "iuf" and shape[-1] == 4:
        return "put the scores into keypoint_score of a .npz, and keep 2 or 3 coordinates in keypoint"
    return None


def describe_one_array(dtype: np.dtype[Any], shape: tuple[int, ...], as_video: str) -> str:
    """What a file with one array is; ``as_video`` says what to do if it may be the joints of a video."""
    what = f"holds one array, {dtype} {shape}"
    if description := describe_array(shape, dtype.kind):
        return f"{what}: {description}"
    if len(shape) in (3, 4) and dtype.kind in "iuf" and shape[-1] in (2, 3):
        return f"{what}: if it is one video, {as_video}"
    return f"{what}; expected [M, T, V, C], or [T, V, C] for one person, in a folder of .npy files (docs/own_data.md)"


# --- pickles


def _is_text(value: object) -> bool:
    return isinstance(value, (str, Foreign))


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float, np.number, Foreign))


def _is_several(value: object) -> bool:
    return isinstance(value, (np.ndarray, list, tuple, dict, Foreign))


_OF_ANNOTATIONS: Mapping[str, Callable[[object], bool]] = {
    "frame_dir": _is_text,
    "filename": _is_text,
    "raw_file": _is_text,
    "keypoint": _is_several,
    "keypoint_score": _is_several,
    "frame_inds": _is_several,
    "img_shape": _is_several,
    "original_shape": _is_several,
    "total_frames": _is_number,
    "label": lambda value: value is not None,
}
"""Key of an annotation -> whether a value may belong to it."""

_KEYS_OF_SCORES = frozenset({"pred_score", "pred_scores", "pred_label", "pred_labels"})
"""Keys of predictions, as MMAction2 writes them."""


def is_annotation(value: Mapping[Any, Any]) -> bool:
    """Whether a dict is an annotation: it has at least one key of annotations, with a value that fits the key."""
    return any(key in value and fits(value[key]) for key, fits in _OF_ANNOTATIONS.items())


def holds_annotation(pickle: PickleFile) -> bool:
    """Whether a pickle is one annotation. Only the values of keys of annotations are read."""
    return pickle.root_kind == "dict" and any(
        key in pickle.keys and fits(pickle.value(key)) for key, fits in _OF_ANNOTATIONS.items()
    )


def describe_elements(pickle: PickleFile, key: str | None, dialect: str) -> str | None:
    """What the list at the top of a pickle, or under ``key``, is; None if it is empty or holds annotations.

    ``dialect`` is the name of the dialect that converts any list of dicts if --from names it.
    """
    known = pickle.elements(key)
    if not known:
        return None
    first = pickle.element(0, key)
    if isinstance(first, dict) and is_annotation(first):
        return None
    description = describe_list(first, pickle.element(1, key) if known > 1 else None)
    if description is None and isinstance(first, dict):
        return f"{describe_dict(first.keys(), 'is a list of dicts')}; --from {dialect} converts them as they are"
    return description


def describe_list(first: object, second: object) -> str | None:
    """What a list in a pickle is by its first two elements (None if missing); None if they may be annotations."""
    if isinstance(first, np.ndarray):
        return _describe_list_of_arrays(first, second)
    if isinstance(first, list) and first and isinstance(first[0], np.ndarray):
        return "is a list of arrays: it looks like the scores of a test run, not like annotations (a list of dicts)"
    if isinstance(first, list):
        return _describe_list_of_lists(first)
    if not isinstance(first, dict):
        return None
    if (scores := sorted(_KEYS_OF_SCORES.intersection(first))) and "keypoint" not in first:
        return (
            f"is a list of dicts with {', '.join(scores)}: it looks like the predictions of a test run, not like "
            "annotations"
        )
    return None


def _describe_list_of_arrays(first: np.ndarray[Any, Any], second: object) -> str:
    lengths_differ = isinstance(second, np.ndarray) and second.shape[:1] != first.shape[:1]
    if first.ndim >= 2 and (lengths_differ or first.ndim > 2 or joints_in_row(first.shape[-1])):
        rows = joints_in_row(first.shape[-1]) if first.ndim == 2 else None
        each = f"x.reshape(len(x), {rows[1:]}" if rows else "the array of each clip"
        ordered = f"{each}.transpose(1, 0, 2, 3)" if rows == "(2, 25, 3)" else each
        return f"is a list of arrays of joints, one per clip: save {ordered} with numpy.save, each {_FILE_EACH}"
    return "is a list of arrays: it looks like the scores of a test run, not like annotations (a list of dicts)"


def _describe_list_of_lists(first: list[Any]) -> str:
    if first and isinstance(first[0], dict) and {"keypoints", "keypoint_scores"} <= first[0].keys():
        return "is a list of MMPose's instances per person and frame: convert it with --from mmpose"
    return f"is a list of lists, not of annotations (dicts): {_OWN_DATA}"


def describe_dict(keys: Collection[Any], what: str = "is a dict") -> str:
    """What a dict with these keys is. None of them is a key of annotations."""
    if {"name", "data", "num_frames"} <= set(keys):
        return (
            f"{what} as in CTR-GCN's raw_skes_data.pkl, not of annotations: convert the .skeleton files that it was "
            "made from (docs/sources_ntu.md)"
        )
    description = f"{what} with the keys {shown_names(keys, 6)}, none of which is a key of annotations"
    if "keypoints" in keys:
        return f"{description}: rename keypoints to keypoint, [M, T, V, C] of a whole video (docs/own_data.md)"
    return f"{description} (frame_dir, keypoint, label …): {_OWN_DATA}"


def describe_value(value: object) -> str | None:
    """What a pickle is that holds neither a dict nor a list; None if it is unknown."""
    if isinstance(value, np.ndarray):
        how = "save it with numpy.save, and convert the folder of such files (docs/own_data.md)"
        return describe_one_array(value.dtype, value.shape, how)
    if is_label_pickle(value):
        return f"holds the names and labels of ST-GCN or 2s-AGCN: {GCN_CLIPS}"
    return None


def is_label_pickle(value: object) -> bool:
    """Whether a value is ST-GCN's (names, labels): two or three lists of one length: strs, numbers, anything."""
    if not isinstance(value, (tuple, list)) or len(value) not in (2, 3):
        return False
    are_lists = all(isinstance(column, (list, tuple, np.ndarray)) for column in value)
    if not are_lists or len({len(column) for column in value}) > 1:
        return False
    return all(isinstance(name, str) for name in value[0]) and all(_is_number(label) for label in value[1])


# --- folders


def describe_folder(path: Path, suffixes: Sequence[str]) -> str:
    """What a folder is that has no file with one of ``suffixes``, those of all dialects."""
    files = list(islice(_files(path), _MAX_LISTED))
    if any(file.name == "data.mdb" for file in files):
        return f"is an LMDB database, which is not read: {_OWN_DATA}"
    expected = f"expected {', '.join(suffixes[:-1])} or {suffixes[-1]} files"
    counts = Counter(file.suffix.lower() or "no suffix" for file in files).most_common(3)
    if not counts:
        return f"is a folder without files; {expected}"
    kinds = ", ".join(f"{count} of {suffix}" for suffix, count in counts)
    example = min(file for file in files if (file.suffix.lower() or "no suffix") == counts[0][0])
    with suppress(OSError):
        if description := describe_file(example):
            return f"is a folder with other files ({kinds}): {example.relative_to(path)} {description}"
    return f"is a folder with other files ({kinds}); {expected}"


def _files(path: Path) -> Iterator[Path]:
    return (file for file in path.rglob("*") if not file.name.startswith(".") and file.is_file())


def describe_pair(files: Collection[Path]) -> str | None:
    """What a folder is whose first files hold all clips in one array, and their labels in another file; else None."""
    headers = {}
    for file in sorted(files)[:20]:
        if file.suffix.lower() == ".npy":
            with suppress(SourceError):
                headers[file.name] = npy_header(file)
    clips = {name: header.shape for name, header in headers.items() if len(header.shape) >= 3}
    labels = {name: header.shape for name, header in headers.items() if len(header.shape) in (1, 2)}
    tables = [file.name for file in files if file.suffix.lower() == ".pkl" and "label" in file.name]
    for name, shape in clips.items():
        if len(shape) == 5 and tables:
            return (
                f"has {shown(name)}, {shape}, and {shown(tables[0])}, the array of ST-GCN or 2s-AGCN and its labels, "
                f"which are not read: {GCN_REMEDY}"
            )
        other = next((other for other, of_labels in labels.items() if of_labels[0] == shape[0]), None)
        if other is not None:
            return (
                f"has one array of all clips ({shown(name)}, {shape}) and one of their labels ({shown(other)}): save "
                f"each clip, {_FILE_EACH}"
            )
    return None
