r"""Laws on forests: exact parallel decoding in about log2 n rounds.

Let p be a Markov random field on a forest: coordinates are nodes, and those that revealed nodes
separate are independent given them. Then one node in each component of what is still masked can be
drawn in parallel without error. Take the centroid of each component. Every part that remains has at
most half of its nodes, so that n nodes need at most $\lfloor \log_2 n \rfloor + 1$ rounds.

On a path no schedule that is exact for all such laws has fewer rounds: two nodes of the same
component are dependent in general. The least number of rounds of a tree is its tree-depth.

Source: Kawata, Hayakawa, Suzuki 2026, as stated in the abstract; the proofs here are ours.
"""

import functools
import heapq
import itertools
import math
import random
from collections.abc import Iterator
from fractions import Fraction

from theory.claim import Record, claim
from theory.tools import oracle
from theory.tools.oracle import Law
from theory.tools.unmasking import Partition, path_law

SOURCE = "Kawata, Hayakawa, Suzuki 2026, as stated in the abstract"
Edges = tuple[tuple[int, int], ...]
Nodes = frozenset[int]


def trees(size: int) -> Iterator[Edges]:
    """All labelled trees with n nodes, from their Pruefer codes."""
    if size < 3:
        yield tuple((k, k + 1) for k in range(size - 1))
        return
    for code in itertools.product(range(size), repeat=size - 2):
        degree = [1 + code.count(v) for v in range(size)]
        leaves, edges = [v for v in range(size) if degree[v] == 1], []
        heapq.heapify(leaves)
        for v in code:
            edges.append((heapq.heappop(leaves), v))
            degree[v] -= 1
            if degree[v] == 1:
                heapq.heappush(leaves, v)
        edges.append((heapq.heappop(leaves), heapq.heappop(leaves)))
        yield tuple(edges)


def components(nodes: Nodes, edges: Edges) -> list[Nodes]:
    """The connected parts of some nodes."""
    result, left = [], set(nodes)
    while left:
        part, new = set(), {left.pop()}
        while new:
            part |= new
            near = {b for e in edges for a, b in (e, e[::-1]) if a in new}
            new = near & left
            left -= new
        result.append(frozenset(part))
    return result


def centroid(nodes: Nodes, edges: Edges) -> int:
    """The node whose removal leaves the smallest largest part."""
    return min(nodes, key=lambda v: max(map(len, components(nodes - {v}, edges)), default=0))


def rounds(size: int, edges: Edges) -> Partition:
    """The batches: one centroid of each component, until nothing is masked."""
    result, masked = [], frozenset(range(size))
    while masked:
        chosen = tuple(centroid(part, edges) for part in components(masked, edges))
        result.append(chosen)
        masked -= set(chosen)
    return tuple(result)


@functools.cache
def depth(nodes: Nodes, edges: Edges) -> int:
    """The tree-depth: the least number of rounds with one node of each component at a time."""
    parts = components(nodes, edges)
    if len(parts) > 1:
        return max(depth(part, edges) for part in parts)
    if len(nodes) < 2:
        return len(nodes)
    return 1 + min(depth(nodes - {v}, edges) for v in nodes)


def markov_law(rng: random.Random, size: int, edges: Edges, num_states: int = 2) -> Law:
    """A random law with one positive factor for each edge."""
    factors = {
        (e, values): rng.randint(1, 9)
        for e in edges
        for values in itertools.product(range(num_states), repeat=2)
    }
    weights = {
        x: math.prod(factors[e, (x[e[0]], x[e[1]])] for e in edges)
        for x in oracle.all_states(size, num_states)
    }
    total = sum(weights.values())
    return {x: Fraction(w, total) for x, w in weights.items()}


def path(size: int) -> Edges:
    """The path 0 - 1 - ... - n-1."""
    return tuple(itertools.pairwise(range(size)))


@claim(
    "forest-exact",
    "A law on a forest is decoded without error if each round draws one node of each component.",
    group="beyond",
    source=SOURCE,
    hypotheses="Markov random field on a forest, exact conditionals; all trees with up to 5 nodes, "
    "forests of 6; exact rationals",
)
def verify_exact(record: Record) -> None:
    """The product law along the centroid rounds, state by state: the largest difference is 0."""
    rng = random.Random(0)
    cases = [(n, edges) for n in (2, 3, 4, 5) for edges in trees(n)]
    cases += [(6, tuple(rng.sample(e, 3))) for e in rng.sample(list(trees(6)), 4)]
    for size, edges in cases:
        law = markov_law(rng, size, edges)
        made = path_law(law, rounds(size, edges))
        what = f"edges {edges}"
        record.vanishes(max(abs(made[x] - p) for x, p in law.items()), 0, what)
    law = markov_law(rng, 4, path(4), num_states=3)
    made = path_law(law, rounds(4, path(4)))
    record.vanishes(max(abs(made[x] - p) for x, p in law.items()), 0, "path of 4, S = 3")


@claim(
    "forest-rounds",
    "Centroids need at most floor(log2 n) + 1 rounds for n nodes. Paths need as many under any "
    "schedule that is exact for all laws on them.",
    group="beyond",
    source=SOURCE,
    hypotheses="all trees with up to 6 nodes; paths with up to 12 nodes",
)
def verify_rounds(record: Record) -> None:
    """Counted rounds; the least number for a path is its tree-depth, by search."""
    for size in range(1, 7):
        most = max(len(rounds(size, edges)) for edges in trees(size))
        record.equal(most, math.floor(math.log2(size)) + 1, 0, f"the worst tree with {size} nodes")
    for size in (1, 2, 3, 4, 7, 8, 12):
        least = depth(frozenset(range(size)), path(size))
        record.equal(len(rounds(size, path(size))), least, 0, f"path with {size} nodes")


@claim(
    "forest-two-in-a-component",
    "False in general: on a path every second node can be drawn in the first round, because its "
    "nodes are not neighbours.",
    group="fails",
    source="this project",
    hypotheses="nodes of the same component are dependent until a node between them is revealed",
)
def verify_alternating(record: Record) -> None:
    """Even nodes first, then odd nodes: an error on random laws; centroids have none."""
    rng = random.Random(1)
    for size in (3, 4, 5):
        law = markov_law(rng, size, path(size))
        batches = (tuple(range(0, size, 2)), tuple(range(1, size, 2)))
        error = oracle.total_variation(path_law(law, batches), law)
        record.exceeds(error, 0, Fraction(1, 1000), f"even, then odd, {size} nodes")
        made = path_law(law, rounds(size, path(size)))
        record.vanishes(oracle.total_variation(made, law), 0, f"centroids, {size} nodes")
