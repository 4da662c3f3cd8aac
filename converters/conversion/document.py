"""The top of a pickle as a store keeps it: its structure, with placeholders for the splits and annotations."""

from __future__ import annotations

from skelstore.format.values import Json

PYSKL_DOCUMENT: Json = {"dict": [["split", {"splits": True}], ["annotations", {"annotations": True}]]}

LIST_DOCUMENT: Json = {"annotations": True}
