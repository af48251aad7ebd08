"""CARLA servers: started, probed, watched, replaced and ended; and those that somebody else runs.

Never imports `carla` nor a simulator: a server is a process with ports, a log and the answer to the call `version`.
"""
