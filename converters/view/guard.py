"""Who may ask the server: every request is checked before anything is read.

A page of another site that the same browser shows may send requests to this machine, also under a name of its own that
it lets point here (DNS rebinding). So the host that a request names must be one of ours, and its origin must be the
page itself. If the server is reachable by others, a token is needed, too.
"""

from __future__ import annotations

import ipaddress
import re
import secrets
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs

from converters.view.answers import encode_json

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Content security policy: no script but the files of the page, nothing from elsewhere, in no frame."""

HEADERS = [
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
]
"""Headers of every answer."""

_HOST = re.compile(r"(?:\[(?P<address>[0-9a-f.]*:[0-9a-f:.]*)\]|(?P<name>[a-z0-9._-]+))(?::(?P<port>[0-9]{0,5}))?")
"""A Host header in lower case. The standard library's parser takes ``[::1].evil.example`` for ``::1``."""

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Receive = Callable[[], Awaitable[Message]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


class Guard:
    """An ASGI application that answers refused requests itself and passes on all others.

    ``host`` is the host that the server listens on. With a ``token``, a request must have it as a cookie, which the
    answer to ``/?token=…`` sets.
    """

    def __init__(self, app: App, host: str, port: int, token: str | None) -> None:
        self._app = app
        self._hosts = allowed_hosts(host)
        self._is_open = not is_loopback(host)
        self._token = token
        self._cookie = f"skelstore-{port}"

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return

        async def send_protected(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *HEADERS]
            await send(message)

        headers: dict[bytes, list[str]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.lower(), []).append(value.decode("latin-1"))
        refusal = self._refuse(scope, headers)
        if refusal is not None:
            await _answer(send_protected, *refusal)
        elif (given := self._given_token(scope)) is not None:
            await self._admit(send_protected, given)
        elif self._token is not None and not self._has_cookie(headers):
            reason = "this server needs the token of its address: open the address that `skelstore view` printed"
            await _answer(send_protected, 403, reason)
        else:
            await self._app(scope, receive, send_protected)

    def _refuse(self, scope: Message, headers: dict[bytes, list[str]]) -> tuple[int, str] | None:
        """The status and the reason for which a request is refused; None if it is not."""
        if scope["method"] != "GET":
            return 405, "this server only shows: expected the method GET"
        hosts = headers.get(b"host", [])
        if len(hosts) != 1 or not self._is_ours(hosts[0]):
            return 403, "the request names another host; expected the address that `skelstore view` printed"
        for origin in headers.get(b"origin", []):
            if origin.lower() not in (f"http://{hosts[0]}".lower(), f"https://{hosts[0]}".lower()):
                return 403, "the request comes from the page of another origin"
        site = headers.get(b"sec-fetch-site", ["none"])[0]
        follows_link = headers.get(b"sec-fetch-dest", [""])[0] == "document" and scope["path"] == "/"
        if site not in ("same-origin", "none") and not follows_link:
            return 403, "the request comes from the page of another site"
        return None

    def _is_ours(self, host: str) -> bool:
        name = _host_name(host)
        return name in self._hosts or (self._is_open and name is not None and _is_address(name))

    def _given_token(self, scope: Message) -> str | None:
        if self._token is None or scope["path"] != "/":
            return None
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token")
        return given[0] if given else None

    async def _admit(self, send: Send, given: str) -> None:
        """Set the cookie and lead to the address without the token, so that it is in no history and no link."""
        if not self._is_token(given):
            await _answer(send, 403, "the token is wrong: open the address that `skelstore view` printed")
            return
        cookie = f"{self._cookie}={given}; HttpOnly; SameSite=Strict; Path=/"
        headers = [(b"location", b"/"), (b"set-cookie", cookie.encode("latin-1")), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": 303, "headers": [*headers, (b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    def _has_cookie(self, headers: dict[bytes, list[str]]) -> bool:
        pairs = (part.strip().partition("=") for value in headers.get(b"cookie", []) for part in value.split(";"))
        return any(name == self._cookie and self._is_token(value) for name, _, value in pairs)

    def _is_token(self, given: str) -> bool:
        return self._token is not None and secrets.compare_digest(
            given.encode("utf-8", "replace"), self._token.encode()
        )


async def _answer(send: Send, status: int, reason: str) -> None:
    body = encode_json({"error": reason})
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    headers += [(b"cache-control", b"no-store"), *([(b"allow", b"GET")] if status == 405 else [])]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def allowed_hosts(host: str) -> frozenset[str]:
    """The names by which a browser may address a server that listens on ``host``, in lower case.

    The port is not compared: a tunnel such as ``ssh -L`` changes it.
    """
    if is_loopback(host):
        return frozenset({"localhost", "127.0.0.1", "::1", host.lower()})
    return frozenset({host.lower(), "localhost", socket.gethostname().lower(), socket.getfqdn().lower()})


def is_loopback(host: str) -> bool:
    """Whether a host is this machine's loopback, which other machines cannot reach."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _host_name(host: str) -> str | None:
    """The name in a Host header, without port and brackets, in lower case; None if it is not a host."""
    found = _HOST.fullmatch(host.lower())
    if found is None or int(found["port"] or 0) > 65_535:
        return None
    return found["address"] or found["name"]


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
