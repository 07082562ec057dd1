"""What others' libraries make of the same numbers: torch's scaled products, torchao, and those not installed."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim import quant
from hwsim.errors import MissingExtra
from hwsim.verify import gemm
from hwsim.verify.subject import Subject
from hwsim.verify.table import Row, skipped, today

TRITON = "Triton dot_scaled, MXFP4"
ENGINE = "Transformer Engine: its NVFP4 and FP8 casts and products"
BLOCK_SCALED = "F.scaled_mm, NVFP4 and MXFP8 with block scales"


def check(subject: Subject, quick: bool, seed: int = 0) -> Iterator[Row]:
    """Rows of every library here, and of those that are not."""
    size = 128 if quick else 512
    try:
        import torch
    except ImportError:
        yield skipped("whole products", "torch", MissingExtra("torch", install="pip install hwsim[torch]"))
        return
    capability = torch.cuda.get_device_capability() if torch.cuda.is_available() else None
    yield _scaled_mm(subject, torch, capability, size, seed)
    if capability is None or capability < (10, 0):
        yield skipped(BLOCK_SCALED, f"torch {torch.__version__}", "needs a CUDA device of capability 10.0 or 12.0")
    else:
        yield _block_scaled(subject, torch, size, seed)
    yield from _torchao(subject, torch, size, seed)
    yield _triton(subject, torch, capability, seed)
    here = importlib.util.find_spec("transformer_engine") is not None
    why = "its casts are compared as schemes (hwsim.quant); no product of it is called here"
    yield skipped(ENGINE, "transformer_engine", why if here else "transformer_engine is not installed")


def _codes(rng: np.random.Generator, form: str, rows: int, k: int) -> NDArray[np.uint8]:
    from hwsim import formats

    return formats.get(form).encode(rng.standard_normal((rows, k)).astype(np.float32))


def _scaled_mm(subject: Subject, torch: Any, capability: tuple[int, int] | None, size: int, seed: int) -> Row:
    """FP8, one scale a tensor, in its fast mode: every bit on Hopper and Ada, float32's bound on a CPU."""
    rng = np.random.default_rng(seed)
    a, b = _codes(rng, "e4m3", size, 2 * size), _codes(rng, "e4m3", size, 2 * size)
    device = "cpu" if capability is None else "cuda"
    arch = {8: "ada", 9: "hopper", 10: "blackwell", 12: "rtx_blackwell"}.get(capability[0] if capability else 9, "")
    tensors = [torch.from_numpy(x).view(torch.float8_e4m3fn).to(device) for x in (a, b)]
    one = torch.ones((), dtype=torch.float32, device=device)
    tensorwise = torch.nn.functional.ScalingType.TensorWise
    result = torch.nn.functional.scaled_mm(
        tensors[0], tensors[1].t(), one, tensorwise, one, tensorwise, output_dtype=torch.float32, use_fast_accum=True
    )
    theirs = result.cpu().numpy()
    oracle, operation = (
        f"torch {torch.__version__} on {device}",
        f"F.scaled_mm FP8, {size}×{size}×{2 * size}, float32",
    )
    unit = subject.unit(arch, "e4m3")
    if capability is not None:
        plan = gemm.explain(unit, a, b, theirs.view(np.uint32), promote=0)
        ours = gemm.product(unit, a, b, plan=plan)
        wrong = int((ours.view(np.uint32) != theirs.view(np.uint32)).sum())
        return Row(operation, oracle, theirs.size, wrong, today(), f"{plan or 'no documented plan'} on {arch}")
    group, fraction, bits = 32, 13, 13
    room = gemm.bound(unit, a, b, group, fraction, bits) + gemm.float32_bound(unit, a, b)
    far = np.abs(gemm.product(unit, a, b).astype(np.float64) - theirs) > room
    note = "a CPU adds in float32, the emulated Hopper unit with 13 fraction bits: the sum of both bounds"
    return Row(operation, oracle, theirs.size, int(far.sum()), today(), note, bound=True)


def _block_scaled(subject: Subject, torch: Any, size: int, seed: int) -> Row:
    """NVFP4 with swizzled scales against one ascending chain; bits where they agree, else how far apart."""
    from hwsim.verify.cuda.layout import swizzle_scales

    functional, rng = torch.nn.functional, np.random.default_rng(seed)
    codes = [rng.integers(0, 16, (size, 2 * size)).astype(np.uint8) for _ in range(2)]
    scales = [rng.integers(0x28, 0x48, (size, size // 8)).astype(np.uint8) for _ in range(2)]
    packed = [torch.from_numpy(x[:, 0::2] | x[:, 1::2] << 4).view(torch.float4_e2m1fn_x2).to("cuda") for x in codes]
    swizzled = [torch.from_numpy(swizzle_scales(s)).view(torch.float8_e4m3fn).to("cuda") for s in scales]
    recipe, swizzle = functional.ScalingType.BlockWise1x16, functional.SwizzleType.SWIZZLE_32_4_4
    result = functional.scaled_mm(
        packed[0], packed[1].t(), swizzled[0], recipe, swizzled[1], recipe, swizzle, swizzle,
        output_dtype=torch.bfloat16,
    )  # fmt: skip
    theirs = result.cpu().view(torch.uint16).numpy()
    arch = "blackwell" if torch.cuda.get_device_capability()[0] == 10 else "rtx_blackwell"
    ours = gemm.epilogue(
        gemm.product(subject.unit(arch, "nvfp4"), codes[0], codes[1], (scales[0], scales[1])), 1.0, 1.0, "bf16"
    )
    wrong = int((ours != theirs).sum())
    note = "one ascending chain, then bf16" if not wrong else "the library's order over K is not one ascending chain"
    return Row(BLOCK_SCALED, f"torch {torch.__version__} on cuda", theirs.size, wrong, today(), note)


def triton_product(codes: list[NDArray[np.uint8]], scales: list[NDArray[np.uint8]], device: str) -> Any:
    """MXFP4 codes a ``[M, K]``, b ``[N, K]`` (M, N, K powers of two from 128) by `dot_scaled`: float32 ``[M, N]``."""
    import torch

    from hwsim.verify.checks.triton_kernel import scaled

    packed = [torch.from_numpy(x[:, 0::2] | x[:, 1::2] << 4).to(device) for x in codes]
    bytes_ = [torch.from_numpy(s).to(device) for s in scales]
    out = torch.zeros((len(codes[0]), len(codes[1])), dtype=torch.float32, device=device)
    scaled[(1,)](*packed, *bytes_, out, *out.shape, codes[0].shape[1])
    return out.cpu().numpy()


def _triton(subject: Subject, torch: Any, capability: tuple[int, int] | None, seed: int) -> Row:
    """An ascending chain of FP4 instructions (from the code that Triton 3.9 makes for sm_100 and sm_120)."""
    if importlib.util.find_spec("triton") is None:
        return skipped(TRITON, "triton", "triton is not installed")
    if capability is None or capability < (10, 0):
        return skipped(
            TRITON, "triton", "needs a CUDA device of capability 10.0 or 12.0; below, it multiplies bfloat16"
        )
    rng = np.random.default_rng(seed)
    codes = [rng.integers(0, 16, (128, 256)).astype(np.uint8) for _ in range(2)]
    scales = [rng.integers(110, 140, (128, 8)).astype(np.uint8) for _ in range(2)]
    theirs = triton_product(codes, scales, "cuda")
    unit = subject.unit("blackwell" if capability[0] == 10 else "rtx_blackwell", "mxfp4")
    ours = unit.matmul(codes[0], codes[1], None, scales[0], scales[1])
    wrong = int((ours.view(np.uint32) != theirs.view(np.uint32)).sum())
    version = importlib.metadata.version("triton")
    return Row(TRITON, f"triton {version} on cuda", theirs.size, wrong, today(), "one ascending chain")


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the warnings of an import, which are about kernels that this machine does not have."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _torchao(subject: Subject, torch: Any, size: int, seed: int) -> Iterator[Row]:
    """torchao's NVFP4 casts, and its product of one layer beside the emulated one."""
    os.environ.setdefault("TORCHAO_SKIP_LOADING_SO_FILES", "1")  # its kernels need another Python or a GPU
    try:
        with _quiet():
            import torchao
            from torchao.prototype.mx_formats import nvfp4_tensor
    except ImportError as missing:
        yield skipped(
            "NVFP4 casts", "torchao", MissingExtra(f"torchao ({missing})", install="pip install hwsim[dev]")
        )
        return
    x = np.random.default_rng(seed).standard_normal((size, 4 * size)).astype(np.float32)
    x[:, ::7] *= np.float32(2.0**-9)
    oracle = f"torchao {torchao.__version__}"
    for name in ("nvfp4.torchao", "nvfp4.torchao_1level"):
        tensor = torch.from_numpy(x)
        amax = nvfp4_tensor.per_tensor_amax_to_scale(tensor.abs().max()) if name == "nvfp4.torchao" else None
        scales, packed = nvfp4_tensor.nvfp4_quantize(tensor, 16, amax)
        byte = packed.view(torch.uint8).numpy()
        codes = np.stack([byte & 15, byte >> 4], axis=-1).reshape(x.shape)
        ours = quant.quantize(x, name)
        wrong = int((ours.codes != codes).sum() + (ours.scales != scales.view(torch.uint8).numpy()).sum())
        yield Row(f"quantize {name}", oracle, codes.size + ours.scales.size, wrong, today(), "codes and scale bytes")
    yield _layer(subject, torch, nvfp4_tensor, x[:, :1024], oracle)


def _layer(subject: Subject, torch: Any, nvfp4_tensor: Any, x: NDArray[np.float32], oracle: str) -> Row:
    """One linear layer: torchao decodes and multiplies in float32; the emulated unit multiplies the codes.

    The unit cuts what it adds at 2^-35 below its largest term and truncates to float32 once every 64 elements, so it
    is within 2^-23 of sum |a b| an instruction; float32 in any order is within K 2^-24 of it.
    """
    weight = np.random.default_rng(1).standard_normal((64, x.shape[1])).astype(np.float32)
    cast = nvfp4_tensor.NVFP4Tensor.to_nvfp4
    decoded = [cast(torch.from_numpy(np.ascontiguousarray(t))).dequantize(torch.float32) for t in (x, weight)]
    theirs = torch.nn.functional.linear(*decoded).numpy()
    q = [quant.quantize(np.ascontiguousarray(t), "nvfp4.torchao_1level") for t in (x, weight)]
    unit = subject.unit("blackwell", "nvfp4")
    ours = unit.matmul(q[0].codes, q[1].codes, None, q[0].scales, q[1].scales)
    total = np.abs(decoded[0].numpy().astype(np.float64)) @ np.abs(decoded[1].numpy().astype(np.float64)).T
    k = x.shape[1]
    room = 1.01 * total * (k * 2.0**-24 + k / 64 * 2.0**-23)
    far = int((np.abs(ours.astype(np.float64) - theirs) > room).sum())
    note = f"bound of both orders of addition; {int((ours == theirs).sum()):,} results are the same float32"
    return Row(f"NVFP4 linear layer {x.shape[0]}×64×{k}", oracle, ours.size, far, today(), note, bound=True)
