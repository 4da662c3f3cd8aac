"""The pickle of PYSKL and MMAction2 1.x: a dict with ``split`` and ``annotations`` (PYSKL tools/data/README.md)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from converters.conversion.document import PYSKL_DOCUMENT
from converters.dialects.dialect import Dialect
from converters.inputs.annotation_file import AnnotationFile

if TYPE_CHECKING:
    from converters.conversion.convert import ConvertOptions
    from skelstore import Store

NAME = "pyskl"


def open_file(path: str | os.PathLike[str]) -> AnnotationFile:
    """Open a pickle as a source. Raises SourceError if it is not of this dialect."""
    return AnnotationFile(path, NAME, ("dict",))


def _export(store: Store, out: Path, **options: Any) -> None:
    from converters.outputs.document import export_document

    document = store.source.get("document")
    is_dict = isinstance(document, dict) and "dict" in document
    export_document(store, out, document if is_dict else PYSKL_DOCUMENT, **options)


DIALECT = Dialect(
    NAME,
    "PYSKL's and MMAction2 1.x's annotation file",
    "a pickle: dict with `split` and `annotations`",
    recognise=lambda candidate: candidate.top == "dict" and not candidate.is_folder,
    open=open_file,
    export=_export,
    export_any=True,
)


def convert(
    source: str | os.PathLike[str], destination: str | os.PathLike[str], **options: Unpack[ConvertOptions]
) -> None:
    """Convert one pickle. Raises SourceError if it is not of this dialect, else what ``convert_source`` raises."""
    from converters.conversion.convert import convert_source

    convert_source(open_file(source), destination, **options)
