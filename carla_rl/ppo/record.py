"""What one update reports: every vital sign by name, for TensorBoard, train_metrics.json and a progress line."""

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Self

from carla_rl.ppo.collect import EpisodeSummary, RolloutStats
from carla_rl.ppo.tally import UpdateStats
from carla_rl.types import Ending, Infraction


@dataclass(frozen=True, slots=True)
class UpdateRecord:
    """One rollout and the update made of it."""

    update: int
    """1 for the first."""
    decisions: int
    """Driven since training began."""
    stats: UpdateStats
    reward: float
    """Mean per decision."""
    reward_terms: dict[str, float]
    """Each term's mean per decision."""
    episodes: tuple[EpisodeSummary, ...]
    """Those that ended in this rollout."""
    delta_longitudinal: float
    """m, mean |x| of the correction."""
    delta_lateral: float
    """m, mean |y| of the correction."""
    bounded_share: float | None
    """Share of action coordinates that the bound cut; None where the policy does not say."""
    delta_lr: float
    value_lr: float
    log_std: float
    """Mean over the action's coordinates, before what depends on the state."""
    residual_ratio: float
    """Share of the correction that was driven."""
    lost: int
    """Worlds that were lost in this rollout."""
    dropped: int
    """Decisions forgotten because of that."""
    reward_scale: float
    collect_s: float
    """Seconds of driving."""
    update_s: float
    """Seconds of learning."""
    decisions_per_s: float
    """Driving and learning together."""

    @classmethod
    def of(
        cls,
        *,
        update: int,
        decisions: int,
        rollout: RolloutStats,
        stats: UpdateStats,
        delta_lr: float,
        value_lr: float,
        log_std: float,
        residual_ratio: float,
        reward_scale: float,
        collect_s: float,
        update_s: float,
    ) -> Self:
        """The record of a rollout's sums and an update's stats."""
        terms = {name: rollout.per_decision(total) for name, total in rollout.terms.items()}
        return cls(
            update=update,
            decisions=decisions,
            stats=stats,
            reward=sum(terms.values()),
            reward_terms=terms,
            episodes=tuple(rollout.episodes),
            delta_longitudinal=rollout.per_decision(rollout.delta_longitudinal),
            delta_lateral=rollout.per_decision(rollout.delta_lateral),
            bounded_share=None if rollout.bounded is None else rollout.per_decision(rollout.bounded),
            delta_lr=delta_lr,
            value_lr=value_lr,
            log_std=log_std,
            residual_ratio=residual_ratio,
            lost=rollout.lost,
            dropped=rollout.dropped,
            reward_scale=reward_scale,
            collect_s=collect_s,
            update_s=update_s,
            decisions_per_s=rollout.decisions / (collect_s + update_s),
        )

    def scalars(self) -> dict[str, float]:
        """All of it as flat numbers; what was not measured in this update is left out."""
        numbers = {f"ppo/{name}": float(value) for name, value in asdict(self.stats).items() if value is not None}
        numbers |= {f"reward/{name}": value for name, value in self.reward_terms.items()}
        numbers |= {
            "reward/mean": self.reward,
            "delta/longitudinal_m": self.delta_longitudinal,
            "delta/lateral_m": self.delta_lateral,
            "schedule/delta_lr": self.delta_lr,
            "schedule/value_lr": self.value_lr,
            "schedule/log_std": self.log_std,
            "schedule/residual_ratio": self.residual_ratio,
            "schedule/reward_scale": self.reward_scale,
            "episodes/lost": float(self.lost),
            "episodes/dropped_decisions": float(self.dropped),
            "speed/decisions_per_s": self.decisions_per_s,
            "speed/collect_s": self.collect_s,
            "speed/update_s": self.update_s,
        }
        if self.bounded_share is not None:
            numbers["delta/bounded_share"] = self.bounded_share
        return numbers | self._driving()

    def _driving(self) -> dict[str, float]:
        """How the sampled policy drove the episodes that ended: means, share of each ending, infractions an episode."""
        count = len(self.episodes)
        numbers = {"episodes/count": float(count)}
        if count == 0:
            return numbers
        endings = Counter(episode.ending for episode in self.episodes)
        numbers["episodes/reward"] = sum(episode.reward for episode in self.episodes) / count
        numbers["episodes/decisions"] = sum(episode.decisions for episode in self.episodes) / count
        numbers["episodes/route_completion"] = sum(episode.route_completion for episode in self.episodes) / count
        numbers |= {f"ending/{ending.name.lower()}": endings[ending] / count for ending in Ending if ending != Ending.NONE}
        for kind in Infraction:
            numbers[f"infraction/{kind.name.lower()}"] = sum(episode.infractions[kind] for episode in self.episodes) / count
        return numbers
