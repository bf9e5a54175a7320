"""Circuits drawn as text."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest

import fockjax as fj
from fockjax import drawing
from fockjax.channels import REGISTRY as CHANNELS
from fockjax.detectors import REGISTRY as DETECTORS
from fockjax.gates import REGISTRY as GATES
from fockjax.kets import REGISTRY as KETS
from fockjax.mixed import REGISTRY as MIXED
from fockjax.operations import Gate, Measurement, Noise, Preparation


def drawn(circuit, **options):
    return [line.rstrip() for line in circuit.draw(**options).split("\n")]


def test_neighbours_in_order_share_a_box_and_columns_are_as_early_as_they_fit():
    circuit = fj.Circuit(3).displace(fj.Input(0), mode=0).beamsplitter(fj.Weight("t"), 0.1)
    assert drawn(circuit.kerr(0.25, mode=2)) == [
        "   ┌─────────┐ ┌────────────┐",
        "0 ─┤ D(x[0]) ├─┤            ├─",
        "   └─────────┘ │ BS(t, 0.1) │",
        "               │            │",
        "1 ─────────────┤            ├─",
        "               └────────────┘",
        "   ┌─────────┐",
        "2 ─┤ K(0.25) ├────────────────",
        "   └─────────┘",
    ]


def test_other_modes_are_linked_and_numbered():
    circuit = fj.Circuit(3).beamsplitter(modes=(2, 0)).beamsplitter(modes=(1, 0))
    assert drawn(circuit, ascii=True) == [
        "   +----+ +----+",
        "0 -| 2  |-| 2  |-",
        "   +-+--+ +-+--+",
        "     |    +-+--+",
        "1 ---|----| BS |-",
        "     |    +----+",
        "   +-+--+",
        "2 -| BS |--------",
        "   +----+",
    ]


def test_runs_of_neighbours_and_the_place_of_their_modes():
    def place(*modes):
        boxes = drawing._boxes(modes, "U")
        return [(box.first, box.last, box.label) for box in boxes]

    assert place(0, 1, 2) == [(0, 2, "U")]
    assert place(4, 0, 1, 3) == [(4, 4, "U"), (0, 1, "2-3"), (3, 3, "4")]
    assert place(1, 0) == [(1, 1, "U"), (0, 0, "2")]


def test_a_preparation_ends_the_wire_before_it():
    circuit = fj.Circuit(2).kerr(1, mode=0).prepare("fock", n=2, modes=0).kerr(0.1234, mode=1)
    assert drawn(circuit) == [
        "     ┌──────┐   ┌─────┐",
        "0 ───┤ K(1) ├── │ |2⟩ ├─",
        "     └──────┘   └─────┘",
        "   ┌──────────┐",
        "1 ─┤ K(0.123) ├─────────",
        "   └──────────┘",
    ]


def test_repeated_blocks_stand_between_brackets_on_their_wires_only():
    inner = fj.Circuit(1).rotate(fj.Weight("u"), mode=0)
    block = fj.Circuit(2).repeat(inner, 12).beamsplitter(fj.Weight("t"))
    circuit = fj.Circuit(3).kerr(0.5, mode=2).repeat(block, 3)
    assert drawn(circuit) == [
        "            ╔ ╔ ┌──────┐ ╗ x 12 ┌───────┐ ╗ x 3",
        "0 ──────────╫─╫─┤ R(u) ├─╫──────┤       ├─╫─────",
        "            ║ ╚ └──────┘ ╝      │ BS(t) │ ║",
        "            ║                   │       │ ║",
        "1 ──────────╫───────────────────┤       ├─╫─────",
        "            ╚                   └───────┘ ╝",
        "   ┌────────┐",
        "2 ─┤ K(0.5) ├───────────────────────────────────",
        "   └────────┘",
    ]


def teleportation():
    """What is measured above feeds two gates below; then it is over, and a mode begins anew."""
    circuit = fj.Circuit(3).loss(fj.Weight("T"), mode=1).measure_homodyne(mode=0)
    circuit.measure_homodyne(np.pi / 2, mode=1, name="p").x_displace(fj.Outcome("m0"), mode=2)
    circuit.displace(fj.Outcome("m0"), fj.Outcome("p"), mode=2)
    return circuit.kerr(0.1, mode=0).prepare("thermal", 0.2, modes=1)


def test_outcomes_are_double_lines_to_what_they_feed_and_dotted_ones_the_vacuum_after():
    assert drawn(teleportation()) == [
        "   ┌────────╮                                    ┌────────┐",
        "0 ─┤ x → m0 ╞════════════════╦══════════╗┄┄┄┄┄┄┄┄┤ K(0.1) ├───",
        "   └────────╯                ║          ║        └────────┘",
        "   ┌─────────┐ ┌───────╮     ║          ║       ┌───────────┐",
        "1 ─┤ loss(T) ├─┤ p → p ╞═════╬══════════╣┄┄┄┄┄┄ │ ρ_th(0.2) ├─",
        "   └─────────┘ └───────╯     ║          ║       └───────────┘",
        "                         ┌───╨───┐ ┌────╨─────┐",
        "2 ───────────────────────┤ X(m0) ├─┤ D(m0, p) ├───────────────",
        "                         └───────┘ └──────────┘",
    ]


def test_outcomes_from_below_within_and_through_a_gate():
    circuit = fj.Circuit(4).measure_threshold(modes=(1, 3), name=["a", "b"])
    circuit.beamsplitter(fj.Outcome("a") * fj.Outcome("b"), modes=(0, 2))
    circuit.add("loss", fj.Outcome("a"), modes=1)
    assert drawn(circuit) == [
        "                 ┌───────────┐",
        "0 ───────────────┤ BS(a * b) ├─────────────",
        "                 └─────╥─────┘",
        "   ┌───────────╮       ║       ┌─────────┐",
        "1 ─┤ click → a ╞═══════╩═══════┤ loss(a) ├─",
        "   └───────────╯       │       └─────────┘",
        "                 ┌─────┴─────┐",
        "2 ───────────────┤     2     ├─────────────",
        "                 └─────╥─────┘",
        "   ┌───────────╮       ║",
        "3 ─┤ click → b ╞═══════╝┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄",
        "   └───────────╯",
    ]


def test_an_outcome_in_a_block_goes_on_after_it_and_across_lines():
    block = fj.Circuit(1).kerr(1, mode=0).measure_photons(modes=0, name="n")
    circuit = fj.Circuit(2).repeat(block, 3)
    circuit.rotate(fj.Weight("a_long_name"), mode=1).kerr(fj.Outcome("n")[-1], mode=1)
    circuit.measure_photons(modes=1, select=2)
    assert drawn(circuit, width=34) == [
        "                    ╔ ┌──────┐",
        "0 ──────────────────╫─┤ K(1) ├─",
        "                    ╚ └──────┘",
        "   ┌────────────────┐",
        "1 ─┤ R(a_long_name) ├──────────",
        "   └────────────────┘",
        "",
        "   ┌───────╮ ╗ x 3",
        "0 ─┤ n → n ╞═╫══════════╗┄┄┄┄┄┄┄",
        "   └───────╯ ╝          ║",
        "                   ┌────╨─────┐",
        "1 ─────────────────┤ K(n[-1]) ├─",
        "                   └──────────┘",
        "",
        "0 ┄┄┄┄┄┄┄┄┄┄┄",
        "   ┌───────╮",
        "1 ─┤ n = 2 │┄",
        "   └───────╯",
    ]


def test_outcomes_from_a_wire_used_again_are_told_by_name_alone():
    circuit = fj.Circuit(2).measure_photons(modes=0).kerr(1, mode=0).kerr(fj.Outcome("m0"), mode=1)
    assert drawn(circuit, ascii=True) == [
        "   +---------. +------+",
        "0 -| n -> m0 ).| K(1) |-",
        "   +---------' +------+",
        "    +-------+",
        "1 --| K(m0) |-----------",
        "    +-------+",
    ]


def wide_circuit():
    circuit = fj.Circuit(11).cvqnn_layers(3)
    circuit.displace(fj.Weight("a name_of great length" * 3), mode=7)
    circuit.measure_heterodyne(mode=9).thermal_loss(fj.Outcome("m9").imag, 0.1, mode=2)
    return circuit.beamsplitter(fj.Weight("theta"), modes=(10, 0)).prepare("fock", n=3, modes=4)


@pytest.mark.parametrize("width", [20, 80, 133])
@pytest.mark.parametrize("options", [{}, {"ascii": True}, {"parameters": False}])
def test_no_line_is_wider_than_the_width_and_no_operation_is_lost(width, options):
    circuit = wide_circuit()
    text = circuit.draw(width=width, **options)
    assert max(map(len, text.split("\n"))) <= width
    assert not options.get("ascii") or text.isascii()
    block = circuit.operations[0].operations
    if options:
        assert text.count("BS") == 1 + sum(step.name == "beamsplitter" for step in block)


def test_an_empty_circuit_is_its_wires():
    assert drawn(fj.Circuit(2)) == ["0 ──", "1 ──"]
    assert drawn(fj.Circuit(1).repeat(fj.Circuit(1), 3)) == ["0 ──"]


@pytest.mark.parametrize(
    "build, label",
    [
        (lambda c: c.displace(0.5, mode=0), "D(0.5)"),
        (lambda c: c.displace(0.0, 0.3, mode=0), "D(0, 0.3)"),
        (lambda c: c.displace(1e-7, np.pi, mode=0), "D(1e-07, 3.14)"),
        (lambda c: c.beamsplitter(), "BS"),
        (lambda c: c.beamsplitter(phi=1), "BS(0.785, 1)"),
        (lambda c: c.rotate(fj.Input(3) * 2 + fj.Weight("b"), mode=0), "R((x[3] * 2) + b)"),
        (lambda c: c.rotate(fj.Weight("encoder.phi"), mode=0), "R(encoder.phi)"),
        (
            lambda c: c.rotate(fj.Weight("net.interferometer2.theta", (3,))[2], mode=0),
            "R(theta[2])",
        ),
        (lambda c: c.rotate(fj.Weight("n" * 20, (3,))[2], mode=0), "R(nnnnnnnnnnn…n[2])"),
        (lambda c: c.rotate(fj.apply(jnp.tanh, fj.Weight("w")), mode=0), "R(tanh(w))"),
        (lambda c: c.prepare("fock", n=2, modes=0), "|2⟩"),
        (lambda c: c.prepare("fock", modes=0), "|0⟩"),
        (lambda c: c.prepare("thermal", fj.Weight("n"), modes=0), "ρ_th(n)"),
        (lambda c: c.prepare("density_matrix", np.eye(2) / 2, modes=0), "ρ"),
        (lambda c: c.loss(1.0, mode=0), "loss(1)"),
        (lambda c: c.amplifier(1.5, mode=0), "amp(1.5)"),
        (lambda c: c.kraus(np.eye(2)[None], modes=0), "Kraus"),
        (lambda c: c.measure_photons(modes=0), "n → m0"),
        (lambda c: c.measure_photons(1.0, 0.01, modes=0, name="count"), "n(1, 0.01) → count"),
        (lambda c: c.measure_photons(modes=0, select=3), "n = 3"),
        (lambda c: c.measure_photons(modes=0, select=fj.Input(0)), "n = x[0]"),
        (lambda c: c.measure_threshold(fj.Weight("eta"), modes=1, select=0), "click(eta) = 0"),
        (lambda c: c.measure_homodyne(-0.3, mode=1, select=1.25), "x(-0.3) = 1.25"),
        (lambda c: c.measure_homodyne(np.pi / 2, mode=1, select=fj.Input(0)), "p = x[0]"),
        (lambda c: c.measure_heterodyne(mode=0, select=0.5 - 1j), "α = 0.5-1j"),
    ],
)
def test_labels_are_short(build, label):
    (step,) = build(fj.Circuit(2)).operations
    assert drawing.label(step) == label


def test_options_stand_by_name_and_constant_arrays_are_left_out(monkeypatch):
    spec = replace(
        GATES["rotation"],
        name="odd_gate",
        parameters=("phi", "table"),
        arrays=("table",),
        options={"exact": False, "padding": 0, "hbar": 2.0},
    )
    monkeypatch.setitem(GATES, "odd_gate", spec)
    circuit = fj.Circuit(1, hbar=1.0).add("odd_gate", 0.1, [1.0, 2.0], padding=4, modes=0)
    circuit.add("odd_gate", 0.1, fj.Weight("w", (2,)), exact=True, modes=0)
    labels = [drawing.label(step) for step in circuit.operations]
    assert labels == ["odd_gate(0.1, padding=4)", "odd_gate(0.1, w, exact=True)"]
    assert drawing.label(circuit.operations[0], parameters=False) == "odd_gate"


KINDS = {Gate: GATES, Noise: CHANNELS, Preparation: {**KETS, **MIXED}, Measurement: DETECTORS}


@pytest.mark.parametrize(
    "kind, spec",
    [
        pytest.param(kind, spec, id=spec.name)
        for kind, registry in KINDS.items()
        for spec in registry.values()
    ],
)
def test_every_registered_operation_is_drawn(kind, spec):
    weights = {name: fj.Weight(name) for name in spec.parameters}
    modes = tuple(range(spec.modes or 2))
    more = {"label": "found"} if kind is Measurement else {}
    step = kind(spec.name, weights, modes, dict(spec.options), **more)
    label = drawing.label(step)
    symbol = "0" if spec.name == "fock" else drawing.SYMBOLS.get(spec.name, spec.name)
    assert label.strip("|").startswith(symbol)
    assert all(name in label for name in (*spec.parameters, *more.values()))
    assert label in drawing.text([step], 2, width=200, ascii=False, parameters=True)
    assert drawing.text([step], 2, width=200, ascii=True, parameters=True).isascii()
    assert drawing.arrange([step], 2)[0][0].kind == {Noise: "channel"}.get(
        kind, kind.__name__.lower()
    )


def test_symbols_are_of_operations_that_exist_and_differ():
    assert drawing.SYMBOLS.keys() <= {name for registry in KINDS.values() for name in registry}
    assert len(set(drawing.SYMBOLS.values())) == len(drawing.SYMBOLS)


@pytest.mark.parametrize("width", [19, 0, 80.0, True, None])
def test_a_width_that_cannot_be(width):
    with pytest.raises(ValueError, match="width"):
        fj.Circuit(1).draw(width=width)
