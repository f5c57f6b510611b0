"""What runs under a real Slurm used, summed up for an operator, beside Slurm's own accounting."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from tests.metering.burning import WATTS, Burning
from tests.mpi.launching import ROOT
from tests.slurm.bench import Bench
from tests.slurm.cluster import why_not

pytestmark = [pytest.mark.slurm, pytest.mark.skipif(bool(why_not()), reason=why_not() or "-")]

PAGE = (ROOT / "docs" / "energy.md").read_text(encoding="utf-8")


def export_of_the_page(bench: Bench) -> Path:
    """What the command on the page on energy writes: an export of sacct."""
    found = re.search(r"^    (sacct -P .*?) > jobs\.txt$", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None
    path = bench.folder / "jobs.txt"
    path.write_text(bench.slurm.run("bash", "-c", found[1]))
    return path


def rows_of(path: Path, scope: str) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if row["scope"] == scope]


def sums(path: Path, by: str) -> dict[str, float]:
    """Joules by the names of one scope of a report in CSV."""
    return {row["name"]: 3.6e6 * float(row["it_kwh"]) for row in rows_of(path, by)}


def test_runs_of_two_partitions_are_summed_up_beside_slurms_accounting(bench: Bench) -> None:
    tree = bench.folder / "sys"
    sensors = [f'energy.sysfs_root="{tree}"', 'energy.meter="rapl"', "energy.rate_hz=10.0"]
    words = ["--time=10:00", "--nodes=1", *(word for one in sensors for word in ("--set", one))]
    with Burning(tree):
        first = bench.submit("run.toml", *words, "--partition=main", "--set", "pace.step_s=0.02")
        second = bench.submit("search.toml", *words, "--partition=urgent")
        for job in (first, second):
            bench.ends(job)
    export = export_of_the_page(bench)
    asked = bench.hpctrain("energy", "fleet", "runs", "--csv", "asked.csv").stdout
    told = bench.hpctrain(
        "energy", "fleet", "runs", "--sacct", export, "--by", "user", "--by", "partition",
        "--csv", "told.csv",
    ).stdout  # fmt: skip

    (all_j,) = sums(bench.folder / "told.csv", "all").values()
    by_partition = sums(bench.folder / "told.csv", "partition")
    assert set(by_partition) == {"main", "urgent"}
    assert by_partition["main"] > 400 * 0.02 * WATTS  # so long it has slept at least
    assert sum(by_partition.values()) == pytest.approx(all_j)
    assert sums(bench.folder / "told.csv", "user") == {"root": pytest.approx(all_j)}
    assert sums(bench.folder / "asked.csv", "partition") == by_partition
    for text, report in ((asked, "asked.csv"), (told, "told.csv")):
        _, _, compared = text.partition("Compared with Slurm")
        assert len(re.findall(r"^(?:run|search) .* not measured ", compared, re.MULTILINE)) == 2
        assert [row["slurm_kwh"] for row in rows_of(bench.folder / report, "run")] == ["", ""]
