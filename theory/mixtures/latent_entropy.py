r"""How much correlation a latent can carry: a total correlation of at most (D - 1) H(latent).

Let $p = \sum_l w_l \prod_d p_l^d$ be a mixture. Its divergence from the product of its own
marginals is its total correlation. The coordinates are independent given $\lambda$, hence

$$\mathrm{KL}\Big(p \,\Big\|\, \prod_d p^d\Big) = \mathrm{TC}(p)
  = \sum_d I(x^d; \lambda) - I(x; \lambda) \le (D - 1)\, H(\lambda),$$

because $I(x; \lambda) \ge \max_d I(x^d; \lambda)$ and $I(x^d; \lambda) \le H(\lambda)$. Equality
holds if every coordinate equals the latent, $x^1 = \dots = x^D = \lambda$, whatever its weights.
Two bits that always agree have a total correlation of log 2.

The following is not in the paper. Let L latents be equally likely, as in a training batch. The
posteriors $a_l^d = w_l p_l^d / \bar p^d$ sum to 1 over l, so that for every state x

$$\frac{p(x)}{\bar p(x)} = L^{D-1} \sum_l \prod_d a_l^d \le L^{D-1}, \qquad\text{hence}\qquad
  \mathrm{KL}(r \| p) \ge \mathrm{TC}(r) - (D - 1) \log L$$

for every target r. The correlation part of the loss therefore never falls below $-(D-1) \log L$.
Equality holds if the target repeats one of V values and each latent covers V / L of them.

The bound is necessary, not sufficient. Parity on D bits has a total correlation of log 2. By this
bound two latents could be enough, but $2^{D-1}$ are needed (`proposition1`).
"""

import math
from collections.abc import Iterator, Sequence

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
from theory.tools.laws import parity


def information(student: FiniteMixture) -> tuple[float, Tensor]:
    r"""$I(x; \lambda)$ and $I(x^d; \lambda)$ for each d, as mean divergences of the components."""
    joint = student.weights @ exact.kl(
        student.components(), student.law().expand_as(student.components())
    )
    single = exact.kl(student.probs, student.marginals().expand_as(student.probs))
    return joint.item(), student.weights @ single


def copied_latent(weights: Tensor, num_dims: int) -> FiniteMixture:
    """Every coordinate equals the latent, which has the given law."""
    probs = torch.eye(len(weights), dtype=torch.float64)[:, None].expand(-1, num_dims, -1)
    return FiniteMixture(weights, probs)


def shared_out(num_values: int, num_latents: int, num_dims: int) -> FiniteMixture:
    """L equally likely latents, each uniform on its own V / L values in every coordinate."""
    groups = torch.arange(num_values) * num_latents // num_values
    rows = (groups == torch.arange(num_latents)[:, None]).double() * num_latents / num_values
    weights = torch.full((num_latents,), 1 / num_latents, dtype=torch.float64)
    return FiniteMixture(weights, rows[:, None].expand(-1, num_dims, -1))


def equal_latents(num_latents: int) -> Tensor:
    """L equally likely latents: each has the weight 1/L."""
    return torch.full((num_latents,), 1 / num_latents, dtype=torch.float64)


SIZES = ((1, 2, 2), (2, 2, 2), (3, 3, 2), (2, 4, 2), (4, 2, 3))
"""(L, D, S) of random mixtures."""

FEW_LATENTS = ((1, 2, 2), (2, 2, 3), (2, 2, 4), (2, 3, 3), (3, 2, 6))
"""The same with fewer latents than values: such a mixture misses a target near repetition."""


def mixtures(
    count: int, seed: int, sizes: Sequence[tuple[int, int, int]] = SIZES
) -> Iterator[tuple[str, FiniteMixture]]:
    """Random mixtures.

    Given the latent, a coordinate is anything from nearly uniform to nearly certain.
    """
    generator = torch.Generator().manual_seed(seed)
    for num_latents, num_dims, num_states in sizes:
        for k in range(count):
            spread = (0.3, 2.0, 8.0)[k % 3]
            student = random_mixture(generator, num_latents, num_dims, num_states, spread)
            yield f"L={num_latents}, D={num_dims}, S={num_states}, #{k}", student


@claim(
    "latent-entropy",
    "A mixture with latent lambda has a total correlation of at most (D-1) H(lambda).",
    group="beyond",
    source="standard information inequalities",
    hypotheses="any finite mixture. The total correlation is KL(mixture || product of its "
    "marginals) and equals sum_d I(x^d; lambda) - I(x; lambda)",
)
def verify_identity(record: Record) -> None:
    for what, student in mixtures(12, seed=0):
        _, num_dims, num_states = student.probs.shape
        literal = student.literal()
        divergence = oracle.kl(literal, oracle.independent(literal))
        correlation = exact.total_correlation(student.law(), num_dims, num_states).item()
        record.equal(divergence, correlation, 1e-12, f"KL is the total correlation, {what}")
        joint, single = information(student)
        by_information = single.sum().item() - joint
        record.equal(divergence, by_information, 1e-12, f"sum of mutual informations, {what}")
        entropy = exact.entropy(student.weights).item()
        bound = (num_dims - 1) * entropy
        record.at_most(divergence, bound, f"total correlation and bound, {what}", rounding=1e-13)


@claim(
    "latent-entropy-tight",
    "The total correlation is exactly (D-1) H(lambda) if every coordinate equals the latent.",
    group="beyond",
    source="this project",
    hypotheses="2, 3 or 4 values with any weights, D = 2, 3, 4. Two fair bits that always agree "
    "have log 2",
)
def verify_tight(record: Record) -> None:
    generator = torch.Generator().manual_seed(1)
    for num_values in (2, 3, 4):
        for num_dims in (2, 3, 4):
            for weights in (equal_latents(num_values), random_law(generator, num_values)):
                literal = copied_latent(weights, num_dims).literal()
                divergence = oracle.kl(literal, oracle.independent(literal))
                entropy = -math.fsum(w * math.log(w) for w in weights.tolist())
                what = f"D={num_dims}, weights {[round(w, 3) for w in weights.tolist()]}"
                record.equal(divergence, (num_dims - 1) * entropy, 1e-12, what)
    equal_bits = copied_latent(equal_latents(2), 2).literal()
    record.equal(oracle.total_correlation(equal_bits), math.log(2), 1e-15, "two equal bits")


@claim(
    "latent-entropy-missed",
    "A mixture p of L equally likely latents misses a target r by KL(r || p) >= TC(r) - (D-1) log "
    "L.",
    group="beyond",
    source="this project",
    hypotheses="any target r. At every state p is at most L^(D-1) times the product of its "
    "marginals, so the correlation part of the loss is at least -(D-1) log L",
)
def verify_missed(record: Record) -> None:
    generator = torch.Generator().manual_seed(2)
    for what, student in mixtures(12, seed=3, sizes=FEW_LATENTS):
        num_latents, num_dims, num_states = student.probs.shape
        batch = FiniteMixture(equal_latents(num_latents), student.probs)
        most = (num_dims - 1) * math.log(num_latents)
        target = 0.9 * copied_latent(equal_latents(num_states), num_dims).law()
        target += 0.1 * random_law(generator, num_states**num_dims, spread=3.0)
        r = as_dict(target, num_dims, num_states)
        missed = oracle.kl(r, batch.literal())
        least = oracle.total_correlation(r) - most
        record.at_most(least, missed, f"divergence, {what}", 1e-12, smallest=0)
        # The largest ratio over all states: a target can put all its mass there.
        p = batch.literal()
        bar = oracle.independent(p)
        gain = max(math.log(p[x] / bar[x]) for x in p if p[x])
        record.at_most(gain, most, f"log ratio, {what}", 1e-12)
        loss = consistency_loss(batch.as_student(), as_target(target, num_dims, num_states))
        record.at_most(-most, loss.correlation.item(), f"correlation part, {what}", 1e-12)


@claim(
    "latent-entropy-missed-tight",
    "The least KL(r || p) is attained: r repeats one of V values, each latent covers V / L of "
    "them.",
    group="beyond",
    source="this project",
    hypotheses="L divides V; D = 2, 3",
)
def verify_missed_tight(record: Record) -> None:
    for num_values, num_latents in [(2, 1), (2, 2), (4, 2), (4, 1), (6, 3), (6, 2)]:
        for num_dims in (2, 3):
            target = copied_latent(equal_latents(num_values), num_dims).literal()
            missed = oracle.kl(target, shared_out(num_values, num_latents, num_dims).literal())
            expected = (num_dims - 1) * math.log(num_values / num_latents)
            record.equal(missed, expected, 1e-12, f"V={num_values}, L={num_latents}, D={num_dims}")


@claim(
    "latent-entropy-not-sufficient",
    "False in general: as many latents as the entropy bound asks for are enough. Parity on D bits "
    "needs 2^(D-1), the bound asks for 2.",
    group="fails",
    source="this project",
    hypotheses="parity on D bits, D = 3..6",
)
def verify_not_sufficient(record: Record) -> None:
    for num_dims in range(3, 7):
        even = parity(num_dims)
        correlation = oracle.total_correlation(even)
        record.equal(correlation, math.log(2), 1e-12, f"TC of parity, D={num_dims}")
        by_entropy = math.ceil(math.exp(correlation / (num_dims - 1)) - 1e-9)
        record.equal(by_entropy, 2, 0, f"latents by entropy, D={num_dims}")
        needed = cover_number(even, num_dims, 2)
        record.exceeds(needed, by_entropy, 1, f"latents needed, D={num_dims}")
