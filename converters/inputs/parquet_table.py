"""A table of videos as a Parquet file: its columns, within the bounds of a table."""

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
_BATCH_ROWS = 4096
_NUMBERS = (pa.types.is_null, pa.types.is_integer, pa.types.is_boolean, pa.types.is_floating)


def load_parquet(path: Path) -> tuple[list[str], dict[str, list[Any]]]:
    """The place of every row, and the columns with the types of the file; batch by batch, since its footer may lie.

    Raises SourceError if the file cannot be read, is beyond a bound, or has columns that no table has.
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
            # A text of a dictionary is brought once, however many cells say it.
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
    """Raise SourceError if a Parquet file says of itself that it is larger than a table of videos."""
    found = parquet.metadata
    stated = sum(found.row_group(i).total_byte_size for i in range(found.num_row_groups))
    if (
        found.num_rows > table_limits.MOST_ROWS
        or found.num_columns > table_limits.MOST_COLUMNS
        or not 0 <= stated <= table_limits.MOST_BYTES
    ):
        refuse_large(path, f"{found.num_rows:,} rows, {found.num_columns:,} columns and {stated:,} bytes once unpacked")


def _check_types(path: Path, schema: pa.Schema) -> list[str]:
    """The columns that are text. Raises SourceError for names and types of columns that no table has."""
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
    """The cells of all columns, None for an empty one; pandas writes NaN for nothing."""
    columns: dict[str, list[Any]] = {name: [] for name in parquet.schema_arrow.names}
    rows = total = 0
    for batch in parquet.iter_batches(batch_size=_BATCH_ROWS, use_threads=False):
        batch.validate(full=True)
        rows += batch.num_rows
        total += sum(_unpacked_bytes(column) for column in batch.columns)
        if rows > table_limits.MOST_ROWS or total > table_limits.MOST_BYTES:
            refuse_large(path, f"more than {rows - 1:,} rows or {total - 1:,} bytes once unpacked")
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            columns[name] += [None if cell == "" or cell != cell else cell for cell in column.to_pylist()]
    return columns


def _unpacked_bytes(column: pa.Array) -> int:
    """Bytes of a column's cells, each text of a dictionary as often as it is said."""
    if not pa.types.is_dictionary(column.type) or not _is_text(column.type.value_type):
        return int(column.nbytes)
    return int(pc.sum(pc.binary_length(column.dictionary).take(column.indices)).as_py() or 0) + 8 * len(column)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
