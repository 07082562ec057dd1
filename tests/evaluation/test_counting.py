"""Counted flips against a literal walk: one register after another, Python integers, in the dataflow's order."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from hwsim import datapaths, quant
from hwsim.arch import Numerics
from hwsim.errors import ArgumentError
from hwsim.evaluation.counting import SAMPLE, count_by_dataflow, count_toggles
from hwsim.trace import Gemm, Operand

INT8 = Numerics(quant.get("int8.channel"), quant.get("int8.channel"), datapaths.integer(8, 8, 32))
NVFP4 = Numerics(quant.get("nvfp4.te"), quant.get("nvfp4.te"), datapaths.tensor_core("blackwell", "nvfp4"))
TERNARY = Numerics(quant.get("int8.channel"), quant.get("ternary.absmean"), datapaths.ternary_lut(3))


def gemm(m: int, n: int, k: int, batch: int = 1, role: str = "weight", seed: int = 0) -> Gemm:
    rng = np.random.default_rng(seed)
    a = rng.normal(size=(batch, m, k)).astype(np.float32)
    b = rng.normal(size=(1 if role == "weight" else batch, n, k)).astype(np.float32)
    side_a, side_b = Operand(a, "activation", batch * m), Operand(b, role, len(b) * n)  # type: ignore[arg-type]
    return Gemm("layer", "linear", "forward", 0, batch, m, n, k, side_a, side_b)


def mean(pairs: Iterator[tuple[int, int]]) -> float:
    flips = [(int(one) ^ int(other)).bit_count() for one, other in pairs]
    return sum(flips) / len(flips)


def down(words: NDArray, step: int = 1) -> Iterator[tuple[int, int]]:
    """What the register of one column sees: the words of its rows."""
    for column in range(words.shape[1]):
        for row in range(step, words.shape[0]):
            yield words[row - step, column], words[row, column]


def along(words: NDArray, step: int) -> Iterator[tuple[int, int]]:
    """What the register of one row sees: every `step`-th word."""
    yield from down(words.T, step)


@pytest.mark.parametrize("numerics", [INT8, NVFP4])
def test_operand_registers(numerics: Numerics) -> None:
    product = gemm(9, 7, 320)
    a, b = (numerics.quantize(side.values[0], "weight") for side in (product.a, product.b))
    lane = 1 if numerics is INT8 else 64
    counted = {flow: count_toggles(product, numerics, flow, rows=2) for flow in ("ws", "is", "os")}
    assert counted["ws"].a_element == pytest.approx(mean(down(a.codes)), rel=1e-12)
    assert counted["ws"].b_element == pytest.approx(mean(along(b.codes, 2 * lane)), rel=1e-12)
    assert counted["is"].a_element == pytest.approx(mean(along(a.codes, 2 * lane)), rel=1e-12)
    assert counted["is"].b_element == pytest.approx(mean(down(b.codes)), rel=1e-12)
    assert counted["os"].a_element == pytest.approx(mean(along(a.codes, lane)), rel=1e-12)
    assert counted["os"].b_element == pytest.approx(mean(along(b.codes, lane)), rel=1e-12)
    if numerics is NVFP4:
        assert counted["ws"].a_scale == pytest.approx(mean(down(a.scales)), rel=1e-12)
        assert counted["ws"].b_scale == pytest.approx(mean(along(b.scales, 8)), rel=1e-12)
        assert counted["os"].b_scale == pytest.approx(mean(along(b.scales, 4)), rel=1e-12)
    else:
        assert counted["ws"].a_scale == counted["ws"].b_scale == 0


@pytest.mark.parametrize("flow", ["ws", "is", "os"])
@pytest.mark.parametrize(("bits", "overflow"), [(32, "wrap"), (14, "wrap"), (14, "saturate"), (62, "wrap")])
def test_running_sums_of_an_integer_unit(flow: str, bits: int, overflow: str) -> None:
    unit = datapaths.integer(8, 8, bits, overflow=overflow)  # type: ignore[arg-type]
    numerics = Numerics(INT8.activation, INT8.weight, unit)
    product = gemm(5, 6, 11)
    x = quant.quantize(product.a.values[0], "int8.channel").codes.view(np.int8)
    w = quant.quantize(product.b.values[0], "int8.channel").codes.view(np.int8)
    addends, sums = np.zeros((2, 5, 6, 11), object)
    low, high = -(1 << bits - 1), (1 << bits - 1) - 1
    for i in range(5):
        for j in range(6):
            total = 0
            for step in range(11):
                addend = int(x[i, step]) * int(w[j, step])
                total = total + addend
                total = max(low, min(high, total)) if overflow == "saturate" else (total - low) % (1 << bits) + low
                addends[i, j, step], sums[i, j, step] = addend % (1 << bits), total % (1 << bits)
    axis = {"ws": 0, "is": 1, "os": 2}[flow]

    def pairs(words: NDArray) -> Iterator[tuple[int, int]]:
        lines = np.moveaxis(words, axis, -1).reshape(-1, words.shape[axis])
        yield from ((line[at], line[at + 1]) for line in lines for at in range(len(line) - 1))

    counted = count_toggles(product, numerics, flow)
    assert counted.addend == pytest.approx(mean(pairs(addends)), rel=1e-12)
    assert counted.sum == pytest.approx(mean(pairs(sums)), rel=1e-12)
    assert counted.sampled == 1


def test_running_sums_of_a_tensor_core() -> None:
    """The register after each 64 products, from dot products of prefixes of K."""
    product = gemm(4, 3, 200)
    a, b = (quant.quantize(side.values[0], "nvfp4.te") for side in (product.a, product.b))
    ends = [64, 128, 192, 200]
    sums = np.stack(
        [
            NVFP4.datapath.matmul(
                a.codes[:, :end], b.codes[:, :end], None, a.scales[:, : -(-end // 16)], b.scales[:, : -(-end // 16)]
            ).view(np.uint32)
            for end in ends
        ]
    )
    expected = mean((sums[at, i, j], sums[at + 1, i, j]) for at in range(3) for i in range(4) for j in range(3))
    assert count_toggles(product, NVFP4, "os").sum == pytest.approx(expected, rel=1e-12)
    assert count_toggles(product, NVFP4, "os").addend == 0


def test_a_lookup_unit_adds_groups() -> None:
    product = gemm(4, 5, 10)
    x = quant.quantize(product.a.values[0], "int8.channel").codes.view(np.int8).astype(int)
    codes = quant.quantize(product.b.values[0], "ternary.absmean").codes
    w = np.where(codes == 3, -1, codes.astype(int))
    sums = np.array([[[x[i, :end] @ w[j, :end] for end in (3, 6, 9, 10)] for j in range(5)] for i in range(4)])
    expected = mean(
        (sums[i, j, g] & 0xFFFFFFFF, sums[i + 1, j, g] & 0xFFFFFFFF)
        for i in range(3)
        for j in range(5)
        for g in range(4)
    )
    counted = count_toggles(product, TERNARY, "ws", rows=1)
    assert counted.sum == pytest.approx(expected, rel=1e-12)
    keys = TERNARY.prepare_b(product.b.values[0]).words
    assert counted.b_element == pytest.approx(mean(along(keys, 1)) / 3, rel=1e-12)


def test_float_tables_run_through_their_unit() -> None:
    numerics = Numerics(quant.get("fp16"), quant.get("ternary.absmean"), datapaths.ternary_lut(3, "fp16", luts=2))
    product = gemm(4, 5, 14)
    counted = count_toggles(product, numerics, "os")
    a = quant.quantize(product.a.values[0], "fp16").codes
    keys = numerics.prepare_b(product.b.values[0]).words
    totals = [numerics.datapath.matmul(a[:, :end], keys[:, : -(-end // 3)]) for end in (6, 12, 14)]
    words = np.ascontiguousarray(np.stack(totals)).astype(np.float16).view(np.uint16)
    expected = mean((words[at, i, j], words[at + 1, i, j]) for at in range(2) for i in range(4) for j in range(5))
    assert counted.sum == pytest.approx(expected, rel=1e-12)


def test_equal_rows_flip_nothing() -> None:
    product = gemm(6, 6, 16)
    still = Operand(np.repeat(product.a.values[:, :1], 6, 1), "activation", 6)
    counted = count_toggles(Gemm("l", "linear", "forward", 0, 1, 6, 6, 16, still, product.b), INT8, "ws")
    assert (counted.a_element, counted.sum, counted.addend) == (0, 0, 0)


def test_a_reload_hardly_depends_on_the_array() -> None:
    product = gemm(32, 64, 512)
    flips = [count_toggles(product, INT8, "ws", rows).b_element for rows in (4, 16, 64)]
    assert max(flips) / min(flips) < 1.02


def test_batches_and_samples() -> None:
    """Attention products: every batch has its own b. Sums are followed on a part, and the part is stated."""
    counted = count_toggles(gemm(64, 64, 8, batch=8, role="activation"), INT8, "ws")
    assert counted.sampled == 4 * SAMPLE * SAMPLE / (8 * 64 * 64)


def test_stochastic_schemes_have_a_seed() -> None:
    noisy = Numerics(quant.get("nvfp4.te_sr"), quant.get("nvfp4.te"), NVFP4.datapath)
    assert count_toggles(gemm(8, 8, 64), noisy) == count_toggles(gemm(8, 8, 64), noisy)


def test_all_dataflows_at_once() -> None:
    for numerics in (INT8, NVFP4, TERNARY):
        product = gemm(8, 9, 70)
        counted = count_by_dataflow(product, numerics, 2)
        assert counted == {flow: count_toggles(product, numerics, flow, 2) for flow in ("ws", "is", "os")}


def test_mistakes() -> None:
    with pytest.raises(ArgumentError, match=r"^count_toggles.dataflow: must be one of ws, is, os, got 'rs'$"):
        count_toggles(gemm(2, 2, 2), INT8, "rs")
    with pytest.raises(ArgumentError, match=r"^count_toggles.rows: must be at least 1, got 0$"):
        count_toggles(gemm(2, 2, 2), INT8, "ws", 0)
