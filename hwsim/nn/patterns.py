"""From the operators that ran to those that a machine is asked for: composite functions are recognised.

Each rule takes a chain of operators whose inner results nobody else reads:

- a scale before or behind the scores of an attention is part of its softmax;
- a mask that hides exactly a triangle makes both products of the attention causal; the softmax reads another one;
- a bias that is added to what a product made is an operand of the product;
- x · rsqrt(mean(x²) + e), with or without a weight, is a norm;
- pairs turned by sines and cosines are rotary positions;
- x + (round(x) - x), which passes gradients straight through, is round(x); scaling, rounding and clamping in a row
  are one requantisation.

What no rule takes stays as it ran, and is counted as such. Vector work that nothing reads is left out.
"""

from __future__ import annotations

from dataclasses import replace

from hwsim.nn.recording import Recorder
from hwsim.nn.stored import Step
from hwsim.trace.graph import Access, Graph, Operator, Tensor

_TURNS = frozenset({"mul", "add", "copy", "scale"})


def graph_of(recorder: Recorder) -> Graph:
    """The graph of a recorded run."""
    return _Rewriter(recorder).graph()


class _Rewriter:
    def __init__(self, recorder: Recorder) -> None:
        self.recorder, self.tensors = recorder, recorder.tensors
        self.steps = recorder.steps
        self.makers = {step.output: step for step in self.steps}
        self.readers: dict[str, list[Step]] = {}
        for step in self.steps:
            for access in step.inputs:
                self._reads(step, access.tensor)

    def graph(self) -> Graph:
        """Rules one after another, then what is left."""
        rules = (self._bias, self._straight, self._softmax, self._norm, self._turn, self._requantise)
        for rule in rules:
            for step in self.steps:
                if not step.dead and not step.folded:
                    rule(step)
        self._sweep()
        alive = [step for step in self.steps if not step.dead]
        names = {step.output: f"{step.layer}:{step.kind}.{number}" for number, step in enumerate(alive)}
        used = {access.tensor for step in alive for access in step.inputs} | {step.output for step in alive}
        used |= self.recorder.outputs
        tensors = tuple(
            Tensor(names.get(t.name, t.name), t.shape, t.dtype, t.source, t.name in self.recorder.outputs)
            for t in self.tensors.values()
            if t.name in used
        )
        operators = tuple(
            Operator(
                s.layer,
                s.kind,
                s.phase,
                tuple(replace(access, tensor=names.get(access.tensor, access.tensor)) for access in s.inputs),
                names[s.output],
                s.elements,
                s.gemm,
                s.record,
                s.folded,
            )
            for s in alive
        )
        return Graph(tensors, operators)

    # helpers

    def _reads(self, step: Step, name: str) -> None:
        readers = self.readers.setdefault(name, [])
        if step not in readers:
            readers.append(step)

    def _maker(self, name: str) -> Step | None:
        step = self.makers.get(name)
        return None if step is None or step.dead or step.folded else step

    def _alone(self, step: Step) -> bool:
        """Whether exactly one operator reads the result, and not the caller."""
        return len(self._users(step.output)) == 1 and step.output not in self.recorder.outputs

    def _users(self, name: str) -> list[Step]:
        return [step for step in self.readers.get(name, []) if not step.dead]

    def _point(self, step: Step, old: str, new: Access) -> None:
        """Let `step` read `new` in place of the tensor `old`, as much of it as it read."""
        for place, access in enumerate(step.inputs):
            if access.tensor == old:
                count = min(access.elements, new.elements)
                kind = new.kind if access.kind == "whole" and count == new.elements else "view"
                step.inputs[place] = replace(access, tensor=new.tensor, elements=count, kind=access.kind
                                             if access.kind in ("window", "gather") else kind)  # fmt: skip
        self._reads(step, new.tensor)
        self.readers[old] = [reader for reader in self.readers[old] if reader is not step]

    def _drop(self, step: Step, source: Access) -> None:
        """Take out an operator: its readers read `source` instead."""
        step.dead = True
        if step.output in self.recorder.outputs:
            self.recorder.outputs ^= {step.output, source.tensor}
        for reader in self._users(step.output):
            self._point(reader, step.output, source)

    def _become(self, step: Step, kind: str, inputs: list[Access], inner: list[Step]) -> None:
        """Make `step` the composite operator `kind` of the operators `inner` before it."""
        for one in inner:
            one.dead = True
        step.kind, step.inputs = kind, inputs
        for access in inputs:
            self._reads(step, access.tensor)

    # rules

    def _bias(self, step: Step) -> None:
        """A bias is added by the product that it follows."""
        if step.name.removesuffix("_") != "add" or len(step.inputs) != 2:
            return
        for made, bias in (step.inputs, step.inputs[::-1]):
            product, row = self._maker(made.tensor), self.tensors[step.output].shape[-1:]
            if product is None or product.gemm is None or not self._alone(product) or len(product.inputs) != 2:
                continue
            if (
                self.tensors[bias.tensor].source == "weight"
                and (bias.elements,) == row
                and product.phase == "forward"
            ):
                product.inputs.append(bias)
                self._reads(product, bias.tensor)
                self._drop(step, made)
                return

    def _straight(self, step: Step) -> None:
        if step.kind != "add" or len(step.inputs) != 2:
            return
        for value, change in (step.inputs, step.inputs[::-1]):
            maker = self._maker(change.tensor)
            if maker is None or maker.name != "sub" or len(maker.inputs) != 2 or not self._alone(maker):
                continue
            if maker.inputs[1].tensor == value.tensor:
                maker.dead = True
                self._drop(step, maker.inputs[0])
                return

    def _softmax(self, step: Step) -> None:
        """Scale and mask between scores and softmax, and scales of queries and keys."""
        if step.kind != "softmax" or not step.inputs:
            return
        triangle, masks, inner = False, [], []
        scores = step.inputs[0]
        while (maker := self._maker(scores.tensor)) is not None and maker.kind in ("scale", "mask", "add"):
            made = [access for access in maker.inputs if self._from_product(access.tensor)]
            if len(made) != 1 or not self._alone(maker):
                return
            others = [access for access in maker.inputs if access is not made[0]]
            if maker.triangle:
                triangle = True
            elif maker.kind != "scale":
                masks += [access for access in others if self.tensors[access.tensor].shape not in ((), (1,))]
            inner.append(maker)
            scores = made[0]
        product = self._maker(scores.tensor)
        if product is None or product.gemm is None:
            return
        self._become(step, "softmax", [scores, *masks], inner)
        for access in list(product.inputs[:2]):
            scale = self._maker(access.tensor)
            if scale is not None and scale.kind == "scale" and self._alone(scale) and len(scale.inputs) == 1:
                self._drop(scale, scale.inputs[0])
        if triangle or product.causal:
            for one in (product, *self._users(step.output)):
                if one.gemm is not None and one.gemm.m > 1:
                    one.gemm = replace(one.gemm, causal=True)

    def _from_product(self, name: str) -> bool:
        """Whether scales and masks lead from a product to a tensor."""
        maker = self._maker(name)
        while maker is not None and maker.gemm is None:
            if maker.kind not in ("scale", "mask", "add") or not maker.inputs:
                return False
            computed = [a.tensor for a in maker.inputs if self._maker(a.tensor) is not None]
            if len(computed) != 1:
                return False
            maker = self._maker(computed[0])
        return maker is not None

    def _norm(self, step: Step) -> None:
        if step.kind not in ("mul", "divide") or len(step.inputs) != 2:
            return
        wanted = "rsqrt" if step.kind == "mul" else "sqrt"
        for value, factor in (step.inputs, step.inputs[::-1]):
            root = self._maker(factor.tensor)
            if root is None or root.name.removesuffix("_") != wanted or not self._alone(root):
                continue
            inner, current = [root], self._maker(root.inputs[0].tensor)
            while current is not None and current.kind in ("add", "compare") and len(current.inputs) == 1:
                inner.append(current)
                current = self._maker(current.inputs[0].tensor)
            if current is None or current.name != "mean" or not all(self._alone(one) for one in inner):
                continue
            square = self._maker(current.inputs[0].tensor)
            if square is None or not self._alone(current) or not self._alone(square):
                continue
            squared = {access.tensor for access in square.inputs}
            if square.kind not in ("square", "mul") or squared != {value.tensor}:
                continue
            self._become(step, "rmsnorm", [value], [*inner, current, square])
            self._scaled(step)
            return

    def _scaled(self, norm: Step) -> None:
        """A weight behind a norm is a part of it."""
        if not self._alone(norm):
            return
        follower = self._users(norm.output)[0]
        weights = [access for access in follower.inputs if self.tensors[access.tensor].constant]
        fits = follower.kind == "mul" and len(follower.inputs) == 2 and len(weights) == 1
        if fits and weights[0].elements <= self.tensors[follower.output].shape[-1]:
            self._become(follower, norm.kind, [norm.inputs[0], weights[0]], [norm])

    def _turn(self, step: Step) -> None:
        """Rotary positions: x, its halves exchanged, times sines and cosines that depend on no number of x."""
        if step.name.removesuffix("_") not in ("cat", "stack", "add"):
            return
        region: list[Step] = []
        leaves: dict[str, Access] = {}
        waiting = [step]
        while waiting:
            one = waiting.pop()
            region.append(one)
            for access in one.inputs:
                maker = self._maker(access.tensor)
                if (
                    maker is not None
                    and maker.kind in _TURNS
                    and not self.tensors[maker.output].index
                    and self._within(maker, region)
                ):
                    if maker not in region and maker not in waiting:
                        waiting.append(maker)
                elif access.tensor not in leaves or leaves[access.tensor].elements < access.elements:
                    leaves[access.tensor] = access
        tables = [a for a in leaves.values() if self.tensors[a.tensor].constant or self.tensors[a.tensor].index]
        values = [a for a in leaves.values() if a not in tables]
        names = [one.name.removesuffix("_") for one in region]
        turned = names.count("mul") in (2, 4) and any(name in ("add", "sub") for name in names)
        exchanged = any(name in ("cat", "stack") for name in names)
        if not (turned and exchanged and len(values) == 1 and 1 <= len(tables) <= 2 and len(region) <= 10):
            return
        shape = self.tensors[step.output].shape
        value = values[0]
        elements = 1
        for size in shape:
            elements *= size
        part = [a for one in region for a in one.inputs if a.tensor == value.tensor]
        read = max(a.elements for a in part)
        count = elements if read * 2 == elements or read == elements else 0
        if not count:
            return
        whole = value if read == elements else replace(value, elements=elements, kind="view")
        if whole.elements > _size(self.tensors[value.tensor].shape):
            return
        self._become(step, "rope", [whole, *tables], [one for one in region if one is not step])
        step.elements = elements

    def _within(self, maker: Step, region: list[Step]) -> bool:
        """Whether what `maker` makes is read inside of the region alone."""
        return maker.output not in self.recorder.outputs and all(user in region for user in self._users(maker.output))

    def _requantise(self, step: Step) -> None:
        if step.kind != "requantize" or len(step.inputs) != 1:
            return
        before = self._maker(step.inputs[0].tensor)
        if before is not None and before.kind in ("divide", "mul", "scale") and self._alone(before):
            self._become(step, "requantize", list(before.inputs), [before])
        if self._alone(step):
            after = self._users(step.output)[0]
            if after.kind == "compare" and after.name.startswith("clamp") and len(after.inputs) == 1:
                self._become(after, "requantize", list(step.inputs), [step])

    def _sweep(self) -> None:
        """Vector work and folded products whose results nothing reads are no part of the graph."""
        needed = set(self.recorder.outputs)
        for step in reversed(self.steps):
            if step.dead:
                continue
            lasting = step.kind in ("gemm", "cache") and not step.folded
            if step.output in needed or lasting or step.phase != "forward":
                needed |= {access.tensor for access in step.inputs}
            else:
                step.dead = True


def _size(shape: tuple[int, ...]) -> int:
    elements = 1
    for size in shape:
        elements *= size
    return elements
