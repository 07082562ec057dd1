"""Watching the matrix products of a model: which layer asked for each, in which phase, and what its operands are.

A `TorchDispatchMode` sees each operator below autograd, in the backward pass too. Module hooks tell the layer of a
forward operator; a backward operator is traced to its forward one by the sequence number of its autograd node.
Module swapping was rejected: it misses functional products, attention and the whole backward pass; so was
`torch.export`: forward only, static control flow only.

An operand is a ``"gradient"`` if a gradient went into it, a ``"weight"`` if nothing but parameters and buffers did
(their transposes, casts and quantised forms included), and an ``"activation"`` otherwise.
"""

from __future__ import annotations

import sys
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from hwsim.errors import CaptureError
from hwsim.nn.graphing import COMPOSITES, GraphRecorder
from hwsim.nn.products import Call, Product, as_call, hides_products
from hwsim.trace.gemm import GemmShape, Phase, Role


@dataclass(frozen=True)
class Origin:
    """Where a product comes from, and whether a masked triangle of it is needed; see `hwsim.trace.GemmShape`."""

    layer: str
    op: str
    phase: Phase
    causal: bool = False


@dataclass(frozen=True)
class Seen:
    """A product of a model, its operands in the order in which a machine takes them.

    Gradients come first and weights second, so a weight is always in b (`Product.swapped` says what was turned).
    """

    product: Product
    origin: Origin
    a_role: Role
    b_role: Role

    @property
    def shape(self) -> GemmShape:
        """The product without its numbers."""
        product, origin = self.product, self.origin
        batch, m, k = product.a.shape
        return GemmShape(
            origin.layer, origin.op, origin.phase, int(batch), int(m), int(product.b.shape[1]), int(k), self.b_role,
            groups=int(batch), causal=origin.causal,
        )  # fmt: skip


class Roles:
    """What the numbers of a tensor are, by the memory they lie in, so that views share the role of their base."""

    def __init__(self, model: nn.Module) -> None:
        self._known: dict[int, tuple[StorageWeakRef, Role]] = {}  # the reference keeps the key from being reused
        self._limit = 1 << 14
        for tensor in (*model.parameters(), *model.buffers()):
            self.set(tensor, "weight")

    def of(self, tensor: Tensor) -> Role:
        """The role of a tensor, ``"activation"`` unless something else is known."""
        known = self._known.get(_storage(tensor)._cdata)
        return known[1] if known else "activation"

    def set(self, tensor: Tensor, role: Role) -> None:
        """Note the role of a tensor's memory."""
        storage = _storage(tensor)
        self._known[storage._cdata] = StorageWeakRef(storage), role  # type: ignore[no-untyped-call]
        if len(self._known) > self._limit:
            alive = {key: known for key, known in self._known.items() if not known[0].expired()}  # type: ignore[no-untyped-call]
            self._known = alive
            self._limit = max(self._limit, 2 * len(self._known))

    def pass_on(self, inputs: list[Tensor], outputs: list[Tensor]) -> None:
        """Give the results of an operator the role that follows from its inputs."""
        roles = {self.of(tensor) for tensor in inputs}
        for tensor in outputs:
            if "gradient" in roles:
                self.set(tensor, "gradient")
            elif roles == {"weight"}:
                self.set(tensor, "weight")
            else:
                self._known.pop(_storage(tensor)._cdata, None)


def _storage(tensor: Tensor) -> torch.UntypedStorage:
    return tensor.untyped_storage()


class Layers:
    """The stack of modules that are running, by name."""

    def __init__(self, model: nn.Module) -> None:
        self._stack: list[str] = []
        self._handles = []
        for name, module in model.named_modules():
            self._handles.append(module.register_forward_pre_hook(self._enter(name), prepend=True))
            self._handles.append(module.register_forward_hook(self._leave, always_call=True))

    def _enter(self, name: str) -> Callable[..., None]:
        return lambda module, args: self._stack.append(name)

    def _leave(self, module: nn.Module, args: Any, output: Any) -> None:
        self._stack.pop()

    @property
    def running(self) -> bool:
        """Whether a forward of the model is under way."""
        return bool(self._stack)

    @property
    def current(self) -> str:
        """Dotted name of the innermost module, "" for the model itself."""
        return self._stack[-1] if self._stack else ""

    def remove(self) -> None:
        """Take the hooks off the model."""
        for handle in self._handles:
            handle.remove()


class _Attention(TorchFunctionMode):
    """Knows when attention is under way, and how many products of two activations it has had.

    Inside `multi_head_attention_forward` torch shows this mode no inner call, so both functions count.
    """

    FUNCTIONS = (nn.functional.scaled_dot_product_attention, nn.functional.multi_head_attention_forward)

    def __init__(self, mode: ProductMode) -> None:
        super().__init__()
        self._mode = mode
        self._open: list[int] = []
        self._causal: list[bool] = []

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if function not in self.FUNCTIONS:
            if self._mode.graph is not None and function in COMPOSITES and self._mode.layers.running:
                with self._mode.graph.composite(COMPOSITES[function], self._mode.layers.current):
                    return function(*args, **kwargs)
            return function(*args, **kwargs)
        self._open.append(0)
        self._causal.append(_is_causal(function, args, kwargs))
        try:
            return function(*args, **kwargs)
        finally:
            self._open.pop()
            self._causal.pop()

    @property
    def causal(self) -> bool:
        """Whether the attention under way masks what comes later."""
        return bool(self._causal) and self._causal[-1]

    def next_name(self) -> str | None:
        """``"qk"`` for the product of queries and keys, ``"pv"`` for the other; None outside of attention."""
        if not self._open:
            return None
        self._open[-1] += 1
        return "qk" if self._open[-1] % 2 else "pv"


class ProductMode(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Calls `on_call` for each operator of a model that multiplies matrices. Entered by `observing`."""

    follows_backward = True
    graph: GraphRecorder | None = None
    places: tuple[int, ...] = ()
    """Where `on_call` put the records of the products that it saw last."""
    roles: Roles
    layers: Layers
    attention: _Attention

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._forward: dict[int, Origin] = {}

    @abstractmethod
    def on_call(self, name: str, call: Call, seen: tuple[Seen, ...], compute: Callable[[], Any]) -> Any:
        """Handle the operator `name` (``"aten.mm"``); `compute` runs it as it is. Returns its result."""

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
            raise CaptureError(
                "operator must be one whose matrix products can be seen",
                got=name if packet else str(func),
                where=self.layers.current or "model",
            )
        call = as_call(packet, args, kwargs) if wanted else None
        if call is None:
            if composite:  # under inference_mode composite operators arrive whole
                with self:
                    decomposed = func.decompose(*args, **kwargs)
                if decomposed is not NotImplemented:
                    return decomposed
            result = func(*args, **kwargs)
            products: list[tuple[GemmShape, Any, int]] = []
        else:
            seen = tuple(self._locate(call, _tensors((args, kwargs))))
            self.places: tuple[int, ...] = ()
            result = self.on_call(name, call, seen, lambda: func(*args, **kwargs))
            products = [
                (one.shape, one.product.of, at) for one, at in zip(seen, self.places, strict=len(self.places) > 0)
            ]
        if self.graph is not None and wanted and self.layers.running:
            self.graph.record(name, self.layers.current, args, kwargs, result, products)
        self.after(packet, args, kwargs, result)
        self.roles.pass_on(_tensors((args, kwargs)), _tensors(result))
        return result

    def _locate(self, call: Call, inputs: list[Tensor]) -> Iterator[Seen]:
        """Turn each product so that gradients come first and weights second, and say where it comes from."""
        node = torch._C._current_autograd_node()
        number = None if node is None else node._sequence_nr()
        for product in call.products:
            roles = self.roles.of(product.of[0]), self.roles.of(product.of[1])
            if (roles[0] == "weight" != roles[1]) or (roles[1] == "gradient" != roles[0]):
                product, roles = product.swap(), (roles[1], roles[0])
            if "gradient" in roles:
                origin = self._backward_origin(product, roles[1], number)
            else:
                origin = self._forward_origin(call.op, roles[1])
                if self.follows_backward:
                    self._remember(origin, inputs)
            yield Seen(product, origin, *roles)

    def _forward_origin(self, op: str, b_role: Role) -> Origin:
        layer = self.layers.current
        if op != "matmul":
            return Origin(layer, op, "forward")
        if b_role == "weight":
            return Origin(layer, "linear", "forward")
        part = self.attention.next_name()
        if not part:
            return Origin(layer, op, "forward")
        return Origin(f"{layer}.{part}".lstrip("."), "attention", "forward", self.attention.causal)

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


def _is_causal(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether a call of attention masks what comes later: it says so, or its mask is that triangle."""
    if function is not nn.functional.scaled_dot_product_attention:
        return bool(kwargs.get("is_causal", False))
    if kwargs.get("is_causal", args[5] if len(args) > 5 else False):
        return True
    mask = kwargs.get("attn_mask", args[3] if len(args) > 3 else None)
    if not isinstance(mask, Tensor) or mask.is_meta or mask.ndim < 2 or mask.shape[-2] < 2:
        return False
    shown = mask if mask.dtype == torch.bool else mask > torch.finfo(mask.dtype).min
    rows, cols = mask.shape[-2:]
    triangle = torch.ones(rows, cols, dtype=torch.bool).tril(cols - rows)
    return bool((shown == triangle.to(mask.device)).all())


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


@contextmanager
def observing(model: nn.Module, mode: ProductMode) -> Iterator[None]:
    """Run the block with `mode` watching `model`, every product of which is made visible.

    Attention takes its unfused form; the fast path of `nn.MultiheadAttention`, fused recurrent layers and compiled
    graphs are off.
    Everything is put back at the end, hooks included.
    """
    with ExitStack() as stack:
        fast_path = torch.backends.mha.get_fastpath_enabled()
        stack.callback(torch.backends.mha.set_fastpath_enabled, fast_path)
        torch.backends.mha.set_fastpath_enabled(False)
        if any(isinstance(module, nn.RNNBase) for module in model.modules()):
            # not torch.backends.mkldnn.flags, which warns of an Intel GPU that is not there
            stack.callback(torch._C._set_mkldnn_enabled, torch._C._get_mkldnn_enabled())
            torch._C._set_mkldnn_enabled(False)
        if "torch._dynamo" in sys.modules:  # else nothing is compiled, and importing it takes seconds
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        torch.clear_autocast_cache()  # a weight that was cast before would not be known as one
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        mode.roles, mode.layers, mode.attention = Roles(model), Layers(model), _Attention(mode)
        stack.callback(mode.layers.remove)
        stack.enter_context(mode.attention)
        stack.enter_context(mode)
        yield
