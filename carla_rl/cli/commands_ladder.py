"""`ladder`: checkpoints from bad to good and their drives. Each step is one of the other commands; what is done is not done again."""

import shlex
import shutil
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from carla_rl.cli import options
from carla_rl.cli.console import stdout
from carla_rl.cli.setup import compile_first
from carla_rl.errors import RunFailure
from carla_rl.ladder import PARTIAL, QUICK, LadderConfig, Product, begin, products, rungs
from carla_rl.records.atomic import make_folder


def ladder(
    context: typer.Context,
    simulator: options.Simulator,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The ladder's folder; give it again to go on.")] = Path("out/ladder"),
    suite: Annotated[str, typer.Option("--suite", help="What every rung drives.")] = "evaluation",
    episodes: Annotated[
        list[int] | None, typer.Option("--episodes", min=1, help="Recorded for an SFT model; may be repeated. Left out: 4, 12, 32, 64.")
    ] = None,
    noise: Annotated[
        list[float] | None, typer.Option("--noise", min=0.0, max=1.0, help="Noise of the recording; may be repeated. Left out: 0, 0.25.")
    ] = None,
    decisions: Annotated[
        list[int] | None,
        typer.Option("--decisions", min=1, help="Of a refinement by PPO; may be repeated. Left out: 40960, 122880, 327680."),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A ladder of three tiny rungs, to see that all parts work.")] = False,
    seed: options.Seed = 0,
) -> None:
    """Build a ladder of checkpoints: SFT at every amount of data and noise, RL at several lengths, each driven over the same suite.

    A ladder that was stopped goes on where it was: finished steps are not done again. Then: carla-rl correlate DIR
    """
    given = {"episodes": episodes, "noise": noise, "decisions": decisions}
    settings = {name: tuple(values) for name, values in given.items() if values}
    if settings and not quick:
        # the last but one, with the most noise: good enough to drive, and something is left to refine
        amounts = sorted(settings.get("episodes", LadderConfig.model_fields["episodes"].default))
        settings["refined"] = (amounts[-2:][0], max(settings.get("noise", LadderConfig.model_fields["noise"].default)))
    told = {"simulator": simulator, "suite": suite, "seed": seed, **settings, **(QUICK if quick else {})}
    config = LadderConfig.checked(told, "the options of ladder")
    make_folder(out)
    begin(config, out)
    compile_first(simulator)
    # half a product of an earlier start
    shutil.rmtree(out / PARTIAL, ignore_errors=True)
    steps = list(products(config, out))
    for number, step in enumerate(steps, 1):
        _make(step, f"{number} of {len(steps)}", context)
    shutil.rmtree(out / PARTIAL, ignore_errors=True)
    name = escape(str(out))
    stdout.print(f"{len(rungs(config))} rungs in [bold]{name}[/]; next: carla-rl correlate {name}", highlight=False, soft_wrap=True)


def _make(step: Product, where: str, context: typer.Context) -> None:
    """Run a step that is not done.

    Raises:
        RunFailure: its command failed.
    """
    if step.done:
        stdout.print(f"[dim]{where}: {step.title}: done[/]", highlight=False)
        return
    stdout.rule(f"[bold]{where}: {step.title}", align="left")
    stdout.print(f"[dim]$ {escape(shlex.join(('carla-rl', *step.arguments)))}[/]", highlight=False, soft_wrap=True)
    if step.place.exists() and "--resume" not in step.arguments:
        # a training that ended before its first checkpoint, or what a proof is missing of
        shutil.rmtree(step.place)
    if code := context.obj(step.arguments):
        raise RunFailure(f"the step ended with exit code {code}; give the same command to go on from here")
    if not step.resumable:
        (step.place.parent / PARTIAL / step.place.name).rename(step.place)
