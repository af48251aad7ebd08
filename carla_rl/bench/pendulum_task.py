"""Gymnasium's Pendulum-v1 dressed as a simulator, with a controller and a policy, without a change to the loop, the reward or the trainer.

Its three numbers stand in three scalar fields of an observation (cosine: speed, sine: yaw rate, angular velocity: speed limit), its
torque is the wheel, and its reward is the metres of progress, here never positive. There is no frozen plan: the correction of a plan of
zeros is the action itself.
"""

import copy
import itertools
from collections.abc import Callable, Iterator, Sequence

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from carla_rl import gaussian
from carla_rl.interfaces import Arrays, SimulatorInfo
from carla_rl.policies.delta import DeltaWaypointHead, ValueHead
from carla_rl.roads.network import RoadNetwork
from carla_rl.roads.route import Route
from carla_rl.scenario.model import Episode, Scenario
from carla_rl.types import Bools, Control, Ego, Ending, Event, Facts, Infraction, Ints, Needs, Observation, Plan, Scene, SimulatorKind, Step

ENV_ID = "Pendulum-v1"
LARGEST_TORQUE = 2.0
"""N m."""
LARGEST_VELOCITY = 8.0
"""rad/s."""
HIDDEN = (64, 64)
"""Of both networks of both programs: stable-baselines3's own sizes."""
LAST_EPISODES = 100
"""Of a training, whose mean return is told."""
SETTINGS = {"num_envs": 4, "rollout": 1024, "epochs": 10, "minibatch": 64, "gamma": 0.9, "gae_lambda": 0.95, "clip": 0.2, "lr": 1e-3}
"""Those that RL Zoo tuned for stable-baselines3 on this task (DLR-RM/rl-baselines3-zoo, hyperparams/ppo.yml); both programs use them.
The peer also explores as it was tuned, with noise that depends on the state (gSDE, a new one every 4 steps)."""

Act = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""What is seen (3,) -> torque (1,)."""


def episodes(seed: int) -> Iterator[Episode]:
    """Endless; each begins where its own seed says."""
    line, lanes = np.array([0.0, 1.0]), np.zeros(2, np.int32)
    route = Route(ENV_ID, line, line, line, line, line, lanes, line, line)
    for n in itertools.count():
        start = int(np.random.SeedSequence((seed, n)).generate_state(1)[0])
        yield Episode(Scenario(scenario_id=f"{ENV_ID}-{n}", town=ENV_ID, positions=((0, 0, 0), (1, 0, 0)), seed=start), route)


class Pendulums:
    """N pendulums as a simulator: an episode is Gymnasium's, 200 steps long and then truncated."""

    info = SimulatorInfo(SimulatorKind.TOY, gymnasium.__version__, f"Gymnasium's {ENV_ID}: no road and no vehicle", {})

    def __init__(self, num_envs: int) -> None:
        self.num_envs = num_envs
        self._envs = [gymnasium.make(ENV_ID) for _ in range(num_envs)]
        self._seen = np.zeros((num_envs, 3), np.float32)
        self._return = np.zeros(num_envs)
        self._over = np.ones(num_envs, np.bool_)

    def unsupported(self, episode: Episode) -> tuple[str, ...]:
        """Nothing is scripted."""
        return ()

    def reset(self, envs: Ints, episodes: Sequence[Episode]) -> Step:
        """See `Simulator.reset`."""
        for env, episode in zip(envs, episodes, strict=True):
            self._seen[env], _ = self._envs[env].reset(seed=episode.scenario.seed)
        self._return[envs], self._over[envs] = 0.0, False
        return self._state()

    def step(self, control: Control) -> Step:
        """See `Simulator.step`."""
        for env in np.flatnonzero(~self._over):
            torque = np.array([LARGEST_TORQUE * control.steer[env]], np.float32)
            self._seen[env], reward, _, self._over[env], _ = self._envs[env].step(torque)
            self._return[env] += float(reward)
        return self._state()

    def observe(self) -> Observation:
        """See `Simulator.observe`, and the module on what stands where."""
        cosine, sine, velocity = self._seen.T.copy()
        return Observation(speed=cosine, yaw_rate=sine, speed_limit=velocity)

    def network(self, town: str) -> RoadNetwork:
        """There is no road."""
        raise NotImplementedError(f"{ENV_ID} has no roads")

    def events(self, env: int) -> tuple[Event, ...]:
        """No infraction can be committed."""
        return ()

    def scene(self) -> Scene:
        """There is nobody."""
        raise NotImplementedError(f"{ENV_ID} has no actors")

    def close(self) -> None:
        """See `Simulator.close`."""
        for env in self._envs:
            env.close()

    def _state(self) -> Step:
        zeros = np.zeros(self.num_envs)
        facts = Facts(
            tick=np.zeros(self.num_envs, np.int64),
            route_completion=self._return.copy(),
            route_length=np.ones(self.num_envs),
            driven=zeros,
            infractions=np.zeros((self.num_envs, len(Infraction)), np.int64),
            outside_share=zeros,
            lateral=zeros,
            heading_error=zeros,
            speed_limit=np.ones(self.num_envs),
        )
        ending = np.where(self._over, np.int8(Ending.ROUTE_TIMEOUT), np.int8(Ending.NONE))
        return Step(Ego(zeros, zeros, zeros, zeros, zeros, zeros), facts, ending)


class Wheel:
    """The only waypoint's y, within +-1, is the wheel."""

    name = "wheel"

    def reset(self, envs: Bools) -> None:
        """See `Controller.reset`: nothing is remembered."""

    def control(self, waypoints: NDArray[np.float64], age_s: float, ego: Ego) -> Control:
        """See `Controller.control`."""
        zeros = np.zeros(len(waypoints))
        return Control(throttle=zeros, steer=np.clip(waypoints[:, 0, 1], -1.0, 1.0), brake=zeros)

    def snapshot(self) -> Arrays:
        """See `Controller.snapshot`: there is nothing to keep."""
        return {}

    def restore(self, snapshot: Arrays) -> None:
        """See `Controller.restore`."""


class TorquePolicy:
    """The two heads of our residual policies on the pendulum's three numbers; the standard deviation is learned, 1 N m at the start."""

    name = "torque"
    needs = Needs(speed_limit=True)
    horizon = 1
    critic_facts = 0
    scheduled = False
    normalised = True
    """The features are near one as they are."""

    def __init__(self, seed: int) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.delta_head = DeltaWaypointHead(3, HIDDEN, 1)
            self.value_head = ValueHead(3, HIDDEN)
        self.log_std: Tensor = torch.nn.Parameter(torch.full((1,), -float(np.log(LARGEST_TORQUE))))
        self.residual_ratio = 1.0
        self._noise: gaussian.Noise | None = None

    def reset(self, envs: Bools) -> None:
        """See `Policy.reset`: nothing is remembered."""

    def sample_with(self, noise: gaussian.Noise | None) -> None:
        """See `ActorCritic.sample_with`."""
        self._noise = noise

    def normalise(self, mean: NDArray[np.float32], scale: NDArray[np.float32]) -> None:
        """Never asked for: the features are near one as they are."""
        raise NotImplementedError

    def twin(self, device: torch.device) -> "TorquePolicy":
        """See `ActorCritic.twin`."""
        other = copy.deepcopy(self)
        other.delta_head.to(device)
        other.value_head.to(device)
        other.log_std = torch.nn.Parameter(self.log_std.detach().clone().to(device))
        return other

    def distribution(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """See `ActorCritic.distribution`."""
        return self.delta_head(features), self.log_std

    def features(self, observation: Observation) -> NDArray[np.float32]:
        """(M, 3)."""
        assert observation.speed_limit is not None
        return np.stack((observation.speed, observation.yaw_rate, observation.speed_limit / np.float32(LARGEST_VELOCITY)), axis=1)

    @torch.no_grad()
    def plan(self, observation: Observation) -> Plan:
        """See `Policy.plan`: one waypoint (0, share of the largest torque)."""
        features = self.features(observation)
        action, log_std = self.distribution(torch.from_numpy(features))
        extras = {"features": features}
        if self._noise is not None:
            mean, action = action, action + log_std.exp() * self._noise.draw(*action.shape)
            extras["log_prob"] = gaussian.log_prob(action, mean, log_std).numpy()
        extras["action"] = action.numpy()
        waypoints = np.zeros((len(features), 1, 2), np.float32)
        waypoints[:, 0, 1] = extras["action"][:, 0]
        return Plan(waypoints, extras=extras)

    @torch.no_grad()
    def values(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """(M,) of features (M, 3)."""
        found: NDArray[np.float32] = self.value_head(torch.from_numpy(inputs)).numpy()
        return found

    def torque(self, seen: NDArray[np.float32]) -> NDArray[np.float32]:
        """(M, 1) N m, without noise, of what Gymnasium shows (M, 3)."""
        plan = self.plan(Observation(speed=seen[:, 0], yaw_rate=seen[:, 1], speed_limit=seen[:, 2]))
        torque: NDArray[np.float32] = LARGEST_TORQUE * np.clip(plan.waypoints[:, 0, 1:], -1.0, 1.0)
        return torque
