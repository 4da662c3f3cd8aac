"""Tables of videos: the meaning of cells, problems with their rows; any bytes are a table or refused."""

from __future__ import annotations

import csv
import io
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converters.inputs import table_limits
from converters.inputs.naming import label_by_class_names, label_by_folders, label_by_ntu
from converters.inputs.video_table import Row, read_table, refuse
from converters.samples.pickles import ntu_names, ntu_split
from skelstore.errors import SourceError


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return tmp_path / "clips.csv"


def rows(path: Path, text: str) -> list[Row]:
    path.write_text(text, encoding="utf-8", newline="")
    found, problems = read_table(path)
    assert problems == []
    return found


def problems(path: Path, text: str) -> list[str]:
    path.write_text(text, encoding="utf-8", newline="")
    return read_table(path)[1]


def test_a_table_with_every_column(table: Path) -> None:
    header = "path,frame_dir,label,split,height,width,subject,weight,code,note\n"
    found = rows(table, header + "a/1.npy,clip1,3,train,1080,1920,7,1.5,007,ü\n" + '"b, c.npy",002,,,,,8,2,010,\n')
    assert found == [
        Row(
            *("clips.csv: line 2", "a/1.npy", "clip1", 3, ("train",)),
            {
                **{"img_shape": (1080, 1920), "original_shape": (1080, 1920)},
                **{"subject": 7, "weight": 1.5, "code": "007", "note": "ü"},
            },
        ),
        Row("clips.csv: line 3", "b, c.npy", "002", None, (), {"subject": 8, "weight": 2.0, "code": "010"}),
    ]
    assert found[0].keys() == {"frame_dir": "clip1", "label": 3, **found[0].values}
    assert found[1].keys() == {"frame_dir": "002", **found[1].values}


@pytest.mark.parametrize(
    "text",
    [
        "\ufefffilename,frame_dir,label\n1,a,0\n",
        "label,frame_dir\r\n0,a\r\n\r\n",
        "frame_dir,label\na, 0.0 \n",
        "frame_dir,label,empty\na,+0,\n",
        'frame_dir, label\n "a", 0\n',
    ],
)
def test_how_people_write_csv(table: Path, text: str) -> None:
    [row] = rows(table, text)
    assert (row.frame_dir, row.label) == ("a", 0)


def test_paths_are_those_below_the_folder(table: Path) -> None:
    assert [row.path for row in rows(table, "path\n./a.npy\nb\\c.npy\n")] == ["a.npy", "b/c.npy"]
    found = problems(table, "path\n/etc/a.npy\n../a.npy\nC:\\a.npy\na/../../b.npy\n")
    assert [text.partition(":")[2] for text in found] == [
        f" line {number}, path: {path!r} leads outside the folder; expected a path relative to it"
        for number, path in enumerate(["/etc/a.npy", "../a.npy", "C:/a.npy", "a/../../b.npy"], 2)
    ]


def test_all_problems_are_reported_with_their_rows(table: Path) -> None:
    header = "path,frame_dir,label,height,width\n"
    third = "b.npy,y,99999999999999999999,2,2\n"
    found = problems(table, header + ",x,clap,1,1\na.npy,,1.5,3,\n" + third + "c.npy,z,-1,x,3\n")
    assert found == [
        "clips.csv: line 2, path: it is empty; expected a file, relative to the folder",
        "clips.csv: line 3: one of height and width is empty; expected both or neither",
        "clips.csv: line 3, label: '1.5' is not an integer: number the classes from 0",
        "clips.csv: line 4, label: '99999999999999999999' is not an integer: number the classes from 0",
        "clips.csv: line 5, height: 'x' is not an integer",
        "clips.csv: line 5: one of height and width is empty; expected both or neither",
        "clips.csv: line 2, label: 'clap' is not an integer, and other rows have numbers: number all classes from 0, "
        "or name them all",
    ]


def test_rows_of_another_length_are_reported_too(table: Path) -> None:
    found = problems(table, "frame_dir,label\na,1\n\nb\nc,1,2\nd,1\ne,x\n")
    assert [text.partition("; ")[0] for text in found] == [
        *("clips.csv: line 4: 1 cells", "clips.csv: line 5: 3 cells"),
        "clips.csv: line 7, label: 'x' is not an integer, and other rows have numbers: number all classes from 0, "
        "or name them all",
    ]


def test_very_many_problems_are_reported_in_part(table: Path) -> None:
    found = problems(table, "frame_dir,label\n" + "".join(f"a,{i}.5\n" for i in range(1000)))
    with pytest.raises(SourceError) as error:
        refuse("clips.csv", found)
    lines = str(error.value).splitlines()
    assert lines[0] == "clips.csv has 1,000 problems:"
    assert len(lines) == 22
    assert lines[-1] == "  … and 980 more"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "has the columns (none);"),
        ("name;label\na;3\n", "has the columns 'name;label'"),
        ("path,path\na,b\n", "several columns named 'path'"),
        (",path\n0,a\n", "a column named ''; expected a name for each column, without blanks"),
        ("path,label ,split\na,1,b\n", "a column named 'label '"),
        ("path,height\na,1\n", "expected both or neither"),
        ("path,label\n", "has no rows"),
        ('path\na.npy\nb"x"\n"c"x\n', "line 4"),
    ],
)
def test_invalid_tables_are_refused(table: Path, text: str, reason: str) -> None:
    table.write_text(text)
    with pytest.raises(SourceError) as error:
        read_table(table)
    assert str(table) in str(error.value)
    assert reason in str(error.value)


def test_a_parquet_file(tmp_path: Path) -> None:
    path = tmp_path / "clips.parquet"
    columns = {
        "path": ["a.npy", "b.npy"],
        "frame_dir": pa.array(["x", "y"]).dictionary_encode(),
        "label": pa.array([3, None], pa.int8()),
        "split": pa.array(["train", None], pa.large_string()),
        "weight": pa.array([1.5, None]),
        "good": [True, False],
        "code": ["1", "2"],
    }
    pa.parquet.write_table(pa.table(columns), path)
    found, wrong = read_table(path)
    assert wrong == []
    assert found == [
        Row("clips.parquet: row 1", "a.npy", "x", 3, ("train",), {"weight": 1.5, "good": True, "code": "1"}),
        Row("clips.parquet: row 2", "b.npy", "y", None, (), {"good": False, "code": "2"}),
    ]
    pa.parquet.write_table(pa.table({"path": ["a"], "label": [float("nan")]}), path)
    assert read_table(path)[0][0].label is None
    nothing = pa.array([float("nan")])
    pa.parquet.write_table(pa.table({"path": ["a"], "frame_dir": nothing, "split": nothing, "weight": nothing}), path)
    assert read_table(path) == ([Row("clips.parquet: row 1", "a")], [])
    pa.parquet.write_table(pa.table({"path": ["a"], "label": [True]}), path)
    assert len(read_table(path)[1]) == 1
    pa.parquet.write_table(pa.table({"path": ["a"], "points": [[1, 2]]}), path)
    with pytest.raises(SourceError, match="column 'points' holds list"):
        read_table(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(SourceError, match="is not a Parquet file"):
        read_table(path)


CELLS = st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=("Cs",)), max_size=6)


@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=5))
@settings(max_examples=60)
def test_any_text_is_a_frame_dir_as_it_was_written(cells: list[tuple[str, str]]) -> None:
    """The table is written by Python's own CSV writer."""
    file = io.StringIO(newline="")
    csv.writer(file, quoting=csv.QUOTE_ALL).writerows([("frame_dir", "split"), *cells])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.csv"
        path.write_text(file.getvalue(), encoding="utf-8", newline="")
        found, wrong = read_table(path)
    assert [row.frame_dir or "" for row in found] == [name for name, _ in cells]
    assert [row.splits for row in found] == [(split,) if split else () for _, split in cells]
    assert len(wrong) == sum(not name for name, _ in cells)


PARQUET = pa.BufferOutputStream()
pa.parquet.write_table(pa.table({"path": ["a.npy", "b.npy"], "label": [1, 2], "split": ["train", None]}), PARQUET)
WHOLE = PARQUET.getvalue().to_pybytes()
CHANGED = st.lists(st.tuples(st.integers(4, len(WHOLE) - 1), st.integers(0, 255)), max_size=3)


@given(st.one_of(st.binary(max_size=80), st.binary(max_size=80).map(lambda data: b"path,label,split\n" + data)))
@settings(max_examples=150)
def test_any_bytes_are_a_table_or_refused(data: bytes) -> None:
    check_read_or_refused(data)


@given(CHANGED, st.integers(0, 20))
@settings(max_examples=100)
def test_any_parquet_is_a_table_or_refused(changes: list[tuple[int, int]], cut: int) -> None:
    data = bytearray(WHOLE)
    for place, value in changes:
        data[place] = value
    check_read_or_refused(bytes(data[: len(data) - cut]))


def check_read_or_refused(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.csv"
        path.write_bytes(data)
        try:
            found, wrong = read_table(path)
        except SourceError as error:
            text = str(error)
        else:
            assert found or wrong
            assert all(text.startswith(("t.csv: line ", "t.csv: row ")) for text in wrong)
            return
    assert str(path) in text
    assert "\n" not in text


# ------------------------------------------------------------------------------------------ names


def test_ntu_names_give_label_and_the_published_splits() -> None:
    names = ntu_names(200)
    labelled, wrong = label_by_ntu([Row(name) for name in names], names)
    assert wrong == []
    assert [row.label for row in labelled] == [int(name[-3:]) - 1 for name in names]
    for split, expected in ntu_split(names).items():
        assert [row.place for row in labelled if split in row.splits] == expected


def test_a_class_above_60_makes_it_ntu_120() -> None:
    names = ["S018C001P045R001A061", "S001C002P040R002A120", "S002C001P103R001A001"]
    labelled, _ = label_by_ntu([Row(name) for name in names], names)
    assert [row.label for row in labelled] == [60, 119, 0]
    assert [row.splits for row in labelled] == [
        *(("xsub_train", "xset_train"), ("xsub_val", "xset_val"), ("xsub_train", "xset_train"))
    ]


def test_other_names_with_a_class() -> None:
    """ntu_pose_extraction.py takes the label from three digits after the first A."""
    labelled, wrong = label_by_ntu([Row("a")], ["P003_A012_rgb"])
    assert (labelled[0].label, labelled[0].splits, wrong) == (11, (), [])
    _, wrong = label_by_ntu([Row("a"), Row("b"), Row("c")], ["clip", "A000", "A001"])
    assert [text.partition(":")[0] for text in wrong] == ["a", "b"]


def test_folders_give_label_and_split() -> None:
    found = [Row(path, path) for path in ("train/wave/1.npy", "val/clap/1.npy", "train/clap/2.npy")]
    labelled, classes, wrong = label_by_folders(found)
    assert (classes, wrong) == (["clap", "wave"], [])
    assert [(row.label, row.splits) for row in labelled] == [(1, ("train",)), (0, ("val",)), (0, ("train",))]
    labelled, classes, wrong = label_by_folders([Row("x", "wave/1.npy"), Row("y", "1.npy"), Row("z", "a/b/c/1.npy")])
    assert (classes, [row.label for row in labelled], labelled[0].splits) == (["wave"], [0], ())
    assert [text.partition(":")[0] for text in wrong] == ["y", "z"]


def test_labels_that_are_names_are_names_of_classes(table: Path) -> None:
    table.write_text("frame_dir,label\na,wave\nb, clap \nc,\nd,wave 2\n", encoding="utf-8")
    rows, wrong = read_table(table)
    assert wrong == []
    assert [(row.label, row.class_name) for row in rows] == [
        (None, "wave"),
        (None, "clap"),
        (None, None),
        (None, "wave 2"),
    ]
    labelled, classes = label_by_class_names(rows)
    assert classes == ["clap", "wave", "wave 2"]
    assert [row.label for row in labelled] == [1, 0, None, 2]


def test_categories_of_parquet_are_names_of_classes(tmp_path: Path) -> None:
    path = tmp_path / "clips.parquet"
    labels = pa.array(["wave", "clap", None]).dictionary_encode()
    pa.parquet.write_table(pa.table({"path": ["a", "b", "c"], "label": labels}), path)
    assert [row.class_name for row in read_table(path)[0]] == ["wave", "clap", None]


def test_a_number_among_names_is_refused_with_its_row(table: Path) -> None:
    found = problems(table, "frame_dir,label\na,wave\nb,clap\nc,3\nd,jump\n")
    assert found == [
        "clips.csv: line 4, label: '3' is a number, and other rows have names: number all classes from 0, or name them "
        "all"
    ]


@given(st.lists(st.text("abcäß '", min_size=1).filter(lambda name: name.strip() == name), min_size=1, max_size=20))
def test_class_names_are_numbered_in_their_order(names: list[str]) -> None:
    rows = [Row(str(i), class_name=name) for i, name in enumerate(names)]
    labelled, classes = label_by_class_names(rows)
    assert classes == sorted(set(names))
    assert [classes[row.label] for row in labelled if row.label is not None] == names


def parquet(path: Path, columns: dict[str, Any], **options: Any) -> Path:
    path = path.with_suffix(".parquet")
    pa.parquet.write_table(pa.table(columns), path, **options)
    return path


def test_parquet_tables_beyond_a_bound_are_refused_before_they_are_read(
    table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pa.parquet.ParquetFile, "iter_batches", None)  # reading would fail
    many = parquet(table, {"path": pa.array(["a"]).take(pa.array(np.zeros(1_000_001, np.int32)))})
    with pytest.raises(SourceError, match=r"clips\.parquet has 1,000,001 rows, 1 columns .* in parts"):
        read_table(many)
    wide = parquet(table, {"path": ["a"], **{f"c{i}": [1] for i in range(1000)}})
    with pytest.raises(SourceError, match="1 rows, 1,001 columns"):
        read_table(wide)
    monkeypatch.setattr(table_limits, "MOST_BYTES", 1 << 20)
    large = parquet(table, {"path": ["a"], "x": ["z" * (2 << 20)]}, compression="zstd", use_dictionary=False)
    assert large.stat().st_size < 4000
    with pytest.raises(SourceError, match=r"and 2,09\d,\d\d\d uncompressed bytes"):
        read_table(large)


def test_parquet_tables_that_repeat_texts(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dictionary has a text once, and any number of cells refer to it."""
    monkeypatch.setattr(table_limits, "MOST_BYTES", 8 << 20)
    path = parquet(table, {"path": pa.array(["z" * 100_000]).take(pa.array(np.zeros(1000, np.int32)))})
    assert path.stat().st_size < 210_000
    with pytest.raises(SourceError, match=r"or [\d,]+ uncompressed bytes"):
        read_table(path)


@pytest.mark.parametrize("compression", ["none", "snappy", "gzip", "zstd"])
def test_parquet_tables_of_several_batches_and_categories(table: Path, compression: str) -> None:
    names = [f"v{i}" for i in range(9000)]
    kinds = pa.array(["a", None, ""] * 3000).dictionary_encode()
    path = parquet(table, {"frame_dir": names, "kind": kinds}, compression=compression, row_group_size=2500)
    found, problems = read_table(path)
    assert problems == []
    assert [row.frame_dir for row in found] == names
    assert [row.values for row in found[:3]] == [{"kind": "a"}, {}, {}]
    assert found[-1].place == "clips.parquet: row 9000"


@pytest.mark.parametrize("column", [[[1]], [{"a": 1}], [b"x"], [{"a": [{"b": "c"}]}]])
def test_parquet_columns_that_are_nested_or_bytes(table: Path, column: list[Any]) -> None:
    with pytest.raises(SourceError, match=r"column 'x' holds .*; expected numbers or text"):
        read_table(parquet(table, {"path": ["a"], "x": column}))


def test_csv_tables_beyond_a_bound(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table.write_text(",".join(f"c{i}" for i in range(1001)) + "\n")
    with pytest.raises(SourceError, match=r"clips\.csv has 1,001 columns; expected a table of videos of at most"):
        read_table(table)
    monkeypatch.setattr(table_limits, "MOST_ROWS", 10)
    for line in ("a,1\n", "a,x\n", "a\n"):
        table.write_text("path,label\n" + line * 11)
        with pytest.raises(SourceError, match="more than 10 rows"):
            read_table(table)
    monkeypatch.setattr(table_limits, "MOST_BYTES", 30)
    with pytest.raises(SourceError, match=r"clips\.csv has \d+ bytes"):
        read_table(table)


@pytest.mark.parametrize("text", ["path\n\0\n", 'path\n"a\n', "path\n" + "a" * 200_000 + "\n"])
def test_csv_files_with_odd_text_are_reported(table: Path, text: str) -> None:
    table.write_text(text, encoding="utf-8")
    with pytest.raises(SourceError, match=r"clips\.csv"):
        refuse(table.name, read_table(table)[1])
