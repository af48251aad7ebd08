"""Tables of `compare` and `scores`. Nothing is computed here."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from carla_rl.cli.tables import number, percent
from carla_rl.gate import Judged
from carla_rl.metrics.comparison import Comparison, Difference

SHOWN = (
    "driving_score",
    "route_completion",
    "success_rate",
    "score_penalty",
    "collisions_per_km",
    "infractions_per_km",
    "red_light",
    "stop_sign",
    "offroad",
    "comfort",
    "ttc_short_share",
    "ade",
    "fde",
)
"""Measures of the usual table; `--all` shows every one."""
NAMED_ROUTES = 3
WIDE = 108
"""Characters that the table with effect sizes and wins takes."""


def comparison_table(found: Comparison, *, everything: bool = False, width: int = WIDE) -> Table:
    """Run B against run A, a measure a row; `n` where fewer pairs than all have the measure. What does not fit a narrow `width` is left
    out."""
    several = f", Holm for {found.family} comparisons" if found.family > 1 else ""
    more = width >= WIDE
    drawn = f"{found.confidence:.0%} interval, bootstrap over {found.unit}s, {found.resamples} resamples, seed {found.seed}"
    table = Table(
        title=f"A: {escape(found.policy_a)} ({escape(found.run_a)})\nB: {escape(found.policy_b)} ({escape(found.run_b)})\n"
        f"{found.pairs} paired episodes on {len(found.routes)} routes; driving score {found.score}",
        title_justify="left",
        caption=f"in brackets: {drawn}; p: sign-flip permutation test{several}"
        + ("; d: mean over standard deviation of the differences" if more else ""),
        caption_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1) if more else 0,
        pad_edge=False,
        collapse_padding=True,
    )
    table.add_column("measure", no_wrap=True)
    for column in ("A", "B", "B - A", "p", *(("d", "win/tie/loss") if more else ())):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    by_name = {row.name: row for row in found.measures}
    names = tuple(by_name) if everything else [name for name in SHOWN if name in by_name]
    for row in (by_name[name] for name in names):
        digits = 1 if row.unit in ("0..100", "%") else 3
        few = "" if row.pairs == found.pairs else f" (n {row.pairs})"
        table.add_row(
            row.name.replace("_", " ") + few,
            number(row.a, digits),
            number(row.b, digits),
            f"{row.difference:+.{digits}f}{_interval(row.low, row.high, digits)}",
            _p(row.p_holm),
            *(("" if row.effect_size is None else f"{row.effect_size:+.2f}", f"{row.wins}/{row.ties}/{row.losses}") if more else ()),
            _verdict(row, found.confidence),
        )
    return table


def comparison_lines(found: Comparison) -> list[str]:
    """Means with their intervals, the routes that differ most, and how much driving a difference would take; a line each."""
    score = next(row for row in found.measures if row.name == "driving_score")
    ends = [(score.a, score.a_low, score.a_high), (score.b, score.b_low, score.b_high)]
    told = ", ".join(f"{name} {number(mean)}{_interval(low, high, 1, sign='')}" for name, (mean, low, high) in zip("AB", ends, strict=True))
    size = "" if score.effect_size is None else f", effect size {score.effect_size:+.2f}"
    lines = [f"driving score: {told}; by {found.unit} {score.wins} won, {score.ties} tied, {score.losses} lost{size}"]
    lost = [route for route in found.routes if route.difference < 0.0][:NAMED_ROUTES]
    won = [route for route in reversed(found.routes) if route.difference > 0.0][:NAMED_ROUTES]
    for word, routes in (("lost", lost), ("won", won)):
        if routes:
            lines.append(f"most {word} by B: " + ", ".join(f"{escape(route.route)} ({route.difference:+.1f})" for route in routes))
    if found.resolve:
        needs = "; ".join(
            f"{row.difference:g} points {'out of reach' if row.seeds is None else f'{row.seeds} seed' + 's' * (row.seeds != 1)}"
            for row in found.resolve
        )
        lines.append(
            f"drives of each route that would resolve a difference at {found.power:.0%} power: {needs} (spread of {found.resolve_basis})"
        )
    if score.detectable is not None:
        lines.append(f"these pairs would find a difference of {score.detectable:.1f} points at that power")
    return lines


def gate_lines(judged: Sequence[Judged]) -> list[str]:
    """Which requirements hold."""
    return [
        f"[{'green]holds' if row.holds else 'bold red]fails'}[/] {escape(row.requirement)}: {escape(row.run)}, "
        f"{'lower' if row.end == 'low' else 'upper'} end of the interval {row.value:+.4g}"
        for row in judged
    ]


def scores_table(runs: Sequence[Mapping[str, Any]]) -> Table:
    """Every definition of the score, a run a column."""
    first = runs[0]["scores"]
    lacking = {name: list(dict.fromkeys(term for run in runs for term in run["scores"][name]["missing"])) for name in first}
    missing = "; ".join(f"{name} {', '.join(terms)}" for name, terms in lacking.items() if terms).replace("_", " ")
    table = Table(
        title=f"scores from the same raw facts, {runs[0]['num_episodes']} episodes, simulator: {runs[0]['simulator']}",
        title_justify="left",
        caption=f"terms that the facts do not give: {missing}",
        caption_justify="left",
        box=SIMPLE_HEAD,
    )
    table.add_column("definition", no_wrap=True)
    for run in runs:
        table.add_column(escape(f"{run['run_id']}\n{run['policy']}"), justify="right")
    for name in first:
        table.add_row(name.replace("_", " "), *(_score(run["scores"][name]) for run in runs))
    return table


def abilities_table(runs: Sequence[Mapping[str, Any]]) -> Table:
    """Bench2Drive's abilities, then every scenario type: success rate, a run a column."""
    table = Table(title="success by ability and by type of scripted scenario", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("ability or type", no_wrap=True)
    table.add_column("episodes", justify="right")
    for run in runs:
        table.add_column(escape(run["run_id"]), justify="right")
    abilities, types = ([*dict.fromkeys(name for run in runs for name in run[part])] for part in ("abilities", "by_type"))
    for part, names in (("abilities", abilities), ("by_type", types)):
        for name in names:
            rows = [run[part].get(name, {}) for run in runs]
            counts = sorted({row.get("num_episodes", 0) for row in rows if "num_episodes" in row})
            told = "–".join(str(count) for count in counts)
            last = part == "abilities" and name == abilities[-1]
            table.add_row(name.replace("_", " "), told, *(percent(row.get("success_rate")) for row in rows), end_section=last)
    return table


def _score(row: Mapping[str, Any]) -> str:
    digits = 1 if row["unit"] in ("0..100", "%") else 3
    return number(row["mean"], digits)


def _interval(low: float | None, high: float | None, digits: int, sign: str = "+") -> str:
    return "" if low is None or high is None else rf" \[{low:{sign}.{digits}f}, {high:{sign}.{digits}f}]"


def _p(value: float | None) -> str:
    if value is None:
        return "–"
    return "<.001" if value < 0.001 else f"{value:.3f}"


def _verdict(row: Difference, confidence: float) -> str:
    """Decided where the interval leaves zero out and the test agrees, corrected for all the comparisons."""
    if row.low is not None and row.low == row.high == 0.0:
        return "equal"
    if row.low is None or row.high is None or row.p_holm is None or row.low <= 0.0 <= row.high or row.p_holm >= 1.0 - confidence:
        return "undecided"
    return "[green]B better[/]" if (row.low > 0) == (row.better == "higher") else "[red]B worse[/]"
