"""Sources at URLs: they convert to what the local file converts to, and the store says where they are from."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import converters
import skelstore
from converters.checks.dataset import opened_for_check
from converters.comparison import compare
from converters.conversion.jobs import identity_of
from converters.online import published
from converters.online.location import is_store, locate_source
from converters.samples.pickles import ntu_like, write_samples
from converters.samples.sources import write_sources
from skelstore.errors import JointLayoutError, SkelstoreError, SourceError
from skelstore.joints import LAYOUTS
from skelstore.remote.url import Url, parse_url
from skelstore.write import parts
from skelstore.write.planning import Planner
from tests.support.exact import assert_exact
from tests.support.processes import COMMAND

pytest.importorskip("urllib3", reason="urllib3 (skelstore[remote]) is not installed")

from benchmarks.delays import delayed
from skelstore.remote import connections, incoming
from tests.support.http_server import Served, serving

SECRETS = "?token=secret"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served")
    write_samples(folder, 12)
    write_sources(folder, 12)
    (folder / "page.pkl").write_text("<!doctype html><title>Log in</title>")
    return folder


@pytest.fixture
def server(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setenv("SKELSTORE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(incoming.Incoming, "piece_bytes", 50_000)
    monkeypatch.chdir(tmp_path)
    with serving(made) as served:
        yield served


def _url(server: Served, name: str) -> str:
    return f"{server.url.replace('//', '//me:hidden@')}/{name}{SECRETS}"


def _source_of(path: str) -> dict[str, Any]:
    with skelstore.open(path) as store:
        return store.source


def test_a_url_converts_as_the_file_does(server: Served, made: Path) -> None:
    converters.convert(made / "ntu60_hrnet.pkl", "local.zarr")
    converters.convert(_url(server, "ntu60_hrnet.pkl"), "online.zarr")
    with skelstore.open("local.zarr") as local, skelstore.open("online.zarr") as online:
        assert_exact(list(online), list(local))
        assert online.splits == local.splits
        record = dict(online.source)
        assert record.pop("downloaded") == {
            "source": {"url": f"{server.url}/ntu60_hrnet.pkl", "sha256": _sha256(made / "ntu60_hrnet.pkl")}
        }
        assert record == local.source
        assert record["name"] == "ntu60_hrnet.pkl"
    for path in Path("online.zarr").rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        assert b"hidden" not in content
        assert b"secret" not in content
    converters.export(skelstore.open("online.zarr"), "again.pkl")
    assert_exact(pickle.loads(Path("again.pkl").read_bytes()), pickle.loads((made / "ntu60_hrnet.pkl").read_bytes()))


def _sha256(path: Path) -> str:
    import hashlib

    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_files_beside_a_source(server: Served, made: Path) -> None:
    boxes, gym = _url(server, "gym/gym_gt_bboxes.pkl"), _url(server, "gym/gym_hrnet.pkl")
    converters.convert(gym, "a.zarr", boxes=boxes)
    converters.convert(made / "gym/gym_hrnet.pkl", "b.zarr", boxes=boxes)
    converters.convert(made / "gym/gym_hrnet.pkl", "c.zarr", boxes=made / "gym/gym_gt_bboxes.pkl")
    for name in ("a.zarr", "b.zarr"):
        assert_exact(list(skelstore.open(name)), list(skelstore.open("c.zarr")))
    assert _source_of("a.zarr")["downloaded"].keys() == {"source", "boxes"}
    assert _source_of("b.zarr")["downloaded"].keys() == {"boxes"}
    assert _source_of("b.zarr")["boxes"]["name"] == "gym_gt_bboxes.pkl"
    with pytest.raises(SourceError, match="is a URL; expected the path of a local file or folder"):
        converters.convert(_url(server, "k400/k400_hrnet.pkl"), "d.zarr", kpfiles=_url(server, "k400/kpfiles"))


def test_a_table_at_a_url(server: Served, made: Path, tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    clips.mkdir()
    rows = ["path,label,split"]
    for number in range(4):
        np.save(clips / f"{number}.npy", np.full((3, 17, 2), number, np.float32))
        rows.append(f"{number}.npy,{number},train")
    (made / "videos.csv").write_text("\n".join(rows) + "\n")
    converters.convert(clips, "a.zarr", table=_url(server, "videos.csv"))
    assert skelstore.open("a.zarr").labels.tolist() == [0, 1, 2, 3]
    (clips / "videos.csv").write_text("\n".join(rows) + "\n")
    assert _source_of("a.zarr")["downloaded"]["table"]["url"] == f"{server.url}/videos.csv"


def test_workers_and_a_conversion_that_is_resumed(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file in the cache has the same path and times in the next run, so finished parts are taken."""
    monkeypatch.setattr(parts, "PART_VIDEOS", 3)
    url = _url(server, "ntu60_hrnet.pkl")
    states = []
    for _ in range(2):
        source = converters.open_source(url)
        planner = Planner("default")
        planner.add(source.video(0)[0])
        states.append(identity_of(source, planner.plan(), 0, len(source)))
        sent = pickle.dumps(source)
        assert b"secret" not in sent, "it goes to workers by a file that others may be allowed to read"
        assert b"hidden" not in sent
        copy = pickle.loads(sent)
        assert_exact(copy.video(3)[0], source.video(3)[0])
        for each in (source, copy):
            each.close()
    assert states[0] == states[1]
    assert server.count("ntu60") == len(range(0, os.path.getsize(server.root / "ntu60_hrnet.pkl"), 50_000)) + 2
    converters.convert(url, "a.zarr", workers=2)
    assert_exact(list(skelstore.open("a.zarr")), ntu_like(12)["annotations"])


def test_a_source_is_not_evicted_while_it_is_read(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    from skelstore.remote import cache

    monkeypatch.setattr(cache, "KEPT_SECONDS", 0)
    monkeypatch.setenv("SKELSTORE_CACHE_SIZE", "1")
    source: Any = converters.open_source(_url(server, "ntu60_hrnet.pkl"))
    source.close()
    cache.Cache(cache.default_folder()).evict()
    assert source.video(0)[0]["frame_dir"]
    [path] = source.digests
    source.close()
    source = None
    cache.Cache(cache.default_folder()).evict()
    assert not path.exists()


def test_checking_a_source_at_a_url(server: Served, made: Path) -> None:
    with opened_for_check(_url(server, "ntu60_hrnet.pkl")) as videos:
        assert len(videos) == 12
    converters.convert(made / "ntu60_hrnet.pkl", "local.zarr")
    source = converters.open_source(_url(server, "ntu60_hrnet.pkl"))
    with skelstore.open("local.zarr") as store:
        assert list(compare(store, source)) == []
    source.close()


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("page.pkl", r"/page.pkl is a web page \('Log in'\) that asks for a login, not a file"),
        ("none.pkl", "/none.pkl does not exist: the server answered 404"),
    ],
)
def test_what_cannot_be_converted(server: Served, name: str, found: str) -> None:
    with pytest.raises(SourceError, match=found) as caught:
        converters.convert(_url(server, name), "a.zarr")
    assert "hidden" not in str(caught.value)
    assert not Path("a.zarr").exists()
    assert not Path("a.zarr.partial").exists()


def _bad_sources(folder: Path) -> None:
    good = {"frame_dir": "a", "label": 0, "total_frames": 1, "keypoint": np.ones((1, 1, 17, 2))}
    bad = {
        "value": [good, {**good, "foo": {1}}],
        "split": {"annotations": [good], "split": {"a": np.array(["a"], object)}},
        "list": [good, 2],
    }
    for name, content in bad.items():
        (folder / f"bad_{name}.pkl").write_bytes(pickle.dumps(content))
    (folder / "bad_cut.pkl").write_bytes(pickle.dumps(good)[:-9])
    (folder / "bad_text.pkl").write_text("hello")
    (folder / "bad_boxes.pkl").write_bytes(pickle.dumps([1]))


@pytest.mark.parametrize("name", ["value", "split", "list", "cut", "text"])
def test_messages_name_the_url(server: Served, name: str) -> None:
    _bad_sources(server.root)
    with pytest.raises(SkelstoreError) as caught:
        converters.convert(_url(server, f"bad_{name}.pkl"), "a.zarr")
    assert str(caught.value).startswith(f"{server.url}/bad_{name}.pkl")
    assert str(Path("cache").absolute()) not in str(caught.value)


def test_messages_name_the_url_of_an_option_and_of_a_video(server: Served, made: Path, run: Any) -> None:
    _bad_sources(server.root)
    with pytest.raises(SourceError, match=rf"^{server.url}/bad_boxes.pkl"):
        converters.open_source(made / "gym/gym_hrnet.pkl", boxes=_url(server, "bad_boxes.pkl"))
    with pytest.raises(JointLayoutError, match=rf"^{server.url}/ntu60_hrnet.pkl: the layout ntu-25 "):
        converters.convert(_url(server, "ntu60_hrnet.pkl"), "a.zarr", joints="ntu-25")
    with pytest.raises(SourceError, match=rf"^{server.url}/ntu60_hrnet.pkl: --recipe goes with "):
        converters.convert(_url(server, "ntu60_hrnet.pkl"), "a.zarr", recipe="pyskl", dialect="pyskl")
    converters.convert(made / "gym_list.pkl", "gym.zarr")
    commands = [
        ("check", _url(server, "bad_list.pkl")),
        ("report", _url(server, "bad_list.pkl"), "-o", "report.html"),
        ("verify", "gym.zarr", "--against", _url(server, "bad_list.pkl")),
    ]
    texts = [done.out + done.err for done in (run(*command) for command in commands)]
    texts.append(Path("report.html").read_text())
    for text in texts:
        assert str(Path("cache").absolute()) not in text
    assert f"([1]): {server.url}/bad_list.pkl: [1] is an int" in texts[0]
    assert f"gym.zarr has 12 videos; {server.url}/bad_list.pkl has 2" in texts[2]


@pytest.mark.parametrize("url", ["s3:///a.pkl", "s3://bucket/a.pkl?token=secret", "http://"])
def test_a_url_that_no_file_can_have_is_an_error_of_the_source(url: str) -> None:
    with pytest.raises(SourceError) as caught:
        converters.convert(url, "a.zarr")
    assert "secret" not in str(caught.value)


def test_a_checksum(server: Served, made: Path) -> None:
    url = _url(server, "ntu60_hrnet.pkl")
    with pytest.raises(SourceError, match="has the SHA-256"):
        converters.convert(url, "a.zarr", sha256="0" * 64)
    converters.convert(url, "a.zarr", sha256=_sha256(made / "ntu60_hrnet.pkl"))
    with pytest.raises(SourceError, match="is a local path; a SHA-256 goes with the URL of a file"):
        converters.convert(made / "ntu60_hrnet.pkl", "b.zarr", sha256="0" * 64)


# --- the command line


def test_commands(server: Served, made: Path, run: Any) -> None:
    url, sha256 = _url(server, "ntu60_hrnet.pkl"), _sha256(made / "ntu60_hrnet.pkl")
    done = run("convert", url, "a.zarr", "--sha256", sha256)
    size = os.path.getsize(made / "ntu60_hrnet.pkl")
    assert done.status == 0
    assert done.err == f"downloaded: {server.url}/ntu60_hrnet.pkl, {size:,} bytes, sha256 {sha256}\n"
    requests = len(server.seen)
    done = run("convert", _url(server, "gym_list.pkl"), "a.zarr")
    assert (done.status, "a.zarr exists: choose another destination" in done.err) == (1, True)
    assert len(server.seen) == requests, "that is said before a long download"
    dones = [
        run("convert", url, "a.zarr", "--force"),
        run("check", url),
        run("check", url, "--from", "pyskl", "--json"),
        run("verify", "a.zarr", "--against", url),
        run("info", "a.zarr"),
    ]
    for done in dones:
        assert done.status == 0
        assert "secret" not in done.out + done.err
        assert "hidden" not in done.out + done.err
    assert all(done.err.startswith("in the cache: ") for done in dones[:4])
    assert f"{server.url}/ntu60_hrnet.pkl: 12 videos, 0 errors" in dones[1].out
    assert f"from      {server.url}/ntu60_hrnet.pkl, sha256 {sha256}\n" in dones[4].out
    assert "0 shards, 0 tables, 1 source" in run("cache", "info").out
    done = run("convert", _url(server, "gym/gym_hrnet.pkl"), "g.zarr", "--boxes", _url(server, "gym/gym_gt_bboxes.pkl"))
    assert done.status == 0
    assert done.err.count("downloaded: ") == 2
    done = run("convert", made / "ntu60_hrnet.pkl", "c.zarr", "--sha256", sha256)
    assert (done.status, done.err.count("--sha256 goes with the URL of a file")) == (1, 1)
    done = run("convert", "s3:///a.pkl", "c.zarr")
    assert (done.status, "names no bucket" in done.err) == (2, True)


@pytest.mark.parametrize(
    "words",
    [
        ["info", "a.zarr", "URL"],
        ["URL"],
        ["cache", "URL"],
        ["show", "a.zarr", "URL"],
        ["convert", "a.pkl", "b.zarr", "--profile", "URL"],
        ["convert", "pyskl:URL", "b.zarr"],
        ["convert", " URL", "b.zarr"],
    ],
)
def test_errors_hide_what_a_url_keeps_secret(server: Served, run: Any, words: list[str]) -> None:
    """Also those of libraries, which repeat what was typed."""
    converters.convert(server.root / "ntu60_hrnet.pkl", "a.zarr")
    for url in ("https://me:hidden@host/x.zarr?token=secret&b=(secret)", "https:/hidden@host?secret"):
        done = run(*(word.replace("URL", url) for word in words))
        assert done.status in (1, 2)
        assert "://host" in done.err or ":/host" in done.err
        assert "hidden" not in done.err
        assert "secret" not in done.err


def test_a_conversion_that_is_killed_while_it_downloads_goes_on(server: Served, tmp_path: Path) -> None:
    data = b"".join(np.random.default_rng(0).bytes(1_000_000) for _ in range(9))
    content = pickle.dumps([{"frame_dir": "a", "keypoint": np.ones((1, 2, 17, 2)), "data": data}])
    (server.root / "large.pkl").write_bytes(content)
    with delayed(server.port, 0.0, 12e6) as port:
        command = [str(COMMAND), "convert", f"http://127.0.0.1:{port}/large.pkl", str(tmp_path / "a.zarr")]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            for _ in range(3000):
                if any(path.stat().st_size for path in tmp_path.glob("cache/v1/sources/*/*/.pieces")):
                    break
                time.sleep(0.01)
            process.kill()
        before = server.count("large")
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "downloaded: " in done.stderr
    assert server.count("large") - before <= 1 + 2, "what is left of three pieces of 4 MiB"
    assert skelstore.open(tmp_path / "a.zarr")[0]["data"] == data


# --- published data sets


def test_the_list_is_sound() -> None:
    for name, entry in published.PUBLISHED.items():
        assert entry.name == name
        url = parse_url(entry.url)
        assert (url.scheme, url.host) == ("https", "download.openmmlab.com")
        assert url.name == f"{name.partition(':')[2]}.pkl"
        assert entry.joints is None or entry.joints in LAYOUTS
        assert (entry.size, entry.sha256) == (None, None), "neither document states one"
        assert not is_store(url)
    assert len({entry.url for entry in published.PUBLISHED.values()}) == len(published.PUBLISHED) == 19


def test_datasets_are_listed(run: Any) -> None:
    done = run("datasets")
    for entry in published.PUBLISHED.values():
        assert f"{entry.name}: {entry.title}" in done.out
        assert f"    {entry.url}\n" in done.out
    assert done.out.endswith("not shown are not known: PYSKL and MMAction2 state none.\n")
    assert "pyskl:ntu60_hrnet: NTU RGB+D, 2D by HRNet; joints coco-17; splits xsub_train, xsub_val, xview" in done.out
    found = json.loads(run("datasets", "--json").out)
    assert [entry["name"] for entry in found] == [*published.PUBLISHED]
    assert found[0]["splits"] == ["xsub_train", "xsub_val", "xview_train", "xview_val"]
    assert all(entry["size"] is entry["sha256"] is None for entry in found)
    known = replace(published.PUBLISHED["pyskl:ntu60_hrnet"], size=1234, sha256="ab")
    assert published.as_lines(known)[1].endswith(".pkl, 1,234 bytes, sha256 ab")


def test_a_data_set_is_converted_by_name(server: Served, made: Path, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its URL, which cannot be reached here, is stood in for by a server of this machine."""
    for name, place in (("pyskl:ntu60_hrnet", "ntu60_hrnet.pkl"), ("pyskl:gym_gt_bboxes", "gym/gym_gt_bboxes.pkl")):
        entry = replace(published.PUBLISHED[name], url=f"{server.url}/{place}")
        monkeypatch.setitem(published.PUBLISHED, name, entry)
    assert run("convert", "pyskl:ntu60_hrnet", "a.zarr", "--joints", "coco-17").status == 0
    assert _source_of("a.zarr")["downloaded"]["source"]["url"] == f"{server.url}/ntu60_hrnet.pkl"
    assert run("convert", made / "gym/gym_hrnet.pkl", "g.zarr", "--boxes", "pyskl:gym_gt_bboxes").status == 0
    assert run("check", "pyskl:ntu60_hrnet").status == 0
    converters.convert("pyskl:ntu60_hrnet", "b.zarr")
    assert_exact(list(skelstore.open("b.zarr")), list(skelstore.open("a.zarr")))
    done = run("convert", "pyskl:ntu60_hrnt", "c.zarr")
    assert done.status == 2
    assert "is not the name of a published data set, which `skelstore datasets` lists; did you mean" in " ".join(
        done.err.split()
    )


def test_a_path_that_exists_is_that_path(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert isinstance(locate_source("pyskl:ntu60_hrnet"), Url)
    shutil.copy(made / "ntu60_hrnet.pkl", "pyskl:ntu60_hrnet")
    assert locate_source("pyskl:ntu60_hrnet") == Path("pyskl:ntu60_hrnet")
    assert len(converters.open_source("pyskl:ntu60_hrnet")) == 12


@pytest.mark.parametrize(
    ("url", "store"),
    [
        ("https://host/a.zarr", True),
        ("https://host/a", True),
        ("s3://b/v1.2", True),
        ("https://host/a.pkl?x=1", False),
        ("https://host/A.NPZ", False),
        ("hf://datasets/o/n/a.zip", False),
    ],
)
def test_a_url_of_a_store_and_of_a_file(url: str, store: bool) -> None:
    assert is_store(parse_url(url)) is store


def test_local_sources_need_no_http(made: Path, tmp_path: Path) -> None:
    code = (
        "import sys, converters; converters.convert(sys.argv[1], sys.argv[2]); "
        "print([name for name in sys.modules if name.startswith(('urllib3', 'botocore', 'skelstore.remote.down'))])"
    )
    command = [sys.executable, "-c", code, str(made / "ntu60_hrnet.pkl"), str(tmp_path / "a.zarr")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.fixture(autouse=True)
def _no_connections_left() -> Iterator[None]:
    yield
    connections.close_connections()
