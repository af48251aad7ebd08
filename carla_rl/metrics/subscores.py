"""nuPlan's and NAVSIM's scores for a whole drive, as far as our facts go. Each term is 0..1, each score 0..100.

    CLS   = collisions * area * direction * progressing * (5 progress + 5 ttc + 4 speed + 2 comfort) / 16
    PDMS  = collisions * area * (5 progress + 5 ttc + 2 comfort) / 12
    EPDMS = collisions * area * direction * lights * (5 progress + 5 ttc + 2 lane + 2 comfort) / 14

They are *like* nuPlan's and NAVSIM's, not theirs: NAVSIM simulates four seconds from recorded frames and nuPlan fifteen, here it is the
drive from start to end. What differs term by term:

* collisions: 0 with a vehicle, a bicycle or a pedestrian, or more than one static object; 0.5 with one. Collisions are the leaderboard's,
  which leaves out those with a standing ego; nuPlan also leaves out being hit from behind.
* area: 0 where the ego left the route's lanes, which the wrong lane does, too; nuPlan and NAVSIM judge the drivable area.
* direction: 0.5 where the ego ever drove 2 m against the direction of its lane within 1 s, 0 where it drove 6 m; on the route's own lanes
  and the oncoming ones beside them, other lanes are not judged. As there, overtaking by the oncoming lane costs. See `motion.against`.
* progress: route completion; theirs is a share of what the expert, or PDM-Closed, drove in the time. progressing: at least 0.2 of it.
* ttc: 0 where the time to collision was ever below 0.95 s; see `collision_time`.
* speed: 1 - mean excess over 2.23 m/s. comfort: 1 within all bounds all the time; see `comfort`.
* lane: 0 where the ego was off the route's line by more than 0.5 m for 2 s in one piece; NAVSIM leaves junctions out.
* lights: 0 with a red light run.

Missing, and left out of products and weights: `MISSING`. Nor is there NAVSIM's filter by what the human driver did. A drive whose step log
has no lanes (older ones) has no direction, and so neither a CLS nor an EPDMS. Pure functions.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from carla_rl.metrics.result import EpisodeResult, Motion
from carla_rl.types import Infraction

LEAST_PROGRESS = 0.2
OVERSPEED_MPS = 2.23
OFF_LANE_S = 2.0
AGAINST_M = 2.0
"""Driven within a second against the direction of the lane: from here on it costs half,"""
FAR_AGAINST_M = 6.0
"""and from here on everything."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What the scores are made of, each 0..1."""

    collisions: float
    area: float
    direction: float | None
    """None where the step log has no lanes."""
    lights: float
    progressing: float
    progress: float
    ttc: float
    speed: float
    lane: float
    comfort: float


def terms(result: EpisodeResult) -> Terms | None:
    """The terms of one drive; None where its motion was not measured (no step log)."""
    motion = result.motion
    if motion is None or not motion.chunks:
        return None
    return Terms(
        collisions=_collisions(result),
        area=float(result.offroad == 0),
        direction=_direction(motion.against_m),
        lights=float(result.red_light == 0),
        progressing=float(result.route_completion >= LEAST_PROGRESS),
        progress=result.route_completion,
        ttc=float(motion.ttc_short_share == 0.0),
        speed=max(0.0, 1.0 - motion.overspeed_mps / OVERSPEED_MPS),
        lane=float(motion.off_centre_s < OFF_LANE_S),
        comfort=_comfort(motion),
    )


def nuplan_cls(found: Terms) -> float | None:
    """0..100, nuPlan's closed-loop score; None without the direction."""
    if found.direction is None:
        return None
    weighted = 5.0 * found.progress + 5.0 * found.ttc + 4.0 * found.speed + 2.0 * found.comfort
    return 100.0 * found.collisions * found.area * found.direction * found.progressing * weighted / 16.0


def navsim_pdms(found: Terms) -> float:
    """0..100, NAVSIM v1's PDMS."""
    return 100.0 * found.collisions * found.area * (5.0 * found.progress + 5.0 * found.ttc + 2.0 * found.comfort) / 12.0


def navsim_epdms(found: Terms) -> float | None:
    """0..100, NAVSIM v2's EPDMS without `MISSING`; None without the direction."""
    if found.direction is None:
        return None
    weighted = 5.0 * found.progress + 5.0 * found.ttc + 2.0 * found.lane + 2.0 * found.comfort
    return 100.0 * found.collisions * found.area * found.direction * found.lights * weighted / 14.0


DIRECTION = "driving_direction_compliance"
EXTENDED_COMFORT = "two_frame_extended_comfort"
NEEDS_DIRECTION = ("nuplan_cls", "navsim_epdms")
"""The scores that are a product with the direction."""

MISSING: Mapping[str, tuple[str, ...]] = {"navsim_epdms": (EXTENDED_COMFORT,)}
"""By score: terms that no drive's facts give."""

WHY: Mapping[str, str] = {
    DIRECTION: "the step logs of this run do not say where the lanes are (they are older); drive it again",
    EXTENDED_COMFORT: "NAVSIM compares the acceleration, jerk, yaw rate and yaw acceleration of two plans of 4 s, 0.5 s apart, each after "
    "an LQR controller and a bicycle model drove it; here plans are shorter, one a decision, and nothing drives the rest of them",
}
"""By term: why it is missing."""

SCORES: Mapping[str, Callable[[Terms], float | None]] = {"nuplan_cls": nuplan_cls, "navsim_pdms": navsim_pdms, "navsim_epdms": navsim_epdms}


def _collisions(result: EpisodeResult) -> float:
    counts = result.raw.counts
    if counts.get(Infraction.COLLISION_VEHICLE, 0) or counts.get(Infraction.COLLISION_PEDESTRIAN, 0):
        return 0.0
    return {0: 1.0, 1: 0.5}.get(counts.get(Infraction.COLLISION_STATIC, 0), 0.0)


def _direction(against_m: float | None) -> float | None:
    if against_m is None:
        return None
    return 1.0 if against_m < AGAINST_M else 0.5 if against_m < FAR_AGAINST_M else 0.0


def _comfort(motion: Motion) -> float:
    return float(not any(motion.comfort_outside.values()))
