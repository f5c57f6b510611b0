"""The settings of a study, `study.toml`: what is compared on what, over how many seeds."""

from __future__ import annotations

import math
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from hpctrain.config.explain import explain
from hpctrain.config.load import build_config
from hpctrain.config.section import Allowed, NonNegativeInt, PositiveInt, Section
from hpctrain.errors import ConfigError

Seeds = Annotated[
    tuple[NonNegativeInt, ...],
    Field(strict=False, min_length=1),
    Allowed("a list of seeds such as [1, 2, 3]"),
]
Tables = Annotated[
    dict[str, dict[str, Any]],
    Field(min_length=1),
    Allowed('tables of settings by name, such as [methods.heloco] with method.name = "heloco"'),
]
Names = Annotated[
    tuple[str, ...], Field(strict=False), Allowed('a list of names such as ["heloco", "mla"]')
]
RANGE = "tune"  # in the table of a method: the range of the tuned key
_ONE_DATA: dict[str, dict[str, Any]] = {"data": {}}
RESERVED = ("name", "run_dir", "seed", "progress", "search", "energy")


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """One method on one profile, data and budget."""

    profile: str
    data: str
    budget: str
    method: str

    @property
    def place(self) -> tuple[str, str, str]:
        """What methods are compared on."""
        return self.profile, self.data, self.budget


class TuneConfig(Section):
    """The key that is tuned for each method anew, by as many trials for each."""

    key: Annotated[str, Field(pattern=r"^\w+\.\w+(\.\w+)*$")] = "method.outer_lr"
    trials: PositiveInt = 6
    seeds: Seeds = (0,)


class Where(Section):
    """Some cells: those whose names are in each list; an empty list means any."""

    methods: Names = ()
    profiles: Names = ()
    data: Names = ()
    budgets: Names = ()

    def holds(self, cell: Cell) -> bool:
        """Is it one of these?"""
        wanted = (self.methods, self.profiles, self.data, self.budgets)
        have = (cell.method, cell.profile, cell.data, cell.budget)
        return all(not names or name in names for names, name in zip(wanted, have, strict=True))


class Same(Where):
    """Cells whose runs are those of another budget: computed once, shown twice."""

    as_budget: Annotated[str, Field(min_length=1)]


class Study(Section):
    """What is compared.

    Every method is run on every profile, data and budget, with every seed, but for what is in
    `leave_out`. The tables are settings as in `run.toml`, laid over `base` in this order: profile,
    data, budget, method.
    """

    name: Annotated[
        str,
        Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$"),
        Allowed("letters, digits, dots, dashes and underscores"),
    ] = "study"
    run_dir: Annotated[str, Field(min_length=1)] = "studies/{name}"
    seeds: Seeds
    reference: str = ""
    base: dict[str, Any] = Field(default_factory=dict)
    tune: TuneConfig = TuneConfig()
    methods: Tables
    profiles: Tables
    data: Tables = Field(default_factory=lambda: dict(_ONE_DATA))
    budgets: Tables
    leave_out: Annotated[tuple[Where, ...], Field(strict=False)] = ()
    same: Annotated[tuple[Same, ...], Field(strict=False)] = ()


def read_study(path: str | os.PathLike[str]) -> Study:
    """A study from a TOML file, with every combination of its tables checked.

    Raises:
        ConfigError: one line for everything that is not allowed.
    """
    try:
        values = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; give the path of a study's TOML file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not TOML: {error}") from None
    values.setdefault("name", re.sub(r"[^A-Za-z0-9._+-]+", "-", Path(path).stem) or "study")
    try:
        study = Study.model_validate(values)
    except ValidationError as error:
        problems = explain(error, Study, values)
        raise ConfigError("\n".join(f"{path}: {k}: {t}" for k, t in problems.items())) from None
    lines = list(dict.fromkeys(_problems(study, str(path))))
    if lines:
        raise ConfigError("\n".join(lines))
    return study.model_copy(update={"run_dir": study.run_dir.replace("{name}", study.name)})


def cells_of(study: Study) -> list[Cell]:
    """All but those left out; those that are compared with each other are neighbours."""
    cells = (
        Cell(profile, data, budget, method)
        for profile in study.profiles
        for data in study.data
        for budget in study.budgets
        for method in study.methods
    )
    return [cell for cell in cells if not any(part.holds(cell) for part in study.leave_out)]


def made_as(study: Study, cell: Cell) -> Cell:
    """The cell whose runs are shown in this one: mostly itself."""
    for part in study.same:
        if part.holds(cell):
            return replace(cell, budget=part.as_budget)
    return cell


def settings_of(study: Study, cell: Cell, seed: int, tuned: float | None) -> dict[str, Any]:
    """The settings of one run, nested as in TOML; `tuned` is the value of the tuned key."""
    values: dict[str, Any] = {}
    method = {k: v for k, v in study.methods[cell.method].items() if k != RANGE}
    parts = (study.profiles[cell.profile], study.data[cell.data], study.budgets[cell.budget])
    for table in (study.base, *parts, method):
        values = _laid_over(values, table)
    if tuned is not None:
        *tables, last = study.tune.key.split(".")
        change: dict[str, Any] = {last: tuned}
        for name in reversed(tables):
            change = {name: change}
        values = _laid_over(values, change)
    return values | {"seed": seed, "progress": {"show": "none"}}


def range_of(study: Study, method: str) -> tuple[float, float] | None:
    """From where to where the tuned key of a method may be; None: it is not tuned."""
    found = study.methods[method].get(RANGE)
    return None if found is None else (float(found[0]), float(found[1]))


def _laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        merged[key] = _laid_over(old, value) if both else value  # type: ignore[arg-type]
    return merged


def _problems(study: Study, path: str) -> Iterator[str]:
    if study.reference and study.reference not in study.methods:
        yield (
            f"{path}: reference: {study.reference!r} is none of the methods; give one of "
            f"{', '.join(study.methods)}"
        )
    if set(study.seeds) & set(study.tune.seeds):
        yield f"{path}: tune.seeds: {list(study.tune.seeds)} are among seeds; tune on others"
    for key, seeds in (("seeds", study.seeds), ("tune.seeds", study.tune.seeds)):
        if len(set(seeds)) < len(seeds):
            yield f"{path}: {key}: {list(seeds)} names a seed twice; a seed counts once"
    if study.tune.key.split(".")[0] in RESERVED:
        yield f"{path}: tune.key: {study.tune.key} is the study's own; tune another"
    for method, table in study.methods.items():
        if RANGE in table and not _is_range(table[RANGE]):
            yield (
                f"{path}: methods.{method}.tune: {table[RANGE]!r} is not allowed; give the least "
                "and the largest value, such as [0.1, 2.0]"
            )
    tables = {"base": {"base": study.base}, "methods": study.methods, "profiles": study.profiles,
              "data": study.data, "budgets": study.budgets}  # fmt: skip
    for section, named in tables.items():
        for name, table in named.items():
            for key in RESERVED:
                if key in table:
                    yield f"{path}: {section}.{name}.{key}: is the study's own; leave it out"
    cells = cells_of(study)
    yield from _selection_problems(study, path)
    reference = study.reference or next(iter(study.methods))
    for place in dict.fromkeys(cell.place for cell in cells):
        if reference in study.methods and Cell(*place, reference) not in cells:
            yield (
                f"{path}: leave_out: {reference}, the reference, is left out on "
                f"{', '.join(place)}; leave out all methods there, or another one"
            )
    for cell in cells:
        where = f"{path}: {cell.method} on {cell.profile}, {cell.data}, {cell.budget}"
        try:
            for tuned in _ends(study, cell):
                settings = settings_of(study, cell, study.seeds[0], tuned)
                config = build_config(settings, where)
        except ConfigError as error:
            yield from str(error).splitlines()
            continue
        if not config.stop.is_given:
            yield (
                f"{path}: budgets.{cell.budget}: has no end; give stop.steps, stop.minutes or"
                " stop.gigabytes"
            )
        if config.simulate.work != "train":
            yield f'{path}: simulate.work: "timing" trains nothing; leave it out'


def _selection_problems(study: Study, path: str) -> Iterator[str]:
    known = {"methods": study.methods, "profiles": study.profiles, "data": study.data,
             "budgets": study.budgets}  # fmt: skip
    parts = [("leave_out", part) for part in study.leave_out]
    for section, part in [*parts, *(("same", part) for part in study.same)]:
        for key, names in known.items():
            for name in getattr(part, key):
                if name not in names:
                    yield f"{path}: {section}.{key}: no {name!r}; there are {', '.join(names)}"
    cells = set(cells_of(study))
    if not cells:
        yield f"{path}: leave_out: nothing is left to run"
    for part in study.same:
        if part.as_budget not in study.budgets:
            yield (
                f"{path}: same.as_budget: no {part.as_budget!r}; there are "
                f"{', '.join(study.budgets)}"
            )
            continue
        for cell in filter(part.holds, cells):
            other = replace(cell, budget=part.as_budget)
            if other not in cells or made_as(study, other) != other:
                yield (
                    f"{path}: same.as_budget: {cell.method} on {cell.profile}, {cell.data} is not "
                    f"run with {part.as_budget}; give a budget that it is run with"
                )


def _ends(study: Study, cell: Cell) -> tuple[float | None, ...]:
    """The least and the largest value of the tuned key: what is allowed lies between."""
    if not _is_range(study.methods[cell.method].get(RANGE)):
        return (None,)
    return range_of(study, cell.method) or (None,)


def _is_range(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2
        and all(isinstance(x, int | float) and not isinstance(x, bool) for x in value)
        and 0 < value[0] < value[1] < math.inf
    )
