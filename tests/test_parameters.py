"""Gate parameters: what they evaluate to, how they print, what they refuse."""

import cmath
import copy
import math
import pickle
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import fockjax as fj
from fockjax.parameters import Values, as_parameter, evaluate, normal

W, V, X, Y = fj.Weight("w", (2, 3)), fj.Weight("v"), fj.Input(0), fj.Input(1)
WEIGHTS = {"w": np.arange(6.0).reshape(2, 3), "v": np.array(0.5)}
INPUT = np.array([0.25, -3.0])

EXPRESSIONS = [
    (X + Y, -2.75, "(x[0] + x[1])"),
    (X - Y, 3.25, "(x[0] - x[1])"),
    (X * Y, -0.75, "(x[0] * x[1])"),
    (X / Y, 0.25 / -3, "(x[0] / x[1])"),
    (2 + X, 2.25, "(2 + x[0])"),
    (2 - X, 1.75, "(2 - x[0])"),
    (2 * X, 0.5, "(2 * x[0])"),
    (2 / X, 8.0, "(2 / x[0])"),
    (X + 2, 2.25, "(x[0] + 2)"),
    (X - 2, -1.75, "(x[0] - 2)"),
    (X * 2.5, 0.625, "(x[0] * 2.5)"),
    (X / 2, 0.125, "(x[0] / 2)"),
    (-X, -0.25, "-x[0]"),
    (-(X - 2) * -Y, 1.75 * 3, "(-(x[0] - 2) * -x[1])"),
    (W[1, 2] + V, 5.5, "(w[1, 2] + v)"),
    (W[-1, 0] * (X - 1) / V, 3 * -0.75 / 0.5, "((w[-1, 0] * (x[0] - 1)) / v)"),
    (np.float32(2) * X, 0.5, "(2 * x[0])"),
    (np.float64(2) - X, 1.75, "(2 - x[0])"),
    (np.array(2) / X, 8.0, "(2 / x[0])"),
    (X * np.int64(3), 0.75, "(x[0] * 3)"),
    (Y**2, 9.0, "(x[1] ** 2)"),
    (2**X, 2**0.25, "(2 ** x[0])"),
    (-(X**2), -0.0625, "-(x[0] ** 2)"),
    (X + 1j * Y, 0.25 - 3j, "(x[0] + ((0+1j) * x[1]))"),
    ((-X) ** 3 + (-2) ** Y, -(0.25**3) - 0.125, "(((-x[0]) ** 3) + ((-2) ** x[1]))"),
]
VALUES = Values(WEIGHTS, INPUT)


@pytest.mark.parametrize("parameter, value, text", EXPRESSIONS)
def test_arithmetic(parameter, value, text):
    assert cmath.isclose(evaluate(parameter, VALUES), value)
    assert str(parameter) == text


def test_arithmetic_with_jax_numbers():
    assert evaluate(jnp.array(2.0) * X - jnp.array(1), VALUES) == -0.5


@pytest.mark.parametrize("value", [0.0, -0.5])
def test_derivatives_of_powers(value):
    def square(v):
        return evaluate(V**2, Values({"v": v}, INPUT))

    assert jax.jit(jax.grad(square))(value) == 2 * value
    assert jax.jit(jax.hessian(square))(value) == 2


@pytest.mark.parametrize(
    "function", [np.sin, lambda x: np.arctan2(1.0, x), lambda x: np.ones((2, 2)) @ x, np.sum]
)
def test_functions_of_numpy_point_to_apply(function):
    with pytest.raises(TypeError, match=r"NumPy's \w+ does not take v, .* fj.apply\(jnp\.\w+, "):
        function(V)


def test_numbers_of_numpy_compare_with_parameters():
    assert not np.float64(1) == X and np.float64(1) != X and not np.ones(2) == X
    assert str(np.float64(2) ** -X) == "(2 ** -x[0])"
    assert str(np.add(np.float32(1), X)) == "(1 + x[0])"


def test_leaves_name_what_is_needed():
    assert list((W[1, 2] * (X - V) / 2).leaves()) == [W, X, V]
    assert evaluate(1.5, VALUES) == 1.5


def test_an_array_weight_gives_its_elements():
    w = fj.Weight("w", 2)
    assert w.shape == fj.Weight("w", [2]).shape == (2,)
    assert [str(element) for element in w] == ["w[0]", "w[1]"]
    with pytest.raises(IndexError, match=r"Index 2 of weight 'w' of shape \(2,\)"):
        w[2]
    with pytest.raises(ValueError, match=r"weight 'w' of shape \(2, 3\) must pick one number"):
        W[0]
    with pytest.raises(IndexError, match=r"Index 0 of weight 'v' of shape \(\)"):
        V[0]


@pytest.mark.parametrize(
    "make, error, message",
    [
        (lambda: fj.Input(-1), ValueError, "`index` of Input must be an integer >= 0, got -1"),
        (lambda: fj.Input(0.5), ValueError, "`index` of Input.*got 0.5"),
        (lambda: fj.Weight(""), ValueError, "`name` of Weight must be a non-empty string, got ''"),
        (lambda: fj.Weight(3), ValueError, "`name` of Weight must be a non-empty string, got 3"),
        (lambda: X * "a", TypeError, r"operand of '\*' must be a real number.*got 'a'"),
        (lambda: X + True, TypeError, r"operand of '\+' must be a real number.*got True"),
        (lambda: None - X, TypeError, "operand of '-' must be a real number.*got None"),
        (lambda: X * math.nan, ValueError, r"operand of '\*' must be finite, got nan"),
        (lambda: X * (math.nan * 1j), ValueError, r"operand of '\*' must be one real number"),
        (lambda: np.ones(2) * X, ValueError, r"operand of '\*'.*shape \(2,\).*jax.vmap"),
        (lambda: X - np.ones((2, 2)), ValueError, r"operand of '-'.*shape \(2, 2\)"),
        (lambda: W * 2, ValueError, r"operand of '\*': weight 'w' has shape \(2, 3\).*w\[0\]"),
        (lambda: jax.jit(lambda r: r * X)(1.0), TypeError, "operand of .* is traced by JAX"),
        (lambda: jax.jit(lambda r: X / r)(1.0), TypeError, "operand of '/' is traced by JAX"),
    ],
)
def test_what_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize("value", [0.5, np.float32(0.5), np.array(0.5), jnp.array(0.5)])
def test_numbers_become_floats(value):
    number = as_parameter(value, "here")
    assert type(number) is float and number == 0.5
    assert type(as_parameter(np.int64(2), "here")) is float


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_parameters_and_circuits_copy_and_pickle(duplicate):
    circuit = fj.Circuit(2).displace(W[1, 0] * X, 0.3, mode=1).cvqnn_layers(2)
    circuit.squeeze(fj.apply(jnp.tanh, X), fj.apply(np.negative, 0.3), mode=0)
    other = duplicate(circuit)
    assert repr(other) == repr(circuit)
    mine, theirs = (c.init(jax.random.key(0)) for c in (circuit, other))
    assert mine.keys() == theirs.keys()
    assert all(np.array_equal(mine[name], theirs[name]) for name in mine)


def test_normal_initialiser():
    draw = jax.jit(lambda key: normal(0.3)(key, (4000,), np.float32))(jax.random.key(0))
    assert draw.dtype == np.float32
    assert abs(draw.mean()) < 0.02 and abs(draw.std() - 0.3) < 0.01


def test_an_outcome_is_no_sequence():
    with pytest.raises(TypeError, match="not iterable"):
        list(fj.Outcome("m"))  # pyright: ignore[reportArgumentType]


def test_a_weight_is_iterated_by_its_first_axis():
    assert [str(each) for each in fj.Weight("r", 2)] == ["r[0]", "r[1]"]
    with pytest.raises(TypeError, match=r"is a number.* as fj.Weight\('r', 2\)"):
        list(fj.Weight("r"))


@pytest.mark.parametrize("shape", [0.3, (-1,), (2.5,), "ab"])
def test_the_shape_of_a_weight_is_checked(shape):
    with pytest.raises(ValueError, match="`shape` of weight 'a'.*in the call"):
        fj.Weight("a", shape)
    with pytest.raises(TypeError, match="`init` of weight 'a'.*got 0.3"):
        fj.Weight("a", (), 0.3)  # pyright: ignore[reportArgumentType]


def test_signs_and_absolute_values():
    weight = fj.Weight("w")
    assert +weight is weight
    circuit = fj.Circuit(1).displace(abs(-weight), mode=0)
    assert "abs(-w)" in str(circuit)
    assert circuit({"w": 0.4}, cutoff=6).ket()[1].real > 0.3


@pytest.mark.parametrize("function", [np.sin, math.sin])
def test_a_function_that_is_not_of_jax_is_named(function):
    circuit = fj.Circuit(1).displace(fj.apply(function, fj.Weight("w")), mode=0)
    with pytest.raises(TypeError, match=r"sin\(w\): function 'sin' needs numbers.*jax.numpy"):
        circuit({"w": 0.3}, cutoff=4)


@pytest.mark.parametrize("power", [0, 1, 2, 3])
def test_whole_powers_have_all_derivatives_at_zero(power):
    def value(x):
        return evaluate(fj.Input(0) ** power, Values({}, x[None]))

    wanted = [0.0] * 4
    wanted[power] = math.factorial(power)
    for order in range(4):
        assert value(jnp.zeros(())) == wanted[order], order
        value = jax.jacfwd(value)


def test_a_function_that_holds_arrays_or_has_no_hash_is_refused():
    """Both would go unnoticed until a second call."""
    with pytest.raises(TypeError, match="is a Linear, which holds arrays: they would be fixed"):
        fj.apply(nnx.Linear(1, 1, use_bias=False, rngs=nnx.Rngs(0)), X)
    assert str(fj.apply(jax.tree_util.Partial(jnp.sin), X, name="wave")) == "wave(x[0])"

    @dataclass
    class Scaled:
        factor: float

        def __call__(self, x):
            return self.factor * x

    with pytest.raises(TypeError, match="must be hashable, .* but a Scaled is not"):
        fj.apply(Scaled(2.0), X)
