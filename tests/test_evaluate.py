"""The evaluation against a world without roads: every episode is measured once, and no policy remembers the episode before."""

import numpy as np
from metrics.drives import Cruise, LineSimulator, StraightPolicy, episode

from carla_rl.evaluate import Parts, drive
from carla_rl.types import Bools


class Remembering(StraightPolicy):
    """Counts the episodes that it was told of."""

    def __init__(self) -> None:
        super().__init__()
        self.started = 0

    def reset(self, envs: Bools) -> None:
        self.started += int(np.count_nonzero(envs))


def test_policy_and_reference_forget_at_every_start_of_an_episode() -> None:
    policy, reference = Remembering(), Remembering()
    episodes = [episode(f"line/{i}", seed=i) for i in range(5)]
    results = list(drive(Parts(LineSimulator(2), policy, Cruise(), reference, 4), episodes))
    assert sorted(result.scenario_id for result in results) == [f"line/{i}" for i in range(5)]
    assert (policy.started, reference.started) == (5, 5)
    assert all(result.ade == 0.0 for result in results)
