"""Where PPO's heads start: at zero, where an earlier training left them, or where recorded episodes lead them first."""

from pathlib import Path
from typing import Any

from rich.markup import escape

from carla_rl.checkpoint import load_rl, load_sft
from carla_rl.cli.console import progress
from carla_rl.cli.reading import read_samples
from carla_rl.policies.loading import load_heads
from carla_rl.policies.residual import ResidualPolicy
from carla_rl.policies.sft import FrozenSft
from carla_rl.ppo import ReturnMoments
from carla_rl.train import RETURN_SCALE, TrainConfig
from carla_rl.warm_start import EpochReport, WarmStart

FILE = "warm_start.json"
"""What the supervised stage leaves in a folder."""


def make_heads(sft: Path, settings: TrainConfig, init: Path | None) -> ResidualPolicy:
    """The policy that is to be trained: new heads on the SFT model, or those of the checkpoint `init`.

    Raises:
        UsageError: a file that does not do, or heads of another SFT model or form.
    """
    model = FrozenSft(load_sft(sft))
    if init is None:
        return ResidualPolicy(model, settings.delta, seed=settings.seed)
    return load_heads(init, model, settings.delta)


def read_moments(init: Path | None) -> ReturnMoments | None:
    """The moments of the returns under which the value head of the checkpoint `init` learned; None where it holds none.

    Raises:
        UsageError: as `carla_rl.checkpoint.load_rl`, or what is there is no moments.
    """
    training = (load_rl(init).training or {}) if init is not None else {}
    return ReturnMoments.checked(training[RETURN_SCALE], f"{init}: training.{RETURN_SCALE}") if RETURN_SCALE in training else None


def prepare_warm_start(policy: ResidualPolicy, episodes: str, settings: TrainConfig) -> WarmStart:
    """The supervised stage on recorded episodes, ready to run: everything that can be wrong with them is found here.

    Raises:
        UsageError: see `load_samples` and `WarmStart`.
    """
    return WarmStart(policy, read_samples(episodes, policy.needs, policy.horizon), settings.warm_start, seed=settings.seed)


def show_warm_start(stage: WarmStart, settings: TrainConfig) -> dict[str, Any]:
    """Run the stage with a progress bar; what warm_start.json holds.

    Raises:
        UsageError: it diverged.
    """
    with progress() as bar:
        task = bar.add_task("supervised stage", total=settings.warm_start.epochs, note="")

        def show(report: EpochReport) -> None:
            bar.update(task, advance=1, note=f"held-out ADE {report.ade:.3f} m, FDE {report.fde:.3f} m")

        return stage.run(show)


def headline(found: dict[str, Any]) -> dict[str, Any]:
    """What is printed of a stage."""
    return {name: found[name] for name in ("sft", "corrected", "best_epoch", "datasets", "frames", "episodes", "seconds")}


def sentence(found: dict[str, Any]) -> str:
    """The same for people, as markup."""
    sft, corrected = found["sft"], found["corrected"]
    kept = f"epoch {found['best_epoch']} kept" if found["best_epoch"] else "no epoch was better than SFT, whose heads of zero are kept"
    return (
        f"supervised stage: held-out ADE {sft['ade']:.3f} -> {corrected['ade']:.3f} m, FDE {sft['fde']:.3f} -> {corrected['fde']:.3f} m "
        f"({found['frames']['held_out']} frames of {found['episodes']['held_out']} episodes; learned from {found['frames']['train']}); "
        f"{kept}; episodes by {escape(', '.join(found['datasets']))}"
    )
