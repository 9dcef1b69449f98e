"""Extreme numbers give finite results or named errors, on the hypothesis profile "ci"."""

import pytest
from hypothesis import strategies as st

from tests.hard_use import numerics


@pytest.mark.parametrize("name", numerics.PROPERTIES)
def test_extreme_numbers(name):
    numerics.check(name, "ci")


@pytest.mark.parametrize("dtype", numerics.DTYPES)
def test_many_states(dtype):
    numerics.many_states(dtype)


def test_a_share_of_the_examples_is_recorded_with_what_they_show(monkeypatch):
    """100,000 examples are the whole; a failure is one line with the example."""
    tried = []

    def fails(number):
        tried.append(number)
        assert number < 0, "is\nnot below 0"

    monkeypatch.setattr(numerics, "PROPERTIES", {"fails": (fails, st.integers(0, 9))})
    monkeypatch.setattr(numerics, "DTYPES", ())
    (found,) = numerics.run(0, 0.00002)
    assert found["examples"] == {"fails": 2}
    (line,) = found["failures"]
    assert line.startswith("fails: ")
    assert "not below 0" in line
    assert "case=0" in line
    assert "\n" not in line
    assert numerics.settings.get_profile("deep").max_examples == 100_000
