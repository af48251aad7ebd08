import jsonschema
import pytest

from carla_rl.schemas import NAMES, load_schema


@pytest.mark.parametrize("name", NAMES)
def test_schemas_are_schemas(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(load_schema(name))


REFUSED = {
    "episode": ({"episode_id": "a", "domain": "driving", "frames": []}, {"episode_id": "a", "domain": "driving", "frames": [{"t": 0}]}),
    "metrics": ({"run_id": "a", "domain": "driving"}, {"run_id": "a", "domain": "driving", "scenarios": [{"scenario_id": "b"}]}),
    "training_metrics": ({"run_id": "a"},),
    "train_metrics": ({}, {"run_id": "a"}, {"epochs": [{"epoch": 1}]}),
    "correlation": ({}, {"simulator": "toy", "suite": "a", "score": "b", "episodes": 2, "points": [{}]}),
}
ACCEPTED = {
    "episode": {"episode_id": "a", "domain": "driving", "frames": [{"t": 0, "observations": {}}], "more": 1},
    "metrics": {"run_id": "a", "domain": "driving", "scenarios": [{"scenario_id": "b", "success": True, "more": 1}]},
    "training_metrics": dict.fromkeys(("avg_reward", "std_reward", "avg_ade", "avg_fde", "best_reward"))
    | {"run_id": "a", "total_episodes": 0},
    "train_metrics": {"run_id": "a", "updates": [{"update": 1, "approx_kl": 0.01}]},
    "correlation": {"simulator": "toy", "suite": "a", "score": "b", "episodes": 2, "points": [], "correlations": [], "disagreements": []},
}


@pytest.mark.parametrize("name", NAMES)
def test_the_contracts_least_is_accepted_and_less_is_not(name: str) -> None:
    jsonschema.validate(ACCEPTED[name], load_schema(name))
    for data in REFUSED[name]:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(data, load_schema(name))
