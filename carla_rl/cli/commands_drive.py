"""`evaluate` and `train`: the closed loop from the command line."""

import tomllib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from carla_rl.agent import DECISION_TICKS, Agent, read_agent
from carla_rl.build import make_controller, make_expert
from carla_rl.checkpoint import load_sft
from carla_rl.cli import options
from carla_rl.cli.console import print_json, progress, stderr, stdout
from carla_rl.cli.setup import Bank, Drive, make_bank, make_drive, policy_record
from carla_rl.cli.tables import evaluation_table, infraction_lines
from carla_rl.errors import RunFailure, UsageError
from carla_rl.evaluate import Parts, drive
from carla_rl.interfaces import Policy
from carla_rl.metrics.result import EpisodeResult
from carla_rl.policies.residual import ResidualPolicy
from carla_rl.policies.sft import FrozenSft
from carla_rl.records.run import RunDirectory, start_run
from carla_rl.scenario.sampler import TrainingSampler
from carla_rl.scenario.suite import overlap
from carla_rl.train import TrainConfig, Training, TrainParts


def evaluate(
    suite: options.Suite,
    simulator: options.Simulator,
    checkpoint: options.Checkpoint = None,
    policy: options.Policy = None,
    agent: Annotated[
        Path | None, typer.Option("--agent", metavar="FILE", help="An agent file (see agents/) instead of the options.")
    ] = None,
    sft: options.Sft = None,
    controller: options.Controller = "default",
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
    if agent is not None and (checkpoint or policy or sft):
        raise UsageError(f"--agent {agent} says what drives; leave --checkpoint, --policy and --sft out")
    driver = read_agent(agent) if agent else make_agent(policy, checkpoint, sft, controller, decision_ticks)
    ready = make_drive(
        driver,
        simulator,
        suite,
        routes=routes,
        maps=maps or (),
        num_envs=num_envs,
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
        print_json(
            {
                "path": str(path),
                **{name: metrics[name] for name in ("run_id", "simulator", "suite", "policy", "summary", "skipped_scenarios")},
            }
        )
        return
    stdout.print(evaluation_table(f"{metrics['policy']['name']} on {metrics['suite']['name']}", metrics))
    for line in infraction_lines(metrics):
        stdout.print(line, highlight=False)
    stdout.print(f"[dim]written to {path}[/]", highlight=False, soft_wrap=True)


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
    run = RunDirectory.create(
        out,
        "evaluate",
        config=config,
        simulator=bank.simulator.info,
        suite=bank.record,
        policy=ready.policy,
        protocol={"controller": agent.controller, "decision_ticks": agent.decision_ticks},
        run_id=run_id,
    )
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
    if bank.suite.omitted:
        stderr.print(
            f"[yellow]{bank.suite.name}: {len(bank.suite.omitted)} things in the file cannot be driven; environment.json lists them[/]"
        )
    return run.finish(), run.path


def train(
    sft: Annotated[Path, typer.Option("--sft", metavar="FILE", help="The SFT model to refine; it stays frozen.")],
    suite: options.Suite,
    simulator: options.Simulator,
    validation: Annotated[
        str | None,
        typer.Option("--validation", metavar="NAME|FILE", help="Suite to drive now and then; the best checkpoint on it is kept."),
    ] = None,
    config: Annotated[Path | None, typer.Option("--config", metavar="FILE", help="TOML with tables ppo, delta, reward.")] = None,
    decisions: Annotated[int | None, typer.Option("--decisions", min=1, help="Decisions to train on, all envs together.")] = None,
    num_envs: Annotated[int | None, typer.Option("--num-envs", min=1, help="Worlds driven at once; part of the algorithm here.")] = None,
    controller: options.Controller = "default",
    decision_ticks: options.DecisionTicks = DECISION_TICKS,
    routes: options.Routes = None,
    skip_unsupported: options.SkipUnsupported = False,
    maps: options.Maps = None,
    seed: options.Seed = 0,
    threads: options.Threads = 1,
    out: options.Out = Path("out"),
    run_id: options.RunId = None,
    json: options.Json = False,
) -> None:
    """Refine a frozen SFT model online: PPO trains a bounded correction of its plans on closed-loop episodes.

    Update 0 drives exactly as SFT. Leaves checkpoints/last.pt and (with --validation) best.pt, train_metrics.json with every vital sign,
    and TensorBoard logs. Ctrl-C keeps what was reached.
    """
    torch.set_num_threads(threads)
    settings = read_train_config(config, {"seed": seed}, {"decisions": decisions, "num_envs": num_envs})
    agent = Agent(checkpoint=sft, controller=controller, decision_ticks=decision_ticks)
    policy = ResidualPolicy(FrozenSft(load_sft(sft)), settings.delta, seed=settings.seed)
    reference = make_expert()
    needs, folders, skip = policy.needs, maps or (), skip_unsupported
    envs = settings.ppo.num_envs
    bank = make_bank(simulator, suite, needs, routes=routes, maps=folders, num_envs=envs, skip_unsupported=skip, idle_envs=True)
    if validation:
        held_out = make_bank(simulator, validation, needs.union(reference.needs), maps=folders, num_envs=64, skip_unsupported=skip)
        if shared := overlap(bank.suite, held_out.suite):
            raise UsageError(f"--suite {suite} and --validation {validation} overlap ({shared[0]}); validate on other routes and seeds")
    else:
        held_out = None
    path, facts, _ = start_run(
        out,
        "ppo-delta",
        config={
            "suite": suite,
            "validation": validation,
            "agent": agent.model_dump(mode="json"),
            "training": settings.model_dump(mode="json"),
        },
        simulator=bank.simulator.info,
        suite=bank.record,
        policy=policy_record(policy, sft),
        protocol={"controller": controller, "decision_ticks": decision_ticks},
        run_id=run_id,
    )
    parts = TrainParts(
        simulator=bank.simulator,
        controller=make_controller(controller, envs),
        policy=policy,
        sampler=TrainingSampler(bank.episodes, settings.seed, settings.mid_route),
        validate=validator(held_out, reference, agent) if held_out else None,
        ticks_per_decision=decision_ticks,
    )
    with closing(bank.simulator):
        last = _show_training(Training(parts, settings, path, facts), settings)
    best = path / "checkpoints" / ("best.pt" if held_out else "last.pt")
    if json:
        print_json({"path": str(path), "checkpoint": str(best), "simulator": facts["simulator"], **last})
        return
    stdout.print(f"{last['decisions']} decisions in {last['episodes']} episodes; checkpoint: {best}", highlight=False, soft_wrap=True)
    if last["validation"]:
        curve = " -> ".join(f"{item['driving_score_mean']:.1f}" for item in last["validation"])
        stdout.print(f"driving score on {validation}, from SFT onwards: {curve}", highlight=False)


def read_train_config(path: Path | None, fields: dict[str, Any], ppo: dict[str, Any]) -> TrainConfig:
    """The configuration file, if any, with the options that were given on top.

    Raises:
        UsageError: unreadable, no TOML, or a value that does not do.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8")) if path else {}
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read ({error})") from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}: not TOML ({error})") from None
    given = {name: value for name, value in ppo.items() if value is not None}
    table = data.get("ppo", {})
    data = {**fields, **data, "ppo": {**table, **given} if isinstance(table, dict) else table}
    return TrainConfig.checked(data, path or "the options of train")


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
                score = f"{step.validation['driving_score_mean']:.1f}" if step.validation else score
                note = f"reward {step.record.reward:+.4f}  KL {step.record.stats.approx_kl:.4f}  validation {score}"
                bar.update(task, completed=done, note=f"{note}  {step.record.decisions_per_s:,.0f} decisions/s")
    except KeyboardInterrupt:
        raise RunFailure(
            f"interrupted after {done} of {settings.ppo.updates} updates; checkpoint and metrics are in {training.folder}"
        ) from None
    return training.outcome()
