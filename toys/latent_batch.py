"""How many latents does an estimate of the loss need? Bias and noise against exact values.

A student with the scalar latent of the paper is trained on the data of one law. Then its loss at
the start of generation is estimated many times, each time with L latents and L atoms, as in
training with Di4C:

    loss   minus the mean over atoms of log p_L(x), minus the entropy of the data; p_L is the
           mixture of the L latents
    bias   mean of the loss over many draws, minus the exact KL divergence; it comes from the
           latents alone (Jensen's inequality), and 0 is best
    noise  standard deviations of the loss and of its gradient; less is better
    charge mean KL divergence of the L latents' marginals from those of all latents, summed over
           coordinates: a marginal part of the loss charges it even if all marginals are right

A data loss with weights 0.1 and 1 of its two parts, as in two published recipes, pays 0.1 bias +
0.9 charge for a latent that carries correlations, and gains 0.1 times these (--json has both).

Rows differ in L, in independent or stratified latents, and in the control variate. The exact KL and
its gradient come from a fine grid of latents and all atoms. Norms of gradients are in units of the
norm of the exact gradient.

Expected for 3 x 3 digit patches: with 256 independent latents the bias is 0.056 nats, with 256
stratified latents 0.007 or less; the exact KL is 0.015. The control variate does not change the
bias, and hardly lowers the noise of this trained student (0.093 to 0.090 with 256 independent
latents). With 16 independent latents the published weights pay 0.29 nats, more than the 0.12 that
they gain; with 64 they pay 0.068 and with 256 0.016. Takes about three minutes; --quick takes
seconds.

    python toys/latent_batch.py --json results/latent_batch.json
"""

import itertools
import math
from statistics import fmean
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
from toys.students.jump_training import JumpOptions, jump_student
from toys.students.network import Backbone
from toys.students.student import TrainedStudent, latent_grid
from toys.tasks.registry import find_task
from toys.tasks.setting import Budget, Setting

GRID = 2048
"""Number of latents for the exact values."""

PUBLISHED = (0.1, 1.0)
"""Weights of the data term's two parts at the start, as published for ImageNet and OpenWebText."""


def main(argv: list[str] | None = None) -> None:
    """Train, estimate, print the table, write the record."""
    parser = script_parser(__doc__, figure=False)
    add = parser.add_argument
    add("--task", metavar="NAME", help="law to learn (default: digits3x3, with --quick pair)")
    add("--iterations", type=at_least(1), metavar="I", help="training iterations (default: 600)")
    add("--draws", type=at_least(2), metavar="R", help="estimates per row (default: 400)")
    add(
        "--latents",
        type=at_least(1),
        nargs="+",
        metavar="L",
        help="numbers of latents (default: 1 2 4 ... 256)",
    )
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    iterations = args.iterations or (5 if args.quick else 600)
    draws = args.draws or (8 if args.quick else 400)
    sizes = args.latents or [2**k for k in range(3 if args.quick else 9)]
    task = find_task(args.task or ("pair" if args.quick else "digits3x3"))
    setting = Setting(task, "masked", args.seed, Budget("latent batch", iterations * 1024))
    options = JumpOptions(latent="scalar", data=True, consistency=False)
    student = jump_student(setting, options)
    exact, gradient = exact_loss(student)
    law = own_law(student)
    correlation = total_correlation(law, task.num_dims, task.num_values)
    rows, (alpha, beta) = [], PUBLISHED
    cases = list(itertools.product(sizes, (False, True), (False, True)))
    for size, stratified, control in tqdm(cases, desc="estimates", unit="row", disable=None):
        if control and size == 1:
            continue  # with one latent the control variate changes nothing
        generator = generator_at(args.seed, size, f"{stratified}/{control}")
        rows.append(
            {"latents": size, "stratified": stratified, "control_variate": control}
            | estimate(student, size, stratified, control, draws, generator, exact, gradient)
        )
        rows[-1]["pays"] = alpha * rows[-1]["bias"] + (beta - alpha) * rows[-1]["charge"]
    print(f"correlations of the student {correlation:.4f}, gains {alpha * correlation:.4f}")
    print(f"exact KL {exact:.4f}, norm of its gradient {float(gradient.norm()):.4f}")
    print(format_table([row | {"latent": _kind(row)} for row in rows], COLUMNS))
    if args.json:
        payload = {"manifest": manifest(args.seed), "task": task.name, "quick": args.quick}
        payload |= {"iterations": iterations, "draws": draws, "grid": GRID}
        payload |= {"weights": PUBLISHED, "gains": alpha * correlation}
        payload |= {"exact": exact, "gradient_norm": float(gradient.norm()), "rows": rows}
        write_json(args.json, payload)
        print(f"written to {args.json}")


def _kind(row: dict[str, Any]) -> str:
    return "stratified" if row["stratified"] else "independent"


def exact_loss(student: TrainedStudent) -> tuple[float, Tensor]:
    """KL(data || student) at the start, and its gradient in all parameters."""
    setting = student.setting
    num_dims, num_values = setting.task.num_dims, setting.task.num_values
    support = setting.q_0 > 0
    target = Target(
        states(num_dims, num_values)[support][None],
        setting.q_0[support][None],
        marginals(setting.q_0, num_dims, num_values).log()[None],
    )
    terms = consistency_loss(_mixture(student, latent_grid(student.latent, GRID)), target)
    loss = terms.total.sum() + total_correlation(setting.q_0, num_dims, num_values)
    return float(loss.detach()), _gradient(student.network, loss)


def own_law(student: TrainedStudent) -> Tensor:
    """The law of one call of the student, from a fine grid of latents."""
    return student.law(1, latent_grid(student.latent, GRID)).detach()


def estimate(
    student: TrainedStudent,
    size: int,
    stratified: bool,
    control: bool,
    draws: int,
    generator: torch.Generator,
    exact: float,
    gradient: Tensor,
) -> dict[str, float]:
    """Bias and noise over independent estimates with `size` latents and atoms each."""
    setting = student.setting
    num_dims, num_values = setting.task.num_dims, setting.task.num_values
    log_marginals = marginals(setting.q_0, num_dims, num_values).log()[None]
    # The loss leaves out this constant.
    offset = total_correlation(setting.q_0, num_dims, num_values)
    offset = offset if control else -entropy(setting.q_0)
    law = own_law(student)
    own_marginals = marginals(law, num_dims, num_values).log()[None]
    x, losses, charges, sums, squares = states(num_dims, num_values), [], [], 0.0, 0.0
    for _ in range(draws):
        latents = draw_latents(student.latent, size, stratified=stratified, generator=generator)
        atoms = x[categorical(setting.q_0.expand(size, -1), generator=generator)]
        target = Target.from_samples(atoms[None], log_marginals)
        mixture = _mixture(student, latents)
        loss = consistency_loss(mixture, target, control).total.sum() + offset
        charges.append(float(mixture.marginal_kl(own_marginals).detach()))
        losses.append(float(loss.detach()))
        found = _gradient(student.network, loss).double()
        sums, squares = sums + found, squares + found.square()
    values = torch.tensor(losses, dtype=torch.float64)
    mean = sums / draws
    variance = (squares / draws - mean.square()).sum() * draws / (draws - 1)
    # Subtract the variance of the mean, by which its squared error is too large.
    bias = ((mean - gradient.double()).square().sum() - variance / draws).clamp_min(0)
    norm = float(gradient.double().norm())
    return {
        "bias": float(values.mean()) - exact,
        "bias_error": float(values.std()) / math.sqrt(draws),
        "std": float(values.std()),
        "charge": fmean(charges),
        "gradient_bias": math.sqrt(float(bias)) / norm,
        "gradient_std": math.sqrt(float(variance)) / norm,
    }


def _mixture(student: TrainedStudent, latents: Tensor) -> DenseMixture:
    """The student at the start of generation."""
    process, num_dims = student.setting.process, student.setting.task.num_dims
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
    "charge": ("charge", ".4f"),
    "pays": ("pays", ".4f"),
    "gradient_bias": ("gradient bias", ".3f"),
    "gradient_std": ("gradient noise", ".3f"),
}


if __name__ == "__main__":
    run_script(main)
