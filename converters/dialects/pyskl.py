"""PYSKL's and MMAction2 1.x's pickle: a dict with ``split`` and ``annotations`` (PYSKL tools/data/README.md)."""

from __future__ import annotations

import os
from typing import Unpack

from converters.conversion.convert import ConvertOptions, convert_source
from converters.inputs.annotation_file import AnnotationFile

NAME = "pyskl"


def convert(
    source: str | os.PathLike[str], destination: str | os.PathLike[str], **options: Unpack[ConvertOptions]
) -> None:
    """Convert one pickle. Raises SourceError if it is not of this dialect, else what ``convert_source`` raises."""
    convert_source(AnnotationFile(source, NAME), destination, **options)
