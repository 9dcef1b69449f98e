"""The mask may be any state. Relabelling the states relabels laws, losses and samples."""

from dataclasses import replace

import pytest
import torch

from di4c import (
    IMAGENET,
    OPENWEBTEXT,
    Di4CObjective,
    ExactDenoiser,
    FromLogits,
    LatentPolicy,
    LogitsTransform,
    MaskedProcess,
    TableDenoiser,
    Target,
    UniformLatent,
    ancestral,
    as_mixture,
    confidence_sampling,
    exact,
    prior_samples,
    tau_leaping,
)
from di4c.exact.composition import mixture_composition, product_composition
from di4c.exact.quadrature import mixture_quadrature
from di4c.schedules import CosineSchedule
from di4c.start_term import StartTerm
from di4c.teacher_steps import ConfidenceTeacher

NUM_VALUES, NUM_DIMS, NUM_LATENTS = 3, 2, 4
LAST = MaskedProcess(NUM_VALUES, CosineSchedule())
GRID = [0.0, 0.3, 0.7, 1.0]


def moved(mask_state):
    """The same process with the mask at another place, and the new label of each old state."""
    process = MaskedProcess(NUM_VALUES + 1, CosineSchedule(), mask_state=mask_state)
    return process, torch.cat([process.values, torch.tensor([mask_state])])


def law(seed=0):
    weights = torch.rand(NUM_VALUES**NUM_DIMS, dtype=torch.float64, generator=seeded(seed))
    return weights / weights.sum()


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def relabelled(over_states, labels, axes):
    """A tensor with axes of states in the order of the new labels."""
    for axis in axes:
        over_states = torch.empty_like(over_states).index_copy_(axis, labels, over_states)
    return over_states


def table(process, labels):
    """The same random denoiser with latents for every place of the mask."""
    size = (NUM_VALUES + 1) ** NUM_DIMS
    shape = (NUM_LATENTS, size, NUM_DIMS, NUM_VALUES)
    logits = 2 * torch.randn(shape, dtype=torch.float64, generator=seeded(3))
    log_probs = torch.nn.functional.pad(logits.log_softmax(-1), (0, 1), value=-torch.inf)
    log_probs = relabelled(log_probs, labels, [-1])
    cube = log_probs.unflatten(1, (NUM_VALUES + 1,) * NUM_DIMS)
    cube = relabelled(cube, labels, range(1, 1 + NUM_DIMS))
    return TableDenoiser(cube.flatten(1, NUM_DIMS), process.num_states)


def over_states(process, denoiser):
    """The denoiser with probabilities of all states, as the table has them."""
    return lambda *x: process.over_states(denoiser(*x).exp()).log()


def of_uniform_latent(denoiser):
    """The denoiser with a latent in [0, 1) instead of an index."""
    return lambda x, t, latent: denoiser(x, t, (latent * NUM_LATENTS).long())


@pytest.fixture(params=[0, 1, 2, 3])
def case(request):
    return moved(request.param)


def test_the_kernel_is_the_relabelled_kernel(case):
    process, labels = case
    torch.testing.assert_close(
        process.transition(0.2, 0.7), relabelled(LAST.transition(0.2, 0.7), labels, [0, 1])
    )
    torch.testing.assert_close(process.prior(), relabelled(LAST.prior(), labels, [0]))
    assert process.values.tolist() == labels[:-1].tolist()


def test_the_exact_engine_is_relabelled(case):
    process, labels = case
    shape = (NUM_VALUES + 1,) * NUM_DIMS
    for s, t in ((0.0, 0.4), (0.4, 1.0)):
        old = exact.posterior_marginals(LAST, law(), s, t).unflatten(0, shape)
        new = exact.posterior_marginals(process, law(), s, t).unflatten(0, shape)
        torch.testing.assert_close(new, relabelled(old, labels, [*range(NUM_DIMS), -1]))
    partly = product_composition(LAST, law(), GRID[1:]).reshape(shape)
    torch.testing.assert_close(
        product_composition(process, law(), GRID[1:]).reshape(shape),
        relabelled(partly, labels, range(NUM_DIMS)),
    )
    # At time 0 only values are left, and they keep their order.
    torch.testing.assert_close(
        product_composition(process, law(), GRID), product_composition(LAST, law(), GRID)
    )


def test_mixture_laws_are_relabelled(case):
    process, labels = case
    latents = torch.arange(NUM_LATENTS)
    start = [exact.product_law(p.prior().expand(NUM_DIMS, -1)) for p in (LAST, process)]
    old = mixture_composition(LAST, table(*moved(NUM_VALUES)), GRID, start[0], latents)
    denoiser = table(process, labels)
    new = mixture_composition(process, denoiser, GRID, start[1], latents)
    torch.testing.assert_close(new, old)
    # Later steps give the points to the states in another order, so only one step is compared.
    one_step, old, new = [0.0, 1.0], table(*moved(NUM_VALUES)), denoiser
    torch.testing.assert_close(
        mixture_quadrature(process, as_log_probs(new), one_step, start[1], latents, 64),
        mixture_quadrature(LAST, as_log_probs(old), one_step, start[0], latents, 64),
    )


def as_log_probs(denoiser):
    network = as_mixture(denoiser)
    return lambda x, t, latents: network(x, t, latents).log_probs


def samples_of(process, labels, sampler):
    denoiser = of_uniform_latent(table(process, labels))
    start = prior_samples(process, 50, NUM_DIMS)
    options = {"latent": LatentPolicy(law=UniformLatent()), "generator": seeded(5)}
    if sampler == "confidence":
        return confidence_sampling(process, denoiser, start, 2, **options).samples
    return ancestral(process, denoiser, start, GRID, last=sampler, **options).samples


@pytest.mark.parametrize("sampler", ["sample", "argmax", "confidence"])
def test_samples_with_the_same_seed_are_relabelled(case, sampler):
    process, labels = case
    old = samples_of(*moved(NUM_VALUES), sampler)
    assert samples_of(process, labels, sampler).equal(labels[old])
    assert len(old.unique(dim=0)) > 3  # the samples differ, so the comparison says something


def test_reverse_rates_are_relabelled(case):
    """Tau-leaping draws a jump or none from one law, in which the mask stands for none."""
    process, labels = case
    probs = torch.rand(4, NUM_VALUES + 1, dtype=torch.float64, generator=seeded(4))
    probs[:, -1] = 0
    x_t, new = torch.arange(NUM_VALUES + 1), relabelled(probs, labels, [-1])
    torch.testing.assert_close(
        process.reverse_rates(new, labels[x_t], 0.5),
        relabelled(LAST.reverse_rates(probs, x_t, 0.5), labels, [-1]),
    )
    denoiser = of_uniform_latent(table(process, labels))
    start, latent = prior_samples(process, 50, NUM_DIMS), LatentPolicy(law=UniformLatent())
    found = tau_leaping(process, denoiser, start, GRID, jumps="single", latent=latent)
    assert not bool((found.samples == process.mask_state).any())


RECIPES = {
    "imagenet": replace(IMAGENET, num_latents=3),
    "confidence": replace(IMAGENET, num_latents=3, teacher_move=ConfidenceTeacher()),
    "openwebtext": replace(OPENWEBTEXT, num_latents=3),
    "start": replace(IMAGENET, num_latents=3, start=StartTerm(atoms=3, data_weight=1.0)),
}


@pytest.mark.parametrize("name", RECIPES)
def test_losses_with_the_same_seed_stay(case, name):
    process, labels = case
    x_0 = exact.states(NUM_DIMS, NUM_VALUES)

    def loss(process, labels):
        objective = Di4CObjective(
            process,
            student=as_mixture(of_uniform_latent(table(process, labels))),
            teacher=as_mixture(over_states(process, ExactDenoiser(process, law()))),
            recipe=RECIPES[name],
        )
        return objective(labels[x_0], generator=seeded(7))

    old, new = loss(*moved(NUM_VALUES)), loss(process, labels)
    torch.testing.assert_close(new.terms, old.terms)
    assert float(old.loss.abs().min()) > 0


@pytest.mark.parametrize("carry_over", [False, True])
def test_logits_over_all_states(case, carry_over):
    process, labels = case
    logits = torch.randn(5, NUM_DIMS, NUM_VALUES + 1, generator=seeded(1))
    x_t = torch.randint(NUM_VALUES + 1, (5, NUM_DIMS), generator=seeded(2))
    t = torch.rand(5, dtype=torch.float64)

    def found(process, labels):
        new = relabelled(logits, labels, [-1])
        options = {"mask_state": process.mask_state, "carry_over": carry_over}
        return FromLogits(lambda *_: new, **options)(labels[x_t], t).exp()

    old = torch.nn.functional.pad(found(*moved(NUM_VALUES)), (0, 1))
    new = found(process, labels)
    torch.testing.assert_close(process.over_states(new), relabelled(old, labels, [-1]))
    transform = LogitsTransform.subs(labels[x_t], process.mask_state)
    assert bool((transform.log_probs(logits[:, None])[..., process.mask_state] == -torch.inf).all())
    Target.from_samples(labels[x_t][:, None], process.over_states(new).log())


def test_a_space_that_is_summed_in_parts_may_have_its_mask_first():
    """Seven bits have 3^7 states, more than one matrix product takes."""
    law = torch.rand(2**7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    law /= law.sum()
    last, first = (
        product_composition(process, law, [0.0, 0.3, 0.6, 1.0])
        for process in (MaskedProcess(2), MaskedProcess(3, mask_state=0))
    )
    torch.testing.assert_close(first, last)


def test_laws_over_values_are_refused_where_the_mask_is_not_last():
    process, _ = moved(1)
    values = torch.full((2, NUM_DIMS, NUM_VALUES), 1 / NUM_VALUES)
    start = prior_samples(process, 2, NUM_DIMS)
    with pytest.raises(ValueError, match=r"\(2, 2, 4\); got \(2, 2, 3\): return all states"):
        ancestral(process, lambda *_: values.log(), start, [0.0, 1.0])
    with pytest.raises(ValueError, match=r"must have the 4 states .*; got 3: return"):
        process.reverse_step(values, start, 0.0, 1.0)


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: MaskedProcess(4, mask_state=4), ValueError, r"0\.\.3; got 4: count the mask"),
        (lambda: MaskedProcess(4, mask_state=-1), ValueError, "mask_state .* got -1"),
        (
            lambda: MaskedProcess(2, mask_state=0),
            ValueError,
            "num_states must be at least 3; got 2",
        ),
        (lambda: MaskedProcess(), TypeError, "num_values alone, or num_states together"),
        (lambda: MaskedProcess(num_states=4), TypeError, "num_values alone, or num_states"),
        (lambda: MaskedProcess(num_values=4, mask_state=1), TypeError, "together with mask_state"),
    ],
)
def test_the_sizes_of_a_masked_process(make, error, match):
    with pytest.raises(error, match=match):
        make()


def test_both_ways_to_give_the_sizes():
    given = MaskedProcess(num_states=5, mask_state=4)
    assert given.transition(0.0, 0.5).equal(MaskedProcess(num_values=4).transition(0.0, 0.5))
    assert MaskedProcess(5, mask_state=2).num_values == 4
