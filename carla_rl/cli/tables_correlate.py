"""Tables, sentences and plots of `correlate`. Nothing is computed here."""

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from carla_rl.cli.tables import number, percent
from carla_rl.correlate import EXPERT_STATES, OWN_STATES, Correlation, Point, Study
from carla_rl.metrics.correlation import Coefficient
from carla_rl.scatter import Mark, Panel

STATES = {EXPERT_STATES: "the expert's states", OWN_STATES: "its own states"}
PLOTTED = ("ade", "fde", "fixed_speed_ade", "tre")
NAMED = 5
"""Disagreements that are named; correlation.json has all."""


def points_table(found: Study) -> Table:
    """Every checkpoint: how far its plans are off, and how it drives."""
    title = f"{len(found.points)} checkpoints, {found.episodes} episodes of {escape(found.suite)}; simulator: {found.simulator}"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    table.add_column("checkpoint", no_wrap=True)
    for column in ("ADE expert's", "ADE own", "driving score", "success"):
        table.add_column(column, justify="right", no_wrap=True)
    for point in sorted(found.points, key=lambda point: -point.closed["driving_score"]):
        table.add_row(
            escape(point.name),
            number(point.expert.get("ade"), 3),
            number(point.own.get("ade"), 3),
            rf"{point.closed['driving_score']:.1f} \[{point.score_low:.1f}, {point.score_high:.1f}]",
            percent(point.closed["success_rate"]),
        )
    return table


def correlation_table(found: Study) -> Table:
    """Every error of plans against the driving score."""
    table = Table(
        title="errors of plans against the driving score; negative: less error, better driving",
        title_justify="left",
        caption=f"in brackets: {found.confidence:.0%} bootstrap interval over checkpoints, {found.draws} resamples, seed {found.seed}; "
        "wrong: pairs of checkpoints that the error puts in the wrong order; sure: of those that drive differently beyond chance",
        caption_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    table.add_column("error", no_wrap=True)
    for column in ("Pearson", "Spearman", "Kendall", "wrong", "sure"):
        table.add_column(column, justify="right", no_wrap=True, min_width=len(column))
    for states in (EXPERT_STATES, OWN_STATES):
        rows = [row for row in found.correlations if row.states == states and row.closed == "driving_score"]
        if rows:
            table.add_row(f"[b]{STATES[states]}[/]")
        for row in rows:
            pearson, kendall = ("–" if one.value is None else f"{one.value:+.2f}" for one in (row.found.pearson, row.found.kendall))
            cells = (pearson, _coefficient(row.found.spearman), kendall, f"{row.wrong}/{row.pairs}", f"{row.sure_wrong}/{row.sure}")
            table.add_row(row.offline.replace("_", " "), *cells, end_section=row is rows[-1])
    return table


def correlation_lines(found: Study) -> list[str]:
    """The headline: what ADE tells, in words."""
    lines = []
    for states, told in STATES.items():
        row = _of(found, states, "ade")
        if row is None:
            lines.append(f"ADE on {told}: unknown for too many of these runs")
            continue
        lines.append(
            f"ADE on {told}: Spearman {_coefficient(row.found.spearman)}; of {row.sure} pairs of checkpoints that drive differently beyond "
            f"chance it prefers the worse driver in {row.sure_wrong}"
        )
    return lines


def disagreement_lines(found: Study) -> list[str]:
    """The plainest cases in which ADE on the expert's states misleads."""
    rows = [row for row in found.disagreements if row.states == EXPERT_STATES]
    lines = [
        f"ADE prefers {escape(row.less_error)} ({row.error[0]:.3f} m, score {row.score[0]:.1f}) to {escape(row.drives_better)} "
        rf"({row.error[1]:.3f} m, score {row.score[1]:.1f}), which drives better by \[{row.low:+.1f}, {row.high:+.1f}]"
        for row in rows[:NAMED]
    ]
    return lines + ([f"and {len(rows) - NAMED} more such pairs in correlation.json"] if len(rows) > NAMED else [])


def panels(found: Study) -> list[Panel]:
    """A plot for each state and error: four errors on the expert's states above, the same on the policy's own below."""
    drawn = []
    for states, told in STATES.items():
        for error in PLOTTED:
            row = _of(found, states, error)
            if row is None:
                continue
            marks = tuple(
                Mark(i, point.kind, value, point.closed["driving_score"], point.score_low, point.score_high)
                for i, point in enumerate(found.points, 1)
                if (value := _error(point, states, error)) is not None
            )
            rank = "–" if row.found.spearman.value is None else f"{row.found.spearman.value:+.2f}"
            unit = "" if error == "tre" else ", m"
            label = {"ade": "ADE", "fde": "FDE", "fixed_speed_ade": "fixed-speed ADE", "tre": "TRE of steering"}[error]
            drawn.append(Panel(f"{label} on {told}: Spearman {rank}", f"{label}{unit}", "driving score", marks))
    return drawn


def _error(point: Point, states: str, error: str) -> float | None:
    return (point.expert if states == EXPERT_STATES else point.own).get(error)


def _of(found: Study, states: str, error: str) -> Correlation | None:
    rows = (row for row in found.correlations if (row.states, row.offline, row.closed) == (states, error, "driving_score"))
    return next(rows, None)


def _coefficient(one: Coefficient) -> str:
    if one.value is None:
        return "–"
    bounds = "open" if one.low is None or one.high is None else f"{one.low:+.2f}, {one.high:+.2f}"
    return rf"{one.value:+.2f} \[{bounds}]"
