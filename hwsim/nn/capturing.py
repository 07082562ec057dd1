"""Record what a model really multiplies: every product of a forward, and of a backward on request, with operands.

A capture is whole or fails: the multiplications recorded are compared with those that the formulas of
`torch.utils.flop_counter` give for the same run, operator by operator. Its `FlopCounterMode` itself would count the
same and import torch's compiler for it, which takes longer than the capture.
"""

from __future__ import annotations

import hashlib
import platform
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.flop_counter import flop_registry

import hwsim
from hwsim.errors import ArgumentError, CaptureError, ModelError
from hwsim.jit import environment
from hwsim.nn.models import ModelFile, arguments, check_finite, run
from hwsim.nn.observe import ProductMode, Seen, observing
from hwsim.nn.ordered import ordered
from hwsim.nn.patterns import graph_of
from hwsim.nn.products import Call
from hwsim.nn.recording import Recorder
from hwsim.storage import seed_checked
from hwsim.trace import Gemm, Operand, Trace, TraceWriter, load_trace

RUN = 16
"""Neighbouring rows that sampling keeps together, so that what toggles between two rows is still measured."""

_DTYPES: dict[torch.dtype, Literal["float32", "bfloat16", "float16"]] = {
    torch.float32: "float32",
    torch.bfloat16: "bfloat16",
    torch.float16: "float16",
}


def capture(
    model: nn.Module | str | Path,
    out: str | Path,
    batches: Iterable[Any] | None = None,
    backward: bool = False,
    max_rows: int | None = None,
    seed: int = 0,
    force: bool = False,
) -> Trace:
    """Run `model` on `batches` and store the operands of all its matrix products in the folder `out`.

    A forward runs in evaluation mode. With `backward`, ``loss(model, batch)`` of the model file and its gradients run
    in training mode. The model is afterwards as it was before: buffers, modes, gradients, hooks. A trace that `out`
    holds is replaced once the new one is whole.

    Args:
        model: a module, or the name or path of a model file (`hwsim.nn.models`).
        out: folder of the trace.
        batches: what the model is fed; the model file's ``batches()`` if None.
        backward: also record the gradients of inputs (dgrad) and weights (wgrad).
        max_rows: keep about this many rows of each operand, in evenly spaced runs of 16 neighbours; all if None.
        seed: of torch's random numbers, as in dropout.
        force: also write into a folder that holds something else than a trace.

    Raises:
        CaptureError: an operator hides its products, or multiplications were missed.
        ModelError: the model file is unusable, or lacks ``batches`` or ``loss``.
        ArgumentError: `out` holds something else, or another process writes it; a seed or number of rows is out of
            range.
        StorageError: `out` cannot be written.
    """
    if max_rows is not None and max_rows < 1:
        raise ArgumentError("max_rows must be at least 1", got=max_rows)
    seed_checked(seed)
    file = None if isinstance(model, nn.Module) else ModelFile.find(model)
    network = file.build() if file else model
    assert isinstance(network, nn.Module)
    check_finite(network, where=str(file.path) if file else type(network).__name__)
    if batches is None:
        if file is None:
            raise ModelError("batches must be given with a module", where=type(network).__name__)
        batches = file.batches()
    facts = {
        "model": file.name if file else type(network).__name__,
        "model_spec": file.spec if file else None,
        "weights": weights_digest(network),
        "backward": backward,
        "max_rows": max_rows,
        "seed": seed,
        "hwsim": hwsim.__version__,
        "torch": torch.__version__.split("+")[0],
        "numpy": np.__version__,
        "python": platform.python_version(),
        "environment": environment(),
    }
    provenance = file.get("provenance") if file else None
    facts |= provenance() if provenance else {}
    step = _training_step(file) if backward else _forward_step
    with TraceWriter(out, facts, replace=True, force=force) as writer:
        writer.manifest["batches"] = _record(network, step, batches, writer, max_rows, seed)
    return load_trace(out)


def _record(
    network: nn.Module,
    step: Callable[[nn.Module, Any, _Recorder], None],
    batches: Iterable[Any],
    writer: TraceWriter,
    max_rows: int | None,
    seed: int,
) -> int:
    """Run all batches; returns how many there were."""
    count, left = 0, set[str]()
    with unchanged(network), torch.random.fork_rng(devices=[]):
        for count, batch in enumerate(batches, start=1):
            torch.manual_seed(seed + count)  # each time, as making a batch may draw or set a seed
            recorder = _Recorder(network, writer, count - 1, max_rows)
            recorder.recorder.feed(arguments(batch))
            with ordered() as arithmetic, observing(network, recorder):
                step(network, batch, recorder)
            left |= arithmetic.left
            recorder.check()
            graph = graph_of(recorder.recorder)
            writer.add_causal(graph)
            if count == 1:
                writer.graph = graph
    if count == 0:
        raise CaptureError("there must be at least one batch", where=type(network).__name__)
    if left:  # operands may then depend on the processor
        writer.manifest["left_to_torch"] = sorted(left)
    return count


def _forward_step(network: nn.Module, batch: Any, recorder: _Recorder) -> None:
    network.eval()
    with torch.no_grad():
        recorder.recorder.finish(run(network, batch))


def _training_step(file: ModelFile | None) -> Callable[[nn.Module, Any, _Recorder], None]:
    loss = file.get("loss") if file else None
    if loss is None:
        where = str(file.path) if file else "capture"
        raise ModelError("model file must define loss(model, batch) for a capture of the backward pass", where=where)

    def step(network: nn.Module, batch: Any, recorder: _Recorder) -> None:
        network.train()
        value = loss(network, batch)
        one = torch.ones_like(value)
        recorder.roles.set(one, "gradient")
        recorder.recorder.finish(value)
        wanted = [parameter for parameter in network.parameters() if parameter.requires_grad]
        torch.autograd.grad(value, wanted, one, allow_unused=True)

    return step


class _Recorder(ProductMode):  # type: ignore[no-untyped-call]
    """Stores each product, and counts multiplications by operator as torch would."""

    recorder: Recorder

    def __init__(self, network: nn.Module, writer: TraceWriter, step: int, max_rows: int | None) -> None:
        super().__init__()
        self.recorder = Recorder(network)
        self.writer, self.step, self.max_rows = writer, step, max_rows
        self.recorded: Counter[str] = Counter()
        self.flops: Counter[str] = Counter()

    def on_call(self, name: str, call: Call, seen: tuple[Seen, ...], compute: Callable[[], Any]) -> Any:
        result = compute()
        for one in seen:
            if call.counted:
                self.recorded[name] += one.product.macs * one.product.counted
            if not one.folded:
                self.records.append(self._store(one))
        return result

    def after(self, operator: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        if operator in flop_registry:
            self.flops[str(operator)] += flop_registry[operator](*args, **kwargs, out_val=result)

    def check(self) -> None:
        """Raise `CaptureError` unless torch counts the multiplications that were recorded."""
        missed = {
            name: (self.recorded[name], self.flops[name] // 2)
            for name in sorted({*self.flops, *self.recorded})
            if self.recorded[name] * 2 != self.flops[name]
        }
        if missed:
            found = ", ".join(f"{name}: {mine:,} of {theirs:,}" for name, (mine, theirs) in missed.items())
            raise CaptureError(f"every multiplication must be recorded, recorded of those torch counts: {found}")

    def _store(self, seen: Seen) -> int | None:
        """Store a product; returns its record, None for one that multiplies nothing."""
        product, origin = seen.product, seen.origin
        a, b = product.a.detach(), product.b.detach()
        if 0 in (*a.shape, *b.shape):
            return None  # an empty product multiplies nothing
        wrong = {str(t.dtype) for t in (a, b) if t.dtype not in _DTYPES}
        if wrong:
            raise CaptureError(
                "operands must be float32, bfloat16 or float16", got=" and ".join(sorted(wrong)), where=origin.layer
            )
        batch, m, k = a.shape
        n = b.shape[1]
        a_values, b_values = sampled(a, b, self.max_rows)
        gemm = Gemm(
            origin.layer,
            origin.op,
            origin.phase,
            self.step,
            batch,
            m,
            n,
            k,
            Operand(a_values, seen.a_role, batch * m),
            Operand(b_values, seen.b_role, batch * n),
            seen.groups,
        )
        self.writer.append(gemm, dtype=_DTYPES[a.dtype] if a.dtype == b.dtype else "float32")
        return self.writer.count - 1


def sampled(a: Tensor, b: Tensor, max_rows: int | None) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Rows of the operands ``[batch, rows, K]`` that sampling keeps, float32: the same batches of both."""
    batches = spread(a.shape[0], None if max_rows is None else max(1, max_rows // RUN), run=1)
    each = None if max_rows is None else max(1, max_rows // len(batches))
    rows = (_rows(tensor, batches, spread(tensor.shape[1], each, RUN)) for tensor in (a, b))
    first, second = rows
    return first, second


def _rows(tensor: Tensor, batches: Tensor, rows: Tensor) -> NDArray[np.float32]:
    kept = tensor if len(batches) == tensor.shape[0] else tensor[batches]
    kept = kept if len(rows) == tensor.shape[1] else kept[:, rows]
    values: NDArray[np.float32] = kept.float().contiguous().cpu().numpy()
    return values


def spread(total: int, most: int | None, run: int) -> Tensor:
    """About `most` of the indices below `total`, ascending, in runs of `run` neighbours with equal gaps between."""
    if most is None or most >= total:
        return torch.arange(total)
    run = min(run, most)
    runs = most // run
    starts = [place * (total - run) // max(1, runs - 1) for place in range(runs)]
    return torch.tensor([start + offset for start in starts for offset in range(run)])


def weights_digest(model: nn.Module) -> str:
    """16 digits that follow from names and bits of all parameters and buffers."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        if tensor.numel():
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


@contextmanager
def unchanged(model: nn.Module) -> Iterator[None]:
    """Put back what running a model may change: buffers and the training mode of each module."""
    modes = {module: module.training for module in model.modules()}
    buffers = {name: buffer.detach().clone() for name, buffer in model.named_buffers()}
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training
        with torch.no_grad():
            for name, buffer in model.named_buffers():
                if name in buffers and not buffer.is_meta:
                    buffer.copy_(buffers[name])
