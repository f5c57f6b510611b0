"""Where things lie in a run directory. Nobody else makes these paths."""

import re
from dataclasses import dataclass
from pathlib import Path

LOG_NAME = re.compile(r"rank-(\d{5,})\.log")
RANK_FILE_NAME = re.compile(r"rank-(\d{5,})\.h5")
CHECKPOINT_NAME = re.compile(r"\d{6,}")


@dataclass(frozen=True, slots=True)
class RunLayout:
    """The paths of one run.

    run.json                 what the run is; its presence makes a directory a run
    run.h5                   links to every rank's tables
    rank-00000.h5            the tables of one rank, folded from its log
    logs/rank-00000.log      the truth while the run goes on
    checkpoints/000012/      one file per part and a MANIFEST.json
    """

    run_dir: Path

    @property
    def identity(self) -> Path:
        return self.run_dir / "run.json"

    @property
    def index(self) -> Path:
        return self.run_dir / "run.h5"

    @property
    def logs(self) -> Path:
        return self.run_dir / "logs"

    @property
    def checkpoints(self) -> Path:
        return self.run_dir / "checkpoints"

    def log(self, rank: int) -> Path:
        return self.logs / f"{rank_name(rank)}.log"

    def rank_file(self, rank: int) -> Path:
        return self.run_dir / f"{rank_name(rank)}.h5"

    def checkpoint(self, number: int) -> Path:
        return self.checkpoints / f"{number:06d}"

    def logged_ranks(self) -> tuple[int, ...]:
        return _ranks(self.logs, LOG_NAME)

    def folded_ranks(self) -> tuple[int, ...]:
        return _ranks(self.run_dir, RANK_FILE_NAME)


def rank_name(rank: int) -> str:
    return f"rank-{rank:05d}"


def _ranks(directory: Path, pattern: re.Pattern[str]) -> tuple[int, ...]:
    if not directory.is_dir():
        return ()
    matches = (pattern.fullmatch(entry.name) for entry in directory.iterdir())
    return tuple(sorted(int(match[1]) for match in matches if match))
