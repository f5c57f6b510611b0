"""Energy of whole jobs: shares of ranks, budgets, hosts of their own, kill -9."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from hpctrain.cluster.launch import rank_environment
from hpctrain.cluster.mpirun import find_mpirun, query_mpi
from hpctrain.storage.read import open_run
from tests.metering.burning import WATTS, Burning
from tests.mpi.launching import ROOT, finish, run, start, tiny_config, wait_until

pytestmark = pytest.mark.mpi

OWN_HOST = ROOT / "tests" / "programs" / "own_host.sh"
WH = WATTS / 3600  # used in a second


def settings(tree: Path, **more: object) -> list[str]:
    given = {"sysfs_root": f'"{tree}"', "meter": '"rapl"', "rate_hz": 10.0, **more}
    return [word for key, value in given.items() for word in ("--set", f"energy.{key}={value}")]


def joules(rows: dict[str, np.ndarray], **wanted: object) -> float:
    which = np.ones(len(rows["joules"]), bool)
    for name, value in wanted.items():
        which &= rows[name] == value
    return float(np.nansum(rows["joules"][which]))


def assert_shares_are_the_hosts(rows: dict[str, np.ndarray]) -> None:
    for host in set(rows["host"]):
        shares_j = joules(rows, host=host, scope="phase")
        nobody_j = joules(rows, host=host, scope="unattributed")
        assert shares_j + nobody_j == pytest.approx(joules(rows, host=host, scope="host"), abs=1e-6)


def test_a_budget_ends_a_training_and_a_larger_one_goes_on(tmp_path: Path) -> None:
    """A worker of two ranks: what both use counts, and what earlier parts have used."""
    config = tiny_config(tmp_path, steps=10**6)
    tree = tmp_path / "sys"
    common = ["--set", "topology.islands=1", "--set", "progress.show=plain"]
    with Burning(tree):
        done = run(2, "train", config, *common, *settings(tree, budget_kwh=4 * WH / 1000))
        first = open_run(tmp_path / "run").table("energy")
        more = [*common, "--resume", *settings(tree, budget_kwh=7 * WH / 1000)]
        run(2, "train", config, *more)
    assert "Energy: " in done.stdout
    assert set(first["rank"][first["scope"] == "phase"]) == {0, 1}
    assert_shares_are_the_hosts(first)
    round_j = 0.5 * WATTS  # far more than two rounds take, and the end of a run with its checkpoint
    assert 3 * WATTS < joules(first, scope="host") < 4 * WATTS + 3 * round_j
    both = open_run(tmp_path / "run").table("energy")
    assert_shares_are_the_hosts(both)
    assert 6 * WATTS < joules(both, scope="host") < 7 * WATTS + 6 * round_j


def test_shares_of_a_training_that_is_stopped_are_the_hosts(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, steps=10**6)
    with Burning(tmp_path / "sys"):
        process = start(3, "train", config, *settings(tmp_path / "sys"))
        wait_until(lambda: (tmp_path / "run/run.json").exists())
        time.sleep(2)
        process.send_signal(signal.SIGTERM)
        finish(process)
    rows = open_run(tmp_path / "run").table("energy")
    assert set(rows["rank"][rows["scope"] == "phase"]) == {0, 1, 2}
    assert joules(rows, scope="host") > WATTS
    assert_shares_are_the_hosts(rows)


def test_a_budget_without_sensors_is_refused_on_all_ranks(tmp_path: Path) -> None:
    config = tiny_config(tmp_path)
    done = run(2, "train", config, *settings(tmp_path, budget_kwh=1.0), code=2)
    assert "energy.budget_kwh: needs readings of energy on every host" in done.stderr
    assert not (tmp_path / "run").exists()  # so it is free for a run without a budget


def test_a_training_that_pauses_is_saved_can_be_stopped_and_goes_on(tmp_path: Path) -> None:
    config, prices = tiny_config(tmp_path), tmp_path / "prices.csv"
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    days = [f"{(today + timedelta(days=day)).isoformat()},0.9\n" for day in range(3)]
    prices.write_text("start_utc,eur_per_kwh\n" + "".join(days))
    dear = ["--set", f"energy.tariff={prices}", "--set", "energy.pause_above=0.5"]
    workers = ["--set", "topology.islands=[[0, 1], [2]]"]  # all ranks wait, also of the first
    with Burning(tmp_path / "sys"):
        process = start(3, "train", config, *workers, *dear, *settings(tmp_path / "sys"))
        wait_until(lambda: (tmp_path / "run/checkpoints/000000/MANIFEST.json").exists())
        time.sleep(2)
        process.send_signal(signal.SIGTERM)
        finish(process)
    paused = open_run(tmp_path / "run")
    rows = paused.table("energy")
    waited = (rows["scope"] == "phase") & (rows["name"] == "wait")
    for rank in (0, 1, 2):
        assert rows["duration_s"][waited & (rows["rank"] == rank)].sum() > 2.0
    assert len(paused.table("round")["steps"]) == 0 or paused.table("round")["steps"].sum() == 0
    assert list(paused.table("event")["kind"]).count("pause") == 2
    run(3, "train", config, *workers, "--resume")
    assert open_run(tmp_path / "run").table("round")["steps"].sum() >= 240


SEARCH = """
run_dir = "{folder}/run"
[search]
objective = "tests.programs.objectives:{objective}"
[search.space]
x = {{ low = 0.0, high = 1.0 }}
"""


def test_candidates_of_a_search_have_their_energy_and_a_budget(tmp_path: Path) -> None:
    config = tmp_path / "search.toml"
    config.write_text(SEARCH.format(folder=tmp_path, objective="steady"))
    tree = tmp_path / "sys"
    extra = ["--set", "search.ranks_per_worker=2", "--set", "search.objectives=2"]
    extra += ["--set", "search.energy_objective=true", "--set", "progress.show=none"]
    with Burning(tree):
        run(4, "search", config, *extra, *settings(tree, budget_kwh=4 * WH / 1000))
    opened = open_run(tmp_path / "run")
    rows, candidates = opened.table("energy"), opened.table("candidate")
    assert_shares_are_the_hosts(rows)
    assert 2 * WATTS < joules(rows, scope="host") < 6 * WATTS
    booked = rows["scope"] == "candidate"
    assert set(candidates["number"]) <= set(rows["number"][booked])
    assert joules(rows, scope="candidate") <= joules(rows, scope="phase", name="evaluate") + 0.1
    told_j = candidates["loss_1"][candidates["outcome"] == "done"].sum()
    assert told_j == pytest.approx(joules(rows, scope="candidate"), rel=0.5)  # carried on at 10 Hz


def test_whatever_is_killed_has_told_all_but_the_last_ten_seconds(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, steps=10**6)
    tree, run_dir = tmp_path / "sys", tmp_path / "run"
    with Burning(tree):
        process = start(2, "train", config, *settings(tree))
        wait_until(lambda: (run_dir / "run.json").exists())
        began_s = time.time_ns() / 1e9
        time.sleep(13)
        for pid in pids_of(str(run_dir.parent)):
            os.kill(pid, signal.SIGKILL)
        killed_s = time.time_ns() / 1e9
        finish(process, code=None)
    opened = open_run(run_dir)
    rows, samples = opened.table("energy"), opened.table("energy_sample")
    assert killed_s - samples["utc_s"].max() < 10.0
    assert samples["joules"].sum() > WATTS * (killed_s - began_s - 13)
    assert {0, 1} == set(rows["rank"][rows["scope"] == "phase"])
    for board in Path("/dev/shm").glob(f"*{opened.identity['run_id']}*"):
        board.unlink()


def pids_of(word: str) -> Iterator[int]:
    """Processes of this user that have `word` on their command line and are ranks."""
    found = subprocess.run(["pgrep", "-f", word], capture_output=True, text=True, check=False)
    for pid in map(int, found.stdout.split()):
        line = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if b"train" in line and b"launch" not in line and not line[0].endswith(b"mpirun"):
            yield pid


def can_unshare() -> bool:
    if shutil.which("unshare") is None:
        return False
    command = [OWN_HOST, "probe", "1", "/", "/mnt", "true"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not can_unshare(), reason="needs root, and namespaces of time and names")
def test_two_hosts_with_clocks_of_their_own_are_not_mixed_up(tmp_path: Path) -> None:
    """Two ranks on hosts whose monotonic clocks are a day apart, and whose powers differ."""
    config = tiny_config(tmp_path, steps=10**6)
    powers = {"near": 200.0, "far": 70.0}
    point = tmp_path / "sys"
    point.mkdir()
    script = tmp_path / "rank.sh"
    script.write_text(
        "#!/bin/sh\n"
        'if [ "${OMPI_COMM_WORLD_RANK:-$PMI_RANK}" = 0 ]; then set -- near 0 "$@"; '
        'else set -- far 86400 "$@"; fi\n'
        f'name=$1; offset=$2; shift 2; exec {OWN_HOST} "$name" "$offset" {tmp_path}/"$name" '
        f'{point} "$@"\n'
    )
    script.chmod(0o755)
    mpirun = find_mpirun(query_mpi(os.environ), os.environ)
    command = [mpirun.path, "-n", "2", script, sys.executable, "-m", "hpctrain", "train", config]
    command += [*settings(point, budget_kwh=6 * 270 / 3.6e6), "--set", "topology.islands='host'"]
    with ExitStack() as stack:
        for name, watts in powers.items():
            stack.enter_context(Burning(tmp_path / name, watts))
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False,
            env=rank_environment(mpirun, 2, {**os.environ, "OMP_NUM_THREADS": "1"}),
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = open_run(tmp_path / "run").table("energy")
    assert_shares_are_the_hosts(rows)
    hosts = rows["scope"] == "host"
    for name, watts in powers.items():
        seconds = rows["duration_s"][hosts & (rows["host"] == name)].sum()
        assert joules(rows, scope="host", host=name) == pytest.approx(watts * seconds, rel=0.02)
    begins = {name: rows["utc_s"][hosts & (rows["host"] == name)].max() for name in powers}
    assert abs(begins["near"] - begins["far"]) < 5.0  # the same moment, whatever their clocks say
    assert 4 * 270 < joules(rows, scope="host") < 9 * 270
