"""What reports about a search say, whether on a terminal or on a page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from hpctrain.report.facts import origin
from hpctrain.report.searches.importance import Importance
from hpctrain.report.searches.ranking import Ranking
from hpctrain.report.searches.records import SearchRecords
from hpctrain.report.searches.space import Value, value_text
from hpctrain.report.searches.tally import REUSED, Tally
from hpctrain.report.state import RunState
from hpctrain.report.tables import RunTables
from hpctrain.report.words import count_text, plural, seconds_text

MOST_HOSTS = 4
LONGEST_CELL = 24
MOST_NAMES = 4  # in a sentence
LEAST_EFFECT = 0.005  # is written as 1 %
OUTCOMES = {"stopped": "stopped early", REUSED: "not paid for twice"}


def headline(records: SearchRecords) -> str:
    """What was searched, in one line."""
    aims = records.num_objectives
    what = plural(len(records.names), "parameter")
    return f"{records.facts.name}: a search over {what}" + (
        f" for {aims} objectives" if aims > 1 else ""
    )


def labelled(
    run: RunTables, records: SearchRecords, counts: Tally, state: RunState
) -> Iterator[tuple[str, str]]:
    """What is known about the search as a whole, by label."""
    facts = records.facts
    yield "state", f"{state.standing}: {state.text}" if state.text else state.standing
    yield "ran for", _ran_for(records)
    if facts.started:
        yield "started", facts.started
    yield "on", _places(run, records)
    yield "objective", str(records.search.get("objective", "unknown"))
    yield "propagator", str(records.search.get("propagator", "unknown"))
    yield "candidates", outcomes_text(counts)
    if counts.evaluated and counts.elapsed_s:
        yield "rate", rate_text(counts)
    if counts.utilisation is not None:
        yield "workers busy", f"{counts.utilisation:.1%} of their time, in the objective"
    if counts.cost is not None:
        yield "cost", f"{counts.cost:,.6g}"
    yield from origin(facts, run.run_dir)


def outcomes_text(counts: Tally) -> str:
    """How many candidates there are, and what became of them."""
    parts = [
        f"{count_text(count)} {OUTCOMES.get(outcome, outcome)}"
        for outcome, count in counts.outcomes.items()
        if count
    ]
    return f"{sum(counts.outcomes.values()):,}" + (f": {', '.join(parts)}" if parts else "")


def rate_text(counts: Tally) -> str:
    """Evaluations per second, minute or hour, whichever gives a number to read."""
    for unit, seconds in (("second", 3600.0), ("minute", 60.0)):
        if counts.per_hour / seconds >= 1:
            return f"{counts.per_hour / seconds:,.1f} evaluations per {unit}"
    return f"{counts.per_hour:,.1f} evaluations per hour"


def loss_names(records: SearchRecords) -> list[str]:
    """What the losses are called: loss, loss_1, loss_2, ..."""
    return ["loss", *(f"loss_{place}" for place in range(1, records.num_objectives))]


def best_rows(records: SearchRecords, best: Ranking, top: int) -> tuple[list[str], list[list[str]]]:
    """The heads of the columns, and a row per candidate: number, losses, parameters."""
    heads = ["candidate", *loss_names(records)]
    heads += ["times"] if records.averages else []
    rows = []
    for place in shown_places(records, best, top):
        row = int(best.rows[place])
        config = records.config(row)
        cells = [str(records.table["number"][row])]
        cells += [f"{loss:.6g}" for loss in best.losses[place]]
        cells += [str(best.times[place])] if records.averages else []
        cells += [_cell(config, name) for name in records.names]
        rows.append(cells)
    return heads + list(records.names), rows


def _cell(config: Mapping[str, Value], name: str) -> str:
    text = value_text(config[name]) if name in config else ""
    return text if len(text) <= LONGEST_CELL else f"{text[: LONGEST_CELL - 1]}…"


def shown_places(records: SearchRecords, best: Ranking, top: int) -> list[int]:
    """The first ones; of a front some that are evenly spread over it."""
    if records.num_objectives == 1 or len(best.rows) <= top:
        return list(range(min(top, len(best.rows))))
    return list(np.linspace(0, len(best.rows) - 1, top).round().astype(int))


def column_chunks(
    heads: Sequence[str], rows: Sequence[Sequence[str]], fixed: int, width: int
) -> Iterator[list[int]]:
    """Which columns stand in one table, so that it fits; the first are in every one."""
    widths = [
        min(max(len(head), *(len(row[c]) for row in rows)), LONGEST_CELL) + 1
        for c, head in enumerate(heads)
    ]
    room = width - sum(widths[:fixed])
    chunk: list[int] = []
    for c in range(fixed, len(heads)):
        if chunk and sum(widths[i] for i in chunk) + widths[c] > room:
            yield [*range(fixed), *chunk]
            chunk = []
        chunk.append(c)
    yield [*range(fixed), *chunk]


def constants_text(records: SearchRecords) -> str:
    """The parameters that are the same for all candidates."""
    return ", ".join(
        f"{name} = {value_text(parameter.options[0])}"
        f"{f' where {parameter.when_text}' if parameter.when else ''}"
        for name, parameter in records.parameters.items()
        if not parameter.is_gene
    )


def best_title(records: SearchRecords, best: Ranking, top: int) -> str:
    """What the table of the best candidates shows."""
    shown, whole = min(len(best.rows), top), len(best.rows)
    if records.num_objectives > 1:
        some = f" ({shown} of {whole} candidates)" if shown < whole else ""
        return f"Candidates that no other is better than in every loss{some}"
    return f"The best {plural(shown, 'candidate')}" if shown > 1 else "The best candidate"


def methods_text(found: Sequence[Importance]) -> list[str]:
    """How the importances of all objectives were computed, or why they were not."""
    known = [item for item in found if item.effects]
    texts = [f"Nothing can be said: {item.why_not}." for item in found if not item.effects]
    if known:
        shares = dict.fromkeys(f"{item.explained:.0%}" for item in known)
        first = known[0]
        some = f"{first.evaluations:,} of " if first.evaluations < first.of else ""
        texts.insert(0, (
            "Share of the variance of the loss's rank that depends on the parameter, alone or "
            "together with others; found by shuffling it in a random forest learned from "
            f"{some}{first.of:,} evaluations, which explains {' and '.join(shares)} of "
            f"evaluations that it has not seen.{_chance_text(known)}"
        ))  # fmt: skip
    return list(dict.fromkeys(texts))


def effects_by_parameter(found: Sequence[Importance]) -> list[tuple[str, list[float]]]:
    """Each parameter with its effect on every objective, by the largest."""
    effects = [dict(item.effects) for item in found]
    names = dict.fromkeys(name for item in effects for name in item)
    rows = [(name, [item.get(name, np.nan) for item in effects]) for name in names]
    return sorted(rows, key=lambda row: -np.nanmax(row[1]))


def _ran_for(records: SearchRecords) -> str:
    text = seconds_text(records.elapsed_s)
    ranks_of_resumes = records.events["rank"][records.events["kind"] == "resume"]
    times = int((ranks_of_resumes == ranks_of_resumes[0]).sum()) if len(ranks_of_resumes) else 0
    return text + (f", resumed {'once' if times == 1 else f'{times} times'}" if times else "")


def _places(run: RunTables, records: SearchRecords) -> str:
    facts = records.facts
    hosts = ", ".join(facts.hosts[:MOST_HOSTS])
    more = len(facts.hosts) - MOST_HOSTS
    where = f"{hosts} and {more} more" if more > 0 else hosts
    parts = [plural(len(run.ranks), "rank"), plural(facts.num_workers, "worker")]
    parts += [plural(len(facts.islands), "island")] if len(facts.islands) > 1 else []
    return ", ".join(parts) + (f" on {where}" if where else "")


def _chance_text(found: Sequence[Importance]) -> str:
    """Parameters whose effect is not above that of chance, for any objective."""
    noise = max(max(item.noise for item in found), LEAST_EFFECT)
    names = [name for name, e in effects_by_parameter(found) if not np.nanmax(e) > noise]
    if not names:
        return ""
    said = f"The last {len(names)}" if len(names) > MOST_NAMES else ", ".join(names)
    return f" {said} cannot be told from chance."
