"""Blobs of Azure: ``az://CONTAINER/PATH``, by the REST API of Blob Storage.

The account and its credentials are in ``AZURE_STORAGE_CONNECTION_STRING``, or in ``AZURE_STORAGE_ACCOUNT_NAME`` with
``AZURE_STORAGE_ACCOUNT_KEY`` or ``AZURE_STORAGE_SAS_TOKEN``, as adlfs and the command line of Azure have them. Without
a key or a token, requests are sent without a signature, which public containers accept.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import time
from collections.abc import Mapping
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from skelstore.errors import RemoteError
from skelstore.remote.objects import ObjectStore, decode_crc32c, encode_crc32c
from skelstore.remote.transfers import Digests
from skelstore.remote.transport import SUCCESS, Answer, Request, send
from skelstore.remote.url import Url, parse_endpoint
from skelstore.wording import shown

_VERSION = "2023-11-03"

_COPY_SECONDS, _POLL_SECONDS = 300.0, 0.2
"""How long the service may take to copy a file within an account, and how often it is asked."""

_SIGNED_HEADERS = (
    *("content-encoding", "content-language", "content-length", "content-md5", "content-type", "date"),
    *("if-modified-since", "if-match", "if-none-match", "if-unmodified-since", "range"),
)
"""The headers in the order in which the signature has their values (Authorize with Shared Key, Blob service)."""


class Container(ObjectStore):
    """A folder in a container of the account that the environment names."""

    LARGEST = 5000 << 20
    LISTED = b"Name"
    NEXT = b"NextMarker"

    def __init__(self, root: Url) -> None:
        super().__init__(root)
        stated = os.environ.get("AZURE_STORAGE_CONNECTION_STRING", "")
        parts = dict(part.partition("=")[::2] for part in stated.split(";") if part)
        self._account = parts.get("AccountName") or os.environ.get("AZURE_STORAGE_ACCOUNT_NAME", "")
        self._key = parts.get("AccountKey") or os.environ.get("AZURE_STORAGE_ACCOUNT_KEY", "")
        token = parts.get("SharedAccessSignature") or os.environ.get("AZURE_STORAGE_SAS_TOKEN", "")
        self._token = token.removeprefix("?")
        if not self._account and "BlobEndpoint" not in parts:
            raise RemoteError(
                f"{root}: the account is not known; set AZURE_STORAGE_ACCOUNT_NAME, or AZURE_STORAGE_CONNECTION_STRING"
            )
        suffix = parts.get("EndpointSuffix", "core.windows.net")
        protocol = parts.get("DefaultEndpointsProtocol", "https")
        endpoint = parts.get("BlobEndpoint", f"{protocol}://{self._account}.blob.{suffix}")
        self._endpoint = parse_endpoint(endpoint, "the endpoint of the account, in AZURE_STORAGE_CONNECTION_STRING")

    @property
    def origin(self) -> str:
        return f"{self._endpoint}/{self.root.host}{self.root.parent.path}"

    def request(self, method: str, key: str, headers: Mapping[str, str], body: Any = None) -> Request:
        return self._request(method, self._address(key), self.root / key, headers, body)

    def _address(self, key: str) -> str:
        return f"{self._endpoint}/{self.root.host}{quote((self.root / key).path, safe='/~')}"

    def _request(self, method: str, address: str, place: Url, headers: Mapping[str, str], body: Any = None) -> Request:
        headers = {**headers, "x-ms-version": _VERSION, "x-ms-date": formatdate(usegmt=True)}
        if self._token:
            address += f"{'&' if '?' in address else '?'}{self._token}"
        elif self._key:
            size = "" if body is None else str(len(body))
            signed = sign_shared_key(self._account, self._key, method, address, {**headers, "content-length": size})
            headers["Authorization"] = signed
        return Request(method, address, headers, place, body)

    def put_headers(self, digests: Digests, *, absent: bool) -> dict[str, str]:
        headers = {
            "x-ms-blob-type": "BlockBlob",
            "Content-MD5": base64.b64encode(digests.md5).decode(),
            "x-ms-meta-crc32c": encode_crc32c(digests.crc32c),
        }
        return {**headers, "If-None-Match": "*"} if absent else headers

    def stated_crc32c(self, headers: Mapping[str, str]) -> int | None:
        return decode_crc32c(headers.get("x-ms-meta-crc32c", ""))

    def copy(self, source: str, key: str) -> None:
        address = self._address(source)
        headers = {"x-ms-copy-source": f"{address}?{self._token}" if self._token else address}
        answer = self.send("PUT", key, headers, accept=SUCCESS | {202})
        status = answer.headers.get("x-ms-copy-status", "success")
        deadline = time.monotonic() + _COPY_SECONDS
        while status == "pending" and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
            status = self.send("HEAD", key).headers.get("x-ms-copy-status", "success")
        if status != "success":
            raise RemoteError(f"{self.root / key}: copying it from {self.root / source} ended as {shown(status)}")

    def list_page(self, prefix: str, marker: str) -> Answer:
        more = f"&marker={quote(marker, safe='')}" if marker else ""
        query = f"?restype=container&comp=list&prefix={quote(prefix, safe='')}{more}"
        address = f"{self._endpoint}/{self.root.host}{query}"
        return send(lambda: self._request("GET", address, self.root, {}))

    def __getstate__(self) -> Any:
        return self.root

    def __setstate__(self, root: Url) -> None:
        self.__init__(root)  # type: ignore[misc]


def sign_shared_key(account: str, key: str, method: str, address: str, headers: Mapping[str, str]) -> str:
    """The header ``Authorization`` of a request ("Authorize with Shared Key", Azure Storage REST API)."""
    lower = {name.lower(): value.strip() for name, value in headers.items()}
    if lower.get("content-length") == "0":
        lower["content-length"] = ""
    if "x-ms-date" in lower:
        lower["date"] = ""
    parts = urlsplit(address)
    lines = [method, *(lower.get(name, "") for name in _SIGNED_HEADERS)]
    lines += [f"{name}:{lower[name]}" for name in sorted(lower) if name.startswith("x-ms-")]
    lines.append(f"/{account}{parts.path}")
    queries: dict[str, list[str]] = {}
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        queries.setdefault(unquote(name).lower(), []).append(value)
    lines += [f"{name}:{','.join(sorted(queries[name]))}" for name in sorted(queries)]
    try:
        secret = base64.b64decode(key, validate=True)
    except (binascii.Error, ValueError):
        raise RemoteError(f"the key of the Azure account {account} is not base64, so nothing can be signed") from None
    digest = hmac.new(secret, "\n".join(lines).encode(), hashlib.sha256).digest()
    return f"SharedKey {account}:{base64.b64encode(digest).decode()}"
