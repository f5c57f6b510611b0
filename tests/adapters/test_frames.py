"""Of pandas two calls are needed, so that types can be tested where it is not installed."""

import sys
from types import SimpleNamespace

import pytest

from hpctrain.adapters.frames import dtype_of, to_frame
from hpctrain.errors import HpctrainError

SPACE = {
    "rate": {"low": 0.0, "high": 1.0}, "depth": {"low": 1, "high": 8},
    "half": {"low": 1, "high": 2, "step": 0.5}, "flag": {"options": [True, False]},
    "size": {"options": [1, 2]}, "kind": {"options": ["a", None]}, "batch": {"value": 32},
}  # fmt: skip


@pytest.mark.parametrize(
    ("column", "dtype"),
    [
        ("param.rate", "float64"), ("param.depth", "Int64"), ("param.half", "float64"),
        ("param.flag", "boolean"), ("param.size", "Int64"), ("param.kind", "object"),
        ("param.batch", "Int64"), ("loss", "float64"), ("number", "Int64"), ("reason", "object"),
    ],
)  # fmt: skip
def test_columns_have_the_types_of_what_is_in_them(column, dtype):
    assert dtype_of(column, SPACE) == dtype


def test_what_is_missing_is_missing_in_the_frame(monkeypatch):
    plain = SimpleNamespace(
        Series=lambda values, dtype: (dtype, values), DataFrame=lambda data, **_: data
    )
    monkeypatch.setitem(sys.modules, "pandas", plain)
    rows = [{"number": 0, "param.depth": 3}, {"number": 1}]
    assert to_frame(["number", "param.depth"], rows, SPACE) == {
        "number": ("Int64", [0, 1]),
        "param.depth": ("Int64", [3, None]),
    }


def test_without_pandas_it_is_said_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(HpctrainError, match=r"pip install 'hpctrain\[export\]'"):
        to_frame(["number"], [], {})
