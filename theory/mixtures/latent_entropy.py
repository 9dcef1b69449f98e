r"""How much correlation a latent can carry: total correlation at most (D - 1) H(latent).

For a mixture $p = \sum_l w_l \prod_d p_l^d$ the divergence from the product of its own marginals is
its total correlation, and since coordinates are independent given $\lambda$,

$$\mathrm{KL}\Big(p \,\Big\|\, \prod_d p^d\Big) = \mathrm{TC}(p)
  = \sum_d I(x^d; \lambda) - I(x; \lambda) \le (D - 1)\, H(\lambda),$$

because $I(x; \lambda) \ge \max_d I(x^d; \lambda)$ and $I(x^d; \lambda) \le H(\lambda)$. Equality
for repetition with any weights, $x^1 = \dots = x^D = \lambda$; HALF has log 2.

Beyond the paper, for L equally likely latents (a training batch), pointwise in x: with the
posteriors $a_l^d = w_l p_l^d / \bar p^d$, which sum to 1 over l,

$$\frac{p(x)}{\bar p(x)} = L^{D-1} \sum_l \prod_d a_l^d \le L^{D-1}, \qquad\text{hence}\qquad
  \mathrm{KL}(r \| p) \ge \mathrm{TC}(r) - (D - 1) \log L$$

for every target r: the correlation term of the loss never falls below $-(D-1) \log L$. Equality for
repetition of V values and L latents that share them out evenly. The bound is necessary, not
sufficient: parity on D bits has TC log 2, two latents would do by entropy, $2^{D-1}$ are needed
(`proposition1`).
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from di4c import exact
from di4c.losses import consistency_loss
from theory.claim import Record, claim
from theory.mixtures.proposition1 import cover_number
from theory.tools import oracle
from theory.tools.finite_mixture import (
    FiniteMixture,
    as_dict,
    as_target,
    random_law,
    random_mixture,
)
from theory.tools.laws import zero_sum_law


def information(student: FiniteMixture) -> tuple[float, Tensor]:
    r"""$I(x; \lambda)$ and $I(x^d; \lambda)$ for each d, as mean divergences of the components."""
    joint = student.weights @ exact.kl(
        student.components(), student.law().expand_as(student.components())
    )
    single = exact.kl(student.probs, student.marginals().expand_as(student.probs))
    return joint.item(), student.weights @ single


def repetition(weights: Tensor, num_dims: int) -> FiniteMixture:
    """All coordinates equal to the latent."""
    probs = torch.eye(len(weights), dtype=torch.float64)[:, None].expand(-1, num_dims, -1)
    return FiniteMixture(weights, probs)


def shared_out(num_values: int, num_latents: int, num_dims: int) -> FiniteMixture:
    """L equal latents, each uniform on its own V / L values in every coordinate."""
    groups = torch.arange(num_values) * num_latents // num_values
    rows = (groups == torch.arange(num_latents)[:, None]).double() * num_latents / num_values
    weights = torch.full((num_latents,), 1 / num_latents, dtype=torch.float64)
    return FiniteMixture(weights, rows[:, None].expand(-1, num_dims, -1))


def equal_latents(num_latents: int) -> Tensor:
    """The weights 1/L."""
    return torch.full((num_latents,), 1 / num_latents, dtype=torch.float64)


def mixtures(count: int, seed: int) -> Iterator[tuple[str, FiniteMixture]]:
    """Random mixtures from nearly independent to nearly deterministic given the latent."""
    generator = torch.Generator().manual_seed(seed)
    for num_latents, num_dims, num_states in [
        (1, 2, 2),
        (2, 2, 2),
        (3, 3, 2),
        (2, 4, 2),
        (4, 2, 3),
    ]:
        for k in range(count):
            spread = (0.3, 2.0, 8.0)[k % 3]
            student = random_mixture(generator, num_latents, num_dims, num_states, spread)
            yield f"L={num_latents}, D={num_dims}, S={num_states}, #{k}", student


@claim(
    "latent-entropy",
    "KL(mixture || product of its marginals) = TC <= (D-1) H(lambda)",
    group="beyond",
    source="standard information inequalities",
    hypotheses="any finite mixture; TC = sum_d I(x^d; lambda) - I(x; lambda)",
)
def _verify_identity(record: Record) -> None:
    for what, student in mixtures(12, seed=0):
        _, num_dims, num_states = student.probs.shape
        literal = student.literal()
        divergence = oracle.kl(literal, oracle.independent(literal))
        correlation = exact.total_correlation(student.law(), num_dims, num_states).item()
        record.equal(divergence, correlation, 1e-12, f"KL = TC, {what}")
        joint, single = information(student)
        record.equal(divergence, single.sum().item() - joint, 1e-12, f"informations, {what}")
        entropy = exact.entropy(student.weights).item()
        record.at_most(divergence, (num_dims - 1) * entropy, what, rounding=1e-13)


@claim(
    "latent-entropy-tight",
    "equality for repetition with any weights; HALF log 2",
    group="beyond",
    source="this project",
    hypotheses="V = 2, 3, 4, D = 2, 3, 4",
)
def _verify_tight(record: Record) -> None:
    generator = torch.Generator().manual_seed(1)
    for num_values in (2, 3, 4):
        for num_dims in (2, 3, 4):
            for weights in (equal_latents(num_values), random_law(generator, num_values)):
                literal = repetition(weights, num_dims).literal()
                divergence = oracle.kl(literal, oracle.independent(literal))
                entropy = -math.fsum(w * math.log(w) for w in weights.tolist())
                what = f"D={num_dims}, weights {[round(w, 3) for w in weights.tolist()]}"
                record.equal(divergence, (num_dims - 1) * entropy, 1e-12, what)
    half = repetition(equal_latents(2), 2).literal()
    record.equal(oracle.total_correlation(half), math.log(2), 1e-15, "HALF")


@claim(
    "latent-entropy-missed",
    "KL(r || p) >= TC(r) - (D-1) log L; p / pbar <= L^(D-1) pointwise",
    group="beyond",
    source="this project",
    hypotheses="L equally likely latents, any target r; the correlation term >= -(D-1) log L",
)
def _verify_missed(record: Record) -> None:
    generator = torch.Generator().manual_seed(2)
    for what, student in mixtures(12, seed=3):
        num_latents, num_dims, num_states = student.probs.shape
        batch = FiniteMixture(equal_latents(num_latents), student.probs)
        most = (num_dims - 1) * math.log(num_latents)
        target = random_law(generator, num_states**num_dims, spread=3.0)
        r = as_dict(target, num_dims, num_states)
        missed = oracle.kl(r, batch.literal())
        record.at_most(oracle.total_correlation(r) - most, missed, f"divergence, {what}", 1e-12)
        # Pointwise: the worst target is the single state where the ratio is largest.
        p = batch.literal()
        bar = oracle.independent(p)
        gain = max(math.log(p[x] / bar[x]) for x in p if p[x])
        record.at_most(gain, most, f"log ratio, {what}", 1e-12)
        loss = consistency_loss(batch.as_student(), as_target(target, num_dims, num_states))
        record.at_most(-most, loss.correlation.item(), f"correlation term, {what}", 1e-12)


@claim(
    "latent-entropy-missed-tight",
    "equality: repetition of V values, L latents that share them out evenly",
    group="beyond",
    source="this project",
    hypotheses="L divides V",
)
def _verify_missed_tight(record: Record) -> None:
    for num_values, num_latents in [(2, 1), (2, 2), (4, 2), (4, 1), (6, 3), (6, 2)]:
        for num_dims in (2, 3):
            target = repetition(equal_latents(num_values), num_dims).literal()
            missed = oracle.kl(target, shared_out(num_values, num_latents, num_dims).literal())
            expected = (num_dims - 1) * math.log(num_values / num_latents)
            record.equal(missed, expected, 1e-12, f"V={num_values}, L={num_latents}, D={num_dims}")


@claim(
    "latent-entropy-not-sufficient",
    "False in general: enough latent entropy is enough latents",
    group="fails",
    source="this project",
    hypotheses="fails for parity on D bits: 2 by entropy, 2^(D-1) needed",
)
def _verify_not_sufficient(record: Record) -> None:
    for num_dims in range(3, 7):
        parity = zero_sum_law(num_dims, 2)
        correlation = oracle.total_correlation(parity)
        record.equal(correlation, math.log(2), 1e-12, f"TC of parity, D={num_dims}")
        by_entropy = math.ceil(math.exp(correlation / (num_dims - 1)) - 1e-9)
        record.equal(by_entropy, 2, 0, f"latents by entropy, D={num_dims}")
        needed = cover_number(parity, num_dims, 2)
        record.exceeds(needed, by_entropy, 1, f"latents needed, D={num_dims}")
