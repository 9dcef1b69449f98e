r"""Parallel unmasking in random order costs the Riemann gap of one curve.

Let X have law p on $S^n$, reveal batches of sizes $s_1, \dots, s_k$ (sum n), each batch a uniformly
random set of hidden coordinates, every coordinate drawn from its true conditional given what was
revealed before. With the information curve

$$Z_j = \mathbb{E}\, I(X_i; X_S), \quad (S, i) \text{ uniform with } |S| = j,\ i \notin S,
\qquad j = 0, \dots, n - 1,$$

and $c_t = s_1 + \dots + s_{t-1}$ coordinates known at step t,

$$\mathbb{E}_{\text{partition}}\, \mathrm{KL}(p \,\|\, p_{S_1, \dots, S_k})
  = \sum_{j=0}^{n-1} Z_j - \sum_t s_t Z_{c_t},$$

the area between the curve and the staircase that samples it at the left end of every batch. It
holds for every law, zeros included, and all sizes; $Z_0 = 0$ and Z does not decrease, but it need
not be concave. The left side averages the divergence over paths. It is not the divergence of the
law that the sampler generates, which mixes the paths and is smaller or equal (Jensen).

Sizes that minimise the gap for a given k follow from O(n^2 k) dynamic programming, since the sum
over batches is additive; equal sizes can be arbitrarily worse (copies of one symbol: one coordinate
first, then all others at once, is exact).

Source: Chen, Cong, Li, Optimal inference schedules for masked diffusion models (COLT 2026;
arXiv 2511.04647); the same profile appears in Lavenant and Zanella (arXiv 2510.25544).
"""

import functools
import itertools
import random
from collections.abc import Sequence
from fractions import Fraction
from typing import TypeVar

import torch
from torch import Tensor

from di4c import exact
from theory.claim import Record, claim
from theory.tools.exact_logs import ZERO, LogSum, kl, log, mutual_information, total
from theory.tools.laws import rational_law
from theory.tools.oracle import Law
from theory.tools.unmasking import compositions, ordered_partitions, output_law, path_law

Value = TypeVar("Value", float, Fraction, LogSum)


def mask_averaged_kl(law: Law, sizes: Sequence[int]) -> LogSum:
    """Left side, literally: the mean of KL(p || path law) over every ordered partition."""
    partitions = list(ordered_partitions(range(len(next(iter(law)))), sizes))
    divergences = (kl(law, path_law(law, partition)) for partition in partitions)
    return Fraction(1, len(partitions)) * total(divergences)


def information_curve(law: Law) -> list[LogSum]:
    """Z_0, ..., Z_{n-1} of a rational law, each mutual information as a divergence."""
    n = len(next(iter(law)))
    curve = []
    for j in range(n):
        pairs = [
            (i, s)
            for i in range(n)
            for s in itertools.combinations([d for d in range(n) if d != i], j)
        ]
        information = total(mutual_information(law, [i], s) for i, s in pairs)
        curve.append(Fraction(1, len(pairs)) * information)
    return curve


def riemann_gap(curve: Sequence[Value], sizes: Sequence[int]) -> Value:
    r"""Right side: $\sum_j Z_j - \sum_t s_t Z_{c_t}$."""
    if sum(sizes) != len(curve):
        raise ValueError(f"sizes must sum to n = {len(curve)}; got {list(sizes)}")
    gap = 0 * curve[0]
    known = 0
    for size in sizes:
        for value in curve[known : known + size]:
            gap = gap + value - curve[known]
        known += size
    return gap


def optimal_sizes(curve: Sequence[Value], num_steps: int) -> tuple[int, ...]:
    """Batch sizes of least Riemann gap with `num_steps` batches, by dynamic programming."""
    n = len(curve)
    if not 1 <= num_steps <= n:
        raise ValueError(f"num_steps must lie in 1..{n} = n; got {num_steps}")
    # captured[m]: largest staircase area of the first m coordinates in k batches, with the sizes.
    captured: dict[int, tuple[Value, tuple[int, ...]]] = {0: (0 * curve[0], ())}
    for _ in range(num_steps):
        extended: dict[int, tuple[Value, tuple[int, ...]]] = {}
        for known, (area, sizes) in captured.items():
            for size in range(1, n - known + 1):
                candidate = area + size * curve[known]
                best = extended.get(known + size)
                if best is None or best[0] < candidate:
                    extended[known + size] = (candidate, (*sizes, size))
        captured = extended
    return captured[n][1]


def batched_mask_averaged_kl(laws: Tensor, sizes: Sequence[int]) -> Tensor:
    """Left side for many laws at once, (B, S, ..., S) with full support: float64 (B,)."""
    dims = range(1, laws.ndim)

    @functools.cache
    def log_marginal(known: frozenset[int]) -> Tensor:
        others = [d for d in dims if d not in known]
        return (laws.sum(others, keepdim=True) if others else laws).log()

    log_laws = laws.log()
    divergences = []
    for partition in ordered_partitions(dims, sizes):
        log_path, known = torch.zeros_like(laws), frozenset()
        for batch in partition:
            for i in batch:
                log_path = log_path + log_marginal(known | {i}) - log_marginal(known)
            known = known | set(batch)
        divergences.append((laws * (log_laws - log_path)).flatten(1).sum(1))
    return torch.stack(divergences).mean(0)


def batched_curve(laws: Tensor) -> list[Tensor]:
    """Z_j for many laws at once, from the entropies of all 2^n marginals: n tensors (B,)."""
    dims = range(1, laws.ndim)

    def entropy(kept: frozenset[int]) -> Tensor:
        others = [d for d in dims if d not in kept]
        return exact.entropy((laws.sum(others) if others else laws).reshape(len(laws), -1))

    subsets = [frozenset(s) for j in dims for s in itertools.combinations(dims, j)]
    entropies = {frozenset(): torch.zeros(len(laws), dtype=laws.dtype)}
    entropies |= {s: entropy(s) for s in subsets}
    curve = []
    for j in range(laws.ndim - 1):
        terms = [
            entropies[frozenset([i])] + entropies[s] - entropies[s | {i}]
            for s in entropies
            for i in dims
            if len(s) == j and i not in s
        ]
        curve.append(torch.stack(terms).mean(0))
    return curve


def copies(num_dims: int) -> Law:
    """One fair bit, repeated: Z = (0, log 2, ..., log 2)."""
    return {(value,) * num_dims: Fraction(1, 2) for value in (0, 1)}


def small_laws() -> list[Law]:
    """Rational laws of three and four coordinates, with and without zeros."""
    rng = random.Random(0)
    return [
        rational_law(rng, num_dims, num_states, least)
        for num_dims, num_states in ((3, 2), (3, 3), (4, 2)) * 2
        for least in (1, -3)
    ]


@claim(
    "information-curve",
    "E_masks KL(p || path) = sum_j Z_j - sum_t s_t Z_{c_t}, without rounding",
    group="beyond",
    source="Chen, Cong, Li (COLT 2026)",
    hypotheses="random order, true conditionals; any law (zeros too), any batch sizes",
)
def verify_exactly(record: Record) -> None:
    for law in small_laws():
        curve = information_curve(law)
        for sizes in compositions(len(curve)):
            left, right = mask_averaged_kl(law, sizes), riemann_gap(curve, sizes)
            record.equal(left, right, 0, f"sizes {sizes}")


@claim(
    "information-curve-random-laws",
    "the same on 1000 random laws, S^D up to 32, all batch sizes",
    group="beyond",
    source="Chen, Cong, Li (COLT 2026)",
    hypotheses="full support (only so that logarithms can be taken in bulk)",
)
def verify_on_random_laws(record: Record) -> None:
    generator = torch.Generator().manual_seed(0)
    for num_states, num_dims, count in ((2, 4, 500), (3, 3, 400), (2, 5, 100)):
        weights = torch.rand(
            (count, *(num_states,) * num_dims), generator=generator, dtype=torch.float64
        )
        laws = weights**4 + 1e-6
        laws = laws / laws.flatten(1).sum(1).reshape(-1, *(1,) * num_dims)
        curve = batched_curve(laws)
        for sizes in compositions(num_dims):
            gaps = riemann_gap(curve, sizes)
            for left, right in zip(batched_mask_averaged_kl(laws, sizes), gaps, strict=True):
                record.equal(left, right, 1e-13, f"S = {num_states}, sizes {sizes}")


@claim(
    "information-curve-increases",
    "Z_0 = 0 and Z_j <= Z_{j+1}",
    group="beyond",
    source="Chen, Cong, Li (COLT 2026)",
    hypotheses="none; Z need not be concave",
)
def verify_curve_shape(record: Record) -> None:
    for law in small_laws():
        curve = information_curve(law)
        record.equal(curve[0], ZERO, 0, "Z_0")
        for earlier, later in itertools.pairwise(curve):
            record.at_most(earlier, later, "Z does not decrease")


@claim(
    "information-curve-not-output-kl",
    "False in general: the mask-averaged KL is the KL of the generated law",
    group="fails",
    source="this project",
    hypotheses="fails for 1 < k < n: the output mixes the paths and is closer (Jensen)",
)
def verify_not_the_output_kl(record: Record) -> None:
    for law in small_laws()[:6]:
        n = len(next(iter(law)))
        for sizes in compositions(n):
            if 1 < len(sizes) < n:  # one batch or n batches: all paths have the same law
                path = float(mask_averaged_kl(law, sizes))
                output = float(kl(law, output_law(law, sizes)))
                record.exceeds(path, output, 1e-3, f"sizes {sizes}")


@claim(
    "optimal-batch-sizes",
    "O(n^2 k) dynamic programming finds the least gap over all batch sizes",
    group="beyond",
    source="Chen, Cong, Li (COLT 2026)",
    hypotheses="the curve is known; brute force over every composition",
)
def verify_optimal_sizes(record: Record) -> None:
    draw = random.Random(0)
    curves: list[Sequence[Fraction] | Sequence[LogSum]] = []
    for n in (2, 3, 5, 8, 9) * 3:
        steps = [Fraction(draw.randint(0, 9)) for _ in range(n - 1)]
        curves.append(list(itertools.accumulate(steps, initial=Fraction(0))))
    curves += [information_curve(law) for law in small_laws()]
    for curve in curves:
        for k in range(1, len(curve) + 1):
            least = min(riemann_gap(curve, sizes) for sizes in compositions(len(curve), k))
            record.equal(riemann_gap(curve, optimal_sizes(curve, k)), least, 0, f"k = {k}")


@claim(
    "equal-batch-sizes",
    "False in general: equal batch sizes are optimal",
    group="fails",
    source="this project",
    hypotheses="fails for n copies of a bit: sizes (1, n - 1) cost 0, (n/2, n/2) do not",
)
def verify_equal_sizes_are_not_optimal(record: Record) -> None:
    for n in (4, 6):
        curve = information_curve(copies(n))
        equal, best = riemann_gap(curve, (n // 2, n // 2)), riemann_gap(curve, (1, n - 1))
        record.equal(best, ZERO, 0, f"one coordinate first, n = {n}")
        record.equal(equal, (n // 2 - 1) * log(2), 0, f"equal sizes, n = {n}")
        record.exceeds(equal, best, 0.6, f"equal sizes, n = {n}")
