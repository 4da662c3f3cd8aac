"""A job of several processes that reads a store, as `benchmarks.jobs` has it, with a request for each run of chunks."""

from __future__ import annotations

from typing import Any

from benchmarks.jobs import read_all
from skelstore.remote.ranges import plan_requests


def read_apart(source: str, seed: int, workers: int) -> dict[str, Any]:
    """`read_all` without fetching what lies between two videos, so that a small store takes as many requests as a large
    one does.
    """
    defaults: Any = plan_requests.__kwdefaults__
    defaults["gap"] = 0
    return read_all(source, seed, workers)
