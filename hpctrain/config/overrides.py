"""`--set section.key=value`: settings from the command line."""

import re
import tomllib
from collections.abc import Sequence
from typing import Any

from hpctrain.errors import ConfigError

_BARE_WORD = re.compile(r"[\w./:@%+-]+")  # a text that a shell passes on without quotes


def apply_overrides(values: dict[str, Any], overrides: Sequence[str]) -> tuple[str, ...]:
    """Puts `overrides` into `values` and returns their dotted keys.

    Raises:
        ConfigError: one line for each override that is not `key=value`.
    """
    problems: list[str] = []
    keys: list[str] = []
    for override in overrides:
        try:
            keys.append(_apply(values, override))
        except ValueError as error:
            problems.append(f"--set {override}: {error}")
    if problems:
        raise ConfigError("\n".join(problems))
    return tuple(keys)


def _apply(values: dict[str, Any], override: str) -> str:
    key, equals, text = override.partition("=")
    key = key.strip()
    if not equals or not re.fullmatch(r"[\w-]+(\.[\w-]+)*", key):
        raise ValueError("not KEY=VALUE; write for example --set method.sync_every=20")
    *tables, last = key.split(".")
    table = values
    for depth, name in enumerate(tables):
        table = table.setdefault(name, {})
        if not isinstance(table, dict):
            raise ValueError(f"{'.'.join(tables[: depth + 1])} is a value, not a table")
    table[last] = _value(text.strip())
    return key


def _value(text: str) -> Any:
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        parsed = {}
    if list(parsed) == ["value"]:
        return parsed["value"]
    if _BARE_WORD.fullmatch(text):
        return text
    raise ValueError(f"{text!r} is not a TOML value; give a number, true, a list or 'a text'")
