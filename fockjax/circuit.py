"""Circuits as data: ordered operations with named parameters, and the call that runs them."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from fockjax import _validated, arguments, drawing, planning
from fockjax._eager import is_known
from fockjax._given import check_key, checked_hbar, checked_integer, modes_of
from fockjax._limits import MEMORY_LIMIT
from fockjax._numerics import canonical_complex, real_dtype
from fockjax.arguments import Cutoff
from fockjax.builder import Builder
from fockjax.channels import REGISTRY as CHANNELS
from fockjax.costs import Cost, cost
from fockjax.detectors import REGISTRY as DETECTORS
from fockjax.gates import REGISTRY as GATES
from fockjax.kets import REGISTRY as KETS
from fockjax.layers import cvqnn_layer
from fockjax.layout import Layout
from fockjax.mixed import REGISTRY as MIXED
from fockjax.operations import (
    Gate,
    Measurement,
    Noise,
    Operations,
    Preparation,
    Repeat,
    Step,
    flat,
    placed,
    written_out,
)
from fockjax.parameters import Input, Outcome, PerLayer, Values, Weight, leaves
from fockjax.record import Record
from fockjax.states import State, ket_in, refuse_outside, vacuum_in

Weights = dict[str, jax.Array]


class Call(NamedTuple):
    """The arguments of a call, checked and in the types that it computes with."""

    layout: Layout
    dtype: np.dtype
    initial: jax.Array | State | None
    weights: Weights
    x: jax.Array | None
    key: jax.Array | None
    unravel: bool


@partial(
    jax.jit, static_argnames=("operations", "layout", "dtype", "hbar", "memory_limit", "unravel")
)
def _run(
    operations: Operations,
    layout: Layout,
    dtype: np.dtype,
    hbar: float,
    initial: jax.Array | State | None,
    weights: Weights,
    x: jax.Array | None,
    key: jax.Array | None,
    memory_limit: int,
    unravel: bool,
) -> State:
    """Run a circuit, compiled as one program: gate by gate, a first call would compile, and every
    call would dispatch, hundreds of small programs.
    """
    state, values = start(layout, dtype, hbar, initial), Values(weights, x)
    after = planning.run(operations, state, values, memory_limit, key=key, unravel=unravel)
    return replace(after, outcomes={**state.outcomes, **after.outcomes})


def start(layout: Layout, dtype: np.dtype, hbar: float, initial: jax.Array | State | None) -> State:
    """The state a call begins with: the vacuum, unless an initial one is given."""
    if isinstance(initial, State):
        return replace(initial, rarest=None)
    if initial is None:
        return vacuum_in(layout, dtype, hbar=hbar)
    return ket_in(layout, initial, dtype, hbar=hbar)


class Circuit(Builder):
    """A photonic circuit on ``modes`` modes, starting in the vacuum.

    Gates are added in the order they act. A parameter is a number, `fockjax.Weight` (trainable) or
    `fockjax.Input` (a component of the input vector), or arithmetic of these. Calling the circuit
    is a pure function of one sample: `jax.jit`, `jax.grad` and `jax.vmap` it as any other.

    Args:
        modes: the number of modes.
        hbar: the convention for the size of a quadrature, in gates that name one and in the
            readouts of the state.

    Example:
        >>> import jax, jax.numpy as jnp, fockjax as fj
        >>> circuit = fj.Circuit(modes=2)
        >>> _ = circuit.displace(fj.Input(0), mode=0).squeeze(fj.Weight("r"), mode=1).beamsplitter()
        >>> circuit
        Circuit of 2 modes, 1 input, 1 weight
          displacement(r=x[0], phi=0) on mode 0
          squeezing(r=r, phi=0) on mode 1
          beamsplitter(theta=0.785398, phi=0) on modes 0, 1
        >>> state = circuit({"r": 0.3}, jnp.array([0.5]), cutoff=12)
        >>> print(f"{state.quadrature(0).mean:.4f}")
        0.7071
    """

    def __init__(self, modes: int, *, hbar: float = 2.0):
        self.modes = checked_integer(modes, "Argument `modes`")
        self.hbar = checked_hbar(hbar)
        # These are replaced and not changed, so that copies go their own ways.
        self._operations: list[Step | Repeat] = []
        self._weights: dict[str, Weight] = {}
        self._record = Record()

    @property
    def operations(self) -> Operations:
        """The operations of the circuit, in order."""
        return tuple(self._operations)

    @property
    def num_inputs(self) -> int:
        """The length of the input vector, one more than the largest index of an `Input`."""
        return 1 + max(
            (leaf.index for leaf in self._leaves() if isinstance(leaf, Input)), default=-1
        )

    # building

    def add(self, name: str, *values: Any, modes: int | Sequence[int], **named: Any) -> "Circuit":
        """Add a gate or a channel by its name in `fockjax.gates.REGISTRY` or
        `fockjax.channels.REGISTRY`.

        Args:
            name: its name.
            values: its parameters, then its options, in order; those with defaults may be left
                out or given by name. A complex array stands for parameters ``real`` and ``imag``.
            modes: the modes it acts on.
            named: parameters and options by name.

        Raises:
            ValueError, TypeError: for an unknown name, wrong or repeated modes, missing, extra or
            unusable parameters.

        Example:
            >>> import fockjax as fj
            >>> fj.Circuit(2).add("displacement", 0.5, modes=1).add("loss", T=0.9, modes=1)
            Circuit of 2 modes, 0 inputs, 0 weights
              displacement(r=0.5, phi=0) on mode 1
              loss(T=0.9) on mode 1
        """
        kind = Noise if name in CHANNELS else Gate
        spec = arguments.entry(name, {**GATES, **CHANNELS}, "gate or channel")
        where = f"{'Channel' if kind is Noise else 'Gate'} {len(self._operations)} ({name})"
        return self._append([kind(name, *self._parts(spec, where, values, modes, named))], where)

    def prepare(
        self, name: str, *values: Any, modes: int | Sequence[int], **named: Any
    ) -> "Circuit":
        """Prepare modes in a state by its name in `fockjax.kets.REGISTRY` or
        `fockjax.mixed.REGISTRY`, whatever they held.

        Modes that were coupled to others are traced out, which leaves the others in a mixed state.

        Args:
            name: the state's name.
            values: its parameters, then its options, in order; those with defaults may be left
                out or given by name. A complex array stands for parameters ``real`` and ``imag``.
            modes: the modes it is a state of.
            named: parameters and options by name.

        Raises:
            ValueError, TypeError: for an unknown state, wrong or repeated modes, missing, extra or
            unusable parameters.

        Example:
            >>> import fockjax as fj
            >>> circuit = fj.Circuit(2).prepare("fock", 1, modes=0).prepare("fock", 1, modes=1)
            >>> circuit.beamsplitter()({}, cutoff=3).probabilities().round(3)
            Array([[0. , 0. , 0.5],
                   [0. , 0. , 0. ],
                   [0.5, 0. , 0. ]], dtype=float32)
        """
        spec = arguments.entry(name, {**KETS, **MIXED}, "state")
        where = f"Operation {len(self._operations)} (prepare {name})"
        step = Preparation(name, *self._parts(spec, where, values, modes, named))
        return self._append([step], where)

    def measure(
        self,
        kind: str,
        *values: Any,
        modes: int | Sequence[int],
        select: Any = None,
        name: str | Sequence[str] | None = None,
        **named: Any,
    ) -> "Circuit":
        """Measure modes one after the other, by a detector in `fockjax.detectors.REGISTRY`.

        The outcome is drawn when the circuit is called, from the ``key`` of the call. It is found
        in `State.outcomes`, and later parameters may depend on it (`fockjax.Outcome`). The mode
        leaves its factor and is in the vacuum from then on. The other modes are in the state that
        the outcome leaves, scaled to the norm before: what was lost stays lost, and a measurement
        loses nothing.

        With ``select`` the outcome is given instead of drawn: this is post-selection. Its
        probability (or density, if it is continuous) is in `State.selection_probability`.

        Args:
            kind: the kind of measurement: "photons", "threshold", "homodyne", "heterodyne".
            values: its parameters in order; those with defaults may be left out or given by name.
            modes: the modes measured.
            select: the outcome to select, one for each of several modes: a photon number, 0 or 1,
                a real or a complex number, or a parameter. What counts, or clicks, finds values
                that are no integers, or no outcomes, with the probability 0.
            name: what the outcome is called, one for each of several modes; by default "m" and the
                mode, as "m0".
            named: parameters by name.

        Raises:
            ValueError, TypeError: for an unknown kind, wrong modes or parameters, an outcome that
            cannot be, a name taken already, and a mode that was measured and not touched since.

        Example:
            A photon subtracted from a squeezed state, and the probability that it works:

            >>> import fockjax as fj
            >>> circuit = fj.Circuit(2).squeeze(1.0, mode=0).beamsplitter(0.3)
            >>> state = circuit.measure("photons", modes=1, select=1)({}, cutoff=20)
            >>> print(f"{state.selection_probability:.3f} {state.photon_number(0).mean:.2f}")
            0.080 3.73
        """
        spec = arguments.entry(kind, DETECTORS, "measurement")
        where = f"Operation {len(self._operations)} (measure {kind})"
        listed = modes_of(modes, self.modes, f"{where}: modes", 1)
        several = not isinstance(modes, int | np.integer)

        def entries(given: Any) -> list[Any]:
            """The entries of a sequence for several modes; anything else is one entry."""
            a_sequence = isinstance(given, Sequence) and not isinstance(given, str)
            return list(given) if several and (a_sequence or np.ndim(given)) else [given]

        names = [f"m{mode}" for mode in listed] if name is None else entries(name)
        selected = [None] * len(listed) if select is None else entries(select)
        for argument, given in (("name", names), ("select", selected)):
            if len(given) != len(listed):
                raise ValueError(
                    f"{where}: `{argument}` must have one entry for each of modes {listed}, got "
                    f"{given}."
                )
        steps = []
        for mode, label, outcome in zip(listed, names, selected, strict=True):
            if not isinstance(label, str) or not label:
                raise ValueError(f"{where}: `name` must be a non-empty string, got {label!r}.")
            chosen = {}
            if outcome is not None:
                chosen["select"] = arguments.selected(spec.outcome, outcome, where)
            parts = self._parts(spec, where, values, mode, named, more=chosen)
            steps.append(Measurement(kind, *parts, label=label))
        return self._append(steps, where)

    def _append(
        self, operations: Sequence[Step | Repeat], where: str, weights: Sequence[Weight] = ()
    ) -> "Circuit":
        """Add operations whose parameters have been checked, and the ``weights`` of those that are
        layers: all of them, or, if the circuit cannot hold one of them, none.
        """
        record = self._record.after(operations, where)
        found: list[Weight] = []
        for step in operations:
            if isinstance(step, Step):
                self._record.check(step, where)
                own = leaves(step.parameters.values())
                found += [leaf for leaf in own if isinstance(leaf, Weight)]
        self._register([*found, *weights], where)
        self._record = record
        self._operations = [*self._operations, *operations]
        return self

    def _parts(self, *given: Any, more: dict[str, Any] | None = None):
        return arguments.step_parts(*given, circuit_modes=self.modes, hbar=self.hbar, more=more)

    def repeat(
        self,
        block: "Circuit",
        times: int = 1,
        *,
        modes: int | Sequence[int] | None = None,
        shared: str | Sequence[str] = (),
        remat: bool = False,
    ) -> "Circuit":
        """Add ``times`` layers of the gates of ``block``, on the modes given.

        Each layer has weights and outcomes of its own: those of the block get a leading axis of
        length ``times``, also of length 1 (``fj.Outcome("m0")[0]`` is that of the first layer).
        Weights that are ``shared`` get none. The layers run under `jax.lax.scan`, so compile time
        does not grow with their number.

        Args:
            block: the circuit of one layer.
            times: how many layers.
            modes: the modes of the circuit that the modes of the block are, in order and as many;
                by default the first ones.
            shared: the names of weights that have one value for all layers. They are the same
                weights wherever else the circuit uses their names, be it in another block that
                shares them, and their gradients add up.
            remat: whether a gradient computes each layer a second time instead of keeping the
                state after each of its gates. This takes a third more time, and the memory of one
                state for each layer (and of its gates, which are made for all layers beforehand).

        Raises:
            ValueError: for a block of more modes, wrong or repeated modes, ``times`` < 1, a shared
                name that is no weight of the block or a weight of another shape in the circuit, or
                a weight that is not shared, or an outcome, whose name the circuit has already. (A
                block that measures is built anew, with other names, for each place.)

        Example:
            >>> import jax, numpy as np, fockjax as fj
            >>> block = fj.Circuit(2).squeeze(fj.Weight("r"), mode=0).beamsplitter(fj.Weight("t"))
            >>> circuit = fj.Circuit(2).repeat(block, 4)
            >>> {name: w.shape for name, w in circuit.init(jax.random.key(0)).items()}
            {'r': (4,), 't': (4,)}

            A photon on a chain of three sites, in 200 Trotter steps of one hopping J and one
            interaction U:

            >>> step = fj.Circuit(3)
            >>> for site in (0, 1):
            ...     _ = step.beamsplitter(fj.Weight("J"), np.pi / 2, modes=(site, site + 1))
            >>> for site in (0, 1, 2):
            ...     _ = step.kerr(fj.Weight("U"), mode=site)
            >>> chain = fj.Circuit(3).prepare("fock", n=1, modes=0)
            >>> chain.repeat(step, 200, shared=("J", "U"))
            Circuit of 3 modes, 0 inputs, 2 weights
              prepare fock(n=1) on mode 0
              repeat 200 times, sharing J, U:
                beamsplitter(theta=J, phi=1.5708) on modes 0, 1
                beamsplitter(theta=J, phi=1.5708) on modes 1, 2
                kerr(kappa=U) on mode 0
                kerr(kappa=U) on mode 1
                kerr(kappa=U) on mode 2
            >>> print(chain({"J": 0.01, "U": 0.02}, cutoff=2).photon_number(2).mean.round(3))
            0.954

            The same two-mode block on two pairs of modes:

            >>> block = fj.Circuit(2).beamsplitter().kerr(0.1, mode=1)
            >>> fj.Circuit(4).repeat(block, modes=(0, 1)).repeat(block, 3, modes=(3, 2))
            Circuit of 4 modes, 0 inputs, 0 weights
              repeat once:
                beamsplitter(theta=0.785398, phi=0) on modes 0, 1
                kerr(kappa=0.1) on mode 1
              repeat 3 times:
                beamsplitter(theta=0.785398, phi=0) on modes 3, 2
                kerr(kappa=0.1) on mode 2
        """
        where = f"Operation {len(self._operations)} (repeat)"
        if not isinstance(block, Circuit) or block.modes > self.modes:
            raise ValueError(
                f"{where}: `block` must be a Circuit of at most {self.modes} modes, got {block!r}."
            )
        if block.hbar != self.hbar:
            raise ValueError(
                f"{where}: `block` has hbar {block.hbar:g}, the circuit {self.hbar:g}; they must "
                "agree."
            )
        times = checked_integer(times, f"{where}: `times`")
        shared = (shared,) if isinstance(shared, str | Weight) else tuple(shared)
        if unknown := [name for name in shared if name not in block._weights]:
            raise ValueError(
                f"{where}: `shared` must name weights of the block, got {unknown[0]!r}; it has "
                f"{', '.join(block._weights) or 'none'}."
            )
        own = tuple(name for name in block._weights if name not in shared)
        if taken := self._weights.keys() & set(own):
            raise ValueError(
                f"{where}: the circuit already has a weight {min(taken)!r}. If it is the same one, "
                "name it in `shared`; if not, rename the block's (of `cvqnn_layers`: give another "
                "`name`)."
            )
        operations = block.operations
        if modes is not None:
            on = arguments.modes_for(block.modes, where, modes, self.modes)
            operations = placed(operations, on)
        weights = [
            weight
            if name in shared
            else PerLayer(name, (times, *weight.shape), partial(_init_layers, weight))
            for name, weight in block._weights.items()
        ]
        return self._append([Repeat(operations, own, times, remat)], where, weights)

    def cvqnn_layers(
        self,
        layers: int,
        *,
        name: str = "cvqnn",
        active_std: float = 0.05,
        passive_std: float = 0.5,
        remat: bool = False,
    ) -> "Circuit":
        """Add layers of the continuous-variable neural network of Killoran et al.

        A layer is an interferometer, a squeezer on each mode, an interferometer, a displacement on
        each mode and a Kerr gate on each mode, that is a linear map, a bias and a nonlinearity.

        Args:
            layers: how many.
            name: prefix of the names of their weights.
            active_std: standard deviation of the initial squeezing, displacement and Kerr
                parameters, which change the photon number or are strongly nonlinear in it.
            passive_std: standard deviation of the initial angles in radians.
            remat: as in `repeat`.

        Raises:
            ValueError: for ``layers`` < 1, and if the circuit has weights of that name already.

        Example:
            >>> import jax, fockjax as fj
            >>> circuit = fj.Circuit(2).displace(fj.Input(0), mode=0).cvqnn_layers(3)
            >>> circuit.init(jax.random.key(0))["cvqnn.kerr"].shape  # of each layer, of each mode
            (3, 2)

        Reference:
            N. Killoran et al., Continuous-variable quantum neural networks, Phys. Rev. Research 1,
            033063 (2019), Fig. 1.
        """
        block = Circuit(self.modes, hbar=self.hbar)
        cvqnn_layer(block, name, active_std, passive_std)
        return self.repeat(block, layers, remat=remat)

    # calling

    def init(self, key: jax.Array, dtype=None) -> Weights:
        """Random initial weights: a dictionary from weight names to real arrays.

        Args:
            key: a JAX random key.
            dtype: float32 or float64; by default float32, or float64 where x64 is on.

        Example:
            >>> import jax, fockjax as fj
            >>> circuit = fj.Circuit(1).squeeze(fj.Weight("r"), mode=0)
            >>> {name: weight.shape for name, weight in circuit.init(jax.random.key(0)).items()}
            {'r': ()}
        """
        check_key(key)
        dtype = arguments.weight_dtype(dtype)
        keys = jax.random.split(key, max(len(self._weights), 1))
        return {
            weight.name: weight.init(key, weight.shape, dtype)
            for key, weight in zip(keys, self._weights.values(), strict=False)
        }

    def __call__(
        self,
        weights: Mapping[str, ArrayLike],
        x: ArrayLike | None = None,
        *,
        cutoff: Cutoff,
        dtype=None,
        initial: ArrayLike | State | None = None,
        key: jax.Array | None = None,
        unravel: bool = False,
        memory_limit: int = MEMORY_LIMIT,
    ) -> State:
        """Run the circuit on one sample.

        The first call compiles, for all circuits that do the same at these cutoffs. Numbers in a
        circuit are constants of the compiled program, so what changes from call to call should be a
        `Weight` or an `Input`.

        The state is pure until a channel, a mixed preparation, or a preparation of modes that are
        coupled to others turns a factor into a density matrix, which takes the square of the
        memory. With ``unravel`` one pure branch is drawn instead wherever that would happen, so
        that the average over many keys is the density matrix; where the circuit selects outcomes,
        each branch counts in proportion to its `State.selection_probability`. See
        `fockjax.monte_carlo`.

        Args:
            weights: a real array for each weight, as `init` returns them.
            x: the input vector, shape ``(num_inputs,)``; left out if the circuit has no inputs.
            cutoff: photon numbers below it are kept; one for all modes or one for each, or
                `fockjax.TotalPhotons`.
            dtype: complex64 or complex128; by default complex64, or complex128 where x64 is on.
            initial: what to start from instead of the vacuum: a `State`, or a ket of shape
                ``cutoffs`` or of the shape of `State.amplitudes`. A norm of the ket below one
                counts as probability lost before.
            key: a JAX random key, for a circuit that measures, or with ``unravel``. One key gives
                one run; for many runs, `jax.vmap` over ``jax.random.split(key, shots)``.
            unravel: whether to draw pure branches instead of making density matrices.
            memory_limit: bytes that a factor of one sample's state may take.

        Returns:
            The `State` after the last gate.

        Raises:
            ValueError: for missing, unknown or misshapen weights or inputs, a cutoff below 1, a
                state over the memory limit, an ``initial`` that `fockjax.from_ket` refuses, a
                missing key; and for a post-selection that is impossible, if values are not traced
                and nothing is drawn before it. Else its `State.selection_probability` is 0 up to
                rounding: another run may make it possible.
        """
        call = self.checked(weights, x, cutoff, dtype, initial, key, unravel)
        memory_limit = checked_integer(memory_limit, "Argument `memory_limit`")
        state = _run(self.operations, **call._asdict(), hbar=self.hbar, memory_limit=memory_limit)
        self._refuse_impossible(state, call.unravel)
        return state

    def _selects_after_a_draw(self, unravel: bool) -> bool:
        """Whether something is drawn before the last selection, which another run may make
        possible.
        """
        last = max(k for k, each in enumerate(self.operations) if any(map(_selects, flat((each,)))))
        return planning.is_random(self.operations[: last + 1], unravel)

    def _refuse_impossible(self, state: State, unravel: bool) -> None:
        rarest = state.rarest
        if rarest is None or not is_known(rarest) or np.ndim(rarest):
            return
        # One that is NaN, as parameters may be, is not impossible.
        impossible = rarest <= (10 * np.finfo(state.dtype).eps) ** 2
        if impossible and not self._selects_after_a_draw(unravel):
            selections = "; ".join(map(str, filter(_selects, flat(self.operations))))
            raise ValueError(
                f"The outcomes selected are impossible: of {selections} one has the probability "
                f"{float(rarest):.1e} at cutoffs {state.truncation}, not more than rounding. "
                "Select others, raise the cutoffs, or use complex128 if they are rare but real."
            )

    def cost(
        self,
        *,
        cutoff: Cutoff,
        batch: int = 1,
        gradient: bool = False,
        readout: Callable[[State], Any] | None = None,
        dtype=None,
        unravel: bool = False,
    ) -> Cost:
        """What running the circuit would cost, before anything is compiled or allocated.

        It counts a compiled batch, ``jax.jit(jax.vmap(..))`` over inputs and keys. A circuit that
        has neither does everything once. There is no memory limit.

        Args:
            cutoff: photon numbers below it are kept; one for all modes or one for each, or
                `fockjax.TotalPhotons`.
            batch: how many samples run together.
            gradient: whether to count a loss and its gradient by the weights (by the inputs if
                there are no weights). The loss is the sum of what is read, averaged over the batch.
            readout: a function from the `State` of one sample to an array or a pytree of arrays. By
                default the state itself is the result, and for a gradient its trace.
            dtype: complex64 or complex128; by default complex64, or complex128 where x64 is on.
            unravel: whether to draw pure branches instead of making density matrices.

        Returns:
            A `Cost`: FLOPs, bytes moved, peak memory, each within a factor of two of XLA's own,
            but for small circuits with noise before JAX 0.12 (docs/cost.md).

        Raises:
            ValueError: for a ``batch`` below 1, a cutoff below 1, a gradient of a circuit that has
                neither weights nor inputs.

        Example:
            >>> import fockjax as fj
            >>> circuit = fj.Circuit(8)
            >>> for mode in range(8):
            ...     _ = circuit.squeeze(fj.Weight("r", (8,))[mode], mode=mode)
            >>> for mode in range(7):
            ...     _ = circuit.beamsplitter(modes=(mode, mode + 1))
            >>> print(f"{circuit.cost(cutoff=10).memory / 1e9:.1f} GB")
            1.6 GB
        """
        batch = checked_integer(batch, "Argument `batch`")
        if gradient and not (self._weights or self.num_inputs):
            raise ValueError(
                "Argument `gradient` is true, but the circuit has neither weights nor inputs."
            )
        real = real_dtype(canonical_complex(dtype))
        random = planning.is_random(self.operations, unravel)
        weights, keys = jax.eval_shape(
            lambda key: (self.init(key, real), jax.random.split(key, batch) if random else None),
            jax.random.key(0),
        )
        x = jax.ShapeDtypeStruct((batch, self.num_inputs), real)

        def sample(weights, x, key):
            state = self(
                weights,
                x,
                cutoff=cutoff,
                dtype=dtype,
                key=key,
                unravel=unravel,
                memory_limit=sys.maxsize,
            )
            if readout is None:
                return state.trace if gradient else state
            return readout(state)

        def samples(weights, x, keys):
            return jax.vmap(sample, in_axes=(None, 0, 0 if random else None))(weights, x, keys)

        def loss(weights, x, keys):
            read = jax.tree.leaves(samples(weights, x, keys))
            return sum(jnp.sum(jnp.real(leaf)) for leaf in read) / batch

        if gradient:
            by = 0 if self._weights else 1
            return cost(jax.value_and_grad(loss, argnums=by), weights, x, keys)
        return cost(samples, weights, x, keys)

    def evaluated(
        self, weights: Mapping[str, ArrayLike], x: ArrayLike | None = None
    ) -> list[tuple[str, dict, tuple[int, ...]]]:
        """All operations in order, layers written out, each as (name, parameters and options,
        modes) with its parameters evaluated. What depends on an outcome stays a `Parameter`.

        Args:
            weights: a real array for each weight, as `init` returns them.
            x: the input vector, shape ``(num_inputs,)``; left out if the circuit has no inputs.

        Returns:
            A tuple for each operation.

        Raises:
            ValueError: for missing, unknown or misshapen weights or inputs.

        Example:
            >>> import fockjax as fj
            >>> fj.Circuit(1).squeeze(fj.Weight("r"), mode=0).evaluated({"r": 0.5})
            [('squeezing', {'r': Array(0.5, dtype=float32), 'phi': 0.0}, (0,))]
        """
        real = real_dtype()
        values = Values(
            arguments.weights_of(self._weights, weights, real),
            arguments.input_of(self.num_inputs, x, real),
        )
        return [
            (step.name, {**step.parameters, **step.options}, step.modes)
            for step in written_out(self.operations, values)
        ]

    def draw(self, *, width: int = 80, ascii: bool = False, parameters: bool = True) -> str:
        """The circuit drawn as text, a wire for each mode.

        An operation stands as far left as it fits. The operations of a repeated block stand once,
        between brackets. A gate on neighbouring modes in increasing order is one box. Otherwise it
        is several linked boxes: the first has the symbol, the others tell which of the gate's modes
        they are. Symbols are those of Strawberry Fields. Parameters at their defaults are left out,
        and long names are shortened. Detectors are round; a double line leads from a detector to
        the gates that its outcome feeds, and a dotted line is the vacuum that it leaves.
        `fockjax.plotting.circuit` makes a figure.

        Args:
            width: characters in a line; longer circuits go on below.
            ascii: draw without box characters.
            parameters: whether to write the parameters of the gates.

        Example:
            >>> import fockjax as fj
            >>> circuit = fj.Circuit(2).displace(fj.Input(0), mode=0).beamsplitter(fj.Weight("t"))
            >>> print(circuit.kerr(0.1, mode=1).draw())
               ┌─────────┐ ┌───────┐
            0 ─┤ D(x[0]) ├─┤       ├────────────
               └─────────┘ │ BS(t) │
                           │       │ ┌────────┐
            1 ─────────────┤       ├─┤ K(0.1) ├─
                           └───────┘ └────────┘
        """
        return drawing.text(
            self.operations, self.modes, width=width, ascii=ascii, parameters=parameters
        )

    def __repr__(self) -> str:
        def counted(number, noun):
            return f"{number} {noun}" + ("" if number == 1 else "s")

        head = ", ".join(
            [
                f"Circuit of {counted(self.modes, 'mode')}",
                counted(self.num_inputs, "input"),
                counted(len(self._weights), "weight"),
            ]
        )
        return "\n".join([head, *_lines(self.operations, "  ")])

    # checks

    def checked(self, weights, x, cutoff, dtype, initial, key=None, unravel: bool = False) -> Call:
        """What a call makes of its arguments; it raises what the call would."""
        layout = arguments.layout_of(self.modes, cutoff)
        dtype = canonical_complex(dtype)
        if key is None and planning.is_random(self.operations, unravel):
            raise ValueError(
                "Argument `key` is missing: the circuit draws at random. Give a JAX random key, as "
                "jax.random.key(0), another one for each run."
            )
        if key is not None:
            check_key(key)
        weights = arguments.weights_of(self._weights, weights, real_dtype(dtype))
        x = arguments.input_of(self.num_inputs, x, real_dtype(dtype))
        if isinstance(initial, State):
            if initial.modes != self.modes:
                raise ValueError(
                    f"Argument `initial` is a state of {initial.modes} modes, but the circuit has "
                    f"{self.modes}."
                )
            given = initial.truncation, initial.dtype, initial.hbar
            wanted = layout.truncation, dtype, self.hbar
            if given != wanted:
                raise ValueError(
                    f"Argument `initial` has cutoffs, dtype and hbar {given}, the call {wanted}; "
                    "they must agree."
                )
            if any(factor.is_batch for factor in initial.factors):
                raise ValueError("Argument `initial` is a batch of states: batch with jax.vmap.")
        elif initial is not None:
            if np.shape(initial) not in (layout.cutoffs, layout.shape):
                raise ValueError(
                    f"Argument `initial` must be a ket of shape {layout.cutoffs}, the cutoffs, got "
                    f"shape {np.shape(initial)}; a density matrix is made a state by "
                    "fj.from_density_matrix."
                )
            initial = jnp.asarray(_validated.ket(initial, "Argument `initial`"))
            if initial.shape == layout.cutoffs:
                refuse_outside(layout, initial, "Argument `initial`")
        return Call(layout, dtype, initial, weights, x, key, bool(unravel))

    def _leaves(self) -> Iterator[Weight | Input | Outcome]:
        for step in flat(self.operations):
            yield from leaves(step.parameters.values())

    def _register(self, weights: Sequence[Weight], where: str) -> None:
        new: dict[str, Weight] = {}  # added all or none, so that a refused gate changes nothing
        for weight in weights:
            known = new.get(weight.name) or self._weights.get(weight.name, weight)
            new[weight.name] = known
            if known.shape != weight.shape:
                hint = ""
                if isinstance(known, PerLayer) and known.is_for_one(weight.shape):
                    hint = f", as each layer has its own; repeat with `shared={weight.name!r}`"
                raise ValueError(
                    f"{where}: weight {weight.name!r} has shape {weight.shape} here and "
                    f"{known.shape} before{hint}."
                )
        self._weights = self._weights | new


def _init_layers(weight: Weight, key, shape, dtype):
    """Initialise a weight separately for each layer, so that fan-in rules see one layer only."""
    keys = jax.random.split(key, shape[0])
    return jax.vmap(lambda key: weight.init(key, shape[1:], dtype))(keys)


def _selects(step: Step) -> bool:
    return isinstance(step, Measurement) and step.selects


def _lines(operations: Operations, indent: str) -> Iterator[str]:
    for operation in operations:
        if isinstance(operation, Repeat):
            sharing = f", sharing {', '.join(operation.shared)}" if operation.shared else ""
            often = "once" if operation.times == 1 else f"{operation.times} times"
            yield f"{indent}repeat {often}{sharing}:"
            yield from _lines(operation.operations, indent + "  ")
        else:
            yield f"{indent}{operation}"
