"""Tables as aligned text and as Markdown."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from reporting.streams import printable


def format_table(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, tuple[str, str]]) -> str:
    """A text table with one line per row, without a final newline.

    Args:
        rows: one mapping per line; a value that is None or absent is printed as a dash.
        columns: for each key to show, its header and its format specification, as in
            {"tv": ("TV", ".6f")}. A column of strings is aligned left, all others right. What a
            terminal does not show as it is, such as a line feed, becomes an escape.

    Raises:
        ValueError: If no row has the key of a column.
    """
    blocks = []
    for key, (header, specification) in columns.items():
        if rows and not any(key in row for row in rows):
            raise ValueError(f"columns has the key {key!r}, which no row has; have {list(rows[0])}")
        values = [row.get(key) for row in rows]
        cells = ["-" if v is None else printable(format(v, specification)) for v in values]
        width = max(map(len, [header, *cells]))
        left = any(isinstance(value, str) for value in values)
        lines = [header, "-" * width, *cells]
        blocks.append([line.ljust(width) if left else line.rjust(width) for line in lines])
    return "\n".join("  ".join(line).rstrip() for line in zip(*blocks, strict=True))


def markdown_table(header: Sequence[Any], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table, each line ending in a newline.

    Args:
        header: the headers of the columns.
        rows: the cells of each line, as many as there are headers.

    Raises:
        ValueError: If a row has more or fewer cells than the header.
    """
    lines = [header, ["---"] * len(header), *rows]
    short = next((line for line in lines if len(line) != len(header)), None)
    if short is not None:
        raise ValueError(f"rows must have {len(header)} cells, as the header has; got {short}")
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)
