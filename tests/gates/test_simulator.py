"""Outputs against integers on every vector; toggles against a literal count and against Icarus' waveforms."""

import re

import numpy as np
import pytest

from hwsim.errors import ArgumentError, UnknownName
from hwsim.gates.liberty import DEFAULT_LIBERTY
from hwsim.gates.netlist import build_netlist
from hwsim.gates.program import compile_netlist
from hwsim.gates.simulator import evaluate, outputs, simulate_operands, stimulus
from hwsim.rtl import tools

needs_yosys = pytest.mark.skipif(not tools.available("yosys", "yosys-abc"), reason="needs yosys")

MULTIPLIER = "module mul(input {0} [{1}:0] a, b, output {0} [{2}:0] p); assign p = a * b; endmodule"
ADDER = "module add(input [7:0] a, b, input c, output [8:0] s); assign s = a + b + c; endmodule"
ACCUMULATOR = """module acc(input clk, clear, input signed [7:0] x, output reg signed [15:0] total);
  always @(posedge clk) total <= (clear ? 16'sd0 : total) + x; endmodule"""
PIPELINE = """module pipe(input clk, input [7:0] a, b, output reg [8:0] s2);
  reg [7:0] ra, rb; reg [8:0] s1;
  always @(posedge clk) begin ra <= a; rb <= b; s1 <= ra + rb; s2 <= s1 ^ 9'h155; end endmodule"""


@pytest.fixture(scope="module")
def synth():
    def build(text, top, library):
        path = library.path if library.name != "hwsim45" else DEFAULT_LIBERTY
        return build_netlist(tools.synthesize(text, top, path).netlist, library, top)

    return build


@pytest.fixture(scope="module")
def multiplier(synth, hwsim45):
    return synth(MULTIPLIER.format("signed", 7, 15), "mul", hwsim45)


def every_pair():
    codes = np.arange(1 << 16)
    return codes & 255, codes >> 8


def counted_literally(netlist, columns, *, unit_delay):
    """Transitions of every net by the words of the definition, one vector and one time unit after the other."""
    values = [0, 1, *[0] * (len(netlist.nets) - 2)]
    toggles = np.zeros(len(netlist.nets), np.int64)

    def follow(gate):
        return gate.table >> sum(values[net] << bit for bit, net in enumerate(gate.inputs)) & 1

    for cycle, column in enumerate(columns):
        before = list(values)
        for net, bit in column.items():
            values[net] = bit
        if unit_delay and cycle:
            toggles += np.array(values) != before
            while True:
                after = list(values)
                for gate in netlist.gates:
                    after[gate.output] = follow(gate)
                if after == values:
                    break
                toggles += np.array(after) != values
                values[:] = after
        else:
            for gate in netlist.gates:
                values[gate.output] = follow(gate)
            if cycle:
                toggles += np.array(values) != before
    return toggles


@pytest.mark.parametrize("delay", ["zero", "unit"])
def test_toggles_of_a_hand_made_glitch(module, tiny, delay, icarus_toggles):
    # y = !(a & !!!a): when a rises, the path through three inverters still holds the old 1 for three units
    netlist = build_netlist(
        module(
            {"a": ("input", [2]), "y": ("output", [6])},
            {
                "i1": ("INV", {"A": 2, "Y": 3}),
                "i2": ("INV", {"A": 3, "Y": 4}),
                "i3": ("INV", {"A": 4, "Y": 5}),
                "g": ("NAND2", {"A": 2, "B": 5, "Y": 6}),
            },
        ),
        tiny,
    )
    stream = {"a": [0, 1, 1, 0, 1, 0]}
    toggles = simulate_operands(netlist, stream, delay=delay)
    # a and the three inverters move 4 times; y is always 1, but falls for three units after each of two rises
    expected = [0, 0, 4, 4, 4, 4, 4 if delay == "unit" else 0]
    assert toggles.by_net.tolist() == expected
    assert (toggles.cycles, toggles.steps, toggles.total) == (6, 5, sum(expected))
    assert icarus_toggles(netlist, stream, unit_delay=delay == "unit").tolist() == expected


@needs_yosys
@pytest.mark.parametrize("signed", ["signed", ""])
def test_a_multiplier_equals_integers_on_all_operands(synth, hwsim45, signed):
    netlist = synth(MULTIPLIER.format(signed, 7, 15), "mul", hwsim45)
    a, b = every_pair()
    product = a.astype(np.int8).astype(int) * b.astype(np.int8) if signed else a * b
    assert np.array_equal(evaluate(netlist, {"a": a, "b": b})["p"], product & 0xFFFF)
    if signed:  # negative numbers are the same codes
        values = {"a": a.astype(np.uint8).view(np.int8), "b": b.astype(np.uint8).view(np.int8)}
        assert np.array_equal(evaluate(netlist, values)["p"], product & 0xFFFF)


@needs_yosys
@pytest.mark.parametrize("library", ["hwsim45", "osu018"])
def test_an_adder_equals_integers_on_all_operands(synth, library, request):
    netlist = synth(ADDER, "add", request.getfixturevalue(library))
    a, b = every_pair()
    for carry in (0, 1):
        assert np.array_equal(evaluate(netlist, {"a": a, "b": b, "c": [carry]})["s"], a + b + carry)


@needs_yosys
@pytest.mark.parametrize("delay", ["zero", "unit"])
@pytest.mark.parametrize("cycles", [2, 63, 64, 65, 300])
def test_toggles_equal_the_literal_count(synth, hwsim45, rng, delay, cycles):
    netlist = synth(ADDER, "add", hwsim45)
    streams = {"a": rng.integers(0, 256, cycles), "b": rng.integers(0, 256, cycles), "c": rng.integers(0, 2, cycles)}
    columns = [
        {
            net: int(streams[port][cycle]) >> bit & 1
            for port, nets in netlist.inputs.items()
            for bit, net in enumerate(nets)
        }
        for cycle in range(cycles)
    ]
    expected = counted_literally(netlist, columns, unit_delay=delay == "unit")
    assert np.array_equal(simulate_operands(netlist, streams, delay=delay).by_net, expected)


@needs_yosys
@pytest.mark.parametrize("delay", ["zero", "unit"])
@pytest.mark.parametrize("library", ["hwsim45", "osu018"])
def test_toggles_of_a_multiplier_equal_icarus_net_by_net(synth, library, delay, rng, icarus_toggles, request):
    netlist = synth(MULTIPLIER.format("signed", 7, 15), "mul", request.getfixturevalue(library))
    streams = {"a": rng.integers(-128, 128, 1000), "b": rng.integers(-128, 128, 1000)}
    expected = icarus_toggles(netlist, streams, unit_delay=delay == "unit")
    assert expected.sum() > 1000 * 100
    assert np.array_equal(simulate_operands(netlist, streams, delay=delay).by_net, expected)


@needs_yosys
@pytest.mark.slow
@pytest.mark.parametrize("delay", ["zero", "unit"])
def test_toggles_of_many_vectors_equal_icarus_net_by_net(multiplier, delay, rng, icarus_toggles):
    streams = {"a": rng.integers(-128, 128, 20000), "b": np.clip(rng.normal(0, 20, 20000), -128, 127).astype(int)}
    expected = icarus_toggles(multiplier, streams, unit_delay=delay == "unit")
    assert np.array_equal(simulate_operands(multiplier, streams, delay=delay).by_net, expected)


@needs_yosys
def test_counts_do_not_depend_on_blocks_or_threads(multiplier, rng, monkeypatch):
    cycles = 256 * 64 * 3 + 17  # three blocks and a part of one
    streams = {"a": rng.integers(-128, 128, cycles), "b": rng.integers(-128, 128, cycles)}
    for delay in ("zero", "unit"):
        counts = []
        for threads in ("1", "2", "3"):
            monkeypatch.setenv("HWSIM_NUM_THREADS", threads)
            counts.append(simulate_operands(multiplier, streams, delay=delay).by_net)
        assert np.array_equal(counts[0], counts[1])
        assert np.array_equal(counts[0], counts[2])
        cut = 256 * 64 + 5  # two halves that share one vector have the same transitions
        halves = [
            simulate_operands(multiplier, {k: v[part] for k, v in streams.items()}, delay=delay).by_net
            for part in (slice(0, cut), slice(cut - 1, None))
        ]
        assert np.array_equal(counts[0], halves[0] + halves[1])


def accumulated(clear, x):
    """Contents of the accumulator in each cycle, from the one before."""
    held, total = [], 0
    for c, value in zip(clear, x, strict=True):
        held.append(total)
        total = ((0 if c else total) + int(value) + 2**15) % 2**16 - 2**15
    return np.array(held)


@needs_yosys
@pytest.mark.parametrize("period", [7, 10_000])  # settles in passes; needs the loop over cycles
def test_an_accumulator_derives_its_states(synth, hwsim45, rng, period, icarus_toggles):
    netlist = synth(ACCUMULATOR, "acc", hwsim45)
    cycles = 1000
    x = rng.integers(-128, 128, cycles)
    clear = (np.arange(cycles) % period == 0).astype(int)
    held = accumulated(clear, x)
    assert netlist.states.keys() >= {"total"}
    assert np.array_equal(evaluate(netlist, {"clear": clear, "x": x})["total"], held & 0xFFFF)
    with_states = {"total": held}
    for delay in ("zero", "unit"):
        derived = simulate_operands(netlist, {"clear": clear, "x": x}, delay=delay)
        given = simulate_operands(netlist, {"clear": clear, "x": x}, delay=delay, states=with_states)
        assert np.array_equal(derived.by_net, given.by_net)
        literal = icarus_toggles(netlist, {"clear": clear, "x": x}, unit_delay=delay == "unit")
        assert np.array_equal(derived.by_net, literal)


@needs_yosys
def test_a_wrong_state_is_an_error_that_names_the_cycle(synth, hwsim45, rng):
    netlist = synth(ACCUMULATOR, "acc", hwsim45)
    x, clear = rng.integers(-128, 128, 200), np.zeros(200, int)
    clear[0] = 1
    held = accumulated(clear, x)
    held[130] ^= 4
    message = "^acc.total: a supplied state must equal what the gates compute, first differs in cycle, got 130$"
    with pytest.raises(ArgumentError, match=message):
        simulate_operands(netlist, {"clear": clear, "x": x}, states={"total": held})


@needs_yosys
@pytest.mark.parametrize("cycles", [20, 1000])  # settles in passes; needs the loop over cycles
def test_a_supplied_state_sets_the_first_cycle(synth, hwsim45, rng, cycles):
    netlist = synth(ACCUMULATOR, "acc", hwsim45)
    x = rng.integers(-128, 128, cycles)
    held = (accumulated([0] * cycles, x) + 1000 + 2**15) % 2**16 - 2**15
    assert np.array_equal(evaluate(netlist, {"clear": [0], "x": x}, states={"total": held})["total"], held & 0xFFFF)


@needs_yosys
def test_unlinked_cycles_take_states_as_they_are(synth, hwsim45, rng):
    netlist = synth(ACCUMULATOR, "acc", hwsim45)
    total, x = rng.integers(-(2**15), 2**15, 100), rng.integers(-128, 128, 100)
    packed = stimulus(netlist, {"clear": [0], "x": x}, states={"total": total}, linked=False)
    assert np.array_equal(outputs(packed)["total"], total & 0xFFFF)
    with pytest.raises(ArgumentError, match=r"^acc: unlinked cycles must name every register, got \[\]$"):
        stimulus(netlist, {"clear": [0], "x": x}, linked=False)


@needs_yosys
def test_a_pipeline_derives_its_states(synth, hwsim45, rng):
    netlist = synth(PIPELINE, "pipe", hwsim45)
    a, b = rng.integers(0, 256, 500), rng.integers(0, 256, 500)
    s2 = evaluate(netlist, {"a": a, "b": b})["s2"]
    assert s2[0] == 0
    assert np.array_equal(s2[3:], (a + b)[:-3] ^ 0x155)


def test_enable_clear_and_preset_with_only_an_inverted_output(module, tiny, rng):
    pins = {"CK": 2, "D": 3, "E": 4, "R": 5, "S": 6, "QN": 7}
    ports = {name: ("input", [bit]) for name, bit in (("clk", 2), ("d", 3), ("e", 4), ("r", 5), ("s", 6))}
    netlist = build_netlist(module(ports | {"y": ("output", [7])}, {"f": ("FLIPE", pins)}), tiny)
    d, e, r, s = rng.integers(0, 2, (4, 400))
    r |= rng.integers(0, 2, 400)
    state, expected = 0, []
    for cycle in range(400):
        expected.append(1 - state)
        state = (d[cycle] if e[cycle] else state) | s[cycle]
        state &= r[cycle]
    streams = {"d": d, "e": e, "r": r, "s": s}
    assert evaluate(netlist, streams)["y"].tolist() == expected
    literal = int(np.abs(np.diff(expected)).sum())
    assert simulate_operands(netlist, streams).by_net[7] == literal


def test_wide_ports_take_elements_and_give_words(module, tiny):
    bits = list(range(2, 82))
    out = list(range(82, 162))
    cells = {f"i{i}": ("INV", {"A": a, "Y": y}) for i, (a, y) in enumerate(zip(bits, out, strict=True))}
    netlist = build_netlist(module({"a": ("input", bits), "y": ("output", out)}, cells), tiny)
    elements = np.array([[0, 1, 2, 3, 255], [1, 1, 2, 128, 254]])
    y = evaluate(netlist, {"a": _halved(elements)})["y"]
    whole = [sum(int(v) << 16 * i for i, v in enumerate(row)) ^ (1 << 80) - 1 for row in elements]
    assert [int(low) | int(high) << 64 for low, high in y] == whole


def _halved(elements):
    """Five elements of 16 bits as ten of 8 bits."""
    return np.stack([elements & 255, elements >> 8], axis=-1).reshape(len(elements), -1)


@pytest.mark.parametrize(
    ("streams", "message"),
    [
        ({"a": [0], "b": [0], "ghost": [1]}, "mul: an input port must be one of a, b, got 'ghost'"),
        ({"a": [0]}, "mul: every input port must have a stream, got ['b']"),
        ({"a": [0, 1], "b": [0, 1, 1]}, "mul: streams must have one length, got [2, 3]"),
        (
            {"a": [0.5], "b": [0]},
            "a: a stream must be integers [cycles] or [cycles, elements], got ('float64', (1,))",
        ),
        ({"a": [4], "b": [0]}, "a: a code must fit 2 bits, got 4"),
        ({"a": [-3], "b": [0]}, "a: a code must fit 2 bits, got -3"),
        ({"a": [[0, 0, 0]], "b": [0]}, "a: elements must divide the port's 2 bits, got 3"),
        ({"a": [], "b": [0]}, "a: a stream must be integers [cycles] or [cycles, elements], got ('float64', (0,))"),
    ],
)
def test_bad_streams_are_refused(module, tiny, streams, message):
    ports = {"a": ("input", [2, 3]), "b": ("input", [4]), "y": ("output", [5])}
    netlist = build_netlist(module(ports, {"g": ("NAND2", {"A": 2, "B": 4, "Y": 5})}), tiny, "mul")
    with pytest.raises((ArgumentError, UnknownName), match="^" + re.escape(message) + "$"):
        simulate_operands(netlist, streams)


def test_delay_and_state_names_are_checked(module, tiny):
    netlist = build_netlist(module({"a": ("input", [2])}, {"g": ("INV", {"A": 2, "Y": 3})}), tiny, "t")
    with pytest.raises(ArgumentError, match=r"^delay: delay must be 'zero' or 'unit', got 'slow'$"):
        simulate_operands(netlist, {"a": [0]}, delay="slow")
    with pytest.raises(UnknownName, match=r"^t: a state must be one of , got 'acc'$"):
        simulate_operands(netlist, {"a": [0]}, states={"acc": [0]})
    assert simulate_operands(netlist, {"a": [1]}).total == 0
    assert compile_netlist(netlist) is compile_netlist(netlist)
