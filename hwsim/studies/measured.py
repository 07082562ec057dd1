"""Published times of operators, layers and served models beside the roofline of bought devices.

Decides which constants a row gets, once for all rows: `KERNELS` for single operators, `STEPS` for whole models, both
as they were fitted elsewhere (`hwsim.timing.roofline`); nothing is fitted to these rows. Tier A is what such a model
should meet within 20 %, tier B within 35 %; tier C (old engines on many chips, batches that had to be assumed) is
listed for the record. What is not computed is listed too.
"""

from __future__ import annotations

import csv
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from hwsim.studies.page import Study, Table, Value
from hwsim.timing.clusters.collectives import LINKS, Link, protocol_all_reduce
from hwsim.timing.roofline import KERNELS, STEPS, TABLE, Device, device, devices
from hwsim.timing.serving.models import step_cost
from hwsim.workloads import ModelConfig, load_model
from hwsim.workloads.config import Attention, Feed

ROWS = TABLE.with_name("measured.csv")
LIMITS = {"A": 1.20, "B": 1.35}
RATES = {16: 1.0, 8: 2.0, 4: 4.0, 2: 1.0}
"""Operations a second over those in 16 bits; two-bit weights run on the units of eight and of sixteen."""
H100_LINK = Link(LINKS["nvlink3"].latency_s, 339e9)
"""Bus bandwidth of eight H100 as measured (microsoft/vidur); latency as on A100."""
GPTJ = ModelConfig(
    "gptj-6b", "EleutherAI/gpt-j-6b", "decoder", 28, 4096, 50400, norm="layer",
    attention=Attention(16, 16, 256), feed=Feed(16384, gated=False, activation="gelu", bias=True),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Grid:
    """Kinds of rows that are computed."""

    kinds: tuple[str, ...]


KINDS = ("product", "all-reduce", "layer, prefill", "layer, decode", "static batch", "first token", "stream")
FULL = Grid(KINDS)
QUICK = Grid(("product", "all-reduce", "first token"))


def study(grid: Grid) -> Study:
    """Every row with what comes out here."""
    table = _rows(grid)
    return Study(
        "measured",
        "Published times beside the roofline",
        "Operators, layers and served models that others measured: how far are they from two sets of constants that "
        "were not fitted to them?",
        tuple(_findings(table)),
        {
            "operators": "t = t0 + sqrt(compute² + memory²), constants KERNELS; an all-reduce on four A100 by "
            "NCCL's two protocols, which were fitted to these very sizes",
            "models": "constants STEPS; a static batch is one prefill of all prompts and a step a further token; "
            "all-reduces on rings as measured on A100 and H100; nothing for host and sampling",
            "8 and 4 bits": "twice and four times the operations a second; bits of weights and cache as the row "
            "states",
            "streams": "bandwidth over the file's size, times the part of the bandwidth that kernels reach on GPUs",
            "not computed": "rows without a kind: throughputs of MLPerf (lengths not in the log), CPUs, phones, and "
            "served runs, which the tests replay request by request",
        },
        (table,),
    )


def rows() -> list[dict[str, str]]:
    """The table of publications."""
    lines = [line for line in ROWS.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    return list(csv.DictReader(lines))


def _rows(grid: Grid) -> Table:
    found: list[tuple[Value, ...]] = []
    for row in rows():
        value = float(row["value"])
        ours = computed(row) if row["kind"] in grid.kinds else None
        factor = None if ours is None else ours / value
        limit = LIMITS.get(row["tier"])
        within = None if factor is None or limit is None else max(factor, 1 / factor) <= limit
        shape = "×".join(row[name] for name in "abc" if row[name])
        lengths = "/".join(row[name] for name in ("batch", "prompt", "answer") if row[name])
        found.append((
            int(row["id"]), row["tier"], row["device"], row["what"], row["kind"], shape or lengths, row["chips"],
            row["bits"], value, ours, row["unit"], factor, within, row["source"],
        ))  # fmt: skip
    return Table(
        "measured", "All rows",
        ("row", "tier", "device", "what", "kind", "sizes", "chips", "bits", "published", "ours", "unit",
         "ours ÷ published", "within", "source"),
        tuple(found),
        "Within: by a factor of 1.20 in tier A, of 1.35 in tier B. Factors above 1 are times that are too long "
        "here, or rates that are too high.",
    )  # fmt: skip


def computed(row: Mapping[str, str]) -> float | None:
    """The row's quantity in its own unit; None where its device is not in the table."""
    kind = row["kind"]
    if kind == "stream":
        return float(row["floor"]) * KERNELS.bandwidth
    if kind == "all-reduce":
        return protocol_all_reduce(int(row["chips"] or 4), float(row["a"])) * 1e6
    name = row["device"]
    if name not in devices():
        return None
    bits = int(row["bits"])
    chip = device(name)
    chip = replace(chip, flops=chip.flops * RATES[bits])
    if kind == "product":
        seconds = chip.product_s(int(row["a"]), int(row["b"]), int(row["c"]), bits)
        return seconds * {"ms": 1e3, "us": 1e6}[row["unit"]]
    if kind.startswith("layer"):
        return 1e3 * (_gpt3_prefill(chip) if kind.endswith("prefill") else _gpt3_decode(chip))
    return _served(row, chip, bits)


def _served(row: Mapping[str, str], chip: Device, bits: int) -> float:
    """Tokens a second and chip of a static batch, or milliseconds until its first token."""
    chips, batch, prompt = int(row["chips"]), int(row["batch"]), int(row["prompt"])
    model = GPTJ if row["what"] == "gptj-6b" else load_model(row["what"])
    link = None if chips == 1 else LINKS["nvlink3"] if row["device"].startswith("a100") else H100_LINK
    stored = 4.5 if bits == 4 else float(bits)
    cost = step_cost(model, chip, chips, link, stored, max(8.0, float(bits)), STEPS)
    first = cost.step_ns(batch * prompt, batch, batch, batch * prompt * (prompt + 1) // 2, batch * prompt) * 1e-9
    if row["kind"] == "first token":
        return 1e3 * first
    answer = int(row["answer"])
    later = sum(
        cost.step_ns(batch, batch, batch, batch * context, batch * context)
        for context in range(prompt + 1, prompt + answer)
    )
    return batch * answer / (first + later * 1e-9) / chips


def _gpt3_prefill(chip: Device) -> float:
    """Seconds of a layer of GPT-3 on 4 chips: 8 prompts of 2,048 tokens; attention is neither fused nor causal."""
    tokens, width, heads, length, size = 8 * 2048, 12288, 24 * 8, 2048, 128
    products = ((tokens, 9216, width), (tokens, width, 3072), (tokens, width, width), (tokens, width, width),
                (heads * length, length, size), (heads * length, size, length))  # fmt: skip
    vectors = (heads * length * length, tokens * width, tokens * width, tokens * width)  # softmax, 2 norms, GELU
    return _layer(chip, products, vectors, tokens * width * 2)


def _gpt3_decode(chip: Device) -> float:
    """Seconds of a layer of GPT-3 on 4 chips: a token of 8 sequences behind 3,072."""
    tokens, width, heads, length, size = 8, 12288, 24 * 8, 3072, 128
    products = ((tokens, 9216, width), (tokens, width, 3072), (tokens, width, width), (tokens, width, width),
                (1, heads * length, size), (1, size, heads * length))  # fmt: skip
    vectors = (heads * length, tokens * width, tokens * width, tokens * width)
    return _layer(chip, products, vectors, tokens * width * 2)


def _layer(
    chip: Device, products: tuple[tuple[int, int, int], ...], vectors: tuple[int, ...], summed_bytes: int
) -> float:
    """Kernels one behind the other, vectors read and written once in 16 bits, and two all-reduces on 4 chips."""
    moved = sum(KERNELS.launch_s + 4 * one / (chip.bytes_s * KERNELS.bandwidth) for one in vectors)
    return sum(chip.product_s(*one) for one in products) + moved + 2 * protocol_all_reduce(4, summed_bytes)


def _findings(table: Table) -> Iterator[str]:
    for tier, limit in LIMITS.items():
        own = [row for row in table.select({"tier": tier}) if row["within"] is not None]
        met = [row for row in own if row["within"]]
        off = statistics.median(max(row["ours ÷ published"], 1 / row["ours ÷ published"]) for row in own)
        beyond = ", ".join(
            f"{row['row']} {row['kind']} {row['ours ÷ published']:.2f}" for row in own if not row["within"]
        )
        yield (
            f"Tier {tier}: {len(met)} of {len(own)} rows within a factor of {limit:.2f}, the median off by "
            f"{off:.2f}. Beyond, ours over published: {beyond or 'none'}."
        )
    old = [row for row in table.select({"tier": "C"}) if row["ours ÷ published"] is not None]
    if old:
        told = ", ".join(f"{row['row']} {row['ours ÷ published']:.2f}" for row in old)
        yield f"Tier C, for the record, ours over published: {told}."
    none = [str(row["row"]) for row in table.select({}) if row["ours"] is None]
    yield f"Not computed: rows {', '.join(none)}."
