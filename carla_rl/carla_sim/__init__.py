"""Everything that knows CARLA: its map engine, its client, its frames. The only package that imports `carla`.

CARLA's frame is left-handed (x east, y south, yaw clockwise in degrees), ours right-handed; the turn between them is made here and
nowhere else.
"""
