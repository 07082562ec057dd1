"""The shapes of a model's products without its numbers: torch's meta device computes shapes only.

A model of 70 billion parameters needs no memory here. The same operators are watched as in a capture, so a workload
and a trace of the same model agree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from hwsim.errors import ModelError
from hwsim.nn.capturing import unchanged
from hwsim.nn.models import ModelFile, arguments
from hwsim.nn.observe import ProductMode, Seen, observing
from hwsim.nn.patterns import graph_of
from hwsim.nn.products import Call
from hwsim.nn.recording import Recorder
from hwsim.trace import GemmShape, Graph, Workload


def meta_workload(
    model: nn.Module | str | Callable[[], nn.Module], batches: Iterable[Any] | None = None, name: str | None = None
) -> Workload:
    """The products of a forward of `model`, as shapes, and the graph of all operators of its first batch.

    Args:
        model: a module, a function that builds one (called with the meta device as default, so that no weight is
            ever allocated), or the name or path of a model file.
        batches: as in `hwsim.capture`; only shapes and types are used. The model file's ``batches()`` if None.
        name: of the workload; the model file's or the class's name if None.

    Raises:
        ModelError: no batches, or the model needs real numbers (its control flow looks at values).
        CaptureError: an operator hides its products.
    """
    if isinstance(model, str):
        file = ModelFile.find(model)
        name = name or file.name
        batches = file.batches() if batches is None else batches
        model = partial(file.build, checkpoint=False) if file.accepts(file.function, "checkpoint") else file.build()
    if batches is None:
        raise ModelError("batches must be given with a module", where=name or "workload")
    if not isinstance(model, nn.Module):
        with torch.device("meta"):
            model = model()
    counter = _Counter()
    with torch.no_grad(), torch.device("meta"), unchanged(model), observing(model, counter):
        model.eval()
        for batch in batches:
            _run(model, counter, batch)
    return Workload(name or type(model).__name__, tuple(counter.shapes), counter.graph)


def _run(model: nn.Module, counter: _Counter, batch: Any) -> None:
    """One forward with all tensors replaced by their shapes; the model keeps its own."""
    counter.recorder = None  # what is moved here is no part of the run
    held = {key: (value, value.to("meta")) for key, value in (*model.named_buffers(), *model.named_parameters())}
    args, kwargs = tree_map(lambda value: value.to("meta") if isinstance(value, Tensor) else value, arguments(batch))
    counter.recorder = recorder = Recorder(nn.Module())
    for key, (value, tensor) in held.items():
        counter.roles.set(tensor, "weight" if isinstance(value, nn.Parameter) else "buffer")
        recorder.weight(key, tensor, value)
    for tensor in tree_leaves((args, kwargs)):
        if isinstance(tensor, Tensor):
            counter.roles.forget(tensor)
    tensors = {key: tensor for key, (_, tensor) in held.items()}
    recorder.feed((args, kwargs))
    try:
        recorder.finish(torch.func.functional_call(model, tensors, args, kwargs))
    except (NotImplementedError, RuntimeError) as error:
        if "meta" not in str(error).lower():
            raise
        raise ModelError(f"model must run on shapes alone, {error}", where=type(model).__name__) from error
    counter.keep(graph_of(recorder))


class _Counter(ProductMode):  # type: ignore[no-untyped-call]
    follows_backward = False

    def __init__(self) -> None:
        super().__init__()
        self.shapes: list[GemmShape] = []
        self.graph: Graph | None = None

    def on_call(self, name: str, call: Call, seen: tuple[Seen, ...], compute: Callable[[], Any]) -> Any:
        for one in seen:
            if not one.folded:
                self.records.append(len(self.shapes) if one.product.macs else None)
                if one.product.macs:
                    self.shapes.append(one.shape)
        return compute()

    def keep(self, graph: Graph) -> None:
        """Take over from the graph of a batch what only the whole of it tells, and the first graph itself."""
        for operator in graph.operators:
            if operator.record is not None and operator.gemm is not None:
                self.shapes[operator.record] = operator.gemm
        self.graph = self.graph or graph
