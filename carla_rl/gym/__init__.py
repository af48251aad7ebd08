"""The toy simulator as Gymnasium environments. Importing this package registers them:

    import gymnasium
    import carla_rl.gym

    env = gymnasium.make("carla_rl/Toy-v0")
    envs = gymnasium.make_vec("carla_rl/Toy-v0", num_envs=64)

Gymnasium 1.x loads no plugins by itself; without the import, write the id as "carla_rl.gym:carla_rl/Toy-v0". The arguments are the fields
of `carla_rl.gym.config.EnvConfig`. Decisions, rewards and measures are those of the rest of the program.
"""

import gymnasium

from carla_rl.gym.config import EnvConfig

__all__ = ["ENV_ID", "EnvConfig"]

ENV_ID = "carla_rl/Toy-v0"

gymnasium.register(ENV_ID, entry_point="carla_rl.gym.env:ToyEnv", vector_entry_point="carla_rl.gym.vector:ToyVectorEnv")
