"""The geometry of states that depend on parameters: metric tensor and Fisher information."""

import math
from collections.abc import Callable
from functools import reduce
from string import ascii_letters
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from fockjax._linear import contract
from fockjax.states import State


def metric_tensor(function: Callable[[Any], Any], parameters: Any) -> Any:
    """The Fubini-Study metric of pure states that depend on real parameters,
    ``g_ij = Re(<d_i psi|d_j psi> - <d_i psi|psi> <psi|d_j psi>)``.

    If the parameters move by a small v, the fidelity with the state before becomes
    ``1 - sum_ij g_ij v_i v_j``.

    Nothing is renormalised: for a state of norm below 1 the inner products are those of the
    truncated kets. The metric of the state scaled to norm 1 differs in first order of the leakage.

    Factors are never joined. The cost is a forward derivative of all factors' kets for each of the
    P parameters (with the memory of P kets), then P^2 inner products for each factor.

    Args:
        function: takes ``parameters`` and returns a `State`, or a ket of any shape.
        parameters: a pytree of real arrays.

    Returns:
        A pytree of pytrees of real arrays, nested as `jax.hessian` nests: for parameters ``a`` and
        ``b``, ``g[a][b]`` has shape ``(*a.shape, *b.shape)``. Differentiable, and to be used under
        `jax.jit` and `jax.vmap`, as ``function`` is.

    Raises:
        TypeError: if a parameter is not real, or what the function returns is neither.
        ValueError: if it returns a mixed state, whose metric kets do not give.

    Example:
        A step of natural gradient descent on the mean photon number:

        >>> import jax, jax.numpy as jnp, fockjax as fj
        >>> circuit = fj.Circuit(1).squeeze(fj.Input(0), mode=0).rotate(fj.Input(1), mode=0)
        >>> state = lambda x: circuit({}, x, cutoff=20)
        >>> x = jnp.array([0.5, 0.3])
        >>> metric = jax.jit(lambda x: fj.metric_tensor(state, x))
        >>> print(metric(x).round(2) + 0)  # 1/2 and Var(n)
        [[0.5  0.  ]
         [0.   0.69]]
        >>> slope = jax.jit(jax.grad(lambda x: state(x).photon_number(0).mean))(x)
        >>> natural = jnp.linalg.solve(metric(x) + 1e-3 * jnp.eye(2), slope)
        >>> x = x - 0.1 * natural

    Reference:
        J. P. Provost and G. Vallee, Commun. Math. Phys. 76, 289 (1980); as a natural gradient:
        J. Stokes et al., Quantum 4, 269 (2020).
    """
    parameters = jax.tree.map(jnp.asarray, parameters)
    for leaf in jax.tree.leaves(parameters):
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            raise TypeError(
                f"Argument `parameters` must hold real floating-point arrays, got {leaf.dtype}."
            )
    flat, unravel = ravel_pytree(parameters)

    def kets(flat):
        return _kets(function(unravel(flat)))

    def along(direction):
        return jax.jvp(kets, (flat,), (direction,))

    values, slopes = jax.vmap(along, out_axes=(None, 0))(jnp.eye(flat.size, dtype=flat.dtype))
    norm, slope, gram = reduce(_product, map(_of_factor, values, slopes))
    metric = (gram - contract(slope.conj(), slope, "i,j->ij")).real

    def nested(rows):  # [.., all parameters] -> for each leaf b [.., *b.shape]
        table = jax.vmap(unravel)(rows.reshape(math.prod(rows.shape[:-1]), -1))
        return jax.tree.map(lambda b: b.reshape(*rows.shape[:-1], *b.shape[1:]), table)

    rows = jax.vmap(unravel, in_axes=1, out_axes=-1)(metric)
    return jax.tree.map(nested, rows)


def quantum_fisher(function: Callable[[Any], Any], parameters: Any) -> Any:
    """The quantum Fisher information matrix of pure states, 4 times `metric_tensor`.

    An unbiased estimate of the parameters from N copies of the state has a covariance of at least
    its inverse over N (the quantum Cramer-Rao bound).

    Args:
        function, parameters: as in `metric_tensor`.

    Returns:
        As `metric_tensor` does.

    Example:
        >>> import jax.numpy as jnp, fockjax as fj
        >>> circuit = fj.Circuit(1).displace(fj.Input(0), fj.Input(1), mode=0)
        >>> state = lambda x: circuit({}, x, cutoff=20)
        >>> print(fj.quantum_fisher(state, jnp.array([0.5, 0.3])).round(3) + 0)  # 4 and 4 r^2
        [[4. 0.]
         [0. 1.]]

    Reference:
        S. L. Braunstein and C. M. Caves, Phys. Rev. Lett. 72, 3439 (1994).
    """
    return jax.tree.map(lambda g: 4 * g, metric_tensor(function, parameters))


def _kets(state: Any) -> list[jax.Array]:
    if isinstance(state, State):
        state.require_pure("`metric_tensor`")
        return [factor.array for factor in state.factors]
    if isinstance(state, jax.Array | np.ndarray):
        return [jnp.asarray(state)]
    raise TypeError(
        f"Argument `function` must return a State or a ket as an array, got {type(state).__name__}."
    )


def _of_factor(ket, slopes):
    """<psi|psi>, <psi|d_j psi>, <d_i psi|d_j psi>."""
    labels = ascii_letters[: ket.ndim]
    return (
        contract(ket.conj(), ket, f"{labels},{labels}->"),
        contract(ket.conj(), slopes, f"{labels},Z{labels}->Z"),
        contract(slopes.conj(), slopes, f"Y{labels},Z{labels}->YZ"),
    )


def _product(one, two):
    """The inner products of `_of_factor` for the product of two factors, by the product rule."""
    (norm, slope, gram), (other_norm, other_slope, other_gram) = one, two
    mixed = contract(slope.conj(), other_slope, "i,j->ij")
    return (
        norm * other_norm,
        slope * other_norm + norm * other_slope,
        gram * other_norm + norm * other_gram + mixed + mixed.T.conj(),
    )
