"""A few mutants of every format that is read: read right, or refused in one line.

`python -m tests.hard_use files` tries many more.
"""

import random

import pytest

from tests.hard_use.attempts import FAILURES
from tests.hard_use.files import cases
from tests.hard_use.formats import FORMATS

MEASURED = ("samples", "packed tokens", "reference statistics")
"""What numbers are computed from. More mutants of it are tried."""


@pytest.mark.parametrize("name", FORMATS)
def test_mutants_of(name, tmp_path):
    tried = [*cases(tmp_path, 0, 1, {name: FORMATS[name]})]
    chosen = random.Random(0).sample(tried, 12 if name in MEASURED else 6)
    found = {what: case() for what, case in chosen}
    assert {what: verdict for what, verdict in found.items() if verdict.kind in FAILURES} == {}
    assert "refused" in {verdict.kind for verdict in found.values()}
