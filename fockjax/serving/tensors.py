"""The tensors of the Open Inference Protocol, in JSON and in its binary extension."""

import contextlib
import itertools
import math
from types import NoneType
from typing import Any

import numpy as np

from fockjax.serving.errors import bad_request

DATATYPES = {
    "BOOL": np.dtype("?"),
    **{f"UINT{8 * size}": np.dtype(f"<u{size}") for size in (1, 2, 4, 8)},
    **{f"INT{8 * size}": np.dtype(f"<i{size}") for size in (1, 2, 4, 8)},
    **{f"FP{8 * size}": np.dtype(f"<f{size}") for size in (2, 4, 8)},
}
NAMES = {dtype: name for name, dtype in DATATYPES.items()}
TEXT = "BYTES"


def datatype_of(array: np.ndarray) -> str:
    """The name of an array's datatype in the protocol.

    >>> datatype_of(np.zeros(1)), datatype_of(np.array(["a"]))
    ('FP64', 'BYTES')
    """
    return NAMES.get(array.dtype.newbyteorder("<"), TEXT)


def from_json(name: str, datatype: str, shape: list[int], data: Any) -> np.ndarray:
    """The elements of a tensor in row-major order, from data nested like its shape or flat.

    null becomes NaN, or None in text. Text is an array of objects.

    >>> from_json("x", "FP64", [2, 2], [[1, 2], [3, None]])
    array([ 1.,  2.,  3., nan])
    """
    elements = _flat(name, shape, data)
    text = datatype == TEXT
    if set(map(type, elements)) - ({str, NoneType} if text else {int, float, bool, NoneType}):
        wanted = "UTF-8 text" if text else "numbers"
        raise bad_request(f"input {name!r}: its data are not {wanted}, as {datatype} says")
    # As NumPy's own text each element would take as many bytes as the longest.
    return np.array(elements, object) if text else _cast(name, datatype, elements)


def from_bytes(name: str, datatype: str, shape: list[int], content: bytes) -> np.ndarray:
    """The elements of a tensor in row-major order, from little-endian bytes. Each element of text
    follows its length in 4 bytes.
    """
    count = math.prod(shape)
    if datatype == TEXT:
        return np.array(_split(name, content, count), object)
    kind = DATATYPES[datatype]
    if len(content) != count * kind.itemsize:
        raise bad_request(
            f"input {name!r} has {len(content)} bytes, but shape {shape} of {datatype} takes "
            f"{count * kind.itemsize}"
        )
    return np.frombuffer(content, kind)


def to_bytes(array: np.ndarray) -> bytes:
    if array.dtype.kind != "U":
        return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    texts = (text.encode() for text in array.ravel().tolist())
    return b"".join(len(text).to_bytes(4, "little") + text for text in texts)


def _flat(name: str, shape: list[int], data: Any) -> list[Any]:
    """The elements of data that are nested like a shape, or flat."""
    if isinstance(data, list) and data and isinstance(data[0], list):
        found = [data]
        for size in shape:
            if not all(isinstance(each, list) and len(each) == size for each in found):
                break
            found = list(itertools.chain.from_iterable(found))
        else:
            return found
    elif isinstance(data, list) and len(data) == math.prod(shape):
        return data
    raise bad_request(f"input {name!r}: its shape says {shape}, but its data are not of that shape")


def _cast(name: str, datatype: str, numbers: list[Any]) -> np.ndarray:
    """Cast numbers to a datatype. Rounding is allowed; values it cannot hold are refused."""
    kind = DATATYPES[datatype]
    if kind.kind == "f":
        with np.errstate(over="ignore"):
            return np.array(numbers, np.float64).astype(kind)
    with contextlib.suppress(OverflowError, TypeError):  # too large, or null
        cast = np.array(numbers, kind)
        if cast.tolist() == numbers:  # which Python compares exactly
            return cast
    raise bad_request(f"input {name!r} holds values that are not of datatype {datatype}")


def _split(name: str, content: bytes, count: int) -> list[str]:
    texts, start = [], 0
    while start < len(content) and len(texts) <= count:
        stop = start + 4 + int.from_bytes(content[start : start + 4], "little")
        if stop > len(content):
            raise bad_request(f"input {name!r}: its bytes end within an element")
        try:
            texts.append(content[start + 4 : stop].decode())
        except UnicodeDecodeError:
            raise bad_request(f"input {name!r}: element {len(texts)} is not UTF-8 text") from None
        start = stop
    if len(texts) != count:
        found = "more" if len(texts) > count else f"{len(texts)}"
        raise bad_request(f"input {name!r} has {found} elements, its shape says {count}")
    return texts
