"""What a vector unit is asked for by each ATen operator: `hwsim.trace.graph.VECTOR_KINDS` by ATen's names."""

from __future__ import annotations

from typing import Any

from torch import Tensor

RELAYOUTS = frozenset({"clone", "contiguous", "_to_copy", "repeat", "copy", "alias_copy", "lift_fresh_copy"})
"""Operators that put the same numbers elsewhere: a machine reads them in the order that it needs."""

GATHERS = frozenset({"embedding", "index_select", "gather", "index", "take_along_dim"})
"""Operators whose first operand is a table of rows."""

_KINDS = {
    "softmax": "_softmax _safe_softmax _log_softmax softmax log_softmax",
    "layernorm": "native_layer_norm",
    "rmsnorm": "_fused_rms_norm rms_norm",
    "batchnorm": "native_batch_norm _native_batch_norm_legit _native_batch_norm_legit_no_training cudnn_batch_norm "
    "_batch_norm_with_update batch_norm",
    "groupnorm": "native_group_norm group_norm",
    "add": "add sub rsub subtract addcmul",
    "scale": "neg",
    "relu": "relu",
    "gelu": "gelu",
    "silu": "silu",
    "sigmoid": "sigmoid",
    "tanh": "tanh",
    "exp": "exp exp2 expm1",
    "square": "square",
    "divide": "reciprocal",
    "rsqrt": "rsqrt sqrt",
    "mask": "where masked_fill tril triu",
    "embedding": "embedding",
    "pool": "max_pool2d_with_indices max_pool3d_with_indices max_pool1d max_pool2d max_pool3d avg_pool1d avg_pool2d "
    "avg_pool3d _adaptive_avg_pool2d _adaptive_avg_pool3d adaptive_max_pool2d adaptive_max_pool3d mkldnn_max_pool2d",
    "reduce": "mean sum amax amin max min argmax argmin any all var std var_mean linalg_vector_norm norm prod "
    "logsumexp count_nonzero",
    "requantize": "round floor ceil trunc fake_quantize_per_tensor_affine fake_quantize_per_channel_affine "
    "quantize_per_tensor quantize_per_channel dequantize",
    "copy": "cat stack clone copy _to_copy roll flip constant_pad_nd repeat index_put slice_scatter index_copy "
    "scatter select_scatter fill zero pixel_shuffle im2col upsample_nearest2d index index_select gather",
    "compare": "eq ne lt gt le ge logical_and logical_or logical_not logical_xor bitwise_and bitwise_or bitwise_not "
    "isnan isinf maximum minimum clamp clamp_min clamp_max hardtanh sign",
    "other": "topk sort multinomial cumsum bincount nonzero unique _fft_r2c _fft_c2r _fft_c2c scatter_add index_add",
}  # fmt: skip

_BY_NAME = {name: kind for kind, names in _KINDS.items() for name in names.split()}


def kind_of(
    name: str, args: tuple[Any, ...], inputs: list[Tensor], outputs: list[Tensor], *, gathers_weight: bool
) -> str:
    """The kind of the operator `name` (ATen's, without overload); ``"elementwise"`` for one of equal shapes that has
    no name here, ``"other"`` for the rest."""
    plain = name.removesuffix("_")
    if plain in ("mul", "div", "divide", "multiply"):
        by_number = len([arg for arg in args[:2] if isinstance(arg, Tensor) and arg.ndim]) < 2
        return "scale" if by_number else ("divide" if plain.startswith("div") else "mul")
    if plain == "pow":
        return "square" if len(args) > 1 and isinstance(args[1], (int, float)) and args[1] == 2 else "elementwise"
    if plain in ("max", "min") and len(inputs) == 2:
        return "compare"
    if plain in ("index", "index_select", "gather") and gathers_weight:
        return "embedding"
    if plain in _BY_NAME:
        return _BY_NAME[plain]
    if not inputs:
        return "copy"  # a constant
    largest = max(tensor.numel() for tensor in inputs)
    return "elementwise" if outputs and outputs[0].numel() >= largest else "other"
