"""A bare list of annotations in one pickle: MMAction2 0.x, and what many scripts of users write."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Unpack

from converters.dialects.dialect import Dialect
from converters.inputs.annotation_file import AnnotationFile

if TYPE_CHECKING:
    from converters.conversion.convert import ConvertOptions

DIALECT = Dialect("list", "a bare list of annotations, as of MMAction2 0.x", "a pickle: list of annotations")
NAME = DIALECT.name


def convert(
    source: str | os.PathLike[str], destination: str | os.PathLike[str], **options: Unpack[ConvertOptions]
) -> None:
    """Convert one pickle. Raises SourceError if it is not of this dialect, else what ``convert_source`` raises."""
    from converters.conversion.convert import convert_source

    convert_source(AnnotationFile(source, NAME), destination, **options)
