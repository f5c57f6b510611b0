"""When a parameter applies: the parents that it names have certain values, and apply themselves.

A gene that does not apply is NaN, which is in no set of values. So a condition needs to look at the
parents' genes only, not at the parents' own conditions, if parents are worked out first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import inf, nan, prod

from hpctrain.searching.parameters import Fixed, Float, Parameter, Value

Condition = tuple[tuple[int, frozenset[float]], ...]
"""Pairs of a gene's index and the values that it may have; all of them must hold."""

MOST_COMBINATIONS = 10_000  # of the parents' values that are looked at to count configurations


def wanted(parameter: Parameter) -> dict[str, tuple[Value, ...]]:
    """The values that each parent may have, always as a tuple."""
    found: dict[str, tuple[Value, ...]] = {}
    for parent, values in (parameter.when or {}).items():
        if isinstance(values, str) or not isinstance(values, Sequence):
            found[parent] = (values,)
        else:
            found[parent] = tuple(values)
    return found


def condition_problems(parameters: Mapping[str, Parameter]) -> dict[str, list[str]]:
    """What is wrong with the conditions of each parameter; the parameters themselves are right."""
    found = {name: list(_problems_of(name, parameters)) for name in parameters}
    if not any(found.values()):
        circle = _circle(parameters)
        if circle:
            found[circle[0]].append(
                f"applies when itself does: {' <- '.join([*circle, circle[0]])}; cut the circle"
            )
    return found


def parents_first(parameters: Mapping[str, Parameter]) -> list[str]:
    """The names in the order of declaration, except that parents come before their children."""
    order: dict[str, None] = {}

    def visit(name: str) -> None:
        if name not in order:
            for parent in parameters[name].when or ():
                visit(parent)
            order[name] = None

    for name in parameters:
        visit(name)
    return list(order)


def compiled(parameters: Mapping[str, Parameter]) -> dict[str, Condition]:
    """The condition of each parameter in terms of genes; a constant passes on its own."""
    names = [name for name, parameter in parameters.items() if not isinstance(parameter, Fixed)]
    index = {name: i for i, name in enumerate(names)}
    conditions: dict[str, Condition] = {}
    for name in parents_first(parameters):
        terms: list[tuple[int, frozenset[float]]] = []
        for parent, values in wanted(parameters[name]).items():
            if parent in index:
                terms.append((index[parent], frozenset(map(parameters[parent].gene, values))))
            else:
                terms.extend(conditions[parent])
        conditions[name] = tuple(terms)
    return conditions


def holds(condition: Condition, genome: Sequence[float]) -> bool:
    return all(genome[i] in values for i, values in condition)


def num_configurations(
    counts: Sequence[int], conditions: Sequence[Condition], order: Sequence[int]
) -> int | None:
    """The number of configurations; None if parents have too many values to go through them.

    The values of the parents are gone through; the other genes only multiply. Values that no child
    asks for are alike, so one of them stands for all.

    Args:
        counts: the number of values of each gene.
        conditions: of each gene.
        order: the genes' indices, parents first.
    """
    asked: dict[int, frozenset[float]] = {}
    for condition in conditions:
        for i, values in condition:
            asked[i] = asked.get(i, frozenset()) | values
    if prod(len(values) + 1 for values in asked.values()) > MOST_COMBINATIONS:
        return None
    parents = [i for i in order if i in asked]
    leaves = [i for i in order if i not in asked]
    genome = [nan] * len(counts)

    def num_from(place: int) -> int:
        if place == len(parents):
            return prod(counts[i] for i in leaves if holds(conditions[i], genome))
        i = parents[place]
        if not holds(conditions[i], genome):
            return num_from(place + 1)
        total = 0
        for x, weight in _alike(asked[i], counts[i]):
            genome[i] = x
            total += weight * num_from(place + 1)
        genome[i] = nan
        return total

    return num_from(0)


def _alike(asked: frozenset[float], count: int) -> Iterator[tuple[float, int]]:
    """The values that children ask for, and infinity for all others, with how many they are."""
    yield from ((x, 1) for x in asked)
    if count > len(asked):
        yield inf, count - len(asked)


def _problems_of(name: str, parameters: Mapping[str, Parameter]) -> Iterator[str]:
    when = parameters[name].when
    if when is not None and not isinstance(when, Mapping):
        yield f'when is {when!r}, but must name parents: {{optimizer = "sgd"}}'
        return
    for parent, values in wanted(parameters[name]).items():
        if parent not in parameters:
            yield f"when names {parent}, which is no parameter; there are {', '.join(parameters)}"
        elif isinstance(parameters[parent], Float):
            yield f"when names {parent}, which is a Float; only Choice, Int and Fixed have values"
        elif not values:
            yield f"when asks for no value of {parent}, so it would never apply"
        else:
            yield from _impossible(parent, parameters[parent], values)


def _impossible(parent: str, parameter: Parameter, values: Sequence[Value]) -> Iterator[str]:
    for value in values:
        try:
            parameter.gene(value)
        except ValueError:
            yield f"when asks for {parent} = {value!r}, but that is {parameter.allowed}"


def _circle(parameters: Mapping[str, Parameter]) -> list[str]:
    """Names of which each depends on the next, and the last on the first."""
    done: set[str] = set()

    def follow(path: list[str]) -> list[str]:
        for parent in parameters[path[-1]].when or ():
            if parent in path:
                return path[path.index(parent) :]
            if parent not in done and (found := follow([*path, parent])):
                return found
        done.add(path[-1])
        return []

    return next((found for name in parameters if (found := follow([name]))), [])
