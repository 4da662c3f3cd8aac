"""NW-UCLA's JSON: exact values, labels and splits as in CTR-GCN, and errors that name what is wrong."""

from __future__ import annotations

import json
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import converters
import skelstore
from converters import nwucla, open_source
from converters.dialects.nwucla import CLASSES, NwUclaFiles
from converters.dialects.registry import recorded_options
from skelstore.errors import SkelstoreError, SourceError, StoreError
from tests.support.exact import assert_exact
from tests.support.source_contract import check_source, load

NAMES = ("a01_s01_e00_v01", "a05_s04_e02_v03", "a12_s10_e04_v02")
LABELS = (1, 5, 10)


def clip(name: str, label: int, frames: int = 3, seed: int = 0) -> dict[str, Any]:
    """The content of a file."""
    joints = np.random.default_rng([seed, label]).normal(0, 1, (frames, 20, 3))
    return {"file_name": name, "skeletons": joints.tolist(), "label": label}


def write(folder: Path, clips: list[dict[str, Any]]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for one in clips:
        (folder / f"{one['file_name']}.json").write_text(json.dumps(one))
    return folder


def expected(folder: Path) -> list[dict[str, Any]]:
    """The annotations, read with only the module json and NumPy, as the feeder reads the files."""
    annotations = []
    for file in sorted(folder.rglob("*.json")):
        held = json.loads(file.read_text())
        keypoint = np.array(held["skeletons"], np.float64)[None]
        annotation = {"frame_dir": file.stem, "label": held["label"] - 1, "keypoint": keypoint}
        annotations.append(annotation | {"total_frames": len(held["skeletons"])})
    return annotations


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    clips = [clip(name, label, 1 + i) for i, (name, label) in enumerate(zip(NAMES, LABELS, strict=True))]
    return write(tmp_path / "all_sqe", clips)


def test_the_contract(folder: Path) -> None:
    check_source(open_source(folder), expected(folder), {})
    splits = {"xview_train": [NAMES[0], NAMES[2]], "xview_val": [NAMES[1]]}
    check_source(open_source(folder, split_by="view"), expected(folder), splits)
    one = folder / f"{NAMES[1]}.json"
    with closing(open_source(one)) as source:
        assert source.dialect == "nwucla"
    check_source(open_source(one), expected(folder)[1:2], {})


@given(st.data())
@settings(max_examples=20)
def test_any_numbers_are_kept(data: st.DataObject) -> None:
    number = st.floats() | st.integers(-(2**53), 2**53)
    frames = data.draw(st.integers(1, 2))
    values = data.draw(st.lists(number, min_size=60 * frames, max_size=60 * frames))
    skeletons = [[values[i : i + 3] for i in range(t * 60, t * 60 + 60, 3)] for t in range(frames)]
    with tempfile.TemporaryDirectory() as place:
        write(Path(place), [{"file_name": NAMES[0], "skeletons": skeletons, "label": 3}])
        check_source(open_source(place), expected(Path(place)), {})


def test_a_store_and_its_export(folder: Path, tmp_path: Path) -> None:
    converters.convert(folder, tmp_path / "s.zarr", split_by="view")
    with skelstore.open(tmp_path / "s.zarr") as store:
        assert_exact(list(store), expected(folder))
        assert store.class_names == list(CLASSES)
        assert store.joints.layout is not None
        assert store.joints.layout.name == "kinect-20"
        assert recorded_options(store.source) == {"split_by": "view"}
        converters.export(store, tmp_path / "s.pkl")
        splits = store.splits
    assert_exact(load(tmp_path / "s.pkl"), {"split": splits, "annotations": expected(folder)})
    nwucla.convert(folder, tmp_path / "bare.zarr", workers=1)
    with skelstore.open(tmp_path / "bare.zarr") as store:
        assert store.splits == {}
        converters.export(store, tmp_path / "list.pkl")
        converters.export(store, tmp_path / "pyskl.pkl", format="pyskl")
    assert_exact(load(tmp_path / "list.pkl"), expected(folder))
    assert_exact(load(tmp_path / "pyskl.pkl"), {"split": {}, "annotations": expected(folder)})


def test_it_is_recognised_from_the_content_of_a_file(folder: Path, tmp_path: Path) -> None:
    with closing(open_source(folder.parent)) as source:
        assert source.dialect == "nwucla"
    (folder / "a.json").write_text("{}")
    with pytest.raises(SourceError, match=r"a\.json: the name is not one of NW-UCLA; expected aAA_sSS_eEE_vVV\.json"):
        open_source(folder)
    other = tmp_path / "other"
    other.mkdir()
    (other / f"{NAMES[0]}.json").write_text('{"njts": 13, "frames": []}')
    with pytest.raises(SourceError, match="is JSON of Toyota Smarthome, which is not read"):
        open_source(other)


def test_it_is_recognised_behind_a_byte_order_mark(folder: Path) -> None:
    for file in folder.rglob("*.json"):
        file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert open_source(folder).dialect == "nwucla"


def test_negative_workers_and_profiles_that_are_close(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="workers is -1; expected 1 or more"):
        converters.convert(folder, tmp_path / "a.zarr", workers=-1)
    with pytest.raises(StoreError, match=r"; did you mean 'small'\?$"):
        converters.convert(folder, tmp_path / "a.zarr", profile="smal")


def test_names_and_views(tmp_path: Path) -> None:
    folder = write(tmp_path / "f", [clip("a01_s01_e00_v04", 1)])
    with pytest.raises(SourceError, match=r"a01_s01_e00_v04\.json: the view is 4; expected 1, 2 or 3"):
        NwUclaFiles(folder, split_by="view")
    assert len(NwUclaFiles(folder)) == 1
    write(tmp_path / "f" / "again", [clip("a01_s01_e00_v04", 1)])
    with pytest.raises(SourceError, match="2 files have the name a01_s01_e00_v04; keep one of them"):
        NwUclaFiles(folder)
    with pytest.raises(SourceError, match="split_by 'subject'; expected one of view"):
        NwUclaFiles(folder, split_by="subject")
    with pytest.raises(SourceError, match="--split-by goes with nwucla, not with arrays"):
        open_source(folder, "arrays", split_by="view")
    with pytest.raises(SourceError, match=r"a folder without a \.json file"):
        NwUclaFiles(write(tmp_path / "empty", []))


GOOD = clip(NAMES[0], 1, 2)
WRONG: dict[str, tuple[object, str]] = {
    "not JSON": (b'{"file_name": "a", "skeletons": [', r"is not JSON \("),
    "not UTF-8": (b'{"file_name": "\xff\xfe"}', r"is not JSON \("),
    "deep": (b"[" * 200_000, r"is not JSON \("),
    "crowded": (b"[" * 2_000_000, r"lists and objects in 2,000,000 bytes"),
    "large": (b" " * (5 << 20), r"more than 4,194,304 bytes"),
    "many digits": (b'{"label": ' + b"1" * 5000 + b"}", r"is not JSON \("),
    "a list": ([GOOD], r"holds a list; expected an object"),
    "no label": ({"file_name": "a", "skeletons": []}, r"has no 'label'; expected an object"),
    "no name": (GOOD | {"file_name": 3}, r"file_name is an int; expected"),
    "another name": (GOOD | {"file_name": NAMES[1]}, r"file_name is 'a05_s04_e02_v03'; expected 'a01_s01_e00_v01'"),
    "label 0": (GOOD | {"label": 0}, r"label is 0; expected an integer from 1 to 10"),
    "a text as label": (GOOD | {"label": "1"}, r"label is '1'; expected"),
    "a bool as label": (GOOD | {"label": True}, r"label is True; expected"),
    "no frame": (GOOD | {"skeletons": []}, r"skeletons is a list of length 0; expected a list of frames"),
    "an object of frames": (GOOD | {"skeletons": {}}, r"skeletons is a dict; expected a list of frames"),
    "25 joints": (GOOD | {"skeletons": [[[0, 0, 0]] * 25]}, r"skeletons\[0\] is a list of length 25; expected .* 20"),
    "2D": (GOOD | {"skeletons": [[[0, 0]] * 20]}, r"skeletons\[0\]\[0\] is a list of length 2; expected \[x, y, z\]"),
    "null": (GOOD | {"skeletons": [[[0, None, 0]] * 20]}, r"skeletons\[0\]\[0\]\[1\] is None; expected a number"),
    "a bool": (GOOD | {"skeletons": [[[0, 0, True]] * 20]}, r"skeletons\[0\]\[0\]\[2\] is True; expected a number"),
    "beyond": (GOOD | {"skeletons": [[[0, 0, 10**400]] * 20]}, r"an integer beyond float64"),
}


@pytest.mark.parametrize("name", WRONG)
def test_an_invalid_file_is_named(tmp_path: Path, name: str) -> None:
    content, reason = WRONG[name]
    path = write(tmp_path / "f", []) / f"{NAMES[0]}.json"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    source = open_source(path.parent, "nwucla")
    with pytest.raises(SourceError, match=reason) as caught:
        source.video(0)
    text = str(caught.value)
    assert text.startswith(f"{path}")
    assert "\n" not in text
    with pytest.raises(SkelstoreError, match=reason):
        nwucla.convert(path.parent, tmp_path / "s.zarr")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["f"]


@given(st.binary(max_size=200) | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
@settings(max_examples=50)
def test_any_bytes_are_a_clip_or_an_error(data: bytes | str) -> None:
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / f"{NAMES[0]}.json"
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        with pytest.raises(SourceError, match=NAMES[0]):
            NwUclaFiles(path).video(0)


def test_the_real_files(real_folder: Path) -> None:
    folder = real_folder / "nwucla"
    if not folder.is_dir():
        pytest.skip(f"no folder nwucla at {real_folder}: set SKELSTORE_REAL to a folder that has one")
    check_source(open_source(folder), expected(folder), {})
