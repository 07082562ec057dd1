"""A model on emulated arithmetic: every matrix product of its forward is computed by a `Policy`, bit by bit.

The operators are caught below autograd, which has by then recorded them with their unquantised operands. So a
backward pass under emulation is the straight-through estimate, and its own products run in float32. Replacing layers
by quantised ones was rejected: it misses attention and functional products, and leaves the model changed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hwsim.arch import Accelerator, Numerics, Policy, Prepared, Role
from hwsim.errors import ArgumentError
from hwsim.nn.observe import ProductMode, Seen, observing
from hwsim.nn.products import Call
from hwsim.nn.recipes import policy_of


class LayerPolicy(Protocol):
    """What emulation asks of a policy; `hwsim.arch.Policy` is one."""

    def for_gemm(self, layer: str, b_role: Role) -> Numerics | None:
        """The arithmetic of a product of `layer`, None for float32."""


@dataclass(slots=True)
class Coverage:
    """Multiply-accumulates of the forwards so far.

    Attributes:
        asked: of all products that the model's forwards computed, recomputed ones included.
        emulated: those that ran on the policy's arithmetic.
        left: the others, by layer and reason: (``"head"``, ``"policy"``), (``"rotary"``, ``"positions"``).
    """

    asked: int = 0
    emulated: int = 0
    left: dict[tuple[str, str], int] = field(default_factory=dict)

    def add(self, seen: Seen, emulated: bool) -> None:
        """Count a product."""
        macs = seen.product.macs
        self.asked += macs
        if emulated:
            self.emulated += macs
        else:
            key = seen.origin.layer, seen.folded or "policy"
            self.left[key] = self.left.get(key, 0) + macs


@dataclass(frozen=True, slots=True)
class Emulation:
    """A model under emulation, and what of it was emulated."""

    model: nn.Module
    counted: Coverage

    def coverage(self) -> Coverage:
        """Multiply-accumulates asked for, emulated, and left by layer and reason, so far."""
        return self.counted


@contextmanager
def emulate(
    model: nn.Module, recipe: str | Policy | Accelerator | None = None, policy: LayerPolicy | None = None
) -> Iterator[Emulation]:
    """Run `model` on emulated arithmetic inside the block; afterwards it is as before.

    Every matrix product of a forward of `model` (linear layers, convolutions, attention, functional products) is
    quantised and multiplied as the policy says for its layer, biases are added in float32, and the result is stored
    in the type that the model asked for. Batched products are taken one by one, each quantised alone. What runs
    outside of the model's forward, such as a loss, is untouched.

    What is no arithmetic of the network stays as it is: products of complex or of whole numbers, of positions with
    fixed buffers, and of weights with weights (`hwsim.nn.observe.Roles.folded`).

    The block gets an `Emulation`: the model, and how many multiply-accumulates were asked for and emulated.

    Gradients pass straight through: a backward pass uses the unquantised operands and runs in float32.

    Args:
        model: any module, in training or evaluation mode.
        recipe: a scheme's name (``"nvfp4"``), a machine or its name, or a policy.
        policy: instead of `recipe`, anything with ``for_gemm(layer, b_role)``.

    Raises:
        ArgumentError: not exactly one of `recipe` and `policy`.
        CaptureError: inside the block, an operator hides its matrix products.
    """
    if (recipe is None) == (policy is None):
        raise ArgumentError("either recipe or policy must be given", where="emulate")
    mode = _Emulator(policy_of(recipe) if recipe is not None else policy)
    with observing(model, mode):
        yield Emulation(model, mode.coverage)


class _Emulator(ProductMode):  # type: ignore[no-untyped-call]
    follows_backward = False

    def __init__(self, policy: Any) -> None:
        super().__init__()
        self.policy: LayerPolicy = policy
        self.coverage = Coverage()
        self._weights: dict[tuple[str, str, tuple[int, ...]], tuple[bytes, Prepared]] = {}

    def wants(self) -> bool:
        return self.layers.forward

    def on_call(self, name: str, call: Call, seen: tuple[Seen, ...], compute: Callable[[], Any]) -> Any:
        if not all(one.product.fits and one.product.macs for one in seen):
            return compute()  # nothing to multiply, or a mistake for which torch has the right words
        chosen = [None if one.folded else self.policy.for_gemm(one.origin.layer, _role(one)) for one in seen]
        for one, numerics in zip(seen, chosen, strict=True):
            self.coverage.add(one, numerics is not None and call.finish is not None)
        if call.finish is None or all(numerics is None for numerics in chosen):
            return compute()
        return call.finish([self._product(one, numerics) for one, numerics in zip(seen, chosen, strict=True)])

    def _product(self, seen: Seen, numerics: Numerics | None) -> Tensor:
        """``[batch, M, N]`` in float32, in the operator's order of operands."""
        product = seen.product
        a, b = _values(product.a), _values(product.b)
        if numerics is None:
            out = torch.from_numpy(np.matmul(a, b.swapaxes(1, 2)))
        elif _role(seen) == "activation":
            out = torch.from_numpy(numerics.gemms(a, b))
        else:
            out = torch.empty(len(a), a.shape[1], b.shape[1])
            result = out.numpy()
            for index in range(len(a)):
                result[index] = numerics.gemm(a[index], self._prepared(seen, numerics, b[index], index), "weight")
        return (out.mT if product.swapped else out).to(product.a.device)

    def _prepared(self, seen: Seen, numerics: Numerics, b: NDArray[np.float32], index: int) -> Prepared:
        """Operand b, quantised again only where a bit of it has changed since the last batch."""
        key = seen.origin.layer, f"{numerics.key}:{index}", b.shape
        digest = hashlib.blake2b(b.data, digest_size=16).digest()
        found = self._weights.get(key)
        if found is None or found[0] != digest:
            found = digest, numerics.prepare_b(b, "weight")
            self._weights[key] = found
        return found[1]


def _role(seen: Seen) -> Role:
    return "weight" if seen.b_role == "weight" else "activation"


def _values(tensor: Tensor) -> NDArray[np.float32]:
    values: NDArray[np.float32] = tensor.detach().float().contiguous().cpu().numpy()
    return values
