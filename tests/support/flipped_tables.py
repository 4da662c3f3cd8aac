"""Stores whose tables have flipped bits and vouch for them, read in a process of their own, which such tables may kill.

``python -m tests.support.flipped_tables COUNT`` reads as many and prints how many gave no store at all. The number of
each is printed as an error before it is read: the last one is the one that killed.
"""

from __future__ import annotations

import random
import sys
import tempfile
from pathlib import Path

from tests.fuzz.stores import MEMORY, Stores
from tests.support.small_store import read_freely


def main() -> None:
    opened: list[bool] = []
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        stores = Stores(Path(folder))
        vouched = [seed for seed in stores.seeds() if seed[1]]
        tables = [seed for seed in vouched if stores.places[seed[0]][1].endswith(".arrow")]
        for number in range(int(sys.argv[1])):
            chance = random.Random(number)
            data = bytearray(tables[number % len(tables)])
            for _ in range(chance.choice((1, 1, 2, 8))):
                data[chance.randrange(2, len(data))] ^= 1 << chance.randrange(8)
            print(number, file=sys.stderr)
            stores.check(bytes(data), lambda path: opened.append(read_freely(path)))
    print(opened.count(False))


if __name__ == "__main__":
    main()
