"""What a function that no table knows multiplies inside: found by a dispatch mode, below autograd."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from hwsim.nn.observe import ProductMode, Seen
from hwsim.nn.products import Call


class NoAttention:
    """No attention is under way."""

    under_way = ""

    def next_name(self) -> None:
        """Products are no part of one."""


class Below(ProductMode):  # type: ignore[no-untyped-call]
    """Runs the products of one function by `owner.on_below`."""

    follows_backward = False

    def __init__(self, owner: Any, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        super().__init__()
        self.owner, self.multiplied = owner, False
        self.roles, self.layers, self.attention = owner.roles, owner.layers, NoAttention()  # type: ignore[assignment]
        self.what = str(getattr(function, "__name__", function))
        leaves = tree_leaves((args, kwargs))
        asked = any(isinstance(leaf, Tensor) and leaf.requires_grad for leaf in leaves)
        self.gradients = torch.is_grad_enabled() and asked

    def on_hidden(self, name: str) -> None:
        """See `ProductMode`."""
        self.owner.on_hidden(name)

    def on_call(self, name: str, call: Call, seen: tuple[Seen, ...], compute: Callable[[], Any]) -> Any:
        """See `ProductMode`."""
        self.multiplied = True
        if not all(one.product.fits and one.product.macs for one in seen):
            return compute()
        return self.owner.on_below(call, seen, self.gradients, self.what, compute)
