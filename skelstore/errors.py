"""Every error that skelstore raises on purpose.

::

    SkelstoreError
    ├── StoreError              (ValueError)         a store does not follow the format
    │   ├── DamageError                              its bytes are not the bytes that were written
    │   └── StoreReplacedError                       it was replaced or removed after it was opened
    ├── StoreNotFoundError      (FileNotFoundError)  there is no complete store at the path
    ├── StoreExistsError        (FileExistsError)    the destination is taken
    ├── VideoNotFoundError      (KeyError)           no video with this name
    ├── AmbiguousVideoError     (KeyError)           several videos with this name
    ├── VideoIndexError         (IndexError)         no video at this position
    ├── FrameIndexError         (IndexError)         the video has no such frame
    ├── SplitNotFoundError      (KeyError)           no split with this name
    ├── FieldNotFoundError      (KeyError)           the video has no such field
    ├── DecompressionError      (ValueError)         a video that cannot be decompressed
    │   └── EmptyVideoError                          … because no skeleton is left in it
    ├── HeatmapError            (ValueError)         skeletons of which no heatmaps can be drawn
    ├── JointLayoutError        (ValueError)         joints do not have a layout, or cannot be converted to it
    ├── DrawingError            (ValueError)         an annotation that cannot be drawn, or not as requested
    ├── UnsupportedValueError   (TypeError)          a value that no store can hold
    ├── MergeError              (ValueError)         stores that contradict each other
    ├── RemoteError             (OSError)            a server cannot be reached, or does not answer as expected
    │   ├── RemoteAccessError   (PermissionError)    it refuses access: credentials are missing or do not suffice
    │   └── RemoteBusyError                          it asks to come back later (429, 503), after all attempts
    ├── MissingPackageError     (ImportError)        a package is missing or has the wrong version
    ├── SourceError             (ValueError)         a source file does not follow its dialect
    └── WorkerError             (RuntimeError)       a process that writes parts of a store died

A message is one sentence: which file, which place in it, what was found, what was expected, what to do. Names in a
message may come from untrusted files: ``str`` escapes them, on one line. ``join_lines`` makes a message of several
lines.
"""

from __future__ import annotations

from skelstore.wording import escape, join_lines


class SkelstoreError(Exception):
    """The base of all errors that skelstore raises on purpose; catch it to catch all of them.

    PyTorch's DataLoader raises the error of a worker anew, with the worker's traceback in its text. If a class has the
    attribute ``message``, it gives the text by this name (torch/_utils.py, ExceptionWrapper): its lines are kept.
    """

    def __init__(self, *arguments: object, message: str | None = None) -> None:
        super().__init__(*(arguments if message is None else (join_lines(message.splitlines()),)))

    @property
    def message(self) -> str:
        """The text of the error, as ``str`` returns it."""
        return str(self)

    def __str__(self) -> str:
        # KeyError shows the repr of its argument; the message must stay a plain sentence.
        if not self.args:
            return ""
        return escape(self.args[0] if isinstance(self.args[0], str) else str(self.args[0]))


class StoreError(SkelstoreError, ValueError):
    """A store or one of its files does not follow the format."""


class DamageError(StoreError):
    """The bytes of a store are not the bytes that were written: a file is damaged, cut short, missing or swapped."""


class StoreReplacedError(StoreError):
    """The store was replaced or removed after it was opened, so the rest of it cannot be read."""


class StoreNotFoundError(SkelstoreError, FileNotFoundError):
    """There is no complete store at the path."""


class StoreExistsError(SkelstoreError, FileExistsError):
    """The destination is taken."""


class VideoNotFoundError(SkelstoreError, KeyError):
    """No video with this name."""


class AmbiguousVideoError(SkelstoreError, KeyError):
    """Several videos with this name: read them by position."""


class VideoIndexError(SkelstoreError, IndexError):
    """No video at this position."""


class FrameIndexError(SkelstoreError, IndexError):
    """The video has no such frame."""


class SplitNotFoundError(SkelstoreError, KeyError):
    """No split with this name."""


class FieldNotFoundError(SkelstoreError, KeyError):
    """The video, or the whole store, has no such field."""


class DecompressionError(SkelstoreError, ValueError):
    """A compressed video whose arrays are inconsistent or do not have the required form."""


class EmptyVideoError(DecompressionError):
    """No skeleton of the video is left to decompress."""


class HeatmapError(SkelstoreError, ValueError):
    """Skeletons of which no heatmaps can be drawn: not dense, not finite, or of an image of an impossible size."""


class JointLayoutError(SkelstoreError, ValueError):
    """Joints do not have the stated layout, or one joint layout cannot be converted to another."""


class DrawingError(SkelstoreError, ValueError):
    """An annotation that cannot be drawn, or not as it was requested."""


class UnsupportedValueError(SkelstoreError, TypeError):
    """A value that no store can hold.

    ``place`` is its place in the annotation (``.foo[2]``), ``value`` the value itself.
    """

    def __init__(self, text: str = "", place: str = "", value: object = None, *, message: str | None = None) -> None:
        super().__init__(text, message=message)
        self.place = place
        self.value = value


class MergeError(SkelstoreError, ValueError):
    """Stores that contradict each other and are not merged; the message lists all conflicts, one per line."""


class RemoteError(SkelstoreError, OSError):
    """A server cannot be reached, or its answer is not what a request asked for, after all attempts."""


class RemoteAccessError(RemoteError, PermissionError):
    """A server refuses access (401, 403): credentials are missing, wrong, or do not suffice."""


class RemoteBusyError(RemoteError):
    """A server asks to come back later (429, 503), and did so after all attempts."""


class MissingPackageError(SkelstoreError, ImportError):
    """A package that a part of skelstore needs is not installed, or its version does not match the others."""


class SourceError(SkelstoreError, ValueError):
    """A source file does not follow its dialect, or is not data."""


class WorkerError(SkelstoreError, RuntimeError):
    """A process that writes parts of a store died, cannot be reached, or does not have the source."""
