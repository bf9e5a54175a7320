"""The tensors of the Open Inference Protocol, in JSON and in its binary extension."""

import math
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
    """A tensor from its elements in row-major order, nested like its shape or flat.

    null becomes NaN, and text an array of objects.
    """
    try:
        array = np.array(data)
    except (ValueError, OverflowError):
        raise bad_request(f"input {name!r}: its data are not of one shape") from None
    wanted = "UTF-8 text" if datatype == TEXT else "numbers"
    if array.dtype.kind == "O" and not _has_only(array, {int, float, bool, type(None)}):
        raise bad_request(f"input {name!r}: its data are not {wanted}")
    if array.size and (array.dtype.kind == "U") != (datatype == TEXT):
        raise bad_request(f"input {name!r}: its data are not {wanted}, as {datatype} says")
    if array.shape != tuple(shape) and (array.ndim != 1 or array.size != math.prod(shape)):
        raise bad_request(
            f"input {name!r} has data of shape {list(array.shape)}, its shape says {shape}"
        )
    if datatype == TEXT:
        return array.astype(object).reshape(shape)
    return _cast(name, datatype, array).reshape(shape)


def from_bytes(name: str, datatype: str, shape: list[int], content: bytes) -> np.ndarray:
    """A tensor from little-endian bytes. Each element of text follows its length in 4 bytes."""
    if datatype == TEXT:
        texts = _split(name, content)
        if len(texts) != math.prod(shape):
            raise bad_request(f"input {name!r} has {len(texts)} elements, its shape says {shape}")
        return np.array(texts, object).reshape(shape)
    kind = DATATYPES[datatype]
    if len(content) != math.prod(shape) * kind.itemsize:
        raise bad_request(
            f"input {name!r} has {len(content)} bytes, but shape {shape} of {datatype} takes "
            f"{math.prod(shape) * kind.itemsize}"
        )
    return np.frombuffer(content, kind).reshape(shape)


def to_bytes(array: np.ndarray) -> bytes:
    if array.dtype.kind != "U":
        return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    texts = (text.encode() for text in array.ravel().tolist())
    return b"".join(len(text).to_bytes(4, "little") + text for text in texts)


def _cast(name: str, datatype: str, array: np.ndarray) -> np.ndarray:
    """Cast numbers to a datatype. Rounding is allowed; values it cannot hold are refused."""
    numbers = array.astype(np.float64) if array.dtype.kind == "O" else array
    kind = DATATYPES[datatype]
    with np.errstate(invalid="ignore", over="ignore"):
        cast = numbers.astype(kind)
    if kind.kind != "f" and not np.array_equal(cast, numbers):
        raise bad_request(f"input {name!r} holds values that are not of datatype {datatype}")
    return cast


def _has_only(array: np.ndarray, kinds: set[type]) -> bool:
    return set(map(type, array.ravel().tolist())) <= kinds


def _split(name: str, content: bytes) -> list[str]:
    texts, start = [], 0
    while start < len(content):
        stop = start + 4 + int.from_bytes(content[start : start + 4], "little")
        if stop > len(content):
            raise bad_request(f"input {name!r}: its bytes end within an element")
        try:
            texts.append(content[start + 4 : stop].decode())
        except UnicodeDecodeError:
            raise bad_request(f"input {name!r}: element {len(texts)} is not UTF-8 text") from None
        start = stop
    return texts
