"""Three real runs of vLLM, request by request, replayed from data sheets and one pair of efficiencies."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hwsim.errors import ArgumentError, DesignError
from hwsim.timing.clusters import Link
from hwsim.timing.roofline import STEPS, Constants, device
from hwsim.timing.serving import Engine, Outcome, Requests, serve
from hwsim.timing.serving.models import engine, step_cost
from hwsim.workloads import load_model

DATA = Path(__file__).parent.parent / "data"
PCIE = Link(10e-6, 16e9)
"""As recorded with the run: 16 GB/s and 20 us for an all-reduce of two cards, which is two steps of a ring."""

RUNS = {
    "vllm_rtx4090_llama31_8b": ("llama3-8b", "rtx4090", 1, 256, 2588),
    "vllm_rtxpro6000_llama31_8b": ("llama3-8b", "rtxpro6000", 1, 128, None),
    "vllm_rtxpro6000x2_qwen3_32b": ("qwen3-32b", "rtxpro6000", 2, 128, None),
}
"""Model, device, chips, sequences of a step, blocks where the run's log says them."""


def _replayed(run: str, constants: Constants = STEPS) -> tuple[Outcome, dict[str, np.ndarray]]:
    model, chip, chips, sequences, blocks = RUNS[run]
    with (DATA / f"{run}.csv").open() as file:
        rows = list(csv.DictReader(file))
    real = {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}
    requests = Requests.from_csv(DATA / f"{run}.csv")
    link = PCIE if chips > 1 else None
    made = engine(load_model(model), device(chip), chips, link, sequences=sequences)
    cost = step_cost(load_model(model), device(chip), chips, link, constants=constants)
    return serve(Engine(cost, 2048, sequences, blocks or made.blocks), requests), real


@pytest.mark.parametrize("run", RUNS)
def test_a_real_run_is_met(run: str) -> None:
    done, real = _replayed(run)
    latency = real["last_token_s"] - real["arrival_s"]
    tpot = (real["last_token_s"] - real["first_token_s"]) / (real["output_toks"] - 1)
    ttft = real["first_token_s"] - real["arrival_s"]
    assert done.makespan_s == pytest.approx(real["last_token_s"].max(), rel=0.05)
    assert done.tpot_s.mean() == pytest.approx(tpot.mean(), rel=0.03)
    assert done.latency_s.mean() == pytest.approx(latency.mean(), rel=0.10)
    assert done.ttft_s.mean() == pytest.approx(ttft.mean(), rel=0.20)


def test_the_small_card_preempts_as_the_real_one() -> None:
    """253 times in the log; the cache is full and never more."""
    done, _ = _replayed("vllm_rtx4090_llama31_8b")
    assert done.preemptions.sum() == pytest.approx(253, rel=0.10)
    assert done.most_blocks == 2588


@pytest.mark.parametrize("run", RUNS)
def test_peaks_without_overheads_are_optimistic(run: str) -> None:
    """By 12 to 23 % where nothing is lost at all; the join of compute and memory is kept here, so it is less."""
    ideal = replace(STEPS, compute=1.0, bandwidth=1.0, sharpness=float("inf"))
    done, real = _replayed(run, ideal)
    assert 0.70 < done.makespan_s / real["last_token_s"].max() < 0.92


def test_numbers_of_a_step_by_hand() -> None:
    """Llama-3-8B in bfloat16 on a device of 1 Tflop/s and 1 TB/s, fully used, two chips of it."""
    ideal = Constants(1.0, 1.0, 0.0, 2.0, (64, 128), 0.0, 1.0)
    chip = replace(device("h100"), flops=1e12, bytes_s=1e12)
    cost = step_cost(load_model("llama3-8b"), chip, 2, Link(1e-6, 1e9), constants=ideal)
    assert cost.compute_token_s == pytest.approx(2 * 6_979_321_856 / 2e12)
    assert cost.compute_logit_s == pytest.approx(2 * 525_336_576 / 2e12)
    assert cost.compute_pair_s == pytest.approx(4 * 32 * 4096 / 2e12)
    assert cost.memory_s == pytest.approx(2 * (6_979_321_856 + 525_336_576) / 2e12)
    assert cost.memory_row_s == pytest.approx(65_536 * 2 / 2e12)
    assert cost.fixed_s == pytest.approx(64 * 2e-6)  # two all-reduces a layer, two hops each
    assert cost.token_s == pytest.approx(64 * 4096 * 2 / 1e9)  # 2 (n - 1) / n = 1 of the bytes


def test_experts_are_read_as_they_are_touched() -> None:
    """Qwen3-30B-A3B at 32 tokens: 87.3 % of the experts' 28,991,029,248 weights, 1 - (1 - 8/128)^32."""
    cost = step_cost(load_model("qwen3-30b-a3b"), replace(device("h100"), bytes_s=1e12))
    assert cost.visited == 8 / 128
    part = 1 - (1 - 8 / 128) ** 32
    assert part == pytest.approx(111.8 / 128, abs=1e-3)
    experts = 48 * 128 * 4_718_592
    read = 3_041_656_832 - 48 * 8 * 4_718_592
    assert cost.memory_s * 0.9e12 == pytest.approx(2 * read)
    assert cost.memory_experts_s * 0.9e12 == pytest.approx(2 * experts)


def test_blocks_of_a_card_and_what_does_not_fit() -> None:
    """90 % of 80 GB less 16.06 GB of weights, by 2.097 MB a block of 16 tokens."""
    made = engine(load_model("llama3-8b"), device("a100-80"))
    assert made.blocks == int((72e9 - 2 * 8_030_261_248) // (16 * 65_536 * 2))
    with pytest.raises(DesignError, match=r"1 x rtx4090: memory must hold 141\.1 GB of weights"):
        engine(load_model("llama3-70b"), device("rtx4090"))
    with pytest.raises(ArgumentError, match="a link where there are several"):
        step_cost(load_model("llama3-70b"), device("h100"), 4)
    with pytest.raises(ArgumentError, match="mistral-7b: attention must have no window to be served, got 4096"):
        step_cost(load_model("mistral-7b"), device("h100"))
