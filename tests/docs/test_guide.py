"""The tables of settings in the guide say what the code does."""

import json
import re
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

import pytest
from pydantic import BaseModel

from hpctrain.config import RunConfig
from hpctrain.workloads.bytelm import ByteLmOptions

GUIDE = (Path(__file__).parents[2] / "docs" / "guide.md").read_text(encoding="utf-8")
SETTINGS = GUIDE.partition("\n## All settings\n")[2].partition("\n## ")[0]
BUILT_IN = "task.options"


class Row(NamedTuple):
    type: str
    default: str
    allowed: str


def rows_of_the_guide() -> dict[str, Row]:
    """The rows of all tables by dotted key."""
    rows: dict[str, Row] = {}
    for part in SETTINGS.split("\n### ")[1:]:
        heading, _, text = part.partition("\n")
        section = re.search(r"`\[(.+?)\]`", heading)
        prefix = f"{section[1]}." if section else ""
        for line in text.splitlines():
            if line.startswith("| `"):
                key, *cells = (cell.strip() for cell in line.strip("|").split("|"))
                assert len(cells) == 4, line
                rows[prefix + key.strip("`")] = Row(*cells[:3])
    return rows


def settings(model: BaseModel, prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Key, annotation and default of every setting, sections opened."""
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from settings(value, f"{prefix}{name}.")
        else:
            yield prefix + name, field.annotation, value


def types_of(kind: Any) -> set[str]:
    """The kinds of TOML value that an annotation allows."""
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return types_of(parts[0])
    if origin in (Union, types.UnionType):
        return {found for part in parts for found in types_of(part)}
    if origin is Literal:
        return {"text"}
    names = {tuple: "list", dict: "table", bool: "boolean", int: "integer", float: "number"}
    plain = {**names, str: "text"}
    return set() if kind is type(None) else {plain[origin or kind]}


def literals_of(kind: Any) -> set[str]:
    if get_origin(kind) is Literal:
        return set(get_args(kind))
    return {found for part in get_args(kind) for found in literals_of(part)}


def as_toml(value: Any) -> str:
    return "none" if value is None else f"`{json.dumps(value)}`"


ROWS = rows_of_the_guide()
KNOWN = {key: (kind, default) for key, kind, default in settings(RunConfig())} | {
    key: (kind, default) for key, kind, default in settings(ByteLmOptions(), f"{BUILT_IN}.")
}


def test_the_guide_has_every_setting_and_no_other() -> None:
    assert set(ROWS) == set(KNOWN)


@pytest.mark.parametrize("key", sorted(KNOWN))
def test_a_setting_is_described_as_it_is(key: str) -> None:
    kind, default = KNOWN[key]
    row = ROWS[key]
    assert row.default == as_toml(default) or row.default.startswith(f"{as_toml(default)} (")
    assert set(row.type.split(", ")) == types_of(kind)
    if "see" not in row.allowed and "that" not in row.allowed:
        assert all(word in row.allowed for word in literals_of(kind))
