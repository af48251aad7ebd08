"""What `carla-rl bench train` measures, and of what, for both programs. Knows neither of them."""

from dataclasses import dataclass

from carla_rl.bench.toy import check_threads
from carla_rl.errors import UsageError
from carla_rl.ppo import PPOConfig

UNBOUNDED_KL = 1e9
"""nats: no update ends early, so that each does all of its work; what watching the KL costs is in the figures."""


@dataclass(frozen=True, slots=True)
class TrainSizes:
    """How much is measured, and of what."""

    threads: tuple[int, ...] = (1,)
    num_envs: int = 1024
    rollout: int = 32
    epochs: int = 4
    minibatch: int = 4096
    repetitions: int = 5
    """Updates that are timed."""
    warm_up: int = 2
    """Updates before them."""

    def __post_init__(self) -> None:
        """Check that it can be measured here.

        Raises:
            UsageError: no envs, or threads that this machine does not have.
        """
        check_threads(self.threads)
        if self.num_envs < 1:
            raise UsageError(f"--num-envs {self.num_envs}: a training needs at least 1 env; write 1 or more")
        if self.minibatch > self.num_envs * self.rollout:
            raise UsageError(
                f"--num-envs {self.num_envs}: a rollout of {self.rollout} decisions each is less than one minibatch of {self.minibatch}; "
                f"write {-(-self.minibatch // self.rollout)} or more"
            )

    @property
    def config(self) -> PPOConfig:
        """What is trained: as many updates as are measured, and nothing that could cut one short."""
        return PPOConfig(
            num_envs=self.num_envs,
            rollout=self.rollout,
            epochs=self.epochs,
            minibatch=self.minibatch,
            decisions=self.num_envs * self.rollout * (self.warm_up + self.repetitions),
            target_kl=None,
            rollback_kl=UNBOUNDED_KL,
        )


@dataclass(frozen=True, slots=True)
class Timed:
    """One rollout and its update."""

    decisions: int
    collect_s: float
    update_s: float

    @property
    def decisions_per_s(self) -> float:
        """Both together."""
        return self.decisions / (self.collect_s + self.update_s)
