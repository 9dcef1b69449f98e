"""How the objective calls its networks, and on what a result depends."""

from dataclasses import replace

import pytest
import torch

from di4c import exact
from di4c.denoisers import ExactDenoiser, as_mixture
from di4c.latents import FiniteLatent
from di4c.likelihood import DenseMixture
from di4c.objective import Di4CObjective
from di4c.processes import MaskedProcess, UniformProcess
from di4c.recipes import CIFAR10, ConfidenceTeacher
from di4c.rng import SampleGenerators
from di4c.schedules import LinearSchedule
from tests.helpers.two_bit_objective import LAW, RECIPE, SUPPORT, objective_on, student_log_probs


class CountingNetwork:
    """A network that records for each call whether autograd was on."""

    def __init__(self, network):
        self.network, self.grads = network, []

    def __call__(self, x_t, t, latents):
        self.grads.append(torch.is_grad_enabled())
        return self.network(x_t, t, latents)


def test_networks_are_called_once_each_and_only_the_student_has_a_gradient():
    process = MaskedProcess(2)
    scale = torch.ones(4, requires_grad=True, dtype=torch.float64)

    def trained(x_t, t, latent):
        logits = student_log_probs(x_t, t, latent) * scale[:, None, None, None].flatten()[0]
        return logits.log_softmax(-1)

    student = CountingNetwork(as_mixture(trained))
    teacher = CountingNetwork(as_mixture(ExactDenoiser(process, LAW)))
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
    """Only its marginals are read. A draw would cost as much as its softmax."""

    class Marginals(DenseMixture):
        def draw(self, generator=None):
            raise AssertionError("the teacher was asked for a draw")

    def teacher(x_t, t, latents):
        mixture = as_mixture(ExactDenoiser(MaskedProcess(2), LAW))(x_t, t, latents)
        return Marginals(mixture.log_probs, mixture.log_weights)

    x_0 = torch.zeros(6, 2, dtype=torch.long)
    objective = replace(objective_on(MaskedProcess(2)), teacher=teacher)
    assert objective(x_0).loss.isfinite().all()


@pytest.mark.parametrize(("times", "fewest"), [((0.05, 0.0), 1), ((0.6, 0.4), 2)])
def test_same_calls_changes_only_the_number_of_calls(times, fewest):
    """Ranks that share a network can draw different times, but must call it equally often."""
    process = MaskedProcess(2)
    x_0 = torch.zeros(6, 2, dtype=torch.long)
    t_and_u = tuple(torch.full((6,), time, dtype=torch.float64) for time in times)
    found, calls = [], []
    for options in ({}, {"same_calls": True}):
        objective = objective_on(process, **options)
        counting = CountingNetwork(objective.student)
        objective = replace(objective, student=counting)
        generator = SampleGenerators(0, range(6), "test")
        found.append(objective(x_0, generator=generator, times=t_and_u))
        calls.append(len(counting.grads))
    assert calls == [fewest, 2]
    assert found[0].terms.keys() == found[1].terms.keys()
    for name, term in found[0].terms.items():
        assert torch.equal(term, found[1].terms[name])


def test_one_generator_reproduces_everything():
    objective = objective_on(UniformProcess(2), RECIPE)
    x_0 = exact.states(2, 2).repeat(5, 1)
    first, second, other = (
        objective(x_0, generator=torch.Generator().manual_seed(seed)).loss for seed in (3, 3, 4)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("recipe", [RECIPE, replace(CIFAR10, num_latents=2)], ids=["below", "own"])
@pytest.mark.parametrize("stratified", [False, True])
def test_an_example_does_not_depend_on_its_batch(recipe, stratified):
    """With one random stream for each sample the loss of sample i is the same in any batch."""
    objective = objective_on(MaskedProcess(2), replace(recipe, stratified=stratified))
    x_0 = torch.tensor([[0, 0], [1, 1], [0, 1], [1, 0], [1, 1]])
    whole = objective(x_0, generator=SampleGenerators(7, range(5)))
    parts = [objective(x_0[k], generator=SampleGenerators(7, k)) for k in ([3, 1], [0, 2, 4])]
    torch.testing.assert_close(whole.loss[[3, 1]], parts[0].loss, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(whole.loss[[0, 2, 4]], parts[1].loss, rtol=1e-12, atol=1e-12)
    assert len(set(whole.loss.tolist())) > 1


def test_latents_may_be_categories():
    """A network with an embedding takes indices. They are drawn like the values they stand for."""
    process, x_0 = MaskedProcess(2), exact.states(2, 2)

    def embedded(x_t, t, latent):
        assert latent.dtype == torch.int64
        return student_log_probs(x_t, t, SUPPORT[latent])

    teacher, index = as_mixture(ExactDenoiser(process, LAW)), FiniteLatent(torch.arange(2))
    objective = Di4CObjective(process, as_mixture(embedded), teacher, RECIPE, latent=index)
    found, expected = (
        each(x_0, generator=torch.Generator().manual_seed(0)).loss
        for each in (objective, objective_on(process))
    )
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_times_of_a_recipe_need_the_horizon_1():
    objective = objective_on(UniformProcess(2, LinearSchedule(horizon=2.0)))
    x_0 = exact.states(2, 2)
    with pytest.raises(ValueError, match=r"horizon 1.*got 2.0.*times="):
        objective(x_0)
    times = torch.full((4,), 1.5), torch.full((4,), 1.2)
    assert bool(objective(x_0, times=times).loss.isfinite().all())


def test_a_teacher_of_another_vocabulary_is_refused():
    def wide(x_t, t, latents):
        probs = torch.full((len(x_t), 1, 2, 5), 0.2, dtype=torch.float64)
        return DenseMixture(probs.log(), torch.zeros(1, dtype=torch.float64))

    objective = Di4CObjective(
        UniformProcess(2), as_mixture(student_log_probs), wide, RECIPE, FiniteLatent(SUPPORT)
    )
    with pytest.raises(ValueError, match="state"):
        objective(exact.states(2, 2))


def _call(process=None, recipe=RECIPE, times=None, **options):
    objective = objective_on(process or UniformProcess(2), recipe, **options)
    return objective(exact.states(2, 2), times=times)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: _call(times=(torch.full((4,), 0.3), torch.full((4,), 0.3))), "u = 0.3.*t = 0.3"),
        (lambda: _call(times=(torch.full((4,), 1.3), torch.full((4,), 0.3))), "t = 1.29"),
        (lambda: _call(teacher_latents=3), "teacher_latents.*target atoms, 2.*3"),
        (lambda: _call(reference_steps=2), "reference_steps = 2.*Weight"),
        (lambda: _call(reference_steps=-1), "reference_steps.*-1"),
        (
            lambda: _call(recipe=replace(RECIPE, teacher_move=ConfidenceTeacher())),
            "UniformProcess.*exact_step",
        ),
    ],
)
def test_bad_input_is_refused_with_argument_and_value(call, words):
    with pytest.raises(ValueError, match=words):
        call()
