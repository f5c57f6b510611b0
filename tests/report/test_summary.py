from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from hpctrain.report.console import make_console, seen_by
from hpctrain.report.summary import IslandSummary, RunSummary, print_summary

GOLDEN = Path(__file__).with_name("golden")


def island(worker, name, pace=1.0):
    return IslandSummary(worker, name, 1, pace, 18, 450, 230_400, 26.1, 0.29, 11_232_437)


def summary(*workers, losses=None):
    return RunSummary("demo", "heloco", 136_960, 26.1, workers, losses or {}, Path("runs/demo"))


def printed(what):
    out = StringIO()
    print_summary(what, console=Console(file=out, width=80, highlight=False))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def test_the_last_words_of_a_run_are_as_they_were():
    text = printed(
        summary(
            island(0, "network"), island(1, "processes", 6.0),
            losses={"network": 2.3199, "processes": 2.2956},
        )
    )  # fmt: skip
    assert text == (GOLDEN / "summary.txt").read_text()


def test_workers_of_an_island_are_summed_up():
    text = printed(summary(island(0, "one"), island(1, "one"), island(2, "two")))
    assert "one           36    900     34.5  460,800     1.1%  22.5 MB" in text


def test_names_are_no_markup():
    assert "[red]" in printed(summary(island(0, "[red]")))


@pytest.mark.parametrize(
    ("terminal", "launched", "answer"),
    [(None, True, False), (None, False, None), (True, True, True), (False, False, False)],
)
def test_launched_ranks_believe_the_launcher_about_terminals(terminal, launched, answer):
    assert seen_by(terminal, launched) is answer


def test_nothing_but_text_goes_where_there_is_no_terminal(capsys):
    make_console(False).print("[bold]loud[/bold]")
    make_console(True).print("[bold]loud[/bold]")
    plain, styled = capsys.readouterr().out.splitlines()
    assert plain == "loud"
    assert styled.startswith("\x1b[1m")
