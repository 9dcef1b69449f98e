"""Every test file starts from the presets of the package."""

import pytest

from full_scale.models.presets import PRESETS


@pytest.fixture(autouse=True, scope="module")
def _presets_of_the_package():
    """Remove what the tests of a file have registered."""
    saved = dict(PRESETS)
    yield
    PRESETS.clear()
    PRESETS.update(saved)
