import json
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from hpctrain.report.energy import energy_json, print_energy, read_energy
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
    def make(*rows):
        who = identity("", {}, None)
        with RunStore.open_for_writing(tmp_path / "run", 0, {"worker": 0}, identity=who) as store:
            for row in rows:
                store.note("energy_sample", row)
        return open_run(tmp_path / "run")

    return make


def printed(run, *reasons: str) -> str:
    console = Console(file=StringIO(), width=100)
    print_energy("run", read_energy(run), reasons, console)
    return console.file.getvalue()


def test_hosts_and_components_are_summed_and_parts_of_a_node_are_not_added(run_of):
    run = run_of(
        sample("a", "pm:energy", "node", 5000),
        sample("a", "pm:energy", "node", 4000),
        sample("a", "rapl:0", "package", 2000),
        sample("b", "rapl:0", "package", 600),
        sample("b", "rapl:1", "package", 400),
    )
    a, b = read_energy(run)
    assert (a.total.joules, b.total.joules) == (9000, 1000)
    assert [(p.component, p.joules, p.counted) for p in a.components] == [
        ("package", 2000, False),
        ("node", 9000, True),
    ]
    assert b.components[0].devices == 2
    text = printed(run)
    assert "run: 2.78 Wh, measured" in text
    assert "(2000 J)" in text
    assert "450 W" in text  # 9000 J in 20 s
    assert "100 W" in text  # 1000 J in 10 s by two devices together
    assert json.loads(energy_json(run, (a, b)))["joules"] == 10_000


def test_what_is_partly_known_or_estimated_is_said_to_be_so(run_of):
    run = run_of(
        sample("a", "gpu:0", "gpu", 100, coverage=0.5),
        sample("b", "model:x", "node", 100, quality="estimate", low_j=70.0, high_j=130.0),
    )
    a, b = read_energy(run)
    assert (a.total.quality, a.total.coverage) == ("partial", 0.5)
    assert (b.total.quality, b.total.low_j, b.total.high_j) == ("estimate", 70, 130)
    told = json.loads(energy_json(run, (a, b)))
    assert told["quality"] == "estimate"
    assert (told["low_j"], told["high_j"]) == (170, 230)


def test_missing_energy_is_not_zero(run_of):
    run = run_of(sample("a", "rapl:0", "package", None, coverage=0.0))
    (a,) = read_energy(run)
    assert a.total.quality == "none"
    assert printed(run, "no counters").splitlines() == ["run: no energy readings", "no counters"]
    assert json.loads(energy_json(run, (a,)))["joules"] is None


def test_a_run_without_rows_has_no_readings(run_of):
    run = run_of()
    assert read_energy(run) == ()
    assert "no energy readings" in printed(run)
