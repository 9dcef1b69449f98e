r"""How large must the latent batch be? Bias and noise of the loss estimate, exactly judged.

A student of one task with the scalar latent of the paper, trained for a while, at the start of
generation; the target is the data law. With L latents and N = L atoms, as in Di4C's training,

    loss    -mean over atoms of log p_L(x), p_L the mixture of the L latents, minus the entropy
    bias    its mean over many draws minus the exact KL: Jensen's, from the latents alone
    noise   the standard deviations of the loss and of its gradient

for independent and for stratified latents, with and without the control variate; the exact KL and
its gradient come from a fine grid of latents and all atoms. The bias is the same with the control
variate and without; the noise is far smaller with it while components are alike, and hardly for a
trained student, whose correlations dominate. Takes about three minutes.

    python toys/latent_batch.py --json results/latent_batch.json
"""

import itertools
import math
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from di4c.exact import entropy, marginals, states, total_correlation
from di4c.latents import draw_latents
from di4c.likelihood import DenseMixture
from di4c.losses import Target, consistency_loss
from di4c.rng import categorical, generator_at
from reporting import at_least, format_table, manifest, run_script, script_parser, write_json
from toys.students.network import Backbone
from toys.students.recipes import JumpRecipe, jump_student
from toys.students.student import Student, latent_grid
from toys.tasks.problem import Budget, Problem
from toys.tasks.registry import find_task

GRID = 2048
"""Latents of the exact values."""


def main(argv: list[str] | None = None) -> None:
    """Train, estimate, print the table, write the record."""
    parser = script_parser(__doc__, figure=False)
    parser.add_argument("--task", metavar="NAME", help="what to learn (digits3x3; quick: pair)")
    parser.add_argument("--iterations", type=at_least(1), metavar="I", help="of training; 600")
    parser.add_argument("--draws", type=at_least(2), metavar="R", help="estimates of a row; 400")
    parser.add_argument(
        "--latents", type=at_least(1), nargs="+", metavar="L", help="latent batches; 1 2 4 ... 256"
    )
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    iterations = args.iterations or (5 if args.quick else 600)
    draws = args.draws or (8 if args.quick else 400)
    sizes = args.latents or [2**k for k in range(3 if args.quick else 9)]
    task = find_task(args.task or ("pair" if args.quick else "digits3x3"))
    problem = Problem(task, "masked", args.seed, Budget("latent batch", iterations * 1024))
    recipe = JumpRecipe(latent="scalar", data=True, consistency=False)
    student = jump_student(problem, recipe)
    exact, gradient = exact_loss(student)
    rows = []
    cases = list(itertools.product(sizes, (False, True), (False, True)))
    for size, stratified, control in tqdm(cases, desc="estimates", unit="row", disable=None):
        if control and size == 1:
            continue  # one latent is a product: the two parts are one
        generator = generator_at(args.seed, size, f"{stratified}/{control}")
        rows.append(
            {"latents": size, "stratified": stratified, "control_variate": control}
            | estimate(student, size, stratified, control, draws, generator, exact, gradient)
        )
    print(f"exact KL {exact:.4f}, norm of its gradient {float(gradient.norm()):.4f}")
    print(format_table([row | {"latent": _kind(row)} for row in rows], COLUMNS))
    if args.json:
        payload = {"manifest": manifest(args.seed), "task": task.name, "quick": args.quick}
        payload |= {"iterations": iterations, "draws": draws, "grid": GRID}
        payload |= {"exact": exact, "gradient_norm": float(gradient.norm()), "rows": rows}
        write_json(args.json, payload)
        print(f"written to {args.json}")


def _kind(row: dict[str, Any]) -> str:
    return "stratified" if row["stratified"] else "independent"


def exact_loss(student: Student) -> tuple[float, Tensor]:
    """KL(data || student) at the start, and its gradient in all parameters."""
    problem = student.problem
    num_dims, num_values = problem.task.num_dims, problem.task.num_values
    support = problem.q_0 > 0
    target = Target(
        states(num_dims, num_values)[support][None],
        problem.q_0[support][None],
        marginals(problem.q_0, num_dims, num_values).log()[None],
    )
    terms = consistency_loss(_mixture(student, latent_grid(student.latent, GRID)), target)
    loss = terms.total.sum() + total_correlation(problem.q_0, num_dims, num_values)
    return float(loss.detach()), _gradient(student.network, loss)


def estimate(
    student: Student,
    size: int,
    stratified: bool,
    control: bool,
    draws: int,
    generator: torch.Generator,
    exact: float,
    gradient: Tensor,
) -> dict[str, float]:
    """Bias and noise over independent estimates with `size` latents and atoms each."""
    problem = student.problem
    num_dims, num_values = problem.task.num_dims, problem.task.num_values
    log_marginals = marginals(problem.q_0, num_dims, num_values).log()[None]
    # What the loss leaves out, constant in the student.
    offset = total_correlation(problem.q_0, num_dims, num_values)
    offset = offset if control else -entropy(problem.q_0)
    x, losses, sums, squares = states(num_dims, num_values), [], 0.0, 0.0
    for _ in range(draws):
        latents = draw_latents(student.latent, size, stratified=stratified, generator=generator)
        atoms = x[categorical(problem.q_0.expand(size, -1), generator=generator)]
        target = Target.from_samples(atoms[None], log_marginals)
        loss = consistency_loss(_mixture(student, latents), target, control).total.sum() + offset
        losses.append(float(loss.detach()))
        found = _gradient(student.network, loss).double()
        sums, squares = sums + found, squares + found.square()
    values = torch.tensor(losses, dtype=torch.float64)
    mean = sums / draws
    variance = (squares / draws - mean.square()).sum() * draws / (draws - 1)
    # The squared norm of the mean's error is biased by the variance of the mean.
    bias = ((mean - gradient.double()).square().sum() - variance / draws).clamp_min(0)
    norm = float(gradient.double().norm())
    return {
        "bias": float(values.mean()) - exact,
        "bias_error": float(values.std()) / math.sqrt(draws),
        "std": float(values.std()),
        "gradient_bias": math.sqrt(float(bias)) / norm,
        "gradient_std": math.sqrt(float(variance)) / norm,
    }


def _mixture(student: Student, latents: Tensor) -> DenseMixture:
    """The student at the start of generation."""
    process, num_dims = student.problem.process, student.problem.task.num_dims
    start = torch.full((1, 1, num_dims), process.num_states - 1).expand(-1, len(latents), -1)
    horizon = torch.full((1,), process.horizon, dtype=torch.float64)
    return student.network(start, horizon, latents[None])


def _gradient(network: Backbone, loss: Tensor) -> Tensor:
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(network.parameters()))])


COLUMNS = {
    "latents": ("L", "d"),
    "latent": ("latents", "s"),
    "control_variate": ("control variate", ""),
    "bias": ("bias", ".4f"),
    "bias_error": ("+-", ".4f"),
    "std": ("std", ".4f"),
    "gradient_bias": ("gradient bias", ".3f"),
    "gradient_std": ("gradient noise", ".3f"),
}


if __name__ == "__main__":
    run_script(main)
