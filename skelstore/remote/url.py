"""URLs of stores and of their files. What is shown never has credentials or a query."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from urllib.parse import quote, unquote, urlsplit

from skelstore.errors import RemoteError, StoreError
from skelstore.wording import closest, shown

SCHEMES = ("s3", "gs", "az", "https", "http", "hf")

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)([^?#]*)(?:\?([^#]*))?(#.*)?", re.DOTALL)
_MANGLED = re.compile(rf"({'|'.join(SCHEMES)}):/([^/].*)", re.DOTALL)
"""What ``pathlib.Path`` makes of a URL: it takes one of the two slashes away."""

_NEVER = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
"""Control characters, and what Python makes of bytes of a command line that are not UTF-8."""


@dataclass(frozen=True)
class Url:
    """The address of a store, or of a file in it: ``url / "zarr.json"``.

    ``host`` is a server with its port, or a bucket; ``path`` begins with a slash or is empty. For http and https it is
    percent-encoded, else plain. ``str`` and ``repr`` show neither ``query`` nor ``user`` (name and password).
    """

    scheme: str
    host: str
    path: str
    query: str = field(default="", repr=False)
    user: str = field(default="", repr=False)

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}{self.path}"

    def __fspath__(self) -> str:
        """Raise StoreError: what takes a path of this machine cannot take a URL, which is ``str(url)``."""
        raise StoreError(
            f"{self} is a URL, not a path of this machine: use str(…) for its text, or copy the store with skelstore "
            "pull"
        )

    def __truediv__(self, key: str) -> Url:
        if not key:
            return self
        encoded = quote(key) if self.scheme in ("http", "https") else key
        return replace(self, path=f"{self.path.rstrip('/')}/{encoded}")

    @property
    def name(self) -> str:
        """The last part of the path, as a file name would be."""
        return unquote(self.path.rstrip("/").rpartition("/")[2]) or self.host

    @property
    def parent(self) -> Url:
        return replace(self, path=self.path.rstrip("/").rpartition("/")[0])

    @property
    def secret(self) -> str:
        """The whole URL, with credentials and query, to open it again; not to be shown."""
        user, query = f"{self.user}@" if self.user else "", f"?{self.query}" if self.query else ""
        return f"{self.scheme}://{user}{self.host}{self.path}{query}"


def is_url(text: str) -> bool:
    """Whether a text is a URL of one of the schemes, or what pathlib makes of one."""
    match = _URL.fullmatch(text)
    return (match is not None and match[1].lower() in SCHEMES) or _MANGLED.fullmatch(text) is not None


def parse_url(text: str) -> Url:
    """The URL in a text. Raises StoreError, which does not show credentials, if it is none that a store can have."""
    mangled = _MANGLED.fullmatch(text)
    match = _URL.fullmatch(f"{mangled[1]}://{mangled[2]}" if mangled else text)
    if match is None:
        raise StoreError(f"{shown(text.partition('?')[0])} is not a URL; expected one such as s3://bucket/ntu60.zarr")
    scheme, authority, path, query = match[1].lower(), *match.group(2, 3, 4)
    user, _, host = authority.rpartition("@")
    url = Url(scheme, host, path.rstrip("/"), query or "", user)
    if _NEVER.search(text):
        raise StoreError(f"{shown(str(url))} has control characters or bytes that are not UTF-8, as no URL has")
    if scheme not in SCHEMES:
        raise StoreError(
            f"{url} has the scheme {shown(scheme)}; expected one of {', '.join(SCHEMES)}{closest(scheme, SCHEMES)}"
        )
    if not host:
        what = "server" if scheme in ("http", "https") else "bucket"
        raise StoreError(f"{url} names no {what}; expected {scheme}://{what.upper()}/PATH")
    if user and scheme not in ("http", "https"):
        raise StoreError(f"{url} has credentials before it (…@); those for {scheme}:// come from the environment")
    if scheme in ("http", "https") and not _is_server(host):
        raise StoreError(f"{url} names no valid server; expected a name or an address, and perhaps a port")
    if scheme not in ("http", "https") and (match[5] or (match[4] is not None and scheme != "hf")):
        raise StoreError(f"{url} is followed by ? or #, which no name of a store at {scheme}:// may have")
    return replace(url, path=quote(url.path, safe="/%~!$&'()*+,;=:@-._")) if scheme in ("http", "https") else url


def parse_endpoint(text: str, name: str) -> str:
    """The address of a service, without slashes at its end.

    Raises RemoteError with the ``name`` of the setting it is from, but not the address, unless it is one of a server.
    """
    try:
        if parse_url(text).scheme in ("http", "https"):
            return text.rstrip("/")
    except StoreError:
        pass
    raise RemoteError(f"{name} is not an address that begins with http:// or https://")


def _is_server(host: str) -> bool:
    """Whether a text is a name or an address, with a valid port if one is given."""
    try:
        parts = urlsplit(f"//{host}")
        return bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False
