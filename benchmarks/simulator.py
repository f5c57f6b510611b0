"""How fast virtual time runs: 1,000 workers of unequal speed, 100 rounds each, on one core.

Every push and every answer is a message with latency and bandwidth that queues for links, and every
merge takes its time at the home; no inner steps are taken and no parameters merged, as in
`hpctrain simulate` with `work = "timing"`. Seconds are those of the processor, so that other load
on the machine does not count.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from time import process_time

from report import print_result

from hpctrain.runtime.driver import Driver
from hpctrain.runtime.ports import NullNotebook
from hpctrain.runtime.simulator import CostModel, Simulator
from hpctrain.training.algorithm import IslandTraining
from hpctrain.training.fragments import TensorSlot, plan_fragments
from hpctrain.training.methods import make_method
from hpctrain.workers.rounds import Round
from hpctrain.workers.timing import NoArithmetic, TimingModel, TrueSizes
from hpctrain.workers.virtual import NoWork, VirtualWorker

FRAGMENTS = 4
TENSORS = [TensorSlot(f"block{i}", 1_000_000) for i in range(14)]


def simulate(num_workers: int, rounds: int, method_name: str) -> tuple[Simulator, float]:
    fragments = plan_fragments(TENSORS, [], num_workers, FRAGMENTS)
    steps = 50
    cost = CostModel(
        tuple(0.3 * (1 + worker % 7) for worker in range(num_workers)),
        jitter=0.1, bandwidth_bytes_per_s=1e12,
    )  # fmt: skip
    simulator = Simulator(num_workers, cost, TrueSizes(fragments))
    model = TimingModel(fragments)
    method = replace(make_method(method_name, sync_every=steps), rule=NoArithmetic())
    algorithm = IslandTraining(model.fragments, method, num_workers, model.read)
    for me in range(num_workers):
        replica = TimingModel(fragments)
        work = Round(replica, gradients=False, overlap=False)
        work.set_anchors([replica.read(fragment) for fragment in replica.fragments])
        virtual = VirtualWorker(me, work, NoWork(), simulator)
        virtual.driver = Driver(
            algorithm, me, simulator.mailbox(me), virtual, NullNotebook(), simulator
        )
        simulator.add(virtual.driver, virtual)
        simulator.request_stop(me, "enough", cost.step_s[me] * steps * rounds * 1.05)
    began_s = process_time()
    simulator.start()
    assert simulator.run()
    return simulator, process_time() - began_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--method", default="heloco")
    asked = parser.parse_args()
    simulator, seconds = simulate(asked.workers, asked.rounds, asked.method)
    rounds = [driver.state.learner.round for driver in simulator.drivers]
    figures = {
        "seconds": round(seconds, 2),
        "events_per_s": round(simulator.num_events / seconds),
        "rounds_per_worker_min": min(rounds),
        "messages": simulator.num_messages,
    }
    print_result(
        f"{asked.method}: {asked.workers} workers, {asked.rounds} rounds each, "
        f"{FRAGMENTS} fragments",
        ["virtual hours", "events", "messages", "rounds (fewest..most)", "CPU s", "events/s"],
        [
            [
                f"{simulator.now_s() / 3600:.1f}",
                f"{simulator.num_events:,}",
                f"{simulator.num_messages:,}",
                f"{min(rounds)}..{max(rounds)}",
                f"{seconds:.1f}",
                f"{simulator.num_events / seconds:,.0f}",
            ]
        ],
        figures,
    )


if __name__ == "__main__":
    main()
