"""The ``source`` of merged stores: where their data came from."""

from __future__ import annotations

from collections.abc import Sequence

from skelstore.errors import StoreError
from skelstore.format import values
from skelstore.format.schema import ORIGIN_COLUMNS
from skelstore.format.values import Json
from skelstore.joints import is_guess
from skelstore.read.reader import Reader


def join_sources(readers: Sequence[Reader], with_splits: bool) -> dict[str, Json]:
    """Join the ``source`` of the stores; if they all have one dialect, the merged store can be exported in it.

    Raises StoreError if the ``source`` of a store does not follow the format.
    """
    try:
        return _join(readers, with_splits)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        paths = ", ".join(str(reader.path) for reader in readers)
        raise StoreError(f"{paths}: the source of a store does not follow the format ({error!r})") from error


def _join(readers: Sequence[Reader], with_splits: bool) -> dict[str, Json]:
    sources = [reader.metadata.source for reader in readers]
    source: dict[str, Json] = {"dialect": _dialect(readers, with_splits)}
    names = [str(s["name"]) for s in sources if "name" in s]
    if names:
        source["name"] = " + ".join(names)
    sizes = [s.get("size") for s in sources]
    if all(type(size) is int for size in sizes):
        source["size"] = sum(sizes)
    document = _document([s.get("document") for s in sources], with_splits)
    if document is not None:
        source["document"] = document
    if any("kpfiles" in s for s in sources):
        source["kpfiles"] = "many" if any(s.get("kpfiles") == "many" for s in sources) else "video"
    for key in ("joints", "class_names"):  # the first stated value; a different one is a conflict unless allowed
        source |= next(({key: s[key]} for s in sources if s.get(key) and not is_guess(s[key])), {})
    for key in ("recipe", "task", "tracking"):
        if key in sources[0] and all(s.get(key) == sources[0][key] for s in sources):
            source[key] = sources[0][key]
    ignored = [name for s in sources for name in s.get("ignored", [])]
    if ignored:
        source["ignored"] = sorted(ignored)
    left_out: list[Json] = []
    before = 0
    for reader, s in zip(readers, sources, strict=True):
        entries = s.get("left_out", [])  # entries without an index are not videos of the source
        left_out += [one if one["index"] is None else {**one, "index": one["index"] + before} for one in entries]
        before += reader.metadata.videos + sum(one["index"] is not None for one in entries)
    if any("left_out" in s for s in sources):
        source["left_out"] = left_out
    return source


def _dialect(readers: Sequence[Reader], with_splits: bool) -> str:
    """The dialect that all stores share, if the merged videos can be exported in it; else ``merge``."""
    sources = [reader.metadata.source for reader in readers]
    dialects = {s.get("dialect") for s in sources}
    if len(dialects) > 1 or any(len({s.get(key) for s in sources}) > 1 for key in ("kpfiles", "recipe")):
        return "merge"
    (dialect,) = dialects
    files = [set(r.table[ORIGIN_COLUMNS[0]].to_pylist()) for r in readers if ORIGIN_COLUMNS[0] in r.table.column_names]
    one_each = dialect in ("folder", "gcn-clips") or sources[0].get("kpfiles") == "video"
    clash = one_each and sum(map(len, files)) > len(set().union(*files))
    if not isinstance(dialect, str) or dialect == "single" or (dialect == "list" and with_splits) or clash:
        return "merge"
    return dialect


def _document(documents: Sequence[Json], with_splits: bool) -> Json:
    """The top of a pickle of all videos: the keys of the first document that is a dict, then new keys of the others."""
    dicts = [document for document in documents if _is_dict(document)]
    if not dicts:
        same = all(document == {"annotations": True} for document in documents)
        return {"annotations": True} if same and not with_splits else None
    entries = list(dicts[0]["dict"])
    known = {values.dumps(key) for key, _ in entries}
    for key, node in (entry for document in dicts[1:] for entry in document_values(document)):
        if values.dumps(key) not in known:
            known.add(values.dumps(key))
            entries.append([key, {"value": node}])
    if with_splits and not any("splits" in node for _, node in entries) and values.dumps("split") not in known:
        entries.insert(0, ["split", {"splits": True}])
    return {"dict": entries}


def _is_dict(document: Json) -> bool:
    return isinstance(document, dict) and "dict" in document


def document_values(document: Json) -> list[tuple[Json, Json]]:
    """Keys and values at the top of a source, except its splits and annotations, as typed JSON.

    Raises StoreError if the document does not follow the format.
    """
    try:
        entries = document.get("dict", []) if isinstance(document, dict) else []
        return [(key, node["value"]) for key, node in entries if "value" in node]
    except (TypeError, ValueError) as error:
        raise StoreError(f"the document in the source of a store does not follow the format ({error})") from error
