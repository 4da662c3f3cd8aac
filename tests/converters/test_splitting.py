"""New splits: every video in one part, the requested shares, whole groups, the same for the same seed."""

from __future__ import annotations

import re
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import skelstore
from converters import open_source, samples
from converters.exporting import export
from converters.splitting import _extract, _refuse_leaks, deal, parse_parts, split, unit_of_videos
from skelstore.errors import SkelstoreError, SourceError, StoreError
from tests.support.contracts import write
from tests.support.exact import assert_exact
from tests.support.processes import run_python
from tests.support.source_contract import load

CLIPS = 120


@pytest.fixture(scope="module")
def ntu(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = samples.ntu_like(CLIPS)
    return write(tmp_path_factory.mktemp("split") / "ntu.zarr", data["annotations"], data["split"])


def labels_of(path: Path) -> dict[str, int]:
    with skelstore.open(path) as store:
        return {video["frame_dir"]: video["label"] for video in store}


# ------------------------------------------------------------------------------------------ dealing out

SHARES = st.lists(st.integers(1, 9).map(float), min_size=2, max_size=5)


@given(st.lists(st.integers(0, 4).map(str), max_size=60), SHARES, st.integers(0, 3))
def test_dealt_class_by_class(classes: list[str], shares: list[float], seed: int) -> None:
    """Without groups, the shares of each class and of the whole are exact to one or two videos per part."""
    units = [f"clip{i}" for i in range(len(classes))]
    sides = deal(units, classes, shares, seed)
    assert sides == deal(units, classes, shares, seed)
    assert len(sides) == len(units)
    for part, share in enumerate(shares):
        wanted = share / sum(shares)
        assert abs(sides.count(part) - wanted * len(units)) < len(shares)
        for kind in set(classes):
            own = [side for side, name in zip(sides, classes, strict=True) if name == kind]
            assert abs(own.count(part) - wanted * len(own)) < 2 * len(shares) - 1


@given(st.lists(st.integers(0, 12).map(str), max_size=60), SHARES, st.integers(0, 3))
def test_dealt_group_by_group(units: list[str], shares: list[float], seed: int) -> None:
    sides = deal(units, None, shares, seed)
    side_of: dict[str, int] = {}
    assert all(side_of.setdefault(unit, side) == side for unit, side in zip(units, sides, strict=True))
    largest = max(Counter(units).values(), default=0)
    for part, share in enumerate(shares):
        assert sides.count(part) <= share / sum(shares) * len(units) + largest, "it had room for no more"


@given(st.lists(st.integers(1, 20), min_size=2, max_size=8), SHARES, st.booleans())
def test_no_part_is_empty_that_could_have_a_unit(sizes: list[int], shares: list[float], grouped: bool) -> None:
    units = [f"group{i}" for i, size in enumerate(sizes) for _ in range(size)]
    classes = None if grouped else ["a"] * len(units)
    assert len(set(deal(units, classes, shares, 0))) == min(len(sizes), len(shares))


def test_two_groups_are_a_training_and_a_test_whatever_the_shares() -> None:
    assert sorted(deal(["a", "b"], None, [0.8, 0.2], 0)) == [0, 1]
    assert sorted(deal(["a", "b", "c"], None, [0.7, 0.2, 0.1], 0)) == [0, 1, 2]


@given(st.permutations([f"s{i}" for i in range(8)]))
def test_the_order_of_the_videos_decides_nothing(units: list[str]) -> None:
    found = dict(zip(units, deal(units, None, [3, 1], 5), strict=True))
    ordered = sorted(units)
    assert found == dict(zip(ordered, deal(ordered, None, [3, 1], 5), strict=True))


def test_another_seed_is_another_split() -> None:
    units = [str(i) for i in range(40)]
    found = {tuple(deal(units, None, [1, 1], seed)) for seed in range(5)}
    assert len(found) == 5


def test_the_same_split_in_another_process(ntu: Path, tmp_path: Path) -> None:
    """With any PYTHONHASHSEED."""
    code = f"from converters.splitting import split; print(split({str(ntu)!r}, {str(tmp_path / 'x.zarr')!r}, folds=3))"
    done = run_python(code, check=True, env={"PYTHONHASHSEED": "7"})
    assert done.stdout.strip() == str(split(ntu, tmp_path / "y.zarr", folds=3))


def test_units_with_one_name_in_two_groups() -> None:
    assert unit_of_videos(["a", "b", "a"], None, "x") == ["a", "b", "a"]
    assert unit_of_videos(["a", "b", "a"], ["1", "2", "1"], "x") == ["1", "2", "1"]
    with pytest.raises(SourceError, match="videos named 'a' are in the groups '1' and '2'"):
        unit_of_videos(["a", "a"], ["1", "2"], "x")


def test_the_leak_check_finds_a_leak() -> None:
    names, units = ["a", "b", "c"], ["1", "2", "1"]
    _refuse_leaks({"train": ["a", "c"], "val": ["b"]}, names, units, 2)
    with pytest.raises(SourceError, match="group '1' is in both train and val"):
        _refuse_leaks({"train": ["a", "b"], "val": ["c"]}, names, units, 2)
    folds = {"fold1_train": ["a", "c"], "fold1_val": ["b"], "fold2_train": ["b"], "fold2_val": ["a", "c"]}
    _refuse_leaks(folds, names, units, 2)


# --------------------------------------------------------------------------------------------- of a store


def test_a_split_by_parts(ntu: Path, tmp_path: Path) -> None:
    made = split(ntu, tmp_path / "a.zarr", parts={"train": 0.7, "val": 0.2, "test": 0.1})
    label = labels_of(ntu)
    assert {name: len(ids) for name, ids in made.items()} == {"train": 84, "val": 24, "test": 12}
    assert sorted(name for ids in made.values() for name in ids) == sorted(label)
    with skelstore.open(tmp_path / "a.zarr") as store, skelstore.open(ntu) as old:
        assert store.splits == made
        assert all(ids == [name for name in label if name in ids] for ids in made.values()), "in the store's order"
        assert len(store.split("val")) == 24
        assert_exact(list(store), list(old))


@pytest.mark.parametrize("option", [{"pattern": r"P(\d{3})"}, {"pattern": r"C(\d{3})"}, {"group": "label"}])
def test_folds_by_group(ntu: Path, tmp_path: Path, option: dict[str, str]) -> None:
    made = split(ntu, tmp_path / "a.zarr", folds=3, seed=1, **option)
    assert list(made) == [f"fold{i}_{side}" for i in (1, 2, 3) for side in ("train", "val")]
    label = labels_of(ntu)
    place = {r"P(\d{3})": slice(8, 12), r"C(\d{3})": slice(4, 8)}.get(option.get("pattern", ""))
    group = {name: name[place] if place else str(label[name]) for name in label}
    for fold in (1, 2, 3):
        train, val = made[f"fold{fold}_train"], made[f"fold{fold}_val"]
        assert sorted(train + val) == sorted(label)
        assert not {group[name] for name in train} & {group[name] for name in val}
        assert val
    assert sorted(made["fold1_val"] + made["fold2_val"] + made["fold3_val"]) == sorted(label)


def test_classes_are_on_both_sides(tmp_path: Path) -> None:
    videos = [{"frame_dir": f"clip{i}", "label": "abc"[i % 3]} for i in range(30)]
    made = split(write(tmp_path / "a.zarr", videos), tmp_path / "b.zarr", parts={"train": 0.8, "val": 0.2})
    counts = Counter("abc"[int(name[4:]) % 3] for name in made["val"])
    assert counts == {"a": 2, "b": 2, "c": 2}


def test_videos_of_one_name_stay_together(tmp_path: Path) -> None:
    videos = [{"frame_dir": f"clip{i // 3}", "label": i % 3} for i in range(30)]
    made = split(write(tmp_path / "a.zarr", videos), tmp_path / "b.zarr", parts={"train": 0.5, "val": 0.5})
    assert sorted(made["train"] + made["val"]) == sorted({video["frame_dir"] for video in videos})
    with skelstore.open(tmp_path / "b.zarr") as store:
        assert len(store.split("train")) + len(store.split("val")) == 30


def test_ids_are_filenames_where_the_first_video_has_one(tmp_path: Path) -> None:
    videos = samples.bare_list_like(10)
    made = split(write(tmp_path / "a.zarr", videos), tmp_path / "b.zarr", parts={"train": 0.5, "val": 0.5})
    assert sorted(made["train"] + made["val"]) == sorted(video["filename"] for video in videos)
    with skelstore.open(tmp_path / "b.zarr") as store:
        assert len(store.split("train")) == 5


def test_old_splits_are_kept_if_asked_for(ntu: Path, tmp_path: Path) -> None:
    made = split(ntu, tmp_path / "a.zarr", parts={"train": 0.5, "val": 0.5}, keep=True)
    with skelstore.open(ntu) as old, skelstore.open(tmp_path / "a.zarr") as store:
        assert store.splits == {**old.splits, **made}
    with pytest.raises(SourceError, match="already has a split 'xsub_val'"):
        split(ntu, tmp_path / "b.zarr", parts={"train": 0.5, "xsub_val": 0.5}, keep=True)


@pytest.mark.parametrize("document", [{"dict": [["annotations", {"annotations": True}]]}, {"annotations": True}, None])
def test_an_export_has_the_new_splits(tmp_path: Path, document: Any) -> None:
    source = {"dialect": "pyskl"} | ({"document": document} if document else {})
    videos = [{"frame_dir": f"clip{i}"} for i in range(4)]
    path = write(tmp_path / "a.zarr", videos, source=source)
    made = split(path, tmp_path / "b.zarr", parts={"train": 0.5, "val": 0.5})
    with skelstore.open(tmp_path / "b.zarr") as store:
        export(store, tmp_path / "b.pkl", format="pyskl")
    assert_exact(load(tmp_path / "b.pkl"), {"split": made, "annotations": videos})
    open_source(tmp_path / "b.pkl").close()


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"folds": 1}, "1 part; expected 2"),
        ({"folds": 10_000}, "10,000 parts"),
        ({"parts": {"train": 1.0}}, "1 part;"),
        ({"folds": 500}, "are too few for 500 parts"),
        ({"folds": 2, "group": "subjects"}, "; did you mean 'subject'?"),
        ({"folds": 2, "pattern": "(?<=P)([0-9]+)"}, "is not a regular expression that RE2 supports"),
        ({"folds": 2, "pattern": r"(\d)\1"}, "without look-around and backreferences"),
        ({"folds": 2, "pattern": "A(x)?"}, "120 videos have no group by"),
        ({"folds": 2, "pattern": "P(["}, "is not a regular expression"),
        ({"folds": 2, "pattern": "P"}, "has 0 groups; expected one"),
        ({"folds": 2, "pattern": "(P)(0)"}, "has 2 groups"),
        ({"folds": 2, "pattern": "P(001)"}, "videos have no group by"),
        ({"folds": 4, "pattern": r"C(\d{3})"}, "3 groups or videos are too few for 4 parts: 1 would be empty"),
    ],
)
def test_videos_that_cannot_be_split(ntu: Path, tmp_path: Path, options: Any, match: str) -> None:
    with pytest.raises(SourceError, match=match.replace("(", r"\(")):
        split(ntu, tmp_path / "a.zarr", **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("document", [{"dict": 5}, {"dict": [5]}, {"dict": [[1, 2, 3]]}, {"dict": [[1, 2]]}])
def test_an_invalid_document(tmp_path: Path, document: Any) -> None:
    path = write(tmp_path / "a.zarr", [{"frame_dir": "a"}, {"frame_dir": "b"}], source={"document": document})
    with pytest.raises(StoreError, match="document of its source is not as the format says"):
        split(path, tmp_path / "b.zarr", folds=2)


@pytest.mark.parametrize("video", [{"label": 1}, {"frame_dir": 3}, {"frame_dir": None}])
def test_videos_without_a_name(tmp_path: Path, video: dict[str, Any]) -> None:
    path = write(tmp_path / "a.zarr", [{"frame_dir": "a", "n": np.ones(2)}, video])
    with pytest.raises(SourceError, match="video 1 has no frame_dir"):
        split(path, tmp_path / "b.zarr", folds=2)


# ---------------------------------------------------------------------------------------------- groups


@pytest.mark.parametrize(("group", "pattern"), [("subject", "P"), ("camera", "C"), ("setup", "S")])
def test_groups_of_ntu_by_name(ntu: Path, tmp_path: Path, group: str, pattern: str) -> None:
    try:
        expected = split(ntu, tmp_path / "a.zarr", folds=2, pattern=rf"{pattern}(\d{{3}})")
    except SourceError:
        with pytest.raises(SourceError, match="are too few for 2 parts"):
            split(ntu, tmp_path / "b.zarr", folds=2, group=group)
        return
    found = split(ntu, tmp_path / "b.zarr", folds=2, group=group)
    place = {"P": 9, "C": 5, "S": 1}[pattern]
    for made in (found, expected):
        sides = [{name[place : place + 3] for name in made[f"fold{fold}_val"]} for fold in (1, 2)]
        assert not sides[0] & sides[1]
        assert sides[0]
        assert sides[1]


NAME = st.text(alphabet="abP01 \n_é", max_size=12)
PATTERN = st.sampled_from(
    [
        "P(0|1)",
        "(a+)+?b",
        "(^a.)",
        "b(.*?)1",
        "(?i)p([ab])",
        "(?:a|P)(1+|b)",
        "([^P]+)P",
        "(.)$",
        "(a|ab)(?:b|1)",
        "a(b)?1",
    ]
)


@given(st.lists(NAME, max_size=6), PATTERN, st.sampled_from([0, re.I, re.S]))
def test_a_pattern_matches_as_in_python(names: list[str], pattern: str, flags: int) -> None:
    """Except for a newline at the end of a text, before which Python's $ matches."""
    search = re.compile(pattern, flags)
    names = [name.rstrip("\n") for name in names]
    found = [search.search(name) for name in names]
    assert _extract(search, names) == [(match[1] or "") if match else "" for match in found]


def test_a_pattern_takes_bounded_time(tmp_path: Path) -> None:
    names = ["a" * 5_000 + "!", "a" * 5_000 + "?"]
    path = write(tmp_path / "a.zarr", [{"frame_dir": name} for name in names])
    start = time.monotonic()
    for pattern in ("(a+)+$", "(a*)*b", "(?:(a|aa)+)+$"):
        with pytest.raises(SourceError, match=r"has (0|2) groups|videos have no group|not a regular expression"):
            split(path, tmp_path / "b.zarr", folds=2, pattern=pattern)
    assert time.monotonic() - start < 10


# -------------------------------------------------------------------------------------------- the options


def test_parts() -> None:
    assert parse_parts("train=0.8, val=.2") == {"train": 0.8, "val": 0.2}
    assert parse_parts("a=0.5,b=0.25,c=0.25") == {"a": 0.5, "b": 0.25, "c": 0.25}


@pytest.mark.parametrize(
    "text", ["", "train", "train=", "=1", "a=1,", "a=0.5,a=0.5", "a=0.5,b=0.4", "a=1,b=0", "a=-1,b=2", "a=nan,b=1"]
)
def test_invalid_parts(text: str) -> None:
    with pytest.raises(SourceError):
        parse_parts(text)


@given(st.text(alphabet="ab=,. 0123456789-e", max_size=20) | st.text(max_size=12))
def test_any_text_is_parts_or_an_error(text: str) -> None:
    try:
        parts = parse_parts(text)
    except SkelstoreError:
        return
    assert abs(sum(parts.values()) - 1) < 1e-5
    assert all(share > 0 for share in parts.values())
    assert all(a != b for a, b in pairwise(sorted(parts)))
