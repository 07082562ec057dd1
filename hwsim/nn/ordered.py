"""Runs a model so that no bit depends on the processor: what torch would compute in an order of the machine's choice
is computed by `hwsim.ordered`.

A dispatch mode sees every operator below autograd. Products, and the operators of `hwsim.nn.ordered_operators.OWN`,
are computed in our order; those of `EXACT` move numbers, or round the result of one IEEE operation once, and are
torch's; what torch can write in terms of others is (`torch._decomp`). What is left, say a product of complex numbers,
torch computes as it will, and `Ordered.left` names it. Tensors on other devices, and those that are not float, are
not looked at.

Operators that multiply and add in one kernel are not in `EXACT`: compilers fuse the two where a processor can. Nor
are roots, which torch takes from Intel's vector library, not always to the nearest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from hwsim.nn.ordered_operators import FLOATS, OWN, products
from hwsim.nn.products import Call, as_call

EXACT = frozenset(
    """abs alias amax amin arange argmax argmin argsort as_strided bucketize cat ceil clamp clamp_max clamp_min
    clone conj_physical _conj_physical constant_pad_nd contiguous copy copysign cummax cummin cumsum detach
    diag_embed diagonal diagonal_copy embedding empty empty_like empty_strided eq expand fill flip floor full
    full_like gather ge gt im2col index index_copy index_fill index_put index_select isfinite isinf isnan le
    leaky_relu lift lift_fresh _local_scalar_dense logical_and logical_not logical_or lt masked_fill
    masked_scatter masked_select max max_pool2d_with_indices maximum min minimum mul nan_to_num narrow ne neg
    new_empty new_empty_strided new_full new_ones new_zeros nll_loss_backward nonzero ones ones_like permute
    pixel_shuffle pixel_unshuffle reciprocal reflection_pad1d reflection_pad2d relu repeat repeat_interleave
    replication_pad1d replication_pad2d reshape _reshape_alias resize resize_as roll round scalar_tensor scatter
    searchsorted select select_backward select_scatter set sgn sign signbit slice slice_backward slice_scatter
    sort split split_with_sizes squeeze stack t threshold_backward _to_copy topk transpose tril triu trunc
    unbind unfold unfold_copy _unsafe_view unsqueeze upsample_nearest1d upsample_nearest2d upsample_nearest3d
    view view_as_real view_copy where zero zeros zeros_like""".split()  # noqa: SIM905
)
"""Operators, by name without the underscore of those that write their first argument, whose bits no processor
decides."""

_POWERS = (0.0, 1.0, 2.0, 3.0, -1.0, -2.0)  # torch makes these of products and quotients


class Ordered(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Computes what it sees in our order. `left`: names of operators that torch computed in one of its own."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.left: set[str] = set()

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """No: torch would import its compiler, which takes seconds, to keep it away from this mode."""
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        name = func._schema.name.rpartition("::")[2]
        base = name[:-1] if name.endswith("_") and not name.endswith("__") else name
        if not _concerns(args, kwargs) or _exact(base, args, kwargs):
            return func(*args, **kwargs)
        targets = [one.name for one in func._schema.arguments if one.is_out]
        inputs = {key: value for key, value in kwargs.items() if key not in targets}
        made = self._made(func, base, args, inputs) if targets in ([], ["out"]) else NotImplemented
        if made is NotImplemented:
            self.left.add(name)
            return func(*args, **kwargs)
        if not targets and base == name:
            return made
        target = kwargs["out"] if targets else args[0]
        return target.resize_(made.shape).copy_(made)

    def _made(self, func: Any, base: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if base == "convolution_backward":
            return self._convolution_backward(*args, **kwargs)
        own = OWN.get(base)
        if own is not None:
            return own(*args, **kwargs)
        if func._can_decompose():  # one that torch itself makes of others
            with self:
                return func.decompose(*args, **kwargs)
        call = as_call(getattr(torch.ops.aten, base, None), args, kwargs)
        if call is not None and call.finish is not None and _multiplies(call):
            return call.finish([products(one.a, one.b) for one in call.products])
        found = _decomposition(func)
        if found is None:
            return NotImplemented
        with self:
            return found(*args, **kwargs)

    def _convolution_backward(
        self, grad: Tensor, x: Tensor, w: Tensor, bias_sizes: Sequence[int] | None, stride: Sequence[int],
        padding: Sequence[int], dilation: Sequence[int], transposed: bool, output_padding: Sequence[int], groups: int,
        output_mask: Sequence[bool],
    ) -> Any:  # fmt: skip
        call = as_call(
            torch.ops.aten.convolution_backward,
            (grad, x, w, bias_sizes, stride, padding, dilation, transposed, output_padding, groups, output_mask), {},
        )  # fmt: skip
        assert call is not None
        if grad.dim() != w.dim() or not _multiplies(call):
            return NotImplemented
        of_x = of_w = of_bias = None
        with self:
            if output_mask[0]:
                axes = w.dim() - 2
                steps, around, apart = (
                    list(one) * (axes if len(one) < axes else 1) for one in (stride, padding, dilation)
                )
                sizes = zip(x.shape[2:], grad.shape[2:], w.shape[2:], steps, around, apart, strict=True)
                extra = [n - ((m - 1) * s - 2 * p + d * (k - 1) + 1) for n, m, k, s, p, d in sizes]
                more = [0] * axes if transposed else extra
                of_x = torch.ops.aten.convolution(
                    grad, w, None, stride, padding, dilation, not transposed, more, groups
                )
            if output_mask[2]:
                of_bias = grad.sum([0, *range(2, grad.dim())])
        if output_mask[1]:
            last = call.products[-1]
            of_w = products(last.a, last.b).reshape(w.shape).to(w.dtype)
        return of_x, of_w, of_bias


@contextmanager
def ordered() -> Iterator[Ordered]:
    """Run the block with attention, recurrences and every float operator on a CPU in our order."""
    with ExitStack() as stack:
        stack.callback(torch._C._set_mkldnn_enabled, torch._C._get_mkldnn_enabled())
        torch._C._set_mkldnn_enabled(False)  # else a recurrence is one operator of oneDNN
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        yield stack.enter_context(Ordered())


def _concerns(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether an argument is a float, and all that are lie in the memory of a CPU."""
    floats = [
        leaf
        for leaf in tree_leaves((args, kwargs))
        if isinstance(leaf, Tensor) and (leaf.is_floating_point() or leaf.is_complex())
    ]
    return bool(floats) and all(
        one.device.type == "cpu" and one.layout is torch.strided and type(one) in (Tensor, torch.nn.Parameter)
        for one in floats
    )


def _exact(base: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether no bit of torch's own result depends on the processor."""
    if base in ("add", "sub"):
        return bool(kwargs.get("alpha", 1) == 1)
    if base == "pow":
        return not isinstance(args[1], Tensor) and isinstance(args[0], Tensor) and float(args[1]) in _POWERS
    if base == "div":
        return kwargs.get("rounding_mode") is None
    return base in EXACT


def _multiplies(call: Call) -> bool:
    return all(one.fits and one.macs and one.a.dtype in FLOATS and one.b.dtype in FLOATS for one in call.products)


def _decomposition(func: Any) -> Callable[..., Any] | None:
    """The operator in terms of others, as torch has it for its compiler; not its references, which end in operators
    of their own."""
    import torch._decomp.decompositions

    found = torch._decomp.decomposition_table.get(func)
    known = found is not None and found.__module__.startswith("torch._decomp")
    return found if known else None
