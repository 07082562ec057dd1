"""Which arithmetic wins in decode, at batches of 1, 8 and 64, and why.

Decides what is held equal: the memories, the clock, and either the products a cycle or the area of the array. Decode
reads every weight once a step and every row of the cache once a sequence, so that bytes decide as long as the array
waits; the batch at which it stops waiting is `bits of a weight x products a second / (8 x bandwidth)`. What an
arithmetic costs in quality is measured on the one model here that has operands; larger models are known to lose less,
so that the column is a warning and no forecast.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from math import isqrt
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from hwsim.errors import DesignError
from hwsim.studies.page import Study, Table, Value
from hwsim.workloads import ModelConfig, load_model
from hwsim.workloads.config import Attention, Feed

if TYPE_CHECKING:
    from hwsim.arch import Accelerator
    from hwsim.evaluation import Evaluator, Phased

GPT = ModelConfig(
    "gpt", "models/gpt.py", "decoder", 4, 192, 256,
    attention=Attention(6, 6, 32, qk_norm=True), feed=Feed(768, gated=False, activation="relu2"),
)  # fmt: skip
"""The GPT of `models/gpt.py`; its norms have no parameters, which these have."""

INTEGER = {"family": "integer", "acc_bits": 32}
INT8 = {"activation": "int8.channel", "weight": "int8.channel", "datapath": INTEGER | {"a_bits": 8, "b_bits": 8}}
W4A8 = {"activation": "int8.channel", "weight": "int4.channel", "datapath": INTEGER | {"a_bits": 8, "b_bits": 4}}


def _block(scheme: str, operand: str, arch: str = "blackwell") -> dict[str, Any]:
    unit = {"family": "tensor_core", "arch": arch, "operand": operand}
    return {"activation": scheme, "weight": scheme, "datapath": unit}


MXFP8 = _block("mxfp8.e4m3.rceil", "mxfp8.e4m3")
ARITHMETICS: dict[str, dict[str, Any]] = {
    "int8": INT8,
    "fp8": _block("fp8.e4m3.channel", "e4m3", "hopper"),
    "mxfp8": MXFP8,
    "mxfp6": _block("mxfp6.e2m3.rceil", "mxfp6.e2m3"),
    "w4a8, int8 cache": W4A8 | {"attention": INT8},
    "int4": {"activation": "int4.channel", "weight": "int4.channel", "datapath": INTEGER | {"a_bits": 4, "b_bits":
    4}}, "mxfp4": _block("mxfp4.rceil", "mxfp4"),
    "nvfp4": _block("nvfp4.te", "nvfp4"),
    "nvfp4, mxfp8 cache": _block("nvfp4.te", "nvfp4") | {"attention": MXFP8},
    "ternary, int8 cache": {
        "activation": "int8.channel", "weight": "ternary.absmax",
        "datapath": {"family": "ternary_lut", "group": 3, "activation": "int8"}, "attention": INT8,
    },
}  # fmt: skip
"""Numerics of a machine file by name. The cache is an operand of attention, and keeps its scheme."""

TERNARY = "ternary, int8 cache"
LOSS = 0.05
"""Bits a byte above float32 that a winner "at small loss" may have."""
STATIC = ("leakage", "clock", "dram.standby")


@dataclass(frozen=True, slots=True)
class Case:
    """A model on a machine.

    Attributes:
        machine: file that gives memories, clock and node.
        changes: of its tables.
        products: a cycle, of one array.
        model: what decodes.
        context: tokens of each sequence.
    """

    machine: str
    changes: Mapping[str, Any]
    products: int
    model: ModelConfig
    context: int


EDGE = {"technology": {"clock_ghz": 0.5, "node_nm": 16, "voltage": 0.8}, "vector": {"lanes": 32}}


def cases() -> tuple[Case, ...]:
    """An edge part of 1,024 products a cycle at 25.6 GB/s, and one of 65,536 at 307 GB/s."""
    return (
        Case("edge-int8", EDGE, 1024, GPT, 256),
        Case("edge-int8", EDGE, 1024, load_model("smollm2-135m"), 2048),
        Case("hbm-int8", {}, 16384, load_model("llama3-8b"), 4096),
    )


@dataclass(frozen=True, slots=True)
class Grid:
    """What is computed; `bytes` of text a measurement of quality."""

    batches: tuple[int, ...]
    names: tuple[str, ...]
    cases: int
    bytes: int


FULL = Grid((1, 8, 64), tuple(ARITHMETICS), 3, 8192)
QUICK = Grid((1, 64), ("int8", "nvfp4"), 1, 512)


def machine_of(case: Case, name: str, columns: int | None = None) -> Accelerator:
    """The case's machine with that arithmetic, its array as square as units of its lanes allow, in as few stages as
    the clock asks for.

    Args:
        case: the machine.
        name: of `ARITHMETICS`.
        columns: of the array, for another size than that of equal products.

    Raises:
        DesignError: no number of stages up to 8 reaches the clock.
    """
    from hwsim.arch import Accelerator, load_accelerator

    tables = load_accelerator(case.machine).to_dict() | dict(case.changes)
    tables |= {"name": f"{case.machine}: {name}", "numerics": ARITHMETICS[name]}
    for stages in range(1, 9):
        tables["array"] = tables["array"] | {"rows": 1, "cols": 1, "stages": stages}
        found = Accelerator.from_dict(tables)
        units = case.products // found.policy.default.datapath.lanes
        rows = 1 << (isqrt(units).bit_length() - 1)
        tables["array"] |= {"rows": rows, "cols": columns or units // rows}
        found = Accelerator.from_dict(tables)
        if found.f_max_ghz >= found.clock_ghz:
            return found
    raise DesignError("clock must be reached in 8 stages", got=found.f_max_ghz, where=found.name)


def study(grid: Grid) -> Study:
    """The whole study."""
    from hwsim.evaluation import Evaluator
    from hwsim.trace import load_trace

    lender = Evaluator(load_trace("gpt-small"))
    losses = {name: _loss(name, grid) for name in grid.names}
    rows: list[tuple[Value, ...]] = []
    for case in cases()[: grid.cases]:
        for name in grid.names:
            for sized in ("products", "area"):
                machine = machine_of(case, name)
                if sized == "area":
                    machine = _of_equal_area(case, name, lender)
                rows += [_row(case, name, sized, machine, batch, lender, losses[name]) for batch in grid.batches]
    table = Table(
        "decode", "Every design", COLUMNS, tuple(rows),
        "Energy a token by cause in µJ; `waits`: part of the step in which DRAM is the longest; `batch of the roof`: "
        "sequences at which products take as long as weights. `loss`: bits a byte above the float32 of the GPT.",
        {"sized by": ("products",)},
    )  # fmt: skip
    winners = _winners(table)
    return Study(
        "decode",
        "Which arithmetic wins in decode",
        "One token of each of 1, 8 or 64 sequences: which arithmetic needs the least energy, gives the most tokens a "
        "second, and in the least memory; on an edge part and on one with HBM; and why?",
        tuple(_findings(table, winners)),
        {
            "edge part": "edge-int8 at 16 nm, 0.8 V, 0.5 GHz: 1,024 products a cycle, LPDDR4 of 25.6 GB/s",
            "HBM part": "hbm-int8 at 7 nm, 1 GHz: 65,536 products a cycle, one stack of 307 GB/s",
            "sized by products": "units times lanes are equal; sized by area: columns such that the array takes what "
            "that of INT8 takes, a companion unit for the cache included",
            "statistics": "flips of every kind of product from traces/gpt-small, also for the larger models",
            "loss": f"bits per byte of the GPT on {grid.bytes:,} bytes, rerun bit by bit; of the ternary unit "
            "that of models/bitnet.py, trained ternary, above its own float32",
            "batch": "one context for all; no part of the cache is shared",
            "what it cannot say": "what larger models lose, and what fits: the capacity of DRAM is not bounded",
        },
        (winners, table),
    )


def _loss(name: str, grid: Grid) -> float:
    from hwsim import nn

    model = "bitnet" if name == TERNARY else "gpt"
    policy = machine_of(cases()[0], name).policy
    return nn.measure(model, policy, bytes=grid.bytes).value - _float32(model, grid.bytes)


@cache
def _float32(model: str, count: int) -> float:
    from hwsim import nn

    return nn.measure(model, None, bytes=count).value


def _of_equal_area(case: Case, name: str, lender: Evaluator) -> Accelerator:
    from hwsim.evaluation import evaluate_phase

    def array(machine: Accelerator) -> float:
        part = evaluate_phase(case.model, machine, "decode", 1, 16, lender).parts[0][0]
        return part.area.breakdown("level").parts["array"].value

    plain = machine_of(case, name)
    columns = max(1, round(plain.array.cols * array(machine_of(case, "int8")) / array(plain)))
    return machine_of(case, name, columns)


COLUMNS = (
    "machine", "model", "batch", "arithmetic", "sized by", "array", "tokens/s", "µJ/token", "tokens/s/W", "memory GB",
    "mm²", "DRAM", "SRAM", "logic", "vector", "static", "waits", "batch of the roof", "loss",
)  # fmt: skip


def _row(
    case: Case, name: str, sized: str, machine: Accelerator, batch: int, lender: Evaluator, loss: float
) -> tuple[Value, ...]:
    from hwsim.evaluation import evaluate_phase

    found = evaluate_phase(case.model, machine, "decode", batch, case.context, lender)
    values, parts = found.values(), _parts(found)
    waits = sum(
        step.cycles.latency * count
        for one, count in found.parts
        for step in one.plan.steps
        if step.cycles.bound == "dram"
    ) / sum(one.plan.latency_cycles * count for one, count in found.parts)
    return (
        case.machine, case.model.name, batch, name, sized,
        f"{machine.array.rows}×{machine.array.cols}×{machine.policy.default.datapath.lanes}",
        values["tokens_s"], 1e3 * values["energy_per_token_mj"], values["tokens_s_w"], values["memory_gb"],
        found.parts[0][0].area_um2 * 1e-6, *parts.values(), waits, _roof(case, machine), loss,
    )  # fmt: skip


def _parts(found: Phased) -> dict[str, float]:
    """Energy a token by cause, µJ."""
    parts = dict.fromkeys(("DRAM", "SRAM", "logic", "vector", "static"), 0.0)
    for one, count in found.parts:
        for name, part in one.breakdown("component").parts.items():
            if name.startswith(STATIC):
                cause = "static"
            elif name == "dram":
                cause = "DRAM"
            elif name.startswith(("sram", "wires")):
                cause = "SRAM"
            else:
                cause = "vector" if name.startswith("vector") else "logic"
            parts[cause] += part.value * count * 1e-6 / found.tokens
    return parts


def _roof(case: Case, machine: Accelerator) -> float:
    """Sequences at which the products of a linear layer take as long as its weights take from DRAM."""
    from hwsim.arch.units import storage_bits

    bits = storage_bits(machine.policy.default, "weight", case.model.width, case.model.width) / case.model.width**2
    products = machine.array.units * machine.policy.default.datapath.lanes
    return bits * products / machine.dram_bits_per_cycle


MEASURES = {"µJ/token": min, "tokens/s": max, "memory GB": min}


def _winners(table: Table) -> Table:
    rows: list[tuple[Value, ...]] = []
    named = table.select({})
    for machine, model, sized, batch in dict.fromkeys(
        (row["machine"], row["model"], row["sized by"], row["batch"]) for row in named
    ):
        own = table.select({"machine": machine, "model": model, "sized by": sized, "batch": batch})
        int8 = next(row for row in own if row["arithmetic"] == "int8")
        for told, some in (
            ("any", own),
            ("not retrained", [row for row in own if row["arithmetic"] != TERNARY]),
            ("small loss", [row for row in own if row["arithmetic"] != TERNARY and row["loss"] <= LOSS]),
        ):
            best = {name: pick(some, key=itemgetter(name)) for name, pick in MEASURES.items()}
            least = best["µJ/token"]
            saved = int8["µJ/token"] - least["µJ/token"]
            shares = [(int8[part] - least[part]) / saved if saved else None for part in PARTS]
            rows.append((
                machine, model, sized, batch, told, *(row["arithmetic"] for row in best.values()),
                int8["µJ/token"] / least["µJ/token"], best["tokens/s"]["tokens/s"] / int8["tokens/s"],
                int8["memory GB"] / best["memory GB"]["memory GB"], *shares,
            ))  # fmt: skip
    return Table(
        "winners", "Who wins",
        ("machine", "model", "sized by", "batch", "among", "least energy", "most tokens/s", "least memory",
         "energy ÷", "tokens/s ×", "memory ÷", *(f"saved by {part}" for part in PARTS)),
        tuple(rows),
        "Against INT8: how many times less energy (the same order as tokens/s/W), more tokens a second, less memory; "
        f"and the part of the saved energy by cause. Small loss: at most {LOSS} bits a byte on the GPT; not "
        "retrained: all but ternary weights.",
        {"among": ("any", "small loss")},
    )  # fmt: skip


PARTS = ("DRAM", "SRAM", "logic", "vector", "static")


def _findings(table: Table, winners: Table) -> Iterator[str]:
    for machine, model in dict.fromkeys((row["machine"], row["model"]) for row in winners.select({})):
        told = []
        for row in winners.select({"machine": machine, "model": model, "sized by": "products", "among": "any"}):
            honest = winners.select(
                {"machine": machine, "model": model, "sized by": "products", "batch": row["batch"],
                 "among": "small loss"}
            )[0]  # fmt: skip
            cause = max(PARTS, key=lambda part: row[f"saved by {part}"] or 0.0)
            told.append(
                f"at {row['batch']} {row['least energy']} takes {row['energy ÷']:.2f} times less energy a token than "
                f"INT8 ({100 * (row[f'saved by {cause}'] or 0):.0f} % of it saved in {cause}) and "
                f"{row['most tokens/s']} makes {row['tokens/s ×']:.2f} times its tokens a second; with a small loss "
                f"{honest['least energy']}, {honest['energy ÷']:.2f} times, and {honest['most tokens/s']}, "
                f"{honest['tokens/s ×']:.2f} times"
            )
        yield f"{model} on {machine}: {'; '.join(told)}."
    yield from _why(table)


def _why(table: Table) -> Iterator[str]:
    for machine, model in dict.fromkeys((row["machine"], row["model"]) for row in table.select({})):
        own = [
            row
            for row in table.select({"machine": machine, "model": model, "sized by": "products"})
            if row["arithmetic"] in ("int8", "nvfp4")
        ]
        waits = ", ".join(f"{row['arithmetic']} at {row['batch']} {100 * row['waits']:.0f} %" for row in own)
        roofs = ", ".join(
            f"{name} {next(row['batch of the roof'] for row in own if row['arithmetic'] == name):.1f}"
            for name in dict.fromkeys(row["arithmetic"] for row in own)
        )
        yield (
            f"Why, {model} on {machine}: the step waits for DRAM in {waits} of its time; products would take as long "
            f"as weights at a batch of {roofs}."
        )
    losses = {row["arithmetic"]: row["loss"] for row in table.select({})}
    yield (
        "Loss of the GPT above float32, bits a byte: "
        + ", ".join(f"{name} {loss:+.3f}" for name, loss in sorted(losses.items(), key=lambda one: one[1]))
        + "."
    )
