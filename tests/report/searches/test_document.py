import csv
import io
import json

import numpy as np
import pytest

from hpctrain.report.searches.document import search_document, write_csv, write_json


@pytest.fixture
def document(everything):
    return search_document(everything.read())


def as_csv(document):
    file = io.StringIO()
    write_csv(document, file)
    return list(csv.DictReader(io.StringIO(file.getvalue())))


def as_json(document):
    file = io.StringIO()
    write_json(document, file)
    return file.getvalue()


def test_the_document_says_what_it_is(document):
    assert (document["format"], document["version"]) == ("hpctrain-search", 1)
    assert document["losses"] == ["loss"]
    assert list(document["space"])[:4] == ["rate", "kind", "momentum", "depth"]
    assert document["space"]["rate"] == {"low": 1e-4, "high": 1.0, "log": True}


def test_candidates_are_in_the_order_of_their_numbers_with_typed_parameters(document):
    assert [c["number"] for c in document["candidates"]] == list(range(9))
    assert document["candidates"][1] == {
        "number": 1, "outcome": "done", "losses": [1.0],
        "parameters": {"rate": 0.01, "kind": "adam", "depth": -1, "batch": 32},
        "reason": None, "made_by": "cma", "worker": 1, "island": 0, "began_s": 1.5,
        "ended_s": 2.0, "took_s": 0.5, "cost": None, "last_step": None, "last_value": None,
        "values": [[1, 4.0], [2, 2.0], [3, 1.0]],
    }  # fmt: skip
    assert document["candidates"][2]["parameters"]["kind"] is None
    assert document["candidates"][3]["losses"] == [None]


def test_json_has_a_line_per_candidate_and_is_the_document(document):
    text = as_json(document)
    assert json.loads(text) == document
    assert sum('"number"' in line for line in text.splitlines()) == 9


def test_what_is_no_finite_number_is_null(small_search):
    search = small_search(space={"x": {"low": 0.0, "high": 1.0}})
    search.add({"x": 0.5}, np.nan, cost=np.inf)
    search.on_the_way(0, np.nan, 1.0)
    candidate = json.loads(as_json(search_document(search.read())))["candidates"][0]
    assert (candidate["losses"], candidate["cost"]) == ([None], None)
    assert candidate["values"] == [[1, None], [2, 1.0]]


def test_a_search_without_candidates_is_a_document_too(small_search):
    document = search_document(small_search().read())
    assert json.loads(as_json(document))["candidates"] == []
    assert as_csv(document) == []


def test_csv_has_a_column_per_parameter_and_missing_ones_are_empty(document):
    rows = as_csv(document)
    assert rows[0]["param.momentum"] == "0.5"
    assert rows[0]["param.nesterov"] == "True"
    assert rows[1]["param.momentum"] == ""
    assert rows[1]["param.depth"] == "-1"
    assert rows[2]["param.kind"] == "None"
    assert rows[3]["loss"] == ""
    assert rows[3]["reason"] == "RuntimeError: inf at step 17"


def test_several_losses_have_a_column_each(sampled):
    rows = as_csv(search_document(sampled(lambda x: [x[0], -x[0]], 1, 3, objectives=2).read()))
    assert [float(row["loss"]) for row in rows] == [-float(row["loss_1"]) for row in rows]
