"""The words that options of functions and commands accept: profiles, levels of verification, kinds of conflicts.

This module imports only the standard library, so that the command line can list and complete the words at once.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

Profile: TypeAlias = Literal["fast", "default", "small"]
PROFILES: tuple[Profile, ...] = get_args(Profile)
"""How the chunks of a store are encoded; ``skelstore.format.codecs`` says with which codecs."""

Level: TypeAlias = Literal["structure", "checksums", "decode"]
LEVELS: tuple[Level, ...] = get_args(Level)
"""How thoroughly a store is verified; each level includes those before it."""

Conflict: TypeAlias = Literal["ids", "fields", "joints", "labels", "document", "raw"]
CONFLICTS: tuple[Conflict, ...] = get_args(Conflict)
"""Kinds of conflicts between stores that are merged; ``skelstore.merge`` says what each is."""

Heatmap: TypeAlias = Literal["keypoint", "limb"]
HEATMAPS: tuple[Heatmap, ...] = get_args(Heatmap)
"""Kinds of heatmap volumes."""

CacheAction: TypeAlias = Literal["info", "clear"]
CACHE_ACTIONS: tuple[CacheAction, ...] = get_args(CacheAction)
"""What ``skelstore cache`` does with the cache of stores at URLs."""
