r"""Generation by unmasking on tiny spaces: batches of coordinates and the law along a path.

Each step reveals a batch of coordinates. Each coordinate is drawn from its true conditional law
given what was revealed before, independently of the others in its batch. Along an ordered partition
$(S_1, \dots, S_k)$ of the coordinates this gives the product law of the path

$$p_{S_1, \dots, S_k}(x) = \prod_t \prod_{i \in S_t} p(x_i \mid x_{S_1 \cup \dots \cup S_{t-1}}).$$

Laws are dictionaries with any exact number type, as in the oracle.
"""

import itertools
from collections.abc import Iterator, Sequence
from fractions import Fraction

from theory.tools import oracle
from theory.tools.exact_logs import restrict
from theory.tools.oracle import Law

Partition = tuple[tuple[int, ...], ...]


def compositions(number: int, parts: int | None = None) -> Iterator[tuple[int, ...]]:
    """All ordered sums of positive integers with this value, with `parts` terms if it is given."""
    if number == 0 and not parts:
        yield ()
    if parts == 0:
        return
    for first in range(1, number + 1):
        for rest in compositions(number - first, None if parts is None else parts - 1):
            yield (first, *rest)


def ordered_partitions(coordinates: Sequence[int], sizes: Sequence[int]) -> Iterator[Partition]:
    """All ordered partitions of the coordinates into batches of the given sizes."""
    if sum(sizes) != len(coordinates):
        raise ValueError(
            f"sizes must sum to the number of coordinates {len(coordinates)}; got {list(sizes)}"
        )
    if not sizes:
        yield ()
        return
    for batch in itertools.combinations(coordinates, sizes[0]):
        rest = [i for i in coordinates if i not in batch]
        for later in ordered_partitions(rest, sizes[1:]):
            yield (batch, *later)


def path_law(law: Law, partition: Partition) -> Law:
    """The product law along the partition, on the states of positive probability.

    The product sampler may also reach states outside the support of the data, where conditional
    laws are undefined. KL divergences from the data do not depend on them. They are left out, so
    the values may sum to less than 1.
    """
    result = {x: 1 for x, p in law.items() if p}
    known: list[int] = []
    for batch in partition:
        before = restrict(law, known)
        for i in batch:
            after = restrict(law, [*known, i])
            for x in result:
                seen = tuple(x[d] for d in known)
                result[x] *= after[(*seen, x[i])] / before[seen]
        known += batch
    return result


def output_law(law: Law, sizes: Sequence[int]) -> Law:
    """The law that random-order unmasking generates: the average over all ordered partitions."""
    num_dims = len(next(iter(law)))
    paths = [path_law(law, partition) for partition in ordered_partitions(range(num_dims), sizes)]
    return {x: Fraction(1, len(paths)) * sum(path[x] for path in paths) for x in paths[0]}


def masked_out(law: Law, num_steps: int) -> Law:
    """The law after N product steps under linear masked noise on the uniform grid, exact."""
    num_values = max(map(max, law)) + 1
    alphas = [1 - Fraction(k, num_steps) for k in range(num_steps + 1)]
    kernels = [
        oracle.masked_kernel(later / earlier, num_values, from_data=earlier == 1)
        for earlier, later in itertools.pairwise(alphas)
    ]
    return oracle.compose(law, kernels)
