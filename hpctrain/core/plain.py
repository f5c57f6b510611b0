"""Which types may cross a process border: the registry of plain dataclasses.

A plain value is None, a bool, int, float, str or bytes, a numpy array, a tuple, list or dict of
plain values, or a registered dataclass of plain values. Messages, results and states are plain, so
that one codec (`runtime.codec`) serves the wire, recordings and checkpoints, without pickle.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

T = TypeVar("T")

_CLASS_OF: dict[str, type[Any]] = {}
_FIELDS_OF: dict[type[Any], tuple[str, tuple[str, ...]]] = {}


def plain(cls: type[T]) -> type[T]:
    """Register the dataclass `cls` under its own name, which must be unique in the program."""
    if not is_dataclass(cls):
        raise TypeError(f"{cls.__name__} is not a dataclass; put @dataclass below @plain")
    name = cls.__name__
    if _CLASS_OF.get(name, cls).__module__ != cls.__module__:
        raise TypeError(f"two plain classes are called {name}; rename the one in {cls.__module__}")
    _CLASS_OF[name] = cls
    _FIELDS_OF[cls] = (name, tuple(field.name for field in fields(cls)))
    return cls


def describe(value: Any) -> tuple[str, list[Any]]:
    """The registered name and the field values of `value`, in the order of its definition."""
    try:
        name, names = _FIELDS_OF[type(value)]
    except KeyError:
        raise TypeError(
            f"{type(value).__name__} cannot leave the process; allowed are None, bool, int, float, "
            "str, bytes, numpy arrays, tuples, lists, dicts and @plain dataclasses"
        ) from None
    return name, [getattr(value, field) for field in names]


def rebuild(name: str, values: list[Any]) -> Any:
    """The opposite of `describe`."""
    try:
        cls = _CLASS_OF[name]
    except KeyError:
        raise ValueError(
            f"{name!r} is not a known plain class; was it written by another version?"
        ) from None
    return cls(*values)
