"""The loop is the project: observation -> plan -> pedals -> world -> observation, batched over envs, the same for every simulator.

Two pure readers live off what it yields: `carla_rl.metrics` and `carla_rl.ppo`. It knows neither of them,
and no policy, controller or simulator by name.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from carla_rl.errors import RunFailure
from carla_rl.geometry import carry
from carla_rl.interfaces import Controller, EnvsLost, Policy, Simulator
from carla_rl.scenario.model import Episode
from carla_rl.types import TICK_S, Bools, Control, Ego, Ending, Event, Observation, Plan, Scene, Step


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision of all N envs and what came of it."""

    observation: Observation
    """What was seen, as far as the simulator's needs go."""
    plan: Plan
    before: Step
    """The state when the plan was made."""
    after: Step
    """The state when the next plan is due, or at the ending."""
    control: Control
    """The pedals and wheel of the decision's first tick."""
    episodes: tuple[Episode | None, ...]
    """What each env was driving; None where an env had nothing to do."""
    active: Bools
    """(N,) whether the env was driving, and its world lived to the decision's end."""
    lost: Bools
    """(N,) whether the env's world died during the decision: its episode is void, and the env drives another."""
    started: Bools
    """(N,) whether this was the first decision of the env's episode."""
    ended: Bools
    """(N,) whether the episode ended during this decision; `after.ending` says why."""
    truncated: Bools
    """(N,) whether it ended by the time limit: the only ending that bootstraps."""
    terminal: Observation | None
    """What the truncated envs see at their ending, a row each in the order of the envs; None where no env was truncated."""
    events: dict[int, tuple[Event, ...]]
    """By env: the infractions of each episode that ended."""
    scene: Scene | None
    """All actors and lights when the plan was made, where the loop was asked to keep scenes."""


@dataclass(frozen=True, slots=True)
class Halfway:
    """Where a loop is between two decisions, apart from what its simulator and its controller remember."""

    episodes: tuple[Episode | None, ...]
    """What each env is driving."""
    started: Bools
    """(N,) envs whose next decision is the first of an episode."""
    step: Step
    """The state of all envs."""


@dataclass(frozen=True, slots=True)
class Loss:
    """An episode that is void because its world died."""

    episode: Episode
    reason: str
    """What is known of why, for people."""
    hopeless: bool
    """Whether the simulator cannot play the episode at all, however often it is tried."""
    begun: bool = True
    """Whether it was the episode's world; else its env is gone for good and the episode waits for another one."""


class ClosedLoop:
    """Simulator and controller joined; plans come from outside, episodes from a source that may be endless.

    An env whose episode ended takes the next one from the source before the next decision; when the source is empty it rests.
    """

    def __init__(
        self,
        simulator: Simulator,
        controller: Controller,
        source: Iterator[Episode],
        *,
        ticks_per_decision: int,
        keep_scenes: bool = False,
        on_lost: Callable[[Loss], None] | None = None,
        halfway: Halfway | None = None,
    ) -> None:
        """Every env begins an episode of the source; with `halfway` it goes on there, simulator and controller having been brought back.

        An env whose world dies goes on with the next episode after `on_lost` was told, which may have put the lost one back into the
        source; without `on_lost` that ends the run. An env that is gone for good rests, and the others take what it would have driven.
        """
        self._simulator = simulator
        self._controller = controller
        self._source = source
        self._ticks = ticks_per_decision
        self._keep_scenes = keep_scenes
        self._on_lost = on_lost
        self._episodes: list[Episode | None] = list(halfway.episodes) if halfway else [None] * simulator.num_envs
        self._gone: Bools = np.zeros(simulator.num_envs, np.bool_)
        """(N,) envs that nothing brings back."""
        self.started: Bools = halfway.started.copy() if halfway else np.zeros(simulator.num_envs, np.bool_)
        """(N,) envs whose next decision is the first of an episode."""
        self._step = halfway.step if halfway else self._refill(None)
        self.observation: Observation | None = self._observe() if self.active.any() else None
        """What all envs see now; None once there is nothing left to drive."""

    @property
    def step(self) -> Step:
        """The state of all envs now: for the harness, never for a policy."""
        return self._step

    @property
    def episodes(self) -> tuple[Episode | None, ...]:
        """What each env is driving."""
        return tuple(self._episodes)

    @property
    def halfway(self) -> Halfway:
        """Where the loop is now: a loop that is given it goes on from here."""
        return Halfway(self.episodes, self.started.copy(), self._step)

    @property
    def active(self) -> Bools:
        """(N,) envs that are driving an episode."""
        return np.array([episode is not None for episode in self._episodes], np.bool_)

    def advance(self, plan: Plan) -> Decision:
        """Drive `plan` for one decision, then give ended envs their next episodes.

        Raises:
            RunFailure: a waypoint, or what the simulator gave or showed an env that is driving, is no finite number; a world was lost and
                nobody was to be told; the episode is named.
        """
        if self.observation is None:
            raise RuntimeError("nothing left to drive: the source of episodes is empty")
        waypoints = self._drivable(plan.waypoints)
        observation, before, active, started = self.observation, self._step, self.active, self.started
        scene = self._simulator.scene() if self._keep_scenes else None
        after, control, lost = self._track(waypoints, before)
        active = active & ~lost
        ended = active & (after.ending != Ending.NONE)
        truncated = active & (after.ending == Ending.ROUTE_TIMEOUT)
        decision = Decision(
            observation=observation,
            plan=plan,
            before=before,
            after=after,
            control=control,
            episodes=self.episodes,
            active=active,
            lost=lost,
            started=started,
            ended=ended,
            truncated=truncated,
            terminal=self._observe().take(np.flatnonzero(truncated)) if truncated.any() else None,
            events={int(env): self._simulator.events(int(env)) for env in np.flatnonzero(ended)},
            scene=scene,
        )
        for env in np.flatnonzero(ended | lost):
            self._episodes[env] = None
        self._step = self._refill(after)
        self.observation = self._observe() if self.active.any() else None
        return decision

    def _drivable(self, waypoints: NDArray[np.float32]) -> NDArray[np.float32]:
        """The waypoints, every one a number: those of envs that rest may be anything and become zeros where they are none."""
        finite: Bools = np.asarray(np.isfinite(waypoints).all(axis=(1, 2)))
        if finite.all():
            return waypoints
        for episode in (self._episodes[env] for env in np.flatnonzero(~finite)):
            if episode is not None:
                raise RunFailure(
                    f"episode {episode.episode_id}: the policy planned a waypoint that is not a finite number; check its checkpoint"
                )
        return np.where(finite[:, None, None], waypoints, np.float32(0.0))

    def _track(self, waypoints: NDArray[np.float32], before: Step) -> tuple[Step, Control, Bools]:
        """Let the controller follow the plan (N, H, 2) for the ticks of one decision, carrying the waypoints along as the ego moves.

        Returns the state afterwards, the pedals of the first tick, and whose worlds were lost on the way (N,).
        """
        then = poses(before.ego)
        step, first = before, None
        lost: Bools = np.zeros(len(waypoints), np.bool_)
        for tick in range(self._ticks):
            carried = carry(waypoints, then, poses(step.ego))
            control = self._controller.control(carried, tick * TICK_S, step.ego)
            try:
                step = self._simulator.step(control)
            except EnvsLost as loss:
                self._lose(loss)
                step = loss.step
                lost[list(loss.envs)] = True
            self._check({item.name: getattr(step.ego, item.name) for item in fields(Ego)}, "gave the ego", lost)
            first = first or control
        assert first is not None
        return step, first, lost

    def _lose(self, loss: EnvsLost) -> None:
        """Tell of each episode that is void; without anybody to tell, that ends the run."""
        if self._on_lost is None:
            reasons = "; ".join(loss.reasons[env] for env in loss.envs if env in loss.reasons)
            raise RunFailure(
                f"the simulator lost the worlds of {self._named(loss.envs)}{f' ({reasons})' if reasons else ''}; what was finished is kept"
            ) from loss
        for env in loss.envs:
            if (episode := self._episodes[env]) is not None:
                reason = loss.reasons.get(env, "its world was lost")
                self._on_lost(Loss(episode, reason, env in loss.hopeless, begun=env not in loss.gone))

    def _named(self, envs: Sequence[int]) -> str:
        """The episodes of the envs, for messages."""
        driving = [self._episodes[env] for env in envs]
        return ", ".join(f"episode {episode.episode_id}" for episode in driving if episode) or "envs at rest"

    def _observe(self) -> Observation:
        """What all envs see now, every number of it finite."""
        seen = self._simulator.observe()
        self._check({item.name: getattr(seen, item.name) for item in fields(seen) if item.name != "images"}, "showed")
        return seen

    def _check(self, values: Mapping[str, NDArray[np.floating] | None], verb: str, lost: Bools | None = None) -> None:
        """Raise RunFailure where an env that is driving, and not lost, has what is no number in a row of `values`, each (N, ...)."""
        for name, rows in values.items():
            if rows is None or np.isfinite(rows).all():
                continue
            for env in np.flatnonzero(~np.isfinite(rows).reshape(len(rows), -1).all(axis=1)):
                if (episode := self._episodes[env]) is not None and (lost is None or not lost[env]):
                    raise RunFailure(f"episode {episode.episode_id}: the simulator {verb} a {name} that is not a finite number")

    def _refill(self, step: Step | None) -> Step:
        """Start the next episodes in the envs that have none, as far as the source goes; where a world cannot be brought up, the one after.

        Raises:
            RunFailure: no env is left.
        """
        self.started = np.zeros(self._simulator.num_envs, np.bool_)
        while True:
            fresh: dict[int, Episode] = {}
            for env in np.flatnonzero(~self._gone & ~self.active):
                if (episode := next(self._source, None)) is None:
                    break
                self._episodes[env], self.started[env] = episode, True
                fresh[int(env)] = episode
            if not fresh and step is not None:
                return step
            if fresh:
                self._controller.reset(self.started)
            try:
                return self._simulator.reset(np.fromiter(fresh, np.int64), list(fresh.values()))
            except EnvsLost as loss:
                self._lose(loss)
                self._gone[list(loss.gone)] = True
                for lost in loss.envs:
                    self._episodes[lost], self.started[lost] = None, False
                if self._gone.all():
                    reasons = "; ".join(loss.reasons[env] for env in loss.envs if env in loss.reasons)
                    raise RunFailure(f"no world is left to drive in: {reasons}") from loss
                step = loss.step


def rollout(loop: ClosedLoop, policy: Policy) -> Iterator[Decision]:
    """Drive until the loop's source of episodes is empty: one `Decision` a plan."""
    while loop.observation is not None:
        policy.reset(loop.started)
        yield loop.advance(policy.plan(loop.observation.restrict(policy.needs)))


def poses(ego: Ego) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """(N, 3): x, y, yaw in the map frame."""
    return np.stack((ego.x, ego.y, ego.yaw), axis=-1)
