"""Reads `run.toml`, applies what was set on the command line, and checks the whole."""

import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from hpctrain.config.explain import explain, is_model, unknown_key
from hpctrain.config.models import RunConfig
from hpctrain.config.overrides import apply_overrides
from hpctrain.config.rules import Problem, contradictions, missing_stop, search_problems
from hpctrain.errors import ConfigError

_INIT = "hpctrain.init()"


def load_config(
    path: str | os.PathLike[str], overrides: Sequence[str] = (), search: bool = False
) -> RunConfig:
    """Reads the settings of a run whose loop hpctrain owns.

    Args:
        path: a TOML file; its stem is the default of `name`.
        overrides: `section.key=value`, applied in order after the file. A value is TOML; a bare
            word is taken as a text.
        search: the run is a search, not a training.

    Raises:
        ConfigError: one line for everything that is not allowed.
    """
    values = _read_toml(path)
    overridden = apply_overrides(values, overrides)
    values.setdefault("name", _name_from(path))
    config = build_config(values, str(path), overridden)
    problems = search_problems(config) if search else missing_stop(config)
    _raise_if_any(problems, str(path), overridden)
    return config


def build_config(
    values: Mapping[str, Any], source: str = _INIT, overridden: Iterable[str] = ()
) -> RunConfig:
    """Checks nested settings and completes them.

    Args:
        values: as read from TOML or JSON: sections are mappings.
        source: what errors give as the origin, a path or a call.
        overridden: dotted keys that came from the command line instead.

    Raises:
        ConfigError: one line for everything that is not allowed.
    """
    values = _with_run_dir(values)
    try:
        config = RunConfig.model_validate(values)
    except ValidationError as error:
        _raise_if_any(explain(error, RunConfig, values).items(), source, overridden)
        raise
    _raise_if_any(contradictions(config), source, overridden)
    return config.named_source(source)


def config_from_keywords(source: str = _INIT, /, **keywords: Any) -> RunConfig:
    """Settings from the flat keywords of a script, such as `method="mla", sync_every=20`.

    A keyword is a top-level setting, a whole section (a dict), or the name of a key that only one
    section has. `method="mla"` is `method.name`. None means: not given.

    Raises:
        ConfigError: one line for everything that is not allowed.
    """
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for keyword, value in keywords.items():
        if value is None:
            continue
        problems += _place(values, keyword, value)
    _raise_if_any(problems, source, ())
    return build_config(values, source)


def resolved_json(config: RunConfig) -> str:
    """All settings, complete, as JSON that `build_config` accepts again."""
    unused = {"method": {"heloco"}} if config.method.name != "heloco" else None
    return config.model_dump_json(indent=2, exclude_none=True, exclude=unused)


def _read_toml(path: str | os.PathLike[str]) -> dict[str, Any]:
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; give the path of a run's TOML file") from None
    except IsADirectoryError:
        raise ConfigError(f"{path}: is a directory; give the path of a TOML file") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text: byte {error.start} is {error.reason}") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not TOML: {error}") from None


def _name_from(path: str | os.PathLike[str]) -> str:
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", Path(path).stem).strip("-._+") or "run"


def _with_run_dir(values: Mapping[str, Any]) -> dict[str, Any]:
    name = values.get("name", "run")
    run_dir = values.get("run_dir", "runs/{name}")
    if isinstance(run_dir, str) and isinstance(name, str):
        run_dir = run_dir.replace("{name}", name)
    return {**values, "run_dir": run_dir}


def _place(values: dict[str, Any], keyword: str, value: Any) -> Iterator[Problem]:
    if keyword == "method" and isinstance(value, str):
        values.setdefault("method", {})["name"] = value
        return
    if keyword in RunConfig.model_fields:
        values[keyword] = {**values.get(keyword, {}), **value} if _is_table(value) else value
        return
    sections = [name for name in _sections() if keyword in _sections()[name].model_fields]
    if len(sections) == 1:
        values.setdefault(sections[0], {})[keyword] = value
    elif sections:
        places = " or ".join(f"{name}={{'{keyword}': ...}}" for name in sections)
        yield keyword, f"is in more than one section; write {places}"
    else:
        yield keyword, unknown_key(keyword, _all_keywords())


def _sections() -> dict[str, type[BaseModel]]:
    """The sections that a training has; a search has keywords of its own."""
    return {
        name: field.annotation
        for name, field in RunConfig.model_fields.items()
        if is_model(field.annotation) and name != "search"
    }


def _all_keywords() -> list[str]:
    flat = [key for section in _sections().values() for key in section.model_fields]
    unique = [key for key in flat if flat.count(key) == 1]
    return list(dict.fromkeys([*RunConfig.model_fields, *unique]))


def _is_table(value: Any) -> bool:
    return isinstance(value, Mapping)


def _raise_if_any(problems: Iterable[Problem], source: str, overridden: Iterable[str]) -> None:
    lines = [f"{_origin(key, source, overridden)}: {key}: {text}" for key, text in problems]
    if lines:
        raise ConfigError("\n".join(lines))


def _origin(key: str, source: str, overridden: Iterable[str]) -> str:
    set_here = any(key == name or key.startswith(f"{name}.") for name in overridden)
    return "--set" if set_here else source
