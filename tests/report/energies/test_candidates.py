"""Energy of a search by candidate: waste, front, and what better losses cost."""

import pytest


@pytest.fixture
def search(energy_run):
    """Five candidates on two workers, 1,000 J together."""
    run = energy_run(search=True, name="tune")
    run.sample("hill", "rapl:0", "package", 1200)
    for number, outcome, loss, joules, rank in (
        (0, "done", 3.0, 100, 0),
        (1, "done", 2.0, 400, 1),
        (2, "failed", None, 200, 0),
        (3, "stopped", None, 100, 1),
        (4, "done", 2.5, 200, 0),
    ):
        run.candidate(number, outcome, loss, rank=rank)
        run.book("candidate", rank=rank, number=number, last=number, package_j=joules)
    return run


def test_waste_is_what_failed_stopped_or_was_cancelled(search, told):
    candidates = search.read().candidates
    assert candidates.total.joules == 1000
    assert candidates.wasted.joules == 300
    assert "waste             300 J, 30.0 % (failed, stopped or cancelled)" in told(search.read())


def test_the_front_is_of_those_that_no_other_beats_in_both(search):
    search.candidate(5, "done", 4.0)
    search.book("candidate", number=5, last=5, package_j=150)
    assert [one.number for one in search.read().candidates.front()] == [0, 4, 1]


def test_joules_per_improvement_count_all_candidates(search):
    candidates = search.read().candidates
    assert [one.number for one in candidates.improvements()] == [0, 1]
    assert candidates.joules_per_improvement == 1000


def test_a_search_that_never_improved_says_so(energy_run, told):
    run = energy_run(search=True)
    run.sample("hill", "rapl:0", "package", 100)
    run.candidate(0, "done", 1.0)
    run.book("candidate", number=0, last=0, package_j=100)
    assert "per improvement   not known" in told(run.read())


def test_rows_of_one_candidate_are_summed_over_ranks_and_time(search):
    search.book("candidate", rank=1, number=4, last=4, count=0, end_s=20.0, package_j=50)
    by_number = {one.number: one for one in search.read().candidates.all}
    assert by_number[4].amount.joules == 250
    assert by_number[4].outcome == "done"


def test_short_candidates_share_a_row_by_their_time(search, told):
    for number, took_s in ((10, 0.001), (12, 0.003)):
        search.candidate(number, "done", 5.0, took_s=took_s)
    search.candidate(11, "done", 5.0, took_s=0.001, rank=1)  # of another worker
    search.book("candidate", name="short", number=10, last=12, count=2, package_j=8)
    by_number = {one.number: one for one in search.read().candidates.all}
    assert by_number[10].amount.joules == pytest.approx(2)
    assert by_number[12].amount.joules == pytest.approx(6)
    assert by_number[12].split
    assert 11 not in by_number
    assert "Energy of short candidates is booked for several at a time" in told(search.read())


def test_a_candidate_with_a_row_of_its_own_has_no_part_in_a_shared_one(search):
    search.candidate(6, "done", 5.0, took_s=0.001)
    search.book("candidate", name="short", number=2, last=6, count=2, package_j=8)
    by_number = {one.number: one for one in search.read().candidates.all}
    assert by_number[4].amount.joules == 200
    assert by_number[6].amount.joules == 8


def test_a_candidate_without_an_outcome_is_unfinished_and_no_waste(search):
    search.book("candidate", number=7, last=7, package_j=40)
    candidates = search.read(end="").candidates
    assert candidates.by_outcome()["unfinished"][1].joules == 40
    assert candidates.wasted.joules == 300


def test_the_most_expensive_come_first(search, told):
    text = told(search.read(), top=2)
    lines = text.split("The most expensive\n")[1].splitlines()
    assert [line.split()[0] for line in lines[1:3]] == ["1", "2"]
    assert lines[3] == ""


def test_the_best_loss_is_that_of_the_search_even_without_energy(energy_run):
    run = energy_run(search=True)
    run.candidate(0, "done", 1.5)
    seen = run.read()
    assert (seen.quality.loss, seen.quality.name) == (1.5, "best loss")
    assert not seen.is_known
