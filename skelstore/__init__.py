"""Skeleton annotations for action recognition in chunked Zarr arrays, with random access by video.

Open a store, and read a video by its name::

    import skelstore

    store = skelstore.open("ntu60.zarr")
    annotation = store["S001C001P001R001A001"]  # the dict that was converted: keypoint [M, T, V, C], label, …
    train = store.split("xsub_train")

Convert a PYSKL pickle, or another source, to a store on the command line::

    skelstore convert ntu60_hrnet.pkl ntu60.zarr

``compiled`` says whether the compiled reader is used, which is several times faster than the one in Python.
``Writer`` writes a store, ``merge`` and ``subset`` make stores from stores. ``skelstore.torch``,
``skelstore.mmaction2``, ``skelstore.pyskl`` and ``skelstore.gcn`` have the data sets for training, ``skelstore.joints``
the joint layouts, ``skelstore.heatmaps`` the heatmap volumes of PoseC3D.
The command line and the dialects of sources are in ``converters``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skelstore import errors as errors
    from skelstore import heatmaps as heatmaps
    from skelstore import joints as joints
    from skelstore.combine.merging import merge
    from skelstore.combine.subsetting import subset
    from skelstore.errors import (
        AmbiguousVideoError,
        DamageError,
        DecompressionError,
        DrawingError,
        EmptyVideoError,
        FieldNotFoundError,
        FrameIndexError,
        HeatmapError,
        JointLayoutError,
        MergeError,
        MissingPackageError,
        RemoteAccessError,
        RemoteBusyError,
        RemoteError,
        SkelstoreError,
        SourceError,
        SplitNotFoundError,
        StoreError,
        StoreExistsError,
        StoreNotFoundError,
        StoreReplacedError,
        UnsupportedValueError,
        VideoIndexError,
        VideoNotFoundError,
        WorkerError,
    )
    from skelstore.read.decompression import decompress_pose
    from skelstore.read.lazy import LazyAnnotation
    from skelstore.read.store import Decompressed, Field, Store, open
    from skelstore.write.writer import Writer

    __version__: str
    compiled: bool

__all__ = [
    "AmbiguousVideoError",
    "DamageError",
    "Decompressed",
    "DecompressionError",
    "DrawingError",
    "EmptyVideoError",
    "Field",
    "FieldNotFoundError",
    "FrameIndexError",
    "HeatmapError",
    "JointLayoutError",
    "LazyAnnotation",
    "MergeError",
    "MissingPackageError",
    "RemoteAccessError",
    "RemoteBusyError",
    "RemoteError",
    "SkelstoreError",
    "SourceError",
    "SplitNotFoundError",
    "Store",
    "StoreError",
    "StoreExistsError",
    "StoreNotFoundError",
    "StoreReplacedError",
    "UnsupportedValueError",
    "VideoIndexError",
    "VideoNotFoundError",
    "WorkerError",
    "Writer",
    "decompress_pose",
    "merge",
    "open",
    "subset",
]

_MODULES = {
    "Decompressed": "read.store",
    "Field": "read.store",
    "LazyAnnotation": "read.lazy",
    "Store": "read.store",
    "Writer": "write.writer",
    "decompress_pose": "read.decompression",
    "merge": "combine.merging",
    "open": "read.store",
    "subset": "combine.subsetting",
}
"""The modules of the exported names, except the errors, which are all in ``errors``."""


def __getattr__(name: str) -> Any:
    # Imported on access: reading does not load the code that writes, and an error loads nothing else.
    if name in __all__:
        value: Any = getattr(import_module(f"skelstore.{_MODULES.get(name, 'errors')}"), name)
    elif name in (
        "errors",
        "gcn",
        "heatmaps",
        "joints",
    ):  # gcn, since 2s-AGCN imports no submodule of the class that it is given
        value = import_module(f"skelstore.{name}")
    elif name == "compiled":
        from skelstore.read.compiled import COMPILED as value
    elif name == "__version__":
        from importlib.metadata import version

        value = version("skelstore")
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__", "compiled", "errors", "heatmaps", "joints"})
