"""Spaces: configurations, genomes and the unit cube, and what is refused."""

from math import isnan, log

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hpctrain.errors import ConfigError
from hpctrain.searching.parameters import Choice, Fixed, Float, Int
from hpctrain.searching.space import INACTIVE, Space, canonical

UNIT = st.floats(0, 1)

MIXED = Space(
    {
        "lr": Float(1e-5, 1e-1, log=True),
        "dropout": Float(0.0, 0.5, step=0.1),
        "width": Int(8, 512, log=True),
        "depth": Int(1, 9, step=2),
        "batch": [16, 64],
        "optimizer": ["sgd", "adam", None],
        "momentum": Float(0.0, 0.99, when={"optimizer": "sgd"}),
        "beta": Float(0.8, 0.999, when={"optimizer": ["adam", None], "depth": [3, 5]}),
        "nesterov": Choice([True, False], when={"optimizer": "sgd"}),
        "warm": Fixed(3, when={"nesterov": True}),
        "seed": 7,
    }
)


@st.composite
def parameters(draw):
    kind = draw(st.sampled_from(["float", "log", "step", "int", "log int", "step int", "choice"]))
    low = draw(st.floats(-1e6, 1e6))
    width = draw(st.floats(1e-3, 1e6))
    first = draw(st.integers(-1000, 1000))
    num = draw(st.integers(1, 500))
    match kind:
        case "float":
            return Float(low, low + width)
        case "log":
            return Float(abs(low) + 1e-9, abs(low) + 1e-9 + width, log=True)
        case "step":
            high = low + width  # rounded: the step must fit into what is left
            return Float(low, high, step=(high - low) / draw(st.floats(1, 100)))
        case "int":
            return Int(first, first + num)
        case "log int":
            return Int(abs(first) + 1, abs(first) + 1 + num, log=True)
        case "step int":
            return Int(first, first + num, step=draw(st.integers(1, num)))
    values = st.one_of(st.text(), st.integers(-5, 5), st.floats(-9, 9), st.none(), st.booleans())
    by = lambda value: (isinstance(value, bool), value)  # noqa: E731
    return Choice(draw(st.lists(values, min_size=1, max_size=6, unique_by=by)))


@st.composite
def spaces(draw):
    """Up to five parameters, of which later ones may depend on choices and integers."""
    found = {}
    for i in range(draw(st.integers(1, 5))):
        parameter = draw(parameters())
        parents = [n for n, p in found.items() if isinstance(p, Choice)]
        if parents and draw(st.booleans()):
            parent = draw(st.sampled_from(parents))
            options = found[parent].options
            wanted = draw(st.lists(st.sampled_from(options), min_size=1))
            fields = {n: getattr(parameter, n) for n in parameter.__slots__}
            parameter = type(parameter)(**{**fields, "when": {parent: wanted}})
        found[f"p{i}"] = parameter
    return Space(found)


@given(spaces(), st.data())
@settings(deadline=None)
def test_configurations_and_genomes_go_to_each_other_bit_for_bit(space, data):
    unit = data.draw(st.lists(UNIT, min_size=space.num_genes, max_size=space.num_genes))
    genome = space.from_unit(unit)
    config = space.decode(genome)
    assert space.encode(config) == genome
    assert space.decode(space.encode(config)) == config
    assert [type(v) for v in space.decode(genome).values()] == [type(v) for v in config.values()]


@given(spaces(), st.data())
@settings(deadline=None)
def test_a_genome_comes_back_from_the_unit_cube(space, data):
    unit = data.draw(st.lists(UNIT, min_size=space.num_genes, max_size=space.num_genes))
    genome = space.from_unit(unit)
    again = space.from_unit([0.5 if isnan(u) else u for u in space.to_unit(genome)])
    for x, y, gene in zip(genome, again, space.genes, strict=True):
        if isnan(x) or gene.count is not None:
            assert x == y or (isnan(x) and isnan(y))
        else:  # two roundings, of which the logarithm is the larger one
            assert y == pytest.approx(x, rel=1e-11, abs=1e-9 * (gene.high - gene.low))


@given(spaces(), st.data())
@settings(deadline=None)
def test_many_genomes_go_to_the_unit_cube_as_one_does(space, data):
    units = [data.draw(st.lists(UNIT, min_size=n, max_size=n)) for n in [space.num_genes] * 3]
    genomes = [space.from_unit(unit) for unit in units]
    assert str(space.to_units(genomes).tolist()) == str([space.to_unit(g) for g in genomes])


@given(spaces(), st.data())
@settings(deadline=None)
def test_repair_makes_a_genome_of_any_numbers(space, data):
    number = st.one_of(st.floats(-1e9, 1e9), st.just(INACTIVE), st.just(float("inf")))
    wild = data.draw(st.lists(number, min_size=space.num_genes, max_size=space.num_genes))
    genome = space.repair(wild, np.random.default_rng(0))
    assert space.encode(space.decode(genome)) == genome
    assert space.repair(genome, np.random.default_rng(1)) == genome


@given(spaces())
@settings(deadline=None)
def test_a_description_makes_the_same_space(space):
    again = Space.from_table(space.describe())
    assert again.describe() == space.describe()
    assert again.fingerprint == space.fingerprint


@given(st.floats(-1e3, 1e3), st.floats(0.01, 1e3), st.floats(1, 200))
def test_a_grid_never_goes_beyond_high(low, width, parts):
    high = low + width
    step = width / parts
    assume(0 < step <= high - low)
    space = Space({"x": Float(low, high, step=step)})
    assert space.size is not None
    for u in (0.0, 0.3, 0.999, 1.0):
        (x,) = space.from_unit([u])
        assert low <= x <= high
        k = round((x - low) / step)
        assert x == min(low + k * step, high)


def test_a_grid_of_tenths_ends_at_the_high_that_was_written():
    space = Space({"x": Float(0.0, 0.3, step=0.1)})
    assert space.size == 4
    assert space.from_unit([1.0]) == (0.3,)
    assert space.encode({"x": 0.3}) == (0.3,)


@pytest.mark.parametrize("parameter", [Int(1, 7), Int(-4, 8, step=3), Choice(list("abcde"))])
def test_even_numbers_give_even_values(parameter):
    space = Space({"x": parameter})
    num = 1000 * parameter.count
    found = [space.from_unit([(i + 0.5) / num])[0] for i in range(num)]
    assert {found.count(x) for x in set(found)} == {1000}
    assert len(set(found)) == parameter.count


def test_a_logarithmic_range_is_even_in_the_logarithm():
    space = Space({"x": Float(1e-4, 1.0, log=True), "n": Int(1, 1000, log=True)})
    x, n = space.from_unit([0.5, 0.5])
    assert x == pytest.approx(1e-2)
    assert n == round((0.5 * 1000.5) ** 0.5)
    assert space.to_unit((1e-2, n))[1] == pytest.approx(log(n / 0.5) / log(1000.5 / 0.5))


def test_numbers_beyond_the_unit_cube_go_to_the_ends():
    low = MIXED.decode(MIXED.from_unit([-0.3] * MIXED.num_genes))
    high = MIXED.decode(MIXED.from_unit([1.7] * MIXED.num_genes))
    assert (low["lr"], low["width"], low["depth"], low["batch"]) == (1e-5, 8, 1, 16)
    assert (high["lr"], high["width"], high["depth"], high["batch"]) == (1e-1, 512, 9, 64)


def test_what_does_not_apply_is_left_out():
    config = {
        "lr": 1e-3, "dropout": 0.1, "width": 64, "depth": 3, "batch": 16,
        "optimizer": "adam", "beta": 0.9, "seed": 7,
    }  # fmt: skip
    genome = MIXED.encode(config)
    assert MIXED.decode(genome) == config
    assert list(MIXED.decode(genome)) == list(config)
    assert genome[MIXED.names.index("momentum")] is INACTIVE
    assert isnan(MIXED.to_unit(genome)[MIXED.names.index("nesterov")])


def test_genomes_with_inactive_genes_are_keys():
    genome = MIXED.from_unit([0.5] * MIXED.num_genes)
    copy = canonical(float(str(x)) for x in genome)
    assert any(map(isnan, genome))
    assert {genome: 1}[copy] == 1


def test_children_may_be_declared_before_their_parents():
    space = Space({"momentum": Float(0.0, 1.0, when={"opt": "sgd"}), "opt": ["adam", "sgd"]})
    assert space.decode(space.from_unit([0.25, 0.0])) == {"opt": "adam"}
    assert space.decode(space.from_unit([0.25, 1.0])) == {"momentum": 0.25, "opt": "sgd"}


def test_a_change_of_the_parent_fills_the_child():
    space = Space({"opt": ["adam", "sgd"], "momentum": Float(0.2, 0.4, when={"opt": "sgd"})})
    filled = space.repair((1.0, INACTIVE), np.random.default_rng(0))
    assert 0.2 <= filled[1] <= 0.4
    assert space.repair((0.0, 0.3), np.random.default_rng(0)) == (0.0, INACTIVE)


@pytest.mark.parametrize(
    ("table", "size"),
    [
        ({"a": (1, 8), "b": [1, 2, 3]}, 24),
        ({"a": (0.0, 1.0)}, None),
        ({"a": {"low": 0.0, "high": 1.0, "step": 0.25}, "b": 5}, 5),
        ({"a": ["x", "y", "z"], "b": {"low": 1, "high": 10, "when": {"a": "x"}}}, 12),
        (
            {
                "a": [1, 2, 3, 4],
                "b": {"options": ["p", "q"], "when": {"a": [1, 2]}},
                "c": {"low": 1, "high": 5, "when": {"b": "q"}},
            },
            2 * (1 + 5) + 2,
        ),
    ],
)
def test_configurations_are_counted(table, size):
    assert Space(table).size == size


def test_the_fingerprint_tells_definitions_apart():
    names = [
        Space({"a": (0.0, 1.0)}),
        Space({"a": (0.0, 2.0)}),
        Space({"b": (0.0, 1.0)}),
        Space({"a": (0.0, 1.0), "b": 1}),
        Space({"b": 1, "a": (0.0, 1.0)}),
    ]
    assert len({space.fingerprint for space in names}) == len(names)
    assert Space({"a": (0.0, 1.0)}, lambda _: True).fingerprint == names[0].fingerprint
    assert (
        Space({"lr": (1, 8)}).fingerprint
        == Space.from_table({"lr": {"low": 1, "high": 8}}).fingerprint
    )


def test_the_constraint_sees_configurations():
    space = Space({"a": (0, 9), "b": (0, 9)}, lambda config: config["a"] < config["b"])
    assert space.is_valid((1.0, 2.0))
    assert not space.is_valid((2.0, 1.0))


def test_samples_obey_the_constraint():
    space = Space({"a": (0, 9), "b": (0, 9)}, lambda config: config["a"] < config["b"])
    draws = np.random.default_rng(0)
    assert all(a < b for a, b in (space.sample(draws) for _ in range(200)))


def test_an_operator_that_makes_only_what_is_forbidden_is_replaced_by_a_sample():
    space = Space({"a": (0.0, 1.0)}, lambda config: config["a"] < 0.3)
    (x,) = space.first_valid(lambda: (0.5,), np.random.default_rng(0))
    assert 0.0 <= x < 0.3


def test_a_constraint_that_forbids_nearly_all_is_an_error():
    space = Space({"a": (0.0, 1.0)}, lambda config: False)
    with pytest.raises(ConfigError, match="below 1 %"):
        space.first_valid(lambda: (0.5,), np.random.default_rng(0))


@pytest.mark.parametrize(
    ("parameter", "text"),
    [
        ((2.0, 1.0), r"space\.x: low is 2\.0 and high 1\.0.*below high"),
        (Float(0.0, 1.0, log=True), "above 0"),
        (Float(1.0, 2.0, log=True, step=0.1), "exclude each other"),
        (Float(1.0, float("inf")), "high is inf"),
        (Float(0.0, 1.0, step=-0.1), "step is -0.1"),
        (Int(0, 4, log=True), "above 0"),
        (Int(0, 2**60), "2\\^53"),
        (Int(0, 4, step=9), "step is 9"),
        (Choice([]), "at least one"),
        (Choice([1, 1]), "distinct"),
        (Choice("ab"), "must be a list"),
        (Choice([[1]]), "must be a bool"),
        (Fixed(float("nan")), "finite float"),
        ((1, 2, 3), "a choice is a list"),
        (object(), "a range, a list of options, or a constant"),
        ({"low": 1}, "lacks high"),
        ({"low": 1, "high": 2, "scale": "log"}, "no key scale; allowed: high, log, low"),
        ({"options": [1], "low": 1}, "no key low; allowed: options, when"),
        ({"low": 1, "high": 2, "when": {"y": 1}}, "y, which is no parameter"),
        ({"low": 1, "high": 2, "when": {"f": 1}}, "f, which is a Float"),
        ({"low": 1, "high": 2, "when": {"c": "q"}}, "c = 'q', but that is one of 'p'"),
        ({"low": 1, "high": 2, "when": {"c": []}}, "never apply"),
        ({"low": 1, "high": 2, "when": {"x": 1}}, "x <- x; cut the circle"),
    ],
)  # fmt: skip
def test_a_wrong_parameter_is_named_with_what_is_allowed(parameter, text):
    with pytest.raises(ConfigError, match=text):
        Space({"f": (0.0, 1.0), "c": ["p"], "x": parameter})


def test_all_wrong_parameters_are_named_at_once():
    with pytest.raises(ConfigError) as caught:
        Space.from_table({"a": {"low": 2, "high": 1}, "b": {"options": []}}, "search.space")
    lines = str(caught.value).splitlines()
    assert [line.partition(":")[0] for line in lines] == ["search.space.a", "search.space.b"]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"wdith": 3}, "wdith is unknown; there are lr"),
        ({"lr": 1.0}, r"lr is 1\.0, but must be a number from 1e-05 to 0\.1"),
        ({"lr": "high"}, "lr is 'high'"),
        ({"lr": True}, "lr is True"),
        ({"dropout": 0.25}, r"steps of 0\.1"),
        ({"width": 16.5}, "an integer from 8 to 512"),
        ({"depth": 2}, "in steps of 2"),
        ({"optimizer": "lamb"}, "one of 'sgd', 'adam', None"),
        ({"momentum": 0.5}, "momentum does not apply here, only with optimizer in"),
        ({"beta": None}, "beta is None"),
        ({"seed": 8}, "seed is 8, but must be 7"),
    ],
)
def test_a_wrong_configuration_is_refused(change, text):
    right = {
        "lr": 1e-3, "dropout": 0.1, "width": 64, "depth": 3, "batch": 16,
        "optimizer": "adam", "beta": 0.9,
    }  # fmt: skip
    MIXED.encode(right)
    with pytest.raises(ConfigError, match=text):
        MIXED.encode({**right, **change})


@pytest.mark.parametrize("parameters", [{}, {"a": 1, "b": Fixed("x")}])
def test_a_space_without_anything_to_search_for_is_refused(parameters):
    with pytest.raises(ConfigError, match="nothing to search for"):
        Space(parameters)


def test_a_missing_value_is_refused():
    with pytest.raises(ConfigError, match=r"space\.b is missing"):
        Space({"a": (1, 2), "b": (1, 2)}).encode({"a": 1})


def test_whole_numbers_in_a_table_are_integers_and_others_are_not():
    space = Space.from_table({"a": {"low": 1, "high": 3}, "b": {"low": 1, "high": 3.0}, "c": True})
    assert space.decode(space.from_unit([1.0, 1.0])) == {"a": 3, "b": 3.0, "c": True}
    assert isinstance(space.parameters["a"], Int)
    assert isinstance(space.parameters["b"], Float)
