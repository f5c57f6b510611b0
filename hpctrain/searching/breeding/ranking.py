"""Records from best to worst, for one objective or several."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter

from hpctrain.searching.pareto import crowding, fronts
from hpctrain.searching.record import Record


def best_first(records: Sequence[Record]) -> list[Record]:
    """By loss; by front and crowding if there are several; unusable ones last."""
    if not records or not records[0].more:
        return sorted(records, key=itemgetter(0, 1))
    usable = [record for record in records if record.usable]
    unusable = [record for record in records if not record.usable]
    ordered: list[Record] = []
    for front in fronts(usable):
        apart = crowding(front)
        by_distance = sorted(range(len(front)), key=lambda i: (-apart[i], front[i].number))
        ordered += [front[i] for i in by_distance]
    return ordered + unusable
