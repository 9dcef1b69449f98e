r"""How much variance the control variate saves, and when it adds some.

Let f = log p and let g be the log of the product of p's marginals. Without the control variate the
loss of one draw from the target has variance Var f. With it the variance is
Var(f - g) = Var f + Var g - 2 Cov(f, g). It helps if and only if 2 Cov(f, g) > Var g.

The paper introduces the control variate to reduce the variance. By how much it does so is not in
the paper. Everything below is exact, by enumeration. The ratio is the variance with the control
variate over the variance without.

* The control variate helps most if latents matter little, $p_l^d \propto p_0^d e^{\kappa u_l^d}$.
  Then $(f - g)/\kappa^2 \to \sum_{d<e} \mathrm{Cov}_w(v_l^d, v_l^e)$ with v the centred u, and the
  ratio falls like $\kappa^4$.
* For random students (3 equally likely latents, 3 bits) and random targets, the ratio grows with
  the spread of the students' log-odds. 20,000 students for each spread:

      spread of the log-odds            0.1     0.5    1      2      4
      geometric mean of the ratio       0.0019  0.043  0.126  0.256  0.375
      share of students with ratio > 1  0 %     1 %    3 %    5 %    6 %

* It can hurt. A student equal to the uniform law on {00, 01, 10} has Var f = 0 and
  Var(f - g) = (2/9) log^2 2. For D equal bits with P(1) = a, both as student and as target, the
  ratio is $(D - 1)^2$.
* The best multiple $\beta = \mathrm{Cov}(f, g) / \mathrm{Var}\, g$ of g never hurts. Its ratio is
  $1 - \mathrm{corr}(f, g)^2$.
"""

import itertools
import math

import torch
from torch import Tensor

from di4c import exact
from di4c.likelihood import DenseMixture
from di4c.losses import Target, consistency_loss
from theory.claim import Record, claim
from theory.losses.control_variate.identity import (
    SHAPES,
    instances,
    loss_of_draws,
    mean_and_variance,
)
from theory.tools import oracle
from theory.tools.finite_mixture import FiniteMixture, random_law


def draw_variances(law: Tensor, student: FiniteMixture) -> tuple[float, float]:
    """The variance of the loss of one draw from `law`: (with, without) the control variate."""
    _, num_dims, num_states = student.probs.shape
    draws = exact.states(num_dims, num_states)[:, None]
    marginals = exact.marginals(law, num_dims, num_states)
    both = (loss_of_draws(draws, marginals, student, cv) for cv in (True, False))
    with_cv, without = (mean_and_variance(values, law)[1] for values in both)
    return with_cv, without


def log_laws(student: FiniteMixture) -> tuple[Tensor, Tensor]:
    r"""f = log p and g, the log of the product of p's marginals, by the oracle; (S^D,) each."""
    literal = student.literal()
    parts = [literal, oracle.independent(literal)]
    logs = [[math.log(p) if p else -math.inf for p in part.values()] for part in parts]
    f, g = torch.tensor(logs, dtype=torch.float64)
    return f, g


def covariances(law: Tensor, student: FiniteMixture) -> tuple[float, float, float]:
    """Var f, Var g and Cov(f, g) under the law."""
    f, g = (torch.where(law > 0, values, 0.0) for values in log_laws(student))
    f, g = f - law @ f, g - law @ g
    return (law @ f**2).item(), (law @ g**2).item(), (law @ (f * g)).item()


def equal_bits(num_dims: int, ones: float) -> FiniteMixture:
    """All bits are equal; they are 1 with probability `ones`."""
    probs = torch.eye(2, dtype=torch.float64)[:, None].expand(2, num_dims, 2)
    return FiniteMixture(torch.tensor([1 - ones, ones], dtype=torch.float64), probs)


def three_states() -> FiniteMixture:
    """The uniform law on 00, 01 and 10."""
    probs = [[[1.0, 0.0], [0.5, 0.5]], [[0.0, 1.0], [1.0, 0.0]]]
    return FiniteMixture(
        torch.tensor([2 / 3, 1 / 3], dtype=torch.float64), torch.tensor(probs, dtype=torch.float64)
    )


@claim(
    "control-variate-variance",
    "One draw has variance Var f + Var g - 2 Cov(f, g) with the control variate and Var f without.",
    group="sharper",
    source="Control variate; the formula: this project",
    hypotheses="any target; f = log p, g = log of the product of p's marginals. The best multiple "
    "of g never adds variance",
)
def verify_variance(record: Record) -> None:
    for what, law, student in instances(count=20, seed=3):
        with_cv, without = draw_variances(law, student)
        f, g, fg = covariances(law, student)
        record.equal(without, f, 1e-11, f"without control variate, {what}")
        record.equal(with_cv, f + g - 2 * fg, 1e-11, f"with control variate, {what}")
        record.at_most(f - fg**2 / g, min(with_cv, without), f"best multiple, {what}", 1e-12)


def tilted(base: Tensor, noise: Tensor, weights: Tensor, kappa: float) -> FiniteMixture:
    r"""$p_l^d \propto p_0^d e^{\kappa u_l^d}$; base (D, S), noise (L, D, S)."""
    probs = base * torch.exp(kappa * noise)
    return FiniteMixture(weights, probs / probs.sum(-1, keepdim=True))


def latent_covariance(base: Tensor, noise: Tensor, weights: Tensor) -> Tensor:
    r"""$\sum_{d<e} \mathrm{Cov}_w(v_l^d(x^d), v_l^e(x^e))$ at every state, by loops."""
    centred = noise - (base * noise).sum(-1, keepdim=True)
    num_dims, num_states = base.shape
    values = []
    for x in oracle.all_states(num_dims, num_states):
        total = 0.0
        for d, e in itertools.combinations(range(num_dims), 2):
            a, b = centred[:, d, x[d]], centred[:, e, x[e]]
            total += (weights @ (a * b) - (weights @ a) * (weights @ b)).item()
        values.append(total)
    return torch.tensor(values, dtype=torch.float64)


@claim(
    "control-variate-weak-latents",
    "If latents matter little, the control variate removes nearly all variance: the ratio falls "
    "like kappa^4.",
    group="beyond",
    source="this project",
    hypotheses="p_l proportional to p_0 exp(kappa u_l), kappa to 0. The ratio over kappa^4 tends "
    "to Var[sum_{d<e} Cov_w(v^d, v^e)] / Var[log p_0], v the centred u; Richardson limit to 1e-4",
)
def verify_weak_latents(record: Record) -> None:
    generator = torch.Generator().manual_seed(4)
    for num_latents, num_dims, num_states in SHAPES:
        base = random_law(generator, num_dims, num_states)
        noise = torch.randn(
            num_latents, num_dims, num_states, dtype=torch.float64, generator=generator
        )
        weights, law = (
            random_law(generator, num_latents),
            random_law(generator, num_states**num_dims),
        )
        what = f"L={num_latents}, D={num_dims}, S={num_states}"
        scaled = []
        for kappa in (1e-3, 2e-3):
            student = tilted(base, noise, weights, kappa)
            with_cv, without = draw_variances(law, student)
            scaled.append(with_cv / without / kappa**4)
        _, limit = mean_and_variance(latent_covariance(base, noise, weights), law)
        limit /= mean_and_variance(exact.product_law(base).log(), law)[1]
        richardson = 2 * scaled[0] - scaled[1]
        record.equal(richardson / limit, 1.0, 1e-4, f"ratio / kappa^4 over its limit, {what}")


TYPICAL = {0.1: 0.0019, 0.5: 0.043, 1.0: 0.126, 2.0: 0.256, 4.0: 0.375}


def typical_ratios(spread: float, count: int, seed: int) -> Tensor:
    """Variance with over variance without the control variate, (count,).

    Random students with 3 equally likely latents and 3 bits, one random target for each.
    """
    generator = torch.Generator().manual_seed(seed)
    probs = random_law(generator, count, 3, 3, 2, spread=spread)
    laws = random_law(generator, count, 8)
    log_weights = torch.full((3,), -math.log(3), dtype=torch.float64)
    student = DenseMixture(probs.log().repeat_interleave(8, 0), log_weights)
    log_marginals = exact.marginals(laws, 3, 2).log().repeat_interleave(8, 0)
    target = Target.from_samples(exact.states(3, 2).repeat(count, 1)[:, None], log_marginals)
    variances = []
    for control_variate in (True, False):
        values = consistency_loss(student, target, control_variate).total.reshape(count, 8)
        mean = (laws * values).sum(-1, keepdim=True)
        variances.append((laws * (values - mean) ** 2).sum(-1))
    return variances[0] / variances[1]


@claim(
    "control-variate-typical",
    "For random students the control variate leaves 0.002 to 0.38 of the variance (geometric "
    "means).",
    group="sharper",
    source="Control variate; the numbers: this project",
    hypotheses="3 equally likely latents, 3 bits, 2000 students a spread. Spreads of the log-odds "
    "0.1, 0.5, 1, 2, 4 leave 0.0019, 0.043, 0.126, 0.256, 0.375, confirmed to 6 %",
)
def verify_typical(record: Record) -> None:
    for spread, recorded in TYPICAL.items():
        ratios = typical_ratios(spread, 2000, seed=6)
        mean = ratios.log().mean().exp().item()
        record.equal(mean / recorded, 1.0, 0.06, f"geometric mean, spread {spread}")
        worse_off = (ratios > 1).double().mean().item()
        record.at_most(worse_off, 0.08, f"share of students with more variance, spread {spread}")


@claim(
    "control-variate-can-hurt",
    "False in general: the control variate never adds variance. For the uniform law on 00, 01, 10 "
    "it raises the variance from 0 to 0.107.",
    group="fails",
    source="this project",
    hypotheses="student and target are the same law. For D equal bits the variance is multiplied "
    "by (D-1)^2",
)
def verify_can_increase(record: Record) -> None:
    student = three_states()
    with_cv, without = draw_variances(student.law(), student)
    record.vanishes(without, 1e-15, "Var f of the uniform law on three states")
    record.equal(with_cv, 2 / 9 * math.log(2) ** 2, 1e-14, "Var(f - g) there")
    record.exceeds(with_cv, without, 0.1, "variance with and without control variate")
    for num_dims in (3, 4, 6):
        student = equal_bits(num_dims, 0.3)
        with_cv, without = draw_variances(student.law(), student)
        record.equal(with_cv / without, (num_dims - 1) ** 2, 1e-10, f"ratio, {num_dims} equal bits")
        record.exceeds(with_cv, without, 0.1, f"{num_dims} equal bits")
