"""The loop against a simulator to follow by hand: each env counts ticks and ends after as many as its episode's repetition says."""

from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from carla_rl.attempts import Attempts
from carla_rl.errors import RunFailure
from carla_rl.interfaces import EnvsLost
from carla_rl.loop import ClosedLoop, Decision, rollout
from carla_rl.scenario.model import Episode, Scenario
from carla_rl.types import Bools, Control, Ego, Ending, Facts, Infraction, Ints, Needs, Observation, Plan, Scene, Step

SCENARIO = Scenario(scenario_id="line", town="none", positions=((0.0, 0.0, 0.0), (100.0, 0.0, 0.0)))


def episode(ticks: int, limit: bool = False) -> Episode:
    """Lasts `ticks` ticks; with `limit` the end is the time limit."""
    return Episode(SCENARIO, cast(Any, None), repetition=ticks, start_m=1.0 if limit else 0.0)


class Counter:
    """N envs that move 1 m a tick along x whatever the pedals say."""

    def __init__(self, num_envs: int) -> None:
        self.num_envs = num_envs
        self.tick = np.zeros(num_envs, np.int64)
        self.ending = np.zeros(num_envs, np.int8)
        self.driving: list[Episode | None] = [None] * num_envs
        self.controls: list[Control] = []

    def reset(self, envs: Ints, episodes: Sequence[Episode]) -> Step:
        for env, item in zip(envs, episodes, strict=True):
            self.driving[env] = item
            self.tick[env] = 0
            self.ending[env] = Ending.NONE
        return self._state()

    def step(self, control: Control) -> Step:
        self.controls.append(control)
        for env, item in enumerate(self.driving):
            if item is None or self.ending[env]:
                continue
            self.tick[env] += 1
            if self.tick[env] == item.repetition:
                self.ending[env] = Ending.ROUTE_TIMEOUT if item.start_m else Ending.COMPLETED
        return self._state()

    def observe(self) -> Observation:
        return Observation(speed=self.tick.astype(np.float32), yaw_rate=np.zeros(self.num_envs, np.float32))

    def events(self, env: int) -> tuple[Any, ...]:
        return ()

    def scene(self) -> Scene:
        return Scene(np.zeros((self.num_envs, 0, 8), np.float32), np.zeros((self.num_envs, 0), np.int8))

    def _state(self) -> Step:
        zero = np.zeros(self.num_envs)
        ego = Ego(self.tick.astype(np.float64), zero, zero, zero, zero, zero)
        facts = Facts(self.tick.copy(), zero, zero, zero, np.zeros((self.num_envs, len(Infraction)), np.int64), zero, zero, zero, zero)
        return Step(ego, facts, self.ending.copy())


class Straight:
    """Plans a point 10 m ahead."""

    name, needs, horizon = "straight", Needs(), 1

    def __init__(self) -> None:
        self.resets: list[list[bool]] = []

    def reset(self, envs: Bools) -> None:
        self.resets.append(envs.tolist())

    def plan(self, observation: Observation) -> Plan:
        return Plan(np.full((len(observation), 1, 2), (10.0, 0.0), np.float32))


class Watcher:
    """Remembers the waypoints and ages that it was given."""

    name = "watcher"

    def __init__(self) -> None:
        self.seen: list[tuple[float, float]] = []
        self.resets: list[list[bool]] = []

    def reset(self, envs: Bools) -> None:
        self.resets.append(envs.tolist())

    def control(self, waypoints: Any, age_s: float, ego: Ego) -> Control:
        self.seen.append((float(waypoints[0, 0, 0]), age_s))
        zero = np.zeros(len(waypoints))
        return Control(zero, zero, zero)


def drive(num_envs: int, episodes: list[Episode], ticks: int) -> tuple[list[Decision], SimpleNamespace]:
    parts = SimpleNamespace(simulator=Counter(num_envs), controller=Watcher(), policy=Straight())
    loop = ClosedLoop(cast(Any, parts.simulator), parts.controller, iter(episodes), ticks_per_decision=ticks)
    return list(rollout(loop, parts.policy)), parts


def test_waypoints_are_carried_along_between_the_ticks_of_a_decision() -> None:
    _, parts = drive(1, [episode(3)], ticks=3)
    # the ego moves 1 m a tick, so the point 10 m ahead comes nearer while the plan grows older
    assert [waypoint for waypoint, _ in parts.controller.seen] == pytest.approx([10.0, 9.0, 8.0])
    assert [age for _, age in parts.controller.seen] == pytest.approx([0.0, 0.05, 0.1])


def test_every_episode_is_driven_once_and_ended_envs_take_the_next() -> None:
    # two envs, two ticks a decision: episodes of 2, 4 and 2 ticks
    decisions, parts = drive(2, [episode(2), episode(4), episode(2)], ticks=2)
    assert [d.active.tolist() for d in decisions] == [[True, True], [True, True]]
    assert [d.started.tolist() for d in decisions] == [[True, True], [True, False]]
    assert [d.ended.tolist() for d in decisions] == [[True, False], [True, True]]
    assert [e.repetition if e else None for e in decisions[1].episodes] == [2, 4]
    assert parts.policy.resets == [[True, True], [True, False]]
    assert parts.controller.resets == [[True, True], [True, False]]


def test_an_env_without_an_episode_rests() -> None:
    decisions, _ = drive(2, [episode(1), episode(5)], ticks=1)
    assert len(decisions) == 5
    assert decisions[1].active.tolist() == [False, True]
    assert decisions[1].episodes[0] is None


def test_more_envs_than_episodes() -> None:
    decisions, _ = drive(4, [episode(1)], ticks=1)
    assert [d.active.tolist() for d in decisions] == [[True, False, False, False]]


def test_nothing_to_drive_yields_nothing() -> None:
    decisions, _ = drive(2, [], ticks=1)
    assert decisions == []


def test_only_the_time_limit_is_a_truncation_and_it_shows_the_terminal_observation() -> None:
    decisions, _ = drive(2, [episode(3), episode(3, limit=True)], ticks=2)
    first, last = decisions
    assert first.terminal is None
    assert last.ended.tolist() == [True, True]
    assert last.truncated.tolist() == [False, True]
    assert last.terminal is not None
    # one row, of the truncated env, after its third tick: what it saw at the ending and not what a next episode starts with
    assert last.terminal.speed.tolist() == [3.0]


def test_the_state_before_a_decision_is_not_touched_by_it() -> None:
    decisions, _ = drive(1, [episode(4)], ticks=2)
    assert [(d.before.facts.tick[0], d.after.facts.tick[0]) for d in decisions] == [(0, 2), (2, 4)]


def test_advancing_past_the_end_is_refused() -> None:
    loop = ClosedLoop(cast(Any, Counter(1)), cast(Any, Watcher()), iter([]), ticks_per_decision=1)
    with pytest.raises(RuntimeError, match="nothing left to drive"):
        loop.advance(Plan(np.zeros((1, 1, 2), np.float32)))


def test_a_plan_that_is_no_number_is_told_with_its_episode_and_a_resting_env_may_plan_anything() -> None:
    loop = ClosedLoop(cast(Any, Counter(2)), cast(Any, Watcher()), iter([episode(3)]), ticks_per_decision=1)
    plan = np.zeros((2, 1, 2), np.float32)
    plan[1, 0, 0] = np.nan
    assert np.isfinite(loop.advance(Plan(plan)).control.steer).all()
    with pytest.raises(RunFailure, match=r"episode line#3: .* not a finite number"):
        loop.advance(Plan(plan[::-1].copy()))


def test_a_policy_sees_only_what_it_declares() -> None:
    seen = Observation(
        speed=np.ones(1, np.float32),
        yaw_rate=np.zeros(1, np.float32),
        objects=np.ones((1, 8, 7), np.float32),
        light=np.ones((1, 2), np.float32),
        speed_limit=np.ones(1, np.float32),
    )
    nothing = seen.restrict(Needs())
    assert nothing.objects is None
    assert nothing.light is None
    assert nothing.speed_limit is None
    # rows farther away than it asks for
    table = np.zeros((1, 2, 7), np.float32)
    table[0, :, :2] = ((30.0, 39.0), (30.0, 41.0))
    near = replace(seen, objects=table).restrict(Needs(objects=2, objects_m=50.0)).objects
    assert near is not None
    assert near[0, :, 1].tolist() == [39.0, 0.0]
    assert Needs(objects=2, objects_m=50.0).union(Needs(objects=1, objects_m=90.0)) == Needs(objects=2, objects_m=90.0)
    three = replace(seen).restrict(Needs(objects=3, speed_limit=True)).objects
    assert three is not None
    assert three.shape == (1, 3, 7)


def test_a_state_that_is_no_number_is_told_with_its_episode_and_a_resting_env_may_say_anything() -> None:
    simulator = Counter(2)
    loop = ClosedLoop(cast(Any, simulator), cast(Any, Watcher()), iter([episode(9)]), ticks_per_decision=2)
    state = simulator._state

    def broken(env: int) -> Step:
        told = state()
        told.ego.x[env] = np.nan
        return told

    simulator._state = lambda: broken(1)  # type: ignore[method-assign]
    loop.advance(Plan(np.zeros((2, 1, 2), np.float32)))
    simulator._state = lambda: broken(0)  # type: ignore[method-assign]
    with pytest.raises(RunFailure, match=r"episode line#9: the simulator gave the ego a x that is not a finite number"):
        loop.advance(Plan(np.zeros((2, 1, 2), np.float32)))


def test_a_loop_goes_on_where_another_was() -> None:
    parts = [(Counter(2), Watcher()) for _ in range(2)]
    source = [episode(3), episode(5), episode(4), episode(2)]
    loop = ClosedLoop(cast(Any, parts[0][0]), cast(Any, parts[0][1]), iter(source), ticks_per_decision=2)
    policy = Straight()
    for _ in range(2):
        loop.advance(policy.plan(cast(Observation, loop.observation)))
    other = parts[1][0]
    other.driving, other.tick, other.ending = list(parts[0][0].driving), parts[0][0].tick.copy(), parts[0][0].ending.copy()
    again = ClosedLoop(cast(Any, other), cast(Any, parts[1][1]), iter(source[3:]), ticks_per_decision=2, halfway=loop.halfway)
    assert again.started.tolist() == loop.started.tolist() == [True, False]
    assert parts[1][1].resets == [], "an episode that goes on is no new one"
    for one, two in zip(rollout(loop, policy), rollout(again, policy), strict=True):
        assert one.episodes == two.episodes
        assert one.started.tolist() == two.started.tolist()
        assert one.ended.tolist() == two.ended.tolist()
        assert one.before.ego.x.tolist() == two.before.ego.x.tolist()
        assert one.after.ego.x.tolist() == two.after.ego.x.tolist()


class Fragile(Counter):
    """The world of env 1 dies in its third tick, once."""

    def step(self, control: Control) -> Step:
        state = super().step(control)
        if len(self.controls) != 3:
            return state
        self.driving[1] = None
        raise EnvsLost([1], state)


def test_an_env_whose_world_dies_goes_on_with_the_next_episode() -> None:
    simulator, controller, source = Fragile(2), Watcher(), iter([episode(8), episode(6), episode(4)])
    loop = ClosedLoop(cast(Any, simulator), controller, source, ticks_per_decision=2, on_lost=lambda loss: None)
    decisions = list(rollout(loop, cast(Any, Straight())))
    assert [decision.lost.tolist() for decision in decisions] == [[False, False], [False, True], [False, False], [False, False]]
    # the decision in which it died counts for nobody, though its other tick was driven
    assert [decision.active.tolist() for decision in decisions] == [[True, True], [True, False], [True, True], [True, True]]
    assert [int(decision.started[1]) for decision in decisions] == [1, 0, 1, 0]
    # the episode that was lost has no ending and no events; the one after it is driven to its end
    ended = [decision.episodes[env].repetition for decision in decisions for env in decision.events]
    assert ended == [8, 4]


def test_a_lost_world_ends_a_run_that_cannot_do_without_it() -> None:
    loop = ClosedLoop(cast(Any, Fragile(2)), Watcher(), iter([episode(8), episode(6)]), ticks_per_decision=2)
    with pytest.raises(RunFailure, match=r"lost the worlds of episode line#6; what was finished is kept"):
        list(rollout(loop, cast(Any, Straight())))


class Shrinking(Counter):
    """Env 1 cannot be brought back for a second episode, and env 0 not for a third where `last` is set."""

    def __init__(self, num_envs: int, last: bool = False) -> None:
        super().__init__(num_envs)
        self.begun, self.last = [0] * num_envs, last

    def reset(self, envs: Ints, episodes: Sequence[Episode]) -> Step:
        gone = {int(env) for env in envs if self.begun[env] >= (2 if env == 0 and self.last else 1 if env == 1 else 99)}
        for env in envs:
            self.begun[env] += 1
        kept = [row for row, env in enumerate(envs) if int(env) not in gone]
        state = super().reset(envs[kept], [episodes[row] for row in kept])
        for env in gone:
            self.driving[env] = None
        if gone:
            raise EnvsLost(sorted(gone), state, reasons=dict.fromkeys(gone, "no server answers"), gone=gone)
        return state


def test_an_env_that_is_gone_for_good_rests_and_the_others_drive_what_is_left() -> None:
    source = Attempts([episode(4), episode(2), episode(6), episode(8)], 1)
    loop = ClosedLoop(cast(Any, Shrinking(2)), Watcher(), source, ticks_per_decision=2, on_lost=source.lose)
    decisions = list(rollout(loop, cast(Any, Straight())))
    driven = [decision.episodes[env].repetition for decision in decisions for env in decision.events]  # type: ignore[union-attr]
    # the one that env 1 could not begin goes before the rest, in env 0
    assert driven == [2, 4, 6, 8]
    assert all(decision.episodes[1] is None for decision in decisions[1:])
    assert source.quarantined == {}


def test_an_env_at_rest_takes_what_another_could_not_begin() -> None:
    source = Attempts([episode(2), episode(4), episode(6)], 1)
    simulator = Shrinking(3)
    simulator.begun[0] = 98
    loop = ClosedLoop(cast(Any, simulator), Watcher(), source, ticks_per_decision=2, on_lost=source.lose)
    simulator.begun[1], source._waiting = 1, type(source._waiting)([episode(8)])
    decisions = list(rollout(loop, cast(Any, Straight())))
    driven = [decision.episodes[env].repetition for decision in decisions for env in decision.events]  # type: ignore[union-attr]
    assert sorted(driven) == [2, 4, 6, 8]


def test_without_any_env_left_the_run_ends_and_says_why() -> None:
    source = Attempts([episode(2), episode(2), episode(2), episode(2), episode(2)], 1)
    loop = ClosedLoop(cast(Any, Shrinking(2, last=True)), Watcher(), source, ticks_per_decision=2, on_lost=source.lose)
    with pytest.raises(RunFailure, match=r"no world is left to drive in: no server answers"):
        list(rollout(loop, cast(Any, Straight())))
