"""The loop of all samplers: calls, trajectories, callbacks, latents, devices."""

import pytest
import torch
from torch import Tensor

from di4c.confidence import confidence_sampling
from di4c.denoisers import ExactDenoiser, TableDenoiser
from di4c.latents import FiniteLatent, LatentPolicy
from di4c.processes import (
    MaskedProcess,
    RateMatrixProcess,
    UniformProcess,
    gaussian_process,
)
from di4c.samplers import ancestral, hybrid, tau_leaping
from di4c.sampling_loop import Step, call_grid, prior_samples
from di4c.schedules import uniform_grid
from tests.helpers.goodness_of_fit import generator
from tests.helpers.uninformed import Uninformed

MASKED, UNIFORM = MaskedProcess(3), UniformProcess(4)
RATES = RateMatrixProcess(torch.tensor([[-1.0, 1.0], [2.0, -2.0]], dtype=torch.float64))


def _all_masked(batch: int = 5, num_dims: int = 6) -> Tensor:
    return torch.full((batch, num_dims), MASKED.num_values)


def _sampler_runs(**options):
    """One run of each sampler: (result, grid, start, denoiser)."""
    grid = uniform_grid(4)
    for sampler, process in ((ancestral, MASKED), (ancestral, UNIFORM), (tau_leaping, RATES)):
        denoiser = Uninformed(process.num_values)
        start = prior_samples(process, 5, 6, generator=generator(1))
        result = sampler(process, denoiser, start, grid, generator=generator(), **options)
        yield result, grid, start, denoiser


def test_n_steps_are_n_calls_at_the_times_of_the_grid():
    for result, grid, _, denoiser in _sampler_runs():
        assert result.nfe == len(denoiser.calls) <= 4
        asked = [t for _, t, _ in denoiser.calls]
        assert asked == pytest.approx(grid.flip(0)[: len(asked)].tolist())
        assert result.trajectory is None


def test_trajectories_and_callbacks_see_every_step():
    seen: list[Step] = []
    for result, grid, start, denoiser in _sampler_runs(
        trajectory=True, callback=seen.append, latent=LatentPolicy()
    ):
        assert result.trajectory.shape == (5, *start.shape)
        assert torch.equal(result.trajectory[0], start)
        assert torch.equal(result.trajectory[-1], result.samples)
        assert [step.call for step in seen] == [0, 1, 2, 3]
        for k, step in enumerate(seen):
            assert (step.s, step.t) == (float(grid[3 - k]), float(grid[4 - k]))
            assert step.num_calls == 4
            assert torch.equal(step.x_t, result.trajectory[k])
            assert torch.equal(step.x_s, result.trajectory[k + 1])
        for step, (x_t, _, latent) in zip(seen, denoiser.calls, strict=False):
            assert torch.equal(step.x_t, x_t)
            assert step.latent is latent
        seen.clear()


def test_a_revealed_coordinate_never_changes():
    result = ancestral(MASKED, Uninformed(3), _all_masked(50), uniform_grid(6), trajectory=True)
    for earlier, later in zip(result.trajectory, result.trajectory[1:], strict=False):
        known = earlier != 3
        assert torch.equal(earlier[known], later[known])
    assert int(result.samples.max()) < 3


def test_calls_without_a_mask_left_are_skipped_and_not_counted():
    denoiser = Uninformed(3)
    start = torch.zeros(2, 4, dtype=torch.long)
    steps: list[Step] = []
    result = ancestral(MASKED, denoiser, start, uniform_grid(3), callback=steps.append)
    assert torch.equal(result.samples, start)
    assert result.nfe == len(denoiser.calls) == 0
    assert len(steps) == 3


def test_the_start_is_not_changed():
    start = _all_masked()
    ancestral(MASKED, Uninformed(3), start, uniform_grid(2))
    assert torch.equal(start, _all_masked())


def test_a_seed_gives_the_same_samples_also_in_a_hybrid():
    grid, start, options = uniform_grid(4), _all_masked(20), {"latent": LatentPolicy()}
    student = TableDenoiser(
        torch.randn(1, 4**3, 3, 3, generator=generator()).log_softmax(-1), num_states=4
    )
    start = start[:, :3]

    def alone(x_t, t, latent=None):
        return student(x_t, t)

    runs = [
        ancestral(MASKED, alone, start, grid, generator=generator(3), **options) for _ in range(2)
    ]
    assert torch.equal(runs[0].samples, runs[1].samples)
    together = hybrid(
        *(MASKED, alone, start, grid),
        teacher=alone,
        teacher_steps=0,
        generator=generator(3),
        **options,
    )
    assert torch.equal(together.samples, runs[0].samples)


@pytest.mark.parametrize("teacher_steps", [0, 2, 4])
def test_a_hybrid_calls_the_teacher_last(teacher_steps):
    order = []

    def network(name):
        def denoiser(x_t, t, latent=None):
            order.append((name, latent is None))
            return torch.zeros(*x_t.shape, 4).log_softmax(-1)

        return denoiser

    result = hybrid(
        *(UNIFORM, network("student"), torch.zeros(3, 2, dtype=torch.long), uniform_grid(4)),
        teacher=network("teacher"),
        teacher_steps=teacher_steps,
        latent=LatentPolicy(),
    )
    expected = [("student", False)] * (4 - teacher_steps) + [("teacher", True)] * teacher_steps
    assert order == expected
    assert result.nfe == 4


def test_latents_that_are_passed_reach_the_network():
    latents = torch.rand(3, 2, 1)
    denoiser = Uninformed(4)
    start = torch.zeros(2, 5, dtype=torch.long)
    ancestral(UNIFORM, denoiser, start, uniform_grid(3), latent=latents)
    for given, (_, _, latent) in zip(latents, denoiser.calls, strict=True):
        assert torch.equal(latent, given)


def test_the_last_argmax_is_the_argmax():
    """No transition of the Gaussian process is impossible, so the argmax is always reached."""
    process = gaussian_process(256)
    log_probs = torch.randn(5, 6, 256, generator=generator(2)).log_softmax(-1)
    start = prior_samples(process, 5, 6, generator=generator(3))
    result = ancestral(
        process, lambda *_: log_probs, start, [0.0, 0.01], last="argmax", generator=generator()
    )
    assert torch.equal(result.samples, log_probs.argmax(-1))
    masks = torch.where(start > 31, MASKED.num_values, start % 3)
    log_probs = log_probs[..., :3].log_softmax(-1)
    result = ancestral(MASKED, lambda *_: log_probs, masks, [0.0, 0.01], last="argmax")
    assert torch.equal(result.samples, torch.where(start > 31, log_probs.argmax(-1), start % 3))


DEVICES = [
    "cpu",
    pytest.param(
        "cuda",
        marks=[
            pytest.mark.gpu,
            pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA"),
        ],
    ),
]


@pytest.mark.parametrize("device", DEVICES)
def test_samplers_stay_on_the_device_of_the_start(device):
    source = torch.Generator(device).manual_seed(0)
    policy = LatentPolicy(law=FiniteLatent(torch.arange(2)))
    runs = [(ancestral, process, {}) for process in (MASKED, UNIFORM, RATES)]
    runs += [(tau_leaping, RATES, {}), (tau_leaping, MASKED, {"jumps": "single"})]
    for sampler, process, options in runs:
        for last in ("sample", "argmax"):
            start = prior_samples(process, 4, 3, generator=source, device=device)
            found = sampler(
                process,
                Uninformed(process.num_values),
                start,
                uniform_grid(3),
                latent=policy,
                last=last,
                generator=source,
                **options,
            )
            assert found.samples.device == start.device
    masks = torch.full((4, 3), 3, device=device)
    found = confidence_sampling(
        MASKED,
        Uninformed(3),
        masks,
        2,
        unconditional=Uninformed(3),
        guidance=1.0,
        latent=policy,
        generator=source,
    )
    assert found.samples.device == masks.device
    exact = ExactDenoiser(MASKED, torch.full((9,), 1 / 9, dtype=torch.float64))
    times = torch.tensor([0.2, 0.7, 0.7, 0.2], dtype=torch.float64, device=device)
    assert exact(masks[:, :2], times).device == masks.device


def test_a_call_grid_has_one_interval_for_each_call():
    grid = call_grid(4, 0.01)
    assert grid.tolist() == pytest.approx([0, 0.01, 0.34, 0.67, 1])
    assert call_grid(1, 0.01).tolist() == [0, 1]
    for n in range(1, 60):
        for first in (0.01, 1e-5, 0.0173):
            assert len(call_grid(n, first)) == n + 1
            assert float(call_grid(n, first)[-1]) == 1
    assert call_grid(2, 0.5, horizon=2.0).tolist() == [0, 0.5, 2]
    for bad in ((0, 0.1), (2, 0.0), (2, 1.0), (2, 1.5)):
        with pytest.raises(ValueError, match=r"num_calls must be|first must lie in"):
            call_grid(*bad)
