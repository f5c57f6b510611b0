"""Trains several configurations one after the other in one job, so that torch is imported once.

train_all.py CONFIG [OVERRIDES...] -- [OVERRIDES...] -- ...
"""

from __future__ import annotations

import sys

from hpctrain.compose.train import train
from hpctrain.config import load_config


def main() -> None:
    config, *words = sys.argv[1:]
    runs: list[list[str]] = [[]]
    for word in words:
        if word == "--":
            runs.append([])
        else:
            runs[-1].append(word)
    for overrides in runs:
        if code := train(load_config(config, overrides)):
            sys.exit(code)


if __name__ == "__main__":
    main()
