"""Strawberry Fields programs as circuits.

Strawberry Fields (SF) and SymPy are imported inside functions only.
"""

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from fockjax.circuit import Circuit
from fockjax.interop.formulas import Formula
from fockjax.interop.names import CHANNELS, DETECTORS, GATES, KETS, MESHES, MIXED
from fockjax.interop.oracle import load, rows_first
from fockjax.operations import Measurement, flat
from fockjax.parameters import Input, Outcome, Parameter, Weight


def from_strawberryfields(
    program: Any, *, inputs: Sequence[str] = (), final_measurements: bool = False
) -> Circuit:
    """The circuit of a Strawberry Fields program: the same state at the same cutoff, phase
    included.

    Free parameters become weights of the same names, so that the dictionary for SF's
    ``engine.run(program, args=...)`` is the circuit's ``weights``; a default value becomes the
    initial value. Free parameters that are named in ``inputs`` become components of the input
    vector. Expressions of parameters stay expressions. Bound parameters become numbers; those of a
    program that has been run are bound. Operations that do not exist here (graph embeddings,
    Gaussian transformations, compact meshes) are added as SF decomposes them. ``hbar`` is
    ``strawberryfields.hbar`` at the time of the call.

    Modes are numbered as in the program's register. Modes made by ``New`` are there from the start,
    in the vacuum. A mode deleted by ``Del`` is traced out and stays, in the vacuum.

    A measurement is kept if it selects an outcome, if operations follow on the same mode, or if a
    later parameter depends on its outcome, ``q[0].par``. The outcome of mode 0 is called "m0", the
    next one of the same mode "m0_2". The other measurements are at the end. They are left out with
    a warning, so that the circuit gives the state before them; ``final_measurements`` keeps them.
    The call of a circuit that measures needs a ``key``, unless all outcomes are selected.

    Args:
        program: a ``strawberryfields.Program``, the path of a Blackbird file (.xbb), or a Blackbird
            script (a string of several lines), which SF reads; the parameters ``{name}`` of a
            template are free parameters.
        inputs: names of free parameters in the order of the input vector.
        final_measurements: whether to keep the measurements at the end.

    Raises:
        TypeError: if ``program`` is none of these.
        ValueError: naming the operation, its position and its modes, for what a circuit cannot
            hold: operations that do not exist here, and parameters that are complex or depend on an
            outcome that is not measured before. Also for a name in ``inputs`` that is not a free
            parameter of the program, and for a script that SF cannot read.
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
        program = _parsed(program)
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
        final_measurements,
    )
    for position, command in enumerate(program.circuit):
        rest = program.circuit[position + 1 :]
        try:
            reader.read(command, rest)
        except (ValueError, TypeError) as error:
            modes = ", ".join(str(ref.ind) for ref in command.reg)
            where = f"operation {position}, {type(command.op).__name__} on mode(s) {modes}"
            raise type(error)(f"Argument `program`: {where}: {error}") from None
    if isinstance(inputs, str | Mapping):
        raise TypeError(f"Argument `inputs` must be a list of names, got {inputs!r}.")
    for name in inputs:
        if list(inputs).count(name) > 1:
            raise ValueError(f"Argument `inputs` names {name!r} more than once.")
        if name not in reader.parameters.found:
            raise ValueError(
                f"Argument `inputs`: {name!r} is no free parameter of the program's gates; there "
                f"are {sorted(reader.parameters.found)}."
            )
    return reader.circuit


def _parsed(source: str | os.PathLike) -> Any:
    """The program of a Blackbird script, or of a file that holds one."""
    script = isinstance(source, str) and "\n" in source
    text = source if script else Path(source).read_text(encoding="utf-8")
    try:
        return load().io.loads(text)
    except Exception as error:  # the parser has no error of its own
        raise ValueError(
            f"Argument `program`: {'the script' if script else source} is not a Blackbird program "
            f"that Strawberry Fields can read ({type(error).__name__}: {error})."
        ) from error


@dataclass
class _Reader:
    """Adds commands of an SF program to a circuit."""

    circuit: Circuit
    modes: dict[int, int]
    parameters: "_Parameters"
    final_measurements: bool

    def read(self, command: Any, rest: Sequence[Any]) -> None:
        """Add one command; ``rest`` are the commands that follow it."""
        ops = load().ops
        op, name = command.op, type(command.op).__name__
        modes = tuple(self.modes[ref.ind] for ref in command.reg)
        if isinstance(op, ops._New_modes):
            return
        if isinstance(op, ops.Measurement):
            self._measure(command, rest)
        elif isinstance(op, ops._Delete):
            for mode in modes:
                self.circuit.prepare("vacuum", modes=mode)
        elif name in CHANNELS:
            self.circuit.add(CHANNELS[name], *map(self.parameters, op.p), modes=modes)
        elif name in MIXED:
            self.circuit.prepare(MIXED[name], *map(self.parameters, op.p), modes=modes)
        elif isinstance(op, ops.DensityMatrix):
            self._density_matrix(op, modes)
        elif isinstance(op, ops.Gaussian) and not op.pure:
            covariance, mean = op.p  # SF divides the covariance by hbar / 2, not the mean
            covariance = covariance * (self.circuit.hbar / 2)
            self.circuit.prepare("mixed_gaussian", covariance, mean, modes=modes)
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
            self.circuit.interferometer(op.p[0], modes=modes, mesh=MESHES[op.mesh])
        elif isinstance(op, ops.Ket):
            ket = np.asarray(op.p[0])
            ket = ket.reshape((round(ket.size ** (1 / len(modes))),) * len(modes))
            self.circuit.prepare("ket", np.real(ket), np.imag(ket), modes=modes)
        else:
            try:
                parts = op.decompose(command.reg)
            except NotImplementedError:
                raise ValueError(
                    "it has no counterpart here, and Strawberry Fields does not decompose it."
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

    def _density_matrix(self, op: Any, modes: tuple[int, ...]) -> None:
        rho = np.asarray(op.p[0])
        if rho.ndim != 2 * len(modes):
            raise ValueError(
                "it must have a row and a column axis for each mode, in turn, got shape "
                f"{rho.shape}."
            )
        rho = rows_first(rho)
        self.circuit.prepare("density_matrix", np.real(rho), np.imag(rho), modes=modes)

    def _measure(self, command: Any, rest: Sequence[Any]) -> None:
        op, name = command.op, type(command.op).__name__
        count, left_out = len(command.reg), []
        dark_counts = getattr(op, "dark_counts", None)
        for what, values in ("outcomes to select", op.select), ("dark counts", dark_counts):
            if isinstance(values, Sequence) and len(values) != count:
                raise ValueError(f"it has {count} mode(s) and the {what} {list(values)}.")
        select = op.select if isinstance(op.select, Sequence) else [op.select] * count
        for k, ref in enumerate(command.reg):
            if select[k] is None and not self.final_measurements and not _matters(ref.ind, rest):
                left_out.append(ref.ind)
                continue
            values = [self.parameters(value) for value in op.p]
            if dark_counts:
                values = [1.0, float(dark_counts[k])]
            mode = self.modes[ref.ind]
            before = [step for step in flat(self.circuit.operations) if mode in step.modes]
            if before and isinstance(before[-1], Measurement):  # a circuit refuses a second one
                self.circuit.prepare("vacuum", modes=mode)
            times = 1 + sum(isinstance(step, Measurement) for step in before)
            label = f"m{mode}" if times == 1 else f"m{mode}_{times}"
            kind, chosen = DETECTORS[name], select[k]
            self.circuit.measure(kind, *values, modes=mode, select=chosen, name=label)
            self.parameters.measured[ref.ind] = Outcome(label), kind == "heterodyne"
        if left_out:
            warnings.warn(
                f"Left out {name} of mode(s) {', '.join(map(str, sorted(left_out)))}: the circuit "
                "gives the state before the measurement.",
                stacklevel=4,
            )


def _matters(mode: int, rest: Sequence[Any]) -> bool:
    """Whether any of the commands acts on a mode or depends on the outcome of measuring it."""
    return any(mode in {ref.ind for ref in command.get_dependencies()} for command in rest)


def _well_squeezed(parts: Sequence[Any], op: Any, reg: Sequence[Any]) -> list[Any]:
    """SF's decomposition of a pure Gaussian state, with the squeezing corrected to that of its
    covariance.

    If no modes are correlated, SF 0.23 squeezes by the modulus of the logarithm and guesses the
    quadrant of the phase, so that x is always squeezed, whichever quadrature should be.
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
    """Turns parameters of SF's operations into ours.

    Attributes:
        inputs: the components of the input, by the names of free parameters.
        found: the free parameters met so far, by name.
        measured: for each mode measured so far its outcome, and whether that is complex.
    """

    inputs: dict[str, Input]

    def __post_init__(self):
        self.found: dict[str, Parameter] = {}
        self.measured: dict[int, tuple[Outcome, bool]] = {}

    def __call__(self, value: Any) -> Any:
        import sympy
        from strawberryfields.parameters import FreeParameter

        if not isinstance(value, sympy.Basic):
            return np.real_if_close(value)
        atoms: list[Any] = sorted(value.atoms(FreeParameter), key=lambda atom: atom.name)
        bound = [atom for atom in atoms if atom.val is not None and atom.name not in self.inputs]
        values = {atom: atom.val for atom in bound}
        if any(np.ndim(number) for number in values.values()):
            raise ValueError(
                f"its parameter {value} is bound to an array; leave it free and batch with "
                "jax.vmap."
            )
        numbers = {atom: np.real_if_close(v) for atom, v in values.items()}
        value = value.xreplace({atom: sympy.sympify(v.item()) for atom, v in numbers.items()})
        free = {sympy.Symbol(atom.name): atom for atom in atoms if atom not in values}
        leaves = {symbol: self._leaf(atom) for symbol, atom in free.items()}
        value = value.xreplace({atom: symbol for symbol, atom in free.items()})
        value, outcomes = self._outcomes(value)
        leaves |= outcomes
        if not leaves:
            return np.real_if_close(complex(value))
        if value in leaves:
            return leaves[value]
        return Formula(value, tuple(leaves), tuple(leaves.values()))

    def _outcomes(self, value: Any) -> tuple[Any, dict[Any, Parameter]]:
        """An expression with real symbols in place of measured parameters, and what the symbols
        stand for.
        """
        import sympy
        from strawberryfields.parameters import MeasuredParameter

        symbols, leaves = {}, {}
        atoms: list[Any] = sorted(value.atoms(MeasuredParameter), key=lambda atom: atom.name)
        for atom in atoms:
            if atom.regref.ind not in self.measured:
                raise ValueError(
                    f"its parameter {value} depends on {atom}, which is not measured before."
                )
            outcome, is_complex = self.measured[atom.regref.ind]
            if is_complex:
                x, y = sympy.symbols(f"{atom.name}_real {atom.name}_imag", real=True)
                symbols[atom] = x + sympy.I * y
                leaves |= {x: outcome.real, y: outcome.imag}
            else:
                symbols[atom] = sympy.Symbol(atom.name, real=True)
                leaves[symbols[atom]] = outcome
        if not symbols:
            return value, {}
        found = value.xreplace(symbols).rewrite(sympy.atan2)
        if found.has(sympy.I):
            found = sympy.expand(found)
        if found.has(sympy.I):
            raise ValueError(
                f"its parameter {value} is complex; take the real or the imaginary part, as "
                "sf.math.re does."
            )
        return found, {symbol: leaf for symbol, leaf in leaves.items() if found.has(symbol)}

    def _leaf(self, atom: Any) -> Parameter:
        if atom.name not in self.found:
            leaf = self.inputs.get(atom.name) or Weight(atom.name)
            if isinstance(leaf, Weight) and atom.default is not None:
                leaf = replace(leaf, init=partial(_start, float(atom.default)))
            self.found[atom.name] = leaf
        return self.found[atom.name]


def _start(value: float, key, shape, dtype):
    """An initialiser that returns a given value; unlike JAX's ``constant``, it pickles."""
    return jnp.full(shape, value, dtype)
