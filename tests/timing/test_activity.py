"""Counts and latency of a GEMM on a machine: by hand, by a literal walk over the folds, and bounds that must hold."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwsim import datapaths, quant
from hwsim.arch import Accelerator, Activity, Numerics, Policy, load_accelerator
from hwsim.arch.units import storage_bits
from hwsim.errors import DesignError
from hwsim.timing import activity
from hwsim.trace import GemmShape

INT8 = load_accelerator("edge-int8")


def shape(m: int, n: int, k: int, batch: int = 1, role: str = "weight") -> GemmShape:
    return GemmShape("layer", "linear", "forward", batch, m, n, k, role)  # type: ignore[arg-type]


def test_lanes_are_the_fused_group() -> None:
    assert [load_accelerator(f"edge-{name}").policy.default.datapath.lanes for name in (
        "nvfp4", "mxfp4", "mxfp8", "fp8-hopper", "int8", "ternary"
    )] == [64, 64, 32, 32, 1, 3]  # fmt: skip
    assert datapaths.tensor_core("ada", "e4m3").lanes == 16
    assert datapaths.ternary_lut(4, luts=2).lanes == 8


def test_storage_of_an_operand() -> None:
    """4.5 bits an element for NVFP4 plus its tensor scale, 4.25 for MXFP4, 5 bits a group of three trits."""

    def bits(name: str, role: str = "weight") -> int:
        return storage_bits(load_accelerator(name).policy.default, role, 32, 96)  # type: ignore[arg-type]

    assert bits("edge-nvfp4") == 32 * 96 * 4.5 + 32
    assert bits("edge-mxfp4") == 32 * 96 * 4.25
    assert bits("edge-fp8-hopper") == 32 * 96 * 8 + 32
    assert bits("edge-int8") == 32 * (96 * 8 + 32)
    assert bits("edge-ternary") == 32 * (96 // 3) * 5 + 32
    square = Numerics(quant.get("nvfp4.te"), quant.get("nvfp4.te_2d"), datapaths.tensor_core("blackwell", "nvfp4"))
    assert storage_bits(square, "weight", 32, 96) == 32 * 96 * 4 + 2 * 6 * 8 + 32


@pytest.mark.parametrize(
    "name", ["nvfp4.te", "nvfp4.te_2d", "mxfp4.floor", "int8.channel", "fp8.e4m3.tensor", "bf16"]
)
def test_storage_is_what_a_quantized_tensor_says(name: str) -> None:
    import numpy as np

    scheme = quant.get(name)
    unit = {"nvfp4": "nvfp4", "mxfp4": "mxfp4", "fp8": "e4m3", "bf16": "bf16"}.get(name.split(".")[0])
    datapath = datapaths.tensor_core("blackwell", unit) if unit else datapaths.integer(8, 8, 32)
    x = np.random.default_rng(0).normal(size=(19, 40)).astype(np.float32)
    assert storage_bits(Numerics(scheme, scheme, datapath), "weight", 19, 40) == quant.quantize(x, scheme).bits


def walk(m: int, n: int, k: int, rows: int, cols: int, dataflow: str) -> tuple[int, int, int, int]:
    """Reads of a and b, sums written and sums read back, by running the folds (K the outer loop)."""
    a = b = written = back = 0
    spans = {"m": m, "n": n, "k": k}
    down, across = {"ws": ("k", "n"), "is": ("k", "m"), "os": ("m", "n")}[dataflow]
    for first in range(0, spans[down], rows):
        for other in range(0, spans[across], cols):
            size = dict(spans)
            size[down] = min(rows, spans[down] - first)
            size[across] = min(cols, spans[across] - other)
            a += size["m"] * size["k"]
            b += size["n"] * size["k"]
            written += size["m"] * size["n"]
            back += size["m"] * size["n"] if down == "k" and first else 0
    return a, b, written, back


@pytest.mark.parametrize("dataflow", ["ws", "is", "os"])
@pytest.mark.parametrize("size", [(5, 7, 9), (4, 4, 4), (1, 9, 8), (13, 2, 3)])
def test_accesses_are_those_of_the_folds(size: tuple[int, int, int], dataflow: str) -> None:
    m, n, k = size
    machine = INT8.changed(**{"array.rows": 3, "array.cols": 4, "array.dataflow": dataflow})
    done = activity(shape(m, n, k), machine)
    a, b, written, back = walk(m, n, k, 3, 4, dataflow)
    results = m * n * 32
    assert (done.a_reads, done.b_reads) == (a, b)
    assert done.sram_write_bits.output == (written - back) * 32 + back * 32
    assert done.sram_read_bits.output == back * 32 + results
    assert done.updates == done.macs == m * n * k
    numerics = machine.policy.default
    assert done.sram_read_bits.activation == -(-storage_bits(numerics, "activation", m, k) * a // (m * k))
    assert done.sram_read_bits.weight == -(-storage_bits(numerics, "weight", n, k) * b // (n * k))


def test_loads_of_registers() -> None:
    """A streaming operand passes every unit, a stationary one is written once."""
    m, n, k = 6, 8, 10
    loads = {flow: activity(shape(m, n, k), INT8.changed(**{"array.dataflow": flow})) for flow in ("ws", "is", "os")}
    assert (loads["ws"].a_loads, loads["ws"].b_loads) == (m * n * k, n * k)
    assert (loads["is"].a_loads, loads["is"].b_loads) == (m * k, m * n * k)
    assert (loads["os"].a_loads, loads["os"].b_loads) == (m * n * k, m * n * k)


def test_a_weight_serves_the_batch_and_an_activation_does_not() -> None:
    together = activity(shape(8, 32, 32, batch=4), INT8)
    alone = activity(shape(32, 32, 32), INT8)
    assert replace(together, layer="") == replace(alone, layer="")
    heads = activity(shape(8, 32, 32, batch=4, role="activation"), replace(INT8, fused=False))
    assert heads.dram_read_bits.weight == 4 * storage_bits(INT8.policy.default, "activation", 32, 32)
    assert heads.macs == alone.macs


def test_activations_that_fit_stay_on_chip() -> None:
    """64 x 128 bytes and their scales fit half of 128 KiB; 64 x 96 sums of 32 bits fit half of 128 KiB, not of 32."""
    gemm, chip = shape(64, 96, 128), INT8
    through, stays = activity(gemm, replace(INT8, fused=False)), activity(gemm, chip)
    assert stays.dram_read_bits == through.dram_read_bits._replace(activation=0)
    assert stays.dram_write_bits.total == 0
    assert (stays.sram_read_bits, stays.sram_write_bits) == (through.sram_read_bits, through.sram_write_bits)
    assert stays.latency_cycles < through.latency_cycles
    small = activity(gemm, chip.changed(**{"memory.output_kib": 32}))
    assert small.dram_write_bits.output == 64 * 96 * 32
    heads = shape(64, 64, 32, batch=8, role="activation")
    assert activity(heads, chip).dram_read_bits.total == 0
    assert activity(heads, chip.changed(**{"memory.weight_kib": 32})).dram_read_bits.weight > 0


def test_attention_runs_on_its_own_unit() -> None:
    machine = load_accelerator("edge-ternary")
    linear, attention = activity(shape(64, 64, 64), machine), activity(shape(64, 64, 64, role="activation"), machine)
    assert linear.updates == 64 * 64 * 22  # three weights at once
    assert attention.updates == 64**3
    assert attention.numerics_key == "int8.channel|int8.channel|int8x8.acc32.wrap"


def test_a_decode_step_waits_for_its_weights() -> None:
    """A matrix times one vector moves every weight once: 768 x 768 bytes at 256 bits a cycle are 18,432 cycles."""
    machine = INT8.changed(
        **{"fused": False, "memory.dram_gbyte_s": 16.0, "memory.weight_kib": 512, "memory.port_bits": 256}
    )
    assert machine.dram_bits_per_cycle == 256
    done = activity(shape(1, 768, 768), machine)
    assert done.dram_read_bits.weight == 768 * 768 * 8 + 768 * 32
    assert done.bound == "dram"
    assert 18_432 <= done.latency_cycles < 18_432 * 1.02


def test_float32_layers_have_no_cost() -> None:
    machine = replace(INT8, policy=Policy(INT8.policy.default, overrides=(("layer", None),)))
    with pytest.raises(DesignError) as caught:
        activity(shape(4, 4, 4), machine)
    assert str(caught.value) == (
        "edge-int8.numerics.override: must run on a unit of the machine to have a cost, not in float32, got 'layer'"
    )


def test_memories_too_small_for_a_fold() -> None:
    machine = INT8.changed(**{"array.rows": 256, "array.cols": 256, "memory.weight_kib": 64})
    with pytest.raises(DesignError) as caught:
        activity(shape(512, 512, 512), machine)
    assert str(caught.value) == (
        "edge-int8.memory: memories must hold the operands and sums of one fold of the array twice, "
        "got '128, 64 and 128 KiB'"
    )


sizes = st.integers(1, 300)
machines = st.builds(
    lambda machine, rows, cols, flow, overlap, gbyte, kib, fused: machine.changed(
        **{
            "fused": fused,
            "array.rows": rows,
            "array.cols": cols,
            "array.dataflow": flow,
            "array.overlap": overlap,
            "memory.dram_gbyte_s": gbyte,
            "memory.activation_kib": kib,
            "memory.weight_kib": kib,
            "memory.output_kib": kib,
        }
    ),
    st.sampled_from([load_accelerator(f"edge-{name}") for name in ("nvfp4", "int8", "ternary", "mxfp8")]),
    st.sampled_from([2, 4, 16]),
    st.sampled_from([2, 4, 16]),
    st.sampled_from(["ws", "os", "is"]),
    st.sampled_from(["none", "fill", "ideal"]),
    st.sampled_from([1.0, 12.8, 100.0]),
    st.sampled_from([16, 32, 128]),
    st.booleans(),
)


@settings(max_examples=60, deadline=None)
@given(sizes, sizes, sizes, st.integers(1, 3), st.sampled_from(["weight", "activation"]), machines)
def test_bounds_and_monotone(m: int, n: int, k: int, batch: int, role: str, machine: Accelerator) -> None:
    gemm = shape(m, n, k, batch, role)
    done = activity(gemm, machine)
    assert done.latency_cycles >= max(done.compute_cycles, done.sram_cycles, done.dram_cycles)
    assert done.updates <= done.array_cycles
    assert 0 < done.utilization <= 1
    numerics = machine.policy.for_gemm("layer", role)  # type: ignore[arg-type]
    assert numerics is not None
    least_b = storage_bits(numerics, role, n, k) * (batch if role == "activation" else 1)  # type: ignore[arg-type]
    if not machine.fused:
        assert done.dram_read_bits.weight >= least_b
        assert done.dram_write_bits.output >= gemm.batch * m * n * machine.output_bits
    elif role == "weight":
        assert done.dram_read_bits.weight >= least_b
    assert done.sram_write_bits.weight >= least_b
    total = done.dram_read_bits.total + done.dram_write_bits.total
    assert done.latency_cycles * machine.dram_bits_per_cycle >= total

    faster = activity(gemm, machine.changed(**{"memory.dram_gbyte_s": (machine.dram.gbyte_s or 0.0) * 1.7}))
    assert faster.latency_cycles <= done.latency_cycles
    larger = activity(
        gemm, machine.changed(**{f"memory.{name}_kib": 256 for name in ("activation", "weight", "output")})
    )
    assert traffic(larger) <= traffic(done)
    assert larger.latency_cycles <= done.latency_cycles


def traffic(done: Activity) -> int:
    return done.dram_read_bits.total + done.dram_write_bits.total
