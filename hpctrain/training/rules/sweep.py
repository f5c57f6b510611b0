"""The two sweeps over memory that all outer rules share, and the bytes that they move.

An outer rule of the DiLoCo family is the same update with different coefficients:

    G = p D + q m          the pseudo-gradient D, weighted, and corrected along the outer momentum m
    m = mu m + a G         a = 1: SUM convention (torch's SGD), a = 1 - mu: EMA convention
    theta = theta - lr (G + mu m)

So there is one kernel. It works through blocks that stay in the cache, and so goes through main
memory once although it is made of several numpy calls; the scratch space belongs to the caller,
nothing is allocated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

# A block of the update is large enough to hide the cost of a numpy call; its four arrays stay in
# a second-level cache. For dot products it is smaller: OpenBLAS computes up to 10,000 elements on
# one thread, so that the bits do not depend on the number of cores.
BLOCK = 32768
DOT_BLOCK = 8192

# Bytes that must cross the memory bus per parameter, in float32: what the benchmark divides by.
MEASURE_BYTES = 8  # read D, m
UPDATE_BYTES = 20  # read D, m, theta; write m, theta
LOOK_AHEAD_BYTES = 12  # read m, theta; write the copy that is sent


@dataclass(slots=True)
class Scratch:
    """A block of temporary space; not part of any state."""

    t: Array = field(default_factory=lambda: np.empty(BLOCK, np.float32))


@dataclass(frozen=True, slots=True)
class Geometry:
    """Lengths and angle of a pseudo-gradient and the outer momentum, over a range of a fragment."""

    delta_norm: float
    momentum_norm: float
    dot: float

    @property
    def cosine(self) -> float:
        """In -1..1; NaN while one of the two is zero."""
        product = self.delta_norm * self.momentum_norm
        return max(-1.0, min(1.0, self.dot / product)) if product > 0 else math.nan

    @property
    def finite(self) -> bool:
        return math.isfinite(self.delta_norm) and math.isfinite(self.dot)

    def gain(self, along_d: float, along_m: float) -> float:
        """<s, D> / |D|^2 of s = along_d D + along_m m; NaN where D is zero."""
        squared = self.delta_norm**2
        return along_d + along_m * self.dot / squared if squared > 0 else math.nan


def measure(delta: Array, momentum: Array, start: int, stop: int) -> Geometry:
    """The geometry of `delta[start:stop]` and `momentum[start:stop]`, both of shape (P,).

    Blocks are summed in float64, so the result is as good for 25 million elements as for a
    thousand.
    """
    dd = mm = dm = 0.0
    with np.errstate(over="ignore", invalid="ignore"):  # the caller looks at `finite`
        for a in range(start, stop, DOT_BLOCK):
            b = min(a + DOT_BLOCK, stop)
            d, m = delta[a:b], momentum[a:b]
            dd += float(np.dot(d, d))
            mm += float(np.dot(m, m))
            dm += float(np.dot(d, m))
    return Geometry(math.sqrt(dd), math.sqrt(mm), dm)


def momentum_update(
    theta: Array,
    momentum: Array,
    delta: Array,
    start: int,
    stop: int,
    *,
    p: float,
    q: float,
    mu: float,
    a: float,
    lr: float,
    scratch: Scratch,
) -> tuple[float, float]:
    """The update at the head of this file on `[start, stop)` of flat (P,) float32 arrays, in place.

    `q = 0` leaves out the term of the momentum altogether, so that a corrected rule that corrects
    nothing gives the bits of the uncorrected one.

    Returns:
        How far theta went, in learning rates, along D and along the momentum as it was before.
    """
    # Both lines of the update in terms of D and the new momentum: two products each.
    keep = mu + a * q  # m = keep m + gain D
    gain = a * p
    along_m = mu + (q / keep if q else 0.0)  # theta -= lr (along_d D + along_m m), m being new
    along_d = p - (q * gain / keep if q else 0.0)
    sweep(theta, momentum, delta, start, stop, (keep, gain, -lr * along_d, -lr * along_m), scratch)
    return along_d + along_m * gain, along_m * keep


def sweep(
    theta: Array,
    momentum: Array,
    delta: Array,
    start: int,
    stop: int,
    factors: tuple[float, float, float, float],
    scratch: Scratch,
) -> None:
    """`m = k m + g D; theta = theta + d D + e m` with (k, g, d, e) = `factors`."""
    k, g, d, e = map(np.float32, factors)
    for x in range(start, stop, BLOCK):
        y = min(x + BLOCK, stop)
        t, th, m, dl = scratch.t[: y - x], theta[x:y], momentum[x:y], delta[x:y]
        np.multiply(m, k, m)
        np.multiply(dl, g, t)
        np.add(m, t, m)
        np.multiply(dl, d, t)
        np.add(th, t, th)
        np.multiply(m, e, t)
        np.add(th, t, th)


def look_ahead(theta: Array, momentum: Array, *, lr: float, mu: float, out: Array) -> None:
    """`out = theta - lr mu m` for flat (P,) float32 arrays: where the momentum is about to go."""
    step = np.float32(lr * mu)
    for x in range(0, theta.size, BLOCK):
        y = min(x + BLOCK, theta.size)
        np.multiply(momentum[x:y], step, out=out[x:y])
        np.subtract(theta[x:y], out[x:y], out=out[x:y])


def add_scaled(target: Array, source: Array, factor: float, scratch: Scratch) -> None:
    """`target = target + factor source` for flat (P,) float32 arrays, in place."""
    f = np.float32(factor)
    for x in range(0, target.size, BLOCK):
        y = min(x + BLOCK, target.size)
        t = scratch.t[: y - x]
        np.multiply(source[x:y], f, t)
        np.add(target[x:y], t, target[x:y])
