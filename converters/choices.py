"""The words that options of functions and commands accept: models to check data for, dialects to export to.

This module imports only the standard library, so that the command line can list and complete the words quickly.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

Model: TypeAlias = Literal["posec3d", "stgcn"]
MODELS: tuple[Model, ...] = get_args(Model)
"""Models whose pipelines a data set can be checked for."""

Format: TypeAlias = Literal["pyskl", "list", "kinetics"]
FORMATS: tuple[Format, ...] = get_args(Format)
"""Dialects to which any store can be exported."""
