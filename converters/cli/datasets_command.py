"""The work of the command datasets."""

from __future__ import annotations

import json

from converters.cli.printing import show
from converters.online import published


def datasets_command(as_json: bool) -> None:
    entries = published.PUBLISHED.values()
    if as_json:
        show(*json.dumps([published.as_json(entry) for entry in entries], indent=1).split("\n"))
    else:
        show(*(line for entry in entries for line in published.as_lines(entry)))
        show("Sizes and checksums that are not shown are not known: PYSKL and MMAction2 state none.")
