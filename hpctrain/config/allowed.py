"""Says in words what a setting may be, from the type of its field."""

import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from hpctrain.config.section import Allowed, Section


def allowed_values(field: FieldInfo) -> str:
    """What `field` may be, such as `an integer of at least 1`."""
    return _either(_choices(field.annotation, tuple(field.metadata)))


def _choices(kind: Any, metadata: tuple[Any, ...]) -> list[str]:
    for item in metadata:
        if isinstance(item, Allowed):
            return [item.text]
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _choices(parts[0], metadata + _flat(parts[1:]))
    if origin is Literal:
        return [f'"{value}"' for value in parts]
    if origin in (Union, types.UnionType):
        return [text for part in parts if part is not type(None) for text in _choices(part, ())]
    if origin is tuple:
        return [f"a list, each item {_either(_choices(parts[0], ()))}"]
    if kind is bool:
        return ["true", "false"]
    return [_describe_plain(kind, metadata)]


def _describe_plain(kind: Any, metadata: tuple[Any, ...]) -> str:
    if kind in (int, float):
        noun = "an integer" if kind is int else "a number"
        return f"{noun} {_range(metadata)}".rstrip()
    if get_origin(kind) is dict or (isinstance(kind, type) and issubclass(kind, Section)):
        return "a table"
    return "a text"


def _range(metadata: tuple[Any, ...]) -> str:
    bounds = {
        key: getattr(item, key)
        for item in metadata
        for key in ("ge", "gt", "le", "lt")
        if getattr(item, key, None) is not None
    }
    words = {"ge": "of at least", "gt": "above", "le": "of at most", "lt": "below"}
    if "ge" in bounds and "le" in bounds:
        return f"from {bounds['ge']} to {bounds['le']}"
    return " and ".join(f"{words[key]} {value}" for key, value in bounds.items())


def _flat(metadata: tuple[Any, ...]) -> tuple[Any, ...]:
    flat: list[Any] = []
    for item in metadata:
        flat.extend(item.metadata if isinstance(item, FieldInfo) else (item,))
    return tuple(flat)


def _either(choices: list[str]) -> str:
    return choices[0] if len(choices) == 1 else f"{', '.join(choices[:-1])} or {choices[-1]}"
