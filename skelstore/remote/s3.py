"""Objects of S3 and of servers that speak its protocol: ``s3://BUCKET/PATH``.

Credentials, region and endpoint are found by botocore, as for every AWS tool: the environment (``AWS_ENDPOINT_URL``,
``AWS_ACCESS_KEY_ID``, …), ``~/.aws``, and what a machine of AWS offers. Requests are signed by botocore if it finds
credentials, else sent without a signature, which public buckets accept.
"""

from __future__ import annotations

import base64
import html
import os
import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cached_property
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import escape

from skelstore.errors import MissingPackageError, RemoteError
from skelstore.remote.objects import TAKEN, ObjectStore, Stored, decode_crc32c, encode_crc32c, list_query
from skelstore.remote.ranges import plan_pieces
from skelstore.remote.stopping import unstopped
from skelstore.remote.transfers import Content, Digests, Transfer
from skelstore.remote.transport import SUCCESS, Answer, Request, discard, send
from skelstore.remote.url import Url, parse_endpoint

PART_BYTES = 64 << 20
"""A file of more than twice this size is sent in parts of this size, so that what fails is repeated for one part. A
shard mostly has this size, and is sent in one request. S3 takes at most 10,000 parts, and 5 GiB in one request."""

_ABORT_SECONDS = 1.0
"""How long to wait for the answer to a request that removes parts."""

_NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
_UPLOAD = re.compile(rb"<UploadId>([^<]{1,2000})</UploadId>")

_SIGNED_SECONDS = 240.0
"""How long a signature is used again for the same file: to sign takes a millisecond, and S3 accepts it for 15 minutes.
The range that is asked for is not part of it."""


class Bucket(ObjectStore):
    """A folder in a bucket. It can be pickled and used after a fork; credentials are found again in each process."""

    LARGEST = 10_000 * PART_BYTES

    def __init__(self, root: Url) -> None:
        super().__init__(root)
        self._region = ""
        self._asked_region = False
        self._signed: dict[tuple[str, str], tuple[float, dict[str, str]]] = {}
        self._found: tuple[int, Any] | None = None

    @property
    def origin(self) -> str:
        return f"{self._base}{self.root.parent.path}"

    @cached_property
    def _session(self) -> Any:
        try:
            import botocore.session
        except ImportError as error:
            raise MissingPackageError(
                f"{self.root} needs botocore, which cannot be imported ({error}): pip install 'skelstore[remote]'"
            ) from error
        return botocore.session.Session()

    @property
    def _credentials(self) -> Any:
        """What botocore finds, None if there are none.

        Credentials that are renewed, under a lock, are found anew in a child: it may be forked while a thread holds it.
        """
        process = os.getpid()
        if self._found is None:
            self._found = process, self._find_credentials()
        elif self._found[0] != process:
            if hasattr(self._found[1], "refresh_needed"):
                del self._session  # it has the parent's
                self._found = process, self._find_credentials()
            self._found = process, self._found[1]
        return self._found[1]

    def _find_credentials(self) -> Any:
        session = self._session
        from botocore.exceptions import BotoCoreError

        try:
            return session.get_credentials()
        except BotoCoreError as error:
            raise RemoteError(f"{self.root}: the credentials of AWS cannot be used ({error})") from error

    @property
    def region(self) -> str:
        return (
            self._region or self._session.get_config_variable("region") or os.environ.get("AWS_REGION") or "us-east-1"
        )

    @cached_property
    def _endpoint(self) -> str:
        """The endpoint that the user has stated for S3; empty for that of AWS."""
        if os.environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() == "true":
            return ""
        for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"):
            if os.environ.get(name):
                return parse_endpoint(os.environ[name], name)
        session = self._session
        from botocore.exceptions import BotoCoreError

        try:
            config = session.get_scoped_config()
        except BotoCoreError as error:
            raise RemoteError(f"{self.root}: the configuration of AWS cannot be used ({error})") from error
        services = self._session.full_config.get("services", {}).get(config.get("services", ""), {})
        nested = services.get("s3", {})
        found = nested.get("endpoint_url") if isinstance(nested, dict) else None
        endpoint = str(found or config.get("endpoint_url") or "")
        return parse_endpoint(endpoint, "endpoint_url in the configuration of AWS") if endpoint else ""

    @property
    def _base(self) -> str:
        bucket = self.root.host
        if self._endpoint:
            return f"{self._endpoint}/{bucket}"
        domain = f"s3.{self.region}.amazonaws.com{'.cn' if self.region.startswith('cn-') else ''}"
        return f"https://{domain}/{bucket}" if "." in bucket else f"https://{bucket}.{domain}"

    def request(self, method: str, key: str, headers: Mapping[str, str], body: Any = None) -> Request:
        return self._request(method, key, "", headers, body)

    def copy(self, source: str, key: str) -> None:
        headers = {"x-amz-copy-source": quote(f"/{self.root.host}{(self.root / source).path}", safe="/~")}
        answer = self.send("PUT", key, headers)
        if b"<Error>" in answer.value:  # 200 is sent before the bytes are copied
            raise RemoteError(f"{self.root / key}: the server could not copy it from {self.root / source}: try again")

    def list_page(self, prefix: str, marker: str) -> Answer:
        def request() -> Request:
            address = f"{self._base}/{list_query(prefix, marker)}"
            return Request("GET", address, self._sign("GET", address, {}), self.root)

        return self.ask(request)

    def _request(self, method: str, key: str, query: str, headers: Mapping[str, str], body: Any = None) -> Request:
        place = self.root / key
        address = f"{self._base}{quote(place.path, safe='/~')}{query}"
        if body is None and not any(name.lower().startswith("x-amz-") for name in headers):
            return Request(method, address, {**headers, **self._signature(method, address)}, place)
        return Request(method, address, self._sign(method, address, headers, body), place, body)

    def _signature(self, method: str, address: str) -> dict[str, str]:
        """The headers that sign a request for an address; they hold for every range of it."""
        if self._credentials is None:
            return {}
        now = time.monotonic()
        known = self._signed.get((method, address))
        if known is not None and now - known[0] < _SIGNED_SECONDS:
            return known[1]
        headers = self._sign(method, address, {})
        # No lock: a process may fork while another thread is here.
        if len(self._signed) > 4096:
            self._signed.clear()
        self._signed[method, address] = now, headers
        return headers

    def _sign(self, method: str, address: str, headers: Mapping[str, str], body: Any = None) -> dict[str, str]:
        """The headers of a request and those that sign it, them, and the body if the connection is not encrypted."""
        if self._credentials is None:
            return dict(headers)
        from botocore.auth import S3SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.exceptions import BotoCoreError

        data = body.uncounted() if hasattr(body, "uncounted") else body
        request = AWSRequest(method=method, url=address, headers=dict(headers), data=data)
        request.context.update({"payload_signing_enabled": False, "has_streaming_input": True, "client_config": None})
        try:
            S3SigV4Auth(self._credentials.get_frozen_credentials(), "s3", self.region).add_auth(request)
        except BotoCoreError as error:
            raise RemoteError(f"{self.root}: the request cannot be signed ({error})") from error
        except ValueError:  # its text may have a part of the key
            raise RemoteError(f"{self.root}: the credentials of AWS have bytes that are not UTF-8") from None
        return dict(request.headers.items())

    def put_headers(self, digests: Digests, *, absent: bool) -> dict[str, str]:
        checksum = encode_crc32c(digests.crc32c)
        headers = {"x-amz-checksum-crc32c": checksum, "x-amz-meta-crc32c": checksum}
        headers |= {"x-amz-sdk-checksum-algorithm": "CRC32C", "Content-MD5": base64.b64encode(digests.md5).decode()}
        return {**headers, "If-None-Match": "*"} if absent else headers

    def head_headers(self) -> dict[str, str]:
        return {"x-amz-checksum-mode": "ENABLED"}

    def stated_crc32c(self, headers: Mapping[str, str]) -> int | None:
        """What S3 has computed; of servers that compute no such checksum, what was sent with the file."""
        found = decode_crc32c(headers.get("x-amz-checksum-crc32c", ""))
        return decode_crc32c(headers.get("x-amz-meta-crc32c", "")) if found is None else found

    def put(self, key: str, content: Content, transfer: Transfer | None = None, *, absent: bool = False) -> bool:
        if not 2 * PART_BYTES < content.size <= self.LARGEST:
            return super().put(key, content, transfer, absent=absent)
        total = content.measure().crc32c
        checksum = encode_crc32c(total)  # of the whole file: S3 computes it from those of the parts
        headers = {"x-amz-checksum-algorithm": "CRC32C", "x-amz-checksum-type": "FULL_OBJECT"}
        headers |= {"x-amz-meta-crc32c": checksum, "Content-Type": "application/octet-stream"}
        begun = _UPLOAD.search(self._send("POST", key, "?uploads", headers).value)
        if begun is None:
            raise RemoteError(f"{self.root / key}: the server takes no file in parts (it sent no UploadId)")
        upload = f"uploadId={quote(html.unescape(begun[1].decode()), safe='')}"
        try:
            parts = [
                self._put_part(key, content, piece, number, upload, transfer)
                for number, piece in enumerate(plan_pieces(content.size, most=PART_BYTES), 1)
            ]
        except BaseException:
            self._abort_upload(key, upload)
            raise
        condition = {"If-None-Match": "*"} if absent else {}
        document = f"<CompleteMultipartUpload {_NAMESPACE}>{''.join(parts)}</CompleteMultipartUpload>".encode()
        headers = {"Content-Type": "application/xml", **condition}
        accept = SUCCESS | {404} | (TAKEN if absent else set())
        answer = self._send("POST", key, f"?{upload}", headers, Content.of_bytes(document), accept=accept)
        if answer.status in TAKEN:
            return False
        # An answer may be lost, after which there is no such upload; and 200 may come before an error.
        if (answer.status == 404 or b"<Error>" in answer.value) and self.stored(key) != Stored(content.size, total):
            raise RemoteError(f"{self.root / key}: the server could not join the parts of the file: try again")
        return True

    def _abort_upload(self, key: str, upload: str) -> None:
        """Remove the parts that were sent, unless the server takes long: the command may have been interrupted."""
        with suppress(Exception), unstopped():
            send(lambda: self._request("DELETE", key, f"?{upload}", {}), tries=1, seconds=_ABORT_SECONDS)

    def _put_part(
        self, key: str, content: Content, piece: tuple[int, int], number: int, upload: str, transfer: Transfer | None
    ) -> str:
        """Send a part; what joins it to the others."""
        digests = content.digests(*piece, "md5")
        checksum = encode_crc32c(digests.crc32c)
        headers = {"x-amz-checksum-crc32c": checksum, "x-amz-sdk-checksum-algorithm": "CRC32C"}
        headers |= {"Content-MD5": base64.b64encode(digests.md5).decode(), "Content-Length": str(piece[1] - piece[0])}
        query = f"?partNumber={number}&{upload}"
        tag = self._send("PUT", key, query, headers, content, *piece, transfer=transfer).headers.get("ETag", "")
        inner = f"<PartNumber>{number}</PartNumber><ETag>{escape(tag)}</ETag>"
        return f"<Part>{inner}<ChecksumCRC32C>{checksum}</ChecksumCRC32C></Part>"

    def _send(
        self,
        method: str,
        key: str,
        query: str,
        headers: Mapping[str, str],
        content: Content | None = None,
        start: int = 0,
        stop: int | None = None,
        *,
        transfer: Transfer | None = None,
        accept: frozenset[int] = SUCCESS,
    ) -> Answer:
        body = None if content is None else content.body(start, stop, transfer)
        if body is not None:
            headers = {**headers, "Content-Length": str(len(body))}
        return self.ask(lambda: self._request(method, key, query, headers, body), accept=accept)

    def ask(
        self,
        request: Callable[[], Request],
        consume: Callable[[Any], Any] | None = None,
        *,
        accept: frozenset[int] = SUCCESS,
    ) -> Answer:
        """Send a request, and again if it fails because the region of the bucket was not known."""
        ask = super().ask
        if self._endpoint:
            return ask(request, consume, accept=accept)
        before = self.region
        try:
            return ask(request, consume, accept=accept)
        except RemoteError:
            if not self._asked_region:
                self._find_region()
            if self.region == before:
                raise
            return ask(request, consume, accept=accept)

    def _find_region(self) -> None:
        """Ask AWS for the region of the bucket, since it refuses requests to others. Threads may do so at once."""
        accept = frozenset((200, 301, 307, 400, 403, 404))
        try:
            answer = send(lambda: Request("HEAD", f"{self._base}/", {}, self.root), discard, accept=accept)
            self._region = answer.headers.get("x-amz-bucket-region") or self._region
            self._signed.clear()
        finally:
            self._asked_region = True

    def __getstate__(self) -> Any:
        return self.root

    def __setstate__(self, root: Url) -> None:
        self.__init__(root)  # type: ignore[misc]
