"""A machine as an engine, from plans of a few steps; and the commands on whole models."""

from __future__ import annotations

import json

import pytest

from hwsim.arch import load_accelerator
from hwsim.cli import run
from hwsim.evaluation import evaluate_phase
from hwsim.evaluation.serving import CONTEXT, PROMPT, planned, split
from hwsim.timing.serving import Engine, Requests, serve
from hwsim.workloads import ModelConfig
from hwsim.workloads.config import Attention, Feed

SMALL = ModelConfig("small", "test", "decoder", 4, 512, 1000, attention=Attention(8, 4, 64), feed=Feed(2048))


def test_the_closed_form_meets_the_steps_that_it_was_made_from() -> None:
    """One sequence of decode, in time and energy, and the prompt, whose weights hide behind its arithmetic or not."""
    machine = load_accelerator("hbm-int8")
    made = planned(SMALL, machine)
    one = evaluate_phase(SMALL, machine, "decode", 1, CONTEXT)
    linear, attention = split(one)
    assert linear + attention == pytest.approx(one.latency_s, rel=1e-12)
    assert made.cost.step_ns(1, 1, 1, CONTEXT, CONTEXT) * 1e-9 == pytest.approx(one.latency_s, rel=1e-3)
    assert made.step_pj + made.token_pj + CONTEXT * made.row_pj == pytest.approx(one.energy_pj, rel=1e-9)
    assert made.memory_bytes + CONTEXT * made.row_bytes == pytest.approx(one.memory_bytes, rel=0.01)
    prompt = evaluate_phase(SMALL, machine, "prefill", 1, PROMPT)
    pairs = PROMPT * (PROMPT + 1) // 2
    assert made.cost.step_ns(PROMPT, 1, 1, pairs, PROMPT) * 1e-9 == pytest.approx(prompt.latency_s, rel=0.05)
    assert 1.0 <= made.error_factor < 2.0


def test_energy_of_a_run_is_that_of_its_steps() -> None:
    made = planned(SMALL, load_accelerator("hbm-int8"))
    done = serve(Engine(made.cost), Requests.of([0.0], [10], [4]))
    # one prompt of 10 and three tokens behind it: 4 steps, 13 tokens, rows 10 + 11 + 12 + 13
    expected = 4 * made.step_pj + 13 * made.token_pj + 46 * made.row_pj
    assert made.energy_j(done) == pytest.approx(expected * 1e-12)


def test_commands_on_whole_models(tmp_path, capsys) -> None:
    def asked(*arguments: str) -> str:
        assert run([*arguments]) == 0
        return capsys.readouterr().out

    found = json.loads(asked("evaluate", "smollm2-135m", "hbm-int8", "--batch", "2", "--context", "64", "--json"))
    assert found["values"]["tokens_s"] == pytest.approx(2e3 / found["values"]["tpot_ms"])
    assert [part["times"] for part in found["parts"]] == [30, 1]
    assert "smollm2-135m, prefill, batch 1" in asked(
        "evaluate", "smollm2-135m", "hbm-int8", "--phase", "prefill", "--context", "32"
    )
    assert "tops_w" in asked("evaluate", "lstm", "hbm-int8", "--batch", "8", "--context", "4")
    file = tmp_path / "arrivals.csv"
    file.write_text("arrival_s,input_toks,output_toks\n0,100,10\n0.001,50,20\n")
    served = json.loads(asked("serve", "llama3-8b", "h100", "--arrivals", str(file), "--json", "--tpot", "1"))
    assert served["values"]["requests"] == 2
    assert served["values"]["attainment"] == 1.0
    assert set(served["percentiles"]) == {"ttft_s", "tpot_s", "latency_s"}
    assert run(["serve", "llama3-8b", "hbm-int8", "--arrivals", str(file)]) == 2
    assert "hbm-int8: a machine file states no size of its DRAM: give --blocks" in capsys.readouterr().err
