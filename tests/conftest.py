"""Fixtures that several test files share."""

import jaxtyping
import pytest


@pytest.fixture(autouse=True, scope="module")
def _presets_of_the_package():
    """Every test file starts from the presets of the package: remove what it has registered."""
    from full_scale.models.presets import PRESETS

    saved = dict(PRESETS)
    yield
    PRESETS.clear()
    PRESETS.update(saved)


@pytest.fixture
def as_installed():
    """As a user has it: without the shape checks of the test run, which would speak first."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
