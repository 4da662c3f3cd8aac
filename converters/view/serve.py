"""Serving stores: opening them, listening, telling the address, and ending."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import sys
import webbrowser
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

import skelstore
from converters.view.guard import Guard
from converters.view.media import Folder
from skelstore import Store
from skelstore.errors import MissingPackageError, SkelstoreError
from skelstore.remote.url import Url

if TYPE_CHECKING:
    import uvicorn

LOOPBACK = "127.0.0.1"
"""Where the server listens if no host is given."""

_BACKLOG = 128
_SWITCH = 0.0005
"""Seconds after which a thread lets others run: a check in the background would delay each answer by several turns."""

_GRACE = 1
"""Seconds that answers in progress have to end when the server ends."""


def serve(
    paths: Sequence[Path | Url],
    *,
    host: str | None,
    port: int,
    videos: Path | None,
    opens_browser: bool,
    announce: Callable[[str], None],
) -> None:
    """Serve stores until the process is interrupted; ``announce`` is called with the address once it can be opened.

    With a ``host``, the address has a token, which a browser needs, and no browser is opened. Port 0 is a free port.
    Raises MissingPackageError without the extra ``view``, SkelstoreError if the host and port cannot be listened on,
    and what ``skelstore.open`` and ``Folder`` raise.
    """
    refuse_missing_packages()
    with ExitStack() as stack:
        stores = [stack.enter_context(skelstore.open(path)) for path in paths]
        folder = None if videos is None else Folder(videos)
        listening = stack.enter_context(listen(host or LOOPBACK, port))
        token = None if host is None else secrets.token_urlsafe(32)
        server = make_server(stores, folder, listening, host or LOOPBACK, token)
        address = address_of(listening, host or LOOPBACK, token)
        sys.setswitchinterval(_SWITCH)

        async def run() -> None:
            serving = asyncio.create_task(server.serve(sockets=[listening]))
            await asyncio.sleep(0)  # from here on the server handles an interrupt
            announce(address)
            # The command line of a browser, which all users of the machine can read, must not have the token.
            if opens_browser and token is None and has_browser():
                Thread(target=webbrowser.open, args=(address,), daemon=True).start()
            await serving

        asyncio.run(run())


def refuse_missing_packages() -> None:
    """Raise MissingPackageError if the packages of the extra ``view`` cannot be imported."""
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise MissingPackageError(
            f"skelstore view needs Starlette and uvicorn, which cannot be imported ({error}): "
            "pip install 'skelstore[view]'"
        ) from error


def make_server(
    stores: Sequence[Store], videos: Folder | None, listening: socket.socket, host: str, token: str | None
) -> uvicorn.Server:
    """The server for some stores; ``run`` accepts the socket, and ``should_exit`` ends it."""
    import uvicorn

    from converters.view.app import make_app
    from converters.view.connections import Connection

    config = uvicorn.Config(
        Guard(make_app(stores, videos), host, listening.getsockname()[1], token),
        http=Connection,
        log_config=None,
        log_level="critical",  # requests that are not HTTP are answered, and reported to nobody
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
        timeout_graceful_shutdown=_GRACE,
    )
    return uvicorn.Server(config)


def address_of(listening: socket.socket, host: str, token: str | None) -> str:
    """The address for a browser. A wildcard host is written as this machine's name."""
    if host in ("0.0.0.0", "::", ""):
        host = socket.gethostname()
    named = f"[{host}]" if ":" in host else host
    return f"http://{named}:{listening.getsockname()[1]}/" + ("" if token is None else f"?token={token}")


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens on a host and a port. Raises SkelstoreError if it cannot."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (socket.gaierror, UnicodeError) as error:
        raise SkelstoreError(
            f"the host {host!r} is not known ({error}); expected an address of this machine"
        ) from error
    made = socket.socket(family, kind, protocol)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        made.listen(_BACKLOG)
    except OSError as error:
        made.close()
        advice = "give another --port, or none" if port else "give another --host"
        raise SkelstoreError(
            f"port {port} of {host} cannot be listened on ({error.strerror or error}): {advice}"
        ) from error
    return made


def has_browser() -> bool:
    """Whether a browser can be opened that does not take the terminal."""
    if "BROWSER" in os.environ or sys.platform in ("darwin", "win32"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
