"""Miniatures: small experiments with real data, opened by name.

A module `full_scale.miniatures.NAME`, with "_" in place of "-", holds the value MINIATURE.
"""

import importlib

from full_scale.miniatures.base import Miniature

MINIATURES = ("digits", "mnist-tokens", "words")
"""The names. A module is imported only when its miniature is opened."""


def open_miniature(name: str) -> Miniature:
    """The miniature of this name.

    Raises:
        ValueError: If there is none of this name.
    """
    if name not in MINIATURES:
        raise ValueError(f"miniature must be one of {', '.join(MINIATURES)}; got {name!r}")
    return importlib.import_module(f"{__name__}.{name.replace('-', '_')}").MINIATURE
