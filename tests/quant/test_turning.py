"""The axes of a matrix exchanged in memory, alone and with a rotation and a quantizer in the same pass."""

import numpy as np
import pytest

from hwsim import quant
from hwsim.errors import ArgumentError
from hwsim.quant.turning import fake_quantize_turned, turned


@pytest.mark.parametrize(
    "shape", [(1, 1), (33, 64), (64, 33), (16, 16), (100, 130), (2, 31, 5), (3, 2, 100, 7), (0, 4), (2, 4, 0)]
)
def test_it_is_the_transpose(shape):
    x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    found = turned(x)
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, np.swapaxes(x, -1, -2))
    kept = np.swapaxes(x, -1, -2)  # another layout in memory
    np.testing.assert_array_equal(turned(kept), x)


def hard(rng, shape):
    """Wide data, where the order of additions shows, with what is not a number, infinite, tiny and zero in it."""
    x = (rng.standard_normal(shape) * np.exp(4 * rng.standard_normal(shape))).astype(np.float32)
    x[rng.random(shape) < 0.05] = -0.0
    x[rng.random(shape) < 0.05] = 1e-42
    return x


@pytest.mark.parametrize("scheme", ["nvfp4.te", "nvfp4.te_sr", "nvfp4.torchao", "nvfp4.te_4over6", "nvfp4.te_2d",
                                    "nvfp4.vllm_ref", "mxfp4.floor", "int8.channel"])  # fmt: skip
@pytest.mark.parametrize("signs", ["nvidia", None, (-1.0,) * 7 + (1.0,) * 9])
@pytest.mark.parametrize("shape", [(16, 1), (32, 16), (160, 100), (4096, 33)])
def test_one_pass_is_three(scheme, signs, shape, rng):
    """The definition: exchange by numpy, `hadamard`, `fake_quantize`, which have tests of their own."""
    seed = 5 if quant.get(scheme).rounding == "sr" else None
    x = hard(rng, shape)
    for broken in (None, np.nan, np.inf):
        if broken is not None:
            if scheme in ("int8.channel", "nvfp4.te_2d") or shape == (4096, 33):
                continue
            x[shape[0] // 2, shape[1] // 2] = broken
        rotated = quant.hadamard(np.ascontiguousarray(x.T), 16, signs)
        expected = quant.fake_quantize(rotated, scheme, seed=seed)
        found = fake_quantize_turned(x, scheme, signs, seed)
        np.testing.assert_array_equal(found.view(np.uint32), expected.view(np.uint32))


def test_rows_must_fill_tiles():
    with pytest.raises(ArgumentError, match=r"^M must be a multiple of 16, got \(17, 4\)$"):
        fake_quantize_turned(np.zeros((17, 4), np.float32), "nvfp4.te", "nvidia")


@pytest.mark.parametrize("threads", ["1", "3"])
def test_results_do_not_depend_on_threads(threads, monkeypatch, rng):
    x = hard(rng, (512, 300))
    expected = quant.fake_quantize(quant.hadamard(turned(x)), "nvfp4.te_sr", seed=9)
    monkeypatch.setenv("HWSIM_NUM_THREADS", threads)
    np.testing.assert_array_equal(fake_quantize_turned(x, "nvfp4.te_sr", "nvidia", 9), expected)
