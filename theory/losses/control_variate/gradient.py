r"""What the control variate does to gradients: the mean stays, a collapsed student gets none.

Let $w(l \mid x)$ be the posterior of the latent given the whole draw x, and $w^d(l \mid x^d)$ the
posterior given one coordinate. With the control variate the gradient of the loss of one draw, in
the logits of $p_l^d$, is

$$-\big[ w(l \mid x) - w^d(l \mid x^d) \big] \big( 1[x^d = s] - p_l^d(s) \big).$$

Without it the second posterior is absent. The following is not in the paper:

* The mean over draws, marginal part included, is the gradient of KL(r || p) with and without.
* A student is collapsed if all its latents give the same components. Both posteriors are then the
  prior, so the correlation part and its gradient are 0 at every draw. Nothing drives the latents
  apart: collapse is a stationary point. Latents must start different.
* Near collapse the correlation part is of second order and sees pairs of coordinates only. For
  $p_l^d \propto p_0^d e^{\kappa u_l^d}$ it is
  $-\kappa^2 \sum_{d<e} \mathbb{E}_r \mathrm{Cov}_w(v_l^d, v_l^e)$ to leading order, with v the
  centred u (see `control_variate_variance`). For parity on 3 bits and fair $p_0$ it is 0 for every
  u, because each pair of bits is independent.
* The control variate can add variance to the gradient. It does if a single coordinate does not
  tell the latent and all of them together do. In the example the target is two bits that always
  agree. The components have error e and weights (1 - e, e). The variance of the gradient is then
  multiplied by about $0.05 / e^2$.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from di4c import exact
from di4c.likelihood import DenseMixture
from di4c.losses import Target, consistency_loss
from theory.claim import Record, claim
from theory.losses.control_variate.identity import SHAPES, instances
from theory.losses.control_variate.variance import latent_covariance, tilted
from theory.tools.finite_mixture import FiniteMixture, as_target, random_law


def draw_gradients(
    law: Tensor, student: FiniteMixture, control_variate: bool
) -> tuple[Tensor, Tensor]:
    """Gradients in the logits by the library.

    Returns the gradient of the correlation part at every state drawn, (n, L, D, S), and that of the
    marginal part, (L, D, S).
    """
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
    """The sum of the variances of all entries, for draws from the law."""
    mean = torch.tensordot(law, gradients, 1)
    return torch.tensordot(law, (gradients - mean) ** 2, 1).sum().item()


def literal_gradients(student: FiniteMixture, control_variate: bool) -> Tensor:
    """The formula of the module's docstring, state by state, (n, L, D, S)."""
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
    """Two bits that equal the latent except with probability `error`.

    The latents have weights (1 - error, error).
    """
    probs = [[[error, 1 - error]] * 2, [[1 - error, error]] * 2]
    return FiniteMixture(
        torch.tensor([1 - error, error], dtype=torch.float64),
        torch.tensor(probs, dtype=torch.float64),
    )


@claim(
    "control-variate-gradient",
    "The control variate keeps the mean gradient; one draw has -[w(l|x) - w^d(l|x^d)] (1[x^d=s] - "
    "p_l^d(s)).",
    group="beyond",
    source="this project",
    hypotheses="gradient in the logits; any student, any target. w and w^d are posteriors of the "
    "latent. Autograd is compared with the formula",
)
def verify_mean(record: Record) -> None:
    for what, law, student in instances(count=10, seed=0):
        means = []
        for control_variate in (True, False):
            first, second = draw_gradients(law, student, control_variate)
            literal = literal_gradients(student, control_variate)
            deviation = (first - literal).abs().max().item()
            record.vanishes(deviation, 1e-13, f"formula, control variate {control_variate}, {what}")
            means.append(torch.tensordot(law, first, 1) + second)
        record.vanishes((means[0] - means[1]).abs().max().item(), 1e-13, f"mean gradient, {what}")


@claim(
    "control-variate-collapse",
    "If all latents give the same components, the correlation part has gradient 0 at every draw.",
    group="beyond",
    source="this project",
    hypotheses="with the control variate; a collapsed student is therefore a stationary point",
)
def verify_collapse(record: Record) -> None:
    for what, law, student in instances(count=5, seed=1):
        collapsed = FiniteMixture(student.weights, student.probs[:1].expand_as(student.probs))
        first, _ = draw_gradients(law, collapsed, True)
        record.vanishes(first.abs().max().item(), 1e-14, f"with control variate, {what}")
        without, _ = draw_gradients(law, collapsed, False)
        record.exceeds(without.abs().max().item(), 0.0, 1e-3, f"without control variate, {what}")


def _directions(seed: int) -> Iterator[tuple[str, Tensor, Tensor, Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    for shape in SHAPES:
        base = random_law(generator, *shape[1:])
        noise = torch.randn(shape, dtype=torch.float64, generator=generator)
        law = random_law(generator, shape[2] ** shape[1])
        yield f"(L, D, S) = {shape}", law, base, noise, random_law(generator, shape[0])


def correlation_curvature(law: Tensor, base: Tensor, noise: Tensor, weights: Tensor) -> float:
    r"""The limit of the correlation part over $\kappa^2$ at $\kappa \to 0$, by extrapolation."""
    target = as_target(law, *base.shape)
    scaled = []
    for kappa in (1e-3, 2e-3):
        student = tilted(base, noise, weights, kappa).as_student()
        scaled.append(consistency_loss(student, target).correlation.item() / kappa**2)
    return 2 * scaled[0] - scaled[1]


@claim(
    "control-variate-curvature",
    "Near collapse the correlation part is -kappa^2 sum_{d<e} E_r Cov_w(v^d, v^e): it sees pairs "
    "only.",
    group="beyond",
    source="this project",
    hypotheses="p_l proportional to p_0 exp(kappa u_l), v the centred u; limit to 1e-4. For parity "
    "on 3 bits it is 0 for every u",
)
def verify_curvature(record: Record) -> None:
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
        record.vanishes(correlation_curvature(parity, fair, noise, weights), 1e-4, f"parity #{k}")


@claim(
    "control-variate-gradient-trap",
    "False in general: the control variate never adds variance to the gradient. It can multiply it "
    "by 0.05/e^2, e the error of the components.",
    group="fails",
    source="this project",
    hypotheses="the whole draw tells the latent, one coordinate does not. Target: two bits that "
    "always agree. Weights of the components: (1-e, e)",
)
def verify_trap(record: Record) -> None:
    equal_bits = torch.tensor([0.5, 0.0, 0.0, 0.5], dtype=torch.float64)
    for error in (1e-2, 1e-3, 1e-4):
        student = two_clusters(error)
        with_cv, without = (
            gradient_variance(equal_bits, draw_gradients(equal_bits, student, cv)[0])
            for cv in (True, False)
        )
        record.equal(
            error**2 * with_cv / without,
            0.05,
            3 * error,
            f"variance ratio times error^2, error {error}",
        )
        record.exceeds(with_cv, without, 0.2, f"gradient variance, error {error}")
