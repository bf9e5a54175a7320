"""Strawberry Fields' NumPy Fock engine as a reference: it takes and returns one joint state, in
complex128.

Strawberry Fields (SF) is imported inside functions only, so fockjax works without it.
"""

import importlib
import importlib.util
import itertools
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache, lru_cache
from typing import Any

import numpy as np

Operation = tuple[str, Sequence[Any], tuple[int, ...]]
"""An SF operation: class name in ``strawberryfields.ops``, parameters, modes."""


def is_installed() -> bool:
    """Whether Strawberry Fields can be found (without importing it)."""
    return importlib.util.find_spec("strawberryfields") is not None


@cache
def load() -> Any:
    """Import Strawberry Fields.

    Raises:
        ImportError: if it is not installed, or cannot be imported.
    """
    if not is_installed():
        raise ImportError(
            'Strawberry Fields is not installed; install the extra "oracle" of '
            'fockjax, in a clone by `pip install -e ".[oracle]"`'
        )
    with warnings.catch_warnings(), _scipy_simps():
        # From two libraries that SF 0.23 uses; nothing of ours can raise these.
        warnings.filterwarnings("ignore", message="pkg_resources is deprecated")
        warnings.filterwarnings("ignore", message=r"module 'sre_\w+' is deprecated")
        return importlib.import_module("strawberryfields")


@contextmanager
def _scipy_simps() -> Iterator[None]:
    """Lend SciPy its old name ``simps`` (removed in 1.14) while SF 0.23 imports it."""
    module: Any = importlib.import_module("scipy.integrate")
    borrowed = not hasattr(module, "simps")
    if borrowed:
        module.simps = module.simpson
    try:
        yield
    finally:
        if borrowed:
            del module.simps


def run(operations: Sequence[Operation], ket: np.ndarray) -> np.ndarray:
    """Apply SF operations to a joint ket in ``sf.Engine("fock")`` (NumPy, complex128).

    The ket is not normalised, before or after. All modes share one cutoff, as SF demands.

    Args:
        operations: in order, each ``(SF class name, parameters, modes)``. A measurement needs an
            outcome to select among its parameters, as ``("MeasureFock", (2,), (0,))`` or
            ``("MeasureHomodyne", (phi, x), (0,))``; it leaves the norm as it was, while SF sets it
            to one.
        ket: complex array of shape ``(D,) * modes``.

    Returns:
        The ket after the operations, complex128, same shape.

    Raises:
        ValueError: for modes of several cutoffs, a measurement that selects nothing, an operation
            that makes the state mixed.

    Example:
        >>> import numpy as np
        >>> from fockjax.interop import oracle
        >>> ket = np.zeros((4, 4)); ket[1, 0] = 1.0
        >>> out = oracle.run([("BSgate", (0.3, 0.5), (0, 1))], ket)
        >>> print(f"{out[1, 0].real:.6f}")  # cos(0.3)
        0.955336
    """
    return _through(operations, ket, "ket", 1)


def run_mixed(operations: Sequence[Operation], rho: np.ndarray) -> np.ndarray:
    """Apply SF operations to a density matrix, as `run` does to a ket. It is not normalised, before
    or after, and a measurement leaves the trace as it was.

    SF's Fock engine knows only the channel ``LossChannel`` and the measurements ``MeasureFock`` and
    ``MeasureHomodyne``. A ``DensityMatrix`` among the operations has SF's axes: see `interleaved`.

    Args:
        operations: in order, each ``(SF class name, parameters, modes)``.
        rho: complex array of shape ``(D,) * (2 * modes)``: row axes, then column axes.

    Returns:
        The density matrix after the operations, complex128, same shape.

    Example:
        >>> import numpy as np
        >>> from fockjax.interop import oracle
        >>> out = oracle.run_mixed([("LossChannel", (0.8,), (0,))], np.diag([0, 0, 1.0]))
        >>> print(np.diagonal(out).real.round(6))
        [0.04 0.32 0.64]
    """
    return _through(operations, rho, "rho", 2)


def interleaved(rho: np.ndarray) -> np.ndarray:
    """A density matrix with SF's axes: row and column of mode 0, row and column of mode 1 ..."""
    n = rho.ndim // 2
    return rho.transpose([axis for mode in range(n) for axis in (mode, n + mode)])


def rows_first(rho: np.ndarray) -> np.ndarray:
    """A density matrix with SF's axes, row axes first: the inverse of `interleaved`."""
    return rho.transpose([*range(0, rho.ndim, 2), *range(1, rho.ndim, 2)])


def _through(
    operations: Sequence[Operation], state: np.ndarray, name: str, sides: int
) -> np.ndarray:
    """`run` and `run_mixed`; ``sides`` is the number of axes of a mode, 1 for kets, else 2."""
    state = np.asarray(state, dtype=np.complex128)
    if state.ndim == 0 or state.ndim % sides or len(set(state.shape)) != 1:
        raise ValueError(
            f"Argument `{name}` must have the same cutoff on every mode, but has shape "
            f"{state.shape}; Strawberry Fields knows one cutoff only."
        )
    for kind, group in itertools.groupby(operations, key=_kind):
        if kind == "plain":
            state = _run(list(group), state, sides)
        else:
            for operation in group:
                state = _alone(operation, state, kind == "measured", sides)
    return state


def _kind(operation: Operation) -> str:
    name, _, modes = operation
    if issubclass(getattr(load().ops, name), load().ops.Measurement):
        return "measured"
    # SF 0.23 applies a two-mode gate to the wrong modes when its second mode is mode 0
    # (`Circuit.apply_twomode_gate` swaps axes (0, t1) and then (1, t2), which undoes or misplaces
    # the first swap). So an operation whose modes do not increase runs on a register in which they
    # come first, in order.
    return "plain" if list(modes) == sorted(modes) else "renumbered"


def _alone(operation: Operation, state: np.ndarray, measured: bool, sides: int) -> np.ndarray:
    """One operation, on a register in which its modes come first."""
    name, parameters, modes = operation
    count = state.ndim // sides
    order = [*modes, *(mode for mode in range(count) if mode not in modes)]
    axes = [side * count + mode for side in range(sides) for mode in order]
    front = state.transpose(axes)
    if measured:
        front = _measured(name, parameters, len(modes), front, sides)
    else:
        front = _run([(name, parameters, tuple(range(len(modes))))], front, sides)
    return front.transpose(np.argsort(axes))


def _measured(
    name: str, parameters: Sequence[Any], modes: int, state: np.ndarray, sides: int
) -> np.ndarray:
    """The state after a measurement of the first ``modes`` modes, scaled to the norm before."""
    operation = getattr(load().ops, name)(*parameters)
    if operation.select is None:
        raise ValueError(f"{name}{tuple(parameters)} must select an outcome.")
    if name == "MeasureHomodyne":
        bra = _homodyne_bra(*map(float, parameters), load().hbar, state.shape[0])
        left = np.zeros_like(state)
        at = (0,) if sides == 1 else (0, *(slice(None),) * (state.ndim // 2 - 1), 0)
        some = np.tensordot(bra, state, 1)
        left[at] = some if sides == 1 else np.tensordot(some, bra.conj(), ((some.ndim // 2,), (0,)))
    else:
        left = _run([(name, parameters, tuple(range(modes)))], state, sides)
    return left * (_size(state, sides) / _size(left, sides))


def _size(state: np.ndarray, sides: int) -> float:
    if sides == 1:
        return float(np.linalg.norm(state))
    side = round(state.size**0.5)
    return float(np.trace(state.reshape(side, side)).real)


@lru_cache
def _homodyne_bra(phi: float, x: float, hbar: float, cutoff: int) -> np.ndarray:
    """The bra on which SF projects, up to a factor: the state that it leaves of the second of two
    modes in the state sum |nn>.

    SF displaces the truncated eigenstate of the quadrature to 0 by a truncated gate. Unless x = 0,
    this is wrong by percents at small cutoffs. With the larger cutoff here no error is left for
    |x| < 2.5 sqrt(hbar).
    """
    with convention(hbar):
        size = cutoff + 40
        left = _run([("MeasureHomodyne", (phi, x), (0,))], np.eye(size, dtype=complex), 1)
    return left[0, :cutoff]


def _run(operations: Sequence[Operation], state: np.ndarray, sides: int = 1) -> np.ndarray:
    sf = load()
    program = sf.Program(state.ndim // sides)
    with program.context as q:
        # One joint state: preparing modes one by one would turn SF's register into a mixed state.
        start = sf.ops.Ket(state) if sides == 1 else sf.ops.DensityMatrix(interleaved(state))
        _ = start | q
        for name, parameters, modes in operations:
            _ = getattr(sf.ops, name)(*parameters) | [q[mode] for mode in modes]
    engine = sf.Engine("fock", backend_options={"cutoff_dim": state.shape[0]})
    after = engine.run(program).state
    if sides == 2:
        return rows_first(after.dm())
    if not after.is_pure:
        raise ValueError("The operations make the state mixed; use `run_mixed`.")
    return after.ket()


@contextmanager
def convention(hbar: float) -> Iterator[None]:
    """Set ``strawberryfields.hbar`` within a ``with`` block."""
    sf = load()
    before, sf.hbar = sf.hbar, hbar
    try:
        yield
    finally:
        sf.hbar = before


def state(ket: np.ndarray):
    """SF's own ``BaseFockState`` of a joint ket, for SF's readouts."""
    return load().backends.BaseFockState(ket, ket.ndim, True, ket.shape[0])


def reduced_state(ket: np.ndarray, mode: int):
    """SF's one-mode ``BaseFockState`` of ``mode``, the others traced out.

    SF's own one-mode readouts build the density matrix of the whole register first (``D**(2n)``
    numbers); handing them the reduced one keeps them to ``D**2``.
    """
    rest = [other for other in range(ket.ndim) if other != mode]
    density = np.tensordot(ket, ket.conj(), axes=(rest, rest))
    return load().backends.BaseFockState(density, 1, False, ket.shape[0])


def quadrature(state, angle: float) -> tuple[float, float]:
    """Mean and variance of ``x cos(angle) + p sin(angle)`` of a one-mode SF state, at hbar = 2.

    SF's own value is in units of ``sf.hbar``, which the calling program may have changed.
    """
    mean, variance = state.quad_expectation(0, angle)
    scale = 2 / state.hbar
    return float(mean * scale**0.5), float(variance * scale)
