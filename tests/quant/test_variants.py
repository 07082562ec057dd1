"""How the named variants differ, in measured parts of all codes; reciprocals by table; BitNet and integers."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from hwsim import quant
from hwsim.errors import ArgumentError
from hwsim.quant import reference_scales

torch = pytest.importorskip("torch", reason="the sources of NVFP4 are torch code")

from nvfp4_sources import E4M3, F, data, e4m3  # noqa: E402


def disagreement(x: NDArray[np.float32], name: str) -> tuple[float, float]:
    """Percent of codes and of scale bytes in which a variant differs from ``nvfp4.te``."""
    te, other = quant.quantize(x, "nvfp4.te"), quant.quantize(x, name)
    return 100 * float(np.mean(te.codes != other.codes)), 100 * float(np.mean(te.scales != other.scales))


@pytest.mark.parametrize(
    ("kind", "name", "measured"),
    [
        ("normal", "nvfp4.te_fast", 0.334),
        ("bfloat16", "nvfp4.te_fast", 0.514),
        ("bfloat16", "nvfp4.exact", 0.049),
        ("ties", "nvfp4.te_fast", 38.5),
        ("lognormal blocks", "nvfp4.te_fast", 0.076),
        ("lognormal blocks", "nvfp4.vllm_ref", 54.1),
        ("lognormal blocks", "nvfp4.exact", 54.1),
        ("lognormal blocks", "nvfp4.torchao", 80),
        ("tiny", "nvfp4.te_fast", 0.27),
    ],
)
def test_variants_disagree_as_measured(kind: str, name: str, measured: float) -> None:
    """Percent of codes, measured with the libraries' own code on one draw of 2048 x 4096.

    The figure hangs on that draw's one tensor amax, whose mantissa enters every quotient. So the expectation is that
    it lies between the least and the most of ten draws. The amax of lognormal blocks grows with their number.
    """
    shape = (1024, 1024) if kind == "lognormal blocks" else (256, 512)
    percents = [disagreement(data(kind, seed, *shape), name)[0] for seed in range(10)]
    assert min(percents) <= measured <= max(percents)


@pytest.mark.parametrize("kind", ["normal", "ties", "tiny"])
def test_these_variants_agree_there(kind: str) -> None:
    """Measured as 0 % of codes and scales."""
    for seed in range(3):
        assert disagreement(data(kind, seed), "nvfp4.vllm_ref") == (0, 0)
        assert disagreement(data(kind, seed), "nvfp4.flashinfer_exact") == (0, 0)


def test_blocks_of_lognormal_size_underflow_in_half() -> None:
    """There vLLM's reference stores zeros where TransformerEngine stores +-6, both of value 0; torchao's values
    differ."""
    x = data("lognormal blocks")
    te, vllm, torchao_ = (quant.quantize(x, f"nvfp4.{name}") for name in ("te", "vllm_ref", "torchao"))
    underflown = np.repeat(te.scales == 0, 16, axis=1)
    assert np.array_equal(te.codes != vllm.codes, underflown)
    assert not te.dequantize()[underflown].any()
    assert not vllm.dequantize()[underflown].any()
    assert (torchao_.scales != te.scales).mean() > (te.scales == 0).mean()


# FlashInfer's fast kernels


def test_flashinfer_fast_needs_a_table() -> None:
    message = (
        r"nvfp4\.flashinfer_fast: flashinfer_fast must have a table of float32 \[8388608\]: it uses "
        r"rcp\.approx\.ftz\.f32, whose bits only a GPU knows; make it with flashinfer_fast\(reciprocals\)"
    )
    with pytest.raises(ArgumentError, match=f"^{message}$"):
        quant.get("nvfp4.flashinfer_fast")


def test_flashinfer_fast_with_a_table() -> None:
    """With correctly rounded reciprocals: zeros in a block whose scale underflows get code 7, as 0 * infinity
    converts."""
    mantissa = np.arange(1 << 23, dtype=np.float64)
    table = (1 / (1 + mantissa / (1 << 23))).astype(F)
    scheme = quant.flashinfer_fast(table)
    x = np.zeros((3, 16), F)
    x[0, 0] = 2688
    x[1, :2] = 0.005, -0.005
    q = quant.quantize(x, scheme)
    assert q.codes[1, :3].tolist() == [7, 15, 7]
    assert not q.codes[2].any()
    assert q.scales[:, 0].tolist() == [0x7E, 0, 0]
    assert not q.dequantize()[1:].any()
    normal = data("normal")
    fast, te = quant.quantize(normal, scheme), quant.quantize(normal, "nvfp4.te")
    assert np.mean(fast.codes != te.codes) < 1e-3


def test_a_wrong_table_is_refused() -> None:
    table = (1 / (1 + np.arange(1 << 23) / (1 << 23))).astype(F)
    table[5] = 0.75
    message = r"^reciprocals: reciprocals must lie within one unit in the last place, got 5$"
    with pytest.raises(ArgumentError, match=message):
        quant.flashinfer_fast(table)


# Others


def test_weights_of_bitnet() -> None:
    """mean |w| = (1 + 0.2 + 3 + 0) / 4 = 1.05; w / 1.05 = 0.95, -0.19, -2.86, 0 rounds to 1, 0, -1, 0."""
    q = quant.quantize(np.array([1.0, -0.2, -3.0, 0.0], F), "ternary.absmean")
    assert q.codes.tolist() == [1, 0, 3, 0]
    assert q.scales == F(1.05)
    assert q.dequantize().tolist() == [F(1.05), 0, -F(1.05), 0]
    assert q.bits == 4 * 2 + 32


def test_symmetric_integers() -> None:
    """Largest magnitude 2.54: scale 0.02, codes x / 0.02 to nearest even, in two's complement; -128 is never used."""
    q = quant.quantize(np.array([[2.54, -2.54, 0.02, -0.03]], F), "int8.tensor")
    assert q.codes.tolist() == [[127, 129, 1, 254]]
    assert q.scales.shape == ()
    q = quant.quantize(np.array([[7.0, -7.0], [0.5, -3.5]], F), "int4.channel")
    assert q.codes.tolist() == [[7, 9], [1, 9]]
    assert q.scales.tolist() == [[1.0], [0.5]]
    zero = quant.quantize(np.zeros(3, F), "int8.tensor")
    assert (zero.codes.tolist(), float(zero.scales)) == ([0, 0, 0], 1.0)
    for bad in (np.nan, np.inf):
        assert np.isnan(quant.fake_quantize(np.array([bad, 1.0], F), "int8.tensor")).all()


def test_mxint8_counts_in_64ths() -> None:
    """OCP MX: the largest magnitude 1.984375 has exponent 0, so its scale byte is 127 and its code 127."""
    q = quant.quantize(np.array([1.984375, -1.0, 1 / 64, -2.0], F)[:3], "mxint8.floor")
    assert (q.scales.tolist(), q.codes.tolist()) == ([127], [127, 192, 1])
    assert quant.quantize(np.array([-2.0], F), "mxint8.floor").codes.tolist() == [192]  # -1 of 2^1, not -2


def test_decode_orders_differ_in_the_last_bits_only() -> None:
    """Against TransformerEngine's order 31 to 40 % of values were seen to differ, by at most 3e-7; A decides."""
    from dataclasses import replace

    x, te = data("normal"), quant.get("nvfp4.te")
    base = quant.fake_quantize(x, te)
    for decode in ("torchao", "vllm", "code_first"):
        other = quant.fake_quantize(x, replace(te, name=decode, decode=decode))  # type: ignore[arg-type]
        nonzero = base != 0
        assert 0.1 < np.mean(base != other) < 0.6, decode
        assert np.max(np.abs(other[nonzero] / base[nonzero] - 1)) < 4e-7, decode


def test_e4m3_of_the_reference_is_that_of_torch() -> None:
    """All magnitudes of a scale that are near a tie of E4M3, and beyond its largest number."""
    values = E4M3.values[:127].astype(np.float64)
    ties = ((values[1:] + values[:-1]) / 2).astype(F)
    around = [ties, np.nextafter(ties, F(0), dtype=F), np.nextafter(ties, F(1e9), dtype=F), F([449, 464, 1e30])]
    near = np.concatenate(around)
    torch_codes = e4m3(torch.from_numpy(near)).view(torch.uint8).numpy()
    assert np.array_equal(E4M3.encode(near), torch_codes)
    assert np.array_equal(reference_scales.stored(near, quant.get("nvfp4.te"))[0], torch_codes)
