r"""How much a batch size can cost: the bound of Li and Cai, the sharp bound, what both assume.

L coordinates are revealed in random order in batches of fixed sizes $s_1, \dots, s_k$. Every
coordinate is drawn from its true conditional law. With $s_{\max} = \max_t s_t$ Li and Cai show

$$\mathbb{E}_{\text{partition}}\, \mathrm{KL}(p \,\|\, p_{S_1, \dots, S_k}) \le
  \frac{2^{\lceil \log_2 s_{\max} \rceil} - 1}{L} \sum_{i=1}^L I(X_i; X_{-i}),$$

and the training error is added if the conditional laws are learnt (here it is 0). By convexity the
bound also holds for the divergence of the generated law.

The power of two is not needed. The left side is the Riemann gap of the information curve
(`information_curve.py`). The curve increases from 0 to
$Z_{L-1} = \frac1L \sum_i I(X_i; X_{-i})$, so that

$$\text{gap} \le \sum_t (s_t - 1)(Z_{c_{t+1} - 1} - Z_{c_t}) \le (s_{\max} - 1)\, Z_{L-1},$$

This bound is never larger than that of Li and Cai, and equal if $s_{\max}$ is a power of two. It is
0 for single coordinates. L copies of one symbol attain it for every L and all sizes with
$s_1 = s_{\max}$.

On random laws the bound of Li and Cai is loose by a factor of 1.02 to 48 (`looseness`: 200 laws
each of three to six bits, all sizes but single coordinates). The median factor is least, 1.5, for
sizes (2, 2) and largest, 12.7, for (2, 1, 1, 1, 1). The bound uses only the end of the information
curve, which says little about its shape.

The bounds need three hypotheses. The sets are random: a fixed partition can cost more.
$s_{\max}$ is the largest size, not the mean. The sizes are fixed: on a time grid they are binomial,
see the claim time-grid-bound.

Source: Li, Cai, Breaking AR's sampling bottleneck (NeurIPS 2025; arXiv 2505.21400).
"""

from collections.abc import Sequence
from fractions import Fraction

import torch

from theory.claim import Record, claim
from theory.samplers.unmasking.information_curve import (
    batched_curve,
    batched_mask_averaged_kl,
    copies,
    information_curve,
    mask_averaged_kl,
    riemann_gap,
    small_laws,
)
from theory.samplers.unmasking.time_grid_kl import time_grid_form
from theory.tools.exact_logs import ZERO, LogSum, kl, log, mutual_information, total
from theory.tools.oracle import Law
from theory.tools.unmasking import compositions, path_law


def information_of_the_rest(law: Law) -> LogSum:
    r"""$\frac1L \sum_i I(X_i; X_{-i})$, the mean information about a coordinate in the others."""
    length = len(next(iter(law)))
    others = [[j for j in range(length) if j != i] for i in range(length)]
    return Fraction(1, length) * total(
        mutual_information(law, [i], others[i]) for i in range(length)
    )


def li_cai_factor(sizes: Sequence[int]) -> int:
    r"""$2^{\lceil \log_2 s_{\max} \rceil} - 1$."""
    return 2 ** (max(sizes) - 1).bit_length() - 1


def sharp_factor(sizes: Sequence[int]) -> int:
    r"""$s_{\max} - 1$."""
    return max(sizes) - 1


def looseness(laws: torch.Tensor, sizes: Sequence[int]) -> torch.Tensor:
    """The bound of Li and Cai over the mean KL, for B laws at once: (B, S, ..., S) to (B,).

    The mean KL is the gap of the information curve. Averaging over all partitions of six
    coordinates would take seconds.
    """
    curve = batched_curve(laws)
    return li_cai_factor(sizes) * curve[-1] / riemann_gap(curve, sizes)


def random_laws(count: int, num_dims: int, num_states: int, seed: int = 0) -> torch.Tensor:
    """Uneven laws with full support, (count, S, ..., S)."""
    generator = torch.Generator().manual_seed(seed)
    shape = (count, *(num_states,) * num_dims)
    weights = torch.randn(shape, generator=generator, dtype=torch.float64).mul(1.5).exp()
    return weights / weights.flatten(1).sum(1).reshape(-1, *(1,) * num_dims)


@claim(
    "li-cai-bound",
    "Unmasking in random order costs at most (2^ceil(log2 s_max) - 1)/L sum_i I(X_i; X_-i) on "
    "average.",
    group="beyond",
    source="Li and Cai, Breaking AR's sampling bottleneck (NeurIPS 2025)",
    hypotheses="batches of fixed sizes, the largest s_max, L coordinates in all; random sets, true "
    "conditional laws, any law, without rounding",
)
def verify_bounds(record: Record) -> None:
    for law in small_laws():
        information = information_of_the_rest(law)
        for sizes in compositions(len(next(iter(law)))):
            left = mask_averaged_kl(law, sizes)
            record.at_most(left, sharp_factor(sizes) * information, f"s_max - 1, sizes {sizes}")
            record.at_most(left, li_cai_factor(sizes) * information, f"Li, Cai, sizes {sizes}")


@claim(
    "sharp-batch-size-bound",
    "Unmasking in random order costs at most (s_max - 1)/L sum_i I(X_i; X_-i) on average.",
    group="beyond",
    source="this project",
    hypotheses="as for li-cai-bound, which is never smaller; 1500 random laws of full support, all "
    "batch sizes",
)
def verify_bounds_on_random_laws(record: Record) -> None:
    for num_dims, num_states, count in ((4, 2, 1000), (3, 3, 500)):
        laws = random_laws(count, num_dims, num_states)
        information = batched_curve(laws)[-1]
        for sizes in compositions(num_dims):
            bounds = sharp_factor(sizes) * information
            for path, bound in zip(batched_mask_averaged_kl(laws, sizes), bounds, strict=True):
                if max(sizes) == 1:
                    record.vanishes(path, 1e-13, "one coordinate at a time")
                else:
                    record.at_most(path, bound, f"sizes {sizes}")


@claim(
    "sharp-batch-size-bound-attained",
    "L copies of a symbol attain the sharp bound for all batch sizes whose first is the largest.",
    group="beyond",
    source="this project",
    hypotheses="L = 2..5, without rounding",
)
def verify_sharpness(record: Record) -> None:
    for length in (2, 3, 4, 5):
        law = copies(length)
        for sizes in compositions(length):
            if sizes[0] == max(sizes):
                bound = sharp_factor(sizes) * information_of_the_rest(law)
                record.equal(mask_averaged_kl(law, sizes), bound, 0, f"copies, sizes {sizes}")


@claim(
    "li-cai-power-of-two",
    "False in general: 2^ceil(log2 s_max) - 1 is the best constant. It is s_max - 1, which is "
    "attained.",
    group="fails",
    source="this project",
    hypotheses="s_max is not a power of two; copies of a bit, L = s_max = 3, 5",
)
def verify_power_of_two_is_not_needed(record: Record) -> None:
    for length in (3, 5):
        law = copies(length)
        attained, li_cai = mask_averaged_kl(law, (length,)), li_cai_factor((length,)) * log(2)
        record.exceeds(li_cai, attained, 0.6, f"L = s_max = {length}")


@claim(
    "li-cai-mean-size",
    "False in general: the mean batch size can take the place of s_max. It cannot for unequal "
    "sizes, nor for the binomial sizes of a time grid.",
    group="fails",
    source="this project",
    hypotheses="four copies of a bit: sizes (3, 1) with mean 2, and four equal time steps with "
    "mean 1",
)
def verify_mean_size_is_not_enough(record: Record) -> None:
    law = copies(4)
    mean_size = Fraction(4, 2)
    bound = (mean_size - 1) * information_of_the_rest(law)
    record.exceeds(mask_averaged_kl(law, (3, 1)), bound, 0.6, "sizes (3, 1), mean 2")
    # Four equal time steps reveal one coordinate each on average, and the cost is positive.
    survivals = [1 - Fraction(k, 4) for k in range(5)]
    record.exceeds(time_grid_form(information_curve(law), survivals), ZERO, 0.3, "binomial sizes")


def two_pairs() -> Law:
    """Two independent pairs of equal bits."""
    return {(a, a, b, b): Fraction(1, 4) for a in (0, 1) for b in (0, 1)}


@claim(
    "li-cai-fixed-sets",
    "False in general: the bound holds for every fixed partition. Two pairs of equal bits, each "
    "pair in one batch, cost 2 log 2, the bound is log 2.",
    group="fails",
    source="this project",
    hypotheses="sizes (2, 2); the bound holds on average over random sets",
)
def verify_fixed_sets_can_cost_more(record: Record) -> None:
    law = two_pairs()
    bound = li_cai_factor((2, 2)) * information_of_the_rest(law)
    record.equal(bound, log(2), 0, "the bound for two pairs")
    left = kl(law, path_law(law, ((0, 1), (2, 3))))
    record.exceeds(left, bound, 0.6, "each pair in one batch")
