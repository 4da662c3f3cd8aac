"""Objects of Google Cloud Storage: ``gs://BUCKET/PATH``, by its XML API.

With google-auth and credentials where it looks for them (``GOOGLE_APPLICATION_CREDENTIALS``, gcloud, a machine of
Google's), requests have a token; without, they have none, which public buckets accept. ``STORAGE_EMULATOR_HOST`` is the
address of another server.
"""

from __future__ import annotations

import base64
import os
import re
import threading
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from skelstore.errors import MissingPackageError, RemoteError
from skelstore.remote.objects import ObjectStore, decode_crc32c, encode_crc32c, list_query
from skelstore.remote.transfers import Digests
from skelstore.remote.transport import Answer, Request, send
from skelstore.remote.url import Url, parse_endpoint

_SCOPES = ["https://www.googleapis.com/auth/devstorage.read_write"]


class GoogleBucket(ObjectStore):
    """A folder in a bucket. Tokens are made in each process, when they are needed."""

    LARGEST = 5 << 40

    def __init__(self, root: Url) -> None:
        super().__init__(root)
        stated = os.environ.get("STORAGE_EMULATOR_HOST", "")
        emulator = stated if not stated or "://" in stated else f"http://{stated}"
        self._endpoint = parse_endpoint(emulator or "https://storage.googleapis.com", "STORAGE_EMULATOR_HOST")
        self._anonymous = bool(emulator)
        self._credentials: Any = None
        self._lock = os.getpid(), threading.Lock()

    @property
    def origin(self) -> str:
        return f"{self._endpoint}/{self.root.host}{self.root.parent.path}"

    def request(self, method: str, key: str, headers: Mapping[str, str], body: Any = None) -> Request:
        place = self.root / key
        address = f"{self._endpoint}/{place.host}{quote(place.path, safe='/~')}"
        return Request(method, address, {**headers, **self._token()}, place, body)

    def put_headers(self, digests: Digests, *, absent: bool) -> dict[str, str]:
        md5 = base64.b64encode(digests.md5).decode()
        headers = {"x-goog-hash": f"crc32c={encode_crc32c(digests.crc32c)},md5={md5}"}
        return {**headers, "x-goog-if-generation-match": "0"} if absent else headers

    def stated_crc32c(self, headers: Mapping[str, str]) -> int | None:
        found = re.search(r"(?:^|[\s,])crc32c=([A-Za-z0-9+/]+=*)", headers.get("x-goog-hash", ""))
        return decode_crc32c(found[1]) if found else None

    def copy(self, source: str, key: str) -> None:
        place = self.root / source
        self.send("PUT", key, {"x-goog-copy-source": quote(f"{place.host}{place.path}", safe="/~")})

    def list_page(self, prefix: str, marker: str) -> Answer:
        address = f"{self._endpoint}/{self.root.host}{list_query(prefix, marker)}"
        return send(lambda: Request("GET", address, self._token(), self.root))

    def _token(self) -> dict[str, str]:
        if self._anonymous:
            return {}
        try:
            import google.auth
            import google.auth.transport.urllib3
            import urllib3
        except ImportError as error:
            if os.environ.get("GOOGLE_APPLICATION_CREDENTIALS"):
                raise MissingPackageError(
                    f"{self.root} with GOOGLE_APPLICATION_CREDENTIALS needs google-auth, which cannot be imported "
                    f"({error}): pip install 'skelstore[remote]'"
                ) from error
            self._anonymous = True
            return {}
        if self._lock[0] != os.getpid():  # a thread of the parent may have held the lock when this process was forked
            self._lock = os.getpid(), threading.Lock()
        with self._lock[1]:
            try:
                if self._credentials is None:
                    self._credentials, _ = google.auth.default(scopes=_SCOPES)
                if not self._credentials.valid:
                    self._credentials.refresh(google.auth.transport.urllib3.Request(urllib3.PoolManager()))
            except google.auth.exceptions.DefaultCredentialsError:
                if os.environ.get("GOOGLE_APPLICATION_CREDENTIALS"):
                    raise RemoteError(
                        f"{self.root}: GOOGLE_APPLICATION_CREDENTIALS does not name a file of credentials"
                    ) from None
                self._anonymous = True
                return {}
            except google.auth.exceptions.GoogleAuthError as error:
                raise RemoteError(f"{self.root}: Google gives no token for the credentials ({error})") from error
            return {"Authorization": f"Bearer {self._credentials.token}"}

    def __getstate__(self) -> Any:
        return self.root

    def __setstate__(self, root: Url) -> None:
        self.__init__(root)  # type: ignore[misc]
