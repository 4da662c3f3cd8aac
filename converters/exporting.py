"""Export of a store to the pickles or arrays of a dialect, one video at a time."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from converters.choices import FORMATS as FORMATS
from converters.choices import Format as Format
from converters.choices import Normalization
from converters.dialects import bare_list, pyskl
from converters.dialects.dialect import Dialect
from converters.dialects.gcn import ctrgcn
from converters.dialects.registry import DIALECTS
from skelstore import Store
from skelstore.errors import SourceError
from skelstore.format.files import local_path
from skelstore.read.source_order import in_source_order
from skelstore.wording import closest

_PICKLES = (".pkl", ".pickle")
_PICKLED = (pyskl.NAME, bare_list.NAME)
"""Dialects that can be written as one pickle, whatever the source was."""


def export(
    store: Store,
    out: str | os.PathLike[str],
    *,
    format: Format | None = None,
    kpfiles: str | os.PathLike[str] | None = None,
    kpfile_videos: int | None = None,
    split_train: str | None = None,
    split_test: str | None = None,
    frames: int | None = None,
    normalize: Normalization | None = None,
    force: bool = False,
    advance: Callable[[int], None] | None = None,
) -> None:
    """Write the videos of a store, or of a view, as pickles that load with Python 3.7 and NumPy 1 and 2, or as arrays.

    If ``format`` is None, the store is written in the dialect that it was made from, with the same values as the
    source. ``out`` is a file or, for a store made from a folder of annotations, a folder. For ``kinetics`` it is the
    table of contents, and the kpfiles go to the folder ``kpfiles`` (default: ``kpfiles`` beside ``out``): the same
    kpfiles as in the source, or ``kpfile_videos`` videos per kpfile. For ``ctrgcn`` it is a .npz, for ``stgcn`` a
    folder of arrays and label pickles; ``split_train`` and ``split_test`` are the splits for their parts, whose rows
    follow the lists of the splits, ``frames`` is T (default: of the longest clip), and ``normalize`` (``agcn``, for
    ``stgcn``) normalises clips as 2s-AGCN does. ``advance`` is called with the number of videos written since the last
    call.

    Videos of a shuffled store are written in the order of its source; those of a view that has an order of its own, in
    that order.

    A name that ends in .npz is accepted for ``ctrgcn`` alone, one of a pickle for all others.

    Raises StoreExistsError if the destination exists and ``force`` is false. With ``force``, it is raised if a folder
    to be replaced holds anything but pickles and .npy files, or is beside ``out`` without a sign that it belongs to it.
    Raises StoreError if the folder to write to is missing; SourceError if the store does not have what the format
    needs.
    """
    if kpfile_videos is not None and kpfile_videos < 1:
        raise SourceError(f"kpfile_videos is {kpfile_videos}, expected 1 or more")
    if frames is not None and frames < 1:
        raise SourceError(f"frames is {frames}, expected 1 or more")
    out = local_path(out)
    dialect = _choose_dialect(store, format)
    _refuse_suffix(out, dialect)
    options: dict[str, Any] = {
        **{"kpfiles": kpfiles, "kpfile_videos": kpfile_videos, "split_train": split_train, "split_test": split_test},
        **{"frames": frames, "normalize": normalize},
    }
    options = {name: value for name, value in options.items() if value is not None}
    for name in options:
        if name not in dialect.export_options:
            formats = [other.name for other in DIALECTS.values() if name in other.export_options]
            raise SourceError(
                f"{store.path}: {name} goes with the format {' or '.join(formats)}, not with {dialect.name}"
            )
    assert dialect.export is not None
    dialect.export(in_source_order(store), out, force=force, advance=advance, **options)


def _refuse_suffix(out: Path, dialect: Dialect) -> None:
    """Raise SourceError if the name to write ends like a file of another kind: a --format was perhaps forgotten."""
    suffix = out.suffix.lower()
    others = {".npz": (ctrgcn.NAME,)} if dialect.name != ctrgcn.NAME else dict.fromkeys(_PICKLES, _PICKLED)
    if suffix in others:
        raise SourceError(
            f"{out} would be written in the format {dialect.name}, which is no {suffix}: state the format with "
            f"--format ({', '.join(others[suffix])}), or choose another name"
        )


def _choose_dialect(store: Store, format: Format | None) -> Dialect:
    """The dialect to write: ``format``, else the dialect of the store.

    If that has no export of its own, the store is written as a bare list if its source was one, else as PYSKL's dict.
    Raises SourceError if ``format`` is unknown.
    """
    name = format or store.source.get("dialect")
    dialect = DIALECTS.get(name) if isinstance(name, str) else None
    if dialect is not None and dialect.export is not None:
        return dialect
    if format is not None:
        raise SourceError(f"format {format!r}; expected one of {', '.join(FORMATS)}{closest(format, FORMATS)}")
    document = store.source.get("document")
    is_list = isinstance(document, dict) and "annotations" in document
    return bare_list.DIALECT if is_list else pyskl.DIALECT
