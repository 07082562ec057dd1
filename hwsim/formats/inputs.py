"""What users hand over as numbers, as an array: lists, arrays of any real type, torch's tensors.

Torch is not imported here: its tensors are known by their methods. Bfloat16, which NumPy lacks, becomes float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwsim.errors import ArgumentError


def real_array(values: ArrayLike, rule: str, where: str) -> NDArray[Any]:
    """`values` as an array of a real type; no number is changed.

    Raises:
        ArgumentError: with `rule`: they are complex, or no numbers.
    """
    if hasattr(values, "detach") and hasattr(values, "cpu"):
        tensor: Any = values.detach().cpu()
        narrow = str(tensor.dtype) == "torch.bfloat16" or "float8" in str(tensor.dtype)
        values = (tensor.float() if narrow else tensor).resolve_neg().numpy()
    array = np.asarray(values)
    if array.dtype.kind == "V" or array.dtype.name == "bfloat16":  # ml_dtypes' own types, all within float32
        return array.astype(np.float32)
    if array.dtype.kind not in "fiub":
        raise ArgumentError(rule, got=array.dtype.name, where=where)
    return array


def singles_or_doubles(values: ArrayLike, where: str) -> NDArray[Any]:
    """`values` as float32 where that holds them by type, else as float64, from which a format rounds.

    What float64 cannot hold, whole numbers above 2^53 and wider floats, is cut to it with the last bit set: rounded
    to odd, so that rounding once more, to a format narrower than that by two bits, is rounding once.
    """
    array = real_array(values, "values must be real numbers, whole ones of at most 64 bits", where)
    if array.dtype.kind == "f" and array.dtype.itemsize <= 4:
        return array.astype(np.float32, copy=False)
    if array.dtype.kind in "iub" and array.dtype.itemsize <= 2:
        return array.astype(np.float32)
    if array.dtype == np.float64 or array.dtype.itemsize <= 4:
        return array.astype(np.float64, copy=False)
    wide = array.astype(np.longdouble)  # 64 bits of significand on x86: whole numbers fit
    with np.errstate(over="ignore", under="ignore"):
        near = wide.astype(np.float64)
    lost = np.isfinite(wide) & (near.astype(np.longdouble) != wide)
    bits = np.where(np.abs(near.astype(np.longdouble)) > np.abs(wide), near.view(np.int64) - 1, near.view(np.int64))
    odd = np.where(lost, bits | 1, bits).view(np.float64)
    return np.asarray(odd).reshape(array.shape)
