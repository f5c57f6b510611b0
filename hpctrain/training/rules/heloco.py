"""HeLoCo: each arriving pseudo-gradient is mended tensor by tensor (arXiv 2606.00271, eqs. 5-19).

The outer momentum m is the reference direction. With u = D/|D|, v = m/|m|,
c = <u, v> (eqs. 7-8) and

    conf = |D| / (|D| + kappa |m| + eps)                                                (eq. 15)

a tensor of the pseudo-gradient is

    kept      if c >= c_ok                                                              (eq. 9)
    shrunk    if c < 0:   D - beta c |D| v,     beta = min(k_s (-c) conf, beta_max)     (10-11)
    rotated   otherwise:  |D| w / |w|,          w = (1 - lam) u + lam v                 (12-14)

before the MLA step (eqs. 16-19). Workers start from theta - lr mu m (eq. 5).

lam has two forms. The paper prints `one_minus_cos`: min(k_d (1 - c) conf, 1), which jumps at c =
c_ok. The authors' reference code uses `linear_gap`: min(k_d (c_ok - c)/(c_ok - c_bad) conf, 1),
which does not, and which is the default here. In both forms every result is a linear combination
of D and m, so a correction costs two numbers, not another pass over memory.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from hpctrain.training.rules.rule import (
    FRESH,
    Applied,
    Array,
    Arrival,
    Bounds,
    OuterState,
    TensorCorrection,
)
from hpctrain.training.rules.sweep import (
    Geometry,
    Scratch,
    look_ahead,
    measure,
    momentum_update,
)

LambdaMode = Literal["linear_gap", "one_minus_cos"]
Verdict = Literal["kept", "shrunk", "rotated"]


@dataclass(frozen=True, slots=True)
class Correction:
    """The constants of the correction, with the defaults of the paper's table 3.

    `weight_first` scales D by the arrival weight before the confidence is computed, as the
    authors' research code does; the paper (eq. 16) does it afterwards.
    """

    c_ok: float = 0.2
    k_s: float = 0.5
    beta_max: float = 0.5
    k_d: float = 1.0
    kappa: float = 3.0
    eps: float = 1e-8
    lambda_mode: LambdaMode = "linear_gap"
    c_bad: float = -0.2
    weight_first: bool = False

    def coefficients(self, seen: Geometry, weight: float) -> tuple[Verdict, float, float]:
        """The corrected tensor as `a_d D + a_m m`: what was done, a_d, a_m."""
        norm_d, norm_m, c = seen.delta_norm, seen.momentum_norm, seen.cosine
        if norm_d < self.eps or norm_m < self.eps or c >= self.c_ok:
            return "kept", 1.0, 0.0
        judged = norm_d * weight if self.weight_first else norm_d
        conf = judged / (judged + self.kappa * norm_m + self.eps)
        if c < 0:
            beta = min(self.k_s * -c * conf, self.beta_max)
            return "shrunk", 1.0, -beta * c * norm_d / norm_m
        lam = min(self.k_d * self._gap(c) * conf, 1.0)
        w = math.sqrt((1 - lam) ** 2 + lam**2 + 2 * lam * (1 - lam) * c)
        w = max(w, self.eps)
        return "rotated", (1 - lam) / w, lam * norm_d / (norm_m * w)

    def _gap(self, c: float) -> float:
        if self.lambda_mode == "one_minus_cos":
            return 1.0 - c
        width = max(self.c_ok - self.c_bad, 1e-12)  # none: the correction is in full at once
        return (self.c_ok - c) / width


@dataclass(frozen=True, slots=True)
class HeLoCo:
    """The correction of each tensor, or of the whole fragment, followed by the step of MLA."""

    lr: float
    mu: float
    correction: Correction | None = field(default_factory=Correction)
    whole_fragment: bool = False
    dispatch_lookahead: bool = True
    diagnostics: bool = False
    scratch: Scratch = field(default_factory=Scratch, repr=False, compare=False)

    def apply(
        self,
        state: OuterState,
        delta: Array,
        weight: float,
        bounds: Bounds,
        arrival: Arrival = FRESH,
    ) -> Applied | None:
        if self.whole_fragment:
            bounds = ((0, delta.size),)
        seen = [measure(delta, state.momentum, start, stop) for start, stop in bounds]
        total = _total(seen)
        if not all(geometry.finite for geometry in seen) or total.delta_norm > arrival.longest:
            return None
        counts: dict[Verdict, int] = {"kept": 0, "shrunk": 0, "rotated": 0}
        gone = 0.0  # <step, D> / lr over all tensors
        tensors: list[TensorCorrection] = []
        for (start, stop), geometry in zip(bounds, seen, strict=True):
            verdict, a_d, a_m = self._coefficients(geometry, weight)
            counts[verdict] += 1
            along_d, along_m = momentum_update(
                state.theta, state.momentum, delta, start, stop,
                p=weight * a_d, q=weight * a_m, mu=self.mu, a=1.0 - self.mu, lr=self.lr,
                scratch=self.scratch,
            )  # fmt: skip
            gone += along_d * geometry.delta_norm**2 + along_m * geometry.dot
            if self.diagnostics:
                amount = _changed(geometry, a_d - 1.0, a_m)
                tensors.append(TensorCorrection(geometry.cosine, verdict, amount))
        squared = total.delta_norm**2
        return Applied(
            total.delta_norm, total.momentum_norm, total.cosine, **counts,
            gain=gone / squared if squared > 0 else math.nan, tensors=tuple(tensors),
        )  # fmt: skip

    def dispatch(self, state: OuterState, out: Array) -> None:
        if self.dispatch_lookahead:
            look_ahead(state.theta, state.momentum, lr=self.lr, mu=self.mu, out=out)
        else:
            np.copyto(out, state.theta)

    def _coefficients(self, seen: Geometry, weight: float) -> tuple[Verdict, float, float]:
        if self.correction is None:
            return "kept", 1.0, 0.0
        return self.correction.coefficients(seen, weight)


def _total(parts: list[Geometry]) -> Geometry:
    if len(parts) == 1:
        return parts[0]
    return Geometry(
        math.sqrt(sum(part.delta_norm**2 for part in parts)),
        math.sqrt(sum(part.momentum_norm**2 for part in parts)),
        sum(part.dot for part in parts),
    )


def _changed(seen: Geometry, b_d: float, b_m: float) -> float:
    """|b_d D + b_m m| / |D|: how much a correction changed; 0 where D is zero."""
    norm_d, norm_m = seen.delta_norm, seen.momentum_norm
    squared = (b_d * norm_d) ** 2 + 2 * b_d * b_m * seen.dot + (b_m * norm_m) ** 2
    return math.sqrt(max(squared, 0.0)) / norm_d if norm_d > 0 else 0.0
