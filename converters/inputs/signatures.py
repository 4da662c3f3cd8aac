"""What files are by their first bytes, their members, keys or columns: tables of data, the first match counts.

A sentence of a table continues one that begins with the path of the file: ``is …: what to do``.
"""

from __future__ import annotations

import re
from typing import NamedTuple

OWN_DATA = "make a .npz of each video, with keypoint [M, T, V, C] and keypoint_score, and convert their folder"
"""What to do with data in any other form."""

NOT_READ = f"which is not read: {OWN_DATA} (docs/own_data.md)"
"""The end of a sentence about such data."""

_UNPACK = "unpack it, and convert its content"
_ESTIMATE = "run a pose estimator on it, and convert what that writes (docs/own_data.md)"
_TOOLS = "convert it with --from tools"
_TABLE = "save it as CSV; if it lists videos, convert their folder with --table"


class Signature(NamedTuple):
    """Bytes at an offset of a file, and what a file with them is."""

    magic: bytes
    sentence: str
    offset: int = 0


HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
"""The first bytes of an HDF5 file."""

ZIP_MAGICS = (b"PK\x03\x04", b"PK\x05\x06")
"""The first bytes of a zip file, and of one without files."""

SIGNATURES: tuple[Signature, ...] = (
    # containers of arrays
    Signature(b"MATLAB 5.0", f"is a MATLAB file, {NOT_READ}; scipy.io.loadmat reads it"),
    Signature(b"MATLAB 7.3", f"is a MATLAB 7.3 (HDF5) file, {NOT_READ}; h5py reads it"),
    Signature(HDF5_MAGIC, f"is an HDF5 file, {NOT_READ}; h5py reads it"),
    Signature(HDF5_MAGIC, f"is an HDF5 file, {NOT_READ}; h5py reads it", 512),
    Signature(b"CDF\x01", f"is a NetCDF file, {NOT_READ}; scipy.io.netcdf_file reads it"),
    Signature(b"CDF\x02", f"is a NetCDF file, {NOT_READ}; scipy.io.netcdf_file reads it"),
    Signature(
        b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.",
        f"is a file of PyTorch, {NOT_READ}; torch.load(…, weights_only=True) reads it",
    ),
    Signature(b"PAR1", "is a Parquet table: if it lists the videos of a folder, convert the folder with --table"),
    Signature(b"ARROW1", f"is an Arrow file, {NOT_READ}; pyarrow.ipc.open_file reads it"),
    Signature(b"FEA1", f"is a Feather file, {NOT_READ}; pyarrow.feather reads it"),
    Signature(b"SQLite format 3\0", f"is an SQLite database, {NOT_READ}"),
    Signature(b"\xde\xc0\xef\xbe", f"is an LMDB database, {NOT_READ}; the Python package lmdb reads its folder", 16),
    Signature(b"#ROSBAG V", f"is a ROS bag, {NOT_READ}; the Python package rosbags reads it"),
    Signature(b"\x89MCAP0\r\n", f"is an MCAP file of ROS, {NOT_READ}; the Python package mcap reads it"),
    Signature(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", f"is a document of Microsoft Office: if it is a table, {_TABLE}"),
    # motion capture
    Signature(b"HIERARCHY", f"is a BVH file of joint rotations, not of joint positions, {NOT_READ}"),
    Signature(b"PathFileType", f"is a TRC file of markers, {NOT_READ}"),
    Signature(b"Kaydara FBX Binary", f"is an FBX file of an animation, {NOT_READ}"),
    Signature(b"glTF", f"is a glTF file of an animation, {NOT_READ}"),
    # packed files
    Signature(
        b"\x1f\x8b", "is compressed with gzip: unpack it (gunzip, or tar -xzf for a .tar.gz), and convert its content"
    ),
    Signature(b"BZh", f"is compressed with bzip2: {_UNPACK}"),
    Signature(b"\xfd7zXZ", f"is compressed with xz: {_UNPACK}"),
    Signature(b"\x28\xb5\x2f\xfd", f"is compressed with zstandard: {_UNPACK}"),
    Signature(b"\x04\x22\x4d\x18", f"is compressed with LZ4: {_UNPACK}"),
    Signature(b"7z\xbc\xaf\x27\x1c", f"is a 7z archive: {_UNPACK}"),
    Signature(b"Rar!", f"is a RAR archive: {_UNPACK}"),
    Signature(b"ustar", "is a tar archive: unpack it (tar -xf), and convert its content", 257),
    # videos and images
    Signature(b"ftypavif", f"is an image: {_ESTIMATE}", 4),
    Signature(b"ftyphei", f"is an image: {_ESTIMATE}", 4),
    Signature(b"ftypmif1", f"is an image: {_ESTIMATE}", 4),
    Signature(b"ftyp", f"is a video: {_ESTIMATE}", 4),
    Signature(b"AVI ", f"is a video: {_ESTIMATE}", 8),
    Signature(b"\x1a\x45\xdf\xa3", f"is a video (Matroska or WebM): {_ESTIMATE}"),
    Signature(b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", f"is a video: {_ESTIMATE}"),
    Signature(b"FLV\x01", f"is a video: {_ESTIMATE}"),
    Signature(b"\0\0\x01\xba", f"is a video: {_ESTIMATE}"),
    Signature(b"\0\0\x01\xb3", f"is a video: {_ESTIMATE}"),
    Signature(b"OggS", f"is a video or a sound: {_ESTIMATE}"),
    Signature(b"\x89PNG", f"is an image: {_ESTIMATE}"),
    Signature(b"\xff\xd8\xff", f"is an image: {_ESTIMATE}"),
    Signature(b"GIF8", f"is an image: {_ESTIMATE}"),
    Signature(b"II*\0", f"is an image: {_ESTIMATE}"),
    Signature(b"MM\0*", f"is an image: {_ESTIMATE}"),
    Signature(b"WEBP", f"is an image: {_ESTIMATE}", 8),
    # text and others
    Signature(b"version https://git-lfs", "is a Git LFS pointer: get the file itself with `git lfs pull`"),
    Signature(b"/annex/objects/", "is a git-annex pointer: get the file itself with `git annex get`"),
    Signature(b"%PDF", "is a PDF document; expected joints of persons"),
    Signature(b"\xff\xfe", "is text in UTF-16: save it in UTF-8"),
    Signature(b"\xfe\xff", "is text in UTF-16: save it in UTF-8"),
)
"""The bytes of a file -> what it is."""

HDF5_CONTENTS: tuple[tuple[bytes, str], ...] = (
    (b"df_with_missing", f"is an HDF5 file of DeepLabCut: {_TOOLS}"),
    (b"nwb_version", f"is an NWB (HDF5) file: {_TOOLS}"),
    (b"tracks_json", f"is an HDF5 file of SLEAP: {_TOOLS}"),
    (b"pred_points", f"is an HDF5 file of SLEAP: {_TOOLS}"),
    (b"track_occupancy", f"is an HDF5 file of SLEAP: {_TOOLS}"),
)
"""A name near the beginning of an HDF5 file -> what it is."""

SUFFIXES_OF_HDF5 = {
    ".nwb": f"is an NWB (HDF5) file: {_TOOLS}",
    ".slp": f"is an HDF5 file of SLEAP: {_TOOLS}",
}
"""The suffix of an HDF5 file -> what it is."""

BINARY_SUFFIXES: tuple[tuple[str, re.Pattern[bytes], str], ...] = (
    (".pose", re.compile(rb"(\0\0\0\0|\xcd\xcc\xcc\x3d|\xcd\xcc\x4c\x3e)", re.DOTALL), f"is a .pose file: {_TOOLS}"),
    (
        ".c3d",
        re.compile(rb".\x50", re.DOTALL),
        f"is a C3D file of markers, {NOT_READ}; the Python package ezc3d reads it",
    ),
    (".arrow", re.compile(rb"\xff{4}..\0\0", re.DOTALL), f"is an Arrow stream, {NOT_READ}; pyarrow.ipc reads it"),
    (".arrows", re.compile(rb"\xff{4}..\0\0", re.DOTALL), f"is an Arrow stream, {NOT_READ}; pyarrow.ipc reads it"),
    (".mat", re.compile(rb".\0{3}", re.DOTALL), f"is a MATLAB 4 file, {NOT_READ}; scipy.io.loadmat reads it"),
    (".safetensors", re.compile(rb".{8}\{", re.DOTALL), f"is a safetensors file, {NOT_READ}"),
    (".tfrecord", re.compile(rb".{4}\0{4}", re.DOTALL), f"is a TFRecord file, {NOT_READ}; TensorFlow reads it"),
    (".bmp", re.compile(rb"BM"), f"is an image: {_ESTIMATE}"),
    (".ts", re.compile(rb"G.{187}G", re.DOTALL), f"is a video: {_ESTIMATE}"),
    (".mdb", re.compile(rb".{16}\xde\xc0\xef\xbe", re.DOTALL), f"is an LMDB database, {NOT_READ}"),
)
"""A suffix and the beginning of a file -> what it is, for beginnings that say little alone. pose-format's version is
its first number, a float32."""

ZIP_MEMBERS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(.*/)?data\.pkl"), f"is a file of PyTorch, {NOT_READ}; torch.load(…, weights_only=True) reads it"),
    (re.compile(r"xl/workbook\.xml"), f"is an Excel workbook: {_TABLE}"),
    (re.compile(r"(word|ppt)/.*"), f"is a document of Microsoft Office: if it is a table, {_TABLE}"),
)
"""The path of a member of a zip file -> what the file is."""


NPZ_ARRAYS: tuple[tuple[frozenset[str], str], ...] = tuple(
    (frozenset(names.split()), sentence)
    for names, sentence in (
        (
            "x_train y_train",
            "has the arrays x_train, y_train … of CTR-GCN (NTU60_CS.npz and the like): convert the file itself, with "
            "--from ctrgcn (docs/sources.md)",
        ),
        (
            "x_test y_test",
            "has the arrays x_test, y_test … of CTR-GCN (NTU60_CS.npz and the like): convert the file itself, with "
            "--from ctrgcn (docs/sources.md)",
        ),
        (
            "positions_2d metadata",
            "has the arrays of VideoPose3D (data_2d_*.npz: positions_2d, metadata): convert it with --from videopose3d",
        ),
        (
            "positions_2d",
            "has the array positions_2d of VideoPose3D, but no metadata: convert it with --from videopose3d",
        ),
        ("positions_3d", "has the array positions_3d of VideoPose3D: convert it with --from videopose3d"),
        ("boxes keypoints", "has the arrays of VideoPose3D's detections: convert it with --from videopose3d"),
        ("poses trans betas", f"has the arrays of AMASS: rotations of SMPL's joints, not their positions, {NOT_READ}"),
    )
)
"""Names of the arrays of a .npz -> what it is."""


class Tool(NamedTuple):
    """A tool or data set whose JSON has all of ``keys``; ``remedy`` ends the sentence ``is JSON of …``."""

    name: str
    keys: frozenset[str]
    remedy: str


def _tool(name: str, keys: str, remedy: str = f", {NOT_READ}") -> Tool:
    return Tool(name, frozenset(keys.split()), remedy)


def _read_by(dialect: str) -> str:
    return f": convert it, or the folder that it is in, with --from {dialect}"


JSON_TOOLS: tuple[Tool, ...] = (
    _tool("NW-UCLA", "file_name skeletons", _read_by("nwucla")),
    _tool("OpenPose", "people version", _read_by("openpose")),
    _tool("OpenPose", "people pose_keypoints_2d", _read_by("openpose")),
    _tool("MMPose", "instance_info", _read_by("mmpose")),
    _tool("MMPose", "instances frame_id", _read_by("mmpose")),
    _tool("MMPose", "keypoints keypoint_scores", _read_by("mmpose")),
    _tool("AlphaPose", "image_id keypoints idx", _read_by("alphapose")),
    _tool("AlphaPose", "image_id keypoints box", _read_by("alphapose")),
    _tool("AlphaPose", "keypoints scores idx", _read_by("alphapose")),
    _tool("COCO's keypoints", "images annotations", _read_by("coco")),
    _tool("COCO's keypoints", "images file_name", _read_by("coco")),
    _tool(
        "COCO's keypoints (results)",
        "image_id keypoints",
        ", or of AlphaPose without boxes and ids: if its image_id are names of the frames of one clip, convert it with "
        "--from alphapose; if they are ids of images, with --from coco",
    ),
    _tool("Kinetics-Skeleton", "frame_index skeleton", _read_by("kinetics-skeleton")),
    _tool("the labels of Kinetics-Skeleton", "has_skeleton", ": convert the folder with the clips, which is beside it"),
    _tool("Toyota Smarthome", "njts"),
    _tool("PoseNet", "keypoints part position"),
    _tool("Azure Kinect", "frames joint_names"),
    _tool("Azure Kinect", "bodies joint_positions"),
    _tool("MediaPipe", "x y z visibility", _read_by("mediapipe")),
    _tool("Label Studio", "annotations completed_by"),
    _tool("LabelMe", "shapes imagePath"),
    _tool("Jupyter (a notebook)", "cells nbformat"),
)
"""The keys of JSON -> the tool that writes it."""

CSV_COLUMNS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"scorer,"), f"is a CSV file of DeepLabCut: {_TOOLS}"),
    (re.compile(r"track,frame_idx,instance\.score"), f"is a CSV file of SLEAP: {_TOOLS}"),
    (re.compile(r"(.*,)?youtube_id,"), "is a CSV file that lists videos of Kinetics, without skeletons"),
    (
        re.compile(r'(.*[,;\t])?"?(path|frame_dir|filename)"?([,;\t]|$)'),
        "is a CSV file that lists videos: convert their folder, and pass this file with --table",
    ),
    (
        re.compile(r"(.*[,;])?(x0?1,y0?1,z0?1|nose_x,nose_y,nose_z)([,;_].*)?$", re.IGNORECASE),
        f"is a CSV file of landmarks, as people write those of MediaPipe, {NOT_READ}",
    ),
    (
        re.compile(r"(.*[,;])?((left|right)_?(shoulder|wrist|hip|knee)|nose)[ _.]?x([,;]|$)", re.IGNORECASE),
        f"is a CSV file of joints, {NOT_READ}",
    ),
)
"""The first line of a CSV file -> what it is."""
