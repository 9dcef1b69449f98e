r"""What the control variate does to gradients: same mean, silence at collapse, and one trap.

For logits of $p_l^d$ the gradient of the loss of one draw x is, coordinate by coordinate,

$$-\big[ w(l \mid x) - w^d(l \mid x^d) \big] \big( 1[x^d = s] - p_l^d(s) \big)$$

with the control variate, where $w(l \mid x)$ is the posterior of the latent given the whole draw
and $w^d(l \mid x^d)$ given one coordinate; without it the second posterior is absent. Beyond the
paper:

* The mean over draws, marginal part included, is the gradient of KL(r || p) either way.
* At a collapsed student (all latents alike) both posteriors are the prior: the correlation term
  and its gradient vanish draw by draw. There is no noise, but no push either: collapse is a
  stationary point, and latents must start out different.
* The push away from it is second order and pairwise: for $p_l^d \propto p_0^d e^{\kappa u_l^d}$ the
  correlation term is $-\kappa^2 \sum_{d<e} \mathbb{E}_r \mathrm{Cov}_w(v_l^d, v_l^e)$ to leading
  order (v the centred u, see `control_variate_variance`). For parity on 3 bits and fair $p_0$ that
  is 0 for every u: pairs tell nothing.
* The trap: where one coordinate does not tell the latent and all of them do, the joint posterior
  saturates and $w^d$ does not. HALF against components with error e and weights (1 - e, e): the
  control variate multiplies the variance of the gradient by about $0.05 / e^2$.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from di4c import exact
from di4c.likelihood import DenseMixture
from di4c.losses import Target, consistency_loss
from theory.claim import Record, claim
from theory.losses.control_variate import SHAPES, instances
from theory.losses.control_variate_variance import latent_covariance, tilted
from theory.tools.finite_mixture import FiniteMixture, as_target, random_law


def draw_gradients(
    law: Tensor, student: FiniteMixture, control_variate: bool
) -> tuple[Tensor, Tensor]:
    """Gradients in the logits by the library: of each draw's first term (n, ...), of the second."""
    _, num_dims, num_states = student.probs.shape
    draws = exact.states(num_dims, num_states)[:, None]
    logits = student.probs.log().repeat(len(draws), 1, 1, 1).requires_grad_()
    mixture = DenseMixture(logits.log_softmax(-1), student.weights.log())
    marginals = exact.marginals(law, num_dims, num_states).log().expand(len(draws), -1, -1)
    terms = consistency_loss(mixture, Target.from_samples(draws, marginals), control_variate)
    (first,) = torch.autograd.grad(terms.correlation.sum(), logits, retain_graph=True)
    if not control_variate:
        return first, torch.zeros_like(first[0])
    (second,) = torch.autograd.grad(terms.marginal[0], logits)
    return first, second[0]


def gradient_variance(law: Tensor, gradients: Tensor) -> float:
    """Sum of the variances of all entries under draws from the law."""
    mean = torch.tensordot(law, gradients, 1)
    return torch.tensordot(law, (gradients - mean) ** 2, 1).sum().item()


def literal_gradients(student: FiniteMixture, control_variate: bool) -> Tensor:
    """The formula above, state by state, (n, L, D, S)."""
    weights, probs = student.weights, student.probs
    _, num_dims, num_states = probs.shape
    rows = []
    for x in exact.states(num_dims, num_states):
        given = probs[:, torch.arange(num_dims), x]  # (L, D)
        joint = weights * given.prod(1)
        posterior = (joint / joint.sum())[:, None].expand(-1, num_dims)
        if control_variate:
            single = weights[:, None] * given
            posterior = posterior - single / single.sum(0)
        indicator = torch.nn.functional.one_hot(x, num_states).double()
        rows.append(-posterior[..., None] * (indicator - probs))
    return torch.stack(rows)


def two_clusters(error: float) -> FiniteMixture:
    """Bits that follow a latent with some error; weights (1 - error, error)."""
    probs = [[[error, 1 - error]] * 2, [[1 - error, error]] * 2]
    return FiniteMixture(
        torch.tensor([1 - error, error], dtype=torch.float64),
        torch.tensor(probs, dtype=torch.float64),
    )


@claim(
    "control-variate-gradient",
    "same mean gradient; per draw -[w(l|x) - w^d(l|x^d)](1[x^d = s] - p_l^d(s))",
    group="beyond",
    source="this project",
    hypotheses="logits of any student, any target; autograd against the formula",
)
def _verify_mean(record: Record) -> None:
    for what, law, student in instances(count=10, seed=0):
        means = []
        for control_variate in (True, False):
            first, second = draw_gradients(law, student, control_variate)
            literal = literal_gradients(student, control_variate)
            deviation = (first - literal).abs().max().item()
            record.equal(
                deviation, 0.0, 1e-13, f"formula, control variate {control_variate}, {what}"
            )
            means.append(torch.tensordot(law, first, 1) + second)
        record.equal((means[0] - means[1]).abs().max().item(), 0.0, 1e-13, f"mean, {what}")


@claim(
    "control-variate-collapse",
    "latents all alike: the correlation term has gradient 0 at every draw",
    group="beyond",
    source="this project",
    hypotheses="collapse is a stationary point: no noise and no push",
)
def _verify_collapse(record: Record) -> None:
    for what, law, student in instances(count=5, seed=1):
        collapsed = FiniteMixture(student.weights, student.probs[:1].expand_as(student.probs))
        first, _ = draw_gradients(law, collapsed, True)
        record.equal(first.abs().max().item(), 0.0, 1e-14, f"with, {what}")
        without, _ = draw_gradients(law, collapsed, False)
        record.exceeds(without.abs().max().item(), 0.0, 1e-3, f"without, {what}")


def _directions(seed: int) -> Iterator[tuple[str, Tensor, Tensor, Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    for shape in SHAPES:
        base = random_law(generator, *shape[1:])
        noise = torch.randn(shape, dtype=torch.float64, generator=generator)
        law = random_law(generator, shape[2] ** shape[1])
        yield f"(L, D, S) = {shape}", law, base, noise, random_law(generator, shape[0])


def correlation_curvature(law: Tensor, base: Tensor, noise: Tensor, weights: Tensor) -> float:
    r"""Correlation term over $\kappa^2$ at $\kappa \to 0$, by Richardson extrapolation."""
    target = as_target(law, *base.shape)
    scaled = []
    for kappa in (1e-3, 2e-3):
        student = tilted(base, noise, weights, kappa).as_student()
        scaled.append(consistency_loss(student, target).correlation.item() / kappa**2)
    return 2 * scaled[0] - scaled[1]


@claim(
    "control-variate-curvature",
    "near collapse: correlation term ~ -kappa^2 sum_(d<e) E_r Cov_w(v^d, v^e)",
    group="beyond",
    source="this project",
    hypotheses="p_l ~ p_0 exp(kappa u_l), limit to 1e-4; 0 for parity on 3 bits, any u",
)
def _verify_curvature(record: Record) -> None:
    for what, law, base, noise, weights in _directions(seed=2):
        expected = -(law @ latent_covariance(base, noise, weights)).item()
        found = correlation_curvature(law, base, noise, weights)
        record.equal(found / expected, 1.0, 1e-4, what)
    parity = (exact.states(3, 2).sum(1) % 2 == 0).double() / 4
    fair = torch.full((3, 2), 0.5, dtype=torch.float64)
    generator = torch.Generator().manual_seed(3)
    for k in range(10):
        noise = torch.randn(4, 3, 2, dtype=torch.float64, generator=generator)
        weights = random_law(generator, 4)
        record.equal(correlation_curvature(parity, fair, noise, weights), 0.0, 1e-4, f"parity #{k}")


@claim(
    "control-variate-gradient-trap",
    "False in general: the control variate never adds gradient variance",
    group="fails",
    source="this project",
    hypotheses="fails where x tells the latent and x^d does not: HALF, factor .05/e^2",
)
def _verify_trap(record: Record) -> None:
    half = torch.tensor([0.5, 0.0, 0.0, 0.5], dtype=torch.float64)
    for error in (1e-2, 1e-3, 1e-4):
        student = two_clusters(error)
        with_cv, without = (
            gradient_variance(half, draw_gradients(half, student, cv)[0]) for cv in (True, False)
        )
        record.equal(error**2 * with_cv / without, 0.05, 3 * error, f"factor, error {error}")
        record.exceeds(with_cv, without, 0.2, f"error {error}")
