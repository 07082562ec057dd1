"""A training step in NVFP4 beside float32 and beside other emulators, the GPT of models/ in one process.

All three GEMMs of the linear layers of the blocks, 16 x 256 bytes. torchao casts by its own NVFP4 routine, eager, one
autograd function a layer; microxcaling (not on PyPI) has a linear layer of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hwsim import recipes
from hwsim.jit import thread_count
from hwsim.nn import emulate, load_file
from hwsim.nn.models import ModelFile
from hwsim.recipes import Recipe, Rule, Selection

pytestmark = pytest.mark.benchmark

BATCH, CONTEXT = 16, 256
FEW = {"repeats": 5, "warmup": 1}


class Step:
    """One step of a fresh GPT: forward, loss, backward, plain descent."""

    def __init__(self) -> None:
        torch.set_num_threads(thread_count())
        self.file: Any = load_file(ModelFile.find("gpt").path)
        self.model: nn.Module = self.file.build().train()
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1e-6)
        self.batch = torch.randint(256, (BATCH, CONTEXT + 1), generator=torch.Generator().manual_seed(0))

    def __call__(self) -> None:
        self.optimizer.zero_grad()
        self.file.loss(self.model, self.batch).backward()
        self.optimizer.step()


def emulated(step: Step, recipe: str | Recipe, exact: Any = None) -> Callable[[], None]:
    def run() -> None:
        with emulate(step.model, recipe, exact=exact):
            step()

    return run


def replaced(step: Step, made: Callable[[nn.Linear], nn.Module]) -> Step:
    """Every linear layer of the blocks by another module with its weight."""
    for block in step.model.blocks:
        for parent in list(block.modules()):
            for name, child in list(parent.named_children()):
                if isinstance(child, nn.Linear):
                    setattr(parent, name, made(child))
    return step


@pytest.fixture(scope="module")
def step() -> Step:
    return Step()


def test_nvfp4_step(bench, step):
    recipe = recipes.get("nvidia-nvfp4")
    bench.compare(
        "training step of the GPT, NVFP4 on all three GEMMs, 16 x 256 bytes",
        {"hwsim nvidia-nvfp4": emulated(step, recipe), "float32": step},
        baseline="float32", bound=1.5, **FEW,
    )  # fmt: skip


def test_watching(bench, step):
    nothing = Recipe("nothing", "", "", recipes.FLOAT32)
    bench.compare(
        "training step of the GPT that is watched alone",
        {"hwsim, everything left": emulated(step, nothing), "float32": step},
        baseline="float32", bound=1.1, **FEW,
    )  # fmt: skip


@pytest.mark.parametrize(("recipe", "bound"), [("nvfp4", 8), ("fp8", 12)])
def test_exact_step(bench, step, recipe, bound):
    bench.compare(
        f"training step of the GPT on the unit of {recipe}, bit by bit",
        {"hwsim exact": emulated(step, recipe, exact="unit"), "float32": step},
        baseline="float32", bound=bound, repeats=3, warmup=1,
    )  # fmt: skip


def test_against_torchao(bench, step):
    module = pytest.importorskip("torchao.prototype.mx_formats.nvfp4_tensor", reason="torchao is not installed")

    def cast(x: Tensor) -> Tensor:
        flat = x.reshape(-1, x.shape[-1]).contiguous()
        scale = module.per_tensor_amax_to_scale(flat.abs().max())
        return module.NVFP4Tensor.to_nvfp4(flat, per_tensor_scale=scale).dequantize(torch.float32)

    class Linear(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor, w: Tensor) -> Tensor:
            ctx.save_for_backward(x, w)
            return (cast(x) @ cast(w).T).view(*x.shape[:-1], -1)

        @staticmethod
        def backward(ctx: Any, g: Tensor) -> tuple[Tensor, Tensor]:
            x, w = ctx.saved_tensors
            g, x = g.reshape(-1, g.shape[-1]), x.reshape(-1, x.shape[-1])
            return (cast(g) @ cast(w.T).T).view(*ctx.saved_tensors[0].shape), cast(g.T) @ cast(x.T).T

    class Layer(nn.Module):
        def __init__(self, of: nn.Linear) -> None:
            super().__init__()
            self.weight = of.weight

        def forward(self, x: Tensor) -> Tensor:
            made: Tensor = Linear.apply(x, self.weight)
            return made

    theirs = replaced(Step(), Layer)
    bench.compare(
        "training step of the GPT in NVFP4 against torchao's casts, eager",
        {"hwsim nvidia-nvfp4": emulated(step, _blocks()), "torchao": theirs, "float32": step},
        baseline="torchao", bound=2.5, at_least=True, repeats=3, warmup=1,
    )  # fmt: skip


def test_against_microxcaling(bench, step):
    mx = pytest.importorskip("mx", reason="microxcaling is not installed (it is not on PyPI)")
    specs = mx.finalize_mx_specs({"w_elem_format": "fp4_e2m1", "a_elem_format": "fp4_e2m1", "block_size": 32,
                                  "scale_bits": 8, "custom_cuda": False, "bfloat": 0})  # fmt: skip

    def layer(of: nn.Linear) -> nn.Module:
        made: nn.Module = mx.Linear(of.in_features, of.out_features, bias=False, mx_specs=specs)
        made.load_state_dict(of.state_dict())
        return made

    theirs = replaced(Step(), layer)
    bench.compare(
        "training step of the GPT in MXFP4 against microxcaling",
        {"hwsim mxfp4": emulated(step, "mxfp4", exact="float32"), "microxcaling": theirs, "float32": step},
        baseline="microxcaling", bound=2.5, at_least=True, repeats=3, warmup=1,
    )  # fmt: skip


def _blocks() -> Recipe:
    """NVIDIA's layer, to nearest and without rotation as torchao casts, in the blocks alone."""
    nearest = recipes.Operand("nvfp4.torchao")
    gemm = recipes.Gemm(nearest, nearest)
    others = Rule(Selection(kinds=("head", "embedding")))
    return Recipe("torchao's", "", "", recipes.Layer(gemm, gemm, gemm), rules=(others,))
