"""A Gaussian process with a Matérn-5/2 kernel and one length per gene, in numpy.

Rasmussen & Williams 2006, chapters 2, 4 and 5. The signal's variance is the one that maximises the
likelihood given the rest, so that only the lengths and the noise are searched for, by Rprop on the
analytic gradient, with a log-normal prior on the lengths.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log, sqrt

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

NUM_STEPS = 25  # of Rprop
SHORTEST, LONGEST = log(0.01), log(30.0)  # lengths, in unit intervals
LEAST_NOISE, MOST_NOISE = log(1e-6), log(1.0)  # variance, as a share of the signal's
PRIOR_SPREAD = 1.0  # of the logarithm of a length
ROOT_5 = sqrt(5.0)


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """Logarithms of the lengths of the groups of features, (G,), and of the relative noise."""

    lengths: Array
    noise: float


class Process:
    """The posterior, given points.

    Args:
        x: features, (n, F).
        y: values of mean 0 and variance 1, (n,).
        groups: the index of the length that each feature has, (F,).
        hyper: lengths and noise.
    """

    def __init__(self, x: Array, y: Array, groups: NDArray[np.int64], hyper: Hyperparameters):
        self._scale = np.exp(-hyper.lengths)[groups]
        self._x = x * self._scale
        kernel, _ = _matern(_squares(self._x, self._x))
        kernel[np.diag_indices_from(kernel)] += np.exp(hyper.noise)
        self._inverse = np.linalg.inv(kernel)
        self._weights = self._inverse @ y
        self._variance = max(float(y @ self._weights) / len(y), 1e-12)

    def predict(self, x: Array) -> tuple[Array, Array]:
        """Mean and deviation, (m,) each, of the function without noise at (m, F) features."""
        across, _ = _matern(_squares(x * self._scale, self._x))
        mean = across @ self._weights
        left = 1.0 - np.einsum("ij,ij->i", across @ self._inverse, across)
        return mean, np.sqrt(self._variance * np.maximum(left, 1e-10))


def fitted(
    x: Array, y: Array, groups: NDArray[np.int64], starts: list[Hyperparameters]
) -> Hyperparameters:
    """The best of the hyperparameters that are found from each start."""
    num_groups = int(groups.max()) + 1
    apart = np.zeros((num_groups, len(x), len(x)))
    for column, group in enumerate(groups):
        apart[group] += (x[:, None, column] - x[None, :, column]) ** 2
    found = [_rprop(apart, y, start) for start in starts]
    return min(found, key=lambda pair: pair[0])[1]


def default_hyperparameters(num_groups: int) -> Hyperparameters:
    """Where the prior is largest: the more genes, the less each of them matters."""
    return Hyperparameters(np.full(num_groups, _usual_length(num_groups)), log(1e-3))


def _usual_length(num_groups: int) -> float:
    return log(0.4 * sqrt(num_groups))


def _rprop(apart: Array, y: Array, start: Hyperparameters) -> tuple[float, Hyperparameters]:
    """Minimise the loss by steps that look at the signs of the gradient only (Riedmiller 1993)."""
    at = np.append(start.lengths, start.noise)
    low = np.append(np.full(len(at) - 1, SHORTEST), LEAST_NOISE)
    high = np.append(np.full(len(at) - 1, LONGEST), MOST_NOISE)
    step = np.full(len(at), 0.3)
    before = np.zeros(len(at))
    best = (np.inf, at)
    for _ in range(NUM_STEPS):
        loss, slope = _loss(apart, y, at)
        if loss < best[0]:
            best = (loss, at)
        turn = np.sign(slope * before)
        step = np.clip(step * np.where(turn > 0, 1.2, np.where(turn < 0, 0.5, 1.0)), 1e-3, 1.0)
        at = np.clip(at - step * np.sign(slope), low, high)
        before = slope
    return best[0], Hyperparameters(best[1][:-1], float(best[1][-1]))


def _loss(apart: Array, y: Array, at: Array) -> tuple[float, Array]:
    """Negative log likelihood plus prior, and its gradient; the signal's variance is worked out.

    n/2 log(y' K^-1 y) + 1/2 log|K|; d/dt is the sum of W * dK/dt with W = K^-1/2 - n/2 a a'/(y'a).
    """
    lengths, noise = at[:-1], float(np.exp(at[-1]))
    weights = np.exp(-2.0 * lengths)
    kernel, slope = _matern(np.tensordot(weights, apart, 1))
    kernel[np.diag_indices_from(kernel)] += noise
    inverse = np.linalg.inv(kernel)
    a = inverse @ y
    fit = max(float(y @ a), 1e-12)
    outer = 0.5 * inverse - (0.5 * len(y) / fit) * np.outer(a, a)
    off = (lengths - _usual_length(len(lengths))) / PRIOR_SPREAD**2
    by_length = weights * np.tensordot(apart, outer * slope, 2) + off
    by_noise = noise * float(np.trace(outer))
    loss = 0.5 * (len(y) * log(fit) + float(np.linalg.slogdet(kernel)[1]))
    loss += 0.5 * float(off @ off) * PRIOR_SPREAD**2
    return loss, np.append(by_length, by_noise)


def _matern(squares: Array) -> tuple[Array, Array]:
    """The kernel of squared distances, and -2 times its derivative by them."""
    r = np.sqrt(5.0 * squares)
    decay = np.exp(-r)
    return (1.0 + r + r * r / 3.0) * decay, 5.0 / 3.0 * (1.0 + r) * decay


def _squares(a: Array, b: Array) -> Array:
    """Squared distances of (n, F) and (m, F): (n, m)."""
    found = (a * a).sum(axis=1)[:, None] + (b * b).sum(axis=1) - 2.0 * a @ b.T
    return np.asarray(np.maximum(found, 0.0))
