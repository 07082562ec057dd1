"""What libraries do, written again from their code in torch, whose conversions to FP8 are not ours; and hard data.

Parents: TransformerEngine's NVFP4QuantizerRef and its four-over-six test reference, vLLM's ref_nvfp4_quant.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hwsim import formats, quant

torch = pytest.importorskip("torch", reason="the sources of NVFP4 are torch code")


F = np.float32
E4M3, E2M1 = formats.get("e4m3"), formats.get("e2m1")
FLT_MAX = torch.finfo(torch.float32).max


def ladder(x: Any) -> NDArray[np.uint8]:
    """E2M1 codes by the thresholds that TransformerEngine's and vLLM's Python references write out."""
    size = x.abs()
    code = torch.zeros(x.shape, dtype=torch.uint8)
    for bound, closed in ((0.25, 0), (0.75, 1), (1.25, 0), (1.75, 1), (2.5, 0), (3.5, 1), (5.0, 0)):
        code += (size >= bound) if closed else (size > bound)
    return np.asarray((code + 8 * torch.signbit(x)).numpy(), dtype=np.uint8)


def blocks_of(x: NDArray[np.float32], block: int = 16) -> Any:
    return torch.from_numpy(np.ascontiguousarray(x)).reshape(x.shape[0], -1, block)


def e4m3(x: Any) -> Any:
    return x.clamp(-448, 448).to(torch.float8_e4m3fn)


def te_source(x: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """NVFP4QuantizerRef._quantize_blockwise_reference."""
    blocks = blocks_of(x)
    vec_max, amax = blocks.abs().amax(-1, keepdim=True), blocks.abs().max()
    encode = torch.min(torch.div(torch.tensor(448.0) * torch.tensor(6.0), amax), torch.tensor(FLT_MAX))
    if encode == 0:
        encode = torch.tensor(1.0)
    decode = torch.div(1.0, encode)
    scale = vec_max * (encode * torch.reciprocal(torch.tensor(6.0)))
    scale = e4m3(torch.min(scale, torch.tensor(FLT_MAX)))
    multiplier = torch.min(torch.div(1.0, scale.float() * decode), torch.tensor(FLT_MAX))
    codes = ladder((blocks * multiplier).clamp(-6, 6)).reshape(x.shape)
    return codes, scale.view(torch.uint8).squeeze(-1).numpy()


def four_over_six_source(x: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """NVFP4QuantizerRef._quantize_blockwise_4over6_reference, mean absolute error, E4M3 bound 256."""
    blocks = blocks_of(x)
    vec_max, amax = blocks.abs().amax(-1, keepdim=True), blocks.abs().max()
    encode = torch.min(torch.div(torch.tensor(256.0 * 6.0), amax), torch.tensor(FLT_MAX))
    decode = torch.div(1.0, encode)
    base = torch.div(vec_max, torch.tensor(6.0)) * encode
    table = torch.from_numpy(E2M1.values.copy())
    found = []
    for target in (base * 1.5, base):
        scale = e4m3(target)
        multiplier = torch.min(torch.div(1.0, scale.float() * decode), torch.tensor(FLT_MAX))
        codes = ladder((blocks * multiplier).clamp(-6, 6))
        error = torch.zeros_like(vec_max[..., 0])
        for index in range(16):
            value = table[torch.from_numpy(codes[..., index].astype(np.int64))] * scale.float()[..., 0]
            value = value * amax / torch.tensor(6.0 * 256.0)
            error = error + (value - blocks[..., index]).abs()
        found.append((codes, scale.view(torch.uint8).squeeze(-1).numpy(), error.numpy()))
    four = found[0][2] < found[1][2]
    codes = np.where(four[..., None], found[0][0], found[1][0]).reshape(x.shape)
    return codes, np.where(four, found[0][1], found[1][1])


def vllm_source(x: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """ref_nvfp4_quant with the usual global scale; its elements are sign(x) times a ladder, so -0.0 is lost."""

    def reciprocal(value: Any) -> Any:
        return torch.where(value == 0, torch.tensor(0.0), 1.0 / value)

    blocks = blocks_of(x)
    global_scale = torch.tensor(448.0 * 6.0) / blocks.abs().max()
    scale = e4m3(global_scale * (blocks.abs().amax(-1, keepdim=True) * (1.0 / 6.0)))
    multiplier = reciprocal(scale.float() * reciprocal(global_scale))
    scaled = (blocks * multiplier).clamp(-6, 6)
    size = torch.from_numpy(E2M1.values[ladder(scaled.abs())])
    codes = E2M1.encode((size * torch.sign(scaled)).numpy()).reshape(x.shape)
    return codes.astype(np.uint8), scale.view(torch.uint8).squeeze(-1).numpy()


def data(name: str, seed: int = 11, rows: int = 128, columns: int = 512) -> NDArray[np.float32]:
    """Kinds of data on which the variants were seen to disagree, float32 [rows, columns]."""
    rng = np.random.default_rng(seed)
    shape, blocks = (rows, columns), (rows, columns // 16, 16)
    normal = rng.standard_normal(shape).astype(F)
    if name == "bfloat16":
        return formats.get("bf16").decode(formats.get("bf16").encode(normal))
    if name == "ties":
        unit = rng.choice(E4M3.values[1:127], (*blocks[:2], 1)).astype(F) * F(rng.uniform(1, 8) / 2688)
        middle = rng.choice(np.array([0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0, 6.0], F), blocks)
        middle[..., 0] = 6
        return np.asarray(middle * rng.choice([-1, 1], blocks) * unit, dtype=F).reshape(shape)
    if name == "ties of scales":  # block maxima that fall between two E4M3 scales
        largest = rng.uniform(1, 8)
        middle = (E4M3.values[1:126] + E4M3.values[2:127]) / 2
        top = rng.choice(middle, blocks[:2]) * 6 * largest / 2688
        values = normal.reshape(blocks) / 8 * top[..., None]
        values[..., 0], values[0, 0, 0] = top, largest
        return values.astype(F).reshape(shape)
    if name == "lognormal blocks":
        size = np.exp(3 * rng.standard_normal((*blocks[:2], 1)))
        return np.asarray(normal.reshape(blocks) * size, dtype=F).reshape(shape)
    if name == "tiny":
        return normal * F(1e-30)
    if name == "requantized":
        return quant.fake_quantize(normal, "nvfp4.te")
    assert name == "normal"
    return normal


KINDS = ["normal", "bfloat16", "ties", "ties of scales", "lognormal blocks", "tiny", "requantized"]
