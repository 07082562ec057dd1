"""One product as an autograd function: it knows its forward, the gradients of both operands, and where it belongs.

So a backward pass needs no mode, and runs emulated wherever it runs: after the block, in another thread, in a
recomputation. Under ``vmap`` a batch joins the rows of a product whose other operand is shared, else the batch of
products.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hwsim.nn.arithmetic import Arithmetic
from hwsim.nn.coverage import Coverage
from hwsim.nn.noise import Clock, Ticket, sampled
from hwsim.nn.operands import Floats, Made
from hwsim.trace.gemm import Phase, Role


@dataclass(slots=True)
class Job:
    """One use of a layer: its arithmetic, and what the backward needs of the forward beside the operands."""

    layer: str
    b_role: Role
    arithmetic: Arithmetic
    clock: Clock
    coverage: Coverage
    reason: str
    ticket: Ticket | None = None
    kept: dict[str, Made] = field(default_factory=dict)
    mark: Any = None

    def run(self, a: Tensor, b: Tensor, keep: bool) -> Tensor:
        """a ``[batch, M, K]`` times b ``[batch, N, K]`` in float32, ``[batch, M, N]``."""
        with alone(a):
            return self._run(values(a), values(b), keep).to(a.device)

    def _run(self, left: Floats, right: Floats, keep: bool) -> Tensor:
        self.mark = sampled(left) if keep else None
        self.ticket = self.clock.ticket(self.layer, (left, right))
        emulated = self.arithmetic.emulates("fprop")
        self.coverage.add("forward", self.layer, _macs(left, right), "" if emulated else self.reason)
        kept: dict[str, Made] = {}
        if emulated:
            out = self.arithmetic.fprop(left, right, self.ticket, kept)
        else:
            out = torch.matmul(torch.from_numpy(left), torch.from_numpy(right).mT).numpy()
        if keep:
            self.kept = kept
        return torch.from_numpy(out)

    def entered(self, a: Tensor) -> bool:
        """Whether these are the numbers of operand a."""
        return bool(self.mark == sampled(values(a)))

    def gradient_of_a(self, g: Tensor, a: Tensor, b: Tensor) -> Tensor:
        """g ``[batch, M, N]`` -> ``[batch, M, K]`` in the type of a."""
        assert self.ticket is not None
        self._count("dgrad", "dgrad", g, b)
        with alone(a):
            out = self.arithmetic.dgrad(values(g), values(a), values(b), self.ticket, self.kept)
            return torch.from_numpy(np.ascontiguousarray(out)).to(a)

    def gradient_of_b(self, g: Tensor, a: Tensor, b: Tensor) -> Tensor:
        """g ``[batch, M, N]`` -> ``[batch, N, K]`` in the type of b."""
        assert self.ticket is not None
        self._count("wgrad" if self.b_role == "weight" else "dgrad", "wgrad", g, a)
        with alone(a):
            out = self.arithmetic.wgrad(values(g), values(a), values(b), self.ticket, self.kept)
            return torch.from_numpy(np.ascontiguousarray(out)).to(b)

    def _count(self, phase: Phase, gemm: Any, g: Tensor, other: Tensor) -> None:
        macs = g.numel() * int(other.shape[-1])
        self.coverage.add(phase, self.layer, macs, "" if self.arithmetic.emulates(gemm) else self.reason)


class Followed(torch.autograd.Function):
    """``_follow(a, b, job)``."""

    @staticmethod
    def forward(a: Tensor, b: Tensor, job: Job) -> Tensor:
        """The product."""
        return job.run(a, b, keep=True)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Job], output: Tensor) -> None:
        """Keep the operands as torch keeps them, so that whoever packs saved tensors packs these."""
        a, b, ctx.job = inputs
        ctx.save_for_backward(a, b)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        """Both gradients, through a function of their own so that ``vmap`` can see them."""
        a, b = ctx.saved_tensors
        da = _gradient(g, a, b, ctx.job, "a") if ctx.needs_input_grad[0] else None
        db = _gradient(g, a, b, ctx.job, "b") if ctx.needs_input_grad[1] else None
        return da, db, None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], a: Tensor, b: Tensor, job: Job) -> tuple[Tensor, int]:
        """A batch of products."""
        size = info.batch_size
        if in_dims[1] is None and a.dim() == 4:
            a = a.movedim(in_dims[0], 1)  # [batch, V, M, K]
            batch, _, m, k = a.shape
            out = _follow(a.reshape(batch, size * m, k), b, job)
            return out.reshape(batch, size, m, -1).movedim(1, 0), 0
        a, b = _spread(a, in_dims[0], size), _spread(b, in_dims[1], size)
        out = _follow(a.flatten(0, 1), b.flatten(0, 1), job)
        return out.unflatten(0, (size, -1)), 0


class _Gradient(torch.autograd.Function):
    """One gradient; it has none of its own."""

    @staticmethod
    def forward(g: Tensor, a: Tensor, b: Tensor, job: Job, of: str) -> Tensor:
        return job.gradient_of_a(g, a, b) if of == "a" else job.gradient_of_b(g, a, b)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        raise RuntimeError("emulated gradients are rounded and must not be differentiated again")

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[Any, ...], g: Tensor, a: Tensor, b: Tensor, job: Job, of: str
    ) -> tuple[Tensor, int]:
        made = [
            _gradient(*(one if dim is None else one.select(dim, index) for one, dim in
                              zip((g, a, b), in_dims[:3], strict=True)), job, of)
            for index in range(info.batch_size)
        ]  # fmt: skip
        return torch.stack(made), 0


def multiply(a: Tensor, b: Tensor, job: Job, keep: bool) -> Tensor:
    """The product of a ``[batch, M, K]`` and b ``[batch, N, K]`` by a job, followed by autograd where it follows.
    `keep`: also without gradients the job is made ready for a backward, which a function of the model's own has."""
    wrapped = is_wrapped(a) or is_wrapped(b)
    if wrapped or (torch.is_grad_enabled() and (a.requires_grad or b.requires_grad)):
        made: Tensor = _follow(a, b, job)
        return made
    return job.run(a, b, keep)


_follow: Any = Followed.apply
_gradient: Any = _Gradient.apply


@contextmanager
def alone(tensor: Tensor) -> Iterator[None]:
    """Without modes and casts that are in force outside: what emulation computes with is not the model's."""
    with torch._C.DisableTorchFunction():
        if torch.is_autocast_enabled(tensor.device.type):
            with torch.autocast(tensor.device.type, enabled=False):
                yield
        else:
            yield


def is_wrapped(tensor: Tensor) -> bool:
    """Whether a transform of ``torch.func`` stands around a tensor."""
    return bool(torch._C._functorch.is_functorch_wrapped_tensor(tensor))


def values(tensor: Tensor) -> NDArray[np.float32]:
    """A tensor in float32 on the host, contiguous: a view where it is that already.

    `Tensor.numpy` would forbid for ever that its memory is resized, which FSDP2 does to gathered parameters.
    """
    found: Any = np.from_dlpack(tensor.detach().float().contiguous().cpu())
    held: Floats = found
    return held


def _spread(tensor: Tensor, dim: int | None, size: int) -> Tensor:
    return tensor.expand(size, *tensor.shape) if dim is None else tensor.movedim(dim, 0)


def _macs(a: Floats, b: Floats) -> int:
    return int(a.shape[0] * a.shape[1] * b.shape[1] * a.shape[2])
