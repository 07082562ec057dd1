"""Designs priced one after another, with what depends on numerics alone computed once.

Accuracy depends on the policy and on nothing else of a machine; counted toggles depend on the policy and the order
of the dataflow. Both are kept in the `Memo`, so that a search over arrays and memories pays for each arithmetic once,
and every other price of a design is a closed form.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from hwsim import content, workbench
from hwsim.errors import ArgumentError, DesignError, HwsimError, LostTask, LostWorkers, TraceError
from hwsim.evaluation import steps
from hwsim.evaluation.accuracy import SQNR, Measured, Metric, mean_sqnr_db
from hwsim.evaluation.decisions import Decided
from hwsim.evaluation.memo import Memo
from hwsim.evaluation.model_sources import identity
from hwsim.evaluation.prices import machine_prices
from hwsim.evaluation.pricing import Priced, check_clock, forward_work, judge, plan_key, price, products_key
from hwsim.evaluation.product_events import Counted
from hwsim.evaluation.records import Evaluation
from hwsim.evaluation.steps import Step, operands_of
from hwsim.evaluation.synthesis import areas

if TYPE_CHECKING:
    from hwsim.arch import Accelerator, Policy
    from hwsim.cost import Toggles
    from hwsim.cost.gates import GateEnergy
    from hwsim.gates.steps import Dataflow
    from hwsim.timing.planning import Decision
    from hwsim.trace import Trace

AccuracyKind = Literal["replay", "rerun"]
EnergyKind = Literal["pann", "trace", "gates"]
Submit = Callable[..., Any]
T = TypeVar("T")

KEPT = 4096
"""Decisions of machines of their own prices that an evaluator keeps."""


class Evaluator:
    """Prices designs on one trace.

    Args:
        trace: of the model; its forward GEMMs are the workload of one pass.
        accuracy: ``"replay"`` (SQNR of the recorded GEMMs, no torch) or ``"rerun"`` (the model's own metric).
        energy: ``"pann"`` (formulas from widths), ``"trace"`` (bits that toggle on the recorded operands) or
            ``"gates"`` (every gate of the units on these operands, and synthesised areas: needs Yosys).
        metric_options: what the model's ``metric()`` is called with in a rerun.
        memo: values measured before; the user's cache without it.
        seed: of schemes that round stochastically, in a replay; bits that flip are counted on one draw.

    Raises:
        ArgumentError: an unknown kind of accuracy or energy, or a trace without forward GEMMs.
        TraceError: an operand of the trace is not what was written.
    """

    def __init__(
        self,
        trace: Trace,
        accuracy: AccuracyKind = "replay",
        energy: EnergyKind = "trace",
        metric_options: dict[str, Any] | None = None,
        memo: Memo | None = None,
        seed: int = 0,
    ) -> None:
        if accuracy not in ("replay", "rerun"):
            raise ArgumentError("accuracy must be 'replay' or 'rerun'", got=accuracy)
        if energy not in ("pann", "trace", "gates"):
            raise ArgumentError("energy must be 'pann', 'trace' or 'gates'", got=energy)
        self.trace, self.accuracy_kind, self.energy_kind = trace, accuracy, energy
        self.metric_options, self.seed = metric_options or {}, seed
        self.memo = memo or Memo()
        trace.verify()  # remembered values are looked up by the index: damaged operands must not hide behind them
        self.work = forward_work(trace.workload, where=str(trace.path))
        gemms = trace.workload.gemms
        # as toggles are counted
        self._forward = [record for record, gemm in enumerate(gemms) if gemm.phase == "forward"]
        self.shapes = [gemms[record] for record in self._forward]
        self._decisions: dict[str, Decision] = {}
        self._products: dict[str, str] = {}
        self._steps: dict[tuple[str, str], Step[Any]] = {}
        self._operands = operands_of(trace)
        self._sources: str | None = None
        self._lost: dict[str, LostTask] = {}

    @property
    def metric(self) -> Metric:
        """What accuracy means here: the mean SQNR in a replay, the model's own metric in a rerun."""
        return SQNR if self.accuracy_kind == "replay" else self._float32()

    @property
    def baseline(self) -> float | None:
        """The metric of the model in float32; None in a replay, where float32 is the reference itself."""
        return None if self.accuracy_kind == "replay" else self._float32().value

    def __call__(self, accelerator: Accelerator) -> Evaluation:
        """Price one design.

        Raises:
            HwsimError: the design cannot run the workload, its clock is above what its units reach, or a coefficient
                for it is unknown; for ``"gates"`` also a unit without a circuit, or no Yosys.
        """
        priced = self.price(accelerator)
        return Evaluation(
            accelerator=accelerator,
            workload=self.trace.name,
            fidelity=self.accuracy_kind,
            metric=self.metric,
            accuracy=self.accuracy(accelerator.policy),
            sqnr_db=self.sqnr_db(accelerator.policy),
            plan=priced.plan,
            energy=priced.energy,
            area=priced.area,
            macs=self.work.macs,
            tokens=self.work.tokens,
            f_max_ghz=priced.f_max_ghz,
            borrowed=self.work.note,
        )

    def price(self, accelerator: Accelerator) -> Priced:
        """Plan, energy and area, without any accuracy; raises as a whole evaluation does."""
        counted = self.counted(accelerator.policy, accelerator.array.dataflow.order)
        logic = areas(accelerator) if self.energy_kind == "gates" else None
        return price(
            self.work, accelerator, counted, self.energy_kind, logic,
            lambda: self.decided(self.decision(judge(accelerator))),
        )  # fmt: skip

    def decision(self, judging: Accelerator) -> Decided:
        """The step that decides the plan of a machine that is its own `judge`.

        Raises:
            HwsimError: a layer without a unit, or an unknown price.
        """
        policy, additions = judging.policy, self.additions_by_record(judging.policy)
        if policy.key not in self._products:
            self._products[policy.key] = products_key(self.work, policy, additions)
        return Decided(self._operands, self._graph, plan_key(self._products[policy.key], judging), judging, additions)

    @cached_property
    def _graph(self) -> str:
        return content.digest(self.work.graph)

    def decided(self, step: Decided) -> Decision:
        """Its result, decided once; that of a nominal machine is remembered between runs.

        Raises:
            HwsimError: the machine cannot run the pass.
        """
        if _shared(step):
            return self._get(step)
        found = self._decisions.get(step.key)
        return found or self.keep(step, step.result())

    def knows(self, step: Decided) -> bool:
        """Whether a plan was decided."""
        return step in self.memo if _shared(step) else step.key in self._decisions

    def keep(self, step: Decided, found: Decision) -> Decision:
        """Keep what was decided elsewhere."""
        if _shared(step):
            self.memo.put(step, found)
        else:
            self._decisions[step.key] = found
            if len(self._decisions) > KEPT:
                del self._decisions[next(iter(self._decisions))]
        return found

    def counted(self, policy: Policy, order: Dataflow) -> dict[int, Counted]:
        """What is known of the operands of each product, in the order of a dataflow."""
        toggles, gates = None, None
        if self.energy_kind != "pann":
            toggles = self.toggles(policy, order)
        if self.energy_kind == "gates":
            gates = self.gates(policy, order)
        additions = self.additions(policy)
        return {
            record: Counted(
                None if toggles is None else toggles[place], None if gates is None else gates[place], additions[place]
            )
            for place, record in enumerate(self._forward)
        }

    def sqnr_db(self, policy: Policy) -> dict[str, float]:
        """SQNR by layer of a replay of the trace."""
        return self._get(self._step("replayed", policy, lambda: self._replayed(policy)))

    def toggles(self, policy: Policy, dataflow: str) -> list[Toggles]:
        """Flips of every forward GEMM of the trace, in the order of the dataflow."""
        counted = self._step("counted", policy, lambda: steps.Counted(self._operands, policy))
        return [orders[dataflow] for orders in self._get(counted)]

    def additions(self, policy: Policy) -> list[float | None]:
        """Additions an element of every forward GEMM on an add-only unit, None on other units."""
        if not any(numerics.datapath.timed_by_weights for numerics in policy.numerics):
            return [None] * len(self.shapes)
        return self._get(self._step("additions", policy, lambda: steps.Additions(self._operands, policy)))

    def gates(self, policy: Policy, dataflow: Dataflow) -> list[GateEnergy]:
        """Energy of every forward GEMM in the gates of its unit, in the order of the dataflow."""
        for shape in self.shapes:
            if policy.for_gemm(shape.layer, shape.b_role) is None:  # no tool is needed to know
                raise DesignError("a layer in float32 has no unit whose gates switch", where=shape.layer)
        return self._get(steps.InGates(self._operands, policy, dataflow, steps.tools()))

    def accuracy(self, policy: Policy) -> float:
        """The accuracy of `policy`, measured once."""
        if self.accuracy_kind == "replay":
            return mean_sqnr_db(self.sqnr_db(policy), self.trace)
        return self._get(self._step("rerun", policy, lambda: self._rerun(policy))).value

    def prepare(self, policies: Iterable[Policy], submit: Submit) -> None:
        """Measure side by side what the policies need and is not known yet; `submit` starts a call elsewhere.

        What cannot be measured is left to the design that asks for it, which then says why.
        """
        wanted: dict[str, Step[Any]] = {}
        for policy in policies:
            needed: list[Step[Any]] = [self._replayed(policy)]
            if self.energy_kind != "pann":
                needed.append(steps.Counted(self._operands, policy))
            if self.accuracy_kind == "rerun":
                needed.append(self._rerun(policy))
            wanted |= {step.key: step for step in needed if step not in self.memo}
        jobs = {key: submit(steps.result, step) for key, step in wanted.items()}
        for key, job in jobs.items():
            try:
                self.memo.put(wanted[key], job.result())
            except LostWorkers:
                raise
            except LostTask as error:
                self._lost[key] = error
            except HwsimError:
                continue

    def plan(self, accelerators: Iterable[Accelerator], submit: Submit) -> None:
        """Decide the plans of designs side by side; `submit` starts a call elsewhere.

        A design that cannot run is left to whoever prices it, which then says why.
        """
        wanted: dict[str, Decided] = {}
        for machine in accelerators:
            with contextlib.suppress(HwsimError):
                check_clock(machine, machine_prices(machine))
                step = self.decision(judge(machine))
                if not self.knows(step):
                    wanted[step.key] = step
        jobs = {key: submit(steps.result, step) for key, step in wanted.items()}
        for key, job in jobs.items():
            try:
                self.keep(wanted[key], job.result())
            except LostWorkers:
                raise
            except HwsimError:
                continue

    def _step(self, name: str, policy: Policy, make: Callable[[], Step[T]]) -> Step[T]:
        """The step of a name on a policy, made once: its key takes longer than to find a result by it."""
        if (name, policy.key) not in self._steps:
            self._steps[name, policy.key] = make()
        return self._steps[name, policy.key]

    def _get(self, step: Step[T]) -> T:
        """From the memo, or measured here, but not where it has ended workers already."""
        if self._lost and (lost := self._lost.get(step.key)):
            raise lost
        return self.memo.get(step)

    def additions_by_record(self, policy: Policy) -> dict[int, float]:
        """Additions of an element of each product that has some, by its place among the products of the workload."""
        found = zip(self._forward, self.additions(policy), strict=True)
        return {record: one for record, one in found if one is not None}

    def _replayed(self, policy: Policy) -> steps.Replayed:
        drawn = any(one.stochastic for one in policy.numerics)
        return steps.Replayed(self._operands, policy, self.seed if drawn else None)

    @property
    def _spec(self) -> str:
        if self.trace.model_spec is None:
            raise ArgumentError(
                "a rerun needs a trace that was captured from a model file",
                got=self.trace.name,
                where=str(self.trace.path),
            )
        return self.trace.model_spec

    @property
    def _weights(self) -> str:
        if not isinstance(weights := self.trace.manifest.get("weights"), str):
            raise TraceError("manifest must hold the digest of the weights", got=weights, where=str(self.trace.path))
        return weights

    def _rerun(self, policy: Policy | None) -> steps.Rerun:
        if self._sources is None:
            found = identity(workbench.find("models", self._spec.rpartition(":")[0], ".py"))
            # what cannot be told apart later is remembered by this evaluator alone
            self._sources = found or secrets.token_hex(8)
        return steps.Rerun(self._weights, self._sources, self.metric_options, policy, self._spec)

    def _float32(self) -> Measured:
        """The metric and its value for the model as it is."""
        return self._get(self._rerun(None))


def _shared(step: Decided) -> bool:
    return step.machine.objective == "nominal"
