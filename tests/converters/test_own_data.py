"""Users' own folders: extraction output and arrays, with labels and splits from a table, names or folders."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import skelstore
from converters import export, open_source
from converters.cli import entry
from converters.comparison import compare
from converters.conversion.convert import convert_source
from converters.dialects import array_folder, extraction
from converters.dialects.array_folder import ArrayFolder
from converters.dialects.extraction import ExtractedFiles
from converters.samples.pickles import iter_ntu_like, ntu_names, ntu_split
from converters.samples.skeletons import write_skeletons
from converters.samples.sources import extraction_like, write_sources
from skelstore.errors import SourceError, UnsupportedValueError
from tests.support.exact import assert_exact
from tests.support.source_contract import check_source, dump, load

VIDEOS = 12
SHAPE = (1080, 1920)
NAME_OF_NTU = ["S001C001P001R001A001"]


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own")
    write_sources(folder, VIDEOS)
    return folder


def points(*shape: int) -> np.ndarray[Any, Any]:
    return np.arange(np.prod(shape)).astype(np.float32).reshape(shape)


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def save(path: Path, *array: Any, **members: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array[0]) if array else np.savez(path, **members)
    return path


def refusal(call: Callable[[], object]) -> list[str]:
    """The lines of the error message."""
    with pytest.raises(SourceError) as error:
        call()
    return str(error.value).splitlines()


# ------------------------------------------------------------------------------------------ extraction


def test_one_annotation_per_file_by_ntu_names(samples: Path, tmp_path: Path) -> None:
    expected = [load(samples / "extracted" / f"{name}.pkl") for name in ntu_names(VIDEOS)]
    assert expected[0]["keypoint"].dtype == np.float32
    source = open_source(samples / "extracted", label_by="ntu")
    assert source.dialect == "extraction"
    check_source(source, expected, ntu_split(ntu_names(VIDEOS)))
    extraction.convert(samples / "extracted", tmp_path / "e.zarr", label_by="ntu", workers=1)
    with skelstore.open(tmp_path / "e.zarr") as store:
        export(store, tmp_path / "again.pkl")
    assert_exact(load(tmp_path / "again.pkl"), {"split": ntu_split(ntu_names(VIDEOS)), "annotations": expected})


def test_lists_of_several_processes_with_a_table(samples: Path, tmp_path: Path) -> None:
    extracted = extraction_like(VIDEOS)
    expected = [annotation | {"label": i % 3} for i, annotation in enumerate(extracted)]
    names = [annotation["frame_dir"] for annotation in extracted]
    splits = {"train": [name for i, name in enumerate(names) if i % 4], "val": names[::4]}
    source = open_source(samples / "parts", table=samples / "parts.csv")
    assert source.dialect == "extraction"
    assert [source.place(i) for i in range(3)] == ["part_0.pkl[0]", "part_1.pkl[0]", "part_0.pkl[1]"]
    check_source(source, expected, splits)
    unlabelled = open_source(samples / "parts")
    assert unlabelled.dialect == "extraction"
    check_source(unlabelled, extracted[::2] + extracted[1::2], {})
    convert_source(unlabelled, tmp_path / "p.zarr", workers=2)
    with skelstore.open(tmp_path / "p.zarr") as store:
        export(store, tmp_path / "again.pkl")
        assert [origin.file for origin in store.origins() if origin][5:7] == ["part_0.pkl", "part_1.pkl"]
    assert_exact(load(tmp_path / "again.pkl"), extracted[::2] + extracted[1::2])


def test_one_list_with_a_table(samples: Path, tmp_path: Path) -> None:
    extracted = extraction_like(4)
    path = dump(tmp_path / "all.pkl", extracted)
    table = write(tmp_path / "t.csv", "frame_dir,label,subject\nclip003,7,a\nclip001,,b\n")
    source = open_source(path, table=table)
    check_source(source, [extracted[3] | {"label": 7, "subject": "a"}, extracted[1] | {"subject": "b"}], {})
    assert source.description()["unlisted"] == 2


def test_a_table_by_path_names_videos_without_a_name(tmp_path: Path) -> None:
    """Some real files have the frame_dir '' or 'undefined' for all videos."""
    for i in range(3):
        dump(tmp_path / "pkl" / f"{i}.pkl", {"frame_dir": "undefined", "label": "A1", "keypoint": points(1, 2, 3, 2)})
    table = write(tmp_path / "t.csv", "path,frame_dir,label,split\n2.pkl,two,2,val\n0.pkl,zero,0,train\n")
    source = open_source(tmp_path / "pkl", table=table)
    keypoint = points(1, 2, 3, 2)
    check_source(
        source,
        [
            {"frame_dir": "two", "label": 2, "keypoint": keypoint},
            {"frame_dir": "zero", "label": 0, "keypoint": keypoint},
        ],
        {"train": ["zero"], "val": ["two"]},
    )
    table = write(tmp_path / "t.csv", "path,label,split\n2.pkl,2,val\n0.pkl,0,train\n")
    lines = refusal(lambda: open_source(tmp_path / "pkl", table=table))
    assert lines == [
        f"{table} has 1 problem:",
        "  t.csv: line 2, t.csv: line 3: 2 videos have the frame_dir 'undefined'; give each its own in a --table",
    ]


def test_one_folder_of_pickles_per_class(tmp_path: Path) -> None:
    for i, folder in enumerate(("train/wave", "train/clap", "val/wave")):
        dump(tmp_path / "pkl" / folder / f"{i}.pkl", [{"frame_dir": f"{i}a"}, {"frame_dir": f"{i}b"}])
    source = open_source(tmp_path / "pkl", label_by="folders")
    assert source.description()["class_names"] == ["clap", "wave"]
    assert [source.video(i)[0]["label"] for i in range(6)] == [0, 0, 1, 1, 1, 1]
    assert_exact(source.splits(), {"train": ["1a", "1b", "0a", "0b"], "val": ["2a", "2b"]})
    source.close()


def test_problems_of_a_table_of_pickles_are_reported_together(samples: Path, tmp_path: Path) -> None:
    table = write(tmp_path / "t.csv", "frame_dir,label\nclip000,0\nnobody,1\nclip000,x\nclip001\n")
    lines = refusal(lambda: ExtractedFiles(samples / "parts", table=table))
    assert lines[0] == f"{table} has 4 problems:"
    assert [line.split(":", 2)[1] for line in lines[1:]] == [" line 5", " line 4, label", " line 3", " line 4"]
    table = write(tmp_path / "t.csv", "path\npart_0.pkl\n")
    assert "is a list of 6 annotations" in refusal(lambda: ExtractedFiles(samples / "parts", table=table))[1]
    double = dump(tmp_path / "double.pkl", [{"frame_dir": "a"}, {"frame_dir": "a"}])
    table = write(tmp_path / "t.csv", "frame_dir\na\n")
    assert "2 videos have the frame_dir 'a'" in refusal(lambda: ExtractedFiles(double, table=table))[1]


def test_pickles_of_something_else_are_reported_together(tmp_path: Path) -> None:
    dump(tmp_path / "pkl" / "a.pkl", {"split": {}, "annotations": []})
    dump(tmp_path / "pkl" / "b.pkl", [1])
    dump(tmp_path / "pkl" / "c.pkl", "text")
    (tmp_path / "pkl" / "d.pkl").write_bytes(b"no pickle")
    dump(tmp_path / "pkl" / "e.pkl", {"frame_dir": "fine"})
    lines = refusal(lambda: open_source(tmp_path / "pkl", label_by="folders"))
    assert len(lines) == 5
    for line, name in zip(lines[1:], "abcd", strict=True):
        assert f"{name}.pkl" in line


def test_a_real_annotation_gets_a_label(real_file: Callable[[str], Path], tmp_path: Path) -> None:
    """A file whose label is a text ('A1'), as custom scripts write."""
    path = real_file("annotations/single_annotation.pkl")
    annotation = load(path)
    name = annotation["frame_dir"]
    table = write(tmp_path / "t.csv", f"frame_dir,label,split\n{name},0,train\n")
    check_source(open_source(path, table=table), [annotation | {"label": 0}], {"train": [name]})


# ------------------------------------------------------------------------------------------ arrays


def expected_clips() -> list[dict[str, Any]]:
    annotations = []
    for i, annotation in enumerate(iter_ntu_like(VIDEOS)):
        keypoint = annotation["keypoint"] if i % 2 else annotation["keypoint"][:1]
        expected = {
            **{"frame_dir": f"person{i % 5}_{i}", "label": i % 3, "img_shape": SHAPE, "original_shape": SHAPE},
            **{"total_frames": keypoint.shape[1], "keypoint": np.ascontiguousarray(keypoint)},
        }
        score = {"keypoint_score": annotation["keypoint_score"]} if i % 2 else {}
        annotations.append(expected | score | {"subject": f"P{i % 5:02d}"})
    return annotations


def test_arrays_with_a_table(samples: Path, tmp_path: Path) -> None:
    names = [annotation["frame_dir"] for annotation in expected_clips()]
    splits = {"train": [name for i, name in enumerate(names) if i % 4], "val": names[::4]}
    source = open_source(samples / "clips", table=samples / "clips.csv")
    assert source.dialect == "arrays"
    check_source(source, expected_clips(), splits)
    array_folder.convert(samples / "clips", tmp_path / "c.zarr", table=samples / "clips.csv", workers=2)
    with skelstore.open(tmp_path / "c.zarr") as store:
        assert compare(store, source) == []
        export(store, tmp_path / "mine.pkl")
    assert_exact(load(tmp_path / "mine.pkl"), {"split": splits, "annotations": expected_clips()})


def test_arrays_in_folders_of_classes(samples: Path, tmp_path: Path) -> None:
    source = ArrayFolder(samples / "classes", label_by="folders")
    names = [f"{'val' if i % 4 == 0 else 'train'}/{('clap', 'jump', 'wave')[i % 3]}/clip{i:03d}" for i in range(VIDEOS)]
    assert [source.video(i)[0]["frame_dir"] for i in range(VIDEOS)] == sorted(names)
    assert source.description()["class_names"] == ["clap", "jump", "wave"]
    assert [len(ids) for ids in source.splits().values()] == [9, 3]
    convert_source(source, tmp_path / "k.zarr")
    with skelstore.open(tmp_path / "k.zarr") as store:
        assert store.source["class_names"] == ["clap", "jump", "wave"]
        assert store["train/jump/clip001"]["label"] == 1


def test_a_folder_of_arrays_alone(samples: Path) -> None:
    source = open_source(samples / "clips")
    assert len(source) == VIDEOS
    assert list(source.video(0)[0]) == ["frame_dir", "total_frames", "keypoint"]
    assert source.video(0)[0]["frame_dir"] == "clip000"
    assert source.splits() == {}
    assert source.description()["document"] == {"annotations": True}
    source.close()


def test_an_annotation_that_savez_wrote(tmp_path: Path) -> None:
    """``np.savez("clip.npz", **annotation)`` is read as the same annotation."""
    for i, annotation in enumerate(iter_ntu_like(3)):
        save(tmp_path / "npz" / f"{i}.npz", **annotation, visible=annotation["keypoint_score"] > 0.5)
    expected = [{**a, "visible": a["keypoint_score"] > 0.5} for a in iter_ntu_like(3)]
    check_source(ArrayFolder(tmp_path / "npz"), expected, {})


def test_compressed_arrays(tmp_path: Path) -> None:
    frame_inds = np.array([0, 0, 1, 5], np.int16)
    save(tmp_path / "npz" / "a.npz", keypoint=points(4, 17, 3), frame_inds=frame_inds)
    save(tmp_path / "npz" / "b.npz", keypoint=points(4, 17, 3), frame_inds=frame_inds, total_frames=9)
    keys = {"keypoint": points(4, 17, 3), "frame_inds": frame_inds}
    check_source(
        ArrayFolder(tmp_path / "npz"),
        [{"frame_dir": "a", "total_frames": 6, **keys}, {"frame_dir": "b", "total_frames": 9, **keys}],
        {},
    )


def test_a_parquet_table(tmp_path: Path) -> None:
    save(tmp_path / "npy" / "a.npy", points(4, 17, 2))
    pa.parquet.write_table(pa.table({"path": ["a.npy"], "label": [5], "split": ["x"]}), tmp_path / "t.parquet")
    source = open_source(tmp_path / "npy", table=tmp_path / "t.parquet")
    expected = {"frame_dir": "a", "label": 5, "total_frames": 4, "keypoint": points(1, 4, 17, 2)}
    check_source(source, [expected], {"x": ["a"]})


ONE = st.tuples(st.integers(0, 3), st.integers(1, 4), st.booleans())


@given(st.lists(ONE, min_size=1, max_size=5), st.sampled_from(["<f2", ">f4", "<f8", "<i2"]), st.sampled_from([2, 3]))
@settings(max_examples=40)
def test_any_arrays(videos: list[tuple[int, int, bool]], dtype: str, coordinates: int) -> None:
    expected = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for i, (persons, frames, packed) in enumerate(videos):
            packed |= (persons, coordinates) == (3, 2)  # otherwise it may be x, y, z of two persons
            keypoint = points(max(persons, 1), frames, 5, coordinates).astype(dtype)
            score = np.zeros((max(persons, 1), frames, 5), np.float16)
            stored, stored_score = (keypoint[0], score[0]) if persons == 0 else (keypoint, score)
            annotation = {"frame_dir": f"v{i}", "total_frames": frames, "keypoint": keypoint}
            if packed:
                save(folder / f"v{i}.npz", keypoint=stored, keypoint_score=stored_score)
                annotation["keypoint_score"] = score
            else:
                save(folder / f"v{i}.npy", stored)
            expected.append(annotation)
        check_source(ArrayFolder(folder), expected, {})


def test_all_problems_of_a_table_of_arrays_are_reported_together(tmp_path: Path) -> None:
    folder = tmp_path / "npy"
    save(folder / "a.npy", points(4, 17, 2))
    save(folder / "b.npy", points(17, 2))
    save(folder / "c.npy", points(4, 17, 2))
    rows = "a.npy,x,0\nmissing.npy,y,0\na.npy,z,0\n../a.npy,w,clap\nb.npy,v,1\nc.npy,x,1\n"
    table = write(tmp_path / "t.csv", "path,frame_dir,label\n" + rows)
    lines = refusal(lambda: ArrayFolder(folder, table=table))
    assert lines[0] == f"{table} has 6 problems:"
    assert "line 5, path: '../a.npy' leads outside" in lines[1]
    assert "line 5, label: 'clap'" in lines[2]
    assert "line 3: 'missing.npy' is not in" in lines[3]
    assert "line 4: 'a.npy' is also listed at t.csv: line 2" in lines[4]
    assert "t.csv: line 2, t.csv: line 7: 2 videos have the frame_dir 'x'" in lines[5]
    assert "b.npy: keypoint has float32 (17, 2)" in lines[6]
    table = write(tmp_path / "t.csv", "path,frame_dir\n" + "".join(f"{i}.npy,a\n" for i in range(50)))
    assert len(refusal(lambda: ArrayFolder(folder, table=table))) == 22


def test_names_of_arrays_must_be_unique(tmp_path: Path) -> None:
    folder = tmp_path / "npy"
    save(folder / "a.npy", points(4, 17, 2))
    save(folder / "a.npz", keypoint=points(4, 17, 2))
    assert "2 videos have the frame_dir 'a'" in refusal(lambda: ArrayFolder(folder))[1]
    table = write(tmp_path / "t.csv", "path,frame_dir\na.npy,\na.npz,b\n")
    source = ArrayFolder(folder, table=table)
    assert [source.video(i)[0]["frame_dir"] for i in range(2)] == ["a", "b"]


def test_all_arrays_of_a_wrong_shape_are_reported_together(tmp_path: Path) -> None:
    good = points(4, 17, 2)
    wrong: dict[str, tuple[Any, str]] = {
        "axes.npy": (points(17, 2), r"float32 (17, 2); expected [M, T, V, C], or [T, V, C] for one person"),
        "four.npy": (points(4, 17, 4), "put the scores into keypoint_score of a .npz"),
        "other.npy": (points(4, 25, 3), "25 joints of 3 coordinates; 2 of 3 files have 17 joints of 2 coordinates"),
        "bool.npy": (points(4, 17, 2) > 3, "bool (4, 17, 2)"),
        "text.npy": (np.array("text"), "keypoint has <U4 ()"),
        "damaged.npy": (None, "not an array file"),
        "none.npz": ({"points": good}, "expected keypoint among them"),
        "score.npz": ({"keypoint": good, "keypoint_score": points(4, 16)}, "keypoint_score has the shape (4, 16)"),
        "frames.npz": ({"keypoint": points(4, 17, 3), "frame_inds": points(4)}, "frame_inds float32 (4,)"),
    }
    save(tmp_path / "good1.npy", good)
    save(tmp_path / "good2.npz", keypoint=good)
    for name, (value, _) in wrong.items():
        if isinstance(value, dict):
            save(tmp_path / name, **value)
        elif value is None:
            (tmp_path / name).write_bytes(b"x")
        else:
            save(tmp_path / name, value)
    lines = refusal(lambda: ArrayFolder(tmp_path))
    assert lines[0] == f"{tmp_path} has {len(wrong)} problems:"
    for name, (_, reason) in wrong.items():
        [line] = [line for line in lines[1:] if f"{tmp_path / name}" in line]
        assert reason in line


def test_axes_in_another_order_are_refused_once_for_all_files(tmp_path: Path) -> None:
    for frames in (30, 40, 50):
        save(tmp_path / "stgcn" / f"{frames}.npy", points(3, frames, 25, 2))
    [_, line] = refusal(lambda: ArrayFolder(tmp_path / "stgcn"))
    assert "30.npy: keypoint has the shape (3, 30, 25, 2): it looks like [C, T, V, M]" in line
    assert "save np.transpose(x, (3, 1, 2, 0)); if its axes are [M, T, V, C], save a .npz with keypoint and" in line
    assert line.endswith("(and 2 more files like it)")
    save(tmp_path / "one" / "a.npy", points(3, 30, 25, 1))
    [_, line] = refusal(lambda: ArrayFolder(tmp_path / "one"))
    assert "it looks like [C, T, V, M]" in line
    assert "[M, T, V, C]" not in line
    save(tmp_path / "frames" / "a.npz", keypoint=points(90, 2, 17, 2))
    [_, line] = refusal(lambda: open_source(tmp_path / "frames"))
    assert "it looks like [T, M, V, C]: save np.transpose(x, (1, 0, 2, 3))" in line
    save(tmp_path / "clips" / "a.npy", points(12, 30, 17, 3))
    [_, line] = refusal(lambda: open_source(tmp_path / "clips", label_by="ntu"))[-2:]
    assert "it looks like [N, T, V, C], 12 clips in one array" in line


def test_stated_axes_are_accepted(tmp_path: Path) -> None:
    """They are stated by total_frames or by the shape of a score: three persons in 2D, a crowd."""
    three, crowd = points(3, 30, 25, 2), points(20, 4, 17, 2)
    save(tmp_path / "three" / "a.npz", keypoint=three, total_frames=30)
    save(tmp_path / "three" / "b.npz", keypoint=three, keypoint_score=three[..., 0])
    source = open_source(tmp_path / "three")
    assert all(source.video(i)[0]["keypoint"].shape == three.shape for i in range(2))
    save(tmp_path / "crowd" / "a.npz", keypoint=crowd, keypoint_score=crowd[..., 0])
    assert_exact(open_source(tmp_path / "crowd").video(0)[0]["keypoint"], crowd)


def test_values_that_contradict_each_other_are_reported_together(tmp_path: Path) -> None:
    good = points(4, 17, 2)
    save(tmp_path / "npz" / "a.npz", keypoint=good, total_frames=5)
    save(tmp_path / "npz" / "b.npz", keypoint=good, img_shape=np.zeros(3))
    save(tmp_path / "npz" / "c.npz", keypoint=good)
    with pytest.raises(UnsupportedValueError) as error:
        array_folder.convert(tmp_path / "npz", tmp_path / "a.zarr")
    lines = str(error.value).splitlines()
    assert len(lines) == 2
    assert "a.npz: total_frames is 5, but keypoint has 4 frames" in lines[0]
    assert "b.npz: img_shape is an array of float64 [3]; expected height and width" in lines[1]
    for key in ("frame_inds", "keypoint_score"):
        save(tmp_path / "npy" / "c.npy", good)
        table = write(tmp_path / "t.csv", f"path,{key}\nc.npy,1\n")
        with pytest.raises(SourceError, match=f"c.npy: {key!r} is a column of the table"):
            ArrayFolder(tmp_path / "npy", table=table)
    table = write(tmp_path / "t.csv", "path,keypoint\nc.npz,1\n")
    assert (
        "is an array and also a column of the table" in refusal(lambda: ArrayFolder(tmp_path / "npz", table=table))[1]
    )


def three_clips(folder: Path, where: str) -> None:
    """Three videos in class folders, each with a filename that differs from its frame_dir."""
    for i, place in enumerate(("train/a", "train/b", "val/a")):
        keypoint = points(1, 4, 17, 2)
        if where == "pickle":
            annotation = {"frame_dir": f"clip{i}", "keypoint": keypoint, "filename": f"f{i}"}
            dump(folder / place / f"{i}.pkl", annotation)
        elif where == "npz":
            save(folder / place / f"{i}.npz", keypoint=keypoint, filename=f"f{i}")
        else:
            save(folder / place / f"{i}.npy", keypoint)


@pytest.mark.parametrize("where", ["pickle", "npz", "table", "parquet"])
def test_splits_use_filename_if_the_first_video_has_one(tmp_path: Path, where: str) -> None:
    """PYSKL, MMAction2 and ``Store.split`` match ids in this way."""
    three_clips(tmp_path / "data", where)
    options: dict[str, Any] = {"label_by": "folders"}
    expected = ["f0", "f1"]
    if where in ("table", "parquet"):
        columns = {"path": ["train/a/0.npy", "train/b/1.npy"], "split": ["train", "train"], "filename": ["007", "8"]}
        expected = columns["filename"]
        options = {"table": tmp_path / "t"}
        if where == "parquet":
            pa.parquet.write_table(pa.table(columns), options["table"])
        else:
            lines = [columns, *zip(*columns.values(), strict=True)]
            write(options["table"], "".join(",".join(line) + "\n" for line in lines))
    source = open_source(tmp_path / "data", **options)
    assert source.splits()["train"] == expected
    convert_source(source, tmp_path / "s.zarr", workers=1)
    with skelstore.open(tmp_path / "s.zarr") as store:
        assert len(store.split("train")) == 2
        assert [video["filename"] for video in store] == [*expected, "f2"][: len(store)]


def test_filenames_that_no_split_could_distinguish(tmp_path: Path) -> None:
    for i, name in enumerate(({"filename": "x"}, {"filename": "x"}, {"filename": 5}, {})):
        dump(tmp_path / "pkl" / "train" / "a" / f"{i}.pkl", {"frame_dir": f"clip{i}", **name})
    assert refusal(lambda: open_source(tmp_path / "pkl", label_by="folders"))[1:] == [
        "  train/a/0.pkl, train/a/1.pkl: 2 videos have the filename 'x'; give each its own in a --table",
        "  train/a/2.pkl: the filename is not a str, or is empty; give one in a --table with path and filename",
        "  train/a/3.pkl: no filename; give one in a --table with path and filename",
    ]
    save(tmp_path / "npz" / "a.npz", keypoint=points(4, 17, 2), filename=5)
    assert "filename is int64; expected a str" in refusal(lambda: open_source(tmp_path / "npz"))[1]


@pytest.mark.parametrize("more", [{}, {"frame_inds": np.arange(4)}])
@pytest.mark.parametrize(
    ("total", "shown"),
    [(np.array([4, 4]), "an array of int64 [2]"), (np.array([4]), "an array of int64 [1]"), (4.0, "4.0"), ("4", "'4'")],
)
def test_an_invalid_number_of_frames(tmp_path: Path, more: dict[str, Any], total: Any, shown: str) -> None:
    save(tmp_path / "a.npz", keypoint=points(4, 17, 3), total_frames=total, **more)
    assert f"a.npz: total_frames is {shown}; expected an integer" in refusal(lambda: ArrayFolder(tmp_path).video(0))[0]
    save(tmp_path / "a.npz", keypoint=points(4, 17, 3), total_frames=np.int32(4), **more)
    assert type(ArrayFolder(tmp_path).video(0)[0]["total_frames"]) is int


# ---------------------------------------------------------------------------------------------- recognition


def test_how_folders_are_recognised(samples: Path, tmp_path: Path) -> None:
    def recognised(path: Path, **options: Any) -> str:
        source = open_source(path, **options)
        source.close()
        return source.dialect

    assert recognised(samples / "extracted") == "folder"
    assert recognised(samples / "extracted", dialect="extraction") == "extraction"
    assert recognised(samples / "parts" / "part_0.pkl") == "list"
    table = write(tmp_path / "t.csv", "frame_dir\nS001C001P001R001A001\n")
    assert recognised(samples / "extracted" / "S001C001P001R001A001.pkl", table=table) == "extraction"
    dump(tmp_path / "both" / "a.pkl", {"frame_dir": "a"})
    save(tmp_path / "both" / "a.npy", points(4, 17, 2))
    assert (
        "choose which to convert by --from extraction or --from arrays"
        in refusal(lambda: open_source(tmp_path / "both"))[0]
    )
    assert recognised(tmp_path / "both", dialect="arrays") == "arrays"
    assert recognised(tmp_path / "both", dialect="extraction") == "extraction"


def nested(folder: Path, kind: str) -> tuple[Path, Callable[[], Any]]:
    """A source with a file in a subfolder, and a function that opens it."""
    inner = folder / "data" / "a"
    inner.mkdir(parents=True)
    if kind == "arrays":
        save(inner / "x.npy", points(4, 17, 2))
    elif kind == "ntu":
        write_skeletons(inner, NAME_OF_NTU)
    elif kind == "kinetics":
        dump(folder / "toc.pkl", {"split": {}, "annotations": [{"frame_dir": "v"}]})
        dump(inner / "0.pkl", {"v": {"keypoint": points(1, 4, 17, 2)}})
        return inner, lambda: open_source(folder / "toc.pkl", kpfiles=folder / "data")
    else:
        dump(inner / "x.pkl", {"frame_dir": "v", "keypoint": points(1, 4, 17, 2)})
    return inner, lambda: open_source(folder / "data", None if kind == "arrays" else kind)


@pytest.mark.parametrize("kind", ["arrays", "ntu", "kinetics", "folder", "extraction"])
def test_no_folder_is_skipped_silently(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    inner, opened = nested(tmp_path, kind)
    (inner / f"._{next(inner.iterdir()).name}").write_bytes(b"macOS")
    source = opened()
    assert len(source) == 1
    source.close()
    link = inner.parent / "jump"
    link.symlink_to(tmp_path)
    assert refusal(opened)[0].startswith(f"{link} is a link to a folder, which is not followed")
    link.unlink()
    broken = inner.parent / next(inner.glob("[!.]*")).with_stem("lost").name
    broken.symlink_to(tmp_path / "nowhere")
    assert refusal(opened)[0].startswith(f"{broken} is not a file, or is a broken link")
    broken.unlink()
    real = os.scandir

    def closed(path: Any) -> Any:
        if Path(path) == inner:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", closed)
    with pytest.raises(PermissionError, match=r"data/a"):
        opened()


def test_suffixes_in_upper_case(tmp_path: Path) -> None:
    dump(tmp_path / "pkl" / "a.PKL", {"frame_dir": "a"})
    dump(tmp_path / "pkl" / "b.pkl", {"frame_dir": "b"})
    assert len(open_source(tmp_path / "pkl")) == 2
    write_skeletons(tmp_path / "ntu", NAME_OF_NTU)
    (tmp_path / "ntu" / f"{NAME_OF_NTU[0]}.skeleton").rename(tmp_path / "ntu" / f"{NAME_OF_NTU[0]}.SKELETON")
    source = open_source(tmp_path / "ntu")
    assert source.video(0)[0]["frame_dir"] == NAME_OF_NTU[0]


def test_options_that_cannot_be_combined(samples: Path, tmp_path: Path) -> None:
    table = samples / "clips.csv"
    pyskl = samples / "gym" / "gym_hrnet.pkl"
    for call, reason in (
        (lambda: open_source(pyskl, table=table), ", not with pyskl"),
        (lambda: open_source(samples / "clips", label_by="folders", table=table), "not from both"),
        (lambda: open_source(samples / "clips", label_by="names"), "expected one of folders, ntu"),
        (lambda: open_source(pyskl, "arrays"), "is a file; the dialect arrays is not"),
        (lambda: open_source(samples / "clips", "babel"), "is a folder; the dialect babel is not"),
    ):
        assert reason in refusal(call)[0]


def test_own_data_on_the_command_line(samples: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*arguments: object) -> tuple[int, str, str]:
        try:
            entry.main([str(argument) for argument in arguments])
        except SystemExit as error:
            status = error.code
        else:
            status = 0
        captured = capsys.readouterr()
        return int(status or 0), captured.out, captured.err

    table = write(tmp_path / "t.csv", "path,label\nclip000.npy,0\nnothing.npy,1\n")
    status, out, err = run("convert", samples / "clips", tmp_path / "c.zarr", "--table", table, "--workers", 1)
    assert (status, out) == (1, "")
    assert "'nothing.npy' is not in" in err
    options = ("--table", table, "--skip-missing", "--workers", 1)
    status, out, err = run("convert", samples / "clips", tmp_path / "c.zarr", *options)
    assert status == 0
    assert "left out 1 video; `skelstore info --json` says which and why" in err
    assert f"left out {VIDEOS - 1} videos that the table does not list" in err
    assert run("verify", tmp_path / "c.zarr", "--against", samples / "clips", "--table", table)[0] == 0
    status, out, _ = run("info", tmp_path / "c.zarr", "--json")
    assert json.loads(out)["left_out"][0]["name"] == "nothing.npy"
    empty = write(tmp_path / "u.csv", "path\nnothing.npy\n")
    status, _, err = run("convert", samples / "clips", tmp_path / "d.zarr", "--table", empty, "--skip-missing")
    assert status == 1
    assert "none of its videos is in" in err
    gym = samples / "gym"
    boxes = ("--boxes", gym / "gym_gt_bboxes.pkl")
    status, _, err = run("convert", gym / "gym_hrnet.pkl", tmp_path / "g.zarr", *boxes, "--workers", 1)
    assert status == 0
    assert "2 videos have no boxes, and 1 box no video" in err
    assert run("verify", tmp_path / "g.zarr", "--against", gym / "gym_hrnet.pkl", *boxes)[0] == 0
    status, _, err = run("convert", samples / "clips", tmp_path / "e.zarr", "--label-by", "size")
    assert status == 2
