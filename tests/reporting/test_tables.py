"""Tables as aligned text and as Markdown."""

import pytest

from reporting import format_table, markdown_table


class TestFormatTable:
    def test_aligns(self):
        data = [{"law": "digits", "n": 1, "tv": 0.61444}, {"law": "words", "n": 16, "tv": None}]
        text = format_table(data, {"law": ("law", ""), "n": ("N", "d"), "tv": ("TV", ".3f")})
        assert text.split("\n") == [
            "law      N     TV",
            "------  --  -----",
            "digits   1  0.614",
            "words   16      -",
        ]

    def test_absent_value_is_a_dash(self):
        lines = format_table([{"a": 1}, {"b": 2}], {"a": ("a", ""), "b": ("b", "")})
        assert lines.split("\n")[2:] == ["1  -", "-  2"]

    def test_unknown_key(self):
        with pytest.raises(ValueError, match="'c'"):
            format_table([{"a": 1}], {"c": ("c", "")})

    def test_no_rows(self):
        assert format_table([], {"a": ("head", "")}) == "head\n----"


def test_a_markdown_table_has_a_cell_for_each_header():
    assert markdown_table(["a", "b"], [(1, "x")]) == "| a | b |\n| --- | --- |\n| 1 | x |\n"
    with pytest.raises(ValueError, match="rows must have 2 cells, as the header has; got"):
        markdown_table(["a", "b"], [(1,)])
