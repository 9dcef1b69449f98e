"""The terms of the objective against their exact expectations, and the laws of its draws."""

import itertools
import math
from dataclasses import replace

import pytest
import torch

from di4c import exact
from di4c.denoisers import ExactDenoiser, as_mixture
from di4c.latents import FiniteLatent
from di4c.objective import TERMS, Di4CObjective
from di4c.processes import MaskedProcess, UniformProcess
from di4c.recipes import DistillationBelow, FixedGap, Recipe, SeparateDistillation, Weight
from di4c.rng import SampleGenerators
from tests.helpers.goodness_of_fit import P_VALUE, p_value
from tests.helpers.two_bit_objective import LAW, SUPPORT, objective_on, student_log_probs


def _table(process, t):
    """The student's log-probabilities at t for every state and latent, (n, 2 latents, D, V)."""
    x = exact.states(2, process.num_states)
    times = torch.full((len(x),), t, dtype=torch.float64)
    return torch.stack([student_log_probs(x, times, z.expand(len(x))) for z in SUPPORT], 1)


def _exact_terms(process, s, t):
    """The expected terms for two latents at fixed times, by enumerating every random choice.

    Plain sums over states, batches of latents and atoms; no loss of the library is used.
    """
    q_t = exact.forward_law(process, LAW, t)
    x_0 = exact.states(2, process.num_values)
    posterior_0 = exact.posterior_marginals(process, LAW, 0.0, t)[..., : process.num_values]
    step = exact.product_kernel(exact.posterior_marginals(process, LAW, s, t))  # [x_t, x_u]
    joint = LAW[:, None] * exact.forward_kernel(process, 2, 0.0, t)[_clean(process)]  # [x_0, x_t]
    student_t, student_u = _table(process, t).exp(), _table(process, s).exp()
    terms = dict.fromkeys(TERMS, 0.0)
    for batch in itertools.product(range(2), repeat=2):
        p = student_t[:, list(batch)]  # (n, 2, D, V)
        mean = p.mean(1)
        atoms = p[:, :, 0, x_0[:, 0]] * p[:, :, 1, x_0[:, 1]]
        independent = mean[:, 0, x_0[:, 0]] * mean[:, 1, x_0[:, 1]]
        cost = -(atoms.mean(1) / independent).log()  # (n, atom)
        teacher_kl = torch.special.xlogy(posterior_0, posterior_0 / mean).sum((1, 2))
        terms["data_correlation"] += 0.25 * 0.5 * float((joint.T * cost).sum())
        terms["data_marginal"] += 0.25 * float((q_t * teacher_kl).sum())
        latent_kl = torch.special.xlogy(posterior_0[:, None], posterior_0[:, None] / p)
        terms["distillation"] += 0.25 * float((q_t * latent_kl.sum((2, 3)).mean(1)).sum())
        # Each of the two components of the target has its own x_u and its own latent.
        components = student_u.flatten(0, 1)  # (n * 2, D, V): pairs (x_u, latent)
        weight = (step[:, :, None] * torch.tensor([0.5, 0.5])).flatten(1)  # (n_t, pairs)
        law = weight @ (components[:, 0, x_0[:, 0]] * components[:, 1, x_0[:, 1]])
        terms["consistency_correlation"] += 0.25 * float((q_t[:, None] * law * cost).sum())
        pair_mean = (components[:, None] + components) / 2  # (pairs, pairs, D, V)
        for state, mass in enumerate(q_t.tolist()):
            divergence = torch.special.xlogy(pair_mean, pair_mean / mean[state]).sum((2, 3))
            value = weight[state] @ divergence @ weight[state]
            terms["consistency_marginal"] += 0.25 * mass * float(value)
    return terms


def _clean(process):
    """Which states have no mask."""
    return (exact.states(2, process.num_states) < process.num_values).all(1)


@pytest.mark.parametrize(
    ("process", "u", "t"),
    [
        (MaskedProcess(2), 0.3, 0.7),
        (UniformProcess(2), 0.25, 0.5),
        (MaskedProcess(2), 0.02, 0.05),
        (UniformProcess(2), 0.05, 0.09),
    ],
    ids=["masked", "uniform", "masked_distil", "uniform_distil"],
)
def test_the_mean_of_every_term_is_exact(process, u, t):
    """60 000 evaluations; a correct objective exceeds |z| = 5.5 with chance below 1e-6."""
    count = 60_000
    generator = torch.Generator().manual_seed(1)
    x_0 = exact.states(2, 2)[torch.multinomial(LAW, count, True, generator=generator)]
    times = tuple(torch.full((count,), x, dtype=torch.float64) for x in (t, u))
    result = objective_on(process)(x_0, generator=generator, times=times)
    expected = _exact_terms(process, u, t)
    off = ("distillation",) if t >= 0.1 else ("consistency_correlation", "consistency_marginal")
    for name, term in result.terms.items():
        if name in off:
            assert not term.any(), name
            continue
        error = float(term.std()) / math.sqrt(count)
        z = (float(term.mean()) - expected[name]) / max(error, 1e-12)
        assert abs(z) < 5.5, f"{name}: {float(term.mean())} against {expected[name]}, z = {z}"
    torch.testing.assert_close(result.loss, torch.stack(list(result.terms.values())).sum(0))


def test_separate_distillation_has_its_own_time():
    process, count = UniformProcess(2), 40_000
    generator = torch.Generator().manual_seed(2)
    recipe = Recipe(FixedGap(), Weight(), SeparateDistillation(0.08, weight=3.0), 2)
    x_0 = exact.states(2, 2)[torch.multinomial(LAW, count, True, generator=generator)]
    times = tuple(torch.full((count,), x, dtype=torch.float64) for x in (0.5, 0.25))
    result = objective_on(process, recipe)(x_0, generator=generator, times=times)
    term = result.terms["distillation"]
    expected = 3 * _exact_terms(process, 0.04, 0.08)["distillation"]
    z = (float(term.mean()) - expected) / (float(term.std()) / math.sqrt(count))
    assert abs(z) < 5.5
    assert result.terms["consistency_correlation"].any()


def test_without_control_variate_the_marginal_parts_are_0():
    recipe = Recipe(FixedGap(), Weight(), DistillationBelow(0.1), 2, control_variate=False)
    times = (torch.full((4,), 0.6), torch.full((4,), 0.4))
    terms = objective_on(UniformProcess(2), recipe)(exact.states(2, 2), times=times).terms
    assert not terms["data_marginal"].any()
    assert not terms["consistency_marginal"].any()


def test_x_t_can_follow_the_teachers_own_chain():
    """With reference steps x_t has the law of the teacher's samples (chi-square at 1e-6)."""
    process, steps, t = UniformProcess(2), 3, 0.4
    recipe = Recipe(FixedGap(), Weight(0.0), DistillationBelow(0.1), 2)
    objective = objective_on(process, recipe, reference_steps=steps)
    count = 100_000
    times = (torch.full((count,), t), torch.full((count,), 0.2))
    x_0 = torch.zeros(count, 2, dtype=torch.long)
    draws = objective.draw(x_0, generator=torch.Generator().manual_seed(5), times=times)
    grid = [1 + (float(times[0][0]) - 1) * k / steps for k in range(steps, -1, -1)]
    law = exact.mixture_composition(
        process, ExactDenoiser(process, LAW), grid, torch.full((4,), 0.25, dtype=torch.float64)
    )
    assert p_value(draws.x_t, law, 2) > P_VALUE
    noised = exact.forward_law(process, LAW, t)
    assert p_value(draws.x_t, noised, 2) < P_VALUE  # the law of the noised data is rejected


@pytest.mark.parametrize("stream", ["one generator", "one a sample"])
def test_states_of_separate_distillation_can_follow_the_teacher_too(stream):
    """The states of the distillation term have the law of the teacher's samples (at 1e-6)."""
    process, steps, time, count = UniformProcess(2), 2, 0.3, 20_000
    recipe = Recipe(FixedGap(), Weight(0.0), SeparateDistillation(time), 2)
    objective, seen = objective_on(process, recipe, reference_steps=steps), []

    def student(x_t, t, latents):
        seen.append(x_t)
        return as_mixture(student_log_probs)(x_t, t, latents)

    objective = replace(objective, student=student)
    generator = torch.Generator().manual_seed(6)
    if stream == "one a sample":
        count = 2_000
        generator = SampleGenerators(6, range(count))
    times = tuple(torch.full((count,), x, dtype=torch.float64) for x in (0.5, 0.25))
    objective(torch.zeros(count, 2, dtype=torch.long), generator=generator, times=times)
    grid = [1 + (time - 1) * k / steps for k in range(steps, -1, -1)]
    start = torch.full((4,), 0.25, dtype=torch.float64)
    law = exact.mixture_composition(process, ExactDenoiser(process, LAW), grid, start)
    (x,) = [x for x in seen if x.shape[1] == 1]  # the call with one state for each latent
    assert len(x) == 2 * count
    assert p_value(x[:, 0], law, 2) > P_VALUE
    assert p_value(x[:, 0], exact.forward_law(process, torch.eye(4)[0].double(), time), 2) < P_VALUE


def test_a_mixture_teacher_keeps_its_correlation():
    """A step to x_u uses one latent for all coordinates."""
    process, count = MaskedProcess(2), 50_000
    sure = torch.tensor([[0.99, 0.01], [0.01, 0.99]], dtype=torch.float64).log()

    def correlated(x_t, t, latent):
        return sure[latent.long()][:, None].expand(-1, 2, -1)  # both bits equal the latent

    recipe = Recipe(FixedGap(), Weight(0.0), DistillationBelow(0.0), 2)
    seen = []

    def student(x_t, t, latents):
        seen.append(x_t)
        return as_mixture(student_log_probs)(x_t, t, latents)

    objective = Di4CObjective(
        process,
        student,
        as_mixture(correlated),
        recipe,
        latent=FiniteLatent(torch.tensor([0.0, 1.0], dtype=torch.float64)),
        teacher_latents=2,
    )
    times = (torch.ones(count), torch.full((count,), 0.25))
    x_0 = torch.zeros(count, 2, dtype=torch.long)
    objective(x_0, generator=torch.Generator().manual_seed(0), times=times)
    x_u = seen[0].flatten(0, 1)
    both = x_u[(x_u < 2).all(1)]
    agree = float((both[:, 0] == both[:, 1]).double().mean())
    assert agree == pytest.approx(0.99**2 + 0.01**2, abs=0.005)
