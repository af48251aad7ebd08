"""Why one run scores higher than another: what each kind of infraction, and the distance driven, moved.

Every fact is exchanged between the two drives of a pair, all others left as they are, once from either side; the mean change of the driving
score is what that fact moved. What several facts do together is not told apart, so the parts need not add up to the whole.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from carla_rl.metrics.result import EpisodeResult
from carla_rl.metrics.scores import Drive, definition
from carla_rl.records.reading import Run
from carla_rl.types import Infraction

COMPLETION, OUTSIDE, SLOW = "route_completion", "outside_route_lanes", "min_speed"


def reasons(a: Run, b: Run, score: str) -> list[dict[str, Any]]:
    """For each fact that differs: points of driving score that it moved from A to B, and its totals in both; largest first."""
    of_a = {episode.episode_id: episode for episode in a.episodes}
    pairs = [(of_a[episode.episode_id], episode) for episode in b.episodes if episode.episode_id in of_a]
    found = [_reason(name, pairs, score) for name in (COMPLETION, *(kind.name.lower() for kind in Infraction))]
    return sorted((item for item in found if item["moved"]), key=lambda item: -abs(item["moved"]))


def _reason(name: str, pairs: Sequence[tuple[EpisodeResult, EpisodeResult]], score: str) -> dict[str, Any]:
    formula = definition(score)
    moved = 0.0
    for one, other in pairs:
        a, b = one.drive, other.drive
        forward = formula.score(_exchanged(a, b, name)).score_composed - formula.score(a).score_composed
        backward = formula.score(b).score_composed - formula.score(_exchanged(b, a, name)).score_composed
        moved += 0.5 * (forward + backward)
    return {
        "name": name,
        "moved": moved / len(pairs) if pairs else 0.0,
        "a": sum(_amount(one, name) for one, _ in pairs),
        "b": sum(_amount(other, name) for _, other in pairs),
        "pairs": len(pairs),
    }


def _exchanged(drive: Drive, other: Drive, name: str) -> Drive:
    """`drive` with one fact of `other`."""
    match name:
        case "route_completion":
            return replace(drive, route_completion=other.route_completion)
        case "outside_route_lanes":
            return replace(drive, outside_share=other.outside_share)
        case "min_speed":
            return replace(drive, min_speed_shares=other.min_speed_shares)
    kind = Infraction[name.upper()]
    return replace(drive, counts={**drive.counts, kind: other.counts.get(kind, 0)})


def _amount(result: EpisodeResult, name: str) -> float:
    return result.route_completion if name == COMPLETION else float(result.raw.counts.get(Infraction[name.upper()], 0))
