"""CARLA as a simulator: N servers with one ego each, through CARLA's client, that fulfil `carla_rl.interfaces.Simulator`.

The server moves ego and background; routes, criteria, scripts and observations are those of the toy, made from what the server shows (see
`mirror`). A server that is lost is given up and replaced at the env's next reset where it is ours. Knows no policy, score or file.
"""

from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np

from carla_rl.carla_sim.background import MODELS
from carla_rl.carla_sim.env import Env
from carla_rl.carla_sim.messages import GAP_M
from carla_rl.carla_sim.remote import Refused, WorldLost
from carla_rl.errors import RunFailure, UsageError
from carla_rl.interfaces import EnvsLost, SimulatorInfo
from carla_rl.roads.network import RoadNetwork
from carla_rl.scenario.model import Episode
from carla_rl.servers.interface import CarlaServer
from carla_rl.types import TICK_S, Control, Event, Ints, Needs, Observation, Scene, SimulatorKind, Step
from carla_rl.world.compiled import Threads
from carla_rl.world.criteria import COMPLETE_M, COMPLETE_SHARE
from carla_rl.world.fleet import Fleet, checked_pedals
from carla_rl.world.scripted import unplayable

TIMEOUT_S = 60.0
"""A server that does not answer a call for so long is lost, unless another time is given."""
HALF_SIZE_M = (2.446, 0.918)
"""Of the ego until the server has said how large it is: `vehicle.lincoln.mkz_2020`."""
DESCRIPTIONS = {
    SimulatorKind.CARLA: "CARLA server through CARLA's client",
    SimulatorKind.TOY_SERVER: (
        "this project's CARLA-compatible server through CARLA's client: kinematic bicycle, drawn pictures; its numbers are not CARLA's"
    ),
}


class CarlaSimulator:
    """N worlds on N servers.

    Args:
        servers: one an env; the simulator ends those that are ours when it is closed.
        needs: what `observe` shows.
        networks: gives the road network of a town by its name; raises UsageError for one that it does not know.
        timeout_s: a server that does not answer a call for so long is lost.
        restart_every: a server of ours is replaced after so many episodes, since memory leaks are real; 0: never.
        most_memory_gb: and between two episodes once it holds more than this; 0: whatever it holds.

    Raises:
        UsageError: no server, servers of different kinds, a server of another version than the client.
        RunFailure: a server cannot be started or reached.
    """

    def __init__(
        self,
        servers: Sequence[CarlaServer],
        needs: Needs,
        networks: Callable[[str], RoadNetwork],
        *,
        timeout_s: float = TIMEOUT_S,
        restart_every: int = 0,
        most_memory_gb: float = 0.0,
    ) -> None:
        self._fleet = Fleet(len(servers), needs, networks, Threads(1))
        self.num_envs = len(servers)
        self._needs, self._restart_every, self._most_memory_gb = needs, restart_every, most_memory_gb
        self._envs = [Env(number, server, self._fleet, needs, timeout_s) for number, server in enumerate(servers)]
        self._driven = [0] * len(servers)
        """Episodes that each server has begun since it was started."""
        try:
            found = self._connect_all(servers)
        except BaseException:
            self.close()
            raise
        self._maps = set.intersection(*(set(answer["maps"]) for answer in found))
        kinds = {SimulatorKind.TOY_SERVER if answer["made_by"] else SimulatorKind.CARLA for answer in found}
        if len(kinds) > 1:
            self.close()
            raise UsageError("the servers are not of one kind: some are CARLA, some this project's CARLA-compatible server; give one kind")
        kind = kinds.pop()
        self._made_by = made_by = str(found[0]["made_by"])
        self.info = SimulatorInfo(
            kind=kind,
            version=f"{found[0]['version']}{f' ({made_by})' if made_by else ''}",
            description=DESCRIPTIONS[kind],
            parameters={
                "tick_s": TICK_S,
                "traffic": {"law": "CARLA's Traffic Manager", "gap_m": GAP_M, "models": list(MODELS)},
                "lights": "set by plan: green 10 s, yellow 3 s, all red 2 s",
                "scripted": "puppets without physics",
            },
            criteria={"completion_share": COMPLETE_SHARE, "completion_m": COMPLETE_M, "tick_cap": None},
        )

    def unsupported(self, episode: Episode) -> tuple[str, ...]:
        """Scripted scenario types of the episode that cannot be played here. Raises UsageError where a server lacks its map."""
        town = episode.scenario.town
        if town not in self._maps:
            raise UsageError(
                f"scenario {episode.scenario.scenario_id}: town {town} is not on the server, which has {', '.join(sorted(self._maps))}; "
                "install the map there, or leave its routes out with --routes"
            )
        return unplayable(episode)

    def network(self, town: str) -> RoadNetwork:
        """The road network of a town. Raises UsageError for one that is unknown or has no driving lane."""
        return self._fleet.load(town).network

    def reset(self, envs: Ints, episodes: Sequence[Episode]) -> Step:
        """See `carla_rl.interfaces.Simulator.reset`. Lost worlds are brought back here first.

        Raises:
            EnvsLost: worlds died, cannot be brought back, or cannot play their episode; the others have begun theirs.
            UsageError, ValueError: as `Fleet.open`.
        """
        fleet = self._fleet
        towns = {int(env): loaded for loaded, rows in fleet.open(envs, episodes, HALF_SIZE_M) for env in rows}
        chosen = {int(env): episode for env, episode in zip(envs, episodes, strict=True)}
        lost: dict[int, str] = {}
        hopeless: set[int] = set()
        gone: set[int] = set()
        for env in chosen:
            self._renew(env)

        def attempt(number: int, what: Callable[[Env], None]) -> None:
            if number in lost:
                return
            try:
                what(self._envs[number])
            except Refused as refusal:
                lost[number] = str(refusal)
                hopeless.add(number)
            except WorldLost as loss:
                lost[number] = self._envs[number].lose(str(loss), server=loss.server)
                self._driven[number] = 0
            except (RunFailure, UsageError) as failure:
                # what answers there now, if anything, is no server to go on with
                lost[number] = self._envs[number].lose(str(failure), server=False)
                gone.add(number)

        for env in chosen:
            attempt(env, lambda one: one.reconnect(self._made_by))
        for env in chosen:
            attempt(env, lambda one, town=towns[env]: one.ask_town(town, self._made_by))  # type: ignore[misc]
        for env, episode in chosen.items():
            attempt(env, lambda one, town=towns[env], episode=episode: one.start(episode, town))  # type: ignore[misc]
        for env in chosen:
            attempt(env, Env.started)
            self._driven[env] += 1
        return self._told(lost, hopeless, gone)

    def step(self, control: Control) -> Step:
        """See `carla_rl.interfaces.Simulator.step`.

        Raises:
            EnvsLost: see there.
            ValueError: a control is not finite, or the arrays are not (N,).
        """
        pedals = checked_pedals(control, self.num_envs)
        driving = [env for env in self._envs if self._fleet.worlds.world["driving"][env.number] and env.connected]
        lost: dict[int, str] = {}
        hopeless: set[int] = set()
        for phase in (lambda env: env.act(*pedals[:, env.number].tolist()), Env.acted):
            for env in driving:
                if env.number in lost:
                    continue
                try:
                    phase(env)
                except WorldLost as loss:
                    lost[env.number] = env.lose(str(loss), server=loss.server)
                    self._driven[env.number] = 0
                except Refused as refusal:
                    lost[env.number] = env.lose(str(refusal), server=False)
                    hopeless.add(env.number)
        return self._told(lost, hopeless)

    def observe(self) -> Observation:
        """See `carla_rl.interfaces.Simulator.observe`. Envs never reset show zeros."""
        images = {}
        for camera in self._needs.cameras:
            blank = np.zeros((camera.height, camera.width, 3), np.uint8)
            images[camera.name] = np.stack([env.images.get(camera.name, blank) for env in self._envs])
        return self._fleet.observation(images)

    def events(self, env: int) -> tuple[Event, ...]:
        """The infractions of the env's episode so far, in order of time."""
        return self._fleet.events(env)

    def scene(self) -> Scene:
        """All actors and lights of all N envs."""
        return self._fleet.scene()

    def close(self) -> None:
        """Leave all servers in order, and end those that are ours; safe to call twice."""
        with ExitStack() as stack:
            stack.callback(self._fleet.close)
            for env in self._envs:
                stack.callback(env.close)

    def _connect_all(self, servers: Sequence[CarlaServer]) -> list[dict[str, Any]]:
        """Start all servers, then reach each."""
        for server in servers:
            server.begin()
        return [self._connect(env) for env in self._envs]

    def _connect(self, env: Env) -> dict[str, Any]:
        """Reach a server before anything has run on it.

        Raises:
            UsageError: it cannot be used.
            RunFailure: it is gone again.
        """
        try:
            return env.connect()
        except Refused as refusal:
            raise UsageError(str(refusal)) from None
        except WorldLost as loss:
            raise RunFailure(f"server {env.server.name}: {env.lose(str(loss), server=loss.server)}") from None

    def _renew(self, env: int) -> None:
        """Replace a server that has had its share of episodes or of memory."""
        reason = ""
        if self._restart_every and self._driven[env] >= self._restart_every:
            reason = f"it has had {self._driven[env]} episodes"
        elif self._most_memory_gb and (held := self._envs[env].server.memory_gb()) > self._most_memory_gb:
            reason = f"it holds {held:.1f} GB, and {self._most_memory_gb:g} GB are allowed"
        if reason and self._driven[env]:
            self._envs[env].lose(reason, server=True)
            self._driven[env] = 0

    def _told(self, lost: dict[int, str], hopeless: set[int], gone: Collection[int] = ()) -> Step:
        """The state of all envs; raises EnvsLost where worlds were lost."""
        for env in lost:
            self._fleet.worlds.world["driving"][env] = False
        step = self._fleet.step()
        if lost:
            raise EnvsLost(sorted(lost), step, reasons=lost, hopeless=hopeless, gone=gone)
        return step
