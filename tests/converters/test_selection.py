"""Selecting videos by labels, names and expressions, compared with Python itself; an expression is never run."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import skelstore
from converters import samples, selection
from converters.computed_columns import compute_column
from converters.selection import where, with_labels, with_names
from skelstore import FieldNotFoundError, SourceError, VideoNotFoundError
from tests.support.contracts import write, written

Annotation = dict[str, Any]


def chosen(view: skelstore.Store) -> list[Any]:
    return [annotation["frame_dir"] for annotation in view]


# ------------------------------------------------------------------------------------------- expressions

NAMES = ["label", "total_frames", "score", "keypoint.dim0"]
numbers = st.one_of(st.integers(-3, 12), st.sampled_from([0.5, -1.5, 3.0]))
operands = st.one_of(st.sampled_from(NAMES), numbers.map(str))


@st.composite
def expressions(draw: st.DrawFn, depth: int = 3) -> str:
    kind = draw(st.sampled_from(["compare", "in", "chain", *(["and", "or", "not"] if depth else [])]))
    if kind == "compare":
        operator = draw(st.sampled_from(["<", "<=", ">", ">=", "==", "!="]))
        return f"{draw(st.sampled_from(NAMES))} {operator} {draw(operands)}"
    if kind == "chain":
        return f"{draw(numbers)} <= {draw(st.sampled_from(NAMES))} < {draw(numbers)}"
    if kind == "in":
        found = draw(st.lists(st.integers(-3, 12), min_size=1, max_size=4))
        return f"{draw(st.sampled_from(NAMES[:2]))} {draw(st.sampled_from(['in', 'not in']))} {found}"
    if kind == "not":
        return f"not ({draw(expressions(depth - 1))})"
    return f"({draw(expressions(depth - 1))}) {kind} ({draw(expressions(depth - 1))})"


@settings(max_examples=60)
@given(
    text=expressions(),
    videos=st.lists(
        st.tuples(st.integers(-3, 12), st.integers(0, 12), st.integers(-6, 6), st.integers(0, 3)), max_size=8
    ),
)
def test_an_expression_means_what_it_means_in_python(text: str, videos: list[tuple[int, int, int, int]]) -> None:
    annotations = [
        {
            "frame_dir": f"v{i}",
            "label": label if i % 2 else np.int64(label),
            "total_frames": frames,
            "score": score / 2,
            "keypoint": np.zeros((persons, 2, 3, 2), np.float16),
        }
        for i, (label, frames, score, persons) in enumerate([(0, 0, 0, 0), (1, 1, 1, 1), *videos])
    ]
    expected = [
        annotation["frame_dir"]
        for annotation in annotations
        if eval(text.replace("keypoint.dim0", "persons"), {}, {**annotation, "persons": len(annotation["keypoint"])})
    ]
    with written(annotations) as path, skelstore.open(path) as store:
        assert chosen(where(store, text)) == expected


@pytest.fixture
def store(tmp_path: Path) -> Iterator[skelstore.Store]:
    annotations: list[Annotation] = [
        {"frame_dir": "a", "label": 1, "img_shape": (100, 200), "ok": True, "action": "eat", "odd name!": 1},
        {"frame_dir": "b", "label": np.int64(2), "img_shape": (300, 200), "ok": False, "action": "drink"},
        {"frame_dir": "c", "label": [1, 5], "img_shape": [100, 200], "action": np.str_("eat")},
        {"frame_dir": "d", "label": "drink", "total_frames": 7},
        {"frame_dir": "e", "label": -3, "total_frames": 3, "mixed": 2},
        {"frame_dir": "f", "label": ("eat", 9), "mixed": 0.5},
        {"frame_dir": "b", "label": True},
        {"frame_dir": "line\nbreak"},
    ]
    with skelstore.open(write(tmp_path / "a.zarr", annotations)) as opened:
        yield opened


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("img_shape[0] > 100", ["b"]),
        ("ok", ["a"]),
        ("not ok", ["b"]),
        ("action == 'eat'", ["a", "c"]),
        ("action in ['drink', 'eat'] and img_shape[1] == 200", ["a", "b"]),
        ("total_frames not in (7,)", ["e"]),
        ("not (total_frames in [7])", ["e"]),
        ("not (total_frames not in [7])", ["d"]),
        ("total_frames in [7] or ok", ["a", "d"]),
        ('column("odd name!") == 1', ["a"]),
        ('column("mixed:float") < 1', ["f"]),
        (" frame_dir == 'b' ", ["b", "b"]),
        ('column("label:numpy.int64") == 2', ["b"]),
        ("total_frames < -1", []),
        ("img_shape.0 > 100", ["b"]),
        ("100 <= img_shape.0 < 200 and not (img_shape.1<200)", ["a"]),
        ("label:numpy.int64 == 2", ["b"]),
        ("mixed:float < 1 or frame_dir == 'img_shape.0'", ["f"]),
        ('frame_dir in ["img_shape.0", "a = b"] or height == 300', ["b"]),
        ("height == 100 and width > 150", ["a", "c"]),
        ("frames >= 7", ["d"]),
        ("startswith(action, 'ea')", ["a", "c"]),
        ("action.startswith('ea') and ok", ["a"]),
        ("contains(action, 'rin') or contains(frame_dir, '\\n')", ["b", "line\nbreak"]),
        ("matches(frame_dir, '^[ae]$')", ["a", "e"]),
        ("not matches(action, 'a')", ["b"]),
    ],
)
def test_expressions(store: skelstore.Store, text: str, expected: list[str]) -> None:
    assert chosen(where(store, text)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "label <",
        "label",
        "label + 1 < 3",
        "__import__('os').system('touch made')",
        "len(frame_dir) == 1",
        "[frame_dir for frame_dir in (1,)]",
        "lambda: 1",
        "(lambda: open('made', 'w'))()",
        "frame_dir.__class__ == 1",
        "frame_dir is 1",
        "label in total_frames",
        "total_frames == None",
        "total_frames == 1j",
        "column(3 + 4) == 1",
        "column('a', 'b') == 1",
        "total_frames := 3",
        "total_frames = 3",
        "startswith(frame_dir)",
        "startswith('a', 'a')",
        "startswith(frame_dir, action)",
        "startswith(total_frames, '1')",
        "contains(frame_dir, 3)",
        "matches(frame_dir, '(')",
        "matches(frame_dir, '(?=a)')",
        "frame_dir.matches('a', 'b')",
        "persons > 1",
        "subject == 1",
        "img_shape.7 == 1",
        "1 if ok else 2",
        "action < 3",
        "total_frames in [1, 'a']",
        "mixed == 1",
        "f'{action}' == 'eat'",
        "'a' * 10 == action",
        "total_frames < " + "9" * 400,
        "not " * 5000 + "ok",
        "(" * 5000 + "ok" + ")" * 5000,
        "total_frames < 3\nimport os",
        "total_frames\0 < 3",
    ],
)
def test_invalid_expressions_are_refused_and_not_run(
    store: skelstore.Store, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises((SourceError, FieldNotFoundError)) as caught:
        where(store, text)
    assert str(caught.value)
    assert not (tmp_path / "made").exists()


def test_a_missing_column_is_named_with_the_existing_ones(store: skelstore.Store) -> None:
    with pytest.raises(
        FieldNotFoundError,
        match=r"no column 'lable'; the table has the columns .*label.*total_frames.*; did you mean 'label'",
    ):
        where(store, "lable < 3")
    with pytest.raises(SourceError, match=r"mixed has values of different types, in the columns mixed, mixed:float"):
        where(store, "mixed < 3")


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("label = 3", "write == to compare, as label == 3"),
        ("ok and action='eat'", "write == to compare"),
        ("label < 3 and total_frames =7", "as total_frames == 7"),
    ],
)
def test_one_equals_sign_gets_a_hint_to_use_two(store: skelstore.Store, text: str, hint: str) -> None:
    with pytest.raises(SourceError, match=hint):
        where(store, text)


def test_other_mistakes_are_not_mistaken_for_a_comparison(store: skelstore.Store) -> None:
    for text in ("label == ", "label <= 3 and", "action == 'a = b' or"):
        with pytest.raises(SourceError, match="expected one like label < 10"):
            where(store, text)


def test_computed_columns(tmp_path: Path) -> None:
    data = samples.ntu_like(12)["annotations"]
    with skelstore.open(write(tmp_path / "a.zarr", data)) as store:
        for column, of_name in (("setup", 1), ("camera", 5), ("subject", 9), ("repetition", 13), ("action", 17)):
            number = int(data[3]["frame_dir"][of_name : of_name + 3])
            expected = [a["frame_dir"] for a in data if int(a["frame_dir"][of_name : of_name + 3]) == number]
            assert chosen(where(store, f"{column} == {number}")) == expected
        assert chosen(where(store, "persons == 2")) == [a["frame_dir"] for a in data if len(a["keypoint"]) == 2]
        text = "frames > 80 and height == 1080 and width in [1920] and not persons == 2"
        expected = [a["frame_dir"] for a in data if a["total_frames"] > 80 and len(a["keypoint"]) != 2]
        assert chosen(where(store, text)) == expected


def test_a_column_is_computed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An expression that names it often takes no longer for it."""
    computed: list[str] = []

    def compute(store: skelstore.Store, name: str) -> Any:
        computed.append(name)
        return compute_column(store, name)

    monkeypatch.setattr(selection, "compute_column", compute)
    data = [{"frame_dir": "a", "keypoint": np.zeros((2, 2, 3, 2), np.float16)}]
    with skelstore.open(write(tmp_path / "s.zarr", data)) as store:
        assert chosen(where(store, " or ".join(["persons == 1"] * 5 + ["persons == 2"]))) == ["a"]
    assert computed == ["persons"]


def test_a_column_takes_precedence_over_a_computed_one(tmp_path: Path) -> None:
    videos = [{"frame_dir": "S001C001P007R001A001", "subject": 3}, {"frame_dir": "\ud800S001C001P003R001A001"}]
    with skelstore.open(write(tmp_path / "a.zarr", videos)) as store:
        assert chosen(where(store, "subject == 3")) == [videos[0]["frame_dir"]]
        assert chosen(where(store, "action == 1")) == [video["frame_dir"] for video in videos]
        with pytest.raises(FieldNotFoundError, match="no video has 'persons'; the table has"):
            where(store, "persons == 3")


# ---------------------------------------------------------------------------------------- labels and names


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ("1", ["a", "c"]),
        ("1,2", ["a", "b", "c"]),
        ("2-5", ["b", "c"]),
        (" 9 , drink", ["d", "f"]),
        ("-3", ["e"]),
        ("-5--2,2", ["b", "e"]),
        ("eat", ["f"]),
        ("77", []),
        (f"{'9' * 5000},1-{'9' * 5000},2", ["b"]),
        ("", []),
    ],
)
def test_labels(store: skelstore.Store, labels: str, expected: list[str]) -> None:
    assert chosen(with_labels(store, labels)) == expected


def test_names_in_a_file(store: skelstore.Store, tmp_path: Path) -> None:
    file = tmp_path / "names.txt"
    file.write_text("e\nb\r\n\na\ne\n")
    assert chosen(with_names(store, file)) == ["e", "b", "b", "a"]
    file.write_text("e\na\n", "utf-8-sig")
    assert chosen(with_names(store, file)) == ["e", "a"]
    (tmp_path / "names.json").write_text(json.dumps(["line\nbreak", "a"]))
    assert chosen(with_names(store, tmp_path / "names.json")) == ["line\nbreak", "a"]
    file.write_text("a\n" + "\n".join(f"no{i}" for i in range(1000)))
    with pytest.raises(VideoNotFoundError, match=r"has no video for 1,000 names in it: 'no0', .*'no4', …$"):
        with_names(store, file)


@pytest.mark.parametrize(
    ("name", "data"),
    [("a.txt", b"\xff\xfe"), ("a.json", b"{"), ("a.json", b"{}"), ("a.json", b"[1]"), ("a.json", b"[" * 100_000)],
)
def test_an_invalid_file_of_names(store: skelstore.Store, tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(SourceError, match="expected"):
        with_names(store, tmp_path / name)


def test_a_file_of_names_is_bounded(store: skelstore.Store, tmp_path: Path) -> None:
    path = tmp_path / "names.json"
    path.write_text("[" + "[]," * 700_000 + "[]]")
    with pytest.raises(SourceError, match="700,002 lists and objects"):
        with_names(store, path)
    path.write_text("[" + "9" * 5000 + "]")
    with pytest.raises(SourceError, match="is not JSON"):
        with_names(store, path)
    path.write_text("")
    os.truncate(path, 1 << 40)  # in holes
    with pytest.raises(SourceError, match="has 1,099,511,627,776 bytes; expected a list of names"):
        with_names(store, path)
