"""The laws of the samplers against the exact engine, and wrong samplers that must be rejected."""

import pytest
import torch
from torch import Tensor

from di4c.denoisers import ExactDenoiser, TableDenoiser
from di4c.exact import (
    mixture_composition,
    product_composition,
    product_law,
    states,
    total_variation,
)
from di4c.latents import FiniteLatent, LatentPolicy
from di4c.processes import (
    ForwardProcess,
    MaskedProcess,
    UniformProcess,
    absorbing_process,
    gaussian_process,
    two_state_process,
)
from di4c.rng import SampleGenerators
from di4c.samplers import ancestral, hybrid
from di4c.sampling_loop import prior_samples
from di4c.schedules import CosineSchedule, ExponentialSchedule
from tests.helpers.goodness_of_fit import P_VALUE, generator, p_value

NUM_SAMPLES = 100_000
WEIGHTS = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)
LATENTS = torch.arange(3)
FINITE = FiniteLatent(LATENTS, WEIGHTS)

PROCESSES = {
    "masked": (MaskedProcess(2), 3),
    "masked, cosine, three values": (MaskedProcess(3, CosineSchedule()), 2),
    "uniform": (UniformProcess(3), 2),
    "absorbing": (absorbing_process(ExponentialSchedule(rate=0.9)), 3),
    "two-state": (two_state_process(0.7, 1.1), 3),
    "gaussian": (gaussian_process(4, rate_sigma=1.5, stationary_sigma=2.0, time_base=0.05), 2),
}


def _student(process: ForwardProcess, num_dims: int, seed: int = 0) -> TableDenoiser:
    """A random denoiser with three latents, each of which prefers one value in all dimensions."""
    shape = (3, process.num_states**num_dims, num_dims, process.num_values)
    logits = torch.randn(shape, generator=generator(seed), dtype=torch.float64)
    preferred = LATENTS % process.num_values
    logits[LATENTS, ..., preferred] += 2.5
    return TableDenoiser(logits.log_softmax(-1), process.num_states)


def _grid(process: ForwardProcess, num_steps: int) -> Tensor:
    fractions = torch.linspace(0, 1, num_steps + 1, dtype=torch.float64) ** 1.5
    return fractions * process.horizon


def _prior_law(process: ForwardProcess, num_dims: int) -> Tensor:
    return product_law(process.prior().expand(num_dims, -1))


def _start(process: ForwardProcess, num_dims: int, seed: int = 1) -> Tensor:
    return prior_samples(process, NUM_SAMPLES, num_dims, generator=generator(seed))


@pytest.mark.parametrize("num_steps", [1, 3])
@pytest.mark.parametrize("name", PROCESSES)
def test_ancestral_sampling_has_the_law_of_the_exact_composition(name, num_steps):
    process, num_dims = PROCESSES[name]
    student, grid = _student(process, num_dims), _grid(process, num_steps)
    samples = ancestral(
        process,
        student,
        _start(process, num_dims),
        grid,
        latent=LatentPolicy(law=FINITE),
        generator=generator(2),
    ).samples
    start = _prior_law(process, num_dims)
    law = mixture_composition(process, student, grid, start, LATENTS, WEIGHTS)
    assert p_value(samples, law, process.num_values) > P_VALUE


def test_a_grid_may_end_before_the_data():
    process, num_dims = MaskedProcess(2), 3
    student, grid = _student(process, num_dims), [0.3, 0.5, 0.9]
    start = torch.full((NUM_SAMPLES, num_dims), process.num_values)
    samples = ancestral(
        process,
        student,
        start,
        grid,
        latent=LatentPolicy(law=FINITE, stratified=True),
        generator=generator(),
    ).samples
    law = mixture_composition(
        process, student, grid, _prior_law(process, num_dims), LATENTS, WEIGHTS
    )
    assert p_value(samples, law, process.num_states) > P_VALUE


def test_one_latent_for_all_steps_has_another_law():
    process, num_dims = UniformProcess(3), 2
    student, grid = _student(process, num_dims), _grid(process, 3)
    start = _prior_law(process, num_dims)
    per_step = mixture_composition(process, student, grid, start, LATENTS, WEIGHTS)
    fixed = sum(
        weight * mixture_composition(process, student, grid, start, LATENTS[k : k + 1])
        for k, weight in enumerate(WEIGHTS)
    )
    samples = ancestral(
        process,
        student,
        _start(process, num_dims),
        grid,
        latent=LatentPolicy("fixed", law=FINITE),
        generator=generator(2),
    ).samples
    assert p_value(samples, fixed, 3) > P_VALUE
    assert p_value(samples, per_step, 3) < P_VALUE


class _LatentPerDimension:
    """A wrong denoiser: each dimension draws its own latent."""

    def __init__(self, student: TableDenoiser) -> None:
        self.student, self.source = student, generator(7)

    def __call__(self, x_t: Tensor, t: Tensor, latent: Tensor | None = None) -> Tensor:
        columns = []
        for d in range(x_t.shape[1]):
            own = WEIGHTS.multinomial(len(x_t), replacement=True, generator=self.source)
            columns.append(self.student(x_t, t, own)[:, d])
        return torch.stack(columns, 1)


class _Marginalised:
    """A wrong denoiser: x_0 is drawn from the average over latents, so none is shared."""

    def __init__(self, student: TableDenoiser) -> None:
        self.student = student

    def __call__(self, x_t: Tensor, t: Tensor, latent: Tensor | None = None) -> Tensor:
        total = torch.zeros(())
        for k, weight in enumerate(WEIGHTS):
            total = total + weight * self.student(x_t, t, torch.full((len(x_t),), k)).exp()
        return total.log()


@pytest.mark.parametrize("mistake", [_LatentPerDimension, _Marginalised])
@pytest.mark.parametrize(("name", "num_steps"), [("masked", 3), ("uniform", 2), ("two-state", 1)])
def test_samplers_that_lose_the_shared_latent_are_rejected(name, num_steps, mistake):
    process, num_dims = PROCESSES[name]
    student, grid = _student(process, num_dims), _grid(process, num_steps)
    samples = ancestral(
        process, mistake(student), _start(process, num_dims), grid, generator=generator(2)
    ).samples
    start = _prior_law(process, num_dims)
    law = mixture_composition(process, student, grid, start, LATENTS, WEIGHTS)
    assert p_value(samples, law, process.num_values) < P_VALUE


@pytest.mark.parametrize("name", ["masked", "uniform"])
def test_steps_from_given_uniforms_have_the_same_law(name):
    process, num_dims = PROCESSES[name]
    student, grid = _student(process, num_dims), _grid(process, 2)
    source = generator(5)
    shape = (NUM_SAMPLES, num_dims, process.num_states)
    uniforms = [torch.rand(shape, generator=source, dtype=torch.float64) for _ in range(2)]
    samples = ancestral(
        process,
        student,
        _start(process, num_dims),
        grid,
        latent=LatentPolicy(law=FINITE),
        uniforms=uniforms,
        generator=generator(2),
    ).samples
    start = _prior_law(process, num_dims)
    law = mixture_composition(process, student, grid, start, LATENTS, WEIGHTS)
    assert p_value(samples, law, process.num_values) > P_VALUE


@pytest.mark.parametrize("name", PROCESSES)
def test_the_last_step_can_take_the_most_likely_value(name):
    process, num_dims = PROCESSES[name]
    student, grid = _student(process, num_dims), _grid(process, 2)
    samples = ancestral(
        process,
        student,
        _start(process, num_dims),
        grid,
        latent=LatentPolicy(law=FINITE),
        last="argmax",
        generator=generator(2),
    ).samples
    start = _prior_law(process, num_dims)
    before = mixture_composition(process, student, grid[1:], start, LATENTS, WEIGHTS)
    law = torch.zeros((process.num_values,) * num_dims, dtype=torch.float64)
    t = float(grid[1])
    kernel = process.transition(0.0, t)
    for x, p in zip(states(num_dims, process.num_states), before, strict=True):
        for latent, weight in zip(LATENTS, WEIGHTS, strict=True):
            best = student(x[None], torch.tensor([t]), latent[None])[0].argmax(-1).tolist()
            image = tuple(
                value if kernel[value, old] > 0 else old
                for value, old in zip(best, x.tolist(), strict=True)
            )
            law[image] += p * weight
    assert p_value(samples, law.flatten(), process.num_values) > P_VALUE


@pytest.mark.parametrize(("name", "teacher_steps"), [("masked", 2), ("masked", 3), ("uniform", 1)])
def test_a_hybrid_takes_student_steps_and_then_teacher_steps(name, teacher_steps):
    process, num_dims = PROCESSES[name]
    size = process.num_values**num_dims
    q_0 = torch.rand(size, generator=generator(3), dtype=torch.float64)
    student, teacher = _student(process, num_dims), ExactDenoiser(process, q_0 / q_0.sum())
    grid = _grid(process, 3)
    samples = hybrid(
        process,
        student,
        _start(process, num_dims),
        grid,
        teacher=teacher,
        teacher_steps=teacher_steps,
        latent=LatentPolicy(law=FINITE),
        generator=generator(2),
    ).samples
    law = _prior_law(process, num_dims)
    if teacher_steps < 3:
        law = mixture_composition(process, student, grid[teacher_steps:], law, LATENTS, WEIGHTS)
    if teacher_steps > 0:
        law = mixture_composition(process, teacher, grid[: teacher_steps + 1], law)
    assert p_value(samples, law, process.num_values) > P_VALUE


@pytest.mark.parametrize("name", ["masked", "uniform", "two-state"])
def test_an_exact_teacher_samples_the_composition_of_its_product_steps(name):
    process, num_dims = PROCESSES[name]
    q_0 = torch.zeros(process.num_values**num_dims, dtype=torch.float64)
    q_0[0], q_0[-1], q_0[1] = 0.5, 0.4, 0.1
    grid = _grid(process, 3)
    teacher = ExactDenoiser(process, q_0)
    start = _start(process, num_dims)
    samples = ancestral(process, teacher, start, grid, generator=generator(2)).samples
    law = mixture_composition(process, teacher, grid, _prior_law(process, num_dims))
    assert p_value(samples, law, process.num_values) > P_VALUE
    # With masks the prior is q_T, and the teacher's steps are products of the true marginals.
    if name == "masked":
        exact = product_composition(process, q_0, grid)
        assert float(total_variation(law, exact)) < 1e-12


@pytest.mark.parametrize("name", ["masked", "uniform", "gaussian"])
def test_a_step_takes_a_time_for_each_example(name):
    """Two examples with their own times, against `ForwardProcess.reverse`."""
    process, _ = PROCESSES[name]
    batch, copies = 2, 30_000
    s, t = torch.tensor([0.1, 0.5]), torch.tensor([0.4, 0.9])
    x_t = torch.tensor([process.num_states - 1, 0]).expand(batch, copies, 2)
    shape = (batch, 1, 2, process.num_values)
    probs = torch.rand(shape, generator=generator(1), dtype=torch.float64).expand(
        -1, copies, -1, -1
    )
    x_s = process.reverse_step(probs, x_t, s, t, generator=generator(2))
    for b in range(batch):
        law = process.reverse(probs[b, :1], x_t[b, :1], float(s[b]), float(t[b]))[0]
        for d in range(2):
            assert p_value(x_s[b, :, d : d + 1], law[d], process.num_states) > P_VALUE


@pytest.mark.parametrize("name", ["masked", "uniform", "two-state"])
def test_sample_i_is_the_same_in_every_batch(name):
    process, num_dims = PROCESSES[name]
    student, grid = _student(process, num_dims), _grid(process, 3)

    def run(positions: range) -> Tensor:
        source = SampleGenerators(5, positions)
        start = prior_samples(process, len(positions), num_dims, generator=source)
        policy = LatentPolicy(law=FINITE)
        return ancestral(process, student, start, grid, latent=policy, generator=source).samples

    whole = run(range(12))
    for size in (1, 5):
        parts = [run(range(i, min(12, i + size))) for i in range(0, 12, size)]
        assert torch.equal(torch.cat(parts), whole)
    assert len(whole.unique(dim=0)) > 1
