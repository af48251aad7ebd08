"""The options that several commands share, each written once: one word for one thing throughout."""

from collections.abc import Collection
from pathlib import Path
from typing import Annotated

import typer

from carla_rl.errors import UsageError
from carla_rl.scenario.model import LightCycles

LARGEST_SEED = 2**63 - 1
MOST_ENVS = 65_536

Suite = Annotated[
    str, typer.Option("--suite", metavar="NAME|FILE", help="A shipped suite (see `carla-rl suites`), a suite .toml or a CARLA route .xml.")
]
OptionalSuite = Annotated[
    str | None,
    typer.Option("--suite", metavar="NAME|FILE", help="A shipped suite, a suite .toml or a CARLA route .xml. Required without --resume."),
]
Routes = Annotated[
    str | None,
    typer.Option("--routes", help="Only these routes of the suite: ids, ranges or towns, e.g. [b]0-3,7[/b] or [b]Town01,Town02[/b]."),
]
Simulator = Annotated[str, typer.Option("--simulator", help="What to drive on. Never chosen silently: it is written into every record.")]
OptionalSimulator = Annotated[
    str | None,
    typer.Option(
        "--simulator", help="What to drive on. Never chosen silently: it is written into every record. Required without --resume."
    ),
]
Maps = Annotated[
    list[Path] | None,
    typer.Option(
        "--maps",
        metavar="DIR",
        help="Folder with maps (.xodr, .xodr.gz, compiled .npz); may be repeated. `maps` beside the suite is found.",
    ),
]
SkipUnsupported = Annotated[
    bool,
    typer.Option("--skip-unsupported", help="Leave out scripted scenarios that the simulator cannot play, and list them in the results."),
]
Repetitions = Annotated[int, typer.Option("--repetitions", min=1, max=10_000, help="Drives of each route, each with its own seed.")]
Vehicles = Annotated[
    int | None,
    typer.Option("--vehicles", min=0, max=200, help="So many background vehicles in every scenario, instead of what the suite says."),
]
Pedestrians = Annotated[int | None, typer.Option("--pedestrians", min=0, max=200, help="Likewise.")]
Lights = Annotated[
    LightCycles | None,
    typer.Option("--lights", help="Where the lights' cycles begin: [b]drawn[/b] by the seed, or all [b]together[/b] as on a fresh map."),
]
NumEnvs = Annotated[
    int, typer.Option("--num-envs", min=1, max=MOST_ENVS, help="Worlds simulated at once. Changes the speed, never the results.")
]
DecisionTicks = Annotated[int, typer.Option("--decision-ticks", min=1, max=20, help="Simulator ticks (0.05 s) between two plans.")]
Controller = Annotated[str, typer.Option("--controller", help="Preset of the waypoint controller: default, transfuser, tcp or pdm_lite.")]
Policy = Annotated[
    str | None,
    typer.Option("--policy", metavar="NAME|module:Class", help="[b]expert[/b] (rule-based, privileged) or a policy class of your own."),
]
Checkpoint = Annotated[
    Path | None, typer.Option("--checkpoint", metavar="FILE", help="An SFT model.pt, its latest.pt, or an RL checkpoint.")
]
Sft = Annotated[
    Path | None,
    typer.Option("--sft", metavar="FILE", help="The SFT model under a checkpoint of the earlier delta trainer, which holds none."),
]
Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the run directory is made.")]
RunId = Annotated[str | None, typer.Option("--run-id", help="Name of the run directory; made from the time without it.")]
Seed = Annotated[int, typer.Option("--seed", min=0, max=LARGEST_SEED, help="Seed of every random draw of the command.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output; everything else goes to standard error.")]
Threads = Annotated[
    int, typer.Option("--threads", min=1, max=256, help="Threads of torch and the toy. A second one pays only on an idle machine.")
]
Episodes = Annotated[
    str, typer.Option("--episodes", metavar="GLOB", help="Recorded episodes: a quoted pattern such as 'data/*/episode.json'.")
]
Force = Annotated[bool, typer.Option("--force", help="Go on although the runs' fingerprints differ; the differences are shown.")]


def given_beside_resume(context: typer.Context, allowed: Collection[str]) -> set[str]:
    """The names of the options that were given.

    Raises:
        UsageError: one that is not among those that may be given beside --resume, since it stands in the run's config.json.
    """
    given = set()
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if source is None or source.name != "COMMANDLINE":
            continue
        if parameter.name not in allowed:
            raise UsageError(f"{parameter.opts[0]} is not taken beside --resume: the run goes on as its config.json says; leave it out")
        given.add(str(parameter.name))
    return given
