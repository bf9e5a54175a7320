"""Plain autodiff through the recurrence, or a closed rule for dR/dr?

    python benchmarks/kernel_gradients.py [--rounds 11]

Value and gradient of a weighted sum of the real cores of displacement and squeezing, 128 values of
r at once under `vmap`, in float32.  The closed rules are those of kernels.md (Cahill and
Glauber; `grad_displacement` and `grad_squeezing` of The Walrus), exact within the truncation.

Finding: a tie for squeezing; for displacement the closed rule takes up to a quarter less time, at a
cutoff where gates on kets need neither. Plain autodiff stays. Numbers: docs/kernels.md.
"""

import argparse

import jax
import jax.numpy as jnp
import numpy as np
from _timing import alternate, compile_fresh

from fockjax.gates.displacement import real_core as displacement
from fockjax.gates.squeezing import real_core as squeezing

BATCH = 128


def down(x, rows, columns):
    """x[m - rows, n - columns], zero outside."""
    size = len(x)
    return jnp.pad(x, ((rows, 0), (columns, 0)))[:size, :size]


def displacement_slope(r, x):
    root = np.sqrt(np.arange(len(x))).astype(x.dtype)
    return -r * x + root[:, None] * down(x, 1, 0) - root * down(x, 0, 1)


def squeezing_slope(r, x):
    n = np.arange(len(x))
    root, pair = (v.astype(x.dtype) for v in (np.sqrt(n), np.sqrt(n * np.maximum(n - 1, 0))))
    t, s = jnp.tanh(r), 1 / jnp.cosh(r)
    return (
        -t / 2 * x
        - s * t * root[:, None] * root * down(x, 1, 1)
        + s * s / 2 * (pair * down(x, 0, 2) - pair[:, None] * down(x, 2, 0))
    )


def with_rule(core, slope):
    @jax.custom_jvp
    def f(r):
        return core(r)

    @f.defjvp
    def rule(primals, tangents):
        x = f(*primals)
        return x, slope(primals[0], x) * tangents[0]

    return f


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=11)
    rounds = parser.parse_args().rounds
    print(
        f"jax {jax.__version__}, {jax.devices()[0].device_kind}, vmap({BATCH}), float32; median "
        f"(least to greatest) of {rounds} alternating rounds\n"
    )
    print("| gate | cutoff | plain autodiff ms | closed rule ms | compile s, both |\n|-|-|-|-|-|")
    r = jnp.linspace(0.1, 1.5, BATCH)
    for core, slope in ((displacement, displacement_slope), (squeezing, squeezing_slope)):
        for cutoff in (20, 50):
            args = r, jnp.asarray(np.random.default_rng(0).normal(size=(cutoff, cutoff)), r.dtype)
            plain = lambda x, core=core, cutoff=cutoff: core(x, cutoff)  # noqa: E731
            sides = []
            for f in (plain, with_rule(plain, slope)):
                loss = lambda x, w, f=f: jnp.sum(w * f(x))  # noqa: E731
                sides.append(compile_fresh(jax.vmap(jax.value_and_grad(loss), (0, None)), *args))
            for a, b in zip(*(side.run(*args) for side in sides), strict=True):
                np.testing.assert_allclose(a, b, atol=1e-4 * jnp.abs(a).max())
            times = alternate([side.run for side in sides], args, rounds)
            seconds = " / ".join(f"{side.seconds:.2f}" for side in sides)
            label = core.__module__.rsplit(".", 1)[-1]
            cells = " | ".join(each.text(3) for each in times)
            print(f"| {label} | {cutoff} | {cells} | {seconds} |", flush=True)


if __name__ == "__main__":
    main()
