"""Fixtures that several test files share."""

import jaxtyping
import pytest


@pytest.fixture
def as_installed():
    """As a user has it: without the shape checks of the test run, which would speak first."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
