"""Claims in a record of `python -m theory`, as its readers need them."""

from collections.abc import Sequence
from typing import TypedDict

from reporting.typed import Count


class ClaimRow(TypedDict):
    """One claim.

    Attributes:
        name: its name.
        holds: whether no comparison failed.
        negative_control: whether it shows that a plausible statement is false.
        cases: number of comparisons.
    """

    name: str
    holds: bool
    negative_control: bool
    cases: Count


def failed(claims: Sequence[ClaimRow]) -> list[str]:
    """Names of the claims that do not hold."""
    return [claim["name"] for claim in claims if not claim["holds"]]
