"""Watching the matrix products of a model: which layer asked for each, in which phase, and what its operands are.

A `TorchDispatchMode` sees each operator below autograd, in the backward pass too. Module hooks tell the layer of a
forward operator; a backward operator is traced to its forward one by the sequence number of its autograd node.
Module swapping was rejected: it misses functional products, attention and the whole backward pass; so was
`torch.export`: forward only, static control flow only.

What its operands are is decided in `hwsim.nn.roles`, which modules run in `hwsim.nn.layers`.
"""

from __future__ import annotations

import sys
import warnings
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch._library.custom_ops import OPDEFS
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from hwsim.errors import CaptureError
from hwsim.nn.decompositions import DECOMPOSED
from hwsim.nn.layers import Layers, current_node
from hwsim.nn.products import Call, Product, as_call, hides_products
from hwsim.nn.recording import Attention, Recorder
from hwsim.nn.roles import Roles
from hwsim.nn.stored import written
from hwsim.trace.gemm import GemmShape, Phase, Role


@dataclass(frozen=True)
class Origin:
    """Where a product comes from; see `hwsim.trace.GemmShape`."""

    layer: str
    op: str
    phase: Phase


@dataclass(frozen=True)
class Seen:
    """A product of a model, its operands in the order in which a machine takes them.

    Gradients come first and weights second, so a weight is always in b (`Product.swapped` says what was turned).
    `groups` as in `hwsim.trace.GemmShape`. `folded` says why no array multiplies it (`Roles.folded`), "" for one of
    the network.
    """

    product: Product
    origin: Origin
    a_role: Role
    b_role: Role
    groups: int = 1
    folded: str = ""

    @property
    def shape(self) -> GemmShape:
        """The product without its numbers."""
        product, origin = self.product, self.origin
        m, n, k = product.a.shape[1], product.b.shape[1], product.a.shape[2]
        return GemmShape(origin.layer, origin.op, origin.phase, product.batch, m, n, k, self.b_role, self.groups)


OWN = ("lstm", "gru", "rnn", "einsum", "tensordot", "inner")
"""Functions that torch itself takes apart below a dispatch mode."""


class _Attention(TorchFunctionMode):
    """Knows when attention is under way, and how many products of two activations it has had; takes functions apart
    that hide their products.

    Inside `multi_head_attention_forward` torch shows this mode no inner call, so both functions count.
    """

    FUNCTIONS = (nn.functional.scaled_dot_product_attention, nn.functional.multi_head_attention_forward)

    def __init__(self) -> None:
        super().__init__()
        self._open: list[int] = []
        self._causal: list[bool] = []

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if function in DECOMPOSED and not str(getattr(function, "__name__", "")).startswith(OWN):
            with self:
                found = DECOMPOSED[function](*args, **(kwargs or {}))
            return function(*args, **(kwargs or {})) if found is None else found
        if function not in self.FUNCTIONS:
            return function(*args, **(kwargs or {}))
        self._open.append(0)
        place = 5 if function is self.FUNCTIONS[0] else 25
        causal = args[place] if len(args) > place else (kwargs or {}).get("is_causal", False)
        self._causal.append(bool(causal))
        try:
            return function(*args, **(kwargs or {}))
        finally:
            self._open.pop()
            self._causal.pop()

    @property
    def under_way(self) -> Attention:
        """The innermost attention, if any."""
        if not self._causal:
            return ""
        return "causal" if self._causal[-1] else "plain"

    def next_name(self) -> str | None:
        """``"qk"`` for the product of queries and keys, ``"pv"`` for the other; None outside of attention."""
        if not self._open:
            return None
        self._open[-1] += 1
        return "qk" if self._open[-1] % 2 else "pv"


class ProductMode(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Calls `on_call` for each operator of a model that multiplies matrices. Entered by `observing`."""

    follows_backward = True
    recorder: Recorder | None = None
    roles: Roles
    layers: Layers
    attention: _Attention

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.records: list[int | None] = []
        self._forward: dict[int, Origin] = {}

    @abstractmethod
    def on_call(self, name: str, call: Call, seen: tuple[Seen, ...], compute: Callable[[], Any]) -> Any:
        """Handle the operator `name` (``"aten.mm"``); `compute` runs it as it is. Returns its result."""

    def on_hidden(self, name: str) -> None:
        """Raise `CaptureError`: the operator `name` multiplies matrices where nobody sees the operands."""
        where = self.layers.current or "model"
        raise CaptureError("operator must be one whose matrix products can be seen", got=name, where=where)

    def after(self, operator: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        """Called once each operator (an overload packet such as ``aten.mm``) has run."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """No: torch would import its compiler, which takes seconds, to keep it away from this mode."""
        return False

    def wants(self) -> bool:
        """Whether the operator under way concerns this mode."""
        return True

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        packet = getattr(func, "_overloadpacket", None)
        name = str(packet)
        wanted = self.wants()
        composite = packet is not None and func._can_decompose()
        if wanted and (packet is None or (hides_products(name) and not composite)):
            self.on_hidden(name if packet else str(func))
        inner = OPDEFS.get(func._schema.name) if wanted and packet is not None else None
        if inner is not None:  # an operator of the user's own, written in Python
            with self:
                return inner._backend_fns.get("cpu", inner._init_fn)(*args, **kwargs)
        call = as_call(packet, args, kwargs) if wanted else None
        seen: tuple[Seen, ...] = ()
        if call is None:
            if composite:  # under inference_mode composite operators arrive whole
                with self:
                    decomposed = func.decompose(*args, **kwargs)
                if decomposed is not NotImplemented:
                    return decomposed
            result = func(*args, **kwargs)
        else:
            seen = tuple(self._locate(call, _tensors((args, kwargs))))
            if self.recorder is not None:
                groups = self.recorder.groups
                seen = tuple(replace(one, groups=groups(one.product)) for one in seen)
            result = self.on_call(name, call, seen, lambda: func(*args, **kwargs))
            target = written(func, args, kwargs)
            if target and result is not target[0]:
                result = target[0].resize_(result.shape).copy_(result)
        if self.recorder is not None and packet is not None:
            sparse = [str(one.layout) for one in _tensors((args, kwargs, result)) if one.layout is not torch.strided]
            if sparse:
                layer = self.layers.current or "model"
                raise CaptureError("tensors must be dense", got=f"{sparse[0]} in {name}", where=layer)
            backward = torch._C._current_autograd_node() is not None
            where: tuple[str, Phase, Attention] = (
                self.layers.current, "dgrad" if backward else "forward", self.attention.under_way
            )  # fmt: skip
            self.recorder.note(func, args, kwargs, result, call, [self._noted(one) for one in seen], where)
        self.after(packet, args, kwargs, result)
        random = packet is not None and torch.Tag.nondeterministic_seeded in func.tags
        self.roles.pass_on(_tensors((args, kwargs)), _tensors(result), random, not self.layers.running)
        return result

    def _noted(self, seen: Seen) -> tuple[Product, GemmShape | None, str, int | None]:
        """A product as a `Recorder` wants it."""
        shape = seen.shape if seen.folded not in ("complex", "index") else None
        folded = seen.folded if shape else ""
        return seen.product, shape, folded, None if seen.folded else self.records.pop(0)

    def _locate(self, call: Call, inputs: list[Tensor]) -> Iterator[Seen]:
        """Turn each product so that gradients come first and weights second, and say where it comes from."""
        number = current_node()
        for product in call.products:
            roles = self.roles.of(product.of[0]), self.roles.of(product.of[1])
            folded = self.roles.folded(*product.of)
            if (roles[0] == "weight" != roles[1]) or (roles[1] == "gradient" != roles[0]):
                product, roles = product.swap(), (roles[1], roles[0])
            if "gradient" in roles:
                origin = self._backward_origin(product, roles[1], number)
            else:
                origin = self._forward_origin(call.op, roles[1])
                if self.follows_backward:
                    self._remember(origin, inputs)
            yield Seen(product, origin, *roles, folded=folded)

    def _forward_origin(self, op: str, b_role: Role) -> Origin:
        layer = self.layers.current
        if op != "matmul":
            return Origin(layer, op, "forward")
        if b_role == "weight":
            return Origin(layer, "linear", "forward")
        part = self.attention.next_name()
        return Origin(f"{layer}.{part}".lstrip("."), "attention", "forward") if part else Origin(layer, op, "forward")

    def _remember(self, origin: Origin, inputs: list[Tensor]) -> None:
        """Note the origin under the sequence number of the newest autograd node.

        That node is this operator's if it has one, else the custom `torch.autograd.Function` that it runs in, or an
        earlier operator's, whose note must stay.
        """
        number = torch._C._autograd._get_sequence_nr() - 1
        if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in inputs):
            self._forward[number] = origin
        else:
            self._forward.setdefault(number, origin)

    def _backward_origin(self, product: Product, b_role: Role, number: int | None) -> Origin:
        forward = self._forward.get(-1 if number is None else number, Origin("", "matmul", "forward"))
        if product.gradient is not None:
            return Origin(forward.layer, forward.op, product.gradient)
        of_weight = forward.op == "linear" and b_role == "activation"
        return Origin(forward.layer, forward.op, "wgrad" if of_weight else "dgrad")


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


@contextmanager
def observing(model: nn.Module, mode: ProductMode) -> Iterator[None]:
    """Run the block with `mode` watching `model`, every product of which is made visible.

    Attention takes its unfused form; the fast path of `nn.MultiheadAttention`, fused recurrent layers and compiled
    graphs are off.
    Everything is put back at the end, hooks included.
    """
    with visible(model) as stack:
        if any(isinstance(module, nn.RNNBase) for module in model.modules()):
            # not torch.backends.mkldnn.flags, which warns of an Intel GPU that is not there
            stack.callback(torch._C._set_mkldnn_enabled, torch._C._get_mkldnn_enabled())
            torch._C._set_mkldnn_enabled(False)
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        mode.roles, mode.layers, mode.attention = Roles(model), Layers(model), _Attention()
        stack.callback(mode.layers.remove)
        stack.enter_context(mode.attention)
        stack.enter_context(mode)
        yield


@contextmanager
def visible(model: nn.Module) -> Iterator[ExitStack]:
    """Run the block with every product of `model` made by Python: no fused path, no compiled graph, no cast before.

    Yields a stack for more of the kind; everything is put back at the end.
    """
    with ExitStack() as stack:
        fast_path = torch.backends.mha.get_fastpath_enabled()
        stack.callback(torch.backends.mha.set_fastpath_enabled, fast_path)
        torch.backends.mha.set_fastpath_enabled(False)
        if "torch._dynamo" in sys.modules:  # else nothing is compiled, and importing it takes seconds
            stack.enter_context(torch.compiler.set_stance("force_eager"))
            stack.enter_context(warnings.catch_warnings())
            warnings.filterwarnings("ignore", r"Using `torch\.compile\(module\)` when there are global hooks")
        torch.clear_autocast_cache()  # a weight that was cast before would not be known as one
        yield stack
