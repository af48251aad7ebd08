"""`evaluate`: the closed loop from the command line."""

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.markup import escape

from carla_rl.agent import DECISION_TICKS, DEFAULT_CONTROLLER, Agent, read_agent
from carla_rl.cli import options
from carla_rl.cli.console import print_json, progress, stderr, stdout
from carla_rl.cli.setup import Drive, make_drive
from carla_rl.cli.tables import evaluation_table, infraction_lines
from carla_rl.errors import RunFailure, UsageError
from carla_rl.evaluate import drive
from carla_rl.records.run import EVALUATION, RunDirectory, start_run


def evaluate(
    suite: options.Suite,
    simulator: options.Simulator,
    checkpoint: options.Checkpoint = None,
    policy: options.Policy = None,
    agent: Annotated[
        Path | None, typer.Option("--agent", metavar="FILE", help="An agent file (see agents/) instead of the options.")
    ] = None,
    sft: options.Sft = None,
    controller: options.Controller = DEFAULT_CONTROLLER,
    decision_ticks: options.DecisionTicks = DECISION_TICKS,
    routes: options.Routes = None,
    repetitions: options.Repetitions = 1,
    skip_unsupported: options.SkipUnsupported = False,
    maps: options.Maps = None,
    num_envs: options.NumEnvs = 32,
    steps: Annotated[bool, typer.Option("--steps/--no-steps", help="Keep a step log of every episode, to redraw the drive.")] = True,
    threads: options.Threads = 1,
    out: options.Out = Path("out"),
    run_id: options.RunId = None,
    json: options.Json = False,
) -> None:
    """Drive a suite in closed loop and measure: driving score, route completion, infractions, ADE/FDE against the expert.

    Every finished episode is on the disk at once; Ctrl-C keeps them. An example on CARLA's own routes (the map files beside them):

    carla-rl evaluate --simulator toy --policy expert --suite longest6_v2.xml --routes Town01,Town02 --maps maps --skip-unsupported
    """
    torch.set_num_threads(threads)
    if agent and (checkpoint or policy or sft or controller != DEFAULT_CONTROLLER or decision_ticks != DECISION_TICKS):
        raise UsageError(f"--agent {agent} says what drives; leave --checkpoint, --policy, --sft, --controller and --decision-ticks out")
    driver = read_agent(agent) if agent else make_agent(policy, checkpoint, sft, controller, decision_ticks)
    ready = make_drive(
        driver,
        simulator,
        suite,
        routes=routes,
        maps=maps or (),
        num_envs=num_envs,
        threads=threads,
        repetitions=repetitions,
        skip_unsupported=skip_unsupported,
    )
    config = {
        "simulator": simulator,
        "suite": suite,
        "routes": routes,
        "maps": [str(folder) for folder in maps or ()],
        "agent": driver.model_dump(mode="json"),
        "repetitions": repetitions,
        "skip_unsupported": skip_unsupported,
        "num_envs": ready.parts.simulator.num_envs,
        "steps": steps,
        "seeds": {episode.episode_id: episode.seed for episode in ready.bank.episodes},
    }
    metrics, path = run_evaluation(ready, driver, config, out=out, run_id=run_id, steps=steps)
    if json:
        names = ("run_id", "simulator", "suite", "policy", "summary", "skipped_scenarios")
        print_json({"path": str(path), **{name: metrics[name] for name in names}})
    else:
        _tell(metrics, path)


def _tell(metrics: Mapping[str, Any], path: Path) -> None:
    """The result for people: a table, what went wrong, where it stands."""
    stdout.print(evaluation_table(f"{metrics['policy']['name']} on {metrics['suite']['name']}", metrics))
    for line in infraction_lines(metrics):
        stdout.print(line, highlight=False)
    stdout.print(f"[dim]written to {escape(str(path))}[/]", highlight=False, soft_wrap=True)


def make_agent(policy: str | None, checkpoint: Path | None, sft: Path | None, controller: str, decision_ticks: int) -> Agent:
    """The agent that the options describe.

    Raises:
        UsageError: no policy or two.
    """
    fields = {"policy": policy, "checkpoint": checkpoint, "sft": sft, "controller": controller, "decision_ticks": decision_ticks}
    return Agent.checked(fields, "the options --policy and --checkpoint")


def run_evaluation(
    ready: Drive, agent: Agent, config: dict[str, Any], *, out: Path, run_id: str | None, steps: bool
) -> tuple[dict[str, Any], Path]:
    """Drive with a progress bar; what metrics.json holds, and the run directory.

    Raises:
        RunFailure: interrupted; says what is kept and where.
    """
    bank = ready.bank
    if bank.suite.omitted:
        stderr.print(
            f"[yellow]{bank.suite.name}: {len(bank.suite.omitted)} things in the file cannot be driven; environment.json lists them[/]"
        )
    started = start_run(
        out,
        EVALUATION,
        config=config,
        simulator=bank.simulator.info,
        suite=bank.record,
        policy=ready.policy,
        protocol={"controller": agent.controller, "decision_ticks": agent.decision_ticks, **bank.simulator.info.criteria},
        run_id=run_id,
    )
    run = RunDirectory(started)
    done, score = 0, 0.0
    try:
        with closing(bank.simulator), run, progress() as bar:
            task = bar.add_task(f"driving {bank.suite.name}", total=len(bank.episodes), note="")
            for result in drive(ready.parts, bank.episodes, run, keep_steps=steps):
                done += 1
                score += result.driving_score
                bar.update(task, advance=1, note=f"driving score so far {score / done:.1f}")
    except KeyboardInterrupt:
        raise RunFailure(f"interrupted: {done} of {len(bank.episodes)} episodes were finished and are kept in {run.path}") from None
    return run.finish(), run.path
