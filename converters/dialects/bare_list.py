"""A bare list of annotations in one pickle, as MMAction2 0.x and many scripts of users write it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from converters.conversion.document import LIST_DOCUMENT
from converters.dialects.dialect import Dialect
from converters.inputs.annotation_file import AnnotationFile

if TYPE_CHECKING:
    from converters.conversion.convert import ConvertOptions
    from skelstore import Store

NAME = "list"


def open_file(path: str | os.PathLike[str]) -> AnnotationFile:
    """Open a pickle as a source. Raises SourceError if it is not of this dialect."""
    return AnnotationFile(path, NAME, ("list",))


def _export(store: Store, out: Path, **options: Any) -> None:
    from converters.outputs.document import export_document

    export_document(store, out, LIST_DOCUMENT, **options)


DIALECT = Dialect(
    NAME,
    "a bare list of annotations, as in MMAction2 0.x",
    "a pickle: list of annotations",
    recognise=lambda candidate: candidate.top == "list" and not candidate.is_folder and not candidate.labelled,
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
