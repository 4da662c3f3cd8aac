"""Stores on the hub: commits, the card, the table for the viewer; on a small server with the hub's URLs."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

import skelstore
from converters.data_card import data_card, write_table
from skelstore.errors import (
    DamageError,
    RemoteAccessError,
    RemoteError,
    StoreError,
    StoreExistsError,
    StoreNotFoundError,
)
from tests.support.exact import assert_exact

pytest.importorskip("urllib3", reason="urllib3 (skelstore[remote]) is not installed")

from skelstore.publish import hub as publishing
from skelstore.publish.files import LocalStore, RemoteStore
from skelstore.publish.pulling import pull
from skelstore.publish.pushing import push
from skelstore.remote import retries
from skelstore.remote.url import parse_url
from tests.support.forks import Forks
from tests.support.http_server import Fault, Seen
from tests.support.hub_server import Hub, serving_hub

URL = "hf://datasets/me/set/data/s.zarr"
PARTS = {"href": "http://h", "header": {"chunk_size": "0", "1": "http://h"}}
NO_PARTS = {"href": "http://h", "header": {"chunk_size": "1000", "00001": "http://h", "00003": "http://h"}}
SMALL_PARTS = {"href": "http://h", "header": {"chunk_size": "1", "1": "http://h"}}
LONG_PARTS = {"href": "http://h", "header": {"chunk_size": "9" * 5000, "1": "http://h"}}


def _write(path: Path, seed: int, videos: int = 8, name: str = "v") -> Path:
    noise = np.random.default_rng(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("skelstore.write.parts.PART_VIDEOS", 3)
        with skelstore.Writer(path) as writer:
            for number in range(videos):
                keypoint = noise.normal(0, 9, (1, 20 + number, 17, 2)).astype(np.float16)
                writer.add({"frame_dir": f"{name}{number}", "label": number % 3, "keypoint": keypoint})
            writer.splits["train"] = [f"{name}{number}" for number in range(seed + 1)]
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    _write(folder / "a.zarr", 1)
    _write(folder / "b.zarr", 2, 4)
    return folder


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setenv("SKELSTORE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(retries, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(publishing, "_PAUSE", 0.01)
    monkeypatch.setenv("HF_TOKEN", "hf_abc")
    with serving_hub(tmp_path) as served:
        monkeypatch.setenv("HF_ENDPOINT", served.url)
        yield served


def _push(store: Path, url: str = URL, **options: Any) -> int:
    return push(LocalStore(store), parse_url(url), **options)


def _tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _stored(hub: Hub) -> dict[str, bytes]:
    prefix = "data/s.zarr/"
    return {path[len(prefix) :]: data for path, data in hub.files.items() if path.startswith(prefix)}


def test_there_and_back(made: Path, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "COMMIT_FILES", 4)
    hub.part_bytes = 1000
    done: list[int] = []
    local = LocalStore(made / "a.zarr")
    assert push(local, parse_url(URL), advance=done.append) == len(local.copy.files) + 1
    assert sum(done) == local.copy.size
    assert _stored(hub) == _tree(made / "a.zarr")
    assert hub.files.keys() - {f"data/s.zarr/{key}" for key in _tree(made / "a.zarr")} == {".gitattributes"}
    assert hub.count("^/part/") > 5
    assert len(hub.summaries) > 2
    assert hub.summaries[-1] == "Add s.zarr"
    for files in hub.commits[:-1]:
        assert not any(path.endswith("s.zarr/zarr.json") for path in files)
    assert_exact(list(skelstore.open(URL)), list(skelstore.open(made / "a.zarr")))
    hub.seen.clear()
    done.clear()
    assert push(local, parse_url(URL), advance=done.append) == 0
    assert {seen.method for seen in hub.seen} == {"GET"}
    assert sum(done) == local.copy.size
    pull(RemoteStore(parse_url(URL)), tmp_path / "t.zarr")
    assert _tree(tmp_path / "t.zarr") == _tree(made / "a.zarr")


def test_force_takes_the_root_away_first(made: Path, hub: Hub) -> None:
    _push(made / "a.zarr")
    with pytest.raises(StoreExistsError, match=f"another store is at {URL}"):
        _push(made / "b.zarr")
    commits = len(hub.commits)
    _push(made / "b.zarr", force=True)
    assert _stored(hub) == _tree(made / "b.zarr")
    first, *_, last = hub.commits[commits:]
    assert "data/s.zarr/zarr.json" not in first
    assert "data/s.zarr/zarr.json" in last
    _push(made / "a.zarr", force=True)
    assert _stored(hub) == _tree(made / "a.zarr")


def test_a_card_and_a_table_are_put_beside_the_store(made: Path, hub: Hub, forks: Forks, tmp_path: Path) -> None:
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    done = forks.run("push", made / "a.zarr", URL)
    assert done.status == 0, done
    card = hub.files["README.md"].decode()
    about = yaml.safe_load(card.split("---\n")[1])
    assert about["configs"][0]["data_files"] == [{"split": "videos", "path": "data/videos.parquet"}]
    assert about["size_categories"] == ["n<1K"]
    assert "license" not in about  # a blank for the author
    for text in ("8 videos", "| train | 2 | 2 |", "## Citation", "coco-17", "(Fill in", f'open("{URL}")'):
        assert text in card, text
    (tmp_path / "t.parquet").write_bytes(hub.files["data/videos.parquet"])
    table = pq.read_table(tmp_path / "t.parquet")
    assert table["frame_dir"].to_pylist() == [f"v{number}" for number in range(8)]
    assert table["label"].to_pylist() == [number % 3 for number in range(8)]
    assert "keypoint.dim1" in table.column_names
    assert not {"skelstore.layout", "keypoint.row"} & {*table.column_names}
    # What the author has filled in stays, and the rest is found to be there.
    hub.commits.append({**hub.commits[-1], "README.md": (b"mine", False)})
    done = forks.run("push", made / "a.zarr", URL)
    assert ", 0 of " in done.out
    done = forks.run("push", made / "b.zarr", URL, "--force")
    assert done.status == 0, done
    assert hub.files["README.md"] == b"mine"
    assert hub.files["data/videos.parquet"] != (tmp_path / "t.parquet").read_bytes()


def test_a_killed_push_leaves_no_store(made: Path, hub: Hub, forks: Forks) -> None:
    settings = {"skelstore.publish.hub.COMMIT_FILES": 5}
    assert forks.run("push", made / "a.zarr", URL, settings=settings).status == 0
    requests = len(hub.seen)
    for number in sorted({*random.sample(range(1, requests), 4), requests}):
        hub.commits[1:], hub.objects = [], {}
        pids: list[int] = []
        left = [number]

        def watch(_: Seen, left: list[int] = left, pids: list[int] = pids) -> None:
            left[0] -= 1
            if left[0] == 0:
                while not pids:
                    time.sleep(0.001)
                os.kill(pids[0], signal.SIGKILL)

        hub.watch = watch
        running = forks.start("push", made / "a.zarr", URL, settings=settings)
        pids.append(running.pid)
        assert forks.wait(running).status == -signal.SIGKILL, f"request {number}"
        time.sleep(0.02)
        hub.watch = None
        if "data/s.zarr/zarr.json" not in hub.files:
            with pytest.raises(StoreNotFoundError):
                skelstore.open(URL)
        before = {*hub.objects}
        hub.seen.clear()
        assert forks.run("push", made / "a.zarr", URL, settings=settings).status == 0
        assert _stored(hub) == _tree(made / "a.zarr")
        again = {seen.path.partition("?")[0].removeprefix("/put/") for seen in hub.seen if seen.method == "PUT"}
        assert not again & before


@pytest.mark.parametrize("options", [[], ["--force"]])
def test_two_pushes_at_once(made: Path, hub: Hub, forks: Forks, options: list[str]) -> None:
    settings = {"skelstore.publish.hub.COMMIT_FILES": 5, "skelstore.publish.hub._PAUSE": 0.01}
    settings["skelstore.publish.hub._CONFLICTS"] = 50
    hub.watch = lambda _: time.sleep(random.uniform(0, 0.01))
    stores = [made / "a.zarr", made / "b.zarr"]
    done = [forks.wait(one) for one in [forks.start("push", s, URL, *options, settings=settings) for s in stores]]
    assert 0 in [one.status for one in done], done
    for one in done:
        assert one.status == 0 or "another store is at" in one.err, one
    assert _stored(hub) in [_tree(store) for store in stores]


def test_errors_are_one_sentence(made: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StoreError, match="hf://datasets/me/set is a whole data set; expected a folder in it"):
        _push(made / "a.zarr", "hf://datasets/me/set")
    with pytest.raises(StoreNotFoundError, match=r"the data set me/other with the revision 'main' is not on the hub"):
        _push(made / "a.zarr", "hf://datasets/me/other/s.zarr")
    hub.faults.append(Fault("/commit/", "412", 99))
    with pytest.raises(RemoteError, match="others change the data set at the same time"):
        _push(made / "a.zarr")
    for pattern in ("/preupload/", "/batch", "/tree/", "/revision/"):
        hub.faults[:] = [Fault(pattern, "200", 99)]
        with pytest.raises(RemoteError, match="in the form that is expected"):
            _push(made / "a.zarr")
    hub.faults[:] = [Fault("/put/", "403", 99)]
    hub.objects.clear()
    with pytest.raises(RemoteAccessError, match=r"hf://datasets/me/set/.* answered 403"):
        _push(made / "a.zarr")
    hub.faults.clear()
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(StoreNotFoundError, match="and set HF_TOKEN") as caught:
        _push(made / "a.zarr")
    assert "hf_wrong" not in str(caught.value)
    assert hub.commits[1:] == []


@pytest.mark.parametrize(
    ("pattern", "answer"),
    [
        ("/revision/", [1]),
        ("/revision/", {"sha": 1}),
        ("/tree/", {"error": "x"}),
        ("/preupload/", {"files": [{"path": "x", "uploadMode": "lfs"}, 1]}),
        ("/preupload/", {"files": [{"path": [1]}]}),
        ("/batch", {"objects": [{"oid": ["x"]}]}),
        ("/batch", {"objects": 1}),
    ],
)
def test_answers_of_another_form_are_one_sentence(made: Path, hub: Hub, pattern: str, answer: Any) -> None:
    body = json.dumps(answer).encode()
    hub.faults.append(Fault(pattern, "200", 99, body=body))
    with pytest.raises(RemoteError, match=r"the hub did not say .* in the form that is expected"):
        _push(made / "a.zarr")
    assert hub.commits[1:] == []


@pytest.mark.parametrize(
    "upload",
    [{}, {"href": "file:///etc/passwd"}, {"href": 1, "header": [1]}, PARTS, NO_PARTS, SMALL_PARTS, LONG_PARTS],
)
def test_addresses_of_another_form_are_one_sentence(made: Path, hub: Hub, upload: dict[str, Any]) -> None:
    hub.actions = upload
    with pytest.raises(RemoteError, match=r"the hub did not say where to send .* in the form that is expected"):
        _push(made / "a.zarr")
    assert hub.commits[1:] == []


def test_strange_entries_of_a_list_are_not_files(made: Path, hub: Hub) -> None:
    entries = [1, None, {"type": "file"}, {"type": "file", "path": 1, "size": "x", "lfs": []}, {"type": "directory"}]
    hub.faults.append(Fault("/tree/", "200", 1, body=json.dumps(entries).encode()))
    _push(made / "a.zarr")
    assert _stored(hub) == _tree(made / "a.zarr")


def test_a_damaged_store_is_not_published(made: Path, hub: Hub, tmp_path: Path) -> None:
    shutil.copytree(made / "a.zarr", tmp_path / "a.zarr")
    shard = tmp_path / "a.zarr" / "keypoint" / "c.1.0.0"
    shard.write_bytes(shard.read_bytes()[:-1] + b"?")
    with pytest.raises(DamageError, match=r"keypoint/c\.1\.0\.0 is damaged"):
        _push(tmp_path / "a.zarr")
    assert hub.commits[1:] == []


def test_a_card_of_hostile_text(tmp_path: Path) -> None:
    """Names of splits, classes and sources are text: on one line each, and neither markup nor front matter."""
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    evil = "a|b\n---\n# title <script>x</script> [l](http://h) `c` \x1b[0m \u202e ![i](x) $x$ \ud800"
    source = {"dialect": evil, "name": evil, "notes": [evil], "tracking": {evil: evil}}
    with skelstore.Writer(tmp_path / "s.zarr", source=source) as writer:
        writer.add({"frame_dir": evil, "label": 0, evil: "x", "keypoint": np.ones((1, 2, 17, 2), np.float16)})
        writer.splits[evil] = [evil]
        writer.splits["|"] = []
    store = skelstore.open(tmp_path / "s.zarr")
    url = parse_url('hf://datasets/me/set/it\'s "s".zarr')
    card = data_card(store, url, 'da"ta/videos.parquet')
    _, front, *rest = card.split("---\n", 2)
    about = yaml.safe_load(front)
    assert about["pretty_name"] == 'it\'s "s".zarr'
    assert about["configs"][0]["data_files"][0]["path"] == 'da"ta/videos.parquet'
    (body,) = rest
    assert "<script" not in body
    assert "\n---" not in body
    assert "\x1b" not in body
    assert "\u202e" not in body
    assert "](http" not in body.replace("\\]", "")
    columns = {line.replace("\\|", "").count("|") for line in body.splitlines() if line.startswith("|")}
    assert columns == {3, 4}
    write_table(store, tmp_path / "t.parquet")
    assert card.encode()  # no lone surrogate is left
