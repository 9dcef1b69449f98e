"""Formulas as MathML. Browsers show it without a script and without a network."""

import re
from typing import Any

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

_OTHER_NAMES = ((r"\\dots\b", r"\\ldots"), (r"\\(big|Big|textstyle)\b", ""))
"""Commands that docutils does not know, each with what takes its place."""


def install(app: Any) -> None:
    """Add the renderer, for `html_math_renderer = "mathml"`."""
    app.add_html_math_renderer(
        "mathml", inline_renderers=(_inline, None), block_renderers=(_block, None)
    )


def mathml(formula: str, *, as_block: bool = False) -> str:
    """The formula as a MathML element.

    Raises:
        docutils.utils.math.MathError: if the formula is wrong or has an unknown command.
    """
    for pattern, replacement in _OTHER_NAMES:
        formula = re.sub(pattern, replacement, formula)
    return tex2mathml(formula, as_block=as_block)


def _inline(writer: Any, node: nodes.math) -> None:
    writer.body.append(mathml(node.astext()))
    raise nodes.SkipNode


def _block(writer: Any, node: nodes.math_block) -> None:
    writer.body.append(f'<div class="formula">{mathml(node.astext(), as_block=True)}</div>')
    raise nodes.SkipNode
