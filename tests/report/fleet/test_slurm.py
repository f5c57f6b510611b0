"""Our energies beside those of Slurm's accounting."""

import re

import pytest

from hpctrain.errors import MeteringError
from hpctrain.report.fleet.accounting import HOW, parse_export
from tests.report.fleet.conftest import HEAD

KWH = 3.6e6
JOB = {"id": "17", "account": "climate", "partition": "cpu"}


def row(job="17", joules="7200000", **more):
    fields = {"user": "ada", "account": "lm", "elapsed": "00:30:00", "nodes": "1"} | more
    return "|".join([
        job, fields["user"], fields["account"], "cpu", fields["elapsed"], fields["nodes"], joules,
        "COMPLETED",
    ])  # fmt: skip


@pytest.fixture
def compared(fleet, ask, sacct_file):
    """The section on Slurm, with single spaces, for an export of these rows."""

    def tell(*rows):
        text = ask(fleet.root, "--sacct", sacct_file(*rows)).partition("Compared with Slurm")[2]
        return re.sub(r"\s+", " ", text)

    return tell


def test_runs_are_joined_by_their_jobs(fleet, compared):
    fleet.add(1 * KWH, job=JOB)
    text = compared(row(), row("18", "1"), row("17.batch", "5"))
    assert re.search(r"run1 17 1 2 2 our sensors: package;", text)
    assert "allocated 30 min 00 s, ran 10.0 s" in text


def test_zero_and_no_value_of_slurm_are_not_measured(fleet, compared):
    fleet.add(1 * KWH, job=JOB)
    for nothing in ("0", "", str(2**32 - 2), str(2**64 - 2)):
        text = compared(row(joules=nothing))
        assert "not measured Slurm measured nothing" in text


def test_all_allocations_of_a_job_that_was_put_back_count(fleet, compared):
    fleet.add(1 * KWH, job=JOB)
    assert re.search(r"run1 17 1 4 4 ", compared(row(), row()))
    assert "Slurm measured 1 of 2 allocations" in compared(row(), row(joules="0"))


def test_parts_of_a_chain_and_of_arrays_are_all_joined(fleet, compared):
    run = fleet.add(1 * KWH, job=JOB)
    second = '{"job": {"id": "21", "array": "20", "task": "3"}}'
    run.add("event", 0, time_s=5.0, kind="resume", text=second)
    run.write()
    assert re.search(r"run1 17, 21 1 4 4 ", compared(row(), row("20_3")))
    assert "no row of job 21" in compared(row())


def test_runs_in_one_job_are_compared_together(fleet, compared):
    fleet.add(3 * KWH, job=JOB)
    fleet.add(1 * KWH, job=JOB)
    text = compared(row())
    assert re.search(r"run1 and 1 more 17 4 2 0\.5000 ", text)
    assert "2 runs in these jobs" in text


def test_runs_that_share_jobs_with_a_third_are_together(fleet, compared):
    fleet.add(1 * KWH, job=JOB)
    fleet.add(1 * KWH, job=JOB | {"id": "18"})
    third = fleet.add(1 * KWH, job=JOB)
    third.add("event", 0, time_s=5.0, kind="resume", text='{"job": {"id": "18"}}')
    third.write()
    assert "run1 and 2 more" in compared(row(), row("18"))


def test_what_slurm_says_of_users_and_accounts_goes_first(fleet, ask, sacct_file):
    fleet.add(1 * KWH, job=JOB)
    path = sacct_file(row())
    text = ask(fleet.root, "--sacct", path, "--by", "user", "--by", "project")
    assert re.search(r"^ada +1 ", text, re.MULTILINE)
    assert re.search(r"^lm +1 ", text, re.MULTILINE)
    assert "climate" not in text


def test_runs_outside_of_jobs_are_no_part_of_it(fleet, compared):
    fleet.add(1 * KWH)
    assert "None of the runs was in a batch job" in compared(row())


def test_sacct_is_asked_where_it_is(fleet, ask, tmp_path, monkeypatch):
    fleet.add(1 * KWH, job=JOB)
    answer = "17|COMPLETED|0:0|00:30:00|01:00:00|1|7200000|ada|lm|cpu"
    (tmp_path / "bin").mkdir()
    sacct = tmp_path / "bin" / "sacct"
    sacct.write_text(f"#!/bin/sh\necho '{answer}'\n")
    sacct.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    text = ask(fleet.root)
    assert re.search(r"run1 +17 +1 +2 +2 ", text)
    assert re.search(r"^ada +1 ", text, re.MULTILINE)


def test_without_accounting_there_is_nothing_to_compare(fleet, ask):
    fleet.add(1 * KWH, job=JOB)
    assert "Slurm" not in ask(fleet.root)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", r"is empty; make it by sacct -P -D -X"),
        ("JobID|State\n1|DONE\n", r"line 1: no column User, Account, Partition, Elapsed"),
        (f"{HEAD}\n{row()}|x\n", r"line 2: 9 columns, but its header has 8"),
        (f"{HEAD}\n{row()}\n{row(joules='7.2K')}\n",
         r"line 3, column 7 \(ConsumedEnergyRaw\): '7.2K' is no whole number of joules"),
        (f"{HEAD}\n{row(nodes='two')}\n", r"line 2, column 6 \(NNodes\): 'two'"),
        (f"{HEAD}\n{row(elapsed='1h')}\n", r"line 2, column 5 \(Elapsed\): '1h' is no time"),
        (f"{HEAD}\n{row(job='')}\n", r"line 2, column 1 \(JobID\): is empty"),
    ],
)  # fmt: skip
def test_a_bad_export_is_named_with_its_place(fleet, ask, tmp_path, text, error):
    path = tmp_path / "bad.txt"
    path.write_text(text)
    with pytest.raises(MeteringError, match=error):
        parse_export(text, path)
    fleet.add(1 * KWH)
    assert re.search(error, ask(fleet.root, "--sacct", path, code=2))


def test_times_of_days_are_read(tmp_path):
    assert "ConsumedEnergyRaw" in HOW
    (one,) = parse_export(f"{HEAD}\n{row(elapsed='2-03:04:05')}\n", tmp_path)
    assert one.elapsed_s == ((2 * 24 + 3) * 60 + 4) * 60 + 5
