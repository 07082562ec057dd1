"""Collectives, pipelines and thresholds: closed forms, simulations, and what was measured or published."""

from __future__ import annotations

import numpy as np
import pytest

from hwsim.errors import ArgumentError, UnknownName
from hwsim.timing.clusters import Link, all_reduce, all_to_all, pipeline_ns, ring_ns
from hwsim.timing.clusters import dropcompute as drop
from hwsim.timing.clusters.collectives import ALL_REDUCES, hierarchical_all_reduce, protocol_all_reduce
from hwsim.timing.clusters.pipelines import bubble, equal_stages, held, order, simulate_pipeline
from hwsim.timing.clusters.rings import simulate_ring

LINK = Link(2e-6, 100e9)

# LLMCompass, ae/figure5/h/test_allreduce.py: all-reduce on four A100, bytes = 8 * 2^row, seconds
MEASURED_US = (
    12.52, 13.92, 12.39, 13.22, 12.35, 12.45, 13.12, 13.02, 15.12, 15.23, 15.99, 17.39, 20.0, 22.93, 28.66, 35.93,
    47.27, 60.75, 66.4, 84.75, 128.8, 195.7, 279.7, 532.3, 961.7, 1883.7, 3659, 7219.2, 14136, 27944, 55384, 110277,
)  # fmt: skip


def test_a_ring_of_equal_links_is_its_closed_form() -> None:
    """8 chips, 8 MB: a part is 1 MB, 10 us and 2 us of latency over each link, 14 times."""
    part = 12_000
    assert ring_ns(np.full(8, part)) == 14 * part
    assert all_reduce("ring", 8, 8e6, LINK) == pytest.approx(14 * part * 1e-9)
    assert all_to_all(8, 8e6, LINK) == pytest.approx(7 * part * 1e-9)


def test_a_slow_link_slows_the_ring_as_if_all_were() -> None:
    links = np.full(8, 1000)
    links[3] = 2500
    assert ring_ns(links) == 14 * 2500


DRAWS = [200, pytest.param(1000, marks=pytest.mark.slow)]


@pytest.mark.parametrize("draws", DRAWS)
def test_ring_and_simpy_agree_on_random_rings(draws: int) -> None:
    random = np.random.default_rng(0)
    for _ in range(draws):
        links = random.integers(0, 1000, int(random.integers(1, 9)))
        steps = None if random.random() < 0.5 else int(random.integers(0, 12))
        assert ring_ns(links, steps) == simulate_ring(links, steps)


@pytest.mark.parametrize("kind", ALL_REDUCES)
def test_limits_of_an_all_reduce(kind: str) -> None:
    """A chip alone sends nothing; without latency no kind is below the bytes that it must move: 2 (n - 1) / n, or 1
    where the switch adds."""
    assert all_reduce(kind, 1, 1e6, LINK) == 0.0
    free = all_reduce(kind, 8, 1e6, Link(0.0, 1e9))
    least = {"switch": 1e-3, "tree": 2e-3, "direct": 7e-3}.get(kind, 1.75e-3)
    assert free == pytest.approx(least)


def test_hierarchy_of_one_level_is_a_ring() -> None:
    assert hierarchical_all_reduce(1, 8, 8e6, LINK, LINK) == all_reduce("ring", 8, 8e6, LINK)
    assert hierarchical_all_reduce(8, 1, 8e6, LINK, LINK) == all_reduce("ring", 8, 8e6, LINK)


def test_nccl_on_four_chips_is_met_within_ten_percent() -> None:
    """32 sizes from 8 B to 17 GB."""
    errors = [abs(np.log(protocol_all_reduce(4, 8 * 2**row) / (one * 1e-6))) for row, one in enumerate(MEASURED_US)]
    assert len(errors) == 32
    assert np.mean(errors) < 0.10
    assert np.mean(errors) == pytest.approx(0.07, abs=0.01)  # as the fit was found


@pytest.mark.parametrize(("stages", "batches", "time"), [(4, 8, 33), (8, 32, 117)])
@pytest.mark.parametrize("schedule", ["1f1b", "gpipe"])
def test_equal_stages_have_the_published_bubble(stages: int, batches: int, time: int, schedule: str) -> None:
    """Forward 1, backward 2: 33 and 117."""
    one, two = np.full(stages, 1), np.full(stages, 2)
    assert pipeline_ns(one, two, batches, schedule=schedule) == time == equal_stages(stages, batches, 1, 2)
    assert time / (3 * batches) - 1 == pytest.approx(bubble(stages, batches))


def test_activations_that_a_stage_holds() -> None:
    """Most forwards ahead of their backwards in the order of each stage."""
    for stages, batches in ((4, 8), (8, 3), (1, 5)):
        for stage in range(stages):
            ahead = np.cumsum(np.where(order("1f1b", stage, stages, batches) >= 0, 1, -1)).max()
            assert ahead == held(stage, stages, batches) == min(batches, stages - stage)


@pytest.mark.parametrize("draws", DRAWS)
def test_pipeline_and_simpy_agree_on_random_schedules(draws: int) -> None:
    random = np.random.default_rng(1)
    for _ in range(draws):
        stages, batches = int(random.integers(1, 6)), int(random.integers(1, 9))
        forward, backward = random.integers(0, 50, stages), random.integers(0, 90, stages)
        passing, schedule = int(random.integers(0, 30)), str(random.choice(["1f1b", "gpipe"]))
        assert pipeline_ns(forward, backward, batches, passing, schedule) == simulate_pipeline(
            forward, backward, batches, passing, schedule
        )


@pytest.mark.parametrize(
    ("workers", "batches", "mean", "spread", "slowest"),
    [(64, 12, 0.45, 0.05, 5.810), (200, 12, 0.45, 0.1, 6.358), (1024, 8, 1.0, 0.2, 9.845)],
)
def test_the_slowest_worker_by_formula_and_by_draws(
    workers: int, batches: int, mean: float, spread: float, slowest: float
) -> None:
    """The formula's values, and 400 drawn steps within 0.5 %."""
    assert drop.expected_slowest(workers, batches, mean, spread) == pytest.approx(slowest, abs=6e-4)
    draws = np.random.default_rng(0).normal(mean, spread, (400, workers, batches))
    assert draws.sum(axis=2).max(axis=1).mean() == pytest.approx(slowest, rel=5e-3)


def test_best_threshold_of_the_published_case() -> None:
    """200 workers, 12 micro-batches of 0.45 ± 0.1 s: 1.118 at 5.15 s. No overhead is stated; 0.2 s gives both."""
    found = drop.best_expected(200, 12, 0.45, 0.1, 0.2)
    assert found.speed_up == pytest.approx(1.118, abs=5e-4)
    assert found.threshold_s == pytest.approx(5.15, abs=0.01)


def test_closed_form_beside_draws() -> None:
    times = np.random.default_rng(3).normal(0.45, 0.1, (200, 200, 12))
    for threshold in (4.8, 5.15, 5.6):
        drawn = drop.simulate(times, threshold, 0.3, "preempt")
        formula = drop.expected(200, 12, 0.45, 0.1, threshold, 0.3)
        assert drawn.kept == pytest.approx(formula.kept, abs=1e-3)
        assert drawn.speed_up == pytest.approx(formula.speed_up, rel=5e-3)


def test_three_meanings_by_hand() -> None:
    """One step, workers of (1, 1, 1) and (1, 2, 1), threshold 2.5, overhead 1; without it 4 + 1.

    At once: 2 and 1 of 3 count, both stop at 2.5. Between: 3 and 2, both at 3. Before: 2 and 1, at 2 and 1.
    """
    times = np.array([[[1.0, 1.0, 1.0], [1.0, 2.0, 1.0]]])
    expected = {"preempt": (3 / 6, 2.5), "finish": (5 / 6, 3.0), "before": (3 / 6, 2.0)}
    for meaning, (kept, compute) in expected.items():
        found = drop.simulate(times, 2.5, 1.0, meaning)  # type: ignore[arg-type]
        assert (found.kept, found.compute_s) == (kept, compute)
        assert found.speed_up == pytest.approx(kept * 5 / (compute + 1))


@pytest.mark.parametrize("meaning", drop.MEANINGS)
def test_no_threshold_is_a_threshold_behind_the_slowest(meaning: drop.Meaning) -> None:
    times = np.random.default_rng(0).lognormal(0, 0.3, (20, 8, 6))
    found = drop.simulate(times, 1e9, 0.5, meaning)
    assert (found.kept, found.speed_up) == (1.0, 1.0)
    assert drop.best(times, 0.5, meaning).speed_up >= 1.0


def test_what_is_refused() -> None:
    with pytest.raises(UnknownName, match="all-reduce must be one of"):
        all_reduce("star", 8, 1.0, LINK)
    with pytest.raises(ArgumentError, match="must be a power of two, got 6"):
        all_reduce("halving", 6, 1.0, LINK)
    with pytest.raises(UnknownName, match="meaning must be one of"):
        drop.simulate(np.ones((1, 1, 1)), 1.0, 0.0, "later")  # type: ignore[arg-type]
    with pytest.raises(UnknownName, match="schedule must be one of"):
        pipeline_ns(np.ones(2), np.ones(2), 2, schedule="zb")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="latency must be at least 0 and bandwidth above 0"):
        Link(0.0, 0.0)
