"""The methods of the server, a module for each of their groups. A further group is a further module here and a row of MODULES."""

from toy_env.server.methods import actors, batch, episode, lights, maps, recorder, scene, traffic_manager, vehicles, walkers

MODULES = (episode, lights, maps, scene, actors, vehicles, walkers, batch, recorder, traffic_manager)

__all__ = ["MODULES"]
