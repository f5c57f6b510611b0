import struct
import sys
import zlib

import matplotlib
import numpy as np
import pytest

from hpctrain.errors import HpctrainError
from hpctrain.report.loss_panels import axis_unit
from hpctrain.report.losses import done_by
from hpctrain.report.plot import plot_run
from hpctrain.storage.read import open_run


@pytest.fixture
def drawn(small_run):
    """A run with two islands that has been written."""
    run = small_run()
    run.part(0, [(number, number + 1.0) for number in range(6)])
    run.part(1, [(number, 3.0 * number + 3.0) for number in range(2)])
    return open_run(run.run_dir)


def png_size(data):
    assert data.startswith(b"\x89PNG")
    return struct.unpack(">II", data[16:24])


def png_bytes(data):
    """The pixels of a PNG, filtered but not compressed."""
    place, packed = 8, b""
    while place < len(data):
        (length,) = struct.unpack(">I", data[place : place + 4])
        if data[place + 4 : place + 8] == b"IDAT":
            packed += data[place + 8 : place + 8 + length]
        place += length + 12
    return zlib.decompress(packed)


def test_a_picture_is_drawn_into_the_run(drawn):
    path = plot_run(drawn, "png")
    assert path == drawn.run_dir / "show.png"
    data = path.read_bytes()
    width, height = png_size(data)
    assert width == 1170
    assert 500 < height < 1000
    assert len(set(png_bytes(data))) > 100  # a blank one has a handful


def test_an_svg_is_drawn_on_demand_and_twice_the_same(drawn):
    path = plot_run(drawn, "svg")
    first = path.read_text()
    assert path.name == "show.svg"
    assert "<svg" in first[:1000]
    assert plot_run(drawn, "svg").read_text() == first


def test_of_very_many_islands_some_are_drawn_without_a_warning(small_run):
    run = small_run(islands=tuple(f"island-{n}" for n in range(30)), paces=())
    with run.store(0) as store:
        for worker in range(30):
            for number in range(3):
                run.round(store, worker, number, number + 1.0)
    width, height = png_size(plot_run(open_run(run.run_dir), "png").read_bytes())
    assert width > 1000
    assert height < 1300


@pytest.mark.parametrize("stale", [0, 3])
def test_groups_of_pushes_are_drawn_with_the_single_ones_beside_them(small_run, stale):
    run = small_run(method="galoco")
    row = {"time_s": 0.5, **run.update(-1, 0, fragment=7, staleness=stale, contributors=2)}
    run.part(0, [(0, 1.0)], before=[("outer_update", row)])
    text = plot_run(open_run(run.run_dir), "svg").read_text()
    assert "<!-- 1 group of 2 pushes -->" in text
    assert "<!-- 1 merged alone -->" in text


def test_groups_that_all_waited_for_are_said_and_not_drawn(small_run):
    run = small_run(method="diloco")
    row = {"time_s": 0.5, **run.update(-1, 0, fragment=7, contributors=2)}
    run.part(0, [], before=[("outer_update", row)])
    text = plot_run(open_run(run.run_dir), "svg").read_text()
    assert "<!-- 1 group of 2 pushes: nothing was stale -->" in text


def test_a_run_of_one_worker_without_evaluations_is_drawn_with_its_training_loss(small_run):
    run = small_run(islands=("alone",), paces=())
    run.part(0, [(0, 1.0), (1, 2.0)], held_out=False)
    assert plot_run(open_run(run.run_dir), "png").exists()


def test_without_matplotlib_it_is_said_how_to_install_it(drawn, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # makes its import fail
    with pytest.raises(HpctrainError, match=r"pip install 'hpctrain\[plot\]'"):
        plot_run(drawn, "png")


def test_drawing_leaves_the_settings_of_matplotlib_alone(small_run):
    run = small_run()
    run.part(0, [], end="")
    before, pyplot = dict(matplotlib.rcParams), "matplotlib.pyplot" in sys.modules
    plot_run(open_run(run.run_dir), "png")
    assert dict(matplotlib.rcParams) == before
    assert ("matplotlib.pyplot" in sys.modules) == pyplot


def test_what_was_done_by_a_time_grows_evenly_inside_a_round():
    rounds = {
        "worker": np.array([0, 0, 1]),
        "time_s": np.array([1.0, 2.0, 4.0]),
        "tokens": np.array([100, 50, 400]),
    }
    done = done_by(rounds, "tokens", np.array([0.0, 0.5, 1.5, 4.0, 9.0]))
    assert done.tolist() == [0.0, 100.0, 275.0, 550.0, 550.0]


@pytest.mark.parametrize(
    ("largest", "unit", "answer"),
    [
        (170.0, "s", (1.0, "seconds")),
        (200.0, "s", (60.0, "minutes")),
        (4e5, "s", (86400.0, "days")),
        (640_000.0, "", (1e3, "thousand tokens")),
        (500.0, "", (1.0, "tokens")),
        (2e6, "B", (1e6, "MB")),
    ],
)
def test_axes_have_units_that_leave_short_numbers(largest, unit, answer):
    assert axis_unit(largest, unit) == answer
