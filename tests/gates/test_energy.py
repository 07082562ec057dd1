"""Energy of three gates and a flip-flop, calculated by hand."""

import pytest

from hwsim.errors import ArgumentError
from hwsim.gates.energy import energy
from hwsim.gates.netlist import build_netlist
from hwsim.gates.simulator import simulate_operands


@pytest.fixture
def toggles(module, tiny):
    """a -> INV -> n -> NAND2(n, b) -> d -> FLIP -> q; the clock is clk."""
    netlist = build_netlist(
        module(
            {"clk": ("input", [2]), "a": ("input", [3]), "b": ("input", [4]), "q": ("output", [7])},
            {
                "i": ("INV", {"A": 3, "Y": 5}),
                "g": ("NAND2", {"A": 5, "B": 4, "Y": 6}),
                "f": ("FLIP", {"CK": 2, "D": 6, "Q": 7}),
            },
        ),
        tiny,
    )
    # cycle      0 1 2 3 4
    # a          0 1 1 0 0    2 transitions, and as many of n
    # b          1 1 1 1 0    1 transition
    # d = a | !b 0 1 1 0 1    3 transitions
    # q          0 0 1 1 0    2 transitions
    toggles = simulate_operands(netlist, {"a": [0, 1, 1, 0, 0], "b": [1, 1, 1, 1, 0]})
    assert toggles.by_net.tolist() == [0, 0, 0, 2, 1, 2, 3, 2]
    return toggles


def test_energy_by_hand(toggles):
    # 2 V: a transition of 1 fF costs 1/2 * 1 * 4 = 2 fJ.
    # a: pin of 1 fF, 2 fJ.  b: pin of 2 fF, 4 fJ.  n: pin of 2 fF, 4 fJ, and 3 fJ inside the inverter.
    # d: pin of 1 fF, 2 fJ, and 10 fJ inside the NAND2 and 2 fJ inside the flip-flop's input.  q: 6 fJ inside.
    # clock: 4 steps of 2 edges of (5 fF -> 10 fJ, and 4 fJ inside).
    result = energy(toggles)
    assert result.by_net_fj.tolist() == pytest.approx([0, 0, 0, 2 * 2, 1 * 4, 2 * 7, 3 * 14, 2 * 6])
    assert dict(result.by_group) == pytest.approx(
        {"inputs": 8, "gates": 56, "registers": 12, "clock": 4 * 2 * 14, "leakage": 0}
    )
    assert (result.switching_fj, result.internal_fj) == pytest.approx(
        (2 * 2 + 4 + 2 * 4 + 3 * 2, 2 * 3 + 3 * 12 + 2 * 6)
    )
    assert result.total_fj == pytest.approx(188)
    assert result.per_step_fj == pytest.approx(47)
    assert result.power_mw(2.0) == pytest.approx(47e-15 * 2e9 * 1e3)
    assert result.provenance == "tiny at 2 V, zero delay"


def test_energy_scales_with_the_square_of_the_voltage(toggles):
    assert energy(toggles, voltage=1.0).total_fj == pytest.approx(188 / 4)


def test_leakage_lasts_a_clock_period(toggles):
    # INV 500 nW, NAND2 500 nW, FLIP 1000 nW; 4 steps of 2 ns
    leakage = energy(toggles, clock_ghz=0.5).by_group["leakage"]
    assert leakage == pytest.approx(2000e-9 * 4 * 2e-9 * 1e15)


def test_wires_and_output_loads_add_capacitance(toggles):
    # every driven pin 1 fF more: a 2, b 1, n 2, d 3 transitions, and 8 edges at the one clock pin; 2 fJ each
    wired = energy(toggles, wire_ff_per_pin=1.0)
    assert wired.total_fj == pytest.approx(188 + 2 * (2 + 1 + 2 + 3 + 8))
    assert energy(toggles, output_ff=3.0).total_fj == pytest.approx(188 + 2 * 3 * 2)


def test_a_net_of_two_pins_that_is_an_output_too(module, tiny):
    """a -> INV -> n -> both pins of a NAND2, and out: n drives 2 + 2 fF, 8 fJ a transition, and 3 fJ inside INV."""
    ports = {"a": ("input", [2]), "y": ("output", [3, 4])}
    cells = {"i": ("INV", {"A": 2, "Y": 3}), "g": ("NAND2", {"A": 3, "B": 3, "Y": 4})}
    toggles = simulate_operands(build_netlist(module(ports, cells), tiny), {"a": [0, 1, 1, 0, 0]})
    assert toggles.by_net[3] == 2
    assert energy(toggles).by_net_fj[3] == pytest.approx(2 * (8 + 3))
    assert energy(toggles, wire_ff_per_pin=1.0).by_net_fj[3] == pytest.approx(2 * (12 + 3))
    assert energy(toggles, output_ff=3.0).by_net_fj[3] == pytest.approx(2 * (14 + 3))


def test_a_net_of_two_outputs_of_one_cell(module, tiny):
    ports = {"a": ("input", [2]), "b": ("input", [3]), "y": ("output", [4, 5])}
    netlist = build_netlist(module(ports, {"h": ("ADD", {"A": 2, "B": 3, "CO": 5, "S": 4})}), tiny)
    result = energy(simulate_operands(netlist, {"a": [0, 1], "b": [0, 0]}))
    assert result.total_fj == pytest.approx(4 * 2)  # the pin of a, 4 fF; the sum drives nothing


@pytest.mark.parametrize("name", ["voltage", "clock_ghz"])
def test_nothing_runs_at_zero(toggles, name):
    with pytest.raises(ArgumentError, match=rf"^{name}: {name} must be positive, got 0.0$"):
        energy(toggles, **{name: 0.0})
