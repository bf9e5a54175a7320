"""Called outside jit, as notebooks do: what was compiled for a call serves the next one."""

import jax
import numpy as np
import pytest

import fockjax as fj

STATE = fj.from_ket(np.array([[0.6, 0.2], [0.1, 0.3j]]))
POINTS = np.linspace(-2, 2, 5)

CALLS = {
    "displacement": lambda r: fj.gates.displacement(r, 0.3, cutoff=4),
    "squeezing": lambda r: fj.gates.squeezing(r, 0.3, cutoff=4),
    "beamsplitter": lambda r: fj.gates.beamsplitter(r, 0.3, cutoff=3),
    "passive": lambda r: fj.gates.passive(r * np.eye(2), cutoff=3),
    "squeezed ket": lambda r: fj.kets.squeezed(r, 0.3, cutoff=4),
    "two-mode squeezed ket": lambda r: fj.kets.two_mode_squeezed(r, 0.3, cutoff=4),
    "GKP ket": lambda r: fj.kets.gkp(r, 0.3, cutoff=4),
    "Wigner": lambda r: STATE.wigner(0, r * POINTS, POINTS),
    "quadrature": lambda r: STATE.quadrature_distribution(1, POINTS, r),
    "moments": lambda r: STATE.quadrature_moment(0, 2, r),
    "circuit built anew": lambda r: (
        fj.Circuit(1).squeeze(fj.Weight("r"), mode=0)({"r": r}, cutoff=4).ket()
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_the_second_call_compiles_nothing(name, caplog):
    call = CALLS[name]
    call(0.3)
    with jax.log_compiles(), caplog.at_level("WARNING"):
        call(0.4)
    lines = [record.getMessage() for record in caplog.records]
    assert not [line for line in lines if "ompil" in line], lines
