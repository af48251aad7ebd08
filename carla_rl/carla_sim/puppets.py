"""The actors of scripts on the server. They have no motor: each tick they are put where the script has them. Knows no script.

What happens to be in their way stops the script's actor, not the puppet; a puppet takes no part in physics but can be run into.
"""

import carla

from carla_rl.carla_sim import frame
from carla_rl.carla_sim.blueprints import WALKER_M, body_of
from carla_rl.carla_sim.messages import Orders
from carla_rl.carla_sim.remote import WorldLost

BENCH_M = 60.0
"""Puppets are spawned so far above their place, where nobody is in the way, and brought down at once."""
STEP_M = 5.0


class Puppets:
    """By slot of the script's actor."""

    def __init__(self, client: "carla.Client", world: "carla.World") -> None:
        self._client, self._world = client, world
        self._actors: dict[int, int] = {}
        self._slots: dict[int, int] = {}
        self._turns: dict[int, float] = {}
        """By slot: rad by which a stand-in is turned against what it stands in for."""
        self._walkers: set[int] = set()

    def slot_of(self, actor: int) -> int | None:
        """Whose actor this is."""
        return self._slots.get(actor)

    def move(self, orders: Orders) -> None:
        """Let puppets go, come and move.

        Raises:
            WorldLost: one could not be spawned.
            Refused: the server lacks a blueprint.
        """
        if orders.go:
            self._client.apply_batch_sync([carla.command.DestroyActor(self._forget(slot)) for slot in orders.go], False)
        for number, (slot, model, x, y, z, yaw) in enumerate(orders.come):
            self._spawn(slot, model, (x, y, z + BENCH_M + STEP_M * number, yaw))
        places = [(slot, x, y, z, yaw, 0.0) for slot, _, x, y, z, yaw in orders.come]
        batch = [command for place in (*places, *orders.puppets.tolist()) for command in self._places(*place)]
        if batch:
            self._client.apply_batch(batch)

    def clear(self) -> list[int]:
        """Forget all; their actors, which are to be destroyed."""
        gone = list(self._actors.values())
        self._actors, self._slots, self._turns = {}, {}, {}
        self._walkers.clear()
        return gone

    def _forget(self, slot: int) -> int:
        actor = self._actors.pop(slot)
        del self._slots[actor], self._turns[slot]
        self._walkers.discard(slot)
        return actor

    def _spawn(self, slot: int, model: str, pose: frame.Pose) -> None:
        blueprint, turn = body_of(self._world, model, slot)
        actor = self._world.try_spawn_actor(blueprint, frame.transform(*pose))
        if actor is None:
            raise WorldLost(f"{blueprint.id} of a script could not be spawned", server=False)
        walks = blueprint.id.startswith("walker.")
        if not walks:
            actor.set_simulate_physics(False)
        if blueprint.has_attribute("special_type") and blueprint.get_attribute("special_type").as_str() == "emergency":
            actor.set_light_state(carla.VehicleLightState(carla.VehicleLightState.Special1 | carla.VehicleLightState.Special2))
        self._actors[slot], self._slots[actor.id], self._turns[slot] = actor.id, slot, turn
        if walks:
            self._walkers.add(slot)

    def _places(self, slot: float, x: float, y: float, z: float, yaw: float, speed: float) -> list["carla.command"]:
        """The commands that put a puppet somewhere."""
        number = int(slot)
        actor = self._actors[number]
        if number in self._walkers:
            return [carla.command.ApplyWalkerState(actor, frame.transform(x, y, z + WALKER_M, yaw), speed)]
        placed = frame.transform(x, y, z, yaw + self._turns[number])
        return [carla.command.ApplyTransform(actor, placed), carla.command.ApplyTargetVelocity(actor, frame.velocity(speed, yaw))]
