r"""Continuous-time losses see only the marginals of $p_{0|t}$, never the joint law.

The reverse rates of a model change one coordinate at a time,

$$\hat R_t(x \to x^{d \to v}) = R_t(v \to x^d) \sum_{x_0^d} p^d_{0|t}(x_0^d \mid x)
  \frac{q_{t|0}(v \mid x_0^d)}{q_{t|0}(x^d \mid x_0^d)},$$

Rate matching, score entropy and the continuous-time ELBO are functions of these rates, such as

$$\int \mathbb{E}_{q_t} \sum_{y \ne x} \Big[ \tilde R_t \log (\tilde R_t / \hat R_t)
  - \tilde R_t + \hat R_t \Big](x \to y)\,dt, \qquad \tilde R_t \text{ the true reverse rates},$$

They are therefore the same for two models with equal marginals and different joint laws, as Di4C
observes. The following is not in the paper; it uses steps of the joint model, written out:

* In the limit of small steps, changes of one coordinate obey the rates, and changes of two
  coordinates at once vanish.
* The divergence of the path of N steps tends to the integral for both joint laws. At finite N the
  two divergences differ by c/N.
* A loss of 0 does not make a good sampler of few steps. The product of the true marginals has
  continuous-time loss 0, and one step of it has the total variation
  $d_{12} = d_{TV}(q_0, q_0^1 \otimes q_0^2)$.

`marginals_only_losses` shows what the losses of Di4C see instead.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor

from di4c import exact
from di4c.exact.laws import infer_num_dims
from di4c.processes import InterpolatingProcess, MaskedProcess, UniformProcess, absorbing_process
from di4c.schedules import ExponentialSchedule, uniform_grid
from theory.claim import Record, claim
from theory.tools.extrapolation import extrapolate
from theory.tools.finite_mixture import random_law
from theory.tools.oracle import Law, all_states, independent, law_from, total_variation


@dataclass(frozen=True)
class JointModel:
    r"""A model of $x_0$ given $x_t$ with correlations: the true posterior times a factor.

    Attributes:
        process: forward process.
        q_0: data law over the values.
        tilt: logarithm of the factor on $p(x_0 \mid x_t)$, (n, n); 0 gives the true posterior.
        independent: whether to replace the joint law by the product of its marginals.
    """

    process: InterpolatingProcess
    q_0: Tensor
    tilt: Tensor
    independent: bool

    @property
    def num_dims(self) -> int:
        """The number of dimensions D."""
        return infer_num_dims(len(self.q_0), self.process.num_values)

    def joint(self, t: float) -> Tensor:
        r"""$p_{0|t}$, [x_t, x_0] over all states (a mask included)."""
        weights = exact.reverse_kernel(self.process, self.q_0, 0.0, t) * self.tilt.exp()
        law = weights / weights.sum(-1, keepdim=True)
        if not self.independent:
            return law
        return exact.product_law(exact.marginals(law, self.num_dims, self.process.num_states))

    def step(self, s: float, t: float) -> Tensor:
        r"""$p_{s|t}$, [x_t, x_s]: draw $x_0$ from the joint law, then $x_s$ given both."""
        size = self.process.num_states
        x = exact.states(self.num_dims, size)
        x_0, x_t = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
        bridge = self.process.posterior(x_0, x_t, s, t)  # (x_0, x_t, x_s), one coordinate
        rows = bridge[x[None, :, :], x[:, None, :]]  # (n x_t, n x_0, D, S)
        return torch.einsum("xz,xzy->xy", self.joint(t), exact.product_law(rows))


def flip_counts(num_dims: int, num_states: int) -> Tensor:
    """In how many coordinates two states differ, (n, n)."""
    x = exact.states(num_dims, num_states)
    return (x[:, None] != x).sum(-1)


def forward_rates(process: InterpolatingProcess, t: float) -> Tensor:
    r"""$R_t$ of one coordinate, [from, to]: $-(\alpha'/\alpha)(\mathbf{1}\pi^\top - I)$."""
    rate = -process.schedule.derivative(t) / process.schedule.alpha(t)
    return rate * (process.stationary - torch.eye(process.num_states, dtype=torch.float64))


def rates_from_marginals(process: InterpolatingProcess, marginals: Tensor, t: float) -> Tensor:
    r"""$\hat R_t$, [x, y], 0 unless y differs from x in one coordinate; marginals (n, D, S)."""
    num_dims, size = marginals.shape[1:]
    noise, rates = process.transition(0.0, t), forward_rates(process, t)
    x = exact.states(num_dims, size)
    result = torch.zeros(len(x), len(x), dtype=torch.float64)
    strides = [size ** (num_dims - 1 - d) for d in range(num_dims)]
    for d, stride in enumerate(strides):
        evidence = noise[:, x[:, d]].T  # q_{t|0}(x^d | x_0^d), (n, x_0)
        weights = torch.where(evidence > 0, marginals[:, d] / evidence, 0.0)
        rate = (weights @ noise) * rates[:, x[:, d]].T  # (n, v)
        for v in range(size):
            source = torch.nonzero(x[:, d] != v)[:, 0]
            result[source, source + (v - x[source, d]) * stride] = rate[source, v]
    return result


def true_rates(process: InterpolatingProcess, q_0: Tensor, t: float) -> Tensor:
    r"""$\tilde R_t(x \to y) = R_t(y \to x)\, q_t(y)/q_t(x)$."""
    law = exact.forward_law(process, q_0, t)
    num_dims, size = infer_num_dims(len(law), process.num_states), process.num_states
    x, rates = exact.states(num_dims, size), forward_rates(process, t)
    flips = flip_counts(num_dims, size)
    jumps = torch.where(x[:, None] != x, rates[x[None, :, :], x[:, None, :]], 0.0).sum(-1)
    ratio = law[None, :] / law[:, None].where(law[:, None] > 0, 1.0)
    return torch.where(flips == 1, jumps * ratio, 0.0)


def loss_density(truth: Tensor, model: Tensor, law: Tensor) -> float:
    """The integrand of the continuous-time loss: the divergence of the two jump intensities."""
    gap = torch.special.xlogy(truth, truth) - torch.special.xlogy(truth, model) - truth + model
    return (law @ gap.sum(-1)).item()


def continuous_loss(model: JointModel, first: float, last: float) -> float:
    """The continuous-time loss over [first, last], by Gauss-Legendre quadrature."""
    nodes, weights = np.polynomial.legendre.leggauss(12)
    total = 0.0
    for node, weight in zip(nodes, weights, strict=True):
        t = (first + last + (last - first) * node) / 2
        marginals = exact.marginals(model.joint(t), model.num_dims, model.process.num_states)
        total += weight * loss_density(
            true_rates(model.process, model.q_0, t),
            rates_from_marginals(model.process, marginals, t),
            exact.forward_law(model.process, model.q_0, t),
        )
    return total * (last - first) / 2


def path_divergences(
    models: Sequence[JointModel], num_steps: int, first: float, last: float
) -> list[float]:
    r"""$\sum_k \mathbb{E}_{q_{t_k}} \mathrm{KL}(q_{s|t_k} \| p_{s|t_k})$, $s = t_{k-1}$, dense.

    All models must have the same process and data.
    """
    process, q_0 = models[0].process, models[0].q_0
    totals = [0.0] * len(models)
    for s, t in itertools.pairwise(uniform_grid(num_steps, last, first).tolist()):
        truth, law = exact.reverse_kernel(process, q_0, s, t), exact.forward_law(process, q_0, t)
        for k, model in enumerate(models):
            totals[k] += (law @ exact.kl(truth, model.step(s, t))).item()
    return totals


PROCESSES: list[tuple[str, InterpolatingProcess, int]] = [
    ("masked", MaskedProcess(2), 2),
    ("uniform", UniformProcess(2, ExponentialSchedule(1.0, 2.0)), 2),
    ("absorbing", absorbing_process(ExponentialSchedule(1.0, 2.0)), 2),
    ("uniform, S = 3", UniformProcess(3), 2),
    ("masked", MaskedProcess(2), 3),
]


def model_pairs(seed: int) -> Iterator[tuple[str, JointModel, JointModel]]:
    """(what, a correlated model, the product of its marginals)."""
    generator = torch.Generator().manual_seed(seed)
    for name, process, num_dims in PROCESSES:
        q_0 = random_law(generator, process.num_values**num_dims)
        size = process.num_states**num_dims
        tilt = torch.randn(size, size, dtype=torch.float64, generator=generator)
        joint, product = (JointModel(process, q_0, tilt, flag) for flag in (False, True))
        yield f"{name}, D={num_dims}", joint, product


def masked_step_law(joint: Law, reveal: Fraction) -> Law:
    """One step from the all-mask state (2, 2), in rationals.

    x_0 is drawn from the joint law, and each coordinate is revealed with probability `reveal`.
    """
    law = dict.fromkeys(all_states(2, 3), Fraction(0))
    for x_0, p in joint.items():
        for shown in itertools.product((False, True), repeat=2):
            x_s = tuple(v if seen else 2 for v, seen in zip(x_0, shown, strict=True))
            law[x_s] += p * math.prod(reveal if seen else 1 - reveal for seen in shown)
    return law


@claim(
    "marginals-only-rates",
    "Two models with equal marginals and different joint laws have the same reverse rates.",
    group="sharper",
    source="Continuous-time losses; limits of steps: this project",
    hypotheses="masked, uniform and absorbing noise. Limits of small steps are compared with the "
    "formula; changes of two coordinates at once vanish",
)
def verify_rates(record: Record) -> None:
    t = 0.5
    for what, *models in model_pairs(seed=0):
        process, num_dims = models[0].process, models[0].num_dims
        flips = flip_counts(num_dims, process.num_states)
        marginals = exact.marginals(models[0].joint(t), num_dims, process.num_states)
        rates = rates_from_marginals(process, marginals, t)
        double = []
        for model in models:
            name = f"{what}, {'product' if model.independent else 'correlated'}"
            widths = [0.02 / 2**k for k in range(6)]
            steps = [model.step(t - h, t) for h in widths]
            limit = extrapolate([k / h for k, h in zip(steps, widths, strict=True)])
            off = (limit - rates).where(flips == 1, 0.0).abs().max().item()
            record.vanishes(off, 1e-8, f"rates of one coordinate, {name}")
            record.vanishes(
                limit.where(flips > 1, 0.0).abs().max().item(),
                1e-8,
                f"rates of two coordinates, {name}",
            )
            second = extrapolate([k / h**2 for k, h in zip(steps, widths, strict=True)])
            double.append(second.where(flips == 2, 0.0))
        apart = (double[0] - double[1]).abs().max().item()
        record.exceeds(apart, 0.0, 0.01, f"second order of two coordinates, {what}")


@claim(
    "marginals-only-masked",
    "One step from all masks tells two joint laws apart only if it reveals both coordinates.",
    group="beyond",
    source="this project",
    hypotheses="two bits that always agree against independent bits, in rationals. The steps are "
    "at total variation r^2 / 2, r the chance that a coordinate is revealed; states with a mask "
    "have equal probability",
)
def verify_rational(record: Record) -> None:
    equal_bits = law_from([Fraction(1, 2), Fraction(0), Fraction(0), Fraction(1, 2)], 2, 2)
    for reveal in (Fraction(1, 100), Fraction(1, 3), Fraction(1)):
        correlated, product = (
            masked_step_law(p, reveal) for p in (equal_bits, independent(equal_bits))
        )
        for x, p in correlated.items():
            if 2 in x:
                record.equal(p, product[x], 0, f"probability of {x}, reveal {reveal}")
        apart = total_variation(correlated, product)
        record.equal(apart, reveal**2 / 2, 0, f"distance of the steps, reveal {reveal}")


@claim(
    "marginals-only-loss",
    "Two models with equal marginals and different joint laws have the same continuous-time loss.",
    group="paper",
    source="Continuous-time losses",
    hypotheses="data with full support, t in [0.2, 0.8]. The divergence of N steps tends to the "
    "loss for both (to 1e-5); at finite N they differ by c/N",
)
def verify_loss(record: Record) -> None:
    first, last = 0.2, 0.8
    for what, *models in itertools.islice(model_pairs(seed=3), 3):
        losses = [continuous_loss(model, first, last) for model in models]
        record.equal(losses[0], losses[1], 1e-13, f"continuous-time loss, {what}")
        sizes = [3, 6, 12, 24]
        paths = list(zip(*(path_divergences(models, n, first, last) for n in sizes), strict=True))
        for path, name in zip(paths, ("correlated", "product"), strict=True):
            record.equal(extrapolate(path), losses[0], 1e-5, f"limit of the path, {name}, {what}")
        scaled = [n * (a - b) for n, a, b in zip(sizes, *paths, strict=True)]
        gap = abs(extrapolate(scaled))
        record.exceeds(gap, 0.0, 5e-3, f"N times the difference of the paths, {what}")


@claim(
    "marginals-only-price",
    "False in general: a model with continuous-time loss 0 samples well in few steps. The product "
    "of the true marginals has loss 0 and is off by d12 in one step.",
    group="fails",
    source="this project",
    hypotheses="two bits, masked and uniform noise; d12 is the total variation between the data "
    "and the product of its marginals",
)
def verify_price(record: Record) -> None:
    q_0 = torch.tensor([0.4, 0.1, 0.1, 0.4], dtype=torch.float64)
    product = exact.product_law(exact.marginals(q_0, 2, 2))
    d12 = exact.total_variation(q_0, product).item()
    for name, process in (("masked", MaskedProcess(2)), ("uniform", UniformProcess(2))):
        model = JointModel(process, q_0, torch.zeros((), dtype=torch.float64), True)
        record.vanishes(continuous_loss(model, 0.05, 0.95), 1e-13, f"continuous-time loss, {name}")
        one_step = exact.product_composition(process, q_0, [0.0, 1.0])
        distance = exact.total_variation(q_0, one_step).item()
        record.equal(distance, d12, 1e-14, f"total variation of one step, {name}")
        record.exceeds(distance, 0.0, 0.1, f"total variation of one step, {name}")
