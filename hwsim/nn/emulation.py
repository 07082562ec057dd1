"""A model on emulated arithmetic: every matrix product, forward and backward, by a training recipe or a machine.

Whatever runs the model runs emulated: any of its methods, any thread, a recomputation inside of a backward, a copy
made in the block. Replacing layers by quantised ones was rejected: it misses attention and functional products, and
leaves the model changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook

from hwsim.arch import Accelerator, Numerics, Policy, Role
from hwsim.errors import ArgumentError, CaptureError
from hwsim.nn.arithmetic import Arithmetic, ByPolicy, ByRecipe, Exact, Seeds
from hwsim.nn.below import Below
from hwsim.nn.book import Book, low_bit_softmax
from hwsim.nn.coverage import Coverage
from hwsim.nn.decompositions import attention
from hwsim.nn.following import Job, multiply
from hwsim.nn.interception import Interception, Located, intercepting
from hwsim.nn.layers import current_node
from hwsim.nn.looking import Noise
from hwsim.nn.noise import Clock
from hwsim.nn.observe import Seen, visible
from hwsim.nn.products import Call
from hwsim.nn.recipes import policy_of, recipe_of
from hwsim.nn.recomputing import keep_entering
from hwsim.nn.saving import SavedBytes, operator_of, saving
from hwsim.recipes import Draw, Gemm, Layer, Operand, Recipe
from hwsim.trace.gemm import Phase

WAY_OUT = (
    "call it in terms of torch.matmul, leave its layer out of the recipe or policy, or run it outside of the block"
)


class LayerPolicy(Protocol):
    """What emulation asks of a policy; `hwsim.arch.Policy` is one."""

    def for_gemm(self, layer: str, b_role: Role) -> Numerics | None:
        """The arithmetic of a product of `layer`, None for float32."""


class Emulation:
    """A model under emulation: what of it was emulated, and how far its training is.

    Attributes:
        model: as it was given.
        steps: optimizer steps of the whole training, which a recipe's schedule needs; None: unknown.
    """

    def __init__(self, model: nn.Module, mode: _Emulator) -> None:
        self.model, self._mode = model, mode

    def coverage(self) -> Coverage:
        """Multiply-accumulates asked for, emulated, and left by layer and reason, by phase, so far."""
        return self._mode.coverage

    @property
    def step(self) -> int:
        """Optimizer steps done; counts by itself. Set it to go on with a training from its checkpoint."""
        return self._mode.clock.step

    @step.setter
    def step(self, step: int) -> None:
        self._mode.clock.step = step

    @property
    def steps(self) -> int | None:
        """See the class."""
        return self._mode.book.steps if self._mode.book is not None else None

    @steps.setter
    def steps(self, steps: int | None) -> None:
        if self._mode.book is not None:
            self._mode.book.steps = steps

    @property
    def ratios(self) -> list[tuple[int, float]]:
        """(step, median over layers of a gradient's norm by the noise of its quantization), of recipes with a
        monitor."""
        return list(self._mode.book.ratios) if self._mode.book is not None else []

    @contextmanager
    def looking(self) -> Iterator[Noise]:
        """In the block every GEMM of a recipe measures what quantizing its operands loses, at no other cost than
        time; yields the sums. Schemes and machines measure nothing here: `hwsim.replay` does that."""
        self._mode.seeds.looked = Noise()
        try:
            yield self._mode.seeds.looked
        finally:
            self._mode.seeds.looked = None

    @property
    def saved(self) -> SavedBytes:
        """Bytes that nonlinearities and norms kept for the backward, of recipes with a saver."""
        return self._mode.saved

    def state_dict(self) -> dict[str, Any]:
        """What goes into a checkpoint beside model and optimizer, readable by ``torch.load(weights_only=True)``."""
        self._mode.clock.settle()
        book = self._mode.book.state_dict() if self._mode.book is not None else {}
        return {"step": self.step, **book}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was taken, with the same bits."""
        self.step = int(state["step"])
        if self._mode.book is not None:
            self._mode.book.load_state_dict(state)


@contextmanager
def emulate(
    model: nn.Module,
    recipe: str | Recipe | Policy | Accelerator | None = None,
    policy: LayerPolicy | None = None,
    exact: Exact = None,
    seed: int = 0,
    steps: int | None = None,
) -> Iterator[Emulation]:
    """Run `model` on emulated arithmetic inside the block; afterwards it is as before.

    Every matrix product of `model` (linear layers, convolutions, attention, functional products) is quantised and
    multiplied as recipe or policy says for its layer, forward and backward; biases are added in float32, and the
    result is stored in the type that the model asked for. Batched products are taken one by one, each quantised
    alone. What runs outside of the model, such as a loss, is untouched.

    A recipe has its own arithmetic for each of the three GEMMs of a layer. A scheme or a machine multiplies all three
    on its unit: gradients are activations to it, and what it quantizes is the high-precision operand.

    What is no arithmetic of the network stays as it is: products of complex or of whole numbers, of positions with
    fixed buffers, and of weights with weights (`hwsim.nn.roles.Roles.folded`).

    Args:
        model: any module, in training or evaluation mode; also one that DistributedDataParallel wraps.
        recipe: a scheme's name (``"nvfp4"``), a recipe or its name (``"nvidia-nvfp4"``), a machine or its name, or a
            policy. A name that is both a scheme's and a recipe's means the scheme: pass ``hwsim.recipes.get(name)``.
        policy: instead of `recipe`, anything with ``for_gemm(layer, b_role)``.
        exact: how sums are made. None: as the recipe says, which is a float32 GEMM of quantized values for most, and
            on the unit of a scheme or machine; ``"float32"``, ``"unit"``, a datapath, or these by ``"fprop"``,
            ``"dgrad"``, ``"wgrad"``.
        seed: of all that is random (`hwsim.nn.noise`).
        steps: optimizer steps of the whole training, for a recipe's schedule.

    Yields:
        the `Emulation`.

    Raises:
        ArgumentError: not exactly one of `recipe` and `policy`; or `exact` is none for the schemes.
        CaptureError: inside the block, products cannot be followed.
    """
    if (recipe is None) == (policy is None):
        raise ArgumentError("either recipe or policy must be given", where="emulate")
    if not isinstance(seed, int) or seed < 0:
        raise ArgumentError("seed must be a natural number", got=seed, where="emulate.seed")
    found: Any = policy
    if recipe is not None:
        named = recipe_of(recipe)
        found = named if named is not None else policy_of(recipe)  # type: ignore[arg-type]
    mode = _Emulator(model, found, exact, seed)
    handle = Emulation(model, mode)
    handle.steps = steps
    hook = register_optimizer_step_post_hook(lambda *_: mode.clock.optimizer_stepped())
    try:
        with visible(model), intercepting(model, mode):
            yield handle
            mode.clock.settle()
    finally:
        hook.remove()


class _Emulator(Interception):
    def __init__(self, model: nn.Module, how: Any, exact: Exact, seed: int) -> None:
        super().__init__()
        self.coverage = Coverage()
        self.seeds = Seeds(seed)
        self.clock = Clock(seed)
        self.exact = exact
        self.saved = SavedBytes()
        self.book = Book(model, how, exact, self.seeds, self.clock) if isinstance(how, Recipe) else None
        self.policy: Any = None if self.book is not None else how
        self.root, self.cache = model, {}  # type: ignore[var-annotated]
        self.nodes: dict[int, Job] = {}
        self.clock.on_step = self._stepped
        if self.book is not None:
            ByRecipe(self.book.recipe.layer, self.seeds, exact)  # so that a wrong `exact` is told at once

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        saver = self.book.recipe.saver if self.book is not None else None
        op = operator_of(getattr(function, "__name__", "")) if saver is not None else None
        if saver is None or op is None or not saver.saves(op):
            return super().__torch_function__(function, types, args, kwargs)
        with saving(saver, op, Draw(0, 0, self.layer(), "fprop", self.clock.step), self.saved):
            return super().__torch_function__(function, types, args, kwargs)

    def begins(self, module: nn.Module) -> None:
        if any(isinstance(one, torch.jit.ScriptModule) for one in (module, self.root)):
            self.on_hidden("a scripted or traced module: emulate the one that it was made from")
        if current_node() is None and self.layers.name_of(module) == "":
            self.clock.forward_begins(self.root.training or torch.is_grad_enabled())

    def wants(self) -> bool:
        return super().wants() or current_node() in self.nodes

    def _stepped(self, step: int) -> None:
        self.nodes.clear()
        if self.book is not None:
            self.book.stepped(step)

    def arithmetic(self, layer: str, op: str, b_role: Role) -> Arithmetic | None:
        """What multiplies, None for float32 in all three GEMMs."""
        if self.book is not None:
            return self.book.arithmetic(layer, op, b_role)
        made = ByPolicy(self.policy, layer, b_role, self.seeds, self.cache)
        if made.numerics is None:
            return None
        if self.exact in (None, "unit"):
            return made
        numerics = made.numerics
        b = numerics.weight if b_role == "weight" else numerics.activation
        same = Gemm(Operand(numerics.activation), Operand(b))
        both = Gemm(Operand(numerics.activation), Operand(numerics.activation))
        return ByRecipe(Layer(same, same, both), self.seeds, self.exact)

    @contextmanager
    def again(self) -> Iterator[None]:
        """Run the block emulated, as a recomputation after the end of `emulate` must."""
        if self.local.entered:
            yield
            return
        with visible(self.root), self.entered():
            yield

    @property
    def reason(self) -> str:
        """Why a product that could be emulated is not."""
        return "policy" if self.book is None else "recipe"

    def on_products(self, call: Call, located: list[Located], compute: Callable[[], Any]) -> Any:
        node = current_node()
        if node is not None and not self.layers.forward and node in self.nodes and call.finish is not None:
            made = [self._own_backward(one, self.nodes[node]) for one in located]
            done = [out for out in made if out is not None]
            return call.finish(done) if len(done) == len(made) else compute()
        chosen = [None if one.folded else self.arithmetic(one.layer, one.op, one.b_role) for one in located]
        if all(one is None for one in chosen) or call.finish is None:
            return self._left(compute(), located, [one.folded or self.reason for one in located], "forward")
        if located[0].product.a.is_meta:
            where = located[0].layer or "model"
            raise CaptureError("emulation must have numbers; hwsim.nn.meta_workload takes a meta model", where=where)
        if self.root.training or torch.is_grad_enabled():
            keep_entering(self.again)
        outs = []
        for one, arithmetic in zip(located, chosen, strict=True):
            assert arithmetic is not None
            job = Job(one.layer, one.b_role, arithmetic, self.clock, self.coverage, self.reason)
            if self.root.training and not torch.is_grad_enabled():  # perhaps in a function with a backward of its own
                self.nodes[torch._C._autograd._get_sequence_nr() - 1] = job
            out = multiply(one.product.a, one.product.b, job, keep=self.root.training)
            outs.append(out.mT if one.product.swapped else out)
        return call.finish(outs)

    def _own_backward(self, one: Located, job: Job) -> Tensor | None:
        """A product in the backward of a `torch.autograd.Function` of the model's own: the gradient of its forward's
        product that it is; None where it is to be left."""
        a, b = one.product.a, one.product.b
        if one.b_role == "weight":
            out = job.gradient_of_a(a, a, b.mT)
        elif job.entered(b.mT):
            out = job.gradient_of_b(a.mT, b.mT, b)
        elif job.entered(a.mT):
            out = job.gradient_of_b(b.mT, a.mT, a).mT
        else:
            self.on_hidden("a product of a backward of its own")
            return None
        return out.mT if one.product.swapped else out

    def _left(self, result: Any, located: list[Located], reasons: list[str], phase: Phase) -> Any:
        """Count what stays in float32, its backward too once that runs."""
        for one, reason in zip(located, reasons, strict=True):
            self.coverage.add(phase, one.layer, one.product.macs, reason)
            if phase == "forward" and isinstance(result, Tensor) and result.requires_grad:
                phases: list[Phase] = ["dgrad", "wgrad" if one.b_role == "weight" else "dgrad"]
                wanted = [p for p, t in zip(phases, (one.product.a, one.product.b), strict=True) if t.requires_grad]
                result.register_hook(  # type: ignore[no-untyped-call]
                    self._counter(wanted, one.layer, one.product.macs, reason)
                )
        return result

    def _counter(self, phases: list[Phase], layer: str, macs: int, reason: str) -> Callable[[Tensor], None]:
        def count(grad: Tensor) -> None:
            for phase in phases:
                self.coverage.add(phase, layer, macs, reason)

        return count

    def on_hidden(self, what: str, cause: Exception | None = None) -> None:
        layer = self.layer()
        if self.arithmetic(layer, "linear", "weight") is None:
            self.coverage.add("forward", layer, 0, f"{self.reason}, unseen")
            return
        raise CaptureError(
            f"products must be ones that can be followed: {WAY_OUT}", got=what, where=layer or "model"
        ) from cause

    def on_unknown(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, bool]:
        below = Below(self, function, args, kwargs)
        with below:
            result = function(*args, **kwargs)
        return result, below.multiplied

    def on_below(
        self, call: Call, seen: tuple[Seen, ...], gradients: bool, what: str, compute: Callable[[], Any]
    ) -> Any:
        """The products of an operator inside of a function that no table knows, below autograd."""
        chosen = [
            None if one.folded else self.arithmetic(one.origin.layer, one.origin.op, one.b_role) for one in seen
        ]
        if all(one is None for one in chosen) or call.finish is None:
            for one in seen:
                self.coverage.add("forward", one.origin.layer, one.product.macs, one.folded or self.reason)
            return compute()
        if gradients:
            self.on_hidden(f"{what}, under gradients")
        outs = []
        for one, arithmetic in zip(seen, chosen, strict=True):
            assert arithmetic is not None
            job = Job(one.origin.layer, one.b_role, arithmetic, self.clock, self.coverage, self.reason)
            out = job.run(one.product.a, one.product.b, keep=False)
            outs.append(out.mT if one.product.swapped else out)
        return call.finish(outs)

    def on_attention(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self.book is None:
            return NotImplemented
        layer = self.layer()
        names = [f"{layer}.{part}".lstrip(".") for part in ("qk", "pv")]
        if self.book.recipe.softmax is not None:
            return self._low_bit_attention(args, kwargs, names[0])
        if any(self.arithmetic(name, "attention", "activation") is not None for name in names):
            return NotImplemented
        function = nn.functional.scaled_dot_product_attention
        result = function(*args, **kwargs)
        query, key, value = (args + tuple(kwargs[n] for n in ("query", "key", "value") if n in kwargs))[:3]
        batch = query.numel() // (query.shape[-1] * query.shape[-2])
        for name, width in zip(names, (query.shape[-1], value.shape[-1]), strict=True):
            macs = batch * query.shape[-2] * key.shape[-2] * width
            self.coverage.add("forward", name, macs, self.reason)
            if result.requires_grad:
                result.register_hook(  # type: ignore[no-untyped-call]
                    self._counter(["dgrad", "dgrad"], name, macs, self.reason)
                )
        return result

    def _low_bit_attention(self, args: tuple[Any, ...], kwargs: dict[str, Any], name: str) -> Any:
        assert self.book is not None
        softmax = self.book.recipe.softmax
        assert softmax is not None

        def low_bit(scores: Tensor) -> Tensor:
            ticket = self.clock.ticket(f"{name} softmax", (scores.detach().float().cpu().numpy(),))
            draw = self.seeds.draw(ticket, "fprop", "softmax", 0)
            made: Tensor = low_bit_softmax(scores, softmax.apply, draw)
            self.seeds.keep(draw, "softmax", 0)
            return made

        self.local.attention.append(0)
        try:
            with self:
                return attention(*args, **kwargs, softmax=low_bit)
        finally:
            self.local.attention.pop()
