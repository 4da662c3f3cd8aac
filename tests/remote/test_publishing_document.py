"""The commands and the lines for nginx in docs/publishing.md work."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

import skelstore
from converters.samples.pickles import write_samples
from tests.support.document_blocks import blocks, commands
from tests.support.exact import assert_exact

pytest.importorskip("urllib3", reason="urllib3 (skelstore[remote]) is not installed")
pytest.importorskip("botocore", reason="botocore (skelstore[remote]) is not installed")

from tests.support.forks import Forks
from tests.support.http_server import serving
from tests.support.hub_server import serving_hub
from tests.support.servers import free_port, running

DOCUMENT = "docs/publishing.md"


def test_the_document(forks: Forks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In order, with a server in the place of each service. Without nginx, another serves its folder."""
    write_samples(tmp_path, 12)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "served").mkdir()
    found = blocks(DOCUMENT)
    assert {block.language for block in found} == {"sh", "text", "nginx", "yaml"}
    (lines,) = (block.text for block in found if block.language == "nginx")
    assert len(lines.splitlines()) == 6
    with serving(tmp_path / "served") as server, serving_hub(tmp_path) as hub, serving(tmp_path) as web:
        server.writable = True
        hub.repository = "me/skeletons"
        for name, value in {
            "SKELSTORE_CACHE": str(tmp_path / "cache"),
            "AWS_ENDPOINT_URL": server.url,
            "AWS_ACCESS_KEY_ID": "a",
            "AWS_SECRET_ACCESS_KEY": "b",
            "HF_ENDPOINT": hub.url,
            "HF_TOKEN": "hf_abc",
        }.items():
            monkeypatch.setenv(name, value)
        with _nginx(lines, tmp_path, web.url) as url:
            for block in found:
                for command in commands(block):
                    words = command.replace("http://data.example.org", url).split()
                    assert words[0] == "skelstore"
                    done = forks.run(*words[1:])
                    assert done.status == 0, (command, done)
        assert {"README.md", "videos.parquet", "ntu60.zarr/zarr.json"} <= hub.files.keys()
    for copy in ("copy.zarr", "web_copy.zarr"):
        assert_exact(list(skelstore.open(copy)), list(skelstore.open("ntu60.zarr")))
        assert not subprocess.run(["diff", "-r", copy, "ntu60.zarr"], check=True, capture_output=True).stdout


def _nginx(lines: str, folder: Path, otherwise: str) -> contextlib.AbstractContextManager[str]:
    """nginx with the lines of the document, with another port and folder; ``otherwise`` if it is not installed."""
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        return contextlib.nullcontext(otherwise)
    port = free_port()
    assert lines.count("listen 80;") == lines.count("root /srv/skeletons;") == 1
    lines = lines.replace("listen 80;", f"listen 127.0.0.1:{port};").replace("/srv/skeletons", str(folder))
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(
        f"{user} daemon off; pid {folder}/pid; error_log {folder}/log; events {{}}\n"
        f"http {{ access_log off; {paths}\n{lines} }}"
    )
    return running([program, "-c", str(folder / "nginx.conf"), "-e", str(folder / "log")], port)
