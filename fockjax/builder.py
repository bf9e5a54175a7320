"""The methods by which a circuit is written: one for each gate, channel and measurement, all of
them calling `add` or `measure`.
"""

import abc
from collections.abc import Sequence
from typing import Any, Self

import jax
import numpy as np

from fockjax import _validated, decompositions
from fockjax.parameters import Parameter


class Builder(abc.ABC):
    """What `fockjax.Circuit` inherits: a method for each operation. Each returns the circuit.

    A parameter is a real number, a `fockjax.Weight`, `fockjax.Input` or `fockjax.Outcome`, or
    arithmetic of these. Angles and the strengths of Kerr gates are in radians, r may be negative
    (``alpha = r e^{i phi}``, ``z = r e^{i phi}``), and x, p, gamma and the variance of noise are in
    the units of the circuit's hbar. Modes are given by keyword, ``mode`` of what acts on one alone,
    ``modes`` of all else. They count from 0; of several, their order is that of the formula. A mode
    that is not there, or a number out of its range, raises ValueError with the position of the
    operation.
    """

    modes: int

    @abc.abstractmethod
    def add(self, name: str, *values: Any, modes: int | Sequence[int], **named: Any) -> Self:
        """Add a gate or channel by its name in the registry."""

    @abc.abstractmethod
    def measure(self, kind: str, *values: Any, modes: int | Sequence[int], **named: Any) -> Self:
        """Measure modes by the kind's name in the registry."""

    # one mode

    def displace(self, r, phi: Any = 0.0, *, mode: int) -> Self:
        """Displacement ``D(alpha) = exp(alpha a^dagger - alpha^* a)``, ``alpha = r e^{i phi}``. See
        `fockjax.gates.displacement`.
        """
        return self.add("displacement", r, phi, modes=mode)

    def squeeze(self, r, phi: Any = 0.0, *, mode: int) -> Self:
        """Squeezing ``S(z) = exp((z^* a^2 - z a^dagger^2)/2)``, ``z = r e^{i phi}``. See
        `fockjax.gates.squeezing`.
        """
        return self.add("squeezing", r, phi, modes=mode)

    def rotate(self, phi, *, mode: int) -> Self:
        """Rotation ``R(phi) = exp(i phi n)``. See `fockjax.gates.rotation`."""
        return self.add("rotation", phi, modes=mode)

    def fourier(self, *, mode: int) -> Self:
        """Fourier gate ``F = R(pi/2)``: takes x to -p and p to x. See `fockjax.gates.fourier`."""
        return self.add("fourier", modes=mode)

    def kerr(self, kappa, *, mode: int) -> Self:
        """Kerr gate ``K(kappa) = exp(i kappa n^2)``. See `fockjax.gates.kerr`."""
        return self.add("kerr", kappa, modes=mode)

    def snap(self, phases, *, mode: int) -> Self:
        """SNAP gate ``sum_n e^{i phases[n]} |n><n|``; photon numbers beyond the phases given are
        left alone. See `fockjax.gates.snap`.
        """
        return self.add("snap", phases, modes=mode)

    def x_displace(self, x, *, mode: int) -> Self:
        """Position displacement ``X(x) = exp(-i x p_hat / hbar)``: adds x to the position. See
        `fockjax.gates.x_displacement`.
        """
        return self.add("x_displacement", x, modes=mode)

    def p_displace(self, p, *, mode: int) -> Self:
        """Momentum displacement ``Z(p) = exp(i p x_hat / hbar)``: adds p to the momentum. See
        `fockjax.gates.p_displacement`.
        """
        return self.add("p_displacement", p, modes=mode)

    def quadratic_phase(self, s, *, mode: int) -> Self:
        """Quadratic phase gate ``P(s) = exp(i s x^2 / (2 hbar))``, up to a global phase: adds s x
        to the momentum. See `fockjax.gates.quadratic_phase`.
        """
        return self.add("quadratic_phase", s, modes=mode)

    def cubic_phase(self, gamma, *, padding: int = 0, mode: int) -> Self:
        """Cubic phase gate ``V(gamma) = exp(i gamma x^3 / (3 hbar))``: adds gamma x^2 to the
        momentum. ``padding`` more photon numbers bring it closer to that (see
        `fockjax.gates.cubic_phase`).
        """
        return self.add("cubic_phase", gamma, padding=padding, modes=mode)

    # two modes

    def beamsplitter(
        self, theta: Any = np.pi / 4, phi: Any = 0.0, *, modes: Sequence[int] = (0, 1)
    ) -> Self:
        """Beamsplitter ``BS(theta, phi) = exp(theta (e^{i phi} a1 a2^dagger - e^{-i phi} a1^dagger
        a2))``. See `fockjax.gates.beamsplitter`.
        """
        return self.add("beamsplitter", theta, phi, modes=modes)

    def mach_zehnder(self, phi_in, phi_ex, *, modes: Sequence[int] = (0, 1)) -> Self:
        """Mach-Zehnder interferometer ``BS(pi/4, pi/2) R1(phi_in) BS(pi/4, pi/2) R1(phi_ex)``. See
        `fockjax.gates.mach_zehnder`.
        """
        return self.add("mach_zehnder", phi_in, phi_ex, modes=modes)

    def symmetric_mach_zehnder(
        self, phi_in, phi_ex, *, exact: bool = False, modes: Sequence[int] = (0, 1)
    ) -> Self:
        """Symmetric Mach-Zehnder interferometer ``BS(pi/4, pi/2) R1(phi_in - pi/2) R2(phi_ex -
        pi/2) BS(pi/4, pi/2)``; with ``exact`` cut once, not after each beamsplitter. See
        `fockjax.gates.symmetric_mach_zehnder`.
        """
        return self.add("symmetric_mach_zehnder", phi_in, phi_ex, exact=exact, modes=modes)

    def two_mode_squeeze(self, r, phi: Any = 0.0, *, modes: Sequence[int] = (0, 1)) -> Self:
        """Two-mode squeezing ``S2(r, phi) = exp(r (e^{i phi} a1^dagger a2^dagger - e^{-i phi} a1
        a2))``. See `fockjax.gates.two_mode_squeezing`.
        """
        return self.add("two_mode_squeezing", r, phi, modes=modes)

    def cross_kerr(self, kappa, *, modes: Sequence[int] = (0, 1)) -> Self:
        """Cross-Kerr gate ``CK(kappa) = exp(i kappa n1 n2)``. See `fockjax.gates.cross_kerr`."""
        return self.add("cross_kerr", kappa, modes=modes)

    def controlled_x(self, s, *, exact: bool = False, modes: Sequence[int] = (0, 1)) -> Self:
        """Controlled X gate ``CX(s) = exp(-i s x1 p2 / hbar)``: adds s x1 to x2; with ``exact`` cut
        once, not after each beamsplitter and squeezer. See `fockjax.gates.controlled_x`.
        """
        return self.add("controlled_x", s, exact=exact, modes=modes)

    def controlled_z(self, s, *, exact: bool = False, modes: Sequence[int] = (0, 1)) -> Self:
        """Controlled Z gate ``CZ(s) = exp(i s x1 x2 / hbar)``: adds s x2 to p1 and s x1 to p2; with
        ``exact`` cut once, not after each beamsplitter and squeezer. See
        `fockjax.gates.controlled_z`.
        """
        return self.add("controlled_z", s, exact=exact, modes=modes)

    # any number of modes

    def unitary(self, matrix, *, modes: int | Sequence[int] | None = None) -> Self:
        """A gate given by its matrix, which must be unitary or a unitary cut to fewer photon
        numbers: a complex array of shape ``(*cutoffs, *cutoffs)`` with output photon numbers
        first, or ``(size, size)`` with the last mode's photon number running fastest. By default it
        acts on all modes.

        Trainable matrices: ``circuit.add("unitary", real, imag, modes=modes)``.
        """
        _refuse_parameters(matrix, "matrix", "circuit.add('unitary', real, imag, modes=..)")
        return self.add("unitary", matrix, modes=self._or_all(modes))

    def interferometer(
        self,
        U,
        *,
        modes: int | Sequence[int] | None = None,
        mesh: str = "rectangular",
        exact: bool = False,
    ) -> Self:
        """A given interferometer, ``a_k^dagger -> sum_j U_jk a_j^dagger``, as a mesh of
        beamsplitters.

        Args:
            U: unitary matrix, a row and a column for each mode.
            modes: the modes it acts on, by default all.
            mesh: "rectangular" (Clements) or "triangular" (Reck).
            exact: False: as Strawberry Fields, cut after each beamsplitter; True: the elements of
                the infinite operator, cut once. See `fockjax.gates.interferometer`.

        Raises:
            ValueError: if U is not unitary or has another number of modes.

        Example:
            >>> import numpy as np, fockjax as fj
            >>> fourier = np.fft.fft(np.eye(3), norm="ortho")
            >>> circuit = fj.Circuit(3).displace(1.0, mode=0)
            >>> circuit = circuit.interferometer(fourier)
            >>> print(circuit({}, cutoff=6).photon_number(2).mean.round(3))
            0.333
        """
        modes = self._or_all(modes)
        _refuse_parameters(
            U, "U", "circuit.mesh(theta, phi, rotation) or circuit.passive(generator)"
        )
        U = _of_modes(_validated.unitary(U), "U", 1, modes)
        find = {"rectangular": decompositions.rectangular, "triangular": decompositions.triangular}
        if mesh not in find:
            raise ValueError(f"Argument `mesh` must be one of {tuple(find)}, got {mesh!r}.")
        _, theta, phi, rotation = find[mesh](U)
        return self.mesh(theta, phi, rotation, modes=modes, mesh=mesh, exact=exact)

    def mesh(
        self,
        theta,
        phi,
        rotation,
        *,
        modes: int | Sequence[int] | None = None,
        mesh: str = "rectangular",
        exact: bool = False,
    ) -> Self:
        """An interferometer of n modes with angles of its own: ``BS(theta_k, phi_k)`` on the pairs
        of a mesh, then ``R(rotation_m)`` on each mode. See `fockjax.gates.interferometer`.

        Args:
            theta: n (n - 1) / 2 angles: an array `fockjax.Weight`, numbers, or a list of
                parameters.
            phi: as many phases.
            rotation: n phases.
            modes: the modes it acts on, by default all.
            mesh: "rectangular" or "triangular": which pairs, see `decompositions.pairs`.
            exact: whether to cut once, not after each beamsplitter.

        Example:
            >>> import fockjax as fj
            >>> fj.Circuit(3).mesh(fj.Weight("t", 3), fj.Weight("p", 3), [0.0] * 3)
            Circuit of 3 modes, 0 inputs, 2 weights
              interferometer(theta=t, phi=p, rotation=array(3)) on modes 0, 1, 2
        """
        modes = self._or_all(modes)
        return self.add("interferometer", theta, phi, rotation, modes=modes, mesh=mesh, exact=exact)

    def passive(self, generator, *, modes: int | Sequence[int] | None = None) -> Self:
        """The interferometer of the unitary matrix ``exp(iH)``, trainable on all of U(n); cut once.

        Args:
            generator: real array of shape (n, n) that H is made of, for example an array
                `fockjax.Weight`: see `fockjax.gates.passive`. `decompositions.generator` gives that
                of a unitary matrix to start from.
            modes: the modes it acts on, by default all.

        Example:
            >>> import fockjax as fj
            >>> fj.Circuit(3).passive(fj.Weight("A", (3, 3)))
            Circuit of 3 modes, 0 inputs, 1 weight
              passive(generator=A) on modes 0, 1, 2
        """
        return self.add("passive", generator, modes=self._or_all(modes))

    def gaussian_transform(
        self, S, *, modes: int | Sequence[int] | None = None, exact: bool = False
    ) -> Self:
        """A given Gaussian transformation of the quadratures, ``(x, p) -> S (x, p)``.

        By Bloch-Messiah an interferometer, squeezers and an interferometer; only one interferometer
        where S is passive. The gates, and with them the global phase, are Strawberry Fields' where
        the squeezings differ; where some are equal the choice among them is free, and the results
        agree up to truncation.

        Args:
            S: real symplectic matrix of shape (2n, 2n), in the order (x1, .., xn, p1, .., pn).
            modes: the n modes it acts on, by default all.
            exact: False: as Strawberry Fields, cut after each of its gates; True: the elements of
                the infinite operator, cut once. See `fockjax.gates.gaussian_transform`.

        Raises:
            ValueError: if S is not symplectic or has another number of modes.

        Example:
            >>> import numpy as np, fockjax as fj
            >>> circuit = fj.Circuit(1).gaussian_transform(np.diag([0.5, 2.0]))
            >>> print(circuit({}, cutoff=30).quadrature(0).variance.round(3))
            0.25
        """
        modes = self._or_all(modes)
        trainable = "circuit.add('gaussian_transform', theta, phi, rotation, r, modes=..)"
        _refuse_parameters(S, "S", trainable)
        S = _of_modes(_validated.symplectic(S), "S", 2, modes)
        left, r, right = decompositions.bloch_messiah(S)
        if not r.any():
            return self.interferometer(left @ right, modes=modes, exact=exact)
        first, second = decompositions.rectangular(right), decompositions.rectangular(left)
        angles = (np.stack(both) for both in zip(first[1:], second[1:], strict=True))
        return self.add("gaussian_transform", *angles, r, modes=modes, exact=exact)

    def _or_all(self, modes: int | Sequence[int] | None) -> int | Sequence[int]:
        return tuple(range(self.modes)) if modes is None else modes

    # channels

    def loss(self, T, *, mode: int) -> Self:
        """Loss: a beamsplitter of energy transmissivity T, in [0, 1], with the vacuum. See
        `fockjax.channels.loss`.
        """
        return self.add("loss", T, modes=mode)

    def thermal_loss(self, T, nbar, *, mode: int) -> Self:
        """Thermal loss: a beamsplitter of energy transmissivity T, in [0, 1], with a thermal state
        of ``nbar >= 0`` photons. See `fockjax.channels.thermal_loss`.
        """
        return self.add("thermal_loss", T, nbar, modes=mode)

    def amplifier(self, gain, nbar: Any = 0.0, *, mode: int) -> Self:
        """Phase-insensitive amplifier: ``a -> sqrt(gain) a + sqrt(gain - 1) b^dagger``, gain >= 1,
        with ``nbar >= 0`` photons in the idler b. See `fockjax.channels.amplifier`.
        """
        return self.add("amplifier", gain, nbar, modes=mode)

    def dephasing(self, sigma, *, mode: int) -> Self:
        """Dephasing: a rotation by a normally distributed angle of standard deviation sigma, in
        radians. See `fockjax.channels.dephasing`.
        """
        return self.add("dephasing", sigma, modes=mode)

    def additive_noise(self, variance, *, mode: int) -> Self:
        """Additive Gaussian noise: adds ``variance >= 0`` to the variances of x and of p. See
        `fockjax.channels.additive_noise`.
        """
        return self.add("additive_noise", variance, modes=mode)

    def kraus(self, operators, *, modes: int | Sequence[int], truncated: bool = False) -> Self:
        """A channel given by its Kraus operators: a complex array of shape ``(J, *cutoffs,
        *cutoffs)`` with output photon numbers first, or ``(J, size, size)``. ``truncated``: they
        may sum to less than the identity, what is missing being lost. See `fockjax.channels.kraus`.
        """
        _refuse_parameters(operators, "operators", "circuit.add('kraus', real, imag, modes=..)")
        return self.add("kraus", operators, modes=modes, truncated=truncated)

    # measurements, see `measure`

    def measure_photons(
        self,
        efficiency: Any = 1.0,
        dark_counts: Any = 0.0,
        *,
        modes: int | Sequence[int],
        select=None,
        name=None,
    ) -> Self:
        """Count photons: each is seen with probability ``efficiency``, and ``dark_counts`` more are
        counted on average. See `fockjax.detectors.photons`.
        """
        return self.measure(
            "photons", efficiency, dark_counts, modes=modes, select=select, name=name
        )

    def measure_threshold(
        self,
        efficiency: Any = 1.0,
        dark_counts: Any = 0.0,
        *,
        modes: int | Sequence[int],
        select=None,
        name=None,
    ) -> Self:
        """Detect whether there are photons: 1, a click, or 0. See `fockjax.detectors.threshold`."""
        return self.measure(
            "threshold", efficiency, dark_counts, modes=modes, select=select, name=name
        )

    def measure_homodyne(self, angle: Any = 0.0, *, mode: int, select=None, name=None) -> Self:
        """Measure ``x cos(angle) + p sin(angle)``; its outcome, and one to ``select``, are in the
        units of the circuit's hbar. See `fockjax.detectors.homodyne`.
        """
        return self.measure("homodyne", angle, modes=mode, select=select, name=name)

    def measure_heterodyne(self, *, mode: int, select=None, name=None) -> Self:
        """Measure x and p together: the outcome is a complex amplitude alpha, its density ``<alpha|
        rho |alpha> / pi``. See `fockjax.detectors.heterodyne`.
        """
        return self.measure("heterodyne", modes=mode, select=select, name=name)


def _refuse_parameters(matrix: Any, name: str, trainable: str) -> None:
    """Refuse parameters for a matrix that is decomposed, or whose parts are taken, right away."""
    found = [leaf for leaf in jax.tree.leaves(matrix) if isinstance(leaf, Parameter)]
    if found:
        raise TypeError(
            f"Argument `{name}` must be a constant array, got {found[0]}; with parameters it is "
            f"{trainable}."
        )


def _of_modes(matrix, name: str, rows: int, modes):
    """The matrix, checked to have as many rows as ``rows`` for each mode."""
    count = np.size(modes)
    if len(matrix) != rows * count:
        raise ValueError(
            f"Argument `{name}` must have shape {(rows * count,) * 2} for modes {modes}, got "
            f"{matrix.shape}."
        )
    return matrix
