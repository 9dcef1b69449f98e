r"""The training losses of the library are the terms of Theorem 2, exactly or sampled.

With all of $S^D$ as atoms, `consistency_loss` plus the total correlation of the target is the KL
divergence of Theorem 2. The square roots of its means over $r_{t_n}$ add up to the right side.

Training replaces the atoms by one draw from each component of the target (`Target.from_mixture`).
The estimate of the correlation term is unbiased given the student's latents. With L equally
weighted components its variance is that of an average over one atom of each component.

Left side: the losses of `di4c.losses`. Right side: dense kernels (bound.py) and sums over all
states.
"""

import itertools
import math

import torch
from torch import Tensor

from di4c import exact
from di4c.likelihood import DenseMixture
from di4c.losses import Target, consistency_loss, distillation_loss
from di4c.processes import ForwardProcess
from theory.claim import Record, claim
from theory.theorem2.bound import bound, generated_laws, losses
from theory.theorem2.diffusion import Student, as_chains, diffusion_chains
from theory.tools.finite_mixture import random_mixture

DRAWS = 40_000
Z_SCORE = 6.0  # a correct estimator exceeds it with probability below 2e-9 in a comparison


def mixture_at(student: Student, t: float) -> DenseMixture:
    """The student at time t as a batch with one example for every x_t."""
    return DenseMixture(student.tables[t].transpose(0, 1).log(), student.weights.log())


def library_terms(
    process: ForwardProcess, q_0: Tensor, grid: list[float], student: Student
) -> tuple[list[float], float]:
    """L_distil and every L_consis from the library's losses, and the surrogate of L_distil."""
    chains = as_chains(process, q_0, grid, student)
    num_dims = student.tables[grid[1]].shape[2]
    num_states = process.num_states
    atoms = exact.states(num_dims, num_states)
    terms, surrogate = [], 0.0
    for n, (law, t) in enumerate(zip(generated_laws(chains), grid[1:], strict=True)):
        rows = chains.teacher[n][0]
        target = rows if n == 0 else rows @ student.kernel(grid[n])
        log_marginals = exact.marginals(target, num_dims, num_states).log()
        mixture = mixture_at(student, t)
        every_atom = Target(atoms.expand(len(target), -1, -1), target, log_marginals)
        divergence = consistency_loss(mixture, every_atom).total
        divergence = divergence + exact.total_correlation(target, num_dims, num_states)
        terms.append(_average(law[0], divergence))
        if n == 0:
            surrogate = _average(law[0], distillation_loss(mixture, log_marginals))
    return terms, surrogate


def _average(law: Tensor, values: Tensor) -> float:
    """Mean over the states of positive probability; elsewhere a divergence may be infinite."""
    return torch.where(law > 0, law * values, 0.0).sum().item()


@claim(
    "theorem2-losses",
    "The library's losses, with all states as atoms, are the terms of Theorem 2: L_distil and "
    "L_consis.",
    group="paper",
    source="Losses",
    hypotheses="any finite latent law; the total correlation of the target is added, since it "
    "does not depend on the student",
)
def _verify_terms(record: Record) -> None:
    for what, process, q_0, grid, student in diffusion_chains():
        chains = as_chains(process, q_0, grid, student)
        terms, surrogate = library_terms(process, q_0, grid, student)
        dense = [term.item() for term in losses(chains, generated_laws(chains))]
        for n, (ours, expected) in enumerate(zip(terms, dense, strict=True)):
            record.equal(ours, expected, 1e-11, f"loss at t_{n + 1}, {what}")
        right = sum(math.sqrt(max(term, 0.0)) for term in terms) / math.sqrt(2)
        record.equal(right, bound(chains).item(), 1e-6, f"right side of Theorem 2, {what}")
        if math.isfinite(surrogate):  # a component may exclude what the teacher allows
            record.at_most(terms[0], surrogate, f"surrogate, {what}", rounding=1e-12)


@claim(
    "theorem2-losses-sampled",
    "With sampled targets the correlation term is unbiased, and its variance is that of one atom "
    "from each component.",
    group="beyond",
    source="this project",
    hypotheses=f"given the student's latents; {DRAWS} draws, |z| < {Z_SCORE:g}, fixed seed",
)
def _verify_sampled(record: Record) -> None:
    generator = torch.Generator().manual_seed(17)
    for num_dims, num_states, num_latents in ((2, 2, 2), (3, 2, 4), (2, 3, 3), (5, 2, 8)):
        student = random_mixture(generator, 3, num_dims, num_states)
        source = random_mixture(generator, num_latents, num_dims, num_states)
        # Exact mean and variance of one atom from each equally weighted component.
        pbar = exact.product_law(student.marginals())
        cost = -(student.law() / pbar).log()
        components = source.components()  # (L, n)
        means = components @ cost
        mean = means.mean().item()
        variance = ((components @ cost**2 - means**2).sum() / num_latents**2).item()
        # As in training: a batch of DRAWS independent targets.
        law = DenseMixture(
            source.probs.log().expand(DRAWS, -1, -1, -1),
            torch.full((num_latents,), -math.log(num_latents), dtype=torch.float64),
        )
        repeated = DenseMixture(
            student.probs.log().expand(DRAWS, -1, -1, -1), student.weights.log()
        )
        sampled = consistency_loss(repeated, Target.from_mixture(law, generator)).correlation
        error = math.sqrt(variance / DRAWS)
        what = f"D = {num_dims}, S = {num_states}, L = {num_latents}"
        record.at_most(abs(sampled.mean().item() - mean), Z_SCORE * error, f"mean, {what}")
        fourth = ((sampled - mean) ** 4).mean().item()
        spread = math.sqrt((fourth - variance**2) / DRAWS)
        deviation = abs(sampled.var().item() - variance)
        record.at_most(deviation, Z_SCORE * spread, f"variance, {what}")


@claim(
    "theorem2-losses-own-latents",
    "False in general: the atoms of the target may come from the student's own batch of latents. "
    "Then the loss is too small.",
    group="fails",
    source="this project",
    hypotheses="atoms must be independent of the latents over which the student is averaged",
)
def _verify_own_latents(record: Record) -> None:
    """The mean cost with fresh latents against that with the student's own two latents."""
    generator = torch.Generator().manual_seed(23)
    mixture = random_mixture(generator, 3, 2, 2, spread=3.0)
    probs = mixture.probs
    fresh = reused = 0.0
    # The mean over all batches of two latents, uniform on the three components.
    for batch in itertools.product(range(3), repeat=2):
        p = exact.product_law(probs[list(batch)])
        pbar = exact.product_law(probs[list(batch)].mean(0))
        cost = -(p.mean(0) / pbar).log()
        fresh += (exact.product_law(probs).mean(0) @ cost).item() / 9
        reused += (p.mean(0) @ cost).item() / 9
    record.exceeds(fresh, reused, 0.05, "cost of fresh target latents against reused ones")
