"""Tables for people. The same numbers go out as JSON elsewhere; nothing is computed here."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from rich.table import Table

from carla_rl.gap import Gap


def number(value: float | None, digits: int = 1) -> str:
    """A number, or a dash where there is none."""
    return "–" if value is None else f"{value:.{digits}f}"


def percent(value: float | None) -> str:
    """A share as per cent."""
    return "–" if value is None else f"{100.0 * value:.1f} %"


def evaluation_table(title: str, metrics: Mapping[str, Any]) -> Table:
    """The headline of an evaluation: all episodes, then town by town."""
    summary = metrics["summary"]
    table = Table(title=title, title_justify="left", caption=_simulator(metrics), caption_justify="left")
    table.add_column("town")
    for column in ("episodes", "driving score", "route completion", "success"):
        table.add_column(column, justify="right")
    rows = [("all", summary), *((town, part) for town, part in summary["by_town"].items())]
    if len(rows) == 2:
        rows = rows[1:]
    for name, part in rows:
        table.add_row(
            name,
            str(part["num_episodes"]),
            number(part["driving_score_mean"]),
            percent(part["route_completion_mean"]),
            percent(part["success_rate"]),
            end_section=name == "all",
        )
    return table


def infraction_lines(metrics: Mapping[str, Any]) -> list[str]:
    """What went wrong, most frequent first, and how the episodes ended; a line each."""
    summary = metrics["summary"]
    counts = {kind: count for kind, count in summary["infractions"].items() if count}
    told = ", ".join(f"{kind.replace('_', ' ')} {count}" for kind, count in sorted(counts.items(), key=lambda item: -item[1])) or "none"
    endings = ", ".join(f"{cause.replace('_', ' ')} {count}" for cause, count in summary["endings"].items())
    lines = [f"infractions: {told}; {number(summary['driven_km'], 2)} km driven", f"endings: {endings}"]
    if summary["ade_mean"] is not None:
        lines.append(f"against the expert's plan at the states visited: ADE {summary['ade_mean']:.3f} m, FDE {summary['fde_mean']:.3f} m")
    if metrics["skipped_scenarios"]:
        skipped = sum(len(names) for names in metrics["skipped_scenarios"].values())
        lines.append(f"[yellow]{skipped} scripted scenarios were left out as not playable here; metrics.json lists them[/]")
    return lines


def offline_table(title: str, result: Mapping[str, Any]) -> Table:
    """The mean error by horizon, beside that of the SFT plan where the policy corrects one."""
    table = Table(title=title, title_justify="left")
    sft = result["sft"]
    for column in ("horizon", "samples", "mean error", *(("before the delta",) if sft else ())):
        table.add_column(column, justify="right")
    before = sft["by_horizon"] if sft else result["by_horizon"]
    for row, old in _some(list(zip(result["by_horizon"], before, strict=True))):
        cells = [f"{row['t']:.1f} s", str(row["count"]), f"{number(row['error'], 3)} m"]
        table.add_row(*cells, *((f"{number(old['error'], 3)} m",) if sft else ()))
    return table


T = TypeVar("T")


def _some(rows: Sequence[T]) -> list[T]:
    """Every fifth row, the last one included: a table for people."""
    return [row for i, row in enumerate(rows) if (i + 1) % 5 == 0 or i + 1 == len(rows)]


def _simulator(metrics: Mapping[str, Any]) -> str:
    simulator = metrics["simulator"]
    return f"simulator: {simulator['name']} ({simulator['description']})"


def gap_table(found: Gap) -> Table:
    """Expert, SFT and SFT + delta on the same episodes, and the share of the gap that is closed."""
    count = len(found.rl.runs)
    seeds = "1 seed" if count == 1 else f"{count} seeds"
    closed = f"[b]{percent(found.recovered)}[/] of the gap recovered, {100.0 * found.confidence:.0f} % interval "
    low, high = ("open" if bound is None else percent(bound) for bound in (found.low, found.high))
    closed += f"\\[{low}, {high}] over routes{' and seeds' if count > 1 else ''}; by seed {', '.join(map(percent, found.by_seed))}"
    table = Table(
        title=f"{found.episodes} episodes, {seeds}; driving score {found.score}",
        title_justify="left",
        caption=f"{closed}\nsimulator: {found.simulator}",
        caption_justify="left",
    )
    table.add_column("policy")
    for column in ("driving score", "completion", "success", "coll./km", "blocked", "ADE"):
        table.add_column(column, justify="right")
    for side in (found.expert, found.sft, found.rl):
        ade = "–" if side.ade is None else f"{side.ade:.3f} m"
        table.add_row(
            side.name,
            number(side.driving_score),
            percent(side.route_completion),
            percent(side.success_rate),
            number(side.collisions_per_km, 2),
            percent(side.blocked_share),
            ade,
        )
    return table


def by_type_table(found: Gap) -> Table:
    """Success by type of scripted scenario."""
    table = Table(title="success by type of scripted scenario", title_justify="left")
    table.add_column("type")
    for column in ("episodes", "expert", "SFT", "SFT + delta"):
        table.add_column(column, justify="right")
    for row in found.by_type:
        table.add_row(row.type, str(row.episodes), percent(row.expert), percent(row.sft), percent(row.rl))
    return table
