"""The bilinear primitives and the operators on them, through every transformation, against dense
einsum.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compare import close_in_scale

import fockjax as fj
from fockjax._linear import contract, settle, skew
from fockjax.operators import (
    Diagonal,
    Matrix,
    Parity,
    Product,
    Sectors,
    expand,
    flat_parts,
    product,
)
from fockjax.planning import pick


@pytest.fixture(autouse=True)
def double(x64):
    """Everything here in double precision, so that disagreement is never rounding."""


def complex_normal(seed, shape):
    rng = np.random.default_rng(seed)
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)


def real_normal(seed, shape):
    return np.random.default_rng(seed).normal(size=shape)


def charge_blocks(sizes, charge, values):
    """Blocks that conserve the charge, and the dense tensor [out1, out2, .., in1, in2, ..] of the
    same operator.
    """
    row = max(range(len(sizes)), key=lambda k: (sizes[k], k))
    rows, others = sizes[row], len(sizes) - 1
    blocks = np.zeros(values.shape, values.dtype)
    dense = np.zeros((*sizes, *sizes), values.dtype)
    for index in np.ndindex(values.shape):
        r, a, c = index[0], index[1 : 1 + others], index[1 + others :]
        out, into = (r - charge * sum(a)) % rows, (r - charge * sum(c)) % rows
        if out + charge * sum(a) != into + charge * sum(c):
            continue
        blocks[index] = values[index]
        dense[(*a[:row], out, *a[row:], *c[:row], into, *c[row:])] = values[index]
    return blocks, dense


def cases():
    """An operator, its dense tensor, and the axes it acts on in a ket of shape (3, 4, 5)."""
    diagonal = complex_normal(1, (3, 5))
    yield "diagonal", Diagonal(diagonal), np.diag(diagonal.reshape(-1)).reshape(3, 5, 3, 5), (0, 2)
    one = complex_normal(2, (4, 4))
    yield "matrix", Matrix(one), one, (1,)
    blocks = complex_normal(11, (2, 2, 2))
    parity = np.zeros((4, 4), complex)
    parity[::2, ::2], parity[1::2, 1::2] = blocks
    yield "parity", Parity(blocks), parity, (1,)
    real = real_normal(3, (5, 5))
    yield "real matrix", Matrix(real), real, (2,)
    two = complex_normal(4, (5, 3, 5, 3))
    yield "two-mode matrix", Matrix(two), two, (2, 0)
    for charge, axes in ((1, (0, 1)), (1, (2, 0)), (-1, (2, 1))):
        sizes = tuple((3, 4, 5)[axis] for axis in axes)
        values = complex_normal(5, (max(sizes), min(sizes), min(sizes)))
        blocks, dense = charge_blocks(sizes, charge, values)
        yield f"sectors {charge:+d} {axes}", Sectors(blocks, sizes, charge), dense, axes
    blocks, dense = charge_blocks((5, 3, 4), 1, complex_normal(10, (5, 3, 4, 3, 4)))
    yield "sectors of three modes", Sectors(blocks, (5, 3, 4)), dense, (2, 0, 1)
    blocks, dense = charge_blocks((4, 4), 1, real_normal(6, (4, 4, 4)))
    left, right = complex_normal(7, (4,)), complex_normal(8, (4, 4))
    factors = [(Matrix(right), (0,)), (Sectors(blocks, (4, 4)), (0, 1)), (Diagonal(left), (1,))]
    whole = np.einsum("b,abcd,ce->abed", left, dense, right)
    yield "product", product(*factors, cutoffs=(4, 4)), whole, (0, 1)


NAMES = [name for name, *_ in cases()]


def case(name):
    """The case as JAX arrays, made where double precision is on."""
    operator, dense, axes = next(found for label, *found in cases() if label == name)
    return jax.tree.map(jnp.asarray, operator), jnp.asarray(dense), axes


def ket_for(operator, axes):
    shape = [3, 4, 5]
    for axis, size in zip(axes, operator.cutoffs, strict=True):
        shape[axis] = size
    return complex_normal(9, shape)


def dense_apply(dense, ket, axes):
    after = jnp.tensordot(
        dense.astype(ket.dtype),
        ket,
        (tuple(range(len(axes), 2 * len(axes))), axes),
        precision="highest",
    )
    return jnp.moveaxis(after, range(len(axes)), axes)


def like(leaf, seed):
    normal = complex_normal if jnp.iscomplexobj(leaf) else real_normal
    return 0.3 * normal(seed, leaf.shape)


def scaled(t, array):
    return t.astype(array.dtype) * array


@pytest.mark.parametrize("name", NAMES)
def test_dense_elements(name):
    operator, dense, _ = case(name)
    close_in_scale(operator.to_dense(), dense)


QUICK = ["diagonal", "parity"]


@pytest.mark.parametrize(
    "name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in NAMES]
)
def test_every_transformation_agrees_with_dense(name):
    operator, _, axes = case(name)
    ket = ket_for(operator, axes)
    directions = [
        jax.tree.map(lambda leaf, seed=seed: like(leaf, seed), operator) for seed in (20, 21)
    ]
    ket_direction = complex_normal(31, ket.shape)
    weights = real_normal(30, ket.shape)

    def number(after):
        re, im = after.real, after.imag
        return jnp.sum(weights * (re**2 + 2 * im**2 + re * im))

    def structured(t):
        """A real number that depends on operator and ket, t of shape (3,)."""
        moved = jax.tree.map(
            lambda o, a, b: o + scaled(t[0], a) + scaled(t[1], b), operator, *directions
        )
        return number(moved.apply(ket + scaled(t[2], ket_direction), axes))

    # The dense tensors of value and directions, factor by factor: each structure is linear in its
    # array.
    parts = [flat_parts(op, axes) for op in (operator, *directions)]
    tensors = [
        (at, *(np.asarray(step[k][0].to_dense()) for step in parts))
        for k, (_, at) in enumerate(parts[0])
    ]

    def plain(t):
        after = ket + scaled(t[2], ket_direction)
        for at, value, a, b in tensors:
            after = dense_apply(value + scaled(t[0], a) + scaled(t[1], b), after, at)
        return number(after)

    t = jnp.asarray([0.2, -0.4, 0.3])
    batch = jnp.stack([t, -t, 0.5 * t])
    ours = transformed(structured, t, batch)
    theirs = by_hand(*derivatives(plain, batch), t)
    for label in theirs:
        for a, b in zip(jax.tree.leaves(ours[label]), jax.tree.leaves(theirs[label]), strict=True):
            assert a.shape == b.shape, label
            close_in_scale(a, b, 1e-11)


@partial(jax.jit, static_argnums=0)
def transformed(f, t, batch):
    """What every transformation named in the design makes of f, compiled together; t is the first
    of the batch.
    """

    def scan(batch):
        return jax.lax.scan(lambda c, t: (c + f(t), jax.grad(f)(t)), jnp.zeros(()), batch)

    return {
        "value": f(t),
        "jvp": jax.jvp(f, (t,), (t[::-1],))[1],
        "jacfwd": jax.jacfwd(f)(t),
        "grad": jax.grad(f)(t),
        "hessian": jax.hessian(f)(t),
        "jacrev(grad)": jax.jacrev(jax.grad(f))(t),
        "vmap(grad)": jax.vmap(jax.grad(f))(batch),
        "grad(vmap)": jax.grad(lambda b: jnp.sum(jnp.sin(1e-3 * jax.vmap(f)(b))))(batch),
        "jit(vmap(hessian))": jax.jit(jax.vmap(jax.hessian(f)))(batch),
        "vmap(vmap(jacfwd))": jax.vmap(jax.vmap(jax.jacfwd(f)))(jnp.stack([batch, batch[::-1]])),
        "scan": scan(batch),
    }


@partial(jax.jit, static_argnums=0)
def derivatives(f, batch):
    """Values, gradients and Hessians."""
    return jax.vmap(lambda t: (f(t), jax.grad(f)(t), jax.hessian(f)(t)))(batch)


def by_hand(values, gradients, hessians, t):
    """The same as `transformed`, from the derivatives of the dense circuit."""
    slopes = 1e-3 * jnp.cos(1e-3 * values)
    return {
        "value": values[0],
        "jvp": jnp.sum(gradients[0] * t[::-1]),
        "jacfwd": gradients[0],
        "grad": gradients[0],
        "hessian": hessians[0],
        "jacrev(grad)": hessians[0],
        "vmap(grad)": gradients,
        "grad(vmap)": slopes[:, None] * gradients,
        "jit(vmap(hessian))": hessians,
        "vmap(vmap(jacfwd))": jnp.stack([gradients, gradients[::-1]]),
        "scan": (jnp.sum(values), gradients),
    }


@pytest.mark.parametrize("name", NAMES)
def test_batched_equals_looped(name):
    operator, _, axes = case(name)
    operators = jax.tree.map(lambda leaf: jnp.stack([leaf, 2 * leaf, -leaf]), operator)
    kets = jnp.stack([ket_for(operator, axes) * k for k in (1, 1j, 2)])
    one = [pick(operators, k).apply(kets[k], axes) for k in range(3)]
    close_in_scale(jax.vmap(lambda o, k: o.apply(k, axes))(operators, kets), jnp.stack(one))
    close_in_scale(
        jax.vmap(lambda k: operator.apply(k, axes))(kets),
        jnp.stack([operator.apply(k, axes) for k in kets]),
    )
    moved = jax.vmap(lambda o: o.apply(kets[0], axes), out_axes=1)(operators)
    close_in_scale(
        moved,
        jnp.stack(
            [pick(operators, k).apply(kets[0], axes) for k in range(3)],
            1,
        ),
    )


@pytest.mark.parametrize("name", NAMES)
def test_adjoint(name):
    operator, dense, _ = case(name)
    modes = dense.ndim // 2
    close_in_scale(
        operator.adjoint().to_dense(),
        dense.conj().transpose([*range(modes, 2 * modes), *range(modes)]),
    )


def test_composition_keeps_the_simplest_structure_and_the_order():
    sizes = (3, 4)
    blocks, _ = charge_blocks(sizes, 1, complex_normal(1, (4, 3, 3)))
    structures = jax.tree.map(
        jnp.asarray,
        {
            "diagonal": Diagonal(complex_normal(2, sizes)),
            "matrix": Matrix(complex_normal(3, sizes * 2)),
            "sectors": Sectors(blocks, sizes),
            "one-mode diagonal": expand(Diagonal(complex_normal(4, (4,))), 1, sizes),
            "product": product((Matrix(complex_normal(5, (4, 4))), (1,)), cutoffs=sizes),
            "difference": Sectors(
                charge_blocks(sizes, -1, complex_normal(6, (4, 3, 3)))[0], sizes, -1
            ),
        },
    )
    for first, a in structures.items():
        for second, b in structures.items():
            both = a @ b
            expected = jnp.einsum(
                "abij,ijcd->abcd", a.to_dense(), b.to_dense(), precision="highest"
            )
            close_in_scale(both.to_dense(), expected)
            if {first, second} <= {"diagonal", "one-mode diagonal"}:
                assert isinstance(both, Diagonal)
            elif {first, second} <= {"diagonal", "one-mode diagonal", "sectors"}:
                assert isinstance(both, Sectors)
            elif {first, second} <= {"diagonal", "one-mode diagonal", "matrix"}:
                assert isinstance(both, Matrix)
            elif first != second and "matrix" in (first, second):
                assert isinstance(both, Product)


def test_composition_of_sectors_on_three_modes():
    sizes = (3, 4, 2)
    a, b = (
        Sectors(jnp.asarray(charge_blocks(sizes, 1, complex_normal(k, (4, 3, 2, 3, 2)))[0]), sizes)
        for k in range(2)
    )
    diagonal = Diagonal(jnp.asarray(complex_normal(2, sizes)))
    for left, right in [(a, b), (a, diagonal), (diagonal, b)]:
        both = left @ right
        assert isinstance(both, Sectors)
        close_in_scale(both.to_dense(), jnp.tensordot(left.to_dense(), right.to_dense(), 3))


def test_composition_on_one_mode_keeps_parity_where_both_do():
    structures = (
        Diagonal(jnp.asarray(complex_normal(1, (4,)))),
        Parity(jnp.asarray(complex_normal(2, (2, 2, 2)))),
        Parity(jnp.asarray(complex_normal(3, (2, 2, 2)))),
        Matrix(jnp.asarray(complex_normal(4, (4, 4)))),
    )
    for a in structures:
        for b in structures:
            close_in_scale((a @ b).to_dense(), a.to_dense() @ b.to_dense())
            expected = Matrix if Matrix in (type(a), type(b)) else Parity
            assert type(a @ b) is expected or type(a) is type(b) is Diagonal
        close_in_scale(a.adjoint().to_dense(), a.to_dense().conj().T)


def test_composition_order_of_products():
    a = product((Matrix(complex_normal(1, (3, 3))), (0,)), cutoffs=(3,))
    b = Matrix(complex_normal(2, (3, 3)))
    close_in_scale((a @ b).to_dense(), a.to_dense() @ b.elements)
    close_in_scale((b @ a).to_dense(), b.elements @ a.to_dense())


def test_apply_refuses_what_does_not_fit():
    ket = complex_normal(0, (3, 4))
    operator = Matrix(complex_normal(1, (3, 3)))
    with pytest.raises(
        ValueError, match=r"cutoffs \(3,\) but modes \(1,\) of the ket have cutoffs \(4,\)"
    ):
        operator.apply(ket, (1,))
    with pytest.raises(ValueError, match="distinct axes"):
        operator.apply(ket, (2,))
    with pytest.raises(ValueError, match="do not compose"):
        operator @ Matrix(complex_normal(1, (4, 4)))


@pytest.mark.parametrize("real_first", [True, False])
def test_the_real_part_of_a_real_by_a_complex_array_differentiates(real_first, x64):
    rng = np.random.default_rng(0)
    a, z = rng.normal(size=(3, 4)), rng.normal(size=4) + 1j * rng.normal(size=4)

    def total(a, z):
        operands = (a, z) if real_first else (z, a)
        spec = "ij,j->i" if real_first else "j,ij->i"
        return jnp.sum(contract(*operands, spec, real=True) ** 2)

    da, dz = jax.grad(total, (0, 1))(jnp.array(a), jnp.array(z))
    real = a @ z.real
    np.testing.assert_allclose(da, 2 * np.outer(real, z.real), rtol=1e-12)
    np.testing.assert_allclose(dz, 2 * real @ a, rtol=1e-12)


def test_contract_refuses_labels_of_one_list_only():
    x = real_normal(0, (2, 3))
    with pytest.raises(ValueError, match="occurs in one list only"):
        contract(x, x, "ab,ab->c")
    with pytest.raises(ValueError, match="sizes of label"):
        contract(x, x, "ab,bc->ac")


@pytest.mark.parametrize("rows", [3, 20])
def test_small_results_of_few_and_of_many_terms(rows):
    """A matrix product, and on CPU a loop."""
    x, y = complex_normal(0, (8, rows, 64)), complex_normal(1, (8, rows, 64))
    program = jax.jit(lambda x, y: contract(x, y, "ajn,bjn->ab")).lower(x, y)
    if jax.default_backend() == "cpu":
        assert ("while" in program.as_text()) == (rows == 20)
    close_in_scale(program.compile()(x, y), np.einsum("ajn,bjn->ab", x, y))


def test_what_is_settled_has_its_batch_last_and_derivatives():
    x = jnp.asarray(complex_normal(1, (2, 3)))
    batched = jax.make_jaxpr(jax.vmap(settle))(x)
    names = [equation.primitive.name for equation in batched.eqns]
    assert names == ["transpose", "fock_settle", "transpose"]

    def energy(x):
        return jnp.sum(jnp.abs(settle(x)) ** 2)

    close_in_scale(jax.grad(energy)(x), 2 * x.conj())
    close_in_scale(jax.jvp(energy, (x,), (x,))[1], 2 * energy(x))
    np.testing.assert_array_equal(jax.vmap(settle)(x), x)


@pytest.mark.parametrize("column, row", [(0, 1), (1, 0), (0, 2), (2, 0)])
def test_skew_is_a_permutation_undone_by_its_opposite(column, row):
    x = complex_normal(3, (3, 4, 5))
    y = skew(x, column=column, row=row, sign=1)
    rolled = [
        jnp.roll(jnp.take(x, c, column), c, row - (row > column)) for c in range(x.shape[column])
    ]
    np.testing.assert_array_equal(y, jnp.stack(rolled, column))
    np.testing.assert_array_equal(skew(y, column=column, row=row, sign=-1), x)


def test_the_batch_enters_anywhere_and_leaves_last():
    ket, matrix = complex_normal(1, (3, 4)), complex_normal(2, (4, 4))
    jaxpr = jax.make_jaxpr(
        jax.vmap(lambda k: Matrix(matrix).apply(Matrix(matrix).apply(k, (1,)), (1,)), out_axes=-1)
    )(jnp.stack([ket] * 7))
    names = [equation.primitive.name for equation in jaxpr.eqns]
    assert names.count("fock_contract") == 2
    assert "transpose" not in names


def test_runs_with_jit_disabled():
    ket, matrix = complex_normal(1, (3, 4)), complex_normal(2, (4, 4))
    with jax.disable_jit():
        after = Matrix(jnp.asarray(matrix)).apply(jnp.asarray(ket), (1,))
        turned = skew(jnp.asarray(ket), column=0, row=1, sign=1)
    close_in_scale(after, ket @ matrix.T)
    close_in_scale(skew(turned, column=0, row=1, sign=-1), ket)


def test_integers_are_numbers():
    """As a user writes a ket or a density matrix by hand."""
    ket, rho = np.array([1, 0, 0, 0]), np.diag([1, 0])
    gate = fj.gates.squeezing(0.1, cutoff=4)
    np.testing.assert_array_equal(gate.apply(ket, (0,)), gate.apply(ket.astype(float), (0,)))
    detector = fj.detectors.homodyne(cutoff=2)
    assert detector.probability(0.0, rho) == detector.probability(0.0, rho.astype(float))
    np.testing.assert_array_equal(fj.channels.loss(0.5, cutoff=2).apply(rho, (0,), (1,)), rho)
