"""The parameters of a recorded search, as `run.json` describes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan, log
from typing import Any, Literal

import numpy as np

from hpctrain.report.tables import Array

Value = bool | int | float | str | None
Kind = Literal["float", "int", "choice", "constant"]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a search.

    Attributes:
        low, high: bounds of a float or an int; of a choice 0 and the number of options - 1.
        step: of the grid; None if there is none.
        options: of a choice; the value alone of a constant.
        when: the values of other parameters for which it applies; empty for always.
    """

    name: str
    kind: Kind
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    step: float | None = None
    options: tuple[Value, ...] = ()
    when: tuple[tuple[str, tuple[Value, ...]], ...] = ()

    @property
    def is_gene(self) -> bool:
        """Whether candidates differ in it."""
        return self.kind != "constant"

    def value(self, gene: float) -> Value:
        """The value behind a gene that applies."""
        match self.kind:
            case "float":
                return gene
            case "int":
                return int(gene)
            case "choice":
                return self.options[int(gene)]
            case "constant":
                return self.options[0]

    def code(self, value: Value) -> float | None:
        """The gene of a value, 0 for that of a constant; None if it is not allowed."""
        if self.kind in ("choice", "constant"):
            keys = list(map(_key, self.options))
            return float(keys.index(_key(value))) if _key(value) in keys else None
        return None if isinstance(value, str | None) else float(value)

    def unit(self, genes: Array) -> Array:
        """Genes in 0..1, evenly in the logarithm where the range is one; NaN stays NaN."""
        if self.high <= self.low:
            return np.asarray(genes * 0.0 + 0.5)
        if self.log:
            return np.asarray(np.log(genes / self.low) / log(self.high / self.low))
        return np.asarray((genes - self.low) / (self.high - self.low))

    @property
    def range_text(self) -> str:
        """What it may be, in a few words."""
        match self.kind:
            case "constant":
                return f"always {value_text(self.options[0])}"
            case "choice":
                return "one of " + ", ".join(map(value_text, self.options))
            case _:
                how = ", logarithmic" if self.log else ""
                grid = f" in steps of {self.step:g}" if self.step is not None else ""
                whole = "integer " if self.kind == "int" else ""
                return f"{whole}{self.low:g} to {self.high:g}{grid}{how}"

    @property
    def when_text(self) -> str:
        """When it applies; empty for always."""
        said = (f"{name} is {' or '.join(map(value_text, values))}" for name, values in self.when)
        return " and ".join(said)


def read_parameters(space: Mapping[str, Any]) -> dict[str, Parameter]:
    """The parameters by name; `space` is what a search says of itself in `run.json`."""
    return {name: _parameter(name, table) for name, table in space.items()}


def configuration(
    parameters: Mapping[str, Parameter], names: Sequence[str], genes: Sequence[float]
) -> dict[str, Value]:
    """What a candidate was given: genes that apply, then the constants that do.

    Args:
        parameters: all of the search.
        names: of the genes, in the order of `genes`.
        genes: one per name; NaN where it does not apply.
    """
    known = {
        name: parameters[name].value(float(gene))
        for name, gene in zip(names, genes, strict=True)
        if not isnan(gene)
    }
    constants = [parameter for parameter in parameters.values() if not parameter.is_gene]
    if len(known) == 0 and len(names):  # not known at all: then constants say nothing either
        return {}
    for _ in constants:  # a constant may depend on another one
        known |= {c.name: c.options[0] for c in constants if _applies(c, known)}
    return known


def value_text(value: Value) -> str:
    """A value in few characters."""
    match value:
        case bool() | None:
            return str(value)
        case float():
            return f"{value:.4g}"
        case int():
            return str(value)
        case str():
            return value or '""'


def _parameter(name: str, table: Any) -> Parameter:
    if not isinstance(table, Mapping):
        return Parameter(name, "constant", options=(table,))
    when = tuple((parent, tuple(values)) for parent, values in table.get("when", {}).items())
    if "options" in table:
        options = tuple(table["options"])
        return Parameter(name, "choice", 0.0, len(options) - 1.0, options=options, when=when)
    if "value" in table:
        return Parameter(name, "constant", options=(table["value"],), when=when)
    numbers = [table[key] for key in ("low", "high", "step") if table.get(key) is not None]
    kind: Kind = "int" if all(type(number) is int for number in numbers) else "float"
    low, high, step = float(table["low"]), float(table["high"]), table.get("step")
    return Parameter(
        name, kind, low, high, bool(table.get("log")), None if step is None else float(step),
        when=when,
    )  # fmt: skip


def _applies(parameter: Parameter, known: Mapping[str, Value]) -> bool:
    return all(
        parent in known and _key(known[parent]) in map(_key, values)
        for parent, values in parameter.when
    )


def _key(value: Value) -> tuple[bool, Value]:
    """Equal values have equal keys, but True is not 1."""
    return isinstance(value, bool), value
