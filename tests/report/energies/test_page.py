"""The page: one file that needs nothing else, and shows all there is."""

import re
from html.parser import HTMLParser

import pytest

from hpctrain.report.energies.page import render_energies

HOSTILE = "<script>alert(1)</script>&\"'"


class Reader(HTMLParser):
    """Collects tags, and the texts outside of styles."""

    def __init__(self):
        super().__init__()
        self.tags, self.attributes, self.texts = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())


@pytest.fixture
def page():
    def read(*runs, top=10):
        reader = Reader()
        reader.html = render_energies(runs, top)
        reader.feed(reader.html)
        return reader

    return read


def test_it_has_no_scripts_and_asks_the_network_for_nothing(booked_run, page):
    seen = page(booked_run.read(tariff=0.3, carbon=400.0))
    assert "script" not in seen.tags
    assert not [name for name, _ in seen.attributes if name in ("src", "onload", "onclick")]
    links = [value for name, value in seen.attributes if name in ("href", "xlink:href")]
    assert all(link.startswith("#") for link in links)
    assert "default-src 'none'" in seen.html
    assert not re.search(r"url\((?!#)", seen.html)


def test_it_shows_the_summary_and_every_section(booked_run, page):
    booked_run.settings["budget_kwh"] = 1.0
    text = page(booked_run.read(tariff=0.36, pue=1.5)).text
    for heading in (
        "Energy of booked", "Power over time", "Budget", "By component and host", "By phase",
        "By rank", "Per inner step and token", "Regions", "Method and limits", "Provenance",
    ):  # fmt: skip
        assert heading in text
    assert "IT energy 1.67 Wh" in text
    assert "facility energy 2.5 Wh PUE 1.5" in text
    assert "cost 0.0009 EUR" in text


@pytest.mark.parametrize("search", [False, True])
def test_hostile_names_are_only_text(energy_run, page, search):
    run = energy_run(name=HOSTILE, hosts=(HOSTILE,), search=search)
    run.sample(HOSTILE, f"rapl:{HOSTILE}", "package", 100)
    run.book("phase", host=HOSTILE, name=HOSTILE, package_j=50)
    run.book("region", host=HOSTILE, name=HOSTILE, package_j=50)
    run.book("candidate", host=HOSTILE, number=0, last=0, package_j=50)
    run.candidate(0, "done", 1.0, made_by=HOSTILE)
    run.add("event", kind="energy", text=HOSTILE)
    seen = page(run.read())
    assert "script" not in seen.tags
    assert seen.text.count("alert(1)") >= 5
    assert "<script" not in seen.html


def test_figures_have_texts_and_names_of_their_own(booked_run, energy_run, page):
    other = energy_run(name="other")
    other.sample("hill", "rapl:0", "package", 100)
    seen = page(booked_run.read(), other.read())
    ids = [value for name, value in seen.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert seen.tags.count("figure") == 2
    assert [value for name, value in seen.attributes if name == "aria-label"]


def test_a_gap_in_the_readings_is_a_gap_in_the_line(energy_run, page):
    def lines(*ends_s):
        run = energy_run()
        for end_s in ends_s:
            run.sample("hill", "rapl:0", "package", 1000, end_s)
        html = page(run.read()).html
        style = 'style="fill: none; stroke: #0072b2; stroke-width: 1.2'
        paths = re.findall(r'<path d="([^"]*)" clip-path="[^"]*" ' + re.escape(style), html)
        return sum(path.count("M ") for path in paths)

    assert lines(10.0, 20.0, 30.0) == 1
    assert lines(10.0, 30.0) == 2


def test_a_run_without_readings_says_why_and_shows_no_zero(energy_run, page):
    run = energy_run()
    run.add("event", kind="energy", text="rapl: permission denied")
    seen = page(run.read())
    assert "no readings" in seen.text
    assert "rapl: permission denied" in seen.text
    assert "figure" not in seen.tags
    assert not re.search(r"\b0(\.0*)? (J|Wh|kWh|W|EUR)\b", seen.text)


def test_the_same_run_gives_the_same_page(booked_run):
    run = booked_run.read(tariff=0.3)
    assert render_energies([run], 10) == render_energies([run], 10)


def test_several_runs_begin_with_their_comparison(booked_run, energy_run, page):
    text = page(booked_run.read(), energy_run(name="none").read()).text
    assert text.index("Comparison") < text.index("By phase")
    assert "Energy of 2 runs" in text


def test_a_large_search_keeps_its_tables_short(energy_run, page):
    run = energy_run(search=True)
    run.sample("hill", "rapl:0", "package", 50_000)
    for number in range(2000):
        run.candidate(number, "done", 1.0 + 1.0 / (number + 1))
        run.book("candidate", number=number, last=number, package_j=20 + number % 7)
    seen = page(run.read())
    assert seen.tags.count("tr") < 80
    assert len(seen.html) < 1_000_000


def test_pages_of_runs_without_wall_time_count_from_the_first_reading(energy_run, page):
    run = energy_run()
    run.sample("hill", "rapl:0", "package", 100, utc_s=float("nan"))
    assert "placed by the time since the run's start" in page(run.read()).text
