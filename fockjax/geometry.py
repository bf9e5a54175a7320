"""The geometry of states that depend on parameters: metric tensor and Fisher information."""

import math
from collections.abc import Callable, Sequence
from functools import reduce
from string import ascii_letters
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from fockjax._linear import contract
from fockjax._numerics import ratio
from fockjax.factors import Factor, Pure
from fockjax.readouts.spectral import logarithmic_derivatives
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
        ValueError: if it returns a mixed state: `quantum_fisher` takes these.

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
    factors, slopes, nested = _moving(function, parameters, _pure_factors)
    _, slope, gram = reduce(_product, map(_inner_products, factors, slopes))
    return nested((gram - contract(slope.conj(), slope, "i,j->ij")).real)


def quantum_fisher(function: Callable[[Any], Any], parameters: Any) -> Any:
    """The quantum Fisher information matrix of states, pure or mixed, that depend on real
    parameters: ``F_ij = Re trace(d_i rho L_j)`` with the symmetric logarithmic derivative L_j,
    ``d_j rho = (rho L_j + L_j rho) / 2``.

    In terms of the eigenvalues and eigenvectors of rho it is ``F_ij = sum_kl 2 Re(<k|d_i rho|l>
    <l|d_j rho|k>) / (l_k + l_l)``, over the pairs whose eigenvalues are not both zero within
    rounding. An unbiased estimate of the parameters from N copies of the state has a covariance of
    at least its inverse over N (the quantum Cramer-Rao bound). For a pure state of norm 1 it is 4
    times `metric_tensor`.

    Nothing is renormalised: rho is the truncated matrix, of trace t below 1 if the cutoff lost
    something, and F the information in what was kept. It includes that in the change of t itself,
    ``(d t)^2 / t`` for one parameter. It differs from that of the exact state in first order of the
    leakage and its derivatives, so raise the cutoff until it settles. Whether a pure state is held
    as a ket or as a density matrix makes no difference.

    Factors are never joined. A pure factor costs what it costs in `metric_tensor`. A mixed one of
    size D x D is diagonalised once, and takes the memory of P density matrices and about 4 P matrix
    products for P parameters.

    Args:
        function, parameters: as in `metric_tensor`; the state may be mixed.

    Returns:
        As `metric_tensor` does. Differentiable to any order where the rank of each density matrix
        stays the same. Where the rank changes, F itself may jump.

    Raises:
        TypeError: as `metric_tensor`.

    Example:
        >>> import jax.numpy as jnp, fockjax as fj
        >>> circuit = fj.Circuit(1).displace(fj.Input(0), fj.Input(1), mode=0)
        >>> state = lambda x: circuit({}, x, cutoff=20)
        >>> print(fj.quantum_fisher(state, jnp.array([0.5, 0.3])).round(3) + 0)  # 4 and 4 r^2
        [[4. 0.]
         [0. 1.]]

        The phase of a squeezed vacuum, after losing 30 % of the light:

        >>> probe = fj.Circuit(1).squeeze(0.5, mode=0).rotate(fj.Weight("phi"), mode=0)
        >>> probe = probe.loss(0.7, mode=0)
        >>> fisher = fj.quantum_fisher(lambda w: probe(w, cutoff=30), {"phi": 0.0})
        >>> print(fisher["phi"]["phi"].round(3))  # 2 sinh(1)^2 = 2.762 without loss
        1.215

    Reference:
        C. W. Helstrom, Quantum Detection and Estimation Theory (1976); M. G. A. Paris, Int. J.
        Quantum Inf. 7, 125 (2009), eqs. 15-17; of kets: S. L. Braunstein and C. M. Caves, Phys.
        Rev. Lett. 72, 3439 (1994).
    """
    factors, slopes, nested = _moving(function, parameters, _factors)
    return nested(reduce(_product, map(_information, factors, slopes))[2])


def _moving(
    function: Callable[[Any], Any],
    parameters: Any,
    factors_of: Callable[[Any], Sequence[Factor]],
) -> tuple[Sequence[Factor], Sequence[Factor], Callable[[jax.Array], Any]]:
    """The factors of the state; their derivatives, with an axis for all parameters first; and what
    nests a matrix [parameters, parameters] as `jax.hessian` does.
    """
    parameters = jax.tree.map(jnp.asarray, parameters)
    for leaf in jax.tree.leaves(parameters):
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            raise TypeError(
                f"Argument `parameters` must hold real floating-point arrays, got {leaf.dtype}."
            )
    flat, unravel = ravel_pytree(parameters)

    def along(direction):
        return jax.jvp(lambda flat: factors_of(function(unravel(flat))), (flat,), (direction,))

    factors, slopes = jax.vmap(along, out_axes=(None, 0))(jnp.eye(flat.size, dtype=flat.dtype))

    def of_rows(rows):  # [.., all parameters] -> for each leaf b [.., *b.shape]
        table = jax.vmap(unravel)(rows.reshape(math.prod(rows.shape[:-1]), -1))
        return jax.tree.map(lambda b: b.reshape(*rows.shape[:-1], *b.shape[1:]), table)

    def nested(matrix):
        return jax.tree.map(of_rows, jax.vmap(unravel, in_axes=1, out_axes=-1)(matrix))

    return factors, slopes, nested


def _factors(state: Any) -> Sequence[Factor]:
    if isinstance(state, State):
        state.require_one_sample()
        return state.factors
    if isinstance(state, jax.Array | np.ndarray):
        ket = jnp.asarray(state)
        return (Pure.of_ket(ket, tuple(range(ket.ndim))),)
    raise TypeError(
        f"Argument `function` must return a State or a ket as an array, got {type(state).__name__}."
    )


def _pure_factors(state: Any) -> Sequence[Factor]:
    if isinstance(state, State):
        state.require_pure("`metric_tensor`", "use `quantum_fisher`, which takes mixed states")
    return _factors(state)


def _inner_products(factor: Factor, slopes: Factor) -> tuple[jax.Array, jax.Array, jax.Array]:
    """<psi|psi>, <psi|d_j psi>, <d_i psi|d_j psi> of a pure factor."""
    ket, moved = factor.array, slopes.array
    labels = ascii_letters[: ket.ndim]
    return (
        contract(ket.conj(), ket, f"{labels},{labels}->"),
        contract(ket.conj(), moved, f"{labels},Z{labels}->Z"),
        contract(moved.conj(), moved, f"Y{labels},Z{labels}->YZ"),
    )


def _information(factor: Factor, slopes: Factor) -> tuple[jax.Array, jax.Array, jax.Array]:
    """trace(rho), trace(d_j rho), Re trace(d_i rho L_j) of a factor."""
    if factor.is_pure:
        norm, slope, gram = _inner_products(factor, slopes)
        turned = contract(slope.imag, slope.imag, "i,j->ij")
        return norm.real, 2 * slope.real, 4 * (gram.real - ratio(turned, norm.real))
    size = factor.kets.size
    rho, moved = factor.array.reshape(size, size), slopes.array.reshape(-1, size, size)
    logarithmic = logarithmic_derivatives(rho, moved)
    return (
        jnp.trace(rho).real,
        jnp.trace(moved, axis1=1, axis2=2).real,
        contract(moved, logarithmic, "iab,jba->ij", real=True),
    )


def _product(one, two):
    """`_inner_products` or `_information` of the product of two factors, by the product rule."""
    (norm, slope, gram), (other_norm, other_slope, other_gram) = one, two
    mixed = contract(slope.conj(), other_slope, "i,j->ij")
    return (
        norm * other_norm,
        slope * other_norm + norm * other_slope,
        gram * other_norm + norm * other_gram + mixed + mixed.T.conj(),
    )
