"""Netlists made by hand: order, cuts at flip-flops, and what is refused."""

import pytest

from hwsim.errors import ArgumentError
from hwsim.gates.netlist import ONE, ZERO, Gate, build_netlist


def test_gates_stand_in_topological_order_and_constants_have_nets(module, tiny):
    text = module(
        {"a": ("input", [2]), "b": ("input", [3]), "y": ("output", [6, "1"])},
        {
            "last": ("XOR2", {"A": 4, "B": 5, "Y": 6}),
            "first": ("INV", {"A": 2, "Y": 4}),
            "second": ("NAND2", {"A": 4, "B": "0", "Y": 5}),
        },
        {"y": [6, "1"], "long_name_of_n": [4], "n": [4]},
    )
    netlist = build_netlist(text, tiny, "hand")
    assert netlist.gates == (Gate(4, (2,), 0b01), Gate(5, (4, ZERO), 0b0111), Gate(6, (4, 5), 0b0110))
    assert netlist.inputs == {"a": (2,), "b": (3,)}
    assert netlist.outputs == {"y": (6, ONE)}
    assert netlist.nets == ("0", "1", "net2", "net3", "n", "net5", "y[0]")
    assert (netlist.levels, netlist.area_um2, netlist.clock) == (3, 7.5, None)


def test_two_outputs_of_a_cell_are_two_gates(module, tiny):
    ports = {"a": ("input", [2]), "b": ("input", [3]), "y": ("output", [4, 5])}
    netlist = build_netlist(module(ports, {"h": ("ADD", {"A": 2, "B": 3, "CO": 5, "S": 4})}), tiny)
    assert set(netlist.gates) == {Gate(5, (2, 3), 0b1000), Gate(4, (2, 3), 0b0110)}
    assert len(netlist.instances) == 1


def test_flip_flops_are_cut_and_the_clock_is_no_input(module, tiny):
    netlist = build_netlist(
        module(
            {"clk": ("input", [2]), "d": ("input", [3]), "q": ("output", [4])},
            {"f": ("FLIP", {"CK": 2, "D": 3, "Q": 4, "QN": 5}), "i": ("INV", {"A": 5, "Y": 6})},
            {"q": [4], "clk": [2]},
        ),
        tiny,
    )
    (register,) = netlist.registers
    assert register.q == ((4, False), (5, True))
    assert (register.inputs, register.table) == ((3,), 0b10)
    assert netlist.inputs == {"d": (3,)}
    assert netlist.states == {"q": (0,)}
    assert netlist.nets[netlist.clock] == "clk"


def test_enable_clear_and_preset_make_one_next_state(module, tiny):
    pins = {"CK": 2, "D": 3, "E": 4, "R": 5, "S": 6, "QN": 7}
    ports = {name: ("input", [bit]) for name, bit in (("clk", 2), ("d", 3), ("e", 4), ("r", 5), ("s", 6))}
    netlist = build_netlist(module(ports | {"y": ("output", [7])}, {"f": ("FLIPE", pins)}), tiny)
    (register,) = netlist.registers
    for pattern in range(1 << len(register.inputs)):
        bit = {net: pattern >> i & 1 for i, net in enumerate(register.inputs)}
        held = bit[3] if bit[4] else bit[-1]
        assert register.table >> pattern & 1 == (held | bit[6]) & bit[5]


PORTS = {"clk": ("input", [2]), "a": ("input", [3]), "y": ("output", [4])}


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (
            {"p": ("NAND2", {"A": 3, "B": 5, "Y": 4}), "q": ("INV", {"A": 4, "Y": 5})},
            r"^top: gates must not form a loop, got 'net4'$",
        ),
        ({"p": ("INV", {"A": 9, "Y": 4})}, r"^top: a net must have a driver, got 'net5'$"),
        ({}, r"^top: a net must have a driver, got 'net4'$"),
        (
            {"p": ("INV", {"A": 3, "Y": 4}), "q": ("INV", {"A": 3, "Y": 4})},
            r"^top: a net must have one driver, got 'net4'$",
        ),
        ({"p": ("INV", {"Y": 4})}, r"^p: every input pin must be connected, got 'A'$"),
        ({"p": ("$_AND_", {"Y": 4})}, r"^top.p: a cell must be a gate or a flip-flop of the library, got '\$_AND_'$"),
        ({"p": ("HOLD", {"D": 3, "G": 2, "Q": 4})}, r"^top.p: a cell must be a gate or .* got 'HOLD'$"),
        (
            {"p": ("FLIP", {"CK": 3, "D": 5, "Q": 4}), "q": ("FLIP", {"CK": 2, "D": 4, "Q": 5})},
            r"^top: all flip-flops must share one edge of one clock that is an input, got 2$",
        ),
        (
            {"p": ("FLIP", {"CK": 5, "D": 3, "Q": 4}), "q": ("INV", {"A": 2, "Y": 5})},
            r"^top: all flip-flops must share one edge of one clock that is an input, got 1$",
        ),
        (
            {"p": ("FLIP", {"CK": 2, "D": 2, "Q": 4})},
            r"^top: the clock must drive flip-flops alone, got 'net2'$",
        ),
    ],
)
def test_what_is_no_synchronous_netlist_is_refused(module, tiny, cells, message):
    with pytest.raises(ArgumentError, match=message):
        build_netlist(module(PORTS, cells), tiny)
