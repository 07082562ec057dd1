"""Operands of a product as a unit sees them: order, running sums, and energy per multiply-accumulate."""

import numpy as np
import pytest

from hwsim import datapaths, quant
from hwsim.arch import Numerics, load_accelerator
from hwsim.datapaths import MissingView
from hwsim.errors import ArgumentError
from hwsim.evaluation.power import gemm_power, operand_vectors, trace_power
from hwsim.gates.simulator import outputs
from hwsim.gates.synthesis import synth
from hwsim.rtl import tools
from hwsim.trace import Gemm, Operand

pytestmark = pytest.mark.skipif(not tools.available("yosys", "yosys-abc"), reason="needs yosys")

M, N, K = 6, 5, 7


@pytest.fixture
def gemm(rng):
    a = rng.standard_normal((1, M, K)).astype(np.float32)
    b = rng.standard_normal((1, N, K)).astype(np.float32)
    return Gemm("layer", "linear", "forward", 0, 1, M, N, K, Operand(a, "activation", M), Operand(b, "weight", N))


@pytest.fixture
def int4():
    return Numerics(quant.get("int4.tensor"), quant.get("int4.tensor"), datapaths.integer(4, 4, 12))


def codes(gemm, numerics):
    """Signed operand values [M, K] and [N, K]."""
    a = numerics.quantize(gemm.a.values[0], "activation").codes.astype(int)
    b = numerics.quantize(gemm.b.values[0], "weight").codes.astype(int)
    return a - 16 * (a > 7), b - 16 * (b > 7)


def lanes(stimulus, nets, netlist):
    """Unsigned codes that a stimulus holds on a port or a state, cycle by cycle."""
    sources = [net for bits in netlist.inputs.values() for net in bits]
    sources += [net for register in netlist.registers for net, _ in register.q]
    rows = stimulus.rows[[sources.index(net) for net in nets], 1:]
    bits = np.unpackbits(rows.view(np.uint8), axis=1, bitorder="little")[:, : stimulus.cycles].astype(int)
    return (bits << np.arange(len(nets))[:, None]).sum(axis=0)


@pytest.mark.parametrize("dataflow", ["ws", "is", "os"])
def test_vectors_stand_in_the_dataflows_order_with_true_running_sums(gemm, int4, dataflow):
    report = synth(int4.datapath.gates.whole())
    netlist = report.netlist
    vectors = operand_vectors(gemm, int4, report, dataflow, cycles=M * N * K * 4)
    a, b = codes(gemm, int4)
    places = {
        "ws": [(m, n, k) for n in range(N) for k in range(K) for m in range(M)],
        "is": [(m, n, k) for m in range(M) for k in range(K) for n in range(N)],
        "os": [(m, n, k) for m in range(M) for n in range(N) for k in range(K)],
    }[dataflow]
    assert vectors.cycles == len(places)
    state = [netlist.registers[i].q[0][0] for i in netlist.states["acc"]]
    assert lanes(vectors, netlist.inputs["a"], netlist).tolist() == [a[m, k] & 15 for m, n, k in places]
    assert lanes(vectors, netlist.inputs["b"], netlist).tolist() == [b[n, k] & 15 for m, n, k in places]
    assert lanes(vectors, netlist.inputs["clear"], netlist).tolist() == [int(k == 0) for m, n, k in places]
    sums = [int(a[m, :k] @ b[n, :k]) & 0xFFF for m, n, k in places]
    assert lanes(vectors, state, netlist).tolist() == sums


def test_a_ternary_unit_sums_what_its_vectors_say(gemm):
    numerics = Numerics(quant.get("int8.tensor"), quant.get("ternary.absmean"), datapaths.ternary_lut(3))
    report = synth(numerics.datapath.gates.whole())
    vectors = operand_vectors(gemm, numerics, report, "os", cycles=1000)
    x = numerics.quantize(gemm.a.values[0], "activation").codes.view(np.int8).astype(int)
    w = numerics.quantize(gemm.b.values[0], "weight").codes.astype(int)
    w = np.where(w == 3, -1, w)
    expected = [int(x[m, k : k + 3] @ w[n, k : k + 3]) for m in range(M) for n in range(N) for k in (0, 3, 6)]
    bits = len(report.netlist.outputs["sum"])
    assert outputs(vectors)["sum"].tolist() == [value % (1 << bits) for value in expected]


def test_energy_per_mac_counts_every_group(gemm, int4):
    zero = gemm_power(gemm, int4, "os")
    unit = gemm_power(gemm, int4, "os", delay="unit")
    assert (zero.layer, zero.macs, zero.cycles) == ("layer", M * N * K, M * N * K)
    assert sum(zero.by_group_fj.values()) == pytest.approx(zero.energy_per_mac_fj)
    # 12 flip-flops, each with two clock edges of one pin (1 pair) and 7 pairs inside, 0.968 fJ a pair
    assert zero.by_group_fj["clock"] == pytest.approx(12 * 2 * 8 * 0.968, rel=1e-4)
    assert unit.energy_per_mac_fj > zero.energy_per_mac_fj
    assert zero.energy_pj == pytest.approx(zero.energy_per_mac_fj * M * N * K / 1000)
    assert zero.provenance.endswith("hwsim45 at 1.1 V, zero delay, os")


def test_the_order_of_operands_changes_the_energy(rng, int4):
    a = np.repeat(rng.standard_normal((1, 8, 1)), 64, axis=2).astype(np.float32)  # a row is one value
    b = rng.standard_normal((1, 8, 64)).astype(np.float32)
    gemm = Gemm("l", "linear", "forward", 0, 1, 8, 8, 64, Operand(a, "activation", 8), Operand(b, "weight", 8))
    os, ws = (gemm_power(gemm, int4, dataflow).by_group_fj["inputs"] for dataflow in ("os", "ws"))
    assert os != ws


def test_a_trace_runs_on_the_units_of_a_machine(gemm):
    machine = load_accelerator("edge-int4")
    (found,) = trace_power([gemm], machine, cycles=100)
    numerics = machine.policy.for_gemm("layer")
    assert found == gemm_power(gemm, numerics, machine.array.dataflow.order, cycles=100)


def test_bad_requests_are_refused(gemm, int4):
    with pytest.raises(ArgumentError, match=r"^gates.steps: dataflow must be one of ws, is, os, got 'rs'$"):
        gemm_power(gemm, int4, "rs")
    with pytest.raises(ArgumentError, match=r"^gates.steps: steps must be at least 2, got 1$"):
        gemm_power(gemm, int4, cycles=1)
    with pytest.raises(
        MissingView, match=r"^datapath.gates: a unit must have the view 'gates' to be used here, got "
    ):
        datapaths.shift("fixed", 40).gates.whole()
