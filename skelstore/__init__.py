"""skelstore: skeleton annotations in chunked Zarr arrays, read by video at random.

``open`` reads a store, ``Writer`` writes one, ``merge`` and ``subset`` make one of others. The command line and foreign
dialects are in ``converters``.
"""

from skelstore import packages  # noqa: F401 - first: it says so if the packages below do not fit together
from skelstore.combine.merging import merge
from skelstore.combine.subsetting import subset
from skelstore.errors import (
    AmbiguousVideoError,
    DamageError,
    DecompressionError,
    EmptyVideoError,
    FieldNotFoundError,
    FrameIndexError,
    JointLayoutError,
    MergeError,
    MissingPackageError,
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
from skelstore.read.decompressed import Decompressed
from skelstore.read.decompression import decompress_pose
from skelstore.read.lazy import LazyAnnotation
from skelstore.read.store import Field, Store, open
from skelstore.write.writer import Writer

__all__ = [
    "AmbiguousVideoError",
    "DamageError",
    "Decompressed",
    "DecompressionError",
    "EmptyVideoError",
    "Field",
    "FieldNotFoundError",
    "FrameIndexError",
    "JointLayoutError",
    "LazyAnnotation",
    "MergeError",
    "MissingPackageError",
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
