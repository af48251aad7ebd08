"""What starts at once: the same commands as in the whole command line, without the libraries that only the others need."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from carla_rl.cli.app import app
from carla_rl.cli.entry import QUICK, quick

CHECK = """
import sys
from carla_rl.cli.entry import QUICK, quick
for name in QUICK:
    quick(name)
print([name for name in ("torch", "tensorboard", "gymnasium") if name in sys.modules])
"""


@pytest.mark.parametrize("name", QUICK)
def test_a_quick_command_is_the_same_command(name: str) -> None:
    whole = CliRunner().invoke(app, [name, "--help"], prog_name="carla-rl", env={"COLUMNS": "120"})
    alone = CliRunner().invoke(quick(name), ["--help"], prog_name=f"carla-rl {name}", env={"COLUMNS": "120"})
    assert whole.exit_code == alone.exit_code == 0
    assert alone.output == whole.output


def test_quick_commands_load_no_torch() -> None:
    done = subprocess.run((sys.executable, "-c", CHECK), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr
