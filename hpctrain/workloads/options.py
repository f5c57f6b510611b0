"""Checks `[task.options]` against a pydantic model, with errors like those of the settings."""

from typing import TypeVar

from pydantic import BaseModel, ValidationError

from hpctrain.config.explain import explain
from hpctrain.errors import ConfigError
from hpctrain.workloads.task import TaskContext

Options = TypeVar("Options", bound=BaseModel)


def checked_options(model: type[Options], context: TaskContext) -> Options:
    """The options of `context` as a `model`.

    Raises:
        ConfigError: one line for each option that is not allowed.
    """
    values = dict(context.options)
    try:
        return model.model_validate(values)
    except ValidationError as error:
        problems = explain(error, model, values)
        refuse_options(context, problems)
        raise


def refuse_options(context: TaskContext, problems: dict[str, str]) -> None:
    """Raises a `ConfigError` with one line for each option in `problems`, if there are any."""
    if problems:
        raise ConfigError(
            "\n".join(
                f"{context.source}: task.options.{key}: {text}" for key, text in problems.items()
            )
        )
