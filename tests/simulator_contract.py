"""What every simulator has to keep, as a test class to inherit.

Derive from it, implement `make` and `episodes`, and pytest runs all of it against that simulator:

    class TestMySimulator(SimulatorContract):
        def make(self, num_envs, needs): ...
        def episodes(self): ...
"""

from collections.abc import Sequence
from dataclasses import fields

import numpy as np
import pytest

from carla_rl.interfaces import Simulator
from carla_rl.scenario.model import Episode
from carla_rl.types import ROUTE_POINTS, Control, Ending, Event, Infraction, Needs, ObjectColumn, ObjectKind, Observation, Step

ALL_NEEDS = Needs(route=True, objects=6, lights=True, speed_limit=True)


def same(a: object, b: object, envs: Sequence[int] | None = None) -> None:
    """Assert that two values of the contracts hold the same bits, in the given rows of the first."""
    for item in fields(a):  # type: ignore[arg-type]
        one, other = getattr(a, item.name), getattr(b, item.name)
        if isinstance(one, np.ndarray):
            assert one.dtype == other.dtype, item.name
            np.testing.assert_array_equal(one if envs is None else one[list(envs)], other, err_msg=item.name)
        elif hasattr(one, "__dataclass_fields__"):
            same(one, other, envs)


class SimulatorContract:
    """Inherit and implement the two hooks. A slow simulator may lower the number of ticks."""

    num_envs = 2
    ticks = 60

    def make(self, num_envs: int, needs: Needs) -> Simulator:
        """A new simulator."""
        raise NotImplementedError

    def episodes(self) -> Sequence[Episode]:
        """At least two episodes that differ, each of more than `ticks` ticks at full brake and full throttle."""
        raise NotImplementedError

    def pedals(self, num_envs: int, tick: int) -> Control:
        """Gentle and the same in every env: away, with a little steering to and fro."""
        steer = 0.05 * float(np.sin(tick / 10.0))
        return Control(np.full(num_envs, 0.4), np.full(num_envs, steer), np.zeros(num_envs))

    def drive(self, simulator: Simulator, ticks: int) -> Step:
        for tick in range(ticks):
            step = simulator.step(self.pedals(simulator.num_envs, tick))
        return step

    @pytest.fixture
    def simulator(self):
        made = self.make(self.num_envs, ALL_NEEDS)
        yield made
        made.close()

    def start(self, simulator: Simulator, episodes: Sequence[Episode]) -> Step:
        return simulator.reset(np.arange(len(episodes)), episodes)

    def test_it_says_what_made_the_numbers(self, simulator: Simulator) -> None:
        assert simulator.num_envs == self.num_envs
        assert simulator.info.version
        assert simulator.info.description

    def test_reset_puts_the_ego_at_rest_on_its_route(self, simulator: Simulator) -> None:
        episodes = self.episodes()[: self.num_envs]
        step = self.start(simulator, episodes)
        for env, episode in enumerate(episodes):
            at = int(np.searchsorted(episode.route.s, episode.start_m))
            assert np.hypot(step.ego.x[env] - episode.route.x[at], step.ego.y[env] - episode.route.y[at]) < 2.0
            assert step.ego.speed[env] == pytest.approx(0.0, abs=0.01)
            assert step.facts.tick[env] == 0
            assert step.facts.route_completion[env] == 0.0
            assert step.facts.infractions[env].sum() == 0
            assert step.facts.route_length[env] == pytest.approx(episode.route.length - episode.start_m, abs=1.0)
            assert step.ending[env] == Ending.NONE
            assert simulator.events(env) == ()

    def test_a_step_has_the_shapes_and_types_of_the_contract(self, simulator: Simulator) -> None:
        self.start(simulator, self.episodes()[: self.num_envs])
        step = self.drive(simulator, 3)
        n = self.num_envs
        for item in fields(step.ego):
            value = getattr(step.ego, item.name)
            assert value.shape == (n,)
            assert value.dtype == np.float64, item.name
        assert step.facts.infractions.shape == (n, len(Infraction))
        assert step.facts.tick.tolist() == [3] * n
        assert step.ending.dtype == np.int8

    def test_an_observation_has_the_shapes_and_types_of_the_contract(self, simulator: Simulator) -> None:
        self.start(simulator, self.episodes()[: self.num_envs])
        self.drive(simulator, 5)
        seen, n = simulator.observe(), self.num_envs
        shapes = {
            "speed": (n,),
            "yaw_rate": (n,),
            "route": (n, ROUTE_POINTS, 2),
            "route_left": (n,),
            "objects": (n, 6, len(ObjectColumn)),
            "light": (n, 2),
            "stop_sign": (n, 2),
            "speed_limit": (n,),
        }
        for name, shape in shapes.items():
            value = getattr(seen, name)
            assert value.shape == shape, name
            assert value.dtype == np.float32, name
            assert np.isfinite(value).all(), name

    def test_objects_are_sorted_and_near_and_unused_rows_are_zero(self, simulator: Simulator) -> None:
        self.start(simulator, self.episodes()[: self.num_envs])
        objects = simulator.observe().objects
        assert objects is not None
        for table in objects:
            used = table[:, ObjectColumn.KIND] != ObjectKind.NONE
            assert not table[~used].any()
            assert not np.diff(used.astype(int)).max(initial=0) > 0, "unused rows come last"
            away = np.hypot(table[used, ObjectColumn.X], table[used, ObjectColumn.Y])
            assert (np.diff(away) >= -1e-4).all()
            assert (away <= 60.01).all()

    def test_the_route_ahead_is_two_metres_apart_and_begins_beside_the_ego(self, simulator: Simulator) -> None:
        self.start(simulator, self.episodes()[: self.num_envs])
        seen = simulator.observe()
        assert seen.route is not None
        hop = np.hypot(*np.moveaxis(np.diff(seen.route, axis=1), -1, 0))
        assert (hop <= 2.01).all()
        assert np.median(hop) == pytest.approx(2.0, abs=0.05)
        assert np.abs(seen.route[:, 0]).max() < 2.0

    def test_what_was_not_declared_is_not_there(self) -> None:
        simulator = self.make(1, Needs())
        self.start(simulator, self.episodes()[:1])
        seen = simulator.observe()
        assert [seen.route, seen.objects, seen.light, seen.stop_sign, seen.speed_limit] == [None] * 5
        assert len(seen.speed) == 1
        assert not seen.images
        simulator.close()

    def test_observing_changes_nothing(self, simulator: Simulator) -> None:
        self.start(simulator, self.episodes()[: self.num_envs])
        self.drive(simulator, 5)
        first, second = simulator.observe(), simulator.observe()
        same(first, second)
        same(simulator.scene(), simulator.scene())

    def test_what_was_returned_does_not_change_later(self, simulator: Simulator) -> None:
        self.start(simulator, self.episodes()[: self.num_envs])
        step, seen, scene = self.drive(simulator, 2), simulator.observe(), simulator.scene()
        kept = step.ego.x.copy(), seen.speed.copy(), scene.actors.copy()
        self.drive(simulator, 10)
        assert np.array_equal(kept[0], step.ego.x)
        assert np.array_equal(kept[1], seen.speed)
        assert np.array_equal(kept[2], scene.actors)

    def test_completion_and_counts_never_fall(self, simulator: Simulator) -> None:
        before = self.start(simulator, self.episodes()[: self.num_envs]).facts
        for tick in range(self.ticks):
            facts = simulator.step(self.pedals(self.num_envs, tick)).facts
            assert (facts.route_completion >= before.route_completion).all()
            assert (facts.route_completion <= 1.0).all()
            assert (facts.infractions >= before.infractions).all()
            assert (facts.driven >= before.driven).all()
            before = facts

    def test_events_are_what_was_counted(self, simulator: Simulator) -> None:
        self.start(simulator, self.episodes()[: self.num_envs])
        step = self.drive(simulator, self.ticks)
        for env in range(self.num_envs):
            events = simulator.events(env)
            assert all(isinstance(event, Event) for event in events)
            assert [event.tick for event in events] == sorted(event.tick for event in events)
            assert np.bincount([e.kind for e in events], minlength=len(Infraction)).tolist() == step.facts.infractions[env].tolist()

    def test_resetting_one_env_leaves_the_others_alone(self, simulator: Simulator) -> None:
        first, second = self.episodes()[:2]
        self.start(simulator, [first, second])
        before = self.drive(simulator, 10)
        after = simulator.reset(np.array([1]), [first])
        assert after.facts.tick.tolist() == [10, 0]
        assert after.ego.x[0] == before.ego.x[0]
        assert after.ego.yaw[0] == before.ego.yaw[0]

    def test_an_episode_is_the_same_in_any_env_beside_any_others(self) -> None:
        first, second = self.episodes()[:2]
        pair = self.make(2, ALL_NEEDS)
        self.start(pair, [second, first])
        steps = self.drive(pair, self.ticks)
        seen = pair.observe()
        pair.close()
        alone = self.make(1, ALL_NEEDS)
        self.start(alone, [first])
        step = self.drive(alone, self.ticks)
        same(steps, step, [1])
        same(seen.take(np.array([1])), alone.observe())
        alone.close()

    def test_the_same_episode_again_is_the_same(self, simulator: Simulator) -> None:
        episodes = self.episodes()[: self.num_envs]
        results: list[tuple[Step, Observation]] = []
        for _ in range(2):
            self.start(simulator, episodes)
            results.append((self.drive(simulator, self.ticks), simulator.observe()))
        same(results[0][0], results[1][0])
        same(results[0][1], results[1][1])

    def test_closing_twice_is_safe(self) -> None:
        simulator = self.make(1, Needs())
        simulator.close()
        simulator.close()
