"""Pickles like the source: the top as the store keeps it, with the splits and annotations inserted."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, BinaryIO

from converters.outputs.output import new_file
from converters.pickles.writer import PickleWriter
from skelstore import Store
from skelstore.format import values
from skelstore.format.values import Json


def export_document(
    store: Store,
    out: Path,
    document: Json,
    *,
    force: bool = False,
    advance: Callable[[int], None] | None = None,
) -> None:
    """Write a store to the file ``out`` as ``write_document`` does. Raises as ``new_file`` does."""
    with new_file(out, force=force) as file:
        write_document(file, document, store.splits, store, advance)


def write_document(
    file: BinaryIO,
    document: Json,
    splits: dict[Any, Any],
    annotations: Iterable[Any],
    advance: Callable[[int], None] | None = None,
) -> None:
    """Write a pickle whose top is a dict or a bare list of annotations, as the document defines it.

    ``annotations`` are written one after the other: dicts, or what another dialect has in the place of annotations.
    """
    writer = PickleWriter(file)
    if "annotations" in document:
        _write_list(writer, annotations, advance)
    else:
        with writer.streamed_dict():
            for key, node in document["dict"]:
                writer.key(values.decode(key))
                if "annotations" in node:
                    _write_list(writer, annotations, advance)
                elif "splits" in node:
                    writer.value(splits)
                else:
                    writer.value(values.decode(node["value"]))
    writer.stop()


def _write_list(writer: PickleWriter, annotations: Iterable[Any], advance: Callable[[int], None] | None) -> None:
    with writer.streamed_list():
        for annotation in annotations:
            writer.value(annotation)
            if advance:
                advance(1)


def write_value(file: BinaryIO, value: object) -> None:
    """Write one value as a pickle."""
    writer = PickleWriter(file)
    writer.value(value)
    writer.stop()
