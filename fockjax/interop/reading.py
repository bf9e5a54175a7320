"""Strawberry Fields programs as circuits.

Strawberry Fields (SF) and SymPy are imported inside functions only.
"""

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from fockjax.circuit import Circuit
from fockjax.interop.formulas import Formula
from fockjax.interop.names import GATES, KETS, MESHES
from fockjax.interop.oracle import load
from fockjax.parameters import Input, Parameter, Weight


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
        atoms: list[Any] = sorted(value.atoms(FreeParameter), key=lambda atom: atom.name)
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
