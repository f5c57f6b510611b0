import numpy as np
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from hpctrain.report.searches.ranking import improvements, pareto, ranking
from hpctrain.report.searches.space import read_parameters


def test_configurations_come_back_as_they_were_given_with_their_types(everything):
    records = everything.read()
    by_number = {int(n): row for row, n in enumerate(records.table["number"])}
    assert records.names == ("rate", "kind", "momentum", "depth")
    assert records.config(by_number[0]) == {
        "rate": 0.1, "kind": "sgd", "momentum": 0.5, "depth": 3, "batch": 32, "nesterov": True,
    }  # fmt: skip
    assert records.config(by_number[1]) == {"rate": 0.01, "kind": "adam", "depth": -1, "batch": 32}
    assert records.config(by_number[2])["kind"] is None
    assert records.config(by_number[7]) == records.config(by_number[1])
    assert type(records.config(by_number[0])["depth"]) is int


def test_parameters_are_in_the_order_of_their_declaration_although_run_json_is_sorted(everything):
    assert list(everything.identity()["search"]["space"])[:2] == ["batch", "depth"]
    assert everything.read().names == ("rate", "kind", "momentum", "depth")


VALUES = [True, False, None, 0, 3, -1, 0.5, 2.0, "a", "", "True", "nan", "3"]


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.sampled_from(range(len(VALUES))), min_size=2, max_size=4, unique=True),
    st.lists(st.integers(0, 3), min_size=1, max_size=12),
)
def test_options_of_all_types_come_back_from_their_columns(small_search, places, chosen):
    options = [VALUES[place] for place in places]
    texts = [str(option) for option in options]
    assume(len({text.replace(".0", "") for text in texts}) == len(options))
    assume(not (None in options and {"", "nan", "-1"} & set(texts)))
    assume(not (any(o is True or o is False for o in options) and {"0", "3"} & set(texts)))
    search = small_search(space={"kind": {"options": options}})
    given = [options[place % len(options)] for place in chosen]
    for value in given:
        search.add({"kind": value}, 1.0)
    records = search.read()
    order = np.argsort(records.table["number"])
    found = [records.config(int(row))["kind"] for row in order]
    assert [(type(a), a) for a in found] == [(type(a), a) for a in given]


def test_what_depends_on_a_constant_or_on_what_does_not_apply_follows_them(small_search):
    space = {
        "mode": {"value": "fast"}, "kind": {"options": ["a", "b"], "when": {"mode": ["fast"]}},
        "size": {"low": 1, "high": 3, "when": {"kind": ["a"]}},
        "deep": {"low": -1, "high": 1, "when": {"size": [2, 3]}},
    }  # fmt: skip
    search = small_search(space=space)
    configs = [
        {"mode": "fast", "kind": "a", "size": 2, "deep": -1}, {"mode": "fast", "kind": "b"},
        {"mode": "fast", "kind": "a", "size": 1},
    ]  # fmt: skip
    for config in configs:
        search.add(config, 1.0)
    records = search.read()
    assert [records.config(row) for row in range(3)] == configs


def test_the_best_are_ranked_by_loss_and_only_evaluations_count(everything):
    records = everything.read()
    best = ranking(records)
    assert records.table["number"][best.rows].tolist() == [1, 2, 0]
    assert best.losses[:, 0].tolist() == [1.0, 2.0, 3.0]


def test_a_loss_that_is_not_finite_is_never_the_best(small_search):
    search = small_search(space={"x": {"low": 0.0, "high": 1.0}})
    for x, loss in ((0.1, -np.inf), (0.2, np.nan), (0.3, 5.0)):
        search.add({"x": x}, loss)
    assert ranking(search.read()).losses.tolist() == [[5.0]]


def test_repeated_evaluations_are_ranked_by_their_mean_if_they_are_averaged(small_search):
    search = small_search(space={"x": {"low": 0.0, "high": 1.0}}, duplicates="average")
    for x, loss in ((0.1, 0.0), (0.1, 4.0), (0.2, 1.0), (0.2, 1.5)):
        search.add({"x": x}, loss)
    best = ranking(search.read())
    assert best.losses.tolist() == [[1.25], [2.0]]
    assert best.times.tolist() == [2, 2]


def test_improvements_are_those_of_their_time(small_search):
    search = small_search(space={"x": {"low": 0.0, "high": 1.0}})
    for loss in (3.0, 4.0, 2.0, 2.0, 1.0):
        search.add({"x": loss / 10}, loss)
    assert improvements(search.read()).tolist() == [True, False, True, False, True]


def test_the_front_of_two_objectives_is_in_the_order_of_the_first(small_search):
    search = small_search(space={"x": {"low": 0.0, "high": 1.0}}, objectives=2)
    for a, b in ((3.0, 1.0), (1.0, 3.0), (2.0, 2.0), (3.0, 3.0), (2.5, 2.0)):
        search.add({"x": a / 10}, a, b)
    assert ranking(search.read()).losses.tolist() == [[1.0, 3.0], [2.0, 2.0], [3.0, 1.0]]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(*[st.integers(0, 4)] * 3), min_size=1, max_size=30))
def test_nobody_dominates_the_front_and_everyone_else_is_dominated_or_equal(points):
    losses = np.array(points, float)
    entered, members = pareto(losses)
    for row, mine in enumerate(losses):
        beaten = (losses <= mine).all(axis=1) & (losses < mine).any(axis=1)
        twin = (losses[:row] == mine).all(axis=1).any()
        assert (row in members) == (not beaten.any() and not twin)
        assert entered[row] == (not (losses[:row] <= mine).all(axis=1).any())


def test_ranges_are_said_in_a_few_words():
    said = {
        name: parameter.range_text
        for name, parameter in read_parameters({
            "a": {"low": 1e-4, "high": 1.0, "log": True},
            "b": {"low": 0, "high": 8, "step": 2},
            "c": {"options": ["x", None, True, 0.5]},
            "d": {"value": 3},
        }).items()
    }  # fmt: skip
    assert said == {
        "a": "0.0001 to 1, logarithmic",
        "b": "integer 0 to 8 in steps of 2",
        "c": "one of x, None, True, 0.5",
        "d": "always 3",
    }
