"""Muon, whose Newton–Schulz iteration multiplies in any arithmetic.

Muon steps along the orthogonal factor of the momentum, UVᵀ for U diag(σ) Vᵀ. It comes from five iterations of
X ← aX + (bA + cA²)X with A = XXᵀ, begun at G / ‖G‖: 15 matrix products outside of the model, which a watcher of the
model does not see. Every implementation multiplies in bfloat16. A processor without bfloat16 spends twenty times as
long on that as on forward and backward together; and whether fewer bits would do is a question about these products
alone. So their arithmetic is an argument here.

Source of the constants and of the step: Keller Jordan, "Muon" (2024), as `torch.optim.Muon` has them; with
``"bfloat16"`` every bit is that optimizer's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hwsim import quant
from hwsim.arch import Numerics
from hwsim.errors import ArgumentError
from hwsim.nn.models import ModelFile
from hwsim.nn.training import has_bf16

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""a, b and c: of largest slope at 0; singular values end between 0.7 and 1.2, not at 1."""

Arithmetic = str | Numerics | None
"""``"float32"``, ``"bfloat16"``, the name of a scheme for both operands, a `Numerics`; None: bfloat16 where the
processor multiplies it, else float32."""

Product = Callable[[Tensor, Tensor], Tensor]


def newton_schulz(
    matrix: Tensor,
    arithmetic: Arithmetic = None,
    *,
    steps: int = 5,
    eps: float = 1e-7,
    seed: int = 0,
    last: int = 0,
) -> Tensor:
    """The orthogonal factor of a matrix, roughly: its singular vectors with singular values near 1.

    With a scheme both operands of each product are quantized along its contraction and multiplied in float32; with a
    `Numerics` they run on its datapath, bit by bit. Sums of matrices are in float32 (bfloat16 with ``"bfloat16"``).

    Args:
        matrix: ``[rows, columns]``.
        arithmetic: of the products.
        steps: iterations, three products each.
        eps: the least norm that the matrix is divided by.
        seed: of schemes that round stochastically.
        last: so many iterations at the end multiply in float32.

    Returns:
        the type and shape of `matrix`.

    Raises:
        ArgumentError: not a matrix. UnknownName: no such scheme.
    """
    if matrix.ndim != 2:
        raise ArgumentError("matrix must have two axes", got=tuple(matrix.shape), where="newton_schulz")
    chosen = arithmetic if arithmetic is not None else ("bfloat16" if has_bf16() else "float32")
    x = matrix.bfloat16() if chosen == "bfloat16" else matrix.float()
    tall = x.shape[0] > x.shape[1]
    x = x.mT if tall else x
    x = x / x.norm().clamp(min=eps)
    a, b, c = COEFFICIENTS
    if chosen in ("bfloat16", "float32"):
        for _ in range(steps):
            gram = x @ x.mT
            x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    else:
        low, high = _product(chosen, seed), torch.nn.functional.linear
        for step in range(steps):
            product = low if step < steps - last else high
            gram = product(x, x)
            x = a * x + product(b * gram + c * product(gram, gram.mT), x.mT)
    return (x.mT if tall else x).to(matrix.dtype)


def _product(arithmetic: str | Numerics, seed: int) -> Product:
    """``p @ q.T`` of float32 p ``[M, K]`` and q ``[N, K]``."""
    scheme = quant.get(arithmetic) if isinstance(arithmetic, str) else None
    calls = 0

    def made(one: NDArray[np.float32], draw: int) -> NDArray[np.float32]:
        assert scheme is not None
        return quant.fake_quantize(one, scheme, seed=draw if scheme.rounding == "sr" else None)

    def product(p: Tensor, q: Tensor) -> Tensor:
        nonlocal calls
        left, right = (one.contiguous().numpy() for one in (p, q))
        draw = (seed << 8) + 2 * calls
        calls += 1
        if isinstance(arithmetic, Numerics):
            return torch.from_numpy(arithmetic.gemm(left, right, "activation", seed=draw))
        return torch.from_numpy(made(left, draw)) @ torch.from_numpy(made(right, draw + 1)).mT

    return product


def orthogonalized(matrix: NDArray[np.float32], arithmetic: Arithmetic, last: int = 0) -> NDArray[np.float32]:
    """`newton_schulz` of an array."""
    made: NDArray[np.float32] = newton_schulz(torch.from_numpy(matrix), arithmetic, last=last).numpy()
    return made


def gradients_of(model: str, size: int) -> dict[str, NDArray[np.float32]]:
    """Gradients of the weight matrices of a model file's network on its first batch of `size`, by layer."""
    file = ModelFile.find(model)
    network, loss, batches = file.build(), file.get("loss"), file.get("batches")
    if loss is None or batches is None:
        raise ArgumentError(
            "model file must define loss(model, batch) and batches(count, size)", where=str(file.path)
        )
    loss(network, next(iter(batches(1, size)))).backward()
    return {
        name.removesuffix(".weight"): parameter.grad.numpy()
        for name, parameter in network.named_parameters()
        if parameter.ndim == 2 and parameter.grad is not None
    }


def products(rows: int, columns: int, steps: int = 5) -> list[tuple[int, int, int]]:
    """(M, N, K) of the matrix products that one matrix costs a step: for n <= m, n n m, n n n and n m n each time."""
    n, m = sorted((rows, columns))
    return [(n, n, m), (n, n, n), (n, m, n)] * steps


class Muon(torch.optim.Optimizer):
    """`torch.optim.Muon` in any arithmetic.

    Args:
        params: matrices, or groups of them.
        lr: multiplied by sqrt(max(1, rows / columns)) for each matrix.
        weight_decay: times lr, of the weights themselves.
        momentum: of the running mean of gradients, with Nesterov's look ahead.
        arithmetic: of the iteration.
        steps: iterations.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        arithmetic: Arithmetic = None,
        steps: int = 5,
    ) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})
        self.arithmetic, self.steps, self._done = arithmetic, steps, 0

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step along the orthogonal factors of the momenta."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["momentum_buffer"] = torch.zeros_like(parameter)
                buffer = state["momentum_buffer"]
                buffer.lerp_(parameter.grad, 1 - group["momentum"])
                update = parameter.grad.lerp(buffer, group["momentum"])
                self._done += 1
                update = newton_schulz(update, self.arithmetic, steps=self.steps, seed=self._done)
                rows, columns = parameter.shape
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.add_(update, alpha=-group["lr"] * math.sqrt(max(1, rows / columns)))
        return loss
