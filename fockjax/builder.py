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

    def kerr(self, kappa, *, mode: int) -> Self:
        """Kerr gate ``K(kappa) = exp(i kappa n^2)``."""
        return self.add("kerr", kappa, modes=mode)

    # two modes

    def beamsplitter(self, theta=np.pi / 4, phi=0.0, *, modes: Sequence[int] = (0, 1)) -> Self:
        """Beamsplitter ``BS(theta, phi) = exp(theta (e^{i phi} a1 a2^dagger - e^{-i phi} a1^dagger
        a2))``.
        """
        return self.add("beamsplitter", theta, phi, modes=modes)
