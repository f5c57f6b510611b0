from pathlib import Path

import pytest

from hpctrain.storage.schema_doc import with_column_tables

DOCUMENT = Path(__file__).parents[2] / "docs" / "run-store.md"


def test_the_document_lists_the_columns_of_the_code():
    text = DOCUMENT.read_text()
    assert text == with_column_tables(text), (
        "run: python -m hpctrain.storage.schema_doc docs/run-store.md"
    )


def test_a_document_without_markers_is_refused():
    with pytest.raises(ValueError, match="needs the lines"):
        with_column_tables("# nothing\n")
