"""A recipe on a model: which of its layers' products run how, at the step that training has reached."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hwsim.nn.arithmetic import ByRecipe, Exact, Seeds
from hwsim.nn.noise import Clock
from hwsim.nn.places import Places, plain_name
from hwsim.recipes import FLOAT32, Draw, Layer, Recipe
from hwsim.trace.gemm import Role


class Book:
    """What a recipe says of each layer of a model, with its schedule, its monitor and what it does after a step.

    Attributes:
        ratios: for each step the median over layers of a gradient's norm by the noise of its quantization, where the
            recipe has a monitor.
        switched: whether the monitor's switch has fallen.
    """

    def __init__(self, model: nn.Module, recipe: Recipe, exact: Exact, seeds: Seeds, clock: Clock) -> None:
        self.model, self.recipe, self.exact, self.seeds, self.clock = model, recipe, exact, seeds, clock
        self.places = Places(model)
        self.steps: int | None = None
        self.ratios: list[tuple[int, float]] = []
        self.switched = False
        self._chosen: dict[tuple[str, str, str], Layer] = {}
        self._made: dict[Layer, ByRecipe] = {}

    def arithmetic(self, layer: str, op: str, b_role: Role) -> ByRecipe | None:
        """The arithmetic of a product, None where the recipe leaves all three GEMMs in float32."""
        key = layer, op, b_role
        if key not in self._chosen:
            self._chosen[key] = self._choose(layer, op, b_role)
        now = self.recipe.at(self._chosen[key], self.done, self.switched)
        if all(now.gemm(name) is None for name in ("fprop", "dgrad", "wgrad")):
            return None
        if now not in self._made:
            self._made[now] = ByRecipe(now, self.seeds, self.exact, watched=self.recipe.monitor is not None)
        return self._made[now]

    @property
    def done(self) -> float:
        """The fraction of the training that is done, 0 where its length is unknown."""
        return self.clock.step / self.steps if self.steps else 0.0

    def _choose(self, layer: str, op: str, b_role: Role) -> Layer:
        kind = self.places.kind(layer, op, b_role)
        for rule in self.recipe.rules:
            if self.places.selects(rule.where, layer, kind):
                return rule.use
        if kind == "attention":
            return self.recipe.attention
        return FLOAT32 if kind == "matmul" else self.recipe.layer

    def stepped(self, step: int) -> None:
        """Called once an optimizer step is whole, with the steps done."""
        monitor = self.recipe.monitor
        if monitor is not None and self.seeds.noise:
            self.ratios.append((step, float(np.median(list(self.seeds.noise.values())))))  # NaN if any is
            self.seeds.noise.clear()
            last = [ratio for _, ratio in self.ratios[-monitor.patience :]]
            self.switched |= len(last) == monitor.patience and all(ratio < monitor.threshold for ratio in last)
        if self.recipe.after_step is not None:
            self._after_step(step)

    def _after_step(self, step: int) -> None:
        assert self.recipe.after_step is not None
        for name, module in self.model.named_modules():
            layer = plain_name(name)
            weight = getattr(module, "weight", None)
            if layer not in self.places.layers or not isinstance(weight, nn.Parameter):
                continue
            op = "linear" if weight.dim() == 2 else "convolution"
            fprop = self._choose(layer, op, "weight").fprop
            if fprop is None:
                continue
            key = f"{layer}|after step"
            whole: Any = weight.detach()
            sharded = hasattr(whole, "full_tensor")  # of FSDP2: gathered on every rank
            full = whole.full_tensor() if sharded else whole
            master: NDArray[np.float32] = full.reshape(weight.shape[0], -1).cpu().float().numpy().copy()
            memory = self.seeds.memory.recall(key, step)
            memory = self.recipe.after_step.apply(layer, master, fprop.b, step, self.steps or 0, memory)
            self.seeds.memory.remember(key, step, memory)
            made = torch.from_numpy(master).reshape(weight.shape)
            if sharded:
                from torch.distributed.tensor import distribute_tensor

                made = distribute_tensor(made, whole.device_mesh, whole.placements)
            with torch.no_grad():
                weight.copy_(made)

    def state_dict(self) -> dict[str, Any]:
        """What a resumed training needs of it: numbers, and arrays as tensors."""
        kept = {key: [(at, _as_tensors(value)) for at, value in entries] for key, entries in
                self.seeds.memory.kept.items()}  # fmt: skip
        return {"memory": kept, "ratios": list(self.ratios), "switched": self.switched}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up where `state_dict` left."""
        self.seeds.memory.kept = {
            key: [(at, _as_arrays(value)) for at, value in entries] for key, entries in state["memory"].items()
        }
        self.ratios, self.switched = [(int(at), float(ratio)) for at, ratio in state["ratios"]], state["switched"]


class LowBitSoftmax(torch.autograd.Function):
    """A recipe's softmax over the last axis; its gradient is that of a softmax with these results."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor, apply: Callable[..., Any], draw: Draw) -> Tensor:
        """Probabilities, float32."""
        rows = scores.detach().float().reshape(-1, scores.shape[-1]).contiguous().numpy()
        made = torch.from_numpy(np.ascontiguousarray(apply(rows, draw))).reshape(scores.shape)
        ctx.save_for_backward(made)
        return made

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None]:
        """p (g - Σ g p)."""
        (made,) = ctx.saved_tensors
        return made * (g - (g * made).sum(-1, keepdim=True)), None, None


low_bit_softmax: Any = LowBitSoftmax.apply


def _as_tensors(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value.copy())
    if isinstance(value, dict):
        return {key: _as_tensors(one) for key, one in value.items()}
    if isinstance(value, (tuple, list)):
        return [_as_tensors(one) for one in value]
    return value.item() if isinstance(value, np.generic) else value


def _as_arrays(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.numpy()
    if isinstance(value, dict):
        return {key: _as_arrays(one) for key, one in value.items()}
    return tuple(_as_arrays(one) for one in value) if isinstance(value, (tuple, list)) else value
