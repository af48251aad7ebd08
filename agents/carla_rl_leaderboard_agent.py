"""Drives an agent of carla-rl inside the CARLA leaderboard 2.x or Bench2Drive.

    leaderboard_evaluator.py --agent agents/carla_rl_leaderboard_agent.py --agent-config agents/my_agent.toml ...

The configuration is an agent file (see expert.toml beside this one) with `track` as in `--track`. A policy of cameras gets cameras,
speedometer and IMU and nothing else. A policy that needs the world's truth, such as the expert, gets it from the server: for comparisons,
no entry.
"""

from pathlib import Path

import carla
from leaderboard.autoagents.autonomous_agent import AutonomousAgent, Track
from srunner.scenariomanager.carla_data_provider import CarlaDataProvider

from carla_rl.agent import read_agent
from carla_rl.build import compile_text
from carla_rl.carla_sim.observer import Observer, positions_of
from carla_rl.leaderboard import Driver

HERO = "hero"


def get_entry_point():
    """The name of the class, for the leaderboard."""
    return "CarlaRlLeaderboardAgent"


class CarlaRlLeaderboardAgent(AutonomousAgent):
    """One route; the leaderboard makes another one for the next."""

    def setup(self, path_to_conf_file):
        """Build the agent of the file. Bench2Drive appends `+` and a name to the path."""
        self._driver = Driver(read_agent(Path(path_to_conf_file.partition("+")[0])))
        self._observer = None
        self.track = Track(self._driver.agent.track)
        if self._driver.privileged:
            print("carla-rl: this agent reads the truth of the world; what it drives is no entry of the leaderboard")

    def sensors(self):
        """What the policy declares."""
        return self._driver.sensors()

    def set_global_plan(self, global_plan_gps, global_plan_world_coord):
        """Keep the dense plan beside the sparse one of the base class: a privileged policy sees its lanes."""
        super().set_global_plan(global_plan_gps, global_plan_world_coord)
        self._dense_plan = [place for place, _ in global_plan_world_coord]

    def run_step(self, input_data, timestamp):
        """The control of the next tick."""
        ego, seen = self._driver.measured(input_data)
        if self._driver.privileged:
            if self._observer is None:
                self._observer = self._observe()
            images = seen.images
            ego, seen = self._observer.look(images)
        throttle, steer, brake = self._driver.drive(ego, seen)
        return carla.VehicleControl(throttle=throttle, steer=steer, brake=brake)

    def destroy(self):
        """Forget the route."""
        self._driver = self._observer = None

    def _observe(self):
        town = CarlaDataProvider.get_map()
        network = compile_text(town.name.rpartition("/")[2], town.to_opendrive())
        return Observer(
            CarlaDataProvider.get_world(), CarlaDataProvider.get_hero_actor(), network, positions_of(self._dense_plan), self._driver.needs
        )
