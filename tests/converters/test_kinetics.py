"""Kinetics-400: both layouts round-trip; paths that point outside; missing skeletons."""

from __future__ import annotations

import os
import pickle
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import skelstore
from converters import export, open_source, samples
from converters.comparison import compare
from converters.dialects import kinetics
from skelstore.errors import SkelstoreError, SourceError, StoreExistsError
from tests.support import strategies
from tests.support.exact import assert_exact
from tests.support.source_contract import check_source, dump, load

pytestmark = pytest.mark.usefixtures("indexed_in_small_steps")


def pack(n: int = 3) -> dict[str, Any]:
    return {"keypoint": np.full((n, 17, 3), n, np.float16)}


def entry(name: str, **more: Any) -> dict[str, Any]:
    return {"frame_dir": name, "label": len(name), "frame_inds": np.arange(1, 4, dtype=np.int16), **more}


def contents(folder: Path, *annotations: dict[str, Any], **top: Any) -> Path:
    return dump(folder / "toc.pkl", {"split": {"train": ["a"]}, "annotations": list(annotations), **top})


def files_of(folder: Path) -> dict[str, Any]:
    """Path of every file below a folder -> the value in it."""
    return {
        p.relative_to(folder).as_posix(): load(p)
        for p in sorted(folder.rglob("*"), key=lambda p: p.as_posix())
        if p.is_file()
    }


def round_trip(folder: Path, kpfiles: str = "kpfiles", **options: Any) -> skelstore.Store:
    """Convert, compare with the source, export beside it; return the open store."""
    source = open_source(folder / "toc.pkl", kpfiles=folder / kpfiles, **options)
    kinetics.convert(folder / "toc.pkl", folder / "a.zarr", kpfiles=folder / kpfiles, workers=1, **options)
    store = skelstore.open(folder / "a.zarr")
    assert compare(store, source) == []
    source.close()
    (folder / "out").mkdir()
    export(store, folder / "out" / "toc.pkl")
    return store


# ------------------------------------------------------------------------------------------- both layouts


@pytest.mark.parametrize("videos_a_file", [0, 1, 7])
def test_both_layouts_round_trip(tmp_path: Path, videos_a_file: int) -> None:
    pairs = samples.iter_kinetics_like(20, 0, videos_a_file)
    written = samples.written_to_kpfiles if videos_a_file else samples.written_to_own_files
    split = samples.kinetics_split(samples.kinetics_names(20, 0))
    samples.write_dataset(tmp_path / "toc.pkl", split, written(tmp_path / "kpfiles", pairs))
    toc, keypoints = samples.kinetics_like(20, 0, videos_a_file)
    with round_trip(tmp_path) as store:
        assert store.source["dialect"] == "kinetics"
        assert store.source["left_out"] == []
        assert_exact(store.splits, split)
        for found, annotation in zip(store, toc["annotations"], strict=True):
            assert_exact(found, annotation | {"keypoint": keypoints[annotation["frame_dir"]]})
    assert_exact(load(tmp_path / "out" / "toc.pkl"), load(tmp_path / "toc.pkl"))
    assert_exact(files_of(tmp_path / "out" / "kpfiles"), files_of(tmp_path / "kpfiles"))


def test_the_order_of_a_kpfile_is_kept(tmp_path: Path) -> None:
    contents(tmp_path, *(entry(name, raw_file="k/0.pkl") for name in "abcd"), meta={"x": (1,)})
    dump(tmp_path / "kpfiles" / "0.pkl", {name: pack(ord(name)) for name in "dbca"})
    with round_trip(tmp_path) as store:
        assert [a["frame_dir"] for a in store] == list("abcd")
        assert [len(a["keypoint"]) for a in store] == [97, 98, 99, 100]
    assert_exact(load(tmp_path / "out" / "kpfiles" / "0.pkl"), load(tmp_path / "kpfiles" / "0.pkl"))
    assert_exact(load(tmp_path / "out" / "toc.pkl"), load(tmp_path / "toc.pkl"))


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[dict[str, Any]], dict[str, dict[str, Any]]]:
    """Entries with unique names, and kpfiles that hold them in any order, with any values."""
    names = draw(st.lists(st.text(st.characters(exclude_characters="\0"), max_size=6), unique=True, max_size=6))
    entries, kpfiles = [], {}
    for name in draw(st.permutations(names)):
        file = draw(st.sampled_from(["0.pkl", "1.pkl", "sub/2.pkl"]))
        value = pack(draw(st.integers(0, 3))) | {"more": draw(strategies.plain_values)}
        kpfiles.setdefault(file, {})[name] = value
    for name in names:
        file = next(file for file, found in kpfiles.items() if name in found)
        entries.append(entry(name, raw_file=f"data/k400/kpfiles/{file}", extra=draw(strategies.plain_values)))
    return entries, kpfiles


@given(tables())
@settings(max_examples=25)
def test_any_table_round_trips(table: tuple[list[dict[str, Any]], dict[str, dict[str, Any]]]) -> None:
    entries, kpfiles = table
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "kpfiles").mkdir()
        contents(folder, *entries)
        for file, value in kpfiles.items():
            dump(folder / "kpfiles" / file, value)
        packs = {name: load(folder / "kpfiles" / file)[name] for file, value in kpfiles.items() for name in value}
        expected = [e | packs[e["frame_dir"]] for e in load(folder / "toc.pkl")["annotations"]]
        check_source(open_source(folder / "toc.pkl", kpfiles=folder / "kpfiles"), expected, {"train": ["a"]})
        round_trip(folder).close()
        assert_exact(load(folder / "out" / "toc.pkl"), load(folder / "toc.pkl"))
        if entries:
            assert_exact(files_of(folder / "out" / "kpfiles"), files_of(folder / "kpfiles"))


def test_more_kpfiles_than_are_held_open(tmp_path: Path) -> None:
    names = [f"v{i:02}" for i in range(40)]
    contents(tmp_path, *(entry(name, raw_file=f"{i % 20}.pkl") for i, name in enumerate(names)))
    for k in range(20):
        dump(tmp_path / "kpfiles" / f"{k}.pkl", {names[i]: pack(i + 1) for i in range(k, 40, 20)})
    with round_trip(tmp_path) as store:
        assert [len(a["keypoint"]) for a in store] == list(range(1, 41))
    assert_exact(files_of(tmp_path / "out" / "kpfiles"), files_of(tmp_path / "kpfiles"))


def test_kpfiles_are_indexed_once_for_all_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dump(tmp_path / "kpfiles" / "0.pkl", {name: pack(n) for n, name in enumerate("abcd", 1)})
    toc = contents(tmp_path, *[entry(name, raw_file="0.pkl") for name in "dacb"])
    source = kinetics.KineticsSource(toc, tmp_path / "kpfiles")
    expected = [source.video(i)[0] for i in range(len(source))]
    sent = pickle.dumps(source)
    source.close()

    def again(*args: object) -> None:
        raise AssertionError("a pickle is indexed again")

    monkeypatch.setattr("converters.pickles.file.read_indexes", again)
    received = pickle.loads(sent)
    assert_exact([received.video(i)[0] for i in range(4)], expected)
    received.close()
    dump(tmp_path / "kpfiles" / "0.pkl", {name: pack() for name in "abcde"})
    with pytest.raises(SourceError, match=r"0\.pkl: .*changed since it was indexed"):
        received.video(0)


def test_a_bare_list_as_table_of_contents(tmp_path: Path) -> None:
    dump(tmp_path / "toc.pkl", [entry("a"), entry("b")])
    dump(tmp_path / "kpfiles" / "0.pkl", {"b": pack(1), "a": pack(2)})
    with round_trip(tmp_path) as store:
        assert [len(a["keypoint"]) for a in store] == [2, 1]
    assert_exact(load(tmp_path / "out" / "toc.pkl"), load(tmp_path / "toc.pkl"))
    assert_exact(files_of(tmp_path / "out" / "kpfiles"), files_of(tmp_path / "kpfiles"))


# ---------------------------------------------------------------------------------------------- raw_file


@pytest.mark.parametrize(
    ("raw_file", "file"),
    [
        ("0.pkl", "0.pkl"),
        ("data/k400/kpfiles/0.pkl", "0.pkl"),
        ("data/k400/kpfiles/part1/0.pkl", "part1/0.pkl"),
        ("/mnt/somebody/kpfiles/0.pkl", "0.pkl"),
        ("C:\\data\\kpfiles\\0.pkl", "0.pkl"),
        ("./0.pkl", "0.pkl"),
        ("kpfiles//0.pkl", "0.pkl"),
    ],
)
def test_a_raw_file_is_resolved_below_the_folder(tmp_path: Path, raw_file: str, file: str) -> None:
    contents(tmp_path, entry("a", raw_file=raw_file))
    dump(tmp_path / "kpfiles" / file, {"a": pack()})
    with round_trip(tmp_path) as store:
        assert_exact(store["a"], entry("a", raw_file=raw_file) | pack())
    assert_exact(load(tmp_path / "out" / "toc.pkl"), load(tmp_path / "toc.pkl"))
    assert_exact(files_of(tmp_path / "out" / "kpfiles"), files_of(tmp_path / "kpfiles"))


def test_a_raw_file_is_not_looked_for_in_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dump(tmp_path / "here" / "data" / "0.pkl", {"a": pack()})
    monkeypatch.chdir(tmp_path / "here")
    (tmp_path / "kpfiles").mkdir()
    for raw_file in ("data/0.pkl", str(tmp_path / "here" / "data" / "0.pkl")):
        contents(tmp_path, entry("a", raw_file=raw_file))
        with pytest.raises(SourceError, match="1 of 1 video are missing"):
            open_source(tmp_path / "toc.pkl", kpfiles=tmp_path / "kpfiles")


@pytest.mark.parametrize("raw_file", ["../0.pkl", "kpfiles/../../0.pkl", "a/b/../../../0.pkl", "..\\0.pkl"])
@pytest.mark.parametrize("skip_missing", [False, True])
def test_a_raw_file_with_dots_is_refused(tmp_path: Path, raw_file: str, skip_missing: bool) -> None:
    dump(tmp_path / "0.pkl", {"a": pack()})
    (tmp_path / "kpfiles").mkdir()
    contents(tmp_path, entry("b"), entry("a", raw_file=raw_file))
    with pytest.raises(SourceError, match=r"annotations\[1\].*leads outside"):
        open_source(tmp_path / "toc.pkl", kpfiles=tmp_path / "kpfiles", skip_missing=skip_missing)


@pytest.mark.parametrize("raw_file", ["file.pkl", "data/file.pkl", "sub/0.pkl", "inside.pkl"])
def test_kpfiles_may_be_links(tmp_path: Path, raw_file: str) -> None:
    """A shared copy or a download cache is a folder of links that the user has chosen."""
    dump(tmp_path / "elsewhere" / "0.pkl", {"a": pack()})
    folder = tmp_path / "kpfiles"
    folder.mkdir()
    (folder / "file.pkl").symlink_to(tmp_path / "elsewhere" / "0.pkl")
    (folder / "sub").symlink_to(tmp_path / "elsewhere")
    (folder / "inside.pkl").symlink_to(folder / "file.pkl")
    contents(tmp_path, entry("a", raw_file=raw_file))
    with round_trip(tmp_path) as store:
        assert_exact(store["a"], entry("a", raw_file=raw_file) | pack())


def test_kpfiles_may_be_links_in_both_layouts(tmp_path: Path) -> None:
    dump(tmp_path / "elsewhere" / "0.pkl", {"a": pack()})
    dump(tmp_path / "elsewhere" / "b.pkl", pack(1))
    folder = tmp_path / "kpfiles"
    folder.mkdir()
    for name in ("0.pkl", "b.pkl"):
        (folder / name).symlink_to(tmp_path / "elsewhere" / name)
    contents(tmp_path, entry("a"))
    with round_trip(tmp_path) as store:
        assert_exact(store["a"], entry("a") | pack())
    contents(tmp_path, entry("b"))
    source = open_source(tmp_path / "toc.pkl", kpfiles=folder)
    assert_exact(source.video(0)[0]["keypoint"], pack(1)["keypoint"])
    source.close()


def test_a_link_to_a_folder_is_not_skipped_silently(tmp_path: Path) -> None:
    dump(tmp_path / "elsewhere" / "0.pkl", {"a": pack()})
    (tmp_path / "kpfiles").mkdir()
    (tmp_path / "kpfiles" / "sub").symlink_to(tmp_path / "elsewhere")
    contents(tmp_path, entry("a"))
    with pytest.raises(SourceError, match="sub is a link to a folder, which is not followed"):
        open_source(tmp_path / "toc.pkl", kpfiles=tmp_path / "kpfiles")


def test_the_folder_itself_may_be_a_link(tmp_path: Path) -> None:
    dump(tmp_path / "elsewhere" / "0.pkl", {"a": pack()})
    (tmp_path / "kpfiles").symlink_to(tmp_path / "elsewhere")
    contents(tmp_path, entry("a", raw_file="k/0.pkl"))
    with round_trip(tmp_path) as store:
        assert_exact(store["a"], entry("a", raw_file="k/0.pkl") | pack())


def test_kpfiles_must_be_a_folder(tmp_path: Path) -> None:
    contents(tmp_path, entry("a"))
    for folder in (tmp_path / "no", tmp_path / "toc.pkl"):
        with pytest.raises(SourceError, match="is not a folder; --kpfiles expects"):
            open_source(tmp_path / "toc.pkl", kpfiles=folder)


def test_without_raw_file_the_kpfiles_are_searched(tmp_path: Path) -> None:
    contents(tmp_path, *(entry(name) for name in "abc"))
    dump(tmp_path / "kpfiles" / "0.pkl", {"b": pack(1), "nobody": pack()})
    dump(tmp_path / "kpfiles" / "sub" / "1.pkl", {"c": pack(2), "a": pack(3)})
    with round_trip(tmp_path) as store:
        assert [len(a["keypoint"]) for a in store] == [3, 1, 2]
    assert_exact(load(tmp_path / "out" / "toc.pkl"), load(tmp_path / "toc.pkl"))
    assert list(load(tmp_path / "out" / "kpfiles" / "sub" / "1.pkl")) == ["c", "a"]


# ----------------------------------------------------------------------------------------- odd names

ODD_NAMES = ["a b", "é😀", "-x", "%41", "a%2Fb", "CON", "a\nb", "x.pkl", "Abc", "aBC", "a'\"", "~", "0"]


def test_odd_names_in_the_layout_with_one_file_per_video(tmp_path: Path) -> None:
    contents(tmp_path, *(entry(name) for name in ODD_NAMES))
    for i, name in enumerate(ODD_NAMES):
        dump(tmp_path / "kpfiles" / f"{name}.pkl", pack(i))
    with round_trip(tmp_path) as store:
        assert [len(a["keypoint"]) for a in store] == list(range(len(ODD_NAMES)))
        assert [a["frame_dir"] for a in store] == ODD_NAMES
    assert_exact(files_of(tmp_path / "out" / "kpfiles"), files_of(tmp_path / "kpfiles"))


def test_names_that_differ_only_by_case_are_different_keys(tmp_path: Path) -> None:
    names = ["jf7RDuUTrsQ", "JF7RDuUTrsQ", "jf7rduutrsq"]
    contents(tmp_path, *(entry(name, raw_file="0.pkl") for name in names))
    dump(tmp_path / "kpfiles" / "0.pkl", {name: pack(i) for i, name in enumerate(names)})
    with round_trip(tmp_path) as store:
        assert [len(store[name]["keypoint"]) for name in names] == [0, 1, 2]


@pytest.mark.parametrize("name", ["../x", "../secret/x", "a/../../x", ".."])
def test_a_frame_dir_that_leads_outside_reads_nothing(tmp_path: Path, name: str) -> None:
    dump(tmp_path / "x.pkl", pack())
    dump(tmp_path / "secret" / "x.pkl", pack())
    dump(tmp_path / "kpfiles" / "a.pkl", pack())
    contents(tmp_path, entry(name))
    with pytest.raises(SourceError, match=r"leads outside|missing"):
        open_source(tmp_path / "toc.pkl", kpfiles=tmp_path / "kpfiles")


def test_an_absolute_frame_dir_reads_nothing(tmp_path: Path) -> None:
    dump(tmp_path / "x.pkl", pack())
    dump(tmp_path / "kpfiles" / "a.pkl", pack())
    contents(tmp_path, entry(str(tmp_path / "x")))
    with pytest.raises(SourceError, match=r"leads outside|missing"):
        open_source(tmp_path / "toc.pkl", kpfiles=tmp_path / "kpfiles")


# -------------------------------------------------------------------------------------------- missing


@pytest.fixture
def gaps(tmp_path: Path) -> Path:
    """A table of contents of six videos, two of which have skeletons."""
    contents(
        tmp_path,
        entry("a", raw_file="0.pkl"),
        entry("b", raw_file="gone.pkl"),
        entry("c", raw_file="0.pkl"),
        entry("d"),
        {"label": 1},
        entry("e", raw_file="k/0.pkl"),
    )
    dump(tmp_path / "kpfiles" / "0.pkl", {"e": pack(1), "a": pack(2)})
    return tmp_path


def test_all_missing_videos_are_reported_at_once(gaps: Path) -> None:
    with pytest.raises(SourceError) as caught:
        kinetics.convert(gaps / "toc.pkl", gaps / "a.zarr", kpfiles=gaps / "kpfiles", workers=1)
    first, *lines = str(caught.value).splitlines()
    assert str(gaps / "toc.pkl") in first
    assert "4 of 6" in first
    assert "--skip-missing" in first
    assert len(lines) == 4
    assert "'b'" in lines[0]
    assert "gone.pkl" in lines[0]
    assert "'c'" in lines[1]
    assert "0.pkl does not have it" in lines[1]
    assert "'d'" in lines[2]
    assert lines[3].startswith("  annotations[4] (it has no frame_dir")
    assert sorted(os.listdir(gaps)) == ["kpfiles", "toc.pkl"]


@pytest.mark.parametrize("name", [Path("a"), 10**5000], ids=["no data", "long"])
def test_a_video_whose_name_is_not_a_text_is_left_out_by_position(tmp_path: Path, name: object) -> None:
    contents(tmp_path, entry("a"), {"frame_dir": name})
    dump(tmp_path / "kpfiles" / "0.pkl", {"a": pack()})
    with pytest.raises(SourceError, match=r"(?m)^  annotations\[1\] \(it has no frame_dir"):
        len(open_source(tmp_path / "toc.pkl", kpfiles=tmp_path / "kpfiles"))
    source = open_source(tmp_path / "toc.pkl", kpfiles=tmp_path / "kpfiles", skip_missing=True)
    assert [left["name"] for left in source.description()["left_out"]] == [None]
    source.close()


def test_missing_videos_can_be_left_out_and_are_recorded(gaps: Path) -> None:
    with round_trip(gaps, skip_missing=True) as store:
        assert [a["frame_dir"] for a in store] == ["a", "e"]
        left_out = store.source["left_out"]
    assert [found["index"] for found in left_out] == [1, 2, 3, 4]
    assert [found["name"] for found in left_out[:3]] == ["b", "c", "d"]
    assert all(found["reason"] for found in left_out)
    kept = load(gaps / "toc.pkl")
    kept["annotations"] = [kept["annotations"][0], kept["annotations"][5]]
    assert_exact(load(gaps / "out" / "toc.pkl"), kept)
    assert_exact(files_of(gaps / "out" / "kpfiles"), files_of(gaps / "kpfiles"))


def test_nothing_but_missing_videos_can_be_left_out(tmp_path: Path) -> None:
    contents(tmp_path, *(entry(f"v{i}") for i in range(50)))
    (tmp_path / "kpfiles").mkdir()
    with pytest.raises(SourceError) as caught:
        open_source(tmp_path / "toc.pkl", kpfiles=tmp_path / "kpfiles")
    assert len(str(caught.value).splitlines()) == 22
    assert "30 more" in str(caught.value)
    with round_trip(tmp_path, skip_missing=True) as store:
        assert len(store) == 0
        assert len(store.source["left_out"]) == 50


def test_a_damaged_kpfile_is_named(tmp_path: Path) -> None:
    contents(tmp_path, entry("a", raw_file="0.pkl"))
    path = dump(tmp_path / "kpfiles" / "0.pkl", {"a": pack()})
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(SourceError, match=r"kpfiles/0\.pkl"):
        kinetics.convert(tmp_path / "toc.pkl", tmp_path / "a.zarr", kpfiles=tmp_path / "kpfiles", workers=1)
    assert sorted(os.listdir(tmp_path)) == ["kpfiles", "toc.pkl"]


@pytest.mark.parametrize("value", [None, np.zeros((3, 17, 3)), [1], "x", {1}])
def test_a_video_of_a_kpfile_that_is_not_a_dict_is_named(tmp_path: Path, value: object) -> None:
    contents(tmp_path, entry("a", raw_file="0.pkl"))
    dump(tmp_path / "kpfiles" / "0.pkl", {"a": value})
    with pytest.raises(SkelstoreError, match=r"0\.pkl: 'a' is .*; expected an annotation"):
        kinetics.convert(tmp_path / "toc.pkl", tmp_path / "a.zarr", kpfiles=tmp_path / "kpfiles", workers=1)


def test_keys_that_both_have_are_refused(tmp_path: Path) -> None:
    contents(tmp_path, entry("a", raw_file="0.pkl"), entry("b", raw_file="0.pkl"))
    dump(tmp_path / "kpfiles" / "0.pkl", {"a": {**pack(), "label": 3}, "b": {"frame_dir": "b"}})
    with pytest.raises(SkelstoreError) as caught:
        kinetics.convert(tmp_path / "toc.pkl", tmp_path / "a.zarr", kpfiles=tmp_path / "kpfiles", workers=1)
    first, second = str(caught.value).splitlines()
    assert "annotations[0] has 'label', and so has its kpfile 0.pkl" in first
    assert "annotations[1] has 'frame_dir'" in second


def test_an_unstorable_value_in_a_kpfile_is_refused_by_name(tmp_path: Path) -> None:
    contents(tmp_path, entry("a", raw_file="0.pkl"))
    dump(tmp_path / "kpfiles" / "0.pkl", {"a": {"keypoint": {1, 2}}})
    with pytest.raises(SkelstoreError, match=r"annotations\[0\]\.keypoint: .*set"):
        kinetics.convert(tmp_path / "toc.pkl", tmp_path / "a.zarr", kpfiles=tmp_path / "kpfiles", workers=1)


# --------------------------------------------------------------------------------------------- export


@pytest.mark.parametrize("size", [1, 3, 100])
def test_kpfiles_of_another_size(tmp_path: Path, size: int) -> None:
    names = [f"v{i}" for i in range(7)]
    contents(tmp_path, *(entry(name, raw_file="0.pkl") for name in names))
    dump(tmp_path / "kpfiles" / "0.pkl", {name: pack(i) for i, name in enumerate(names)})
    with round_trip(tmp_path) as store:
        export(store, tmp_path / "new.pkl", kpfiles=tmp_path / "k2", kpfile_videos=size)
        expected = list(store)
    files = files_of(tmp_path / "k2")
    assert [len(value) for value in files.values()] == [min(size, 7 - start) for start in range(0, 7, size)]
    source = open_source(tmp_path / "new.pkl", kpfiles=tmp_path / "k2")
    assert len(source) == len(expected)
    for i, annotation in enumerate(expected):
        found, _ = source.video(i)
        assert Path(found["raw_file"]).name in files
        assert_exact(found | {"raw_file": "0.pkl"}, annotation)
    source.close()


def test_a_pyskl_store_as_kinetics_and_back(tmp_path: Path) -> None:
    data = samples.ntu_like(8)
    with skelstore.Writer(tmp_path / "p.zarr") as writer:
        for annotation in data["annotations"]:
            writer.add(annotation)
        writer.splits.update(data["split"])
    with skelstore.open(tmp_path / "p.zarr") as store:
        export(store, tmp_path / "toc.pkl", format="kinetics", kpfile_videos=3)
    assert sorted(os.listdir(tmp_path / "kpfiles")) == [f"kpfile_{i:05}.pkl" for i in range(3)]
    with round_trip(tmp_path) as store:
        assert_exact(store.splits, data["split"])
        for found, annotation in zip(store, data["annotations"], strict=True):
            del found["raw_file"]
            assert_exact({key: found[key] for key in annotation}, annotation)
            assert len(found) == len(annotation)
    assert_exact(files_of(tmp_path / "out" / "kpfiles"), files_of(tmp_path / "kpfiles"))


def test_videos_without_a_unique_name_cannot_be_in_a_kpfile(tmp_path: Path) -> None:
    for names in (["a", "a"], ["a", None]):
        with skelstore.Writer(tmp_path / "p.zarr", force=True) as writer:
            for name in names:
                writer.add({"frame_dir": name, **pack()})
        with skelstore.open(tmp_path / "p.zarr") as store, pytest.raises(SourceError, match="video at position 1 has"):
            export(store, tmp_path / "toc.pkl", format="kinetics")
        assert os.listdir(tmp_path) == ["p.zarr"]


def test_existing_kpfiles_are_refused(tmp_path: Path) -> None:
    contents(tmp_path, entry("a", raw_file="0.pkl"))
    dump(tmp_path / "kpfiles" / "0.pkl", {"a": pack()})
    with round_trip(tmp_path) as store:
        before = files_of(tmp_path / "kpfiles")
        with pytest.raises(StoreExistsError, match="kpfiles exists"):
            export(store, tmp_path / "again.pkl")
        assert_exact(files_of(tmp_path / "kpfiles"), before)
        assert not [name for name in os.listdir(tmp_path) if "partial" in name or "again" in name]
        with pytest.raises(StoreExistsError, match="may belong to the source, so name it"):
            export(store.at([]), tmp_path / "again.pkl", force=True)
        assert_exact(files_of(tmp_path / "kpfiles"), before)
        export(store, tmp_path / "again.pkl", kpfiles=tmp_path / "kpfiles", force=True)
        assert_exact(files_of(tmp_path / "kpfiles"), before)
        export(store, tmp_path / "again.pkl", force=True)  # now the table of contents exists that they belong to
    assert_exact(files_of(tmp_path / "kpfiles"), before)


def test_the_real_table_of_contents_without_its_kpfiles(real_file: Any, tmp_path: Path) -> None:
    path = real_file("annotations/k400_toc_100.pkl")
    (tmp_path / "kpfiles").mkdir()
    with pytest.raises(SourceError, match="of 100 videos are missing"):
        open_source(path, kpfiles=tmp_path / "kpfiles")
    toc = load(path)
    entries = toc if isinstance(toc, list) else toc["annotations"]
    dump(tmp_path / "kpfiles" / "0.pkl", {e["frame_dir"]: pack(len(e["frame_inds"])) for e in entries})
    if any("raw_file" in e for e in entries):
        for raw_file in {Path(e["raw_file"]).name for e in entries}:
            (tmp_path / "kpfiles" / raw_file).write_bytes((tmp_path / "kpfiles" / "0.pkl").read_bytes())
    (tmp_path / "toc.pkl").write_bytes(path.read_bytes())
    round_trip(tmp_path).close()
    assert_exact(load(tmp_path / "out" / "toc.pkl"), toc)
