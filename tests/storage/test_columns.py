import math

import numpy as np
import pytest

from hpctrain.storage.columns import column_of, empty_table, joined, tables_of
from hpctrain.storage.log_reader import LogRecord
from hpctrain.storage.schema import COLUMNS, columns_of


@pytest.mark.parametrize(
    ("values", "wanted", "dtype", "expected"),
    [
        ([1, None, 2.5], "f8", "float64", [1.0, math.nan, 2.5]),
        ([1, None], "f8", "float64", [1.0, math.nan]),
        ([1, None], "i8", "int64", [1, -1]),
        ([3.0, 4], "i8", "int64", [3, 4]),  # whole, so nothing is lost
        ([3.5, 4], "i8", "float64", [3.5, 4.0]),
        ([True, None], "i1", "int8", [1, -1]),
        ([np.bool_(True), 0], "i1", "int8", [1, 0]),
        ([True, 7], "i1", "int64", [1, 7]),
        (["a", None, 3], "str", "object", ["a", "", "3"]),
        (["a", 1.0], "f8", "object", ["a", "1.0"]),  # a wrong type loses no row
        ([None, None], "i8", "int64", [-1, -1]),
        ([], "str", "object", []),
        ([1, None], None, "int64", [1, -1]),
        ([True, False], None, "int8", [1, 0]),
        ([np.float32(0.5), 1], None, "float64", [0.5, 1.0]),
        ([np.array(3), np.int8(4)], None, "int64", [3, 4]),
        ([2**63, 1], None, "uint64", [2**63, 1]),
        ([2**63, None], None, "float64", [2.0**63, math.nan]),
        ([None], None, "float64", [math.nan]),
        (["a", np.array([1, 2])], None, "object", ["a", "[1 2]"]),
    ],
)
def test_a_column_gets_a_type_that_loses_nothing(values, wanted, dtype, expected):
    column = column_of(values, wanted)
    assert column.dtype == dtype
    assert len(column) == len(expected)
    for found, value in zip(column.tolist(), expected, strict=True):
        assert found == value or (math.isnan(found) and math.isnan(value))


def test_arrays_of_one_shape_are_stacked():
    column = column_of([np.arange(3), np.arange(3) + 1], None)
    assert column.tolist() == [[0, 1, 2], [1, 2, 3]]


def test_arrays_of_several_shapes_are_kept_flattened():
    column = column_of([np.arange(2), None, np.eye(2)], None)
    assert [row.tolist() for row in column] == [[0.0, 1.0], [], [1.0, 0.0, 0.0, 1.0]]


def test_a_known_kind_has_all_its_columns_and_the_unknown_ones_after_them():
    record = LogRecord("evaluation", {"loss": 2.0, "extra": 5})
    table = tables_of([record])["evaluation"]
    assert list(table) == [*(column.name for column in columns_of("evaluation")), "extra"]
    assert table["loss"].tolist() == [2.0]
    assert table["round"].tolist() == [-1]
    assert table["domain"].tolist() == [""]
    assert math.isnan(table["time_s"][0])
    assert table["extra"].tolist() == [5]


def test_a_column_that_one_rank_lacks_is_missing_there():
    left = {"a": np.array([1, 2]), "s": np.array(["x", "y"], object)}
    right = {"a": np.array([0.5]), "b": np.array([7])}
    table = joined([left, right])
    assert table["a"].tolist() == [1.0, 2.0, 0.5]
    assert table["b"].tolist() == [-1, -1, 7]
    assert table["s"].tolist() == ["x", "y", ""]


def test_an_empty_table_has_the_types_of_the_schema():
    table = empty_table("evaluation")
    assert {name: column.dtype.str[1:] for name, column in table.items()} == {
        column.name: "O" if column.dtype == "str" else column.dtype
        for column in columns_of("evaluation")
    }


def test_no_column_is_listed_twice():
    names = [(column.kind, column.name) for column in COLUMNS]
    assert len(names) == len(set(names))


def test_every_kind_has_its_time_first():
    firsts = {column.kind: column.name for column in reversed(COLUMNS)}
    assert set(firsts.values()) == {"time_s"}
