"""Waypoints in, pedals and wheel out: the control laws of the field and our own."""

from carla_rl.controller.presets import PRESETS
from carla_rl.controller.waypoints import WaypointController, make_controller

__all__ = ["PRESETS", "WaypointController", "make_controller"]
