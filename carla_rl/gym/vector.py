"""`carla_rl/Toy-v0` as a vector environment: one batch of N worlds, advanced together by the compiled kernels.

Env i behaves bit for bit as the single environment that was reset with the i-th seed, whatever N and whatever the others do. An env whose
episode ended is reset without being asked, in one of Gymnasium's two ways (`metadata["autoreset_mode"]`):

* `NextStep` (default, as Gymnasium's own): the step that ends an episode returns its terminal observation; the next step ignores the
  env's action, resets it, and returns its first observation with reward 0 and neither flag. All envs are observed once a step.
* `SameStep`: the step that ends an episode returns the first observation of the next one; the terminal observation and info are
  `info["final_obs"]` and `info["final_info"]`. No step is lost, but all envs are observed twice whenever one has ended.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from carla_rl.errors import UsageError
from carla_rl.gym.batch import Batch, scenario_of
from carla_rl.gym.config import SOURCE, EnvConfig
from carla_rl.gym.picture import BirdView
from carla_rl.gym.spaces import row
from carla_rl.types import TICK_S, Bools

Stepped = tuple[Any, NDArray[np.float64], Bools, Bools, dict[str, Any]]

_OFFERED = (AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP)


class ToyVectorEnv(VectorEnv[Any, NDArray[np.float32], NDArray[Any]]):
    """N toy worlds with one ego each. Arguments: `autoreset_mode`, and the fields of `EnvConfig`."""

    # a class attribute, as Gymnasium reads it before it makes one
    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 5, "autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012

    def __init__(self, num_envs: int = 1, *, autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP, **arguments: Any) -> None:
        """Build the worlds; nothing is driven yet.

        Raises:
            UsageError: no envs, an argument that there is not, or with a value that does not do.
        """
        # there is nothing to free until all is built, however this ends
        self.closed = True
        mode = _mode(autoreset_mode)
        config = EnvConfig.checked(arguments, SOURCE)
        self._batch = Batch(num_envs, config)
        self._same_step = mode is AutoresetMode.SAME_STEP
        self._ended: Bools = np.zeros(num_envs, np.bool_)
        self._bird = BirdView() if config.render_mode else None
        self.num_envs = num_envs
        self.render_mode = config.render_mode
        self.metadata = {
            **type(self).metadata,
            "render_fps": 1.0 / (config.decision_ticks * TICK_S),
            "autoreset_mode": mode,
        }
        self.single_observation_space = self._batch.view.space
        self.single_action_space = self._batch.driving.space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.closed = False

    @property
    def scenario_ids(self) -> tuple[str, ...]:
        """All scenarios of the suite, for `reset(options={"scenario_id": ...})`."""
        return self._batch.draws.scenario_ids

    def reset(self, *, seed: int | Sequence[int] | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:  # type: ignore[override,unused-ignore]
        """Reset all envs. Seed s gives env i the seed s + i, as in Gymnasium's own vector environments; a list gives each its own.

        `options={"scenario_id": ...}` lets all envs drive that scenario as `carla-rl evaluate` does; later episodes are drawn again.

        Raises:
            UsageError: an unknown option or scenario, or a list of another length.
        """
        scenario_id = scenario_of(options)
        self._seed(seed)
        self._ended = np.zeros(self.num_envs, np.bool_)
        self._batch.start(np.arange(self.num_envs), scenario_id)
        return self._batch.observe(), self._batch.infos()

    def step(self, actions: NDArray[np.float32]) -> Stepped:
        """Drive one decision of all envs; see the module on what happens to those that end.

        Raises:
            ValueError: actions of another shape than the space's, or not finite numbers.
        """
        return self._step_same(actions) if self._same_step else self._step_next(actions)

    def render(self) -> tuple[NDArray[np.uint8], ...] | None:
        """The bird's-eye view (512, 512, 3) RGB of each env; None without a render mode."""
        return None if self._bird is None else tuple(self._bird.draw(self._batch, range(self.num_envs)))

    def close_extras(self, **_: Any) -> None:
        """Free the worlds."""
        self._batch.simulator.close()

    def _step_next(self, actions: NDArray[np.float32]) -> Stepped:
        batch, waiting = self._batch, self._ended
        outcome = batch.advance(actions, ~waiting)
        if waiting.any():
            # after the tick, which a fresh world must not take part in
            batch.start(np.flatnonzero(waiting))
        infos = batch.infos()
        self._ended = outcome.ended
        for env in np.flatnonzero(self._ended):
            infos = self._add_info(infos, batch.result(int(env)), int(env))
        return batch.observe(), outcome.reward, outcome.terminated, outcome.truncated, infos

    def _step_same(self, actions: NDArray[np.float32]) -> Stepped:
        batch = self._batch
        outcome = batch.advance(actions, np.ones(self.num_envs, np.bool_))
        final: dict[str, Any] = {}
        seen, ended = batch.observe(), np.flatnonzero(outcome.ended)
        if len(ended):
            for env in ended.tolist():
                last = {"final_obs": row(seen, env), "final_info": batch.info(env) | batch.result(env)}
                final = self._add_info(final, last, env)
            batch.start(ended)
            seen = batch.observe()
        return seen, outcome.reward, outcome.terminated, outcome.truncated, {**final, **batch.infos()}

    def _seed(self, seed: int | Sequence[int] | None) -> None:
        if seed is None:
            if not self._batch.draws.seeded(0):
                self._batch.seed([int(value) for value in self.np_random.integers(2**31, size=self.num_envs)])
            return
        if isinstance(seed, int | np.integer):
            super().reset(seed=int(seed))
            seed = [int(seed) + env for env in range(self.num_envs)]
        if len(seed) != self.num_envs:
            raise UsageError(f"{SOURCE}: seed is a list of {len(seed)} for {self.num_envs} envs; give one seed, or one for each env")
        self._batch.seed(seed)


def _mode(value: AutoresetMode | str) -> AutoresetMode:
    """Gymnasium's member of that name or value."""
    for mode in _OFFERED:
        if value in (mode, mode.value):
            return mode
    raise UsageError(f"{SOURCE}: autoreset_mode is {value!r}; write {' or '.join(repr(mode.value) for mode in _OFFERED)}")
