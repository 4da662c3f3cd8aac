"""skelstore's reader in Python, beside the compiled one.

The variable that forces it is read when skelstore is imported, so it runs in a process of its own. That process times
itself whenever it is its turn.
"""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from converters.bench import fresh
from converters.bench.data import Annotation, DataSet
from converters.bench.peers import Peer
from converters.bench.timing import Spent, timed

FORCED = {"SKELSTORE_PURE_PYTHON": "1"}


def compiled() -> bool:
    """Whether skelstore reads with its compiled reader in this process."""
    import skelstore

    return bool(getattr(skelstore, "compiled", False))


def serve(path: str) -> dict[str, Any]:
    """Read names from standard input, a JSON list per line, and print the nanoseconds of each read, until it ends.

    The first line printed says whether skelstore is compiled.
    """
    import skelstore

    with skelstore.open(path) as store:
        print(json.dumps({"compiled": compiled()}), flush=True)
        gc.collect()
        gc.freeze()
        for line in sys.stdin:
            print(json.dumps(timed(store.__getitem__, json.loads(line)).tolist()), flush=True)
    return {}


class PurePython(Peer):
    """The profile ``fast`` with the reader in Python. The annotations stay in the other process."""

    name = "fast, pure Python"
    whole = False

    def build(self, data: DataSet, folder: Path) -> None:
        self._path = data.store("fast")

    def open(self) -> None:
        """Start the process. Raises RuntimeError if the variable did not have its effect."""
        self._process = fresh.start_with(FORCED, serve, path=self._path)
        if fresh.answer(self._process)["compiled"]:
            self.close()
            raise RuntimeError(f"skelstore is compiled in spite of {FORCED}")

    def warm(self, names: list[str]) -> None:
        self.timed(names)

    def timed(self, names: Sequence[str]) -> Spent:
        return np.array(fresh.answer(self._process, list(names)), np.int64)

    def get(self, name: str) -> Annotation:
        self.timed([name])
        return {}

    def close(self) -> None:
        fresh.result(self._process)
