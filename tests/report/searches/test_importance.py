"""Functions whose total effects are known; the tolerances are what 300 to 1,000 points give."""

import numpy as np
import pytest

from hpctrain.report.searches.importance import importance


def test_a_sum_gives_each_parameter_its_share_of_the_variance(sampled):
    found = importance(sampled(lambda x: 2 * x[0] + x[1], 5, 600).read())
    effects = dict(found.effects)
    assert effects["x0"] == pytest.approx(0.8, abs=0.1)  # variances 4 : 1
    assert effects["x1"] == pytest.approx(0.2, abs=0.1)
    assert max(effects[name] for name in ("x2", "x3", "x4")) < 0.01
    assert found.explained > 0.95
    assert [name for name, _ in found.effects][:2] == ["x0", "x1"]


def test_a_parameter_that_only_acts_together_with_another_is_seen(sampled):
    found = importance(sampled(lambda x: (x[0] - 0.5) * (x[1] - 0.5), 3, 800).read())
    effects = dict(found.effects)  # of a product of centred factors both total effects are 1
    assert min(effects["x0"], effects["x1"]) > 0.6
    assert effects["x2"] < 0.02


def test_only_the_order_of_losses_counts(sampled):
    plain = importance(sampled(lambda x: 2 * x[0] + x[1], 3, 200).read())
    steep = importance(sampled(lambda x: np.exp(40 * x[0] + 20 * x[1]), 3, 200).read())
    assert steep.effects == plain.effects


def test_of_noise_nothing_is_said(sampled):
    draws = np.random.default_rng(5)
    found = importance(sampled(lambda _: draws.random(), 3, 200).read())
    assert found.effects == ()
    assert "explain 0% of the others" in found.why_not


def test_with_few_evaluations_nothing_is_said(sampled):
    found = importance(sampled(lambda x: x[0], 7, 34).read())
    assert (found.effects, found.why_not) == ((), "not enough evaluations: 34 of 35")


def test_equal_losses_say_nothing(sampled):
    found = importance(sampled(lambda _: 1.0, 2, 40).read())
    assert found.why_not == "all evaluations gave the same loss"


def test_a_choice_and_what_depends_on_it_are_told_apart(small_search):
    search = small_search(space={
        "kind": {"options": ["a", "b", "c"]},
        "inner": {"low": 0.0, "high": 1.0, "when": {"kind": ["a"]}},
        "idle": {"low": 0.0, "high": 1.0, "when": {"kind": ["b"]}},
    })  # fmt: skip
    draws = np.random.default_rng(0)
    for _ in range(500):
        kind, x = "abc"[draws.integers(3)], float(draws.random())
        config = {"kind": kind} | {"a": {"inner": x}, "b": {"idle": x}, "c": {}}[kind]
        search.add(config, {"a": 2 + x, "b": 1.0, "c": 0.0}[kind])
    effects = dict(importance(search.read()).effects)
    assert effects["kind"] > 0.7
    assert 0.005 < effects["inner"] < 0.2  # it orders a third of the candidates among themselves
    assert effects["idle"] < 0.002


def test_it_says_the_same_every_time(sampled):
    records = sampled(lambda x: x[0], 2, 100).read()
    assert importance(records) == importance(records)
