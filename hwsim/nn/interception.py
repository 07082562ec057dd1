"""Sees each function of torch that a model calls, in whatever thread and method, and says what stands for it.

A `TorchFunctionMode` sits above autograd and autocast: products become autograd functions of their own
(`hwsim.nn.following`), so the backward needs no watching. Global module hooks tell the layer, and enter the mode in
threads where it is not. Functions that hide products are decomposed (`hwsim.nn.decompositions`); what no table knows
runs once under a dispatch mode, which finds products that it hides. A dispatch mode alone was rejected: it sees every
operator of forward and backward, which costs a third of a training step.
"""

from __future__ import annotations

import sys
import threading
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, FunctionType
from typing import Any

import torch
from torch import Tensor, nn
from torch._ops import HigherOrderOperator
from torch.overrides import TorchFunctionMode

from hwsim.errors import CaptureError
from hwsim.nn.calls import as_products, in_place, is_known
from hwsim.nn.decompositions import DECOMPOSED, attention
from hwsim.nn.layers import Layers
from hwsim.nn.products import Call, Product
from hwsim.nn.roles import Roles
from hwsim.trace.gemm import Role

_PASSED = frozenset(
    """__get__ __set__ __delete__ size dim numel stride is_contiguous __len__ data_ptr untyped_storage storage_offset
    is_floating_point is_complex __hash__ item tolist register_hook requires_grad_ ndimension nelement __repr__
    element_size is_same_size __deepcopy__ __reduce_ex__ __setstate__ retain_grad""".split()  # noqa: SIM905
)
"""Functions that make no numbers."""

_GATHERS = frozenset(["__getitem__", "index_select", "gather", "take_along_dim", "index"])
_RANDOM = frozenset(
    "normal normal_ uniform_ bernoulli bernoulli_ multinomial poisson exponential_ log_normal_".split()  # noqa: SIM905
)
_OPENED = ("torch.nn.functional", "torch.functional", "torch.autograd")
_NAMES = ("has_torch_function", "has_torch_function_unary", "has_torch_function_variadic")

_TRANSFORMS = ("custom_function_call", "wrap", "tag_activation_checkpoint")
_ATTENTION = (nn.functional.scaled_dot_product_attention, torch.ops.aten.scaled_dot_product_attention)

_bodies: dict[Any, Callable[..., Any]] = {}


class Located:
    """A product of a model: its operands with gradients to follow, the layer, what b is, and why it is none of the
    network's arithmetic ("" if it is)."""

    __slots__ = ("b_role", "folded", "layer", "op", "product")

    def __init__(self, product: Product, layer: str, op: str, b_role: Role, folded: str) -> None:
        self.product, self.layer, self.op, self.b_role, self.folded = product, layer, op, b_role, folded


class Local(threading.local):
    """What is under way in one thread."""

    def __init__(self) -> None:
        self.entered = False
        self.attention: list[int] = []


class Interception(TorchFunctionMode):
    """Calls `on_products` for each function of a model that multiplies matrices. Entered by `intercepting`."""

    roles: Roles
    layers: Layers

    def __init__(self) -> None:
        super().__init__()
        self.local = Local()
        self.harmless: set[Any] = set()

    @abstractmethod
    def on_products(self, call: Call, located: list[Located], compute: Callable[[], Any]) -> Any:
        """The result of a function whose products are `located`; `compute` runs it as it is."""

    @abstractmethod
    def on_unknown(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, bool]:
        """Run a function that no table knows; returns its result, and whether it multiplied matrices."""

    @abstractmethod
    def on_hidden(self, what: str, cause: Exception | None = None) -> None:
        """Raise `CaptureError` unless products that nobody can follow are to be left as they are."""

    def on_attention(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What stands for `scaled_dot_product_attention`, `NotImplemented` for its products one by one."""
        return NotImplemented

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Run the block with the mode, whether or not it is under way in this thread."""
        if self.local.entered:
            yield
            return
        self.local.entered = True
        self.layers.hook()
        try:
            with self:
                yield
        finally:
            self.local.entered = False
            self.layers.remove()

    def begins(self, module: nn.Module) -> None:
        """Called when the outermost module of a thread begins its forward."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """No: torch would import its compiler, which takes seconds, to keep it away from this mode."""
        return False

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        name = getattr(function, "__name__", "")
        if name in _PASSED:
            return function(*args, **kwargs)
        result = self._answer(function, name, args, kwargs)
        self._pass_on(name, args, kwargs, result)
        return result

    def _answer(self, function: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if function in self.harmless:
            return function(*args, **kwargs)
        if not self.wants():
            body = _body(function)
            if body is not None and function is not nn.functional.multi_head_attention_forward:
                with self:
                    return body(*args, **kwargs)
            if _touched(self.roles, args) is None:
                return function(*args, **kwargs)
        target = kwargs.get("out")
        packet = getattr(function, "_overloadpacket", function)
        if packet in _ATTENTION:
            return self._attention(args, kwargs)
        plain = in_place(function)
        if plain is not None:
            with self:
                return args[0].copy_(plain(*args, **kwargs))
        if is_known(packet):
            inputs = {key: value for key, value in kwargs.items() if key != "out"}
            made = self._products(packet, function, args, inputs)
            return made if target is None else target.resize_(made.shape).copy_(made)
        if packet in DECOMPOSED:
            with self:
                found = DECOMPOSED[packet](*args, **kwargs)
            return function(*args, **kwargs) if found is None else found
        body = _body(function)
        if body is not None:
            return self._run(body, function, args, kwargs)
        if isinstance(function, HigherOrderOperator):
            if _name(function) not in _TRANSFORMS:
                self.on_hidden(_name(function))
            return function(*args, **kwargs)
        result, multiplied = self.on_unknown(function, args, kwargs)
        if not multiplied and type(function).__name__ not in ("OpOverload", "OpOverloadPacket"):
            self.harmless.add(function)
        return result

    def wants(self) -> bool:
        """Whether a function that is called now belongs to the model."""
        return self.layers.running or self._owner() is not None

    def layer(self) -> str:
        """The layer that is under way, in modules or else in methods of the model."""
        return self.layers.current if self.layers.running else self._owner() or ""

    def _owner(self) -> str | None:
        """The module of the model whose method is on the stack of calls, None if there is none."""
        frame: FrameType | None = sys._getframe(2)
        while frame is not None:
            code = frame.f_code
            if code.co_argcount and code.co_varnames[0] == "self":
                name = self.layers.name_of(frame.f_locals.get("self"))
                if name is not None:
                    return name
            frame = frame.f_back
        return None

    def _run(self, body: Callable[..., Any], function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        inside = function is nn.functional.multi_head_attention_forward
        if inside:
            self.local.attention.append(0)
        try:
            with self:
                return body(*args, **kwargs)
        finally:
            if inside:
                self.local.attention.pop()

    def _attention(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        found = self.on_attention(args, kwargs)
        if found is not NotImplemented:
            return found
        self.local.attention.append(0)
        try:
            with self:
                return attention(*args, **kwargs)
        finally:
            self.local.attention.pop()

    def _products(self, packet: Any, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if torch._C._is_tracing() or torch.compiler.is_compiling():
            where = self.layer() or "model"
            raise CaptureError("a model must be traced, scripted or exported outside of the block", where=where)
        cast = _autocast(self.roles, args, kwargs)
        if cast is not None:
            args, kwargs = cast
        try:
            call = as_products(packet, args, kwargs)
        except (RuntimeError, IndexError, ValueError, TypeError) as error:
            result = function(
                *args, **kwargs
            )  # torch has the right words, unless operands are of a kind unknown here
            if isinstance(result, Tensor) and result.numel() == 0:
                return result  # nothing to multiply
            self.on_hidden(f"{_name(function)} of {_kinds(args)}", error)
            return result
        assert call is not None
        located = [self._locate(product, call.op) for product in call.products]
        if any(one.product.a.dtype != one.product.b.dtype or not one.product.fits for one in located):
            return function(*args, **kwargs)  # a mistake, for which torch has the right words
        if not all(one.product.macs for one in located):
            return function(*args, **kwargs)  # nothing to multiply
        return self.on_products(call, located, lambda: function(*args, **kwargs))

    def _locate(self, product: Product, op: str) -> Located:
        first, second = product.of
        folded = self.roles.folded(first, second)
        roles = self.roles.of(first), self.roles.of(second)
        if roles[0] == "weight" and roles[1] != "weight":
            product, roles = product.swap(), (roles[1], roles[0])
        layer = self.layer()
        if not self.layers.running and layer == "":
            layer = _touched(self.roles, product.of) or ""
        if op == "matmul" and roles[1] == "weight":
            op = "linear"
        elif op == "matmul" and self.local.attention:
            self.local.attention[-1] += 1
            part = "qk" if self.local.attention[-1] % 2 else "pv"
            layer, op = f"{layer}.{part}".lstrip("."), "attention"
        return Located(product, layer, op, roles[1], folded)

    def _pass_on(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        outputs = _tensors((result,))
        if not outputs:
            return
        inputs = _tensors(args) + _tensors(tuple(kwargs.values()))
        if name in _GATHERS and isinstance(args[0], Tensor) and args[0].dim() > 2 and outputs[0].dim() > 2:
            kind = self.roles.kind(args[0])
            if kind in ("weight", "buffer") and outputs[0].shape[-2:] == args[0].shape[-2:]:
                self.roles.set(outputs[0], kind)  # some of the matrices, as experts are chosen
                return
        random = "rand" in name or "dropout" in name or name in _RANDOM
        self.roles.pass_on(inputs, outputs, random, not self.layers.running)


@contextmanager
def intercepting(model: nn.Module, mode: Interception) -> Iterator[None]:
    """Run the block with `mode` in every thread that runs `model` or a part of it."""
    mode.roles = Roles(model)

    def is_copy(module: nn.Module) -> bool:
        first = next(module.parameters(), None)
        return first is not None and mode.roles.kind_of_memory(first) == "weight"

    mode.layers = Layers(model, lambda module: _enter(mode, module), lambda: _leave(mode), is_copy)
    mode.layers.remove()
    with mode.entered():
        yield


def _enter(mode: Interception, module: nn.Module) -> None:
    if not mode.local.entered:
        mode.local.entered = True
        mode.__enter__()  # type: ignore[no-untyped-call]
    mode.begins(module)


def _leave(mode: Interception) -> None:
    if mode.local.entered and threading.current_thread() is not mode.layers.thread:
        mode.local.entered = False
        mode.__exit__(None, None, None)  # type: ignore[no-untyped-call]


def _body(function: Any) -> Callable[..., Any] | None:
    """A Python function of torch that hides its inner calls from modes, without that; None for any other."""
    if not isinstance(function, FunctionType):
        return None
    if function not in _bodies:
        opened = function.__module__ in _OPENED or function is Tensor.backward
        _bodies[function] = _copy(function) if opened else function
    body = _bodies[function]
    return None if body is function else body


def _copy(function: FunctionType) -> Callable[..., Any]:
    if not set(function.__code__.co_names) & set(_NAMES):
        return function
    names = {**function.__globals__, **dict.fromkeys(_NAMES, lambda *_: False)}
    made = FunctionType(function.__code__, names, function.__name__, function.__defaults__, function.__closure__)
    made.__kwdefaults__ = function.__kwdefaults__
    return made


def _touched(roles: Roles, args: tuple[Any, ...]) -> str | None:
    """The module whose parameter an argument is, None if none is one of the model's."""
    return next((owner for arg in args if isinstance(arg, Tensor) and (owner := roles.owner(arg)) is not None), None)


def _autocast(
    roles: Roles, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
    """The arguments in the type that autocast multiplies in, of the same roles; None where it is off."""
    first = next((arg for arg in args if isinstance(arg, Tensor)), None)
    if first is None or first.is_meta or not torch.is_autocast_enabled(first.device.type):
        return None
    kind = torch.get_autocast_dtype(first.device.type)

    def cast(value: Any) -> Any:
        if not isinstance(value, Tensor) or not value.is_floating_point() or value.dtype in (torch.float64, kind):
            return value
        made, role = value.to(kind), roles.kind(value)
        if role != "activation":
            roles.set(made, role)
        return made

    return tuple(cast(arg) for arg in args), {key: cast(value) for key, value in kwargs.items()}


def _name(function: Any) -> str:
    return str(getattr(function, "__name__", function))


def _kinds(args: tuple[Any, ...]) -> str:
    """What is special about the tensors among the arguments."""
    found = {str(one.layout).removeprefix("torch.") for one in _tensors(args)} - {"strided"}
    return " and ".join(sorted(found)) or "tensors whose numbers are not in reach"


def _tensors(values: tuple[Any, ...]) -> list[Tensor]:
    found = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, (tuple, list)):
            found += _tensors(tuple(value))
    return found
