"""Strawberry Fields programs to circuits and back.

Strawberry Fields (SF) and SymPy are imported inside functions only.
"""

import os
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fockjax.circuit import Circuit
from fockjax.decompositions import pairs
from fockjax.interop.oracle import load
from fockjax.parameters import (
    ARITHMETIC,
    Expression,
    Function,
    Input,
    Parameter,
    Weight,
    evaluate,
    stack,
)
from fockjax.planning import Gate, Repeat, Step

# Classes of `strawberryfields.ops` with an equal here that takes the same parameters in order.
GATES = {
    "BSgate": "beamsplitter",
    "CKgate": "cross_kerr",
    "CXgate": "controlled_x",
    "CZgate": "controlled_z",
    "Dgate": "displacement",
    "Kgate": "kerr",
    "MZgate": "mach_zehnder",
    "Pgate": "quadratic_phase",
    "Rgate": "rotation",
    "S2gate": "two_mode_squeezing",
    "Sgate": "squeezing",
    "Vgate": "cubic_phase",
    "Xgate": "x_displacement",
    "Zgate": "p_displacement",
    "sMZgate": "symmetric_mach_zehnder",
}
KETS = {
    "Catstate": "cat",
    "Coherent": "coherent",
    "DisplacedSqueezed": "displaced_squeezed",
    "Squeezed": "squeezed",
    "Vacuum": "vacuum",
}
# SF's meshes that are the same beamsplitters as ours, cut alike; SF's rotations between them are
# ours at the end.
MESHES = {
    "rectangular": "rectangular",
    "rectangular_phase_end": "rectangular",
    "triangular": "triangular",
}
_TO_GATES = {ours: theirs for theirs, ours in GATES.items()}
_TO_KETS = {ours: theirs for theirs, ours in KETS.items()}

# Functions of `jax.numpy` and their names in SymPy.
FUNCTIONS = {
    "abs": "Abs",
    "arccos": "acos",
    "arccosh": "acosh",
    "arcsin": "asin",
    "arcsinh": "asinh",
    "arctan": "atan",
    "arctan2": "atan2",
    "arctanh": "atanh",
    "cos": "cos",
    "cosh": "cosh",
    "exp": "exp",
    "log": "log",
    "sign": "sign",
    "sin": "sin",
    "sinh": "sinh",
    "sqrt": "sqrt",
    "tan": "tan",
    "tanh": "tanh",
}


# from Strawberry Fields


def from_strawberryfields(program: Any, *, inputs: Sequence[str] = ()) -> Circuit:
    """The circuit of a Strawberry Fields program: the same state at the same cutoff, phase
    included.

    Free parameters become weights of the same names, so that the dictionary one would give to
    SF's ``engine.run(program, args=...)`` is the circuit's ``weights``; a default value is where
    they start. Those named in ``inputs`` become components of the input vector. Expressions of
    them stay expressions. Bound parameters become numbers; those of a program that has been run are
    bound. What has no equal here (graph embeddings, Gaussian transformations, compact meshes) comes
    as SF decomposes it. ``hbar`` is ``strawberryfields.hbar`` at the time of the call.

    Modes are numbered as in the program's register; those made by ``New`` are there from the
    start, in the vacuum. Measurements at the end are left out, which a warning says: the circuit
    gives the state before them. What makes a state mixed is refused.

    Args:
        program: a ``strawberryfields.Program``, the path of a Blackbird file (.xbb), or a Blackbird
            script (a string of several lines), which SF reads; the parameters ``{name}`` of a
            template are free parameters.
        inputs: names of free parameters in the order of the input vector.

    Raises:
        TypeError: if ``program`` is none of these.
        ValueError: naming the operation, its position and its modes, for what a circuit of pure
            states cannot hold: measurements that operations follow or that post-select, parameters
            that depend on them, losses, mixed preparations, deleted modes. For a name in ``inputs``
            that is not a free parameter of the program.
        ImportError: if SF is not installed.

    Example:
        >>> import fockjax as fj
        >>> circuit = fj.from_strawberryfields('''
        ... name example
        ... version 1.0
        ... Sgate(0.4) | 0
        ... Dgate({alpha}, 0.5) | 1
        ... BSgate() | [0, 1]
        ... ''')
        >>> circuit
        Circuit of 2 modes, 0 inputs, 1 weight
          squeezing(r=0.4, phi=0) on mode 0
          displacement(r=alpha, phi=0.5) on mode 1
          beamsplitter(theta=0.785398, phi=0) on modes 0, 1
        >>> print(f"{circuit({'alpha': 0.3}, cutoff=12).photon_number(0).mean:.4f}")
        0.1294
    """
    sf = load()
    if isinstance(program, str | os.PathLike):
        script = isinstance(program, str) and "\n" in program
        program = sf.io.loads(program if script else Path(program).read_text())
    if not isinstance(program, sf.Program) or isinstance(program, sf.TDMProgram):
        raise TypeError(
            "Argument `program` must be a strawberryfields.Program (none in the time domain), the "
            f"path of a Blackbird file or a Blackbird script, got {type(program).__name__}."
        )
    before = program.init_reg_refs
    there = [k for k in program.reg_refs if k not in before or before[k].active]
    reader = _Reader(
        Circuit(len(there), hbar=sf.hbar),
        {k: mode for mode, k in enumerate(there)},
        _Parameters({name: Input(k) for k, name in enumerate(inputs)}),
    )
    for position, command in enumerate(program.circuit):
        rest = program.circuit[position + 1 :]
        try:
            reader.read(command, rest)
        except (ValueError, TypeError) as error:
            modes = ", ".join(str(ref.ind) for ref in command.reg)
            where = f"operation {position}, {type(command.op).__name__} on mode(s) {modes}"
            raise type(error)(f"Argument `program`: {where}: {error}") from None
    for name in inputs:
        if name not in reader.parameters.found:
            raise ValueError(
                f"Argument `inputs`: {name!r} is no free parameter of the program's gates; there "
                f"are {sorted(reader.parameters.found)}."
            )
    return reader.circuit


@dataclass
class _Reader:
    """Adds commands of an SF program to a circuit."""

    circuit: Circuit
    modes: dict[int, int]
    parameters: "_Parameters"

    def read(self, command: Any, rest: Sequence[Any]) -> None:
        """Add one command, which the commands ``rest`` follow."""
        ops = load().ops
        op, name = command.op, type(command.op).__name__
        modes = tuple(self.modes[ref.ind] for ref in command.reg)
        if isinstance(op, ops._New_modes):
            return
        if isinstance(op, ops.Measurement):
            self._left_out(command, rest)
        elif isinstance(op, ops._Delete):
            raise ValueError(
                "tracing modes out leaves a mixed state, which a circuit cannot hold yet. Leave "
                "the operation out and ask the final state for `reduced(modes)`."
            )
        elif isinstance(op, ops.Channel | ops.Thermal | ops.DensityMatrix) or (
            isinstance(op, ops.Gaussian) and not op.pure
        ):
            raise ValueError(
                "it makes the state mixed, and a circuit holds pure states only: mixed states are "
                "not there yet."
            )
        elif name in GATES:
            self._gate(op, modes)
        elif name in KETS:
            values = op.p[:3] if isinstance(op, ops.Catstate) else op.p  # the rest is not Fock's
            self.circuit.prepare(KETS[name], *map(self.parameters, values), modes=modes)
        elif isinstance(op, ops.Fouriergate):
            if op.dagger:
                self.circuit.add("rotation", -np.pi / 2, modes=modes)
            else:
                self.circuit.add("fourier", modes=modes)
        elif isinstance(op, ops.Fock):
            self.circuit.prepare("fock", n=self._integer(op.p[0]), modes=modes)
        elif isinstance(op, ops.GKP):
            self._gkp(op, modes)
        elif isinstance(op, ops.Interferometer) and op.mesh in MESHES:
            self.circuit.interferometer(op.p[0], modes, mesh=MESHES[op.mesh])
        elif isinstance(op, ops.Ket):
            ket = np.asarray(op.p[0])
            ket = ket.reshape((round(ket.size ** (1 / len(modes))),) * len(modes))
            self.circuit.prepare("ket", np.real(ket), np.imag(ket), modes=modes)
        else:
            try:
                parts = op.decompose(command.reg)
            except NotImplementedError:
                raise ValueError(
                    "there is no equal of it here, and Strawberry Fields does not decompose it."
                ) from None
            if isinstance(op, ops.Gaussian):
                parts = _well_squeezed(parts, op, command.reg)
            for part in parts:
                self.read(part, ())

    def _gate(self, op: Any, modes: tuple[int, ...]) -> None:
        name, values = GATES[type(op).__name__], list(map(self.parameters, op.p))
        if not op.dagger:
            self.circuit.add(name, *values, modes=modes)
        elif name in ("mach_zehnder", "symmetric_mach_zehnder"):
            # The inverse beamsplitters are the same ones between half turns of the second mode.
            inside, outside = values
            self.circuit.add("rotation", np.pi, modes=modes[1])
            if name == "mach_zehnder":
                self.circuit.add(name, -inside, 0.0, modes=modes)
                self.circuit.add("rotation", -outside, modes=modes[0])
            else:
                self.circuit.add(name, np.pi - inside, np.pi - outside, modes=modes)
            self.circuit.add("rotation", np.pi, modes=modes[1])
        else:
            self.circuit.add(name, -values[0], *values[1:], modes=modes)

    def _gkp(self, op: Any, modes: tuple[int, ...]) -> None:
        (theta, phi), epsilon, ampl_cutoff, representation, shape = op.p
        if (representation, shape) != ("real", "square"):
            raise ValueError("of GKP states, SF's Fock engine knows the real, square ones only.")
        values = map(self.parameters, (theta, phi, epsilon))
        self.circuit.prepare("gkp", *values, ampl_cutoff=float(ampl_cutoff), modes=modes)

    def _integer(self, value: Any) -> Any:
        value = self.parameters(value)
        if isinstance(value, Parameter):
            raise ValueError(
                f"its photon number {value} must be known; bind it first, as "
                "`program.bind_params` does."
            )
        number = value.item()
        return int(number) if number == np.round(number) else number

    def _left_out(self, command: Any, rest: Sequence[Any]) -> None:
        if command.op.select is not None:
            raise ValueError("post-selection is not there yet.")
        measured = {ref.ind for ref in command.reg}
        if any(measured & {ref.ind for ref in other.reg} for other in rest):
            raise ValueError(
                "operations follow on the modes it measures, and measurements within a circuit are "
                "not there yet; only those at the end can be left out."
            )
        modes = ", ".join(map(str, sorted(measured)))
        warnings.warn(
            f"Left out {type(command.op).__name__} of mode(s) {modes}: the circuit gives the state "
            "before the measurement.",
            stacklevel=4,
        )


def _well_squeezed(parts: Sequence[Any], op: Any, reg: Sequence[Any]) -> list[Any]:
    """SF's decomposition of a pure Gaussian state with the squeezing that its covariance has.

    Where no modes are correlated, SF 0.23 squeezes by the modulus of the logarithm and to a
    quadrant it guesses, so that x is always squeezed, whichever quadrature should be.
    """
    ops = load().ops
    covariance, n = op.p[0], len(reg)
    squeezed = []
    for part in parts:
        if isinstance(part.op, ops.Squeezed):
            k = reg.index(part.reg[0])
            xx, xp, pp = covariance[k, k], covariance[k, k + n], covariance[k + n, k + n]
            r = np.arccosh(max((xx + pp) / 2, 1.0)) / 2
            part = type(part)(ops.Squeezed(r, np.angle(complex(pp - xx, -2 * xp + 0.0))), part.reg)
        squeezed.append(part)
    return squeezed


@dataclass
class _Parameters:
    """Turns parameters of SF's operations into ours; ``found`` are the free ones met so far."""

    inputs: dict[str, Input]

    def __post_init__(self):
        self.found: dict[str, Parameter] = {}

    def __call__(self, value: Any) -> Any:
        import sympy
        from strawberryfields.parameters import FreeParameter, MeasuredParameter

        if not isinstance(value, sympy.Basic):
            return np.real_if_close(value)
        if value.atoms(MeasuredParameter):
            raise ValueError(
                f"its parameter {value} depends on a measurement, and measurements within a "
                "circuit are not there yet."
            )
        atoms = sorted(value.atoms(FreeParameter), key=lambda atom: atom.name)
        bound = [atom for atom in atoms if atom.val is not None and atom.name not in self.inputs]
        values = {atom: atom.val for atom in bound}
        if any(np.ndim(number) for number in values.values()):
            raise ValueError(
                f"its parameter {value} is bound to an array; leave it free and batch with "
                "jax.vmap."
            )
        value = value.xreplace({atom: sympy.sympify(float(v)) for atom, v in values.items()})
        free = [atom for atom in atoms if atom not in values]
        if not free:
            return np.real_if_close(complex(value))
        leaves = tuple(map(self._leaf, free))
        if value == free[0]:
            return leaves[0]
        symbols = tuple(sympy.Symbol(atom.name) for atom in free)
        return Formula(value.xreplace(dict(zip(free, symbols, strict=True))), symbols, leaves)

    def _leaf(self, atom: Any) -> Parameter:
        if atom.name not in self.found:
            leaf = self.inputs.get(atom.name) or Weight(atom.name)
            if isinstance(leaf, Weight) and atom.default is not None:
                leaf = replace(leaf, init=partial(_start, float(atom.default)))
            self.found[atom.name] = leaf
        return self.found[atom.name]


def _start(value: float, key, shape, dtype):
    """An initialiser that pickles, unlike JAX's constant."""
    return jnp.full(shape, value, dtype)


@dataclass(frozen=True, eq=False)
class Formula(Parameter):
    """A SymPy expression of weights and inputs.

    Attributes:
        expression: the expression.
        symbols: the symbols in it.
        operands: what each of them stands for.
    """

    expression: Any
    symbols: tuple[Any, ...]
    operands: tuple[Parameter, ...]

    def evaluate(self, weights, x):
        function = _compiled(self.expression, self.symbols)
        return function(*(evaluate(operand, weights, x) for operand in self.operands))

    def leaves(self):
        for operand in self.operands:
            yield from operand.leaves()

    def __str__(self):
        import sympy

        names = [sympy.Symbol(str(operand)) for operand in self.operands]
        return str(self.expression.xreplace(dict(zip(self.symbols, names, strict=True))))


@cache
def _compiled(expression, symbols):
    """Kept apart from the formula, which is thus free of what does not pickle."""
    import sympy

    return sympy.lambdify(symbols, expression, "jax")


# to Strawberry Fields


def to_strawberryfields(
    circuit: Circuit, weights: Mapping[str, Any] | None = None, x: Any = None
) -> Any:
    """The Strawberry Fields program of a circuit.

    Weights become free parameters of the same names, an array weight one for each of its numbers:
    ``w`` of shape (2, 3) becomes ``w_0_0`` to ``w_1_2``. Components of the input become ``x_0``,
    ``x_1`` and so on. Characters that Blackbird would not read in a name become underscores.
    Arithmetic becomes SymPy expressions, repeated layers are written out. Given ``weights`` or
    ``x``, their values are written in place of parameters.

    SF's own truncation applies to what its engine decomposes, and SF 0.23 runs some programs
    wrongly that are written rightly; see docs/from_strawberryfields.md.

    Args:
        circuit: the circuit.
        weights: values of the weights, as the circuit is called with.
        x: the input vector.

    Returns:
        A ``strawberryfields.Program`` on as many modes.

    Raises:
        ValueError: naming the operation, for what SF has no operation for (SNAP, a unitary given by
            its elements, ``exact=True``, padding); for a parameter that SymPy cannot express; where
            ``strawberryfields.hbar`` is not the circuit's; for missing or unknown weights.
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
    if circuit.hbar != sf.hbar:
        raise ValueError(
            f"The circuit has hbar {circuit.hbar:g}, strawberryfields.hbar is {sf.hbar:g}; set "
            "that to the circuit's before the call and leave it there."
        )
    program = sf.Program(circuit.modes)
    shapes = jax.eval_shape(circuit.init, jax.random.key(0))
    if weights is None:
        weights = {name: _symbols(program, name, s.shape) for name, s in shapes.items()}
    elif weights.keys() != shapes.keys():
        raise ValueError(
            f"Argument `weights` must have the names {sorted(shapes)}, got {sorted(weights)}."
        )
    else:
        weights = {name: np.asarray(value, float) for name, value in weights.items()}
    if x is None:
        x = _symbols(program, "x", (circuit.num_inputs,))
    misplaced = []
    with program.context as q:
        for position, step in enumerate(_written_out(circuit.operations, weights, np.asarray(x))):
            try:
                for operation, modes in _operations(step):
                    _ = operation | [q[mode] for mode in modes]
                    if len(modes) == 2 and modes[1] == 0:
                        misplaced.append(f"{type(operation).__name__} on modes {modes[0]}, 0")
            except ValueError as error:
                raise ValueError(f"Operation {position}, {step.name}: {error}") from None
    if misplaced:
        warnings.warn(
            "The Fock engine of Strawberry Fields 0.23 misplaces two-mode gates whose second mode "
            f"is 0: {'; '.join(misplaced)}. Number the modes otherwise to run the program in it.",
            stacklevel=2,
        )
    return program


def _symbols(program: Any, name: str, shape: tuple[int, ...]) -> Any:
    """Free parameters of a program for the numbers of an array, in an array of its shape."""
    symbols = np.empty(shape, object)
    for index in np.ndindex(shape):
        written = re.sub(r"\W", "_", "_".join([name, *map(str, index)]))
        if written in program.free_params:
            raise ValueError(f"Two numbers of the circuit would be the free parameter {written!r}.")
        symbols[index] = program.params(written)
    return symbols


def _written_out(operations, weights, x) -> Iterator[Step]:
    """All steps in order, layers written out, with numbers and SymPy expressions as parameters."""
    for operation in operations:
        if isinstance(operation, Repeat):
            for k in range(operation.times):
                layer = {name: weights[name][k] for name in operation.weights}
                yield from _written_out(operation.operations, weights | layer, x)
        else:
            values = {
                name: _written(value, weights, x) for name, value in operation.parameters.items()
            }
            yield replace(operation, parameters=values)


def _written(value: Any, weights, x) -> Any:
    """A parameter as a number or SymPy expression, or an array of these."""

    def operands():
        return [_written(operand, weights, x) for operand in value.operands]

    if isinstance(value, Expression):
        written = ARITHMETIC[value.symbol](*operands())
    elif isinstance(value, Formula):
        written = value.expression.subs(dict(zip(value.symbols, operands(), strict=True)))
    elif isinstance(value, Function):
        written = _applied(value, operands())
    else:
        written = evaluate(value, weights, x)
    return _plain(written)


def _plain(value: Any) -> Any:
    """Python's own float for what is one number, whoever's it was."""
    if isinstance(value, np.ndarray | jax.Array):
        return _plain(value[()]) if value.ndim == 0 else np.asarray(value)
    return value if getattr(value, "free_symbols", None) else float(value)


def _applied(function: Function, operands: list[Any]) -> Any:
    """A function of numbers and SymPy expressions."""
    import sympy

    if function.function is stack:
        return np.array(operands)
    if all(np.asarray(operand).dtype != object for operand in operands):
        return function.function(*operands)
    known = {getattr(jnp, ours): getattr(sympy, theirs) for ours, theirs in FUNCTIONS.items()}
    try:
        return known.get(function.function, function.function)(*operands)
    except Exception as error:  # whatever a function of the user's does with symbols
        raise ValueError(
            f"SymPy has no expression for {function}; give `weights` and `x` to write its value."
        ) from error


def _operations(step: Step) -> Iterator[tuple[Any, tuple[int, ...]]]:
    """SF's operations for a step, each with its modes."""
    ops, values, modes = load().ops, list(step.parameters.values()), step.modes
    for name in ("exact", "padding"):
        if step.options.get(name):
            raise ValueError(
                f"Strawberry Fields has no operation for it with {name}={step.options[name]!r}."
            )
    table = _TO_GATES if isinstance(step, Gate) else _TO_KETS
    if step.name in table:
        if step.name == "mach_zehnder" and values[0] == 0:
            values[0] = 2 * np.pi  # SF skips a gate whose first parameter is the number 0
        yield getattr(ops, table[step.name])(*values), modes
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
    elif step.name == "two_mode_squeezing":
        for mode in modes:
            yield ops.Vacuum(), (mode,)
        yield ops.S2gate(*values), modes
    elif step.name == "ket":
        yield ops.Ket(_known(values[0]) + 1j * _known(values[1])), modes
    elif step.name == "gaussian":
        cov, mean = map(_known, values)
        yield ops.Gaussian(cov, mean + np.zeros(len(cov))), modes
    else:
        raise ValueError("Strawberry Fields has no operation for it.")


def _mesh(angles, modes, mesh) -> Iterator[tuple[Any, tuple[int, ...]]]:
    """The beamsplitters and rotations of an interferometer."""
    ops, (theta, phi, rotation) = load().ops, angles
    for k, (first, second) in enumerate(pairs(len(modes), mesh)):
        yield ops.BSgate(theta[k], phi[k]), (modes[first], modes[second])
    for mode, angle in zip(modes, rotation, strict=True):
        yield ops.Rgate(angle), (mode,)


def _known(value: Any) -> Any:
    """An array of numbers, not of symbols."""
    if np.asarray(value).dtype == object:
        raise ValueError("Strawberry Fields has no free amplitudes; give `weights` and `x`.")
    return value
