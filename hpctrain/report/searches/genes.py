"""Which parameter each number of a genome belongs to.

`run.json` may name the genes in their order as `search.parameters`. Where it does not, its keys are
in alphabetical order, and the order is found by comparing genomes with the columns `param.NAME`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hpctrain.report.searches.space import Parameter, Value
from hpctrain.report.tables import Array, Table

MOST_ROWS = 2000  # that are compared


def gene_names(
    search: Mapping[str, Any], parameters: Mapping[str, Parameter], table: Table
) -> tuple[str, ...]:
    """The names of the genes, in the order of the genome."""
    names = [name for name, parameter in parameters.items() if parameter.is_gene]
    told = [name for name in search.get("parameters", ()) if name in names]
    if len(told) == len(names):
        return tuple(told)
    genomes = gene_table(table, len(names))[_compared(table)]
    if not len(genomes):
        return tuple(names)
    return _matched([parameters[name] for name in names], table, genomes)


def gene_table(table: Table, num_genes: int) -> Array:
    """The genomes of all rows (rows, genes), NaN where one is missing."""
    genomes: Array = table["genome"] if "genome" in table else np.empty(0)
    if genomes.ndim == 2 and genomes.shape[1] == num_genes:
        return genomes
    found = np.full((len(table["number"]), num_genes), np.nan)
    for row, genome in enumerate(genomes):
        if np.size(genome) == num_genes:
            found[row] = genome
    return found


def _compared(table: Table) -> Array:
    """The rows that have columns of parameters as well, or some of them."""
    rows: Array = np.flatnonzero(table["outcome"] != "reused")
    return rows[:: max(1, len(rows) // MOST_ROWS)]


def _matched(genes: Sequence[Parameter], table: Table, genomes: Array) -> tuple[str, ...]:
    """Best agreement first; a parameter is given away once, and so is a place."""
    rows = _compared(table)
    agreement = np.array([
        [np.mean(_equal(codes, genomes[:, place])) for place in range(len(genes))]
        for codes in (_codes(gene, table, rows) for gene in genes)
    ])  # fmt: skip
    order = [""] * len(genes)
    for _ in genes:
        which, place = np.unravel_index(int(agreement.argmax()), agreement.shape)
        order[int(place)] = genes[int(which)].name
        agreement[which, :] = -1.0
        agreement[:, place] = -1.0
    return tuple(order)


def _equal(codes: Array, genes: Array) -> Array:
    return np.asarray((codes == genes) | (np.isnan(codes) & np.isnan(genes)))


def _codes(gene: Parameter, table: Table, rows: Array) -> Array:
    """What the genes should be by the column of the parameter."""
    name = f"param.{gene.name}"
    if name not in table:
        return np.full(len(rows), np.nan)
    values = table[name][rows]
    if gene.kind != "choice":
        codes = values.astype(np.float64)
        return np.where((codes < gene.low) | (codes > gene.high), np.nan, codes)
    places = {text: place for place, o in enumerate(gene.options) for text in _spellings(o)}
    return np.array([places.get(_text(value), np.nan) for value in values.tolist()])


def _spellings(option: Value) -> tuple[str, ...]:
    """As which texts the option can come back from a column."""
    if isinstance(option, bool):
        return str(option), _text(int(option))
    return (_text(option),)


def _text(value: object) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:.17g}"
    return "" if value is None else str(value)
