"""What the choices of a recipe do to the objective: the parts of the data loss, and long jumps."""

import math
from dataclasses import replace

import pytest
import torch

from di4c import exact
from di4c.denoisers import ExactDenoiser, as_mixture
from di4c.latents import FiniteLatent
from di4c.objective import Di4CObjective
from di4c.processes import UniformProcess
from di4c.recipe_times import FixedRatio
from di4c.recipes import ConfidenceTeacher, Recipe, Weight
from tests.helpers.goodness_of_fit import P_VALUE, p_value
from tests.helpers.two_bit_objective import LAW, RECIPE, SUPPORT, objective_on, student_log_probs

TIMES = (torch.full((4,), 0.6, dtype=torch.float64), torch.full((4,), 0.4, dtype=torch.float64))


def seeded():
    return torch.Generator().manual_seed(3)


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("marginal_weight", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("data_weight", [0.0, 0.5])
def test_the_data_loss_has_the_parts_that_the_recipe_asks_for(split, marginal_weight, data_weight):
    """Written out in plain Python for each example, with the latents that the objective draws."""
    process, x_0 = UniformProcess(2), exact.states(2, 2)
    recipe = replace(
        RECIPE,
        data_weight=Weight(data_weight, "constant"),
        data_control_variate=split,
        data_marginal_weight=marginal_weight,
    )
    objective = objective_on(process, recipe)
    terms = objective(x_0, generator=seeded(), times=TIMES).terms
    draws = objective.draw(x_0, generator=seeded(), times=TIMES)
    teacher = ExactDenoiser(process, LAW)(draws.x_t, draws.t).exp().tolist()
    for b, x in enumerate(x_0.tolist()):
        rows = [
            student_log_probs(draws.x_t[b : b + 1], draws.t[:1], latent[None])[0].exp().tolist()
            for latent in draws.latents[b]
        ]
        mean = [[sum(r[d][v] for r in rows) / 2 for v in range(2)] for d in range(2)]
        cost = -math.log(sum(r[0][x[0]] * r[1][x[1]] for r in rows) / 2)
        if split:
            cost += math.log(mean[0][x[0]] * mean[1][x[1]])
        kl = sum(
            p * math.log(p / mean[d][v]) for d in range(2) for v, p in enumerate(teacher[b][d])
        )
        assert float(terms["data_correlation"][b]) == pytest.approx(data_weight * cost)
        assert float(terms["data_marginal"][b]) == pytest.approx(marginal_weight * kl)


@pytest.mark.parametrize("mixture", [False, True])
def test_a_jump_in_several_teacher_steps_follows_the_composition(mixture):
    """The x_u of one atom of each example: chi-square at 1e-6; one single step is rejected."""
    process, steps, count = UniformProcess(2), 3, 60_000
    seen = []

    def target(x_t, t, latents):
        seen.append(x_t[:, 0])
        return as_mixture(student_log_probs)(x_t, t, latents)

    recipe = replace(RECIPE, teacher_steps=steps, data_weight=Weight(0.0), data_marginal_weight=0.0)
    product = as_mixture(ExactDenoiser(process, LAW))
    latents = 2 if mixture else 0

    def mixture_teacher(x_t, t, latents):
        """The same product for every latent, in the form of a mixture."""
        assert latents is not None
        return product(x_t, t, None)

    objective = Di4CObjective(
        process,
        as_mixture(student_log_probs),
        mixture_teacher if mixture else product,
        recipe,
        latent=FiniteLatent(SUPPORT),
        target=target,
        teacher_latents=latents,
    )
    generator = seeded()
    x_0 = exact.states(2, 2)[torch.multinomial(LAW, count, True, generator=generator)]
    times = tuple(torch.full((count,), v, dtype=torch.float64) for v in (0.9, 0.1))
    terms = objective(x_0, generator=generator, times=times).terms
    assert not terms["data_correlation"].any()
    assert not terms["data_marginal"].any()
    start = exact.forward_law(process, LAW, 0.9)

    def law_after(num_steps):
        grid = [0.1 + 0.8 * k / num_steps for k in range(num_steps + 1)]
        return exact.product_composition(process, LAW, grid, start)

    assert p_value(seen[0], law_after(steps), 2) > P_VALUE
    assert p_value(seen[0], law_after(1), 2) < P_VALUE


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"teacher_steps": 0}, "teacher_steps must be at least 1; got 0"),
        (
            {"teacher_steps": 2, "teacher_move": ConfidenceTeacher()},
            "teacher_steps must be 1 for a teacher_move other than exact_step; got 2",
        ),
        ({"data_marginal_weight": -1.0}, r"data_marginal_weight must lie in \[0, inf\); got -1.0"),
        (
            {"data_marginal_weight": math.nan},
            r"data_marginal_weight must lie in \[0, inf\); got nan",
        ),
    ],
)
def test_choices_that_do_not_fit_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        replace(RECIPE, **change)


@pytest.mark.parametrize("ratio", [-0.1, 1.0, math.nan])
def test_a_ratio_of_times_lies_below_1(ratio):
    with pytest.raises(ValueError, match=r"ratio must lie in \[0, 1\)"):
        FixedRatio(ratio)


def test_by_default_the_data_loss_is_the_likelihood_alone():
    recipe = Recipe(FixedRatio(), Weight(1.0, "constant"), RECIPE.distillation, num_latents=2)
    assert not recipe.data_control_variate
    assert recipe.data_marginal_weight == 0.0
    terms = objective_on(UniformProcess(2), recipe)(exact.states(2, 2), times=TIMES).terms
    assert (terms["data_correlation"] > 0).all()
    assert not terms["data_marginal"].any()
