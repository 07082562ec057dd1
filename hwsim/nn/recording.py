"""Recording every operator of a run: which stored tensors it reads, how much of them, and what it writes.

A tensor is known by the memory that it lies in, so a view is its base. Copies that only change the order or the
width of floating-point numbers are views too: a machine reads in the order that it needs. What is written in place
gets a name of its own, since a machine's plan must tell the two states apart. Operators on nothing but weights and
constants are folded: they run once, before inference. `hwsim.nn.patterns` makes composite operators of the record.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._pytree import tree_flatten_with_path, tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

from hwsim.nn.kinds import GATHERS, RELAYOUTS, kind_of
from hwsim.nn.products import Call, Product
from hwsim.nn.stored import (
    Step,
    Stored,
    dtype_name,
    is_index,
    region,
    span,
    storage_key,
    touched,
    window_of,
    written,
)  # fmt: skip
from hwsim.trace.gemm import GemmShape, Phase
from hwsim.trace.graph import Access, Source

SHADOW_ELEMENTS = 1 << 24
"""Constants up to this size are computed for real where a run has shapes only, so that masks can be read."""

Attention = Literal["", "plain", "causal"]
"""Whether a function of torch that computes attention is under way, and whether it was called as causal."""

_STATES = ("past", "cache", "state", "hidden")


@dataclass(slots=True)
class _Place:
    """What lies in a storage: its tensor, the different elements of it that are reachable, written parts."""

    alive: StorageWeakRef
    name: str
    most: int
    moved: bool = False
    parts: dict[tuple[Any, ...], str] = field(default_factory=dict)


class Recorder:
    """Notes the operators of one run of `model`, in order."""

    def __init__(self, model: nn.Module) -> None:
        self.tensors: dict[str, Stored] = {}
        self.steps: list[Step] = []
        self.outputs: set[str] = set()
        self._places: dict[int, _Place] = {}
        self._same: dict[tuple[Any, ...], str] = {}
        self._shadows: MutableMapping[Tensor, Tensor] = WeakIdKeyDictionary()
        self._reference = 0
        for name, tensor in (*model.named_parameters(), *model.named_buffers()):
            self.weight(name, tensor)

    def weight(self, name: str, tensor: Tensor, real: Tensor | None = None) -> None:
        """Name a parameter or buffer; `real` holds its numbers where `tensor` has a shape only."""
        if not self._known(tensor):
            self.tensors[name] = Stored(
                name, tuple(tensor.shape), dtype_name(tensor), "weight", constant=True, learned=True
            )
            self._put(tensor, name)
        if real is not None and not real.is_meta and real.numel() <= SHADOW_ELEMENTS:
            self._shadows[tensor] = real.detach()

    def feed(self, arguments: Any) -> None:
        """Name what the model is called with: ``"input.0"``, ``"input.attention_mask"``."""
        for path, leaf in tree_flatten_with_path(arguments)[0]:
            if isinstance(leaf, Tensor) and not self._known(leaf):
                words = ".".join(str(getattr(key, "key", getattr(key, "idx", key))) for key in path[1:])
                source: Source = "state" if any(word in words for word in _STATES) else "input"
                name = self._unused(f"input.{words}" if words else "input")
                self.tensors[name] = Stored(name, tuple(leaf.shape), dtype_name(leaf), source, index=is_index(leaf))
                self._put(leaf, name)

    def finish(self, result: Any) -> None:
        """Note what the model returned."""
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor) and self._known(leaf):
                self.outputs |= {name for name, _, _ in self._read(leaf)}

    def note(
        self,
        func: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        result: Any,
        call: Call | None,
        products: Iterable[tuple[Product, GemmShape | None, str, int | None]],
        where: tuple[str, Phase, Attention],
    ) -> None:
        """Note an operator that has run.

        Args:
            func: the overload, with its arguments and result.
            call: the operator as products, None where it has none.
            products: each with its shape (None: not counted as a product), why it is folded, and its record.
            where: layer, phase, and the attention that is under way.
        """
        name = func._overloadpacket.__name__
        inputs = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        outputs = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        self._shadow(func, args, kwargs, outputs)
        targets = written(func, args, kwargs)
        if call is not None:
            self._gemms(name, args, inputs, outputs, products, where)
            return
        held = {storage_key(tensor) for tensor in inputs}
        if not targets and all(storage_key(tensor) in held for tensor in outputs):
            return  # views
        if targets:
            self._write(name, func, args, kwargs, inputs, targets, where)
            return
        if name.removesuffix("_") in RELAYOUTS and self._moved(inputs, outputs):
            return
        self._vector(name, func, args, kwargs, inputs, [t for t in outputs if storage_key(t) not in held], where)

    # what a tensor is

    def _known(self, tensor: Tensor) -> bool:
        place = self._places.get(storage_key(tensor))
        return place is not None and not place.alive.expired()  # type: ignore[no-untyped-call]

    def _put(self, tensor: Tensor, name: str, most: int | None = None, moved: bool = False) -> None:
        storage = tensor.untyped_storage()
        alive = StorageWeakRef(storage)  # type: ignore[no-untyped-call]
        elements = math.prod(self.tensors[name].shape) if most is None else most
        self._places[storage._cdata] = _Place(alive, name, elements, moved)

    def _unused(self, stem: str) -> str:
        number, name = 0, stem
        while name in self.tensors:
            number += 1
            name = f"{stem}.{number}"
        return name

    def _make(self, tensor: Tensor, layer: str, kind: str, *traits: bool) -> str:
        """Name a computed tensor; `traits` are whether it is constant, an index, and learned."""
        self._reference += 1
        name = f"{layer}:{kind}.{self._reference}"
        self.tensors[name] = Stored(name, tuple(tensor.shape), dtype_name(tensor), "computed", *traits)
        return name

    def _read(self, tensor: Tensor) -> list[tuple[str, int, bool]]:
        """(stored tensor, different elements touched, whether in the stored order) for what a tensor views."""
        if not self._known(tensor):  # made out of sight: numbers that the program brings along
            name = self._unused("constant")
            self.tensors[name] = Stored(
                name, tuple(tensor.shape), dtype_name(tensor), "weight", True, is_index(tensor)
            )
            self._put(tensor, name)
        place = self._places[storage_key(tensor)]
        if place.parts:
            part = place.parts.get(region(tensor))
            if part is not None:
                return [(part, touched(tensor), True)]
        elements = min(touched(tensor), place.most)
        whole = elements == math.prod(self.tensors[place.name].shape)
        found = [(place.name, elements, whole and not place.moved and tensor.is_contiguous())]
        first, last = span(tensor)
        for (offset, shape, stride), name in place.parts.items():
            end = offset + sum((size - 1) * step for size, step in zip(shape, stride, strict=True))
            if offset <= last and first <= end:
                found.append((name, math.prod(shape), True))
        return found

    def _access(self, tensor: Tensor) -> list[Access]:
        return [
            Access(name, count, "whole" if whole else "view") for name, count, whole in self._read(tensor) if count
        ]

    def value(self, tensor: Tensor) -> Tensor | None:
        """The numbers of a tensor, if they can be read."""
        return self._shadows.get(tensor) if tensor.is_meta else tensor

    def _shadow(self, func: Any, args: Any, kwargs: Any, outputs: list[Tensor]) -> None:
        """On shapes alone: compute constants for real."""
        if len(outputs) != 1 or not outputs[0].is_meta or not 0 < outputs[0].numel() <= SHADOW_ELEMENTS:
            return
        if torch.Tag.nondeterministic_seeded in func.tags or func._schema.is_mutable:
            return
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        if any(tensor.is_meta and tensor not in self._shadows for tensor in tensors):
            return
        if tensors and outputs[0].numel() > 16 * sum(tensor.numel() for tensor in tensors) + 1024:
            return
        swap = torch.utils._pytree.tree_map_only(Tensor, lambda t: self._shadows.get(t, t), (args, kwargs))
        if "device" in swap[1]:
            swap[1]["device"] = torch.device("cpu")
        self._shadows[outputs[0]] = func(*swap[0], **swap[1])

    # what an operator does

    def _gemms(
        self,
        name: str,
        args: tuple[Any, ...],
        inputs: list[Tensor],
        outputs: list[Tensor],
        products: Iterable[tuple[Product, GemmShape | None, str, int | None]],
        where: tuple[str, Phase, Attention],
    ) -> None:
        layer, phase, attention = where
        for (product, shape, folded, record), out in zip(products, outputs, strict=False):
            if not product.macs:
                continue
            accesses = [self._operand(tensor, name, args) for tensor in product.of]
            used = {id(tensor) for tensor in product.of}
            for tensor in inputs:
                if id(tensor) not in used and phase == "forward":
                    accesses += self._access(tensor)
            layer = shape.layer if shape else layer
            constant = all(self.tensors[access.tensor].constant for access in accesses)
            kind = "gemm" if shape else "other"
            made = self._make(out, layer, kind, constant and bool(folded), folded == "positions", True)
            self._put(out, made)
            elements = 0 if shape else product.macs
            step = Step(name, layer, kind, shape.phase if shape else phase, accesses, made, elements, shape, record)
            step.folded, step.causal = folded, attention == "causal"
            self.steps.append(step)

    def _operand(self, tensor: Tensor, name: str, args: tuple[Any, ...]) -> Access:
        """What a product reads of an argument; parts that were written one by one are brought together before."""
        found = self._access(tensor)
        if len(found) > 1:
            made = self._make(tensor, "", "copy")
            self.steps.append(Step("copy", "", "copy", "forward", found, made, tensor.numel()))
            self._put(tensor, made)
            found = self._access(tensor)
        if name == "convolution" and tensor is args[0]:
            window = window_of(*args)
            if window is not None:
                return Access(found[0].tensor, found[0].elements, "window", window)
        return found[0]

    def groups(self, product: Product) -> int:
        """Different operands b of a batch of products."""
        if product.batch == 1:
            return 1
        count = sum(elements for _, elements, _ in self._read(product.of[1]))
        found = max(1, min(product.batch, count // (product.b.shape[1] * product.b.shape[2])))
        return found if product.batch % found == 0 else product.batch

    def _moved(self, inputs: list[Tensor], outputs: list[Tensor]) -> bool:
        """Take a copy for a view of its source; False if it is one that a machine must make."""
        source, target = inputs[0], outputs[0]
        if len(inputs) != 1 or source.is_floating_point() != target.is_floating_point():
            return False
        found = self._read(source)
        if len(found) != 1:
            return False
        name, elements, whole = found[0]
        self._put(target, name, elements, moved=not whole or not target.is_contiguous())
        return True

    def _vector(
        self,
        name: str,
        func: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        inputs: list[Tensor],
        outputs: list[Tensor],
        where: tuple[str, Phase, Attention],
    ) -> None:
        layer, phase, attention = where
        if attention and name in ("mul", "div") and self._moved(inputs, outputs):
            return  # a scale of queries or keys is the softmax's
        outputs = [tensor for tensor in outputs if tensor.numel()]
        accesses = [access for tensor in inputs for access in self._access(tensor)]
        held = [self.tensors[access.tensor] for access in accesses]
        random = torch.Tag.nondeterministic_seeded in func.tags
        constant = not random and all(tensor.constant for tensor in held)
        learned = any(tensor.learned for tensor in held)
        index = any(tensor.index for tensor in held) and all(tensor.index or tensor.constant for tensor in held)
        index = index and not random and name not in GATHERS
        scalars = tuple(float(x) for x in tree_leaves((args, kwargs)) if isinstance(x, (int, float)))
        key: tuple[Any, ...] = ()
        if constant:
            shapes = tuple(
                (a.tensor, tuple(t.shape), t.stride(), t.storage_offset())
                for a, t in zip(accesses, inputs, strict=False)
            )
            key = (
                str(func),
                shapes,
                str([leaf for leaf in tree_leaves((args, kwargs)) if not isinstance(leaf, Tensor)]),
            )
        if name in GATHERS and accesses:
            table = accesses[0]
            rows = max(1, outputs[0].numel()) if outputs else 1
            accesses[0] = Access(table.tensor, min(table.elements, rows), "gather")
        kind = kind_of(name, args, inputs, outputs, gathers_weight=bool(held) and held[0].source == "weight")
        if kind == "copy" and name in ("cat", "stack") and any(tensor.source == "state" for tensor in held):
            kind = "cache"
        triangle = kind in ("mask", "add") and self._masks_triangle(name, args, outputs)
        for place, tensor in enumerate(outputs):
            if constant and (*key, place) in self._same:
                self._put(tensor, self._same[*key, place])
                continue
            made = self._make(tensor, layer, kind, constant, index, learned)
            self._put(tensor, made)
            if constant:
                self._same[*key, place] = made
            count = max(t.numel() for t in (*inputs, tensor)) if kind in ("reduce", "pool") else tensor.numel()
            step = Step(name, layer, kind, phase, list(accesses), made, count, scalars=scalars, triangle=triangle)
            step.folded = ("weights alone" if learned else "constant") if constant else ""
            self.steps.append(step)

    def _write(
        self,
        name: str,
        func: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        inputs: list[Tensor],
        targets: list[Tensor],
        where: tuple[str, Phase, Attention],
    ) -> None:
        """An operator that writes into memory that exists."""
        plain = name.removesuffix("_")
        stores = plain in ("copy", "index_put", "index_copy", "scatter", "slice_scatter", "index_add", "index_fill")
        for target in targets:
            if not target.numel():
                continue
            known = self._known(target)
            place = self._places.get(storage_key(target)) if known else None
            base = self.tensors[place.name] if place else None
            whole = base is None or touched(target) >= math.prod(base.shape)
            values = [
                tensor for tensor in inputs if tensor is not target or not (stores or plain in ("fill", "zero"))
            ]
            if name == "copy_" and whole and self._moved(values, [target]):
                continue
            if stores and (not whole or plain != "copy") and base is not None and place is not None:
                self._store(plain, base, values, target, where)
                continue
            parts = dict(place.parts) if place else {}
            self._vector(plain, func, args, kwargs, values, [target], where)
            if not whole and place is not None:
                made = self._places[storage_key(target)].name
                place.parts = parts | {region(target): made}
                self._places[storage_key(target)] = place

    def _store(
        self, plain: str, base: Stored, values: list[Tensor], target: Tensor, where: tuple[str, Phase, Attention]
    ) -> None:
        """A part of a stored tensor is written: a cache if the tensor outlives the run."""
        layer, phase, _ = where
        if base.source in ("weight", "input"):
            base.source, base.constant = "state", False
        kind = "cache" if base.source == "state" or ":cache." in base.name else "copy"
        old = [] if base.constant else [Access(base.name, math.prod(base.shape))]
        new = [access for tensor in values for access in self._access(tensor)]
        self._reference += 1
        made = f"{layer}:{kind}.{self._reference}"
        self.tensors[made] = Stored(made, base.shape, base.dtype, "computed")
        self._put(target, made)
        count = max((tensor.numel() for tensor in values), default=target.numel())
        self.steps.append(Step(plain, layer, kind, phase, old + new, made, count))

    def _masks_triangle(self, name: str, args: tuple[Any, ...], outputs: list[Tensor]) -> bool:
        """Whether a mask hides exactly what lies behind the diagonal that ends in the last column."""
        masks = [leaf for leaf in tree_leaves(args) if isinstance(leaf, Tensor)]
        if name.startswith(("where", "masked_fill")):
            masks = [mask for mask in masks if mask.dtype == torch.bool]
        shape = outputs[0].shape if outputs else ()
        if len(shape) < 2 or shape[-2] < 2:
            return False
        for mask in masks:
            if mask.ndim < 2 or mask.shape[-2:] != shape[-2:] or mask.numel() > SHADOW_ELEMENTS:
                continue
            if mask.shape.numel() == shape.numel() and shape.numel() != shape[-1] * shape[-2]:
                continue  # the scores themselves
            value = self.value(mask)
            if value is None:
                continue
            hidden = value.detach().reshape(-1, *mask.shape[-2:])
            if name.startswith("where"):
                hidden = ~hidden
            elif not name.startswith("masked_fill"):
                lowest = torch.finfo(hidden.dtype).min if hidden.is_floating_point() else 0
                if bool(((hidden != 0) & (hidden > lowest / 2)).any()):
                    continue
                hidden = hidden <= lowest / 2 if hidden.is_floating_point() else hidden == 1
            behind = shape[-1] - shape[-2]
            wanted = torch.ones(shape[-2:], dtype=torch.bool, device=hidden.device).triu(behind + 1)
            if behind >= 0 and bool((hidden == wanted).all()):
                return True
        return False
