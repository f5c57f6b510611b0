"""The last words of a search: the best it has found, what it did, where it lies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console
from rich.text import Text

from hpctrain.report.console import make_console
from hpctrain.report.words import plural, seconds_text


class FoundLike(Protocol):
    """One candidate of the outcome."""

    @property
    def config(self) -> Mapping[str, Any]: ...
    @property
    def losses(self) -> Sequence[float]: ...
    @property
    def number(self) -> int: ...


class ResultLike(Protocol):
    """The outcome of a search."""

    @property
    def front(self) -> Sequence[FoundLike]: ...
    @property
    def evaluations(self) -> int: ...
    @property
    def failed(self) -> int: ...
    @property
    def stopped(self) -> int: ...
    @property
    def cancelled(self) -> int: ...
    @property
    def reused(self) -> int: ...
    @property
    def cost(self) -> float: ...
    @property
    def seconds(self) -> float: ...
    @property
    def reason(self) -> str: ...
    @property
    def run_dir(self) -> Path: ...
    @property
    def energy(self) -> str: ...


def print_search(
    result: ResultLike,
    best_toml: str | None,
    terminal: bool | None = None,
    console: Console | None = None,
) -> None:
    """Print what was found.

    Args:
        result: of the search that has ended.
        best_toml: the best as a `run.toml`, if the candidates were trainings.
        terminal: whether standard output ends in a terminal; see `console.seen_by`.
        console: where to print instead of standard output.
    """
    console = console or make_console(terminal)
    console.print()
    console.print(Text(f"The search has ended: {result.reason}", style="bold"), soft_wrap=True)
    console.print(Text(_counts(result)), soft_wrap=True)
    if result.energy:
        console.print(Text(result.energy), soft_wrap=True)
    if not result.front:
        console.print(Text("No evaluation gave a usable loss."))
    for found in result.front:
        losses = ", ".join(f"{loss:.6g}" for loss in found.losses)
        console.print(Text(f"\nCandidate {found.number}: loss {losses}", style="bold"))
        for name, value in found.config.items():
            console.print(Text(f"  {name} = {_shown(value)}"), soft_wrap=True)
    if best_toml is not None:
        path = result.run_dir / "best.toml"
        console.print(Text(f"\nAs a run.toml, in {path}", style="bold"), soft_wrap=True)
        console.print(Text(best_toml.rstrip()), soft_wrap=True)
        console.print(Text(f"\nTrain it: hpctrain train {path}"), soft_wrap=True)
    console.print(Text(f"\nThe run lies in {result.run_dir}"), soft_wrap=True)
    console.print(Text(f"More about it: hpctrain show {result.run_dir}"), soft_wrap=True)


def _counts(result: ResultLike) -> str:
    parts = [f"{plural(result.evaluations, 'evaluation')} in {seconds_text(result.seconds)}"]
    for count, word in (
        (result.failed, "failed"),
        (result.stopped, "stopped early"),
        (result.cancelled, "cancelled"),
        (result.reused, "not paid for twice"),
    ):
        if count:
            parts.append(f"{count:,} {word}")
    if result.cost:
        parts.append(f"cost {result.cost:.6g}")
    return ", ".join(parts)


def _shown(value: Any) -> str:
    return repr(value) if isinstance(value, str) else f"{value}"
