"""`record`, `sft`, `offline` and `plan`: from episodes to a model, and what the model says without a simulator."""

from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import typer
from rich.markup import escape

from carla_rl.agent import DECISION_TICKS, DEFAULT_CONTROLLER
from carla_rl.build import fitting_controller, make_expert, make_policy
from carla_rl.cli import options
from carla_rl.cli.carla import CarlaOptions, with_servers
from carla_rl.cli.console import print_json, progress, stdout
from carla_rl.cli.reading import read_samples
from carla_rl.cli.setup import Bank, make_bank
from carla_rl.cli.tables import number, offline_table, percent
from carla_rl.errors import RunFailure
from carla_rl.offline import evaluate_offline
from carla_rl.planning import plan_image
from carla_rl.policies.perturbation import PerturbationConfig
from carla_rl.policies.sft import camera_spec
from carla_rl.record import Recorded, RecordParts
from carla_rl.record import record as record_episodes
from carla_rl.records.atomic import write_json
from carla_rl.records.environment import describe_environment
from carla_rl.records.episode_files import EpisodeRecorder
from carla_rl.scenario.model import Episode
from carla_rl.sft import EpochReport, SftConfig, samples_needs, train_sft
from carla_rl.types import Needs


@with_servers
def record(
    suite: options.Suite,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="A new folder; gets one folder an episode.")],
    episodes: Annotated[
        int | None, typer.Option("--episodes", min=1, max=1_000_000, metavar="N", help="How many; all of the suite once without it.")
    ] = None,
    first: Annotated[
        int,
        typer.Option(
            "--first", min=0, max=1_000_000, metavar="N", help="Repetition that comes first: other episodes than recorded elsewhere."
        ),
    ] = 0,
    simulator: options.Simulator = "toy",
    policy: Annotated[
        str | None, typer.Option("--policy", metavar="NAME|module:Class", help="Who drives and is recorded; the expert without it.")
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option("--checkpoint", metavar="FILE", help="This one drives; recorded is the expert's plan at every state that it visits."),
    ] = None,
    noise: Annotated[
        float, typer.Option("--noise", min=0.0, max=1.0, help="Share of the time that the drive is disturbed; the recorded plan never is.")
    ] = 0.0,
    camera: Annotated[
        list[str] | None, typer.Option("--camera", help="Record this camera's images too, e.g. front; may be repeated.")
    ] = None,
    controller: options.Controller = DEFAULT_CONTROLLER,
    decision_ticks: options.DecisionTicks = DECISION_TICKS,
    routes: options.Routes = None,
    skip_unsupported: options.SkipUnsupported = False,
    maps: options.Maps = None,
    num_envs: options.NumEnvs = 32,
    json: options.Json = False,
    *,
    chosen: CarlaOptions,
) -> None:
    """Let the expert drive and record what it sees and plans, as episodes that the SFT stage reads.

    Fewer episodes than the suite has scenarios are spread evenly over it; more drive it again with other seeds, as a later recording does
    with --first. With --noise the ego is pushed off its line now and then, and the recorded plan is the way back: clones of such data
    recover from their own errors. With --checkpoint they learn what the expert would do where they get to themselves (DAgger).
    """
    driver = make_policy(policy or (None if checkpoint else "expert"), checkpoint, None)
    teacher = make_expert() if checkpoint else None
    cameras = tuple(camera_spec(name, "--camera") for name in camera or ())
    bank = make_bank(
        simulator,
        suite,
        driver.needs.union(teacher.needs if teacher else Needs()).union(Needs(cameras=cameras)),
        routes=routes,
        maps=maps or (),
        num_envs=min(num_envs, episodes or num_envs),
        skip_unsupported=skip_unsupported,
        carla=chosen,
        logs=Path("servers"),
    )
    drives = _spread(bank.episodes, episodes or len(bank.episodes), first)
    parts = RecordParts(
        simulator=bank.simulator,
        policy=driver,
        controller=fitting_controller(controller, bank.simulator.num_envs, driver, decision_ticks),
        recorder=EpisodeRecorder(
            out,
            bank.simulator.num_envs,
            dataset=f"carla-rl-{bank.simulator.info.kind.value}",
            split=bank.suite.split,
            cameras=cameras,
        ),
        ticks_per_decision=decision_ticks,
        noise=PerturbationConfig(share=noise) if noise else None,
        teacher=teacher,
    )
    about = _about(parts, bank, _show_recording(parts, bank, drives, out), controller)
    write_json(out / "recording.json", about)
    if json:
        print_json({"path": str(out), **{name: about[name] for name in ("episodes", "frames", "endings", "simulator", "suite", "policy")}})
        return
    told = f"{about['episodes']} episodes, {about['frames']} frames by {driver.name} on {simulator} ({bank.suite.name}) in {out}"
    stdout.print(escape(told), highlight=False)


def _show_recording(parts: RecordParts, bank: Bank, drives: Sequence[Episode], out: Path) -> list[Recorded]:
    """Record with a progress bar.

    Raises:
        RunFailure: interrupted; says what is kept and where.
    """
    done: list[Recorded] = []
    try:
        with closing(parts.simulator), progress() as bar:
            task = bar.add_task(f"recording {bank.suite.name}", total=len(drives), note="")
            for written in record_episodes(parts, drives):
                done.append(written)
                bar.update(task, advance=1, note=f"{sum(item.frames for item in done)} frames")
    except KeyboardInterrupt:
        raise RunFailure(
            f"interrupted: {len(done)} of {len(drives)} episodes are complete in {out}; give a new folder to start over"
        ) from None
    return done


def _about(parts: RecordParts, bank: Bank, done: list[Recorded], controller: str) -> dict[str, Any]:
    """What recording.json tells: counts, endings by cause, and who drove where and how."""
    endings = Counter(item.ending.name.lower() for item in done)
    return {
        "episodes": len(done),
        "frames": sum(item.frames for item in done),
        "endings": dict(sorted(endings.items())),
        "simulator": {"name": bank.simulator.info.kind.value, "description": bank.simulator.info.description},
        "suite": bank.record.model_dump(mode="json"),
        "policy": parts.policy.name,
        "teacher": parts.teacher.name if parts.teacher else None,
        "noise": parts.noise.model_dump(mode="json") if parts.noise else None,
        "decision_ticks": parts.ticks_per_decision,
        "controller": controller,
        "environment": describe_environment(),
    }


def _spread(episodes: tuple[Episode, ...], count: int, first: int = 0) -> list[Episode]:
    """`count` drives: evenly spread over the suite where it has more, else the suite again and again, each round with its own seeds.

    `first` is the repetition that the first round is.
    """
    if count <= len(episodes):
        return [replace(episodes[i * len(episodes) // count], repetition=first) for i in range(count)]
    return [replace(episodes[i % len(episodes)], repetition=first + i // len(episodes)) for i in range(count)]


def sft(
    episodes: options.Episodes,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Gets model.pt and train_metrics.json.")],
    architecture: Annotated[
        Literal["route_objects", "tiny_multicam"],
        typer.Option("--architecture", help="What the model sees: route and objects, or a camera."),
    ] = "route_objects",
    epochs: Annotated[int, typer.Option("--epochs", min=1, help="Passes over the training episodes.")] = SftConfig().epochs,
    batch: Annotated[int, typer.Option("--batch", min=2, help="Frames a step.")] = SftConfig().batch,
    lr: Annotated[float, typer.Option("--lr", help="Highest learning rate.")] = SftConfig().lr,
    camera: Annotated[str, typer.Option("--camera", help="What tiny_multicam looks through.")] = "front",
    seed: options.Seed = 0,
    threads: options.Threads = 1,
    json: options.Json = False,
) -> None:
    """Clone the expert of recorded episodes (behaviour cloning): the SFT model that everything else builds on.

    Whole episodes are held out; the epoch that is best on them is kept.
    """
    torch.set_num_threads(threads)
    config = SftConfig.checked(
        {"architecture": architecture, "epochs": epochs, "batch": batch, "lr": lr, "camera": camera, "seed": seed}, "the options of sft"
    )
    samples = read_samples(episodes, samples_needs(config))
    with progress() as bar:
        task = bar.add_task(f"cloning {len(samples)} frames", total=config.epochs, note="")

        def show(report: EpochReport) -> None:
            bar.update(task, advance=1, note=f"held-out ADE {report.ade:.3f} m, FDE {report.fde:.3f} m")

        result = train_sft(samples, config, out, show)
    found = result.metrics
    if json:
        print_json({"checkpoint": str(result.checkpoint), **{name: value for name, value in found.items() if name != "epochs"}})
        return
    stdout.print(
        f"{found['architecture']}: held-out ADE {found['ade']:.3f} m, FDE {found['fde']:.3f} m "
        f"({found['frames']['held_out']} frames of {found['episodes']['held_out']} episodes; learned from {found['frames']['train']}); "
        f"epoch {found['best_epoch']} kept in {escape(str(result.checkpoint))}; episodes by {escape(', '.join(found['datasets']))}",
        highlight=False,
    )


def offline(
    checkpoint: Annotated[Path, typer.Option("--checkpoint", metavar="FILE", help="An SFT or RL checkpoint.")],
    episodes: options.Episodes,
    sft: options.Sft = None,
    threads: options.Threads = 1,
    json: options.Json = False,
) -> None:
    """Offline metrics: the checkpoint's plans against the expert's on recorded frames. ADE, FDE, miss rate, error by horizon.

    Good numbers here do not mean good driving: compare with [b]evaluate[/b].
    """
    torch.set_num_threads(threads)
    policy = make_policy(None, checkpoint, sft)
    result = evaluate_offline(policy, read_samples(episodes, policy.needs, policy.horizon)).to_json()
    if json:
        print_json(result)
        return
    title = f"{result['policy']}: {result['samples']} frames of {result['episodes']} episodes by {', '.join(result['datasets'])}"
    stdout.print(offline_table(escape(title), result))
    stdout.print(
        f"ADE {number(result['ade'], 3)} m, FDE {number(result['fde'], 3)} m, "
        f"miss rate {percent(result['miss_rate'])} (final error over {result['miss_m']:g} m)",
        highlight=False,
    )


def plan(
    checkpoint: Annotated[
        Path, typer.Option("--checkpoint", metavar="FILE", help="A checkpoint that looks through a camera (tiny_multicam).")
    ],
    image: Annotated[Path, typer.Option("--image", metavar="FILE", help="An RGB picture of the front camera; any size.")],
    sft: options.Sft = None,
    speed: Annotated[float, typer.Option("--speed", help="m/s, for a delta head that reads it; a picture does not tell it.")] = 0.0,
) -> None:
    """One image through a checkpoint: JSON with `sft_waypoints`, `delta` (null without a delta head) and `waypoints`, H pairs of metres."""
    print_json(plan_image(checkpoint, image, sft=sft, speed=speed))
