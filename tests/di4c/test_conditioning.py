"""Given coordinates and padding: never noised, never counted, and conditioned on where given."""

from dataclasses import replace

import pytest
import torch

from di4c import (
    IMAGENET,
    OPENWEBTEXT,
    ConfidenceTeacher,
    Di4CObjective,
    DistillationBelow,
    ExactDenoiser,
    FiniteLatent,
    HeadMixture,
    LatentPolicy,
    LinearHead,
    LogitsTransform,
    MaskedProcess,
    SeparateDistillation,
    StartTerm,
    TableDenoiser,
    UniformProcess,
    Weight,
    ancestral,
    as_mixture,
    confidence_sampling,
    exact,
    exact_step,
    hybrid,
    prior_samples,
    tau_leaping,
)
from di4c.confidence import teacher_step
from di4c.latents import uniform_log_weights
from tests.helpers.goodness_of_fit import P_VALUE, p_value

VALUES, DIMS, LATENTS = 2, 3, 4
PROCESS = MaskedProcess(VALUES + 1, mask_state=1)  # the values are 0 and 2
MASK = 1
GRID = [0.0, 0.4, 1.0]
GIVEN = 2  # the state of the middle coordinate, which is fixed
FIXED = torch.tensor([[False, True, False]])


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def data_law():
    weights = torch.rand(VALUES**DIMS, dtype=torch.float64, generator=seeded(1)) ** 2
    return weights / weights.sum()


def conditional_law():
    """The law of the outer two coordinates given the middle one, by enumeration."""
    slice_ = data_law().reshape((VALUES,) * DIMS)[:, 1]  # value 1 is state 2
    return (slice_ / slice_.sum()).flatten()


def prompt(rows):
    start = prior_samples(PROCESS, rows, DIMS)
    start[:, 1] = GIVEN
    return start


def random_table():
    shape = (LATENTS, (VALUES + 1) ** DIMS, DIMS, VALUES + 1)
    logits = 2 * torch.randn(shape, dtype=torch.float64, generator=seeded(2))
    return logits.index_fill(-1, torch.tensor([MASK]), -torch.inf).log_softmax(-1)


def reduced_table():
    """The same table for the outer coordinates, with the middle one given."""
    cube = random_table().unflatten(1, (VALUES + 1,) * DIMS)[:, :, GIVEN]
    return cube.flatten(1, 2)[:, :, [0, 2]]


def point_mass(x):
    law = torch.zeros((VALUES + 1,) * DIMS, dtype=torch.float64)
    law[tuple(x.tolist())] = 1
    return law.flatten()


def test_the_exact_sampler_with_a_prompt_has_the_conditional_law():
    """Composition on three coordinates, and on two with the conditional data law."""
    start = point_mass(prompt(1)[0])
    found = exact.mixture_composition(PROCESS, ExactDenoiser(PROCESS, data_law()), GRID, start)
    expected = exact.product_composition(PROCESS, conditional_law(), GRID)
    cube = found.reshape((VALUES,) * DIMS)
    torch.testing.assert_close(cube[:, 1].flatten(), expected)
    assert float(cube[:, 0].sum()) == 0
    fine = torch.linspace(0, 1, 129, dtype=torch.float64)
    law = exact.mixture_composition(PROCESS, ExactDenoiser(PROCESS, data_law()), fine, start)
    distance = exact.total_variation(
        law.reshape((VALUES,) * DIMS)[:, 1].flatten(), conditional_law()
    )
    assert float(distance) < 0.01


SAMPLERS = {
    "ancestral": lambda d, x, **o: ancestral(PROCESS, d, x, GRID, **o),
    "hybrid": lambda d, x, **o: hybrid(PROCESS, d, x, GRID, teacher=d, teacher_steps=1, **o),
    "tau-leaping": lambda d, x, **o: tau_leaping(PROCESS, d, x, [0.0, 1.0], jumps="single", **o),
    "confidence": lambda d, x, **o: confidence_sampling(PROCESS, d, x, 1, **o),
}


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_draws_the_conditional_law(name):
    count, denoiser = 4000, ExactDenoiser(PROCESS, data_law())
    fixed = FIXED.expand(count, -1)
    found = SAMPLERS[name](denoiser, prompt(count), fixed=fixed, generator=seeded(3))
    steps = GRID if name in ("ancestral", "hybrid") else [0.0, 1.0]
    law = exact.product_composition(PROCESS, conditional_law(), steps)
    assert bool((found.samples[:, 1] == GIVEN).all())
    assert p_value(found.samples[:, [0, 2]] // 2, law, VALUES) > P_VALUE
    # The law without the prompt is another one, so the test can fail.
    marginal = exact.product_composition(PROCESS, data_law().reshape(2, 2, 2).sum(1), steps)
    assert p_value(found.samples[:, [0, 2]] // 2, marginal, VALUES) < P_VALUE
    with pytest.raises(ValueError, match="start must hold values at fixed coordinates; got"):
        SAMPLERS[name](denoiser, prior_samples(PROCESS, 1, DIMS), fixed=FIXED)


@pytest.mark.parametrize("name", SAMPLERS)
def test_padding_stays_whatever_it_holds(name):
    start, valid = prior_samples(PROCESS, 6, DIMS), torch.ones(6, DIMS, dtype=torch.bool)
    valid[::2, 2] = False
    start[::2, 2] = torch.tensor([0, MASK, 2])
    found = SAMPLERS[name](ExactDenoiser(PROCESS, data_law()), start, valid=valid)
    assert found.samples[~valid].equal(start[~valid])
    assert not bool((found.samples[valid] == MASK).any())


def student_and_teacher(table, law):
    return {
        "student": as_mixture(TableDenoiser(table, VALUES + 1)),
        "teacher": as_mixture(ExactDenoiser(PROCESS, law)),
        "latent": FiniteLatent(torch.arange(LATENTS)),
    }


def test_the_losses_given_a_coordinate_are_those_of_the_conditional_problem():
    """At the horizon nothing but the order of the stratified latents is random."""
    recipe = replace(
        IMAGENET,
        num_latents=LATENTS,
        stratified=True,
        distillation=DistillationBelow(1.0, inclusive=True),
        data_weight=Weight(1.0, "constant"),
        data_marginal_weight=1.0,
    )
    x_0 = 2 * exact.states(2, 2)
    one = torch.ones(len(x_0), dtype=torch.float64)
    options = {"times": (one, one / 2), "generator": seeded()}
    reduced = Di4CObjective(
        PROCESS, recipe=recipe, **student_and_teacher(reduced_table(), conditional_law())
    )(x_0, **options)
    whole = torch.stack([x_0[:, 0], torch.full((len(x_0),), GIVEN), x_0[:, 1]], 1)
    found = Di4CObjective(
        PROCESS, recipe=recipe, **student_and_teacher(random_table(), data_law())
    )(whole, fixed=FIXED.expand(len(x_0), -1), **options)
    for name in ("distillation", "data_correlation", "data_marginal"):
        torch.testing.assert_close(found.terms[name], reduced.terms[name])
        assert float(found.terms[name].abs().min()) > 1e-3


BASE = replace(IMAGENET, num_latents=3, teacher_move=exact_step)
RECIPES = {
    "imagenet": BASE,
    "confidence": replace(BASE, teacher_move=ConfidenceTeacher()),
    "openwebtext": replace(OPENWEBTEXT, num_latents=3),
    "start": replace(BASE, start=StartTerm(atoms=3, data_weight=1.0)),
    "separate": replace(BASE, distillation=SeparateDistillation(0.1, last=0.5)),
    "generated": replace(BASE, data_weight=Weight(0.0), data_marginal_weight=0.0),
}


def random_network(process, seed, seen, dims=DIMS):
    """Logits that depend on the state, the time and the latent, with a head."""
    generator = seeded(seed)
    weight = torch.randn(process.num_states, 5, dtype=torch.float64, generator=generator)
    mix = torch.randn(dims, dims, 5, dtype=torch.float64, generator=generator)

    def network(x_t, t, latents):
        seen.append(x_t)
        hidden = torch.einsum("bld,deh->bleh", x_t.double(), mix) + t[:, None, None, None]
        if latents is not None:
            hidden = hidden + latents[..., None, None]
        excluded = () if process.mask_state is None else (process.mask_state,)
        weights = uniform_log_weights(x_t.shape[1])
        return HeadMixture(
            hidden.sin(), LinearHead(weight), weights, LogitsTransform(None, excluded)
        )

    return network


def restless(network, held, seed):
    """The network with other predictions at the coordinates that are held."""

    def noisy(x_t, t, latents):
        mixture = network(x_t, t, latents)
        rows = held.repeat_interleave(len(x_t) // len(held), 0)[:, None, :, None]
        noise = torch.randn(mixture.hidden.shape, dtype=torch.float64, generator=seeded(seed))
        return replace(mixture, hidden=torch.where(rows, noise, mixture.hidden))

    return noisy


CASES = [(name, PROCESS) for name in RECIPES]
CASES += [(name, UniformProcess(3)) for name in RECIPES if name != "confidence"]  # needs masks


@pytest.mark.parametrize(("name", "process"), CASES)
def test_what_is_held_is_neither_noised_nor_counted(name, process):
    x_0 = 2 * torch.randint(2, (5, DIMS), generator=seeded(4))
    held = torch.rand(5, DIMS, generator=seeded(5)) < 0.4
    masks = {"valid": ~held} if process.mask_state is None else {"fixed": held & FIXED}
    if process.mask_state is not None:
        masks["valid"] = ~(held & ~FIXED)
    seen, steps = [], 3 if name == "generated" else 0
    networks = [random_network(process, seed, seen) for seed in (6, 7)]

    def move(process, law, x_t, *times):
        seen.append(x_t)
        assert law.num_tokens.equal((~held).sum(1))
        return RECIPES[name].teacher_move(process, law, x_t, *times)

    def loss(student, teacher):
        recipe = replace(RECIPES[name], teacher_move=move)
        objective = Di4CObjective(process, student, teacher, recipe, reference_steps=steps)
        return objective(x_0, generator=seeded(8), **masks)

    found = loss(*networks)
    rows = [x.unflatten(0, (5, -1)) for x in seen]
    assert seen
    for x in rows:
        where = held[:, None, None].expand(x.shape)
        assert x[where].equal(x_0[:, None, None].expand(x.shape)[where])
    for seed in (9, 10):
        other = [restless(network, held, seed) for network in networks]
        torch.testing.assert_close(loss(*other).terms, found.terms)
    assert float(found.loss.detach().abs().max()) > 1e-3


def test_the_student_has_no_gradient_at_held_coordinates():
    leaf = torch.zeros(2, 1, DIMS, 3, dtype=torch.float64, requires_grad=True)
    seen = []

    def student(x_t, t, latents):
        mixture = random_network(PROCESS, 6, seen)(x_t, t, latents)
        return replace(mixture, hidden=mixture.hidden + torch.nn.functional.pad(leaf, (0, 2)))

    teacher = random_network(PROCESS, 7, seen)
    objective = Di4CObjective(PROCESS, student, teacher, BASE)
    objective(
        torch.tensor([[0, 2, 2]] * 2), fixed=FIXED.expand(2, -1), generator=seeded(1)
    ).loss.sum().backward()
    assert leaf.grad is not None
    assert not bool(leaf.grad[:, :, 1].any())


def test_a_confidence_step_counts_the_free_positions_only():
    """Half of the way of a linear schedule reveals half of four free positions, not of six."""
    x_t = torch.tensor([[0, 2, MASK, MASK, MASK, MASK]])
    log_probs = torch.tensor([0.5, 0.0, 0.5]).log().expand(1, 6, 3)
    options = {"schedule": "linear", "num_steps": 1, "generator": seeded()}
    x_u = teacher_step(
        log_probs, x_t, torch.zeros(1), 0.5, MASK, num_tokens=torch.tensor([4]), **options
    )
    assert int((x_u == MASK).sum()) == 2


def test_the_policy_of_latents_stays():
    """A mixture with a prompt: each step draws one latent for all free coordinates."""
    denoiser = TableDenoiser(random_table(), VALUES + 1)
    start, count = prompt(4000), 4000
    found = ancestral(
        PROCESS,
        denoiser,
        start,
        [0.0, 1.0],
        fixed=FIXED.expand(count, -1),
        latent=LatentPolicy(law=FiniteLatent(torch.arange(LATENTS))),
        generator=seeded(6),
    )
    masks = torch.zeros(9, dtype=torch.float64)
    masks[4] = 1  # both outer coordinates are masked
    law = exact.mixture_composition(
        PROCESS, TableDenoiser(reduced_table(), 3), [0.0, 1.0], masks, torch.arange(LATENTS)
    )
    assert p_value(found.samples[:, [0, 2]] // 2, law, VALUES) > P_VALUE
