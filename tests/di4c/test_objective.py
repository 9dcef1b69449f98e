"""The objective: every term against its exact expectation, and each option by what it changes."""

import itertools
import math
from dataclasses import replace

import pytest
import torch

from di4c import exact
from di4c.denoisers import ExactDenoiser, as_mixture
from di4c.latents import FiniteLatent
from di4c.likelihood import DenseMixture
from di4c.objective import TERMS, Di4CObjective
from di4c.processes import MaskedProcess, UniformProcess, gaussian_process
from di4c.recipes import (
    CIFAR10,
    IMAGENET,
    OPENWEBTEXT,
    ConfidenceTeacher,
    DistillationBelow,
    FixedGap,
    LogUniformGap,
    Recipe,
    SeparateDistillation,
    SmallTimesOften,
    Weight,
)
from di4c.rng import SampleGenerators
from di4c.schedules import LinearSchedule
from tests.helpers.goodness_of_fit import P_VALUE, p_value

LAW = torch.tensor([0.4, 0.1, 0.05, 0.45], dtype=torch.float64)
SUPPORT = torch.tensor([0.2, 0.8], dtype=torch.float64)
RECIPE = Recipe(
    times=FixedGap(),
    data_weight=Weight(0.5, "constant"),
    distillation=DistillationBelow(0.1),
    num_latents=2,
)


def _student_log_probs(x_t, t, latent):
    """A denoiser of two bits that depends on everything, differentiable in nothing."""
    logit = 1.3 * torch.sin(3.0 * x_t + 5 * latent[:, None]) + t[:, None] * latent[:, None]
    logit = logit + 0.4 * torch.roll(x_t, 1, 1) * torch.tensor([1.0, -2.0])
    return torch.stack([logit, -logit], -1).log_softmax(-1)


def _objective(process, recipe=RECIPE, **options):
    return Di4CObjective(
        process,
        as_mixture(_student_log_probs),
        as_mixture(ExactDenoiser(process, LAW)),
        recipe,
        latent=FiniteLatent(SUPPORT),
        **options,
    )


def _table(process, t):
    """Student log-probabilities at t of every state and latent, (n, 2 latents, D, V)."""
    x = exact.states(2, process.num_states)
    times = torch.full((len(x),), t, dtype=torch.float64)
    return torch.stack([_student_log_probs(x, times, z.expand(len(x))) for z in SUPPORT], 1)


def _exact_terms(process, s, t):
    """Expected terms for two latents at fixed times, by enumerating every random choice.

    Written with plain sums over states, latent batches and atoms: no loss of the library.
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
        # One x_u and one latent behind each of two components of the target.
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
    """Indices of the states without a mask."""
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
def test_mean_of_every_term_is_exact(process, u, t):
    """60 000 evaluations; |z| < 5.5, so a correct objective fails with chance below 1e-6."""
    count = 60_000
    generator = torch.Generator().manual_seed(1)
    x_0 = exact.states(2, 2)[torch.multinomial(LAW, count, True, generator=generator)]
    times = tuple(torch.full((count,), x, dtype=torch.float64) for x in (t, u))
    result = _objective(process)(x_0, generator=generator, times=times)
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
    result = _objective(process, recipe)(x_0, generator=generator, times=times)
    term = result.terms["distillation"]
    expected = 3 * _exact_terms(process, 0.04, 0.08)["distillation"]
    z = (float(term.mean()) - expected) / (float(term.std()) / math.sqrt(count))
    assert abs(z) < 5.5
    assert result.terms["consistency_correlation"].any()


class _Counting:
    """A network that counts its calls and notes whether autograd was on."""

    def __init__(self, network):
        self.network, self.grads = network, []

    def __call__(self, x_t, t, latents):
        self.grads.append(torch.is_grad_enabled())
        return self.network(x_t, t, latents)


def test_networks_are_called_once_each_and_only_the_student_has_a_gradient():
    process = MaskedProcess(2)
    scale = torch.ones(4, requires_grad=True, dtype=torch.float64)

    def trained(x_t, t, latent):
        logits = _student_log_probs(x_t, t, latent) * scale[:, None, None, None].flatten()[0]
        return logits.log_softmax(-1)

    student = _Counting(as_mixture(trained))
    teacher = _Counting(as_mixture(ExactDenoiser(process, LAW)))
    objective = Di4CObjective(process, student, teacher, RECIPE, latent=FiniteLatent(SUPPORT))
    x_0 = torch.zeros(6, 2, dtype=torch.long)
    times = (torch.full((6,), 0.6), torch.full((6,), 0.4))
    loss = objective(x_0, generator=torch.Generator().manual_seed(0), times=times).loss
    assert teacher.grads == [False]
    assert sorted(student.grads) == [False, True]  # the target at u, then the student at t
    loss.mean().backward()
    assert scale.grad is not None
    assert scale.grad.any()


def test_a_product_teacher_draws_nothing():
    """Its marginals are all that is read: a draw would cost as much as its softmax."""

    class Marginals(DenseMixture):
        def draw(self, generator=None):
            raise AssertionError("a draw that nobody reads")

    def teacher(x_t, t, latents):
        mixture = as_mixture(ExactDenoiser(MaskedProcess(2), LAW))(x_t, t, latents)
        return Marginals(mixture.log_probs, mixture.log_weights)

    x_0 = torch.zeros(6, 2, dtype=torch.long)
    objective = replace(_objective(MaskedProcess(2)), teacher=teacher)
    assert objective(x_0).loss.isfinite().all()


@pytest.mark.parametrize(("times", "fewest"), [((0.05, 0.0), 1), ((0.6, 0.4), 2)])
def test_same_calls_change_the_number_of_calls_and_nothing_else(times, fewest):
    """Processes that share a network may draw different times, and must call it together."""
    process = MaskedProcess(2)
    x_0 = torch.zeros(6, 2, dtype=torch.long)
    t_and_u = tuple(torch.full((6,), time, dtype=torch.float64) for time in times)
    found, calls = [], []
    for same_calls in (False, True):
        objective = _objective(process, same_calls=same_calls)
        counting = _Counting(objective.student)
        objective = replace(objective, student=counting)
        generator = SampleGenerators(0, range(6), "test")
        found.append(objective(x_0, generator=generator, times=t_and_u))
        calls.append(len(counting.grads))
    assert calls == [fewest, 2]
    assert found[0].terms.keys() == found[1].terms.keys()
    for name, term in found[0].terms.items():
        assert torch.equal(term, found[1].terms[name])


def test_one_generator_reproduces_everything():
    objective = _objective(UniformProcess(2), RECIPE)
    x_0 = exact.states(2, 2).repeat(5, 1)
    first, second, other = (
        objective(x_0, generator=torch.Generator().manual_seed(seed)).loss for seed in (3, 3, 4)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("recipe", [CIFAR10, IMAGENET, OPENWEBTEXT], ids=["cifar", "in", "owt"])
def test_published_recipes_stay_on_the_device_of_the_data(recipe):
    process = gaussian_process(4) if recipe is CIFAR10 else MaskedProcess(4)

    def network(x_t, t, latent):
        return torch.zeros(*x_t.shape, 4, device=x_t.device).log_softmax(-1)

    objective = Di4CObjective(process, as_mixture(network), as_mixture(network), recipe)
    x_0 = torch.zeros(2, 6, dtype=torch.long, device="cuda")
    loss = objective(x_0, generator=torch.Generator("cuda").manual_seed(0)).loss
    assert loss.device == x_0.device
    assert bool(loss.isfinite().all())


def test_times_of_a_recipe_need_the_horizon_1():
    objective = _objective(UniformProcess(2, LinearSchedule(horizon=2.0)))
    x_0 = exact.states(2, 2)
    with pytest.raises(ValueError, match=r"horizon 1.*got 2.0.*times="):
        objective(x_0)
    times = torch.full((4,), 1.5), torch.full((4,), 1.2)
    assert bool(objective(x_0, times=times).loss.isfinite().all())


def test_latents_may_be_categories():
    """A network with an embedding takes indices; they draw as the latents that they stand for."""
    process, x_0 = MaskedProcess(2), exact.states(2, 2)

    def embedded(x_t, t, latent):
        assert latent.dtype == torch.int64
        return _student_log_probs(x_t, t, SUPPORT[latent])

    teacher, index = as_mixture(ExactDenoiser(process, LAW)), FiniteLatent(torch.arange(2))
    objective = Di4CObjective(process, as_mixture(embedded), teacher, RECIPE, latent=index)
    found, expected = (
        each(x_0, generator=torch.Generator().manual_seed(0)).loss
        for each in (objective, _objective(process))
    )
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_reference_law_of_the_teacher():
    """x_t follows the teacher's own chain from the prior (chi-square, false alarm 1e-6)."""
    process, steps, t = UniformProcess(2), 3, 0.4
    recipe = Recipe(FixedGap(), Weight(0.0), DistillationBelow(0.1), 2)
    objective = _objective(process, recipe, reference_steps=steps)
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
    assert p_value(draws.x_t, noised, 2) < P_VALUE  # the data noised is another law


@pytest.mark.parametrize("stream", ["one generator", "one a sample"])
def test_separate_distillation_knows_no_data_either(stream):
    """Its states follow the teacher's chain too (chi-square, false alarm 1e-6)."""
    process, steps, time, count = UniformProcess(2), 2, 0.3, 20_000
    recipe = Recipe(FixedGap(), Weight(0.0), SeparateDistillation(time), 2)
    objective, seen = _objective(process, recipe, reference_steps=steps), []

    def student(x_t, t, latents):
        seen.append(x_t)
        return as_mixture(_student_log_probs)(x_t, t, latents)

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
    (x,) = [x for x in seen if x.shape[1] == 1]  # the only call with a state for each latent
    assert len(x) == 2 * count
    assert p_value(x[:, 0], law, 2) > P_VALUE
    assert p_value(x[:, 0], exact.forward_law(process, torch.eye(4)[0].double(), time), 2) < P_VALUE


def test_second_round_with_a_mixture_teacher():
    """A mixture teacher steps with one latent for all coordinates: x_u keeps its correlation."""
    process, count = MaskedProcess(2), 50_000
    sure = torch.tensor([[0.99, 0.01], [0.01, 0.99]], dtype=torch.float64).log()

    def correlated(x_t, t, latent):
        return sure[latent.long()][:, None].expand(-1, 2, -1)  # both bits equal the latent

    recipe = Recipe(FixedGap(), Weight(0.0), DistillationBelow(0.0), 2)
    seen = []

    def student(x_t, t, latents):
        seen.append(x_t)
        return as_mixture(_student_log_probs)(x_t, t, latents)

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


@pytest.mark.parametrize(
    ("times", "check"),
    [
        (LogUniformGap(), lambda t, g: (t >= 0.01) & (g >= 0.001 - 1e-12) & (g <= 0.01 + 1e-12)),
        (FixedGap(), lambda t, g: (t > 0) & (g <= 0.05 + 1e-12)),
        (SmallTimesOften(), lambda t, g: (g - (t / 2).clamp_max(1 / 1024)).abs() < 1e-12),
    ],
    ids=lambda x: type(x).__name__,
)
def test_times(times, check):
    t, u = times.draw(200_000, torch.Generator().manual_seed(0))
    assert ((u >= 0) & (u < t) & (t <= 1)).all()
    assert check(t, t - u).all()
    if isinstance(times, SmallTimesOften):
        assert float((t < 0.02).double().mean()) == pytest.approx(0.3, abs=0.005)
    else:
        middle = 0.507 if isinstance(times, LogUniformGap) else 0.5
        assert float(t.mean()) == pytest.approx(middle, abs=0.005)


def test_published_recipes_run():
    x_0 = exact.states(2, 2)
    for process, recipe in (
        (UniformProcess(2), CIFAR10),
        (MaskedProcess(2), IMAGENET),
        (MaskedProcess(2), OPENWEBTEXT),
    ):
        result = _objective(process, recipe)(x_0, generator=torch.Generator().manual_seed(0))
        assert tuple(result.terms) == TERMS
        assert result.loss.isfinite().all()


def test_without_control_variate_the_independent_parts_vanish():
    recipe = Recipe(FixedGap(), Weight(), DistillationBelow(0.1), 2, control_variate=False)
    times = (torch.full((4,), 0.6), torch.full((4,), 0.4))
    terms = _objective(UniformProcess(2), recipe)(exact.states(2, 2), times=times).terms
    assert not terms["data_marginal"].any()
    assert not terms["consistency_marginal"].any()


def _call(process=None, recipe=RECIPE, times=None, **options):
    objective = _objective(process or UniformProcess(2), recipe, **options)
    return objective(exact.states(2, 2), times=times)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: _call(times=(torch.full((4,), 0.3), torch.full((4,), 0.3))), "u = 0.3.*t = 0.3"),
        (lambda: _call(times=(torch.full((4,), 1.3), torch.full((4,), 0.3))), "t = 1.29"),
        (lambda: _call(teacher_latents=3), "teacher_latents.*num_latents = 2.*3"),
        (lambda: _call(reference_steps=2), "reference_steps = 2.*Weight"),
        (lambda: _call(reference_steps=-1), "reference_steps.*-1"),
        (lambda: Recipe(FixedGap(), Weight(), DistillationBelow(0.1), 0), "num_latents.*0"),
        (lambda: Weight(1.0, "cubic"), "shape.*'cubic'"),
        (lambda: Weight(-1.0), "scale.*-1.0"),
        (
            lambda: _call(recipe=replace(RECIPE, teacher_move=ConfidenceTeacher())),
            "UniformProcess.*exact_step",
        ),
    ],
)
def test_bad_input_names_argument_value_and_remedy(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_a_teacher_of_another_vocabulary_is_refused():
    def wide(x_t, t, latents):
        probs = torch.full((len(x_t), 1, 2, 5), 0.2, dtype=torch.float64)
        return DenseMixture(probs.log(), torch.zeros(1, dtype=torch.float64))

    objective = Di4CObjective(
        UniformProcess(2), as_mixture(_student_log_probs), wide, RECIPE, FiniteLatent(SUPPORT)
    )
    with pytest.raises(ValueError, match="state"):
        objective(exact.states(2, 2))


@pytest.mark.parametrize("recipe", [RECIPE, replace(CIFAR10, num_latents=2)], ids=["below", "own"])
@pytest.mark.parametrize("stratified", [False, True])
def test_an_example_does_not_depend_on_its_batch(recipe, stratified):
    """With one stream a sample the loss of sample i is the same in any batch, on any rank."""
    objective = _objective(MaskedProcess(2), replace(recipe, stratified=stratified))
    x_0 = torch.tensor([[0, 0], [1, 1], [0, 1], [1, 0], [1, 1]])
    whole = objective(x_0, generator=SampleGenerators(7, range(5)))
    parts = [objective(x_0[k], generator=SampleGenerators(7, k)) for k in ([3, 1], [0, 2, 4])]
    torch.testing.assert_close(whole.loss[[3, 1]], parts[0].loss, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(whole.loss[[0, 2, 4]], parts[1].loss, rtol=1e-12, atol=1e-12)
    assert len(set(whole.loss.tolist())) > 1
