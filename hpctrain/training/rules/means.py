"""How the pushes of a round, or of a window, become one pseudo-gradient.

`mean` is the plain or weighted mean. `radial_directional` (RDA) takes length and direction apart,
tensor by tensor; after Decoupled DiLoCo (arXiv 2604.21428; read in its abstract and in secondary
sources, so details are UNCONFIRMED):

    length = sum w_i |D_i|,   direction = sum w_i D_i / |D_i|, normalised,   sum w_i = 1

Pseudo-gradients that are almost orthogonal shrink by 1/sqrt(n) in a plain mean of n, and an outer
learning rate would have to follow n; this mean has the same length for any n.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from hpctrain.training.rules.rule import Array, Bounds
from hpctrain.training.rules.sweep import Scratch, add_scaled, measure


class Mean(Protocol):
    """Makes one array (P,) of several; with one alone it may be that array itself."""

    def __call__(
        self, parts: Sequence[Array], weights: Sequence[float] | None, bounds: Bounds
    ) -> Array: ...


def mean(parts: Sequence[Array], weights: Sequence[float] | None, bounds: Bounds) -> Array:
    """The mean of arrays (P,), added up in the order given; `weights` need not add up to 1."""
    if len(parts) == 1:
        return parts[0]
    if weights is not None:
        return _sum(parts, _shares(weights))
    total = parts[0].copy()
    for part in parts[1:]:
        total += part
    total *= np.float32(1.0 / len(parts))
    return total


def radial_directional(
    parts: Sequence[Array], weights: Sequence[float] | None, bounds: Bounds
) -> Array:
    """RDA, tensor by tensor. Directions that cancel out give zero; tensors of zero have none."""
    if len(parts) == 1:
        return parts[0]
    shares = _shares(weights or [1.0] * len(parts))
    total, scratch = np.zeros_like(parts[0]), Scratch()
    for start, stop in bounds:
        piece = total[start:stop]
        length = 0.0
        for part, share in zip(parts, shares, strict=True):
            norm = measure(part, part, start, stop).delta_norm
            if norm > 0:
                length += share * norm
                add_scaled(piece, part[start:stop], share / norm, scratch)
        norm = measure(total, total, start, stop).delta_norm
        # Unit vectors that cancel out leave round-off, which is no direction.
        piece *= np.float32(length / norm if norm > 1e-6 else 0.0)
    return total


def _shares(weights: Sequence[float]) -> list[float]:
    total = sum(weights)
    if total <= 0:
        return [1.0 / len(weights)] * len(weights)
    return [weight / total for weight in weights]


def _sum(parts: Sequence[Array], factors: Sequence[float]) -> Array:
    total, scratch = parts[0] * np.float32(factors[0]), Scratch()
    for part, factor in zip(parts[1:], factors[1:], strict=True):
        add_scaled(total, part, factor, scratch)
    return total
