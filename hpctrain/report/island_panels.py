"""How stale the pushes of each island were, and where its time went: one row per island."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from hpctrain.report.accounts import PHASES, IslandAccount
from hpctrain.report.group_panel import draw_groups, say_only, version_edges
from hpctrain.report.groups import Groups
from hpctrain.report.style import FAINT_COLOUR, PHASE_COLOURS, PLAIN_COLOUR, TEXT_COLOUR
from hpctrain.report.words import pace_text

MOST_ISLANDS = 12
ABOVE_BARS_PT = 22  # room for the legend between the title and the bars
RIDGE = 0.72  # height of the tallest bar, in rows
NARROWEST_SHARE = 4.0  # percent; a narrower part of a bar has no room for its number


def shown_islands(accounts: Sequence[IslandAccount]) -> list[IslandAccount]:
    """All islands, or some from the fastest to the slowest if they are too many to draw."""
    if len(accounts) <= MOST_ISLANDS:
        return list(accounts)
    by_steps = sorted(accounts, key=lambda account: -account.steps)
    places = np.linspace(0, len(by_steps) - 1, MOST_ISLANDS).round().astype(int)
    return [by_steps[place] for place in places]


def draw_islands(
    figure: Any, islands: Sequence[IslandAccount], num_islands: int,
    colours: Mapping[str, str], groups: Groups | None,
) -> None:  # fmt: skip
    """Two panels; with the same rows, unless pushes were merged in groups of several islands."""
    stale, time = figure.subplots(1, 2, sharey=groups is None, width_ratios=(1.0, 1.25))
    some = f" ({len(islands)} of {num_islands} islands)" if len(islands) < num_islands else ""
    time.set_title(f"where the time went{some if groups else ''}", pad=ABOVE_BARS_PT)
    _draw_time(time, islands)
    if groups is None:
        stale.set_title(f"staleness of pushes{some}", pad=ABOVE_BARS_PT)
        _draw_staleness(stale, islands, colours)
        _draw_rows(stale, islands)
        _leave_rows(time)
    else:
        stale.set_title("staleness of groups (of the oldest push)", pad=ABOVE_BARS_PT)
        draw_groups(stale, groups)
        _draw_rows(time, islands)


def _draw_rows(panel: Any, islands: Sequence[IslandAccount]) -> None:
    _leave_rows(panel)
    panel.set_ylim(len(islands) - 0.5, -0.5)
    panel.set_yticks(range(len(islands)), [_row_label(island) for island in islands])


def _leave_rows(panel: Any) -> None:
    panel.grid(axis="y", visible=False)
    panel.tick_params(axis="y", length=0)
    panel.spines["left"].set_visible(False)


def _row_label(island: IslandAccount) -> str:
    pace = pace_text(island.pace)
    return f"{island.name}\n(emulated {pace})" if pace else island.name


def _draw_staleness(
    panel: Any, islands: Sequence[IslandAccount], colours: Mapping[str, str]
) -> None:
    """A histogram per island, standing on its row, and a tick at the mean."""
    found = [island.merges.staleness for island in islands if island.merges.merged]
    if not found:
        say_only(panel, "no push was merged")
        return
    panel.set_xlabel("versions behind, at arrival")
    edges = version_edges(np.concatenate(found))
    width = edges[1] - edges[0]
    for row, island in enumerate(islands):
        if island.merges.merged:
            _draw_ridge(panel, row, island, edges, colours.get(island.name, PLAIN_COLOUR))
    panel.set_xlim(-0.6 * width, edges[-1] * 1.3)
    panel.xaxis.set_major_locator(MaxNLocator(6, integer=True))


def _draw_ridge(panel: Any, row: int, island: IslandAccount, edges: Any, colour: str) -> None:
    staleness = island.merges.staleness
    counts, _ = np.histogram(staleness, edges)
    width, floor = edges[1] - edges[0], row + RIDGE / 2
    heights = RIDGE * counts / counts.max()
    middles = edges[:-1] + (width - 1) / 2
    panel.bar(middles, -heights, 0.82 * width, bottom=floor, color=colour)
    panel.plot(
        [middles[0] - width / 2, edges[-1]], [floor, floor], color=FAINT_COLOUR, linewidth=0.6
    )
    mean = staleness.mean()
    panel.annotate(
        f"mean {mean:.1f}", (edges[counts.nonzero()[0][-1] + 1], floor), (4, 3),
        textcoords="offset points", fontsize=8, color=TEXT_COLOUR,
    )  # fmt: skip


def _draw_time(panel: Any, islands: Sequence[IslandAccount]) -> None:
    left = np.zeros(len(islands))
    spent_s = np.array([max(sum(island.phase_s.values()), 1e-12) for island in islands])
    for phase in PHASES:
        share = np.array([island.phase_s[phase] for island in islands]) / spent_s * 100
        if not share.any():
            continue
        panel.barh(range(len(islands)), share, 0.62, left, color=PHASE_COLOURS[phase], label=phase)
        _write_shares(panel, phase, left, share)
        left += share
    panel.set_xlim(0, 100)
    panel.set_xlabel("percent")
    if left.any():
        panel.legend(
            loc="lower left", bbox_to_anchor=(-0.01, 1.0), ncols=len(PHASES), columnspacing=1.2,
            handlelength=0.9, handletextpad=0.5, borderaxespad=0.1, fontsize=8.5,
        )  # fmt: skip


def _write_shares(panel: Any, phase: str, left: Any, share: Any) -> None:
    colour = TEXT_COLOUR if phase in ("compute", "evaluate") else "white"
    for row, (begin, width) in enumerate(zip(left, share, strict=True)):
        if width >= NARROWEST_SHARE:
            text = f"{width:.0f}%" if phase == "compute" else f"{width:.0f}"
            panel.text(
                begin + width / 2, row, text, ha="center", va="center", color=colour, fontsize=8
            )
