r"""Parallel unmasking in random order costs the Riemann gap of one curve.

Let X have law p on $S^n$. Batches of sizes $s_1, \dots, s_k$ with sum n are revealed. Each batch is
a uniformly random set of hidden coordinates. Every coordinate is drawn from its true conditional
law given what was revealed before. The information curve is

$$Z_j = \mathbb{E}\, I(X_i; X_S), \quad (S, i) \text{ uniform with } |S| = j,\ i \notin S,
\qquad j = 0, \dots, n - 1.$$

With $c_t = s_1 + \dots + s_{t-1}$ coordinates known at step t,

$$\mathbb{E}_{\text{partition}}\, \mathrm{KL}(p \,\|\, p_{S_1, \dots, S_k})
  = \sum_{j=0}^{n-1} Z_j - \sum_t s_t Z_{c_t},$$

the area between the curve and the staircase that takes its value at the left end of every batch.
This holds for every law, zeros included, and all sizes. $Z_0 = 0$ and Z does not decrease, but it
need not be concave.

The left side averages the divergence over paths. It is not the divergence of the law that the
sampler generates. That law mixes the paths, so its divergence is smaller or equal (Jensen).

The sum over batches is additive, so O(n^2 k) dynamic programming finds the sizes of least gap for a
given k. Equal sizes can be arbitrarily worse. For copies of one symbol, revealing one coordinate
first and then all others at once is exact.

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
    """The left side by its definition: the mean of KL(p || path law) over ordered partitions."""
    partitions = list(ordered_partitions(range(len(next(iter(law)))), sizes))
    divergences = (kl(law, path_law(law, partition)) for partition in partitions)
    return Fraction(1, len(partitions)) * total(divergences)


def information_curve(law: Law) -> list[LogSum]:
    """Z_0, ..., Z_{n-1} of a rational law; a mutual information is computed as a divergence."""
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
    r"""The right side: $\sum_j Z_j - \sum_t s_t Z_{c_t}$."""
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
    # captured[m]: the largest area below a staircase over m coordinates, and its batch sizes.
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
    """The left side in float64 for B laws of full support at once: (B, S, ..., S) to (B,)."""
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
    """Z_j for B laws at once, from the entropies of all 2^n marginals: n tensors (B,)."""
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
    """Copies of one fair bit, with Z = (0, log 2, ..., log 2)."""
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
    "Unmasking in random order costs KL(p || path) = sum_j Z_j - sum_t s_t Z_{c_t} on average over "
    "paths.",
    group="beyond",
    source="Chen, Cong and Li, Optimal inference schedules for masked diffusion models (COLT 2026)",
    hypotheses="true conditional laws; any law, zeros included, any batch sizes s_t; c_t "
    "coordinates are known before batch t. Z_j is the mean information of j coordinates about "
    "another; without rounding",
)
def verify_exactly(record: Record) -> None:
    for law in small_laws():
        curve = information_curve(law)
        for sizes in compositions(len(curve)):
            left, right = mask_averaged_kl(law, sizes), riemann_gap(curve, sizes)
            record.equal(left, right, 0, f"sizes {sizes}")


@claim(
    "information-curve-random-laws",
    "The same identity holds on 1000 random laws with up to 32 states and all batch sizes.",
    group="beyond",
    source="Chen, Cong and Li, Optimal inference schedules for masked diffusion models (COLT 2026)",
    hypotheses="full support, needed only to take logarithms of many laws at once",
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
    "The information curve starts at Z_0 = 0 and does not decrease.",
    group="beyond",
    source="Chen, Cong and Li, Optimal inference schedules for masked diffusion models (COLT 2026)",
    hypotheses="any law; the curve need not be concave",
)
def verify_curve_shape(record: Record) -> None:
    for law in small_laws():
        curve = information_curve(law)
        record.equal(curve[0], ZERO, 0, "Z_0")
        for earlier, later in itertools.pairwise(curve):
            record.at_most(earlier, later, "Z_j and Z_{j+1}")


@claim(
    "information-curve-not-output-kl",
    "False in general: the mean KL over paths is the KL of the generated law. The generated law "
    "mixes the paths and is closer to the data.",
    group="fails",
    source="this project",
    hypotheses="random order in k batches of n coordinates, 1 < k < n",
)
def verify_not_the_output_kl(record: Record) -> None:
    for law in small_laws()[:6]:
        n = len(next(iter(law)))
        for sizes in compositions(n):
            if 1 < len(sizes) < n:  # one batch or n batches: all paths have the same law
                path = float(mask_averaged_kl(law, sizes))
                output = float(kl(law, output_law(law, sizes)))
                record.exceeds(path, output, 1e-3, f"mean over paths above output, sizes {sizes}")


@claim(
    "optimal-batch-sizes",
    "Dynamic programming in O(n^2 k) finds the batch sizes of least cost.",
    group="beyond",
    source="Chen, Cong and Li, Optimal inference schedules for masked diffusion models (COLT 2026)",
    hypotheses="the information curve is known; compared with every composition of n into k sizes",
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
    "False in general: equal batch sizes are optimal. For n copies of a bit the sizes (1, n-1) "
    "cost 0, (n/2, n/2) do not.",
    group="fails",
    source="this project",
    hypotheses="n = 4, 6; the equal sizes cost (n/2 - 1) log 2",
)
def verify_equal_sizes_are_not_optimal(record: Record) -> None:
    for n in (4, 6):
        curve = information_curve(copies(n))
        equal, best = riemann_gap(curve, (n // 2, n // 2)), riemann_gap(curve, (1, n - 1))
        record.equal(best, ZERO, 0, f"one coordinate first, n = {n}")
        record.equal(equal, (n // 2 - 1) * log(2), 0, f"equal sizes, n = {n}")
        record.exceeds(equal, best, 0.6, f"equal sizes, n = {n}")
