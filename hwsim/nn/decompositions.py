"""Functions that multiply matrices inside, in terms of functions whose products can be seen, as torch computes them.

Differentiable, so that every product gets its own gradients. The products and their order are those that torch's own
decomposition has, so a capture and an emulation name the same ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

EUCLID_ROWS = 25
"""Rows of either operand beyond which `torch.cdist` multiplies matrices by default."""


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
    softmax: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Scaled dot-product attention as torch's unfused form: queries and keys carry the root of the scale each.

    `softmax` stands in for the softmax over the last axis.
    """
    kind = value.dtype
    if query.dtype in (torch.bfloat16, torch.float16):
        query, key, value = query.float(), key.float(), value.float()
    if enable_gqa:
        key = key.repeat_interleave(query.shape[-3] // key.shape[-3], -3)
        value = value.repeat_interleave(query.shape[-3] // value.shape[-3], -3)
    factor = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    root = math.sqrt(abs(factor))
    scores = torch.matmul(query * (root if factor >= 0 else -root), (key * root).transpose(-2, -1))
    if is_causal:
        rows, columns = scores.shape[-2:]
        hidden = torch.ones(rows, columns, dtype=torch.bool, device=query.device).tril().logical_not()
        scores = scores.masked_fill(hidden, -math.inf)
    if attn_mask is not None:
        if attn_mask.dtype == torch.bool:
            scores = scores.masked_fill(attn_mask.logical_not(), -math.inf)
        else:
            scores = scores + attn_mask.to(scores.dtype)
    weights = _safe_softmax(scores) if softmax is None else softmax(scores)
    if dropout_p > 0:
        weights = functional.dropout(weights, dropout_p)
    return torch.matmul(weights, value).to(kind)


def _safe_softmax(scores: Tensor) -> Tensor:
    """Softmax over the last axis, zero in rows that are masked whole."""
    weights: Tensor = scores.softmax(-1)
    masked = (scores == -math.inf).all(-1, keepdim=True)
    if bool(masked.any()):
        weights = weights.masked_fill(masked, 0.0)
    return weights


def einsum(equation: str, *operands: Any) -> Tensor:
    """Contracted two by two from the left, each pair as one batch of products."""
    tensors = list(operands[0] if len(operands) == 1 and isinstance(operands[0], (list, tuple)) else operands)
    inputs, output = _terms(equation, [tensor.dim() for tensor in tensors])
    for place, (term, tensor) in enumerate(zip(inputs, tensors, strict=True)):
        inputs[place], tensors[place] = _without_diagonals(term, tensor)
    term = inputs[0]
    result: Tensor = tensors[0]
    for place in range(1, len(tensors)):
        wanted = set(output).union(*inputs[place + 1 :])
        term, result = _contract(term, result, inputs[place], tensors[place], wanted)
    gone = [axis for axis, letter in enumerate(term) if letter not in output]
    result = result.sum(gone) if gone else result
    kept = [letter for letter in term if letter in output]
    return result.permute([kept.index(letter) for letter in output])


def _terms(equation: str, ranks: list[int]) -> tuple[list[str], str]:
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    spare = [chr(0x391 + n) for n in range(32)]  # names of the axes that an ellipsis stands for
    widths = [rank - len(term.replace("...", "")) for term, rank in zip(terms, ranks, strict=True)]
    widest = max((width for term, width in zip(terms, widths, strict=True) if "..." in term), default=0)
    made = [
        term.replace("...", "".join(spare[widest - width : widest]))
        for term, width in zip(terms, widths, strict=True)
    ]
    every = "".join(spare[:widest])
    if not arrow:
        once = sorted(letter for letter in set(left) - set(",.") if "".join(terms).count(letter) == 1)
        return made, every + "".join(once)
    return made, right.replace("...", every)


def _without_diagonals(term: str, tensor: Tensor) -> tuple[str, Tensor]:
    for letter in dict.fromkeys(term):
        while term.count(letter) > 1:
            first = term.index(letter)
            second = term.index(letter, first + 1)
            tensor = tensor.diagonal(dim1=first, dim2=second)
            term = term[:first] + term[first + 1 : second] + term[second + 1 :] + letter
    return term, tensor


def _contract(a: str, x: Tensor, b: str, y: Tensor, wanted: set[str]) -> tuple[str, Tensor]:
    sizes: dict[str, int] = {}
    for letter, size in (*zip(a, x.shape, strict=True), *zip(b, y.shape, strict=True)):
        sizes[letter] = max(sizes.get(letter, 1), int(size))
    for own, other, which in ((a, b, 0), (b, a, 1)):
        alone = [axis for axis, letter in enumerate(own) if letter not in other and letter not in wanted]
        if alone:
            kept = "".join(letter for axis, letter in enumerate(own) if axis not in alone)
            if which == 0:
                a, x = kept, x.sum(alone)
            else:
                b, y = kept, y.sum(alone)
    batch = [letter for letter in a if letter in b and letter in wanted]
    inner = [letter for letter in a if letter in b and letter not in wanted]
    rows, columns = [c for c in a if c not in b], [c for c in b if c not in a]
    x = x.permute([a.index(c) for c in (*batch, *rows, *inner)]).expand([sizes[c] for c in (*batch, *rows, *inner)])
    y = y.permute([b.index(c) for c in (*batch, *inner, *columns)]).expand(
        [sizes[c] for c in (*batch, *inner, *columns)]
    )
    counts = [math.prod(sizes[c] for c in part) for part in (batch, rows, inner, columns)]
    left, right = x.reshape(counts[0], counts[1], counts[2]), y.reshape(counts[0], counts[2], counts[3])
    out = torch.bmm(left, right) if batch else torch.mm(left[0], right[0])
    term = "".join((*batch, *rows, *columns))
    return term, out.reshape([sizes[c] for c in term])


def tensordot(a: Tensor, b: Tensor, dims: Any = 2, out: Tensor | None = None) -> Tensor:
    """One product over the axes `dims`: their number, or those of a and those of b."""
    if isinstance(dims, Tensor):
        dims = dims.tolist()
    if isinstance(dims, int):
        dims = list(range(a.dim() - dims, a.dim())), list(range(dims))
    first, second = ([axis % t.dim() for axis in axes] for axes, t in zip(dims, (a, b), strict=True))
    rows = [axis for axis in range(a.dim()) if axis not in first]
    columns = [axis for axis in range(b.dim()) if axis not in second]
    shape = [a.shape[axis] for axis in rows] + [b.shape[axis] for axis in columns]
    inner = math.prod(a.shape[axis] for axis in first)
    made = torch.mm(a.permute([*rows, *first]).reshape(-1, inner), b.permute([*second, *columns]).reshape(inner, -1))
    return _into(made.reshape(shape), out)


def inner(a: Tensor, b: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Over the last axis of both."""
    return _into(a * b if 0 in (a.dim(), b.dim()) else tensordot(a, b, ([-1], [-1])), out)


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x W y for each output: one product with the whole weight, then one with y."""
    shape = input1.shape[:-1]
    x, y = input1.reshape(-1, input1.shape[-1]), input2.reshape(-1, input2.shape[-1])
    outputs, first, second = weight.shape
    half = functional.linear(x, weight.transpose(1, 2).reshape(outputs * second, first)).view(-1, outputs, second)
    out = torch.bmm(half, y.unsqueeze(2)).squeeze(2)
    out = out if bias is None else out + bias
    return out.reshape(*shape, outputs)


def addbmm(
    input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Any = 1, alpha: Any = 1, out: Tensor | None = None
) -> Tensor:
    """The sum of a batch of products is one product, the batch a part of its contraction."""
    a = batch1.transpose(0, 1).reshape(batch1.shape[1], -1)
    return _into(torch.addmm(input, a, batch2.reshape(-1, batch2.shape[2]), beta=beta, alpha=alpha), out)


def addr(
    input: Tensor, vec1: Tensor, vec2: Tensor, *, beta: Any = 1, alpha: Any = 1, out: Tensor | None = None
) -> Tensor:
    """An outer product: a contraction of one."""
    return _into(torch.addmm(input, vec1[:, None], vec2[None], beta=beta, alpha=alpha), out)


def cdist(x1: Tensor, x2: Tensor, p: float = 2.0, compute_mode: str | None = None) -> Tensor | None:
    """Distances by the product of the two, where torch takes them so; None where it subtracts."""
    large = x1.shape[-2] > EUCLID_ROWS or x2.shape[-2] > EUCLID_ROWS
    mode = compute_mode or "use_mm_for_euclid_dist_if_necessary"
    if p != 2 or mode == "donot_use_mm_for_euclid_dist" or not (large or mode == "use_mm_for_euclid_dist"):
        return None
    norms = x1.square().sum(-1, keepdim=True) + x2.square().sum(-1, keepdim=True).transpose(-2, -1)
    return (norms - 2 * torch.matmul(x1, x2.transpose(-2, -1))).clamp_min(0).sqrt()


def addmm_activation(
    input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: Any = 1, alpha: Any = 1, use_gelu: bool = False,
    out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """A product with its activation behind."""
    made = torch.addmm(input, mat1, mat2, beta=beta, alpha=alpha)
    return _into(functional.gelu(made) if use_gelu else functional.relu(made), out)


def conv_tbc(input: Tensor, weight: Tensor, bias: Tensor, pad: int = 0) -> Tensor:
    """A convolution of ``[time, batch, channels]``."""
    return functional.conv1d(input.permute(1, 2, 0), weight.permute(2, 1, 0), bias, padding=pad).permute(2, 0, 1)


def grouped_mm(
    mat_a: Tensor, mat_b: Tensor, offs: Tensor | None = None, bias: Tensor | None = None, out_dtype: Any = None
) -> Tensor:
    """One product a group: rows of a between two offsets by the group's own matrix, as experts have it."""
    if offs is None:
        out = torch.bmm(mat_a, mat_b)
    else:
        ends = [int(end) for end in offs.tolist()]
        parts = [slice(start, end) for start, end in zip([0, *ends[:-1]], ends, strict=True)]
        if mat_a.dim() == 2 and mat_b.dim() == 3:
            out = torch.cat([torch.mm(mat_a[part], mat_b[group]) for group, part in enumerate(parts)])
            rest = mat_a.shape[0] - (ends[-1] if ends else 0)
            out = torch.cat([out, out.new_zeros(rest, out.shape[1])]) if rest else out
        elif mat_a.dim() == 3:
            out = torch.cat([torch.mm(mat_a[group], mat_b[:, part]) for group, part in enumerate(parts)], dim=1)
        else:
            out = torch.stack([torch.mm(mat_a[:, part], mat_b[part]) for part in parts])
    out = out if bias is None else out + bias
    return out if out_dtype is None else out.to(out_dtype)


def multi_dot(tensors: Any, *, out: Tensor | None = None) -> Tensor:
    """From left to right."""
    made = tensors[0]
    for tensor in tensors[1:]:
        made = torch.matmul(made, tensor)
    return _into(made, out)


def chain_matmul(*matrices: Any, out: Tensor | None = None) -> Tensor:
    """From left to right."""
    return multi_dot(matrices[0] if len(matrices) == 1 else matrices, out=out)


def recurrent(name: str) -> Callable[..., Any]:
    """Torch's own decomposition of ``lstm``, ``gru``, ``rnn_tanh`` and ``rnn_relu``, packed sequences included."""

    def run(*args: Any) -> Any:
        from torch._decomp import decompositions as torch_has

        packed = isinstance(args[3], (list, tuple))  # data, batch sizes, hidden state, weights
        plain, data = {
            "lstm": ("lstm_impl", "lstm_data_impl"),
            "gru": ("gru_impl", "gru_impl_data"),
        }.get(name, (f"{name}_input", f"{name}_data"))
        fused = torch._C._get_mkldnn_enabled()
        torch._C._set_mkldnn_enabled(False)  # else an LSTM's decomposition is one operator of oneDNN
        try:
            return getattr(torch_has, data if packed else plain)(*args)
        finally:
            torch._C._set_mkldnn_enabled(fused)

    return run


def lstm_cell(
    input: Tensor, hx: Any, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None, b_hh: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """One step of an LSTM."""
    gates = functional.linear(input, w_ih, b_ih) + functional.linear(hx[0], w_hh, b_hh)
    i, f, g, o = gates.chunk(4, -1)
    cell = f.sigmoid() * hx[1] + i.sigmoid() * g.tanh()
    return o.sigmoid() * cell.tanh(), cell


def gru_cell(
    input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None, b_hh: Tensor | None = None
) -> Tensor:
    """One step of a GRU."""
    x, h = functional.linear(input, w_ih, b_ih).chunk(3, -1), functional.linear(hx, w_hh, b_hh).chunk(3, -1)
    reset, update = (x[0] + h[0]).sigmoid(), (x[1] + h[1]).sigmoid()
    new = (x[2] + reset * h[2]).tanh()
    return new + update * (hx - new)


def rnn_cell(nonlinearity: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    """One step of a plain recurrent network."""

    def run(
        input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None, b_hh: Tensor | None = None
    ) -> Tensor:
        return nonlinearity(functional.linear(input, w_ih, b_ih) + functional.linear(hx, w_hh, b_hh))

    return run


def _into(made: Tensor, out: Tensor | None) -> Tensor:
    return made if out is None else out.resize_(made.shape).copy_(made)


def _known() -> dict[Any, Callable[..., Any]]:
    found: dict[Any, Callable[..., Any]] = {
        torch.einsum: einsum,
        torch.tensordot: tensordot,
        torch.inner: inner,
        torch.Tensor.inner: inner,
        torch.bilinear: bilinear,
        torch.addbmm: addbmm,
        torch.Tensor.addbmm: addbmm,
        torch.addr: addr,
        torch.Tensor.addr: addr,
        torch.cdist: cdist,
        torch._addmm_activation: addmm_activation,
        torch.conv_tbc: conv_tbc,
        torch._grouped_mm: grouped_mm,
        torch.linalg.multi_dot: multi_dot,
        torch.chain_matmul: chain_matmul,
        torch.lstm_cell: lstm_cell,
        torch.gru_cell: gru_cell,
        torch.rnn_tanh_cell: rnn_cell(torch.tanh),
        torch.rnn_relu_cell: rnn_cell(torch.relu),
    }
    for name in ("lstm", "gru", "rnn_tanh", "rnn_relu"):
        found[getattr(torch, name)] = recurrent(name)
    for function in ("grouped_mm", "bilinear"):
        if hasattr(functional, function):
            found[getattr(functional, function)] = globals()[function]
    return found


DECOMPOSED = _known()
"""Functions of torch and what stands for them; a result of None means the function multiplies nothing here."""
