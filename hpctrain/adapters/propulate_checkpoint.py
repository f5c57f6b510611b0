"""Reads the checkpoints of the `propulate` package, without the package and without its dangers.

A pickle can run any code when it is loaded. Here only what an individual consists of is let in:
the class itself, as an empty shell, numpy arrays, and the names of three built-in types.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from hpctrain.errors import RunStoreError

_NUMPY = {"_reconstruct", "scalar", "_frombuffer"}
_BUILTINS = {"float": float, "int": int, "str": str}


@dataclass(frozen=True, slots=True)
class OldIndividual:
    """One evaluated individual of a checkpoint."""

    config: dict[str, Any]
    loss: float
    generation: int
    rank: int
    island: int


class _Shell:
    """Takes the place of `propulate.population.Individual`; it only holds what was saved."""

    __dict__: dict[str, Any]


class _Restricted(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("propulate.population", "Individual"):
            return _Shell
        if module == "builtins" and name in _BUILTINS:
            return _BUILTINS[name]
        if module in ("numpy", "numpy.core.multiarray", "numpy._core.multiarray"):
            if name == "ndarray":
                return np.ndarray
            if name == "dtype":
                return np.dtype
            if name in _NUMPY:
                return getattr(_multiarray(), name)
        raise pickle.UnpicklingError(f"it wants {module}.{name}, which no individual contains")


def _multiarray() -> Any:
    """Where numpy keeps what its pickles name; the place has moved with version 2."""
    from importlib import import_module

    return import_module(
        "numpy.core.multiarray" if np.__version__[0] == "1" else "numpy._core.multiarray"
    )


def read_checkpoint(path: Path) -> list[OldIndividual]:
    """The evaluated individuals of `island_*_ckpt.pickle`, in the order of the file.

    Raises:
        RunStoreError: if the file is missing, damaged, or holds anything but individuals.
    """
    try:
        with path.open("rb") as file:
            content = _Restricted(file).load()
    except FileNotFoundError:
        raise RunStoreError(f"{path}: no such file; give a checkpoint of propulate") from None
    except (pickle.UnpicklingError, EOFError, ValueError, TypeError, AttributeError) as error:
        raise RunStoreError(
            f"{path} is no whole checkpoint of propulate: {error}; it keeps the one before beside "
            f"it as {path.with_suffix('.bkp').name}"
        ) from None
    if not isinstance(content, list) or not all(isinstance(item, _Shell) for item in content):
        raise RunStoreError(
            f"{path} is no checkpoint of propulate: it holds no list of individuals"
        )
    return list(_individuals(content))


def is_checkpoint(path: Path) -> bool:
    """Does the name say that this is a checkpoint of propulate?"""
    return path.suffix in (".pickle", ".bkp") and path.is_file()


def _individuals(shells: list[Any]) -> Iterator[OldIndividual]:
    for shell in shells:
        saved = vars(shell)
        loss = float(saved.get("loss", float("inf")))
        if not isfinite(loss):
            continue
        yield OldIndividual(
            _evaluated_config(saved),
            loss,
            int(saved.get("generation", -1)),
            int(saved.get("rank", -1)),
            int(saved.get("island", -1)),
        )


def _evaluated_config(saved: dict[str, Any]) -> dict[str, Any]:
    """What the loss belongs to: the position. The mapping beside it may be of another time."""
    limits, position = saved["limits"], np.asarray(saved["position"], float)
    config: dict[str, Any] = {}
    offset = 0
    for name, choices in limits.items():
        kind = type(choices[0])
        if kind is str:
            config[name] = choices[int(np.argmax(position[offset : offset + len(choices)]))]
            offset += len(choices)
            continue
        config[name] = round(float(position[offset])) if kind is int else float(position[offset])
        offset += 1
    return config
