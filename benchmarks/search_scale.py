"""10,000 workers in 100 islands in virtual time: messages, the busiest rank, and time lost.

Evaluations take a lognormal time of about ten seconds; every worker is the real algorithm.
"""

from __future__ import annotations

import sys
from time import process_time

from report import print_result

from hpctrain.core.seeds import stream
from hpctrain.searching.breeding.make import make_propagator
from hpctrain.searching.messages import Evaluate
from hpctrain.searching.settings import SearchSettings
from hpctrain.searching.space import Space
from hpctrain.searching.stop import Stop
from hpctrain.workers.virtual_search import Imagined, imagined_topology, simulate_search

WORKERS, ISLANDS, EVALUATIONS = 10_000, 100, 1_000_000
MEAN_S, SPREAD = 10.0, 0.5
SPACE = Space({"x": (-5.12, 5.12), "y": (-5.12, 5.12)})


def imagine(worker: int, order: Evaluate) -> Imagined:
    x, y = order.genome
    u = [stream(0, order.number, f"time {i}") / 2**63 for i in range(4)]
    normal = (sum(u) - 2.0) * 3.0**0.5  # of variance 1, and near enough to normal
    return Imagined((x * x + y * y,), MEAN_S * 2.718281828459045 ** (SPREAD * normal))


def main() -> None:
    evaluations = int(sys.argv[1]) if len(sys.argv) > 1 else EVALUATIONS
    settings = SearchSettings(
        SPACE, lambda: make_propagator("genetic", SPACE), Stop(evaluations=evaluations)
    )
    began_s = process_time()
    search = simulate_search(settings, imagined_topology(WORKERS, ISLANDS), imagine)
    cpu_s = process_time() - began_s
    kinds = search.num_messages
    total = sum(kinds.values())
    busiest = max(search.received)
    per = {kind: count / evaluations for kind, count in kinds.items()}
    best = min(state.knowledge.population.elites[0].loss for state in search.states)
    rows = [
        [kind, f"{count:,}", f"{per[kind]:.3f}"]
        for kind, count in sorted(kinds.items(), key=lambda item: -item[1])
    ]
    rows += [
        ["all messages", f"{total:,}", f"{total / evaluations:.3f}"],
        ["received by the busiest rank", f"{busiest:,}", f"{busiest / total:.2e} of all"],
        ["time in which workers evaluated", f"{100 * search.utilisation:.1f} %", ""],
    ]
    figures = {
        "messages_per_eval": round(total / evaluations, 3),
        "gossip_per_eval": round(per.get("Gossip", 0.0), 3),
        "busiest_rank_share": round(busiest / total, 6),
        "busiest_rank_messages_per_s": round(busiest / search.seconds, 1),
        "utilisation": round(search.utilisation, 4),
        "cpu_s": round(cpu_s, 1),
        "virtual_s": round(search.seconds, 1),
    }
    print_result(
        f"{WORKERS:,} workers in {ISLANDS} islands, {evaluations:,} evaluations of about "
        f"{MEAN_S:g} s",
        ["message", "number", "per evaluation"],
        rows,
        figures,
        [
            f"{cpu_s:.0f} CPU seconds on one core for {search.seconds:.0f} virtual seconds; "
            f"best loss {best:.2g}",
            "the end, where workers wait for the last evaluations of others, is in the time lost",
        ],
    )


if __name__ == "__main__":
    main()
