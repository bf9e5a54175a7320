"""Circuits as Strawberry Fields programs.

Strawberry Fields (SF) is imported inside functions only.
"""

import re
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np

from fockjax.circuit import Circuit
from fockjax.decompositions import pairs
from fockjax.interop.formulas import as_sympy
from fockjax.interop.names import CLASSES, DETECTORS
from fockjax.interop.oracle import interleaved, load
from fockjax.operations import Measurement, Step, written_out
from fockjax.parameters import Values

_DETECTORS = {ours: theirs for theirs, ours in DETECTORS.items()}


def to_strawberryfields(
    circuit: Circuit, weights: Mapping[str, Any] | None = None, x: Any = None
) -> Any:
    """The Strawberry Fields program of a circuit.

    Weights become free parameters of the same names. An array weight becomes one for each of its
    numbers: ``w`` of shape (2, 3) becomes ``w_0_0`` to ``w_1_2``. Components of the input become
    ``x_0``, ``x_1`` and so on. Characters that Blackbird would not read in a name become
    underscores. Arithmetic becomes SymPy expressions, and repeated layers are written out. If
    ``weights`` or ``x`` are given, their values are written in place of parameters. Outcomes become
    measured parameters, ``q[0].par``, and an efficiency of a detector becomes a loss before it.

    SF's own truncation applies to what its engine decomposes (a Gaussian state). A warning names
    two-mode gates that its engine misplaces; see docs/from_strawberryfields.md.

    Args:
        circuit: the circuit.
        weights: values of the weights, as the circuit is called with.
        x: the input vector.

    Returns:
        A ``strawberryfields.Program`` on as many modes.

    Raises:
        ValueError: naming the operation, for what SF has no operation for (SNAP, a unitary given by
            its elements, ``exact=True``, padding, channels but for losses, a selected count with
            dark counts); for an outcome of a mode that has been measured again since, which SF
            forgets; for a parameter that SymPy cannot express; where
            ``strawberryfields.hbar`` is not the circuit's; for missing or unknown weights, or an
            ``x`` of another length.
        ImportError: if SF is not installed.

    Example:
        >>> import fockjax as fj
        >>> circuit = fj.Circuit(2).squeeze(fj.Weight("r"), mode=0).displace(fj.Input(0), mode=1)
        >>> _ = circuit.rotate(2 * fj.Weight("angles", 3)[1], mode=1)
        >>> fj.to_strawberryfields(circuit).print()
        Sgate({r}, 0) | (q[0])
        Dgate({x_0}, 0) | (q[1])
        Rgate(2.0*{angles_1}) | (q[1])
        >>> fj.to_strawberryfields(circuit, {"r": 0.1, "angles": [0.2, 0.3, 0.4]}, [0.5]).print()
        Sgate(0.1, 0) | (q[0])
        Dgate(0.5, 0) | (q[1])
        Rgate(0.6) | (q[1])
    """
    sf = load()
    if not isinstance(circuit, Circuit):
        raise TypeError(f"Argument `circuit` must be a Circuit, got {type(circuit).__name__}.")
    if circuit.hbar != sf.hbar:
        raise ValueError(
            f"The circuit has hbar {circuit.hbar:g}, strawberryfields.hbar is {sf.hbar:g}; set "
            "that to the circuit's before the call and leave it there."
        )
    program = sf.Program(circuit.modes)
    shapes = jax.eval_shape(circuit.init, jax.random.key(0))
    if weights is None:
        weights = {name: _symbols(program, name, s.shape) for name, s in shapes.items()}
    else:
        weights = _checked(weights, shapes)
    if x is None:
        x = _symbols(program, "x", (circuit.num_inputs,))
    elif np.shape(x) != (circuit.num_inputs,) or not np.all(np.isfinite(x)):
        raise ValueError(
            f"Argument `x` must be finite, of shape {(circuit.num_inputs,)}, got {x!r}."
        )
    misplaced, outcomes = {}, {}
    with program.context as q:
        steps = written_out(circuit.operations, Values(weights, np.asarray(x), outcomes), as_sympy)
        for position, step in enumerate(steps):
            try:
                for operation, modes in _operations(step):
                    _ = operation | [q[mode] for mode in modes]
                    if isinstance(operation, sf.ops.Gate) and modes[1:] == (0,):
                        misplaced[f"{type(operation).__name__} on modes {modes[0]}, 0"] = True
                if isinstance(step, Measurement):
                    _remember(outcomes, step.label, q[step.modes[0]].par)
            except ValueError as error:
                raise ValueError(f"Operation {position}, {step.name}: {error}") from None
    if misplaced:
        warnings.warn(
            "The Fock engine of Strawberry Fields 0.23 misplaces two-mode gates whose second mode "
            f"is 0: {'; '.join(misplaced)}. Number the modes otherwise to run the program in it.",
            stacklevel=2,
        )
    return program


def _checked(weights: Mapping[str, Any], shapes: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The values of the weights, which must be finite, of these shapes."""
    if weights.keys() != shapes.keys():
        raise ValueError(
            f"Argument `weights` must have the names {sorted(shapes)}, got {sorted(weights)}."
        )
    checked = {name: np.asarray(value, float) for name, value in weights.items()}
    for name, value in checked.items():
        if value.shape != shapes[name].shape or not np.all(np.isfinite(value)):
            raise ValueError(
                f"Weight {name!r} must be finite, of shape {shapes[name].shape}, got {value}."
            )
    return checked


def _symbols(program: Any, name: str, shape: tuple[int, ...]) -> Any:
    """Free parameters of a program for the numbers of an array, in an array of its shape."""
    symbols = np.empty(shape, object)
    for index in np.ndindex(shape):
        written = re.sub(r"\W", "_", "_".join([name, *map(str, index)]))
        if written in program.free_params:
            raise ValueError(f"Two numbers of the circuit would be the free parameter {written!r}.")
        symbols[index] = program.params(written)
    return symbols


def _remember(outcomes: dict[str, list[Any]], label: str, measured: Any) -> None:
    """Add a measured parameter to the outcomes, which hold one for each layer. Outcomes of earlier
    measurements of the same mode become None, as SF keeps only the last.
    """
    for layers in outcomes.values():
        layers[:] = [None if layer == measured else layer for layer in layers]
    outcomes.setdefault(label, []).append(measured)


def _operations(step: Step) -> Iterator[tuple[Any, tuple[int, ...]]]:
    """SF's operations for a step, each with its modes."""
    ops, values, modes = load().ops, list(step.parameters.values()), step.modes
    for name in ("exact", "padding"):
        if step.options.get(name):
            raise ValueError(
                f"Strawberry Fields has no operation for it with {name}={step.options[name]!r}."
            )
    if isinstance(step, Measurement):
        yield from _measurement(step)
    elif step.name in CLASSES:
        if step.name == "mach_zehnder" and values[0] == 0:
            values[0] = 2 * np.pi  # SF skips a gate whose first parameter is the number 0
        yield getattr(ops, CLASSES[step.name])(*values), modes
    elif step.name == "fourier":
        yield ops.Fouriergate(), modes
    elif step.name == "interferometer":
        yield from _mesh(values, modes, step.options["mesh"])
    elif step.name == "gaussian_transform":
        *meshes, r = values
        first, second = zip(*meshes, strict=True)
        yield from _mesh(first, modes, "rectangular")
        for mode, strength in zip(modes, r, strict=True):
            yield ops.Sgate(strength), (mode,)
        yield from _mesh(second, modes, "rectangular")
    elif step.name == "fock":
        yield ops.Fock(step.options["n"]), modes
    elif step.name == "gkp":
        theta, phi, epsilon = values
        yield ops.GKP([theta, phi], epsilon, step.options["ampl_cutoff"]), modes
    elif step.name == "two_mode_squeezed":
        for mode in modes:
            yield ops.Vacuum(), (mode,)
        yield ops.S2gate(*values), modes
    elif step.name == "ket":
        yield ops.Ket(_known(values[0]) + 1j * _known(values[1])), modes
    elif step.name in ("gaussian", "mixed_gaussian"):
        cov, mean = map(_known, values)
        yield ops.Gaussian(cov, mean + np.zeros(len(cov))), modes
    elif step.name == "density_matrix":
        yield ops.DensityMatrix(interleaved(_known(values[0]) + 1j * _known(values[1]))), modes
    else:
        raise ValueError("Strawberry Fields has no operation for it.")


def _measurement(step: Measurement) -> Iterator[tuple[Any, tuple[int, ...]]]:
    """SF's measurement for a step, after a loss that stands for the efficiency."""
    ops, parameters = load().ops, dict(step.parameters)
    options = {"select": parameters.pop("select")} if step.selects else {}
    if getattr(options.get("select"), "free_symbols", None):
        raise ValueError("Strawberry Fields selects numbers only; give `weights` and `x`.")
    if step.name in ("photons", "threshold"):
        efficiency, dark_counts = parameters.pop("efficiency"), parameters.pop("dark_counts")
        if efficiency != 1:
            yield ops.LossChannel(efficiency), step.modes
        if step.selects:
            options["select"] = _count(options["select"])
        if dark_counts != 0:
            if step.name == "threshold" or step.selects:
                raise ValueError(
                    "Strawberry Fields has dark counts only where photons are counted and no "
                    "outcome is selected."
                )
            options["dark_counts"] = _known(dark_counts)
    yield getattr(ops, _DETECTORS[step.name])(*parameters.values(), **options), step.modes


def _count(selected: float) -> int:
    """An outcome selected of a detector that counts; a parameter may have given no integer."""
    if not selected >= 0 or selected != int(selected):
        raise ValueError(f"Strawberry Fields selects integers >= 0 here, got {selected:g}.")
    return int(selected)


def _mesh(angles, modes, mesh) -> Iterator[tuple[Any, tuple[int, ...]]]:
    """The beamsplitters and rotations of an interferometer."""
    ops, (theta, phi, rotation) = load().ops, angles
    for k, (first, second) in enumerate(pairs(len(modes), mesh)):
        yield ops.BSgate(theta[k], phi[k]), (modes[first], modes[second])
    for mode, angle in zip(modes, rotation, strict=True):
        yield ops.Rgate(angle), (mode,)


def _known(value: Any) -> Any:
    """The value, checked to consist of numbers, not symbols."""
    if np.asarray(value).dtype == object:
        raise ValueError(
            "Strawberry Fields has no free amplitudes or dark counts; give `weights` and `x`."
        )
    return value
