"""What was run: settings, versions and places, from `run.json` and the first event of each part."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from hpctrain.report.tables import RunTables, Table

BEGINNINGS = ("start", "resume")


@dataclass(frozen=True, slots=True)
class RunFacts:
    """A run's identity; an empty text or None is not known.

    Attributes:
        islands: names in the order of their numbers.
        paces: emulated slowness of each island; empty if nothing is emulated.
        own_data: whether every island has data, and so a domain, of its own.
        versions: of the newest part.
    """

    name: str
    method: str
    task: str
    seed: int | None
    parameters: int | None
    islands: tuple[str, ...]
    num_workers: int
    paces: tuple[float, ...]
    own_data: bool
    started: str
    commit: str
    hosts: tuple[str, ...]
    versions: Mapping[str, str]

    def island_name(self, island: int) -> str:
        return self.islands[island] if 0 <= island < len(self.islands) else f"island {island}"

    def pace(self, island: int) -> float:
        """How many times slower than it could the island was made; 1 for not at all."""
        return self.paces[island] if 0 <= island < len(self.paces) else 1.0

    @property
    def is_paced(self) -> bool:
        return any(pace != 1 for pace in self.paces)


def origin(facts: RunFacts, run_dir: Path) -> Iterator[tuple[str, str]]:
    """Where a run comes from and where it lies, by label."""
    if facts.seed is not None:
        yield "seed", str(facts.seed)
    if facts.versions:
        yield "versions", ", ".join(f"{name} {text}" for name, text in facts.versions.items())
    if facts.commit:
        yield "commit", facts.commit
    yield "directory", str(run_dir)


def read_facts(run: RunTables) -> RunFacts:
    """What `run.json` and the events say; scripts may have left out most of it."""
    identity = run.identity
    config = _section(identity, "config_resolved")
    beginnings = _beginnings(run.table("event"))
    return RunFacts(
        name=str(config.get("name") or run.run_dir.name),
        method=str(_section(config, "method").get("name", "")),
        task=str(identity.get("script") or _section(config, "task").get("factory", "")),
        seed=identity.get("seed"),
        parameters=identity.get("parameters"),
        islands=tuple(identity.get("islands", ())),
        num_workers=int(identity.get("num_workers", len(run.ranks))),
        paces=tuple(float(pace) for pace in _section(config, "pace").get("factors", ())),
        own_data=_section(config, "topology").get("data") == "own",
        started=_moment(str(identity.get("start_time_utc", ""))),
        commit=_commit(identity),
        hosts=_hosts(identity, beginnings),
        versions=(beginnings[-1] if beginnings else identity).get("versions", {}),
    )


def _section(tree: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = tree.get(key)
    return value if isinstance(value, Mapping) else {}


def _beginnings(events: Table) -> list[dict[str, Any]]:
    """What each rank said of itself when it started or went on."""
    texts = events["text"][np.isin(events["kind"], BEGINNINGS)]
    said = (json.loads(text) for text in texts if text.startswith("{"))
    return [item for item in said if isinstance(item, dict)]


def _hosts(identity: Mapping[str, Any], beginnings: list[dict[str, Any]]) -> tuple[str, ...]:
    names = [str(item["host"]) for item in beginnings if "host" in item]
    if not names and "host" in identity:
        names = [str(identity["host"])]
    return tuple(dict.fromkeys(names))


def _moment(text: str) -> str:
    return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M:%S} UTC" if text else ""


def _commit(identity: Mapping[str, Any]) -> str:
    commit = str(identity.get("git_commit", ""))
    if commit in ("", "unknown"):
        return ""
    return commit[:12] + (" with uncommitted changes" if identity.get("git_dirty") else "")
