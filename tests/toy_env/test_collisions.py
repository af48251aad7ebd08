"""What a touch does and what counts, worked out by hand."""

import numpy as np
import pytest
from small_roads import episode, pedals, put_ego, put_vehicle, route, started, straight

from carla_rl.geometry import boxes_overlap
from carla_rl.scenario.model import Traffic
from carla_rl.types import Infraction, ObjectKind, Step
from toy_env.simulator import ToySimulator

STRAIGHT = straight()
LINE = route(STRAIGHT, [0])
ONE = Traffic(vehicles=1)


def with_parked(s: float, speed: float, ego_x: float = 50.0) -> ToySimulator:
    """An ego that rolls towards a car (half length 2.5 m) that stands at s on its lane."""
    toy = started(STRAIGHT, episode(LINE, traffic=ONE))
    put_ego(toy, ego_x, speed=speed)
    row = put_vehicle(toy, 0, lane=0, s=s)
    row["brake_until"] = 10**6
    return toy


def vehicle_collisions(step: Step) -> int:
    return int(step.facts.infractions[0, Infraction.COLLISION_VEHICLE])


def test_the_ego_stops_dead_before_what_it_hits_and_the_impact_is_recorded() -> None:
    toy = with_parked(60.0, speed=8.0)
    for _ in range(40):
        step = toy.step(pedals())
    # bumpers meet when the centres are 2.45 + 2.5 m apart; the last tick's way (0.4 m) is taken back
    assert 60.0 - 4.95 - 0.4 < step.ego.x[0] <= 60.0 - 4.95
    assert step.ego.speed[0] == 0.0
    (event,) = toy.events(0)
    assert (event.kind, event.other) == (Infraction.COLLISION_VEHICLE, 0)
    # 5 m at 8 m/s against the drag: 8 exp(-0.06 x 0.65 s)
    assert event.value == pytest.approx(7.69, abs=0.02)
    assert 55.05 <= event.x < 55.45


def test_pushing_on_is_the_same_collision() -> None:
    toy = with_parked(60.0, speed=8.0)
    for _ in range(95):
        step = toy.step(pedals(throttle=1.0))
    assert vehicle_collisions(step) == 1
    actor = toy._worlds.actors[0, 0]
    other = actor["x"], actor["y"], actor["yaw"], actor["half_length"], actor["half_width"]
    assert not boxes_overlap(step.ego.x[0], step.ego.y[0], step.ego.yaw[0], 2.45, 1.03, *other)


def test_what_was_hit_is_taken_away_after_five_seconds() -> None:
    toy = with_parked(60.0, speed=8.0)
    hit = None
    for tick in range(200):
        toy.step(pedals())
        if hit is None and toy.events(0):
            hit = tick
        if hit is not None and abs(toy._worlds.actors["x"][0, 0] - 60.0) > 20.0:
            break
    assert hit is not None
    assert tick - hit == pytest.approx(100, abs=RETRY)
    for _ in range(20):
        step = toy.step(pedals(throttle=1.0))
    assert step.ego.speed[0] > 3.0


RETRY = 21


def test_a_touch_while_the_ego_stands_does_not_count() -> None:
    toy = started(STRAIGHT, episode(LINE, traffic=ONE))
    put_ego(toy, 50.0)
    row = put_vehicle(toy, 0, lane=0, s=44.9, speed=8.0)
    row["acceleration"] = 0.0
    for _ in range(5):
        row["brake_until"] = 0
        step = toy.step(pedals(brake=1.0))
    assert vehicle_collisions(step) == 0
    assert step.ego.x[0] == 50.0
    assert toy._worlds.actors["x"][0, 0] <= 50.0 - 4.95


def test_the_same_actor_counts_again_after_five_seconds_and_five_metres() -> None:
    toy = with_parked(60.0, speed=8.0)
    for _ in range(20):
        step = toy.step(pedals())
    assert vehicle_collisions(step) == 1
    counts = []
    for metres, seconds in ((4.0, 6.0), (6.0, 4.0), (6.0, 6.0)):
        again = with_parked(60.0, speed=8.0)
        for _ in range(20):
            again.step(pedals())
        first = again.events(0)[0]
        again._worlds.world["tick"] = first.tick + int(seconds * 20) - 10
        x = first.x + metres
        put_ego(again, x - 2.5, speed=8.0)
        row = put_vehicle(again, 0, lane=0, s=x + 4.95)
        row["brake_until"] = 10**6
        for _ in range(12):
            step = again.step(pedals())
        counts.append(vehicle_collisions(step))
    assert counts == [1, 1, 2]


@pytest.mark.parametrize("places", [((60.0, 0.9), (60.0, -0.9)), ((60.0, 0.0), (63.0, 0.0))], ids=["abreast", "one behind the other"])
def test_whoever_is_hit_within_five_metres_of_a_collision_belongs_to_it(places: tuple[tuple[float, float], ...]) -> None:
    """As in CollisionTest, which remembers one place, not one for each actor: two motorbikes, 2.2 m long and 0.8 m wide."""
    toy = started(STRAIGHT, episode(LINE, traffic=Traffic(vehicles=2)))
    put_ego(toy, 50.0, speed=8.0)
    for slot, (s, aside) in enumerate(places):
        row = put_vehicle(toy, slot, lane=0, s=s, half_length=1.1)
        row["half_width"], row["y"], row["lateral"], row["brake_until"] = 0.4, aside, aside, 10**6
    for _ in range(400):
        step = toy.step(pedals(throttle=0.5))
        if step.ego.x[0] > 60.0:
            break
    assert step.ego.x[0] > 60.0
    assert vehicle_collisions(step) == 1


def test_a_place_that_the_ego_has_left_counts_again() -> None:
    toy = started(STRAIGHT, episode(LINE, traffic=Traffic(vehicles=2)))
    counts = []
    for slot, x in ((0, 50.0), (1, 60.0), (0, 50.0), (0, 50.0)):
        for other in range(2):
            put_vehicle(toy, other, lane=1, s=10.0)
        put_ego(toy, x, speed=8.0)
        put_vehicle(toy, slot, lane=0, s=x + 5.2)["brake_until"] = 10**6
        for _ in range(4):
            step = toy.step(pedals())
        counts.append(vehicle_collisions(step))
    # somewhere else and somebody else; back again: the last one was somebody else; on the spot: the same
    assert counts == [1, 2, 3, 3]


@pytest.mark.parametrize(
    ("kind", "infraction"),
    [
        (ObjectKind.PEDESTRIAN, Infraction.COLLISION_PEDESTRIAN),
        (ObjectKind.STATIC, Infraction.COLLISION_STATIC),
        (ObjectKind.BICYCLE, Infraction.COLLISION_VEHICLE),
    ],
)
def test_the_class_of_a_collision_is_the_kind_of_what_was_hit(kind: ObjectKind, infraction: Infraction) -> None:
    toy = with_parked(60.0, speed=8.0)
    toy._worlds.actors["kind"][0, 0] = kind
    for _ in range(30):
        step = toy.step(pedals())
    assert np.flatnonzero(step.facts.infractions[0]).tolist() == [infraction]


def test_a_side_touch_does_not_hold_the_ego_for_ever() -> None:
    toy = started(STRAIGHT, episode(LINE, traffic=ONE))
    put_ego(toy, 50.0, y=0.0, yaw=0.2, speed=5.0)
    row = put_vehicle(toy, 0, lane=1, s=600.0 - 58.0)
    row["brake_until"] = 10**6
    xs = [float(toy.step(pedals(throttle=0.5, steer=-0.3)).ego.x[0]) for _ in range(200)]
    assert max(xs) > 62.0
