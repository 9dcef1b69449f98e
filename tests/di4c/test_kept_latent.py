"""Latents of noisy states: against Bayes' rule on three components."""

from dataclasses import replace

import pytest
import torch

from di4c import OPENWEBTEXT, Di4CObjective, LatentPolicy, MaskedProcess, UniformProcess
from di4c.kept_latent import FirstCall
from di4c.latents import FiniteLatent
from di4c.likelihood import DenseMixture
from di4c.recipes import SeparateDistillation
from tests.helpers.refusals import assert_refused

PROCESS = MaskedProcess(3)
MASK = PROCESS.mask_state
COMPONENTS = torch.tensor(
    [
        [[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4]],
        [[0.1, 0.6, 0.3], [0.5, 0.25, 0.25], [0.3, 0.1, 0.6]],
        [[0.2, 0.2, 0.6], [0.0, 0.4, 0.6], [0.8, 0.1, 0.1]],
    ],
    dtype=torch.float64,
)
"""Laws of three coordinates given one of three latents."""

LATENT = FiniteLatent(torch.arange(3))


def student(x_t, t, latents):
    """Components that do not depend on x_t."""
    log_probs = COMPONENTS[latents.long()].log()
    return DenseMixture(
        log_probs, torch.full((latents.shape[1],), -float(latents.shape[1])).log_softmax(0)
    )


def first_call(start, pool=600):
    recipe = replace(OPENWEBTEXT, latent_pool=pool, stratified=True)
    generator = torch.Generator().manual_seed(0)
    return FirstCall.of(recipe, student, PROCESS, LATENT, start, generator=generator)


@pytest.mark.parametrize("state", [(MASK,) * 3, (0, MASK, MASK), (2, 1, MASK), (1, 0, 2)])
def test_latents_have_their_law_given_what_is_shown(state):
    """Stratified: the frequencies of 3000 draws are off by at most one in 3000 for each value."""
    x_t = torch.tensor([[state]])
    drawn = first_call(torch.full((1, 3), MASK)).latents_of(x_t, 3000, torch.Generator())
    assert drawn.shape == (1, 1, 3000)
    law = torch.ones(3, dtype=torch.float64)
    for place, value in enumerate(state):
        if value != MASK:
            law = law * COMPONENTS[:, place, value]
    found = drawn[0, 0].bincount(minlength=3) / 3000
    torch.testing.assert_close(found.double(), law / law.sum(), atol=2e-3, rtol=0)


def test_what_is_held_says_nothing_about_the_latent():
    """The second coordinate is a prompt: the student was given it, and did not draw it."""
    start = torch.tensor([[MASK, 0, MASK]])  # the third component cannot have this value
    drawn = first_call(start).latents_of(torch.tensor([[[MASK, 0, MASK]]]), 300, torch.Generator())
    assert drawn.flatten().bincount(minlength=3).tolist() == [100, 100, 100]


def test_a_state_that_no_component_shows_keeps_all_latents():
    start = torch.full((1, 3), MASK)
    call = first_call(start)
    impossible = torch.full_like(call.mixture.log_probs, -torch.inf)
    call = replace(call, mixture=replace(call.mixture, log_probs=impossible, validate=False))
    drawn = call.latents_of(torch.tensor([[[0, 0, 0]]]), 300, torch.Generator())
    assert drawn.flatten().bincount(minlength=3).tolist() == [100, 100, 100]


def test_the_objective_gives_each_state_its_latents():
    """Two components that are certain: every latent agrees with the state it is given."""
    certain = torch.eye(2, dtype=torch.float64)[:, None].expand(-1, 2, -1)
    process, seen = MaskedProcess(2), []

    def network(x_t, t, latents):
        seen.append((x_t, latents))
        log_probs = certain[latents.long()].log().clamp_min(-50)
        weights = torch.zeros(latents.shape[1]).log_softmax(0)
        return DenseMixture(log_probs.log_softmax(-1), weights)

    def teacher(x_t, t, latents):
        half = torch.full((*x_t.shape, 2), 0.5, dtype=torch.float64).log()
        return DenseMixture(half, torch.zeros(1))

    rule = SeparateDistillation(0.3)
    recipe = replace(OPENWEBTEXT, distillation=rule, num_latents=4, latent_pool=8, stratified=True)
    objective = Di4CObjective(process, network, teacher, recipe, FiniteLatent(torch.arange(2)))
    x_0 = torch.tensor([[0, 0], [1, 1]] * 20)
    objective(x_0, generator=torch.Generator().manual_seed(1))
    assert len(seen) > 2
    for x_t, latents in seen[1:]:  # the first call sees masks only
        shown = x_t != process.mask_state
        agrees = (x_t == latents[..., None]) | ~shown
        mixed = shown.all(-1) & (x_t[..., 0] != x_t[..., 1])  # the teacher draws both bits alone
        assert bool((agrees.all(-1) | mixed).all())
        assert bool(shown.any())


def test_the_recipe_says_which_sampler_belongs_to_it():
    assert OPENWEBTEXT.redraw == LatentPolicy().redraw == "per_step"
    assert replace(OPENWEBTEXT, latent_pool=4).redraw == "fixed"


def test_wrong_pools_are_refused():
    assert_refused(lambda: replace(OPENWEBTEXT, latent_pool=-1), "latent_pool must be >= 0; got -1")
    recipe = replace(OPENWEBTEXT, latent_pool=4)
    assert_refused(
        lambda: Di4CObjective(UniformProcess(3), student, student, recipe),
        "latent_pool must be 0 without a mask; got 4",
    )
