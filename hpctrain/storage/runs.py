"""What makes a directory a run: `run.json`, written once by the first rank that comes."""

import json
from pathlib import Path
from typing import Any

from hpctrain.errors import RunStoreError
from hpctrain.storage.files import cannot_write, write_first
from hpctrain.storage.layout import RunLayout

FORMAT = 1


def start_run(layout: RunLayout, identity: dict[str, Any]) -> None:
    """Make the directory a run, exclusively.

    Raises:
        RunStoreError: if it holds a run already, or cannot be written.
    """
    make_directories(layout)
    content = json.dumps({"format": FORMAT, **identity}, indent=1, sort_keys=True, default=str)
    if not write_first(layout.identity, content.encode()):
        raise holds_a_run(layout)


def is_run(layout: RunLayout) -> bool:
    return layout.identity.is_file()


def read_identity(layout: RunLayout) -> dict[str, Any]:
    """What `run.json` says.

    Raises:
        RunStoreError: if there is none, or it is of another version or damaged.
    """
    try:
        identity = json.loads(layout.identity.read_bytes())
    except FileNotFoundError:
        raise RunStoreError(_not_a_run(layout.run_dir)) from None
    except NotADirectoryError:
        raise RunStoreError(_not_a_run(layout.run_dir)) from None
    except (OSError, ValueError) as error:
        raise RunStoreError(f"cannot read {layout.identity}: {error}") from error
    if not isinstance(identity, dict) or identity.get("format") != FORMAT:
        found = identity.get("format") if isinstance(identity, dict) else identity
        raise RunStoreError(
            f"{layout.identity} is of format {found!r}, but this version of hpctrain reads "
            f"format {FORMAT}"
        )
    return identity


def make_directories(layout: RunLayout) -> None:
    try:
        layout.logs.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(layout.logs, error) from error


def holds_a_run(layout: RunLayout) -> RunStoreError:
    return RunStoreError(
        f"{layout.run_dir} already holds a run; go on with it by --resume (resume=True in a "
        "script), or choose another run_dir"
    )


def _not_a_run(run_dir: Path) -> str:
    if not run_dir.exists():
        return f"{run_dir} does not exist, so it is no run directory"
    return f"{run_dir} is no run directory: it has no run.json"
