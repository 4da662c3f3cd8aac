"""Signed stores whose tables have flipped bits, read in a separate process, which such tables may kill.

``python -m tests.support.flipped_tables COUNT`` reads COUNT stores and prints how many could not be opened. The number
of each is printed to stderr before it is read, so the last one is that of the store that killed the process.
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
        signed = [seed for seed in stores.seeds() if seed[1]]
        tables = [seed for seed in signed if stores.places[seed[0]][1].endswith(".arrow")]
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
