"""The outer rules as the papers print them, in float64, tensor by tensor: slow and plain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpctrain.training.rules.heloco import Correction

Array64 = NDArray[np.float64]


@dataclass
class Reference:
    """Outer parameters and momentum, one array per tensor."""

    theta: list[Array64]
    momentum: list[Array64]

    def sum_nesterov(self, deltas: list[Array64], weight: float, lr: float, mu: float) -> None:
        """SGD with Nesterov momentum, as in DiLoCo: b = mu b + D; theta -= lr (D + mu b)."""
        for i, delta in enumerate(deltas):
            g = weight * delta
            self.momentum[i] = mu * self.momentum[i] + g
            self.theta[i] = self.theta[i] - lr * (g + mu * self.momentum[i])

    def mla(self, deltas: list[Array64], weight: float, lr: float, mu: float) -> None:
        """m = mu m + (1 - mu) G; theta -= lr (G + mu m)."""
        for i, delta in enumerate(deltas):
            g = weight * delta
            self.momentum[i] = mu * self.momentum[i] + (1 - mu) * g
            self.theta[i] = self.theta[i] - lr * (g + mu * self.momentum[i])

    def heloco(
        self, deltas: list[Array64], weight: float, lr: float, mu: float, constants: Correction
    ) -> list[str]:
        """Mend each tensor, then take the step of MLA; says what was done to each."""
        verdicts, mended = [], []
        for delta, momentum in zip(deltas, self.momentum, strict=True):
            judged = weight * delta if constants.weight_first else delta
            verdict, corrected = mend(judged, momentum, constants)
            verdicts.append(verdict)
            mended.append(corrected / weight if constants.weight_first else corrected)
        self.mla(mended, weight, lr, mu)
        return verdicts

    def look_ahead(self, lr: float, mu: float) -> list[Array64]:
        """Where workers start: theta - lr mu m."""
        return [t - lr * mu * m for t, m in zip(self.theta, self.momentum, strict=True)]


def mend(delta: Array64, momentum: Array64, k: Correction) -> tuple[str, Array64]:
    """Equations 7-15 of arXiv 2606.00271, in their order."""
    norm_d, norm_m = float(np.linalg.norm(delta)), float(np.linalg.norm(momentum))
    if norm_d < k.eps or norm_m < k.eps:
        return "kept", delta
    u, v = delta / norm_d, momentum / norm_m
    c = float(u @ v)
    conf = norm_d / (norm_d + k.kappa * norm_m + k.eps)
    if c >= k.c_ok:
        return "kept", delta
    if c < 0:
        beta = min(k.k_s * (-c) * conf, k.beta_max)
        return "shrunk", delta - beta * c * norm_d * v
    gap = 1 - c if k.lambda_mode == "one_minus_cos" else (k.c_ok - c) / (k.c_ok - k.c_bad)
    lam = min(k.k_d * gap * conf, 1.0)
    w = (1 - lam) * u + lam * v
    return "rotated", norm_d * w / max(float(np.linalg.norm(w)), k.eps)
