"""A small hub: one data set, with the URLs of the Hugging Face hub that reading and committing use.

Files that are sent by Git LFS go to addresses which are signed (``?signed=``) and refuse a token, as those of a CDN do.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from skelstore.remote.connections import close_connections
from tests.support.http_server import Handler, Served, Server

PAGE = 3
"""Files per page of a list."""


class Hub(Served):
    """The commits of a data set, at first ``me/set``: for each, path -> bytes and whether they are in Git LFS."""

    def __init__(self, root: Any, port: int) -> None:
        super().__init__(root, port)
        self.commits: list[dict[str, tuple[bytes, bool]]] = [{".gitattributes": (b"*.arrow lfs\n", False)}]
        self.objects: dict[str, bytes] = {}
        self.parts: dict[str, dict[int, bytes]] = {}
        self.part_bytes = 1 << 30
        self.repository = "me/set"
        self.actions: dict[str, Any] | None = None
        self.summaries: list[str] = []

    @property
    def files(self) -> dict[str, bytes]:
        return {path: data for path, (data, _) in self.commits[-1].items()}


class _HubHandler(Handler):
    served: Hub

    def do_GET(self) -> None:
        if self._begin() is None:
            return
        path = self._path()
        if found := re.fullmatch(r"/api/datasets/me/set/revision/main", path):
            self._json({"sha": self._sha()}, token=True)
        elif found := re.fullmatch(r"/api/datasets/me/set/tree/(\w+)/?(.*)", path):
            self._list(found[1], found[2])
        elif found := re.fullmatch(r"/datasets/me/set/resolve/main/(.*)", path):
            data, in_lfs = self.served.commits[-1].get(found[1], (None, False))
            if data is None:
                self._answer(404, b"", {"X-Error-Code": "EntryNotFound"})
            elif in_lfs and not path.startswith("/cdn"):
                self._answer(302, b"", {"Location": f"/cdn/{hashlib.sha256(data).hexdigest()}?signed=1"})
            else:
                self._send(data, "")
        elif found := re.fullmatch(r"/cdn/(\w+)", path):
            self._send(self.served.objects[found[1]], "")
        else:
            self._answer(404, b"", {})

    def do_POST(self) -> None:
        if self._begin() is None:
            return
        data = self.rfile.read(int(self.headers["Content-Length"]))
        path = self._path()
        if self.headers.get("Authorization") != "Bearer hf_abc":
            self._answer(401, b"", {"X-Error-Message": "Invalid credentials"})
        elif path == "/api/datasets/me/set/preupload/main":
            self._json({"files": [self._mode(file) for file in json.loads(data)["files"]]})
        elif path == "/datasets/me/set.git/info/lfs/objects/batch":
            self._json({"objects": [self._action(one) for one in json.loads(data)["objects"]]})
        elif path == "/complete":
            self._complete(json.loads(data))
        elif path == "/verify":
            stated = json.loads(data)
            there = len(self.served.objects.get(stated["oid"], b"")) == stated["size"]
            self._answer(200 if there else 404, b"", {})
        elif path == "/api/datasets/me/set/commit/main":
            self._commit([json.loads(line) for line in data.splitlines()])
        else:
            self._answer(404, b"", {})

    def do_PUT(self) -> None:
        kind = self._begin()
        if kind is None:
            return
        data = self.rfile.read(int(self.headers["Content-Length"]))
        parts = urlsplit(self.path)
        digest = parts.path.rpartition("/")[2]
        if "Authorization" in self.headers or "signed" not in parts.query:
            self._answer(403, b"", {})
        elif parts.path.startswith("/part/"):
            number = int(parse_qs(parts.query)["number"][0])
            self.served.parts.setdefault(digest, {})[number] = data
            self._answer(200, b"", {"ETag": f'"{hashlib.md5(data).hexdigest()}"'})
        elif hashlib.sha256(data).hexdigest() != digest:
            self._answer(400, b"", {})
        else:
            self.served.objects[digest] = data
            self._answer(200, b"", {})

    def _path(self) -> str:
        """The path of the request, for any name of the data set as for ``me/set``."""
        return unquote(urlsplit(self.path).path).replace(f"/datasets/{self.served.repository}", "/datasets/me/set", 1)

    def _sha(self) -> str:
        return f"{len(self.served.commits):040x}"

    def _list(self, commit: str, folder: str) -> None:
        query = parse_qs(urlsplit(self.path).query)
        files = self.served.commits[int(commit, 16) - 1]
        inner = {path: one for path, one in files.items() if not folder or path.startswith(f"{folder}/")}
        if folder and not inner:
            self._answer(404, b"", {"X-Error-Code": "EntryNotFound"})
            return
        entries: list[dict[str, Any]] = []
        for path, (data, in_lfs) in sorted(inner.items()):
            name = path[len(folder) :].lstrip("/")
            if query["recursive"] == ["false"] and "/" in name:
                continue
            blob = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
            entry: dict[str, Any] = {"type": "file", "oid": blob, "size": len(data), "path": path}
            if in_lfs:
                entry["oid"] = "0" * 40
                entry["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
            entries.append(entry)
            entries.append({"type": "directory", "oid": "0" * 40, "size": 0, "path": f"{path}.d"})
        begin = int(query.get("cursor", ["0"])[0])
        headers = {}
        if begin + PAGE < len(entries):
            address = f"{self.served.url}{urlsplit(self.path).path}?recursive={query['recursive'][0]}&expand=false"
            headers["Link"] = f'<{address}&cursor={begin + PAGE}>; rel="next"'
        self._json(entries[begin : begin + PAGE], headers)

    def _mode(self, file: dict[str, Any]) -> dict[str, Any]:
        binary = b"\0" in base64.b64decode(file["sample"]) or file["path"].endswith((".arrow", ".parquet"))
        return {"path": file["path"], "uploadMode": "lfs" if binary else "regular", "shouldIgnore": False}

    def _action(self, stated: dict[str, Any]) -> dict[str, Any]:
        digest, size, url = stated["oid"], stated["size"], self.served.url
        if digest in self.served.objects:
            return stated
        if self.served.actions is not None:
            return {**stated, "actions": {"upload": self.served.actions}}
        upload: dict[str, Any] = {"href": f"{url}/put/{digest}?signed=1"}
        if size > self.served.part_bytes:
            count = -(-size // self.served.part_bytes)
            parts = {f"{n:05}": f"{url}/part/{digest}?signed=1&number={n}" for n in range(1, count + 1)}
            upload = {"href": f"{url}/complete", "header": {"chunk_size": str(self.served.part_bytes), **parts}}
        return {**stated, "actions": {"upload": upload, "verify": {"href": f"{url}/verify"}}}

    def _complete(self, stated: dict[str, Any]) -> None:
        parts = self.served.parts.pop(stated["oid"])
        tags = {n: f'"{hashlib.md5(part).hexdigest()}"' for n, part in parts.items()}
        data = b"".join(parts[n] for n in sorted(parts))
        right = all(tags[one["partNumber"]] == one["etag"] for one in stated["parts"])
        if not right or hashlib.sha256(data).hexdigest() != stated["oid"]:
            self._answer(400, b"", {})
            return
        self.served.objects[stated["oid"]] = data
        self._json({})

    def _commit(self, lines: list[dict[str, Any]]) -> None:
        header, *operations = lines
        with self.served.lock:
            if header["value"].get("parentCommit") not in (None, self._sha()):
                self._answer(412, b"", {"X-Error-Message": "A commit has happened since."})
                return
            files = dict(self.served.commits[-1])
            for line in operations:
                value = line["value"]
                if line["key"] == "file":
                    files[value["path"]] = base64.b64decode(value["content"]), False
                elif line["key"] == "lfsFile":
                    files[value["path"]] = self.served.objects[value["oid"]], True
                else:
                    assert line["key"] == "deletedFile"
                    del files[value["path"]]
            self.served.commits.append(files)
            self.served.summaries.append(header["value"]["summary"])
            self._json({"commitOid": self._sha(), "commitUrl": ""})

    def _json(self, content: Any, headers: dict[str, str] | None = None, *, token: bool = False) -> None:
        if token and self.headers.get("Authorization") != "Bearer hf_abc":
            self._answer(404, b"", {"X-Error-Code": "RepoNotFound"})
            return
        self._answer(200, json.dumps(content).encode(), {"Content-Type": "application/json", **(headers or {})})


@contextmanager
def serving_hub(root: Any) -> Iterator[Hub]:
    """A hub at a free port of this machine."""
    server: ThreadingHTTPServer = Server(("127.0.0.1", 0), _HubHandler)
    hub = Hub(root, server.server_address[1])
    server.RequestHandlerClass = type("Handler", (_HubHandler,), {"served": hub})
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        close_connections()
        server.shutdown()
        server.server_close()
        thread.join()
