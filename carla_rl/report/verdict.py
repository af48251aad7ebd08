"""The report's answer in sentences: which policy drives better, by how much, how sure, why, and whether ADE would have told.

Says nothing that the numbers beside it do not: "better" only where the interval of the paired difference leaves zero out.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from carla_rl.metrics.comparison import Comparison, Difference
from carla_rl.records.reading import Run

SCORE, ADE = "driving_score", "ade"
WORTH = 0.5
"""Points of driving score below which a reason is not told."""
MOST_REASONS = 3


def verdicts(runs: Sequence[Run], comparisons: Sequence[Comparison], pairs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One verdict for each comparison, or one about the only run; each a dictionary of `title`, `tone` and `sentences`."""
    if not runs:
        return []
    if not comparisons:
        return [_alone(runs[0])]
    return [_verdict(runs[0], run, found, pair) for run, found, pair in zip(runs[1:], comparisons, pairs, strict=True)]


def _alone(run: Run) -> dict[str, Any]:
    n = len(run.episodes)
    mean = sum(episode.driving_score for episode in run.episodes) / n
    success = sum(episode.success for episode in run.episodes)
    return {
        "title": f"{run.run_id} drives {mean:.1f} of 100 over {_count(n, 'episode')}",
        "tone": "neutral",
        "sentences": [
            f"{success} of {_count(n, 'episode')} ended at the destination without an infraction.",
            "One run says nothing of another policy: give a second run of the same suite to compare.",
        ],
    }


def _verdict(a: Run, b: Run, found: Comparison, pair: Mapping[str, Any]) -> dict[str, Any]:
    score = next(row for row in found.measures if row.name == SCORE)
    ade = next((row for row in found.measures if row.name == ADE), None)
    sign = _sign(score)
    word = {1: "drives better than", -1: "drives worse than", 0: "cannot be told from", None: "was set against"}[sign]
    return {
        "title": f"{b.run_id} {word} {a.run_id}",
        "tone": {1: "good", -1: "bad"}.get(sign or 0, "neutral"),
        "sentences": [_how_sure(found, score, sign), *_by_route(a, b), *_why(pair, score), *_would_ade_have_told(a, b, score, ade)],
    }


def _how_sure(found: Comparison, score: Difference, sign: int | None) -> str:
    told = f"Driving score {score.b:.1f} against {score.a:.1f}: {score.difference:+.1f}"
    pairs = _count(found.pairs, "paired episode")
    if sign is None or score.low is None or score.high is None:
        return f"{told}, from {pairs}: too few to say how sure that is."
    told += f", {found.confidence:.0%} interval {score.low:+.1f} to {score.high:+.1f} over {pairs}"
    return f"{told}. The interval includes zero: chance alone may have made the difference." if sign == 0 else f"{told}."


def _by_route(a: Run, b: Run) -> list[str]:
    changes = [new - old for old, new in _paired(a, b, "driving_score")]
    better, worse = sum(change > 0 for change in changes), sum(change < 0 for change in changes)
    return [f"By episode: better in {better}, worse in {worse}, the same in {len(changes) - better - worse}."]


def _why(pair: Mapping[str, Any], score: Difference) -> list[str]:
    """What moved the score most in the direction that it went, and the largest thing against it."""
    direction = 1.0 if score.difference >= 0 else -1.0
    parts = [item for item in pair["reasons"] if abs(item["moved"]) >= WORTH]
    along = [_reason(item) for item in parts if item["moved"] * direction > 0][:MOST_REASONS]
    against = [_reason(item) for item in parts if item["moved"] * direction < 0][:1]
    if not along:
        return ["No single kind of infraction moved the score by much."] if not against else [f"Against it: {against[0]}."]
    return [f"Why: {'; '.join(along)}." + (f" Against it: {against[0]}." if against else "")]


def _reason(item: Mapping[str, Any]) -> str:
    points = f"{item['moved']:+.1f} points"
    if item["name"] == "route_completion":
        n = max(item["pairs"], 1)
        return f"{points} from route completion ({100 * item['a'] / n:.1f} % to {100 * item['b'] / n:.1f} %)"
    return f"{points} from {item['name'].replace('_', ' ')} ({item['a']:.0f} to {item['b']:.0f})"


def _would_ade_have_told(a: Run, b: Run, score: Difference, ade: Difference | None) -> list[str]:
    if ade is None:
        return ["ADE was not measured in both runs, so it says nothing here."]
    if ade.a == 0.0 or ade.b == 0.0:
        return ["ADE says nothing here: one of the two is the expert itself, against whose plans ADE is measured."]
    where = "farther from" if ade.difference > 0 else "nearer to"
    shown = f"its plans are {abs(ade.difference):.2f} m {where} the expert's at the states visited"
    says, drove = _sign(ade), _sign(score)
    if not drove or says is None:
        opinion = f"ADE cannot be judged by a driving score that is undecided ({shown})"
    elif says == 0:
        opinion = f"ADE would not have told: its difference is undecided ({ade.difference:+.3f} m)"
    elif says == -drove:
        opinion = f"ADE would have told: {shown}"
    else:
        opinion = f"ADE would have told the opposite: {shown}"
    changed = [
        (new - old, y - x)
        for (old, new), (x, y) in zip(_paired(a, b, "driving_score"), _paired(a, b, "ade"), strict=True)
        if x is not None and y is not None and new != old and x != y
    ]
    wrong = sum((score_change > 0) == (ade_change > 0) for score_change, ade_change in changed)
    tail = f" In {wrong} of the {len(changed)} episodes whose score changed, ADE pointed the wrong way." if changed else ""
    return [f"{opinion}.{tail}"]


def _sign(row: Difference) -> int | None:
    """1 or -1 where the interval leaves zero out, 0 where not, None without an interval."""
    if row.low is None or row.high is None:
        return None
    return (row.low > 0) - (row.high < 0)


def _paired(a: Run, b: Run, name: str) -> list[tuple[Any, Any]]:
    of_a = {episode.episode_id: episode for episode in a.episodes}
    return [(getattr(of_a[e.episode_id], name), getattr(e, name)) for e in b.episodes if e.episode_id in of_a]


def _count(n: int, word: str) -> str:
    return f"{n} {word}" if n == 1 else f"{n} {word}s"
