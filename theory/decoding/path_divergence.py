r"""The divergence of paths: it bounds that of the generated laws, and when each of them is 0.

Two Markov samplers start from $a_N, b_N$ and make steps with kernels $A_k, B_k$. The KL divergence
of their paths is

$$\mathrm{KL}(\text{path}_A \| \text{path}_B) = \mathrm{KL}(a_N \| b_N)
  + \sum_k \mathbb{E}_{x \sim a_k} \mathrm{KL}(A_k(\cdot \mid x) \| B_k(\cdot \mid x)).$$

It is at least the divergence of the laws at time 0, and 0 if and only if the paths have the same
law. This is the objective of IDLM (as stated in its abstract). The converse of the bound fails: two
samplers with the same law at time 0 can have any path divergence.
"""

import itertools
import math
import random

from theory.claim import Record, claim
from theory.tools import oracle
from theory.tools.oracle import Law

Row = list[float]
Sampler = tuple[Row, list[list[Row]]]
"""The law of the start, and the kernels in the order of sampling, [from][to]."""


def random_row(rng: random.Random, size: int) -> Row:
    """A random law with log-normal weights."""
    weights = [math.exp(rng.gauss(0, 1)) for _ in range(size)]
    return [w / sum(weights) for w in weights]


def random_sampler(rng: random.Random, size: int, num_steps: int) -> Sampler:
    """A random start and random kernels."""
    kernels = [[random_row(rng, size) for _ in range(size)] for _ in range(num_steps)]
    return random_row(rng, size), kernels


def paths(sampler: Sampler) -> Law:
    """The law of the whole path, from start to end."""
    start, kernels = sampler
    result = {}
    for path in itertools.product(range(len(start)), repeat=len(kernels) + 1):
        steps = zip(kernels, itertools.pairwise(path), strict=True)
        result[path] = start[path[0]] * math.prod(kernel[x][y] for kernel, (x, y) in steps)
    return result


def last(law: Law) -> Law:
    """The law of the last state of a path."""
    result: Law = {}
    for path, p in law.items():
        result[path[-1:]] = result.get(path[-1:], 0) + p
    return result


def chain_rule(first: Sampler, second: Sampler) -> float:
    """Divergence of the starts, plus the mean divergence of each step."""

    def rows(row: Row) -> Law:
        return {(v,): p for v, p in enumerate(row)}

    law, total = first[0], oracle.kl(rows(first[0]), rows(second[0]))
    for ours, theirs in zip(first[1], second[1], strict=True):
        total += sum(
            p * oracle.kl(rows(a), rows(b)) for p, a, b in zip(law, ours, theirs, strict=True)
        )
        law = [sum(p * a[y] for p, a in zip(law, ours, strict=True)) for y in range(len(law))]
    return total


@claim(
    "path-divergence-bound",
    "The KL divergence of paths is that of the starts plus the mean of each step. It bounds the KL "
    "divergence of the generated laws.",
    group="beyond",
    source="IDLM, as stated in the abstract; the chain rule",
    hypotheses="two Markov samplers on any state space",
)
def verify_bound(record: Record) -> None:
    """Enumeration of all paths of random samplers."""
    rng = random.Random(0)
    for size, num_steps in itertools.product((2, 4), (1, 2, 4)):
        for k in range(4):
            first, second = (random_sampler(rng, size, num_steps) for _ in range(2))
            what = f"{size} states, {num_steps} steps, #{k}"
            whole = oracle.kl(paths(first), paths(second))
            record.equal(whole, chain_rule(first, second), 1e-12, f"chain rule, {what}")
            record.at_most(oracle.kl(last(paths(first)), last(paths(second))), whole, what)


@claim(
    "path-divergence-converse",
    "False in general: samplers that generate the same law have path divergence 0. A last step "
    "that forgets its state makes the laws equal and leaves the path divergence as it is.",
    group="fails",
    source="this project",
    hypotheses="the divergence of the paths is 0 if and only if the paths have the same law",
)
def verify_converse(record: Record) -> None:
    """Two random samplers with the same forgetful last step."""
    rng = random.Random(1)
    for size, num_steps in itertools.product((2, 3), (1, 3)):
        forget = [random_row(rng, size)] * size
        first, second = (random_sampler(rng, size, num_steps) for _ in range(2))
        same = [(start, [*kernels, forget]) for start, kernels in (first, second)]
        what = f"{size} states, {num_steps} steps"
        laws = [last(paths(sampler)) for sampler in same]
        record.vanishes(oracle.kl(*laws), 1e-12, f"generated laws, {what}")
        whole = oracle.kl(*map(paths, same))
        record.equal(whole, chain_rule(first, second), 1e-12, f"paths, {what}")
        record.exceeds(whole, 0, 0.05, f"paths differ, {what}")
