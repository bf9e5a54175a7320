"""Gaussian states through a circuit: their moments, in the infinite space, without a cutoff.

A Gaussian state is known by the means of ``xi = (a_1, .., a_n, a_1^dagger, .., a_n^dagger)`` and by
``C = <{delta xi, delta xi^dagger}> / 2``. A Gaussian operation moves them,

    <xi> -> T <xi> + shift,   C -> T C T^dagger + noise,

exactly and at the cost of a small matrix product, so NumPy does it here in double precision for
many samples at once. Operations that are not Gaussian leave the moments as they are; the modes
whose state then differs from the Gaussian one of the moments are kept track of.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import numpy as np

from fockjax.circuit import Circuit, Weights
from fockjax.decompositions import pairs
from fockjax.operations import Measurement, Preparation, Step, written_out
from fockjax.parameters import Parameter, Values

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


class OneMode(NamedTuple):
    """The moments of one mode for each sample: ``<a>``, ``<delta a^dagger delta a>`` and
    ``<delta a delta a>``.
    """

    mean: np.ndarray
    photons: np.ndarray
    pairs: np.ndarray


class Group(NamedTuple):
    """The moments of k modes that have been coupled.

    Attributes:
        mean: the means of ``xi``, shape ``(samples, 2k)``.
        C: normally ordered, shape ``(samples, 2k, 2k)``.
        exact: whether their state is Gaussian.
    """

    mean: np.ndarray
    C: np.ndarray
    exact: bool

    @property
    def photons(self) -> np.ndarray:
        """The mean of their total photon number."""
        return np.real(np.trace(self.C, axis1=1, axis2=2) + np.sum(abs(self.mean) ** 2, 1)) / 2


@dataclass(frozen=True)
class Cut:
    """A point of a circuit at which a truncation acts.

    Attributes:
        number: the position of the operation, counted from 1 with layers written out.
        step: the operation.
        moments: the moments of each mode whose cutoff acts, by mode.
        exact: whether the state of these modes is Gaussian, so that the moments tell all of it.
        group: the moments of all modes coupled to these, if a bound on their total acts. It does
            not if the operation keeps the total and joins no groups.
    """

    number: int
    step: Step
    moments: dict[int, OneMode]
    exact: bool
    group: Group | None


def cuts(circuit: Circuit, weights: Weights, x: np.ndarray) -> Iterator[Cut]:
    """All points at which a truncation acts, including those inside an operation that is cut
    several times.

    Args:
        circuit: a circuit, starting in the vacuum.
        weights: as in calling it.
        x: samples, shape ``(rows, inputs)``.
    """
    n = circuit.modes
    mean = np.zeros((len(x), 2 * n), complex)
    C = np.broadcast_to(np.eye(2 * n, dtype=complex) / 2, (len(x), 2 * n, 2 * n)).copy()
    untracked: set[int] = set()  # the modes whose state is not the Gaussian one of the moments
    groups = [{mode} for mode in range(n)]  # for each mode the modes coupled to it

    def moments(mode: int) -> OneMode:
        a, N, M = mean[:, mode], C[:, mode, mode].real, C[:, mode, n + mode]
        return OneMode(a.copy(), N - 0.5, M.copy())

    def couple(modes) -> bool:
        """Couple modes; returns whether they were of several groups."""
        joined = set().union(*(groups[mode] for mode in modes))
        several = joined != groups[modes[0]]
        for mode in joined:
            groups[mode] = joined
        return several

    def group(mode: int) -> Group:
        of = sorted(groups[mode])
        both = [*of, *(n + k for k in of)]
        normal = C[:, both][:, :, both] - np.eye(len(both)) / 2
        return Group(mean[:, both], normal, not untracked & groups[mode])

    def separate(modes) -> None:
        """Take each of these modes out of its group."""
        for mode in modes:
            for each in groups[mode] - {mode}:
                groups[each] = groups[each] - {mode}
            groups[mode] = {mode}

    for number, step in enumerate(evaluated(circuit, weights, x), 1):
        own = set(step.modes)
        known = step.name in GAUSSIAN and not step.fed_forward
        moves = GAUSSIAN[step.name](step.parameters, step.options) if known else []
        if isinstance(step, Measurement):
            # The mode is left empty. The state of the others depends on what was found, which the
            # moments do not follow.
            moves, untracked = [_empty(own)], set(range(n)) - own
            separate(own)
        elif isinstance(step, Preparation):
            separate(own)
            moves = moves or [_empty(own)]
            untracked = untracked - own if known else untracked | own
        elif not known or untracked & own:
            untracked |= own
        for move in moves:
            at = [step.modes[k] for k in move.on]
            both = [*at, *(n + mode for mode in at)]
            T, flip = move.T, np.conj(np.swapaxes(move.T, -1, -2))
            mean[:, both] = np.einsum("...ij,...j->...i", T, mean[:, both]) + move.shift
            C[:, both, :] = T @ C[:, both, :]
            C[:, :, both] = C[:, :, both] @ flip
            C[np.ix_(range(len(x)), both, both)] += move.noise
            joined = couple(at)
            if move.cuts:
                loses = joined or not _keeps_total(move)
                yield Cut(
                    number,
                    step,
                    {mode: moments(mode) for mode in at},
                    not untracked & set(at),
                    group(at[0]) if loses else None,
                )
        if not known and not isinstance(step, Measurement):
            joined, cuts = couple(step.modes), _may_cut(step)
            if cuts or joined:
                touched = {mode: moments(mode) for mode in step.modes if cuts}
                yield Cut(number, step, touched, not cuts, group(step.modes[0]))


def _keeps_total(move: Move) -> bool:
    k = len(move.on)
    return not (np.any(move.T[..., :k, k:]) or np.any(move.shift) or np.any(move.noise))


def _may_cut(step: Step) -> bool:
    match step:
        case Measurement():
            return False
        case Preparation():
            return step.spec.truncates
    return step.name not in KEEPS_PHOTONS


def evaluated(circuit: Circuit, weights: Weights, x: np.ndarray) -> list[Step]:
    """The operations, with layers written out and the values of their parameters for each row of
    ``x``. Parameters that depend on outcomes stay `Parameter`.
    """
    steps: list[Step] = []  # filled when `values` is traced

    def values(row):
        steps[:] = written_out(circuit.operations, Values(weights, row))
        return [
            {name: v for name, v in step.parameters.items() if not isinstance(v, Parameter)}
            for step in steps
        ]

    found = jax.device_get(jax.vmap(values)(x))
    return [
        replace(step, parameters={**step.parameters, **own})
        for step, own in zip(steps, found, strict=True)
    ]


def tails(one: OneMode, cutoffs: tuple[int, ...]) -> np.ndarray:
    """The probability of ``cutoff`` photons or more in Gaussian states of one mode.

    Returns an array of shape ``(samples, len(cutoffs))``, accurate to 1e-12.

    Along the axes of its noise ellipse, with means q and normally ordered variances v of the two
    quadratures of ``a = q_1 + i q_2``, the photon numbers have the generating function

        sum_n P(n) z^n = prod_i (1 + 2 v_i (1 - z))^(-1/2) exp(-(1 - z) q_i^2 / (1 + 2 v_i (1 - z)))

    whose coefficients are its Fourier components on a circle. The circle is a little smaller than
    the unit circle, so that photon numbers beyond the range of the transform alias to less than
    1e-12 of themselves.

    Reference:
        R. J. Glauber, Phys. Rev. 131, 2766 (1963); the coefficients: J. Abate and W. Whitt, Oper.
        Res. Lett. 12, 245 (1992).

    Example:
        >>> import numpy as np
        >>> from fockjax.runtime.cutoffs.gaussian import OneMode, tails
        >>> thermal = OneMode(np.zeros(1), np.ones(1), np.zeros(1))  # 1/2, 1/4, 1/8, ..
        >>> tails(thermal, (1, 2, 10)).round(6)
        array([[0.5     , 0.25    , 0.000977]])
    """
    spread = abs(one.pairs)
    along: Any = one.mean * np.exp(-0.5j * np.angle(one.pairs))
    squares = np.stack([along.real, along.imag], 1) ** 2
    return _tails(squares, np.stack([one.photons + spread, one.photons - spread], 1), cutoffs)


def total_tails(group: Group, cutoffs: tuple[int, ...]) -> np.ndarray:
    """As `tails`, for the total photon number of several modes: the generating function has a
    factor for each axis of their common noise ellipsoid.

    Example:
        >>> import numpy as np
        >>> from fockjax.runtime.cutoffs.gaussian import Group, total_tails
        >>> both = Group(np.zeros((1, 4)), np.eye(4)[None], True)  # thermal, of 1 photon each
        >>> total_tails(both, (1, 2)).round(6)  # 1 - 1/4, 1 - 1/4 - 2/8
        array([[0.75, 0.5 ]])
    """
    widths, axes = np.linalg.eigh(group.C)
    along = np.einsum("sia,si->sa", axes.conj(), group.mean)
    return _tails(abs(along) ** 2 / 2, widths, cutoffs)


def _tails(squares: np.ndarray, widths: np.ndarray, cutoffs: tuple[int, ...]) -> np.ndarray:
    """The `tails` from ``q_i^2`` and ``2 v_i`` on each axis, both of shape ``(samples, axes)``."""
    size = max(cutoffs)
    points = 1 << (4 * size - 1).bit_length()
    radius = 10 ** (-12 / points)
    z = radius * np.exp(2j * np.pi * np.arange(points // 2 + 1) / points)
    log = 0
    for q, v in zip(squares.T, widths.T, strict=True):
        width = 1 + v[:, None] * (1 - z)
        log = log - np.log(width) / 2 - (1 - z) * q[:, None] / width
    coefficients = np.fft.irfft(np.exp(log).conj(), points)[:, :size]
    photons = coefficients * radius ** -np.arange(size)
    below = np.cumsum(photons, axis=1)[:, np.array(cutoffs) - 1]
    return np.clip(1 - below, 0, 1)


# What each operation does
# -------------------------------------------------------------------------------------------------

KEEPS_PHOTONS = ("kerr", "cross_kerr", "snap", "dephasing", "loss")


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


def _empty(modes) -> Move:
    return _fresh(len(modes))._replace(cuts=False)


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


GAUSSIAN: dict[str, Callable[[Parameters, Parameters], list[Move]]] = {
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
    "vacuum": lambda p, o: [_empty((0,))],
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
