"""Commands that read a store take its URL, and show neither its query nor its credentials."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

import converters
import skelstore
from converters.cli import entry
from converters.samples.pickles import compressed_like, ntu_like
from converters.samples.skeletons import write_skeletons
from converters.tracking.source import StoreVideos
from tests.support.exact import assert_exact
from tests.support.files import tree

pytest.importorskip("urllib3", reason="urllib3 (skelstore[remote]) is not installed")

from tests.support.http_server import serving


def test_commands_read_urls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SKELSTORE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    with skelstore.Writer(tmp_path / "s.zarr") as writer:
        data = ntu_like(12)
        for annotation in data["annotations"]:
            writer.add(annotation)
        writer.splits |= data["split"]
    with serving(tmp_path) as server:
        url = f"{server.url.replace('//', '//me:hidden@')}/s.zarr?token=secret"
        for command in (
            "info",
            "show",
            "verify --level decode",
            "check",
            "export URL out.pkl --format pyskl",
            "subset URL few.zarr --split xsub_train",
        ):
            words = command.split() if "URL" in command else [*command.split(), "URL"]
            entry.main([url if word == "URL" else word for word in words])
            said = capsys.readouterr()
            assert said.out
            for secret in ("hidden", "secret"):
                assert secret not in said.out + said.err
        assert_exact(list(skelstore.open("few.zarr")), list(skelstore.open("s.zarr").split("xsub_train")))
        for command in ("merge URL -o m.zarr", "relabel URL -o r.zarr --compact"):
            with pytest.raises(SystemExit):
                entry.main([url if word == "URL" else word for word in command.split()])
            assert "expected the path of a local file or folder" in capsys.readouterr().err
        entry.main(["cache", "info"])
        assert "shards" in capsys.readouterr().out
        entry.main(["cache", "info", "--json"])
        found = json.loads(capsys.readouterr().out)
        assert found["path"] == str(tmp_path / "cache")
        assert 0 < found["size"] < found["limit"]
        entry.main(["cache", "clear"])
        assert "0 shards, 0 tables, 0 sources, 0.0 MB" in capsys.readouterr().out


def test_stores_are_made_from_stores_at_urls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of derive and track are the same, file by file, as from the local store, with any number of processes."""
    monkeypatch.setenv("SKELSTORE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    write_skeletons(Path("ntu"), [f"S001C00{i}P001R001A001" for i in (1, 2, 3)])
    converters.convert("ntu", "raw.zarr", recipe="raw", shuffle=1)
    with skelstore.Writer(tmp_path / "found.zarr") as writer:
        for annotation in compressed_like(3):
            writer.add(annotation)
    with serving(tmp_path) as server:
        for name, command, options in (
            ("raw.zarr", "derive {} {} --recipe pyskl", ("--workers 1", "--workers 2")),
            ("found.zarr", "track {} -o {} --max-persons 2", ("--workers 1",)),
        ):
            entry.main([*command.format(name, f"local-{name}").split(), "--workers", "1"])
            for number, more in enumerate(options):
                made = f"{number}-{name}"
                url = f"{server.url.replace('//', '//me:hidden@')}/{name}?token=secret"
                entry.main([*command.format(url, made).split(), *more.split()])
                assert tree(tmp_path / made) == tree(tmp_path / f"local-{name}")


def test_a_store_at_a_url_is_viewed_as_a_local_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("starlette", reason="starlette (skelstore[view]) is not installed")
    from tests.support.viewing import served

    monkeypatch.setenv("SKELSTORE_CACHE", str(tmp_path / "cache"))
    data = ntu_like(12)
    with skelstore.Writer(tmp_path / "s.zarr") as writer:
        for annotation in data["annotations"]:
            writer.add(annotation)
        writer.splits |= data["split"]
    with serving(tmp_path) as server:
        url = f"{server.url.replace('//', '//me:hidden@')}/s.zarr?token=secret"
        with served(tmp_path / "s.zarr") as local, served(url) as client:
            assert client.get("/api/stores").json() == local.get("/api/stores").json()
            for query in ({"split": "xsub_val"}, {"where": "label > 5"}, {"sort": "frames"}):
                rows = client.rows(**query)
                assert rows == local.rows(**query)
                assert rows
            for path, query in (("thumbnails", {"rows": "3,1,7"}), ("video", {"row": 2, "to": 50})):
                found = client.get(f"/api/stores/0/{path}", **query)
                assert found.status == 200
                assert found.body == local.get(f"/api/stores/0/{path}", **query).body


def test_whole_stores_are_requested_in_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So a command that reads all videos of a store at a URL does not wait for a round trip at each."""
    videos = 60
    with skelstore.Writer(tmp_path / "found.zarr") as writer:
        for annotation in compressed_like(videos):
            writer.add(annotation)
    with serving(tmp_path) as server:
        url = f"{server.url}/found.zarr"
        for command in (
            f"check {url}",
            f"report {url} -o r.html --workers 1",
            f"track {url} -o t.zarr --max-persons 2",
        ):
            monkeypatch.setenv("SKELSTORE_CACHE", str(tmp_path / command.split()[0]))
            monkeypatch.chdir(tmp_path)
            before = server.count()
            entry.main(command.split())
            assert server.count() - before < videos / 2


def test_the_parts_of_another_store_at_a_url_are_not_reused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKELSTORE_CACHE", str(tmp_path / "cache"))
    settings = []
    with serving(tmp_path) as server:
        for offset in (0, 1, 1):
            with skelstore.Writer(tmp_path / "s.zarr", force=True) as writer:
                for annotation in compressed_like(3)[offset:]:
                    writer.add(annotation)
            with closing(StoreVideos(f"{server.url}/s.zarr")) as videos:
                assert videos.files(0, 1) == []
                settings.append(videos.settings())
    assert settings[0] != settings[1] == settings[2]


@pytest.mark.usefixtures("s3")
def test_secrets_of_a_url_are_not_written_to_a_bucket(tmp_path: Path) -> None:
    """A pickled store has its whole URL, so none is put there for workers; one process needs none."""
    bucket = "s3://bucket/dense.zarr"
    with skelstore.Writer(tmp_path / "found.zarr") as writer:
        for annotation in compressed_like(3):
            writer.add(annotation)
    with serving(tmp_path) as server:
        url = f"{server.url}/found.zarr?token=secret"
        with pytest.raises(skelstore.SourceError, match="a password or a token") as raised:
            converters.track(url, bucket, max_persons=2, workers=2)
        assert "secret" not in str(raised.value)
        converters.track(url, bucket, max_persons=2)
        converters.track(url.partition("?")[0], bucket, max_persons=2, workers=2, force=True)
    assert len(skelstore.open(bucket)) == 3
