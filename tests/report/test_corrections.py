import numpy as np

from hpctrain.report.correction_map import MOST_TENSORS, read_correction_map
from hpctrain.report.parts import standing
from hpctrain.report.plot import plot_training
from hpctrain.storage.read import open_run


def correction(version, tensor, amount=0.0, cosine=0.5, **other):
    return ("correction", {
        "time_s": float(version), "fragment": 0, "version": version, "tensor": tensor,
        "amount": amount, "cosine": cosine, "verdict": "kept", **other,
    })  # fmt: skip


def map_of(run, *rows):
    run.part(0, [], end="", before=rows)
    return read_correction_map(standing("correction", open_run(run.run_dir).table("correction")))


def test_amounts_and_cosines_are_means_by_tensor_and_time(small_run):
    amounts = (0.0, 0.3, 0.6, 0.1, 0.1, 0.1)
    rows = [correction(n + 1, "w", amount, 2 * amount) for n, amount in enumerate(amounts)]
    found = map_of(small_run(), *rows)
    assert found.tensors == ("w",)
    assert found.edges_s.tolist() == [0.0, 3.0, 6.0]
    np.testing.assert_allclose(found.amount, [[0.3, 0.1]])
    np.testing.assert_allclose(found.cosine, [[0.6, 0.2]])
    assert found.left_out == 0


def test_what_is_not_known_is_blank_and_not_zero(small_run):
    rows = [correction(n, "w", 0.5, float("nan")) for n in (1, 2, 3, 11, 12, 13, 14, 15, 16)]
    found = map_of(small_run(), *rows)
    assert np.isnan(found.amount).tolist() == [[False, True, False]]
    assert np.isnan(found.cosine).all()


def test_tensors_stand_in_the_order_of_their_numbers(small_run):
    rows = [correction(1, f"blocks.{n}.weight") for n in (10, 2, 1)]
    assert map_of(small_run(), *rows).tensors == (
        "blocks.1.weight", "blocks.2.weight", "blocks.10.weight",
    )  # fmt: skip


def test_a_fragment_that_was_corrected_as_a_whole_has_a_name(small_run):
    assert map_of(small_run(), correction(1, "")).tensors == ("fragment 0",)


def test_of_many_tensors_those_that_were_changed_most_are_kept(small_run):
    rows = [correction(1, f"t{n}", n / 100) for n in range(MOST_TENSORS + 5)]
    found = map_of(small_run(), *rows)
    assert found.left_out == 5
    assert found.tensors == tuple(f"t{n}" for n in range(5, MOST_TENSORS + 5))


def test_corrections_that_were_done_again_count_once(small_run):
    redone = [correction(1, "w", 0.2), correction(2, "w", 0.9), correction(2, "w", 0.4)]
    np.testing.assert_allclose(map_of(small_run(), *redone).amount, [[0.3]])


def test_only_a_run_with_corrections_has_a_picture_of_them(small_run):
    run = small_run()
    rows = [correction(n, f"{name}$x$", 1.2) for n in range(9) for name in "ab"]
    run.part(0, [(0, 1.0)], before=rows)
    paths = plot_training(open_run(run.run_dir), "svg")
    assert [path.name for path in paths] == ["show.svg", "show-corrections.svg"]
    first = paths[1].read_text()
    assert plot_training(open_run(run.run_dir), "svg")[1].read_text() == first


def test_a_run_without_corrections_has_no_map(small_run):
    assert map_of(small_run()) is None
