import re
import struct

import matplotlib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from hpctrain.compose.show import show
from hpctrain.report.plot import plot_search
from hpctrain.report.searches.plots.axes import by_rank, scale_losses, ticks, usable_rows
from hpctrain.report.searches.plots.figures import SEARCH_RC, drawing_bytes, drawings
from hpctrain.report.searches.plots.history import best_so_far
from hpctrain.report.searches.plots.workers import busy_between
from hpctrain.report.searches.space import read_parameters

SECONDS = st.integers(0, 40).map(float)


def png_size(path):
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG")
    return struct.unpack(">II", data[16:24])


def names(records):
    return [drawing.name for drawing in drawings(records)]


def test_every_message_has_its_picture(everything):
    paths = plot_search(everything.write(), "png")
    assert [path.name for path in paths] == [
        f"show-{name}.png" for name in ("history", "slices", "parallel", "curves", "workers")
    ]
    assert all(png_size(path)[0] == 1170 for path in paths)


def test_the_same_search_gives_the_same_files(everything):
    records = everything.read()
    for drawing in drawings(records):
        for suffix in (".svg", ".png"):
            assert drawing_bytes(drawing, suffix) == drawing_bytes(drawing, suffix)


def test_two_objectives_have_a_front_and_no_curves_without_values(sampled):
    records = sampled(lambda x: [x[0], 1 - x[0]], 2, 20, objectives=2).read()
    assert names(records) == ["history", "front", "slices", "parallel", "workers"]


def test_three_objectives_are_drawn_in_pairs(sampled):
    records = sampled(lambda x: [x[0], 1 - x[0], x[1]], 2, 20, objectives=3).read()
    front = next(drawing for drawing in drawings(records) if drawing.name == "front")
    with matplotlib.rc_context(SEARCH_RC):
        figure = front.make()
    assert [(p.get_xlabel(), p.get_ylabel()) for p in figure.axes] == [
        ("loss", "loss_1"), ("loss", "loss_2"), ("loss_1", "loss_2"),
    ]  # fmt: skip


def test_without_a_usable_loss_there_is_nothing_to_draw(small_search, capsys):
    search = small_search(space={"x": {"low": 0.0, "high": 1.0}})
    search.add({"x": 0.5}, outcome="failed", reason="no")
    search.write()
    assert show(search.run_dir, plot=True, fmt="png") == 0
    assert "there is nothing to draw" in capsys.readouterr().out


def test_one_evaluation_can_be_drawn(small_search):
    search = small_search()
    search.add({"rate": 0.5, "kind": "sgd", "momentum": 0.1, "depth": 1}, 0.0)
    assert len(plot_search(search.write(), "svg")) == 4


def test_strange_names_and_texts_are_drawn_as_they_are(small_search):
    space = {
        "$x_$": {"low": 1e-9, "high": 1e9, "log": True},
        "<script>.a-very-long-name\nwith two lines": {"low": 0, "high": 1},
        "method.heloco.outer_momentum": {"options": ["$\\frac", "", "%s", "&amp;" * 20]},
    }
    search = small_search(space=space)
    for n in range(8):
        values = (10.0 ** (n - 4), n % 2, space["method.heloco.outer_momentum"]["options"][n % 4])
        search.add(dict(zip(space, values, strict=True)), 10.0**-n)
    for drawing in drawings(search.read()):
        svg = drawing_bytes(drawing, ".svg").decode()
        assert "<script" not in svg
        assert svg.count("<svg") == 1


def test_of_very_many_evaluations_some_are_drawn_and_the_picture_says_so(sampled):
    search = sampled(lambda x: x[0], 2, 3000)
    records = search.read()
    rows, said = usable_rows(records)
    assert re.fullmatch(
        r"1,\d{3} of 3,000 evaluations are drawn: the better, the more of them", said
    )
    losses = records.losses[rows, 0]
    assert losses[-1] == records.losses.min()  # on top of all others
    assert losses[0] == records.losses.max()
    history = drawings(records)[0].make()
    assert said in [text.get_text() for text in history.findobj(matplotlib.text.Text)]


def test_twenty_parameters_and_forty_workers_are_drawn(sampled):
    records = sampled(lambda x: x[0], 20, 60, workers=40).read()
    heights = {
        drawing.name: struct.unpack(">II", drawing_bytes(drawing, ".png")[16:24])[1]
        for drawing in drawings(records)
        if drawing.name in ("slices", "parallel", "workers")
    }
    assert heights["slices"] < 1500
    assert max(heights["parallel"], heights["workers"]) < 600


@pytest.mark.parametrize(
    ("losses", "scale", "said"),
    [
        ([1.0, 2.0, 3.0], "linear", ""),
        ([0.001, 1.0, 2.0], "log", ""),
        ([0.0, *[1.0] * 18, 1e9], "linear", "1 with a loss above 2 not shown"),
        ([-5.0, -5.0], "linear", ""),
    ],
)
def test_an_axis_of_losses_is_logarithmic_or_ends_where_few_are(losses, scale, said):
    panel = Figure().subplots()
    assert scale_losses(panel.yaxis, np.array(losses)) == said
    assert panel.get_yscale() == scale


def test_ticks_are_at_values_to_read():
    space = read_parameters({
        "a": {"low": 1e-4, "high": 1.0, "log": True}, "b": {"low": 2.0, "high": 30.0, "log": True},
        "c": {"low": 0, "high": 3}, "d": {"options": ["x", None, ""]}, "e": {"options": [1]},
    })  # fmt: skip
    assert ticks(space["a"])[1] == ["0.0001", "0.001", "0.01", "0.1", "1"]
    assert ticks(space["a"])[0] == pytest.approx([0, 0.25, 0.5, 0.75, 1])
    assert ticks(space["b"])[1] == ["2", "5", "10", "20"]
    assert ticks(space["c"])[1] == ["0", "1", "2", "3"]
    assert ticks(space["d"]) == ([0.0, 0.5, 1.0], ["x", "None", '""'])
    assert ticks(space["e"]) == ([0.5], ["1"])


def test_the_best_so_far_never_rises_and_begins_with_a_usable_loss():
    best = best_so_far(np.array([9.0, 3.0, 5.0, 1.0, 0.0]), np.array([0, 1, 1, 1, 0], bool))
    assert np.isnan(best[0])
    assert best[1:].tolist() == [3.0, 3.0, 1.0, 1.0]


def test_ranks_are_colours_from_best_to_worst():
    assert by_rank(np.array([5.0, 1.0, 9.0])).tolist() == [0.5, 0.0, 1.0]


@given(st.lists(st.tuples(SECONDS, SECONDS).map(sorted), max_size=20))
def test_busy_time_between_edges_is_what_the_intervals_cover(intervals):
    edges = np.array([0.0, 7.0, 19.0, 40.0])
    begin, end = np.array(intervals).reshape(-1, 2).T
    expected = [
        sum(max(0.0, min(b, edges[n + 1]) - max(a, edges[n])) for a, b in intervals)
        for n in range(3)
    ]
    assert busy_between(begin, end, edges).tolist() == pytest.approx(expected)
