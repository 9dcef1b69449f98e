"""The trained methods of the benchmark: network, losses and exact laws."""

import math
from dataclasses import replace
from fractions import Fraction
from itertools import product

import pytest
import torch

from di4c.exact import (
    forward_law,
    kl,
    mixture_composition,
    states,
    total_correlation,
    total_variation,
)
from di4c.latents import FiniteLatent, GaussianLatent, UniformLatent
from di4c.schedules import uniform_grid
from tests.helpers.goodness_of_fit import P_VALUE, generator, p_value
from tests.helpers.toy_cases import PROCESSES, SMALL, problem_of, random_law, student_of
from theory.samplers import rectified_pair
from theory.tools import oracle
from toys.methods import METHODS, rectified, sdtt
from toys.students.losses import JumpObjective
from toys.students.network import Backbone, latent_encoder
from toys.students.recipes import LATENTS, jump_student
from toys.students.student import latent_grid
from toys.students.training import DataSampler, fit, make_network, train_teacher, training_teacher
from toys.tasks.problem import BUDGETS, Budget, Problem
from toys.tasks.registry import TASKS
from toys.teachers.jumps import TeacherJump


@pytest.mark.parametrize("process", PROCESSES)
@pytest.mark.parametrize("latent", [None, *LATENTS])
def test_network_keeps_what_is_known(process, latent):
    problem = problem_of(random_law(27, 9), 3, 3, process)
    law = None if latent is None else LATENTS[latent](3, 8)
    network = make_network(problem, law)
    x_t = states(3, problem.process.num_states)
    latents = None if law is None else latent_grid(law, 8)[torch.arange(len(x_t)) % 8]
    early = torch.full((len(x_t),), 1e-9, dtype=torch.float64)
    late = torch.full((len(x_t),), 0.7, dtype=torch.float64)
    for t in (early, late):
        probs = network.denoiser(x_t, t, latents).exp()
        torch.testing.assert_close(probs.sum(-1), torch.ones(len(x_t), 3))
        known = x_t < 3 if process == "masked" else (t < 0.1)[:, None].expand(-1, 3)
        own = probs.gather(-1, x_t.clamp_max(2)[..., None])[..., 0]
        torch.testing.assert_close(own[known], torch.ones(int(known.sum())))
    # At the horizon every noisy state that can occur is the same to the network.
    start = torch.full((4, 3), 3) if process == "masked" else x_t[:4]
    same = None if latents is None else latents[:1].expand(4, *latents.shape[1:])
    probs = network.denoiser(start, torch.ones(4, dtype=torch.float64), same)
    torch.testing.assert_close(probs, probs[:1].expand_as(probs))


@pytest.mark.parametrize("latent", LATENTS)
def test_shared_states_and_latents_are_only_faster(latent):
    problem = problem_of(random_law(8, 10), 2, 3)
    law = LATENTS[latent](3, 8)
    network = make_network(problem, law)
    x_t, t = torch.tensor([[2, 2, 2], [0, 2, 1]]), torch.tensor([1.0, 0.4])
    latents = latent_grid(law, 8)
    shared = network(x_t[:, None].expand(-1, 8, -1), t, latents.expand(2, *latents.shape))
    apart = network(x_t[:, None].repeat(1, 8, 1), t, latents.repeat(2, *[1] * latents.ndim))
    torch.testing.assert_close(shared.log_probs, apart.log_probs)
    row = network.denoiser(x_t[1:].expand(8, -1), t[1:].expand(8), latents)
    torch.testing.assert_close(shared.log_probs[1], row)
    assert float(shared.log_probs.detach()[0].exp().std(0).max()) > 1e-3, "the latent is ignored"


def test_latents_without_an_encoder_are_an_error():
    with pytest.raises(ValueError, match="latent must be categories"):
        latent_encoder(object(), 4)


def test_latent_grids_have_the_law_of_the_latent():
    scalar = latent_grid(UniformLatent(dtype=torch.float64), 4)
    torch.testing.assert_close(scalar, torch.tensor([1, 3, 5, 7]).double() / 8)
    gauss = latent_grid(GaussianLatent((8,)), 1024).double()
    torch.testing.assert_close(gauss.mean(0), torch.zeros(8).double(), atol=0.01, rtol=0)
    torch.testing.assert_close(gauss.T.cov(), torch.eye(8).double(), atol=0.03, rtol=0)
    noise = latent_grid(UniformLatent((3,)), 1024).double()
    torch.testing.assert_close(noise.mean(0), torch.full((3,), 0.5).double(), atol=0.01, rtol=0)
    torch.testing.assert_close(noise.T.cov(), torch.eye(3).double() / 12, atol=0.01, rtol=0)
    assert latent_grid(FiniteLatent(torch.arange(5)), 99).tolist() == list(range(5))


def test_categories_that_are_not_equally_likely_are_an_error():
    student = student_of(problem_of(random_law(8, 10), 2, 3))
    uneven = FiniteLatent(torch.arange(2), torch.tensor([0.9, 0.1], dtype=torch.float64))
    with pytest.raises(ValueError, match="latent must weigh its 2 categories equally"):
        replace(student, latent=uneven)


@pytest.mark.parametrize("process", PROCESSES)
def test_one_step_law_by_plain_sums(process):
    problem = problem_of(random_law(9, 11), 3, 2, process)
    student = student_of(problem)
    network, start = student.network, torch.full((1, 2), problem.process.num_states - 1)
    expected = []
    for x in product(range(3), repeat=2):
        total = 0.0
        for k in range(8):
            one = torch.ones(1, dtype=torch.float64)
            probs = network.denoiser(start, one, torch.tensor([k]))[0].exp().detach()
            total += float(probs[0, x[0]] * probs[1, x[1]]) / 8
        expected.append(total)
    found = student.law(1, student.latent.support)
    torch.testing.assert_close(found, torch.tensor(expected).double(), atol=1e-6, rtol=0)
    assert float(found.sum()) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(("process", "nfe"), [("masked", 2), ("masked", 3), ("uniform", 3)])
def test_laws_of_several_steps_take_no_short_cut_that_matters(process, nfe):
    problem = problem_of(random_law(8, 12), 2, 3, process)
    student = student_of(problem)
    support = student.latent.support
    with torch.no_grad():
        expected = mixture_composition(
            problem.process, student.network.denoiser, uniform_grid(nfe), problem.start, support
        )
        middle = mixture_composition(
            problem.process,
            student.network.denoiser,
            uniform_grid(nfe)[1:],
            problem.start,
            support,
        )
    torch.testing.assert_close(student.law(nfe, support), expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(student.law(nfe, support, last=1), middle, atol=1e-6, rtol=0)
    assert torch.equal(student.law(nfe, support, last=nfe), problem.start)
    assert torch.equal(student.law(1, support, last=1), problem.start)


def test_finer_latents_change_little_and_say_how_little():
    problem = problem_of(random_law(8, 13), 2, 3)
    student = student_of(problem, replace(SMALL, latent="scalar"))
    output = next(student.outputs((1,)))
    assert output.latent == "scalar"
    assert 0 < output.latent_refinement < 1e-3
    finest = student.law(1, latent_grid(student.latent, 2**15))
    assert float(total_variation(output.law, finest)) < 1e-3


@pytest.mark.parametrize("control_variate", [False, True])
def test_data_term_is_the_likelihood_of_the_enumerated_mixture(control_variate):
    problem = problem_of(random_law(8, 14), 2, 3)
    recipe = replace(SMALL, data=True, data_weight=0.0, control_variate=control_variate)
    student = student_of(problem, recipe)
    objective = JumpObjective(
        problem.process, student.network, None, student.latent, recipe, rows=1
    )
    x_0 = DataSampler(problem)(200, generator(7))
    (batch,) = objective.prepare(x_0[None], generator(8))
    loss = float(objective(batch, generator(9)).detach())
    law = student.law(1, student.latent.support)
    index = x_0 @ torch.tensor([4, 2, 1])
    assert loss == pytest.approx(float(-law[index].log().mean()), rel=1e-5)


def test_consistency_term_is_the_cross_entropy_of_teacher_then_student():
    """With u = t the target is the student itself: on average its own entropy, and no less."""
    problem = problem_of(random_law(8, 15), 2, 3)
    recipe = replace(SMALL, ratio=1.0, start_atoms=20_000)
    student = student_of(problem, recipe)
    jump = TeacherJump(problem.process, problem.teacher)
    objective = JumpObjective(
        problem.process, student.network, jump, student.latent, recipe, rows=1
    )
    x_0 = DataSampler(problem)(8, generator(10))
    (batch,) = objective.prepare(x_0[None], generator(11))
    assert torch.equal(batch.target[0][:20_000], torch.full((20_000, 3), 2))
    start, _ = objective._targets(*batch.target, generator(12))
    law = student.law(1, student.latent.support)
    assert p_value(start.atoms[0], law, 2) > P_VALUE
    assert p_value(start.atoms[0], problem.q_0, 2) < P_VALUE


def test_training_depends_on_the_seed_alone():
    law = random_law(8, 16)
    outputs = [
        next(METHODS["di4c-d"].outputs(problem_of(law, 2, 3, seed=seed), (1,))).law
        for seed in (0, 0, 1)
    ]
    assert torch.equal(outputs[0], outputs[1])
    assert float(total_variation(outputs[0], outputs[2])) > 1e-4


def test_fit_visits_every_iteration_and_ends_at_rate_zero():
    weight = torch.nn.Parameter(torch.tensor(3.0))
    module, seen, moves = torch.nn.Module(), [], []
    module.weight = weight

    def watch(iteration):
        seen.append(iteration)
        moves.append(float(weight.detach()))

    fit(module, lambda _: weight.square(), 200, seed=0, learning_rate=0.1, callback=watch)
    assert seen == list(range(1, 201))
    assert abs(moves[-1]) < 0.1
    assert abs(moves[-1] - moves[-2]) < 1e-4


@pytest.mark.parametrize(
    ("process", "name"),
    [(p, name) for name, method in METHODS.items() if method.trained for p in method.processes],
)
def test_trained_methods_give_laws(process, name):
    method = METHODS[name]
    problem = problem_of(random_law(9, 17, zeros=True), 3, 2, process, Budget("tiny", 3072))
    outputs = list(method.outputs(problem, (1, 2, 4)))
    served = {"hybrid": [2, 4]}
    assert [output.nfe for output in outputs] == served.get(name, [1, 2, 4])
    for output in outputs:
        assert output.law.shape == (9,)
        assert output.law.dtype == torch.float64
        assert float(output.law.min()) >= 0
        assert float(output.law.sum()) == pytest.approx(1, abs=1e-9)
        assert output.latent_refinement < 5e-3
        assert output.train_seconds > 0
        assert output.parameters > 1000


_PAIR = Fraction(9, 10)  # the correlation of the task "pair"


def test_rectified_pairs_are_those_of_the_flow():
    """Means given the noise by theory's closed form; a false alarm has chance 1e-4."""
    problem = Problem(TASKS["pair"], "uniform", 3)
    x_T, x_0 = rectified.coupled(problem, problem.process, 40_000)
    alphas = [1 - t / rectified.TEACHER_STEPS for t in range(rectified.TEACHER_STEPS + 1)]
    for kind, theta in ((x_T[:, 0] == x_T[:, 1], _PAIR), (x_T[:, 0] != x_T[:, 1], -_PAIR)):
        agree = (x_0 == x_T)[kind].double().flatten() * 2 - 1
        error = 1 / math.sqrt(len(agree) / 2)  # the two bits are correlated
        assert abs(float(agree.mean()) - rectified_pair.kept(theta, alphas)) < 4 * error


def test_a_rectified_student_comes_close_to_the_best_one():
    problem = Problem(TASKS["pair"], "uniform", 0, BUDGETS["quick"])
    (output,) = rectified.outputs(problem, (1,))
    alphas = [1 - t / rectified.TEACHER_STEPS for t in range(rectified.TEACHER_STEPS + 1)]
    best = rectified_pair.rectified_tv(_PAIR, alphas)  # .357, where products are at .45
    assert float(total_variation(problem.q_0, output.law)) == pytest.approx(best, abs=0.02)


@pytest.mark.parametrize("nfe", [1, 3])
def test_the_law_of_the_students_flow_by_enumeration(nfe):
    problem = problem_of(random_law(9, 23), 3, 2, "uniform")
    law = oracle.law_from(problem.q_0.tolist(), 2, 3)
    rows = [rectified_pair.flow_row(law, [1 - k / nfe for k in range(nfe + 1)], x) for x in law]
    expected = [sum(row[x] for row in rows) / 9 for x in law]
    found = rectified.flow_law(problem, problem.process, problem.teacher, nfe)
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64))


def test_several_steps_are_left_out_where_the_states_are_many():
    problem = problem_of(random_law(2**10, 18), 2, 10)  # 59049 noisy states
    for name, served in (("di4c", [1]), ("hybrid", [])):
        outputs = METHODS[name].outputs(problem, (1, 2, 4))
        assert [output.nfe for output in outputs] == served


@pytest.mark.parametrize("process", PROCESSES)
@pytest.mark.parametrize("gap", [4, 16])
def test_the_loss_of_sdtt_by_enumeration(process, gap):
    """The mean over x_0, t, x_t and x_u of a random network (6 standard errors: 2e-9)."""
    problem = problem_of(random_law(4, 21), 2, 2, process)
    network = make_network(problem, None)
    noise, teacher, law = problem.process, problem.teacher, problem.q_0
    x = states(2, noise.num_states)
    expected = 0.0
    for k in range(1, sdtt.TIMES + 1):
        t, u = k / sdtt.TIMES, max(k - gap, 0) / sdtt.TIMES
        times = torch.full((len(x),), t, dtype=torch.float64)
        with torch.no_grad():
            student = network.denoiser(x, times).double()
        target = teacher(x, times)
        step = noise.reverse(target.exp(), x, u, t)
        rows = step[:, 0, x[:, 0]] * step[:, 1, x[:, 1]]  # (x_t, x_u)
        later = target[:, None].expand(-1, len(x), -1, -1)
        if u > 0:
            later = teacher(x, torch.full_like(times, u))[None].expand(len(x), -1, -1, -1)
        costs = torch.special.xlogy(later.exp(), later.exp()) - later.exp() * torch.where(
            later.exp() > 0, student[:, None], 0.0
        )
        costs = torch.where(rows > 0, rows * costs.sum((-2, -1)), 0.0)
        expected += float(forward_law(noise, law, t) @ costs.sum(1))
    source = torch.Generator().manual_seed(4)
    x_0 = DataSampler(problem)(100_000, source)
    with torch.no_grad():
        losses = sdtt.StepLoss(noise, network, teacher, gap)(x_0, source).double()
    error = float(losses.std()) / math.sqrt(len(losses))
    assert abs(float(losses.mean()) - expected / sdtt.TIMES) < 6 * error


def test_sdtt_stays_a_product():
    problem = problem_of(TASKS["repetition8"].law(), 2, 8, budget=Budget("some", 100 * 1024))
    output = next(METHODS["sdtt"].outputs(problem, (1,)))
    assert float(total_correlation(output.law, 8, 2)) < 1e-9
    assert float(total_variation(problem.q_0, output.law)) > 0.9


@pytest.mark.parametrize("name", ["di4c", "di4c-d", "data-likelihood"])
def test_one_step_is_worth_many_of_the_teacher(name):
    law = TASKS["pair"].law()
    problem = problem_of(law, 2, 2, budget=Budget("some", 150 * 1024))
    output = next(METHODS[name].outputs(problem, (1,)))
    # The exact teacher needs eight steps for .056.
    assert float(total_variation(law, output.law)) < 0.056


def test_trained_teacher_learns_the_marginals():
    law = torch.full((8,), 0.02, dtype=torch.float64)
    law[[0, 7]] = 0.44
    problem = problem_of(law, 2, 3, budget=Budget("some", 300 * 256, 256))
    x_t = states(3, 3)
    t = torch.full((len(x_t),), 0.5, dtype=torch.float64)
    exact = problem.teacher(x_t, t)
    before = kl(exact.exp(), make_network(problem, None, "teacher").denoiser(x_t, t).exp().double())
    network = train_teacher(problem)
    after = kl(exact.exp(), network.denoiser(x_t, t).exp().double())
    assert float(after.mean()) < 0.1 * float(before.detach().mean())
    assert not any(p.requires_grad for p in network.parameters())
    trained = replace(problem, make_teacher=lambda _: network.denoiser)
    assert training_teacher(trained) == network.denoiser


def test_a_callback_sees_the_student_while_it_learns():
    problem, seen = problem_of(random_law(8, 20), 2, 3), []
    jump_student(problem, SMALL, lambda student, i: seen.append((i, type(student.network))))
    assert seen == [(i, Backbone) for i in (1, 2, 3)]


def test_sizes_of_the_network_are_those_of_the_task():
    problem = problem_of(random_law(27, 21), 3, 3)
    network = make_network(problem, FiniteLatent(torch.arange(7)))
    width = 128
    expected = (9 * width + width) + (width * width + width) + 7 * 2 * width + (width * 9 + 9)
    assert network.num_parameters == expected
    assert math.isclose(
        float(network.head.weight.detach().std()), 3 / math.sqrt(3 * width), rel_tol=0.1
    )
