"""The rows of a run: their shapes and types, and their results so far."""

import hashlib
from typing import Any, NamedTuple

import jax
import numpy as np


class Results(NamedTuple):
    """Results in the order of the rows, as NumPy arrays. Printing them tells how many rows each
    function gave, and how many are not ok.

    Attributes:
        values: what the function returns, with the rows as the first axis of each array.
        ok: which rows are finite and within the tolerance; (rows,).
        finite: which rows have neither NaN nor infinity; (rows,).
        leakage: what the cutoff lost, (rows,); None if the function does not return it.
        level: which function gave the row; (rows,). 0 is ``function``, 1 the first of ``larger``.
    """

    values: Any
    ok: np.ndarray
    finite: np.ndarray
    leakage: np.ndarray | None
    level: np.ndarray

    def __str__(self) -> str:
        counts = enumerate(np.bincount(self.level).tolist())
        lines = [f"level {level}: {n} row{'s' * (n > 1)}" for level, n in counts if n]
        if wrong := int(np.sum(~self.ok)):
            lines.append(f"not ok: {wrong}")
        return "\n".join(lines)


class Signature(NamedTuple):
    """The structure, shapes and types of a sample, for which a program is compiled."""

    tree: Any
    shapes: tuple[tuple[int, ...], ...]
    dtypes: tuple[np.dtype, ...]

    def structs(self, rows: int) -> list[jax.ShapeDtypeStruct]:
        return [
            jax.ShapeDtypeStruct((rows, *shape), dtype)
            for shape, dtype in zip(self.shapes, self.dtypes, strict=True)
        ]


class Rows:
    """The rows of a call or a chunk: the samples, and their results so far."""

    def __init__(self, x: Any, first: int = 0):
        self.first = first  # the number of its first row in the stream
        leaves, tree = jax.tree.flatten(x)
        self.leaves = [_canonical(leaf) for leaf in leaves]
        lengths = {leaf.shape[:1] for leaf in self.leaves}
        if len(lengths) != 1 or not all(lengths):
            scalars = any(leaf.shape == () for leaf in self.leaves)
            raise ValueError(
                "Argument `x` must be arrays with the rows as their first axis, the same number in "
                f"each, got shapes {[leaf.shape for leaf in self.leaves]}."
                + (" Turn a list into an array by `numpy.asarray(x)`." if scalars else "")
            )
        shapes = tuple(leaf.shape[1:] for leaf in self.leaves)
        self.signature = Signature(tree, shapes, tuple(leaf.dtype for leaf in self.leaves))
        self.done = np.zeros(len(self), bool)
        self.level = np.zeros(len(self), np.int8)
        self._out: list[np.ndarray] | None = None
        self._tree: Any = None

    def __len__(self) -> int:
        return len(self.leaves[0])

    def missing(self) -> np.ndarray:
        """The numbers of the rows that are not done."""
        return self.first + np.flatnonzero(~self.done)

    def digest(self) -> str:
        """A hash of the rows that are not done."""
        parts = (leaf[~self.done].tobytes() for leaf in self.leaves)
        return hashlib.sha256(b"".join(parts)).hexdigest()

    def allocate(self, arrays: Any) -> list[np.ndarray]:
        """Make room for the results of all rows, of the shapes and types of these."""
        found, self._tree = jax.tree.flatten(arrays)
        self._out = [np.empty((len(self), *leaf.shape[1:]), leaf.dtype) for leaf in found]
        return self._out

    def store(self, numbers: np.ndarray, arrays: Any, level: int) -> None:
        """Keep the results of some rows, which are the first of a batch that may be padded."""
        found, tree = jax.tree.flatten(arrays)
        out = self._out or self.allocate(arrays)
        if tree != self._tree or any(
            (own.shape[1:], own.dtype) != (leaf.shape[1:], leaf.dtype)
            for own, leaf in zip(out, found, strict=True)
        ):
            raise ValueError(
                f"Argument `larger`: function {level} returns other shapes or types than the first "
                "does. What is read from a state must have the same shape at all cutoffs, and the "
                "same type: read means, or a fixed number of levels."
            )
        for own, leaf in zip(out, found, strict=True):
            own[numbers] = leaf[: len(numbers)]
        self.done[numbers], self.level[numbers] = True, level

    def over(self, tolerance: float) -> np.ndarray:
        """Which rows lose more than the tolerance; ValueError if the leakage is not known."""
        checked, _ = self._tree.unflatten(self._out)
        if checked.leakage is None:
            raise ValueError("Argument `tolerance` needs a function that returns `checked`.")
        return checked.leakage > tolerance

    def results(self, tolerance: float | None) -> Results | None:
        """The results of the rows that are done; None if there are none."""
        if self._out is None:
            return None
        done = slice(None) if self.done.all() else self.done
        checked, finite = self._tree.unflatten([leaf[done] for leaf in self._out])
        lost = checked.leakage
        ok = finite if tolerance is None or lost is None else finite & (lost <= tolerance)
        return Results(checked.values, ok, finite, lost, self.level[done])


def _canonical(leaf: Any) -> np.ndarray:
    """An array of numbers in the precision that JAX computes in."""
    if np.ma.is_masked(leaf):
        raise ValueError("Argument `x` has masked values: fill them in, or leave their rows out.")
    array = np.asarray(leaf)
    if array.dtype.kind in "OSUMm":
        raise TypeError(f"Argument `x` must be made of numbers, got dtype {array.dtype}.")
    # Of what NumPy has, JAX knows neither other byte orders nor long doubles.
    wide = {"f": np.dtype(np.float64), "c": np.dtype(np.complex128)}.get(array.dtype.kind)
    native = array.dtype.newbyteorder("=")
    dtype = wide if wide and native.itemsize > wide.itemsize else native
    # What overflows to infinity in single precision is reported by the guard, row by row.
    with np.errstate(over="ignore"):
        canonical = array.astype(jax.dtypes.canonicalize_dtype(dtype), copy=False)
    if array.dtype.kind in "iu" and array.ndim and np.any(wrong := canonical != array):
        row = int(np.argmax(wrong.reshape(len(array), -1).any(1)))
        raise ValueError(
            f"Argument `x` must fit in {canonical.dtype}, but row {row} (from 0) does not: make it "
            "floating-point, or turn on `jax_enable_x64`."
        )
    return canonical
