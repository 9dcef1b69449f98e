r"""Turns the project's docstrings into reStructuredText.

The docstrings hold formulas between dollar signs, as in $x_t$, and no markup besides backticks.
Formulas become math roles, indented paragraphs become literal blocks, and characters that would
otherwise be markup are escaped.
"""

import re
from typing import Any

# A formula, or text between backticks.
_PARTS = re.compile(r"\$\$(?P<block>.+?)\$\$|\$(?P<inline>[^$\n]+(?:\n[^$\n]+)?)\$|`[^`]*`", re.S)
_MARKUP = re.compile(r"[*|]|(?<=\w)_(?!\w)")
_SECTION = re.compile(r"^(Args|Attributes|Raises|Returns|Yields):$", re.M)


def to_rst(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Change the lines of a docstring in place, as the event `autodoc-process-docstring` asks."""
    lines[:] = converted("\n".join(lines)).splitlines()


def converted(text: str) -> str:
    """The docstring as reStructuredText."""
    start = match.start() if (match := _SECTION.search(text)) else len(text)
    paragraphs = [
        f"::\n\n{paragraph}" if _is_indented(paragraph) else _marked_up(paragraph)
        for paragraph in re.split(r"\n{2,}", text[:start])
    ]
    return "\n\n".join(filter(None, [*paragraphs, _marked_up(text[start:])]))


def _is_indented(paragraph: str) -> bool:
    """Whether every line is indented, and it is no formula, list or example."""
    return all(line.startswith("    ") for line in paragraph.splitlines()) and bool(
        paragraph and not paragraph.lstrip().startswith(("$$", "-", ">>>"))
    )


def _marked_up(text: str) -> str:
    parts, end = [], 0
    for match in _PARTS.finditer(text):
        parts += [_escaped(text[end : match.start()]), _formula(match, text)]
        end = match.end()
    return "".join([*parts, _escaped(text[end:])])


def _escaped(text: str) -> str:
    """Text whose characters mean themselves; the code of an example is left as it is."""
    lines = text.splitlines(keepends=True)
    code = False
    for i, line in enumerate(lines):
        code = line.lstrip().startswith(">>>") or (code and bool(line.strip()))
        lines[i] = line if code else _MARKUP.sub(lambda match: "\\" + match.group(), line)
    return "".join(lines)


def _formula(match: re.Match[str], text: str) -> str:
    if inline := match["inline"]:
        return f":math:`{' '.join(inline.split())}`"
    if block := match["block"]:
        line = text[text.rfind("\n", 0, match.start()) + 1 : match.start()]
        indent = " " * (len(line) - len(line.lstrip()))
        return f"\n\n{indent}.. math:: {' '.join(block.split())}\n\n{indent}"
    return match.group()
