"""Writing some of a store's videos as a new store."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from skelstore import splits
from skelstore.errors import StoreError
from skelstore.format.codecs import PROFILES, Profile
from skelstore.format.values import Json
from skelstore.read.identifiers import identifier, identifier_of
from skelstore.read.source_order import source_ranks
from skelstore.read.store import Store, table_rows
from skelstore.write.joining import join
from skelstore.write.parts import Part, PartWriter
from skelstore.write.planning import Planner
from skelstore.write.workspace import Workspace


def subset(
    view: Store,
    path: str | os.PathLike[str],
    *,
    force: bool = False,
    advance: Callable[[int], None] | None = None,
) -> None:
    """Write the videos of a view, in its order, as a new store at ``path``, which appears only when it is complete.

    ::

        skelstore.subset(store.split("xsub_train"), "train.zarr")

    Splits keep the ids of these videos; a split without any of them is dropped. The profile and the source are kept, so
    the subset can be exported like the whole store. A subset of a shuffled store is shuffled, unless the view has an
    order of its own: then this order is kept, and exported. Memory holds a buffer per field and the table of one part.
    ``advance`` is called with the number of videos written since the last call.

    Raises StoreExistsError if ``path`` is taken (``force`` replaces a store there), StoreError if splits would identify
    videos by another key in the subset than in the whole store, and everything that reading raises.
    """
    key = _identifier(view)
    ranks = source_ranks(view)
    with Workspace(path, force=force) as workspace:
        planner = Planner(_profile(view))
        for annotation in view:
            if planner.full:
                break
            planner.add(annotation)
        plan = planner.plan()
        ids: set[Any] = set()
        parts: list[Part] = []
        part: PartWriter | None = None
        try:
            for i, origin in enumerate(view.origins()):
                part = part or PartWriter(workspace.parts / f"{len(parts):05}", plan)
                annotation = view[i]
                part.add(annotation, origin, None if ranks is None else int(ranks[i]))
                ids |= splits.hashed(annotation[key]) if key in annotation else set()
                if part.full:
                    parts.append(part.close())
                    part = None
                if advance:
                    advance(1)
            if part:
                parts.append(part.close())
        finally:
            if part:
                part.abort()
        kept = splits.keep_ids(view.splits, lambda one: not ids.isdisjoint(splits.hashed(one)))
        join(parts, plan, kept, _source(view, shuffled=ranks is not None), workspace.store)
        workspace.commit()


def _profile(view: Store) -> Profile:
    return next((profile for profile in PROFILES if profile == view.profile), "default")


def _identifier(view: Store) -> str:
    """The key by which ids of splits identify videos. Raises StoreError if it is not the key of the whole store."""
    key = identifier(table_rows(view)[0])
    if len(view) and view.splits and (other := identifier_of(view.lazy(0))) != key:
        raise StoreError(
            f"{view.path}: its splits name videos by {key}, but in a subset that starts with {view.name(0)!r} videos "
            f"are found by {other}: start with a video that has {'a' if key == 'filename' else 'no'} filename"
        )
    return key


def _source(view: Store, *, shuffled: bool) -> dict[str, Json]:
    """The source of the whole store, without ``size`` and ``left_out``, which do not apply to some of its videos.

    Also without ``shuffled`` if they are not.
    """
    dropped = ("size", "left_out") if shuffled else ("size", "left_out", "shuffled")
    source = {key: value for key, value in view.source.items() if key not in dropped}
    if source.get("dialect") == "single" and len(view) != 1:  # that is, no videos
        del source["dialect"]
        source.pop("document", None)
    return source
