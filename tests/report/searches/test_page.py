"""The page is parsed as a browser would, by the standard library's parser."""

import re
import sys
from html.parser import HTMLParser

import pytest

from hpctrain.compose.show import show
from hpctrain.errors import HpctrainError
from hpctrain.report.searches.page import inline_svg, render_page
from hpctrain.report.state import LifeSign

GONE = LifeSign(writing=False, here=True, silent_s=1.0)
HOSTILE = "</style></svg><script>alert(1)<b>&amp;\"'"
VOID = {"meta", "br", "img", "link", "input"}


class Page(HTMLParser):
    """Collects tags, attributes and text, and whether tags close in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.texts = [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self):
        return " ".join("".join(self.texts).split())


def page_of(run, top=10):
    return Page(render_page(run, GONE, top))


def test_the_page_says_what_happened(everything):
    page = page_of(everything.write())
    assert "small: a search over 4 parameters" in page.text
    assert "9: 3 done, 3 failed, 1 stopped early, 1 cancelled" in page.text
    assert "RuntimeError: inf at step #" in page.text
    assert "0.0001 to 1, logarithmic" in page.text
    assert "kind is sgd" in page.text
    assert page.tags.count("svg") == 5


def test_the_page_needs_nothing_from_elsewhere(everything):
    page = page_of(everything.write())
    assert "script" not in page.tags
    assert {"link", "img", "iframe", "object", "foreignobject"}.isdisjoint(page.tags)
    for name, value in page.attributes:
        assert not name.startswith("on")
        if name in ("src", "href", "xlink:href"):
            assert value.startswith("#")
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in page.attributes


def test_hostile_names_reasons_and_options_stay_text(small_search):
    name, option = HOSTILE.replace("/", "|"), HOSTILE
    search = small_search(space={
        name: {"low": 0.0, "high": 1.0}, "kind": {"options": [option, "b"]},
        "inner": {"low": 0, "high": 1, "when": {"kind": [option]}}, "fixed": {"value": option},
    })  # fmt: skip
    search.add({name: 0.5, "kind": option, "inner": 1, "fixed": option}, 1.0, made_by=HOSTILE)
    search.add({name: 0.6, "kind": "b", "fixed": option}, 2.0)
    search.add({name: 0.7, "kind": "b", "fixed": option}, outcome="failed", reason=HOSTILE)
    page = page_of(search.write())
    assert {"script", "b"}.isdisjoint(page.tags)
    assert page.tags.count("style") == 1 + page.tags.count("svg")  # one in each drawing
    assert page.text.count(HOSTILE) >= 5
    assert name in page.text


def test_names_inside_the_drawings_are_unique_and_all_references_lead_somewhere(everything):
    page = page_of(everything.write())
    names = [value for name, value in page.attributes if name == "id"]
    assert len(names) == len(set(names))
    references = {value[1:] for name, value in page.attributes if name.endswith("href")}
    for _, value in page.attributes:
        references |= set(re.findall(r"url\(#([^)]+)\)", value or ""))
    assert references
    assert references <= set(names)


def test_a_drawing_loses_its_size_its_comments_and_its_head():
    svg = '<?xml version="1"?><!DOCTYPE svg><svg width="9pt" height="2pt" viewBox="0 0 9 2">'
    body = '<!-- <script> --><metadata>x</metadata><g id="a"/><use xlink:href="#a"/></svg>\n'
    assert inline_svg(svg + body, "p") == (
        '<svg viewBox="0 0 9 2"><g id="p-a"/><use xlink:href="#p-a"/></svg>'
    )


def test_the_same_search_gives_the_same_page(everything):
    run = everything.write()
    assert render_page(run, GONE, 10) == render_page(run, GONE, 10)


def test_several_losses_have_effects_each_and_many_parameters_several_tables(sampled):
    page = page_of(sampled(lambda x: [x[0], x[1]], 12, 60, objectives=2).write(), top=3)
    assert "effect on loss_1" in page.text
    assert page.text.count("candidatelossloss_1") == 2


def test_without_a_usable_loss_the_page_still_says_why(small_search):
    search = small_search(space={"x": {"low": 0.0, "high": 1.0}})
    search.add({"x": 0.5}, outcome="failed", reason="out of memory")
    page = page_of(search.write())
    assert "No evaluation has given a usable loss" in page.text
    assert "out of memory" in page.text
    assert "svg" not in page.tags


def test_a_search_that_has_just_begun_has_a_page(small_search):
    assert "No evaluation has given a usable loss" in page_of(small_search().write(end="")).text


def test_the_command_writes_the_page_into_the_run(everything, capsys):
    everything.write()
    show(everything.run_dir, plot=False, fmt="png", html=True)
    path = everything.run_dir / "show.html"
    assert f"written to {path}" in capsys.readouterr().out.replace("\n", "")
    assert path.read_text().startswith("<!doctype html>")


def test_without_jinja_it_is_said_how_to_install_it(everything, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(HpctrainError, match=r"pip install 'hpctrain\[report\]'"):
        render_page(everything.write(), GONE, 10)
