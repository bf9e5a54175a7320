"""Every Python block of README.md and docs/ runs as a test, those of docs/ as slow ones; pytest
itself runs the docstrings'.
"""

import os
from doctest import ELLIPSIS, NORMALIZE_WHITESPACE
from functools import cache

import jax
import pytest
from jax._src import compiler
from sybil import Sybil
from sybil.evaluators.doctest import NUMBER
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

# Strawberry Fields and The Walrus compile their kernels with Numba, for 20 s a process; at the
# small cutoffs here Python runs them in a fraction of that.
os.environ.setdefault("NUMBA_DISABLE_JIT", "1")

pytest_collect_file = Sybil(
    parsers=[
        PythonCodeBlockParser(doctest_optionflags=ELLIPSIS | NORMALIZE_WHITESPACE | NUMBER),
        SkipParser(),
    ],
    patterns=["README.md", "docs/*.md"],
).pytest()


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.suffix == ".md" and item.path.parent.name == "docs":
            item.add_marker(pytest.mark.slow)


# Most time goes into compiling programs that run once, so they are compiled less thoroughly, but
# not here: rounding is what these prove, or they compare with what another process computed, or
# with what XLA makes of a program.
AS_USERS_COMPILE = {"test_cost", "test_kernels", "test_training_run"}
# Nor in the slow tests of these, so that the physics is proven on the machine code that users run.
# It takes a fifth to a half more time.
SLOW_AS_USERS_COMPILE = {"test_circuit", "test_linear", "test_truncation", "test_validation"}
# With JAX 0.10 XLA's newer code generator takes a third of what is left; with 0.12 the option makes
# no difference. JAX has no global switch for it, so its compile options are wrapped; where XLA no
# longer knows this one, all runs as before.
FASTER = {"xla_cpu_use_fusion_emitters": False}


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    know_faster()
    slow = item.get_closest_marker("slow") is not None
    thorough = AS_USERS_COMPILE | SLOW_AS_USERS_COMPILE if slow else AS_USERS_COMPILE
    jax.config.update("jax_disable_most_optimizations", item.path.stem not in thorough)


@cache
def know_faster():
    try:
        jax.jit(lambda: 0).lower().compile(compiler_options=FASTER)
    except jax.errors.JaxRuntimeError:
        return
    usual = compiler.get_compile_options

    def options(*args, **kwargs):
        made = usual(*args, **kwargs)
        if jax.config.read("jax_disable_most_optimizations"):
            made.env_option_overrides = [*FASTER.items(), *made.env_option_overrides]
        return made

    compiler.get_compile_options = options
