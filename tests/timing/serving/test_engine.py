"""The compiled engine beside SimPy, and beside what queueing theory says exactly."""

from __future__ import annotations

import numpy as np
import pytest

from hwsim.errors import ArgumentError
from hwsim.timing.serving import Engine, Requests, StepCost, serve
from hwsim.timing.serving.laws import steady_step, wait_many_servers, wait_one_server
from hwsim.timing.serving.reference import simulate

MS = 1e-3


def _case(seed: int) -> tuple[Engine, Requests]:
    """A random engine, often with too little cache, and bursts that arrive on the ticks where steps end."""
    random = np.random.default_rng(seed)
    count = int(random.integers(1, 30))
    prompt, answer = random.integers(1, 60, count), random.integers(1, 25, count)
    block = int(random.choice([1, 4, 16]))
    least = int(-(-(prompt + answer - 1).max() // block))
    cost = StepCost(
        fixed_s=float(random.choice([0.0, 1e-8, 5e-8])),
        token_s=float(random.choice([0.0, 1e-9])),
        sequence_s=float(random.choice([0.0, 1e-9])),
        compute_token_s=float(random.choice([0.0, 2e-9])),
        compute_pair_s=float(random.choice([0.0, 1e-10])),
        memory_s=1e-8,
        memory_row_s=1e-10,
        sharpness=float(random.choice([1.0, 2.0, np.inf])),
    )
    engine = Engine(
        cost, int(random.integers(1, 80)), int(random.integers(1, 9)), least + int(random.integers(0, 2 * least + 1)),
        block,
    )  # fmt: skip
    return engine, Requests.of(np.sort(random.integers(0, 400, count)) * 1e-9, prompt, answer)


@pytest.mark.parametrize("draws", [200, pytest.param(1000, marks=pytest.mark.slow)])
def test_compiled_and_simpy_agree_to_the_nanosecond(draws: int) -> None:
    preempted = 0
    for seed in range(draws):
        engine, requests = _case(seed)
        fast, slow = serve(engine, requests), simulate(engine, requests)
        for name in ("scheduled_ns", "first_ns", "last_ns", "preemptions"):
            np.testing.assert_array_equal(getattr(fast, name), getattr(slow, name), err_msg=f"{seed} {name}")
        for name in ("steps", "busy_ns", "most_blocks", "sequences", "tokens", "rows", "blocks_left"):
            assert getattr(fast, name) == getattr(slow, name), (seed, name)
        assert fast.blocks_left == 0
        assert fast.most_blocks <= engine.blocks
        preempted += int(fast.preemptions.sum())
    assert preempted > 100  # the cases do reach that path


def test_one_request_by_hand() -> None:
    """Prompt 5 in chunks of 3 and 2, then 2 tokens more: steps of 10 ns and 1 ns a token: 13 + 12 + 11 + 11."""
    engine = Engine(StepCost(fixed_s=1e-8, token_s=1e-9), budget=3, block=4)
    done = serve(engine, Requests.of([0.0], [5], [3]))
    assert (done.first_ns[0], done.last_ns[0], done.steps) == (25, 47, 4)
    assert done.most_blocks == 2  # 5 + 3 - 1 tokens in blocks of 4
    assert done.tpot_s[0] == pytest.approx(11e-9)


def test_who_came_last_gives_way() -> None:
    """4 blocks of 1 token: two prompts of 2 fill the cache; the second gives way and is computed again later."""
    engine = Engine(StepCost(fixed_s=1e-9), blocks=4, block=1)
    done = serve(engine, Requests.of([0.0, 0.0], [2, 2], [3, 3]))
    assert done.preemptions.tolist() == [0, 1]
    # step 1 both prompts, steps 2 and 3 the first alone; step 4 recomputes 3 tokens, step 5 the last
    assert done.last_ns.tolist() == [3, 5]


def test_little_holds_to_rounding() -> None:
    """The integral of the number of requests over time is the sum of their stays, counted by a sweep over events."""
    engine, requests = _case(7)
    done = serve(engine, requests)
    times = np.concatenate([requests.arrival_ns, done.last_ns])
    change = np.concatenate([np.ones(len(requests)), -np.ones(len(requests))])
    order = np.argsort(times, kind="stable")
    inside = np.cumsum(change[order])[:-1]
    assert int((inside * np.diff(times[order])).sum()) == int((done.last_ns - requests.arrival_ns).sum())


@pytest.mark.parametrize(("law", "factor"), [("deterministic", 2.0), ("exponential", 4.0)])
def test_a_single_place_is_a_queue_of_one_server(law: str, factor: float) -> None:
    """M/D/1 and M/M/1 at load 0.8 wait 2 and 4 mean services; a service is the answer's tokens, a step each."""
    count, mean = 400_000, 1000
    random = np.random.default_rng(1)
    answer = (
        np.full(count, mean)
        if law == "deterministic"
        else np.maximum(1, np.rint(random.exponential(mean, count)).astype(np.int64))
    )
    requests = Requests.poisson(count, 0.8 / (mean * MS), np.ones(count, np.int64), answer, seed=3)
    small = Requests(requests.arrival_ns[:40_000], requests.prompt[:40_000], requests.answer[:40_000])
    done = serve(Engine(StepCost(fixed_s=MS), sequences=1), small)
    service = small.answer * MS
    law_s = wait_one_server(0.8 / (mean * MS), mean * MS, mean**2 * MS**2 * (1 if law == "deterministic" else 2))
    assert law_s == pytest.approx(factor * mean * MS)
    # the wait by Lindley's recurrence on the same draws is the exact value of this run
    wait, waits = 0.0, []
    for gap, before in zip(np.diff(small.arrival_ns) * 1e-9, service, strict=False):
        waits.append(wait)
        wait = max(0.0, wait + before - gap)
    waits.append(wait)
    np.testing.assert_allclose(done.wait_s, waits, atol=1e-6)
    assert done.wait_s.mean() == pytest.approx(law_s, rel=0.12)  # 40,000 correlated waits
    assert done.busy_ns == int(small.answer.sum()) * 1_000_000  # work is conserved


def test_several_places_are_as_many_servers() -> None:
    """M/M/c at 2 servers and load 1.6, and at 8 and 6.4: 1.778 and 0.286 mean services, within 8 %."""
    for servers, load, factor in ((2, 1.6, 1.778), (8, 6.4, 0.286)):
        assert wait_many_servers(servers, load, 1.0) == pytest.approx(factor, abs=5e-4)
        count, mean = 60_000, 500
        answer = np.maximum(1, np.rint(np.random.default_rng(5).exponential(mean, count)).astype(np.int64))
        requests = Requests.poisson(count, load / (mean * MS), np.ones(count, np.int64), answer, seed=9)
        done = serve(Engine(StepCost(fixed_s=MS), sequences=servers), requests)
        assert done.wait_s.mean() / (mean * MS) == pytest.approx(factor, rel=0.08)


def test_one_server_law_has_the_published_value_for_log_normal_service() -> None:
    """Load 0.8, sigma 0.859: E[S^2] = exp(sigma^2) and a wait of 4.18 mean services."""
    assert wait_one_server(0.8, 1.0, float(np.exp(0.859**2))) == pytest.approx(4.18, abs=0.01)


def test_continuous_batching_keeps_its_law() -> None:
    """Rate 6, answers of 100, 20 ms and 1 ms a request: batch 30 and step 50 ms. The prefill token of an answer rides
    with the prompt, so that prompt costs are those of the prompt alone."""
    requests = Requests.poisson(6000, 6.0, np.full(1, 1), np.full(1, 100), seed=2)
    done = serve(Engine(StepCost(fixed_s=0.02, sequence_s=0.001), sequences=6000), requests)
    law = steady_step(6.0, 0.0, 100.0, 0.02, 0.001, 0.0)
    assert law == pytest.approx(0.05)
    step_s, idle = done.busy_ns * 1e-9 / done.steps, done.makespan_s - done.busy_ns * 1e-9
    assert idle < 0.01 * done.makespan_s
    # 6,000 arrivals have their rate within 1.3 %, which moves the step by 1.5 times that: 5 % are 2.5 deviations
    assert step_s == pytest.approx(0.05, rel=0.05)
    assert done.mean_batch == pytest.approx(30.0, rel=0.075)
    # with the rate that this run really had, the balance is exact
    rate = len(requests) / (done.busy_ns * 1e-9)
    assert step_s == pytest.approx(steady_step(rate, 0.0, 100.0, 0.02, 0.001, 0.0), rel=1e-6)
    assert done.mean_batch == pytest.approx(rate * 100.0 * step_s, rel=1e-9)


def test_prompts_cost_what_the_law_says() -> None:
    requests = Requests.poisson(3000, 4.0, np.full(1, 50), np.full(1, 40), seed=4)
    done = serve(Engine(StepCost(fixed_s=0.01, sequence_s=0.001, token_s=0.0005), sequences=3000), requests)
    rate = len(requests) / (done.busy_ns * 1e-9)
    # a token costs token_s whether of a prompt or made: 50 of the prompt and 39 that are fed back
    law = steady_step(rate, 50.0 + 39.0, 40.0, 0.01, 0.001, 0.0005)
    assert done.busy_ns * 1e-9 / done.steps == pytest.approx(law, rel=1e-6)


def test_limits_of_the_cost_of_a_step() -> None:
    cost = StepCost(compute_token_s=3e-6, memory_s=4e-6, sharpness=2.0)
    assert cost.step_ns(1, 1, 1, 1, 1) == 5000
    assert StepCost(compute_token_s=3e-6, memory_s=4e-6).step_ns(1, 1, 1, 1, 1) == 4000
    # 8 experts of 1 ms in all, 2 a token: 2/8 at one token, 1 - (6/8)^2 at two
    experts = StepCost(memory_experts_s=8e-3, visited=0.25)
    assert experts.step_ns(1, 1, 1, 1, 1) == 2_000_000
    assert experts.step_ns(2, 2, 2, 2, 2) == 3_500_000


def test_what_cannot_be_served_is_refused() -> None:
    requests = Requests.of([0.0], [33], [1])
    with pytest.raises(ArgumentError, match="the cache must hold the longest request, 3 blocks, got 2"):
        serve(Engine(StepCost(), blocks=2), requests)
    with pytest.raises(ArgumentError, match="prompts and answers must have at least 1 token"):
        Requests.of([0.0], [0], [1])
    with pytest.raises(ArgumentError, match=r"load must be below 1, got 1\.0"):
        steady_step(10.0, 0.0, 100.0, 0.02, 0.001, 0.0)
    with pytest.raises(ArgumentError, match="must be at least 1"):
        Engine(StepCost(), budget=0)


def test_arrivals_from_a_table(tmp_path) -> None:
    file = tmp_path / "arrivals.csv"
    file.write_text("arrival_s,input_toks,output_toks,more\n0.5,3,4,x\n0.25,1,2,y\n")
    requests = Requests.from_csv(file)
    assert requests.arrival_ns.tolist() == [250_000_000, 500_000_000]
    assert requests.prompt.tolist() == [1, 3]
    file.write_text("arrival_s,input_toks\n0,1\n")
    with pytest.raises(ArgumentError, match="columns are missing, got 'output_toks'"):
        Requests.from_csv(file)
    file.write_text("arrival_s,input_toks,output_toks\n0,1,x\n")
    with pytest.raises(ArgumentError, match=r"arrivals\.csv:2: must be numbers"):
        Requests.from_csv(file)


def test_gamma_arrivals_have_their_rate_and_spread() -> None:
    requests = Requests.poisson(200_000, 5.0, np.ones(1, np.int64), np.ones(1, np.int64), seed=0, cv=3.0)
    gaps = np.diff(requests.arrival_ns) * 1e-9
    assert gaps.mean() == pytest.approx(0.2, rel=0.03)
    assert gaps.std() / gaps.mean() == pytest.approx(3.0, rel=0.03)
