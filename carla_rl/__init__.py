"""carla-rl: does a waypoint policy drive, and can a little online RL make it drive better without breaking it?"""

__version__ = "0.1.0"
