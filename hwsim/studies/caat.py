"""CAAT-Net: what it saves and what it costs when tensor parallel ranks add up only a share of the channels.

Decides that one number, the share p, is told twice: in time, where the all-reduces of a model move p of their bytes
and nothing hides them, and in the accuracy emulator, where small networks are trained with streams that are private
to each rank. The paper is known by its abstract (arXiv 2506.19645): half of the traffic without a significant loss,
at 130 M to 7 B parameters.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt

from hwsim.evaluation.phased import Phase
from hwsim.studies.page import Study, Table, Value, percent
from hwsim.timing.clusters.collectives import LINKS

FLOAT32 = "float32"


@dataclass(frozen=True, slots=True)
class Grid:
    """What is computed.

    Attributes:
        model: whose time is told, in prefill of `prompt` tokens and in decode of `batch` sequences behind `context`.
        chips: tensor parallel ones.
        shares: p.
        size: width and layers of what is trained, on `ranks`, with `steps` of `windows` windows of `bytes` bytes.
        machines: whose arithmetic the trained networks are run on.
        seeds: of trainings.
    """

    model: str
    prompt: int
    batch: int
    context: int
    chips: tuple[int, ...]
    shares: tuple[float, ...]
    size: tuple[int, int]
    ranks: tuple[int, ...]
    steps: int
    windows: int
    bytes: int
    machines: tuple[str, ...]
    seeds: int


FULL = Grid("llama3-8b", 2048, 16, 4096, (2, 4, 8), (1.0, 0.75, 0.5, 0.25), (96, 2), (2, 6), 100, 8, 48,
            ("edge-int8", "edge-nvfp4"), 3)  # fmt: skip
QUICK = Grid("smollm2-135m", 64, 2, 128, (3,), (1.0, 0.5), (48, 1), (2,), 3, 2, 16, ("edge-int8",), 2)


def study(grid: Grid) -> Study:
    """The whole study."""
    times, runs = _times(grid), _runs(grid)
    costs = _costs(runs)
    return Study(
        "caat",
        "A share of the channels is added up",
        "Tensor parallel ranks add their results after attention and after the feed-forward network. If only a share "
        "p of the channels is added and the rest of each rank's residual stream stays private, what time is saved, "
        "and what loss is paid? The paper (arXiv 2506.19645, abstract) says: half of the traffic, no significant "
        "loss.",
        tuple(_findings(times, costs)),
        {
            "time": f"{grid.model} on hbm-int8 chips, ring all-reduces at 16 bits, two a block, that nothing hides; "
            f"prefill of {grid.prompt} tokens, decode of {grid.batch} sequences at {grid.context}",
            "training": "the same share a step: two all-reduces a block forward and two backward",
            "networks": f"the GPT of models/gpt.py at width {grid.size[0]}, {grid.size[1]} blocks, six heads; "
            f"{grid.steps} steps of {grid.windows} × {grid.bytes} bytes, AdamW, {grid.seeds} seeds",
            "private channels": "a rank's norms and products see its own sums; behind the last block all that ranks "
            "added is summed once, which the abstract does not say",
            "arithmetic": "trained in float32, run in float32 and with every product emulated as on the machine",
            "what it cannot say": "what a share costs a model of a billion weights; nothing here is trained longer "
            f"than {grid.steps * grid.windows * grid.bytes:,} bytes",
        },
        (times, costs, runs),
    )


def _times(grid: Grid) -> Table:
    from hwsim.arch import load_accelerator
    from hwsim.evaluation import evaluate_phase
    from hwsim.workloads import load_model

    model, machine = load_model(grid.model), load_accelerator("hbm-int8")
    rows: list[tuple[Value, ...]] = []
    phases: tuple[tuple[Phase, int, int], ...] = (
        ("prefill", 1, grid.prompt),
        ("decode", grid.batch, grid.context),
    )
    for phase, batch, context in phases:
        for chips in grid.chips:
            for name, link in LINKS.items():
                all_added = None
                for share in grid.shares:
                    found = evaluate_phase(
                        model,
                        machine,
                        phase,
                        batch,
                        context,
                        chips=chips,
                        link=link,
                        share=share,
                    )
                    all_added = all_added or found
                    tokens = batch * (context if phase == "prefill" else 1)
                    sent = 4 * model.layers * (chips - 1) / chips * tokens * round(share * model.width)
                    rows.append((
                        phase, chips, name, share, sent * machine.output_bits / 8e6,
                        1e3 * (found.latency_s - found.collectives_s), 1e3 * found.collectives_s,
                        found.collectives_s / found.latency_s, all_added.latency_s / found.latency_s,
                    ))  # fmt: skip
    return Table(
        "times", "Time",
        ("phase", "chips", "link", "p", "MB a chip sends", "computing ms", "all-reduce ms", "part of all-reduce",
         "speed-up"),
        tuple(rows),
        "Speed-up over p = 1 of the same chips and link.", {"p": (1.0, 0.5)},
    )  # fmt: skip


def _runs(grid: Grid) -> Table:
    from hwsim.arch import load_accelerator
    from hwsim.nn import emulate
    from hwsim.nn.private_streams import held_out_loss, train_streams

    machines = [load_accelerator(name) for name in grid.machines]
    rows: list[tuple[Value, ...]] = []
    for seed in range(grid.seeds):
        for ranks in grid.ranks:
            for share in grid.shares:
                if share == 1 and ranks != grid.ranks[0]:
                    continue  # the network itself, whatever the ranks
                net, loss = train_streams(grid.size, ranks, share, grid.steps, grid.windows, grid.bytes, seed)
                emulated = []
                for machine in machines:
                    with emulate(net, machine):
                        emulated.append(held_out_loss(net, grid.bytes, 16))
                rows.append(
                    (ranks if share < 1 else 1, share, seed, loss, held_out_loss(net, grid.bytes, 16), *emulated)
                )
    return Table(
        "runs", "Single trainings", ("ranks", "p", "seed", "loss", "loss of 16 windows", *grid.machines), tuple(rows),
        "Nats a byte on held-out text, 64 windows in float32; 16 windows in float32 and on each machine's "
        "arithmetic.",
        {"seed": (0,)},
    )  # fmt: skip


def _costs(runs: Table) -> Table:
    base = {row["seed"]: row["loss"] for row in runs.select({"p": 1.0})}
    floor = statistics.stdev(base.values())
    machines = runs.columns[5:]
    rows: list[tuple[Value, ...]] = []
    for ranks, share in dict.fromkeys(zip(runs.column("ranks"), runs.column("p"), strict=True)):
        own = runs.select({"ranks": ranks, "p": share})
        gaps = [row["loss"] - base[row["seed"]] for row in own]
        arithmetic = [statistics.fmean(row[name] - row["loss of 16 windows"] for row in own) for name in machines]
        rows.append((
            ranks, share, statistics.fmean(row["loss"] for row in own), statistics.fmean(gaps),
            statistics.stdev(gaps) / sqrt(len(gaps)), floor, *arithmetic,
        ))  # fmt: skip
    return Table(
        "costs", "What private channels cost in loss",
        ("ranks", "p", "loss", "cost", "standard error", "noise floor", *machines),
        tuple(rows),
        "Nats a byte; the cost is the mean over seeds of the difference to p = 1, the floor the deviation of p = "
        "1 over seeds. Under a machine: what its arithmetic adds to the loss of the same network.",
    )  # fmt: skip


def _findings(times: Table, costs: Table) -> Iterator[str]:
    for phase in dict.fromkeys(times.column("phase")):
        own = times.select({"phase": phase, "p": 0.5})
        most = max(own, key=lambda row: row["speed-up"])
        whole = times.select({"phase": phase, "chips": most["chips"], "link": most["link"], "p": 1.0})[0]
        told = ", ".join(f"{row['chips']} chips over {row['link']} {row['speed-up']:.2f}" for row in own)
        yield (
            f"Time, {phase}, half of the channels: {told}; the most where all-reduces are "
            f"{percent(whole['part of all-reduce'])} of the step."
        )
    for row in costs.select({}):
        if row["p"] < 1:
            verdict = "within" if abs(row["cost"]) <= max(2 * row["standard error"], row["noise floor"]) else "beyond"
            extra = ", ".join(f"{name} {row[name]:+.3f}" for name in costs.columns[6:])
            yield (
                f"Loss, p = {row['p']:g} on {row['ranks']} ranks: {row['cost']:+.3f} ± "
                f"{row['standard error']:.3f} nats a byte, {verdict} the noise (seeds differ by "
                f"{row['noise floor']:.3f}); arithmetic adds {extra}."
            )
    plain = costs.select({"p": 1.0})[0]
    extra = ", ".join(f"{name} {plain[name]:+.3f}" for name in costs.columns[6:])
    yield f"Arithmetic adds {extra} to the network whose channels are all added."
    half = costs.select({"p": 0.5})
    told = ", ".join(f"{row['cost']:+.3f} on {row['ranks']} ranks" for row in half)
    yield (
        "Claim beside ours: half of the traffic without a significant loss (abstract, 130 M to 7 B); ours at "
        f"this size costs {told}."
    )
