"""PPO on a frozen waypoint policy's correction, from the decisions of a closed loop."""

from carla_rl.ppo.actor_critic import ActorCritic, sampling
from carla_rl.ppo.config import PPOConfig
from carla_rl.ppo.record import UpdateRecord
from carla_rl.ppo.scaling import ReturnMoments
from carla_rl.ppo.trainer import Trainer

__all__ = ["ActorCritic", "PPOConfig", "ReturnMoments", "Trainer", "UpdateRecord", "sampling"]
