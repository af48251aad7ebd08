"""Many cars under the client's own Traffic Manager for long: `python -m carla_rl.carla_sim.soak PORT VEHICLES TICKS SEED` prints JSON.

What is told: how fast they are, how many stand for long, who leaves the road, who goes over a line at red, who is hit, and a digest of all
poses, which is the same for the same seed on a server that is deterministic. Any server of CARLA's protocol will do.
"""

import hashlib
import json
import math
import sys
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from carla_rl.carla_sim.loops import STEP_S, TIMEOUT_S, managed

LOOK_TICKS = 20
"""Every so many ticks it is looked whether the cars are on the road."""
BESIDE_M = 1.0
"""A car whose centre is so far out of its lane has left the road."""
LATE_S = 1.0
"""Who goes over a line when its light has been red for no longer could not stop."""
STANDS_S = 120.0
"""A car that does not move for so long is stuck: longer than a cycle of lights."""
MOVES_MPS = 0.1


class Lines:
    """The lines of all lights, and which cars go over one at red."""

    def __init__(self, world: Any) -> None:
        self.lights = list(world.get_actors().filter("traffic.traffic_light*"))
        rows = []
        for light, actor in enumerate(self.lights):
            for stop in actor.get_stop_waypoints():
                place, ahead = stop.transform.location, stop.transform.get_forward_vector()
                rows.append((place.x, place.y, ahead.x, ahead.y, stop.lane_width / 2.0, light))
        self.rows = np.array(rows).reshape(-1, 6)
        self.red_s = np.zeros(len(self.lights))
        self.before: NDArray[np.float64] | None = None

    def crossed_at_red(self, poses: NDArray[np.float64], half_length: NDArray[np.float64], red: Any) -> int:
        """How many cars have gone over a line since the last call; (N, 3) x, y, yaw in degrees of all."""
        is_red = np.array([actor.get_state() == red for actor in self.lights], bool)
        self.red_s = np.where(is_red, self.red_s + STEP_S, 0.0)
        yaw = np.radians(poses[:, 2])
        front = poses[:, :2] + half_length[:, None] * np.stack([np.cos(yaw), np.sin(yaw)], 1)
        x, y, cos, sin, half, light = self.rows.T
        dx, dy = front[:, 0, None] - x, front[:, 1, None] - y
        along, aside = dx * cos + dy * sin, dy * cos - dx * sin
        before, self.before = self.before, along
        if before is None or not len(self.rows):
            return 0
        same_way = np.cos(yaw)[:, None] * cos + np.sin(yaw)[:, None] * sin > math.cos(0.6)
        late = self.red_s[light.astype(int)] > LATE_S
        return int(((before < 0.0) & (along >= 0.0) & (along - before < 5.0) & (np.abs(aside) <= half) & same_way & late).any(1).sum())


def main(port: int, vehicles: int, ticks: int, seed: int) -> None:
    """Drive, and print what was seen."""
    import carla

    client = carla.Client("127.0.0.1", port)
    client.set_timeout(TIMEOUT_S)
    world = client.reload_world()
    cars, run = managed(vehicles, client, world, seed)
    town, lines = world.get_map(), Lines(world)
    half = np.array([car.bounding_box.extent.x for car in cars])
    library, hits = world.get_blueprint_library(), [0]
    feelers = [world.spawn_actor(library.find("sensor.other.collision"), carla.Transform(), attach_to=car) for car in cars]
    for feeler in feelers:
        feeler.listen(lambda event: hits.__setitem__(0, hits[0] + 1))
    digest, stood, stuck, speeds = hashlib.sha256(), np.zeros(len(cars)), np.zeros(len(cars), bool), 0.0
    off, over, looks, began = 0, 0, 0, time.perf_counter()
    for tick in range(ticks):
        run(1)
        poses = np.array([_pose(car) for car in cars])
        digest.update(poses.astype("<f4").tobytes())
        speed = np.array([car.get_velocity().length() for car in cars])
        speeds += float(speed.mean())
        stood = np.where(speed < MOVES_MPS, stood + STEP_S, 0.0)
        stuck |= stood > STANDS_S
        over += lines.crossed_at_red(poses, half, carla.TrafficLightState.Red)
        if tick % LOOK_TICKS == 0:
            looks += len(cars)
            off += sum(_off_road(town, car) for car in cars)
    took = time.perf_counter() - began
    for feeler in feelers:
        feeler.destroy()
    found = {
        "vehicles": len(cars),
        "ticks": ticks,
        "seed": seed,
        "seconds": took,
        "ticks_per_s": ticks / took,
        "mean_speed_mps": speeds / ticks,
        "off_road_share": off / looks,
        "over_red": over,
        "stuck": int(stuck.sum()),
        "hits": hits[0],
        "digest": digest.hexdigest()[:16],
    }
    print(json.dumps(found), flush=True)


def _pose(car: Any) -> tuple[float, float, float]:
    pose = car.get_transform()
    return pose.location.x, pose.location.y, pose.rotation.yaw


def _off_road(town: Any, car: Any) -> bool:
    place = car.get_location()
    lane = town.get_waypoint(place)
    return bool(lane.transform.location.distance(place) > lane.lane_width / 2.0 + BESIDE_M)


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:5]))
