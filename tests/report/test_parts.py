import numpy as np

from hpctrain.report.parts import redone_work, standing, stands
from hpctrain.report.records import read_records
from hpctrain.storage.read import open_run


def rounds(numbers, workers=None):
    count = len(numbers)
    return {
        "worker": np.array(workers or [0] * count),
        "round": np.array(numbers),
        "steps": np.full(count, 10),
        "tokens": np.full(count, 100),
    }


def test_all_rows_of_a_run_in_one_part_stand():
    assert stands("round", rounds([0, 1, 2, 3])).all()


def test_rounds_after_the_checkpoint_fall_when_they_are_done_again():
    assert stands("round", rounds([0, 1, 2, 3, 2, 3, 4])).tolist() == [1, 1, 0, 0, 1, 1, 1]


def test_rounds_fall_although_the_new_part_has_not_come_as_far_yet():
    assert stands("round", rounds([0, 1, 2, 3, 4, 2])).tolist() == [1, 1, 0, 0, 0, 1]


def test_a_second_resume_may_go_back_behind_the_first():
    mask = stands("round", rounds([0, 1, 2, 2, 3, 1, 2]))
    assert mask.tolist() == [1, 0, 0, 0, 0, 1, 1]


def test_workers_are_resumed_each_from_a_round_of_its_own():
    table = rounds([0, 0, 1, 1, 1, 2], workers=[0, 1, 0, 1, 0, 1])
    assert stands("round", table).tolist() == [1, 1, 0, 1, 1, 1]


def test_redone_work_is_what_fell():
    redone = redone_work(rounds([0, 1, 2, 3, 2, 3, 4]))
    assert (redone.rounds, redone.steps, redone.tokens) == (2, 20, 200)


def test_a_refused_push_undoes_nothing_and_is_undone_with_its_version():
    table = {
        "worker": np.zeros(6, int),
        "fragment": np.zeros(6, int),
        #                    applied, applied, refused, applied | resumed at 1
        "version": np.array([1, 2, 2, 3, 2, 3]),
        "refused": np.array([0, 0, 1, 0, 0, 0]),
    }
    assert stands("outer_update", table).tolist() == [1, 0, 0, 0, 1, 1]
    first_part = {name: values[:4] for name, values in table.items()}
    assert stands("outer_update", first_part).all()


def test_reports_of_the_same_step_all_stand():
    table = {
        "worker": np.zeros(4, int),
        "name": np.array(["a", "a", "b", "a"], dtype=object),
        "step": np.array([5, 5, 5, 6]),
    }
    assert stands("report", table).all()


def test_kinds_without_a_counter_are_left_as_they_are():
    table = {"kind": np.array(["warning", "warning"], dtype=object)}
    assert standing("event", table) is table


def test_a_resumed_run_counts_every_round_once(small_run):
    run = small_run()
    for worker in (0, 1):
        run.part(worker, [(0, 1.0), (1, 2.0), (2, 3.0), (3, 4.0)], end="")
        # The checkpoint was taken at 2.5 s: round 2 was half done.
        run.part(worker, [(2, 3.2), (3, 4.1), (4, 5.0)], resume=True)
    records = read_records(open_run(run.run_dir))
    assert records.rounds["steps"].sum() == 2 * 5 * 10
    assert records.rounds["time_s"].tolist() == [1.0, 2.0, 3.2, 4.1, 5.0] * 2
    assert records.updates["version"].tolist() == [1, 2, 3, 4, 5] * 2
    assert len(records.evaluations["loss"]) == 2 * 5
    assert records.redone.rounds == 2 * 2
    assert records.elapsed_s == 5.0
