"""The words that options of functions and commands accept: models to check data for, dialects to export to,
channels of clips; and the numbers that they accept.

This module imports only the standard library, so that the command line can list and complete the words quickly.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

Model: TypeAlias = Literal["posec3d", "stgcn"]
MODELS: tuple[Model, ...] = get_args(Model)
"""Models whose pipelines a data set can be checked for."""

Format: TypeAlias = Literal["pyskl", "list", "kinetics", "ctrgcn", "stgcn"]
FORMATS: tuple[Format, ...] = get_args(Format)
"""Dialects to which any store can be exported."""

Channels: TypeAlias = Literal["xys", "xyz"]
CHANNELS: tuple[Channels, ...] = get_args(Channels)
"""What the three channels of a clip of ST-GCN are: x, y and the score, or x, y and z."""

MOST_SEED = 2**63 - 1
"""Largest seed of a shuffled conversion: a store keeps it as an integer of 64 bits."""

Normalization: TypeAlias = Literal["agcn"]
NORMALIZATIONS: tuple[Normalization, ...] = get_args(Normalization)
"""Normalisations of exported clips: that of 2s-AGCN."""
