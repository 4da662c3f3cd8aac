"""The registry, the documents and the exports agree with the declarations of the dialects."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import converters
import skelstore
from converters import samples
from converters.dialects.dialect import Dialect
from converters.dialects.registry import DIALECTS, SUFFIXES, open_source, recognise, recorded_options
from converters.exporting import FORMATS
from converters.inputs import candidate
from converters.inputs.candidate import Candidate
from converters.samples.gcn_arrays import write_gcn_arrays
from converters.samples.pose_clips import write_pose_clips
from converters.samples.pose_tools import write_pose_tools
from converters.samples.skeletons import denoised_like, raw_skes_like, write_skeletons
from converters.samples.sources import babel_like
from skelstore.errors import SourceError
from tests.support.repository import REPOSITORY
from tests.support.source_contract import dump

ANNOTATION = {"frame_dir": "a", "label": 0, "total_frames": 2, "keypoint": np.zeros((1, 2, 3, 2))}


LIBRARIES = {"tools"}
"""Dialects that need libraries that are not installed with the tests; they have tests of their own."""


def table_of_dialects() -> str:
    """The table of docs/sources.md."""
    lines = ["| `--from` | source | options | `skelstore export` writes |", "|---|---|---|---|"]
    for dialect in DIALECTS.values():
        options = ", ".join(f"`{o.flag}`{' (needed)' if o.required else ''}" for o in dialect.options)
        exported = "it as it was" if dialect.export else "a PYSKL pickle, or a list"
        lines.append(f"| `{dialect.name}` | {dialect.reads} | {options} | {exported} |")
    return "\n".join(lines)


def test_the_table_in_the_document_matches_the_dialects() -> None:
    text = (REPOSITORY / "docs" / "sources.md").read_text(encoding="utf-8")
    expected = table_of_dialects()
    assert expected in text, f"docs/sources.md: the table of dialects is to be\n{expected}"


def test_every_dialect_has_a_section() -> None:
    headings = [
        line.removeprefix("## ")
        for line in (REPOSITORY / "docs" / "sources.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("## ")
    ]
    assert {name for heading in headings for name in heading.split(" and ")} == DIALECTS.keys()


def test_the_formats_of_an_export_are_the_dialects_that_write_any_store() -> None:
    assert [dialect.name for dialect in DIALECTS.values() if dialect.export_any] == list(FORMATS)
    assert all(dialect.export for dialect in DIALECTS.values() if dialect.export_any or dialect.export_options)


def test_a_dialect_is_described_in_one_line() -> None:
    for name, dialect in DIALECTS.items():
        assert dialect.name == name
        assert "\n" not in dialect.summary + dialect.reads
        assert dialect.summary == dialect.summary.rstrip(".")
        assert dialect.suffixes or not dialect.takes_folder
        assert set(dialect.suffixes) <= set(SUFFIXES)


# ---------------------------------------------------------------------------------------------- recognition


def sources(folder: Path) -> dict[str, tuple[Path, dict[str, Any]]]:
    """Dialect -> a source of it, and the options that it needs."""
    (folder / "arrays").mkdir(parents=True)
    np.save(folder / "arrays" / "a.npy", np.zeros((1, 2, 3, 2)))
    write_skeletons(folder / "ntu", ["S001C001P001R001A001"])
    (folder / "clips").mkdir()
    clip = {"file_name": "a01_s01_e00_v01", "skeletons": [[[0, 0, 0]] * 20], "label": 1}
    (folder / "clips" / "a01_s01_e00_v01.json").write_text(json.dumps(clip))
    write_pose_tools(folder, 1)
    write_pose_clips(folder, 1)
    (folder / "tools").mkdir()
    (folder / "tools" / "a.slp").write_bytes(b"\x89HDF\r\n\x1a\n")
    clips, labels = babel_like(2)
    np.save(folder / "train_ntu_sk_120.npy", clips)
    dump(folder / "train_label_120.pkl", labels)
    write_gcn_arrays(folder / "gcn", 4, frames=12)
    contents = dump(folder / "toc.pkl", {"split": {}, "annotations": [{"frame_dir": "a", "label": 0}]})
    dump(folder / "kpfiles" / "a.pkl", {"keypoint": np.zeros((1, 3, 3))})
    listed = dump(folder / "list.pkl", [ANNOTATION])
    bodies = raw_skes_like(["S001C001P001R001A001"], frames=(20, 30))
    (folder / "names.txt").write_text("S001C001P001R001A001\n")
    return {
        "pyskl": (dump(folder / "pyskl.pkl", samples.ntu_like(2)), {}),
        "list": (listed, {}),
        "single": (dump(folder / "single.pkl", ANNOTATION), {}),
        "folder": (dump(folder / "folder" / "a.pkl", ANNOTATION).parent, {}),
        "kinetics": (contents, {"kpfiles": folder / "kpfiles"}),
        "gym": (listed, {"boxes": dump(folder / "boxes.pkl", {"a": np.zeros((2, 4))})}),
        "babel": (folder / "train_ntu_sk_120.npy", {}),
        "extraction": (dump(folder / "lists" / "a.pkl", [ANNOTATION]).parent, {}),
        "arrays": (folder / "arrays", {}),
        "ntu": (folder / "ntu", {}),
        "nwucla": (folder / "clips", {}),
        "ctrgcn": (folder / "gcn" / "NTU60_CS.npz", {}),
        "stgcn": (folder / "gcn" / "stgcn", {}),
        "gcn-clips": (folder / "gcn" / "clips", {"channels": "xyz"}),
        "raw-skes": (dump(folder / "raw_skes_data.pkl", bodies), {}),
        "denoised": (dump(folder / "denoised.pkl", denoised_like(bodies)), {"names": folder / "names.txt"}),
        "alphapose": (folder / "alphapose", {}),
        "kinetics-skeleton": (folder / "kinetics-skeleton", {"size": "1080x1920"}),
        "openpose": (folder / "openpose", {}),
        "mmpose": (folder / "mmpose", {}),
        "coco": (folder / "coco", {}),
        "mediapipe": (folder / "mediapipe", {"size": "720x1280"}),
        "yolo-pose": (folder / "yolo-pose", {"size": "720x1280"}),
        "videopose3d": (folder / "videopose3d" / "data_2d_custom_clips.npz", {}),
        "uav-human": (folder / "uav-human", {}),
        "tools": (folder / "tools", {}),
    }


def recognising(path: Path, given: dict[str, Any]) -> list[str]:
    """The dialects that recognise a source."""
    with closing(Candidate(path, given, SUFFIXES)) as found:
        return [dialect.name for dialect in DIALECTS.values() if dialect.recognise(found)]


def test_a_source_is_recognised_by_its_dialect_and_no_other(tmp_path: Path) -> None:
    for name, (path, given) in sources(tmp_path).items():
        others = {"kinetics": "pyskl", "gym": "list"}  # without the option they would be these
        assert set(recognising(path, given)) - {others.get(name)} == {name}
        assert recognise(path, given).name == name
        if name in LIBRARIES:
            continue
        with closing(open_source(path, **given)) as source:
            assert source.dialect == name
            assert len(source) > 0


def test_labels_beside_a_file_or_folder_make_it_an_extraction(tmp_path: Path) -> None:
    found = sources(tmp_path)
    for name in ("list", "single", "folder", "extraction"):
        assert recognising(found[name][0], {"label_by": "ntu"}) == ["extraction"]
    assert recognising(found["pyskl"][0], {"table": tmp_path}) == ["pyskl"]
    assert recognising(found["arrays"][0], {"table": tmp_path}) == ["arrays"]


def test_a_candidate_is_opened_or_listed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Path] = []
    listed: list[Path] = []
    open_pickle, names_below = candidate.open_pickle, candidate.names_below
    monkeypatch.setattr(candidate, "open_pickle", lambda p, whole: opened.append(p) or open_pickle(p, whole=whole))
    monkeypatch.setattr(candidate, "names_below", lambda p, suffixes: listed.append(p) or names_below(p, suffixes))
    found = sources(tmp_path)
    for name in ("pyskl", "list", "single", "folder", "extraction"):
        opened.clear()
        listed.clear()
        recognising(*found[name])
        assert len(opened) == 1
        assert listed == ([found[name][0]] if found[name][0].is_dir() else [])


def test_a_broken_file_of_another_kind_does_not_matter(tmp_path: Path) -> None:
    folder = dump(tmp_path / "f" / "a.pkl", ANNOTATION).parent
    (folder / "notes.json").symlink_to(tmp_path / "nothing")
    (folder / "b.skeleton.txt").symlink_to(tmp_path / "nothing")
    assert recognise(folder).name == "folder"
    (folder / "0.pkl").symlink_to(tmp_path / "nothing")
    with pytest.raises(SourceError, match=r"0\.pkl is not a file, or is a broken link"):
        recognise(folder)


# ----------------------------------------------------------------------------------------------- conversion


def test_anything_is_converted_by_one_function(tmp_path: Path) -> None:
    for name, (path, given) in sources(tmp_path / "in").items():
        if name in LIBRARIES:
            continue
        store = tmp_path / f"{name}.zarr"
        converters.convert(path, store, profile="fast", workers=1, **given)
        with skelstore.open(store) as opened:
            assert opened.source["dialect"] == name
            assert len(opened) > 0
            again = recorded_options(opened.source)
            assert again.keys() <= {option.name for option in DIALECTS[name].options}
            with closing(open_source(path, name, **{**again, **given})) as source:
                assert len(source) == len(opened)


def test_a_source_is_converted_by_a_stated_dialect(tmp_path: Path) -> None:
    path = dump(tmp_path / "a.pkl", [{"pose": 1}])
    converters.convert(path, tmp_path / "a.zarr", dialect="list")
    with skelstore.open(tmp_path / "a.zarr") as store:
        assert store[0] == {"pose": 1}


def test_wrong_options_of_convert(tmp_path: Path) -> None:
    path = dump(tmp_path / "a.pkl", [ANNOTATION])
    with pytest.raises(TypeError, match=r"'kpfile'; did you mean .*'kpfiles'"):
        converters.convert(path, tmp_path / "a.zarr", kpfile=tmp_path)
    with pytest.raises(TypeError, match=r"open_source\(\) has no option 'kpfile'; did you mean .*'kpfiles'"):
        open_source(tmp_path / "a.pkl", kpfile="x")
    with pytest.raises(SourceError, match="--recipe goes with ntu, not with list"):
        converters.convert(path, tmp_path / "a.zarr", recipe="raw")
    with pytest.raises(SourceError, match=r"--skip-missing goes with kinetics, extraction, .* not with list"):
        converters.convert(path, tmp_path / "a.zarr", skip_missing=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.pkl"]


def test_options_left_at_their_defaults_fit_every_dialect(tmp_path: Path) -> None:
    path = dump(tmp_path / "a.pkl", [ANNOTATION])
    nothing: dict[str, Any] = {"kpfiles": None, "skip_missing": False, "ignore": [], "task": None, "split_by": None}
    with closing(open_source(path, **nothing)) as source:
        assert source.dialect == "list"


def test_dialects_are_values() -> None:
    assert all(isinstance(dialect, Dialect) for dialect in DIALECTS.values())
    assert len({dialect.name for dialect in DIALECTS.values()}) == len(DIALECTS)
