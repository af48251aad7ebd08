"""The cycle of the lights, and what ego and traffic see of them."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from small_roads import crossing, episode, pedals, route, started

from carla_rl.types import SIGHT_M, LightState
from carla_rl.world.signals import phase_state


def test_a_phase_is_ten_seconds_green_three_yellow_two_red() -> None:
    states = [phase_state(tick, 0, 2) for tick in range(600)]
    assert states == [LightState.GREEN] * 200 + [LightState.YELLOW] * 60 + [LightState.RED] * 340
    other = [phase_state(tick, 1, 2) for tick in range(600)]
    assert other == [LightState.RED] * 300 + [LightState.GREEN] * 200 + [LightState.YELLOW] * 60 + [LightState.RED] * 40


@given(tick=st.integers(0, 10**6), phases=st.integers(1, 6))
def test_never_two_phases_go_at_once(tick: int, phases: int) -> None:
    states = [phase_state(tick, phase, phases) for phase in range(phases)]
    assert sum(state != LightState.RED for state in states) <= 1
    assert states == [phase_state(tick + 300 * phases, phase, phases) for phase in range(phases)]


def test_the_offset_of_a_junction_comes_from_the_seed() -> None:
    network = crossing(lights=True)
    line = route(network, [0, 1, 2])
    toy = started(network, *(episode(line, seed=seed) for seed in range(20)))
    lights = toy.scene().lights
    assert lights.shape == (20, 2)
    assert len({tuple(row) for row in lights}) > 1
    again = started(network, episode(line, seed=7)).scene().lights
    assert (again[0] == lights[7]).all()


def test_lights_that_begin_together_are_in_their_first_phase_whatever_the_seed() -> None:
    network = crossing(lights=True)
    line = route(network, [0, 1, 2])
    drives = [episode(line, seed=seed) for seed in range(20)]
    toy = started(network, *(replace(one, scenario=one.scenario.model_copy(update={"lights": "together"})) for one in drives))
    first = np.argsort(network.roads.signal_phase)[0]
    shown = []
    for _ in range(301):
        shown.append(toy.scene().lights)
        toy.step(pedals(20))
    green, yellow, red = LightState.GREEN, LightState.YELLOW, LightState.RED
    # the leaderboard has ticked 15 times by then
    for tick, (go, wait) in {0: (green, red), 184: (green, red), 185: (yellow, red), 245: (red, red), 285: (red, green)}.items():
        assert (shown[tick][:, first] == go).all(), tick
        assert (shown[tick][:, 1 - first] == wait).all(), tick


def test_the_light_ahead_is_seen_within_sight_only() -> None:
    network = crossing(lights=True)
    line = route(network, [0, 1, 2])
    toy = started(network, episode(line), episode(line, start_m=60.0), episode(line, start_m=92.0))
    seen = toy.observe()
    assert seen.light is not None
    assert seen.stop_sign is not None
    scene = toy.scene()
    assert seen.light[:, 0].tolist() == [90.0, 30.0, SIGHT_M]
    assert seen.light[:, 1].tolist() == [*scene.lights[:2, 0], LightState.NONE]
    assert seen.stop_sign.tolist() == [[SIGHT_M, 0.0]] * 3


def test_the_seen_state_follows_the_tick() -> None:
    network = crossing(lights=True)
    toy = started(network, episode(route(network, [0, 1, 2])))
    seen = []
    for _ in range(600):
        light = toy.observe().light
        assert light is not None
        seen.append(int(light[0, 1]))
        toy.step(pedals())
    counts = np.bincount(seen, minlength=4)
    assert counts.tolist() == [0, 200, 60, 340]
