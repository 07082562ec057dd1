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
from torch.utils._pytree import tree_map

from hwsim.errors import ModelError
from hwsim.nn.capturing import unchanged
from hwsim.nn.graphing import GraphRecorder
from hwsim.nn.models import ModelFile, arguments
from hwsim.nn.observe import ProductMode, Seen, observing
from hwsim.nn.products import Call
from hwsim.trace import GemmShape, Graph, Workload


def meta_workload(
    model: nn.Module | str | Callable[[], nn.Module], batches: Iterable[Any] | None = None, name: str | None = None
) -> Workload:
    """The products of a forward of `model`, as shapes.

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
    graph: Graph | None = None
    with torch.no_grad(), torch.device("meta"), unchanged(model), observing(model, counter):
        model.eval()
        for batch in batches:
            counter.graph = GraphRecorder({}) if graph is None else None
            result = _run(model, counter, batch)
            if counter.graph is not None:
                graph = counter.graph.graph(result)
    return Workload(name or type(model).__name__, tuple(counter.shapes), graph)


def _run(model: nn.Module, counter: _Counter, batch: Any) -> Any:
    """One forward with all tensors replaced by their shapes; the model keeps its own."""
    tensors = {key: value.to("meta") for key, value in (*model.named_parameters(), *model.named_buffers())}
    for key, tensor in tensors.items():
        counter.roles.set(tensor, "weight")
        if counter.graph is not None:
            counter.graph.know(tensor, key, "weight")
    args, kwargs = tree_map(lambda value: value.to("meta") if isinstance(value, Tensor) else value, arguments(batch))
    if counter.graph is not None:
        counter.graph.inputs((args, kwargs))
    try:
        return torch.func.functional_call(model, tensors, args, kwargs)
    except (NotImplementedError, RuntimeError) as error:
        if "meta" not in str(error).lower():
            raise
        raise ModelError(f"model must run on shapes alone, {error}", where=type(model).__name__) from error


class _Counter(ProductMode):  # type: ignore[no-untyped-call]
    follows_backward = False

    def __init__(self) -> None:
        super().__init__()
        self.shapes: list[GemmShape] = []

    def on_call(self, name: str, call: Call, seen: tuple[Seen, ...], compute: Callable[[], Any]) -> Any:
        places = []
        for one in seen:
            places.append(len(self.shapes))
            if one.product.macs:
                self.shapes.append(one.shape)
        self.places = tuple(places)
        return compute()
