"""What a plan decides is remembered with all that it depends on, and read back as it was."""

from __future__ import annotations

import dataclasses
import json

import pytest

import hwsim
from hwsim.evaluation import Evaluator, Memo, decisions
from hwsim.evaluation.pricing import decided, judge
from hwsim.trace import load_trace


@pytest.fixture(scope="module")
def gpt():
    return load_trace("traces/gpt-small")


@pytest.fixture(scope="module")
def nominal():
    return dataclasses.replace(hwsim.load_accelerator("edge-int8"), objective="nominal")


@pytest.mark.parametrize("objective", ["nominal", "energy", "time", "traffic"])
def test_a_decision_comes_back_from_json(gpt, objective, tmp_path):
    machine = dataclasses.replace(hwsim.load_accelerator("edge-int8"), objective=objective)
    evaluator = Evaluator(gpt, memo=Memo(tmp_path / "memo"))
    made = decided(evaluator.work, machine, {})
    codec = evaluator.decision(judge(machine)).codec
    plain = json.loads(json.dumps(codec.encode(made)))
    codec.shape.check(plain, "")
    assert codec.decode(plain) == made
    assert any(move.residents for move in made.moves)  # something lies on chip between steps


def test_another_process_decides_nothing_again(gpt, nominal, tmp_path, monkeypatch):
    late = Evaluator(gpt, memo=Memo(tmp_path / "memo"))  # its memo is read before anything is in it
    found = Evaluator(gpt, memo=Memo(tmp_path / "memo"))(nominal)

    def never(step):
        raise AssertionError("decided twice")

    monkeypatch.setattr(decisions.Decided, "result", never)
    again = late(nominal)
    assert again.plan == found.plan
    assert again.energy_pj == found.energy_pj


def test_a_plan_by_own_prices_is_not_kept_between_runs(gpt, tmp_path):
    machine = hwsim.load_accelerator("edge-int8")
    assert machine.objective == "energy"
    evaluator = Evaluator(gpt, memo=Memo(tmp_path / "memo"))
    evaluator(machine)
    assert evaluator.knows(evaluator.decision(machine))
    later = Evaluator(gpt, memo=Memo(tmp_path / "memo"))
    assert not later.knows(later.decision(machine))


def test_a_decision_is_of_its_graph_and_of_what_it_reads(gpt, nominal, tmp_path):
    evaluator = Evaluator(gpt, memo=Memo(tmp_path / "memo"))
    step = evaluator.decision(judge(nominal))
    other = Evaluator(gpt, memo=Memo(tmp_path / "memo"))
    graph = other.work.graph
    last = dataclasses.replace(graph.operators[-1], elements=graph.operators[-1].elements + 1)
    other.work = dataclasses.replace(
        other.work, graph=dataclasses.replace(graph, operators=(*graph.operators[:-1], last))
    )
    assert other.decision(judge(nominal)).key != step.key  # of the same products
    assert evaluator.decision(judge(nominal.changed(**{"array.rows": 8, "technology.voltage": 0.7}))).key == step.key
    assert evaluator.decision(judge(nominal.changed(**{"memory.weight_kib": 64}))).key != step.key
    assert evaluator.decision(judge(nominal.changed(**{"array.dataflow": "os"}))).key != step.key
