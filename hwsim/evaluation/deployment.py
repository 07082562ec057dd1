"""A decoder on so many chips, as a design space states it: a phase, its degrees of parallelism, and who asks.

Priced, it is judged as any design is: energy, area and latency are those of all chips and one step; memory, tokens
per second and watt, and the share of requests that keep their limits are its own. Flips and the accuracy are borrowed
from the trace of another model, and it says so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from hwsim.errors import ArgumentError, DesignError
from hwsim.evaluation.ledger import Ledger
from hwsim.evaluation.objectives import EVERY
from hwsim.evaluation.phased import Phase, Phased
from hwsim.evaluation.phases import evaluate_phase
from hwsim.evaluation.records import broken_down, labels
from hwsim.storage import OneOf, Real, Record, Text, Whole, checked
from hwsim.timing.clusters.collectives import Link
from hwsim.timing.clusters.collectives import link as link_of
from hwsim.workloads import ModelConfig, Parallel, load_model
from hwsim.workloads.training import Optimizer, Saving

if TYPE_CHECKING:
    from hwsim.arch import Accelerator
    from hwsim.evaluation.evaluator import Evaluator
    from hwsim.evaluation.serving import Planned

_DEGREES = tuple(one.name for one in fields(Parallel))
_ASKED = Record(
    {"rate": Real(1e-9), "count": Whole(1, 10**7), "prompt": Whole(1, 2**24), "answer": Whole(1, 2**24)},
    {"ttft_s": Real(0.0), "tpot_s": Real(0.0), "seed": Whole()},
)
_PLAIN = ("phase", "batch", "context", "link", "optimizer", "saving")
_SHAPE = Record(
    {"model": Text()},
    {
        "phase": OneOf(("prefill", "decode", "training")), "batch": Whole(1, 2**24), "context": Whole(1, 2**24),
        "optimizer": OneOf(get_args(Optimizer)), "saving": OneOf(get_args(Saving)),
        "chips": Record({}, dict.fromkeys(_DEGREES, Whole(1, 2**20))), "link": Text(), "requests": _ASKED,
    },
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Asked:
    """Requests that arrive at random (Poisson), all as long.

    Attributes:
        rate: requests a second; copies of the model, and expert parallel chips, share them evenly.
        count: requests.
        prompt, answer: tokens of each.
        ttft_s, tpot_s: limits of the first token and of a token behind it.
        seed: of the arrivals.
    """

    rate: float
    count: int
    prompt: int
    answer: int
    ttft_s: float = math.inf
    tpot_s: float = math.inf
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Deployment:
    """What designs of a space run.

    Attributes:
        model: a decoder.
        phase, batch, context: as of `hwsim.evaluation.evaluate_phase`.
        chips: degrees of parallelism.
        link: between chips, as `hwsim.timing.clusters.collectives.link` takes it.
        requests: who asks, or None.
        optimizer, saving: of training, as of `hwsim.evaluation.evaluate_phase`.
    """

    model: ModelConfig
    phase: Phase = "decode"
    batch: int = 1
    context: int = 1024
    chips: Parallel = Parallel()  # noqa: RUF009  (frozen)
    link: str = "nvlink3"
    requests: Asked | None = None
    optimizer: Optimizer = "adamw"
    saving: Saving = "fused"

    def __post_init__(self) -> None:
        self.chips.check(self.model, self.batch, self.context)
        link_of(self.link)

    @property
    def wire(self) -> Link | None:
        """The link, where there are several chips."""
        return link_of(self.link) if self.chips.chips > 1 else None


def deployment_of(table: Mapping[str, Any], where: str) -> Deployment:
    """The table ``[phase]`` of a space, checked.

    Raises:
        DesignError: a key is unknown or of another type, or the degrees do not divide the model.
        UnknownName: no such model or link.
    """
    checked(table, _SHAPE, "a phase", where, DesignError)
    asked = table.get("requests")
    values = {name: value for name, value in table.items() if name in _PLAIN}
    try:
        return Deployment(
            model=load_model(table["model"]),
            chips=Parallel(**table.get("chips", {})),
            requests=None if asked is None else Asked(**asked),
            **values,
        )
    except ArgumentError as error:
        raise DesignError(error.rule, got=error.got, where=where) from None


@dataclass(frozen=True, slots=True)
class Deployed:
    """A deployment on one kind of chip, priced.

    Attributes:
        phased: the step.
        accuracy: of the chip's arithmetic, borrowed.
        metric: its name.
        attainment: part of the requests that keep both limits; NaN where nobody asks.
        note: what was borrowed.
    """

    phased: Phased
    accuracy: float
    metric: str
    attainment: float
    note: str

    @property
    def accelerator(self) -> Accelerator:
        """One chip."""
        return self.phased.parts[0][0].accelerator

    def values(self) -> dict[str, float]:
        """Objectives and limits by name with their unit; the attainment where somebody asks."""
        columns = {one.column: one.of(self.phased) for one in EVERY if one.name != "attainment"}
        asked = {} if math.isnan(self.attainment) else {"attainment": self.attainment}
        return {self.metric: self.accuracy} | columns | asked

    def detail(self) -> dict[str, Any]:
        """Breakdowns, sources and labels, in JSON's types: of all chips."""
        one, phased = self.phased.parts[0][0], self.phased
        degrees = [f"{name} {getattr(phased.parallel, name)}" for name in _DEGREES
                   if getattr(phased.parallel, name) > 1]  # fmt: skip
        named = labels(self.accelerator)
        return {
            **named,
            "array": ", ".join((named["array"], *degrees)),
            "f_max_ghz": one.f_max_ghz,
            **broken_down(self.energy.breakdown(), _scaled(one.area, phased.chips).breakdown()),
            "by_layer_pj": {name: part.value for name, part in self.energy.breakdown("layer").parts.items()},
            "by_level_pj": {name: part.value for name, part in self.energy.breakdown("level").parts.items()},
            "links": [[one.name, sum(one.counts), one.seconds, one.bits] for one in phased.exchanges],
            "borrowed": self.note,
        }

    @property
    def energy(self) -> Ledger:
        """Every charge of the step on all chips and links, pJ."""
        charges = [
            charge for one, count in self.phased.parts for charge in _scaled(one.energy, count * self.phased.copies)
        ]
        links = () if self.phased.links is None else self.phased.links.charges
        return Ledger([*charges, *links], "pJ", self.phased.parts[0][0].energy.fidelity)


def deploy(deployment: Deployment, machine: Accelerator, lender: Evaluator) -> Deployed:
    """Price a deployment on one kind of chip.

    Args:
        deployment: what runs.
        machine: one chip.
        lender: of the trace whose accuracy stands for the model's, and whose flips do too unless its energies are
            those of widths.

    Raises:
        HwsimError: the machine cannot run a part, the trace lacks a kind of product, or requests to context parallel
            chips.
    """
    one = deployment
    flips = None if lender.energy_kind == "pann" else lender
    phased = evaluate_phase(
        one.model, machine, one.phase, one.batch, one.context, flips, one.chips, one.wire,
        optimizer=one.optimizer, saving=one.saving,
    )  # fmt: skip
    attainment = math.nan if one.requests is None else _attained(one, one.requests, machine, flips)
    metric, lent = lender.metric.name, lender.trace.name
    note = f"{metric} of {lent}, whose products stand for those of {one.model.name}; {phased.note}"
    return Deployed(phased, lender.accuracy(machine.policy), metric, attainment, note)


def _attained(one: Deployment, asked: Asked, machine: Accelerator, lender: Evaluator | None) -> float:
    """Part of the requests to one copy of the model that keep both limits."""
    from hwsim.timing.serving import Engine, Requests, serve

    engines = one.chips.data * one.chips.expert
    cost = _planned(one.model, machine, lender, replace(one.chips, data=1, microbatches=1), one.wire).cost
    prompt, answer = (np.array([tokens], np.int64) for tokens in (asked.prompt, asked.answer))
    count, rate = -(-asked.count // engines), asked.rate / engines
    requests = Requests.poisson(count, rate, prompt, answer, asked.seed)
    outcome = serve(Engine(cost, sequences=one.batch // engines), requests)
    return outcome.attainment(asked.ttft_s, asked.tpot_s)


@lru_cache(maxsize=4096)
def _planned(
    model: ModelConfig, machine: Accelerator, lender: Evaluator | None, chips: Parallel, link: Link | None
) -> Planned:
    """The engine of one copy: batches, rates and copies share it."""
    from hwsim.evaluation.serving import planned

    return planned(model, replace(machine, name="chip"), lender, chips, link)


def _scaled(ledger: Ledger, times: int) -> Ledger:
    charges = (one._replace(events=one.events * times, amount=one.amount * times) for one in ledger)
    return Ledger(charges, ledger.unit, ledger.fidelity)
