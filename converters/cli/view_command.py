"""The work of the command view."""

from __future__ import annotations

from pathlib import Path

from converters.cli.printing import show
from converters.view.serve import serve
from skelstore.remote.url import Url


def view_command(
    stores: tuple[Path | Url, ...], host: str | None, port: int, videos: Path | None, no_browser: bool
) -> None:
    serve(
        stores,
        host=host,
        port=port,
        videos=videos,
        opens_browser=not no_browser,
        announce=lambda address: show(f"{address} (Ctrl-C ends the server)"),
    )
