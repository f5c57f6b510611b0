"""Settings that are allowed one by one but not together.

A rule looks at valid settings and yields `(key, text)` for what cannot work.
"""

from collections import Counter
from collections.abc import Callable, Iterator

from hpctrain.config.explain import shown
from hpctrain.config.method_rules import method_problems
from hpctrain.config.models import RunConfig

Problem = tuple[str, str]

BUDGETS = ("budget_kwh", "budget_cost", "budget_gco2")


def contradictions(config: RunConfig) -> Iterator[Problem]:
    """Everything in `config` that does not go together, by key."""
    for rule in _RULES:
        yield from rule(config)


def missing_stop(config: RunConfig) -> Iterator[Problem]:
    """A run whose loop the package owns has to end by itself."""
    if not config.stop.is_given:
        yield "stop", "the run would never end; give stop.steps, stop.minutes or stop.gigabytes"


def search_problems(config: RunConfig) -> Iterator[Problem]:
    """A search needs something to search, and an end; so do the trainings in it."""
    search = config.search
    if not search.space:
        yield "search.space", "is missing; give at least one parameter, such as lr = [1e-4, 1e-3]"
    rules = search.stop
    budgets = (getattr(config.energy, key) for key in BUDGETS)
    ends = (rules.evaluations, rules.hours, rules.patience, rules.cost, *budgets)
    if all(rule is None for rule in ends):
        yield (
            "search.stop",
            "the search might never end; give evaluations, hours, patience or cost",
        )
    if search.energy_objective and search.objectives < 2:
        yield "search.energy_objective", "needs search.objectives of at least 2: the last is energy"
    if search.energy_objective and config.energy.meter == "off":
        yield "search.energy_objective", 'is not allowed with energy.meter = "off"'
    if search.objective == "train":
        yield from missing_stop(config)
    if search.fidelity.rule != "none" and search.objectives > 1:
        yield (
            "search.fidelity.rule",
            f'"{search.fidelity.rule}" is not allowed with {search.objectives} objectives',
        )


def _rank_lists(config: RunConfig) -> Iterator[Problem]:
    islands = config.topology.islands
    if not isinstance(islands, tuple):
        return
    counts = Counter(rank for ranks in islands for rank in ranks)
    twice = sorted(rank for rank, count in counts.items() if count > 1)
    if twice:
        listed = ", ".join(map(str, twice))
        yield "topology.islands", f"names rank {listed} more than once; a rank is in one island"
    size = config.topology.ranks_per_worker
    if size == "all":
        return
    for index, ranks in enumerate(islands):
        if len(ranks) % size:
            yield (
                "topology.ranks_per_worker",
                f"{size} does not divide the {len(ranks)} ranks of island {index}",
            )


def _one_rank_islands(config: RunConfig) -> Iterator[Problem]:
    topology = config.topology
    if topology.islands == "rank" and topology.ranks_per_worker not in ("all", 1):
        yield (
            "topology.ranks_per_worker",
            f'{topology.ranks_per_worker} is not allowed with islands = "rank"; give "all" or 1',
        )


def _one_per_island(config: RunConfig) -> Iterator[Problem]:
    names = config.topology.names
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        yield "topology.names", f"names {', '.join(twice)} more than once; names must differ"
    islands = config.topology.islands
    if isinstance(islands, str):
        return
    yield from wrong_counts(config, len(islands) if isinstance(islands, tuple) else islands)


def wrong_counts(config: RunConfig, num_islands: int) -> Iterator[Problem]:
    """Lists with one item per island, where `num_islands` is known."""
    lists = (
        ("topology.names", config.topology.names),
        ("pace.factors", config.pace.factors),
        ("method.shares", config.method.shares),
    )
    for key, items in lists:
        if items and len(items) != num_islands:
            yield (
                key,
                f"has {len(items)} for {num_islands} islands; give one for each island, or none",
            )


def _pace(config: RunConfig) -> Iterator[Problem]:
    if config.pace.factors and config.pace.step_s == 0:
        yield (
            "pace.factors",
            "need pace.step_s above 0: an island's step takes its factor times step_s",
        )


def _signals(config: RunConfig) -> Iterator[Problem]:
    signals = config.checkpoint.signals
    if len(set(signals)) != len(signals):
        yield "checkpoint.signals", f"{shown(list(signals))} names a signal twice"


def _follow(config: RunConfig) -> Iterator[Problem]:
    runtime = config.runtime
    if runtime.follow is None:
        return
    if runtime.record != "off":
        yield (
            "runtime.record",
            f'"{runtime.record}" is not allowed with runtime.follow: a run that follows a'
            " recording would only copy it; leave one of them out",
        )
    if config.checkpoint.resume:
        yield (
            "checkpoint.resume",
            "true is not allowed with runtime.follow: a recording is followed from its beginning",
        )
    if config.runtime.service_thread is True:
        yield (
            "runtime.service_thread",
            "true is not allowed with runtime.follow, which fixes the order of all arrivals",
        )


def _precision(config: RunConfig) -> Iterator[Problem]:
    if config.runtime.amp == "float16" and config.runtime.device == "cpu":
        yield "runtime.amp", '"float16" is not allowed on the CPU; give "bfloat16" or "off"'


def _simulate(config: RunConfig) -> Iterator[Problem]:
    simulate = config.simulate
    if simulate.idle_watts > (simulate.watts or 0.0):
        yield "simulate.idle_watts", f"{simulate.idle_watts:g} is more than simulate.watts"
    if simulate.workers is None or not isinstance(simulate.step_s, tuple):
        return
    if len(simulate.step_s) != simulate.workers:
        yield (
            "simulate.step_s",
            f"has {len(simulate.step_s)} for {simulate.workers} workers; give one number, or"
            " one for each worker",
        )


def _energy(config: RunConfig) -> Iterator[Problem]:
    energy = config.energy
    budgets = [key for key in BUDGETS if getattr(energy, key) is not None]
    if len(budgets) > 1:
        yield f"energy.{budgets[1]}", f"is given beside {budgets[0]}; give one budget only"
    if budgets and energy.meter == "off":
        yield f"energy.{budgets[0]}", 'has no meaning with energy.meter = "off"; leave one out'
    for key, needed in (("budget_cost", "tariff"), ("budget_gco2", "carbon")):
        if getattr(energy, key) is not None and getattr(energy, needed) is None:
            yield f"energy.{key}", f"needs energy.{needed}: a number, or the path of a CSV file"
    limits = [*budgets, *(["pause_above"] if energy.pause_above is not None else [])]
    if limits and config.runtime.record != "off":
        yield (
            f"energy.{limits[0]}",
            f'is not allowed with runtime.record = "{config.runtime.record}": what a run uses'
            " cannot be repeated; leave one of them out",
        )
    if energy.pause_above is not None and not isinstance(energy.tariff, str):
        yield "energy.pause_above", "needs energy.tariff to be a CSV file of prices"


_RULES: tuple[Callable[[RunConfig], Iterator[Problem]], ...] = (
    method_problems,
    _rank_lists,
    _one_rank_islands,
    _one_per_island,
    _pace,
    _signals,
    _follow,
    _precision,
    _simulate,
    _energy,
)
