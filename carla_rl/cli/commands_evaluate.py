"""`evaluate`: the closed loop from the command line."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import torch
import typer
from rich.markup import escape

from carla_rl.agent import DECISION_TICKS, DEFAULT_CONTROLLER, Agent, read_agent
from carla_rl.attempts import ATTEMPTS
from carla_rl.cli import options
from carla_rl.cli.carla import SERVER_OPTIONS, CarlaOptions, check_envs, tell_loss, with_servers
from carla_rl.cli.console import print_json, progress, stderr, stdout
from carla_rl.cli.dry_run import rehearse
from carla_rl.cli.evaluation import EvaluationRequest, StoppedEvaluation, protocol_of, read_stopped_evaluation
from carla_rl.cli.setup import Drive, make_drive
from carla_rl.cli.tables import evaluation_table, infraction_lines
from carla_rl.errors import RunFailure, UsageError
from carla_rl.evaluate import drive
from carla_rl.records.lock import sole_writer
from carla_rl.records.run import EVALUATION, RunDirectory, reopen_run, start_run
from carla_rl.scenario.variation import Variation

if TYPE_CHECKING:
    from carla_rl.records.camera_films import CameraFilms

NUM_ENVS = 32
"""Worlds of a simulator that has them for nothing."""
MOST_FILMED = 256
"""Worlds whose camera can be kept: a file is open for each, and systems have limits on open files."""
BESIDE_RESUME = ("resume", "num_envs", "threads", "attempts", "json", "dry_run", *SERVER_OPTIONS)
"""Options that may be given beside it: none of them changes a number."""


@with_servers
def evaluate(
    context: typer.Context,
    suite: options.OptionalSuite = None,
    simulator: options.OptionalSimulator = None,
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
    vehicles: options.Vehicles = None,
    pedestrians: options.Pedestrians = None,
    lights: options.Lights = None,
    skip_unsupported: options.SkipUnsupported = False,
    maps: options.Maps = None,
    num_envs: Annotated[
        int | None,
        typer.Option(
            "--num-envs",
            min=1,
            max=options.MOST_ENVS,
            help=f"Worlds simulated at once, {NUM_ENVS} if left out; on CARLA one a server. Changes the speed, never the results.",
        ),
    ] = None,
    steps: Annotated[bool, typer.Option("--steps/--no-steps", help="Keep a step log of every episode, to redraw the drive.")] = True,
    camera: Annotated[
        str | None,
        typer.Option("--camera", metavar="NAME", help="Keep what this camera sees, e.g. front, as a film an episode."),
    ] = None,
    attempts: Annotated[
        int, typer.Option("--attempts", min=1, max=100, help="So often an episode is begun whose world is lost, before it is given up.")
    ] = ATTEMPTS,
    resume: Annotated[
        Path | None,
        typer.Option("--resume", metavar="RUN_DIR", help="Drive what is missing of this run, as it was told; only servers may be others."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, say what would be driven and started, and end.")] = False,
    threads: options.Threads = 1,
    out: options.Out = Path("out"),
    run_id: options.RunId = None,
    json: options.Json = False,
    *,
    chosen: CarlaOptions,
) -> None:
    """Drive a suite in closed loop and measure: driving score, route completion, infractions, ADE/FDE against the expert.

    Every finished episode is on the disk at once; Ctrl-C keeps them, and --resume drives the rest. An example on CARLA's own routes (the
    map files beside them):

    carla-rl evaluate --simulator toy --policy expert --suite longest6_v2.xml --routes Town01,Town02 --maps maps --skip-unsupported
    """
    torch.set_num_threads(threads)
    if agent and (checkpoint or policy or sft or controller != DEFAULT_CONTROLLER or decision_ticks != DECISION_TICKS):
        raise UsageError(f"--agent {agent} says what drives; leave --checkpoint, --policy, --sft, --controller and --decision-ticks out")
    if resume is not None:
        options.given_beside_resume(context, BESIDE_RESUME)
        stopped: StoppedEvaluation | None = (found := read_stopped_evaluation(resume))
        request = found.request
    else:
        stopped = None
        if suite is None or simulator is None:
            given = {"--suite": suite, "--simulator": simulator}
            context.fail(f"Missing option {next(name for name, value in given.items() if value is None)!r}.")
        driver = read_agent(agent) if agent else make_agent(policy, checkpoint, sft, controller, decision_ticks)
        request = EvaluationRequest(
            simulator=simulator,
            suite=suite,
            routes=routes,
            maps=tuple(maps or ()),
            agent=driver,
            variation=Variation(vehicles=vehicles, pedestrians=pedestrians, lights=lights),
            repetitions=repetitions,
            skip_unsupported=skip_unsupported,
            steps=steps,
            camera=camera,
        )
    check_envs(request.simulator, num_envs, chosen)
    if request.camera and (num_envs or 0) > MOST_FILMED:
        raise UsageError(f"--num-envs {num_envs}: with --camera at most {MOST_FILMED}, since a film is open for each; give fewer")
    if dry_run:
        rehearse(request, chosen, num_envs or NUM_ENVS, resumed=stopped, json=json)
        return
    ready = ready_for(request, chosen, num_envs or NUM_ENVS, threads=threads, logs=out / "servers")
    if stopped is not None:
        metrics, path = resume_evaluation(ready, stopped, attempts=attempts)
    else:
        metrics, path = run_evaluation(ready, request, out=out, run_id=run_id, attempts=attempts)
    if json:
        names = ("run_id", "simulator", "suite", "policy", "summary", "skipped_scenarios")
        print_json({"path": str(path), **{name: metrics[name] for name in names}, "quarantined": metrics.get("quarantined", {})})
    else:
        _tell(metrics, path)
    if given_up := metrics.get("quarantined"):
        raise RunFailure(
            f"{len(given_up)} of the episodes could not be driven and are missing from the results ({', '.join(sorted(given_up))}); "
            f"{path / 'quarantine.jsonl'} says why, and carla-rl evaluate --resume {path} tries them again"
        )


def ready_for(request: EvaluationRequest, chosen: CarlaOptions, num_envs: int, *, threads: int, logs: Path) -> Drive:
    """Everything built and checked.

    Raises:
        UsageError, RunFailure: see `make_drive`.
    """
    return make_drive(
        request.agent,
        request.simulator,
        request.suite,
        routes=request.routes,
        maps=request.maps,
        num_envs=num_envs,
        threads=threads,
        variation=request.variation,
        repetitions=request.repetitions,
        skip_unsupported=request.skip_unsupported,
        camera=request.camera,
        carla=chosen,
        logs=logs,
    )


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
    ready: Drive, request: EvaluationRequest, *, out: Path, run_id: str | None, attempts: int = ATTEMPTS
) -> tuple[dict[str, Any], Path]:
    """Drive a whole suite with a progress bar; what metrics.json holds, and the run directory.

    Raises:
        RunFailure: interrupted; says what is kept and where.
    """
    bank = ready.bank
    if bank.suite.omitted:
        stderr.print(
            f"[yellow]{bank.suite.name}: {len(bank.suite.omitted)} things in the file cannot be driven; environment.json lists them[/]"
        )
    config = {
        **request.model_dump(mode="json"),
        "num_envs": bank.simulator.num_envs,
        "seeds": {episode.episode_id: episode.seed for episode in bank.episodes},
    }
    with closing(bank.simulator):
        started = start_run(
            out,
            EVALUATION,
            config=config,
            simulator=bank.simulator.info,
            suite=bank.record,
            policy=ready.policy,
            protocol=protocol_of(ready, request.agent),
            run_id=run_id,
        )
        with sole_writer(started.path):
            return _drive(ready, RunDirectory(started), ready.bank.episodes, steps=request.steps, attempts=attempts)


def resume_evaluation(ready: Drive, stopped: StoppedEvaluation, *, attempts: int = ATTEMPTS) -> tuple[dict[str, Any], Path]:
    """Drive what is missing of a run; the same as `run_evaluation` would have given in one go.

    Raises:
        UsageError: what would be driven is not what the run drove.
        RunFailure: interrupted; says what is kept and where.
    """
    with closing(ready.bank.simulator), sole_writer(stopped.run.path):
        # read once more: another process may have driven on while everything was built
        stopped = read_stopped_evaluation(stopped.run.path)
        stopped.check(ready)
        missing, run = stopped.missing(ready.bank.episodes), stopped.run
        stderr.print(f"[dim]{len(run.episodes)} episodes of {run.run_id} are there, {len(missing)} are missing[/]", highlight=False)
        facts = {name: run.environment[name] for name in ("simulator", "suite", "policy", "protocol", "code")}
        started = reopen_run(run.path, facts, run.environment.get("git", {}))
        return _drive(ready, RunDirectory(started, run.episodes), missing, steps=stopped.request.steps, attempts=attempts)


def _drive(ready: Drive, run: RunDirectory, episodes: tuple[Any, ...], *, steps: bool, attempts: int) -> tuple[dict[str, Any], Path]:
    done, score, before = 0, 0.0, run.finished
    try:
        with run, _films(ready, run) as films, progress() as bar:
            task = bar.add_task(f"driving {ready.bank.suite.name}", total=len(episodes), note="")
            watch = films.update if films else None
            for result in drive(ready.parts, episodes, run, keep_steps=steps, attempts=attempts, on_void=tell_loss, on_decision=watch):
                done += 1
                score += result.driving_score
                bar.update(task, advance=1, note=f"driving score so far {score / done:.1f}")
    except KeyboardInterrupt:
        raise RunFailure(
            f"interrupted: {run.finished - before} of {len(episodes)} episodes were finished and are kept in {run.path}; go on with: "
            f"carla-rl evaluate --resume {run.path}"
        ) from None
    return run.finish(), run.path


def _films(ready: Drive, run: RunDirectory) -> AbstractContextManager["CameraFilms | None"]:
    """What keeps the camera's pictures, where they are to be kept."""
    if ready.camera is None:
        return nullcontext()
    # FFmpeg is loaded for films and nothing else
    from carla_rl.records.camera_films import CameraFilms

    return CameraFilms(run.path, ready.camera, ready.parts.ticks_per_decision, f"{ready.bank.simulator.info.kind.value} simulator")
