"""`warm-start`: the supervised stage on its own."""

from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.markup import escape

from carla_rl.checkpoint import save_rl
from carla_rl.cli import options
from carla_rl.cli.commands_train import read_train_config
from carla_rl.cli.console import print_json, stdout
from carla_rl.cli.heads import FILE, headline, make_heads, prepare_warm_start, sentence, show_warm_start
from carla_rl.records.atomic import make_folder, write_json

CHECKPOINT = "warm_start.pt"


def warm_start(
    sft: Annotated[Path, typer.Option("--sft", metavar="FILE", help="The SFT model to correct; it stays frozen.")],
    episodes: options.Episodes,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help=f"Gets {CHECKPOINT} and {FILE}.")],
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="TOML with tables warm_start and delta; a file for train does.")
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option("--seed", min=0, max=options.LARGEST_SEED, help="Seed of heads, held-out episodes and order; 0 without it."),
    ] = None,
    threads: options.Threads = 1,
    json: options.Json = False,
) -> None:
    """Teach a delta head, from recorded episodes, what the frozen SFT plans lack of the expert's: what train --warm-start does before PPO.

    Whole episodes are held out; the epoch that is best on them is kept, SFT itself where none is better. The checkpoint drives with
    [b]evaluate --checkpoint[/b] and goes on with [b]train --init[/b].
    """
    torch.set_num_threads(threads)
    settings = read_train_config(config, {"seed": seed}, {})
    policy = make_heads(sft, settings, None)
    stage = prepare_warm_start(policy, episodes, settings)
    make_folder(out)
    found = show_warm_start(stage, settings)
    stats = {"warm_start": headline(found), "config": settings.model_dump(mode="json")}
    save_rl(out / CHECKPOINT, policy.state(stats))
    write_json(out / FILE, found)
    if json:
        print_json({"checkpoint": str(out / CHECKPOINT), **headline(found)})
        return
    stdout.print(f"{sentence(found)}; checkpoint: {escape(str(out / CHECKPOINT))}", highlight=False)
