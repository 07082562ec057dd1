"""Commands on whole models: a phase of one on a machine, and many requests on an engine."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwsim.cli.app import app
from hwsim.cli.output import give

if TYPE_CHECKING:
    from hwsim.evaluation import Evaluation, Phase, Phased
    from hwsim.workloads import Parallel
    from hwsim.workloads.training import Optimizer, Saving

Chips = Annotated[
    int, typer.Option(help="chips of the kind of MACHINE; those that no other degree takes are tensor parallel")
]
Pipeline = Annotated[int, typer.Option(help="stages of equally many blocks")]
LinkName = Annotated[str, typer.Option(help="between chips: nvlink3, pcie4, or LATENCY_US,GBYTE_S[,PJ_BIT]")]
Statistics = Annotated[
    Path | None, typer.Option(help="folder of a trace whose flips stand for the model's; else widths decide")
]


def evaluate_model(
    name: str,
    machine: str,
    phase: Phase,
    batch: int,
    context: int,
    chips: Parallel,
    link: str,
    statistics: Path | None,
    optimizer: Optimizer,
    saving: Saving,
) -> Phased | Evaluation:
    """A decoder in a phase, or another model of the catalogue on a batch of its inputs."""
    import hwsim
    from hwsim.errors import ArgumentError
    from hwsim.evaluation import evaluate_phase, evaluate_workload
    from hwsim.timing.clusters.collectives import link as link_of
    from hwsim.workloads import encoders, load_model

    model, design = load_model(name), hwsim.load_accelerator(machine)
    trace = None if statistics is None else hwsim.load_trace(statistics)
    if model.kind == "decoder":
        return evaluate_phase(
            model,
            design,
            phase,
            batch,
            context,
            trace,
            chips,
            link_of(link) if chips.chips > 1 else None,
            optimizer=optimizer,
            saving=saving,
        )
    if chips.chips > 1 or phase == "training":
        raise ArgumentError(
            "several chips share decoders alone, and decoders alone train", got=model.kind, where=name
        )
    if model.kind == "whisper":
        work = (
            encoders.whisper_encode(model, batch)
            if phase == "prefill"
            else encoders.whisper_decode(model, context, batch)
        )
    elif model.kind == "bert":
        work = encoders.bert(model, context, batch)
    elif model.kind == "recurrent":
        work = encoders.recurrent(model, batch, context)
    else:
        work = (encoders.vit if model.kind == "vit" else encoders.resnet)(model, batch)
    return evaluate_workload(work, design, trace)


def show_phase(found: Phased) -> None:
    """Values of a phase, and the time and energy of its parts."""
    from hwsim.notebook import significant

    parts = [{"part": one.workload, "times": count, "values": one.values()} for one, count in found.parts]
    degrees = {one.name: getattr(found.parallel, one.name) for one in fields(found.parallel)}
    sent = [
        {"exchange": one.name, "times": sum(one.counts), "seconds": one.seconds, "link_bits": one.bits}
        for one in found.exchanges
    ]
    give({"values": found.values(), "parts": parts, "chips": degrees, "exchanges": sent, "note": found.note})
    typer.echo(f"{found.model}, {found.phase}, batch {found.batch}, context {found.context}, {found.chips} chip(s)")
    for name, value in found.values().items():
        typer.echo(f"{name:22} {significant(value)}")
    typer.echo(f"\n{'part':34} {'times':>6} {'ms each':>10} {'mJ each':>10} {'bound':>10}")
    for one, count in found.parts:
        detail = one.detail()
        typer.echo(
            f"{one.workload:34} {count:>6} {significant(one.latency_s * 1e3):>10} "
            f"{significant(one.energy_pj * 1e-9):>10} {detail['bound']:>10}"
        )
    if found.exchanges:
        typer.echo(f"\n{'exchange':34} {'times':>6} {'ms each':>10} {'link GB':>10}")
    for sent_one in found.exchanges:
        typer.echo(
            f"{sent_one.name:34} {sum(sent_one.counts):>6} {significant(sent_one.seconds * 1e3):>10} "
            f"{significant(sent_one.bits / 8e9):>10}"
        )
    if found.note:
        typer.echo(f"\n{found.note}")


@app.command()
def serve(
    model: Annotated[
        str, typer.Argument(help="a decoder of the catalogue (llama3-8b), a TOML file, or a config.json")
    ],
    machine: Annotated[
        str, typer.Argument(help="a bought device (h100), a machine of the workbench, or a TOML file")
    ],
    arrivals: Annotated[Path, typer.Option(help="CSV with arrival_s, input_toks and output_toks")],
    chips: Chips = 1,
    pipeline: Pipeline = 1,
    link: LinkName = "nvlink3",
    budget: Annotated[int, typer.Option(help="tokens of a step at most")] = 2048,
    sequences: Annotated[int, typer.Option(help="requests of a step at most")] = 256,
    blocks: Annotated[
        int | None, typer.Option(help="blocks of 16 tokens in the cache; a device's own without it")
    ] = None,
    bits: Annotated[float, typer.Option(help="bits of a weight on a bought device")] = 16.0,
    kv_bits: Annotated[float, typer.Option(help="bits of an element of the cache on a bought device")] = 16.0,
    ttft: Annotated[float, typer.Option(help="limit of the time to the first token, s")] = float("inf"),
    tpot: Annotated[float, typer.Option(help="limit of the time a token behind it, s")] = float("inf"),
    statistics: Statistics = None,
) -> None:
    """Serve requests by continuous batching; percentiles, and the part that keeps both limits."""
    from hwsim.errors import ArgumentError
    from hwsim.notebook import significant
    from hwsim.timing.clusters.collectives import link as link_of
    from hwsim.timing.roofline import STEPS, device, devices
    from hwsim.timing.serving import Engine, Requests
    from hwsim.timing.serving import serve as run
    from hwsim.timing.serving.models import engine
    from hwsim.workloads import Parallel, load_model

    config, wire = load_model(model), link_of(link) if chips > 1 else None
    requests, energy_j = Requests.from_csv(arrivals), None
    if machine in devices():
        if pipeline > 1:
            raise ArgumentError("chips of a bought device are tensor parallel", got=pipeline, where="serve.pipeline")
        made = engine(config, device(machine), chips, wire, bits, kv_bits, budget, sequences)
        made = Engine(made.cost, budget, sequences, blocks or made.blocks)
        note = f"times within a factor of {STEPS.error_factor}, to the first token of 1.2: as three replayed runs are"
        done = run(made, requests)
    else:
        import hwsim
        from hwsim.evaluation.serving import planned

        if blocks is None:
            raise ArgumentError("a machine file states no size of its DRAM: give --blocks", where=machine)
        trace = None if statistics is None else hwsim.load_trace(statistics)
        plans = planned(config, hwsim.load_accelerator(machine), trace, Parallel.on(chips, pipeline), wire)
        done = run(Engine(plans.cost, budget, sequences, blocks), requests)
        energy_j = plans.energy_j(done)
        note = f"times within a factor of {plans.error_factor:.2f} of plans; {plans.note}"
    values: dict[str, Any] = {
        "requests": len(requests),
        "makespan_s": done.makespan_s,
        "answer_tokens_s": done.tokens_s,
        "mean_batch": done.mean_batch,
        "steps": done.steps,
        "busy": done.busy_ns * 1e-9 / done.makespan_s,
        "preemptions": int(done.preemptions.sum()),
        "most_blocks": done.most_blocks,
        "attainment": done.attainment(ttft, tpot),
    }
    if energy_j is not None:
        values["energy_per_request_j"] = energy_j / len(requests)
    give({"values": values, "percentiles": done.percentiles(), "note": note})
    for name, value in values.items():
        typer.echo(f"{name:22} {value if isinstance(value, int) else significant(value)}")
    for name, marks in done.percentiles().items():
        typer.echo(f"{name:22} " + ", ".join(f"{mark} {significant(value)}" for mark, value in marks.items()))
    typer.echo(note)
