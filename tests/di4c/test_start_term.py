"""The start term against sums over all states, and other choices of a recipe."""

import math
from dataclasses import replace

import pytest
import torch

from di4c import exact
from di4c.denoisers import as_mixture
from di4c.losses import Target
from di4c.processes import MaskedProcess, UniformProcess
from di4c.recipes import Weight
from di4c.rng import SampleGenerators
from di4c.start_term import StartLoss, StartTerm, start_loss
from tests.helpers.goodness_of_fit import P_VALUE, p_value
from tests.helpers.two_bit_objective import (
    LAW,
    RECIPE,
    SUPPORT,
    objective_on,
    student_log_probs,
)

PURE = replace(RECIPE, data_weight=Weight(0.0), data_marginal_weight=0.0)
STATES = exact.states(2, 2)


def seeded(seed=3):
    return torch.Generator().manual_seed(seed)


def start_of(objective):
    return StartLoss(
        objective.recipe.start,
        objective._teacher,
        objective.student,
        objective.student,
        objective.recipe.num_latents,
        control_variate=True,
    )


def student_law(x_t, t):
    """The student's law of two bits given x_t, summed over both latents in plain Python."""
    law = [0.0] * 4
    for latent in SUPPORT:
        one = torch.tensor([t], dtype=torch.float64)
        rows = student_log_probs(torch.tensor([x_t]), one, latent[None])[0].exp().tolist()
        for index, (a, b) in enumerate(STATES.tolist()):
            law[index] += rows[0][a] * rows[1][b] / len(SUPPORT)
    return torch.tensor(law, dtype=torch.float64)


@pytest.mark.parametrize("process", [MaskedProcess(2), UniformProcess(2)], ids=["mask", "uniform"])
def test_atoms_follow_teacher_then_student(process):
    """Prior, two exact teacher steps to u = 0.4, then the student: chi-square at 1e-6."""
    term = StartTerm(atoms=40_000, end=0.4, teacher_steps=2)
    start = start_of(objective_on(process, replace(PURE, start=term)))
    t = torch.ones(1, dtype=torch.float64)
    x = torch.full((1, 2), 2 if process.mask_state is not None else 0)
    found = start._target(x, t, seeded()).atoms[0]
    prior = torch.zeros(process.num_states**2, dtype=torch.float64)
    masked = process.mask_state is not None
    if masked:
        prior[-1] = 1
    else:
        prior += 0.25

    def law_after(steps):
        grid = [0.4 + 0.6 * k / steps for k in range(steps + 1)]
        at_u = exact.product_composition(process, LAW, grid, prior)
        states = exact.states(2, process.num_states).tolist()
        return sum(p * student_law(x_u, 0.4) for p, x_u in zip(at_u, states, strict=True))

    assert p_value(found, law_after(2), 2) > P_VALUE
    assert p_value(found, law_after(1), 2) < P_VALUE


def test_loss_is_the_cross_entropy_minus_a_constant():
    """With all states as atoms: KL(r || p) - TC(r), from sums over states; data by -log p."""
    student = objective_on(MaskedProcess(2)).student
    x, t = torch.full((1, 2, 2), 2), torch.ones(1, dtype=torch.float64)
    mixture = student(x, t, SUPPORT[None])
    law = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    marginals = [[0.3, 0.7], [0.4, 0.6]]
    target = Target(STATES[None], law[None], torch.tensor(marginals).double()[None].log())
    data = Target.from_samples(STATES[None, 1:3])
    own = student_law([2, 2], 1.0).tolist()
    kl = sum(r * math.log(r / p) for r, p in zip(law.tolist(), own, strict=True))
    product = [marginals[0][a] * marginals[1][b] for a, b in STATES.tolist()]
    tc = sum(r * math.log(r / p) for r, p in zip(law.tolist(), product, strict=True))
    nll = -(math.log(own[1]) + math.log(own[2])) / 2
    term = StartTerm(weight=0.7, data_weight=0.2)
    found = start_loss(term, mixture, target, data, control_variate=True)
    assert float(found) == pytest.approx(0.7 * (kl - tc) + 0.2 * nll)
    assert float(start_loss(term, mixture, None, data, True)) == pytest.approx(0.2 * nll)


@pytest.mark.parametrize("process", [MaskedProcess(2), UniformProcess(2)], ids=["mask", "uniform"])
def test_the_start_of_an_example_does_not_depend_on_the_batch(process):
    recipe = replace(PURE, start=StartTerm(atoms=3, data_weight=0.1), stratified=True)
    objective, positions = objective_on(process, recipe), range(4)
    whole = objective(STATES, generator=SampleGenerators(5, positions)).terms["start"]
    last = objective(STATES[2:], generator=SampleGenerators(5, positions[2:])).terms["start"]
    torch.testing.assert_close(whole[2:], last, rtol=0, atol=0)
    assert len(set(whole.tolist())) == 4


def test_the_start_has_its_own_number_of_latents():
    """Three times as many as at x_t, in cells of their own; the target at u has one per atom."""
    calls = []
    term = StartTerm(atoms=5, end=0.4, data_weight=0.1, latent_factor=3)
    objective = objective_on(MaskedProcess(2), replace(PURE, start=term, stratified=True))
    plain = objective.student

    def student(x_t, t, latents):
        calls.append((float(t[0]), tuple(x_t.shape[:2])))
        return plain(x_t, t, latents)

    times = torch.tensor([0.5, 0.5]).double(), torch.tensor([0.3, 0.3]).double()
    replace(objective, student=student, target=plain)(STATES[1:3], times=times, generator=seeded())
    count = PURE.num_latents
    assert calls == [(0.5, (2, count)), (1.0, (2, 3 * count))]


def test_data_of_the_start_may_be_other_than_x_0():
    """With data alone, the term is the mean of -log p over the given atoms."""
    term = StartTerm(weight=0.0, data_weight=2.0)
    recipe = replace(PURE, start=term, consistency_weight=0.0, num_latents=64, stratified=True)
    objective = objective_on(MaskedProcess(2), recipe)
    atoms = STATES[None, [1, 1, 2]].expand(4, -1, -1)
    found = objective(STATES, generator=seeded(), start_atoms=atoms)
    own = student_law([2, 2], 1.0)
    nll = -float(2 * own[1].log() + own[2].log()) / 3
    torch.testing.assert_close(found.terms["start"], torch.full((4,), 2 * nll).double())
    alone = objective(STATES, generator=seeded()).terms["start"]
    torch.testing.assert_close(alone, -2 * own.log())


def test_a_product_student_learns_from_many_atoms():
    """One latent, K atoms: the correlation part is 0 and each atom has its own x_u."""
    recipe, shapes = replace(PURE, num_latents=1, target_atoms=6), []

    def target(x_t, t, latents):
        shapes.append((tuple(x_t.shape), tuple(latents.shape)))
        return as_mixture(student_log_probs)(x_t, t, latents)

    found = objective_on(UniformProcess(2), recipe, target=target)(STATES, generator=seeded())
    assert shapes == [((4, 6, 2), (4, 6))]
    assert not found.terms["consistency_correlation"].any()
    assert bool((found.terms["consistency_marginal"] > 0).any())


def test_without_consistency_the_target_is_never_called():
    def target(x_t, t, latents):
        raise AssertionError("the target was called")

    recipe = replace(RECIPE, consistency_weight=0.0)
    found = objective_on(UniformProcess(2), recipe, target=target)(STATES, generator=seeded())
    assert not found.terms["consistency_correlation"].any()
    half = replace(PURE, consistency_weight=0.5)
    weighed, plain = (
        objective_on(UniformProcess(2), one)(STATES, generator=seeded()).terms
        for one in (half, PURE)
    )
    for name in ("consistency_correlation", "consistency_marginal"):
        torch.testing.assert_close(weighed[name], 0.5 * plain[name])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"atoms": 0}, "atoms must be at least 1; got 0"),
        ({"teacher_steps": 0}, "teacher_steps must be at least 1; got 0"),
        ({"weight": -1.0}, r"weight must lie in \[0, inf\); got -1.0"),
        ({"weight": 0.0}, "weight and data_weight are both 0"),
        ({"end": 1.0}, r"end must lie in \[0, 1\)"),
    ],
)
def test_settings_of_the_start_that_mean_nothing_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        StartTerm(**change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target_atoms": 0}, "target_atoms must be at least 1; got 0"),
        ({"consistency_weight": -0.5}, r"consistency_weight must lie in \[0, inf\); got -0.5"),
    ],
)
def test_recipes_that_mean_nothing_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        replace(RECIPE, **change)
