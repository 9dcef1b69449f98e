"""Extreme numbers give finite results or named errors, on the hypothesis profile "ci"."""

import pytest

from tests.hard_use import numerics


@pytest.mark.parametrize("name", numerics.PROPERTIES)
def test_extreme_numbers(name):
    numerics.check(name, "ci")


@pytest.mark.parametrize("dtype", numerics.DTYPES)
def test_many_states(dtype):
    numerics.many_states(dtype)


def test_the_profiles():
    assert numerics.settings.get_profile("deep").max_examples == 100_000
