"""Every error that skelstore raises on purpose.

::

    SkelstoreError
    ├── StoreError              (ValueError)         a store is not as the format says
    │   ├── DamageError                              its bytes are not those that were written
    │   └── StoreReplacedError                       another store has its path since it was opened
    ├── StoreNotFoundError      (FileNotFoundError)  nothing committed stands at the path
    ├── StoreExistsError        (FileExistsError)    the destination is taken
    ├── VideoNotFoundError      (KeyError)           no video of that name
    ├── AmbiguousVideoError     (KeyError)           several videos of that name
    ├── VideoIndexError         (IndexError)         no video at that position
    ├── FrameIndexError         (IndexError)         no such frame in the video
    ├── SplitNotFoundError      (KeyError)           no split of that name
    ├── FieldNotFoundError      (KeyError)           the video has no such field
    ├── DecompressionError      (ValueError)         a video that cannot be decompressed
    │   └── EmptyVideoError                          … since no skeleton of it is left
    ├── JointLayoutError        (ValueError)         joints are not of the layout, or it cannot become another
    ├── UnsupportedValueError   (TypeError)          a value that no store can hold
    ├── MergeError              (ValueError)         stores that contradict each other
    ├── MissingPackageError     (ImportError)        a package is not installed, or not fit
    ├── SourceError             (ValueError)         a foreign file is not as its dialect says
    └── WorkerError             (RuntimeError)       a process that writes parts of a store died

A message is one sentence: which file, which place in it, what was found, what was expected, what to do. Names in it may
come from outside: ``str`` shows them escaped, on one line. A message of several lines is made by ``join_lines``.
"""

from __future__ import annotations

from skelstore.wording import escape


class SkelstoreError(Exception):
    """Root of the tree; catch it to catch everything that skelstore raises on purpose."""

    def __str__(self) -> str:
        # KeyError shows the repr of its argument; a sentence must stay a sentence.
        if not self.args:
            return ""
        return escape(self.args[0] if isinstance(self.args[0], str) else str(self.args[0]))


class StoreError(SkelstoreError, ValueError):
    """A store, or a file of it, is not as the format says."""


class DamageError(StoreError):
    """The bytes of a store are not those that were written: damaged, cut short, missing or swapped."""


class StoreReplacedError(StoreError):
    """Another store has the path since this one was opened, or none: what is still to be read is not of this one."""


class StoreNotFoundError(SkelstoreError, FileNotFoundError):
    """Nothing committed stands at the path."""


class StoreExistsError(SkelstoreError, FileExistsError):
    """The destination is taken."""


class VideoNotFoundError(SkelstoreError, KeyError):
    """No video of that name."""


class AmbiguousVideoError(SkelstoreError, KeyError):
    """Several videos of that name: read them by position."""


class VideoIndexError(SkelstoreError, IndexError):
    """No video at that position."""


class FrameIndexError(SkelstoreError, IndexError):
    """No such frame in the video."""


class SplitNotFoundError(SkelstoreError, KeyError):
    """No split of that name."""


class FieldNotFoundError(SkelstoreError, KeyError):
    """The video, or the whole store, has no such field."""


class DecompressionError(SkelstoreError, ValueError):
    """A compressed video whose arrays contradict each other, or are not as they have to be."""


class EmptyVideoError(DecompressionError):
    """No skeleton of the video is left to decompress."""


class JointLayoutError(SkelstoreError, ValueError):
    """Joints are not of the layout that was stated, or one layout cannot become another."""


class UnsupportedValueError(SkelstoreError, TypeError):
    """A value that no store can hold.

    ``place`` is where it stands inside the annotation (``.foo[2]``), ``value`` the value itself.
    """

    def __init__(self, message: str, place: str = "", value: object = None) -> None:
        super().__init__(message)
        self.place = place
        self.value = value


class MergeError(SkelstoreError, ValueError):
    """Stores that contradict each other, and so are not merged: all contradictions, a line each."""


class MissingPackageError(SkelstoreError, ImportError):
    """A package is not installed that only a part of skelstore needs, or its version does not fit the others."""


class SourceError(SkelstoreError, ValueError):
    """A foreign file is not as its dialect says, or is not data."""


class WorkerError(SkelstoreError, RuntimeError):
    """A process that writes parts of a store died, or cannot be reached."""
