"""What the numbers of a tensor are: weights, gradients, activations, by the memory that they lie in.

An operand is a ``"gradient"`` if a gradient went into it, a ``"weight"`` if nothing but parameters and buffers did
(their transposes, casts and quantised forms included), and an ``"activation"`` otherwise.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef

from hwsim.nn.places import plain_name
from hwsim.trace.gemm import Role

Kind = Literal["activation", "weight", "gradient", "buffer", "constant", "index"]
"""What `Roles` tells apart: roles, and of weights the buffers, which no training changes; of activations constants
that the program writes down, and what integers and constants alone lead to, such as positions."""


class Roles:
    """What the numbers of a tensor are, by the memory they lie in, so that views share the role of their base.

    Parameters stay weights, whatever writes them; other tensors get the role of what was written last.
    """

    def __init__(self, model: nn.Module) -> None:
        self._known: dict[int, tuple[StorageWeakRef, Kind]] = {}  # the reference keeps the key from being reused
        self._limit = 1 << 14
        self._owners: dict[int, str] = {}
        self._parameters: list[Tensor] = []  # kept alive, so that no other memory gets their keys
        for tensor in model.buffers():
            self.set(tensor, "buffer")
        for name, tensor in model.named_parameters():
            key = storage_key(tensor)
            if key is not None:
                self._owners.setdefault(key, plain_name(name).rpartition(".")[0])
                self._parameters.append(tensor)

    def of(self, tensor: Tensor) -> Role:
        """The role of a tensor, ``"activation"`` unless something else is known."""
        kind = self.kind(tensor)
        return "weight" if kind == "buffer" else ("gradient" if kind == "gradient" else
                                                  ("weight" if kind == "weight" else "activation"))  # fmt: skip

    def kind(self, tensor: Tensor) -> Kind:
        """What is known of a tensor, ``"index"`` for whole numbers of 32 and 64 bits that are not fed as such."""
        key = storage_key(tensor)
        if key in self._owners or isinstance(tensor, nn.Parameter):
            return "weight"
        known = self._known.get(key) if key is not None else None
        if known:
            return known[1]
        return "index" if tensor.dtype in (torch.int64, torch.int32, torch.bool) else "activation"

    def kind_of_memory(self, tensor: Tensor) -> Kind | None:
        """What is known of the memory that a tensor lies in, whatever the tensor itself says."""
        key = storage_key(tensor)
        known = self._known.get(key) if key is not None else None
        return "weight" if key in self._owners else (known[1] if known else None)

    def owner(self, tensor: Tensor) -> str | None:
        """The module that holds a parameter, None for any other tensor."""
        key = storage_key(tensor)
        return None if key is None else self._owners.get(key)

    def folded(self, a: Tensor, b: Tensor) -> str:
        """Why a product is no arithmetic of the network, "" if it is: ``"complex"`` and ``"index"`` products, of
        ``"positions"`` with fixed buffers, and ``"weight × weight"``, which is done once before inference."""
        if a.is_complex() or b.is_complex():
            return "complex"
        if not a.is_floating_point() and not b.is_floating_point():
            return "index"
        kinds = {self.kind(a), self.kind(b)}
        if kinds <= {"weight", "buffer"}:
            return "weight × weight"
        return "positions" if kinds <= {"index", "buffer", "constant"} else ""

    def set(self, tensor: Tensor, role: Kind) -> None:
        """Note the role of a tensor's memory."""
        key = storage_key(tensor)
        if key is None or key in self._owners:
            return
        self._known[key] = StorageWeakRef(_plain(tensor).untyped_storage()), role  # type: ignore[no-untyped-call]
        if len(self._known) > self._limit:
            alive = {key: known for key, known in self._known.items() if not known[0].expired()}  # type: ignore[no-untyped-call]
            self._known = alive
            self._limit = max(self._limit, 2 * len(self._known))

    def forget(self, tensor: Tensor) -> None:
        """Take a tensor for what its type alone tells."""
        key = storage_key(tensor)
        if key is not None:
            self._known.pop(key, None)

    def pass_on(self, inputs: list[Tensor], outputs: list[Tensor], random: bool, outside: bool) -> None:
        """Give the results of an operator the role that follows from its inputs.

        Args:
            inputs, outputs: of the operator.
            random: whether it draws.
            outside: whether no forward of the model is under way: what a program writes down there is data that it
                feeds, such as the images of a metric, and no constant of the network.
        """
        kinds = {self.kind(tensor) for tensor in inputs}
        for tensor in outputs:
            if "gradient" in kinds:
                self.set(tensor, "gradient")
            elif "activation" in kinds or random or (outside and kinds <= {"constant"}):
                self.forget(tensor)
            elif kinds <= {"weight", "buffer", "constant"} and kinds != {"constant"} and kinds:
                self.set(tensor, "weight" if "weight" in kinds else "buffer")
            elif kinds <= {"constant"}:
                self.set(tensor, "constant")
            elif "weight" not in kinds:
                self.set(tensor, "index")
            else:
                self.forget(tensor)


def storage_key(tensor: Tensor) -> int | None:
    """The memory that a tensor lies in, None where it has none of its own (sparse, wrapped by another package)."""
    try:
        return int(_plain(tensor).untyped_storage()._cdata)
    except (NotImplementedError, RuntimeError):
        return None


def _plain(tensor: Tensor) -> Tensor:
    """A tensor without the transforms of ``torch.func`` around it."""
    while torch._C._functorch.is_functorch_wrapped_tensor(tensor):
        tensor = torch._C._functorch.get_unwrapped(tensor)
    return tensor
