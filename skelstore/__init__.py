"""skelstore: skeleton annotations in chunked Zarr arrays, read by video at random.

``open`` reads a store, ``Writer`` writes one. The command line and foreign dialects are in ``converters``.
"""

from skelstore.decompressed import Decompressed
from skelstore.decompression import decompress_pose
from skelstore.errors import (
    AmbiguousVideoError,
    DamageError,
    DecompressionError,
    EmptyVideoError,
    FieldNotFoundError,
    FrameIndexError,
    MissingPackageError,
    SkelstoreError,
    SourceError,
    SplitNotFoundError,
    StoreError,
    StoreExistsError,
    StoreNotFoundError,
    UnsupportedValueError,
    VideoIndexError,
    VideoNotFoundError,
)
from skelstore.store import Field, LazyAnnotation, Store, open
from skelstore.writer import Writer

__all__ = [
    "AmbiguousVideoError",
    "DamageError",
    "Decompressed",
    "DecompressionError",
    "EmptyVideoError",
    "Field",
    "FieldNotFoundError",
    "FrameIndexError",
    "LazyAnnotation",
    "MissingPackageError",
    "SkelstoreError",
    "SourceError",
    "SplitNotFoundError",
    "Store",
    "StoreError",
    "StoreExistsError",
    "StoreNotFoundError",
    "UnsupportedValueError",
    "VideoIndexError",
    "VideoNotFoundError",
    "Writer",
    "decompress_pose",
    "open",
]
