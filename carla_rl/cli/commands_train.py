"""`train`: online PPO from the command line."""

import tomllib
from collections.abc import Callable, Mapping
from contextlib import closing, nullcontext
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.markup import escape

from carla_rl.agent import DECISION_TICKS, DEFAULT_CONTROLLER, Agent
from carla_rl.build import make_controller, make_expert
from carla_rl.cli import options
from carla_rl.cli.console import print_json, progress, stderr, stdout
from carla_rl.cli.heads import FILE, headline, make_heads, prepare_warm_start, sentence, show_warm_start
from carla_rl.cli.setup import Bank, fitting_controller, make_bank, policy_record
from carla_rl.errors import RunFailure, UsageError
from carla_rl.evaluate import Parts, drive
from carla_rl.interfaces import Policy
from carla_rl.metrics.result import EpisodeResult
from carla_rl.records.atomic import write_json
from carla_rl.records.run import TRAINING, start_run
from carla_rl.scenario.sampler import TrainingSampler
from carla_rl.scenario.suite import overlap
from carla_rl.train import TrainConfig, Training, TrainParts

VALIDATION_ENVS = 64


def train(
    sft: Annotated[Path, typer.Option("--sft", metavar="FILE", help="The SFT model to refine; it stays frozen.")],
    suite: options.Suite,
    simulator: options.Simulator,
    validation: Annotated[
        str | None,
        typer.Option("--validation", metavar="NAME|FILE", help="Suite to drive now and then; the best checkpoint on it is kept."),
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="TOML with tables ppo, delta, reward, warm_start.")
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
    json: options.Json = False,
) -> None:
    """Refine a frozen SFT model online: PPO trains a bounded correction of its plans on closed-loop episodes.

    Update 0 drives exactly as SFT, unless [b]--warm-start[/b] or [b]--init[/b] gives the heads something to begin with. Leaves
    checkpoints/last.pt and (with --validation) best.pt, train_metrics.json with every vital sign, and TensorBoard logs. Ctrl-C keeps what
    was reached.
    """
    torch.set_num_threads(threads)
    settings = read_train_config(config, {"seed": seed, "device": device}, {"decisions": decisions, "num_envs": num_envs})
    _check_device(settings.device)
    agent = Agent(checkpoint=sft, controller=controller, decision_ticks=decision_ticks)
    if warm_start is not None and init is not None:
        raise UsageError("--warm-start and --init are both given, and both say where the heads start; give one of them")
    policy = make_heads(sft, settings, init)
    driver, reference = fitting_controller(controller, settings.ppo.num_envs, policy, decision_ticks), make_expert()
    build = partial(make_bank, simulator, maps=maps or (), threads=threads, skip_unsupported=skip_unsupported)
    bank = build(suite, policy.needs, routes=routes, num_envs=settings.ppo.num_envs, idle_envs=True)
    held_out = build(validation, policy.needs.union(reference.needs), num_envs=VALIDATION_ENVS) if validation else None
    _check_disjoint(bank, held_out)
    supervised = None if warm_start is None else show_warm_start(prepare_warm_start(policy, warm_start, settings), settings)
    started = start_run(
        out,
        TRAINING,
        config={
            "simulator": simulator,
            "suite": suite,
            "routes": routes,
            "maps": [str(folder) for folder in maps or ()],
            "skip_unsupported": skip_unsupported,
            "validation": validation,
            "warm_start": warm_start,
            "init": None if init is None else str(init),
            "agent": agent.model_dump(mode="json"),
            "training": settings.model_dump(mode="json"),
        },
        simulator=bank.simulator.info,
        suite=bank.record,
        policy=policy_record(policy, sft),
        protocol={"controller": controller, "decision_ticks": decision_ticks},
        run_id=run_id,
    )
    if supervised:
        write_json(started.path / FILE, supervised)
        stderr.print(sentence(supervised), highlight=False)
    parts = TrainParts(
        simulator=bank.simulator,
        controller=driver,
        policy=policy,
        sampler=TrainingSampler(bank.episodes, settings.seed, settings.mid_route, settings.curriculum),
        validate=validator(held_out, reference, agent) if held_out else None,
        ticks_per_decision=decision_ticks,
    )
    with closing(bank.simulator), closing(held_out.simulator) if held_out else nullcontext():
        done = _show_training(Training(parts, settings, started.path, started.facts), settings)
    best = started.path / "checkpoints" / ("best.pt" if held_out else "last.pt")
    about = {"path": str(started.path), "checkpoint": str(best), "simulator": started.facts["simulator"]}
    _tell({**about, "warm_start": headline(supervised) if supervised else None, **done}, validation, json)


def _check_device(device: str) -> None:
    """Raises UsageError where torch has no such device."""
    if device != "cpu" and not torch.cuda.is_available():
        raise UsageError(f"--device {device}: torch {torch.__version__} sees no CUDA device on this machine; leave it out or write cpu")


def _check_disjoint(bank: Bank, held_out: Bank | None) -> None:
    """Raises UsageError where training and validation share a route or a seed."""
    if held_out and (shared := overlap(bank.suite, held_out.suite)):
        raise UsageError(
            f"--suite {bank.suite.name} and --validation {held_out.suite.name} overlap ({shared[0]}); validate on other routes and seeds"
        )


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


def validator(bank: Bank, reference: Policy, agent: Agent) -> Callable[[Policy], list[EpisodeResult]]:
    """Drives a bank with a policy, again and again on the same simulator."""
    simulator = bank.simulator
    controller = make_controller(agent.controller, simulator.num_envs)

    def validate(policy: Policy) -> list[EpisodeResult]:
        return list(drive(Parts(simulator, policy, controller, reference, agent.decision_ticks), bank.episodes))

    return validate


def _show_training(training: Training, settings: TrainConfig) -> dict[str, Any]:
    """Train with a progress bar; counts and the validation curve at the end.

    Raises:
        RunFailure: interrupted; says what is kept and where.
    """
    done, score = 0, "–"
    try:
        with progress() as bar:
            task = bar.add_task("training", total=settings.ppo.updates, note="")
            for step in training.run():
                done = step.record.update
                if step.validation:
                    score = f"{step.validation['driving_score_mean']:.1f}"
                    stderr.print(
                        f"[dim]update {done} of {settings.ppo.updates}: driving score {score} on the validation suite[/]", highlight=False
                    )
                note = f"reward {step.record.reward:+.4f}  KL {step.record.stats.approx_kl:.4f}  validation {score}"
                bar.update(task, completed=done, note=f"{note}  {step.record.decisions_per_s:,.0f} decisions/s")
    except KeyboardInterrupt:
        raise RunFailure(
            f"interrupted after {done} of {settings.ppo.updates} updates; checkpoint and metrics are in {training.folder}"
        ) from None
    return training.outcome()
