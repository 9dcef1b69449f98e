r"""The training losses of the library are the terms of Theorem 2, exactly and as sampled.

With all of $S^D$ as atoms, `consistency_loss` plus the target's total correlation is the KL
divergence that Theorem 2 asks for; averaged over $r_{t_n}$ its roots add up to the right side.
Training replaces the atoms by one draw of each latent's product law (`Target.from_mixture`): the
estimate of the correlation term is unbiased given the student's latents, and with L equally
weighted components its variance is that of an average over one atom of each. Left side: the losses
of `di4c.losses`. Right side: dense kernels (`theory.theorem2.bound`) and sums over all states.
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
Z_SCORE = 6.0  # a correct estimator exceeds it with chance below 2e-9 a comparison


def mixture_at(student: Student, t: float) -> DenseMixture:
    """The student at time t for every x_t at once: one example a state."""
    return DenseMixture(student.tables[t].transpose(0, 1).log(), student.weights.log())


def library_terms(
    process: ForwardProcess, q_0: Tensor, grid: list[float], student: Student
) -> tuple[list[float], float]:
    """L_distil and every L_consis through the losses, and the surrogate of L_distil."""
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
    """Mean over the states that occur (elsewhere a divergence may be infinite)."""
    return torch.where(law > 0, law * values, 0.0).sum().item()


@claim(
    "theorem2-losses",
    "the library's losses over all atoms are the terms of Theorem 2",
    group="paper",
    source="Theorem 2",
    hypotheses="all of S^D as atoms, any finite latent law; plus TC of the target",
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
        record.at_most(terms[0], surrogate, f"surrogate, {what}", rounding=1e-12)


@claim(
    "theorem2-losses-sampled",
    "sampled targets: unbiased, with the exact variance of one atom a component",
    group="beyond",
    source="this project",
    hypotheses=f"given the student's latents; {DRAWS} draws, |z| < {Z_SCORE:g}, fixed seed",
)
def _verify_sampled(record: Record) -> None:
    generator = torch.Generator().manual_seed(17)
    for num_dims, num_states, num_latents in ((2, 2, 2), (3, 2, 4), (2, 3, 3), (5, 2, 8)):
        student = random_mixture(generator, 3, num_dims, num_states)
        source = random_mixture(generator, num_latents, num_dims, num_states)
        # Exact: the cost of every atom, and one atom from each equally weighted component.
        pbar = exact.product_law(student.marginals())
        cost = -(student.law() / pbar).log()
        components = source.components()  # (L, n)
        means = components @ cost
        mean = means.mean().item()
        variance = ((components @ cost**2 - means**2).sum() / num_latents**2).item()
        # Sampled, as in training: a batch of DRAWS independent targets.
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
    "False in general: target atoms may come from the student's own batch of latents",
    group="fails",
    source="this project",
    hypotheses="atoms must be independent of the latents that are averaged over",
)
def _verify_dependence_matters(record: Record) -> None:
    """Naive: atoms of the student's own latent batch would do (they are not independent of it)."""
    generator = torch.Generator().manual_seed(23)
    mixture = random_mixture(generator, 3, 2, 2, spread=3.0)
    probs = mixture.probs
    fresh = reused = 0.0
    # All latent batches of two, uniform on the three components.
    for batch in itertools.product(range(3), repeat=2):
        p = exact.product_law(probs[list(batch)])
        pbar = exact.product_law(probs[list(batch)].mean(0))
        cost = -(p.mean(0) / pbar).log()
        fresh += (exact.product_law(probs).mean(0) @ cost).item() / 9
        reused += (p.mean(0) @ cost).item() / 9
    record.exceeds(fresh, reused, 0.05, "cost of fresh target latents against reused ones")
