"""skelstore: skeleton annotations in chunked Zarr arrays, read by video at random.

``open`` reads a store, ``Writer`` writes one. The command line and foreign dialects are in ``converters``.
"""

from skelstore.errors import (
    AmbiguousVideoError,
    DamageError,
    FieldNotFoundError,
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
    "Field",
    "FieldNotFoundError",
    "LazyAnnotation",
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
    "open",
]
