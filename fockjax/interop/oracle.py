"""Strawberry Fields' NumPy Fock engine as an oracle: complex128, one joint ket in, one ket out.

Strawberry Fields (SF) is imported inside functions only, so fockjax works without it.
"""

import importlib
import importlib.util
import itertools
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
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
            'Strawberry Fields is not installed; install it with `pip install "fockjax[oracle]"`'
        )
    with warnings.catch_warnings(), _scipy_simps():
        # Two libraries below SF that SF 0.23 will not replace; nothing of ours can raise these.
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
        operations: in order, each ``(SF class name, parameters, modes)``.
        ket: complex array of shape ``(D,) * modes``.

    Returns:
        The ket after the operations, complex128, same shape.

    Example:
        >>> import numpy as np
        >>> from fockjax.interop import oracle
        >>> ket = np.zeros((4, 4)); ket[1, 0] = 1.0
        >>> out = oracle.run([("BSgate", (0.3, 0.5), (0, 1))], ket)
        >>> print(f"{out[1, 0].real:.6f}")  # cos(0.3)
        0.955336
    """
    ket = np.asarray(ket, dtype=np.complex128)
    if ket.ndim == 0 or len(set(ket.shape)) != 1:
        raise ValueError(
            f"Argument `ket` must have the same cutoff on every mode, but has shape {ket.shape}; "
            "Strawberry Fields knows one cutoff only."
        )
    # SF 0.23 applies a two-mode gate to the wrong modes when its second mode is mode 0
    # (`Circuit.apply_twomode_gate` swaps axes (0, t1) and then (1, t2), which undoes or misplaces
    # the first swap). So an operation whose modes do not increase runs on a register in which they
    # come first, in order.
    for increasing, group in itertools.groupby(operations, key=_modes_increase):
        if increasing:
            ket = _run(list(group), ket)
        else:
            for name, parameters, modes in group:
                order = (*modes, *(mode for mode in range(ket.ndim) if mode not in modes))
                front = _run([(name, parameters, tuple(range(len(modes))))], ket.transpose(order))
                ket = front.transpose(np.argsort(order))
    return ket


def _modes_increase(operation: Operation) -> bool:
    return list(operation[2]) == sorted(operation[2])


def _run(operations: Sequence[Operation], ket: np.ndarray) -> np.ndarray:
    sf = load()
    program = sf.Program(ket.ndim)
    with program.context as q:
        # One joint Ket: preparing modes one by one would turn SF's register into a mixed state.
        _ = sf.ops.Ket(ket) | q
        for name, parameters, modes in operations:
            _ = getattr(sf.ops, name)(*parameters) | [q[mode] for mode in modes]
    engine = sf.Engine("fock", backend_options={"cutoff_dim": ket.shape[0]})
    return engine.run(program).state.ket()


@contextmanager
def convention(hbar: float) -> Iterator[None]:
    """Set ``strawberryfields.hbar`` for a while."""
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
