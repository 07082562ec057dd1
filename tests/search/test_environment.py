"""The environment is one that Gymnasium accepts, reaches every design, and leaves a study behind."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import hwsim
from hwsim.errors import ArgumentError
from hwsim.search import load_space
from hwsim.search.volume import hypervolume

from .test_explorer import space  # noqa: F401 - a fixture

gymnasium = pytest.importorskip("gymnasium")
NAME = "hwsim.search.environment:hwsim/DesignSpace-v0"


@pytest.fixture
def made(space, tiny_trace, tmp_path):  # noqa: F811
    made = gymnasium.make(NAME, space=space, trace=tiny_trace, out=tmp_path / "run", steps=4)
    yield made
    made.close()


def test_gymnasium_accepts_it(space, tiny_trace):  # noqa: F811
    from gymnasium.utils.env_checker import check_env

    check_env(gymnasium.make(NAME, space=space, trace=tiny_trace).unwrapped, skip_render_check=True)


def test_every_value_of_every_knob_is_reached(made):
    env = made.unwrapped
    assert made.action_space.nvec.tolist() == [3, 4, 3, 3]
    draws = [env.draw(np.array(action)) for action in itertools.product(*map(range, made.action_space.nvec))]
    assert len(draws) == env.explorer.space.size == 108
    assert {tuple(draw.items()) for draw in draws} == {tuple(draw.items()) for draw in env.explorer.space.draws()}


def test_rewards_add_up_to_the_hypervolume_of_an_episode(made):
    made.reset(seed=0)
    found, total, done = [], 0.0, False
    actions = iter([(2, 1, 0, 0), (0, 3, 1, 1), (2, 0, 2, 1), (2, 3, 0, 2)])  # the last has no weight memory
    while not done:
        seen, reward, done, _, info = made.step(np.array(next(actions)))
        assert seen in made.observation_space
        total += reward
        if info["feasible"]:
            found.append(seen[:-2].astype(np.float64))
        else:
            assert (reward, seen[-2]) == (0.0, 0.0)
    assert next(actions, None) is None
    assert info["reason"] is not None
    assert total == pytest.approx(hypervolume(np.array(found)), rel=1e-5)  # observations are float32
    assert total > 0


def test_what_an_agent_did_is_a_study(space, tiny_trace, tmp_path):  # noqa: F811
    made = gymnasium.make(NAME, space=space, trace=tiny_trace, out=tmp_path / "run")
    made.reset(seed=0)
    _, _, terminated, _, info = made.step(np.array([2, 1, 0, 1]))
    assert terminated
    made.close()
    study = hwsim.load_study(tmp_path / "run")
    assert study.point(info["number"]).values == info["values"]
    assert dict(study.point(info["number"]).point) == {"bits": 32, "rows": 4, "dataflow": "ws", "weight_kib": 128}
    assert study.query("energy").best.feasible
    assert (tmp_path / "run" / "pareto.csv").is_file()
    explored = hwsim.explore(load_space(space), tiny_trace, trials=4, out=tmp_path / "other")
    assert set(study.manifest) - {"certificate"} == set(explored.manifest) - {"certificate"}


def test_a_box_of_one_s_own_and_mistakes(space, tiny_trace):  # noqa: F811
    box = {"sqnr_db": (60.0, 10.0), "energy_uj": (0.01, 10.0), "area_mm2": (0.1, 3.0), "latency_ms": (1e-3, 1.0)}
    made = gymnasium.make(NAME, space=space, trace=tiny_trace, box=box)
    assert made.unwrapped.explorer.known == {}
    made.reset()
    seen, *_, info = made.step(np.array([2, 1, 0, 1]))
    assert seen[0] == pytest.approx(np.clip((60 - info["values"]["sqnr_db"]) / 50, 0, 1), abs=1e-6)
    assert seen[1] == pytest.approx(np.log(info["values"]["energy_uj"] / 0.01) / np.log(1000), abs=1e-6)
    for wrong, told in (
        ({"steps": 0}, r"hwsim/DesignSpace-v0\.steps: must be at least 1, got 0"),
        ({"box": {"energy_uj": (1, 2)}}, r"box: must bound each of sqnr_db, energy_uj, area_mm2, latency_ms, got"),
        ({"box": box | {"energy_uj": (2.0, 1.0)}}, r"box: each best must be better than its worst"),
        ({"probe": 0}, r"probe: a probed design must be feasible; give a box, or probe more, got 0"),
    ):
        with pytest.raises(ArgumentError, match=told):
            gymnasium.make(NAME, space=space, trace=tiny_trace, **wrong)
