"""The error for a file or folder that no dialect recognises: what it is, and what to do with it."""

from __future__ import annotations

from collections.abc import Sequence

from converters.dialects import array_folder, bare_list, extraction, pyskl, single
from converters.inputs.annotation_file import describe_top, holds_annotations
from converters.inputs.array_file import SUFFIXES
from converters.inputs.candidate import Candidate
from converters.inputs.recognition import (
    IN_FOLDER,
    describe_dict,
    describe_elements,
    describe_folder,
    describe_one_array,
    describe_pair,
    describe_value,
    holds_annotation,
)
from converters.pickles.file import PickleFile
from skelstore.errors import SourceError


def decline(candidate: Candidate, suffixes: Sequence[str]) -> SourceError:
    """The error for a path that no dialect recognises; ``suffixes`` are those of all dialects' files in folders."""
    path = candidate.path
    if candidate.is_folder:
        return _decline_folder(candidate, suffixes)
    if candidate.header is not None:
        return SourceError(f"{path} {describe_one_array(candidate.header.dtype, candidate.header.shape, IN_FOLDER)}")
    if candidate.pickle is None:
        assert candidate.refusal is not None
        return candidate.refusal
    return _decline_pickle(candidate.pickle, labelled=candidate.labelled)


def _decline_folder(candidate: Candidate, suffixes: Sequence[str]) -> SourceError:
    path = candidate.path
    pickles, arrays = candidate.files(".pkl"), candidate.files(*SUFFIXES)
    if not pickles and not arrays:
        return SourceError(f"{path} {describe_folder(path, suffixes)}")
    if arrays and (description := describe_pair(sorted([*pickles, *arrays]))):
        return SourceError(f"{path} {description}")
    if arrays:
        return SourceError(
            f"{path} has pickles and arrays ({pickles[0].name} …): choose which to convert by --from {extraction.NAME} "
            f"or --from {array_folder.NAME}"
        )
    if candidate.pickle is None:
        assert candidate.refusal is not None
        return candidate.refusal
    return _decline_in_folder(candidate, candidate.pickle, len(pickles))


def _decline_in_folder(candidate: Candidate, pickle: PickleFile, count: int) -> SourceError:
    """The error for a folder whose first pickle is neither an annotation nor a list of them."""
    if pickle.root_kind == "dict" and holds_annotations(pickle):
        what, how = f"{pickle.path.name}, which is a whole data set", f"convert {pickle.path.name} itself"
        if count > 1:
            what = f"{count} pickles, and {pickle.path.name} is a whole data set"
            how = "convert each of them, then `skelstore merge` the stores"
        return SourceError(f"{candidate.path} has {what}: {how}")
    if pickle.root_kind != "dict":
        return _decline_pickle(pickle, labelled=True)
    if description := _describe_kpfile(pickle):
        return SourceError(f"{pickle.path} {description}")
    description = describe_dict(pickle.keys)
    if count > 1:
        description = (
            f"(one of {count} pickles) {description}; if each file is a frame, join those of a video in one file"
        )
    return SourceError(f"{pickle.path} {description}; --from {single.FOLDER_NAME} converts each file as a video")


def _decline_pickle(pickle: PickleFile, *, labelled: bool) -> SourceError:
    """The error for a pickle that holds no annotations."""
    if holds_annotations(pickle):
        is_list = pickle.root_kind == "list"
        dialect = pyskl.NAME if not is_list else extraction.NAME if labelled else bare_list.NAME
        description = describe_elements(pickle, None if is_list else "annotations", dialect)
    elif pickle.root_kind == "dict":
        description = f"{describe_dict(pickle.keys)}; --from {single.NAME} converts it as it is"
        if not holds_annotation(pickle):
            description = _describe_kpfile(pickle) or description
    else:
        description = describe_value(pickle.root())
    expected = "expected annotations: a dict with 'annotations', a list of dicts, or one annotation"
    return SourceError(f"{pickle.path} {description or f'holds {describe_top(pickle)}; {expected}'}")


def _describe_kpfile(pickle: PickleFile) -> str | None:
    if pickle.keys and isinstance(first := pickle.value(pickle.keys[0]), dict) and "keypoint" in first:
        return (
            "looks like a kpfile of Kinetics: convert the table of contents that names it, with "
            f"--kpfiles {pickle.path.parent}"
        )
    return None
