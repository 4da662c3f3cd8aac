"""Files that no dialect reads, each with what the message about it contains."""

from __future__ import annotations

import gzip
import io
import pickle
import tarfile
import zipfile

import numpy as np

from tests.support.array_files import npy, npz

CLIP = np.zeros((3, 30, 25, 2), np.float32)


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

ESTIMATE = r"run a pose estimator on it, and convert what that writes \(docs/own_data"


def hdf5(*names: bytes) -> bytes:
    """The beginning of an HDF5 file with these names in it."""
    return b"\x89HDF\r\n\x1a\n" + bytes(60) + b"\0".join(names) + bytes(60)


YOLO = b"0 " + b" ".join(b"%.6g" % (i / 80) for i in range(4 + 3 * 17)) + b" 7\n"
UAV = b"3\n1\n0 0 0 0 0 0 0 0 0 0\n17\n" + b"1.5 2.5 0 0 0 0 0 0 0 0 0 0\n" * 17

FILES: dict[str, tuple[bytes, str]] = {
    # tables
    "a.csv": (b"frame,a,b\n0,0.5,1.0\n", r"is a CSV file with the columns 'frame', 'a', 'b': if.*--table.*own_data"),
    "case.csv": (b"Frames#,score_overall,nose_x\n0,0.5,1.0\n", r"is a CSV file of joints"),
    "b.csv": (b"\xef\xbb\xbfpath;label\n", r"is a CSV file that lists videos: convert their folder.*with --table"),
    "quoted.txt": (b"name,label\nM\xfcller,1\n", r"is a CSV file with the columns 'name', 'label'"),
    "a.tsv": (b"a\tb\n1\t2\n", r"is a CSV file with the columns 'a', 'b'"),
    "DLC.csv": (b"scorer,DLC_resnet,DLC_resnet\nbodyparts,nose,nose\n", r"CSV file of DeepLabCut: .*--from tools"),
    "sleap.csv": (b"track,frame_idx,instance.score,a.x\n,0,1,2\n", r"CSV file of SLEAP: .*--from tools"),
    "mediapipe.csv": (b"class,x1,y1,z1,v1,x2,y2,z2,v2\na,1,2,3,1,1,2,3,1\n", r"CSV file of landmarks.*own_data"),
    "pose.csv": (b"Frames#,score_overall,nose_x,nose_y\n0,0.5,1.0,2.0\n", r"CSV file of joints.*own_data"),
    "joints.csv": (b"frame,left_shoulder_x,left_shoulder_y\n0,1,2\n", r"CSV file of joints.*own_data"),
    "k400.csv": (
        b"label,youtube_id,time_start,time_end,split\na,b,1,2,train\n",
        r"lists videos of Kinetics, without sk",
    ),
    "numbers.csv": (b"1,2,3\n4,5,6\n", r"is a CSV file with the columns '1', '2', '3'"),
    "book.xlsx": (packed({"[Content_Types].xml": b"", "xl/workbook.xml": b""}), r"Excel workbook: save it as CSV"),
    "old.xls": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(50), r"Microsoft Office.*save it as CSV"),
    "a.parquet": (b"PAR1" + bytes(30), r"is a Parquet table.*--table"),
    # containers of arrays
    "five.mat": (MATLAB, r"is a MATLAB file.*own_data.*scipy"),
    "short.mat": (b"MATLAB 5.0 MAT-file, Platform" + b" " * 100, r"is a MATLAB file"),
    "four.mat": (b"\0\0\0\0\x11\0\0\0\2\0\0\0\0\0\0\0" + bytes(99), r"is a MATLAB 4 file.*scipy"),
    "seven.mat": (b"MATLAB 7.3 MAT-file".ljust(512) + b"\x89HDF\r\n\x1a\n", r"is a MATLAB 7.3 \(HDF5\) file.*h5py"),
    "a.h5": (hdf5(), r"is an HDF5 file, which is not read.*h5py"),
    "user_block.h5": (bytes(512) + hdf5(), r"is an HDF5 file.*h5py"),
    "dlc.h5": (hdf5(b"df_with_missing", b"table"), r"HDF5 file of DeepLabCut: .*--from tools"),
    "a.slp": (hdf5(b"metadata", b"frames"), r"HDF5 file of SLEAP: .*--from tools"),
    "b.h5": (hdf5(b"node_names", b"track_occupancy"), r"HDF5 file of SLEAP: .*--from tools"),
    "c.h5": (hdf5(b"nwb_version"), r"NWB \(HDF5\) file: .*--from tools"),
    "a.nwb": (hdf5(), r"NWB \(HDF5\) file: .*--from tools"),
    "a.nc": (b"CDF\x01" + bytes(30), r"is a NetCDF file.*scipy.io.netcdf_file"),
    "model.pt": (packed({"model/data.pkl": b"x", "model/data/0": b"y"}), r"is a file of PyTorch.*own_data.*torch.load"),
    "old.pth": (LEGACY_TORCH, r"is a file of PyTorch.*torch.load"),
    "a.safetensors": (b"\x40" + bytes(7) + b'{"x":{"dtype":"F32"}}', r"is a safetensors file"),
    "a.arrow": (b"ARROW1\0\0" + bytes(30), r"is an Arrow file.*pyarrow"),
    "data-00000.arrow": (b"\xff\xff\xff\xff\xa8\1\0\0\x10\0\0\0" + bytes(30), r"is an Arrow stream.*pyarrow"),
    "a.feather": (b"FEA1" + bytes(30), r"is a Feather file.*pyarrow"),
    "a.tfrecord": (b"\x20\1\0\0\0\0\0\0" + bytes(90), r"is a TFRecord file"),
    "a.db": (b"SQLite format 3\0" + bytes(60), r"is an SQLite database"),
    "data.mdb": (bytes(16) + b"\xde\xc0\xef\xbe" + bytes(60), r"is an LMDB database"),
    "a.bag": (b"#ROSBAG V2.0\n" + bytes(60), r"is a ROS bag.*rosbags"),
    "a.mcap": (b"\x89MCAP0\r\n" + bytes(60), r"is an MCAP file"),
    # motion capture and pose files
    "a.pose": (b"\xcd\xcc\xcc\x3d" + bytes(60), r"is a \.pose file: .*--from tools"),
    "b.pose": (b"\xcd\xcc\x4c\x3e" + bytes(60), r"is a \.pose file: .*--from tools"),
    "a.bvh": (b"HIERARCHY\nROOT Hips\n", r"is a BVH file of joint rotations.*own_data"),
    "a.c3d": (b"\x02\x50" + bytes(60), r"is a C3D file"),
    "a.trc": (b"PathFileType\t4\t(X/Y/Z)\ta.trc\n", r"is a TRC file"),
    "a.fbx": (b"Kaydara FBX Binary  \0" + bytes(9), r"is an FBX file"),
    # packed files
    "a.gz": (gzip.compress(b"x"), r"compressed with gzip: unpack it"),
    "a.xz": (b"\xfd7zXZ\0" + bytes(9), r"compressed with xz: unpack it"),
    "a.zst": (b"\x28\xb5\x2f\xfd" + bytes(9), r"compressed with zstandard: unpack it"),
    "a.7z": (b"7z\xbc\xaf\x27\x1c" + bytes(9), r"is a 7z archive: unpack it"),
    "a.rar": (b"Rar!\x1a\x07\0" + bytes(9), r"is a RAR archive: unpack it"),
    "a.tar": (tarred(), r"is a tar archive: unpack it"),
    "a.zip": (packed({"a.txt": b"x", "b.txt": b"x", "c": b""}), r"zip archive \(2 of \.txt, 1 of no suffix\): unpack"),
    "long.zip": (packed({"a." + "b" * 9000: b""}), r"zip archive \(1 of \.b{19}\): unpack"),
    "empty.zip": (packed({}), r"zip archive \(no file\)"),
    "cut.zip": (packed({"a.txt": b"x"})[:-9], r"is a zip archive that is damaged or not complete"),
    # videos and images
    "a.mp4": (b"\0\0\0\x20ftypisom" + bytes(30), rf"is a video: {ESTIMATE}"),
    "a.mov": (b"\0\0\0\x14ftypqt  " + bytes(30), rf"is a video: {ESTIMATE}"),
    "a.avi": (b"RIFF\0\0\0\0AVI LIST" + bytes(30), rf"is a video: {ESTIMATE}"),
    "a.mkv": (b"\x1a\x45\xdf\xa3" + bytes(30), rf"is a video \(Matroska or WebM\): {ESTIMATE}"),
    "a.wmv": (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11" + bytes(30), rf"is a video: {ESTIMATE}"),
    "a.ts": (b"G" + bytes(187) + b"G" + bytes(187), rf"is a video: {ESTIMATE}"),
    "a.heic": (b"\0\0\0\x18ftypheic" + bytes(30), rf"is an image: {ESTIMATE}"),
    "a.jpg": (b"\xff\xd8\xff\xe0" + bytes(30), rf"is an image: {ESTIMATE}"),
    "a.png": (b"\x89PNG\r\n\x1a\n" + bytes(30), rf"is an image: {ESTIMATE}"),
    "a.gif": (b"GIF89a" + bytes(30), rf"is an image: {ESTIMATE}"),
    "a.webp": (b"RIFF\0\0\0\0WEBPVP8 " + bytes(30), rf"is an image: {ESTIMATE}"),
    "a.bmp": (b"BM" + bytes(30), rf"is an image: {ESTIMATE}"),
    # text
    "lfs.pkl": (b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\n", r"git lfs pull"),
    "annex.pkl": (b"/annex/objects/SHA256E-s1--ab.pkl\n", r"git annex get"),
    "page.pkl": (b"<!DOCTYPE html>\n<html>", r"is a web page.*get the file itself"),
    "a.xml": (b'<?xml version="1.0"?>\n<annotations>', r"is XML, which is not read"),
    "utf16.csv": ("a,b\n1,2\n".encode("utf-16"), r"is text in UTF-16: save it in UTF-8"),
    "numbers.txt": (b"0 0.5 0.25 0.1\n1 0.5 0.25 0.1\n", r"is a text file of numbers.*own_data"),
    "clip_1.txt": (YOLO, r"is a text file of YOLO-pose, or like one: .*--from yolo-pose"),
    "P000S00G10B10H10UC022000LC021000A000R0_08241716.txt": (UAV, r"is a file of UAV-Human: .*--from uav-human"),
    "seventeen.txt": (UAV, r"is a file of UAV-Human: .*--from uav-human"),
    "0001-M.txt": (b" ".join([b"0.25"] * 150) + b"\n", r"150 numbers per line, 2 persons of 25 joints as in PKU-MMD"),
    "readme.md": (b"# Data\nSee the page of the project.\n", r"is a text file; expected a pickle"),
    "a.pdf": (b"%PDF-1.7\n" + bytes(9), r"is a PDF document"),
    # nothing that is known
    "empty.pkl": (b"", r"is empty; expected"),
    "a.bin": (b"\x01\x02\x03\x04" + bytes(90), r"is a binary file of no known kind; expected"),
    "random.pkl": (bytes(range(1, 256)), r"is a binary file of no known kind; expected"),
    # arrays
    "X.npy": (npy(np.zeros((50, 30, 17, 2))), r"one array, float64 \(50, 30, 17, 2\).*50 clips in one array"),
    "y.npy": (npy(np.arange(50)), r"labels: pass them in a --table"),
    "clip.npy": (npy(np.zeros((30, 17, 2))), r"if it is one video, convert the folder"),
    "rows.npy": (npy(np.zeros((30, 75))), r"one row of joints per frame: reshape the rows to \(25, 3\)"),
    "train_data.npy": (npy(np.stack([CLIP, CLIP])), r"\[N, C, T, V, M\], 2 clips .*with its labels, with --from stgcn"),
    "NTU60_CS.npz": (npz(x_train=CLIP, y_train=CLIP, x_test=CLIP, y_test=CLIP), r"CTR-GCN.*--from ctrgcn"),
    "x_test.npz": (npz(x_test=CLIP, y_test=CLIP), r"CTR-GCN.*--from ctrgcn"),
    "data_2d_custom.npz": (npz(positions_2d={"a": 1}, metadata={"b": 2}), r"VideoPose3D.*--from videopose3d"),
    "data_3d_h36m.npz": (npz(positions_3d={"a": 1}), r"positions_3d of VideoPose3D.*--from videopose3d"),
    "detections.npz": (npz(boxes=CLIP, keypoints=CLIP), r"VideoPose3D's detections.*--from videopose3d"),
    "amass.npz": (npz(poses=CLIP, trans=CLIP, betas=CLIP), r"AMASS: rotations"),
    "keypoints.npz": (npz(keypoints=CLIP), r"expected keypoint: rename it"),
    "xy.npz": (npz(X=CLIP, y=CLIP), r"one array of all clips and one of their labels.*own_data"),
    "clip.npz": (npz(keypoint=CLIP), r"the arrays of one video: convert the folder"),
    "some.npz": (npz(a=CLIP), r"has the arrays 'a'; expected keypoint"),
}
"""Name of a file -> its content, and what the message about it contains."""
