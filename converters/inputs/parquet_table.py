"""Tables of videos in Parquet files: their columns, read within the bounds of a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from converters.inputs import table_limits
from converters.inputs.table_limits import check_names, refuse_large
from skelstore.errors import SourceError
from skelstore.format.files import open_regular

_MOST_FOOTER_BYTES = 16 << 20
"""Bytes of the strings and lists in the footer."""
_BATCH_ROWS = 4096
"""Rows that are decoded at a time."""
_NUMBERS = (pa.types.is_null, pa.types.is_integer, pa.types.is_boolean, pa.types.is_floating)


def load_parquet(path: Path) -> tuple[list[str], dict[str, list[Any]]]:
    """The place of each row, and the columns with the types of the file.

    The file is read in batches, since its footer may state a false size. Raises SourceError if the file cannot be read,
    exceeds a bound, or has a column with a bad name, or of another type than numbers or text.
    """
    try:
        with (
            open(path, "rb", opener=open_regular) as file,
            pyarrow.parquet.ParquetFile(
                file,
                thrift_string_size_limit=_MOST_FOOTER_BYTES,
                thrift_container_size_limit=_MOST_FOOTER_BYTES,
            ) as parquet,
        ):
            _check_size(path, parquet)
            texts = _check_types(path, parquet.schema_arrow)
        with (
            open(path, "rb", opener=open_regular) as file,
            # A str of a dictionary is loaded once, however many cells refer to it.
            pyarrow.parquet.ParquetFile(file, read_dictionary=texts) as parquet,
        ):
            columns = _load_batches(path, parquet)
    except (pa.ArrowException, ValueError, OSError, MemoryError) as error:
        if isinstance(error, SourceError) or (isinstance(error, OSError) and error.errno is not None):
            raise
        reason = str(error).partition("\n")[0][:200]
        raise SourceError(f"{path} is not a Parquet file, or is damaged ({reason})") from None
    rows = len(next(iter(columns.values()), []))
    return [f"{path.name}: row {i + 1}" for i in range(rows)], columns


def _check_size(path: Path, parquet: pyarrow.parquet.ParquetFile) -> None:
    """Raise SourceError if a Parquet file declares a size beyond the bounds of a table of videos."""
    metadata = parquet.metadata
    stated = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
    if (
        metadata.num_rows > table_limits.MOST_ROWS
        or metadata.num_columns > table_limits.MOST_COLUMNS
        or not 0 <= stated <= table_limits.MOST_BYTES
    ):
        refuse_large(
            path, f"{metadata.num_rows:,} rows, {metadata.num_columns:,} columns and {stated:,} uncompressed bytes"
        )


def _check_types(path: Path, schema: pa.Schema) -> list[str]:
    """The names of the text columns. Raises SourceError for names and types that columns cannot have."""
    check_names(path, schema.names)
    texts = []
    for name, kind in zip(schema.names, schema.types, strict=True):
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind  # pandas: categories
        if _is_text(kind):
            texts.append(name)
        elif not any(is_it(kind) for is_it in _NUMBERS):
            raise SourceError(f"{path}: column {name!r} holds {kind}; expected numbers or text")
    return texts


def _load_batches(path: Path, parquet: pyarrow.parquet.ParquetFile) -> dict[str, list[Any]]:
    """The cells of all columns, None for empty cells and for NaN, which pandas writes for them."""
    columns: dict[str, list[Any]] = {name: [] for name in parquet.schema_arrow.names}
    rows = total = 0
    for batch in parquet.iter_batches(batch_size=_BATCH_ROWS, use_threads=False):
        batch.validate(full=True)
        rows += batch.num_rows
        total += sum(_unpacked_bytes(column) for column in batch.columns)
        if rows > table_limits.MOST_ROWS or total > table_limits.MOST_BYTES:
            refuse_large(path, f"more than {rows - 1:,} rows or {total - 1:,} uncompressed bytes")
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            columns[name] += [None if cell == "" or cell != cell else cell for cell in column.to_pylist()]
    return columns


def _unpacked_bytes(column: pa.Array) -> int:
    """Bytes of the cells of a column; a str of a dictionary counts for each cell that refers to it."""
    if not pa.types.is_dictionary(column.type) or not _is_text(column.type.value_type):
        return int(column.nbytes)
    return int(pc.sum(pc.binary_length(column.dictionary).take(column.indices)).as_py() or 0) + 8 * len(column)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
