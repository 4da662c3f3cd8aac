"""Commits to a data set on the Hugging Face hub, by the API that huggingface_hub uses.

The requests are those of ``huggingface_hub`` (``_commit_api.py``, ``lfs.py``, ``hf_api.py``) and of Git LFS's batch API
(git-lfs/docs/api/batch.md):

- ``GET /api/datasets/REPOSITORY/revision/REVISION``: the commit of a branch;
- ``GET /api/datasets/REPOSITORY/tree/COMMIT/FOLDER``: its files with sizes and digests, in pages;
- ``POST /api/datasets/REPOSITORY/preupload/REVISION``: which files are stored by Git LFS;
- ``POST /datasets/REPOSITORY.git/info/lfs/objects/batch``: which of these the hub lacks, and where to send them;
- ``POST /api/datasets/REPOSITORY/commit/REVISION``: a commit, as lines of JSON. With ``parentCommit`` it is refused
  (412) if the branch has another commit by now.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any
from urllib.parse import quote, urlsplit

from skelstore.errors import RemoteError, StoreNotFoundError
from skelstore.remote.hub import HubDataset, find_token
from skelstore.remote.ranges import plan_pieces
from skelstore.remote.transfers import Content, Transfer
from skelstore.remote.transport import SUCCESS, Answer, Request, send
from skelstore.wording import shown

REGULAR_BYTES = 50 << 20
"""The most bytes of a file that is sent within a commit; the hub stores larger ones, and binary ones, by Git LFS."""

_LFS_TYPE = "application/vnd.git-lfs+json"
_NEXT = re.compile(r'<([^<>]+)>\s*;\s*rel="next"')
_MOST_PAGES = 10_000


class HubRepository:
    """A data set on the hub, at the branch that a URL names."""

    def __init__(self, service: HubDataset) -> None:
        self._service = service
        self._api = f"{service.endpoint}/api/datasets/{service.repository}"
        self._branch = quote(service.revision, safe="")

    def head(self) -> str:
        """The newest commit. Raises StoreNotFoundError if the data set does not exist, or may not be seen."""
        try:
            found = self._ask("GET", f"{self._api}/revision/{self._branch}")
        except StoreNotFoundError as error:
            service = self._service
            raise StoreNotFoundError(
                f"the data set {service.repository} with the revision {shown(service.revision)} is not on the hub, or "
                f"you may not see it: create it at {service.endpoint}/new-dataset, and set HF_TOKEN"
            ) from error
        commit = found.get("sha") if isinstance(found, dict) else None
        if not isinstance(commit, str):
            raise self._strange("the commit of the revision")
        return commit

    def files(self, commit: str, folder: str, *, recursive: bool = True) -> dict[str, tuple[int, str]]:
        """Path -> size and digest of each file of a folder: SHA-256 of those in Git LFS, else the id of git's blob."""
        address = f"{self._api}/tree/{quote(commit, safe='')}/{quote(folder)}".rstrip("/")
        address += f"?recursive={str(recursive).lower()}&expand=false"
        found: dict[str, tuple[int, str]] = {}
        for _ in range(_MOST_PAGES):
            try:
                answer = self._send("GET", address)
            except StoreNotFoundError:
                return {}
            entries = _parsed(answer.value)
            if not isinstance(entries, list):
                raise self._strange("the list of files")
            for entry in entries:
                if isinstance(entry, dict) and entry.get("type") == "file":
                    lfs = entry.get("lfs")
                    stated = lfs if isinstance(lfs, dict) else entry
                    size = stated.get("size")
                    found[str(entry.get("path"))] = size if isinstance(size, int) else -1, str(stated.get("oid"))
            following = _NEXT.search(answer.headers.get("Link", ""))
            if following is None:
                return found
            address = following[1]
            if not address.startswith(f"{self._service.endpoint}/"):
                raise self._strange("the address of more files")
        raise self._strange("the list of files")

    def upload(self, contents: Mapping[str, Content], transfer: Transfer) -> list[dict[str, Any]]:
        """Send the files that the hub lacks; the operations by which a commit adds all of them.

        Raises DamageError if a file cannot be read, and what requests raise.
        """
        regular = self._regular_paths(contents)
        digests = {path: contents[path].measure("sha256").sha256.hex() for path in contents if path not in regular}
        sent = {digest: path for path, digest in digests.items()}
        actions = self._find_actions({digest: contents[path].size for digest, path in sent.items()})
        transfer.run(partial(self._put, contents[sent[one]], one, action, transfer) for one, action in actions.items())
        for path, digest in digests.items():
            if digest not in actions or sent[digest] != path:
                transfer.count(contents[path].size)
        operations: list[dict[str, Any]] = []
        value: dict[str, Any]
        for path, content in contents.items():
            if path in regular:
                data = _whole(content, transfer)
                value = {"path": path, "encoding": "base64", "content": base64.b64encode(data).decode()}
                operations.append({"key": "file", "value": value})
            else:
                value = {"path": path, "algo": "sha256", "oid": digests[path], "size": content.size}
                operations.append({"key": "lfsFile", "value": value})
        return operations

    def commit(self, summary: str, operations: Iterable[dict[str, Any]], parent: str) -> bool:
        """Commit; False if the branch has another commit than ``parent`` by now."""
        header = {"key": "header", "value": {"summary": summary, "description": "", "parentCommit": parent}}
        data = b"".join(json.dumps(line).encode() + b"\n" for line in [header, *operations])
        address = f"{self._api}/commit/{self._branch}"
        answer = self._send("POST", address, data, "application/x-ndjson", accept=SUCCESS | {409, 412})
        return answer.status in SUCCESS

    def _regular_paths(self, contents: Mapping[str, Content]) -> set[str]:
        """The paths that the hub does not store by Git LFS."""
        files = [
            {
                "path": path,
                "size": content.size,
                "sample": base64.b64encode(content.read(0, min(512, content.size))).decode(),
            }
            for path, content in contents.items()
        ]
        found = self._ask("POST", f"{self._api}/preupload/{self._branch}", {"files": files})
        modes = found.get("files") if isinstance(found, dict) else None
        if not isinstance(modes, list):
            raise self._strange("how files are stored")
        stated = {str(mode.get("path")): mode.get("uploadMode") for mode in modes if isinstance(mode, dict)}
        if not stated.keys() >= contents.keys():
            raise self._strange("how files are stored")
        regular = {path for path in contents if stated[path] == "regular"}
        for path in regular:
            if contents[path].size > REGULAR_BYTES:
                raise RemoteError(
                    f"{self._place(path)} has {contents[path].size:,} bytes, and the hub does not store it by Git LFS: "
                    "change .gitattributes of the data set"
                )
        return regular

    def _find_actions(self, sizes: Mapping[str, int]) -> dict[str, dict[str, Any]]:
        """SHA-256 -> where to send the bytes, for those that the hub lacks."""
        if not sizes:
            return {}
        content = {
            "operation": "upload",
            "transfers": ["basic", "multipart"],
            "objects": [{"oid": digest, "size": size} for digest, size in sizes.items()],
            "hash_algo": "sha256",
        }
        address = f"{self._service.origin}.git/info/lfs/objects/batch"
        found = self._ask("POST", address, content, _LFS_TYPE)
        objects = found.get("objects") if isinstance(found, dict) else None
        if not isinstance(objects, list):
            raise self._strange("where to send files")
        actions: dict[str, dict[str, Any]] = {}
        for one in objects:
            if not isinstance(one, dict) or str(one.get("oid")) not in sizes:
                raise self._strange("where to send files")
            if isinstance(error := one.get("error"), dict):
                raise RemoteError(f"{self._service.root}: the hub takes no file ({shown(error.get('message'))})")
            if isinstance(one.get("actions"), dict) and isinstance(one["actions"].get("upload"), dict):
                actions[str(one["oid"])] = one["actions"]
        return actions

    def _put(self, content: Content, digest: str, actions: dict[str, Any], transfer: Transfer) -> None:
        """Send the bytes of a file to where the hub wants them: in one request, or in parts."""
        upload = actions["upload"]
        stated = upload.get("header")
        headers = {str(name): str(value) for name, value in stated.items()} if isinstance(stated, dict) else {}
        part_size = headers.pop("chunk_size", "")
        if not part_size:
            self._send_to(upload.get("href"), headers, content, (0, content.size), transfer)
        else:
            self._put_parts(content, digest, upload.get("href"), part_size, headers, transfer)
        verify = actions.get("verify")
        if isinstance(verify, dict):
            self._ask("POST", str(verify.get("href")), {"oid": digest, "size": content.size}, _LFS_TYPE)

    def _put_parts(
        self, content: Content, digest: str, href: Any, size: str, headers: dict[str, str], transfer: Transfer
    ) -> None:
        """Send a file in parts, whose addresses are in the headers by their numbers, and join them."""
        addresses = {int(name): address for name, address in headers.items() if name.isdecimal()}
        most = int(size) if size.isdecimal() and len(size) < 19 else 0
        if not most or len(addresses) != -(-content.size // most):
            raise self._strange("where to send the parts of a file")
        pieces = plan_pieces(content.size, most=most)
        if sorted(addresses) != list(range(1, len(pieces) + 1)):
            raise self._strange("where to send the parts of a file")
        tags = []
        for number, piece in enumerate(pieces, 1):
            answer = self._send_to(addresses[number], {}, content, piece, transfer)
            tags.append({"partNumber": number, "etag": answer.headers.get("ETag", "")})
        self._ask("POST", str(href), {"oid": digest, "parts": tags}, _LFS_TYPE)

    def _send_to(
        self, address: Any, headers: dict[str, str], content: Content, piece: tuple[int, int], transfer: Transfer
    ) -> Answer:
        """Put bytes at an address that the hub has signed: it gets no token of ours."""
        if not isinstance(address, str) or urlsplit(address).scheme not in ("http", "https"):
            raise self._strange("where to send files")
        body = content.body(*piece, transfer)
        headers = {**headers, "Content-Length": str(len(body))}
        place = self._place(f"(a file of {content.size:,} bytes)")
        return send(lambda: Request("PUT", address, headers, place, body))

    def _ask(self, method: str, address: str, content: Any = None, kind: str = "application/json") -> Any:
        """The JSON of an answer."""
        data = None if content is None else json.dumps(content).encode()
        return _parsed(self._send(method, address, data, kind).value)

    def _send(
        self, method: str, address: str, data: bytes | None = None, kind: str = "", *, accept: frozenset[int] = SUCCESS
    ) -> Answer:
        headers = {"Accept": kind if kind == _LFS_TYPE else "application/json"}
        token = find_token()
        if token and address.startswith(f"{self._service.endpoint}/"):
            headers["Authorization"] = f"Bearer {token}"
        body = None
        if data is not None:
            headers |= {"Content-Type": kind, "Content-Length": str(len(data))}
            body = Content.of_bytes(data).body()
        return send(lambda: Request(method, address, headers, self._service.root, body), accept=accept)

    def _place(self, path: str) -> str:
        return f"hf://datasets/{self._service.repository}/{path}"

    def _strange(self, what: str) -> RemoteError:
        return RemoteError(f"{self._service.root}: the hub did not say {what} in the form that is expected")


def is_stored(content: Content, found: tuple[int, str] | None) -> bool:
    """Whether a file of the hub, as ``HubRepository.files`` has it, is this one."""
    if found is None or found[0] != content.size:
        return False
    if len(found[1]) == 64:
        return content.measure("sha256").sha256.hex() == found[1]
    if content.size > REGULAR_BYTES:
        return False
    data = b"".join(iter(partial(content.body().read, 1 << 20), b""))
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest() == found[1]


def _whole(content: Content, transfer: Transfer) -> bytes:
    content.measure()
    body = content.body(transfer=transfer)
    return b"".join(iter(partial(body.read, 1 << 20), b""))


def _parsed(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None
