"""The space that is searched: from configurations to genomes, to the unit cube, and back, exactly.

A genome has one number per parameter that is not a constant: the value itself of a Float or an Int,
the option's index of a Choice, and `INACTIVE` where a conditional parameter does not apply.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpctrain.errors import ConfigError
from hpctrain.searching.conditions import (
    compiled,
    condition_problems,
    holds,
    num_configurations,
    parents_first,
    wanted,
)
from hpctrain.searching.parameters import (
    Choice,
    Fixed,
    Float,
    Gene,
    Parameter,
    Shorthand,
    Value,
    parameter_from,
    values_of,
)
from hpctrain.searching.record import INACTIVE, Genome
from hpctrain.searching.scale import scale_of

MOST_TRIES = 100

Config = dict[str, Value]
Constraint = Callable[[Config], bool]


class Space:
    """The parameters of a search, in the order of their declaration.

    Attributes:
        parameters: all of them by name, constants included.
        names: of the genes, in the order of the genome.
        genes: the parameters that are no constants.
        scales: each gene's functions to and from the unit interval.
        num_genes: the length of a genome.
        has_conditions: are there genes that do not always apply?
        constraint: tells which configurations are allowed; all if None.
        size: the number of configurations, if they can be counted; constraint or not.
    """

    def __init__(
        self,
        parameters: Mapping[str, Shorthand],
        constraint: Constraint | None = None,
        where: str = "space",
    ) -> None:
        """Args: `where` stands before a parameter's name in messages.

        Raises:
            ConfigError: with a line for each thing that is wrong.
        """
        self.parameters = _checked(parameters, where)
        if constraint is not None and not callable(constraint):
            raise ConfigError(
                f"{where}: the constraint is {constraint!r}; give a function of a configuration"
            )
        self.constraint = constraint
        self.where = where
        genes: dict[str, Gene] = {
            name: p for name, p in self.parameters.items() if not isinstance(p, Fixed)
        }
        self.names = tuple(genes)
        self.genes = tuple(genes.values())
        self.scales = tuple(map(scale_of, self.genes))
        self.counts = tuple(gene.count for gene in self.genes)
        self.categorical = tuple(isinstance(gene, Choice) for gene in self.genes)
        self._conditions = compiled(self.parameters)
        self._gene_conditions = [self._conditions[name] for name in self.names]
        self.num_genes = len(self.genes)
        self.has_conditions = any(self._gene_conditions)
        self._order = [self.names.index(n) for n in parents_first(self.parameters) if n in genes]
        self._from_unit = tuple(scale.from_unit for scale in self.scales)
        self._to_unit = tuple(scale.to_unit for scale in self.scales)
        self._decode = tuple((n, s.decode) for n, s in zip(self.names, self.scales, strict=True))
        self._template: Config = {
            name: p.value if isinstance(p, Fixed) else None for name, p in self.parameters.items()
        }
        self._may_lack = any(self._conditions.values())
        self._line = _line(self.genes)
        self.size = self._counted()
        self._num_allowed: int | None = None

    @classmethod
    def from_table(
        cls, table: Mapping[str, Any], name: str = "space", constraint: Constraint | None = None
    ) -> Space:
        """The space of a TOML table, or of what `describe` gave; `name` is for messages."""
        return cls(table, constraint, where=name)

    def decode(self, genome: Sequence[float]) -> Config:
        """The configuration, in the order of declaration, without what does not apply."""
        config = self._template.copy()
        if self._may_lack:
            return self._decode_some(genome, config)
        for (name, decode), x in zip(self._decode, genome, strict=True):
            config[name] = x if decode is None else decode(x)
        return config

    def encode(self, config: Mapping[str, Any]) -> Genome:
        """The genome of a configuration; constants may be left out.

        Raises:
            ConfigError: with a line for each parameter that is unknown, missing or out of range.
        """
        problems = [
            f"{self.where}.{name} is unknown; there are {', '.join(self.parameters)}"
            for name in config
            if name not in self.parameters
        ]
        genome = [INACTIVE] * len(self.genes)
        index = {name: i for i, name in enumerate(self.names)}
        for name in parents_first(self.parameters):
            applies = holds(self._conditions[name], genome)
            problem, x = self._encode_one(name, config, applies)
            if problem:
                problems.append(f"{self.where}.{name} {problem}")
            elif name in index:
                genome[index[name]] = x
        if problems:
            raise ConfigError("\n".join(problems))
        return tuple(genome)

    def to_unit(self, genome: Sequence[float]) -> list[float]:
        """Each gene in 0..1, NaN where it does not apply."""
        if self.has_conditions:
            return [
                to(x) if x == x else INACTIVE for to, x in zip(self._to_unit, genome, strict=True)
            ]
        return [to(x) for to, x in zip(self._to_unit, genome, strict=True)]

    def to_units(self, genomes: Sequence[Genome]) -> NDArray[np.float64]:
        """`to_unit` of n genomes, (n, num_genes)."""
        if self._line is None:
            return np.array([self.to_unit(genome) for genome in genomes])
        starts, spans = self._line
        return np.asarray((np.array(genomes) - starts) / spans)

    def from_unit(self, unit: Sequence[float]) -> Genome:
        """The genome of numbers in 0..1; those of genes that do not apply are not looked at."""
        if self.has_conditions:
            return self._fill(lambda i: self._from_unit[i](unit[i]))
        return tuple([of(u) for of, u in zip(self._from_unit, unit, strict=True)])

    def sample(self, draws: np.random.Generator) -> Genome:
        """A genome drawn evenly from what the constraint allows.

        Raises:
            ConfigError: if it forbids all of 100 draws.
        """
        for _ in range(MOST_TRIES):
            genome = self.from_unit(draws.random(self.num_genes).tolist())
            if self.is_valid(genome):
                return genome
        raise ConfigError(
            f"{self.where}: the constraint forbids {MOST_TRIES} of {MOST_TRIES} candidates, so the "
            "share of allowed ones seems to be below 1 %; choose bounds closer to what it allows"
        )

    def repair(self, genome: Sequence[float], draws: np.random.Generator) -> Genome:
        """The nearest genome of the space: in bounds and on the grid; genes that lack are drawn."""

        def gene(i: int) -> float:
            x = genome[i]
            if x == x:
                return self.scales[i].snap(x)
            return self._from_unit[i](draws.random())

        return self._fill(gene)

    def is_valid(self, genome: Sequence[float]) -> bool:
        """Does the constraint allow it?

        Raises:
            ConfigError: if the constraint fails.
        """
        if self.constraint is None:
            return True
        config = self.decode(genome)
        try:
            return bool(self.constraint(config))
        except Exception as error:
            raise ConfigError(
                f"{self.where}: the constraint fails with {type(error).__name__}: {error}, for "
                f"{config}; let it return true or false for every configuration"
            ) from error

    def num_allowed(self, at_most: int) -> int | None:
        """How many configurations the constraint allows; None if more than `at_most` are there."""
        if self.size is None or self.size > at_most:
            return None
        if self.constraint is None:
            return self.size
        if self._num_allowed is None:
            self._num_allowed = sum(map(self.is_valid, self._every()))
        return self._num_allowed

    def first_valid(self, make: Callable[[], Genome], draws: np.random.Generator) -> Genome:
        """What `make` gives, asked again while the constraint forbids it; in the end, a sample."""
        if self.constraint is None:
            return make()
        for _ in range(MOST_TRIES):
            genome = make()
            if self.is_valid(genome):
                return genome
        return self.sample(draws)

    def describe(self) -> dict[str, Any]:
        """Plain values from which `from_table` makes the space again, but for the constraint."""
        return {name: _described(parameter) for name, parameter in self.parameters.items()}

    @property
    def fingerprint(self) -> str:
        """The same for the same parameters in the same order; the constraint does not count."""
        return sha256(json.dumps(self.describe()).encode()).hexdigest()[:16]

    def _every(self) -> Iterator[Genome]:
        """All genomes of a space that can be counted."""

        def after(place: int, genome: list[float]) -> Iterator[Genome]:
            if place == len(self._order):
                yield tuple(genome)
                return
            i = self._order[place]
            applies = holds(self._gene_conditions[i], genome)
            for x in values_of(self.genes[i]) if applies else (INACTIVE,):
                genome[i] = x
                yield from after(place + 1, genome)
            genome[i] = INACTIVE

        return after(0, [INACTIVE] * self.num_genes)

    def _fill(self, gene: Callable[[int], float]) -> Genome:
        """A genome of `gene(i)` for each gene that applies, asked for parents first."""
        genome = [INACTIVE] * len(self.genes)
        for i in self._order:
            condition = self._gene_conditions[i]
            if not condition or holds(condition, genome):
                genome[i] = gene(i)
        return tuple(genome)

    def _decode_some(self, genome: Sequence[float], config: Config) -> Config:
        for (name, decode), x in zip(self._decode, genome, strict=True):
            if x != x:
                del config[name]
            else:
                config[name] = x if decode is None else decode(x)
        for name, parameter in self.parameters.items():
            if isinstance(parameter, Fixed) and not holds(self._conditions[name], genome):
                del config[name]
        return config

    def _encode_one(self, name: str, config: Mapping[str, Any], applies: bool) -> tuple[str, float]:
        """What is wrong with the value, or nothing and its gene."""
        parameter = self.parameters[name]
        if not applies:
            needs = " and ".join(f"{p} in {list(v)}" for p, v in wanted(parameter).items())
            return f"does not apply here, only with {needs}" if name in config else "", INACTIVE
        if name not in config:
            return "" if isinstance(parameter, Fixed) else "is missing", INACTIVE
        try:
            return "", parameter.gene(config[name])
        except ValueError:
            return f"is {config[name]!r}, but must be {parameter.allowed}", INACTIVE

    def _counted(self) -> int | None:
        counts = [count for count in self.counts if count is not None]
        if len(counts) < len(self.counts):
            return None
        if not self.has_conditions:
            return prod(counts)
        return num_configurations(counts, self._gene_conditions, self._order)


def canonical(genome: Iterable[float]) -> Genome:
    """The genome with every NaN replaced by `INACTIVE`, so that it can be found in a dictionary."""
    return tuple([x if x == x else INACTIVE for x in genome])


def _line(genes: Sequence[Gene]) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Starts and lengths of the ranges, if all of them are linear and have no grid."""
    ranges = [g for g in genes if isinstance(g, Float) and not g.log and g.step is None]
    if len(ranges) < len(genes):
        return None
    starts = np.array([float(gene.low) for gene in ranges])
    return starts, np.array([float(gene.high) for gene in ranges]) - starts


def _checked(shorthand: Mapping[str, Shorthand], where: str) -> dict[str, Parameter]:
    if not isinstance(shorthand, Mapping):
        raise ConfigError(
            f"{where} is {shorthand!r}, but must be a table of parameters by name, such as "
            '{"lr": (1e-4, 1e-1)}'
        )
    parameters: dict[str, Parameter] = {}
    problems: dict[str, list[str]] = {}
    for name, short in shorthand.items():
        if not _may_be_name(name):
            problems[name] = [f"{name!r} cannot be a name; give a text without '/'"]
            continue
        try:
            parameters[name] = parameter_from(short)
        except ValueError as error:
            problems[name] = [str(error)]
        else:
            problems[name] = parameters[name].problems()
    if not any(problems.values()):
        problems = condition_problems(parameters)
    lines = [f"{where}.{name}: {text}" for name, found in problems.items() for text in found]
    if not lines and all(isinstance(p, Fixed) for p in parameters.values()):
        lines = [f"{where} has nothing to search for; give it a range or a list of options"]
    if lines:
        raise ConfigError("\n".join(lines))
    return parameters


def _may_be_name(name: object) -> bool:
    """Can it be a column of the run store?"""
    return isinstance(name, str) and bool(name) and "/" not in name and "\0" not in name


def _described(parameter: Parameter) -> Any:
    table = parameter.described()
    if parameter.when:
        table["when"] = {parent: list(values) for parent, values in wanted(parameter).items()}
    return table
