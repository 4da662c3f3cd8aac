"""Hypothesis strategies for the content of stores and source files: values, annotations, whole data sets.

Arrays and floats are drawn from raw bits, so NaN payloads, infinities and -0.0 occur.
"""

from __future__ import annotations

import math
import struct
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

Annotation = dict[Any, Any]

DTYPES = [
    np.dtype(order + code if len(code) > 1 and code[-1] != "1" else code)
    for code in ("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")
    for order in ("<", ">")
]
"""Every dtype that an array of a store may have, one-byte ones twice."""

NUMPY_SCALAR_NAMES = [
    "bool",
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
    "float16",
    "float32",
    "float64",
]


class Dataset(NamedTuple):
    """The content of a pickle of PYSKL."""

    annotations: list[Annotation]
    splits: dict[Any, Any]


def from_bits(dtype: np.dtype[Any], data: bytes) -> np.ndarray[Any, Any]:
    """Values of a dtype from raw bytes; a bool is 0 or 1, as NumPy requires."""
    if dtype.kind == "b":
        return (np.frombuffer(data, np.uint8) & 1).astype(bool)
    return np.frombuffer(data, dtype).copy()


# ---------------------------------------------------------------------------------------------- scalars

texts = st.one_of(
    st.text(max_size=8),
    st.text(st.characters(exclude_categories=()), max_size=5),  # lone surrogates too
    st.sampled_from(
        ["", "\0", "a\0", "\n\r\n", "\ud800", "x\udfff", "é", "😀", "{}", "null", "nan", "a.b", " ", "-0.0"]
    ),
)
integers = st.one_of(
    st.integers(-5, 300),
    st.sampled_from([2**31, 2**53 + 1, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 2**64, 10**40, -(10**40)]),
    st.integers(),
)
floats = st.one_of(
    st.sampled_from([0.0, -0.0, math.inf, -math.inf, math.nan, -math.nan, 5e-324, 0.1, 1.7976931348623157e308]),
    st.integers(0, 2**64 - 1).map(lambda bits: struct.unpack("<d", struct.pack("<Q", bits))[0]),
    st.integers(1, 2**51 - 1).map(lambda payload: struct.unpack("<d", struct.pack("<Q", 0x7FF8 << 48 | payload))[0]),
    st.floats(-1e4, 1e4),
)
byte_strings = st.one_of(st.binary(max_size=6), st.sampled_from([b"", b"\0", b"\xff\xfe", b"a\0"]))


@st.composite
def numpy_scalars(draw: st.DrawFn) -> np.generic:
    """A NumPy scalar of bool, integer, float or str."""
    name = draw(st.sampled_from([*NUMPY_SCALAR_NAMES, "str"]))
    if name == "str":
        return np.str_(draw(texts))
    dtype = np.dtype(name)
    scalar: np.generic = from_bits(dtype, draw(st.binary(min_size=dtype.itemsize, max_size=dtype.itemsize)))[0]
    return scalar


scalars = st.one_of(st.none(), st.booleans(), integers, floats, texts, byte_strings, numpy_scalars())
dict_keys = st.one_of(texts, texts, byte_strings, integers, floats)

# ----------------------------------------------------------------------------------------------- arrays

_LAYOUTS = ["C", "C", "C", "F", "strided", "reversed", "transposed", "read-only"]


def laid_out(array: np.ndarray[Any, Any], layout: str) -> np.ndarray[Any, Any]:
    """An equal array with another memory layout."""
    if layout == "F":
        return np.asfortranarray(array).reshape(array.shape)  # asfortranarray makes a 0-d array 1-d in NumPy 1
    if layout == "read-only":
        array = array.copy()
        array.flags.writeable = False
        return array
    if layout == "strided" and array.ndim:
        wide = np.zeros((*array.shape[:-1], 2 * array.shape[-1] + 1), array.dtype)
        wide[..., 1::2] = array
        return wide[..., 1::2]
    if layout == "reversed" and array.ndim:
        return array[::-1].copy()[::-1]
    if layout == "transposed":
        return array.T.copy().T
    return array


@st.composite
def arrays(
    draw: st.DrawFn,
    shape: st.SearchStrategy[tuple[int, ...]] | None = None,
    dtype: st.SearchStrategy[np.dtype[Any]] | None = None,
) -> np.ndarray[Any, Any]:
    """An array of any storable dtype and shape: either byte order, 0-d, zero-size, Fortran-ordered, a strided view."""
    dims = draw(shape if shape is not None else hnp.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=4))
    kind = draw(dtype if dtype is not None else st.sampled_from(DTYPES))
    count = math.prod(dims)
    if draw(st.booleans()):
        data = np.random.default_rng(draw(st.integers(0, 2**32 - 1))).bytes(count * kind.itemsize)
        array = from_bits(kind, data).reshape(dims)
    else:
        array = np.zeros(dims, kind)
        array.reshape(-1)[: count // 2] = 1
    return laid_out(array, draw(st.sampled_from(_LAYOUTS)))


# ----------------------------------------------------------------------------------------------- values

values = st.recursive(
    st.one_of(scalars, scalars, scalars, arrays()),
    lambda children: st.one_of(
        st.lists(children, max_size=4),
        st.lists(children, max_size=6).map(tuple),
        st.dictionaries(dict_keys, children, max_size=4),
        st.dictionaries(st.sampled_from(["a", "b", "x.y", "keypoint", "frame_inds"]), children, max_size=3),
    ),
    max_leaves=12,
)
"""Any value that a store can hold, nested."""

plain_values = st.recursive(
    scalars,
    lambda children: st.one_of(
        st.lists(children, max_size=4),
        st.lists(children, max_size=6).map(tuple),
        st.dictionaries(dict_keys, children, max_size=4),
    ),
    max_leaves=8,
)
"""``values`` without arrays."""


@st.composite
def refused_values(draw: st.DrawFn) -> Any:
    """A value that no store can hold."""
    return draw(
        st.sampled_from(
            [
                object(),
                {1, 2},
                frozenset([1]),
                1j,
                bytearray(b"x"),
                range(3),
                np.complex64(1),
                np.bytes_(b"x"),
                np.datetime64("2020-01-01"),
                np.array([1j]),
                np.array(["x"]),
                np.array([None]),
                np.zeros(1, [("a", "<i4")]),
                np.array(["2020-01-01"], "datetime64[D]"),
                {(1, 2): 3},
                {None: 1},
                {np.int64(1): 1},
                type("MyList", (list,), {})(),
                type("MyInt", (int,), {})(3),
                np.ma.masked_array([1], [True]),
                int,
                memoryview(b"x"),
            ]
        )
    )


# ------------------------------------------------------------------------------------------ annotations

_NAMES = ["a", "b", "A", "jf7RDuUTrsQ", "JF7RDuUTrsQ", "S001C001P001R001A001", "", "a/b", "../x", "-x", "é"]
frame_dirs = st.one_of(
    st.sampled_from(_NAMES),
    st.sampled_from(_NAMES),
    st.text(max_size=6),
    texts,
    texts.map(np.str_),
)
odd_ids = st.one_of(
    st.integers(-3, 3),
    st.none(),
    st.sampled_from([b"a", 0.5, True, np.int64(2), 2**70, ("a", 1), "\ud800", np.str_("b")]),
)
image_shapes = st.one_of(
    st.tuples(st.integers(1, 2000), st.integers(1, 2000)),
    st.lists(st.integers(1, 2000), min_size=2, max_size=2),
    st.just((1080, 1920)),
)
labels = st.one_of(
    st.integers(-1, 400),
    st.integers(-1, 400),
    st.integers(0, 60).map(np.int64),
    st.lists(st.integers(0, 9), max_size=3),
    st.sampled_from(["drink", "A1"]),
    st.floats(0, 9),
    st.dictionaries(st.sampled_from(["action", "scene", 0.5]), st.lists(st.integers(0, 9), max_size=2), max_size=2),
    st.integers(1, 5).map(lambda n: np.eye(n, dtype=np.float32)[0]),
)
_MISSING = object()


@st.composite
def dense_annotations(draw: st.DrawFn) -> Annotation:
    """An annotation as PYSKL documents it, as varied as in real files."""
    persons, frames = draw(st.integers(0, 3)), draw(st.integers(0, 20))
    joints, axes = draw(st.sampled_from([(17, 2), (17, 2), (25, 3), (11, 2), (1, 1)]))
    dtype = np.dtype(draw(st.sampled_from(["<f2", "<f2", "<f4", ">f4", "<f8"])))
    shape = (persons, frames, joints, axes)
    annotation: Annotation = {
        "frame_dir": draw(frame_dirs),
        "label": draw(labels),
        "img_shape": draw(image_shapes),
        "original_shape": draw(image_shapes),
        "total_frames": draw(st.integers(0, 300)),
        "keypoint": draw(arrays(st.just(shape), st.just(dtype))),
        "keypoint_score": draw(arrays(st.just(shape[:-1]), st.just(dtype))),
    }
    if draw(st.booleans()):
        del annotation[draw(st.sampled_from(list(annotation)))]
    annotation.update(draw(st.sampled_from([{}, {}, {"modality": "Pose"}, {"start_index": 0}, {"num_person_raw": 3}])))
    if draw(st.integers(0, 3)) == 0:
        annotation = dict(draw(st.permutations(list(annotation.items()))))
    return annotation


@st.composite
def compressed_annotations(draw: st.DrawFn) -> Annotation:
    """An annotation as the kpfiles of Kinetics-400 hold it."""
    skeletons = draw(st.integers(0, 40))
    joints = draw(st.sampled_from([17, 17, 17, 5]))
    frames = np.sort(np.random.default_rng(draw(st.integers(0, 99))).integers(1, 300, skeletons)).astype(np.int16)
    annotation: Annotation = {
        "frame_dir": draw(frame_dirs),
        "label": draw(st.integers(0, 399)),
        "img_shape": (draw(st.integers(100, 400)), 320),
        "original_shape": (draw(st.integers(100, 400)), 320),
        "total_frames": 300,
        "keypoint": draw(arrays(st.just((skeletons, joints, 3)), st.just(np.dtype("<f2")))),
        "frame_inds": frames,
        "box_score": draw(arrays(st.just((skeletons,)), st.just(np.dtype("<f2")))),
        "valid": {threshold: draw(st.integers(0, 300)) for threshold in (0.5, 0.6, 0.7, 0.8, 0.9)},
    }
    if draw(st.booleans()):
        annotation["raw_file"] = draw(st.sampled_from(["kpfiles/0.pkl", "kpfiles/1.pkl"]))
    return annotation


_ODD_KEYS = [
    "keypoint",
    "keypoint_score",
    "frame_inds",
    "box_score",
    "frame_dir",
    "filename",
    "label",
    "Label",
    "extra",
    "a",
    "a.b",
    "",
    "keypoint.row",
    "keypoint.dim0",
    "extra.row",
    "skelstore.layout",
    "annotation",
    "zarr.json",
    "manifest.json",
    "../up",
    "c.0",
    "__x",
    "\ud800",
    "nul\0",
    "k" * 201,
    "e\u0301",
]
"""Keys that collide with names of skelstore or, on some file systems, with each other, or that no file can have."""


@st.composite
def odd_annotations(draw: st.DrawFn) -> Annotation:
    """An annotation of any keys and values, the empty dict included."""
    keys = st.one_of(st.sampled_from(_ODD_KEYS), st.sampled_from(_ODD_KEYS), dict_keys)
    annotation: Annotation = draw(st.dictionaries(keys, values, max_size=6))
    name = draw(st.one_of(st.just(_MISSING), frame_dirs, odd_ids))
    if name is not _MISSING:
        annotation[draw(st.sampled_from(["frame_dir", "frame_dir", "filename"]))] = name
    return annotation


annotations = st.one_of(dense_annotations(), compressed_annotations(), odd_annotations(), odd_annotations())
"""Any annotation."""


@st.composite
def annotation_lists(draw: st.DrawFn, max_size: int = 7) -> list[Annotation]:
    """Annotations of one file: they may differ in everything, or only in name and label."""
    found: list[Annotation] = []
    for _ in range(draw(st.integers(0, max_size))):
        if found and draw(st.integers(0, 2)) == 0:
            again = dict(draw(st.sampled_from(found)))
            again["frame_dir"] = draw(frame_dirs)
            found.append(again)
        else:
            found.append(draw(annotations))
    return found


def _hashable(value: object) -> bool:
    try:
        return hash(value) is not None and value == value  # NaN equals nothing
    except TypeError:
        return False


@st.composite
def splits(draw: st.DrawFn, of: list[Annotation]) -> dict[Any, Any]:
    """Splits over annotations: order, repetitions, ids without a video, ids and containers of odd types."""
    names = [a[key] for a in of for key in ("frame_dir", "filename") if key in a and _hashable(a[key])]
    known = st.sampled_from(names) if names else st.just("a")
    ids = st.one_of(known, known, known, st.just("no such video"))
    plain = [name for name in names if type(name) is str] or ["a"]
    runs = st.one_of(
        st.lists(st.sampled_from(plain), max_size=8),
        st.lists(st.sampled_from(plain), max_size=8),
        st.lists(st.one_of(ids, odd_ids), max_size=8),
        st.lists(ids, max_size=4).map(tuple),
        hnp.arrays("<i8", st.integers(0, 4), elements=st.integers(-3, 3)),
    )
    split_names = st.one_of(st.sampled_from(["xsub_train", "xsub_val", "train"]), texts, st.integers(0, 3))
    return draw(st.dictionaries(split_names, runs, max_size=3))


@st.composite
def datasets(draw: st.DrawFn, max_size: int = 7) -> Dataset:
    """Annotations and splits of one file."""
    found = draw(annotation_lists(max_size))
    return Dataset(found, draw(splits(found)))
