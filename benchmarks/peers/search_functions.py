"""The functions that searches are compared on: those of the Propulate paper, and one rotated one.

Stdlib and numpy only, because a program in another Python reads this file too.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Array = np.ndarray
Function = Callable[[Array], float]


@dataclass(frozen=True)
class Problem:
    """A function of (D,) numbers in the box `low..high` in each.

    Attributes:
        noise: standard deviation of what is added to each evaluation; the result is judged without.
        optimum: the least value in the box.
    """

    name: str
    value: Function
    num_dims: int
    low: float
    high: float
    noise: float = 0.0
    optimum: float = 0.0

    def seen(self, x: Array, generator: np.random.Generator) -> float:
        """What an evaluation gives: |value + noise| where there is noise, as in Propulate."""
        if not self.noise:
            return self.value(x)
        return abs(self.value(x) + self.noise * generator.standard_normal())


def sphere(x: Array) -> float:
    return float(x @ x)


def rosenbrock(x: Array) -> float:
    return float(np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2))


def step(x: Array) -> float:
    return float(np.trunc(x).sum())


def quartic(x: Array) -> float:
    return float(np.arange(1, len(x) + 1) @ x**4)


def rastrigin(x: Array) -> float:
    return float(10.0 * len(x) + x @ x - 10.0 * np.cos(2 * np.pi * x).sum())


def griewank(x: Array) -> float:
    waves = np.cos(x / np.sqrt(np.arange(1, len(x) + 1))).prod()
    return float(1.0 + x @ x / 4000.0 - waves)


def schwefel(x: Array) -> float:
    return float(418.9828872724338 * len(x) - x @ np.sin(np.sqrt(np.abs(x))))


def bisphere(x: Array) -> float:
    """Lunacek's two spheres: the wide one around -mu_2 ends at D, the narrow one at 0."""
    scale = 1.0 - 1.0 / (2.0 * math.sqrt(len(x) + 20.0) - 8.2)
    mu_1 = 2.5
    mu_2 = -math.sqrt((mu_1**2 - 1.0) / scale)
    narrow = np.sum((x - mu_1) ** 2)
    wide = len(x) + scale * np.sum((x - mu_2) ** 2)
    return float(min(narrow, wide))


def birastrigin(x: Array) -> float:
    return bisphere(x) + float(10.0 * np.sum(1.0 - np.cos(2 * np.pi * (x - 2.5))))


def rotated_ellipsoid(x: Array) -> float:
    """sum_i 10^(3 i / (D - 1)) y_i^2 with y = R (x - 1): the condition number is 1e3."""
    return float(np.logspace(0.0, 3.0, len(x)) @ (_rotation(len(x)) @ (x - 1.0)) ** 2)


_ROTATIONS: dict[int, Array] = {}


def _rotation(num_dims: int) -> Array:
    if num_dims not in _ROTATIONS:
        matrix = np.random.default_rng(1234).standard_normal((num_dims, num_dims))
        _ROTATIONS[num_dims] = np.linalg.qr(matrix)[0]
    return _ROTATIONS[num_dims]


PROBLEMS = {
    problem.name: problem
    for problem in (
        Problem("sphere", sphere, 2, -5.12, 5.12),
        Problem("rosenbrock", rosenbrock, 2, -2.048, 2.048),
        Problem("step", step, 5, -5.12, 5.12, optimum=-25.0),
        Problem("quartic", quartic, 30, -1.28, 1.28, noise=1.0),
        Problem("rastrigin", rastrigin, 20, -5.12, 5.12),
        Problem("griewank", griewank, 10, -600.0, 600.0),
        Problem("schwefel", schwefel, 10, -500.0, 500.0),
        Problem("bisphere", bisphere, 30, -5.12, 5.12),
        Problem("birastrigin", birastrigin, 30, -5.12, 5.12),
        Problem("ellipsoid", rotated_ellipsoid, 10, -5.12, 5.12),
    )
}
