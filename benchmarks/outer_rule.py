"""How close an outer update comes to the machine's own memory bandwidth.

A fragment of 25 million float32 parameters gets one pseudo-gradient by HeLoCo: lengths and angles
(read D, m), correction and update (read D, m, theta; write m, theta), and the look-ahead copy for
the answer (read m, theta; write the copy). That is 8 + 20 + 12 = 40 bytes per parameter that must
cross the memory bus. The yardstick is numpy's copy of arrays of the same size (8 bytes per
element), measured in turn with the rule.
"""

from __future__ import annotations

import tracemalloc
from itertools import pairwise
from statistics import median
from time import perf_counter

import numpy as np
from report import print_result

from hpctrain.training.rules.heloco import HeLoCo
from hpctrain.training.rules.mla import MomentumLookAhead
from hpctrain.training.rules.nesterov import Nesterov
from hpctrain.training.rules.rule import OuterRule, OuterState
from hpctrain.training.rules.sweep import LOOK_AHEAD_BYTES, MEASURE_BYTES, UPDATE_BYTES

P = 25_000_000
TENSORS = 20
REPEATS = 9


def main() -> None:
    generator = np.random.default_rng(0)
    theta = generator.standard_normal(P, np.float32)
    state = OuterState(theta, generator.standard_normal(P, np.float32) * 0.1, 0)
    delta = generator.standard_normal(P, np.float32) * 0.1
    out = np.empty_like(theta)
    cuts = np.linspace(0, P, TENSORS + 1).astype(int)
    bounds = tuple((int(a), int(b)) for a, b in pairwise(cuts))
    rules: dict[str, tuple[OuterRule, int]] = {
        "heloco": (HeLoCo(0.7, 0.9), MEASURE_BYTES + UPDATE_BYTES + LOOK_AHEAD_BYTES),
        "mla": (MomentumLookAhead(0.7, 0.9), MEASURE_BYTES + UPDATE_BYTES + 8),
        "nesterov": (Nesterov(0.07, 0.9), MEASURE_BYTES + UPDATE_BYTES + 8),
    }
    copy_s: list[float] = []
    rule_s: dict[str, list[float]] = {name: [] for name in rules}
    for _ in range(REPEATS):
        copy_s.append(_timed(lambda: np.copyto(out, delta)))
        for name, (rule, _) in rules.items():
            rule_s[name].append(_timed(lambda rule=rule: _update(rule, state, delta, bounds, out)))
    copy_bytes_per_s = 8 * P / median(copy_s)
    rows = [["copy", "8", f"{median(copy_s) * 1e3:.1f}", f"{copy_bytes_per_s / 1e9:.1f}", "1.00"]]
    fractions = {}
    for name, (_, count) in rules.items():
        rate = count * P / median(rule_s[name])
        fractions[name] = rate / copy_bytes_per_s
        row = [name, f"{count}", f"{median(rule_s[name]) * 1e3:.1f}", f"{rate / 1e9:.1f}"]
        rows.append([*row, f"{fractions[name]:.2f}"])
    allocated = _allocated(rules["heloco"][0], state, delta, bounds, out)
    print_result(
        f"Outer rules on {P / 1e6:.0f} M parameters in {TENSORS} tensors",
        ["rule", "bytes/parameter", "ms", "GB/s", "of copy bandwidth"],
        rows,
        {
            "fraction_of_copy_bandwidth": round(fractions["heloco"], 3),
            "fractions": {name: round(value, 3) for name, value in fractions.items()},
            "allocated_bytes": allocated,
        },
        [f"peak of memory allocated during an update: {allocated:,} bytes"],
    )


def _update(
    rule: OuterRule,
    state: OuterState,
    delta: np.ndarray,
    bounds: tuple[tuple[int, int], ...],
    out: np.ndarray,
) -> None:
    rule.apply(state, delta, 0.5, bounds)
    rule.dispatch(state, out)


def _timed(action) -> float:
    began_s = perf_counter()
    action()
    return perf_counter() - began_s


def _allocated(rule, state, delta, bounds, out) -> int:
    tracemalloc.start()
    _update(rule, state, delta, bounds, out)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


if __name__ == "__main__":
    main()
