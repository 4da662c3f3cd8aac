"""The words that options of functions and commands accept: models that data are checked for, dialects of an export.

Only the standard library is imported with this module, so that the command line lists and completes the words at once.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

Model: TypeAlias = Literal["posec3d", "stgcn"]
MODELS: tuple[Model, ...] = get_args(Model)
"""Models whose pipelines a data set is checked for."""

Format: TypeAlias = Literal["pyskl", "list", "kinetics"]
FORMATS: tuple[Format, ...] = get_args(Format)
"""Dialects that any store can be exported as."""
