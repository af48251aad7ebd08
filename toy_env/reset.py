"""The start of an episode: from an `Episode` to a world record, and the world around it. Knows nothing of ticks."""

import numpy as np
from numpy.typing import NDArray

from carla_rl.world.compiled import kernel, rule
from carla_rl.world.judging import locate
from carla_rl.world.opening import put_ego
from carla_rl.world.playing import play
from carla_rl.world.rng import mix
from carla_rl.world.state import Record, Worlds
from carla_rl.world.town import Town
from toy_env.spawn import spawn_vehicle, spawn_walker


@rule
def populate(
    town: Town, points: Record, world: Record, actors: Record, scripts: Record, parts: Record, events: Record, counts: Record
) -> None:
    """Fill the world: what scripts show from the start first, then traffic, then walkers, each with its own stream of numbers."""
    for k in range(len(actors)):
        actors[k].kind, actors[k].role = 0, 0
        actors[k].seed, actors[k].draws = mix(world.seed, k), 0
    play(town, points, world, actors, scripts, parts, events, counts)
    for k in range(world.vehicles + world.walkers):
        if k < world.vehicles:
            spawn_vehicle(town, world, actors, k)
        else:
            spawn_walker(town, world, actors, k)
        if actors[k].kind != 0:
            world.placed += 1


@rule
def begin(town: Town, points: NDArray[np.void], marks: NDArray[np.void], worlds: Worlds, env: int) -> None:
    """Begin the episode of an env, whose world record and scripts have been filled in."""
    world = worlds.world[env]
    worlds.counts[env, :] = 0
    put_ego(points, world)
    locate(town, points, marks, world)
    populate(town, points, world, worlds.actors[env], worlds.scripts[env], worlds.parts[env], worlds.events[env], worlds.counts[env])
    world.begun = True


@kernel
def start(town: Town, points: NDArray[np.void], marks: NDArray[np.void], worlds: Worlds, envs: NDArray[np.int64]) -> None:
    """Begin the episodes of the given envs, all in one town."""
    for number in range(len(envs)):
        begin(town, points, marks, worlds, envs[number])
