"""The top of a pickle, as a store keeps it: a layout in which splits and annotations are only named."""

from __future__ import annotations

from skelstore.format.values import Json

PYSKL_DOCUMENT: Json = {"dict": [["split", {"splits": True}], ["annotations", {"annotations": True}]]}

LIST_DOCUMENT: Json = {"annotations": True}

SINGLE_DOCUMENT: Json = {"annotation": True}
