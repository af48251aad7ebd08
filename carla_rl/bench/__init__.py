"""How fast it is: measurements for `carla-rl bench`, never part of a test. Imports nothing here, so that a peer's process stays light."""
