r"""The exact masked teacher for every number of steps at once.

With a linear schedule and equal steps, each coordinate is revealed in a uniformly drawn step,
independently of the others. One generation is therefore an ordered partition of the D coordinates
into at most D non-empty batches. Let $L_m(x)$ be the sum over all ordered partitions into exactly m
batches of $\prod_B \prod_{i \in B} p(x_i \mid x_{\text{earlier batches}})$. Then

$$p_N = N^{-D} \sum_{m=1}^{\min(N, D)} \binom{N}{m} L_m .$$

No term is negative, so nothing cancels, and D vectors give the whole curve. The recursion over
batches runs on the $(S+1)^D$ partly masked states,

$$u_m(B, x_B) = \sum_{A \subsetneq B} u_{m-1}(A, x_A) \prod_{i \in B \setminus A} p(x_i \mid x_A),
\qquad L_m = u_m \text{ where nothing is masked},$$

and costs one step of the sampler for each m. The formula is this project's own; it is tested
against `di4c.exact.product_composition`.
"""

import itertools
import math
from collections.abc import Callable, Iterable

import torch
from jaxtyping import Float
from torch import Tensor

from di4c.exact import marginals, product_law, push_forward, states
from di4c.exact.laws import as_law, product_columns, require_memory
from di4c.exact.masked import tail_dims
from toys.teachers.exact import marginalise

Progress = Callable[[range], Iterable[int]]


def recursion_flops(num_dims: int, num_values: int) -> float:
    """Floating-point operations from $L_m$ to $L_{m+1}$."""
    base, tail = num_values + 1, tail_dims(num_dims, num_values + 1)
    return 2.0 * (base + num_values) ** (num_dims - tail) * base ** (2 * tail)


class BatchLaws:
    r"""$L_1, L_2, \dots$ of a law.

    Args:
        q_0: data law, (S^D,).
        num_values: S.
        max_batches: the largest m to compute. The default is D, which is enough for every N. The
            constructor computes all of them: one recursion for each m > 1, of which the last is
            cheap.
        progress: wraps the range of blocks of each recursion, e.g. tqdm.

    Raises:
        ValueError: If q_0 is not a law on S^D, max_batches is not 1 to D, or four numbers for each
            of the (S + 1)^D partly masked states do not fit into memory.
    """

    def __init__(
        self,
        q_0: Tensor,
        num_values: int,
        max_batches: int | None = None,
        progress: Progress | None = None,
    ) -> None:
        law, self.num_dims = as_law(q_0, num_values)
        self.num_values = num_values
        size = (num_values + 1) ** self.num_dims
        require_memory(32 * size, f"the {num_values + 1}^{self.num_dims} partly masked states")
        last = self.num_dims if max_batches is None else max_batches
        if not 1 <= last <= self.num_dims:
            raise ValueError(f"max_batches must be 1 to D = {self.num_dims}; got {max_batches}")
        self._progress = progress
        self._mass = push_forward(law, marginalise(num_values))  # p(x_A)
        self._own = marginals(law, self.num_dims, num_values)
        stay = torch.ones(self.num_dims, 1, dtype=torch.float64)
        current = product_law(torch.cat([self._own, stay], 1))  # u_1
        current[-1] = 0.0  # the empty batch does not count
        self._laws = [self._unmasked(current)]
        for m in range(2, last + 1):
            current = self._recur(current, last=m == last)
            self._laws.append(self._unmasked(current))

    def __getitem__(self, m: int) -> Float[Tensor, "atom"]:
        """L_m, 1 <= m <= max_batches."""
        return self._laws[m - 1]

    def output(self, num_steps: int) -> Float[Tensor, "atom"]:
        """The law $p_N$ after num_steps equal steps of the exact product teacher.

        Raises:
            ValueError: If num_steps is below 1, or needs more batches than max_batches.
        """
        needed = min(num_steps, self.num_dims)
        if not 1 <= needed <= len(self._laws):
            raise ValueError(
                f"num_steps must be at least 1 and need at most max_batches = {len(self._laws)} "
                f"batches; got {num_steps}"
            )
        law = torch.zeros_like(self._laws[0])
        for m in range(1, needed + 1):
            law += self[m] * (math.comb(num_steps, m) / num_steps**self.num_dims)
        return law

    def _unmasked(self, cube: Tensor) -> Tensor:
        shaped = cube.reshape((self.num_values + 1,) * self.num_dims)
        return shaped[(slice(0, self.num_values),) * self.num_dims].flatten()

    def _recur(self, law: Tensor, last: bool) -> Tensor:
        """From u_m to u_{m+1}.

        The first coordinates are enumerated; the last ones are handled by a dense matrix product.

        Args:
            law: u_m.
            last: compute only the states without a mask; the others are 0.
        """
        base, mask = self.num_values + 1, self.num_values
        tail = tail_dims(self.num_dims, base)
        head, size = self.num_dims - tail, base**tail
        strides = [base ** (head - 1 - d) for d in range(head)]
        source, own_tail = self._tail(head, tail)
        own_head = torch.nn.functional.pad(self._own, (0, 1), value=1.0)
        mass, current = self._mass.view(-1, size), law.view(-1, size)
        choices = torch.arange(mask if last else base)
        places = torch.arange(size)
        if last:
            places = places[(states(tail, base) < mask).all(1)]
        result = torch.zeros(len(mass), len(places), dtype=torch.float64)
        ones = torch.ones(1, size, dtype=torch.float64)
        rows = range(len(mass))
        heads = itertools.product(range(base), repeat=head)
        for row, x in zip(self._progress(rows) if self._progress else rows, heads, strict=True):
            if not bool(current[row].any()):
                continue
            # Product steps also reach states of p(x_A) = 0. There each coordinate follows its own
            # marginal, as in `di4c.exact.posterior_marginals`.
            possible = mass[row] > 0
            total = mass[row].where(possible, 1.0)
            masked = [d for d in range(head) if x[d] == mask]
            target = torch.tensor([row - mask * sum(strides[d] for d in masked)])
            weights = ones
            for d in masked:
                target = (target[:, None] + choices * strides[d]).flatten()
                reveal = mass[row - mask * strides[d] : row + 1 : strides[d]]  # x_d = 0, ..., mask
                reveal = torch.where(possible, reveal / total, own_head[d, :, None])
                weights = (weights[:, None] * reveal[: len(choices)]).flatten(0, 1)
            reveal = torch.nn.functional.pad(mass[row], (0, 1))[source] / total
            kernel = product_columns(torch.where(possible, reveal, own_tail))[places]
            result.index_add_(0, target, (weights * current[row]) @ kernel.T)
        # Subtract A = B, the batch that reveals nothing.
        result = (result - current[:, places]).clamp_min_(0.0)
        return torch.zeros_like(current).index_copy_(1, places, result).flatten()

    def _tail(self, head: int, tail: int) -> tuple[Tensor, Tensor]:
        """Indices of the states that give P(x_d = v | x_A), for the last coordinates.

        Returns:
            Two tensors (tail, S + 1, states) for coordinate d, value v (or the mask) and state z.
            The first holds an index of a state: z with v at d if d is masked in z, z itself if
            z_d = v, and otherwise one beyond the last state, which stands for probability 0.
            The second holds the probability to use if p(x_A) = 0: the marginal of v (1 for the
            mask) if d is masked in z, 1 if z_d = v, and 0 otherwise.
        """
        base, mask = self.num_values + 1, self.num_values
        z, values = states(tail, base).T[:, None], torch.arange(base)[:, None]
        strides = (base ** torch.arange(tail - 1, -1, -1))[:, None, None]
        moved = torch.arange(base**tail) + (values - z) * strides
        source = torch.where((z == mask) | (z == values), moved, base**tail)
        own = torch.nn.functional.pad(self._own[head:], (0, 1), value=1.0)[:, :, None]
        return source, torch.where(z == mask, own, (z == values).double())
