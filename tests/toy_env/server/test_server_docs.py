"""The tables in docs/server.md are those of the code."""

from pathlib import Path

import pytest

from toy_env.server.methods.table import methods_table, sensors_table

PAGE = Path(__file__).parents[3] / "docs" / "server.md"


@pytest.mark.parametrize("table", [methods_table, sensors_table])
def test_the_page_holds_the_table(table: object) -> None:
    assert callable(table)
    assert table() in PAGE.read_text(), "print the tables with `python -m toy_env.server.methods.table` and paste them into docs/server.md"
