"""Turns what pydantic refuses into lines that name the key, the value and what is allowed."""

import difflib
import json
from collections.abc import Collection, Mapping
from typing import Any, TypeGuard

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from hpctrain.config.allowed import allowed_values

_LONGEST_VALUE = 60  # characters of a value that a line shows


def explain(error: ValidationError, model: type[BaseModel], values: Any) -> dict[str, str]:
    """What is wrong, by dotted key, in the order of the errors.

    Args:
        error: what validating `values` raised.
        model: the model they were validated as.
        values: the raw settings, to quote them.
    """
    found: dict[str, str] = {}
    for item in error.errors(include_url=False):
        key, text = _explain_one(item["type"], item["loc"], model, values)
        found.setdefault(key, text)
    return found


def unknown_key(name: str, allowed: Collection[str]) -> str:
    """The text for a key that does not exist, with the nearest one that does."""
    near = difflib.get_close_matches(name, allowed, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    if not allowed:
        return "unknown key; none is allowed here"
    return f"unknown key; {hint}allowed: {', '.join(allowed)}"


def not_allowed(value: Any, allowed: str) -> str:
    return f"{shown(value)} is not allowed; give {allowed}"


def shown(value: Any) -> str:
    """`value` as it would be written in TOML, shortened."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        text = repr(value)
    text = {"NaN": "nan", "Infinity": "inf", "-Infinity": "-inf"}.get(text, text)
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 3] + "..."


def _explain_one(
    kind: str, loc: tuple[int | str, ...], model: type[BaseModel], values: Any
) -> tuple[str, str]:
    path: list[str] = []
    field: FieldInfo | None = None
    for name in loc:
        if not isinstance(name, str) or name not in model.model_fields:
            break
        path.append(name)
        field = model.model_fields[name]
        values = values[name] if isinstance(values, Mapping) and name in values else None
        if not is_model(field.annotation):
            break
        model = field.annotation
    if kind == "extra_forbidden" and len(path) < len(loc):
        unknown = str(loc[len(path)])
        return ".".join([*path, unknown]), unknown_key(unknown, list(model.model_fields))
    if field is None:
        return "settings", not_allowed(values, "a table")
    if kind == "missing":
        return ".".join(path), f"is missing; give {allowed_values(field)}"
    return ".".join(path), not_allowed(values, _with_example(path, field))


def _with_example(path: list[str], field: FieldInfo) -> str:
    if path == ["method"]:
        return 'a table, such as: method.name = "heloco"'
    return allowed_values(field)


def is_model(kind: Any) -> TypeGuard[type[BaseModel]]:
    """Whether `kind` is a model class: a section of the settings."""
    return isinstance(kind, type) and issubclass(kind, BaseModel)
