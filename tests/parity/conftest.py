"""The folder of the recorded reference outputs. Without it these tests are skipped."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = Path(os.environ.get("DI4C_PARITY_DIR", ROOT.parent / "shared" / "parity"))


def pytest_collection_modifyitems(items):
    if not FOLDER.is_dir():
        reason = f"no recorded reference outputs in {FOLDER.name}; set DI4C_PARITY_DIR"
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip(reason=reason))
