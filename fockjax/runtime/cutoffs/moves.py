"""What each Gaussian operation does to the moments of its modes.

A Gaussian state is known by the means of ``xi = (a_1, .., a_n, a_1^dagger, .., a_n^dagger)`` and by
``C = <{delta xi, delta xi^dagger}> / 2``. A Gaussian operation moves them,

    <xi> -> T <xi> + shift,   C -> T C T^dagger + noise,

exactly. An operation that is cut several times on its way is as many moves.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from fockjax.decompositions import pairs

Parameters = Mapping[str, Any]


class Move(NamedTuple):
    """What a Gaussian operation does to the moments of its modes, with samples as the first axis.

    Attributes:
        on: which of the modes of its step it acts on.
        T: shape ``(.., 2k, 2k)``.
        shift: shape ``(.., 2k)``.
        noise: shape ``(.., 2k, 2k)``.
        cuts: whether part of the state may be lost at the cutoff afterwards.
    """

    on: tuple[int, ...]
    T: np.ndarray
    shift: Any = 0.0
    noise: Any = 0.0
    cuts: bool = True

    @property
    def keeps_total(self) -> bool:
        """Whether the total photon number of its modes stays."""
        k = len(self.on)
        return not (np.any(self.T[..., :k, k:]) or np.any(self.shift) or np.any(self.noise))


def _bogoliubov(E: Any, F: Any) -> np.ndarray:
    """The matrix T of ``a -> E a + F a^dagger``."""
    E, F = np.broadcast_arrays(np.asarray(E, complex), np.asarray(F, complex))
    return np.block([[E, F], [F.conj(), E.conj()]])


def _matrix(*rows: tuple[Any, ...]) -> np.ndarray:
    """Matrices, one for each sample, from entries that hold a number for each sample."""
    numbers = np.broadcast_arrays(*(entry for row in rows for entry in row))
    return np.stack(numbers, -1).reshape(*numbers[0].shape, len(rows), -1)


def _phase(phi: Any) -> np.ndarray:
    return np.exp(1j * np.asarray(phi, float))


def _shift(alpha: Any) -> np.ndarray:
    return np.stack([alpha, np.conj(alpha)], -1)


def _rotation(phi: Any) -> np.ndarray:
    return _bogoliubov(_matrix((_phase(phi),)), 0)


def _squeezing(r: Any, phi: Any) -> np.ndarray:
    return _bogoliubov(_matrix((np.cosh(r),)), _matrix((-_phase(phi) * np.sinh(r),)))


def _quadratic(s: Any) -> np.ndarray:
    """Adds ``s x`` to p."""
    half = 0.5j * np.asarray(s, float)
    return _bogoliubov(_matrix((1 + half,)), _matrix((half,)))


def _mixer(theta: Any, phi: Any) -> np.ndarray:
    """The unitary matrix of a beamsplitter."""
    c, s = np.cos(theta), _phase(phi) * np.sin(theta)
    return _matrix((c, -np.conj(s)), (s, c))


def _pair_squeezing(r: Any, phi: Any) -> np.ndarray:
    c, s = np.cosh(r), _phase(phi) * np.sinh(r)
    return _bogoliubov(_matrix((c, 0 * c), (0 * c, c)), _matrix((0 * s, s), (s, 0 * s)))


def _passive(U: np.ndarray) -> np.ndarray:
    return _bogoliubov(U, 0)


def _mach_zehnder(p: Parameters, options: Parameters) -> list[Move]:
    half = _mixer(np.pi / 4, np.pi / 2)
    inner, outer = (_turns(p[name], 0 * p[name]) for name in ("phi_in", "phi_ex"))
    return [Move((0, 1), _passive(half @ inner @ half @ outer))]


def _symmetric_mach_zehnder(p: Parameters, options: Parameters) -> list[Move]:
    half = Move((0, 1), _passive(_mixer(np.pi / 4, np.pi / 2)))
    turns = _passive(_turns(p["phi_in"] - np.pi / 2, p["phi_ex"] - np.pi / 2))
    return _cut_once([half, Move((0, 1), turns, cuts=False), half], 2, options["exact"])


def _turns(*phases: Any) -> np.ndarray:
    return _phase(np.stack(phases, -1))[..., None] * np.eye(len(phases))


def _mesh(theta, phi, rotation, mesh: str) -> list[Move]:
    modes = np.shape(rotation)[-1]
    mixers = [
        Move(on, _passive(_mixer(theta[..., k], phi[..., k])))
        for k, on in enumerate(pairs(modes, mesh))
    ]
    turns = _passive(_phase(rotation)[..., None] * np.eye(modes))
    return [*mixers, Move(tuple(range(modes)), turns, cuts=False)]


def _interferometer(p: Parameters, options: Parameters) -> list[Move]:
    moves = _mesh(p["theta"], p["phi"], p["rotation"], options["mesh"])
    return _cut_once(moves, np.shape(p["rotation"])[-1], options["exact"])


def _generated(p: Parameters, options: Parameters) -> list[Move]:
    from scipy.linalg import expm

    A = np.asarray(p["generator"], float)
    upper, lower = np.triu(A, 1), np.tril(A, -1)  # the real and imaginary parts of H: gates.passive
    flip = np.swapaxes(upper + 0j, -1, -2) - 1j * lower
    H = A - upper - lower + flip + np.conj(np.swapaxes(flip, -1, -2))
    return [Move(tuple(range(A.shape[-1])), _passive(expm(1j * H)))]


def _gaussian_transform(p: Parameters, options: Parameters) -> list[Move]:
    modes = np.shape(p["r"])[-1]
    first, second = (
        _mesh(p["theta"][..., k, :], p["phi"][..., k, :], p["rotation"][..., k, :], "rectangular")
        for k in range(2)
    )
    squeezers = [Move((m,), _squeezing(p["r"][..., m], 0.0)) for m in range(modes)]
    return _cut_once([*first, *squeezers, *second], modes, options["exact"])


def _controlled(p: Parameters, options: Parameters, phi: float) -> list[Move]:
    """CX, or CZ = R2(pi/2) CX R2(-pi/2)."""
    half = np.asarray(p["s"]) / 2
    r, sign = np.arcsinh(half), -1 if phi else 1
    enter, leave = (
        Move((0, 1), _passive(_mixer(np.arctan(half) / 2 + turn, phi)))
        for turn in (-np.pi / 4, np.pi / 4)
    )
    squeezers = [Move((0,), _squeezing(-r, 0.0)), Move((1,), _squeezing(sign * r, 0.0))]
    return _cut_once([enter, *squeezers, leave], 2, options["exact"])


def _cut_once(moves: list[Move], modes: int, exact: bool) -> list[Move]:
    """The moves as they are, or composed to one if ``exact``; they have no shift and no noise."""
    if not exact:
        return moves
    T = np.eye(2 * modes, dtype=complex)
    for move in moves:
        both = [*move.on, *(modes + mode for mode in move.on)]
        large = np.broadcast_to(
            np.eye(2 * modes, dtype=complex), (*move.T.shape[:-2], *T.shape[-2:])
        )
        large = large.copy()
        large[..., np.array(both)[:, None], both] = move.T
        T = large @ T
    return [Move(tuple(range(modes)), T)]


def _noisy(gain: Any, photons: Any, cuts: bool = True) -> Move:
    """``a -> sqrt(gain) a``, with noise of this many photons added, symmetrically ordered."""
    T = _bogoliubov(_matrix((np.sqrt(gain),)), 0)
    return Move((0,), T, noise=np.asarray(photons)[..., None, None] * np.eye(2), cuts=cuts)


def _fresh(modes: int, T: Any = None, shift: Any = 0.0, photons: Any = 0.0) -> Move:
    """Replace the state by thermal noise of this many photons (none: the vacuum), then transform it
    by ``T`` and a shift.
    """
    T = np.eye(2 * modes) if T is None else T
    start = (np.asarray(photons)[..., None, None] + 0.5) * np.eye(2 * modes)
    noise = T @ start @ np.conj(np.swapaxes(T, -1, -2))
    return Move(tuple(range(modes)), np.zeros((2 * modes, 2 * modes)), shift, noise)


def emptied(modes: int) -> Move:
    """Replace the state by the vacuum."""
    return _fresh(modes)._replace(cuts=False)


def _prepared(p: Parameters, options: Parameters) -> list[Move]:
    """Replace the state by the one with these means and this covariance of the quadratures."""
    cov = np.asarray(p["cov"], float)
    modes = cov.shape[-1] // 2
    one = np.eye(modes)
    L = np.block([[one, 1j * one], [one, -1j * one]]) / np.sqrt(2 * options["hbar"])
    mean = np.broadcast_to(p["mean"], cov.shape[:-1]) if np.ndim(p["mean"]) < 2 else p["mean"]
    shift = np.einsum("ij,...j->...i", L, mean)
    nothing = np.zeros((2 * modes, 2 * modes))
    return [Move(tuple(range(modes)), nothing, shift, L @ cov @ L.conj().T)]


def _moved(alpha: Any) -> list[Move]:
    return [Move((0,), np.eye(2, dtype=complex), _shift(alpha))]


# What each operation does, from its parameters and options.
MOVES: dict[str, Callable[[Parameters, Parameters], list[Move]]] = {
    "displacement": lambda p, o: _moved(p["r"] * _phase(p["phi"])),
    "x_displacement": lambda p, o: _moved(p["x"] / np.sqrt(2 * o["hbar"]) + 0j),
    "p_displacement": lambda p, o: _moved(1j * p["p"] / np.sqrt(2 * o["hbar"])),
    "squeezing": lambda p, o: [Move((0,), _squeezing(p["r"], p["phi"]))],
    "quadratic_phase": lambda p, o: [Move((0,), _quadratic(p["s"]))],
    "rotation": lambda p, o: [Move((0,), _rotation(p["phi"]), cuts=False)],
    "fourier": lambda p, o: [Move((0,), _rotation(np.pi / 2), cuts=False)],
    "beamsplitter": lambda p, o: [Move((0, 1), _passive(_mixer(p["theta"], p["phi"])))],
    "mach_zehnder": _mach_zehnder,
    "symmetric_mach_zehnder": _symmetric_mach_zehnder,
    "two_mode_squeezing": lambda p, o: [Move((0, 1), _pair_squeezing(p["r"], p["phi"]))],
    "controlled_x": lambda p, o: _controlled(p, o, 0.0),
    "controlled_z": lambda p, o: _controlled(p, o, np.pi / 2),
    "interferometer": _interferometer,
    "passive": _generated,
    "gaussian_transform": _gaussian_transform,
    "loss": lambda p, o: [_noisy(p["T"], (1 - p["T"]) / 2, cuts=False)],
    "thermal_loss": lambda p, o: [_noisy(p["T"], (1 - p["T"]) * (p["nbar"] + 0.5))],
    "amplifier": lambda p, o: [_noisy(p["gain"], (p["gain"] - 1) * (p["nbar"] + 0.5))],
    "additive_noise": lambda p, o: [_noisy(1.0, p["variance"] / o["hbar"])],
    "vacuum": lambda p, o: [emptied(1)],
    "coherent": lambda p, o: [_fresh(1, shift=_shift(p["r"] * _phase(p["phi"])))],
    "squeezed": lambda p, o: [_fresh(1, _squeezing(p["r"], p["phi"]))],
    "displaced_squeezed": lambda p, o: [
        _fresh(1, _squeezing(p["r_s"], p["phi_s"]), _shift(p["r_d"] * _phase(p["phi_d"])))
    ],
    "two_mode_squeezed": lambda p, o: [_fresh(2, _pair_squeezing(p["r"], p["phi"]))],
    "gaussian": _prepared,
    "thermal": lambda p, o: [_fresh(1, photons=p["nbar"])],
    "mixed_gaussian": _prepared,
}
