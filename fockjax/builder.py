"""The methods by which a circuit is written: one for each gate, all of them calling `add`."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np


class Builder:
    """What `fockjax.Circuit` inherits: gates by name. Each method returns the circuit."""

    def add(self, name: str, *values: Any, modes: int | Sequence[int], **named: Any) -> Self:
        """Add a gate by its name in the registry."""
        raise NotImplementedError

    # one mode

    def displace(self, r, phi=0.0, *, mode: int) -> Self:
        """Displacement ``D(alpha) = exp(alpha a^dagger - alpha^* a)``, ``alpha = r e^{i phi}``."""
        return self.add("displacement", r, phi, modes=mode)

    def squeeze(self, r, phi=0.0, *, mode: int) -> Self:
        """Squeezing ``S(z) = exp((z^* a^2 - z a^dagger^2)/2)``, ``z = r e^{i phi}``."""
        return self.add("squeezing", r, phi, modes=mode)

    def rotate(self, phi, *, mode: int) -> Self:
        """Rotation ``R(phi) = exp(i phi n)``."""
        return self.add("rotation", phi, modes=mode)

    def fourier(self, *, mode: int) -> Self:
        """Fourier gate ``F = R(pi/2)``: takes x to -p and p to x."""
        return self.add("fourier", modes=mode)

    def kerr(self, kappa, *, mode: int) -> Self:
        """Kerr gate ``K(kappa) = exp(i kappa n^2)``."""
        return self.add("kerr", kappa, modes=mode)

    def snap(self, phases, *, mode: int) -> Self:
        """SNAP gate ``sum_n e^{i phases[n]} |n><n|``; photon numbers beyond the phases given are
        left alone.
        """
        return self.add("snap", phases, modes=mode)

    def x_displace(self, x, *, mode: int) -> Self:
        """Position displacement ``X(x) = exp(-i x p_hat / hbar)``: adds x to the position."""
        return self.add("x_displacement", x, modes=mode)

    def p_displace(self, p, *, mode: int) -> Self:
        """Momentum displacement ``Z(p) = exp(i p x_hat / hbar)``: adds p to the momentum."""
        return self.add("p_displacement", p, modes=mode)

    def quadratic_phase(self, s, *, mode: int) -> Self:
        """Quadratic phase gate ``P(s) = exp(i s x^2 / (2 hbar))``, up to a global phase: adds s x
        to the momentum.
        """
        return self.add("quadratic_phase", s, modes=mode)

    def cubic_phase(self, gamma, *, padding: int = 0, mode: int) -> Self:
        """Cubic phase gate ``V(gamma) = exp(i gamma x^3 / (3 hbar))``: adds gamma x^2 to the
        momentum. ``padding`` more photon numbers bring it closer to that (see
        `fockjax.gates.cubic_phase`).
        """
        return self.add("cubic_phase", gamma, padding=padding, modes=mode)

    # two modes

    def beamsplitter(self, theta=np.pi / 4, phi=0.0, *, modes: Sequence[int] = (0, 1)) -> Self:
        """Beamsplitter ``BS(theta, phi) = exp(theta (e^{i phi} a1 a2^dagger - e^{-i phi} a1^dagger
        a2))``.
        """
        return self.add("beamsplitter", theta, phi, modes=modes)

    def mach_zehnder(self, phi_in, phi_ex, *, modes: Sequence[int] = (0, 1)) -> Self:
        """Mach-Zehnder interferometer ``BS(pi/4, pi/2) R1(phi_in) BS(pi/4, pi/2) R1(phi_ex)``."""
        return self.add("mach_zehnder", phi_in, phi_ex, modes=modes)

    def symmetric_mach_zehnder(
        self, phi_in, phi_ex, *, exact: bool = False, modes: Sequence[int] = (0, 1)
    ) -> Self:
        """Symmetric Mach-Zehnder interferometer ``BS(pi/4, pi/2) R1(phi_in - pi/2) R2(phi_ex -
        pi/2) BS(pi/4, pi/2)``; ``exact``: cut once, not beamsplitter by beamsplitter.
        """
        return self.add("symmetric_mach_zehnder", phi_in, phi_ex, exact=exact, modes=modes)

    def two_mode_squeeze(self, r, phi=0.0, *, modes: Sequence[int] = (0, 1)) -> Self:
        """Two-mode squeezing ``S2(r, phi) = exp(r (e^{i phi} a1^dagger a2^dagger - e^{-i phi} a1
        a2))``.
        """
        return self.add("two_mode_squeezing", r, phi, modes=modes)

    def cross_kerr(self, kappa, *, modes: Sequence[int] = (0, 1)) -> Self:
        """Cross-Kerr gate ``CK(kappa) = exp(i kappa n1 n2)``."""
        return self.add("cross_kerr", kappa, modes=modes)

    def controlled_x(self, s, *, exact: bool = False, modes: Sequence[int] = (0, 1)) -> Self:
        """Controlled X gate ``CX(s) = exp(-i s x1 p2 / hbar)``: adds s x1 to x2; ``exact``: cut
        once, not squeezer by beamsplitter.
        """
        return self.add("controlled_x", s, exact=exact, modes=modes)

    def controlled_z(self, s, *, exact: bool = False, modes: Sequence[int] = (0, 1)) -> Self:
        """Controlled Z gate ``CZ(s) = exp(i s x1 x2 / hbar)``: adds s x2 to p1 and s x1 to p2;
        ``exact``: cut once, not squeezer by beamsplitter.
        """
        return self.add("controlled_z", s, exact=exact, modes=modes)

    # any number of modes

    def unitary(self, matrix, *, modes: int | Sequence[int]) -> Self:
        """A gate given by its matrix, which must be unitary or a unitary cut to fewer photon
        numbers: a complex array of shape ``(*cutoffs, *cutoffs)`` with output photon numbers
        first, or ``(size, size)`` with the last mode's photon number running fastest.

        Trainable matrices: ``circuit.add("unitary", real, imag, modes=modes)``.
        """
        return self.add("unitary", np.real(matrix), np.imag(matrix), modes=modes)
