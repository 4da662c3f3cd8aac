"""skelstore's reader in Python beside the compiled one, and LMDB to compare it with, each in a process of its own.

The variable that forces the reader in Python is read when skelstore is imported, so it needs another process. That
process times itself whenever it is its turn. It holds nothing but its side, and the same side was up to a tenth faster
there than in the process of all others: so it is compared with LMDB in a process of its own, too.
"""

from __future__ import annotations

import gc
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from converters.bench import fresh
from converters.bench.data import Annotation, DataSet
from converters.bench.peers import Lmdb, Peer, Skelstore
from converters.bench.timing import Spent

FORCED = {"SKELSTORE_PURE_PYTHON": "1"}


def compiled() -> bool:
    """Whether skelstore reads with its compiled reader in this process."""
    import skelstore

    return bool(getattr(skelstore, "compiled", False))


def serve(side: str, path: str) -> dict[str, Any]:
    """Report whether skelstore is compiled, then answer lists of names with the nanoseconds of each read."""
    peer: Skelstore | Lmdb = Lmdb() if side == Lmdb.name else Skelstore("fast")
    peer.path = path
    peer.open()
    fresh.reply({"compiled": compiled()})
    gc.collect()
    gc.freeze()
    for names in fresh.questions():
        fresh.reply(peer.timed(names).tolist())
    peer.close()
    return {}


class _OwnProcess(Peer):
    """A side in a process of its own, where the annotations stay."""

    whole = False
    side: Skelstore | Lmdb
    environment: ClassVar[dict[str, str]] = {}

    def build(self, data: DataSet, folder: Path) -> None:
        self.side.build(data, folder)

    def open(self) -> None:
        self._process = fresh.start_with(self.environment, serve, side=self.side.name, path=self.side.path)
        self.compiled: bool = fresh.answer(self._process)["compiled"]

    def warm(self, names: list[str]) -> None:
        self.timed(names)

    def timed(self, names: Sequence[str]) -> Spent:
        return np.array(fresh.answer(self._process, list(names)), np.int64)

    def get(self, name: str) -> Annotation:
        self.timed([name])
        return {}

    def close(self) -> None:
        fresh.result(self._process)


class PurePython(_OwnProcess):
    """The profile ``fast`` with the reader in Python."""

    name = "fast, pure Python"
    environment = FORCED

    def __init__(self) -> None:
        self.side = Skelstore("fast")

    def open(self) -> None:
        """Start the process. Raises RuntimeError if the variable did not have its effect."""
        super().open()
        if self.compiled:
            self.close()
            raise RuntimeError(f"skelstore is compiled in spite of {FORCED}")


class LmdbAlone(_OwnProcess):
    """LMDB in the conditions of `PurePython`."""

    name = "LMDB, own process"
    modules = Lmdb.modules
    install = Lmdb.install

    def __init__(self) -> None:
        self.side = Lmdb()
