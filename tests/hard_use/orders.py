"""The whole suite in other orders and with other hash seeds: a test that flakes is found here.

Needs a plugin of pytest: pip install pytest-random-order. Modules, and the tests of each module,
are shuffled. Statistical tests have fixed seeds, so a failure is never bad luck.
"""

import math
import os
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

RUNS = 20
"""Number of runs in the long form."""

_ROOT = Path(__file__).parents[2]


def run(seed: int, share: float) -> Iterator[dict[str, Any]]:
    """Run the suite again and again; the figures after each run."""
    if find_spec("random_order") is None:
        raise ValueError("orders needs a plugin of pytest: pip install pytest-random-order")
    draws, failures, passed = random.Random(seed), [], []
    for _ in range(math.ceil(RUNS * share)):
        order = draws.randrange(2**32)  # the largest hash seed of Python
        count, found = one_run(order, [f"--random-order-seed={order}"])
        passed.append(count)
        failures += found
        yield {"runs": len(passed), "passed": passed, "failures": failures}


def one_run(hash_seed: int, options: list[str]) -> tuple[int, list[str]]:
    """Number of tests that passed, and what failed, one line each.

    Args:
        hash_seed: the hash seed of Python, in 0..2**32 - 1.
        options: options of pytest.
    """
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *options],
        cwd=_ROOT,
        env=os.environ | {"PYTHONHASHSEED": str(hash_seed), "COLUMNS": "400"},  # reasons stay whole
        capture_output=True,
        text=True,
    )
    failures = re.findall(r"^(?:FAILED|ERROR) .*", done.stdout, re.MULTILINE)
    if done.returncode and not failures:
        failures = [f"status {done.returncode}: {(done.stderr or done.stdout)[-500:]!r}"]
    passed = re.search(r"(\d+) passed", done.stdout)
    return int(passed[1]) if passed else 0, [f"{one} (order {hash_seed})" for one in failures]
