"""The recurrence against the definition, and certificates that were tampered with."""

import random
from fractions import Fraction

import pytest
from flint import fmpq

from theory.certified.recurrence import scaled_errors
from theory.tools.oracle import compose, law_from, masked_kernel, total_variation


def two_state_kernel(pi, ratio):
    up, down = (1 - ratio) * pi, (1 - ratio) * (1 - pi)
    return [[1 - up, up], [down, 1 - down]]


def to_flint(number):
    return fmpq(number.numerator, number.denominator)


def height(x, y, z):
    x, y, z = abs(x), abs(y), abs(z)
    return max(2 * x, 2 * y, 2 * z, x + y + z)


@pytest.mark.parametrize("noise", ["masked", "two-state"])
@pytest.mark.parametrize("num_steps", [1, 2, 5])
def test_recurrence_is_the_sampler(noise, num_steps):
    """In exact arithmetic, for laws with and without zeros and for pi = 0."""
    draw = random.Random(num_steps)
    for pi in (Fraction(0), Fraction(1, 3), Fraction(1, 2)):
        for zeros in (0, 0, 1, 2):
            weights = [draw.randint(1, 9) for _ in range(4)]
            for i in draw.sample(range(4), zeros):
                weights[i] = 0
            values = [Fraction(w, sum(weights)) for w in weights]
            ratios = [Fraction(num_steps - k, num_steps + 1 - k) for k in range(1, num_steps + 1)]
            if noise == "masked":
                kernels = [masked_kernel(r, 2, from_data=k == 0) for k, r in enumerate(ratios)]
            else:
                kernels = [two_state_kernel(pi, r) for r in ratios]
            law = law_from(values, 2, 2)
            expected = total_variation(compose(law, kernels), law)
            entry = {"noise": noise, "pi": [str(pi)], "rate": None, "N": num_steps}
            flint = [to_flint(v) for v in values]
            found = height(*scaled_errors(entry, flint, to_flint(pi), None))
            assert found == num_steps * to_flint(Fraction(expected)), (pi, values)
