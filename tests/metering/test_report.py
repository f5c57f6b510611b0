"""The report on runs with few rows: how samples become hosts, and what is not known."""

import json
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from hpctrain.metering.terms import read_terms
from hpctrain.report.energies.plain import energy_json
from hpctrain.report.energies.run import read_run_energy
from hpctrain.report.energies.terminal import print_energies
from hpctrain.report.state import LifeSign
from hpctrain.storage.provenance import identity
from hpctrain.storage.read import open_run
from hpctrain.storage.store import RunStore


def sample(host: str, device: str, component: str, joules: float | None, **more):
    row = {
        "time_s": 10.0, "worker": 0, "host": host, "device": device, "component": component,
        "duration_s": 10.0, "coverage": 1.0, "quality": "measured",
    }  # fmt: skip
    if joules is not None:
        row |= {"joules": joules, "low_j": joules, "high_j": joules}
    return row | more


@pytest.fixture
def run_of(tmp_path: Path):
    def make(*rows, reason=""):
        who = identity("", {}, None) | {"host": ""}
        with RunStore.open_for_writing(tmp_path / "run", 0, {"worker": 0}, identity=who) as store:
            for row in rows:
                store.note("energy_sample", row)
            if reason:
                store.note("event", {"worker": 0, "kind": "energy", "text": reason})
        gone = LifeSign(writing=False, here=True, silent_s=1.0)
        run = read_run_energy(open_run(tmp_path / "run"), gone, lambda _: read_terms())
        return run, {host.host: host for host in run.hosts}

    return make


def printed(run) -> str:
    console = Console(file=StringIO(), width=100)
    print_energies([run], 10, console)
    return console.file.getvalue()


def told(run):
    return json.loads(energy_json([run]))["runs"][0]


def test_hosts_and_components_are_summed_and_parts_of_a_node_are_not_added(run_of):
    run, hosts = run_of(
        sample("a", "pm:energy", "node", 5000),
        sample("a", "pm:energy", "node", 4000, time_s=20.0),
        sample("a", "rapl:0", "package", 2000),
        sample("b", "rapl:0", "package", 600),
        sample("b", "rapl:1", "package", 400),
    )
    a, b = hosts["a"], hosts["b"]
    assert (a.amount.joules, b.amount.joules) == (9000, 1000)
    assert [(p.component, p.amount.joules, p.counted) for p in a.components] == [
        ("package", 2000, False),
        ("node", 9000, True),
    ]
    assert b.components[0].devices == ("rapl:0", "rapl:1")
    assert a.amount.watts == 450  # 9000 J in 20 s
    assert b.amount.watts == 100  # 1000 J in 10 s by two devices together
    assert "2.78 Wh" in printed(run)
    assert "(2,000)" in printed(run)
    assert told(run)["joules"] == 10_000


def test_what_is_partly_known_or_estimated_is_said_to_be_so(run_of):
    run, hosts = run_of(
        sample("a", "gpu:0", "gpu", 100, coverage=0.5),
        sample("b", "model:x", "node", 100, quality="estimate", low_j=70.0, high_j=130.0),
    )
    a, b = hosts["a"].amount, hosts["b"].amount
    assert (a.quality, a.coverage) == ("partial", 0.5)
    assert (b.quality, b.low_j, b.high_j) == ("estimate", 70, 130)
    assert told(run)["quality"] == "estimate"
    assert (told(run)["low_j"], told(run)["high_j"]) == (170, 230)
    assert "~200 J (estimate, 170 to 230 J)" in printed(run)


def test_missing_energy_is_not_zero(run_of):
    run, hosts = run_of(sample("a", "rapl:0", "package", None, coverage=0.0), reason="no counters")
    assert hosts["a"].amount.quality == "none"
    lines = [line.split() for line in printed(run).splitlines()]
    assert lines[0] == ["run:", "no", "energy", "readings"]
    assert ["why", "no", "counters"] in lines
    assert told(run)["joules"] is None
    assert told(run)["watts"] is None


def test_a_run_without_rows_has_no_readings(run_of):
    run, hosts = run_of()
    assert all(host.amount.joules is None for host in hosts.values())
    assert "no energy readings" in printed(run)
