"""Commands that read a store take its URL, and show neither its query nor its credentials."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import skelstore
from converters.cli import entry
from converters.samples.pickles import ntu_like
from tests.support.exact import assert_exact

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
