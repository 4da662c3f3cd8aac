"""What only looks like data is declined with exit status 1, one sentence and no store; any bytes give a sentence."""

from __future__ import annotations

import json
import pickle
import re
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from converters.dialects.registry import open_source
from converters.inputs.signatures import SIGNATURES, SUFFIXES_OF_HDF5
from skelstore.errors import SkelstoreError
from tests.support.array_files import npy, npz
from tests.support.foreign_files import FILES
from tests.support.source_contract import dump

FRAME = {"keypoints": np.zeros((2, 17, 2)), "keypoint_scores": np.ones((2, 17))}
DETECTION = {"image_id": "0.jpg", "category_id": 1, "keypoints": [1.0, 2.0, 0.9] * 17, "score": 2.5}


def arrays(**values: Any) -> Callable[[Path], None]:
    """A maker of a folder with these arrays, each a .npy."""

    def make(folder: Path) -> None:
        folder.mkdir()
        for name, array in values.items():
            (folder / f"{name}.npy").write_bytes(npy(array))

    return make


def scored(keypoint: np.ndarray[Any, Any]) -> Callable[[Path], None]:
    """A maker of a folder with one .npz of keypoint and keypoint_score."""

    def make(folder: Path) -> None:
        folder.mkdir()
        (folder / "a.npz").write_bytes(npz(keypoint=keypoint, keypoint_score=keypoint[..., 0]))

    return make


def pickled(value: object) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        path.write_bytes(pickle.dumps(value))

    return make


def of_frames(folder: Path) -> None:
    for t in range(2):
        dump(folder / f"{t:06d}.pkl", FRAME | {"frame_id": t})


def as_json(value: object) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        path.write_text(json.dumps(value))

    return make


# Those that a dialect may read, such as the files of ST-GCN, are in test_recognition.
CASES: dict[str, tuple[Callable[[Path], None], str]] = {
    "[C, T, V, M] as one video": (
        arrays(a=np.zeros((3, 300, 25, 2), "f4")),
        r"looks like \[C, T, V, M\]: save np\.tra",
    ),
    "[C, T, V, M] of one person": (arrays(a=np.zeros((3, 300, 25, 1), "f4")), r"looks like \[C, T, V, M\]"),
    "[N, T, V, C] as one video": (arrays(a=np.zeros((120, 30, 33, 3), "f4")), r"\[N, T, V, C\], 120 clips in one arr"),
    "[N, T, V, C] with scores": (scored(np.zeros((120, 30, 17, 2), "f4")), r"\[N, T, V, C\], 120 clips in one array"),
    "[T, M, V, C] as one video": (arrays(a=np.zeros((90, 2, 17, 2), "f4")), r"looks like \[T, M, V, C\]"),
    "X and y": (arrays(X=np.zeros((50, 30, 17, 2)), y=np.arange(50) % 5), r"one array of all clips .* of their labels"),
    "dicts that are no annotations": (
        pickled([{"pose": 1, "vis": 2}]),
        r"'pose', 'vis', none of which is a key of ann",
    ),
    "one pickle per frame": (of_frames, r"one of 2 pickles\).*if each file is a frame, join those of a video"),
    "lists of arrays": (
        pickled([np.zeros((37, 17, 3)), np.zeros((46, 17, 3))]),
        r"list of arrays of joints, one per clip",
    ),
    "one array in a pickle": (pickled(np.zeros((30, 17, 3))), r"one array.*save it with numpy\.save"),
    "a list of numbers": (as_json([1, 2, 3]), r"is JSON with a list whose first element is an int, of no tool"),
    "a COCO data set of boxes": (as_json({"images": [], "info": {}}), r"is JSON with the keys 'images', 'info', of no"),
}


@pytest.mark.parametrize("name", CASES)
def test_what_only_looks_like_data_is_declined(run: Any, tmp_path: Path, name: str) -> None:
    make, expected = CASES[name]
    source = tmp_path / ("given.json" if name.startswith(("a list of", "a COCO")) else "given")
    make(source)
    done = run("convert", source, tmp_path / "a.zarr", "--workers", "1")
    assert (done.status, done.out) == (1, "")
    assert re.search(expected, done.err), done.err
    assert done.err.count(": it looks like") <= 1
    assert not any(word in done.err for word in ("Traceback", "opcode", "fetch it again", "kpfile", "test run"))
    assert sorted(path.name for path in tmp_path.iterdir()) == [source.name]


# ------------------------------------------------------------------------------------------------- any bytes

_PICKLE_LIKE = re.compile(rb"\x80|[\]}]q|\(|[SVIFLc][^\n]*\n")
SUFFIXES = sorted({Path(name).suffix for name in FILES} | {*SUFFIXES_OF_HDF5, ".skeleton", ".pickle", "", ".PKL"})
MAGICS = [bytes(signature.offset) + signature.magic for signature in SIGNATURES]
CONTENTS = [content for content, _ in FILES.values()]


@st.composite
def changed_files(draw: st.DrawFn) -> bytes:
    """A file that no dialect reads, cut short or with some bytes replaced."""
    data = bytearray(draw(st.sampled_from(CONTENTS)))
    if draw(st.booleans()):
        del data[draw(st.integers(0, len(data))) :]
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 4))] = draw(st.binary(max_size=4))
    return bytes(data)


BYTES = st.one_of(
    st.binary(max_size=200),
    st.tuples(st.sampled_from(MAGICS), st.binary(max_size=100)).map(b"".join),
    st.text('[]{}",:0123456789.\n keypointsxy', max_size=200).map(str.encode),
    changed_files(),
)


@given(BYTES, st.sampled_from(SUFFIXES), st.booleans())
def test_any_bytes_are_a_source_or_one_sentence(data: bytes, suffix: str, in_folder: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a{suffix}"
        path.write_bytes(data)
        try:
            with closing(open_source(Path(folder) if in_folder else path)) as source:
                assert len(source) >= 0
        except SkelstoreError as error:
            text = str(error)
            assert text.startswith(folder)
            assert len(text.splitlines()) <= 2  # of a folder: the number of problems, and the problem
            if not _PICKLE_LIKE.match(data):
                assert not any(word in text for word in ("opcode", "fetch it again", "cut short, so")), text
