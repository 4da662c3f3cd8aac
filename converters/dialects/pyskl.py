"""PYSKL's and MMAction2 1.x's pickle: a dict with ``split`` and ``annotations`` (PYSKL tools/data/README.md)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Unpack

from converters.dialects.dialect import Dialect
from converters.inputs.annotation_file import AnnotationFile

if TYPE_CHECKING:
    from converters.conversion.convert import ConvertOptions

DIALECT = Dialect(
    "pyskl",
    "PYSKL's and MMAction2 1.x's annotation file",
    "a pickle: dict with `split` and `annotations`",
)
NAME = DIALECT.name


def convert(
    source: str | os.PathLike[str], destination: str | os.PathLike[str], **options: Unpack[ConvertOptions]
) -> None:
    """Convert one pickle. Raises SourceError if it is not of this dialect, else what ``convert_source`` raises."""
    from converters.conversion.convert import convert_source

    convert_source(AnnotationFile(source, NAME), destination, **options)
