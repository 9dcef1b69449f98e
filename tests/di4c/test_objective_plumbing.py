"""What the objective passes on: weights, times, states, latents and the target network."""

from dataclasses import replace

import pytest
import torch

from di4c import exact
from di4c.denoisers import as_mixture
from di4c.latents import UniformLatent
from di4c.likelihood import DenseMixture
from di4c.objective import TERMS
from di4c.processes import MaskedProcess, UniformProcess
from di4c.recipes import ConfidenceTeacher, DistillationBelow, SeparateDistillation, Weight
from di4c.schedules import CosineSchedule, LinearSchedule
from di4c.start_term import StartTerm
from di4c.teacher_steps import TeacherLaw
from tests.helpers.two_bit_objective import RECIPE, objective_on, student_log_probs

# Two examples that train distillation, two that train consistency; every u is another number.
T = torch.tensor([0.05, 0.09, 0.6, 0.8], dtype=torch.float64)
U = torch.tensor([0.01, 0.02, 0.25, 0.5], dtype=torch.float64)
X_0 = exact.states(2, 2)


def seeded():
    return torch.Generator().manual_seed(11)


def found(recipe, **networks):
    objective = replace(objective_on(UniformProcess(2), recipe), **networks)
    return objective(X_0, generator=seeded(), times=(T, U))


def point_mass(x):
    """A network that is sure of the state x (2,), wherever it is."""
    log_probs = torch.nn.functional.one_hot(torch.tensor(x), 2).double().log()

    def network(x_t, t, latents):
        batch, count = x_t.shape[:2]
        weights = torch.full((count,), 1 / count, dtype=torch.float64).log()
        return DenseMixture(log_probs.expand(batch, count, 2, 2), weights)

    return network


START = replace(RECIPE, start=StartTerm(1.0, atoms=3))


@pytest.mark.parametrize(
    ("plain", "weighted", "name", "factor"),
    [
        (
            replace(RECIPE, data_weight=Weight(1.0, "constant")),
            replace(RECIPE, data_weight=Weight(0.7, "linear")),
            "data_correlation",
            0.7 * T,
        ),
        (
            replace(RECIPE, data_weight=Weight(1.0, "constant")),
            replace(RECIPE, data_weight=Weight(2.0, "sigmoid")),
            "data_correlation",
            2 / (1 + torch.exp(10 - 20 * T)),
        ),
        (RECIPE, replace(RECIPE, data_marginal_weight=0.3), "data_marginal", 0.3),
        (
            RECIPE,
            replace(RECIPE, distillation=DistillationBelow(0.1, weight=20.0)),
            "distillation",
            20.0,
        ),
        (
            replace(RECIPE, distillation=SeparateDistillation(0.03)),
            replace(RECIPE, distillation=SeparateDistillation(0.03, weight=20.0)),
            "distillation",
            20.0,
        ),
        (RECIPE, replace(RECIPE, consistency_weight=3.0), "consistency_correlation", 3.0),
        (RECIPE, replace(RECIPE, consistency_weight=3.0), "consistency_marginal", 3.0),
        (START, replace(RECIPE, start=StartTerm(0.2, atoms=3)), "start", 0.2),
    ],
)
def test_a_weight_multiplies_its_term_and_no_other(plain, weighted, name, factor):
    """The same draws with weight 1. A weight that depends on time is taken at t, not at u."""
    before, after = found(plain), found(weighted)
    assert before.terms[name].any()
    torch.testing.assert_close(after.terms[name], factor * before.terms[name])
    changed = {term for term in TERMS if not torch.equal(before.terms[term], after.terms[term])}
    together = {"consistency_correlation", "consistency_marginal"}
    assert changed == (together if name in together else {name})
    torch.testing.assert_close(after.loss, sum(after.terms[term] for term in TERMS))


def log_likelihood(x, x_t, t, latents):
    """Log-probability of the state x under the mixture of the latents of one example."""
    rows = [student_log_probs(x_t[None], t[None], latent[None])[0].exp() for latent in latents]
    return torch.stack([row[0, x[0]] * row[1, x[1]] for row in rows]).mean().log()


@pytest.mark.parametrize("x", [(1, 0), (0, 1)])
def test_the_target_network_sets_the_target(x):
    """A target that is sure of a state x: the consistency loss is -log p(x)."""
    recipe = replace(RECIPE, control_variate=False)
    objective = replace(objective_on(UniformProcess(2), recipe), target=point_mass(x))
    draws = objective.draw(X_0, generator=seeded(), times=(T, U))
    term = objective(X_0, generator=seeded(), times=(T, U)).terms["consistency_correlation"]
    assert not term[:2].any()
    for b in (2, 3):
        expected = -log_likelihood(x, draws.x_t[b], T[b], draws.latents[b])
        torch.testing.assert_close(term[b], expected)


def test_the_target_network_sets_the_target_of_the_start():
    """The same target at the horizon, where the student sees T = 1."""
    seen = []

    def student(x_t, t, latents):
        seen.append((x_t[:, 0], t, latents))
        return as_mixture(student_log_probs)(x_t, t, latents)

    recipe = replace(START, control_variate=False)
    terms = found(recipe, student=student, target=point_mass((1, 0))).terms
    x_t, t, latents = seen[-1]
    assert (t == 1).all()
    for b in range(4):
        expected = -log_likelihood((1, 0), x_t[b], t[b], latents[b])
        torch.testing.assert_close(terms["start"][b], expected)


def test_every_network_gets_its_own_state_time_and_latents():
    calls = {}

    def spy(name, network):
        def called(x_t, t, latents):
            calls[name] = (x_t, t, latents)
            return network(x_t, t, latents)

        return called

    objective = objective_on(UniformProcess(2))
    student = spy("student", objective.student)
    target, teacher = spy("target", objective.student), spy("teacher", objective.teacher)
    objective = replace(objective, student=student, target=target, teacher=teacher)
    draws = objective.draw(X_0, generator=seeded(), times=(T, U))
    objective(X_0, generator=seeded(), times=(T, U))
    x_t, t, latents = calls["student"]
    assert torch.equal(x_t, torch.stack([draws.x_t] * 2, 1))
    assert torch.equal(t, T)
    assert torch.equal(latents, draws.latents)
    x_t, t, latents = calls["target"]
    assert x_t.shape == (4, 2, 2)
    assert torch.equal(t, U)
    assert torch.equal(latents, draws.target_latents)
    assert not torch.equal(draws.latents, draws.target_latents)
    x_t, t, latents = calls["teacher"]
    assert torch.equal(x_t[:, 0], draws.x_t)
    assert torch.equal(t, T)
    assert latents is None


def test_a_term_that_does_not_count_may_be_infinite():
    """Weight 0, distillation of examples that train consistency, and the other way round."""
    wrong = point_mass((1, 1))

    def student(x_t, t, latents):
        """Excludes what the teacher allows where t is large, and the target where t is small."""
        return wrong(x_t, t, latents)

    recipe = replace(RECIPE, data_weight=Weight(0.0), data_marginal_weight=0.0)
    terms = found(recipe, student=student, target=point_mass((0, 0))).terms
    assert terms["distillation"].tolist() == [torch.inf, torch.inf, 0, 0]
    both = terms["consistency_marginal"] + terms["consistency_correlation"]
    assert both.tolist() == [0, 0, torch.inf, torch.inf]
    # With data_weight 0 the marginal part alone counts, whatever the likelihood of x_0 is.
    recipe = replace(RECIPE, data_weight=Weight(0.0), data_control_variate=False)
    terms = found(recipe, student=student, target=wrong).terms
    assert terms["data_correlation"].tolist() == [0, 0, 0, 0]
    assert (terms["data_marginal"] == torch.inf).all()
    # The teacher generates x_t. Then no x_0 belongs to it, and the mask excludes most of them.
    objective = replace(objective_on(MaskedProcess(2), recipe), reference_steps=2, student=student)
    assert not objective(X_0, generator=seeded(), times=(T, U)).terms["data_correlation"].any()


def test_a_weight_that_vanishes_at_some_times_counts_as_0_there():
    """The weight t of the first example is 0 in float64, and the student excludes x_0."""
    times = torch.tensor([1e-320, 0.5, 0.5, 0.5], dtype=torch.float64), torch.zeros(4).double()
    recipe = replace(RECIPE, data_weight=Weight(1e-10, "linear"), data_marginal_weight=0.0)
    objective = replace(objective_on(UniformProcess(2), recipe), student=point_mass((1, 1)))
    recipe = replace(recipe, data_control_variate=False)
    term = replace(objective, recipe=recipe)(X_0, times=times).terms["data_correlation"]
    assert term.tolist() == [0, torch.inf, torch.inf, 0]  # the last x_0 is (1, 1) itself


CONFIDENT = replace(RECIPE, teacher_move=ConfidenceTeacher(num_steps=4))


@pytest.mark.parametrize(
    ("kind", "recipe", "reference_steps"),
    [
        (UniformProcess, replace(RECIPE, teacher_steps=3), 0),
        (UniformProcess, replace(RECIPE, data_weight=Weight(0.0)), 2),
        (UniformProcess, START, 0),
        (MaskedProcess, CONFIDENT, 0),
        (MaskedProcess, replace(RECIPE, start=StartTerm(1.0, atoms=3, end=0.3)), 0),
    ],
    ids=["steps", "reference", "start", "confidence", "masked start"],
)
@pytest.mark.parametrize("schedule", [LinearSchedule, CosineSchedule])
def test_doubling_the_horizon_and_all_times_changes_nothing(
    kind, recipe, reference_steps, schedule
):
    """The same draws on [0, 1] and on [0, 2], with a student that sees t / horizon."""
    terms = []
    for horizon in (1.0, 2.0):
        process = kind(2, schedule(horizon))

        def scaled(x_t, t, latent, horizon=horizon):
            return student_log_probs(x_t, t / horizon, latent)

        objective = replace(
            objective_on(process, recipe, reference_steps=reference_steps),
            student=as_mixture(scaled),
        )
        times = (horizon * T[2:].repeat(2), horizon * U[2:].repeat(2))
        terms.append(objective(X_0, generator=seeded(), times=times).terms)
    for name in TERMS:
        torch.testing.assert_close(terms[0][name], terms[1][name])
    assert any(term.any() for term in terms[0].values())


def test_a_confident_step_reveals_as_many_on_a_longer_horizon():
    """From t = 0.75 to u = 0.5 of 100 masks: MaskGIT's schedule leaves arccos(1/2) / (pi/2)."""
    left = []
    for horizon in (1.0, 2.0):
        process = MaskedProcess(2, LinearSchedule(horizon))
        x_t = torch.full((3, 1, 100), 2)
        teacher = TeacherLaw(torch.full((3, 100, 2), 0.5, dtype=torch.float64).log())
        t, u = (torch.full((3,), horizon * x, dtype=torch.float64) for x in (0.75, 0.5))
        move = ConfidenceTeacher(num_steps=4)
        left.append((move(process, teacher, x_t, u, t, seeded()) == 2).sum(-1))
    assert torch.equal(*left)
    assert left[0].unique().tolist() in ([66], [67])  # 2/3 of 100


def test_the_start_takes_exact_steps_whatever_the_move_is():
    """Its term is the same with the confident teacher, which would reveal other positions."""
    times = (T[2:].repeat(2), U[2:].repeat(2))
    starts = []
    for recipe in (RECIPE, CONFIDENT):
        recipe = replace(recipe, consistency_weight=0.0, start=StartTerm(1.0, atoms=4, end=0.5))
        objective = objective_on(MaskedProcess(2), recipe)
        starts.append(objective(X_0, generator=seeded(), times=times).terms["start"])
    assert starts[0].any()
    assert torch.equal(*starts)


@pytest.mark.parametrize("stratified", [False, True])
def test_latents_are_stratified_if_the_recipe_says_so(stratified):
    """Two latents of an example then lie in the two halves of [0, 1], in any order."""
    objective = replace(
        objective_on(UniformProcess(2), replace(RECIPE, stratified=stratified)),
        latent=UniformLatent(),
    )
    x_0, times = X_0.repeat(50, 1), (T[2:].repeat(100), U[2:].repeat(100))
    draws = objective.draw(x_0, generator=seeded(), times=times)
    for latents in (draws.latents, draws.target_latents):
        halves = (latents < 0.5).double().sum(1)
        assert bool((halves == 1).all()) == stratified
