"""The only place that knows implementations, by name as "module:Class". Everything above asks here; everything below receives its parts.

Knows no command line and no file of a run.
"""

import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

from carla_rl.carla_sim.opendrive import compile_opendrive
from carla_rl.controller import make_controller
from carla_rl.errors import UsageError
from carla_rl.interfaces import Controller, Policy, Simulator
from carla_rl.roads.network import RoadNetwork
from carla_rl.roads.storage import load_network
from carla_rl.servers.interface import CarlaServer
from carla_rl.types import TICK_S, WAYPOINT_S, Needs

__all__ = ["Networks", "make_carla_simulator", "make_controller", "make_policy", "make_simulator"]

SIMULATORS = {"toy": "toy_env.simulator:ToySimulator"}
CARLA_SIMULATOR = "carla_rl.carla_sim.simulator:CarlaSimulator"
"""The simulator that needs servers."""
KERNELS = {"toy": ("carla_rl.world.compiled:is_on_disk", "toy_env.kernel:tick")}
SERVERS = {"toy": "toy_env.server.server:serve"}
SERVING = {"toy": "toy_env.server.testing:serving"}
DRAWINGS = {"toy": "toy_env.render"}
TOWNS = "toy_env.towns"
POLICIES = {"expert": "carla_rl.policies.expert:Expert"}

COMPILE_S = 300.0
"""A map from nowhere may take so long to be compiled."""
LONGEST_REASON = 400
"""Characters of what its compiler said that are told."""
MAP_SUFFIXES = (".npz", ".xodr", ".xodr.gz")


class Networks:
    """Road networks by town name: our own towns, then map files in the given folders; each is loaded once.

    A file `Town01.npz` (compiled), `Town01.xodr` or `Town01.xodr.gz` gives the town `Town01`.
    """

    def __init__(self, folders: Iterable[Path] = ()) -> None:
        self._folders = tuple(folders)
        for folder in self._folders:
            if not folder.is_dir():
                raise UsageError(f"{folder}: not a folder; --maps takes a folder that holds .npz, .xodr or .xodr.gz files")
        self._loaded: dict[str, RoadNetwork] = {}

    def __call__(self, town: str) -> RoadNetwork:
        """The network of a town.

        Raises:
            UsageError: no such town, or its file cannot be read.
        """
        if town not in self._loaded:
            self._loaded[town] = self._load(town)
        return self._loaded[town]

    def file_of(self, town: str) -> Path | None:
        """The map file of a town in the folders given; None where there is none, as for our own towns."""
        candidates = (folder / f"{town}{suffix}" for folder in self._folders for suffix in MAP_SUFFIXES)
        return next((path for path in candidates if path.is_file()), None)

    def _load(self, town: str) -> RoadNetwork:
        towns = import_module(TOWNS)
        if town in towns.TOWNS:
            return cast(RoadNetwork, towns.load_town(town))
        path = self.file_of(town)
        if path is not None:
            return load_network(path) if path.suffix == ".npz" else compile_opendrive(path, town)
        looked = ", ".join(str(folder) for folder in self._folders) or "no folder given"
        raise UsageError(
            f"town {town!r}: not one of our own ({', '.join(towns.TOWNS)}) and no {town}.npz, .xodr or .xodr.gz found ({looked}); "
            "give the folder of its map with --maps"
        )


def make_simulator(name: str, num_envs: int, needs: Needs, networks: Callable[[str], RoadNetwork], threads: int = 1) -> Simulator:
    """A simulator by name. There is no default and no fallback: the name is written into every record.

    `threads` changes the speed, never the results. A second thread pays only on a machine with nothing else to do.

    Raises:
        UsageError: unknown name.
    """
    if name not in SIMULATORS:
        raise UsageError(f"simulator {name!r}: unknown here; this version has {', '.join(sorted(SIMULATORS))}")
    return cast(Simulator, _load(SIMULATORS[name])(num_envs=num_envs, needs=needs, networks=networks, threads=threads))


def make_carla_simulator(
    servers: Sequence[CarlaServer],
    needs: Needs,
    networks: Callable[[str], RoadNetwork],
    *,
    timeout_s: float,
    restart_every: int = 0,
    most_memory_gb: float = 0.0,
) -> Simulator:
    """CARLA on servers, one env each; see `carla_rl.carla_sim.simulator.CarlaSimulator`, also for the options.

    Raises:
        UsageError: CARLA's client is not installed, or a server cannot be used.
        RunFailure: a server cannot be started or reached.
    """
    if find_spec("carla") is None:
        raise UsageError(
            "CARLA's client is not installed: pip install 'carla-rl[carla]' (CPython 3.11 or 3.12 on Linux x86-64 or Windows), or choose "
            "--simulator toy"
        )
    make = _load(CARLA_SIMULATOR)
    return cast(Simulator, make(servers, needs, networks, timeout_s=timeout_s, restart_every=restart_every, most_memory_gb=most_memory_gb))


def make_policy(policy: str | None, checkpoint: Path | None, sft: Path | None) -> Policy:
    """A policy: one of ours by name, an external one as `module:Class`, or what a checkpoint file holds.

    Raises:
        UsageError: both or neither given, an unknown name, or a file that is no checkpoint of ours.
    """
    if checkpoint is not None:
        if policy is not None:
            raise UsageError("--policy and --checkpoint are both given; give one of them")
        # torch is loaded only where a network drives
        from carla_rl.policies.loading import load_policy

        return load_policy(checkpoint, sft=sft)
    if policy is None:
        raise UsageError("no policy: give --checkpoint FILE or --policy expert (or --policy module:Class)")
    if policy in POLICIES:
        return cast(Policy, _load(POLICIES[policy])())
    if ":" in policy:
        from carla_rl.policies.external import load_external

        return load_external(policy)
    raise UsageError(f"policy {policy!r}: unknown; give {', '.join(sorted(POLICIES))} or module:Class")


def fitting_controller(name: str, num_envs: int, policy: Policy, decision_ticks: int) -> Controller:
    """The controller of that name for the plans of `policy`.

    Raises:
        UsageError: no such controller, or the policy plans less far ahead than it reads, or than a decision lasts.
    """
    controller = make_controller(name, num_envs)
    wanted_s, plan_s = controller.shortest_plan_s(decision_ticks * TICK_S), policy.horizon * WAYPOINT_S
    if plan_s < wanted_s - 1e-9:
        raise UsageError(
            f"policy {policy.name} plans {policy.horizon} waypoints, {plan_s:.2f} s, and controller {name!r} at {decision_ticks} ticks a "
            f"decision needs {wanted_s:.2f} s; give a policy of a longer horizon, another --controller or fewer --decision-ticks"
        )
    return controller


def is_compiled(name: str) -> bool:
    """Whether a simulator's kernels have been compiled on this machine; their first use takes about a minute where they have not."""
    if name not in KERNELS:
        return True
    is_on_disk, kernel = (_load(spec) for spec in KERNELS[name])
    return bool(is_on_disk(kernel))


def drawing_of(name: str) -> Any:
    """The module that draws a simulator's worlds for people: it has `Renderer` and `BirdSpec` as `toy_env.render` has them."""
    return import_module(DRAWINGS[name])


def run_server(name: str, started: Callable[[Any], None], **options: Any) -> None:
    """Serve a simulator to CARLA's client until the process is interrupted or terminated; `started` is handed the server when it listens.

    Raises:
        UsageError: unknown name, a port that is taken, a map that cannot be read.
    """
    if name not in SERVERS:
        raise UsageError(f"server {name!r}: unknown; this version has {', '.join(sorted(SERVERS))}")
    _load(SERVERS[name])(compile_text, started, **options)


def serving(name: str) -> Callable[..., AbstractContextManager[Any]]:
    """A simulator's server in a process of its own, as `toy_env.server.testing.serving` gives it."""
    return cast(Callable[..., AbstractContextManager[Any]], _load(SERVING[name]))


def compile_text(name: str, text: str, apart: bool = False) -> RoadNetwork:
    """The road network of an OpenDRIVE text.

    Args:
        name: of the town.
        text: of the file.
        apart: in a process of its own: a text that nobody has looked at can make the compiler end the process that it runs in.

    Raises:
        UsageError: a broken text.
    """
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.xodr"
        path.write_text(text, "utf-8")
        return _compile_apart(path, name) if apart else compile_opendrive(path, name)


def _compile_apart(path: Path, name: str) -> RoadNetwork:
    target = path.with_suffix(".npz")
    command = [sys.executable, "-m", "carla_rl", "compile-map", str(path), str(target)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=COMPILE_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise UsageError(f"map {name}: it could not be compiled within {COMPILE_S:g} s") from error
    if done.returncode:
        said = " ".join(done.stderr.split())[-LONGEST_REASON:]
        raise UsageError(f"map {name}: it cannot be compiled ({said or f'the compiler ended with {done.returncode}'})")
    return load_network(target)


def make_expert() -> Policy:
    """The rule-based expert, also the reference for closed-loop ADE/FDE."""
    return cast(Policy, _load(POLICIES["expert"])())


def map_folders(suite: str, given: Sequence[Path]) -> tuple[Path, ...]:
    """Where maps are looked for: the folders given, then `maps` beside the suite's file and beside its folder, where they exist."""
    path = Path(suite)
    beside = (path.parent / "maps", path.parent.parent / "maps") if path.is_file() else ()
    return (*given, *(folder for folder in beside if folder.is_dir()))


def _load(spec: str) -> Callable[..., Any]:
    module, name = spec.split(":")
    return cast(Callable[..., Any], getattr(import_module(module), name))
