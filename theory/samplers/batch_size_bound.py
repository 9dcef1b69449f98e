r"""How much a batch size can cost: the bound of Li and Cai, the sharp one, and what they assume.

Reveal L coordinates in random order in batches of fixed sizes $s_1, \dots, s_k$, every coordinate
from its true conditional law; $s_{\max} = \max_t s_t$, L is the sequence length. Li and Cai:

$$\mathbb{E}_{\text{partition}}\, \mathrm{KL}(p \,\|\, p_{S_1, \dots, S_k}) \le
  \frac{2^{\lceil \log_2 s_{\max} \rceil} - 1}{L} \sum_{i=1}^L I(X_i; X_{-i}),$$

plus the training error if the conditionals are learnt (here it is 0). By convexity it also bounds
the divergence of the generated law.

The power of two is not needed. The left side is the Riemann gap of the information curve, which
increases from 0 to $Z_{L-1} = \frac1L \sum_i I(X_i; X_{-i})$, so that

$$\text{gap} \le \sum_t (s_t - 1)(Z_{c_{t+1} - 1} - Z_{c_t}) \le (s_{\max} - 1)\, Z_{L-1},$$

which is never larger, is 0 for single coordinates, and is attained for every L and all sizes with
$s_1 = s_{\max}$: by L copies of one symbol. The bounds coincide when $s_{\max}$ is a power of two.
On 200 random laws each of three to six bits, for all sizes but single coordinates, the bound of Li
and Cai is loose by a factor of 1.02 to 48. The medians are from 1.5, for sizes (2, 2), to 12.7, for
(2, 1, 1, 1, 1) (`looseness`): the end of a curve says little about its shape.

Hypotheses that bind: the sets are random (a fixed partition can cost more), $s_{\max}$ is the
largest size (not the mean), the sizes are fixed (on a time grid they are binomial: use
`time_grid_bound`).

Source: Li, Cai, Breaking AR's sampling bottleneck (NeurIPS 2025; arXiv 2505.21400).
"""

from collections.abc import Sequence
from fractions import Fraction

import torch

from theory.claim import Record, claim
from theory.samplers.information_curve import (
    batched_curve,
    batched_mask_averaged_kl,
    copies,
    information_curve,
    mask_averaged_kl,
    riemann_gap,
    small_laws,
)
from theory.samplers.time_grid_kl import time_grid_form
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
    """Bound of Li and Cai over the mask-averaged KL, for many laws (B, S, ..., S): (B,).

    From the curve, since an average over all partitions of six coordinates takes seconds.
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
    "mask-averaged KL <= (2^ceil(log2 s_max) - 1)/L sum_i I(X_i; X_-i)",
    group="beyond",
    source="Li, Cai (NeurIPS 2025)",
    hypotheses="fixed sizes, random sets, true conditionals; any law; without rounding",
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
    "mask-averaged KL <= (s_max - 1)/L sum_i I(X_i; X_-i) on 1500 random laws",
    group="beyond",
    source="this project",
    hypotheses="as for li_cai_bound; never larger than that bound",
)
def verify_bounds_on_random_laws(record: Record) -> None:
    for num_dims, num_states, count in ((4, 2, 1000), (3, 3, 500)):
        laws = random_laws(count, num_dims, num_states)
        information = batched_curve(laws)[-1]
        for sizes in compositions(num_dims):
            bounds = sharp_factor(sizes) * information
            for path, bound in zip(batched_mask_averaged_kl(laws, sizes), bounds, strict=True):
                if max(sizes) == 1:
                    record.equal(path, 0.0, 1e-13, "one coordinate at a time")
                else:
                    record.at_most(path, bound, f"sizes {sizes}")


@claim(
    "sharp-batch-size-bound-attained",
    "equality for L copies of a symbol, all sizes with s_1 = s_max",
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
    "False in general: 2^ceil(log2 s_max) - 1 is the best constant",
    group="fails",
    source="this project",
    hypotheses="fails unless s_max is a power of two: s_max - 1 suffices and is attained",
)
def verify_power_of_two_is_not_needed(record: Record) -> None:
    for length in (3, 5):
        law = copies(length)
        attained, li_cai = mask_averaged_kl(law, (length,)), li_cai_factor((length,)) * log(2)
        record.exceeds(li_cai, attained, 0.6, f"L = s_max = {length}")


@claim(
    "li-cai-mean-size",
    "False in general: the mean batch size may stand in for s_max",
    group="fails",
    source="this project",
    hypotheses="fails for unequal sizes and for the binomial sizes of a time grid",
)
def verify_mean_size_is_not_enough(record: Record) -> None:
    law = copies(4)
    mean_size = Fraction(4, 2)
    bound = (mean_size - 1) * information_of_the_rest(law)
    record.exceeds(mask_averaged_kl(law, (3, 1)), bound, 0.6, "sizes (3, 1), mean 2")
    # As many equispaced steps as coordinates: one coordinate a step on average, and a positive KL.
    survivals = [1 - Fraction(k, 4) for k in range(5)]
    record.exceeds(time_grid_form(information_curve(law), survivals), ZERO, 0.3, "binomial sizes")


def two_pairs() -> Law:
    """Two independent pairs of equal bits."""
    return {(a, a, b, b): Fraction(1, 4) for a in (0, 1) for b in (0, 1)}


@claim(
    "li-cai-fixed-sets",
    "False in general: the bound holds for one fixed partition",
    group="fails",
    source="this project",
    hypotheses="fails for two pairs of equal bits: 2 log 2 against log 2",
)
def verify_fixed_sets_can_cost_more(record: Record) -> None:
    law = two_pairs()
    bound = li_cai_factor((2, 2)) * information_of_the_rest(law)
    record.equal(bound, log(2), 0, "the bound for two pairs")
    left = kl(law, path_law(law, ((0, 1), (2, 3))))
    record.exceeds(left, bound, 0.6, "each pair in one batch")
