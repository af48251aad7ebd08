"""From a suite to episodes: triggers checked, and what a simulator cannot play either refused or listed."""

from collections.abc import Callable
from dataclasses import replace

from carla_rl.errors import UsageError
from carla_rl.roads.network import RoadNetwork
from carla_rl.roads.route import Route
from carla_rl.scenario import places
from carla_rl.scenario.casting import cast
from carla_rl.scenario.model import Episode, Scenario
from carla_rl.scenario.suite import Suite


def make_episodes(
    suite: Suite,
    networks: Callable[[str], RoadNetwork],
    unsupported: Callable[[Episode], tuple[str, ...]],
    *,
    repetitions: int = 1,
    skip_unsupported: bool = False,
) -> tuple[Episode, ...]:
    """The drives of a suite, scenario by scenario, each `repetitions` times with its own seed.

    Args:
        suite: what is to be driven.
        networks: the map of a town, by its name.
        unsupported: the scripted scenario types of an episode that cannot be played, e.g. `Simulator.unsupported`.
        repetitions: drives of each scenario, at least 1.
        skip_unsupported: leave scripted actors out that cannot be played, their names in `Episode.skipped`, instead of refusing.

    Raises:
        UsageError: a route too short to drive, a trigger off its route, a scenario type that cannot be played, or one that has no
            meaning at its place.
    """
    if repetitions < 1:
        raise UsageError(f"repetitions is {repetitions}; write 1 or more")
    first = [
        _playable(_episode(scenario, route, suite), suite, unsupported, skip_unsupported)
        for scenario, route in zip(suite.scenarios, suite.routes, strict=True)
    ]
    for episode in first:
        # what is wrong with a script is found before anything is driven
        cast(networks(episode.scenario.town), episode.route, episode.scenario, episode.skipped)
    return tuple(replace(episode, repetition=number) for episode in first for number in range(repetitions))


def _episode(scenario: Scenario, route: Route, suite: Suite) -> Episode:
    where = f"{suite.source}: scenario {scenario.scenario_id}"
    if route.length < places.LEAST_ROUTE_M:
        raise UsageError(f"{where}: its route is {route.length:.2f} m long; {places.LEAST_ROUTE_M:g} m is the least that can be driven")
    for actor in scenario.actors:
        if not places.on_route(route, actor.x, actor.y, actor.yaw):
            raise UsageError(
                f"{where}: the trigger of {actor.name or actor.type} at ({actor.x:.1f}, {actor.y:.1f}) is not on the route, "
                f"which passes it at {places.distance_to(route, actor.x, actor.y):.1f} m; "
                f"put it within {places.TRIGGER_DISTANCE_M:g} m and "
                "10 degrees of it (map frame: y is the negative of CARLA's)"
            )
    return Episode(scenario, route)


def _playable(episode: Episode, suite: Suite, unsupported: Callable[[Episode], tuple[str, ...]], skip: bool) -> Episode:
    types = unsupported(episode)
    if not types:
        return episode
    scenario = episode.scenario
    if not skip:
        raise UsageError(
            f"{suite.source}: scenario {scenario.scenario_id} has scripted types that this simulator cannot play: "
            f"{', '.join(sorted(set(types)))}; --skip-unsupported drives without them and lists them in the results"
        )
    skipped = tuple(actor.name or actor.type for actor in scenario.actors if actor.type in types)
    kept = tuple(actor for actor in scenario.actors if actor.type not in types)
    return replace(episode, scenario=scenario.model_copy(update={"actors": kept}), skipped=skipped)
