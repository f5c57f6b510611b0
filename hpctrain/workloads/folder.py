"""Text of the user's own for the built-in task: a folder with two files for each domain.

FOLDER/NAME.train.txt is trained on, FOLDER/NAME.held-out.txt is evaluated on; the domains are in
the order of their names.
"""

from functools import cache
from pathlib import Path

import numpy as np

from hpctrain.workloads.text import Bytes

TRAIN, HELD_OUT = ".train.txt", ".held-out.txt"


def folder_domains(folder: Path) -> tuple[str, ...]:
    """The domains that have both files."""
    if not folder.is_dir():
        return ()
    names = sorted(path.name.removesuffix(TRAIN) for path in folder.glob(f"*{TRAIN}"))
    return tuple(name for name in names if (folder / f"{name}{HELD_OUT}").is_file())


@cache
def read_folder_domain(folder: Path, domain: str) -> tuple[Bytes, Bytes]:
    """The bytes to train on and those held out; not to be written."""
    files = (folder / f"{domain}{TRAIN}", folder / f"{domain}{HELD_OUT}")
    train, held_out = (np.frombuffer(path.read_bytes(), dtype=np.uint8) for path in files)
    return train, held_out
