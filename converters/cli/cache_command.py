"""The work of the command cache."""

from __future__ import annotations

import json

from converters.cli.printing import show
from skelstore.choices import CacheAction
from skelstore.remote.cache import Cache, default_folder
from skelstore.wording import counted


def cache_command(action: CacheAction, as_json: bool) -> None:
    cache = Cache(default_folder())
    if action == "clear":
        cache.clear()
    usage = cache.usage()
    if as_json:
        found = {"path": str(usage.path), "shards": usage.shards, "tables": usage.tables, "sources": usage.sources}
        show(*json.dumps({**found, "size": usage.size, "limit": usage.limit}, indent=1).split("\n"))
        return
    files = f"{counted(usage.shards, 'shard')}, {counted(usage.tables, 'table')}, {counted(usage.sources, 'source')}"
    show(f"{usage.path}: {files}, {usage.size / 1e6:,.1f} MB of at most {usage.limit / 1e6:,.0f} MB")
