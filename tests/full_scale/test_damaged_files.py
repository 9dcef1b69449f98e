"""A few mutants of what numbers are computed from: read right, or refused in one line.

`python -m tests.hard_use files` tries many more, of every format.
"""

import random

import pytest

from tests.hard_use.attempts import FAILURES
from tests.hard_use.files import cases
from tests.hard_use.formats import FORMATS

MEASURED = ("samples", "packed tokens", "reference statistics")
MOST = 12  # mutants of each format


@pytest.mark.parametrize("name", MEASURED)
def test_mutants_of(name, tmp_path):
    tried = [*cases(tmp_path, 0, 1, {name: FORMATS[name]})]
    chosen = random.Random(0).sample(tried, min(MOST, len(tried)))
    found = {what: case() for what, case in chosen}
    assert {what: verdict for what, verdict in found.items() if verdict.kind in FAILURES} == {}
    assert "refused" in {verdict.kind for verdict in found.values()}
