"""The loss of a kept latent: against Bayes' rule, the exact likelihood, and exact paths."""

import math
import re
from dataclasses import replace

import pytest
import torch

from di4c import MaskedProcess, UniformProcess, exact
from di4c.kept_latent import KeptLatent, KeptLatentLoss
from di4c.latents import FiniteLatent, LatentPolicy
from di4c.likelihood import DenseMixture
from di4c.recipes import SeparateDistillation, Weight
from di4c.rng import SampleGenerators
from di4c.samplers import ancestral
from di4c.start_term import StartTerm
from tests.helpers.goodness_of_fit import P_VALUE, p_value
from tests.helpers.refusals import assert_refused
from tests.helpers.two_bit_objective import (
    RECIPE,
    SUPPORT,
    objective_on,
    student_log_probs,
)

ALONE = replace(
    RECIPE,
    redraw="fixed",
    data_weight=Weight(0.0),
    data_control_variate=False,
    data_marginal_weight=0.0,
    consistency_weight=0.0,
    distillation=SeparateDistillation(0.1, weight=0.0),
)
STATES = exact.states(2, 2)
PROCESSES = [MaskedProcess(2), UniformProcess(2)]


def seeded(seed=3):
    return torch.Generator().manual_seed(seed)


def loss_of(process, kept, recipe=ALONE):
    objective = objective_on(process, replace(recipe, kept=kept))
    return KeptLatentLoss(kept, recipe.times, objective._teacher, objective.student)


def component(x_t, t, latent):
    """The law of two bits given x_t and one latent, as a product in plain Python: four numbers."""
    time = torch.tensor([t], dtype=torch.float64)
    rows = student_log_probs(torch.tensor([x_t]), time, latent[None])[0].exp().tolist()
    shown = [value if value < 2 else None for value in x_t]
    for row, value in zip(rows, shown, strict=True):
        if value is not None:  # masked noise: what is shown is certain
            row[:] = [float(value == 0), float(value == 1)]
    return [rows[0][a] * rows[1][b] for a, b in STATES.tolist()]


def test_each_atom_gets_a_latent_by_bayes_rule():
    """Chi-square of 20 000 latents of each atom at 1e-6; two latents, all bits masked."""
    loss = loss_of(MaskedProcess(2), KeptLatent(pool=400, states=80_000))
    atoms = STATES.repeat(20_000, 1)[None]
    found = loss.latents(atoms, seeded())[0]
    laws = torch.tensor([component([2, 2], 1.0, one) for one in SUPPORT])
    share = _pool_share(loss)  # of a random pool
    for index in range(4):
        second = (found[index::4] == SUPPORT[1]).long()
        weights = torch.stack([(1 - share) * laws[0, index], share * laws[1, index]])
        law = (weights / weights.sum()).double()
        assert p_value(second[:, None], law, 2) > P_VALUE
        assert p_value(second[:, None], torch.tensor([0.5, 0.5]).double(), 2) < P_VALUE


def _pool_share(loss):
    """Share of the second latent in the pool that the seed gives."""
    seen = []

    def spy(x_t, t, latents):
        seen.append(latents)
        return loss.student(x_t, t, latents)

    replace(loss, student=spy).latents(STATES[:1, None], seeded())
    return (seen[0] == SUPPORT[1]).double().mean()


def test_gradient_at_the_start_is_that_of_the_likelihood():
    """EM: the mean gradient over 40 000 states equals that of -log of the mixture, at 5 s.e."""
    logits = torch.tensor([[0.3, -0.5], [-0.4, 0.9]], dtype=torch.float64, requires_grad=True)
    latent = FiniteLatent(torch.arange(2))

    def student(x_t, t, latents):  # (B, L, D, 2)
        chosen = logits[latents.long()]
        both = torch.stack([chosen, torch.zeros_like(chosen)], -1).log_softmax(-1)
        return DenseMixture(both, torch.zeros(latents.shape[1]).log_softmax(0))

    count = 40_000
    kept = KeptLatent(pool=2, states=count, start_share=1.0)
    objective = objective_on(MaskedProcess(2), replace(ALONE, kept=kept, stratified=True))
    sampler = replace(objective._teacher, latent=latent, stratified=True)  # the pool is 0 and 1
    loss = KeptLatentLoss(kept, ALONE.times, sampler, student)
    x_0 = torch.tensor([0, 1]).expand(1, count, -1)
    found = torch.autograd.grad(loss(x_0, seeded()).sum(), logits)[0]
    p = torch.sigmoid(logits)
    exactly = torch.autograd.grad(-(p[:, 0] * (1 - p[:, 1])).mean().log(), logits)[0]
    # A latent is drawn or not: each entry is a mean of numbers between -1 and 1.
    torch.testing.assert_close(found, exactly, atol=5 / math.sqrt(count) / 2, rtol=0)
    assert float(exactly.abs().min()) > 0.05


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_share_of_the_states_at_the_horizon(share):
    seen = []

    def spy(x_t, t, latents):
        seen.append((x_t, t, latents))
        return loss.student(x_t, t, latents)

    loss = loss_of(MaskedProcess(2), KeptLatent(pool=3, states=8, start_share=share))
    replace(loss, student=spy)(STATES[:2, None].expand(-1, 8, -1), seeded())
    (_, start_times, pool), (x_t, t, latents) = seen
    assert start_times.tolist() == [1, 1]
    assert pool.shape == (2, 3)
    assert x_t.shape == (16, 1, 2)
    assert latents.shape == (16, 1)
    assert int((t == 1).sum()) == 16 * share
    assert bool((x_t[t == 1] == 2).all())


def test_two_calls_with_a_kept_latent_obey_the_bound():
    r"""-log P(x_0) <= KL(pi || prior) - E_pi log P_lambda, and equality for the path's own pi."""
    process, middle = MaskedProcess(2), 0.5

    def path_law(latent):
        """Two calls with the same latent, at t = 1 and 1/2, summed over all paths."""
        first, law = component([2, 2], 1.0, latent), [0.0] * 4
        for p_first, x_0 in zip(first, STATES.tolist(), strict=True):
            for pattern in STATES.tolist():  # which bits the first call shows
                shown = math.prod(1 - middle if one else middle for one in pattern)
                x_t = [value if one else 2 for value, one in zip(x_0, pattern, strict=True)]
                for index, p in enumerate(component(x_t, middle, latent)):
                    law[index] += p_first * shown * p
        return torch.tensor(law, dtype=torch.float64)

    paths = torch.stack([path_law(one) for one in SUPPORT])
    total = -paths.mean(0).log()
    ours = torch.tensor([component([2, 2], 1.0, one) for one in SUPPORT]).double()
    for weights, tight in ((ours, False), (paths, True)):
        pi = weights / weights.sum(0)
        bound = (pi * (pi / 0.5).log()).sum(0) - (pi * paths.log()).sum(0)
        assert bool((bound >= total - 1e-12).all())
        assert (float((bound - total).max()) < 1e-12) == tight

    start = torch.full((40_000, 2), 2)
    policy = LatentPolicy("fixed", law=FiniteLatent(SUPPORT))
    grid = torch.tensor([0.0, middle, 1.0])
    drawn = ancestral(
        process, student_log_probs, start, grid, latent=policy, generator=seeded()
    ).samples
    assert p_value(drawn, paths.mean(0), 2) > P_VALUE


@pytest.mark.parametrize("process", PROCESSES, ids=["mask", "uniform"])
def test_the_loss_is_a_term_of_the_objective(process):
    """Nothing else has a weight: pool, states and distillation alone call the student."""
    kept = KeptLatent(pool=4, states=6, weight=0.5)
    calls, seen = [], []
    rule = SeparateDistillation(0.1, weight=1.0)
    recipe = replace(ALONE, kept=kept, distillation=rule)
    objective = objective_on(process, recipe)

    def spy(x_t, t, latents):
        calls.append((tuple(x_t.shape), torch.is_grad_enabled()))
        seen.append(latents)
        return objective.student(x_t, t, latents)

    x_0 = STATES[:3]
    found = replace(objective, student=spy)(x_0, generator=seeded())
    assert found.loss.shape == (3,)
    assert torch.equal(found.loss, found.terms["kept"] + found.terms["distillation"])
    assert bool((found.terms["kept"] > 0).all())
    pool, states, distilled = ((3, 4, 2), False), ((18, 1, 2), True), ((6, 1, 2), True)
    assert calls == [pool, states, distilled]
    drawn = objective.draw(x_0, generator=seeded()).latents
    assert torch.equal(seen[2], drawn.flatten()[:, None])  # at small times latents are independent
    double = objective_on(process, replace(recipe, kept=replace(kept, weight=1.0)))
    other = double(x_0, generator=seeded())
    torch.testing.assert_close(other.terms["kept"], 2 * found.terms["kept"])


def test_small_times_are_distilled_on_the_same_data():
    """Data of the class, not the one x_0 of the example: here all ones, not zeros."""
    recipe = replace(ALONE, kept=KeptLatent(4, 6), distillation=SeparateDistillation(0.1))
    objective, states = objective_on(MaskedProcess(2), recipe), []

    def spy(x_t, t, latents):
        states.append(x_t)
        return objective.student(x_t, t, latents)

    atoms = torch.ones(1, 6, 2, dtype=torch.long)
    replace(objective, student=spy)(STATES[:1], generator=seeded(), start_atoms=atoms)
    assert 1 in states[-1]
    assert 0 not in states[-1]


def test_an_example_does_not_depend_on_its_batch():
    objective = objective_on(MaskedProcess(2), replace(ALONE, kept=KeptLatent(4, 6)))
    atoms = torch.stack([STATES.roll(k, 0) for k in range(3)]).repeat(1, 2, 1)

    def losses(rows):
        generators = SampleGenerators(0, rows, "test")
        rows = list(rows)
        return objective(STATES[rows], generator=generators, start_atoms=atoms[rows]).loss

    torch.testing.assert_close(losses(range(3))[1:2], losses(range(1, 2)), rtol=0, atol=1e-12)


def test_a_fixed_coordinate_is_neither_noised_nor_counted():
    kept = KeptLatent(pool=4, states=50, start_share=0.5)
    objective = objective_on(MaskedProcess(2), replace(ALONE, kept=kept))
    x_0 = torch.tensor([[0, 1]])
    every = objective(x_0, generator=seeded(), fixed=torch.tensor([[True, True]]))
    assert float(every.terms["kept"]) == 0.0
    some = objective(x_0, generator=seeded(), fixed=torch.tensor([[True, False]]))
    assert float(some.terms["kept"]) > 0


def test_an_atom_that_no_component_gives_keeps_all_latents():
    def impossible(x_t, t, latents):
        logs = torch.tensor([0.0, -torch.inf]).expand(*x_t.shape, 2)
        return DenseMixture(logs, torch.zeros(x_t.shape[1]).log_softmax(0))

    loss = replace(loss_of(MaskedProcess(2), KeptLatent(64, 100)), student=impossible)
    found = loss.latents(torch.ones(1, 100, 2, dtype=torch.long), seeded())
    assert len(found.unique()) == 2


def test_the_recipe_says_which_sampler_and_how_many_data_belong_to_it():
    assert RECIPE.redraw == LatentPolicy().redraw == "per_step"
    assert replace(ALONE, kept=KeptLatent(states=7)).data_atoms == 7
    assert replace(ALONE, start=StartTerm(atoms=9, data_weight=1.0)).data_atoms == 9
    assert replace(ALONE, start=StartTerm(atoms=9)).data_atoms == ALONE.data_atoms == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pool": 0}, "pool must be at least 1; got 0"),
        ({"states": 0}, "states must be at least 1; got 0"),
        ({"start_share": 1.5}, "start_share must lie in [0, 1]; got 1.5"),
        ({"weight": 0.0}, "weight must lie in (0, inf); got 0.0: use kept=None for no loss"),
    ],
)
def test_wrong_settings_are_refused(change, message):
    assert_refused(lambda: KeptLatent(**change), re.escape(message))


def test_two_losses_for_data_at_the_start_are_refused():
    start = StartTerm(data_weight=1.0)
    assert_refused(
        lambda: replace(ALONE, start=start, kept=KeptLatent()),
        "start.data_weight must be 0 with kept, which trains data at the start as well; got 1.0",
    )


def test_another_sampler_is_refused():
    assert_refused(lambda: replace(RECIPE, kept=KeptLatent()), "redraw must be 'fixed' with kept;")


def test_states_without_data_are_refused():
    """A latent belongs to an x_0, and generated states have none."""
    recipe = replace(ALONE, kept=KeptLatent())
    message = "reference_steps = 2 generates x_t without an x_0, .* kept is KeptLatent"
    assert_refused(lambda: objective_on(MaskedProcess(2), recipe, reference_steps=2), message)


def test_too_few_atoms_are_refused():
    objective = objective_on(MaskedProcess(2), replace(ALONE, kept=KeptLatent(4, 6)))
    assert_refused(
        lambda: objective(STATES[:1], start_atoms=STATES[None]),
        "start_atoms must hold 6 atoms, one for each state of the recipe; got 4",
    )
