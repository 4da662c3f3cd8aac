"""A data set whose windows are fetched ahead, and the threads that do it."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

import skelstore
from skelstore.read.ahead import FetchAhead
from skelstore.read.store import table_rows
from skelstore.train.selection import shard_numbers


class Videos:
    """What a sampler uses of a data set of stores, without PyTorch."""

    def __init__(self, *stores: skelstore.Store) -> None:
        self.stores = stores
        self.shards = np.concatenate([shard_numbers(store) + 100 * i for i, store in enumerate(stores)])
        self.started: list[FetchAhead] = []

    def __len__(self) -> int:
        return sum(map(len, self.stores))

    def __getitem__(self, position: int) -> Any:
        for store in self.stores:
            if position < len(store):
                return store[position]
            position -= len(store)
        raise IndexError

    def fetch_ahead(self, order: Any, starts: Any) -> FetchAhead:
        self.started.append(FetchAhead([table_rows(store) for store in self.stores], order, starts))
        return self.started[-1]


def lanes() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("skelstore-ahead")]
