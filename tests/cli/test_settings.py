import json
import tomllib

from typer.testing import CliRunner

from carla_rl.cli.app import app
from carla_rl.train import TrainConfig


def test_what_is_printed_is_the_default_configuration():
    printed = CliRunner().invoke(app, ["settings"])
    assert printed.exit_code == 0
    assert TrainConfig.checked(tomllib.loads(printed.stdout), "printed") == TrainConfig()
    assert "# nats: the KL of an update at which an adaptive learning rate stays as it is; > 0\nlr_kl = 0.01" in printed.stdout
    assert "\n# value_clip = (none)\n" in printed.stdout
    assert "[ppo]" in printed.stdout
    assert '# form = "roach"' in printed.stdout


def test_the_schema_for_machines():
    schema = json.loads(CliRunner().invoke(app, ["settings", "--json"]).stdout)
    assert "kl_to_sft" in schema["$defs"]["PPOConfig"]["properties"]
