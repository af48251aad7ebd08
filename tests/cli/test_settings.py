import json
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from carla_rl.cli.app import app
from carla_rl.errors import UsageError
from carla_rl.train import TrainConfig

LAUNCH = Path(__file__).parents[2] / "launch"


def test_what_is_printed_is_the_default_configuration():
    printed = CliRunner().invoke(app, ["settings"])
    assert printed.exit_code == 0
    assert TrainConfig.checked(tomllib.loads(printed.stdout), "printed") == TrainConfig()
    assert "# nats: the KL of an update at which an adaptive learning rate stays as it is; > 0\nlr_kl = 0.01" in printed.stdout
    assert "\n# value_clip = (none)\n" in printed.stdout
    assert "[ppo]" in printed.stdout
    assert '# form = "roach"' in printed.stdout


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("[ppo]\nentropy_coef = 0.01", "ppo.entropy_coef: 0.01 does nothing to a sigma on a schedule; leave it out, or write delta.sigma"),
        ("[ppo]\nlog_std_start = -1.5\n[delta]\nsigma = 'global'", "ppo.log_std_start: -1.5 does nothing to a learned sigma .* 'global'"),
        ("[ppo]\nlog_std_end = -1.5\n[delta]\nsigma = 'state'", "ppo.log_std_end: -1.5 does nothing to a learned sigma .* 'state'"),
        ("mid_route = 0\n[curriculum]\ntrigger_share = 0.8", "curriculum.trigger_share: 0.8 is a share of the mid-route starts"),
    ],
)
def test_what_would_do_nothing_is_refused_in_one_sentence(given, sentence):
    with pytest.raises(UsageError, match=f"train.toml: .*{sentence}"):
        TrainConfig.checked(tomllib.loads(given), "train.toml")


@pytest.mark.parametrize("sigma", ["global", "state"])
def test_the_printed_settings_can_be_edited_and_a_run_reads_its_own_again(sigma):
    printed = CliRunner().invoke(app, ["settings"]).stdout.replace('sigma = "schedule"', f'sigma = "{sigma}"')
    config = TrainConfig.checked(tomllib.loads(printed.replace("entropy_coef = 0.0", "entropy_coef = 0.01")), "train.toml")
    assert (config.delta.sigma, config.ppo.entropy_coef) == (sigma, 0.01)
    assert TrainConfig.checked(config.model_dump(mode="json"), "config.json") == config


@pytest.mark.parametrize("path", sorted(LAUNCH.glob("*.toml")), ids=lambda path: path.name)
def test_the_shipped_settings_are_accepted(path):
    TrainConfig.checked(tomllib.loads(path.read_text()), path)


def test_the_schema_for_machines():
    schema = json.loads(CliRunner().invoke(app, ["settings", "--json"]).stdout)
    assert "kl_to_sft" in schema["$defs"]["PPOConfig"]["properties"]
