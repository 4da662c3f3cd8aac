"""A source that was opened by a relative path stays the same when the working directory changes."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import pytest

from converters import open_source
from converters.dialects import ntu
from converters.dialects.ntu.raw_store import RawStore
from converters.dialects.ntu.source import NtuFiles
from converters.pickles.file import PickleFile
from converters.samples.pickles import ntu_names, write_samples
from converters.samples.skeletons import write_skeletons
from converters.samples.sources import write_sources
from tests.support.exact import assert_exact

VIDEOS = 6
SOURCES: dict[str, dict[str, Any]] = {
    "ntu60_hrnet.pkl": {},
    "gym_list.pkl": {},
    "one": {},
    "one/S001C001P001R001A001.pkl": {},
    "k400/k400_hrnet.pkl": {"kpfiles": "k400/kpfiles"},
    "k400_mmaction/k400_2d.pkl": {"kpfiles": "k400_mmaction/kpfiles"},
    "gym/gym_hrnet.pkl": {"boxes": "gym/gym_gt_bboxes.pkl"},
    "babel/train_ntu_sk_120.npy": {},
    "babel//train_ntu_sk_120.npy": {"table": "babel/train_label_120.pkl"},
    "extracted": {"label_by": "ntu"},
    "parts": {"table": "parts.csv"},
    "clips": {"table": "clips.csv"},
    "classes": {"label_by": "folders"},
    "skeletons": {},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sources")
    write_samples(folder, VIDEOS, videos_a_file=2)
    write_sources(folder, VIDEOS)
    write_skeletons(folder / "skeletons", ntu_names(VIDEOS))
    return folder


def everything(source: Any) -> tuple[list[Any], dict[Any, Any], list[Path]]:
    """All that a source gives, and its files."""
    videos = [source.video(i) for i in range(len(source))]
    return videos, source.splits(), source.files(0, len(source))


@pytest.mark.parametrize("name", SOURCES)
def test_a_source_is_read_on_from_another_working_directory(
    folder: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    absolute = {
        option: folder / value if "/" in value or "." in value else value for option, value in SOURCES[name].items()
    }
    expected = everything(open_source(folder / name, **absolute))
    monkeypatch.chdir(folder)
    source = open_source(name, **SOURCES[name])
    monkeypatch.chdir("/")
    assert source.path == folder / name
    for opened in (source, pickle.loads(pickle.dumps(source))):
        found = everything(opened)
        assert_exact(found[0], expected[0])
        assert_exact(found[1], expected[1])
        assert [os.path.samefile(a, b) for a, b in zip(found[2], expected[2], strict=True)] == [True] * len(found[2])
        opened.close()


def test_a_pickle_and_a_raw_store_are_read_on_from_another_working_directory(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ntu.convert(folder / "skeletons", tmp_path / "raw.zarr", recipe="raw")
    monkeypatch.chdir(tmp_path)
    store = RawStore("raw.zarr", recipe="mmaction2")
    (tmp_path / "gym.pkl").symlink_to(folder / "gym_list.pkl")
    file = PickleFile("gym.pkl")
    monkeypatch.chdir("/")
    direct = NtuFiles(folder / "skeletons", recipe="mmaction2")
    for opened in (store, pickle.loads(pickle.dumps(store))):
        assert_exact([opened.video(i)[0] for i in range(len(opened))], [direct.video(i)[0] for i in range(len(direct))])
    with file, pickle.loads(pickle.dumps(file)) as again:
        assert_exact(again.element(1), file.element(1))
