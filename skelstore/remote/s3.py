"""Objects of S3 and of servers that speak its protocol: ``s3://BUCKET/PATH``.

Credentials, region and endpoint are found by botocore, as for every AWS tool: the environment (``AWS_ENDPOINT_URL``,
``AWS_ACCESS_KEY_ID``, …), ``~/.aws``, and what a machine of AWS offers. Requests are signed by botocore if it finds
credentials, else sent without a signature, which public buckets accept.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any
from urllib.parse import quote

from skelstore.errors import MissingPackageError, RemoteError
from skelstore.remote.service import Service
from skelstore.remote.transport import Request, send
from skelstore.remote.url import Url

_SIGNED_SECONDS = 240.0
"""How long a signature is used again for the same file: to sign takes a millisecond, and S3 accepts it for 15 minutes.
The range that is asked for is not part of it."""


class Bucket(Service):
    """A folder in a bucket. It can be pickled and used after a fork; credentials are found again in each process."""

    def __init__(self, root: Url) -> None:
        super().__init__(root)
        self._region = ""
        self._asked_region = False
        self._signed: dict[tuple[str, str], tuple[float, dict[str, str]]] = {}
        self._lock = threading.Lock()

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

    @cached_property
    def _credentials(self) -> Any:
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
                return os.environ[name].rstrip("/")
        session = self._session
        from botocore.exceptions import BotoCoreError

        try:
            config = session.get_scoped_config()
        except BotoCoreError as error:
            raise RemoteError(f"{self.root}: the configuration of AWS cannot be used ({error})") from error
        services = self._session.full_config.get("services", {}).get(config.get("services", ""), {})
        nested = services.get("s3", {})
        found = nested.get("endpoint_url") if isinstance(nested, dict) else None
        return str(found or config.get("endpoint_url") or "").rstrip("/")

    @property
    def _base(self) -> str:
        bucket = self.root.host
        if self._endpoint:
            return f"{self._endpoint}/{bucket}"
        domain = f"s3.{self.region}.amazonaws.com{'.cn' if self.region.startswith('cn-') else ''}"
        return f"https://{domain}/{bucket}" if "." in bucket else f"https://{bucket}.{domain}"

    def request(self, method: str, key: str, headers: Mapping[str, str], body: Any = None) -> Request:
        place = self.root / key
        address = f"{self._base}{quote(place.path, safe='/~')}"
        return Request(method, address, {**headers, **self._signature(method, address)}, place, body)

    def _signature(self, method: str, address: str) -> dict[str, str]:
        """The headers that sign a request for an address; they hold for every range of it."""
        if self._credentials is None:
            return {}
        now = time.monotonic()
        known = self._signed.get((method, address))
        if known is not None and now - known[0] < _SIGNED_SECONDS:
            return known[1]
        from botocore.auth import S3SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.exceptions import BotoCoreError

        request = AWSRequest(method=method, url=address, headers={"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"})
        request.context.update({"payload_signing_enabled": False, "client_config": None})
        try:
            S3SigV4Auth(self._credentials.get_frozen_credentials(), "s3", self.region).add_auth(request)
        except BotoCoreError as error:
            raise RemoteError(f"{self.root}: the request cannot be signed ({error})") from error
        headers = dict(request.headers.items())
        with self._lock:
            if len(self._signed) > 4096:
                self._signed.clear()
            self._signed[method, address] = now, headers
        return headers

    def get(self, key: str, headers: Mapping[str, str], consume: Callable[[Any], Any], accept: frozenset[int]) -> Any:
        try:
            return super().get(key, headers, consume, accept)
        except RemoteError:
            if not self._find_region():
                raise
            return super().get(key, headers, consume, accept)

    def _find_region(self) -> bool:
        """Ask AWS once for the region of the bucket, since it refuses requests to others. Whether it was wrong."""
        if self._endpoint or self._asked_region:
            return False
        self._asked_region = True
        before = self.region
        accept = frozenset((200, 301, 307, 400, 403, 404))
        answer = send(
            lambda: Request("HEAD", f"{self._base}/", {}, self.root),
            lambda response: response.drain_conn(),
            accept=accept,
        )
        self._region = answer.headers.get("x-amz-bucket-region", "")
        self._signed.clear()
        return self.region != before

    def __getstate__(self) -> Any:
        return self.root

    def __setstate__(self, root: Url) -> None:
        self.__init__(root)  # type: ignore[misc]
