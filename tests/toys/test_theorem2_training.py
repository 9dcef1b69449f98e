"""Theorem 2 while training: both sides agree with theory/, and the bound holds."""

import numpy as np
import pytest
import torch

from di4c.exact import product_composition
from di4c.latents import FiniteLatent
from di4c.processes import MaskedProcess
from di4c.schedules import uniform_grid
from theory.theorem2.bound import Chains, bound, distance
from theory.theorem2.diffusion import teacher_kernels
from toys import latent_batch, theorem2_training
from toys.students.training import make_network
from toys.tasks.registry import Task
from toys.tasks.setting import Setting
from toys.theorem2_training import Sides, grid_times


def _setting(seed):
    generator = torch.Generator().manual_seed(seed)
    law = torch.rand(8, dtype=torch.float64, generator=generator)
    law[seed % 8] = 0
    law = law / law.sum()
    return Setting(Task("law", "a law", 2, 3, lambda: law), "masked", seed)


@pytest.mark.parametrize(("seed", "num_steps"), [(0, 1), (1, 2), (2, 3)])
def test_sides_are_those_of_the_dense_chains(seed, num_steps):
    setting, grid = _setting(seed), uniform_grid(num_steps).tolist()
    network = make_network(setting, FiniteLatent(torch.arange(3)))
    sides = Sides(setting, grid)
    found = sides.measure(network)
    # In theory/ the states at time 0 include the mask, so pad the student's kernels.
    values = torch.tensor([i for i in range(27) if all(i // 3**k % 3 < 2 for k in range(3))])
    students = []
    for t in grid[1:]:
        kernel = torch.zeros(27, 27, dtype=torch.float64)
        kernel[:, values] = sides.student_kernel(network, t)
        students.append(kernel[None])
    teacher = [k[None] for k in teacher_kernels(MaskedProcess(2), setting.q_0, grid)]
    chains = Chains(setting.start[None], teacher, students)
    assert found["right"] == pytest.approx(bound(chains).item(), abs=1e-9)
    assert found["left"] == pytest.approx(distance(chains).item(), abs=1e-12)
    parts = found["distillation"] + found["consistency"]
    assert parts == pytest.approx(found["right"], abs=1e-12)
    expected = product_composition(setting.process, setting.q_0, grid, "prior")
    torch.testing.assert_close(sides.teacher_law, expected, atol=1e-12, rtol=0)


def test_bound_holds_at_every_checkpoint_and_falls():
    # Both sides fall to less than 0.34 of their first value with each of the seeds 0 to 4.
    rows = theorem2_training.train(dims=3, steps=2, latents=8, iterations=256, seed=0)
    assert [row["iteration"] for row in rows] == [0, 1, 2, 4, 8, 16, 32, 64, 128, 250, 256]
    for row in rows:
        assert row["left"] <= row["right"]
    assert rows[-1]["right"] < 0.7 * rows[0]["right"]
    assert rows[-1]["left"] < 0.7 * rows[0]["left"]


def test_grid_times_are_neighbours_each_equally_often():
    t, u = grid_times(4, 8000, torch.Generator().manual_seed(0))
    torch.testing.assert_close(t - u, torch.full_like(t, 0.25))
    counts = torch.bincount((4 * t).round().long(), minlength=5)
    assert int(counts[0]) == 0
    assert int(counts[1:].min()) > 1800  # 2000 expected, standard deviation 39


def test_latent_batch_estimates_the_exact_loss_without_bias_where_all_latents_count():
    """With 64 stratified latents the bias is within its error; the exact loss is known."""
    setting = _setting(3)
    options = latent_batch.JumpOptions(latent="scalar", data=True, consistency=False)
    tiny = latent_batch.Budget("tiny", 2 * 1024)
    student = latent_batch.jump_student(Setting(setting.task, "masked", 3, tiny), options)
    exact, gradient = latent_batch.exact_loss(student)
    law = student.law(1, latent_batch.latent_grid(student.latent, latent_batch.GRID))
    q_0 = setting.q_0
    kl = torch.special.xlogy(q_0, q_0).sum() - torch.special.xlogy(q_0, law).sum()
    assert exact == pytest.approx(float(kl), abs=1e-5)
    found = {}
    for size, control in ((2, True), (64, False), (64, True)):
        generator = torch.Generator().manual_seed(size)
        found[size, control] = latent_batch.estimate(
            student, size, True, control, 40, generator, exact, gradient
        )
    for control in (False, True):
        row = found[64, control]
        assert abs(row["bias"]) < 6 * row["bias_error"]
    assert found[64, True]["std"] < found[64, False]["std"]
    assert found[64, True]["gradient_std"] < found[2, True]["gradient_std"]


def test_one_latent_is_charged_the_mean_divergence_of_its_marginals():
    """The mean over a grid of latents, by numpy. False alarm below 1e-6 (5 standard errors)."""
    setting = _setting(3)
    options = latent_batch.JumpOptions(latent="scalar", data=True, consistency=False)
    tiny = latent_batch.Budget("tiny", 2 * 1024)
    student = latent_batch.jump_student(Setting(setting.task, "masked", 3, tiny), options)
    grid = latent_batch.latent_grid(student.latent, 512)
    log_probs = np.stack(
        [latent_batch._mixture(student, one[None]).log_probs[0, 0].detach() for one in grid]
    )
    probs = np.exp(log_probs.astype(float))
    own = probs.mean(0)
    kl = (own * (np.log(own) - np.log(probs))).sum((1, 2))
    draws = 100
    exact, gradient = latent_batch.exact_loss(student)
    generator = torch.Generator().manual_seed(0)
    row = latent_batch.estimate(student, 1, False, False, draws, generator, exact, gradient)
    assert kl.std() > 0.1 * kl.mean() > 0
    assert row["charge"] == pytest.approx(kl.mean(), abs=5 * kl.std() / draws**0.5)
