import numpy as np
import pytest
from policy_parts import observations

from carla_rl.errors import UsageError
from carla_rl.policies.external import load_external
from carla_rl.types import Needs, Plan

SOURCE = """
import numpy as np
from carla_rl.types import Needs, Plan

class Straight:
    name = "straight"
    needs = Needs()
    horizon = 20
    def __init__(self, speed=1.0):
        self.speed = speed
    def reset(self, envs):
        pass
    def plan(self, observation):
        waypoints = np.zeros((len(observation), 20, 2), np.float32)
        waypoints[:, :, 0] = self.speed * np.arange(1, 21) / 10
        return Plan(waypoints)

class Vague(Straight):
    needs = None

class Blind(Straight):
    horizon = 0

class Half:
    name = "half"
    def plan(self, observation): ...
"""


@pytest.fixture
def models(tmp_path, monkeypatch):
    (tmp_path / "external_models_under_test.py").write_text(SOURCE)
    (tmp_path / "broken_models_under_test.py").write_text("import a_package_that_is_nowhere\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return "external_models_under_test"


def test_an_external_policy_plans(models):
    policy = load_external(f"{models}:Straight", speed=5.0)
    plan = policy.plan(observations(2))
    assert isinstance(plan, Plan)
    assert policy.needs == Needs()
    np.testing.assert_allclose(plan.waypoints[1, -1], [10.0, 0.0])


def test_what_can_be_wrong(models):
    for spec, message in [
        ("straight", "write it as module:Class"),
        (":Straight", "write it as module:Class"),
        ("no_such_module_here:Straight", "no module named 'no_such_module_here'"),
        ("broken_models_under_test:X", "no module named 'a_package_that_is_nowhere'"),
        (f"{models}:Curve", "has no class Curve"),
        (f"{models}:Half", "lacks needs, horizon, reset"),
        (f"{models}:Vague", "needs must be a .*found NoneType and 20"),
        (f"{models}:Blind", "horizon a whole number above 0 .*found Needs and 0"),
        (".relative:Straight", "write it as module:Class"),
    ]:
        with pytest.raises(UsageError, match=message):
            load_external(spec)
    with pytest.raises(UsageError, match=r"cannot be made with the options \['colour'\]"):
        load_external(f"{models}:Straight", colour=1)
