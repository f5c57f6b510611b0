"""The parameters of all candidates as numbers, from the columns `param.NAME`.

A column knows neither what a missing value means nor, if it is one of texts, what type a value had.
The space does: a value is looked for only where the parameter applies, and is one of its options.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from graphlib import TopologicalSorter

import numpy as np

from hpctrain.report.searches.space import Parameter, Value
from hpctrain.report.tables import Array, Table, num_rows

PREFIX = "param."


def gene_names(parameters: Mapping[str, Parameter], table: Table) -> tuple[str, ...]:
    """The parameters that are no constants, in the order in which candidates have them.

    That is the order of their declaration, except that those that the first candidates lack come
    later; `run.json` is sorted.
    """
    seen = [name.removeprefix(PREFIX) for name in table if name.startswith(PREFIX)]
    names = dict.fromkeys([*(name for name in seen if name in parameters), *parameters])
    return tuple(name for name in names if parameters[name].is_gene)


def gene_table(parameters: Mapping[str, Parameter], names: Sequence[str], table: Table) -> Array:
    """Values or indices of options (rows, names), NaN where a parameter does not apply."""
    genes: dict[str, Array] = {}
    for name in _parents_first(parameters):
        codes = _codes(parameters[name], table)
        genes[name] = np.where(_applies(parameters[name], parameters, genes), codes, np.nan)
    if not names:
        return np.empty((num_rows(table), 0))
    return np.stack([genes[name] for name in names], axis=1)


def _parents_first(parameters: Mapping[str, Parameter]) -> Sequence[str]:
    parents = {name: [parent for parent, _ in p.when] for name, p in parameters.items()}
    return [name for name in TopologicalSorter(parents).static_order() if name in parameters]


def _applies(
    parameter: Parameter, parameters: Mapping[str, Parameter], genes: Mapping[str, Array]
) -> Array:
    """The rows in which its parents have the values that it needs."""
    found: Array = np.array(True)
    for parent, values in parameter.when:
        wanted = [code for v in values if (code := parameters[parent].code(v)) is not None]
        found = found & np.isin(genes[parent], wanted)
    return found


def _codes(parameter: Parameter, table: Table) -> Array:
    """The numbers where the parameter applies; anything elsewhere."""
    column = table.get(PREFIX + parameter.name)
    if not parameter.is_gene:
        return np.zeros(num_rows(table))
    if column is None:
        return np.full(num_rows(table), np.nan)
    if parameter.kind == "choice":
        return _of_texts(parameter, column) if column.dtype == object else _of_numbers(
            parameter, column
        )  # fmt: skip
    codes = _as_numbers(column)
    return np.where((codes < parameter.low) | (codes > parameter.high), np.nan, codes)


def _of_numbers(parameter: Parameter, column: Array) -> Array:
    """Options by their values; what is no option stands for None, if that is one."""
    codes = np.full(len(column), _code_of_none(parameter))
    for code, option in reversed(list(enumerate(parameter.options))):
        if isinstance(option, int | float):
            codes[column == option] = code
    return codes


def _of_texts(parameter: Parameter, column: Array) -> Array:
    """Options by how they may have been written, in a column of texts or first one of numbers."""
    codes: dict[str, float] = {}
    for spell in (_text, _text_of_float, _text_of_int):
        for code, option in enumerate(parameter.options):
            if option is not None:
                codes.setdefault(spell(option), code)
    missing = _code_of_none(parameter)
    return np.array([codes.get(text, missing) for text in column.tolist()], np.float64)


def _code_of_none(parameter: Parameter) -> float:
    return float(parameter.options.index(None)) if None in parameter.options else np.nan


def _text(option: Value) -> str:
    return str(option)


def _text_of_float(option: Value) -> str:
    return str(float(option)) if isinstance(option, int | float) else str(option)


def _text_of_int(option: Value) -> str:
    return str(int(option)) if isinstance(option, int | float) else str(option)


def _as_numbers(column: Array) -> Array:
    if column.dtype != object:
        return column.astype(np.float64)
    texts = column.tolist()
    return np.array([float(text) if text else np.nan for text in texts], np.float64)
