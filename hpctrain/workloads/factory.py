"""Finds callables by name: `package.module:callable`."""

import difflib
import importlib
import os
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, cast

from hpctrain.errors import ConfigError
from hpctrain.workloads.task import TaskFactory


def resolve_factory(reference: str, source: str = "run.toml") -> TaskFactory:
    """The task's callable; see `resolve`."""
    return cast(TaskFactory, resolve(reference, "task.factory", source))


def resolve(reference: str, key: str, source: str) -> Callable[..., Any]:
    """The callable that `reference` names; modules of the working directory are found too.

    An error inside the module is the module's own, and is raised as it is.

    Args:
        reference: `package.module:callable`.
        key: the setting that says so.
        source: where it does.

    Raises:
        ConfigError: if there is no such module or callable.
    """
    try:
        return _resolve(reference)
    except LookupError as error:
        raise ConfigError(f'{source}: {key}: "{reference}": {error.args[0]}') from None


def _resolve(reference: str) -> Callable[..., Any]:
    module_name, colon, attribute = reference.partition(":")
    if not (module_name and colon and attribute):
        raise LookupError("is not of the form package.module:callable")
    found: object = _import(module_name)
    for name in attribute.split("."):
        if not hasattr(found, name):
            raise LookupError(_no_attribute(found, module_name, name))
        found = getattr(found, name)
    if not callable(found):
        raise LookupError(f"is of type {type(found).__name__}, but must be a callable")
    return found


def _import(name: str) -> ModuleType:
    # At the end: a file of the working directory must not hide a module of Python's own.
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise  # a module that the user's module needs
        raise LookupError(
            f"there is no module {error.name!r} in {os.getcwd()} or on Python's path"
        ) from None


def _no_attribute(owner: object, module_name: str, name: str) -> str:
    near = difflib.get_close_matches(name, dir(owner), n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"module {module_name} has no {name!r}{hint}"
