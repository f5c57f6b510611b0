"""The two conventions of outer momentum, and what a learning rate of one is worth in the other.

    sum   b = mu b + D              theta = theta - lr (D + mu b)
    ema   m = mu m + (1 - mu) D     theta = theta - lr (D + mu m)

The gain is how far theta moves along a D of length 1, in learning rates: at once, from a momentum
of zero, or in the long run, if D never changes.
"""

from __future__ import annotations

from typing import Literal

Convention = Literal["sum", "ema"]
Gain = Literal["immediate", "steady"]


def gain(convention: Convention, mu: float, what: Gain) -> float:
    """The gain of a convention at momentum `mu`, 0 <= mu < 1."""
    if not 0 <= mu < 1:
        raise ValueError(f"an outer momentum of {mu} is not allowed; give 0 up to, not with, 1")
    if convention == "sum":
        return 1.0 + mu if what == "immediate" else 1.0 + mu / (1.0 - mu)
    return 1.0 + mu * (1.0 - mu) if what == "immediate" else 1.0 + mu


def convert_outer_lr(
    lr: float, mu: float, from_: Convention, to: Convention, what: Gain = "immediate"
) -> float:
    """The outer learning rate that moves theta as far in convention `to` as `lr` in `from_`.

    The two gains cannot both be kept: `what` says which.
    """
    return lr * gain(from_, mu, what) / gain(to, mu, what)
