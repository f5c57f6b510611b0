"""Propagators by the names that a run file uses.

`auto` is a mix of two that complement each other: covariance adaptation for numbers that depend on
each other, and steps of few genes for those that act one by one, for choices, and for hills.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from inspect import signature
from math import inf
from types import MappingProxyType
from typing import Any

from hpctrain.errors import ConfigError
from hpctrain.searching.breeding.cma import CovarianceAdaptation
from hpctrain.searching.breeding.initial import EvenSampling
from hpctrain.searching.breeding.local import FewGeneSteps
from hpctrain.searching.breeding.mix import Mix
from hpctrain.searching.propagator import Propagator
from hpctrain.searching.space import Space


def auto(space: Space, num_initial: int = 12, floor: float = 0.03, seed: int = 0) -> Mix:
    """The mix that is used if nothing else is asked for."""
    even = EvenSampling(space, seed)
    members: list[Propagator] = [FewGeneSteps(space, initial=even)]
    if not all(space.categorical):  # a distribution of options alone means nothing
        members.append(CovarianceAdaptation(space, initial=even))
    return Mix(members, even, num_initial, floor)


# Modules are loaded when their propagator is asked for: a search starts on very many ranks at once.
MAKERS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "auto": ("make", "auto"),
        "cma": ("cma", "CovarianceAdaptation"),
        "differential": ("differential", "Differential"),
        "even": ("initial", "EvenSampling"),
        "gaussian": ("gaussian", "GaussianProcess"),
        "genetic": ("genetic", "Genetic"),
        "local": ("local", "FewGeneSteps"),
        "random": ("initial", "UniformSampling"),
        "swarm": ("swarm", "Swarm"),
    }
)


def make_propagator(name: str, space: Space, seed: int = 0, **options: Any) -> Propagator:
    """A new propagator for one worker.

    Args:
        name: one of `MAKERS`.
        space: what is searched.
        seed: of the run; it shifts the even samples, all else is drawn from what `breed` is given.
        options: of the propagator, as its class describes them.

    Raises:
        ConfigError: if there is no such propagator, or it has no such option.
    """
    if name not in MAKERS:
        raise ConfigError(f"there is no propagator {name!r}; there are {', '.join(MAKERS)}")
    module, member = MAKERS[name]
    maker: Callable[..., Propagator] = getattr(
        import_module(f"hpctrain.searching.breeding.{module}"), member
    )
    parameters = signature(maker).parameters
    allowed = [option for option in parameters if option not in ("space", "initial", "seed")]
    unknown = sorted(set(options) - set(allowed))
    if unknown:
        raise ConfigError(
            f"the propagator {name} has no option {', '.join(unknown)}; "
            f"allowed: {', '.join(allowed) or 'none'}"
        )
    for option, value in options.items():
        _check_option(name, option, value, parameters[option].default)
    if "seed" in parameters:
        options["seed"] = seed
    return maker(space, **options)


def _check_option(name: str, option: str, value: object, default: object) -> None:
    """Refuse a value of another kind than the default.

    Raises:
        ConfigError: with what is allowed.
    """
    if isinstance(default, bool) or not isinstance(default, int | float):
        return
    kinds = (int,) if isinstance(default, int) else (int, float)
    least = 1 if isinstance(default, int) and default else 0
    if isinstance(value, bool) or not isinstance(value, kinds) or not least <= value < inf:
        what = "an integer" if kinds == (int,) else "a number"
        raise ConfigError(
            f"search.options.{option}: {value!r} is not allowed for the propagator {name}; give "
            f"{what} of at least {least} (default: {default})"
        )
