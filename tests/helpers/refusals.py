"""A check that bad input is refused with an error of one line."""

import pytest


def assert_refused(make, message):
    """Check that `make()` raises a ValueError of one line that matches. Return the line."""
    with pytest.raises(ValueError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)
    return str(caught.value)
