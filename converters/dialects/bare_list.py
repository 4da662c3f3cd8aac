"""A bare list of annotations in one pickle: MMAction2 0.x, and what many scripts of users write."""

from __future__ import annotations

import os
from typing import Unpack

from converters.conversion.convert import ConvertOptions, convert_source
from converters.inputs.annotation_file import AnnotationFile

NAME = "list"


def convert(
    source: str | os.PathLike[str], destination: str | os.PathLike[str], **options: Unpack[ConvertOptions]
) -> None:
    """Convert one pickle. Raises SourceError if it is not of this dialect, else what ``convert_source`` raises."""
    convert_source(AnnotationFile(source, NAME), destination, **options)
