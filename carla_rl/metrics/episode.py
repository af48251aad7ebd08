"""The meter: fed with every decision of the loop, it gives one result for each episode that ends.

Row-wise throughout: the result of an episode has the same bits whatever the number of envs and whatever the others drive.
Knows no policy, simulator or file; the reward is given to it.
"""

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from carla_rl.geometry import to_local
from carla_rl.interfaces import Arrays
from carla_rl.loop import Decision, poses
from carla_rl.metrics.result import COLLISIONS, Comfort, EpisodeResult, InfractionRecord, Raw
from carla_rl.metrics.scores import DEFAULT_SCORE, Drive, definition, is_success, status
from carla_rl.scenario.model import Episode
from carla_rl.types import MAX_EVENTS, RARE_EVENTS, TICK_S, WAYPOINT_S, Ending, Event, Infraction, SimulatorKind

Column = NDArray[np.float64]

_SUMS = ("return", "ade", "fde", "lateral", "longitudinal", "delta")
_LARGEST = ("accel", "jerk", "lateral_accel")


class EpisodeMeter:
    """Accumulates per env and finishes per episode. One meter a loop; attach it before the loop's first decision.

    ADE and FDE of a closed-loop episode set the policy's plan against the expert's plan *at the same visited states* (the expert
    replans from there), so they need a `reference`; without one they are null. Maxima of acceleration and jerk are sampled at the
    decisions, as the loop shows no finer states.
    """

    def __init__(self, num_envs: int, simulator: SimulatorKind, *, score: str = DEFAULT_SCORE) -> None:
        """Measure `num_envs` envs of a simulator of the given kind.

        Raises:
            UsageError: unknown score definition.
        """
        self._simulator = simulator
        self._score = definition(score)
        self._attached = np.zeros(num_envs, np.bool_)
        self._decisions = np.zeros(num_envs, np.int64)
        self._sum: dict[str, Column] = {name: np.zeros(num_envs) for name in _SUMS}
        self._largest: dict[str, Column] = {name: np.zeros(num_envs) for name in _LARGEST}

    def update(
        self, decision: Decision, *, reward: NDArray[np.floating] | None = None, reference: NDArray[np.floating] | None = None
    ) -> list[EpisodeResult]:
        """Take in one decision and return the results of the episodes that ended with it, in the order of the envs.

        `reward` is (N,), `reference` the expert's plan (N, H, 2) in the ego frame of `decision.before`; rows of resting envs are ignored.

        Raises:
            ValueError: a reward or reference of the wrong shape or not finite; an episode whose start was not seen.
        """
        active = decision.active
        self._start(decision.started & active)
        if not self._attached[active].all():
            raise ValueError("the meter has not seen the start of an episode; attach it before the loop's first decision")
        self._decisions[active] += 1
        self._add("return", active, _rows("reward", reward, active, (len(active),)))
        self._add_plans(decision, reference)
        self._add_comfort(decision)
        return [self._finish(decision, int(env)) for env in np.flatnonzero(decision.ended)]

    def snapshot(self) -> Arrays:
        """What was measured of the unfinished episodes, each (N,). Copies."""
        return {name: column.copy() for name, column in self._columns().items()}

    def restore(self, snapshot: Arrays) -> None:
        """Go on from `snapshot`'s result, of as many envs."""
        for name, column in self._columns().items():
            column[:] = snapshot[name]

    def _columns(self) -> dict[str, NDArray[Any]]:
        sums = {f"sum_{name}": column for name, column in self._sum.items()}
        largest = {f"largest_{name}": column for name, column in self._largest.items()}
        return {"attached": self._attached, "decisions": self._decisions, **sums, **largest}

    def _start(self, started: NDArray[np.bool_]) -> None:
        self._attached |= started
        self._decisions[started] = 0
        for column in (*self._sum.values(), *self._largest.values()):
            column[started] = 0.0

    def _add(self, name: str, active: NDArray[np.bool_], values: Column | None) -> None:
        """Add to a sum; a value that is missing once makes the sum missing (NaN, null in the result)."""
        self._sum[name][active] += np.nan if values is None else values[active]

    def _add_plans(self, decision: Decision, reference: NDArray[np.floating] | None) -> None:
        active, plan = decision.active, decision.plan
        waypoints = np.ascontiguousarray(plan.waypoints, np.float64)
        expert = _rows("reference", reference, active, waypoints.shape)
        mean, final = (None, None) if expert is None else plan_distance(waypoints, expert)
        self._add("ade", active, mean)
        self._add("fde", active, final)
        before_correction = _rows("sft_waypoints", plan.sft_waypoints, active, waypoints.shape)
        self._add("delta", active, None if before_correction is None else plan_distance(waypoints, before_correction)[0])
        due_s = (decision.after.facts.tick - decision.before.facts.tick) * TICK_S
        if active.any() and due_s[active].max() > waypoints.shape[1] * WAYPOINT_S + 1e-9:
            raise ValueError(f"a plan of {waypoints.shape[1]} waypoints is shorter than a decision of {due_s[active].max():.2f} s")
        longitudinal, lateral = tracking_error(waypoints, due_s, poses(decision.before.ego), poses(decision.after.ego))
        self._add("longitudinal", active, longitudinal)
        self._add("lateral", active, lateral)

    def _add_comfort(self, decision: Decision) -> None:
        before, after = decision.before, decision.after
        elapsed_s = np.maximum(after.facts.tick - before.facts.tick, 1) * TICK_S
        jerk = np.abs(after.ego.acceleration - before.ego.acceleration) / elapsed_s
        accel = np.abs(after.ego.acceleration)
        lateral = np.abs(after.ego.speed * after.ego.yaw_rate)
        for name, values in (("accel", accel), ("jerk", jerk), ("lateral_accel", lateral)):
            largest = self._largest[name]
            largest[decision.active] = np.maximum(largest, values)[decision.active]

    def _mean(self, name: str, env: int) -> float | None:
        total = float(self._sum[name][env])
        return None if np.isnan(total) else total / int(self._decisions[env])

    def _finish(self, decision: Decision, env: int) -> EpisodeResult:
        episode = decision.episodes[env]
        if episode is None:
            raise ValueError(f"env {env} ended an episode that it was not driving")
        facts, ego, events = decision.after.facts, decision.after.ego, decision.events[env]
        ending = Ending(int(decision.after.ending[env]))
        counts = _counts(facts.infractions[env], events, episode)
        # a completed route counts as 100 %, as the leaderboard's criterion sets it in the last metres
        completion = 1.0 if ending is Ending.COMPLETED else float(facts.route_completion[env])
        shares = tuple(event.value for event in events if event.kind is Infraction.MIN_SPEED)
        drive = Drive(completion, counts, float(facts.outside_share[env]), shares)
        score = self._score.score(drive)
        total_return = float(self._sum["return"][env])
        return EpisodeResult(
            scenario_id=episode.scenario.scenario_id,
            success=is_success(ending, counts),
            ade=self._mean("ade", env),
            fde=self._mean("fde", env),
            route_completion=completion,
            collisions=sum(counts[kind] for kind in COLLISIONS),
            offroad=counts[Infraction.OUTSIDE_ROUTE_LANES],
            red_light=counts[Infraction.RED_LIGHT],
            stop_sign=counts[Infraction.STOP_SIGN],
            episode_return=None if np.isnan(total_return) else total_return,
            steps=int(self._decisions[env]),
            final_dist=float(np.hypot(ego.x[env] - episode.route.x[-1], ego.y[env] - episode.route.y[-1])),
            comfort=Comfort(
                max_accel=float(self._largest["accel"][env]),
                max_jerk=float(self._largest["jerk"][env]),
                max_lateral_accel=float(self._largest["lateral_accel"][env]),
            ),
            raw=self._raw(env, drive),
            episode_id=episode.episode_id,
            repetition=episode.repetition,
            seed=episode.seed,
            town=episode.scenario.town,
            simulator=self._simulator,
            ending=ending,
            status=status(ending, sum(counts.values())),
            score=self._score.name,
            driving_score=score.score_composed,
            score_penalty=score.score_penalty,
            infractions=tuple(_record(event) for event in events),
            duration_s=int(facts.tick[env]) * TICK_S,
            driven_m=float(facts.driven[env]),
            route_length_m=float(facts.route_length[env]),
            start_m=episode.start_m,
            scripted=_scripted(episode),
            skipped=episode.skipped,
        )

    def _raw(self, env: int, drive: Drive) -> Raw:
        return Raw(
            counts={kind: n for kind, n in drive.counts.items() if n},
            outside_share=drive.outside_share,
            min_speed_shares=drive.min_speed_shares,
            tracking_lateral_m=self._mean("lateral", env),
            tracking_longitudinal_m=self._mean("longitudinal", env),
            delta_m=self._mean("delta", env),
        )


def _scripted(episode: Episode) -> tuple[str, ...]:
    """Types of the scripted actors that are there, each once."""
    return tuple(sorted({actor.type for actor in episode.scenario.actors if (actor.name or actor.type) not in episode.skipped}))


@numba.njit(cache=True)
def plan_distance(a: NDArray[np.float64], b: NDArray[np.float64]) -> tuple[Column, Column]:
    """Distances between two plans (N, H, 2) in m: the mean over the waypoints and that of the last one, each (N,)."""
    n, h, _ = a.shape
    mean, final = np.empty(n), np.empty(n)
    for i in range(n):
        total = 0.0
        distance = 0.0
        for j in range(h):
            distance = np.sqrt((a[i, j, 0] - b[i, j, 0]) ** 2 + (a[i, j, 1] - b[i, j, 1]) ** 2)
            total += distance
        mean[i] = total / h
        final[i] = distance
    return mean, final


@numba.njit(cache=True)
def tracking_error(
    waypoints: NDArray[np.float64], due_s: Column, before: NDArray[np.float64], after: NDArray[np.float64]
) -> tuple[Column, Column]:
    """How far the ego got from where its plan wanted it, in the ego frame of the plan: |longitudinal| and |lateral| in m, each (N,).

    `waypoints` (N, H, 2); `due_s` (N,) s since the plan was made; `before` and `after` (N, 3) are poses x, y, yaw in the map frame.
    Between two waypoints (the first follows the ego's own place) the plan is a straight line driven at constant speed.
    """
    n, h, _ = waypoints.shape
    longitudinal, lateral = np.empty(n), np.empty(n)
    for i in range(n):
        due = due_s[i] / WAYPOINT_S
        k = min(int(due), h - 1)
        part = due - k
        px = waypoints[i, k - 1, 0] if k > 0 else 0.0
        py = waypoints[i, k - 1, 1] if k > 0 else 0.0
        px += (waypoints[i, k, 0] - px) * part
        py += (waypoints[i, k, 1] - py) * part
        x, y = to_local(after[i, 0], after[i, 1], before[i, 0], before[i, 1], before[i, 2])
        longitudinal[i] = abs(x - px)
        lateral[i] = abs(y - py)
    return longitudinal, lateral


def _rows(name: str, values: NDArray[np.floating] | None, active: NDArray[np.bool_], shape: tuple[int, ...]) -> NDArray[np.float64] | None:
    """`values` as contiguous float64, checked where envs are active; None stays None."""
    if values is None:
        return None
    if values.shape != shape:
        raise ValueError(f"{name} has shape {values.shape}, expected {shape}")
    if not np.isfinite(values[active]).all():
        raise ValueError(f"{name} holds a value that is not a finite number")
    return np.ascontiguousarray(values, np.float64)


def _counts(row: NDArray[np.int64], events: tuple[Event, ...], episode: Episode) -> dict[Infraction, int]:
    """The counts of one env, which must be those of its events: two accounts of one drive that differ are a defect of the simulator.

    Where there were more than are told one by one the counts may say more.
    """
    counts = {kind: int(row[kind]) for kind in Infraction}
    told = {kind: sum(event.kind is kind for event in events) for kind in Infraction}
    more = sum(counts.values()) > MAX_EVENTS - RARE_EVENTS
    if kinds := [kind for kind in Infraction if told[kind] > counts[kind] or (told[kind] < counts[kind] and not more)]:
        differ = ", ".join(f"{kind.name} {counts[kind]} in the facts, {told[kind]} events" for kind in kinds)
        raise ValueError(f"episode {episode.episode_id}: the simulator contradicts itself: {differ}")
    return counts


def _record(event: Event) -> InfractionRecord:
    return InfractionRecord(
        kind=event.kind,
        time_s=event.tick * TICK_S,
        x=event.x,
        y=event.y,
        other=event.other,
        value=event.value,
    )
