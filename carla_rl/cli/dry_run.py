"""`evaluate --dry-run`: what would be driven and on what, checked as far as that goes without driving. Starts no server."""

import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from carla_rl.build import Networks, fitting_controller, make_expert, make_policy, map_folders
from carla_rl.cli.carla import CARLA, DEFAULT_PORT, CarlaOptions, make_carla, map_files
from carla_rl.cli.console import print_json, stdout
from carla_rl.cli.evaluation import EvaluationRequest, StoppedEvaluation
from carla_rl.cli.setup import kept_camera, policy_record, suite_record
from carla_rl.interfaces import Policy, SimulatorInfo
from carla_rl.scenario.episodes import make_episodes
from carla_rl.scenario.model import Episode
from carla_rl.scenario.suite import load_suite
from carla_rl.types import CameraSpec, Needs
from carla_rl.world.scripted import unplayable


def rehearse(request: EvaluationRequest, carla: CarlaOptions, num_envs: int, *, resumed: StoppedEvaluation | None, json: bool) -> None:
    """Check the agent, the maps, the routes and the scripts, and the servers that run; say what would happen.

    Raises:
        UsageError: whatever an evaluation would be refused for, but for what only a server that is started would tell.
        RunFailure: a server that should run does not answer.
    """
    agent = request.agent
    policy = make_policy(agent.policy, agent.checkpoint, agent.sft)
    kept = kept_camera(request.camera, policy.needs)
    networks = Networks(map_folders(request.suite, request.maps))
    suite = request.variation.applied(load_suite(request.suite, networks, request.routes))
    on_carla = request.simulator == CARLA
    envs = min(carla.envs if on_carla else num_envs, len(suite.scenarios) * request.repetitions)
    controller = fitting_controller(agent.controller, envs, policy, agent.decision_ticks)
    towns = list(dict.fromkeys(scenario.town for scenario in suite.scenarios))
    unsupported: Callable[[Episode], tuple[str, ...]] = unplayable
    servers: list[str] = []
    running: SimulatorInfo | None = None
    if on_carla:
        chosen = carla.limited(envs).with_maps(map_files(networks, towns))
        with tempfile.TemporaryDirectory() as folder:
            if chosen.launch is not None:
                servers = [f"would be started: {' '.join(chosen.launch.command(chosen.port))}"] * envs
            else:
                needs = policy.needs.union(make_expert().needs)
                simulator = make_carla(carla, envs, needs, networks, [], Path(folder))
                simulator.close()
                unsupported, running = simulator.unsupported, simulator.info
                addresses = chosen.running or (f"127.0.0.1:{DEFAULT_PORT}",)
                servers = [f"{address} runs: {simulator.info.description}, {simulator.info.version}" for address in addresses]
    episodes = make_episodes(suite, networks, unsupported, repetitions=request.repetitions, skip_unsupported=request.skip_unsupported)
    missing: Sequence[Episode] = episodes
    if resumed:
        resumed.check_unstarted(suite_record(suite), policy_record(policy, agent.checkpoint), episodes, running)
        missing = resumed.missing(episodes)
    content = _content(request, policy, controller.name, suite.name, towns, missing, envs, servers)
    content["kept"] = [f"camera {_camera_name(kept)}"] if kept else []
    if json:
        print_json(content)
    else:
        _show(content)


def _content(
    request: EvaluationRequest,
    policy: Policy,
    controller: str,
    suite: str,
    towns: list[str],
    episodes: Sequence[Episode],
    envs: int,
    servers: list[str],
) -> dict[str, Any]:
    scripted = Counter(actor.type for episode in episodes for actor in episode.scenario.actors)
    return {
        "simulator": request.simulator,
        "suite": suite,
        "episodes": len(episodes),
        "kilometres": round(sum(episode.route.length for episode in episodes) / 1000.0, 2),
        "towns": towns,
        "scripted": dict(sorted(scripted.items())),
        "skipped": sorted({name for episode in episodes for name in episode.skipped}),
        "policy": policy.name,
        "sensors": _sensors(policy.needs),
        "controller": controller,
        "envs": envs,
        "servers": servers,
    }


def _camera_name(camera: CameraSpec) -> str:
    """A camera for people."""
    return f"{camera.name} {camera.width}x{camera.height}, {camera.fov_deg:g} degrees"


def _sensors(needs: Needs) -> list[str]:
    """What the policy is shown."""
    cameras = [f"camera {_camera_name(camera)}" for camera in needs.cameras]
    facts = {
        "route ahead": needs.route,
        f"the nearest {needs.objects} objects within {needs.objects_m:g} m (privileged)": needs.objects > 0,
        "lights and stop signs ahead (privileged)": needs.lights,
        "speed limit": needs.speed_limit,
        "room beside the route (privileged)": needs.room,
    }
    return ["speed, yaw rate", *cameras, *(name for name, wanted in facts.items() if wanted)]


def _show(content: dict[str, Any]) -> None:
    table = Table(title="what would be driven", show_header=False)
    for name, value in content.items():
        if isinstance(value, dict):
            value = ", ".join(f"{kind} {count}" for kind, count in value.items())
        elif isinstance(value, list):
            value = "\n".join(map(str, value))
        if value not in ("", []):
            table.add_row(name, str(value))
    stdout.print(table)
    stdout.print("[dim]nothing was driven and nothing started: --dry-run[/]")
