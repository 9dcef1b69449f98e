"""Every refusal of this project is one line that names what is wrong."""

import pytest


def assert_refused(make, message):
    """Calling `make` raises a ValueError of one line that matches the message; returns the line."""
    with pytest.raises(ValueError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)
    return str(caught.value)
