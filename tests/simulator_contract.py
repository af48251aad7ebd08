"""What every simulator has to keep, as a test class to inherit.

Derive from it, implement `make` and `episodes`, and pytest runs all of it against that simulator:

    class TestMySimulator(SimulatorContract):
        def make(self, num_envs, needs): ...
        def episodes(self): ...

A simulator whose worlds can be kept and brought back inherits `RestorableContract` instead.
"""

import inspect
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from carla_rl.errors import UsageError
from carla_rl.interfaces import Arrays, Restorable, Simulator
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


ELSEWHERE = """
import importlib.util, sys
sys.path[:0] = [{tests!r}]
spec = importlib.util.spec_from_file_location("contract_elsewhere", {file!r})
module = importlib.util.module_from_spec(spec)
sys.modules[spec.name] = module
spec.loader.exec_module(module)
module.{name}().go_on_from_file({folder!r})
"""


class RestorableContract(SimulatorContract):
    """What a `carla_rl.interfaces.Restorable` simulator keeps beside the rest: after `restore` the same controls give the same bits."""

    before = 40
    """Ticks driven before the snapshot."""

    def driven(self) -> tuple[Any, list[Episode], Step]:
        """A simulator of three envs in the middle of their episodes: two began together, one later."""
        simulator = self.make(3, ALL_NEEDS)
        first, second = self.episodes()[:2]
        simulator.reset(np.array([0, 2]), [first, second])
        self.drive(simulator, self.before // 2)
        simulator.reset(np.array([1]), [first])
        return simulator, [first, first, second], self.drive(simulator, self.before // 2)

    def went_on(self, simulator: Any) -> dict[str, np.ndarray]:
        """Everything that is told while driving on and starting one more episode, flat."""
        told = _flat({"seen": simulator.observe(), "scene": simulator.scene()})
        told |= _flat({"on": self.drive(simulator, self.ticks), "then": simulator.observe()})
        told |= {f"events {env}": np.array([str(event) for event in simulator.events(env)]) for env in range(3)}
        simulator.reset(np.array([2]), [self.episodes()[1]])
        return told | _flat({"again": self.drive(simulator, 10), "last": simulator.observe(), "late": simulator.scene()})

    def test_it_can_be_brought_back(self) -> None:
        assert isinstance(self.make(1, Needs()), Restorable)

    def test_a_snapshot_is_plain_numbers_and_changes_nothing_and_is_not_changed(self) -> None:
        one, _, _ = self.driven()
        other, _, _ = self.driven()
        snapshot = one.snapshot()
        kept = {name: array.copy() for name, array in snapshot.items()}
        assert all(array.dtype.kind in "biuf" for array in snapshot.values())
        _alike(self.went_on(one), self.went_on(other))
        _alike(kept, snapshot)

    def test_the_same_bits_follow_in_a_new_simulator_and_in_one_that_drove_something_else(self) -> None:
        simulator, episodes, step = self.driven()
        snapshot = simulator.snapshot()
        used = self.make(3, ALL_NEEDS)
        self.start(used, [self.episodes()[1], self.episodes()[0], self.episodes()[0]])
        self.drive(used, 7)
        expected = self.went_on(simulator)
        for other in (self.make(3, ALL_NEEDS), used):
            same(step, other.restore(episodes, snapshot))
            _alike(expected, self.went_on(other))

    def test_the_same_bits_follow_in_another_process(self, tmp_path: Path) -> None:
        simulator, _, step = self.driven()
        np.savez(tmp_path / "snapshot.npz", **simulator.snapshot())
        source = {"tests": str(Path(__file__).parent), "file": inspect.getfile(type(self)), "name": type(self).__name__}
        subprocess.run([sys.executable, "-c", ELSEWHERE.format(folder=str(tmp_path), **source)], check=True)
        expected = _flat({"step": step}) | self.went_on(simulator)
        with np.load(tmp_path / "went_on.npz") as found:
            _alike(expected, dict(found))

    def go_on_from_file(self, folder: str) -> None:
        """The other process's half."""
        first, second = self.episodes()[:2]
        simulator: Any = self.make(3, ALL_NEEDS)
        with np.load(Path(folder) / "snapshot.npz") as snapshot:
            step = simulator.restore([first, first, second], dict(snapshot))
        np.savez(Path(folder) / "went_on.npz", **_flat({"step": step}), **self.went_on(simulator))

    def test_an_env_that_was_never_reset_and_one_that_ended_stay_so(self) -> None:
        simulator: Any = self.make(2, ALL_NEEDS)
        episode = self.episodes()[0]
        rules = episode.scenario.rules.model_copy(update={"time_limit_s": 0.5})
        short = Episode(episode.scenario.model_copy(update={"rules": rules}), episode.route)
        simulator.reset(np.array([1]), [short])
        step = self.drive(simulator, 20)
        assert step.ending.tolist() == [Ending.NONE, Ending.ROUTE_TIMEOUT]
        other: Any = self.make(2, ALL_NEEDS)
        same(step, other.restore([None, short], simulator.snapshot()))
        same(step, self.drive(other, 3))
        same(simulator.observe(), other.observe())

    def test_a_snapshot_of_other_worlds_is_refused_and_nothing_changed(self) -> None:
        simulator, episodes, step = self.driven()
        snapshot = simulator.snapshot()
        other: Any = self.make(2, ALL_NEEDS)
        with pytest.raises(UsageError, match="envs"):
            other.restore(episodes[:2], snapshot)
        broken: Arrays = dict(list(snapshot.items())[1:])
        with pytest.raises(UsageError):
            simulator.restore(episodes, broken)
        same(step, simulator.restore(episodes, snapshot))


def _flat(values: dict[str, Any]) -> dict[str, np.ndarray]:
    """Arrays by dotted names, of values of the contracts."""
    found: dict[str, np.ndarray] = {}
    for name, value in values.items():
        if isinstance(value, np.ndarray):
            found[name] = value
        elif hasattr(value, "__dataclass_fields__"):
            found |= _flat({f"{name}.{item.name}": getattr(value, item.name) for item in fields(value)})
    return found


def _alike(one: Arrays, other: Arrays) -> None:
    assert one.keys() == other.keys()
    for name, array in one.items():
        assert array.dtype == other[name].dtype, name
        np.testing.assert_array_equal(array, other[name], err_msg=name)
