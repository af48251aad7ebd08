"""Tables of the benchmarks for people; the numbers are those of the JSON, rounded."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.markup import escape
from rich.table import Table

Parts = Iterator[Table | str]
"""Of a result, in the order in which they are printed."""


def machine_lines(machine: Mapping[str, Any]) -> list[str]:
    """What it was measured on."""
    hardware, versions = machine["machine"], machine["versions"]
    names = ("carla_rl", "python", "numba", "numpy", "torch")
    return [
        f"{machine['date']}  {hardware['cpu']}, {hardware['cores']} cores, {hardware['system']}",
        "  ".join(f"{name} {versions[name]}" for name in names),
    ]


def toy_tables(found: Mapping[str, Any]) -> Parts:
    """The parts of `carla-rl bench toy`, in the order of its JSON."""
    yield f"\n{found['definition']}\nat the wheel: {found['policy']}"
    yield _throughput(found["throughput"])
    yield _vehicles(found["vehicles"])
    yield _costs(found)
    if found["first_start"] is not None:
        yield _first_start(found["first_start"])
    if found["peers"] is not None:
        yield _peers(found["peers"])


def train_tables(found: Mapping[str, Any]) -> Parts:
    """The parts of `carla-rl bench train`."""
    settings = found["settings"]
    yield f"\n{found['definition']}\nat the wheel: {found['driver']}"
    envs, minibatch = f"{settings['num_envs']:,} envs", f"minibatch {settings['minibatch']:,}"
    yield f"{envs}, rollouts of {settings['rollout']} decisions, {settings['epochs']} epochs, {minibatch}"
    for run in found["runs"]:
        yield _training(run, found["aims"])
    if found["peer"] is not None:
        yield f"{found['peer']['peer']}: {found['peer']['note'] or found['peer']['version']}"


def pendulum_tables(found: Mapping[str, Any]) -> Parts:
    """The parts of `carla-rl bench pendulum`."""
    caption = "mean return of an episode: of the last 100 of the training, and of the deterministic policy on the same 50 for all"
    table = _table("Pendulum-v1", caption, "program", "seed", "last episodes", "deterministic", "seconds")
    for name, rows in found["seeds"].items():
        for row in rows:
            table.add_row(name, str(row["seed"]), f"{row['last_episodes']:.1f}", f"{row['deterministic']:.1f}", f"{row['train_s']:.0f}")
        total = found["summary"][name]
        middle = (f"{total[key]['median']:.1f}" for key in ("last_episodes", "deterministic"))
        table.add_row(name, "median", *middle, f"{total['train_s']['median']:.0f}", end_section=True)
    yield table
    if found["peer"] is not None:
        yield f"{found['peer']['peer']}: {found['peer']['note'] or found['peer']['version']}"


def server_tables(found: Mapping[str, Any]) -> Parts:
    """The parts of `carla-rl bench server`."""
    yield f"\n{found['definition']}"
    table = _table(f"Town {found['town']}", None, "what", "median", "spread")
    for name, row in found["ticks"].items():
        table.add_row(f"{name.replace('_', ' ')}, ticks/s", _short(row["ticks_per_s"]), spread(row))
    for name, row in found["sensors"].items():
        table.add_row(f"{name}, a second", _short(row["ticks_per_s"]), spread(row))
    start, loads, soak = found["start"], found["loads"], found["soak"]
    table.add_row("start to first answer, s", _short(start["first_answer_s"]), spread(start))
    table.add_row(f"load_world, s ({loads['count']} loads)", _short(loads["seconds_per_load"]), "")
    table.add_row("server's memory, MiB", _short(loads["server_mib_after"]), f"before: {_short(loads['server_mib_before'])}")
    yield table
    if soak is not None:
        yield (
            f"soak: {soak['vehicles']} vehicles, {soak['ticks']:,} ticks at {soak['ticks_per_s']:.0f} a second, mean speed "
            f"{soak['mean_speed_mps']:.1f} m/s; off the road {soak['off_road_share']:.2%} of the time, over a line at red "
            f"{soak['over_red']}, stuck {soak['stuck']}, touches {soak['hits']}; "
            f"{'the same' if soak['same_again'] else 'NOT the same'} when driven again"
        )


def carla_tables(found: Mapping[str, Any]) -> Parts:
    """The parts of `carla-rl bench carla`."""
    yield f"\n{found['definition']}"
    table, aims = _table(f"On {found['simulator']}", None, "what", "median", "spread or aim"), found["aims"]
    table.add_row("bare client, ticks/s", _short(found["bare"]["ticks_per_s"]), spread(found["bare"]))
    for count, row in found["loops"].items():
        table.add_row(f"closed loop on {count} server(s), ticks/s", _short(row["ticks_per_s"]), spread(row))
    table.add_row("share of the bare client's", f"{found['share_of_bare']:.2f}", f"aim {aims['share_of_bare']}")
    for count, share in found["scaling"].items():
        table.add_row(f"{count} server(s) against as many times one", f"{share:.2f}", f"aim {aims['scaling']}")
    slow = f"whose ticks take {found['paced']['tick_ms']:g} ms longer"
    for count, row in found["paced"]["loops"].items():
        table.add_row(f"closed loop on {count} server(s) {slow}, ticks/s", _short(row["ticks_per_s"]), spread(row))
    for count, share in found["paced"]["scaling"].items():
        table.add_row(f"{count} of these against as many times one", f"{share:.2f}", f"aim {aims['scaling']}")
    for kind, step in found["agent_ms"].items():
        table.add_row(f"agent's step, {kind}, ms", f"{step['median']:.2f}", f"p99 {step['p99']:.2f}, aim {aims[f'{kind}_p99_ms']:g}")
    yield table


def compare_lines(found: Mapping[str, Any]) -> Parts:
    """The parts of `carla-rl bench compare`."""
    yield (
        f"{found['pairs']:,} pairs ({found['bytes_read'] / 1e6:.0f} MB of records) compared in {found['seconds']:.1f} s "
        f"({found['cpu_seconds']:.1f} s of processor time) with at most {found['peak_bytes'] / 1e6:.0f} MB; the aim is "
        f"{found['aims']['seconds']:.0f} s and {found['aims']['peak_bytes'] / 1e6:.0f} MB for 10,000"
    )


def spread(row: Mapping[str, Any]) -> str:
    """Lowest to highest of the repetitions."""
    return f"{_short(row['lowest'])} – {_short(row['highest'])}"


def _table(title: str, caption: str | None, *columns: str) -> Table:
    table = Table(title=f"\n{title}", title_justify="left", caption=caption, caption_justify="left")
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _training(run: Mapping[str, Any], aims: Mapping[str, float]) -> Table:
    driven, memory = run["driven"], run["memory"]
    caption = (
        f"{driven['resets_per_1000_decisions']:.1f} resets per 1,000 decisions; "
        f"rollout buffer {memory['rollout_buffer_bytes'] / 1e6:.0f} MB, worlds {memory['worlds_bytes'] / 1e6:.0f} MB"
    )
    if memory["process_peak_bytes"] is not None:
        caption += f", the whole process {memory['process_peak_bytes'] / 1e6:.0f} MB so far"
    # the aims are those of two threads
    aim = {name: f"{value:,.3g}" if value < 10 else f"{value:,.0f}" for name, value in aims.items()} if run["threads"] == 2 else {}
    table = _table(f"threads: {run['threads']}", caption, "what", "median", "spread", "aim", "stable-baselines3", "spread")
    theirs = run["stable_baselines3"]
    for part, what, key, name in (
        ("end_to_end", "end to end, decisions/s", "decisions_per_s", "decisions_per_s"),
        ("collect", "driving alone, decisions/s", "decisions_per_s", None),
        ("update", "learning alone, samples/s", "samples_per_s", "update_samples_per_s"),
    ):
        row = run["carla_rl"][part]
        peer = (f"{theirs[part][key]:,.0f}", spread(theirs[part])) if theirs else ("", "")
        table.add_row(what, f"{row[key]:,.0f}", spread(row), aim.get(name or "", ""), *peer)
    if run["ratio"] is not None:
        table.add_row("ours over theirs, end to end", f"{run['ratio']['ratio']:.2f}", spread(run["ratio"]), aim.get("ratio", ""), "", "")
    return table


def _throughput(rows: list[Mapping[str, Any]]) -> Table:
    table = _table("throughput", None, "envs", "threads", "env-steps/s", "spread", "vehicles", "resets per 1,000 steps")
    for row, following in zip(rows, [*rows[1:], None], strict=True):
        table.add_row(
            f"{row['num_envs']:,}",
            str(row["threads"]),
            f"{row['env_steps_per_s']:,.0f}",
            spread(row),
            f"{row['vehicles_placed']:.1f}",
            f"{row['resets_per_1000_env_steps']:.2f}",
            end_section=following is not None and following["num_envs"] != row["num_envs"],
        )
    return table


def _vehicles(found: Mapping[str, Any]) -> Table:
    line = found["line"]
    caption = line and f"{line['us_fixed']:.2f} us + {line['us_per_vehicle']:.3f} us a vehicle explain {100.0 * line['r2']:.1f} % of it"
    title = f"cost of vehicles ({found['num_envs']} envs, 1 thread)"
    table = _table(title, caption, "vehicles", "found room", "us per env-step", "env-steps/s", "spread", "bytes per env")
    for row in found["rows"]:
        table.add_row(
            str(row["vehicles"]),
            f"{row['vehicles_placed']:.1f}",
            f"{row['us_per_env_step']:.2f}",
            f"{row['env_steps_per_s']:,.0f}",
            spread(row),
            f"{row['bytes_per_env']:,.0f}",
        )
    return table


def _costs(found: Mapping[str, Any]) -> Table:
    table = Table(title="\nsingle figures", title_justify="left")
    table.add_column("what")
    for column in ("median", "spread"):
        table.add_column(column, justify="right")
    for row in found["reset"].values():
        how = "one env alone" if row["num_envs"] == 1 else f"{row['num_envs']} envs together"
        table.add_row(f"reset, {how}", f"{row['us_per_env']:,.0f} us an env = {row['env_steps']:.1f} steps", f"{spread(row)} us")
    table.add_row("memory of an env's state", f"{found['memory']['bytes_per_env']:,.0f} bytes", "")
    single, camera = found["single_env"], found["camera"]
    table.add_row("one env, pedals given (step and observe)", f"{single['env_steps_per_s']:,.0f} env-steps/s", spread(single))
    size = f"{camera['width']}x{camera['height']}"
    table.add_row(f"front camera {size}, one core", f"{camera['frames_per_s']:,.0f} frames/s", spread(camera))
    return table


def _first_start(found: Mapping[str, Any]) -> Table:
    table = _table("first start of a fresh process, seconds", None, "cache", "total", "import", "map and route", "reset", "step", "observe")
    for name, row in found.items():
        table.add_row(name, *(f"{row[part]:.2f}" for part in ("total_s", "import_s", "load_s", "reset_s", "step_s", "observe_s")))
    return table


def _peers(rows: list[Mapping[str, Any]]) -> Table:
    table = Table(title="\npeers, one env", title_justify="left", caption="env-steps are ticks of 0.05 s for all", caption_justify="left")
    table.add_column("peer", no_wrap=True)
    table.add_column("env-steps/s", justify="right", no_wrap=True)
    table.add_column("spread", justify="right", no_wrap=True)
    table.add_column("what it did")
    for row in rows:
        name = " ".join(str(row[key]) for key in ("peer", "version", "env") if key in row)
        if row["env_steps_per_s"] is None:
            table.add_row(name, "–", "", escape(row["note"]))
            continue
        what = f"{row['configuration']}; {row['vehicles_at_reset']} other vehicles at the start"
        table.add_row(name, f"{row['env_steps_per_s']:,.0f}", spread(row), escape(what))
    return table


def _short(value: float) -> str:
    """Three significant digits, with a letter for thousands and millions."""
    for limit, letter in ((1e6, " M"), (1e3, " k")):
        if value >= limit:
            return f"{value / limit:.3g}{letter}" if value < 999.5 * limit else f"{value / limit:.0f}{letter}"
    return f"{value:.3g}"
