"""The computations of the claims about decoding, and that each claim can fail."""

import math
import random
from fractions import Fraction

import numpy as np
import pytest

from theory.claim import Record, all_claims
from theory.decoding import (
    deterministic_positions,
    forests,
    guidance,
    guidance_steps,
    path_divergence,
    remasking,
    separation,
    trapezoidal,
    uniformisation,
)
from theory.decoding.one_draw import (
    confidence_threshold,
    entropy_rule,
    greedy_certificate,
    influence,
    proposals,
    random_masks,
)
from theory.tools import oracle
from theory.tools.laws import rational_law, repetition
from theory.tools.partly_masked import MASK, conditional


def law(num_dims=3, num_states=2, seed=4):
    return rational_law(random.Random(seed), num_dims, num_states)


@pytest.mark.parametrize(
    "made",
    [
        lambda: deterministic_positions.generated(law(), 2, deterministic_positions.margin),
        lambda: deterministic_positions.drawn_first(law()),
        lambda: remasking.sampled(
            law(2), remasking.even(3), [0, Fraction(1, 5), Fraction(1, 3), 0]
        ),
        lambda: proposals.first_inside(repetition(2), 2),
        lambda: random_masks.exact_denoiser(law(), 2),
        lambda: random_masks.generated(random_masks.targets(law(), 3), law()),
        lambda: guidance.in_two_dimensions(law(2), law(2, seed=5), 3),
        lambda: guidance_steps.sampled(law(2), law(2, seed=5), [0, 2, 3]),
        lambda: forests.markov_law(random.Random(1), 4, forests.path(4)),
        lambda: separation.with_remasking(*separation.random_components(random.Random(3), 4)),
        lambda: separation.unmasked(law(), ((0, 2), (1,))),
    ],
)
def test_laws_are_laws(made):
    found = made()
    assert sum(found.values()) == 1
    assert all(isinstance(p, Fraction) and p >= 0 for p in found.values())
    assert not any(MASK in x for x, p in found.items() if p)


def test_conditional_laws_by_hand():
    found = conditional(
        {(0, 0): Fraction(1, 2), (0, 1): Fraction(1, 4), (1, 1): Fraction(1, 4)}, (MASK, 1)
    )
    assert found[0] == {0: Fraction(1, 2), 1: Fraction(1, 2)}
    assert found[1] == {1: 1}


def test_a_linear_program_keeps_the_confidences():
    states = oracle.all_states(3, 2)
    p = confidence_threshold.largest(np.arange(8.0), states, [0.9, 0.8, 0.7])
    for d, confidence in enumerate((0.9, 0.8, 0.7)):
        assert sum(p[k] for k, x in enumerate(states) if x[d] == 0) == pytest.approx(confidence)
    product = confidence_threshold.independent(states, [0.9, 0.8, 0.7])
    assert product[0] == pytest.approx(0.9 * 0.8 * 0.7)
    assert product.sum() == pytest.approx(1)


def test_sets_up_to_order_are_one_of_each_orbit():
    """Burnside's lemma: (2^8 + 3 * 2^6 + 2 * 2^4) / 6 = 80 sets of the states of three bits."""
    assert len(confidence_threshold.subsets_up_to_order(3)) == 80


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
def test_all_trees(size):
    """Cayley's formula; each tree is connected and has n - 1 edges."""
    trees = list(forests.trees(size))
    assert len({frozenset(map(frozenset, edges)) for edges in trees}) == len(trees)
    assert len(trees) == (size ** (size - 2) if size > 1 else 1)
    for edges in trees:
        assert len(edges) == size - 1
        assert len(forests.components(frozenset(range(size)), edges)) == 1


def test_depth_of_a_star_is_2():
    star = tuple((0, k) for k in range(1, 6))
    assert forests.depth(frozenset(range(6)), star) == 2
    assert forests.rounds(6, star) == ((0,), (1, 2, 3, 4, 5))


@pytest.mark.parametrize(("places", "number"), [(1, 1), (2, 3), (3, 13), (4, 75)])
def test_orders_of_groups_are_all_there(places, number):
    """Ordered Bell numbers; each order holds every place once."""
    orders = list(separation.ordered_groups(tuple(range(places))))
    assert len(set(orders)) == len(orders) == number
    assert all(sorted(sum(groups, ())) == list(range(places)) for groups in orders)


def test_dependence_given_other_bits_by_hand():
    """Two equal bits and a fair third one: 1/4 for the equal pair, 0 for the others."""
    law = {(a, a, b): Fraction(1, 4) for a in (0, 1) for b in (0, 1)}
    assert separation.least_dependence(law) == 0
    assert separation.least_dependence(repetition(2)) == Fraction(1, 4)


def test_guidance_of_two_spins_by_hand():
    """theta = 0.3, two steps, w = 1: half of tanh(2 artanh 0.3) = 0.6 / 1.09."""
    found = guidance_steps.sampled(
        guidance_steps.symmetric_law(Fraction(3, 10)), guidance_steps.UNIFORM, [1, 1]
    )
    assert guidance_steps.agreement(found) == Fraction(30, 109)


@pytest.mark.parametrize("theta", [1 / 3, 0.5])
def test_steps_of_the_samplers_are_laws(theta):
    for x in trapezoidal.STATES:
        for step in (
            trapezoidal.tau_leaping("even", x, 0.8, 0.1),
            trapezoidal.trapezoidal("even", x, 0.8, 0.1, theta),
        ):
            assert math.fsum(step.values()) == pytest.approx(1)


def test_reverse_rates_carry_the_law_back():
    """d q_t / dt is minus the flow of the reverse chain."""
    t, h = 0.4, 1e-5
    slope = (uniformisation.noised(t + h) - uniformisation.noised(t - h)) / (2 * h)
    flow = uniformisation.noised(t) @ uniformisation.reverse_rates(t)
    np.testing.assert_allclose(flow, -slope, atol=1e-8)


def worse(function, by=1.1):
    """The same function with a result that is too large or too small."""
    return lambda *args: function(*args) * by


BROKEN = [
    ("confidence-threshold-tv-bits", confidence_threshold, "independent", 1.01),
    ("greedy-certificate", greedy_certificate, "least_lead", 0.9),
    ("proposals-mean", proposals, "acceptance", 2),
    ("path-divergence-bound", path_divergence, "chain_rule", 1.1),
    ("deterministic-positions", deterministic_positions, "closed_form", Fraction(11, 10)),
    ("influence-chain", influence, "mean_influence", Fraction(1, 10)),
    ("influence-pairs", influence, "by_pairs", Fraction(1, 10)),
    ("remasking-pair", remasking, "closed_form", Fraction(11, 10)),
    ("remasking-no-gain", remasking, "closed_form", Fraction(11, 10)),
    ("guidance-correlation", guidance_steps, "correlation", 1.01),
    ("guidance-decay", guidance_steps, "still_masked", 3),
    ("entropy-rule", entropy_rule, "budget", 0.5),
    ("trapezoidal-order-fails", trapezoidal, "least_rate", -1),
    ("uniformisation-exact", uniformisation, "by_number", 1.01),
]


@pytest.mark.parametrize(("name", "module", "function", "by"), BROKEN, ids=[b[0] for b in BROKEN])
def test_a_claim_with_a_wrong_side_fails(name, module, function, by, monkeypatch):
    (claim,) = (known for known in all_claims() if known.name == name)
    monkeypatch.setattr(module, function, worse(getattr(module, function), by))
    record = Record()
    claim.verify(record)
    assert record.failures
