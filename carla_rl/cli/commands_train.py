"""`train`: online PPO from the command line, from the start or from where a run stopped."""

import tomllib
from collections.abc import Mapping
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from carla_rl.agent import DECISION_TICKS, DEFAULT_CONTROLLER, Agent
from carla_rl.cli import options
from carla_rl.cli.carla import CARLA, SERVER_OPTIONS, CarlaOptions, check_envs, with_servers
from carla_rl.cli.console import print_json, stderr, stdout
from carla_rl.cli.heads import FILE, headline, prepare_warm_start, sentence, show_warm_start
from carla_rl.cli.stopped import Stopped, read_stopped
from carla_rl.cli.training import Built, TrainRequest, build, drive_training
from carla_rl.errors import UsageError
from carla_rl.records.atomic import write_json
from carla_rl.records.environment import describe_environment
from carla_rl.records.run import TRAINING, start_run
from carla_rl.train import CHECKPOINTS, TrainConfig, Training

BESIDE_RESUME = ("resume", "threads", "json", *SERVER_OPTIONS)
"""Options that may be given beside it."""


@with_servers
def train(
    context: typer.Context,
    sft: Annotated[
        Path | None, typer.Option("--sft", metavar="FILE", help="The SFT model to refine; it stays frozen. Required without --resume.")
    ] = None,
    suite: options.OptionalSuite = None,
    simulator: options.OptionalSimulator = None,
    validation: Annotated[
        str | None,
        typer.Option("--validation", metavar="NAME|FILE", help="Suite to drive now and then; the best checkpoint on it is kept."),
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="Settings as TOML; [b]carla-rl settings[/b] prints all of them.")
    ] = None,
    warm_start: Annotated[
        str | None,
        typer.Option(
            "--warm-start", metavar="GLOB", help="Recorded episodes that the delta head learns from before PPO; a folder or a pattern."
        ),
    ] = None,
    init: Annotated[
        Path | None, typer.Option("--init", metavar="FILE", help="Start from the heads of this RL checkpoint of the same SFT model.")
    ] = None,
    decisions: Annotated[int | None, typer.Option("--decisions", min=1, help="Decisions to train on, all envs together.")] = None,
    num_envs: Annotated[
        int | None, typer.Option("--num-envs", min=1, max=options.MOST_ENVS, help="Worlds driven at once; part of the algorithm here.")
    ] = None,
    controller: options.Controller = DEFAULT_CONTROLLER,
    decision_ticks: options.DecisionTicks = DECISION_TICKS,
    routes: options.Routes = None,
    skip_unsupported: options.SkipUnsupported = False,
    maps: options.Maps = None,
    seed: Annotated[
        int | None,
        typer.Option("--seed", min=0, max=options.LARGEST_SEED, help="Seed of heads, noise, minibatches and episodes; 0 without it."),
    ] = None,
    device: Annotated[
        str | None, typer.Option("--device", metavar="cpu|cuda", help="Where the heads learn; they drive on the CPU.")
    ] = None,
    threads: options.Threads = 1,
    out: options.Out = Path("out"),
    run_id: options.RunId = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            "--resume",
            metavar="RUN_DIR",
            help="Go on with a training that was stopped or killed, bit for bit. Its config.json says all else.",
        ),
    ] = None,
    json: options.Json = False,
    *,
    chosen: CarlaOptions,
) -> None:
    """Refine a frozen SFT model online: PPO trains a bounded correction of its plans on closed-loop episodes.

    Update 0 drives exactly as SFT, unless [b]--warm-start[/b] or [b]--init[/b] gives the heads something to begin with. Leaves
    checkpoints/last.pt and (with --validation) best.pt, train_metrics.json with every vital sign, and TensorBoard logs. Ctrl-C and SIGTERM
    end it after the update under way; [b]--resume RUN_DIR[/b] goes on.
    """
    if resume is not None:
        given_threads = threads if "threads" in options.given_beside_resume(context, BESIDE_RESUME) else None
        _go_on(read_stopped(resume), given_threads, json, chosen)
        return
    if sft is None or suite is None or simulator is None:
        given = {"--sft": sft, "--suite": suite, "--simulator": simulator}
        context.fail(f"Missing option {next(name for name, value in given.items() if value is None)!r}.")
    if simulator == CARLA:
        check_envs(simulator, num_envs, chosen.for_training(validation is not None)[0])
        num_envs = chosen.for_training(validation is not None)[0].envs
    request = TrainRequest(
        simulator=simulator,
        suite=suite,
        routes=routes,
        maps=tuple(maps or ()),
        skip_unsupported=skip_unsupported,
        validation=validation,
        warm_start=warm_start,
        init=init,
        agent=Agent(checkpoint=sft, controller=controller, decision_ticks=decision_ticks),
        training=read_train_config(config, {"seed": seed, "device": device}, {"decisions": decisions, "num_envs": num_envs}),
        threads=threads,
    )
    _start(request, out, run_id, json, chosen)


def _start(request: TrainRequest, out: Path, run_id: str | None, json: bool, carla: CarlaOptions) -> None:
    """A new run: everything that can be wrong is found before its folder is made.

    Raises:
        UsageError: something that it was given does not do.
    """
    built = build(request, request.threads, init=request.init, carla=carla, logs=out / "servers")
    policy, settings = built.parts.policy, request.training
    supervised = None
    if request.warm_start is not None:
        supervised = show_warm_start(prepare_warm_start(policy, request.warm_start, settings), settings)
    started = start_run(
        out,
        TRAINING,
        config=request.model_dump(mode="json"),
        simulator=built.bank.simulator.info,
        suite=built.bank.record,
        policy=built.policy,
        protocol=built.protocol,
        run_id=run_id,
    )
    if supervised:
        write_json(started.path / FILE, supervised)
        stderr.print(sentence(supervised), highlight=False)
    training = Training(built.parts, settings, started.path, started.facts, told=built.told)
    _run(training, built, json, headline(supervised) if supervised else None)


def _go_on(stopped: Stopped, threads: int | None, json: bool, carla: CarlaOptions) -> None:
    """Go on with a run that was stopped, with as many threads as it had unless told otherwise.

    Raises:
        UsageError: something that it was started with is not as it was.
    """
    threads = threads or stopped.request.threads
    built = build(stopped.request, threads, carla=carla, logs=stopped.path.parent / "servers")
    for warning in stopped.check(built.told, describe_environment(), threads):
        stderr.print(f"[yellow]warning:[/] {escape(warning)}", highlight=False, soft_wrap=True)
    training = Training(built.parts, stopped.request.training, stopped.path, stopped.facts, told=built.told, kept=stopped.kept)
    _run(training, built, json, None)


def _run(training: Training, built: Built, json: bool, supervised: Mapping[str, Any] | None) -> None:
    """Train and tell; `supervised` is the headline of a stage that came before."""
    held_out = built.held_out
    with closing(built.bank.simulator), closing(held_out.simulator) if held_out else nullcontext():
        done = drive_training(training, built.display)
    best = training.folder / CHECKPOINTS / ("best.pt" if held_out else "last.pt")
    simulator = built.told["facts"]["simulator"]
    about = {"path": str(training.folder), "checkpoint": str(best), "simulator": simulator, "warm_start": supervised}
    _tell({**about, **done}, built.request.validation, json)


def _tell(done: Mapping[str, Any], validation: str | None, json: bool) -> None:
    """The result, for machines or for people: counts, the checkpoint, the validation curve."""
    if json:
        print_json(done)
        return
    told = f"{done['decisions']} decisions in {done['episodes']} episodes; checkpoint: {done['checkpoint']}"
    stdout.print(escape(told), highlight=False, soft_wrap=True)
    if done["validation"]:
        curve = " -> ".join(f"{item['driving_score_mean']:.1f}" for item in done["validation"])
        stdout.print(f"driving score on {escape(str(validation))}, from update 0 onwards: {curve}", highlight=False)


def read_train_config(path: Path | None, fields: dict[str, Any], ppo: dict[str, Any]) -> TrainConfig:
    """The configuration file, if any, with the options that were given (not None) on top: `fields` of its top level, and of `ppo`.

    Raises:
        UsageError: unreadable, no TOML, or a value that does not do.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8")) if path else {}
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read ({error})") from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}: not TOML ({error})") from None
    table = data.get("ppo", {})
    data = {**data, **_given(fields), "ppo": {**table, **_given(ppo)} if isinstance(table, dict) else table}
    return TrainConfig.checked(data, path or "the settings of train (--config sets them)")


def _given(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}
