"""Serving stores: opening them, listening, telling the address, and ending."""

from __future__ import annotations

import os
import secrets
import socket
import sys
import webbrowser
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from threading import Thread

import skelstore
from converters.view.guard import Guard
from converters.view.media import Folder
from skelstore.errors import MissingPackageError, SkelstoreError

LOOPBACK = "127.0.0.1"
"""Where the server listens if no host is given."""

_BACKLOG = 128
_SWITCH = 0.0005
"""Seconds after which a thread lets others run: a check in the background would delay each answer by several turns."""

_GRACE = 1
"""Seconds that answers in progress have to end when the server ends."""


def serve(
    paths: Sequence[Path],
    *,
    host: str | None,
    port: int,
    videos: Path | None,
    opens_browser: bool,
    announce: Callable[[str], None],
) -> None:
    """Serve stores until the process is interrupted; ``announce`` is called with the address once it can be opened.

    With a ``host``, the address has a token, which a browser needs. Port 0 is a free port.
    Raises MissingPackageError without the extra ``view``, SkelstoreError if the host and port cannot be listened on,
    and what ``skelstore.open`` and ``Folder`` raise.
    """
    try:
        import uvicorn

        from converters.view.app import make_app
    except ImportError as error:
        raise MissingPackageError(
            f"skelstore view needs Starlette and uvicorn, which cannot be imported ({error}): "
            "pip install 'skelstore[view]'"
        ) from error
    with ExitStack() as stack:
        stores = [stack.enter_context(skelstore.open(path)) for path in paths]
        folder = None if videos is None else Folder(videos)
        listening = stack.enter_context(listen(host or LOOPBACK, port))
        taken = listening.getsockname()[1]
        token = None if host is None else secrets.token_urlsafe(32)
        app = Guard(make_app(stores, folder), host or LOOPBACK, taken, token)
        config = uvicorn.Config(
            app,
            log_config=None,
            log_level="critical",  # requests that are not HTTP are answered, and reported to nobody
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ws="none",
            timeout_graceful_shutdown=_GRACE,
        )
        address = f"http://{_browsable(host or LOOPBACK)}:{taken}/" + ("" if token is None else f"?token={token}")
        sys.setswitchinterval(_SWITCH)
        announce(address)
        if opens_browser and has_browser():
            Thread(target=webbrowser.open, args=(address,), daemon=True).start()
        uvicorn.Server(config).run(sockets=[listening])


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


def _browsable(host: str) -> str:
    """The host as it is written in an address; a wildcard is this machine's name."""
    if host in ("0.0.0.0", "::", ""):
        return socket.gethostname()
    return f"[{host}]" if ":" in host else host


def has_browser() -> bool:
    """Whether a browser can be opened that does not take the terminal."""
    if "BROWSER" in os.environ or sys.platform in ("darwin", "win32"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
