"""The order of the source: that of the files that a store was converted from, before its videos were shuffled."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from skelstore.read.store import Store, table_rows
from skelstore.read.videos import ranks_of, source_positions


def source_ranks(store: Store) -> NDArray[np.int64] | None:
    """The rank of each video of a store, or of a view, in the order of the source, int64 [videos].

    None if the order of the store is that of the source. Also None for a view in another order than the store: whoever
    made it chose its order. Raises StoreError if the positions in the store do not follow the format.
    """
    reader, rows = table_rows(store)
    positions = source_positions(reader)
    if positions is None or (np.diff(rows) <= 0).any():
        return None
    return ranks_of(positions[rows])


def in_source_order(store: Store) -> Store:
    """The videos of a store, or of a view, in the order of the source; the same view where `source_ranks` is None.

    Raises as that does.
    """
    ranks = source_ranks(store)
    return store if ranks is None else store.at(np.argsort(ranks))
