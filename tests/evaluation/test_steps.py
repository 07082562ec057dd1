"""What a unit sees of a product: a literal walk, and gates that continue the emulator's sums."""

import numpy as np
import pytest

from hwsim import datapaths, quant
from hwsim.arch import Numerics
from hwsim.arch.operands import Operands, unit_stream
from hwsim.datapaths.pricing import packed
from hwsim.errors import ArgumentError
from hwsim.gates.simulator import outputs
from hwsim.gates.steps import BATCHES
from hwsim.gates.synthesis import synth
from hwsim.quant import Scheme
from hwsim.rtl import tools
from hwsim.trace import Gemm, Operand

needs_yosys = pytest.mark.skipif(not tools.available("yosys", "yosys-abc"), reason="needs yosys")
M, N, K = 4, 3, 9
TERNARY = quant.get("ternary.absmean")
PANN = Numerics(
    Scheme("int4.tensor", "int4", "tensor", None, "fp32", "absmax"),
    Scheme("pann.r1", "int8", "tensor", None, "fp32", "absmean"),
    datapaths.pann(4, 1.0, 16),
)


def product(rng, m=M, n=N, k=K, batch=1):
    a = rng.standard_normal((batch, m, k)).astype(np.float32)
    b = rng.standard_normal((1, n, k)).astype(np.float32)
    return Gemm("layer", "linear", "forward", 0, batch, m, n, k, Operand(a, "activation", m), Operand(b, "weight", n))


def places(dataflow):
    return {
        "ws": [(m, n, k) for n in range(N) for k in range(K) for m in range(M)],
        "is": [(m, n, k) for m in range(M) for k in range(K) for n in range(N)],
        "os": [(m, n, k) for m in range(M) for n in range(N) for k in range(K)],
    }[dataflow]


@pytest.mark.parametrize("dataflow", ["ws", "is", "os"])
def test_an_add_only_unit_repeats_an_element_for_every_addition(rng, dataflow):
    operands = Operands(product(rng), PANN)
    x = operands.a(0)[0].astype(int)
    x = x - 16 * (x > 7)
    w = operands.b(0).words.view(np.int8).astype(int)
    assert (w == 0).any()
    assert np.abs(w).max() > 1
    found = unit_stream(operands, dataflow, 10_000)
    walk = []
    for m, n, k in places(dataflow):
        used = np.flatnonzero(w[n])
        for again in range(abs(w[n, k])):
            positive = int(x[m, :k] @ np.maximum(w[n, :k], 0)) + (again * x[m, k] if w[n, k] > 0 else 0)
            negative = int(x[m, :k] @ np.maximum(-w[n, :k], 0)) + (again * x[m, k] if w[n, k] < 0 else 0)
            last = k == used[-1] and again == abs(w[n, k]) - 1
            walk.append(
                (x[m, k] & 15, w[n, k] & 255, positive & 0xFFFF, negative & 0xFFFF, k == used[0] and again == 0, last)
            )
    assert found.steps == len(walk) == M * int(np.abs(w).sum())
    assert found.a[:, 0].tolist() == [int(step[0]) for step in walk]
    assert found.b[:, 0].tolist() == [int(step[1]) for step in walk]
    assert found.first.tolist() == [step[4] for step in walk]
    assert found.last.tolist() == [step[5] for step in walk]
    inside = ~found.first | (dataflow != "os")  # where sums stay, a register keeps the last ones until it is cleared
    assert found.before[inside].tolist() == [
        [int(p), int(q)] for (_, _, p, q, *_), ok in zip(walk, inside, strict=True) if ok
    ]


@needs_yosys
def test_the_gates_of_an_add_only_unit_end_at_the_dot_product(rng):
    operands = Operands(product(rng), PANN)
    stream = unit_stream(operands, "os", 10_000)
    gates = PANN.datapath.gates
    vectors = packed(synth(gates.whole()).netlist, gates.drive("unit", stream))
    shown = outputs(vectors)["difference"][1:][stream.last[:-1]]
    dots = PANN.datapath.matmul(operands.a(0)[0], operands.b(0).words).reshape(-1)
    assert shown.tolist() == [int(dot) & 0xFFFF for dot in dots[:-1]]


@needs_yosys
@pytest.mark.parametrize(
    ("scheme", "weight", "unit"),
    [
        ("fp16", TERNARY, datapaths.ternary_lut(2, "fp16", luts=2)),
        ("bf16", TERNARY, datapaths.ternary_lut(3, "bf16")),
        ("int8.channel", TERNARY, datapaths.ternary_lut(2, luts=2)),
    ],
    ids=lambda one: getattr(one, "name", one),
)
def test_a_lookup_units_circuits_continue_the_emulators_sums(rng, scheme, weight, unit):
    """Table, reader and adder in gates, step after step: what they add is what the register holds next."""
    numerics = Numerics(quant.get(scheme), weight, unit)
    stream = unit_stream(Operands(product(rng, k=20), numerics), "os", 10_000)
    made = {role: synth(circuit).netlist for role, circuit in unit.gates.circuits().items()}
    fetched = outputs(packed(made["reader"], unit.gates.drive("reader", stream)))["sum"]
    follows = ~stream.first[1:]
    after = stream.before[1:, 0][follows]
    if unit.activation == "int8":
        bits = len(made["reader"].outputs["sum"])
        signed = (fetched.astype(np.int64) << 64 - bits) >> 64 - bits
        held = np.where(stream.first, 0, stream.before[:, 0].astype(np.int64))
        assert ((held + signed)[:-1][follows] & 0xFFFFFFFF).tolist() == after.tolist()
    else:
        added = outputs(packed(made["adder"], unit.gates.drive("adder", stream)))["sum"][:-1][follows]
        assert added.tolist() == after.tolist()
    tables = outputs(packed(made["tables"], unit.gates.drive("tables", stream)))["table_"]
    assert len(tables) == len(stream.tables)


def test_batches_share_the_steps(rng):
    int8 = quant.get("int8.channel")
    numerics = Numerics(int8, int8, datapaths.integer(8, 8, 32))
    stream = unit_stream(Operands(product(rng, m=16, k=4, batch=6), numerics), "ws", 400)
    assert stream.steps <= 400
    assert int(stream.first.sum()) * 4 == stream.steps
    one = unit_stream(Operands(product(rng, m=16, k=4), numerics), "ws", 100)
    assert stream.steps == BATCHES * one.steps
    with pytest.raises(ArgumentError, match=r"^gates.steps: steps must be at least 2, got 1$"):
        unit_stream(Operands(product(rng), numerics), "ws", 1)
