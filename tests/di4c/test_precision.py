"""Half precision: what came from it is judged by its rounding, and sums are in float32."""

from dataclasses import replace

import pytest
import torch

from di4c import (
    IMAGENET,
    OPENWEBTEXT,
    DenseMixture,
    Di4CObjective,
    HeadMixture,
    LinearHead,
    MaskedProcess,
    StartTerm,
    Target,
    ancestral,
    as_mixture,
    data_loss,
    distillation_loss,
    exact_step,
    prior_samples,
)
from di4c.confidence import confidence_step
from di4c.diagnostics import mixture_atoms
from di4c.latents import uniform_log_weights
from tests.helpers.refusals import assert_refused

HALF = [torch.bfloat16, torch.float16]
BATCH, LATENTS, DIMS, STATES = 3, 4, 40, 600
PROCESS = MaskedProcess(STATES)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("where", ["mixture", "atoms", "confidence"])
def test_draws_keep_the_mass_of_many_unlikely_states(dtype, where, monkeypatch):
    """50,000 states have 2e-8 each, which is 0 in float16."""
    law = torch.full((50_001,), 2e-8)
    law[0] = 1 - 1e-3
    logs, weight = law.log().to(dtype).expand(1, 1, 1, -1), uniform_log_weights(1)
    drawn_from = []

    def record(probs, *_args, **_kwargs):
        drawn_from.append(probs.double())
        return torch.zeros(probs.shape[:-1], dtype=torch.long)

    if where == "mixture":
        monkeypatch.setattr("di4c.likelihood.mixture.categorical", record)
        DenseMixture(logs, weight).draw()
    elif where == "atoms":
        monkeypatch.setattr("di4c.diagnostics.invert", record)
        mixture_atoms(logs, weight, 1)
    else:
        monkeypatch.setattr("di4c.confidence.categorical", record)
        masked, one = torch.ones(1, 1, dtype=torch.bool), torch.ones(1, dtype=torch.long)
        confidence_step(logs[0], masked.long(), masked, one, one.double())
    assert float(drawn_from[0][..., 1:].sum()) == pytest.approx(1e-3, rel=0.05)


def log_probs(dtype, latents=LATENTS, spread=1e-3):
    """Log-probabilities. Nearly equal ones round in the same direction, which their sum shows."""
    logits = torch.randn(BATCH, latents, DIMS, STATES, generator=seeded(latents)) * spread
    return logits.log_softmax(-1).to(dtype)


def sums_to_one(tensor):
    return bool(((tensor.double().exp().sum(-1) - 1).abs() < 1e-3).all())


def network(dtype, seed):
    """A network that works and answers in half precision, as `model.to(dtype)` does."""
    logits = torch.randn(STATES + 1, STATES, generator=seeded(seed)) / 1000

    def denoiser(x_t, t, latent):
        shift = 0 if latent is None else latent[:, None, None] * logits[3]
        return (logits[x_t] + shift).to(dtype).log_softmax(-1).to(dtype)

    return denoiser


BASE = replace(IMAGENET, num_latents=3, teacher_move=exact_step)
RECIPES = {
    "imagenet": BASE,
    "openwebtext": replace(OPENWEBTEXT, num_latents=3),
    "start": replace(BASE, start=StartTerm(atoms=3, data_weight=1.0)),
}


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("latents", [0, 3])
def test_networks_in_half_precision_are_trained(name, dtype, latents):
    """A student and a teacher, also one with latents, whose laws sum to 1 only roughly."""
    recipe = RECIPES[name]
    objective = Di4CObjective(
        PROCESS,
        as_mixture(network(dtype, 1)),
        as_mixture(network(dtype, 2)),
        recipe,
        teacher_latents=latents and recipe.num_atoms,
    )
    loss = objective(torch.randint(STATES, (4, 6), generator=seeded()), generator=seeded()).loss
    assert loss.dtype in (torch.float32, torch.float64)
    assert bool(loss.isfinite().all())


@pytest.mark.parametrize("dtype", HALF)
def test_a_sampler_takes_half_precision(dtype):
    ancestral(PROCESS, network(dtype, 1), prior_samples(PROCESS, 5, 6), [0.0, 0.5, 1.0])


@pytest.mark.parametrize("dtype", HALF)
def test_values_made_from_half_precision_keep_its_tolerance(dtype):
    """By hand, without the objective: from float32 numbers that were rounded, or mixed."""
    one, several = log_probs(dtype, 1), log_probs(dtype)
    mixture = DenseMixture(several, uniform_log_weights(LATENTS))
    if dtype == torch.bfloat16:
        assert not sums_to_one(one)
        assert not sums_to_one(mixture.log_marginals())
    samples = torch.zeros(BATCH, 1, DIMS, dtype=torch.long)
    Target.from_samples(samples, one[:, 0].float())
    Target.from_samples(samples, one[:, 0].double())
    Target.from_samples(samples, mixture.log_marginals(), precision=mixture.precision)
    if dtype == torch.bfloat16:  # numbers that tell nothing of where they come from
        odd = mixture.log_marginals() + 1e-6
        Target.from_samples(samples, odd, precision=mixture.precision)
        assert_refused(lambda: Target.from_samples(samples, odd), "log_marginals must be log-prob")
    Target.from_mixture(mixture, seeded())
    DenseMixture(one.float(), uniform_log_weights(1))
    weights = torch.tensor([0.3, 0.3, 0.4]).log().to(dtype)
    Target.from_mixture(DenseMixture(log_probs(dtype, 3), weights), seeded())


def test_values_of_full_precision_keep_their_tolerance():
    wrong = log_probs(torch.float32, 1)[:, 0] + 0.01  # sums to 1.01
    samples = torch.zeros(BATCH, 1, DIMS, dtype=torch.long)
    assert_refused(
        lambda: Target.from_samples(samples, wrong), "sum to 1.01.*log_softmax.*bfloat16"
    )
    assert_refused(
        lambda: Target.from_samples(samples, wrong + 0.1, precision=torch.bfloat16), "sum to 1.11"
    )


def test_values_that_round_up_are_not_taken_for_rounded_ones():
    log_halves = torch.full((1, 1, 2), -0.7)  # the next number of bfloat16 is -0.699
    samples = torch.zeros(1, 1, 1, dtype=torch.long)
    assert_refused(lambda: Target.from_samples(samples, log_halves), "sum to 0.993")
    Target.from_samples(samples, torch.full((1, 1, 2), -11 / 16))  # of bfloat16; the sum is 1.0057


def wide(mixture):
    """The same numbers in float64."""
    if isinstance(mixture, DenseMixture):
        return replace(mixture, log_probs=mixture.log_probs.double(), validate=False)
    head = LinearHead(mixture.head.weight.double())
    return replace(mixture, hidden=mixture.hidden.double(), head=head)


def head_mixture(dtype):
    hidden = torch.randn(BATCH, LATENTS, DIMS, 32, generator=seeded(1)).to(dtype)
    weight = (torch.randn(STATES, 32, generator=seeded(2)) / 6).to(dtype)
    return HeadMixture(hidden, LinearHead(weight), uniform_log_weights(LATENTS))


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("kind", ["dense", "head"])
def test_sums_are_in_float32(kind, dtype):
    """Against float64 on the same numbers. Sums in half precision miss this by a factor of 100."""
    weights = uniform_log_weights(LATENTS)
    mixture = (
        DenseMixture(log_probs(dtype, spread=0.5), weights)
        if kind == "dense"
        else head_mixture(dtype)
    )
    atoms = torch.randint(STATES, (BATCH, 2, DIMS), generator=seeded(3))
    teacher = torch.randn(BATCH, DIMS, STATES, generator=seeded(4)).log_softmax(-1)

    def losses(mixture):
        target = Target.from_samples(atoms, teacher)
        return torch.stack(
            [
                *data_loss(mixture, target),
                data_loss(mixture, target, control_variate=False).total,
                distillation_loss(mixture, teacher),
                mixture.log_marginals().sum((1, 2)),
            ]
        )

    found, expected = losses(mixture), losses(wide(mixture))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), expected.double(), rtol=2e-5, atol=2e-3)


def test_validate_false_reaches_every_check():
    """Networks whose laws sum to 2, in every term, in the sampler and in the target."""

    def wrong(x_t, t, latent):
        return network(torch.float32, 1)(x_t, t, latent) + torch.log(torch.tensor(2.0))

    x_0 = torch.randint(STATES, (4, 6), generator=seeded())
    for recipe in RECIPES.values():
        for latents in (0, recipe.num_atoms):
            quiet = as_mixture(wrong, validate=False)
            Di4CObjective(PROCESS, quiet, quiet, recipe, teacher_latents=latents, validate=False)(
                x_0, generator=seeded()
            )
            loud = as_mixture(wrong)
            assert_refused(
                lambda loud=loud, recipe=recipe: Di4CObjective(PROCESS, loud, loud, recipe)(x_0),
                "log_probs must be log-probabilities; .* sum to 2: apply log_softmax",
            )
    ancestral(PROCESS, wrong, prior_samples(PROCESS, 5, 6), [0.0, 1.0], validate=False)
    times = torch.ones(4, dtype=torch.float64), torch.ones(4, dtype=torch.float64)
    quiet = as_mixture(network(torch.float32, 1), validate=False)
    Di4CObjective(PROCESS, quiet, quiet, RECIPES["openwebtext"], validate=False).draw(
        x_0, times=times
    )
