from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

class Core:
    """The compiled reader of one store. Each method leaves to Python what it cannot read."""

    def __new__(
        cls,
        layouts: list[tuple[Any, ...]],
        arrays: list[tuple[Any, ...]],
        layout: NDArray[np.int32],
        fallback: Callable[[int], dict[Any, Any]],
        load_names: Callable[[], tuple[NDArray[Any], ...] | None],
        fetch: Callable[[list[int]], None] | None,
        ready: NDArray[np.uint8] | None,
        group_rows: int,
    ) -> Core: ...
    def annotation(self, row: int, /) -> dict[Any, Any]:
        """The annotation of the video at a row of the table."""

    def find(self, name: str, /) -> int | None:
        """The row of the only video with a name; None if Python has to look for it."""

    def named(self, name: str, /) -> dict[Any, Any] | None:
        """The annotation of the only video with a name; None if Python has to look for it."""

    def read(self, keys: list[Any], /) -> list[dict[Any, Any]] | None:
        """The annotations of several rows and names; None if Python has to read them."""

    def close(self) -> None:
        """Unmap the files; they are mapped again when they are read."""

def use_blosc(path: str | None, coded: bytes, chunk: bytes, /) -> bool:
    """Decode by the ``blosc_decompress_ctx`` of a loaded library (None: of none), if it decodes a chunk."""

def crc32c(data: bytes, portable: bool, /) -> int:
    """CRC-32C of bytes, by the code for every processor if ``portable``."""
