"""Every registered claim holds."""

import pytest

from theory.claim import all_claims, confirm


@pytest.mark.parametrize("claim", all_claims(), ids=lambda claim: claim.name)
def test_claim(claim):
    confirm(claim)
