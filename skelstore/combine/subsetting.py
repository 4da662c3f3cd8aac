"""A store of some of another's videos."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from skelstore import splits
from skelstore.errors import StoreError
from skelstore.format.codecs import PROFILES, Profile
from skelstore.format.values import Json
from skelstore.read.identifiers import identifier, identifier_of
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
    """Write the videos of a view, in its order, as a store of their own at ``path``, which is whole or not there.

    ::

        skelstore.subset(store.split("xsub_train"), "train.zarr")

    Splits keep the ids that find one of the videos; those in which none is left are left out. The profile and what is
    known of the source stay, so that it exports as the whole does. Memory holds one chunk a field and the table of a
    part. ``advance`` is called with the number of videos that were written.

    Raises StoreExistsError if ``path`` is taken (``force`` replaces a store there), StoreError if splits would find
    the videos of the subset by another key than those of the whole, and as reading does.
    """
    key = _identifier(view)
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
                part.add(annotation, origin)
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
        kept = splits.filter_ids(view.splits, lambda one: not ids.isdisjoint(splits.hashed(one)))
        join(parts, plan, kept, _source(view), workspace.store)
        workspace.commit()


def _profile(view: Store) -> Profile:
    return next((profile for profile in PROFILES if profile == view.profile), "default")


def _identifier(view: Store) -> str:
    """The key by which ids of splits find videos. Raises StoreError if it is not that of the whole store."""
    key = identifier(table_rows(view)[0])
    if len(view) and view.splits and (other := identifier_of(view.lazy(0))) != key:
        raise StoreError(
            f"{view.path}: its splits name videos by {key}, but those of a subset that begins with {view.name(0)!r} "
            f"would be found by {other}: begin with a video that has {'a' if key == 'filename' else 'no'} filename"
        )
    return key


def _source(view: Store) -> dict[str, Json]:
    """As the whole store's; the size, and what was left out of it, are not those of some videos."""
    source = {key: value for key, value in view.source.items() if key not in ("size", "left_out")}
    if source.get("dialect") == "single" and len(view) != 1:  # no videos at all
        del source["dialect"]
        source.pop("document", None)
    return source
