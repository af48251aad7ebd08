"""`carla-rl bench train`: what a training costs, decision by decision, beside the same training by stable-baselines3.

Both drive the same kind of worlds through the same loop, see the same features and train networks of the same sizes on as many samples.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import torch

from carla_rl.bench import clone
from carla_rl.bench.course import Course, make_course
from carla_rl.bench.machine import describe_machine
from carla_rl.bench.peers import trainer
from carla_rl.bench.repeat import summary
from carla_rl.bench.train_sizes import Timed, TrainSizes
from carla_rl.checkpoint import SftState, load_sft
from carla_rl.errors import UsageError
from carla_rl.metrics.episode import EpisodeMeter
from carla_rl.metrics.result import EpisodeResult
from carla_rl.policies.delta import DeltaConfig
from carla_rl.policies.residual import ResidualPolicy
from carla_rl.policies.sft import ROUTE_OBJECTS, FrozenSft
from carla_rl.ppo import Trainer
from carla_rl.ppo.buffer import RolloutBuffer
from carla_rl.reward import RewardConfig

DEFINITION = (
    "one decision is 0.2 s of one env: the observation, the frozen model, the sampled correction, four ticks with the controller, reward, "
    "measures and resets; end to end adds its share of the update: advantages and every epoch of gradient steps on both networks"
)
AIMS = {"decisions_per_s": 60_000.0, "update_samples_per_s": 200_000.0, "ratio": 1.3}
"""With two threads; `ratio` is our decisions a second over stable-baselines3's."""


class Learner(Protocol):
    """A training that is measured update by update."""

    def update(self) -> Timed:
        """Drive one rollout and learn from it."""


class Ours:
    """Our training, measured as `carla-rl train` measures: every episode through the meter."""

    def __init__(self, course: Course, state: SftState, sizes: TrainSizes) -> None:
        self.policy = ResidualPolicy(FrozenSft(state), DeltaConfig(), seed=0)
        self.results: list[EpisodeResult] = []
        """Of the episodes that ended."""
        self._meter = EpisodeMeter(sizes.num_envs, course.simulator.info.kind)
        watch = lambda decision, earned: self.results.extend(self._meter.update(decision, reward=earned.total))  # noqa: E731
        self._updates = Trainer(course.loop, self.policy, RewardConfig(), sizes.config, 0, watch).updates()

    def update(self) -> Timed:
        """See `Learner.update`."""
        record = next(self._updates)
        decisions = round(record.decisions_per_s * (record.collect_s + record.update_s))
        return Timed(decisions, record.collect_s, record.update_s)


def bench_train(sizes: TrainSizes, tell: Callable[[str], None], *, sft: Path | None = None, with_peers: bool = False) -> dict[str, Any]:
    """Measure everything; `tell` hears what is measured next. The result is JSON-able; durations say their unit in their names.

    Raises:
        UsageError: a file that is no SFT model for routes and objects.
    """
    with torch_threads(1):
        tell("something that drives")
        state = _load(sft) if sft else clone.quick_clone(make_course(clone.ENVS).loop)
    peer = trainer() if with_peers else None
    return {
        "benchmark": "train",
        "machine": describe_machine(),
        "definition": DEFINITION,
        "driver": f"the SFT model of {sft}" if sft else clone.DESCRIPTION,
        "settings": {name: getattr(sizes, name) for name in ("num_envs", "rollout", "epochs", "minibatch")},
        "runs": [_run(state, threads, sizes, tell, peer is not None and peer["version"] is not None) for threads in sizes.threads],
        "aims": AIMS,
        "peer": peer,
    }


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """So many threads of torch inside the block, and as many as before after it."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _load(sft: Path) -> SftState:
    state = load_sft(sft)
    if state.architecture != ROUTE_OBJECTS:
        raise UsageError(f"{sft}: its architecture is {state.architecture}, and a model of {ROUTE_OBJECTS} is measured; give one of those")
    return state


def _run(state: SftState, threads: int, sizes: TrainSizes, tell: Callable[[str], None], peer: bool) -> dict[str, Any]:
    """Everything with so many threads; updates of both programs take turns, so that both meet the same moments of the machine."""
    with torch_threads(threads):
        course = make_course(sizes.num_envs, threads)
        ours = Ours(course, state, sizes)
        theirs: Learner | None = None
        tell(f"threads {threads}: warm-up")
        for _ in range(sizes.warm_up):
            ours.update()
        # at the first number of threads nothing of the peer is in it
        peak = peak_bytes()
        if peer:
            # what a user does not have is not imported
            from carla_rl.bench.sb3 import Theirs

            theirs = Theirs(make_course(sizes.num_envs, threads).loop, state, sizes)
            for _ in range(sizes.warm_up):
                theirs.update()
        ours.results.clear()
        mine, other = _in_turn(ours, theirs, sizes.repetitions, lambda text: tell(f"threads {threads}: {text}"))
    ratios = [one.decisions_per_s / two.decisions_per_s for one, two in zip(mine, other, strict=False)]
    return {
        "threads": threads,
        "carla_rl": figures(mine, sizes.epochs),
        "stable_baselines3": figures(other, sizes.epochs) if other else None,
        "ratio": summary(ratios).to_json("ratio") if ratios else None,
        "driven": _driven(ours.results, sum(timed.decisions for timed in mine)),
        "memory": {
            "rollout_buffer_bytes": _buffer_bytes(ours.policy, sizes),
            "worlds_bytes": course.simulator.memory_bytes,
            "process_peak_bytes": peak,
        },
    }


def _in_turn(ours: Learner, theirs: Learner | None, count: int, tell: Callable[[str], None]) -> tuple[list[Timed], list[Timed]]:
    """So many updates of each, one of ours and one of theirs after the other."""
    mine, other = [], []
    for repetition in range(count):
        tell(f"update {repetition + 1} of {count}")
        mine.append(ours.update())
        if theirs is not None:
            other.append(theirs.update())
    return mine, other


def figures(timed: list[Timed], epochs: int) -> dict[str, Any]:
    """End to end, driving alone, learning alone (decisions times epochs a second)."""
    return {
        "end_to_end": summary([one.decisions_per_s for one in timed]).to_json("decisions_per_s"),
        "collect": summary([one.decisions / one.collect_s for one in timed]).to_json("decisions_per_s"),
        "update": summary([one.decisions * epochs / one.update_s for one in timed]).to_json("samples_per_s"),
        "update_share": summary([one.update_s / (one.collect_s + one.update_s) for one in timed]).median,
    }


def _driven(results: list[EpisodeResult], decisions: int) -> dict[str, float | None]:
    """How it drove while it was measured: the load of the worlds depends on it."""
    count = len(results)
    return {
        "episodes": count,
        "resets_per_1000_decisions": 1000.0 * count / decisions,
        "driving_score_mean": sum(result.driving_score for result in results) / count if count else None,
    }


def _buffer_bytes(policy: ResidualPolicy, sizes: TrainSizes) -> int:
    buffer = RolloutBuffer(sizes.rollout, sizes.num_envs, policy.feature_size + policy.critic_facts, len(policy.log_std))
    return sum(array.nbytes for array in vars(buffer).values())


def peak_bytes() -> int | None:
    """The most memory that this process has had, all of it counted; None where the system does not say."""
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # the BSDs, and so macOS, count bytes, Linux kilobytes
    return peak if sys.platform == "darwin" else 1024 * peak
