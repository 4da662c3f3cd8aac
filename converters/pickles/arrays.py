"""Building NumPy arrays and scalars from the values of a pickle, without calling what the pickle names.

A pickle names functions of NumPy and the arguments to call them with. No name in a file is imported or called: each
name in the table ``NAMES`` is mapped to a function of this module, which checks its arguments. Every other name becomes
a :class:`Foreign`.
"""

from __future__ import annotations

import math
import re
from _codecs import utf_32_be_decode, utf_32_le_decode
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from converters.pickles.opcodes import PickleError
from skelstore.wording import counted, kind_of, shown

_NAME_SHOWN = 120
"""Number of characters that messages show of a name from a file if it is longer, or not printable."""


class Foreign:
    """An object in a pickle that is not data.

    ``name`` is its name in the file ("torch._utils._rebuild_tensor_v2") or a description ("numpy.ndarray of dtype
    object"). ``offset`` is the byte of the file where it is created. ``elements`` are those of an array of objects, in
    C order, with its shape; None for anything else.
    """

    __slots__ = ("elements", "name", "offset")

    def __init__(self, name: str, offset: int, elements: tuple[tuple[int, ...], list[object]] | None = None) -> None:
        # A name from a file may contain any characters, and messages show it on terminals.
        is_shown = len(name) <= _NAME_SHOWN and name.isprintable()
        self.name = name if is_shown else f"{ascii(name[:_NAME_SHOWN])[:_NAME_SHOWN]}…"
        self.offset = offset
        self.elements = elements

    @property
    def kind_in_messages(self) -> str:
        name = self.name.removeprefix("builtins.")
        kind = f"a {name}" if name != self.name or " " in name else f"a {name} object"
        return f"{kind} (byte {self.offset} of the file)"

    def __repr__(self) -> str:
        return f"Foreign({self.name!r}, {self.offset})"


class Named:
    """A name in the table ``NAMES``; ``make`` is the function that this reader calls in its place."""

    __slots__ = ("make", "name", "offset")

    def __init__(self, name: str, offset: int) -> None:
        self.name = name
        self.offset = offset
        self.make = NAMES[name]

    @property
    def kind_in_messages(self) -> str:
        return f"the name {self.name}"


class PendingTuple(tuple[object, ...]):
    """A tuple with items that are not data by themselves, such as the parts of an array."""

    __slots__ = ()
    kind_in_messages = "a tuple"


class Buffer:
    """The bytes of a bytearray, in which protocol 5 stores the data of an array."""

    __slots__ = ("data", "offset")
    kind_in_messages = "a bytearray"

    def __init__(self, data: bytes, offset: int) -> None:
        self.data = data
        self.offset = offset


class PendingDtype:
    """A numpy.dtype that waits for its state.

    Then ``dtype`` is set if arrays of it are data; otherwise ``foreign`` is its name in messages.
    """

    __slots__ = ("code", "complete", "dtype", "foreign", "offset")
    kind_in_messages = "a numpy.dtype"

    def __init__(self, code: str, foreign: str, offset: int) -> None:
        self.code = code
        self.foreign = foreign
        self.offset = offset
        self.complete = False
        self.dtype: np.dtype[np.generic] | None = None

    def build(self, state: object, offset: int) -> None:
        """Set the state: the byte order; plain dtypes have nothing else. Raises PickleError if it is not valid."""
        if self.complete:
            raise PickleError(offset, "the state of a dtype is set twice; the file is damaged")
        self.complete = True
        if self.foreign:
            return
        if type(state) is not tuple or len(state) not in (8, 9):
            if type(state) is PendingTuple:
                self.foreign = "void"
                return
            raise PickleError(offset, "the state of a dtype was not found as NumPy writes it; the file is damaged")
        version, order, subarray, names, fields, size, alignment, flags = state[:8]
        if not (subarray is None and names is None and fields is None):
            self.foreign = "void"
            return
        if len(state) == 9 and not (state[8] is None or (type(state[8]) is dict and not state[8])):
            self.foreign = f"{self.code} with metadata"
            return
        if type(order) is not str or order not in ("<", ">", "|", "="):
            raise PickleError(offset, f"the byte order {shown(order)} was found, expected '<', '>', '|' or '='")
        if type(version) is not int or version not in (3, 4) or type(flags) is not int or flags not in (0, 8):
            raise PickleError(offset, "the state of a dtype was not found as NumPy writes it; the file is damaged")
        text = self.code[0] == "U"
        width = int(self.code[1:]) * (4 if text else 1)
        expected = ((width,), (4,)) if text else ((-1, width), (-1, width))
        if order == "|" and width > 1:
            raise PickleError(offset, f"a dtype {self.code} without a byte order was found; the file is damaged")
        if type(size) is not int or type(alignment) is not int or size not in expected[0]:
            raise PickleError(
                offset, f"a dtype {self.code} of {shown(size)} bytes per item was found, expected {width}"
            )
        if alignment not in expected[1]:
            raise PickleError(
                offset, f"a dtype {self.code} aligned to {shown(alignment)} bytes was found; the file is damaged"
            )
        self.dtype = _dtype(order, self.code)


class PendingArray:
    """A numpy.ndarray that waits for its state; ``array`` is None until then. Subclasses are foreign."""

    __slots__ = ("array", "offset")
    kind_in_messages = "an array"

    def __init__(self, offset: int) -> None:
        self.offset = offset
        self.array: NDArray[np.generic] | Foreign | None = None

    def build(self, state: object, offset: int) -> NDArray[np.generic] | Foreign:
        """The array that the state describes. Raises PickleError if the state is not valid."""
        if self.array is not None:
            raise PickleError(offset, "the state of an array is set twice; the file is damaged")
        if type(state) is not PendingTuple or len(state) != 5 or type(state[0]) is not int or state[0] != 1:
            raise PickleError(offset, "the state of an array was not found as NumPy writes it; the file is damaged")
        _, shape, dtype, fortran, data = state
        if not (_is_flag(fortran, True) or _is_flag(fortran, False)):
            raise PickleError(
                offset, f"the memory order {shown(fortran)} of an array was found, expected True or False"
            )
        array = _array(data, dtype, shape, "F" if fortran else "C", self.offset)
        if not isinstance(array, Foreign) and not array.dtype.isnative:
            # Here NumPy returns the machine's byte order, but in _frombuffer that of the file.
            array = array.byteswap().view(array.dtype.newbyteorder("="))
            array.flags.writeable = False
        self.array = array
        return array


_PLAIN = re.compile(r"b1|[iu][1248]|f[248]|U[0-9]{1,6}")
_FOREIGN_KINDS = {"O": "object", "V": "void", "S": "bytes", "a": "bytes", "M": "datetime64", "m": "timedelta64"}
_DTYPES: dict[tuple[str, str], np.dtype[np.generic]] = {}


def _dtype(order: str, code: str) -> np.dtype[np.generic]:
    dtype = _DTYPES.get((order, code))
    if dtype is None:
        dtype = np.dtype(code if order == "|" else order + code)
        if code[0] != "U":  # one per length of text, too many to cache
            _DTYPES[order, code] = dtype
    return dtype


def _dtype_name(code: str) -> str:
    if code[:1] in _FOREIGN_KINDS:
        return _FOREIGN_KINDS[code[0]]
    if re.fullmatch(r"[cf][0-9]{1,2}", code):
        return f"{'complex' if code[0] == 'c' else 'float'}{8 * int(code[1:])}"
    return repr(code)


def _bytes(data: object, what: str, offset: int) -> bytes:
    """The bytes of an array or a scalar; Python 2 and protocol 0 write them as text. Raises PickleError."""
    if type(data) is bytes:
        return data
    if type(data) is Buffer:
        return data.data
    if type(data) is str:
        try:
            return data.encode("latin-1")
        except UnicodeEncodeError:
            raise PickleError(offset, f"{what} was found whose data is text, expected bytes") from None
    raise PickleError(offset, f"{what} was found whose data is {kind_of(data)}, expected bytes")


def _array(data: object, part: object, shape: object, order: str, offset: int) -> NDArray[np.generic] | Foreign:
    if type(part) is Foreign:
        return Foreign(f"numpy.ndarray of dtype {part.name}", offset)
    if type(part) is not PendingDtype:
        raise PickleError(offset, f"an array was found whose dtype is {kind_of(part)}; the file is damaged")
    if part.foreign:
        return Foreign(f"numpy.ndarray of dtype {part.foreign}", offset, _elements(part, shape, data))
    dtype = part.dtype
    if dtype is None:
        raise PickleError(offset, "an array was found whose dtype has no state; the file is damaged")
    if dtype.kind == "U":
        return Foreign("numpy.ndarray of dtype str", offset)
    if type(shape) is not tuple or len(shape) > 32:
        raise PickleError(offset, "an array was found whose shape is not a tuple of at most 32 numbers")
    size = dtype.itemsize
    for length in shape:
        if type(length) is not int or length < 0:
            raise PickleError(offset, f"an array of shape {shown(shape)} was found, expected whole numbers from 0 on")
        size *= length
    raw = _bytes(data, "an array", offset)
    if size != len(raw):
        raise PickleError(
            offset,
            f"an array of shape {shown(shape)} and dtype {dtype.str} was found with {counted(len(raw), 'byte')} of "
            "data, "
            f"expected {shown(size)}; the file is damaged",
        )
    try:
        return np.ndarray(shape, dtype, raw, order="F" if order == "F" else "C")
    except (ValueError, OverflowError, MemoryError):  # if one length is 0, the others may have any value
        raise PickleError(offset, f"an array of shape {shown(shape)} was found, larger than NumPy can create") from None


def _elements(part: PendingDtype, shape: object, data: object) -> tuple[tuple[int, ...], list[object]] | None:
    """The shape and elements of an array of objects; None if it is another array, or has not as many elements."""
    if part.foreign != "object" or type(shape) is not tuple or len(shape) > 32 or type(data) is not list:
        return None
    if any(type(length) is not int or length < 0 for length in shape) or math.prod(shape) != len(data):
        return None
    return shape, data


def _is_flag(value: object, flag: bool) -> bool:
    return value is flag or (type(value) is int and value == flag)  # Python 2 writes 0 or 1


def _is_text(value: object, *options: str) -> bool:
    # The type is checked first: the value may be an array, for which == is elementwise.
    return type(value) is str and value in options


def _make_array(args: tuple[object, ...], offset: int) -> object:
    kind = args[0] if len(args) == 3 else None
    if not isinstance(kind, (Named, Foreign)):
        raise PickleError(offset, "numpy's _reconstruct was found with other arguments than NumPy writes")
    if kind.name != "numpy.ndarray" or isinstance(kind, Foreign):
        return Foreign(kind.name, offset)
    return PendingArray(offset)


def _make_from_buffer(args: tuple[object, ...], offset: int) -> object:
    if len(args) == 5 and _is_text(args[3], "K") and args[4] is not None:
        data, dtype, shape, _, axes = args
        array = _array(data, dtype, shape, "C", offset)
        if isinstance(array, Foreign):
            return array
        if (
            type(axes) is not tuple
            or any(type(axis) is not int for axis in axes)
            or sorted(axes) != list(range(array.ndim))
        ):
            raise PickleError(offset, "an array was found whose order of axes is not a permutation of its axes")
        return array.transpose(axes)
    if len(args) not in (4, 5) or (len(args) == 5 and args[4] is not None) or not _is_text(args[3], "C", "F"):
        raise PickleError(offset, "numpy's _frombuffer was found with other arguments than NumPy writes")
    return _array(args[0], args[1], args[2], str(args[3]), offset)


def _make_scalar(args: tuple[object, ...], offset: int) -> object:
    part = args[0] if args else None
    if type(part) is Foreign:
        return Foreign(f"numpy scalar of dtype {part.name}", offset)
    if type(part) is not PendingDtype or len(args) != 2:
        raise PickleError(offset, "a numpy scalar was found with other arguments than NumPy writes")
    if part.foreign:
        return Foreign(f"numpy scalar of dtype {part.foreign}", offset)
    dtype = part.dtype
    if dtype is None:
        raise PickleError(offset, "a numpy scalar was found whose dtype has no state; the file is damaged")
    raw = _bytes(args[1], "a numpy scalar", offset)
    if len(raw) != dtype.itemsize:
        raise PickleError(
            offset,
            f"a numpy scalar of dtype {dtype.str} with {counted(len(raw), 'byte')} of data was found, expected "
            f"{dtype.itemsize}",
        )
    if dtype.kind == "U":
        decode = utf_32_be_decode if dtype.str[0] == ">" else utf_32_le_decode
        try:
            text = decode(raw, "surrogatepass", True)[0]
        except UnicodeDecodeError:
            raise PickleError(offset, "a numpy string with a character beyond Unicode was found") from None
        return np.str_(text.rstrip("\0"))  # NumPy pads strings with zeros and removes them on reading
    return np.ndarray((1,), dtype, raw)[0]


def _make_dtype(args: tuple[object, ...], offset: int) -> object:
    if len(args) != 3 or not _is_flag(args[1], False) or not _is_flag(args[2], True):
        raise PickleError(offset, "numpy.dtype was found with other arguments than NumPy writes")
    code = args[0]
    if isinstance(code, (Foreign, Named)):
        return PendingDtype("", code.name, offset)
    if type(code) is not str or len(code) > 40:
        raise PickleError(offset, "numpy.dtype was found with other arguments than NumPy writes")
    return PendingDtype(code, "" if _PLAIN.fullmatch(code) else _dtype_name(code), offset)


def _make_encoded(args: tuple[object, ...], offset: int) -> object:
    """The bytes that protocols 0 to 2 write as an encoded text."""
    if len(args) != 2 or type(args[0]) is not str or not _is_text(args[1], "latin1", "latin-1"):
        return Foreign("_codecs.encode", offset)
    return _bytes(args[0], "a bytes object", offset)


def _make_bytes(args: tuple[object, ...], offset: int) -> object:
    return Foreign("builtins.bytes", offset) if args else b""


def _make_bytearray(args: tuple[object, ...], offset: int) -> object:
    if not args:
        return Buffer(b"", offset)
    if type(args[0]) is bytes and len(args) == 1:
        return Buffer(args[0], offset)
    if type(args[0]) is str and len(args) == 2 and _is_text(args[1], "latin1", "latin-1"):
        return Buffer(_bytes(args[0], "a bytearray", offset), offset)
    return Foreign("builtins.bytearray", offset)


def _make_viewed(args: tuple[object, ...], offset: int) -> object:
    """The array that ``PickleWriter`` writes as shape and dtype over an array of bytes, to preserve its byte order."""
    data = args[2] if len(args) == 3 else None
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.ndim != 1:
        return Foreign("numpy.ndarray", offset)
    return _array(data.tobytes(), args[1], args[0], "C", offset)


NAMES: dict[str, Callable[[tuple[object, ...], int], object]] = {
    "numpy.ndarray": _make_viewed,
    "numpy.dtype": _make_dtype,
    "numpy.core.multiarray._reconstruct": _make_array,
    "numpy._core.multiarray._reconstruct": _make_array,
    "numpy.core.multiarray.scalar": _make_scalar,
    "numpy._core.multiarray.scalar": _make_scalar,
    "numpy.core.numeric._frombuffer": _make_from_buffer,
    "numpy._core.numeric._frombuffer": _make_from_buffer,
    "_codecs.encode": _make_encoded,
    "builtins.bytes": _make_bytes,
    "__builtin__.bytes": _make_bytes,
    "builtins.bytearray": _make_bytearray,
    "__builtin__.bytearray": _make_bytearray,
}
"""Name in a pickle -> function that returns its result from the arguments and the offset in the file."""
