"""From options to built parts: what evaluate, record and train have in common before the first tick."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from carla_rl.agent import Agent
from carla_rl.build import Networks, fitting_controller, is_compiled, make_expert, make_policy, make_simulator, map_folders
from carla_rl.cli.carla import CARLA, CarlaOptions, make_carla, map_files
from carla_rl.cli.console import stderr
from carla_rl.errors import UsageError
from carla_rl.evaluate import Parts
from carla_rl.interfaces import Policy, Simulator
from carla_rl.policies.legacy import LegacyDelta
from carla_rl.policies.residual import ResidualPolicy
from carla_rl.policies.sft import SftPolicy, camera_spec
from carla_rl.records.run import PolicyRecord, SuiteRecord
from carla_rl.scenario.episodes import make_episodes
from carla_rl.scenario.model import Episode
from carla_rl.scenario.suite import Suite, load_suite
from carla_rl.scenario.variation import Variation
from carla_rl.types import CameraSpec, Needs
from carla_rl.warm_up import warm_up

NO_SERVERS = CarlaOptions()
"""Nothing was said about servers."""
VIEW_PX = 320, 200
"""Width and height of a camera that is there for people to look through."""
AS_IT_IS = Variation()
"""A suite as its file says."""


@dataclass(frozen=True)
class Bank:
    """What is to be driven, and the simulator that will play it."""

    suite: Suite
    episodes: tuple[Episode, ...]
    simulator: Simulator

    @property
    def record(self) -> SuiteRecord:
        """For the run directory."""
        return suite_record(self.suite)


@dataclass(frozen=True)
class Drive:
    """An agent on a bank, ready for `carla_rl.evaluate.drive`."""

    bank: Bank
    parts: Parts
    policy: PolicyRecord
    camera: CameraSpec | None = None
    """What it sees is to be kept."""


def make_bank(
    simulator: str,
    suite: str,
    needs: Needs,
    *,
    routes: str | None = None,
    variation: Variation = AS_IT_IS,
    maps: Sequence[Path] = (),
    num_envs: int,
    threads: int = 1,
    repetitions: int = 1,
    skip_unsupported: bool = False,
    idle_envs: bool = False,
    carla: CarlaOptions = NO_SERVERS,
    logs: Path = Path("servers"),
) -> Bank:
    """Load a suite, build the simulator, trace the routes. Everything that can be wrong is found here, before anything runs.

    With `idle_envs` there may be more envs than episodes (training draws endlessly). On CARLA there is an env a server: `num_envs` is for
    the others, `carla` and `logs` (the folder of the servers' logs) are for CARLA.

    Raises:
        UsageError: see `load_suite`, `make_simulator`, `make_carla`, `make_episodes`.
        RunFailure: a server cannot be started or reached.
    """
    networks = Networks(map_folders(suite, maps))
    loaded = variation.applied(load_suite(suite, networks, routes))
    count = len(loaded.scenarios) * repetitions
    if simulator == CARLA:
        files = map_files(networks, [scenario.town for scenario in loaded.scenarios])
        world = make_carla(carla, carla.envs if idle_envs else min(carla.envs, count), needs, networks, files, logs)
    elif carla.given:
        raise UsageError(
            f"options about CARLA servers were given with --simulator {simulator}; drive on --simulator carla, or leave them out"
        )
    else:
        world = make_simulator(simulator, num_envs if idle_envs else min(num_envs, count), needs, networks, threads)
    try:
        episodes = make_episodes(loaded, networks, world.unsupported, repetitions=repetitions, skip_unsupported=skip_unsupported)
        compile_first(simulator)
    except BaseException:
        world.close()
        raise
    return Bank(loaded, episodes, world)


def compile_first(simulator: str) -> None:
    """Compile the simulator's kernels where this has not been done on this machine, on two processes, and say so.

    Raises:
        RunFailure: they do not compile.
    """
    if is_compiled(simulator):
        return
    with stderr.status("compiling kernels: about a minute at the first start of an installation, nothing afterwards"):
        warm_up()


def make_drive(
    agent: Agent,
    simulator: str,
    suite: str,
    *,
    routes: str | None,
    maps: Sequence[Path],
    num_envs: int,
    threads: int,
    variation: Variation,
    repetitions: int,
    skip_unsupported: bool,
    camera: str | None = None,
    carla: CarlaOptions = NO_SERVERS,
    logs: Path = Path("servers"),
) -> Drive:
    """An agent on a bank; `camera` names one whose pictures are to be kept.

    Raises:
        UsageError: as `make_bank`, or an agent that cannot be built.
    """
    policy = make_policy(agent.policy, agent.checkpoint, agent.sft)
    reference = make_expert()
    kept = kept_camera(camera, policy.needs)
    bank = make_bank(
        simulator,
        suite,
        policy.needs.union(reference.needs).union(Needs(cameras=(kept,) if kept else ())),
        routes=routes,
        maps=maps,
        num_envs=num_envs,
        threads=threads,
        variation=variation,
        repetitions=repetitions,
        skip_unsupported=skip_unsupported,
        carla=carla,
        logs=logs,
    )
    controller = fitting_controller(agent.controller, bank.simulator.num_envs, policy, agent.decision_ticks)
    parts = Parts(bank.simulator, policy, controller, reference, agent.decision_ticks)
    return Drive(bank, parts, policy_record(policy, agent.checkpoint), kept)


def kept_camera(name: str | None, needs: Needs) -> CameraSpec | None:
    """The camera of that name whose pictures are kept: the policy's own where it has one, else one of `VIEW_PX`.

    Raises:
        UsageError: a camera whose mount is not known.
    """
    if name is None:
        return None
    own = next((camera for camera in needs.cameras if camera.name == name), None)
    if own is not None:
        return own
    return replace(camera_spec(name, "--camera"), width=VIEW_PX[0], height=VIEW_PX[1])


def suite_record(suite: Suite) -> SuiteRecord:
    """What was driven, for the run directory."""
    return SuiteRecord(name=suite.name, sha256=suite.sha256, split=suite.split, omitted=suite.omitted)


def policy_record(policy: Policy, checkpoint: Path | None) -> PolicyRecord:
    """Which policy drives, for the run directory."""
    if checkpoint is None:
        return PolicyRecord(name=policy.name)
    sft = policy.sft.fingerprint() if isinstance(policy, SftPolicy | ResidualPolicy | LegacyDelta) else None
    return PolicyRecord(name=policy.name, checkpoint=str(checkpoint), sha256=digest(checkpoint), sft=sft)


def digest(file: Path) -> str:
    """SHA-256 of a file, as records hold it."""
    return hashlib.sha256(file.read_bytes()).hexdigest()
