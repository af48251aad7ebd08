"""`carla_rl/Toy-v0` as one environment: a batch of one world."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from carla_rl.gym.batch import Batch, scenario_of
from carla_rl.gym.config import SOURCE, EnvConfig
from carla_rl.gym.picture import BirdView
from carla_rl.gym.spaces import row
from carla_rl.types import TICK_S

_ONE = np.zeros(1, np.int64)


class ToyEnv(gymnasium.Env[Any, NDArray[np.float32]]):
    """One toy world with one ego. Its arguments are the fields of `EnvConfig`.

    `terminated` says that the drive is over, `truncated` that the time limit cut it off: only then is there a future to bootstrap from.
    """

    # a class attribute, as Gymnasium reads it before it makes one
    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 5}  # noqa: RUF012

    def __init__(self, **arguments: Any) -> None:
        """Build the world; nothing is driven yet.

        Raises:
            UsageError: an argument that there is not, or with a value that does not do.
        """
        config = EnvConfig.checked(arguments, SOURCE)
        self._batch = Batch(1, config)
        self._ended = True
        self._bird = BirdView() if config.render_mode else None
        self.render_mode = config.render_mode
        self.metadata = {**type(self).metadata, "render_fps": 1.0 / (config.decision_ticks * TICK_S)}
        self.observation_space = self._batch.view.space
        self.action_space: spaces.Space[Any] = self._batch.driving.space

    @property
    def scenario_ids(self) -> tuple[str, ...]:
        """All scenarios of the suite, for `reset(options={"scenario_id": ...})`."""
        return self._batch.draws.scenario_ids

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start the next episode. A seed begins the stream of episodes anew: everything that follows depends on it and the actions.

        `options={"scenario_id": ...}` drives that scenario as `carla-rl evaluate` does.

        Raises:
            UsageError: an unknown option or scenario.
        """
        scenario_id = scenario_of(options)
        super().reset(seed=seed)
        if seed is not None or not self._batch.draws.seeded(0):
            self._batch.draws.seed(0, self.np_random)
        self._batch.start(_ONE, scenario_id)
        self._ended = False
        return row(self._batch.observe(), 0), self._batch.info(0)

    def step(self, action: NDArray[np.float32]) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Drive one decision.

        Raises:
            gymnasium.error.ResetNeeded: the episode is over.
            ValueError: an action of another shape than the space's, or not a finite number.
        """
        if self._ended:
            raise gymnasium.error.ResetNeeded("the episode is over; call reset() before the next step()")
        outcome = self._batch.advance(np.asarray(action)[None], np.ones(1, np.bool_))
        self._ended = bool(outcome.ended[0])
        info = self._batch.info(0) | (self._batch.result(0) if self._ended else {})
        seen = row(self._batch.observe(), 0)
        return seen, float(outcome.reward[0]), bool(outcome.terminated[0]), bool(outcome.truncated[0]), info

    def render(self) -> NDArray[np.uint8] | None:
        """The bird's-eye view (512, 512, 3) RGB; None without a render mode."""
        return None if self._bird is None else self._bird.draw(self._batch, range(1))[0]

    def close(self) -> None:
        """Free the world; safe to call twice."""
        self._batch.simulator.close()
