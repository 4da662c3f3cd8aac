"""Relabelling: exact labels and types, class names that follow their labels, and files of any content."""

from __future__ import annotations

import json
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import skelstore
from converters import samples
from converters.conversion.convert import convert_source
from converters.inputs.annotation_file import AnnotationFile
from converters.labels import read_class_names, read_mapping, relabel
from skelstore import JointLayoutError
from skelstore.errors import SkelstoreError, SourceError
from tests.support.contracts import write
from tests.support.exact import assert_exact
from tests.support.source_contract import dump


def store_of(folder: Path, *labels: Any, **source: Any) -> Path:
    videos = [{"frame_dir": f"clip{i}", "label": label} for i, label in enumerate(labels)]
    return write(folder / "a.zarr", videos, {"train": ["clip0"]}, source={"dialect": "writer", **source})


def relabelled(path: Path, **options: Any) -> tuple[list[Any], skelstore.Store]:
    relabel(path, path.with_name("b.zarr"), **options)
    with skelstore.open(path.with_name("b.zarr")) as store:
        return [video["label"] for video in store], store


def test_a_mapping_keeps_the_kind_of_number(tmp_path: Path) -> None:
    path = store_of(tmp_path, 3, np.int64(5), np.int8(5), "walk", [3, 5], [], np.str_("walk"))
    found, store = relabelled(path, mapping={"3": 0, "5": 1000, "walk": 2})
    assert_exact(found, [0, np.int64(1000), 1000, 2, [0, 1000], [], 2])
    assert store.splits == {"train": ["clip0"]}


def test_a_mapping_to_texts_and_of_several_to_one(tmp_path: Path) -> None:
    found, _ = relabelled(store_of(tmp_path, 3, np.int64(5), 7), mapping={"3": "a", "5": "b", "7": "a", "9": "c"})
    assert_exact(found, ["a", "b", "a"])


def test_compact_numbers_the_labels_in_use(tmp_path: Path) -> None:
    path = store_of(tmp_path, 1999, 4, np.int64(-1), [4, 1999], class_names=[str(i) for i in range(2000)])
    found, store = relabelled(path, compact=True)
    assert_exact(found, [2, 1, np.int64(0), [1, 2]])
    assert store.class_names is None, "-1 had no name"


def test_class_names_follow_their_labels(tmp_path: Path) -> None:
    found, store = relabelled(store_of(tmp_path, 2, 0, class_names=["a", "b", "c"]), compact=True)
    assert (found, store.class_names) == ([1, 0], ["a", "c"])


def test_texts_become_the_class_names(tmp_path: Path) -> None:
    found, store = relabelled(store_of(tmp_path, "walk", "run", "walk"), compact=True)
    assert (found, store.class_names) == ([1, 0, 1], ["run", "walk"])


def test_class_names_by_themselves(tmp_path: Path) -> None:
    path = store_of(tmp_path, 1, 0, [0, 2])
    found, store = relabelled(path, class_names=["a", "b", "c"])
    assert_exact(found, [1, 0, [0, 2]])
    assert store.class_names == ["a", "b", "c"]
    with pytest.raises(SourceError, match=r"the label 2 has no name: there are 2 names, for 0 to 1"):
        relabel(path, tmp_path / "c.zarr", class_names=["a", "b"])
    mapping = {"0": 0, "1": 0, "2": 1}
    found, store = relabelled(tmp_path / "b.zarr", mapping=mapping, class_names=["x", "y"], force=True)
    assert (found, store.class_names) == ([0, 0, [0, 1]], ["x", "y"])
    _, store = relabelled(tmp_path / "b.zarr", mapping={"0": 1, "1": 0}, force=True)
    assert store.class_names is None, "the new class names are unknown"


def test_joints_are_stated(tmp_path: Path) -> None:
    path = write(tmp_path / "a.zarr", samples.ntu3d_like(2)["annotations"])
    relabel(path, tmp_path / "b.zarr", joints="ntu-25")
    with skelstore.open(tmp_path / "b.zarr") as store:
        assert store.joints.stated
        assert store.joints.layout == skelstore.joints.LAYOUTS["ntu-25"]
        assert store[0]["label"] == samples.ntu3d_like(1)["annotations"][0]["label"]
    with pytest.raises(JointLayoutError, match="coco-17 has 17 joints, but there are keypoints with 25"):
        relabel(path, tmp_path / "c.zarr", joints="coco-17")


@pytest.mark.parametrize(
    ("label", "options", "match"),
    [
        (7, {"mapping": {"3": 0}}, r"1 label, in 1 place, is not in the mapping: 7: add a line"),
        ("drnik", {"mapping": {"3": 0, "drink": 1}}, r"'drnik': add a line for each; did you mean 'drink'\?"),
        (1.0, {"compact": True}, r"video 1 \('clip1'\): the label is a float"),
        (True, {"compact": True}, "the label is a bool"),
        (None, {"mapping": {"3": 0}}, "the label is None"),
        ({"a": 1}, {"compact": True}, "the label is a dict"),
        (np.ones(3), {"compact": True}, "the label is an array of float64"),
        ([[1]], {"compact": True}, "the label is a list"),
        ("walk", {"class_names": ["a"] * 9}, "the label 'walk' has no name"),
        (-1, {"class_names": ["a"] * 9}, "the label -1 has no name"),
    ],
)
def test_labels_that_cannot_be_changed(tmp_path: Path, label: Any, options: Any, match: str) -> None:
    with pytest.raises(SourceError, match=match):
        relabel(store_of(tmp_path, 3, label), tmp_path / "b.zarr", **options)
    assert [path.name for path in tmp_path.iterdir()] == ["a.zarr"]


def test_videos_without_labels_stay_without(tmp_path: Path) -> None:
    path = write(tmp_path / "a.zarr", [{"frame_dir": "a"}, {"frame_dir": "b", "label": 4}])
    relabel(path, tmp_path / "b.zarr", compact=True)
    with skelstore.open(tmp_path / "b.zarr") as store:
        assert_exact(list(store), [{"frame_dir": "a"}, {"frame_dir": "b", "label": 0}])


def test_a_conversion_keeps_class_names_and_joints(tmp_path: Path) -> None:
    path = dump(tmp_path / "a.pkl", samples.ntu_like(4))
    convert_source(AnnotationFile(path, "pyskl"), tmp_path / "a.zarr", class_names=["drink", "eat"], joints="coco-17")
    with skelstore.open(tmp_path / "a.zarr") as store:
        assert store.class_names == ["drink", "eat"]
        assert store.joints.stated
    with pytest.raises(JointLayoutError, match=r"a\.pkl: the layout ntu-25 has 25 joints"):
        convert_source(AnnotationFile(path, "pyskl"), tmp_path / "b.zarr", joints="ntu-25")
    assert sorted(found.name for found in tmp_path.iterdir()) == ["a.pkl", "a.zarr"]


def test_other_joints_further_on_are_found_too(tmp_path: Path) -> None:
    """They come after the videos that the chunks are planned with."""
    videos = [{"frame_dir": str(i), "keypoint": np.ones((1, 1, 17, 2), np.float16)} for i in range(300)]
    videos[-1]["keypoint"] = np.ones((1, 1, 25, 2), np.float16)
    source = AnnotationFile(dump(tmp_path / "a.pkl", videos), "list", ("list",))
    with pytest.raises(JointLayoutError, match="keypoints with 25"):
        convert_source(source, tmp_path / "b.zarr", joints="coco-17")
    assert convert_source(source, tmp_path / "b.zarr") == 1, "the part is finished whatever joints are stated"


# ------------------------------------------------------------------------------------------------ the files


def read(reader: Any, name: str, data: bytes) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(data)
        return reader(path)


@pytest.mark.parametrize(
    ("name", "data", "mapping"),
    [
        ("a.csv", b"old,new\n3,0\nwalk,1\n", {"3": 0, "walk": 1}),
        ("a.csv", b"\xef\xbb\xbf3,0\r\n4,0\r\n\r\n", {"3": 0, "4": 0}),
        ("a.csv", b'"a, b",x\nc, 1\nd,y\n', {"a, b": "x", "c": "1", "d": "y"}),
        ("a.txt", b"1,-1", {"1": -1}),
        ("a.csv", b"1,x\n", {"1": "x"}),
        ("a.json", b'{"3": 0, "walk": "x"}', {"3": 0, "walk": "x"}),
        ("a.JSON", b'[[3, 0], ["4", 1]]', {"3": 0, "4": 1}),
    ],
)
def test_mappings(name: str, data: bytes, mapping: dict[str, Any]) -> None:
    assert_exact(read(read_mapping, name, data), mapping)


@pytest.mark.parametrize(
    ("name", "data", "match"),
    [
        ("a.csv", b"", "has no labels"),
        ("a.csv", b"old,new\n", "has no labels"),
        ("a.csv", b"1,2\n3\n", r"line 2 is \['3'\]; expected old,new"),
        ("a.csv", b"1,2,3\n", "line 1"),
        ("a.csv", b"1,\n", "line 1"),
        ("a.csv", b"1,2\n1,3\n", "the label '1' occurs twice"),
        ("a.csv", b'"1,2\n', "is not a CSV file"),
        ("a.csv", b"\xff\xfe", "is not UTF-8"),
        ("a.csv", b"from,to\n3,0\nwalk,1\n", "the first line is 'from,to', but the new labels below it are numbers"),
        ("a.csv", b"Old,New\n3,0\n", "the first line is 'Old,New'"),
        ("a.json", b'{"1": 2, "3": 0, "1": 4}', "the label '1' occurs twice"),
        ("a.json", b"{", "is not JSON"),
        ("a.json", b"[" * 100_000, "is not JSON"),
        ("a.json", b'"x"', "neither an object"),
        ("a.json", b"[[1, 2, 3]]", r"entry 0 is \[1, 2, 3\]"),
        ("a.json", b'[[1, "\\ud800"]]', "entry 0"),
        ("a.json", b"[[1, 2.5]]", "entry 0"),
        ("a.json", b"[[1, true]]", "entry 0"),
        ("a.json", b"{}", "has no labels"),
        ("a.json", b'{"1": 99999999999999999999}', "more than 64 bits"),
        ("a.json", b'{"1": ' + b"9" * 5000 + b"}", "is not JSON"),
    ],
)
def test_invalid_mappings(name: str, data: bytes, match: str) -> None:
    with pytest.raises(SourceError, match=match):
        read(read_mapping, name, data)


@pytest.mark.parametrize(
    ("name", "data", "names"),
    [
        ("a.txt", b"drink water\neat meal\n", ["drink water", "eat meal"]),
        ("a.txt", b"\xef\xbb\xbfa\r\nb \r\n\r\n", ["a", "b"]),
        ("a.json", '["é", "b"]'.encode(), ["é", "b"]),
        ("a.json", b"[]", []),
    ],
)
def test_class_names(name: str, data: bytes, names: list[str]) -> None:
    assert read(read_class_names, name, data) == names


@pytest.mark.parametrize(
    ("name", "data", "match"),
    [
        ("a.txt", b"a\n\nb\n", "name 2 \\(of label 1\\) is empty"),
        ("a.txt", b"", "name 1"),
        ("a.txt", b"a\xff", "is not UTF-8"),
        ("a.json", b'{"a": 1}', "not a list of texts"),
        ("a.json", b'["a", 1]', "not a list of texts"),
        ("a.json", b'["a", "\\ud800"]', "name 2"),
    ],
)
def test_invalid_class_names(name: str, data: bytes, match: str) -> None:
    with pytest.raises(SourceError, match=match):
        read(read_class_names, name, data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda child: st.lists(child) | st.dictionaries(st.text(), child) | st.lists(st.tuples(child, child)),
    max_leaves=8,
)
TEXTS = st.text(alphabet='01ab,"\n\r\\ é', max_size=30).map(str.encode) | st.binary(max_size=30)


@given(st.sampled_from(["a.csv", "a.json"]), TEXTS | JSON.map(json.dumps).map(str.encode))
def test_any_file_is_labels_or_an_error(name: str, data: bytes) -> None:
    with suppress(SkelstoreError):
        mapping = read(read_mapping, name, data)
        assert mapping
        assert all(type(old) is str and type(new) in (int, str) for old, new in mapping.items())
    with suppress(SkelstoreError):
        names = read(read_class_names, name, data)
        assert all(type(entry) is str and entry for entry in names)


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    with open(path, "wb") as file:
        file.truncate(65 << 20)
    with pytest.raises(SourceError, match="expected a file of labels"):
        read_mapping(path)


@pytest.mark.parametrize("text", ["[" + "[]," * 700_000 + "[]]", "[[1, " + "9" * 5000 + "]]", "[" * 100_000])
def test_json_that_takes_more_memory_than_its_bytes(tmp_path: Path, text: str) -> None:
    path = tmp_path / "labels.json"
    path.write_text(text)
    for read in (read_mapping, read_class_names):
        with pytest.raises(SourceError, match=r"labels\.json"):
            read(path)
