"""Writes docs/features.md from the registries, the tests and what is known of the peers.

    python tests/features.py

An operation or readout that is registered but has no line here or no test in
`test_features.py` makes it fail, and with it the test that compares the page.
"""

import re
from pathlib import Path

from fockjax.validation.cases import REGISTRIES, cases
from fockjax.validation.readouts import READOUTS, SAMPLES, public_readouts
from fockjax.validation.references import source

PAGE = Path(__file__).parent.parent / "docs" / "features.md"
TESTS = Path(__file__).parent
PEERS = ("Strawberry Fields", "Piquasso", "MrMustard", "DeepQuantum", "dynamiqs")
PROPERTIES = ("value", "batch", "jit", "grad", "jvp")

# By peer, in order. N: of its own; D: composed of others; e: exponential of a cut generator, so
# not the exact elements; c: continuous in time, by a master equation; s: one sample at a time; n:
# only in NumPy, without gradients; -: absent; ?: not looked into.
GATE = {
    "displacement": "N N N N e",
    "x_displacement": "D N D N -",
    "p_displacement": "D N D N -",
    "squeezing": "N N N N e",
    "rotation": "N N N N -",
    "fourier": "D N D N -",
    "kerr": "N N - N -",
    "snap": "- N - - -",
    "quadratic_phase": "D D N N -",
    "cubic_phase": "N N - N -",
    "beamsplitter": "N N N N -",
    "mach_zehnder": "N N N N -",
    "symmetric_mach_zehnder": "D - - - -",
    "two_mode_squeezing": "N D N N -",
    "cross_kerr": "N N - N -",
    "controlled_x": "D - N D -",
    "controlled_z": "D - N D -",
    "interferometer": "D N N N -",
    "passive": "- ? N N -",
    "gaussian_transform": "N D N - -",
    "unitary": "- ? ? ? ?",
}
KET = {
    "vacuum": "N N N N N",
    "fock": "N N N N N",
    "coherent": "N D N D N",
    "squeezed": "N D N D -",
    "displaced_squeezed": "N D N D -",
    "two_mode_squeezed": "D D N D -",
    "cat": "N - - - -",
    "gkp": "n - - - -",
    "ket": "N N N N N",
    "gaussian": "D - N - -",
}
CHANNEL = {
    "loss": "N n N N c",
    "thermal_loss": "- - N - c",
    "amplifier": "- - N - c",
    "dephasing": "- - N - c",
    "additive_noise": "- - N - -",
    "kraus": "- ? ? ? ?",
}
MIXED = {
    "thermal": "N - N - N",
    "density_matrix": "N n N N N",
    "mixed_gaussian": "D - N - -",
}
MEASUREMENT = {
    "photons": "s N N N c",
    "threshold": "- - N - -",
    "homodyne": "s n N N c",
    "heterodyne": "- - N - -",
}
# By title: which registry, and its lines.
OPERATIONS = {
    "Gates": ("gate", GATE),
    "Channels": ("channel", CHANNEL),
    "Pure states": ("ket", KET),
    "Mixed states": ("mixed", MIXED),
    "Measurements": ("measurement", MEASUREMENT),
}
READOUT = {
    "ket": "N N N N N",
    "density_matrix": "N N N - N",
    "trace": "N D D - N",
    "norm": "D N N - N",
    "leakage": "D D D - D",
    "error_bound": "- - - - -",
    "is_finite": "- - - - -",
    "probability": "N N N N -",
    "probabilities": "N N N N -",
    "photon_number": "N N N N N",
    "photon_number_product": "n - N - N",
    "parity": "n - N - N",
    "diagonal_expectation": "n - N - N",
    "expectation": "- ? ? ? N",
    "mean_amplitude": "D D D D N",
    "quadrature": "N N N N N",
    "quadrature_moment": "- - - - N",
    "quadrature_means": "D N N N N",
    "covariance": "- - N - N",
    "quadrature_polynomial": "s - - - N",
    "quadrature_distribution": "n - N - -",
    "wigner": "s N N - N",
    "reduced": "N N N - N",
    "purity": "- N N - N",
    "entropy": "- - - - N",
    "fidelity": "N N N - N",
    "overlap": "- ? ? ? ?",
    "hilbert_schmidt": "- ? ? ? ?",
    "fidelity_coherent": "N - - - D",
    "fidelity_vacuum": "N - - - D",
    "metric_tensor": "- - - - ?",
    "quantum_fisher": "- - - - ?",
    "sample_photons": "s N N N ?",
    "sample_threshold": "- - ? - -",
    "sample_homodyne": "s n N N ?",
    "sample_heterodyne": "- - ? - -",
}
# What, by peer, and the test that shows it here.
MACHINERY = {
    "batches without a Python loop": (
        "- N - N N",
        "test_circuit::test_batched_equals_looped",
    ),
    "compiled, forwards and backwards": (
        "- N - N N",
        "test_circuit::test_derivatives_match_finite_differences",
    ),
    "second derivatives, right at zero parameters": (
        "- ? - ? ?",
        "test_circuit::test_derivatives_are_finite_and_right_where_all_is_zero",
    ),
    "a cutoff for each mode": (
        "- - N N N",
        "test_circuit::test_a_random_circuit_is_the_product_of_its_gates",
    ),
    "independent modes stay apart": (
        "- - ? ? ?",
        "test_circuit::test_factors_stay_apart_until_a_gate_couples_them",
    ),
    "compile time independent of depth": (
        "- - - ? ?",
        "test_planning::test_compiled_size_does_not_grow_with_depth",
    ),
    "accurate beyond cutoff 50": (
        "- ? N - ?",
        "test_kernels::test_beamsplitter_sweep",
    ),
    "preparations inside a circuit": (
        "N ? ? ? -",
        "test_preparations::test_preparations_in_repeated_layers",
    ),
    "density matrices, where a circuit mixes": (
        "N n N N N",
        "test_mixed_states::test_a_mixture_says_the_mean_of_what_its_parts_say",
    ),
    "measurements inside a compiled circuit": (
        "- ? ? ? ?",
        "test_measurements::test_layers_that_measure_are_those_written_out",
    ),
    "many shots in one call": (
        "- N N N ?",
        "test_sampling::test_photon_numbers",
    ),
    "post-selection, with derivatives": (
        "? ? ? ? -",
        "test_measurements::test_selections_multiply_and_differentiate",
    ),
    "trajectories of kets instead of density matrices": (
        "- ? ? ? N",
        "test_noise::test_the_mean_of_branches_is_that_of_the_density_matrix",
    ),
    "derivatives through random outcomes": (
        "? ? ? ? ?",
        "test_measurements::test_the_weight_makes_gradients_unbiased",
    ),
    "feed-forward of what was measured": (
        "N N - - -",
        "test_measurements::test_teleportation_has_its_known_fidelity",
    ),
    "parameters as formulas of weights and inputs": (
        "N N ? ? N",
        "test_parameters::test_arithmetic",
    ),
    "decompositions (Clements, Reck, Bloch-Messiah, Takagi, Williamson)": (
        "N N - N -",
        "test_optics::test_meshes_truncate_as_strawberry_fields_does",
    ),
    "Strawberry Fields programs, in and out": (
        "N - - - -",
        "test_interop::test_gates_and_their_inverses",
    ),
    "Blackbird scripts": ("N N - - -", "test_interop::test_blackbird_scripts_files_and_templates"),
    "circuits drawn": ("N - N N -", "test_drawing::test_every_registered_operation_is_drawn"),
    "gate-by-gate inspection": (
        "- ? ? ? -",
        "test_inspection::test_rows_are_what_the_circuit_does_up_to_there",
    ),
}

HEAD = """# Features, beside other packages

This page lists every operation and readout of fockjax, what other packages have of these, and
what is tested. `python tests/features.py` writes it from the registries, the tests and the tables
of what is known of the other packages; a test fails if the page is out of date, or if an operation
or readout has no line or no test.

The columns of the other packages were read from their public code in November 2026: Strawberry
Fields 0.24-dev (its TensorFlow and NumPy Fock backends), Piquasso 8.0.1 (`PureFockSimulator`),
MrMustard 0.7.3 and 1.0.0a2-dev (the better of the two), DeepQuantum 4.5.0 (Fock backend), dynamiqs
0.3.5 (an operator library, not one of circuits). In Strawberry Fields' TensorFlow backend,
displacements, squeezers, beamsplitters and Mach-Zehnder interferometers run only eagerly, and
those of a batch are built in a Python loop. Times ([benchmarks](../benchmarks/README.md)) are of
Strawberry Fields 0.23 and Piquasso 8.0.2; MrMustard, DeepQuantum and dynamiqs were not timed.

What others have and fockjax has not: simulation in phase space without a Fock basis (Gaussian and
bosonic backends, hafnians, torontonians), master equations and time evolution, tensor networks,
programs in the time domain, hardware.

| mark | meaning |
|-|-|
| N | the package has it as such |
| D | composed of other operations |
| e | exponential of a truncated generator, so not the exact elements |
| c | continuous in time, by a master equation |
| s | one sample or shot at a time |
| n | in NumPy only, without gradients |
| - | absent |
| ? | not looked into |

Each **x** is a test in `tests/test_features.py`, run for each choice of options:

- *value*: the values agree to 1e-10 with Strawberry Fields' `sf.Engine("fock")` at complex128
  (**S**), or with NumPy where Strawberry Fields has nothing to compare with (**P**). Gates act on
  random complex kets with the modes in reverse order, channels and measurements on one of two
  entangled modes. For what is drawn at random, a mean over 2^14 outcomes agrees within five
  standard errors;
- *batch*: `jax.vmap` gives what a loop gives, at unequal cutoffs;
- *jit*: the compiled result is that of the eager call, at unequal cutoffs;
- *grad*, *jvp*: reverse mode agrees with finite differences, and forward mode with reverse mode;
  operations are also differentiated where all parameters are zero, or as near to it as they may be.

`pytest tests/test_features.py -k wigner` runs one line. `fockjax validate` compares the same
lines at more points.
"""


def labels(kind: str, name: str) -> list[str]:
    """The rows of `test_features` that belong to a line."""
    if kind == "readout":
        import test_features

        mixed = f"readout {name}, mixed"
        return [f"readout {name}", *([mixed] if mixed in test_features.ROWS else [])]
    prefix = f"{kind} " if kind in ("gate", "channel") else ""
    return [prefix + case.label for case in cases(kind, name)]


def tested(property_: str) -> set[str]:
    """The rows that a test is parametrised by."""
    import test_features

    marks = getattr(test_features, f"test_{property_}").pytestmark
    rows = next(mark.args[1] for mark in marks if mark.name == "parametrize")
    return {row if isinstance(row, str) else row.id for row in rows}


def line(kind: str, name: str, peers: str, against: str | None = None) -> str:
    import test_features

    rows = labels(kind, name)
    if not rows:
        raise LookupError(f"{kind} {name} has no case in fockjax.validation.")
    cells = []
    for property_ in PROPERTIES:
        wanted = set(rows) - (test_features.CONSTANT if property_ in ("grad", "jvp") else set())
        constant, missing = not wanted, wanted - tested(property_)
        if missing:
            raise LookupError(f"No test of {property_} for {sorted(missing)}.")
        cells.append("" if constant else "x")
    against = against or source(cases(kind, name)[0])
    cells[0] = "S" if against == "Strawberry Fields" else "P"
    return row(f"`{name}`", peers, cells)


def row(title: str, peers: str, cells) -> str:
    marks = peers.split()
    assert len(marks) == len(PEERS), title
    return "| " + " | ".join([title, *marks, *cells]) + " |"


def table(title: str, lines: list[str], last=PROPERTIES) -> str:
    head = "| " + " | ".join(["", *PEERS, *last]) + " |"
    rule = "|-" * (1 + len(PEERS) + len(last)) + "|"
    return "\n".join([f"\n## {title}\n", head, rule, *lines]) + "\n"


def same(what: str, registered, listed) -> None:
    if set(registered) != set(listed):
        raise LookupError(
            f"{what}: without a line {sorted(set(registered) - set(listed))}, "
            f"lines of nothing {sorted(set(listed) - set(registered))}."
        )


def machinery(title: str, peers: str, test: str) -> str:
    file, function = test.split("::")
    if not re.search(rf"^def {function}\(", (TESTS / f"{file}.py").read_text(), re.MULTILINE):
        raise LookupError(f"{title}: there is no test {test}.")
    return row(title, peers, [f"`{test}`"])


def page() -> str:
    """The whole page.

    Raises:
        LookupError: if something registered has no line, or a line no test.
    """
    readouts = {readout.name: readout for readout in READOUTS + SAMPLES}
    for title, (kind, lines) in OPERATIONS.items():
        same(title.lower(), REGISTRIES[kind], lines)
    if unknown := REGISTRIES.keys() - {kind for kind, _ in OPERATIONS.values()}:
        raise LookupError(f"No table for {sorted(unknown)}.")
    same("readouts", public_readouts(), READOUT)
    same("readouts with a case", readouts, READOUT)
    return HEAD + "".join(
        [
            *(
                table(title, [line(kind, name, peers) for name, peers in lines.items()])
                for title, (kind, lines) in OPERATIONS.items()
            ),
            table(
                "Readouts",
                [line("readout", k, v, readouts[k].source) for k, v in READOUT.items()],
            ),
            table("Machinery", [machinery(k, *v) for k, v in MACHINERY.items()], ["shown by"]),
        ]
    )


if __name__ == "__main__":
    PAGE.write_text(page())
    print(f"wrote {PAGE}")
