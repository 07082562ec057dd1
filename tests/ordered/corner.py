"""Run by `test_processors`: prints what operators, captures and metrics give on the processor that the environment
pretends to have, as JSON of name to digest."""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as f

import hwsim
from hwsim.arch import load_accelerator
from hwsim.evaluation import replay
from hwsim.nn import measure
from hwsim.nn.ordered import ordered

HOSTILE = [0.0, -0.0, float("inf"), -float("inf"), float("nan"), 1e-45, -1e-40, 3e38, 1.0, -1.0, 2.5, -0.5]
DTYPES = torch.float32, torch.float64, torch.bfloat16


def numbers(*shape: int, dtype: torch.dtype = torch.float32, scale: float = 1.0) -> Tensor:
    """Within ± 3 `scale`, from whole numbers: torch's normal ones depend on the processor."""
    word = torch.arange(1, torch.Size(shape).numel() + 1) * 2654435761 % 4294967291
    word = word * 48271 % 2147483647
    return ((word.double() / 2147483647 - 0.5) * 6 * scale).to(dtype).reshape(shape)


def hostile(dtype: torch.dtype) -> Tensor:
    """2,000 numbers, special values at every place of a vector register and in the tail."""
    x = numbers(2018, dtype=dtype)
    specials = torch.tensor(HOSTILE, dtype=dtype)
    x[7:1951:13] = specials.repeat(13)[:150]
    x[-12:] = specials
    return x


def digest(value: Any) -> str:
    """Of the bits of tensors, every NaN as one."""
    found = hashlib.sha256()
    for one in value if isinstance(value, (tuple, list)) else (value,):
        if one is not None:
            bits = one.detach().contiguous()
            if bits.is_floating_point():
                bits = torch.where(bits.isnan(), torch.full_like(bits, float("nan")), bits)
            found.update(
                f"{tuple(bits.shape)} {bits.dtype}".encode() + bits.reshape(-1).view(torch.uint8).numpy().tobytes()
            )
    return found.hexdigest()[:12]


def of_torch(dtype: torch.dtype) -> Iterator[tuple[str, Any]]:
    """Operators that are left to torch."""
    x = hostile(dtype)
    y = x.roll(5)
    a, b = x[:2000].reshape(40, 50), y[:2000].reshape(50, 40).t()
    image, plain = x[:1936].reshape(1, 1, 44, 44), numbers(40, 50, dtype=dtype)
    yield "add", (x + y, a + b, x + 3.0, x - y, 1.0 - x)
    yield "mul", (x * y, a * b, x * 0.3, x / y, x / 3.0, x.reciprocal(), -x, x.abs())
    yield "relu", (x.relu(), a.t().relu(), f.leaky_relu(x), torch.ops.aten.threshold_backward(x, y, 0.0))
    yield "clamp", (x.clamp(-1, 1), x.clamp_min(0.0), x.clamp_max(0.0), x.nan_to_num())
    yield "largest", (x.maximum(y), x.minimum(y), a.amax(1), a.amin(1), a.amax(0), x.amax(), *a.max(1), *a.min(0))
    yield "round", (x.round(), x.floor(), x.ceil(), x.trunc(), x.sign(), x.copysign(y))
    yield "cumsum", (plain.cumsum(0), plain.cumsum(1), plain.flatten().cumsum(0))
    yield "power", [x**n for n in (0, 1, 2, 3, -1, -2)]
    yield "where", (torch.where(x > y, x, y), x.masked_fill(x > 1, 0.3), a.tril())
    yield "casts", [x.to(kind) for kind in (*DTYPES, torch.float16)]
    yield "sort", (a.sort(1).values, plain.topk(7).values, a.argmax(1), x.argmin())
    yield "windows", (*f.max_pool2d(image, 3, 2, return_indices=True), f.unfold(image, 3))
    yield "upsample", f.interpolate(image, scale_factor=2)
    yield "gather", (a.gather(1, torch.arange(50).repeat(40, 1).flip(1)), a[torch.arange(39, -1, -1)])
    yield "accumulate", torch.zeros(9, 50, dtype=dtype).index_put((torch.arange(40) % 3,), plain, accumulate=True)


def of_ours(dtype: torch.dtype) -> Iterator[tuple[str, Any, list[Tensor]]]:
    """Operators of ours: name, results, and the tensors whose gradients are to be taken."""
    specials = hostile(dtype)
    for name in ("exp", "expm1", "log", "log1p", "tanh", "sigmoid", "erf", "exp2", "sqrt", "rsqrt"):
        yield name, getattr(torch, name)(specials), []
    angles = specials.clamp(-9e4, 9e4)
    yield "angles", (angles.sin(), angles.cos()), []
    x, w, m = (numbers(*shape, dtype=dtype).requires_grad_() for shape in ((6, 5, 67), (67,), (67, 33)))
    image, filters = (numbers(*shape, dtype=dtype).requires_grad_() for shape in ((2, 4, 9, 9), (6, 2, 3, 3)))
    yield "softmax", (x.softmax(-1), x.softmax(1), x.log_softmax(-1), x.logsumexp(-1)), [x]
    yield "norms", (f.layer_norm(x, (67,), w, w), f.rms_norm(x, (67,), w), f.normalize(x, dim=1)), [x, w]
    yield "channel norms", (f.group_norm(image, 2), f.batch_norm(image, None, None, training=True)), [image]
    yield "gelu", (f.gelu(x), f.gelu(x, approximate="tanh"), f.mish(x), f.elu(x)), [x]
    yield "silu", (f.silu(x), f.softplus(x), f.hardswish(x), x.abs() ** 1.7, 10000.0 ** (-x.abs() / 3)), [x]
    yield "sums", (x.sum(), x.sum(1), x.sum((0, 2)), x.mean(), x.mean(-1, keepdim=True)), [x]
    yield "spread", (x.var(-1), x.std(1), x.var(), x.norm(), x.norm(dim=-1)), [x]
    yield "scaled", (x.add(w, alpha=0.3), torch.addcmul(x, x, w, value=0.7), torch.lerp(x, w, 0.3)), [x, w]
    yield "matmul", (x @ m, f.linear(x, m.t(), m[0]), x @ x.mT, x[0] @ w), [x, w, m]
    yield "einsum", torch.einsum("abk,kn->nab", x, m), [x, m]
    yield "convolution", f.conv2d(image, filters, stride=2, padding=1, groups=2), [image, filters]
    yield "transposed", f.conv_transpose2d(image[:, :3], filters[:3], stride=2, padding=1), [image, filters]
    yield "attention", f.scaled_dot_product_attention(x, x, x, is_causal=True), [x]
    yield "pool", f.adaptive_avg_pool2d(image, 1), [image]
    yield "losses", (f.cross_entropy(x.flatten(0, 1), torch.arange(30)), f.mse_loss(x, x.roll(1))), [x]


def operators() -> Iterator[tuple[str, str]]:
    """All of them, forward and backward, and last the names of those that torch computed in an order of its own."""
    with ordered() as mode:
        for dtype in DTYPES:
            for name, made in of_torch(dtype):
                yield f"{name} {dtype}", digest(made)
            for name, made, wanted in of_ours(dtype):
                results = made if isinstance(made, tuple) else (made,)
                found = list(results)
                if wanted:
                    loss = torch.stack([(one * numbers(*one.shape, dtype=dtype)).sum() for one in results]).sum()
                    found += torch.autograd.grad(loss, wanted, allow_unused=True)
                yield f"{name} {dtype}", digest(found)
    yield "left to torch", " ".join(sorted(mode.left))


class Recurrent(nn.Module):
    """An LSTM with a head, weights from `numbers`."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.head = nn.LSTM(16, 24, batch_first=True), nn.Linear(24, 8)
        with torch.no_grad():
            for at, parameter in enumerate(self.parameters()):
                parameter.copy_(numbers(*parameter.shape, scale=0.1 + 0.01 * at))

    def forward(self, x: Tensor) -> Tensor:
        """``[B, T, 16]`` to ``[B, T, 8]``."""
        return self.head(self.lstm(x)[0])


def models(specs: list[str], folder: Path) -> Iterator[tuple[str, str]]:
    """Operands of captures, metrics in float32 and emulated, a replay."""
    policy = load_accelerator("edge-nvfp4").policy
    traces = [hwsim.capture(Recurrent(), folder / "lstm", [numbers(2, 5, 16)])]
    traces += [hwsim.capture(spec, folder / spec, max_rows=64) for spec in specs]
    for trace in traces:
        for at, gemm in enumerate(trace.gemms("forward")):
            operands = [torch.from_numpy(operand.values.copy()) for operand in (gemm.a, gemm.b)]
            yield f"{trace.path.name} operands {at} {gemm.layer}", digest(operands)
        yield f"{trace.path.name} replay", repr(replay(trace, policy))
    for spec in specs:
        yield f"{spec} float32", repr(measure(spec, bytes=512).value)
        yield f"{spec} rerun", repr(measure(spec, policy, bytes=512).value)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as work:
        print(json.dumps(dict([*operators(), *models(sys.argv[1:], Path(work))])))
