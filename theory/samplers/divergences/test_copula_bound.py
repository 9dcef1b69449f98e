"""The lower bound of product denoisers: dense kernels, likelihoods, known values."""

import itertools
import math
import random
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from di4c.exact import (
    entropy,
    forward_law,
    kl,
    product_kernel,
    reverse_kernel,
    states,
)
from di4c.processes import MaskedProcess, UniformProcess
from theory.claim import Record
from theory.samplers.divergences.copula_bound import (
    NoisedLaws,
    copula_bound,
    marginal_mismatch,
    negative_elbo,
    worse_denoiser,
)
from theory.samplers.divergences.jump_your_steps import step_total_correlations
from theory.tools import oracle
from theory.tools.exact_logs import log, total
from theory.tools.finite_mixture import random_law
from theory.tools.laws import rational_law

_TIMES = [0.0, 0.3, 0.75]


def _noised(law, times, masked):
    ratios = [Fraction(1 - t) / Fraction(1 - s) for s, t in itertools.pairwise(times)]
    if masked:
        kernels = [oracle.masked_kernel(r, 2, from_data=k == 0) for k, r in enumerate(ratios)]
    else:
        kernels = [oracle.uniform_kernel(r, 2) for r in ratios]
    return NoisedLaws.of(law, kernels)


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.booleans())
def test_likelihood_and_bound_lie_below_the_negative_elbo(seed, masked):
    rng = random.Random(seed)
    law = rational_law(rng, 2, 2)
    noised = _noised(law, [Fraction(0), Fraction(rng.randint(1, 4), 9), Fraction(7, 9)], masked)
    denoiser = worse_denoiser(noised, rng)
    elbo = negative_elbo(noised, denoiser, noised.laws[-1])
    assert not elbo < copula_bound(noised)
    # The law that the denoiser generates. With full support no state is unreachable.
    output = noised.laws[-1]
    for law_s, step in zip(noised.laws[-2::-1], denoiser[::-1], strict=True):
        output = {y: sum(p * step[x][y] for x, p in output.items() if p) for y in law_s}
    assert float(elbo) > -sum(float(p) * math.log(output[x]) for x, p in law.items())


@pytest.mark.parametrize("process", [MaskedProcess(2), UniformProcess(2)])
def test_denoisers_of_x_0_stay_above_the_bound(process):
    """The negative ELBO is H(q_0) + sum_k E KL(true row || model row)."""
    generator = torch.Generator().manual_seed(0)
    for q_0 in random_law(generator, 5, 8):
        bound = float(entropy(q_0)) + sum(step_total_correlations(process, q_0, _TIMES))
        elbo = float(entropy(q_0))
        x_t = states(3, process.num_states)
        for s, t in itertools.pairwise(_TIMES):
            probs = random_law(generator, len(x_t), 3, 2)
            if process.mask_state is not None:  # unmasked coordinates are known
                known = torch.nn.functional.one_hot(x_t.clamp(max=1), 2).double()
                probs = torch.where((x_t < 2)[..., None], known, probs)
            model = product_kernel(process.reverse(probs, x_t, s, t))
            weight = forward_law(process, q_0, t)
            divergences = kl(reverse_kernel(process, q_0, s, t), model)
            elbo += float((weight * divergences).where(weight > 0, 0.0).sum())
        assert elbo > bound + 0.01


@pytest.mark.parametrize("masked", [False, True])
def test_the_bound_agrees_with_dense_kernels(masked):
    law = rational_law(random.Random(5), 3, 2)
    times = [Fraction(0), Fraction(3, 10), Fraction(3, 4)]
    process = MaskedProcess(2) if masked else UniformProcess(2)
    q_0 = torch.tensor([float(p) for p in law.values()], dtype=torch.float64)
    dense = float(entropy(q_0)) + sum(step_total_correlations(process, q_0, _TIMES))
    assert float(copula_bound(_noised(law, times, masked))) == pytest.approx(dense, abs=1e-12)


def test_one_masked_step_of_two_equal_bits():
    """The best product model is two fair coins, at 2 log 2; the entropy is log 2."""
    law = oracle.law_from([Fraction(1, 2), Fraction(0), Fraction(0), Fraction(1, 2)], 2, 2)
    noised = _noised(law, [Fraction(0), Fraction(1)], masked=True)
    elbo = negative_elbo(noised, noised.marginal_matching(), noised.laws[-1])
    assert elbo == copula_bound(noised) == 2 * log(2)


def test_a_matched_denoiser_has_no_mismatch():
    noised = _noised(
        rational_law(random.Random(1), 2, 2), [Fraction(0), Fraction(1, 2)], masked=True
    )
    assert marginal_mismatch(noised, noised.marginal_matching()) == total([])


def test_a_higher_bound_is_rejected():
    noised = _noised(
        rational_law(random.Random(2), 2, 2), [Fraction(0), Fraction(1, 2)], masked=False
    )
    record = Record()
    left = negative_elbo(noised, noised.marginal_matching(), noised.laws[-1])
    record.at_most(copula_bound(noised) + log(Fraction(1001, 1000)), left, "bound + 0.001")
    assert not record.holds
