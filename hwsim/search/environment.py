"""A design space as a Gymnasium environment, ``hwsim/DesignSpace-v0``: an action is a design, a reward what it adds.

Decides that an action is one place among the values of each knob, so that every design can be reached (ArchGym rounds
an action to three values before it is binned, and so reaches at most three of a knob); that a reward is the
hypervolume that the design adds to what its episode found, between 0 and 1, without a pole at a target and never
inverted; that what is priced goes into the log of a study, so that `hwsim.load_study`, a report and a query read what
an agent did. An episode is `steps` designs; of one design, it is a bandit's.

``gymnasium.make("hwsim.search.environment:hwsim/DesignSpace-v0", space=..., trace=...)`` imports this module, which
registers the name: the one import of the package that does something.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import ArgumentError, MissingExtra
from hwsim.search.explorer import begin
from hwsim.search.study import Study
from hwsim.search.volume import Box, added, box_of

try:
    import gymnasium
except ImportError:
    raise MissingExtra("Gymnasium", install="pip install 'hwsim[gym]'", where="hwsim.search.environment") from None

if TYPE_CHECKING:
    from hwsim.search.points import Point
    from hwsim.search.space import DesignSpace, Value
    from hwsim.trace import Trace

NAME = "hwsim/DesignSpace-v0"
Observation = NDArray[np.float32]
Action = NDArray[np.int64]


class DesignSpaceEnv(gymnasium.Env[Observation, Action]):
    """One search by an agent.

    Actions are ``MultiDiscrete``: for each knob, in the space's order, the place of its value; inactive knobs are
    ignored. Observations are float32 in 0..1: for each objective where the last design lies between best (0) and
    worst (1) of the box, then whether it is feasible, then the hypervolume that the episode has found. ``info`` has
    the design's number, knobs, raw values, violations and the reason why it could not be built.

    Args:
        space: a space, its name or its file.
        trace: the trace of the model, or several.
        out: folder for the study's log; `close` writes its tables. Without it nothing is written.
        steps: designs an episode.
        box: column -> (best, worst) of each objective; without it, of the feasible ones among `probe` designs, which
            are drawn by `seed` and priced first.
        probe: how many.
        seed: of those draws.

    Raises:
        ArgumentError: no step, a box without an objective, or no probed design that is feasible.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012  (Gymnasium's name for a constant)

    def __init__(
        self,
        space: str | Path | DesignSpace,
        trace: Trace | str | Path | Iterable[Trace | str | Path],
        out: str | Path | None = None,
        steps: int = 1,
        box: Mapping[str, tuple[float, float]] | None = None,
        probe: int = 16,
        seed: int = 0,
    ) -> None:
        if steps < 1:
            raise ArgumentError("must be at least 1", got=steps, where=f"{NAME}.steps")
        self.explorer, _, self.manifest = begin(space, trace, 0, seed, out)
        self.manifest |= {"sampler": f"an agent of {NAME}"}
        self.folder = None if out is None else Path(out)
        self.knobs = self.explorer.space.parameters
        self.steps = steps
        self.box = self._probed(probe, seed) if box is None else self._given(box)
        self.action_space = gymnasium.spaces.MultiDiscrete([len(knob.values) for knob in self.knobs])
        size = len(self.explorer.goals) + 2
        self.observation_space = gymnasium.spaces.Box(0.0, 1.0, (size,), np.float32)
        self._found = np.empty((0, size - 2))
        self._volume, self._step = 0.0, 0

    @property
    def study(self) -> Study:
        """What was priced so far, as `explore` returns it."""
        points = sorted(self.explorer.known.values(), key=lambda point: point.number)
        return Study(tuple(points), self.manifest | {"finished": True, "designs": len(points), "trials": len(points)})

    def draw(self, action: Action) -> dict[str, Value]:
        """The design that an action means."""
        return {knob.name: knob.values[int(place)] for knob, place in zip(self.knobs, action, strict=True)}

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode: nothing is found yet."""
        super().reset(seed=seed, options=options)
        self._found, self._volume, self._step = self._found[:0], 0.0, 0
        worst = np.ones(self._found.shape[1], np.float32)
        return np.append(worst, np.zeros(2, np.float32)), {}

    def step(self, action: Action) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Price one design; the same design of an earlier episode is read from the log."""
        point = self._priced(self.draw(action))
        reward, at = 0.0, np.ones(self._found.shape[1])
        if point.reason is None:
            at = self.box.scaled(np.array(self.costs(point)))
        if point.feasible:
            reward = added(self._found, at)
            self._found = np.vstack([self._found, at])
        self._volume += reward
        self._step += 1
        seen = np.append(at, [float(point.feasible), min(1.0, self._volume)]).astype(np.float32)
        info = {
            "number": point.number, "point": dict(point.point), "values": dict(point.values),
            "violations": dict(point.violations), "reason": point.reason, "feasible": point.feasible,
        }  # fmt: skip
        return seen, reward, self._step >= self.steps, False, info

    def close(self) -> None:
        """Write the study's tables, where it has a folder."""
        if self.folder is not None:
            self.study.write(self.folder)

    def costs(self, point: Point) -> list[float]:
        """Objectives of a point, smaller is better."""
        goals = self.explorer.goals
        return [point.values[name] * (-1.0 if goals[name] == "max" else 1.0) for name in goals]

    def _priced(self, draw: dict[str, Value]) -> Point:
        number = len(self.explorer.known)
        (point,) = self.explorer.generation([number], [draw], lambda done, total, note: None, number + 1)
        return point

    def _probed(self, probe: int, seed: int) -> Box:
        rng = np.random.default_rng(seed)
        points = [
            self._priced(self.draw(rng.integers([len(knob.values) for knob in self.knobs]))) for _ in range(probe)
        ]
        costs = [self.costs(point) for point in points if point.feasible]
        if not costs:
            raise ArgumentError(
                "a probed design must be feasible; give a box, or probe more", got=probe, where=f"{NAME}.probe"
            )
        return box_of(np.array(costs))

    def _given(self, box: Mapping[str, tuple[float, float]]) -> Box:
        goals = self.explorer.goals
        if set(box) != set(goals):
            raise ArgumentError(f"must bound each of {', '.join(goals)}", got=sorted(box), where=f"{NAME}.box")
        signed = [np.array(box[name]) * (-1.0 if goals[name] == "max" else 1.0) for name in goals]
        if any(not best < worst for best, worst in signed):
            raise ArgumentError("each best must be better than its worst", got=dict(box), where=f"{NAME}.box")
        return box_of(np.array(signed).T)


if NAME not in gymnasium.registry:
    gymnasium.register(id=NAME, entry_point="hwsim.search.environment:DesignSpaceEnv")
