"""The words that options of functions and commands accept: profiles, levels of verification, kinds of conflicts.

Only the standard library is imported with this module, so that the command line lists and completes the words at once.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

Profile: TypeAlias = Literal["fast", "default", "small"]
PROFILES: tuple[Profile, ...] = get_args(Profile)
"""How the chunks of a store are encoded; ``skelstore.format.codecs`` says with which codecs."""

Level: TypeAlias = Literal["structure", "checksums", "decode"]
LEVELS: tuple[Level, ...] = get_args(Level)
"""How thoroughly a store is verified; each level does what those before it do."""

Conflict: TypeAlias = Literal["ids", "fields", "joints", "labels", "document", "raw"]
CONFLICTS: tuple[Conflict, ...] = get_args(Conflict)
"""Kinds of contradictions between stores that are merged; ``skelstore.merge`` says what each is."""
